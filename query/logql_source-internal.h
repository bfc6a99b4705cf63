/* logql_source-internal.h: the rows that a query may be about, from up to three tables, merged by time. */
#ifndef QUERY_LOGQL_SOURCE_INTERNAL_H
#define QUERY_LOGQL_SOURCE_INTERNAL_H

#include "query/logql_pipeline-internal.h"

/* One table. */
struct log_source {
    enum event_kind kind;
    struct stream_labels streams;
    struct pipeline pipeline;
    struct event_condition *conditions;
    size_t n, cap;
    struct event_needle *needles;
    size_t nneedles, needles_cap;
    bool exact;          /* the conditions say all that the query's filters say */
    bool only_filters;   /* the query has no other stages: with `exact`, what comes need not be looked at again */
    uint64_t columns;    /* that are read */
    bool attributes;
    struct event_cursor *cursor;
    struct event_page page;
    size_t at;
    bool open;
};

struct log_sources {
    struct store *st;
    const struct log_query *q;
    struct arena *a;
    struct err *e;
    struct log_source v[EVENT_KINDS];
    size_t n;
    bool newest_first;
};

/* Which rows are read. */
struct log_rows {
    int64_t from_ns, to_ns;      /* from inclusive, to exclusive */
    bool newest_first;
    size_t limit;                /* rows that are enough, where the conditions are exact; 0: all */
    const uint64_t *after;       /* by table: only what came after events_last() said this; NULL: all */
};

/* The tables that may have such rows, each with its conditions; what it reads is what the stages look at. Everything
 * lives in `a`; sources_close is called in any case. 0 or ERR_*. */
int sources_plan(struct log_sources *s, struct store *st, const struct log_query *q, struct arena *a, struct err *e);
/* That the line, a field, or all of a row is read. */
void source_reads_line(struct log_source *s);
void source_reads(struct log_source *s, const struct field *f);
void source_reads_all(struct log_source *s);
int sources_open(struct log_sources *s, const struct log_rows *rows);
/* 1: *row is the next one, of *from; valid until the next call. 0: no more; ERR_*. */
int sources_next(struct log_sources *s, struct log_source **from, struct logql_row *row);
void sources_close(struct log_sources *s);

#endif
