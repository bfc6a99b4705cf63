/* otlp_logs.c: log records to rows: access logs by the fields of base/access_log.h, all others as lines. */

#include "base/clock.h"
#include "base/num.h"
#include "collector/otlp-internal.h"

enum {
    RECORD_TIME = 1, RECORD_SEVERITY_NUMBER = 2, RECORD_SEVERITY_TEXT = 3, RECORD_BODY = 5, RECORD_ATTRIBUTES = 6,
    RECORD_TRACE_ID = 9, RECORD_SPAN_ID = 10, RECORD_OBSERVED_TIME = 11, RECORD_EVENT_NAME = 12
};

struct record {
    uint64_t time_ns, observed_ns;
    uint64_t severity;
    struct str severity_text, body, trace_id, span_id, event_name; /* body: an AnyValue; ids: bytes */
};

static inline int record_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
{
    struct record *r = out;

    switch (f->number) {
    case RECORD_TIME:
        return otlp_get_number(f, PB_FIXED64, &r->time_ns, e);
    case RECORD_OBSERVED_TIME:
        return otlp_get_number(f, PB_FIXED64, &r->observed_ns, e);
    case RECORD_SEVERITY_NUMBER:
        return otlp_get_number(f, PB_VARINT, &r->severity, e);
    case RECORD_SEVERITY_TEXT:
        return otlp_get_bytes(f, &r->severity_text, e);
    case RECORD_BODY:
        return otlp_get_bytes(f, &r->body, e);
    case RECORD_TRACE_ID:
        return otlp_get_bytes(f, &r->trace_id, e);
    case RECORD_SPAN_ID:
        return otlp_get_bytes(f, &r->span_id, e);
    case RECORD_EVENT_NAME:
        return otlp_get_bytes(f, &r->event_name, e);
    case RECORD_ATTRIBUTES:
        return otlp_get_pair(c, f, e);
    default:
        return 0;
    }
}

/* --- access logs --- */

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a log record");
}

static int set_number(struct otlp_context *c, const struct otlp_pair *p, struct err *e)
{
    int64_t v = p->number;
    struct str text;

    if ((p->is_number || num_i64(p->text, &v)) && v >= 0 && !__builtin_mul_overflow(v, p->key->factor, &v))
        return otlp_set_number(c, EVENT_ACCESS_LOG, p->key->column, v) < 0 ? no_memory(e) : 0;
    if (otlp_pair_text(c->arena, p, &text, e) < 0)
        return ERR_NOMEM;
    return err_set(e, ERR_INVALID, "access log: %.*s is \"%.*s\", should be a number", STR_ARG(p->key->name),
                   STR_ARG(text));
}

/* Puts an attribute into its column. "-" is how Envoy's formatters write what is not there. */
static inline int set_column(struct otlp_context *c, const struct otlp_pair *p, struct err *e)
{
    struct str text;

    if (!p->is_number && p->text.n == 1 && p->text.p[0] == '-')
        return 0;
    if (!p->key->is_text)
        return set_number(c, p, e);
    text = p->text;
    if (p->is_number && otlp_pair_text(c->arena, p, &text, e) < 0)
        return ERR_NOMEM;
    return otlp_set_text(c, EVENT_ACCESS_LOG, p->key->column, text) < 0 ? no_memory(e) : 0;
}

/* Fills the columns; attributes that have one leave the list. */
static int set_columns(struct otlp_context *c, struct err *e)
{
    size_t kept = 0;
    int rc = 0;

    for (const struct otlp_pair *p = c->pairs, *end = p + c->npairs; rc == 0 && p < end; p++) {
        if (p->key->column >= 0)
            rc = set_column(c, p, e);
        else if (p->key->column == OTLP_NO_COLUMN)
            c->pairs[kept++] = *p;
    }
    c->npairs = kept;
    return rc;
}

/* Whether the record is one by its attributes: those of Istio's own labels that no other log has. */
static bool has_istio_labels(const struct otlp_context *c)
{
    bool code = false, cluster = false;

    for (size_t i = 0; i < c->npairs; i++) {
        const struct otlp_pair *p = &c->pairs[i];

        code |= p->key->column == ACCESS_LOG_response_code && (p->is_number || p->text.p);
        cluster |= p->key->column == ACCESS_LOG_upstream_cluster && (p->is_number || p->text.p);
    }
    return code && cluster;
}

