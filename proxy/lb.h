/* lb.h: which of a cluster's hosts gets the next request. One per worker and cluster. */
#ifndef PROXY_LB_H
#define PROXY_LB_H

#include "base/rand.h"
#include "mesh/snapshot.h"
#include "proxy/lb_table.h"

struct lb_slot {
    uint32_t weight;        /* > 0 */
    int64_t credit;         /* round robin's */
    const uint32_t *active; /* requests and connections of this worker under way there */
};

struct lb {
    enum lb_policy policy;
    struct lb_slot *slots;  /* the caller's */
    size_t n;
    uint64_t total_weight;
    bool equal;             /* all weights are the same */
    struct lb_table table;  /* of RING_HASH and MAGLEV */
};

void lb_init(struct lb *l, enum lb_policy policy, struct lb_slot *slots, size_t n);
/* The index of a slot, or -1 when there is none. `tried` are indexes better not used again (a retry's earlier hosts):
 * as in Envoy a few picks are made before one of them is taken all the same. */
long lb_pick(struct lb *l, struct rng *rng, const uint32_t *tried, size_t ntried);
/* By consistent hashing; l->table is made. A retry goes on to the next one that was not tried. */
long lb_pick_hash(const struct lb *l, uint64_t hash, const uint32_t *tried, size_t ntried);

#endif
