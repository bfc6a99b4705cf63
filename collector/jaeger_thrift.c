/* jaeger_thrift.c: Jaeger's Batch { 1: Process, 2: [Span] }.
 *
 * Fields come in any order, and the process may stand behind its spans: the batch is walked twice, first for who, then for
 * what. */
#include "collector/jaeger_thrift.h"

#include "base/mem.h"
#include "collector/otlp-internal.h"
#include "collector/span_tags.h"
#include "collector/thrift-internal.h"


enum { MOST_TAGS = 128, MOST_DEPTH = 16 };
enum { BATCH_PROCESS = 1, BATCH_SPANS = 2, PROCESS_SERVICE = 1, PROCESS_TAGS = 2, LOG_TIME = 1, LOG_FIELDS = 2 };
enum {
    SPAN_TRACE_LOW = 1, SPAN_TRACE_HIGH = 2, SPAN_ID = 3, SPAN_PARENT = 4, SPAN_OPERATION = 5, SPAN_REFERENCES = 6,
    SPAN_START = 8, SPAN_DURATION = 9, SPAN_TAGS = 10, SPAN_LOGS = 11
};
enum { TAG_KEY = 1, TAG_TYPE = 2, TAG_STRING = 3, TAG_DOUBLE = 4, TAG_BOOL = 5, TAG_LONG = 6, TAG_BINARY = 7 };
enum { TYPE_STRING, TYPE_DOUBLE, TYPE_BOOL, TYPE_LONG, TYPE_BINARY };
enum { REFERENCE_TYPE = 1, REFERENCE_LOW = 2, REFERENCE_HIGH = 3, REFERENCE_SPAN = 4, FOLLOWS_FROM = 1 };

struct tags {
    struct label v[MOST_TAGS];
    size_t n;
    bool too_many;
};

struct decoder {
    struct thrift_reader r;
    struct batch *batch;
    struct push_outcome *outcome;
    struct str service;
    struct tags process, tags; /* of all spans; of the span at work */
    /* of the span at work: */
    int64_t trace_low, trace_high, id, parent, start_us, duration_us;
    struct str operation;
    struct buf events, links;  /* JSON arrays without their closing bracket; empty: none */
};

/* Calls fn for each field of a struct; it reads the value. */
typedef int field_fn(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e);

static int read_struct(struct decoder *d, field_fn *fn, void *arg, struct err *e)
{
    struct thrift_field f;
    int rc;

    while ((rc = thrift_next(&d->r, &f, e)) == 1)
        if ((rc = fn(d, &f, arg, e)) < 0)
            return rc;
    return rc;
}

static int pass_over(struct decoder *d, const struct thrift_field *f, struct err *e)
{
    return thrift_skip(&d->r, f->type, MOST_DEPTH, e);
}

static int want(struct decoder *d, const struct thrift_field *f, uint8_t type, struct err *e)
{
    return f->type == type ? 0 : thrift_fail(&d->r, e, "the field has another type in jaeger.thrift");
}

static int read_text(struct decoder *d, const struct thrift_field *f, struct str *v, struct err *e)
{
    int rc = want(d, f, THRIFT_STRING, e);

    return rc < 0 ? rc : thrift_string(&d->r, v, e);
}

/* Calls fn for each struct of a list. */
static int read_list(struct decoder *d, const struct thrift_field *f, int (*fn)(struct decoder *d, void *arg, struct err *e),
                     void *arg, struct err *e)
{
    uint8_t type;
    uint32_t n;
    int rc = want(d, f, THRIFT_LIST, e);

    if (rc < 0 || (rc = thrift_list(&d->r, &type, &n, e)) < 0)
        return rc;
    if (n && type != THRIFT_STRUCT)
        return thrift_fail(&d->r, e, "should be a list of structs");
    while (rc == 0 && n--)
        rc = fn(d, arg, e);
    return rc;
}

/* --- tags --- */

struct tag {
    struct str key, text, binary;
    int64_t type, whole, truth, bits; /* bits: of a double */
};

static int tag_field(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    struct tag *t = arg;

    switch (f->id) {
    case TAG_KEY:
        return read_text(d, f, &t->key, e);
    case TAG_STRING:
        return read_text(d, f, &t->text, e);
    case TAG_BINARY:
        return read_text(d, f, &t->binary, e);
    case TAG_TYPE:
        return thrift_whole(&d->r, f->type, &t->type, e);
    case TAG_DOUBLE:
        return thrift_whole(&d->r, f->type, &t->bits, e);
    case TAG_BOOL:
        return thrift_whole(&d->r, f->type, &t->truth, e);
    case TAG_LONG:
        return thrift_whole(&d->r, f->type, &t->whole, e);
    default:
        return pass_over(d, f, e);
    }
}

