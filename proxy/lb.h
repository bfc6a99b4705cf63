/* lb.h: which of a cluster's hosts gets the next request. One per worker and cluster. */
#ifndef PROXY_LB_H
#define PROXY_LB_H

#include "base/rand.h"
#include "mesh/snapshot.h"
#include "proxy/lb_tables.h"

enum { LB_WHOLE_PPM = 1000000 };

struct lb_slot {
    uint32_t weight;        /* > 0 */
    uint32_t priority;      /* 0 first; slots are in this order */
    const uint32_t *active; /* requests and connections of this worker under way there */
    /* What lb_update reads; the caller keeps it up to date. */
    bool ejected;
    uint32_t share_ppm;     /* of its weight that counts while it warms up */
    /* lb.c's */
    uint64_t effective;     /* the weight that counts now */
    int64_t credit;         /* round robin's */
};

/* The slots of one priority. */
struct lb_level {
    uint32_t first, n;
    uint32_t *usable;       /* indexes of the slots that count now, n of them at most */
    uint32_t nusable;
    bool panic;             /* too few are healthy: ejected ones count, too */
    bool equal;             /* all weights are the same */
    uint64_t total_weight;
    uint32_t percent;       /* of the requests */
    const struct lb_table *table; /* of RING_HASH and MAGLEV; of all slots, from 0 */
};

/* For policies that hash. */
struct lb_hashing {
    struct lb_tables *tables; /* where they come from; outlives the balancer */
    const struct str *keys;   /* name the slots, the same from one snapshot to the next */
    uint32_t size;            /* of a table */
};

struct lb {
    enum lb_policy policy;
    struct lb_slot *slots;  /* the caller's */
    size_t n;
    struct lb_level *levels;
    size_t nlevels;
    struct lb_tables *tables;    /* of the levels' tables */
    const struct lb_level *only; /* gets all requests; NULL: several share them */
};

/* `hashing` counts where the policy hashes. Memory is of `a`. 0 or ERR_NOMEM: to be ended all the same. */
int lb_init(struct lb *l, struct arena *a, enum lb_policy policy, struct lb_slot *slots, size_t n,
            const struct lb_hashing *hashing);
/* Zeroed storage may be ended, too. */
void lb_fini(struct lb *l);
/* After slots' `ejected` or `share_ppm` have changed. Below `min_health_percent` of healthy ones all are taken. */
void lb_update(struct lb *l, uint32_t min_health_percent);
/* The index of a slot, or -1 when there is none. `tried` are indexes better not used again (a retry's earlier hosts):
 * as in Envoy a few picks are made before one of them is taken all the same. */
long lb_pick(struct lb *l, struct rng *rng, const uint32_t *tried, size_t ntried);
/* By consistent hashing. One that is tried already or ejected leaves its requests to the next on the way. */
long lb_pick_hash(const struct lb *l, uint64_t hash, const uint32_t *tried, size_t ntried);

static inline bool lb_hashes(const struct lb *l)
{
    return l->policy == LB_RING_HASH || l->policy == LB_MAGLEV;
}

/* How much of its weight a host has `age_ms` after it came: Envoy's slow start, in ppm. */
uint32_t lb_warmup_ppm(const struct cluster *c, int64_t age_ms);

#endif
