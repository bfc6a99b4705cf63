/* lb.c: least request by the power of two choices, smooth round robin, random; all weighted.
 *
 * Least request looks at two hosts drawn at random and takes the one with fewer requests under way per weight: nearly
 * as even as looking at all of them, and workers that do not know of one another do not run to the same host
 * (Mitzenmacher 2001; Envoy's default). Round robin is smooth: of weights 5, 1, 1 the first is spread out. */
#include "proxy/lb.h"

enum { PICKS = 5 }; /* Envoy's hostSelectionRetryMaxAttempts, as Istio sets it */

void lb_init(struct lb *l, enum lb_policy policy, struct lb_slot *slots, size_t n)
{
    *l = (struct lb){ .policy = policy, .slots = slots, .n = n, .equal = true };
    for (size_t i = 0; i < n; i++) {
        l->total_weight += slots[i].weight;
        l->equal &= slots[i].weight == slots[0].weight;
    }
}

static size_t pick_random(const struct lb *l, struct rng *rng)
{
    uint64_t at;
    size_t i = 0;

    if (l->equal)
        return (size_t)rng_below(rng, l->n);
    at = rng_below(rng, l->total_weight);
    while (at >= l->slots[i].weight)
        at -= l->slots[i++].weight;
    return i;
}

static size_t pick_round_robin(struct lb *l)
{
    size_t best = 0;

    for (size_t i = 0; i < l->n; i++) {
        l->slots[i].credit += l->slots[i].weight;
        if (l->slots[i].credit > l->slots[best].credit)
            best = i;
    }
    l->slots[best].credit -= (int64_t)l->total_weight;
    return best;
}

static size_t pick_least_request(const struct lb *l, struct rng *rng)
{
    size_t a = pick_random(l, rng), b = pick_random(l, rng);
    uint64_t load_a = ((uint64_t)*l->slots[a].active + 1) * l->slots[b].weight;
    uint64_t load_b = ((uint64_t)*l->slots[b].active + 1) * l->slots[a].weight;

    return load_b < load_a ? b : a;
}

static bool was_tried(size_t slot, const uint32_t *tried, size_t ntried)
{
    for (size_t k = 0; k < ntried; k++)
        if (tried[k] == slot)
            return true;
    return false;
}

long lb_pick(struct lb *l, struct rng *rng, const uint32_t *tried, size_t ntried)
{
    size_t pick = 0;

    if (l->n == 0)
        return -1;
    for (int i = 0; i < PICKS; i++) {
        pick = l->policy == LB_ROUND_ROBIN ? pick_round_robin(l) :
               l->policy == LB_LEAST_REQUEST ? pick_least_request(l, rng) :
                                             pick_random(l, rng); /* a hash without its key goes anywhere */
        if (!was_tried(pick, tried, ntried))
            break;
    }
    return (long)pick;
}

long lb_pick_hash(const struct lb *l, uint64_t hash, const uint32_t *tried, size_t ntried)
{
    uint32_t first;

    if (l->table.n == 0)
        return -1;
    first = lb_table_pick(&l->table, hash, 0);
    for (size_t attempt = 0; attempt <= ntried; attempt++) {
        uint32_t pick = lb_table_pick(&l->table, hash, attempt);

        if (!was_tried(pick, tried, ntried))
            return pick;
    }
    return first;
}
