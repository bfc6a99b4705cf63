/* lb_table.h: consistent hashing: which slot a hash belongs to. A hash keeps its slot while others come and go.
 *
 *   ring     each slot owns points on a circle; a hash belongs to the next point (Karger et al., STOC 1997; Envoy's ring_hash)
 *   maglev   each slot fills places of a table by its own permutation, in turns; a hash is a place (Eisenbud et al., NSDI 2016, 3.4)
 *
 * Immutable once made: lives in an arena, may be read from many threads. */
#ifndef PROXY_LB_TABLE_H
#define PROXY_LB_TABLE_H

#include "base/arena.h"
#include "mesh/snapshot.h"

struct lb_point;

struct lb_table {
    size_t n;                /* 0: no slots */
    struct lb_point *ring;   /* sorted by hash; or NULL */
    uint32_t *places;        /* the slot of each place; or NULL */
};

uint64_t lb_hash_text(struct str s);

/* `size`: the ring's least number of points, or the number of maglev's places, a prime. keys[i] names slot i and
 * weights[i] > 0 says its share. 0 or ERR_NOMEM. */
int lb_table_init(struct lb_table *t, struct arena *a, enum lb_policy policy, uint32_t size, const struct str *keys,
                  const uint32_t *weights, size_t n);
/* The slot; with attempt > 0 the ones behind it, for when the first must not be used. t->n > 0. */
uint32_t lb_table_pick(const struct lb_table *t, uint64_t hash, size_t attempt);

#endif
