/* jaeger_v1.c: Jaeger's query API as its own UI, Kiali and Grafana ask it, and its JSON of a trace.
 *
 * Source: jaegertracing.io/docs/latest/architecture/apis (HTTP JSON), jaeger-ui's types: an envelope
 * {"data":…,"total":0,"limit":0,"offset":0,"errors":null}; a trace is its spans and the processes they name; times are
 * microseconds. */
#include "api/jaeger-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <inttypes.h>
#include <jansson.h>

static void begin(struct request *rq, unsigned status)
{
    reply_json(rq, status);
    buf_puts(&rq->out, "{\"data\":");
}

static void end(struct buf *b, size_t total)
{
    buf_printf(b, ",\"total\":%zu,\"limit\":0,\"offset\":0,\"errors\":null}\n", total);
}

static void fail(struct request *rq, const struct err *e)
{
    unsigned status = error_status(e->code);

    begin(rq, status);
    buf_printf(&rq->out, "null,\"total\":0,\"limit\":0,\"offset\":0,\"errors\":[{\"code\":%u,\"msg\":", status);
    buf_json(&rq->out, str_of(e->msg));
    buf_puts(&rq->out, "}]}\n");
}

/* --- a span --- */

static void put_comma(struct buf *b, bool *first)
{
    if (!*first)
        buf_putc(b, ',');
    *first = false;
}

/* {"key":…,"type":…,"value":…} */
static void put_typed(struct buf *b, struct str key, struct str value, enum jaeger_type type, bool *first)
{
    static const char *const names[] = { [JAEGER_STRING] = "string", [JAEGER_BOOL] = "bool", [JAEGER_INT64] = "int64" };

    put_comma(b, first);
    buf_puts(b, "{\"key\":");
    buf_json(b, key);
    buf_printf(b, ",\"type\":\"%s\",\"value\":", names[type]);
    if (type == JAEGER_STRING)
        buf_json(b, value);
    else
        buf_str(b, value);
    buf_putc(b, '}');
}

static void put_present(struct buf *b, const char *key, struct str value, bool *first)
{
    if (value.n)
        put_typed(b, str_of(key), value, JAEGER_STRING, first);
}

static void put_tags(struct buf *b, const struct trace_span *s)
{
    enum { STATUS_OK = 1, STATUS_ERROR = 2 };
    bool error = s->status == STATUS_ERROR, first = true;

    buf_puts(b, ",\"tags\":[");
    put_present(b, "span.kind", s->kind, &first);
    for (size_t i = 0; i < s->attributes.n; i++) {
        const struct label *l = &s->attributes.v[i];

        if (!error || !str_eqz(l->name, "error")) /* a sentence there would not count as an error in Jaeger's UI */
            put_typed(b, l->name, l->value, jaeger_type(l->value), &first);
    }
    put_present(b, "otel.status_code", error ? STR("ERROR") : s->status == STATUS_OK ? STR("OK") : STR_NULL, &first);
    put_present(b, "otel.status_description", s->status_message, &first);
    if (error)
        put_typed(b, STR("error"), STR("true"), JAEGER_BOOL, &first);
    put_present(b, "w3c.tracestate", s->trace_state, &first);
    buf_putc(b, ']');
}

static void put_reference(struct buf *b, const char *type, struct str trace, struct str span, bool *first)
{
    put_comma(b, first);
    buf_printf(b, "{\"refType\":\"%s\",\"traceID\":", type);
    buf_json(b, trace);
    buf_puts(b, ",\"spanID\":");
    buf_json(b, span);
    buf_putc(b, '}');
}

/* NULL when there are none. They are what the receivers wrote: OTLP's JSON. */
static json_t *stored_list(struct str json)
{
    return json.n ? json_loadb(json.p, json.n, 0, NULL) : NULL;
}

static struct str member(const json_t *o, const char *key)
{
    return str_of(json_string_value(json_object_get(o, key)));
}

static void put_references(struct buf *b, const struct trace *t, const struct trace_span *s)
{
    json_t *links = stored_list(s->links), *link;
    bool first = true;
    size_t i;

    buf_puts(b, ",\"references\":[");
    if (s->parent_id.n)
        put_reference(b, "CHILD_OF", t->id, s->parent_id, &first);
    json_array_foreach(links, i, link)
        put_reference(b, "FOLLOWS_FROM", member(link, "traceId"), member(link, "spanId"), &first);
    buf_putc(b, ']');
    json_decref(links);
}

