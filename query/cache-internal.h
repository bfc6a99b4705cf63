/* cache-internal.h: the table behind cache.h, and a result in it. */
#ifndef QUERY_CACHE_INTERNAL_H
#define QUERY_CACHE_INTERNAL_H

#include "query/cache.h"
#include "query/eval-internal.h"

#include <sys/queue.h>

/* Rows over a grid, as of a mark of series_changes. Never changes once it is in the cache. */
struct cached {
    atomic_uint holders;
    struct str key;
    struct grid g;
    uint64_t mark;
    struct rows rows;
    struct arena a; /* has all of it */
    int64_t used_ns;
    TAILQ_ENTRY(cached) next;
};

/* A copy of the rows; held once, for the caller. NULL: no memory, or too large to be kept. */
struct cached *cached_new(const struct promql_cache *c, struct str key, const struct grid *g, uint64_t mark,
                          const struct rows *rows);
/* NULL is fine. */
void cached_release(struct cached *x);

/* The result of that key, held for the caller; NULL: there is none. */
struct cached *cache_take(struct promql_cache *c, struct str key);
/* Whether what was taken was of use. */
void cache_count(struct promql_cache *c, bool hit);
/* Takes the place of what has the same key; the cache takes over the caller's hold. NULL is fine. */
void cache_put(struct promql_cache *c, struct cached *x);

/* --- cached.c --- */

/* Whether the node's rows over the grid may come from the cache, and go there. */
bool cached_may(const struct eval *ev, const struct grid *g, const struct node *n);
/* eval_collect_node, by way of the cache where it may. */
int cached_collect(struct eval *ev, const struct grid *g, const struct node *n, struct rows *rows);

#endif
