/* prometheus_status.c: Prometheus' HTTP API: what the server says of itself. */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "store/series.h"

#include <unistd.h>

void prometheus_buildinfo(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"version\":\"" VIGLA_VERSION "\",\"revision\":\"\",\"branch\":\"\",\"buildUser\":\"\","
                       "\"buildDate\":\"\",\"goVersion\":\"\",\"application\":\"vigla\"}}");
}

void prometheus_runtimeinfo(struct request *rq)
{
    const struct api *api = rq->api;
    char started[CLOCK_TEXT], now[CLOCK_TEXT], retention[CLOCK_TEXT] = "0s", cwd[4096];
    struct store_stats stats;

    store_stats(api->store, &stats);
    clock_rfc3339(started, api->started_ms * 1000000);
    clock_rfc3339(now, clock_now_ms() * 1000000);
    if (api->options.retention_ms)
        duration_text(retention, api->options.retention_ms);
    prometheus_begin(rq);
    buf_printf(&rq->out,
               "{\"startTime\":\"%s\",\"serverTime\":\"%s\",\"lastConfigTime\":\"%s\",\"reloadConfigSuccess\":true,"
               "\"corruptionCount\":0,\"storageRetention\":\"%s\",\"timeSeriesCount\":%llu,\"goroutineCount\":0,"
               "\"GOMAXPROCS\":%u,\"GOMEMLIMIT\":0,\"GOGC\":\"\",\"GODEBUG\":\"\",\"hostname\":\"\",\"CWD\":",
               started, now, started, retention, (unsigned long long)stats.series, api->options.threads);
    buf_json(&rq->out, str_of(getcwd(cwd, sizeof(cwd)) ? cwd : ""));
    buf_puts(&rq->out, "}}");
}

void prometheus_config(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"yaml\":");
    buf_json(&rq->out, str_of(rq->api->config));
    buf_puts(&rq->out, "}}");
}

void prometheus_flags(struct request *rq)
{
    prometheus_begin(rq);
    json_labels(&rq->out, rq->api->options.flags);
    buf_putc(&rq->out, '}');
}

/* The journal is read before the server listens. */
void prometheus_walreplay(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"min\":0,\"max\":0,\"current\":0,\"state\":\"done\"}}");
}

void prometheus_notifications(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "[]}");
}

void prometheus_features(struct request *rq)
{
    prometheus_begin(rq);
    buf_printf(&rq->out,
               "{\"api\":{\"admin\":%s,\"exclude_alerts\":false,\"label_values_match\":true,\"query_stats\":true,"
               "\"remote_write_receiver\":true,\"time_range_labels\":true,\"time_range_series\":true},"
               "\"otlp_receiver\":{\"otlp_receiver\":true},"
               "\"promql\":{\"anchored\":true,\"at_modifier\":true,\"bool\":true,\"by\":true,\"delayed_name_removal\":true,"
               "\"duration_expr\":true,\"fill\":true,\"group_left\":true,\"group_right\":true,\"ignoring\":true,"
               "\"negative_offset\":true,\"offset\":true,\"on\":true,\"smoothed\":true,\"subqueries\":true,\"without\":true},"
               "\"prometheus\":{\"native_histograms\":false}}}",
               rq->api->options.admin ? "true" : "false");
}

/* The console's old page on alerts' receivers: there are none. */
void prometheus_alertmanagers(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}}");
}
