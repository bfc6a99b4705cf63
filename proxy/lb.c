/* lb.c: least request by the power of two choices, smooth round robin, random, consistent hashing; all weighted.
 *
 * Least request looks at two hosts drawn at random and takes the one with fewer requests under way per weight: nearly
 * as even as looking at all of them, and workers that do not know of one another do not run to the same host
 * (Mitzenmacher 2001; Envoy's default). Round robin is smooth: of weights 5, 1, 1 the first is spread out.
 *
 * Priorities  Each level takes as much as it is healthy: hosts that answer count 1.4-fold, so that a level gives none
 *             away before two sevenths of it are gone; what is left over goes to the next (Envoy's overprovisioning).
 * Panic       When all levels together cannot take everything, one with less than the least health there should be
 *             uses all of its hosts: some of them are perhaps not as bad as they seem, and the rest would drown.
 * Cost        All this is worked out when something changes (lb_update), not for each request. */
#include "proxy/lb.h"

#include "base/err.h"

#include <math.h>

enum {
    PICKS = 5,              /* Envoy's hostSelectionRetryMaxAttempts, as Istio sets it */
    OVERPROVISIONING = 140, /* percent */
    WARM_SCALE = 1000       /* of weights while some of them are parts: a thousandth is the finest share */
};

static size_t count_levels(const struct lb_slot *slots, size_t n)
{
    size_t levels = n > 0;

    for (size_t i = 1; i < n; i++)
        levels += slots[i].priority != slots[i - 1].priority;
    return levels;
}

static int make_table(struct lb_level *level, const struct lb *l, struct arena *a, const struct lb_hashing *hashing)
{
    uint32_t *weights = arena_array(a, level->n, sizeof(*weights));

    if (!weights)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < level->n; i++)
        weights[i] = l->slots[level->first + i].weight;
    level->table = lb_tables_get(hashing->tables, l->policy, hashing->size, hashing->keys + level->first, weights,
                                 level->n);
    return level->table ? 0 : ERR_NOMEM;
}

int lb_init(struct lb *l, struct arena *a, enum lb_policy policy, struct lb_slot *slots, size_t n,
            const struct lb_hashing *hashing)
{
    size_t nlevels = count_levels(slots, n);
    uint32_t *usable = arena_array(a, n, sizeof(*usable));
    struct lb_level *levels = arena_array(a, nlevels, sizeof(*levels));

    *l = (struct lb){ .policy = policy, .slots = slots, .levels = levels, .only = levels, .tables = hashing->tables };
    if (!usable || !levels)
        return ERR_NOMEM;
    l->n = n;
    l->nlevels = nlevels;
    for (size_t i = 0, at = 0; i < n; i++) {
        if (i > 0 && slots[i].priority != slots[i - 1].priority)
            at++;
        if (levels[at].n == 0) {
            levels[at].first = (uint32_t)i;
            levels[at].usable = usable + i;
        }
        levels[at].n++;
    }
    for (size_t i = 0; lb_hashes(l) && i < nlevels; i++)
        if (make_table(&levels[i], l, a, hashing) < 0)
            return ERR_NOMEM;
    lb_update(l, 0);
    return 0;
}

void lb_fini(struct lb *l)
{
    for (size_t i = 0; i < l->nlevels; i++)
        lb_tables_put(l->tables, l->levels[i].table);
    l->nlevels = 0;
}

/* ---- what counts now ---- */

static uint32_t healthy(const struct lb *l, const struct lb_level *level)
{
    uint32_t n = 0;

    for (uint32_t i = level->first; i < level->first + level->n; i++)
        n += !l->slots[i].ejected;
    return n;
}

static void set_weights(struct lb *l)
{
    bool warming = false;

    for (size_t i = 0; i < l->n; i++)
        warming |= l->slots[i].share_ppm < LB_WHOLE_PPM;
    for (size_t i = 0; i < l->n; i++) {
        struct lb_slot *s = &l->slots[i];
        uint64_t part = (uint64_t)s->weight * s->share_ppm / (LB_WHOLE_PPM / WARM_SCALE);

        s->effective = !warming ? s->weight : part > 0 ? part : 1;
    }
}

static void set_usable(const struct lb *l, struct lb_level *level)
{
    level->nusable = 0;
    level->total_weight = 0;
    level->equal = true;
    for (uint32_t i = level->first; i < level->first + level->n; i++) {
        if (l->slots[i].ejected && !level->panic)
            continue;
        level->usable[level->nusable++] = i;
        level->total_weight += l->slots[i].effective;
        level->equal &= l->slots[i].effective == l->slots[level->usable[0]].effective;
    }
}

/* What levels can take, in percent of all; theirs together is 100 at most. Those in panic share by their numbers when
 * none can take anything. */
