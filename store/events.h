/* events.h: reading events: a table, a time range and conditions in; pages of columns out.
 *
 * Conditions go down to the engine so that it can skip what cannot match. One cursor belongs to one thread. */
#ifndef STORE_EVENTS_H
#define STORE_EVENTS_H

#include "base/regex.h"
#include "store/event.h"
#include "store/store.h"

enum event_op {
    EVENT_EQ, EVENT_NE,              /* text or number */
    EVENT_LT, EVENT_LE, EVENT_GT, EVENT_GE, /* number */
    EVENT_CONTAINS, EVENT_LACKS,     /* text, byte for byte */
    EVENT_RE, EVENT_NRE              /* text; the regex says whether it is anchored */
};

/* A condition on a fixed column (column >= 0) or on an attribute (column -1, by name). Absent text is "". */
struct event_condition {
    int column;
    struct str attribute;
    enum event_op op;
    union event_value value;
    const struct regex *re;
};

struct event_query {
    enum event_kind kind;
    int64_t from_ns, to_ns;                  /* from inclusive, to exclusive */
    const struct event_condition *conditions; /* all must hold */
    size_t n;
    uint64_t columns;                        /* bit i: column i is wanted; others are left out of the pages */
    bool attributes;                         /* the maps are wanted */
    bool newest_first;
    size_t limit;                            /* rows in all; 0 = no limit */
};

struct event_page {
    size_t n;
    const int64_t *time_ns;
    const union event_value *columns[EVENT_MAX_COLUMNS]; /* n values each; NULL when not wanted */
    const struct labels *attributes;                     /* n maps; NULL when not wanted */
};

struct event_cursor;

/* The cursor's own things live in `a`; events_close must be called before arena_free (it releases what the engine holds).
 * NULL: ERR_NOMEM, ERR_IO, ERR_CORRUPT, ERR_INVALID. */
struct event_cursor *events_open(struct store *st, const struct event_query *q, struct arena *a, struct err *e);
/* 1: *page holds the next rows in order of time, valid until the next call; 0: no more; ERR_*. */
int events_next(struct event_cursor *c, struct event_page *page, struct err *e);
void events_close(struct event_cursor *c);

/* Distinct values of a text column in the time range, sorted; at most `limit`. For label values and service lists. */
int events_distinct(struct store *st, enum event_kind kind, int column, int64_t from_ns, int64_t to_ns, size_t limit,
                    struct arena *a, struct str **values, size_t *n, struct err *e);

#endif
