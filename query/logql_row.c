/* logql_row.c: events as LogQL sees them: which columns make the stream, what the line is, and what else is known. */
#include "query/logql_row-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const struct str always[] = {
    STR_INIT("app"),     STR_INIT("kind"),    STR_INIT("namespace"), STR_INIT("reporter"),
    STR_INIT("service"), STR_INIT("version"), STR_INIT("workload"),
};
enum { ALWAYS = sizeof(always) / sizeof(always[0]) };

/* A span's own kind ("server", "client"): `kind` is the stream's. */
static const struct str span_kind = STR_INIT("span_kind");

bool logql_names_stream(struct str name)
{
    for (size_t i = 0; i < ALWAYS; i++)
        if (str_eq(name, always[i]))
            return true;
    return false;
}

/* The service of an access log is the one that was asked; its status is the response's. */
static int column_of(enum event_kind kind, struct str name)
{
    if (kind == EVENT_ACCESS_LOG && str_eq(name, STR("service")))
        return ACCESS_LOG_destination_service_name;
    if (kind == EVENT_ACCESS_LOG && str_eq(name, STR("status")))
        return ACCESS_LOG_response_code;
    if (kind == EVENT_SPAN && str_eq(name, span_kind))
        return SPAN_kind;
    return event_column_index(kind, name);
}

struct field logql_field(enum event_kind kind, struct str name)
{
    int column;

    if (str_eq(name, STR("kind")))
        return (struct field){ FIELD_KIND, -1, name };
    column = column_of(kind, name);
    if (column >= 0)
        return (struct field){ FIELD_COLUMN, column, name };
    if (str_eq(name, STR("duration")) && kind == EVENT_ACCESS_LOG)
        return (struct field){ FIELD_DURATION, ACCESS_LOG_duration_us, name };
    if (str_eq(name, STR("duration")) && kind == EVENT_SPAN)
        return (struct field){ FIELD_DURATION, SPAN_duration_ns, name };
    return (struct field){ FIELD_ATTRIBUTE, -1, name };
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

int logql_stream_labels(enum event_kind kind, const struct matcher *matchers, size_t n, struct arena *a,
                        struct stream_labels *out)
{
    out->n = 0;
    out->v = arena_array(a, ALWAYS + n, sizeof(*out->v));
    if (!out->v)
        return ERR_NOMEM;
    for (size_t i = 0; i < ALWAYS; i++) {
        struct field f = logql_field(kind, always[i]);

        if (f.kind != FIELD_ATTRIBUTE)
            out->v[out->n++] = f;
    }
    for (size_t i = 0; i < n; i++) {
        bool known = false;

        for (size_t k = 0; k < out->n; k++)
            known |= str_eq(out->v[k].name, matchers[i].name);
        if (!known)
            out->v[out->n++] = logql_field(kind, matchers[i].name);
    }
    qsort(out->v, out->n, sizeof(*out->v), by_name);
    return 0;
}

static bool is_text(enum event_kind kind, int column)
{
    return event_tables[kind].columns[column].is_text;
}

bool logql_is_number(enum event_kind kind, const struct field *f)
{
    return f->kind == FIELD_COLUMN && !is_text(kind, f->column);
}

uint64_t logql_field_columns(const struct field *f, bool *attributes)
{
    *attributes |= f->kind == FIELD_ATTRIBUTE;
    return f->column >= 0 ? (uint64_t)1 << f->column : 0;
}

/* Those that access_log_text prints. */
static const int access_line_columns[] = {
    ACCESS_LOG_method, ACCESS_LOG_path, ACCESS_LOG_protocol, ACCESS_LOG_response_code, ACCESS_LOG_response_flags,
    ACCESS_LOG_response_code_details, ACCESS_LOG_connection_termination_details,
    ACCESS_LOG_upstream_transport_failure_reason, ACCESS_LOG_bytes_received, ACCESS_LOG_bytes_sent,
    ACCESS_LOG_duration_us, ACCESS_LOG_upstream_service_time_us, ACCESS_LOG_x_forwarded_for, ACCESS_LOG_user_agent,
    ACCESS_LOG_request_id, ACCESS_LOG_authority, ACCESS_LOG_upstream_host, ACCESS_LOG_upstream_cluster,
    ACCESS_LOG_upstream_local_address, ACCESS_LOG_downstream_local_address, ACCESS_LOG_downstream_remote_address,
    ACCESS_LOG_requested_server_name, ACCESS_LOG_route_name,
};
static const int span_line_columns[] = { SPAN_name, SPAN_duration_ns, SPAN_status, SPAN_trace_id };
static const int log_line_columns[] = { LOG_body };

uint64_t logql_line_columns(enum event_kind kind)
{
    static const struct {
        const int *columns;
        size_t n;
    } all[EVENT_KINDS] = {
        [EVENT_ACCESS_LOG] = { access_line_columns, sizeof(access_line_columns) / sizeof(int) },
        [EVENT_LOG] = { log_line_columns, 1 },
        [EVENT_SPAN] = { span_line_columns, sizeof(span_line_columns) / sizeof(int) },
    };
    uint64_t mask = 0;

    for (size_t i = 0; i < all[kind].n; i++)
        mask |= (uint64_t)1 << all[kind].columns[i];
    return mask;
}

bool logql_number(const struct logql_row *row, int column, int64_t *v)
{
    *v = row->columns[column]->i;
    if (row->kind == EVENT_ACCESS_LOG)
        return *v != -1;
    return row->kind != EVENT_LOG || *v != 0;
}

/* As Go prints a duration of one unit: 850ns, 12.3ms, 2.5s. */
static void put_duration(struct buf *b, int64_t ns)
{
    static const struct {
        int64_t ns;
        const char *unit;
    } units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" }, { 1, "ns" } };
    size_t i = 0;

    while (i < 3 && (ns < 0 ? ns > -units[i].ns : ns < units[i].ns))
        i++;
    buf_printf(b, "%.6g%s", (double)ns / (double)units[i].ns, units[i].unit);
}

struct str logql_text(const struct logql_row *row, const struct field *f, char scratch[32])
{
    int64_t v;