static int tag_text(struct decoder *d, const struct tag *t, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(2 * t->binary.n + 64);
    double v;

    *out = t->text;
    if (t->type == TYPE_STRING)
        return 0;
    if (t->type == TYPE_BOOL) {
        *out = t->truth ? STR("true") : STR("false");
        return 0;
    }
    if (t->type == TYPE_DOUBLE) {
        memcpy(&v, &t->bits, sizeof(v));
        buf_double(&b, v);
    } else if (t->type == TYPE_LONG) {
        buf_i64(&b, t->whole);
    } else {
        otlp_base64(&b, t->binary);
    }
    *out = buf_failed(&b) ? STR_NULL : arena_str(d->batch->arena, buf_view(&b));
    buf_free(&b);
    return out->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a tag");
}

/* The first of a name counts. */
static int read_tag(struct decoder *d, void *arg, struct err *e)
{
    struct tags *to = arg;
    struct tag t = { .type = TYPE_STRING };
    struct str value;
    int rc;

    if ((rc = read_struct(d, tag_field, &t, e)) < 0 || (rc = tag_text(d, &t, &value, e)) < 0)
        return rc;
    if (to->n == MOST_TAGS)
        to->too_many = true;
    else if (t.key.n)
        otlp_put_absent(to->v, &to->n, t.key, value);
    return 0;
}

/* --- logs and references, as OTLP's JSON has events and links --- */

struct log {
    int64_t time_us;
    struct str name;  /* of the event: the field that is called so */
    struct buf pairs;
};

static int log_tag(struct decoder *d, void *arg, struct err *e)
{
    struct log *l = arg;
    struct tag t = { .type = TYPE_STRING };
    struct str value;
    int rc;

    if ((rc = read_struct(d, tag_field, &t, e)) < 0 || (rc = tag_text(d, &t, &value, e)) < 0)
        return rc;
    if (str_eqz(t.key, "event") && l->name.n == 0) {
        l->name = value;
        return 0;
    }
    buf_puts(&l->pairs, l->pairs.n ? ",{\"key\":" : "{\"key\":");
    buf_json(&l->pairs, t.key);
    buf_puts(&l->pairs, ",\"value\":{\"stringValue\":");
    buf_json(&l->pairs, value);
    buf_puts(&l->pairs, "}}");
    return 0;
}

static int log_field(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    struct log *l = arg;

    if (f->id == LOG_TIME)
        return thrift_whole(&d->r, f->type, &l->time_us, e);
    return f->id == LOG_FIELDS ? read_list(d, f, log_tag, l, e) : pass_over(d, f, e);
}

static int read_log(struct decoder *d, void *arg, struct err *e)
{
    struct log l = { .pairs = BUF_INIT(d->events.max) };
    int rc = read_struct(d, log_field, &l, e);

    (void)arg;
    if (rc == 0) {
        buf_printf(&d->events, "%c{\"timeUnixNano\":\"%lld\",\"name\":", d->events.n ? ',' : '[',
                   l.time_us > 0 && l.time_us < INT64_MAX / 1000 ? (long long)l.time_us * 1000 : 0LL);
        buf_json(&d->events, l.name);
        buf_puts(&d->events, ",\"attributes\":[");
        buf_str(&d->events, buf_view(&l.pairs));
        buf_puts(&d->events, "]}");
        d->events.failed |= l.pairs.failed;
    }
    buf_free(&l.pairs);
    return rc;
}

struct reference {
    int64_t type, low, high, span;
};

static int reference_field(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    struct reference *x = arg;
    int64_t *const to[] = { [REFERENCE_TYPE] = &x->type, [REFERENCE_LOW] = &x->low, [REFERENCE_HIGH] = &x->high,
                            [REFERENCE_SPAN] = &x->span };

    if (f->id < REFERENCE_TYPE || f->id > REFERENCE_SPAN)
        return pass_over(d, f, e);
    return thrift_whole(&d->r, f->type, to[f->id], e);
}