static void set_percents(struct lb *l, uint32_t together)
{
    uint32_t left = 100;

    for (size_t i = 0; together > 0 && i < l->nlevels; i++) {
        struct lb_level *level = &l->levels[i];
        uint32_t can = level->percent * 100 / together;

        level->percent = can < left ? can : left;
        left -= level->percent;
    }
    for (size_t i = 0; together == 0 && i < l->nlevels; i++) {
        l->levels[i].percent = (uint32_t)((uint64_t)l->levels[i].n * 100 / l->n);
        left -= l->levels[i].percent;
    }
    for (size_t i = 0; left > 0 && i < l->nlevels; i++) { /* what rounding has left over */
        if (l->levels[i].nusable == 0 && i + 1 < l->nlevels)
            continue;
        l->levels[i].percent += left;
        left = 0;
    }
}

void lb_update(struct lb *l, uint32_t min_health_percent)
{
    uint32_t together = 0;

    set_weights(l);
    for (size_t i = 0; i < l->nlevels; i++) {
        struct lb_level *level = &l->levels[i];
        uint64_t percent = (uint64_t)healthy(l, level) * OVERPROVISIONING / level->n;

        level->percent = percent < 100 ? (uint32_t)percent : 100;
        together = together + level->percent < 100 ? together + level->percent : 100;
    }
    for (size_t i = 0; i < l->nlevels; i++) {
        struct lb_level *level = &l->levels[i];

        level->panic = together < 100 && (uint64_t)healthy(l, level) * 100 < (uint64_t)min_health_percent * level->n;
        set_usable(l, level);
    }
    set_percents(l, together);
    l->only = NULL;
    for (size_t i = 0; i < l->nlevels; i++)
        if (l->levels[i].percent == 100)
            l->only = &l->levels[i];
}

uint32_t lb_warmup_ppm(const struct cluster *c, int64_t age_ms)
{
    double least = c->warmup_percent / 100.0, part;

    if (c->warmup_ms <= 0 || age_ms >= c->warmup_ms)
        return LB_WHOLE_PPM;
    part = pow((double)(age_ms > 0 ? age_ms : 1) / (double)c->warmup_ms,
               c->warmup_aggression > 0 ? 1 / c->warmup_aggression : 1);
    return (uint32_t)((part < least ? least : part) * LB_WHOLE_PPM);
}

/* ---- picking ---- */

static const struct lb_level *level_at(const struct lb *l, uint32_t percent)
{
    size_t i = 0;

    if (l->only || l->nlevels == 0)
        return l->only;
    while (i + 1 < l->nlevels && percent >= l->levels[i].percent)
        percent -= l->levels[i++].percent;
    return &l->levels[i];
}

static uint32_t pick_random(const struct lb *l, const struct lb_level *level, struct rng *rng)
{
    uint64_t at;
    size_t i = 0;

    if (level->equal)
        return level->usable[rng_below(rng, level->nusable)];
    at = rng_below(rng, level->total_weight);
    while (at >= l->slots[level->usable[i]].effective)
        at -= l->slots[level->usable[i++]].effective;
    return level->usable[i];
}

static uint32_t pick_round_robin(struct lb *l, const struct lb_level *level)
{
    uint32_t best = level->usable[0];

    for (uint32_t i = 0; i < level->nusable; i++) {
        struct lb_slot *s = &l->slots[level->usable[i]];

        s->credit += (int64_t)s->effective;
        if (s->credit > l->slots[best].credit)
            best = level->usable[i];
    }
    l->slots[best].credit -= (int64_t)level->total_weight;
    return best;
}

static uint32_t pick_least_request(const struct lb *l, const struct lb_level *level, struct rng *rng)
{
    uint32_t a = pick_random(l, level, rng), b = pick_random(l, level, rng);
    double load_a = ((double)*l->slots[a].active + 1) * (double)l->slots[b].effective;
    double load_b = ((double)*l->slots[b].active + 1) * (double)l->slots[a].effective;

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
    long pick = -1;

    for (int i = 0; i < PICKS; i++) {
        const struct lb_level *level = level_at(l, l->only ? 0 : (uint32_t)rng_below(rng, 100));

        if (!level || level->nusable == 0)
            return pick;
        pick = l->policy == LB_ROUND_ROBIN ? pick_round_robin(l, level) :
               l->policy == LB_LEAST_REQUEST ? pick_least_request(l, level, rng) :
                                             pick_random(l, level, rng); /* a hash without its key goes anywhere */
        if (!was_tried((size_t)pick, tried, ntried))
            break;
    }
    return pick;
}

long lb_pick_hash(const struct lb *l, uint64_t hash, const uint32_t *tried, size_t ntried)
{
    const struct lb_level *level = level_at(l, (uint32_t)(hash % 100));
    long first = -1;

    if (!level || level->nusable == 0)
        return -1;
    for (size_t attempt = 0; attempt <= level->table->n; attempt++) {
        uint32_t pick = level->first + lb_table_pick(level->table, hash, attempt);

        if (l->slots[pick].ejected && !level->panic)
            continue;
        if (!was_tried(pick, tried, ntried))
            return pick;
        first = first < 0 ? (long)pick : first;
    }
    return first;
}
