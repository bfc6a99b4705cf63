#include "collector/zipkin.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "collector/json-internal.h"
#include "collector/span_tags.h"

enum {
    MOST_TAGS = 128,
    MOST_EXTRA = 6, /* attributes that are no tags */
    MOST_DEPTH = 32 /* of what is passed over */
};

struct endpoint {
    struct str service, address, port;
};

struct decoder {
    struct json_reader r;
    struct batch *batch;
    struct push_outcome *outcome;
    struct buf scratch;

    /* of the span at work: */
    struct str trace_id, id, parent, kind, name;
    uint64_t time_us, duration_us, first_annotation_us;
    struct endpoint local, remote;
    bool debug;
    struct label attributes[MOST_TAGS + MOST_EXTRA];
    size_t nattributes;
    struct buf events; /* a JSON array without its closing bracket; empty: none */
    int rc;            /* not 0: the span is refused */
    struct err why;
};

/* --- reading --- */

static int read_text(struct decoder *d, struct str *out, struct err *e)
{
    return json_text(&d->r, d->batch->arena, &d->scratch, out, e);
}

/* Text; a number or truth value where somebody did not quote it. */
static int read_scalar(struct decoder *d, struct str *out, struct err *e)
{
    char next = json_peek(&d->r);

    if (next == '"')
        return read_text(d, out, e);
    *out = STR("true");
    if (json_word(&d->r, *out))
        return 0;
    *out = STR("false");
    return json_word(&d->r, *out) ? 0 : json_number(&d->r, out, e);
}

/* Microseconds, as nanoseconds below the year 2262. */
static int read_us(struct decoder *d, uint64_t *us, struct err *e)
{
    struct str text;
    double v;
    int rc = read_scalar(d, &text, e);

    if (rc < 0 || num_u64(text, us))
        return rc;
    if (!num_double(text, &v) || !(v >= 0 && v < INT64_MAX))
        return json_fail(&d->r, e, "the value before should be a number of microseconds");
    *us = (uint64_t)v;
    return 0;
}

static int read_bool(struct decoder *d, bool *v, struct err *e)
{
    struct str text;
    int rc = read_scalar(d, &text, e);

    *v = rc == 0 && str_eqz(text, "true");
    return rc;
}

typedef int member_fn(struct decoder *d, struct str key, void *arg, struct err *e);

/* Calls fn for each member of an object whose value is not null. */
static int read_object(struct decoder *d, member_fn *fn, void *arg, struct err *e)
{
    bool first = true;
    int rc;

    if ((rc = json_want(&d->r, '{', e)) < 0)
        return rc;
    while ((rc = json_more(&d->r, '}', &first, e)) == 1) {
        struct str key;

        if ((rc = read_text(d, &key, e)) < 0 || (rc = json_want(&d->r, ':', e)) < 0)
            return rc;
        if (!json_word(&d->r, STR("null")) && (rc = fn(d, key, arg, e)) < 0)
            return rc;
    }
    return rc;
}

static int pass_over(struct decoder *d, struct err *e)
{
    return json_skip(&d->r, &d->scratch, MOST_DEPTH, e);
}

static void refuse(struct decoder *d, int code, const char *what, struct str value)
{
    if (d->rc == 0)
        d->rc = err_set(&d->why, code, "%s \"%.*s\"", what, (int)(value.n < 80 ? value.n : 80), value.p ? value.p : "");
}

static void add_attribute(struct decoder *d, struct str name, struct str value)
{
    for (size_t i = 0; i < d->nattributes; i++)
        if (str_eq(d->attributes[i].name, name))
            return;
    d->attributes[d->nattributes++] = (struct label){ name, value };
}

static int tag_member(struct decoder *d, struct str key, void *arg, struct err *e)
{
    struct str value;
    int rc = read_scalar(d, &value, e);

    (void)arg;
    if (rc < 0)
        return rc;
    if (d->nattributes == MOST_TAGS)
        refuse(d, ERR_LIMIT, "more than 128 tags: from", key);
    else if (key.n)
        add_attribute(d, key, value);
    return 0;
}

static int endpoint_member(struct decoder *d, struct str key, void *arg, struct err *e)
{
    struct endpoint *p = arg;
    struct str ignored;
    bool is_address = str_eqz(key, "ipv4") || str_eqz(key, "ipv6");

    if (str_eqz(key, "serviceName"))
        return read_text(d, &p->service, e);
    if (str_eqz(key, "port"))
        return read_scalar(d, &p->port, e);
    return is_address ? read_text(d, p->address.n ? &ignored : &p->address, e) : pass_over(d, e);
}

struct annotation {
    uint64_t time_us;
    struct str value;
};

static int annotation_member(struct decoder *d, struct str key, void *arg, struct err *e)
{
    struct annotation *a = arg;

    if (str_eqz(key, "timestamp"))
        return read_us(d, &a->time_us, e);
    return str_eqz(key, "value") ? read_text(d, &a->value, e) : pass_over(d, e);
}