/* A child names its parent here or in its own field; what it follows is a link. */
static int read_reference(struct decoder *d, void *arg, struct err *e)
{
    struct reference x = { 0 };
    int rc = read_struct(d, reference_field, &x, e);

    (void)arg;
    if (rc < 0)
        return rc;
    if (x.type != FOLLOWS_FROM) {
        if (d->parent == 0 && x.low == d->trace_low)
            d->parent = x.span;
        return 0;
    }
    buf_printf(&d->links, "%c{\"traceId\":\"%016llx%016llx\",\"spanId\":\"%016llx\"}", d->links.n ? ',' : '[',
               (unsigned long long)x.high, (unsigned long long)x.low, (unsigned long long)x.span);
    return 0;
}

/* --- a span --- */

static int span_field(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    (void)arg;
    switch (f->id) {
    case SPAN_TRACE_LOW:
        return thrift_whole(&d->r, f->type, &d->trace_low, e);
    case SPAN_TRACE_HIGH:
        return thrift_whole(&d->r, f->type, &d->trace_high, e);
    case SPAN_ID:
        return thrift_whole(&d->r, f->type, &d->id, e);
    case SPAN_PARENT:
        return thrift_whole(&d->r, f->type, &d->parent, e);
    case SPAN_START:
        return thrift_whole(&d->r, f->type, &d->start_us, e);
    case SPAN_DURATION:
        return thrift_whole(&d->r, f->type, &d->duration_us, e);
    case SPAN_OPERATION:
        return read_text(d, f, &d->operation, e);
    case SPAN_REFERENCES:
        return read_list(d, f, read_reference, NULL, e);
    case SPAN_TAGS:
        return read_list(d, f, read_tag, &d->tags, e);
    case SPAN_LOGS:
        return read_list(d, f, read_log, NULL, e);
    default:
        return pass_over(d, f, e);
    }
}

static int check_span(const struct decoder *d, struct err *why)
{
    if (d->trace_low == 0 && d->trace_high == 0)
        return err_set(why, ERR_INVALID, "traceIdLow and traceIdHigh are zero");
    if (d->id == 0)
        return err_set(why, ERR_INVALID, "spanId is zero");
    if (d->start_us <= 0 || d->start_us > INT64_MAX / 1000 || d->duration_us < 0 || d->duration_us > INT64_MAX / 1000)
        return err_set(why, ERR_RANGE, "startTime and duration should be microseconds before the year 2262");
    if (d->tags.too_many || d->process.too_many)
        return err_set(why, ERR_LIMIT, "more than %d tags", MOST_TAGS);
    if (!str_is_utf8(d->operation) || !str_is_utf8(d->service))
        return err_set(why, ERR_INVALID, "the operation's or service's name is not UTF-8");
    for (size_t i = 0; i < d->tags.n; i++)
        if (!str_is_utf8(d->tags.v[i].name) || !str_is_utf8(d->tags.v[i].value))
            return err_set(why, ERR_INVALID, "a tag is not UTF-8");
    return 0;
}

static int set_list(struct decoder *d, struct buf *list, struct str *to, struct err *e)
{
    if (list->n == 0 && !buf_failed(list))
        return 0;
    buf_putc(list, ']');
    *to = buf_failed(list) ? STR_NULL : arena_str(d->batch->arena, buf_view(list));
    return to->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a span's logs");
}

static int set_columns(struct decoder *d, union event_value *v, struct err *e)
{
    struct arena *a = d->batch->arena;

    v[SPAN_trace_id].s = arena_printf(a, "%016llx%016llx", (unsigned long long)d->trace_high,
                                      (unsigned long long)d->trace_low);
    v[SPAN_span_id].s = arena_printf(a, "%016llx", (unsigned long long)d->id);
    if (d->parent)
        v[SPAN_parent_span_id].s = arena_printf(a, "%016llx", (unsigned long long)d->parent);
    if (!v[SPAN_trace_id].s.p || !v[SPAN_span_id].s.p || (d->parent && !v[SPAN_parent_span_id].s.p))
        return err_set(e, ERR_NOMEM, "no memory for a span");
    v[SPAN_name].s = d->operation;
    v[SPAN_service].s = d->service;
    v[SPAN_duration_ns].i = d->duration_us * 1000;
    for (size_t i = 0; i < d->tags.n; i++)
        if (str_eqz(d->tags.v[i].name, "span.kind"))
            v[SPAN_kind].s = d->tags.v[i].value;
    return set_list(d, &d->events, &v[SPAN_events].s, e) < 0 ? ERR_NOMEM : set_list(d, &d->links, &v[SPAN_links].s, e);
}

