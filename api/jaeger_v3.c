/* jaeger_v3.c: Jaeger's API v3 over HTTP: OpenTelemetry's traces as JSON.
 *
 * Source: jaeger-idl proto/api_v3/query_service.proto and its HTTP gateway: parameters in the .proto's own spelling or in
 * lowerCamelCase; a trace comes as {"result":{"resourceSpans":[…]}}, an error as {"error":{"httpCode":…,"message":…}}. */
#include "api/jaeger-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <inttypes.h>

static void fail(struct request *rq, const struct err *e)
{
    unsigned status = error_status(e->code);

    reply_json(rq, status);
    buf_printf(&rq->out, "{\"error\":{\"httpCode\":%u,\"message\":", status);
    buf_json(&rq->out, str_of(e->msg));
    buf_puts(&rq->out, "}}\n");
}

/* --- a trace --- */

static void put_typed(struct buf *b, struct str key, struct str value, enum jaeger_type type, bool first)
{
    buf_puts(b, first ? "{\"key\":" : ",{\"key\":");
    buf_json(b, key);
    if (type == JAEGER_STRING) {
        buf_puts(b, ",\"value\":{\"stringValue\":");
        buf_json(b, value);
    } else {
        buf_printf(b, type == JAEGER_BOOL ? ",\"value\":{\"boolValue\":%.*s" : ",\"value\":{\"intValue\":\"%.*s\"",
                   STR_ARG(value));
    }
    buf_puts(b, "}}");
}

static void put_text(struct buf *b, struct str key, struct str value, bool first)
{
    put_typed(b, key, value, JAEGER_STRING, first);
}

/* ,"name":"text", when there is one */
static void put_member(struct buf *b, const char *name, struct str text)
{
    if (text.n == 0)
        return;
    buf_printf(b, ",\"%s\":", name);
    buf_json(b, text);
}

static int kind_number(struct str kind)
{
    static const struct str kinds[] = { STR_INIT(""),       STR_INIT("internal"), STR_INIT("server"),
                                        STR_INIT("client"), STR_INIT("producer"), STR_INIT("consumer") };

    for (int i = 0; i < (int)(sizeof(kinds) / sizeof(kinds[0])); i++)
        if (str_eq(kind, kinds[i]))
            return i;
    return 0;
}

static void put_span(struct buf *b, const struct trace *t, const struct trace_span *s, bool first)
{
    buf_puts(b, first ? "{\"traceId\":" : ",{\"traceId\":");
    buf_json(b, t->id);
    put_member(b, "spanId", s->span_id);
    put_member(b, "parentSpanId", s->parent_id);
    put_member(b, "traceState", s->trace_state);
    put_member(b, "name", s->name);
    buf_printf(b, ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64 "\",\"attributes\":[",
               kind_number(s->kind), s->time_ns, s->time_ns + s->duration_ns);
    for (size_t i = 0; i < s->attributes.n; i++)
        put_typed(b, s->attributes.v[i].name, s->attributes.v[i].value, jaeger_type(s->attributes.v[i].value), i == 0);
    buf_putc(b, ']');
    if (s->events.n) { /* OTLP's JSON as it is */
        buf_puts(b, ",\"events\":");
        buf_str(b, s->events);
    }
    if (s->links.n) {
        buf_puts(b, ",\"links\":");
        buf_str(b, s->links);
    }
    buf_printf(b, ",\"status\":{\"code\":%" PRId64, s->status);
    put_member(b, "message", s->status_message);
    buf_puts(b, "}}");
}

static void open_process(struct buf *b, struct jaeger_cursor *x)
{
    const struct trace_span *p = x->traces[x->at].processes[x->process];

    buf_puts(b, x->begun ? ",{\"resource\":{\"attributes\":[" : "{\"resource\":{\"attributes\":[");
    put_text(b, STR("service.name"), p->service, true);
    if (p->pod.n || p->ns.n || p->workload.n || p->app.n || p->version.n)
        buf_putc(b, ',');
    jaeger_process_tags(b, p, put_text);
    buf_puts(b, "]},\"scopeSpans\":[{\"scope\":{},\"spans\":[");
    x->begun = x->is_open = true;
    x->has_spans = false;
}

/* False: the piece is full. */
static bool put_process(struct buf *b, struct jaeger_cursor *x)
{
    const struct jaeger_trace *t = &x->traces[x->at];

    if (!x->is_open)
        open_process(b, x);
    for (; x->span < t->trace->n; x->span++) {
        if (t->process[x->span] != x->process)
            continue;
        if (b->n >= PIECE)
            return false;
        put_span(b, t->trace, &t->trace->spans[x->span], !x->has_spans);
        x->has_spans = true;
    }
    buf_puts(b, "]}]}");
    x->is_open = false;
    return true;
}

static bool more_spans(void *state, struct buf *b)
{
    struct jaeger_cursor *x = state;

    for (; x->at < x->n; x->at++, x->process = 0)
        for (; x->process < x->traces[x->at].nprocesses; x->process++, x->span = 0)
            if (!put_process(b, x))
                return true;
    buf_puts(b, "]}}\n");
    return false;
}