/* An OTLP AnyValue as a field of a log. */
static void put_value(struct buf *b, struct str key, const json_t *value, bool *first)
{
    struct str text = member(value, "stringValue"), whole = member(value, "intValue");
    const json_t *truth = json_object_get(value, "boolValue"), *other = json_object_iter_value(
                                                                    json_object_iter((json_t *)(uintptr_t)value));
    char *dumped;

    if (text.p) {
        put_typed(b, key, text, JAEGER_STRING, first);
    } else if (whole.p) {
        put_typed(b, key, whole, JAEGER_INT64, first);
    } else if (truth) {
        put_typed(b, key, json_is_true(truth) ? STR("true") : STR("false"), JAEGER_BOOL, first);
    } else if (other && (dumped = json_dumps(other, JSON_COMPACT | JSON_ENCODE_ANY))) {
        put_typed(b, key, str_of(dumped), JAEGER_STRING, first);
        free(dumped);
    }
}

static void put_logs(struct buf *b, const struct trace_span *s)
{
    json_t *events = stored_list(s->events), *event, *pair;
    size_t i, k;

    buf_puts(b, ",\"logs\":[");
    json_array_foreach(events, i, event) {
        int64_t ns = 0;
        bool first = true;

        num_i64(member(event, "timeUnixNano"), &ns);
        buf_printf(b, "%s{\"timestamp\":%" PRId64 ",\"fields\":[", i ? "," : "", ns / 1000);
        put_present(b, "event", member(event, "name"), &first);
        json_array_foreach(json_object_get(event, "attributes"), k, pair)
            put_value(b, member(pair, "key"), json_object_get(pair, "value"), &first);
        buf_puts(b, "]}");
    }
    buf_putc(b, ']');
    json_decref(events);
}

static void put_span(struct buf *b, const struct jaeger_trace *t, size_t i)
{
    const struct trace_span *s = &t->trace->spans[i];

    buf_puts(b, i ? ",{\"traceID\":" : "{\"traceID\":");
    buf_json(b, t->trace->id);
    buf_puts(b, ",\"spanID\":");
    buf_json(b, s->span_id);
    buf_puts(b, ",\"flags\":1,\"operationName\":");
    buf_json(b, s->name);
    put_references(b, t->trace, s);
    buf_printf(b, ",\"startTime\":%" PRId64 ",\"duration\":%" PRId64, s->time_ns / 1000, s->duration_ns / 1000);
    put_tags(b, s);
    put_logs(b, s);
    buf_printf(b, ",\"processID\":\"p%u\",\"warnings\":null}", (unsigned)t->process[i] + 1);
}

/* --- a trace --- */

static void put_process_tag(struct buf *b, struct str key, struct str value, bool first)
{
    put_typed(b, key, value, JAEGER_STRING, &first);
}

static void put_processes(struct buf *b, const struct jaeger_trace *t)
{
    buf_puts(b, "],\"processes\":{");
    for (size_t i = 0; i < t->nprocesses; i++) {
        buf_printf(b, "%s\"p%zu\":{\"serviceName\":", i ? "," : "", i + 1);
        buf_json(b, t->processes[i]->service);
        buf_puts(b, ",\"tags\":[");
        jaeger_process_tags(b, t->processes[i], put_process_tag);
        buf_puts(b, "]}");
    }
    buf_putc(b, '}');
    if (t->trace->left_out)
        buf_printf(b, ",\"warnings\":[\"%zu more spans are left out\"]}", t->trace->left_out);
    else
        buf_puts(b, ",\"warnings\":null}");
}

static bool more_spans(void *state, struct buf *b)
{
    struct jaeger_cursor *x = state;

    for (; x->at < x->n; x->at++, x->span = 0) {
        const struct jaeger_trace *t = &x->traces[x->at];

        if (!x->is_open) {
            buf_puts(b, x->at ? ",{\"traceID\":" : "{\"traceID\":");
            buf_json(b, t->trace->id);
            buf_puts(b, ",\"spans\":[");
            x->is_open = true;
        }
        for (; x->span < t->trace->n; x->span++) {
            if (b->n >= PIECE)
                return true;
            put_span(b, t, x->span);
        }
        put_processes(b, t);
        x->is_open = false;
    }
    buf_putc(b, ']');
    end(b, 0);
    return false;
}

static const struct jaeger_version version_1 = {"{\"data\":[", more_spans, fail};

/* --- parameters --- */