/* One more attribute; the record's own of that name counts no more. */
static int add_pair(struct otlp_context *c, struct str name, struct str text, struct err *e)
{
    struct otlp_key *key = otlp_key(c, name);

    if (c->npairs == OTLP_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", OTLP_MOST_ATTRIBUTES);
    if (!key)
        return no_memory(e);
    c->pairs[c->npairs++] = (struct otlp_pair){ .key = key, .text = text };
    return 0;
}

/* A stranger's line may say more than its labels; ours is printed again from the columns. */
static int keep_line(struct otlp_context *c, const struct record *r, struct err *e)
{
    struct str line;
    int rc;

    if (c->is_own_scope || r->body.n == 0)
        return 0;
    rc = otlp_value_text(c->arena, r->body, &line, e);
    return rc < 0 ? rc : add_pair(c, STR("body"), line, e);
}

static bool is_unset(const struct otlp_context *c, int column)
{
    const struct event_rows *r = &c->batch->events[EVENT_ACCESS_LOG];

    return !r->columns[column] || r->columns[column][r->n].s.n == 0;
}

static int set_default(struct otlp_context *c, int column, struct str text)
{
    return text.n && is_unset(c, column) ? otlp_set_text(c, EVENT_ACCESS_LOG, column, text) : 0;
}

static int set_default_id(struct otlp_context *c, int column, struct str bytes, size_t want, struct err *e)
{
    struct str id;
    int rc;

    if (!bytes.n || !is_unset(c, column))
        return 0;
    if ((rc = otlp_id(c->arena, bytes, want, &id, e)) < 0)
        return rc;
    return otlp_set_text(c, EVENT_ACCESS_LOG, column, id) < 0 ? no_memory(e) : 0;
}

static int access_log(struct otlp_context *c, const struct record *r, struct err *e)
{
    const struct otlp_resource *from = &c->resource;
    int rc;

    if ((rc = set_columns(c, e)) < 0 || (rc = keep_line(c, r, e)) < 0 ||
        (rc = set_default_id(c, ACCESS_LOG_trace_id, r->trace_id, 16, e)) < 0 ||
        (rc = set_default_id(c, ACCESS_LOG_span_id, r->span_id, 8, e)) < 0)
        return rc;
    if (set_default(c, ACCESS_LOG_pod, from->pod) < 0 || set_default(c, ACCESS_LOG_namespace, from->ns) < 0 ||
        set_default(c, ACCESS_LOG_workload, from->workload) < 0 || set_default(c, ACCESS_LOG_app, from->app) < 0 ||
        set_default(c, ACCESS_LOG_version, from->version) < 0)
        return no_memory(e);
    return 0;
}

/* --- lines --- */

static int line(struct otlp_context *c, const struct record *r, struct err *e)
{
    const struct otlp_resource *from = &c->resource;
    struct str body, trace, span;
    int rc;

    if ((rc = otlp_value_text(c->arena, r->body, &body, e)) < 0) {
        err_wrap(e, "body");
        return rc;
    }
    if ((rc = otlp_text(r->severity_text, "severity_text", e)) < 0 ||
        (rc = otlp_text(r->event_name, "event_name", e)) < 0 ||
        (rc = otlp_id(c->arena, r->trace_id, 16, &trace, e)) < 0 ||
        (rc = otlp_id(c->arena, r->span_id, 8, &span, e)) < 0)
        return rc;
    const struct {
        int column;
        struct str text;
    } texts[] = { { LOG_body, body },           { LOG_severity, r->severity_text }, { LOG_trace_id, trace },
                  { LOG_span_id, span },        { LOG_pod, from->pod },             { LOG_namespace, from->ns },
                  { LOG_workload, from->workload }, { LOG_app, from->app },         { LOG_version, from->version },
                  { LOG_container, from->container }, { LOG_service, from->service } };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (otlp_set_text(c, EVENT_LOG, texts[i].column, texts[i].text) < 0)
            return no_memory(e);
    if (r->severity <= 24 && otlp_set_number(c, EVENT_LOG, LOG_severity_number, (int64_t)r->severity) < 0)
        return no_memory(e);
    return r->event_name.n && c->npairs < OTLP_MOST_ATTRIBUTES ? add_pair(c, STR("event.name"), r->event_name, e) : 0;
}

static int add_record(struct otlp_context *c, const struct record *r, struct err *e)
{
    enum event_kind kind = c->is_own_scope || has_istio_labels(c) ? EVENT_ACCESS_LOG : EVENT_LOG;
    struct labels attributes;
    int64_t time_ns;
    int rc = otlp_time(r->time_ns ? r->time_ns : r->observed_ns, &time_ns, e);

    if (rc < 0 || (rc = otlp_expect_rows(c, kind, e)) < 0)
        return rc;
    rc = kind == EVENT_ACCESS_LOG ? access_log(c, r, e) : line(c, r, e);
    if (rc == 0)
        rc = otlp_row_attributes(c, kind, c->pairs, c->npairs, &attributes, e);
    if (rc == 0 && batch_end_event(c->batch, kind, time_ns ? time_ns : clock_now_ns(), attributes) < 0)
        rc = no_memory(e);
    if (rc < 0)
        batch_drop_event(c->batch, kind);
    return rc;
}

int otlp_log_record(struct otlp_context *c, struct str message, struct err *e)
{
    struct record r = { 0 };
    struct err why;
    int rc;

    otlp_no_fault(&why);
    rc = otlp_read(c, message, RECORD_ATTRIBUTES, record_field, &r, &why);
    if (rc == 0)
        rc = otlp_origin_fault(c, &why);
    if (rc == 0)
        rc = add_record(c, &r, &why);
    return otlp_settle(c, rc, 1, "log record", &why, e);
}
