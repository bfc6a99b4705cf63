/* prometheus.c: Prometheus' HTTP API: queries. Source: prometheus.io/docs/prometheus/latest/querying/api (3.x). */

#include "api/prometheus-internal.h"

#include "base/clock.h"

#include <stdio.h>

enum { MOST_POINTS = 11000, MOST_ANNOTATIONS = 10 };

void prometheus_fail(struct request *rq, unsigned status, const char *type, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    reply_json(rq, status);
    buf_printf(&rq->out, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", type);
    buf_json(&rq->out, str_of(text));
    buf_putc(&rq->out, '}');
}

void prometheus_fail_parameter(struct request *rq, const char *name, const struct err *e)
{
    prometheus_fail(rq, 400, "bad_data", "invalid parameter \"%s\": %s", name, e->msg);
}

void prometheus_fail_store(struct request *rq, const struct err *e)
{
    switch (e->code) {
    case ERR_TIMEOUT:
        prometheus_fail(rq, 503, "timeout", "%s", e->msg);
        break;
    case ERR_PARSE:
        prometheus_fail(rq, 400, "bad_data", "%s", e->msg);
        break;
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED:
        prometheus_fail(rq, 422, "execution", "%s", e->msg);
        break;
    case ERR_NOMEM:
    case ERR_BUSY:
    case ERR_FULL:
    case ERR_CLOSED:
        prometheus_fail(rq, 503, "unavailable", "%s", e->msg);
        break;
    default:
        prometheus_fail(rq, 500, "internal", "%s", e->msg);
    }
}

void prometheus_begin(struct request *rq)
{
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"status\":\"success\",\"data\":");
}