    if (f->kind == FIELD_KIND)
        return event_tables[row->kind].name;
    if (f->kind == FIELD_ATTRIBUTE)
        return labels_get(row->attributes, f->name);
    if (!row->columns[f->column])
        return STR_NULL;
    if (is_text(row->kind, f->column))
        return row->columns[f->column]->s;
    if (!logql_number(row, f->column, &v))
        return STR_NULL;
    if (f->kind == FIELD_DURATION)
        snprintf(scratch, 32, "%" PRId64 "%s", v, row->kind == EVENT_SPAN ? "ns" : "us");
    else
        snprintf(scratch, 32, "%" PRId64, v);
    return str_of(scratch);
}

/* --- structured metadata ----------------------------------------------------------------------------------------- */

/* Whether the column is part of the line or of the stream. */
static bool shown_elsewhere(enum event_kind kind, const struct stream_labels *streams, int column)
{
    if (kind == EVENT_LOG && column == LOG_body)
        return true;
    for (size_t i = 0; i < streams->n; i++)
        if (streams->v[i].kind == FIELD_COLUMN && streams->v[i].column == column)
            return true;
    return false;
}

static bool is_stream_label(const struct stream_labels *streams, struct str name)
{
    for (size_t i = 0; i < streams->n; i++)
        if (str_eq(name, streams->v[i].name))
            return true;
    return false;
}

struct labels logql_metadata(const struct logql_row *row, const struct stream_labels *streams, struct arena *a)
{
    const struct event_table *table = &event_tables[row->kind];
    struct label *v = arena_array(a, table->n + row->attributes.n + 1, sizeof(*v));
    struct labels none = { NULL, 0 };
    size_t n = 0;

    if (!v)
        return none;
    for (size_t i = 0; i < table->n; i++) {
        struct field f = { FIELD_COLUMN, (int)i, table->columns[i].name };
        char scratch[32];
        struct str value = shown_elsewhere(row->kind, streams, (int)i) ? STR_NULL : logql_text(row, &f, scratch);

        if (!value.n)
            continue;
        v[n] = (struct label){ row->kind == EVENT_SPAN && i == SPAN_kind ? span_kind : f.name, arena_str(a, value) };
        if (!v[n++].value.p)
            return none;
    }
    for (size_t i = 0; i < row->attributes.n; i++) {
        const struct label *at = &row->attributes.v[i];

        if (event_column_index(row->kind, at->name) >= 0 || is_stream_label(streams, at->name))
            continue; /* a column of that name says it already */
        v[n] = (struct label){ arena_str(a, at->name), arena_str(a, at->value) };
        if (!v[n].name.p || !v[n++].value.p)
            return none;
    }
    return labels_normalise(v, &n, NULL) < 0 ? none : (struct labels){ v, n };
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static void access_line(struct buf *b, const struct logql_row *row)
{
    struct access_log l;

    access_log_init(&l);
    l.start_ns = row->time_ns;
    for (size_t i = 0; i < ACCESS_LOG_NFIELDS; i++) {
        void *at = (char *)&l + access_log_fields[i].offset;

        if (!row->columns[i])
            continue; /* not part of the line */
        if (access_log_fields[i].is_text)
            *(struct str *)at = row->columns[i]->s;
        else
            *(int64_t *)at = row->columns[i]->i;
    }
    access_log_text(b, &l);
    if (!buf_failed(b) && b->n && b->p[b->n - 1] == '\n')
        b->n--;
}

static void span_line(struct buf *b, const struct logql_row *row)
{
    static const char *const statuses[] = { "unset", "ok", "error" };
    int64_t status = row->columns[SPAN_status]->i;

    buf_str(b, row->columns[SPAN_name]->s);
    buf_puts(b, " duration=");
    put_duration(b, row->columns[SPAN_duration_ns]->i);
    buf_puts(b, " status=");
    buf_puts(b, status >= 0 && status <= 2 ? statuses[status] : "unknown");
    buf_puts(b, " trace_id=");
    buf_str(b, row->columns[SPAN_trace_id]->s);
}

void logql_line(struct buf *b, const struct logql_row *row)
{
    switch (row->kind) {
    case EVENT_ACCESS_LOG:
        access_line(b, row);
        return;
    case EVENT_SPAN:
        span_line(b, row);
        return;
    case EVENT_LOG:
    case EVENT_KINDS:
        buf_str(b, row->columns[LOG_body]->s);
        return;
    }
}
