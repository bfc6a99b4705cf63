/* logql_row.c: events as LogQL sees them: which columns make the stream, what the line is, and what else is known. */
#include "query/logql-internal.h"

#include <inttypes.h>
#include <stdio.h>

const struct str logql_stream_labels[STREAM_LABELS] = {
    STR_INIT("app"),     STR_INIT("kind"),    STR_INIT("namespace"), STR_INIT("reporter"),
    STR_INIT("service"), STR_INIT("version"), STR_INIT("workload"),
};

/* A span's own kind ("server", "client"): `kind` is the stream's. */
static const struct str span_kind = STR_INIT("span_kind");

/* The service of an access log is the one that was asked. */
static struct str column_name(enum event_kind kind, struct str label)
{
    if (kind == EVENT_ACCESS_LOG && str_eq(label, STR("service")))
        return STR("destination_service_name");
    return label;
}

bool logql_stream_field(enum event_kind kind, struct str name, struct field *f)
{
    for (size_t i = 0; i < STREAM_LABELS; i++) {
        if (!str_eq(name, logql_stream_labels[i]))
            continue;
        *f = (struct field){ FIELD_KIND, -1, name };
        if (str_eq(name, STR("kind")))
            return true;
        f->kind = FIELD_COLUMN;
        f->column = event_column_index(kind, column_name(kind, name));
        return f->column >= 0;
    }
    return false;
}

struct field logql_field(enum event_kind kind, struct str name)
{
    struct field f;
    int column;

    if (logql_stream_field(kind, name, &f))
        return f;
    if (kind == EVENT_ACCESS_LOG && str_eq(name, STR("status")))
        name = STR("response_code");
    column = kind == EVENT_SPAN && str_eq(name, span_kind) ? SPAN_kind : event_column_index(kind, name);
    if (column >= 0)
        return (struct field){ FIELD_COLUMN, column, name };
    if (str_eq(name, STR("duration")) && kind == EVENT_ACCESS_LOG)
        return (struct field){ FIELD_DURATION, ACCESS_LOG_duration_us, name };
    if (str_eq(name, STR("duration")) && kind == EVENT_SPAN)
        return (struct field){ FIELD_DURATION, SPAN_duration_ns, name };
    return (struct field){ FIELD_ATTRIBUTE, -1, name };
}

static bool is_text(const struct logql_row *row, int column)
{
    return event_tables[row->kind].columns[column].is_text;
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
    if (f->kind == FIELD_COLUMN && is_text(row, f->column))
        return row->columns[f->column]->s;
    if (!logql_number(row, f->column, &v))
        return STR_NULL;
    if (f->kind == FIELD_DURATION)
        snprintf(scratch, 32, "%" PRId64 "%s", v, row->kind == EVENT_SPAN ? "ns" : "us");
    else
        snprintf(scratch, 32, "%" PRId64, v);
    return str_of(scratch);
}

struct labels logql_labels(const struct logql_row *row, struct label out[STREAM_LABELS])
{
    size_t n = 0;
    struct field f;
    char scratch[32];

    for (size_t i = 0; i < STREAM_LABELS; i++) {
        struct str value = STR_NULL;

        if (logql_stream_field(row->kind, logql_stream_labels[i], &f))
            value = logql_text(row, &f, scratch);
        if (value.n)
            out[n++] = (struct label){ logql_stream_labels[i], value };
    }
    return (struct labels){ out, n };
}

/* --- structured metadata ----------------------------------------------------------------------------------------- */

/* Whether the column is part of the line or of the stream. */
static bool shown_elsewhere(enum event_kind kind, int column)
{
    struct field f;

    if (kind == EVENT_LOG && column == LOG_body)
        return true;
    for (size_t i = 0; i < STREAM_LABELS; i++)
        if (logql_stream_field(kind, logql_stream_labels[i], &f) && f.kind == FIELD_COLUMN && f.column == column)
            return true;
    return false;
}

static bool is_stream_label(struct str name)
{
    for (size_t i = 0; i < STREAM_LABELS; i++)
        if (str_eq(name, logql_stream_labels[i]))
            return true;
    return false;
}

struct labels logql_metadata(const struct logql_row *row, struct arena *a)
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
        struct str value = shown_elsewhere(row->kind, (int)i) ? STR_NULL : logql_text(row, &f, scratch);

        if (!value.n)
            continue;
        v[n] = (struct label){ row->kind == EVENT_SPAN && i == SPAN_kind ? span_kind : f.name, arena_str(a, value) };
        if (!v[n++].value.p)
            return none;
    }
    for (size_t i = 0; i < row->attributes.n; i++) {
        const struct label *at = &row->attributes.v[i];

        if (event_column_index(row->kind, at->name) >= 0 || is_stream_label(at->name))
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
