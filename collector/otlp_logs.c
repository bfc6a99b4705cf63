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

static int record_field(struct otlp_context *c, const struct pb_field *f, void *out, struct err *e)
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
        return otlp_get_attribute(c, f, e);
    default:
        return 0;
    }
}

/* --- access logs --- */

/* Milliseconds in Envoy's and Istio's labels, microseconds here. */
static int alias(struct str name, int64_t *factor)
{
    *factor = 1000;
    if (str_eqz(name, "duration"))
        return ACCESS_LOG_duration_us;
    if (str_eqz(name, "upstream_service_time"))
        return ACCESS_LOG_upstream_service_time_us;
    *factor = 1;
    return access_log_field_index(name);
}

/* Puts a label into its column. "-" is how Envoy's formatters write what is not there. */
static int set_column(union event_value *values, const struct label *l, bool *taken, struct err *e)
{
    int64_t factor, v;
    int column = alias(l->name, &factor);

    *taken = column >= 0 || str_eqz(l->name, "start_time");
    if (column < 0 || str_eqz(l->value, "-"))
        return 0;
    if (access_log_fields[column].is_text) {
        values[column].s = l->value;
        return 0;
    }
    if (!num_i64(l->value, &v) || v < 0 || __builtin_mul_overflow(v, factor, &v))
        return err_set(e, ERR_INVALID, "access log: %.*s is \"%.*s\", should be a number", STR_ARG(l->name),
                       STR_ARG(l->value));
    values[column].i = v;
    return 0;
}

/* Fills the columns; attributes that have one leave the list. */
static int set_columns(struct otlp_context *c, union event_value *values, struct err *e)
{
    struct otlp_attributes *l = &c->attributes;
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++) {
        bool taken;
        int rc = set_column(values, &l->v[i], &taken, e);

        if (rc < 0)
            return rc;
        if (!taken)
            l->v[kept++] = l->v[i];
    }
    l->n = kept;
    return 0;
}

static void set_default(union event_value *v, struct str text)
{
    if (v->s.n == 0)
        v->s = text;
}

static bool is_access_log(const struct otlp_context *c)
{
    return str_eqz(c->scope_name, "vigla.access_log") || (otlp_attribute_get(&c->attributes, "response_code").p &&
                                                          otlp_attribute_get(&c->attributes, "upstream_cluster").p);
}

/* A stranger's line may say more than its labels; ours is printed again from the columns. */
static int keep_line(struct otlp_context *c, const struct record *r, struct err *e)
{
    struct otlp_attributes *l = &c->attributes;

    if (str_eqz(c->scope_name, "vigla.access_log") || r->body.n == 0)
        return 0;
    if (l->n == OTLP_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", OTLP_MOST_ATTRIBUTES);
    l->v[l->n].name = STR("body");
    return otlp_value_text(c->arena, r->body, &l->v[l->n++].value, e);
}

static int access_log(struct otlp_context *c, const struct record *r, struct event *ev, struct err *e)
{
    union event_value *values = arena_array(c->arena, ACCESS_LOG_NFIELDS, sizeof(*values));
    const struct otlp_resource *from = &c->resource;
    struct str id;
    int rc;

    if (!values)
        return err_set(e, ERR_NOMEM, "no memory for an access log entry");
    for (int i = 0; i < ACCESS_LOG_NFIELDS; i++)
        if (!access_log_fields[i].is_text)
            values[i].i = -1;
    if ((rc = set_columns(c, values, e)) < 0 || (rc = keep_line(c, r, e)) < 0)
        return rc;
    if ((rc = otlp_id(c->arena, r->trace_id, 16, &id, e)) < 0)
        return rc;
    set_default(&values[ACCESS_LOG_trace_id], id);
    if ((rc = otlp_id(c->arena, r->span_id, 8, &id, e)) < 0)
        return rc;
    set_default(&values[ACCESS_LOG_span_id], id);
    set_default(&values[ACCESS_LOG_pod], from->pod);
    set_default(&values[ACCESS_LOG_namespace], from->ns);
    set_default(&values[ACCESS_LOG_workload], from->workload);
    set_default(&values[ACCESS_LOG_app], from->app);
    set_default(&values[ACCESS_LOG_version], from->version);
    ev->values = values;
    return 0;
}

/* --- lines --- */

static int line(struct otlp_context *c, const struct record *r, struct event *ev, struct err *e)
{
    union event_value *v = arena_array(c->arena, LOG_NCOLUMNS, sizeof(*v));
    const struct otlp_resource *from = &c->resource;
    int rc;

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for a log record");
    if ((rc = otlp_value_text(c->arena, r->body, &v[LOG_body].s, e)) < 0) {
        err_wrap(e, "body");
        return rc;
    }
    if ((rc = otlp_text(r->severity_text, "severity_text", e)) < 0 ||
        (rc = otlp_text(r->event_name, "event_name", e)) < 0 ||
        (rc = otlp_id(c->arena, r->trace_id, 16, &v[LOG_trace_id].s, e)) < 0 ||
        (rc = otlp_id(c->arena, r->span_id, 8, &v[LOG_span_id].s, e)) < 0)
        return rc;
    v[LOG_severity].s = r->severity_text;
    v[LOG_severity_number].i = r->severity <= 24 ? (int64_t)r->severity : 0;
    v[LOG_pod].s = from->pod;
    v[LOG_namespace].s = from->ns;
    v[LOG_workload].s = from->workload;
    v[LOG_app].s = from->app;
    v[LOG_version].s = from->version;
    v[LOG_container].s = from->container;
    v[LOG_service].s = from->service;
    if (r->event_name.n && c->attributes.n < OTLP_MOST_ATTRIBUTES)
        c->attributes.v[c->attributes.n++] = (struct label){ STR("event.name"), r->event_name };
    ev->values = v;
    return 0;
}

static int add_record(struct otlp_context *c, const struct record *r, struct err *e)
{
    struct event ev = { 0 };
    enum event_kind kind = is_access_log(c) ? EVENT_ACCESS_LOG : EVENT_LOG;
    int rc = otlp_time(r->time_ns ? r->time_ns : r->observed_ns, &ev.time_ns, e);

    if (rc == 0 && ev.time_ns == 0)
        ev.time_ns = clock_now_ns();
    if (rc == 0)
        rc = kind == EVENT_ACCESS_LOG ? access_log(c, r, &ev, e) : line(c, r, &ev, e);
    if (rc == 0)
        rc = otlp_row_attributes(c, kind, &ev.attributes, e);
    if (rc == 0 && batch_add_event(c->batch, kind, &ev) < 0)
        rc = err_set(e, ERR_NOMEM, "no memory for a log record");
    return rc;
}

int otlp_log_record(struct otlp_context *c, struct str message, struct err *e)
{
    struct err why = ERR_INIT;
    struct record r = { 0 };
    int rc = otlp_read(c, message, record_field, &r, &why);

    if (rc == 0)
        rc = otlp_origin_fault(c, &why);
    if (rc == 0)
        rc = add_record(c, &r, &why);
    return otlp_settle(c, rc, 1, "log record", &why, e);
}