int prometheus_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ms)
{
    struct str s = request_parameter(rq, name);
    struct err e = ERR_INIT;

    *ms = otherwise;
    if (s.n == 0 || parse_time_ms(s, ms, &e) == 0)
        return 0;
    prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

/* A duration that may be absent. */
static int duration_parameter(struct request *rq, const char *name, int64_t *ms)
{
    struct str s = request_parameter(rq, name);
    struct err e = ERR_INIT;

    if (s.n == 0 || parse_duration_ms(s, ms, &e) == 0)
        return 0;
    prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

int prometheus_limit(struct request *rq, uint64_t *limit)
{
    struct err e = ERR_INIT;

    if (request_limit(rq, "limit", 0, limit, &e) == 0)
        return 0;
    prometheus_fail(rq, 400, "bad_data", "invalid parameter \"limit\": limit must be a positive integer");
    return e.code;
}

/* --- results --- */

static void put_annotations(struct buf *b, const char *name, const struct str *v, size_t n)
{
    if (n == 0)
        return;
    buf_printf(b, ",\"%s\":", name);
    json_strings(b, v, n < MOST_ANNOTATIONS ? n : MOST_ANNOTATIONS);
}

static void put_point(struct buf *b, int64_t t, double v, bool exponents)
{
    buf_putc(b, '[');
    json_sample_time(b, t);
    buf_putc(b, ',');
    json_sample_value(b, v, exponents);
    buf_putc(b, ']');
}

static void put_series(struct buf *b, const struct promql_series *s, bool is_matrix)
{
    buf_puts(b, "{\"metric\":");
    json_labels(b, s->labels);
    buf_puts(b, is_matrix ? ",\"values\":[" : ",\"value\":");
    for (size_t i = 0; i < s->n; i++) {
        if (i)
            buf_putc(b, ',');
        put_point(b, s->t[i], s->v[i], true);
    }
    buf_puts(b, is_matrix ? "]}" : "}");
}

static void put_value(struct buf *b, const struct promql_value *v, int64_t at, size_t most)
{
    static const char *const names[] = { [PROMQL_SCALAR] = "scalar", [PROMQL_STRING] = "string",
                                         [PROMQL_VECTOR] = "vector", [PROMQL_MATRIX] = "matrix" };

    buf_printf(b, "{\"resultType\":\"%s\",\"result\":", names[v->type]);
    if (v->type == PROMQL_SCALAR) {
        put_point(b, v->series[0].t[0], v->series[0].v[0], false);
    } else if (v->type == PROMQL_STRING) {
        buf_putc(b, '[');
        json_sample_time(b, at);
        buf_putc(b, ',');
        buf_json(b, v->string);
        buf_putc(b, ']');
    } else {
        buf_putc(b, '[');
        for (size_t i = 0; i < v->n && i < most; i++) {
            if (i)
                buf_putc(b, ',');
            put_series(b, &v->series[i], v->type == PROMQL_MATRIX);
        }
        buf_putc(b, ']');
    }
}

/* When, on the monotonic clock, a query came to what. */
struct times {
    int64_t began, parsed, evaluated;
};

static void put_stats(struct buf *b, const struct request *rq, const struct times *t, const struct promql_value *v)
{
    double queued = (double)(t->began - rq->started_ns) / 1e9, prepared = (double)(t->parsed - t->began) / 1e9;
    double evaluated = (double)(t->evaluated - t->parsed) / 1e9;

    buf_printf(b,
               ",\"stats\":{\"timings\":{\"evalTotalTime\":%.6f,\"resultSortTime\":0,\"queryPreparationTime\":%.6f,"
               "\"innerEvalTime\":%.6f,\"execQueueTime\":%.6f,\"execTotalTime\":%.6f},\"samples\":"
               "{\"totalQueryableSamples\":%llu}}",
               prepared + evaluated, prepared, evaluated, queued, queued + prepared + evaluated,
               (unsigned long long)v->samples);
}

static void put_result(struct request *rq, const struct promql_value *v, int64_t at, uint64_t limit,
                       const struct times *times)
{
    static const struct str truncated = STR_INIT("results truncated due to limit");
    bool lists = v->type == PROMQL_VECTOR || v->type == PROMQL_MATRIX;
    bool cut = lists && limit && v->n > limit;

    prometheus_begin(rq);
    put_value(&rq->out, v, at, cut ? (size_t)limit : v->n);
    if (request_parameter(rq, "stats").n)
        put_stats(&rq->out, rq, times, v);
    buf_putc(&rq->out, '}');
    if (cut && v->nwarnings == 0)
        put_annotations(&rq->out, "warnings", &truncated, 1);
    else
        put_annotations(&rq->out, "warnings", v->warnings, v->nwarnings);
    put_annotations(&rq->out, "infos", v->infos, v->ninfos);
    buf_putc(&rq->out, '}');
}

/* --- queries --- */

static int set_limits(struct request *rq, struct promql_limits *l)
{
    int64_t timeout = 0;
    int rc;

    *l = rq->api->options.limits;
    if ((rc = duration_parameter(rq, "timeout", &timeout)) < 0 ||
        (rc = duration_parameter(rq, "lookback_delta", &l->lookback_ms)) < 0)
        return rc;
    if (timeout > 0 && (l->timeout_ms == 0 || timeout < l->timeout_ms))
        l->timeout_ms = timeout;
    return 0;
}

static void run(struct request *rq, struct promql_window w, uint64_t limit)
{
    struct times times = { .began = clock_mono_ns() };
    struct promql_limits limits;
    struct promql_expr *x;
    struct promql_value *v;
    struct err e = ERR_INIT;

    if (set_limits(rq, &limits) < 0)
        return;
    x = promql_parse(&rq->arena, request_parameter(rq, "query"), &e);
    if (!x) {
        if (e.code == ERR_PARSE)
            prometheus_fail_parameter(rq, "query", &e);
        else
            prometheus_fail_store(rq, &e);
        return;
    }
    times.parsed = clock_mono_ns();
    v = promql_eval(rq->api->store, x, w, &limits, &rq->arena, &e);
    times.evaluated = clock_mono_ns();
    if (v)
        put_result(rq, v, w.start_ms, limit, &times);
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

/* An error of the request as a whole: Prometheus names no parameter there. */
static int check_window(struct request *rq, const struct promql_window *w)
{
    if (w->end_ms < w->start_ms)
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"end\": end timestamp must not be before start time");
    else if (w->step_ms <= 0)
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"step\": zero or negative query resolution step "
                                             "widths are not accepted. Try a positive integer");
    else if ((w->end_ms - w->start_ms) / w->step_ms > MOST_POINTS)
        prometheus_fail(rq, 400, "bad_data", "exceeded maximum resolution of 11,000 points per timeseries. Try "
                                             "decreasing the query resolution (?step=XX)");
    else
        return 0;
    return ERR_INVALID;
}

static int required(struct request *rq, const char *name)
{
    struct err e = ERR_INIT;

    if (request_parameter(rq, name).n)
        return 0;
    err_set(&e, ERR_INVALID, strcmp(name, "step") ? "cannot parse \"\" to a valid timestamp"
                                                  : "cannot parse \"\" to a valid duration");
    prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

void prometheus_query_range(struct request *rq)
{
    struct promql_window w = { 0 };
    uint64_t limit;

    if (prometheus_limit(rq, &limit) < 0 || required(rq, "start") < 0 ||
        prometheus_time(rq, "start", 0, &w.start_ms) < 0 || required(rq, "end") < 0 ||
        prometheus_time(rq, "end", 0, &w.end_ms) < 0 || required(rq, "step") < 0 ||
        duration_parameter(rq, "step", &w.step_ms) < 0 || check_window(rq, &w) < 0)
        return;
    run(rq, w, limit);
}

void prometheus_format_query(struct request *rq)
{
    struct buf text = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(&rq->arena, request_parameter(rq, "query"), &e);

    if (!x) {
        prometheus_fail_parameter(rq, "query", &e);
        return;
    }
    promql_print(&text, x);
    prometheus_begin(rq);
    buf_json(&rq->out, buf_view(&text));
    buf_putc(&rq->out, '}');
    rq->out.failed |= buf_failed(&text);
    buf_free(&text);
}