static int microseconds(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = request_parameter(rq, name);

    *ns = otherwise;
    if (s.n == 0)
        return 0;
    if (!num_i64(s, ns) || __builtin_mul_overflow(*ns, INT64_C(1000), ns))
        return err_set(e, ERR_INVALID, "unable to parse param '%s': \"%.*s\" should be microseconds since 1970", name,
                       STR_ARG(s));
    return 0;
}

/* From `start`, or `lookback` before the end. */
static int read_range(struct request *rq, struct trace_search *s, struct err *e)
{
    struct str lookback = request_parameter(rq, "lookback");
    int64_t back = JAEGER_LOOKBACK_NS, ms, end_ns;
    int rc = microseconds(rq, "end", clock_now_ns(), &end_ns, e);

    if (rc < 0)
        return rc;
    if (lookback.n && !str_eqz(lookback, "custom")) {
        if (duration_parse(lookback, &ms, NULL) < 0 || ms > INT64_MAX / 1000000)
            return err_set(e, ERR_INVALID, "unable to parse param 'lookback': \"%.*s\" should be as 1h or 2d",
                           STR_ARG(lookback));
        back = ms * 1000000;
    }
    rc = microseconds(rq, "start", end_ns - back, &s->from_ns, e);
    s->to_ns = end_ns == INT64_MAX ? end_ns : end_ns + 1; /* inclusive there */
    return rc;
}

static int read_durations(struct request *rq, struct trace_search *s, struct err *e)
{
    struct str min = request_parameter(rq, "minDuration"), max = request_parameter(rq, "maxDuration");
    int rc = min.n ? jaeger_duration(min, "minDuration", &s->min_ns, e) : 0;

    if (rc == 0 && max.n)
        rc = jaeger_duration(max, "maxDuration", &s->max_ns, e);
    if (rc == 0 && s->max_ns && s->max_ns < s->min_ns)
        rc = err_set(e, ERR_INVALID, "'maxDuration' should be greater than 'minDuration'");
    return rc;
}

static int read_tags(struct request *rq, struct trace_search *s, struct err *e)
{
    struct str tag;
    size_t at = 0;
    int rc;

    while ((tag = request_parameter_next(rq, "tag", &at)).p) {
        struct str key = str_cut(&tag, ':');

        if (!tag.p)
            return err_set(e, ERR_INVALID, "malformed 'tag' parameter, expecting key:value, received: %.*s", STR_ARG(key));
        if ((rc = jaeger_tag_add(rq, key, tag, s, e)) < 0)
            return rc;
    }
    for (at = 0; (tag = request_parameter_next(rq, "tags", &at)).p;)
        if ((rc = jaeger_tags(rq, tag, s, e)) < 0)
            return rc;
    return 0;
}

static int read_search(struct request *rq, struct trace_search *s, struct err *e)
{
    uint64_t limit = JAEGER_DEFAULT_LIMIT;
    int rc;

    s->service = request_parameter(rq, "service");
    s->operation = request_parameter(rq, "operation");
    if (s->service.n == 0)
        return err_set(e, ERR_INVALID, "parameter 'service' is required");
    if ((rc = request_limit(rq, "limit", JAEGER_DEFAULT_LIMIT, &limit, e)) < 0 || (rc = read_range(rq, s, e)) < 0 ||
        (rc = read_durations(rq, s, e)) < 0)
        return rc;
    s->limit = limit < JAEGER_MOST_TRACES ? limit : JAEGER_MOST_TRACES;
    return read_tags(rq, s, e);
}

/* --- handlers --- */

/* Those of the ids given that are there. */
static void find_by_ids(struct request *rq)
{
    struct trace *traces = NULL;
    struct err e = ERR_INIT;
    struct str id;
    size_t n = 0, cap = 0, at = 0;

    while ((id = request_parameter_next(rq, "traceID", &at)).p) {
        int rc;

        if (n == JAEGER_MOST_TRACES || arena_grow(&rq->arena, &traces, &cap, n + 1, sizeof(*traces)) < 0) {
            err_set(&e, ERR_NOMEM, "no memory for so many traces");
            break;
        }
        rc = traces_get(rq->api->store, id, INT64_MIN, INT64_MAX, &rq->arena, &traces[n], &e);
        if (rc < 0 && rc != ERR_NOTFOUND)
            break;
        n += rc == 0;
        e = (struct err)ERR_INIT;
    }
    if (e.code)
        fail(rq, &e);
    else
        jaeger_answer(rq, &version_1, traces, n);
}

