/* crew-internal.h: several threads for what stands below an aggregation, and for what is collected as it is.
 *
 * The series of a heavy selector are split into parts, and each thread runs the same expression over its part, with an
 * arena of its own. What they share is the query's usage, its deadline and its limits (struct eval). */
#ifndef QUERY_CREW_INTERNAL_H
#define QUERY_CREW_INTERNAL_H

#include "query/eval-internal.h"

enum { CREW_MOST = 16 };

struct crew_member {
    struct eval ev;       /* reads its part where n's selector stands */
    const struct grid *g;
    struct stream *in;    /* the expression over the part; or, of a range selector, */
    struct sample_stream *samples;
    struct lookout l;
    void *own;            /* the caller's */
    int rc;
    struct err e;
    struct arena arena;   /* ends with the query's */
};

struct crew {
    struct crew_member *members;
    size_t n;
};

/* How many threads this machine has for one query. */
size_t crew_size(void);
/* `in` is n, opened and not read yet. *out NULL: one thread is better, and goes on with `in`; else `in` must not be
 * read, and each member's is there in its stead. Nothing is running yet. `values`: about how many come of one series. */
int crew_split(struct eval *ev, const struct grid *g, const struct node *n, size_t values, struct crew **out);
/* Runs fn(&members[i]) for all of them at once, and joins: usage of memory and annotations are ev's then. The first
 * error in the order of the members is ev's; 0 or that. */
int crew_run(struct eval *ev, struct crew *c, int (*fn)(struct crew_member *m));

#endif
