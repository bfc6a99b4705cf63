#include "collector/otlp-internal.h"

enum {
    SPAN_FIELD_TRACE_ID = 1, SPAN_FIELD_SPAN_ID = 2, SPAN_FIELD_TRACE_STATE = 3, SPAN_FIELD_PARENT = 4,
    SPAN_FIELD_NAME = 5, SPAN_FIELD_KIND = 6, SPAN_FIELD_START = 7, SPAN_FIELD_END = 8, SPAN_FIELD_ATTRIBUTES = 9,
    SPAN_FIELD_EVENTS = 11, SPAN_FIELD_LINKS = 13, SPAN_FIELD_STATUS = 15, STATUS_MESSAGE = 2, STATUS_CODE = 3
};

struct span {
    struct str trace_id, span_id, parent, trace_state, name, status_message; /* ids: bytes */
    uint64_t kind, start_ns, end_ns, status;
    struct buf events, links; /* JSON arrays without their closing bracket; empty: none */
};

static int get_status(const struct pb_field *status, struct span *s, struct err *e)
{
    struct pb_reader r;
    struct pb_field f;
    int rc = pb_want(status, PB_BYTES, e);

    if (rc < 0)
        return rc;
    r = pb_reader(status->bytes);
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number == STATUS_MESSAGE)
            rc = otlp_get_bytes(&f, &s->status_message, e);
        else if (f.number == STATUS_CODE)
            rc = otlp_get_number(&f, PB_VARINT, &s->status, e);
        if (rc < 0)
            return rc;
    }
    return rc;
}

static int put_item(struct buf *list, const struct otlp_message *m, const struct pb_field *f, struct err *e)
{
    int rc = pb_want(f, PB_BYTES, e);

    if (rc < 0)
        return rc;
    buf_putc(list, list->n ? ',' : '[');
    return otlp_pb_to_json(m, f->bytes, list, e);
}

static int span_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct span *s = out;

    switch (f->number) {
    case SPAN_FIELD_TRACE_ID:
        return otlp_get_bytes(f, &s->trace_id, e);
    case SPAN_FIELD_SPAN_ID:
        return otlp_get_bytes(f, &s->span_id, e);
    case SPAN_FIELD_PARENT:
        return otlp_get_bytes(f, &s->parent, e);
    case SPAN_FIELD_TRACE_STATE:
        return otlp_get_bytes(f, &s->trace_state, e);
    case SPAN_FIELD_NAME:
        return otlp_get_bytes(f, &s->name, e);
    case SPAN_FIELD_KIND:
        return otlp_get_number(f, PB_VARINT, &s->kind, e);
    case SPAN_FIELD_START:
        return otlp_get_number(f, PB_FIXED64, &s->start_ns, e);
    case SPAN_FIELD_END:
        return otlp_get_number(f, PB_FIXED64, &s->end_ns, e);
    case SPAN_FIELD_ATTRIBUTES:
        return otlp_get_attribute(c, f, e);
    case SPAN_FIELD_EVENTS:
        return put_item(&s->events, &otlp_span_event, f, e);
    case SPAN_FIELD_LINKS:
        return put_item(&s->links, &otlp_span_link, f, e);
    case SPAN_FIELD_STATUS:
        return get_status(f, s, e);
    default:
        return 0;
    }
}

static int keep_list(struct arena *a, struct buf *list, struct str *out, struct err *e)
{
    *out = STR_NULL;
    if (list->n == 0)
        return 0;
    buf_putc(list, ']');
    if (!buf_failed(list))
        *out = arena_str(a, buf_view(list));
    return out->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a span's events");
}

static int span_ids(struct arena *a, const struct span *s, union event_value *v, struct err *e)
{
    int rc;

    if ((rc = otlp_id(a, s->trace_id, 16, &v[SPAN_trace_id].s, e)) < 0 ||
        (rc = otlp_id(a, s->span_id, 8, &v[SPAN_span_id].s, e)) < 0 ||
        (rc = otlp_id(a, s->parent, 8, &v[SPAN_parent_span_id].s, e)) < 0)
        return rc;
    if (!v[SPAN_trace_id].s.n)
        return err_set(e, ERR_INVALID, "trace_id should be 16 bytes, not all zero");
    if (!v[SPAN_span_id].s.n)
        return err_set(e, ERR_INVALID, "span_id should be 8 bytes, not all zero");
    return 0;
}

static int span_texts(const struct span *s, struct err *e)
{
    int rc;

    if ((rc = otlp_text(s->name, "the name", e)) < 0 || (rc = otlp_text(s->trace_state, "trace_state", e)) < 0)
        return rc;
    return otlp_text(s->status_message, "the status message", e);
}

static int span_columns(struct otlp_context *c, struct span *s, union event_value *v, struct err *e)
{
    static const struct str kinds[] = { STR_INIT(""),       STR_INIT("internal"), STR_INIT("server"),
                                        STR_INIT("client"), STR_INIT("producer"), STR_INIT("consumer") };
    const struct otlp_resource *from = &c->resource;
    int rc;

    if ((rc = span_ids(c->arena, s, v, e)) < 0 || (rc = span_texts(s, e)) < 0 ||
        (rc = keep_list(c->arena, &s->events, &v[SPAN_events].s, e)) < 0 ||
        (rc = keep_list(c->arena, &s->links, &v[SPAN_links].s, e)) < 0)
        return rc;
    v[SPAN_name].s = s->name;
    if (s->kind < sizeof(kinds) / sizeof(kinds[0]))
        v[SPAN_kind].s = kinds[s->kind];
    v[SPAN_status].i = s->status <= 2 ? (int64_t)s->status : 0;
    v[SPAN_status_message].s = s->status_message;
    v[SPAN_trace_state].s = s->trace_state;
    v[SPAN_service].s = from->service;
    v[SPAN_pod].s = from->pod;
    v[SPAN_namespace].s = from->ns;
    v[SPAN_workload].s = from->workload;
    v[SPAN_app].s = from->app;
    v[SPAN_version].s = from->version;
    return 0;
}

static int add_span(struct otlp_context *c, struct span *s, struct err *e)
{
    union event_value *v = arena_array(c->arena, SPAN_NCOLUMNS, sizeof(*v));
    struct event ev = { .values = v };
    int64_t end;
    int rc;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a span");
    if ((rc = otlp_time(s->start_ns, &ev.time_ns, e)) < 0 || (rc = otlp_time(s->end_ns, &end, e)) < 0)
        return rc;
    if (ev.time_ns == 0)
        return err_set(e, ERR_INVALID, "start_time_unix_nano is missing");
    v[SPAN_duration_ns].i = end > ev.time_ns ? end - ev.time_ns : 0; /* clocks of two threads may disagree */
    if ((rc = span_columns(c, s, v, e)) < 0 || (rc = otlp_row_attributes(c, EVENT_SPAN, &ev.attributes, e)) < 0)
        return rc;
    return batch_add_event(c->batch, EVENT_SPAN, &ev) < 0 ? err_set(e, ERR_NOMEM, "no memory for a span") : 0;
}

int otlp_span(struct otlp_context *c, struct str message, struct err *e)
{
    struct span s = { .events = BUF_INIT(16 * message.n + 64), .links = BUF_INIT(16 * message.n + 64) };
    struct err why = ERR_INIT;
    int rc = otlp_read(c, message, span_field, &s, &why);

    if (rc == 0)
        rc = otlp_origin_fault(c, &why);
    if (rc == 0)
        rc = add_span(c, &s, &why);
    buf_free(&s.events);
    buf_free(&s.links);
    return otlp_settle(c, rc, 1, "span", &why, e);
}