/* The span's tags, and of the process' those it has not; without those that a column says in full. */
static int set_attributes(struct decoder *d, struct labels *out, struct err *e)
{
    static const char *const columns[] = { "span.kind", "error", "otel.status_code", "otel.status_description" };
    struct label *v = arena_array(d->batch->arena, d->tags.n + d->process.n, sizeof(*v));
    size_t n = 0, kept = 0;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a span");
    for (size_t i = 0; i < d->tags.n; i++)
        v[n++] = d->tags.v[i];
    for (size_t i = 0; i < d->process.n; i++)
        otlp_put_absent(v, &n, d->process.v[i].name, d->process.v[i].value);
    for (size_t i = 0; i < n; i++) {
        bool said = false;

        for (size_t k = 0; k < sizeof(columns) / sizeof(columns[0]); k++)
            said |= str_eqz(v[i].name, columns[k]);
        if (!said)
            v[kept++] = v[i];
    }
    *out = (struct labels){ v, kept };
    return labels_normalise(v, &out->n, e);
}

static int add_span(struct decoder *d, struct err *e)
{
    union event_value v[SPAN_NCOLUMNS] = { 0 };
    struct event ev = { .time_ns = d->start_us * 1000, .values = v };
    int rc;

    if ((rc = set_columns(d, v, e)) < 0 || (rc = set_attributes(d, &ev.attributes, e)) < 0)
        return rc;
    span_tags_status((struct labels){ d->tags.v, d->tags.n }, false, v);
    span_tags_identity(ev.attributes, v);
    return batch_add_event(d->batch, EVENT_SPAN, &ev) < 0 ? err_set(e, ERR_NOMEM, "no memory for a span") : 0;
}

static int read_span(struct decoder *d, void *arg, struct err *e)
{
    struct err why = ERR_INIT;
    int rc;

    (void)arg;
    d->trace_low = d->trace_high = d->id = d->parent = d->start_us = d->duration_us = 0;
    d->operation = STR_NULL;
    d->tags.n = 0;
    d->tags.too_many = false;
    buf_reset(&d->events);
    buf_reset(&d->links);
    if ((rc = read_struct(d, span_field, NULL, e)) < 0)
        return rc;
    if (check_span(d, &why) < 0) {
        err_wrap(&why, "span %llu", (unsigned long long)(d->outcome->accepted + d->outcome->refused + 1));
        push_refuse(d->outcome, 1, &why);
        return 0;
    }
    rc = add_span(d, e);
    d->outcome->accepted += rc == 0;
    return rc;
}

/* --- the batch --- */

static int process_field(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    (void)arg;
    if (f->id == PROCESS_SERVICE)
        return read_text(d, f, &d->service, e);
    return f->id == PROCESS_TAGS ? read_list(d, f, read_tag, &d->process, e) : pass_over(d, f, e);
}

static int who(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    int rc;

    (void)arg;
    if (f->id != BATCH_PROCESS)
        return pass_over(d, f, e);
    rc = want(d, f, THRIFT_STRUCT, e);
    return rc < 0 ? rc : read_struct(d, process_field, NULL, e);
}

static int what(struct decoder *d, const struct thrift_field *f, void *arg, struct err *e)
{
    (void)arg;
    return f->id == BATCH_SPANS ? read_list(d, f, read_span, NULL, e) : pass_over(d, f, e);
}

static bool is_utf8(const struct tags *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (!str_is_utf8(t->v[i].name) || !str_is_utf8(t->v[i].value))
            return false;
    return true;
}

int jaeger_thrift_decode(struct str body, struct batch *b, struct push_outcome *o, struct err *e)
{
    struct decoder *d = mem_zalloc(sizeof(*d)); /* some 8 KiB: not on a small thread's stack */
    int rc;

    *o = (struct push_outcome){ 0 };
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to decode a body");
    d->batch = b;
    d->outcome = o;
    d->events = (struct buf)BUF_INIT(64 * body.n + 64); /* a tag of a few bytes becomes some fifty of JSON */
    d->links = (struct buf)BUF_INIT(64 * body.n + 64);
    d->r = thrift_reader(body);
    rc = read_struct(d, who, NULL, e);
    if (rc == 0 && !is_utf8(&d->process))
        rc = err_set(e, ERR_PARSE, "a tag of the process is not UTF-8");
    d->r = thrift_reader(body);
    if (rc == 0)
        rc = read_struct(d, what, NULL, e);
    if (rc == 0 && d->r.p != d->r.end)
        rc = thrift_fail(&d->r, e, "nothing should follow the batch");
    buf_free(&d->events);
    buf_free(&d->links);
    mem_free(d);
    return rc;
}
