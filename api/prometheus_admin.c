/* prometheus_admin.c: Prometheus' admin API, which --enable-admin-api allows. */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "base/rand.h"
#include "store/series.h"

#include <time.h>

static bool allowed(struct request *rq)
{
    if (!rq->api->options.admin)
        prometheus_fail(rq, 503, "unavailable", "admin APIs disabled");
    return rq->api->options.admin;
}

void prometheus_delete_series(struct request *rq)
{
    struct err e = ERR_INIT;
    struct selection s;

    if (!allowed(rq) || prometheus_selection(rq, true, &s) < 0)
        return;
    for (size_t i = 0; i < s.n; i++)
        if (series_delete(rq->api->store, &s.queries[i], &e) < 0) {
            prometheus_fail_store(rq, &e);
            return;
        }
    reply_begin(rq, 204, NULL);
}

/* What series_delete took is gone at once: there are no tombstones. */
void prometheus_clean_tombstones(struct request *rq)
{
    if (allowed(rq))
        reply_begin(rq, 204, NULL);
}

/* "20260131T235959Z-1f2e3d4c5b6a7988", as Prometheus names its own. */
static void snapshot_name(char out[40])
{
    time_t now = (time_t)(clock_now_ms() / 1000);
    struct rng rng;
    struct tm tm;
    size_t n;

    gmtime_r(&now, &tm);
    n = strftime(out, 40, "%Y%m%dT%H%M%SZ-", &tm);
    rng_seed(&rng);
    rng_hex(&rng, out + n, 16);
}

/* `skip_head` would leave out what is newest: here it costs nothing to have it, and it is taken along. */
void prometheus_snapshot(struct request *rq)
{
    struct err e = ERR_INIT;
    bool skip_head;
    char name[40];

    if (!allowed(rq))
        return;
    if (request_bool(rq, "skip_head", false, &skip_head, &e) < 0) {
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"skip_head\": unable to parse boolean \"skip_head\" "
                                             "argument: %s", e.msg);
        return;
    }
    snapshot_name(name);
    if (store_snapshot(rq->api->store, name, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    prometheus_begin(rq);
    buf_printf(&rq->out, "{\"name\":\"%s\"}}", name);
}
