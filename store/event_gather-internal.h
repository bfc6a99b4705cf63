/* event_gather-internal.h: rows picked from several sources of one table, column by column, in a wanted order. */
#ifndef STORE_EVENT_GATHER_INTERNAL_H
#define STORE_EVENT_GATHER_INTERNAL_H

#include "base/buf.h"
#include "store/event_column-internal.h"

struct event_gather {
    struct event_source *const *sources;
    size_t nsources;
    enum event_kind kind;
    size_t n; /* at most EVENT_SOURCE_ROWS */
    /* Row i of the result is row rows[i] of sources[from[i]]. */
    const uint32_t *from, *rows;
    bool *used;               /* sources that rows are taken from */
    struct event_coder coder; /* what it was asked for last is in here */
    struct arena loaded;      /* and in here */
    struct buf sets;          /* and in here */
};

/* `g` has its sources, kind, n, from and rows; event_gather_fini is due when this returned 0. ERR_NOMEM. */
int event_gather_init(struct event_gather *g, struct err *e);
void event_gather_fini(struct event_gather *g);
int event_gather_times(struct event_gather *g, int64_t *ns, struct err *e);
/* A column of all rows, valid until the next one. CONST with has_unset: no row has a value. */
int event_gather_column(struct event_gather *g, struct event_field f, struct event_coded *out, struct err *e);
/* Names of attributes that are to have a column, those first that most sources have a column for; they live in `a`. */
int event_gather_attributes(struct event_gather *g, struct arena *a, struct str **names, size_t *n, struct err *e);
/* The packed label sets of all attributes that are not among the names. */
int event_gather_overflow(struct event_gather *g, const struct str *names, size_t n, struct event_coded *out,
                          struct err *e);

#endif
