#include "proxy/lb_table.h"

#include "base/err.h"

#include <stdlib.h>
#include <xxhash.h>

enum { MOST_POINTS = 8 * 1024 * 1024, FEWEST_PLACES = 2 };

struct lb_point {
    uint64_t hash;
    uint32_t slot;
};

uint64_t lb_hash_text(struct str s)
{
    return XXH3_64bits(s.p, s.n);
}

/* ---- ring ---- */

static int by_hash(const void *x, const void *y)
{
    const struct lb_point *a = x, *b = y;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

/* So many points that the slot with the least weight has at least one, and all together at least `size`. */
static double points_per_weight(uint32_t size, uint64_t total, uint32_t least)
{
    double scale = (double)size / (double)total;

    if (scale * least < 1)
        scale = 1.0 / least;
    if (scale * (double)total > MOST_POINTS)
        scale = (double)MOST_POINTS / (double)total;
    return scale;
}

static size_t put_points(struct lb_point *v, size_t n, uint32_t slot, struct str key, size_t count)
{
    uint64_t seed = lb_hash_text(key);

    for (size_t i = 0; i < count; i++)
        v[n++] = (struct lb_point){ XXH3_64bits_withSeed(&i, sizeof(i), seed), slot };
    return n;
}

static int make_ring(struct lb_table *t, struct arena *a, uint32_t size, const struct str *keys,
                     const uint32_t *weights, size_t n)
{
    uint64_t total = 0;
    uint32_t least = UINT32_MAX;
    double scale, target = 0;
    size_t made = 0;

    for (size_t i = 0; i < n; i++) {
        total += weights[i];
        least = weights[i] < least ? weights[i] : least;
    }
    scale = points_per_weight(size, total, least);
    t->ring = arena_array(a, (size_t)(scale * (double)total) + n, sizeof(*t->ring));
    if (!t->ring)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) { /* the fractions that are left over carry on to the next slot */
        target += scale * weights[i];
        made = put_points(t->ring, made, (uint32_t)i, keys[i],
                          target > (double)made ? (size_t)(target - (double)made) : 0);
    }
    if (made == 0)
        made = put_points(t->ring, 0, 0, keys[0], 1);
    qsort(t->ring, made, sizeof(*t->ring), by_hash);
    t->n = made;
    return 0;
}

static size_t next_point(const struct lb_table *t, uint64_t hash)
{
    size_t from = 0, to = t->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (t->ring[middle].hash < hash)
            from = middle + 1;
        else
            to = middle;
    }
    return from < t->n ? from : 0;
}

/* The attempt-th other slot on the way round. */
static uint32_t walk(const struct lb_table *t, size_t at, size_t attempt)
{
    uint32_t slot = t->ring[at].slot;

    for (size_t steps = 1; attempt > 0 && steps < t->n; steps++) {
        uint32_t next = t->ring[(at + steps) % t->n].slot;

        attempt -= next != slot;
        slot = next;
    }
    return slot;
}

/* ---- maglev ---- */

struct permutation {
    uint32_t next, skip; /* the place to look at, and how far it is to the one behind */
    double turn; /* reaches 1 when it may choose */
};

static int make_places(struct lb_table *t, struct arena *a, uint32_t size, const struct str *keys,
                       const uint32_t *weights, size_t n)
{
    struct permutation *v = arena_array(a, n, sizeof(*v));
    uint32_t heaviest = 1, filled = 0;

    size = size < FEWEST_PLACES ? FEWEST_PLACES : size;
    t->places = arena_array(a, size, sizeof(*t->places));
    if (!v || !t->places)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        uint64_t hash = lb_hash_text(keys[i]);

        heaviest = weights[i] > heaviest ? weights[i] : heaviest;
        v[i].next = (uint32_t)(hash % size);
        v[i].skip = (uint32_t)(XXH3_64bits_withSeed(keys[i].p, keys[i].n, 1) % (size - 1)) + 1;
    }
    for (uint32_t i = 0; i < size; i++)
        t->places[i] = UINT32_MAX;
    while (filled < size) {
        for (size_t i = 0; i < n && filled < size; i++) {
            uint32_t place;

            v[i].turn += (double)weights[i] / heaviest;
            if (v[i].turn < 1)
                continue;
            v[i].turn -= 1;
            do {
                place = v[i].next; /* a table's places are looked at eleven times each: no division here */
                v[i].next = place >= size - v[i].skip ? place - (size - v[i].skip) : place + v[i].skip;
            } while (t->places[place] != UINT32_MAX);
            t->places[place] = (uint32_t)i;
            filled++;
        }
    }
    t->n = size;
    return 0;
}

int lb_table_init(struct lb_table *t, struct arena *a, enum lb_policy policy, uint32_t size, const struct str *keys,
                  const uint32_t *weights, size_t n)
{
    *t = (struct lb_table){ .n = 0 };
    if (n == 0)
        return 0;
    return policy == LB_MAGLEV ? make_places(t, a, size, keys, weights, n) :
                                 make_ring(t, a, size, keys, weights, n);
}

uint32_t lb_table_pick(const struct lb_table *t, uint64_t hash, size_t attempt)
{
    if (t->ring)
        return walk(t, next_point(t, hash), attempt);
    return t->places[(hash + attempt) % t->n];
}
