/* logql_row-internal.h: a row of events as LogQL sees it: which columns make the stream, what the line is, and what
 * a label's name means in one table. */
#ifndef QUERY_LOGQL_ROW_INTERNAL_H
#define QUERY_LOGQL_ROW_INTERNAL_H

#include "query/logql-internal.h"

/* One row of a page; its columns are those of its table. */
struct logql_row {
    enum event_kind kind;
    int64_t time_ns;
    const union event_value *columns[EVENT_MAX_COLUMNS]; /* each points to this row's value; NULL: it was not read */
    struct labels attributes;
};

enum field_kind { FIELD_KIND, FIELD_COLUMN, FIELD_DURATION, FIELD_ATTRIBUTE };

/* What a label's name means in one table. */
struct field {
    enum field_kind kind;
    int column;      /* of COLUMN, and of DURATION the column that holds it */
    struct str name; /* as asked for */
};

/* The labels that make a stream of that table, in the order of their names: those of CONTRACT.md, and those that the
 * selector names, so that what was pushed as {job="x"} is a stream of that name when it is asked for so. */
struct stream_labels {
    struct field *v;
    size_t n;
};

/* ERR_NOMEM. */
int logql_stream_labels(enum event_kind kind, const struct matcher *matchers, size_t n, struct arena *a,
                        struct stream_labels *out);
/* Whether the name is a stream's label always. */
bool logql_names_stream(struct str name);
/* Stream labels, columns, the aliases status and duration, attributes. */
struct field logql_field(enum event_kind kind, struct str name);
/* Whether its values are numbers in the table, and it is read as such. */
bool logql_is_number(enum event_kind kind, const struct field *f);
/* Which columns it reads, as a bit mask; *attributes is set when it needs the map. */
uint64_t logql_field_columns(const struct field *f, bool *attributes);
/* Which columns the line is made of. */
uint64_t logql_line_columns(enum event_kind kind);

/* The column's number, unless it is unset. */
bool logql_number(const struct logql_row *row, int column, int64_t *v);
/* A field as text; numbers are printed into `scratch`. */
struct str logql_text(const struct logql_row *row, const struct field *f, char scratch[32]);
/* All that is neither line nor stream label. Strings are copied; v NULL when there is no memory. */
struct labels logql_metadata(const struct logql_row *row, const struct stream_labels *streams, struct arena *a);
/* Appends the row's line, without a newline. */
void logql_line(struct buf *b, const struct logql_row *row);

#endif