void jaeger_search(struct request *rq)
{
    struct trace_search s = { .limit = 0 };
    struct trace *traces;
    struct err e = ERR_INIT;
    size_t n;

    if (request_parameter(rq, "traceID").n) {
        find_by_ids(rq);
        return;
    }
    if (read_search(rq, &s, &e) < 0 || traces_find(rq->api->store, &s, &rq->arena, &traces, &n, &e) < 0)
        fail(rq, &e);
    else
        jaeger_answer(rq, &version_1, traces, n);
}

void jaeger_trace(struct request *rq)
{
    struct trace *t = ARENA_NEW(&rq->arena, struct trace); /* is encoded while it is sent */
    struct err e = ERR_INIT;
    int64_t from, to;

    if (!t) {
        err_set(&e, ERR_NOMEM, "no memory for the trace");
        fail(rq, &e);
        return;
    }
    if (microseconds(rq, "start", INT64_MIN, &from, &e) < 0 || microseconds(rq, "end", INT64_MAX, &to, &e) < 0 ||
        traces_get(rq->api->store, rq->arguments[0], from, to, &rq->arena, t, &e) < 0)
        fail(rq, &e);
    else
        jaeger_answer(rq, &version_1, t, 1);
}

void jaeger_services(struct request *rq)
{
    struct err e = ERR_INIT;
    struct str *names;
    size_t n;

    if (traces_services(rq->api->store, INT64_MIN, INT64_MAX, &rq->arena, &names, &n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    begin(rq, 200);
    json_strings(&rq->out, names, n);
    end(&rq->out, n);
}

static int find_operations(struct request *rq, struct str service, struct trace_operation **v, size_t *n, struct err *e)
{
    if (service.n == 0)
        return err_set(e, ERR_INVALID, "parameter 'service' is required");
    return traces_operations(rq->api->store, service, request_parameter(rq, "spanKind"), INT64_MIN, INT64_MAX, &rq->arena, v,
                             n, e);
}

/* [{"name":…,"spanKind":…}] */
void jaeger_operations(struct request *rq)
{
    struct trace_operation *v;
    struct err e = ERR_INIT;
    size_t n;

    if (find_operations(rq, request_parameter(rq, "service"), &v, &n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    begin(rq, 200);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_puts(&rq->out, i ? ",{\"name\":" : "{\"name\":");
        buf_json(&rq->out, v[i].name);
        buf_puts(&rq->out, ",\"spanKind\":");
        buf_json(&rq->out, v[i].kind);
        buf_putc(&rq->out, '}');
    }
    buf_putc(&rq->out, ']');
    end(&rq->out, n);
}

/* The names alone, each once. */
void jaeger_service_operations(struct request *rq)
{
    struct trace_operation *v;
    struct err e = ERR_INIT;
    size_t n, shown = 0;

    if (find_operations(rq, rq->arguments[0], &v, &n, &e) < 0) {
        fail(rq, &e);
        return;
    }
    begin(rq, 200);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i && str_eq(v[i - 1].name, v[i].name))
            continue;
        buf_puts(&rq->out, shown++ ? "," : "");
        buf_json(&rq->out, v[i].name);
    }
    buf_putc(&rq->out, ']');
    end(&rq->out, shown);
}

static int milliseconds(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e)
{
    struct str s = request_parameter(rq, name);

    *ns = otherwise;
    if (s.n == 0)
        return 0;
    if (!num_i64(s, ns) || __builtin_mul_overflow(*ns, INT64_C(1000000), ns))
        return err_set(e, ERR_INVALID, "unable to parse param '%s': \"%.*s\" should be milliseconds", name, STR_ARG(s));
    return 0;
}

void jaeger_dependencies(struct request *rq)
{
    struct trace_dependency *v;
    struct err e = ERR_INIT;
    int64_t end_ns, back;
    size_t n;

    if (milliseconds(rq, "endTs", clock_now_ns(), &end_ns, &e) < 0 ||
        milliseconds(rq, "lookback", INT64_C(86400000000000), &back, &e) < 0 ||
        traces_dependencies(rq->api->store, end_ns < INT64_MIN + back ? INT64_MIN : end_ns - back, end_ns, &rq->arena, &v, &n,
                            &e) < 0) {
        fail(rq, &e);
        return;
    }
    begin(rq, 200);
    buf_putc(&rq->out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_puts(&rq->out, i ? ",{\"parent\":" : "{\"parent\":");
        buf_json(&rq->out, v[i].parent);
        buf_puts(&rq->out, ",\"child\":");
        buf_json(&rq->out, v[i].child);
        buf_printf(&rq->out, ",\"callCount\":%" PRIu64 "}", v[i].calls);
    }
    buf_putc(&rq->out, ']');
    end(&rq->out, n);
}