static const struct jaeger_version version_3 = {"{\"result\":{\"resourceSpans\":[", more_spans, fail};

/* --- parameters --- */

/* By either spelling: "query.service_name", "query.serviceName". */
static struct str parameter(struct request *rq, const char *snake, const char *camel)
{
    struct str v = request_parameter(rq, snake);

    return v.n ? v : request_parameter(rq, camel);
}

static int time_ns(struct request *rq, const char *snake, const char *camel, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = parameter(rq, snake, camel);

    *ns = otherwise;
    if (s.n && clock_parse_rfc3339(s, ns, NULL) < 0)
        return err_set(e, ERR_INVALID, "malformed parameter %s: \"%.*s\" should be as 2023-01-31T00:00:00Z", snake,
                       STR_ARG(s));
    return 0;
}

static int read_durations(struct request *rq, struct trace_search *s, struct err *e)
{
    struct str min = parameter(rq, "query.duration_min", "query.durationMin");
    struct str max = parameter(rq, "query.duration_max", "query.durationMax");
    int rc = min.n ? jaeger_duration(min, "query.duration_min", &s->min_ns, e) : 0;

    return rc == 0 && max.n ? jaeger_duration(max, "query.duration_max", &s->max_ns, e) : rc;
}

/* `num_traces` is what the gateway called `search_depth` before. */
static int read_limit(struct request *rq, struct trace_search *s, struct err *e)
{
    struct str text = parameter(rq, "query.search_depth", "query.searchDepth");
    uint64_t limit = JAEGER_DEFAULT_LIMIT;

    if (text.n == 0)
        text = parameter(rq, "query.num_traces", "query.numTraces");
    if (text.n && !num_u64(text, &limit))
        return err_set(e, ERR_INVALID, "malformed parameter query.search_depth: \"%.*s\" should be a whole number",
                       STR_ARG(text));
    s->limit = limit < JAEGER_MOST_TRACES ? limit : JAEGER_MOST_TRACES;
    return 0;
}

static int read_search(struct request *rq, struct trace_search *s, struct err *e)
{
    int64_t now = clock_now_ns();
    struct str tags = request_parameter(rq, "query.attributes");
    int rc;

    s->service = parameter(rq, "query.service_name", "query.serviceName");
    s->operation = parameter(rq, "query.operation_name", "query.operationName");
    if ((rc = time_ns(rq, "query.start_time_max", "query.startTimeMax", now, &s->to_ns, e)) < 0 ||
        (rc = time_ns(rq, "query.start_time_min", "query.startTimeMin", s->to_ns - JAEGER_LOOKBACK_NS, &s->from_ns, e)) < 0 ||
        (rc = read_durations(rq, s, e)) < 0 || (rc = read_limit(rq, s, e)) < 0)
        return rc;
    return tags.n ? jaeger_tags(rq, tags, s, e) : 0;
}

/* --- handlers --- */

void jaeger_v3_find(struct request *rq)
{
    struct trace_search s = { .limit = 0 };
    struct trace *traces;
    struct err e = ERR_INIT;
    size_t n;

    if (read_search(rq, &s, &e) < 0 || traces_find(rq->api->store, &s, &rq->arena, &traces, &n, &e) < 0)
        fail(rq, &e);
    else
        jaeger_answer(rq, &version_3, traces, n);
}

void jaeger_v3_trace(struct request *rq)
{
    struct trace *t = ARENA_NEW(&rq->arena, struct trace); /* is encoded while it is sent */
    struct err e = ERR_INIT;
    int64_t from, to;

    if (!t) {
        err_set(&e, ERR_NOMEM, "no memory for the trace");
        fail(rq, &e);
        return;
    }
    if (time_ns(rq, "start_time", "startTime", INT64_MIN, &from, &e) < 0 ||
        time_ns(rq, "end_time", "endTime", INT64_MAX, &to, &e) < 0 ||
        traces_get(rq->api->store, rq->arguments[0], from, to, &rq->arena, t, &e) < 0)
        fail(rq, &e);
    else
        jaeger_answer(rq, &version_3, t, 1);
}

void jaeger_v3_services(struct request *rq)
{
    struct err e = ERR_INIT;
    struct str *names;
    size_t n;

    if (traces_services(rq->api->store, INT64_MIN, INT64_MAX, &rq->arena, &names, &n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"services\":");
    json_strings(&rq->out, names, n);
    buf_puts(&rq->out, "}\n");
}

void jaeger_v3_operations(struct request *rq)
{
    struct str service = request_parameter(rq, "service");
    struct trace_operation *v;
    struct err e = ERR_INIT;
    size_t n;

    if (traces_operations(rq->api->store, service, parameter(rq, "span_kind", "spanKind"), INT64_MIN, INT64_MAX, &rq->arena,
                          &v, &n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    reply_json(rq, 200);
    buf_puts(&rq->out, "{\"operations\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&rq->out, i ? ",{\"name\":" : "{\"name\":");
        buf_json(&rq->out, v[i].name);
        put_member(&rq->out, "spanKind", v[i].kind);
        buf_putc(&rq->out, '}');
    }
    buf_puts(&rq->out, "]}\n");
}