/* As OTLP's JSON has a span's events. */
static int read_annotations(struct decoder *d, struct err *e)
{
    bool first = true;
    int rc;

    if ((rc = json_want(&d->r, '[', e)) < 0)
        return rc;
    while ((rc = json_more(&d->r, ']', &first, e)) == 1) {
        struct annotation a = { 0 };

        if ((rc = read_object(d, annotation_member, &a, e)) < 0)
            return rc;
        if (a.time_us == 0 || a.time_us > INT64_MAX / 1000)
            continue; /* Zipkin leaves it out, too */
        if (d->first_annotation_us == 0 || a.time_us < d->first_annotation_us)
            d->first_annotation_us = a.time_us;
        buf_printf(&d->events, "%c{\"timeUnixNano\":\"%llu\",\"name\":", d->events.n ? ',' : '[',
                   (unsigned long long)a.time_us * 1000);
        buf_json(&d->events, a.value);
        buf_putc(&d->events, '}');
    }
    return rc;
}

static int span_member(struct decoder *d, struct str key, void *arg, struct err *e)
{
    static const struct {
        struct str name;
        size_t offset;
    } texts[] = {
        { STR_INIT("traceId"), offsetof(struct decoder, trace_id) },
        { STR_INIT("id"), offsetof(struct decoder, id) },
        { STR_INIT("parentId"), offsetof(struct decoder, parent) },
        { STR_INIT("kind"), offsetof(struct decoder, kind) },
        { STR_INIT("name"), offsetof(struct decoder, name) },
    };

    (void)arg;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (str_eq(key, texts[i].name))
            return read_text(d, (struct str *)(void *)((char *)d + texts[i].offset), e);
    if (str_eqz(key, "timestamp"))
        return read_us(d, &d->time_us, e);
    if (str_eqz(key, "duration"))
        return read_us(d, &d->duration_us, e);
    if (str_eqz(key, "debug"))
        return read_bool(d, &d->debug, e);
    if (str_eqz(key, "tags"))
        return read_object(d, tag_member, NULL, e);
    if (str_eqz(key, "localEndpoint"))
        return read_object(d, endpoint_member, &d->local, e);
    if (str_eqz(key, "remoteEndpoint"))
        return read_object(d, endpoint_member, &d->remote, e);
    return str_eqz(key, "annotations") ? read_annotations(d, e) : pass_over(d, e);
}

/* --- to a row --- */

/* `digits` lower-case hexadecimal digits, filled with zeros in front. */
static int read_id(struct decoder *d, struct str text, size_t digits, const char *what, struct str *out, struct err *e)
{
    char *to;
    bool zero = true;

    if (text.n == 0 || text.n > digits) {
        refuse(d, ERR_INVALID, what, text);
        return 0;
    }
    to = arena_alloc(d->batch->arena, digits);
    if (!to)
        return err_set(e, ERR_NOMEM, "no memory for an id");
    memset(to, '0', digits);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i] >= 'A' && text.p[i] <= 'F' ? (char)(text.p[i] | 0x20) : text.p[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            refuse(d, ERR_INVALID, what, text);
            return 0;
        }
        zero = zero && c == '0';
        to[digits - text.n + i] = c;
    }
    if (zero)
        refuse(d, ERR_INVALID, what, text);
    *out = (struct str){ to, digits };
    return 0;
}

static int set_ids(struct decoder *d, union event_value *v, struct err *e)
{
    int rc;

    if ((rc = read_id(d, d->trace_id, 32, "traceId should be 1 to 32 hexadecimal digits, not all zero, is",
                      &v[SPAN_trace_id].s, e)) < 0 ||
        (rc = read_id(d, d->id, 16, "id should be 1 to 16 hexadecimal digits, not all zero, is", &v[SPAN_span_id].s, e)) < 0)
        return rc;
    if (d->parent.n == 0)
        return 0;
    return read_id(d, d->parent, 16, "parentId should be 1 to 16 hexadecimal digits, not all zero, is",
                   &v[SPAN_parent_span_id].s, e);
}

static void set_kind(struct decoder *d, union event_value *v)
{
    static const struct str kinds[] = { STR_INIT("server"), STR_INIT("client"), STR_INIT("producer"),
                                        STR_INIT("consumer") };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_ieq(d->kind, kinds[i]))
            v[SPAN_kind].s = kinds[i];
    if (d->kind.n && v[SPAN_kind].s.n == 0)
        refuse(d, ERR_INVALID, "kind should be CLIENT, SERVER, PRODUCER or CONSUMER, is", d->kind);
}

static void add_present(struct decoder *d, struct str name, struct str value)
{
    if (value.n)
        add_attribute(d, name, value);
}

static int set_events(struct decoder *d, union event_value *v, struct err *e)
{
    if (d->events.n == 0 && !buf_failed(&d->events))
        return 0;
    buf_putc(&d->events, ']');
    v[SPAN_events].s = buf_failed(&d->events) ? STR_NULL : arena_str(d->batch->arena, buf_view(&d->events));
    return v[SPAN_events].s.p ? 0 : err_set(e, ERR_NOMEM, "no memory for a span's annotations");
}

