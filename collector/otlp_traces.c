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
        return otlp_get_pair(c, f, e);
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

static int span_id(struct arena *a, struct str bytes, size_t want, const char *name, struct str *out, struct err *e)
{
    int rc = otlp_id(a, bytes, want, out, e);

    if (rc == 0 && !out->n)
        return err_set(e, ERR_INVALID, "%s should be %zu bytes, not all zero", name, want);
    return rc;
}

static int span_texts(const struct span *s, struct err *e)
{
    int rc;

    if ((rc = otlp_text(s->name, "the name", e)) < 0 || (rc = otlp_text(s->trace_state, "trace_state", e)) < 0)
        return rc;
    return otlp_text(s->status_message, "the status message", e);
}

static struct str kind_name(uint64_t kind)
{
    static const struct str kinds[] = { STR_INIT(""),       STR_INIT("internal"), STR_INIT("server"),
                                        STR_INIT("client"), STR_INIT("producer"), STR_INIT("consumer") };

    return kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] : STR_NULL;
}

static int set_columns(struct otlp_context *c, struct span *s, int64_t duration_ns, struct err *e)
{
    const struct otlp_resource *from = &c->resource;
    struct arena *a = c->arena;
    struct str trace, id, parent, events, links;
    int rc;

    if ((rc = span_id(a, s->trace_id, 16, "trace_id", &trace, e)) < 0 ||
        (rc = span_id(a, s->span_id, 8, "span_id", &id, e)) < 0 || (rc = otlp_id(a, s->parent, 8, &parent, e)) < 0 ||
        (rc = span_texts(s, e)) < 0 || (rc = keep_list(a, &s->events, &events, e)) < 0 ||
        (rc = keep_list(a, &s->links, &links, e)) < 0)
        return rc;
    const struct {
        int column;
        struct str text;
    } texts[] = { { SPAN_trace_id, trace },
                  { SPAN_span_id, id },
                  { SPAN_parent_span_id, parent },
                  { SPAN_name, s->name },
                  { SPAN_kind, kind_name(s->kind) },
                  { SPAN_status_message, s->status_message },
                  { SPAN_service, from->service },
                  { SPAN_pod, from->pod },
                  { SPAN_namespace, from->ns },
                  { SPAN_workload, from->workload },
                  { SPAN_app, from->app },
                  { SPAN_version, from->version },
                  { SPAN_events, events },
                  { SPAN_links, links },
                  { SPAN_trace_state, s->trace_state } };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (otlp_set_text(c, EVENT_SPAN, texts[i].column, texts[i].text) < 0)
            return err_set(e, ERR_NOMEM, "no memory for a span");
    if (otlp_set_number(c, EVENT_SPAN, SPAN_duration_ns, duration_ns) < 0 ||
        otlp_set_number(c, EVENT_SPAN, SPAN_status, s->status <= 2 ? (int64_t)s->status : 0) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a span");
    return 0;
}

static int add_span(struct otlp_context *c, struct span *s, struct err *e)
{
    struct labels attributes;
    int64_t start, end;
    int rc;

    if ((rc = otlp_time(s->start_ns, &start, e)) < 0 || (rc = otlp_time(s->end_ns, &end, e)) < 0)
        return rc;
    if (start == 0)
        return err_set(e, ERR_INVALID, "start_time_unix_nano is missing");
    if ((rc = otlp_expect_rows(c, EVENT_SPAN, e)) < 0)
        return rc;
    rc = set_columns(c, s, end > start ? end - start : 0, e); /* clocks of two threads may disagree */
    if (rc == 0)
        rc = otlp_row_attributes(c, EVENT_SPAN, c->pairs, c->npairs, &attributes, e);
    if (rc == 0 && batch_end_event(c->batch, EVENT_SPAN, start, attributes) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for a span");
    if (rc < 0)
        batch_drop_event(c->batch, EVENT_SPAN);
    return rc;
}

int otlp_span(struct otlp_context *c, struct str message, struct err *e)
{
    struct span s = { .events = BUF_INIT(16 * message.n + 64), .links = BUF_INIT(16 * message.n + 64) };
    struct err why = ERR_INIT;
    int rc = otlp_read(c, message, SPAN_FIELD_ATTRIBUTES, span_field, &s, &why);

    if (rc == 0)
        rc = otlp_origin_fault(c, &why);
    if (rc == 0)
        rc = add_span(c, &s, &why);
    buf_free(&s.events);
    buf_free(&s.links);
    return otlp_settle(c, rc, 1, "span", &why, e);
}
