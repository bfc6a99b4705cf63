/* loki.c: Loki's HTTP API, for reading: parameters, and queries. */
#include "api/loki-internal.h"

#include "api/prometheus-internal.h"
#include "base/clock.h"
#include "base/num.h"

#include <inttypes.h>
#include <math.h>

enum { DEFAULT_LIMIT = 100, MOST_LINES = 50000, MOST_POINTS = 11000, DEFAULT_STEPS = 250 };

void loki_fail(struct request *rq, const struct err *e)
{
    reply_text(rq, e->code == ERR_LIMIT ? 400 : e->code == ERR_TIMEOUT ? 504 : error_status(e->code), "%s", e->msg);
}

/* --- parameters -------------------------------------------------------------------------------------------------- */

int loki_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = request_parameter(rq, name);
    double v;

    *ns = otherwise;
    if (s.n == 0)
        return 0;
    if (num_i64(s, ns)) {
        if (s.n <= 10)
            *ns *= 1000000000;
        return 0;
    }
    if (num_double(s, &v) && fabs(v) < 9.2e9) {
        *ns = llround(v * 1e6) * 1000;
        return 0;
    }
    if (clock_parse_rfc3339(s, ns, NULL) == 0)
        return 0;
    return err_set(e, ERR_INVALID, "%s: \"%.*s\" should be nanoseconds, seconds or RFC 3339", name, STR_ARG(s));
}

int loki_duration(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = request_parameter(rq, name);
    int64_t ms;

    *ns = otherwise;
    if (s.n == 0 || duration_parse_go(s, ns, NULL) == 0)
        return 0;
    if (parse_duration_ms(s, &ms, NULL) < 0 || ms < 0 || ms > INT64_MAX / 1000000)
        return err_set(e, ERR_INVALID, "%s: \"%.*s\" should be seconds, or a duration as in 1m30s", name, STR_ARG(s));
    *ns = ms * 1000000;
    return 0;
}

static int direction(struct request *rq, bool *newest_first, struct err *e)
{
    struct str s = request_parameter(rq, "direction");

    *newest_first = s.n == 0 || str_ieq(s, STR("backward"));
    if (*newest_first || str_ieq(s, STR("forward")))
        return 0;
    return err_set(e, ERR_INVALID, "direction: \"%.*s\" should be forward or backward", STR_ARG(s));
}

int loki_range(struct request *rq, struct logql_window *w, struct err *e)
{
    int64_t since;
    int rc = loki_duration(rq, "since", HOUR_NS, &since, e);

    if (rc < 0 || (rc = loki_time(rq, "end", clock_now_ns(), &w->to_ns, e)) < 0 ||
        (rc = loki_time(rq, "start", w->to_ns < INT64_MIN + since ? INT64_MIN : w->to_ns - since, &w->from_ns, e)) < 0)
        return rc;
    if (w->from_ns > w->to_ns)
        return err_set(e, ERR_INVALID, "end timestamp must not be before or equal to start time");
    w->timeout_ms = rq->api->options.limits.timeout_ms > 0 ? rq->api->options.limits.timeout_ms : 120000;
    return 0;
}

int loki_lines_wanted(struct request *rq, struct logql_window *w, struct err *e)
{
    uint64_t limit;
    int rc;

    if ((rc = request_limit(rq, "limit", DEFAULT_LIMIT, &limit, e)) < 0 ||
        (rc = direction(rq, &w->newest_first, e)) < 0 ||
        (rc = loki_duration(rq, "interval", 0, &w->interval_ns, e)) < 0)
        return rc;
    if (limit == 0 || limit > MOST_LINES)
        return err_set(e, ERR_INVALID, "limit: should be from 1 to %d", MOST_LINES);
    w->limit = limit;
    return 0;
}

struct logql_expr *loki_query_of(struct request *rq, struct err *e)
{
    return logql_parse(&rq->arena, request_parameter(rq, "query"), e);
}

