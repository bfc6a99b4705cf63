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

/* A hint about lines that are printed of columns and searched for a text. Rows of which no column contains it are passed
 * over, as far as that is told cheaply; others may come, so who asks judges them again. In columns that are not ids it is
 * sought without its first `skip` bytes, which may be of a character that the line shows escaped. */
struct event_needle {
    struct str text;
    size_t skip;
    uint64_t columns;     /* bit i: text column i is in the line */
    struct str attribute; /* and this one, as it is; n 0: none */
};

struct event_query {
    enum event_kind kind;
    int64_t from_ns, to_ns;                  /* from inclusive, to exclusive */
    const struct event_condition *conditions; /* all must hold */
    size_t n;
    const struct event_needle *needles;      /* hints, of each of which the line has the text */
    size_t nneedles;
    uint64_t columns;                        /* bit i: column i is wanted; others are left out of the pages */
    bool attributes;                         /* the maps are wanted */
    bool newest_first;
    size_t limit;                            /* rows in all; 0 = no limit */
    uint64_t after;                          /* only rows committed after events_last() said this; 0 = all */
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

/* How far the table has come: grows with every commit that has rows for it. For event_query.after: whoever follows a table
 * asks for what came since, whatever its time. Only what was committed lately is told apart: after a while, and after a
 * start, rows count as committed before. */
uint64_t events_last(struct store *st, enum event_kind kind);
/* What events_last said when the cursor was opened, no more and no less of which it reads: the `after` of who goes on. */
uint64_t events_reach(const struct event_cursor *c);

/* --- counting, without the rows --- */

/* A column, or (column -1) an attribute by its name. */
struct event_field {
    int column;
    struct str attribute;
};

enum event_measure {
    EVENT_COUNT, /* rows */
    EVENT_SUM,   /* of a number column, over rows where it is set */
    EVENT_BYTES  /* of a text column */
};

struct event_tally {
    struct event_query rows; /* what is counted; needles, columns, attributes, newest_first, limit, after mean nothing here */
    const struct event_field *by; /* rows with the same values of these are one group */
    size_t nby;
    int64_t step_ns;         /* > 0: counted by step; row t belongs to step (t - from_ns) / step_ns. 0: the range is one */
    enum event_measure measure;
    int column;              /* of SUM and BYTES */
    size_t most_groups;      /* ERR_LIMIT beyond */
};

struct event_group {
    const union event_value *by; /* nby values: texts, or numbers of number columns */
    double *steps;               /* one for each step of the range */
    uint64_t rows;
};

/* Groups in no order; without any row there is none. They live in `a`. ERR_INVALID, ERR_LIMIT (groups; steps beyond
 * 1 << 20), ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
int events_tally(struct store *st, const struct event_tally *t, struct arena *a, struct event_group **groups, size_t *n,
                 struct err *e);

/* Distinct values of a text column in the time range, sorted; at most `limit`. For label values and service lists. What
 * stands in blocks that the range only touches may be told, too. */
int events_distinct(struct store *st, enum event_kind kind, int column, int64_t from_ns, int64_t to_ns, size_t limit,
                    struct arena *a, struct str **values, size_t *n, struct err *e);

/* --- all rows in no order: for joins --- */

struct event_strips_query {
    enum event_kind kind;
    int64_t from_ns, to_ns; /* from inclusive, to exclusive */
    uint64_t hashed, coded; /* bit i: text column i, as hashes; as codes */
};

struct event_codes {
    const uint32_t *rows; /* of each row, its value */
    const struct str *values;
    size_t n;
};

/* Rows that stand together, valid until the next ones. Equal texts have equal hashes, in all strips of a process; an
 * unset text has 0. */
struct event_strip {
    size_t n;
    const uint64_t *hashes[EVENT_MAX_COLUMNS];
    struct event_codes codes[EVENT_MAX_COLUMNS];
};

struct event_strips; /* the rows as they are at one moment; one thread's */

/* Lives in `a`, is to be closed before. NULL: ERR_NOMEM, ERR_IO. */
struct event_strips *events_strips_open(struct store *st, const struct event_strips_query *q, struct arena *a,
                                        struct err *e);
uint64_t events_strips_most(const struct event_strips *x); /* rows, at most */
int events_strips_next(struct event_strips *x, struct event_strip *out, struct err *e); /* 1; 0: no more; ERR_* */
void events_strips_rewind(struct event_strips *x);
void events_strips_close(struct event_strips *x); /* NULL is fine */

#endif
