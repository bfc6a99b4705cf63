/* logql-internal.h: a parsed LogQL query, and a row of events as LogQL sees it. */
#ifndef QUERY_LOGQL_INTERNAL_H
#define QUERY_LOGQL_INTERNAL_H

#include "query/logql.h"
#include "store/matcher.h"

enum { LOGQL_MAX_DEPTH = 64, LOGQL_MAX_TEXT = 1 << 16 };

enum predicate_kind { PREDICATE_AND, PREDICATE_OR, PREDICATE_TEXT, PREDICATE_NUMBER };

/* What a literal measures: a plain number, seconds, bytes. The label's value is read in the same way. */
enum measure { MEASURE_NUMBER, MEASURE_DURATION, MEASURE_BYTES };

struct predicate {
    enum predicate_kind kind;
    size_t id;                     /* TEXT, NUMBER: from 0, each its own */
    const struct predicate *l, *r; /* AND, OR */
    struct matcher text;           /* TEXT */
    struct str name;               /* NUMBER */
    enum event_op op;
    enum measure measure;
    double value;
};

struct line_filter {
    bool negative, is_regex;
    struct line_alternative {
        struct str text;
        struct regex *re; /* of a regex filter: finds anywhere */
    } *any;               /* at least one */
    size_t n;
};

enum stage_kind { STAGE_LINE, STAGE_LABEL };

struct stage {
    enum stage_kind kind;
    struct line_filter line;
    const struct predicate *label;
};

struct logql_expr {
    const struct matcher *matchers;
    size_t nmatchers;
    const struct stage *stages;
    size_t nstages;
    size_t ncomparisons; /* how many ids predicates have */
};

/* 10KB, 1.5MiB, 12B; false for anything else. */
bool logql_bytes(struct str s, double *v);

/* --- logql_row.c --- */

/* One row of a page; its columns are those of its table. */
struct logql_row {
    enum event_kind kind;
    int64_t time_ns;
    const union event_value *columns[EVENT_MAX_COLUMNS]; /* each points to this row's value */
    struct labels attributes;
};

enum field_kind { FIELD_KIND, FIELD_COLUMN, FIELD_DURATION, FIELD_ATTRIBUTE };

/* What a label's name means in one table. */
struct field {
    enum field_kind kind;
    int column;      /* of COLUMN, and of DURATION the column that holds it */
    struct str name; /* of ATTRIBUTE */
};

/* The labels that make a stream, in the order of their names. */
enum { STREAM_LABELS = 7 };
extern const struct str logql_stream_labels[STREAM_LABELS];

/* In a selector only the stream labels mean something: -1 for others, else the column (or FIELD_KIND). */
bool logql_stream_field(enum event_kind kind, struct str name, struct field *f);
/* In a pipeline: stream labels, columns, the aliases status and duration, attributes. */
struct field logql_field(enum event_kind kind, struct str name);
/* The column's number, unless it is unset. */
bool logql_number(const struct logql_row *row, int column, int64_t *v);
/* A field as text; numbers are printed into `scratch`. */
struct str logql_text(const struct logql_row *row, const struct field *f, char scratch[32]);

struct labels logql_labels(const struct logql_row *row, struct label out[STREAM_LABELS]);
/* All that is neither line nor stream label. Strings are copied; v NULL when there is no memory. */
struct labels logql_metadata(const struct logql_row *row, struct arena *a);
/* Appends the row's line, without a newline. */
void logql_line(struct buf *b, const struct logql_row *row);

#endif