bool loki_categorises(const struct request *rq)
{
    return str_find(str_of(request_header(rq, "X-Loki-Response-Encoding-Flags")), STR("categorize-labels")) >= 0;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

/* ,"stats":{…}: what Grafana's inspector looks at. */
static struct str stats(struct request *rq, uint64_t lines, uint64_t bytes)
{
    double seconds = (double)(clock_mono_ns() - rq->started_ns) / 1e9;

    return arena_printf(&rq->arena,
                        ",\"stats\":{\"summary\":{\"execTime\":%.6f,\"totalEntriesReturned\":%" PRIu64
                        ",\"totalBytesReturned\":%" PRIu64 "}}", seconds, lines, bytes);
}

static struct str stats_of(struct request *rq, const struct logql_stream *streams, size_t n)
{
    uint64_t lines = 0, bytes = 0;

    for (size_t i = 0; i < n; i++) {
        lines += streams[i].n;
        for (size_t k = 0; k < streams[i].n; k++)
            bytes += streams[i].entries[k].line.n;
    }
    return stats(rq, lines, bytes);
}

static void answer_lines(struct request *rq, const struct logql_expr *x, struct logql_window w)
{
    bool categorised = loki_categorises(rq);
    struct logql_stream *streams;
    struct err e = ERR_INIT;
    size_t n;

    if (logql_lines(rq->api->store, x, w, &rq->arena, &streams, &n, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",");
    buf_puts(&rq->out, categorised ? "\"encodingFlags\":[\"categorize-labels\"],\"result\":" : "\"result\":");
    if (loki_put_streams(&rq->out, &rq->arena, streams, n, categorised) < 0) {
        err_set(&e, ERR_NOMEM, "no memory for the lines");
        loki_fail(rq, &e);
        return;
    }
    buf_str(&rq->out, stats_of(rq, streams, n));
    buf_puts(&rq->out, "}}");
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static void answer_numbers(struct request *rq, const struct logql_expr *x, struct promql_window w)
{
    const struct promql_limits *limits = &rq->api->options.limits;
    struct err e = ERR_INIT;
    struct promql_value *v = logql_metric(rq->api->store, x, w, limits, 0, &rq->arena, &e);

    if (v)
        prometheus_value(rq, v, w.start_ms, 0, stats(rq, v->samples, 0));
    else
        loki_fail(rq, &e);
}

/* A step as wide as gives some 250 points, when none is asked for; a second at least. */
static int read_step(struct request *rq, const struct logql_window *w, struct promql_window *steps, struct err *e)
{
    int64_t range_ms = (w->to_ns - w->from_ns) / 1000000, otherwise = range_ms / DEFAULT_STEPS / 1000 * 1000, step_ns;
    int rc = loki_duration(rq, "step", (otherwise > 1000 ? otherwise : 1000) * 1000000, &step_ns, e);

    if (rc < 0)
        return rc;
    *steps = (struct promql_window){ w->from_ns / 1000000, w->to_ns / 1000000, step_ns / 1000000 };
    if (steps->step_ms <= 0)
        return err_set(e, ERR_INVALID, "zero or negative query resolution step widths are not accepted. Try a positive "
                                       "integer");
    if (range_ms / steps->step_ms > MOST_POINTS)
        return err_set(e, ERR_INVALID, "exceeded maximum resolution of 11,000 points per timeseries. Try increasing the "
                                       "value of the step parameter");
    return 0;
}

/* --- handlers ---------------------------------------------------------------------------------------------------- */

void loki_query_range(struct request *rq)
{
    struct logql_window w = { 0 };
    struct promql_window steps;
    struct logql_expr *x;
    struct err e = ERR_INIT;

    if (loki_range(rq, &w, &e) < 0 || !(x = loki_query_of(rq, &e))) {
        loki_fail(rq, &e);
    } else if (logql_is_metric(x)) {
        if (read_step(rq, &w, &steps, &e) < 0)
            loki_fail(rq, &e);
        else
            answer_numbers(rq, x, steps);
    } else if (loki_lines_wanted(rq, &w, &e) < 0) {
        loki_fail(rq, &e);
    } else {
        answer_lines(rq, x, w);
    }
}

/* Numbers at `time`, or the lines of the hour before it. */
void loki_query(struct request *rq)
{
    struct logql_window w = { 0 };
    struct logql_expr *x;
    struct err e = ERR_INIT;

    if (loki_time(rq, "time", clock_now_ns(), &w.to_ns, &e) < 0 || !(x = loki_query_of(rq, &e)) ||
        loki_lines_wanted(rq, &w, &e) < 0) {
        loki_fail(rq, &e);
        return;
    }
    w.from_ns = w.to_ns - HOUR_NS;
    if (logql_is_metric(x))
        answer_numbers(rq, x, (struct promql_window){ w.to_ns / 1000000, w.to_ns / 1000000, 0 });
    else
        answer_lines(rq, x, w);
}

void loki_format_query(struct request *rq)
{
    struct buf text = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct logql_expr *x = loki_query_of(rq, &e);

    if (!x) {
        reply_json(rq, error_status(e.code));
        buf_puts(&rq->out, "{\"status\":\"invalid-query\",\"error\":");
        buf_json(&rq->out, str_of(e.msg));
    } else {
        logql_print(&text, x);
        reply_json(rq, 200);
        buf_puts(&rq->out, "{\"status\":\"success\",\"data\":");
        buf_json(&rq->out, buf_view(&text));
    }
    buf_putc(&rq->out, '}');
    rq->out.failed |= buf_failed(&text);
    buf_free(&text);
}

/* Not in Prometheus' envelope. The version is that of the API. */
void loki_buildinfo(struct request *rq)
{
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"version\":\"3.0.0\",\"revision\":\"vigla " VIGLA_VERSION "\",\"branch\":\"\",\"buildUser\":\"\","
                       "\"buildDate\":\"\",\"goVersion\":\"\"}");
}
