/* prometheus.c: what the handlers of Prometheus' API share: the envelope, and parameters. */

#include "api/prometheus-internal.h"

#include "base/num.h"
#include "store/series.h"

#include <stdio.h>

/* --- envelope --- */

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

void prometheus_end_list(struct buf *out, bool cut)
{
    buf_puts(out, cut ? "],\"warnings\":[\"results truncated due to limit\"]}" : "]}");
}

/* --- parameters --- */

int prometheus_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ms)
{
    struct str s = request_parameter(rq, name);
    struct err e = ERR_INIT;

    *ms = otherwise;
    if (s.n == 0 || parse_time_ms(s, ms, &e) == 0)
        return 0;
    err_wrap(&e, "Invalid time value for '%s'", name);
    prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

int prometheus_required_time(struct request *rq, const char *name, int64_t *ms)
{
    struct str s = request_parameter(rq, name);
    struct err e = ERR_INIT;

    if (parse_time_ms(s.p ? s : STR(""), ms, &e) < 0)
        prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

int prometheus_required_duration(struct request *rq, const char *name, int64_t *ms)
{
    struct str s = request_parameter(rq, name);
    struct err e = ERR_INIT;

    if (parse_duration_ms(s.p ? s : STR(""), ms, &e) < 0)
        prometheus_fail_parameter(rq, name, &e);
    return e.code;
}

int prometheus_limit(struct request *rq, uint64_t *limit)
{
    struct str s = request_parameter(rq, "limit");
    int64_t v = 0;

    if (s.n && !num_i64(s, &v))
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"limit\": parsing \"%.*s\": invalid syntax",
                        STR_ARG(s));
    else if (v < 0)
        prometheus_fail(rq, 400, "bad_data", "invalid parameter \"limit\": limit must be non-negative");
    *limit = (uint64_t)v;
    return rq->status ? ERR_INVALID : 0;
}

static int add_selector(struct request *rq, struct selection *s, struct str text)
{
    struct series_query *q = &s->queries[s->n];
    struct matcher *matchers;
    struct err e = ERR_INIT;

    if (promql_parse_selector(&rq->arena, text, &matchers, &q->n, &e) < 0) {
        prometheus_fail_parameter(rq, "match[]", &e);
        return e.code;
    }
    q->matchers = matchers;
    s->n++;
    return 0;
}

int prometheus_selection(struct request *rq, bool needs_match, struct selection *s)
{
    struct str text;
    size_t at = 0;
    int64_t from, to;

    *s = (struct selection){ 0 };
    if (needs_match && !request_parameter(rq, "match[]").p) {
        prometheus_fail(rq, 400, "bad_data", "no match[] parameter provided");
        return ERR_INVALID;
    }
    if (prometheus_limit(rq, &s->limit) < 0 || prometheus_time(rq, "start", ANY_TIME_MIN, &from) < 0 ||
        prometheus_time(rq, "end", ANY_TIME_MAX, &to) < 0)
        return ERR_INVALID;
    s->queries = arena_array(&rq->arena, rq->parameters.n + 1, sizeof(*s->queries));
    if (!s->queries) {
        prometheus_fail(rq, 503, "unavailable", "no memory");
        return ERR_NOMEM;
    }
    while ((text = request_parameter_next(rq, "match[]", &at)).p)
        if (add_selector(rq, s, text) < 0)
            return ERR_PARSE;
    s->n += s->n == 0;
    for (size_t i = 0; i < s->n; i++) {
        s->queries[i].from_ms = from;
        s->queries[i].to_ms = to;
    }
    return 0;
}