static void set_times(struct decoder *d, struct event *ev, union event_value *v)
{
    uint64_t began = d->time_us ? d->time_us : d->first_annotation_us;

    ev->time_ns = began ? (int64_t)(began * 1000) : clock_now_ns();
    v[SPAN_duration_ns].i = (int64_t)(d->duration_us * 1000);
    if (began > INT64_MAX / 1000 || d->duration_us > INT64_MAX / 1000)
        refuse(d, ERR_RANGE, "timestamp and duration should be microseconds before the year 2262, of span", d->id);
}

/* What a column says in full is no attribute, too: OpenTelemetry's exporter repeats the service, and codes the status. */
static size_t copy_attributes(const struct decoder *d, struct label *to)
{
    size_t n = 0;

    for (size_t i = 0; i < d->nattributes; i++) {
        const struct label *l = &d->attributes[i];
        bool repeated = str_eqz(l->name, "service.name") && str_eq(l->value, d->local.service);

        if (!repeated && !str_eqz(l->name, "otel.status_code"))
            to[n++] = *l;
    }
    return n;
}

static int add_span(struct decoder *d, struct err *e)
{
    const struct labels tags = { d->attributes, d->nattributes };
    union event_value v[SPAN_NCOLUMNS] = { 0 };
    struct event ev = { .values = v };
    size_t n;
    struct label *own;
    int rc;

    span_tags_identity(tags, v);
    span_tags_status(tags, true, v); /* Zipkin: whatever the value of `error` */
    set_kind(d, v);
    set_times(d, &ev, v);
    v[SPAN_name].s = d->name;
    v[SPAN_service].s = d->local.service;
    add_present(d, STR("network.local.address"), d->local.address);
    add_present(d, STR("network.local.port"), d->local.port);
    add_present(d, STR("peer.service"), d->remote.service);
    add_present(d, STR("network.peer.address"), d->remote.address);
    add_present(d, STR("network.peer.port"), d->remote.port);
    add_present(d, STR("zipkin.debug"), d->debug ? STR("true") : STR_NULL);
    if ((rc = set_ids(d, v, e)) < 0 || (rc = set_events(d, v, e)) < 0 || d->rc < 0)
        return rc;
    own = arena_array(d->batch->arena, d->nattributes, sizeof(*own));
    if (!own)
        return err_set(e, ERR_NOMEM, "no memory for a span");
    n = copy_attributes(d, own);
    if ((rc = labels_normalise(own, &n, e)) < 0)
        return rc;
    ev.attributes = (struct labels){ own, n };
    return batch_add_event(d->batch, EVENT_SPAN, &ev) < 0 ? err_set(e, ERR_NOMEM, "no memory for a span") : 0;
}

static void begin_span(struct decoder *d)
{
    d->trace_id = d->id = d->parent = d->kind = d->name = STR_NULL;
    d->time_us = d->duration_us = d->first_annotation_us = 0;
    d->local = d->remote = (struct endpoint){ STR_NULL, STR_NULL, STR_NULL };
    d->debug = false;
    d->nattributes = 0;
    buf_reset(&d->events);
    d->rc = 0;
    d->why = (struct err)ERR_INIT;
}

static int read_spans(struct decoder *d, struct err *e)
{
    bool first = true;
    int rc = json_want(&d->r, '[', e);

    while (rc == 0 && (rc = json_more(&d->r, ']', &first, e)) == 1) {
        begin_span(d);
        if ((rc = read_object(d, span_member, NULL, e)) < 0 || (rc = add_span(d, e)) < 0)
            return rc;
        if (d->rc < 0) {
            err_wrap(&d->why, "span %llu", (unsigned long long)(d->outcome->accepted + d->outcome->refused + 1));
            push_refuse(d->outcome, 1, &d->why);
        } else {
            d->outcome->accepted++;
        }
        rc = 0;
    }
    if (rc == 0 && (json_peek(&d->r) || d->r.p != d->r.end))
        rc = json_fail(&d->r, e, "nothing should follow the list of spans");
    return rc;
}

int zipkin_decode(struct str body, struct batch *b, struct push_outcome *o, struct err *e)
{
    struct decoder *d = mem_zalloc(sizeof(*d));
    int rc;

    *o = (struct push_outcome){ 0 };
    if (!d)
        return err_set(e, ERR_NOMEM, "no memory to decode a body");
    d->r = json_reader(body);
    d->batch = b;
    d->outcome = o;
    d->scratch = (struct buf)BUF_INIT(body.n + 1);
    d->events = (struct buf)BUF_INIT(8 * body.n + 64); /* \u0001 for each byte is the worst */
    rc = read_spans(d, e);
    buf_free(&d->events);
    buf_free(&d->scratch);
    mem_free(d);
    return rc;
}
