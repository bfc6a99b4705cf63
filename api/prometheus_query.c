/* prometheus_query.c: Prometheus' HTTP API: queries, and what can be said of one without running it. */

#include "api/prometheus-internal.h"

#include "base/clock.h"
#include "store/series.h"

enum { MOST_POINTS = 11000 };

/* --- running --- */

/* `timeout`, `lookback_delta` and `nocache`. *expired: no time at all is left. */
static int read_limits(struct request *rq, struct promql_limits *l, bool *expired)
{
    struct str lookback = request_parameter(rq, "lookback_delta");
    struct err e = ERR_INIT;
    int64_t timeout = 0;

    *l = rq->api->options.limits;
    *expired = false;
    if (str_eqz(request_parameter(rq, "nocache"), "1"))
        l->cache = NULL;
    if (request_parameter(rq, "timeout").n) {
        if (prometheus_required_duration(rq, "timeout", &timeout) < 0)
            return ERR_PARSE;
        *expired = timeout <= 0;
        if (l->timeout_ms == 0 || timeout < l->timeout_ms)
            l->timeout_ms = timeout;
    }
    if (lookback.n && parse_duration_ms(lookback, &l->lookback_ms, &e) < 0)
        prometheus_fail(rq, 400, "bad_data", "error parsing lookback delta duration: %s", e.msg);
    return e.code;
}

static struct promql_expr *parse(struct request *rq)
{
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(&rq->arena, request_parameter(rq, "query"), &e);

    if (!x && e.code == ERR_PARSE)
        prometheus_fail_parameter(rq, "query", &e);
    else if (!x)
        prometheus_fail_store(rq, &e);
    return x;
}

static void run(struct request *rq, struct promql_window w, uint64_t limit)
{
    struct query_times times = { .began = clock_mono_ns() };
    struct promql_limits limits;
    struct promql_expr *x;
    struct promql_value *v;
    struct err e = ERR_INIT;
    bool expired;

    if (read_limits(rq, &limits, &expired) < 0 || !(x = parse(rq)))
        return;
    times.parsed = clock_mono_ns();
    if (expired)
        err_set(&e, ERR_TIMEOUT, "query timed out in expression evaluation");
    v = expired ? NULL : promql_eval(rq->api->store, x, w, &limits, &rq->arena, &e);
    times.evaluated = clock_mono_ns();
    if (v)
        prometheus_result(rq, v, w.start_ms, limit, &times);
    else if (e.code == ERR_PARSE) /* of a type that a range query cannot have */
        prometheus_fail_parameter(rq, "query", &e);
    else
        prometheus_fail_store(rq, &e);
}

void prometheus_query(struct request *rq)
{
    struct promql_window w = { 0 };
    uint64_t limit;

    if (prometheus_limit(rq, &limit) < 0 || prometheus_time(rq, "time", clock_now_ms(), &w.start_ms) < 0)
        return;
    w.end_ms = w.start_ms;
    run(rq, w, limit);
}

static int check_step(struct request *rq, const struct promql_window *w)
{
    if (w->step_ms <= 0)
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"step\": zero or negative query resolution step "
                                             "widths are not accepted. Try a positive integer");
    else if ((w->end_ms - w->start_ms) / w->step_ms > MOST_POINTS)
        prometheus_fail(rq, 400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries. Try "
                                             "decreasing the query resolution (?step=XX)");
    else
        return 0;
    return ERR_INVALID;
}

void prometheus_query_range(struct request *rq)
{
    struct promql_window w = { 0 };
    uint64_t limit;

    if (prometheus_limit(rq, &limit) < 0 || prometheus_required_time(rq, "start", &w.start_ms) < 0 ||
        prometheus_required_time(rq, "end", &w.end_ms) < 0)
        return;
    if (w.end_ms < w.start_ms)
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"end\": end timestamp must not be before start time");
    else if (prometheus_required_duration(rq, "step", &w.step_ms) == 0 && check_step(rq, &w) == 0)
        run(rq, w, limit);
}

/* --- looking --- */

/* The query in another form, in an envelope: as a JSON string, or as JSON. */
static void answer_form(struct request *rq, void (*print)(struct buf *b, const struct promql_expr *x), bool as_string)
{
    struct buf text = BUF_INIT(16 << 20);
    struct promql_expr *x = parse(rq);

    if (!x)
        return;
    print(&text, x);
    prometheus_begin(rq);
    if (as_string)
        buf_json(&rq->out, buf_view(&text));
    else
        buf_str(&rq->out, buf_view(&text));
    buf_putc(&rq->out, '}');
    rq->out.failed |= buf_failed(&text);
    buf_free(&text);
}

void prometheus_format_query(struct request *rq)
{
    answer_form(rq, promql_print, true);
}

void prometheus_parse_query(struct request *rq)
{
    answer_form(rq, promql_print_json, false);
}
