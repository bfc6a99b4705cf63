#include "store/event_groups-internal.h"

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for groups of events");
}

static uint64_t hash_of(const struct event_groups *g, const union event_value *key)
{
    uint64_t h = 0;

    for (size_t i = 0; i < g->nby; i++) {
        h ^= g->is_text[i] ? str_hash(key[i].s) : (uint64_t)key[i].i;
        h *= 0x9e3779b97f4a7c15;
        h ^= h >> 32;
    }
    return h;
}

static bool same(const struct event_groups *g, const union event_value *x, const union event_value *y)
{
    for (size_t i = 0; i < g->nby; i++)
        if (g->is_text[i] ? !str_eq(x[i].s, y[i].s) : x[i].i != y[i].i)
            return false;
    return true;
}

/* The slot of the key, or the free one where it belongs. */
static uint32_t *slot_of(const struct event_groups *g, const union event_value *key, uint64_t hash)
{
    size_t at = hash & (g->nslots - 1);

    while (g->slots[at] && (g->hashes[g->slots[at] - 1] != hash || !same(g, g->v[g->slots[at] - 1].by, key)))
        at = (at + 1) & (g->nslots - 1);
    return &g->slots[at];
}

/* Slots for twice as many. */
static int spread(struct event_groups *g, struct err *e)
{
    size_t to = g->nslots ? 2 * g->nslots : 64;
    uint32_t *slots = arena_array(g->a, to, sizeof(*slots));

    if (!slots)
        return no_memory(e);
    for (size_t i = 0; i < g->n; i++) {
        size_t at = g->hashes[i] & (to - 1);

        while (slots[at])
            at = (at + 1) & (to - 1);
        slots[at] = (uint32_t)i + 1;
    }
    g->slots = slots;
    g->nslots = to;
    return 0;
}

static int make(struct event_groups *g, const union event_value *key, uint64_t hash, struct err *e)
{
    union event_value *by = arena_array(g->a, g->nby, sizeof(*by));
    double *steps = arena_array(g->a, g->nsteps, sizeof(*steps));

    if (g->n == g->most)
        return err_set(e, ERR_LIMIT, "more than %zu groups of events", g->most);
    if (!by || !steps || arena_grow(g->a, &g->v, &g->cap, g->n + 1, sizeof(*g->v)) < 0 ||
        arena_grow(g->a, &g->hashes, &g->hashes_cap, g->n + 1, sizeof(*g->hashes)) < 0)
        return no_memory(e);
    for (size_t i = 0; i < g->nby; i++) {
        by[i] = key[i];
        if (!g->is_text[i])
            continue;
        by[i].s = arena_str(g->a, key[i].s);
        if (!by[i].s.p)
            return no_memory(e);
    }
    g->v[g->n] = (struct event_group){ by, steps, 0 };
    g->hashes[g->n++] = hash;
    return 0;
}

int event_groups_find(struct event_groups *g, const union event_value *key, size_t *at, struct err *e)
{
    uint64_t hash = hash_of(g, key);
    uint32_t *slot;
    int rc = 0;

    if (2 * (g->n + 1) > g->nslots)
        rc = spread(g, e);
    if (rc < 0)
        return rc;
    slot = slot_of(g, key, hash);
    if (!*slot) {
        rc = make(g, key, hash, e);
        if (rc < 0)
            return rc;
        *slot = (uint32_t)g->n;
    }
    *at = *slot - 1;
    return 0;
}

int event_groups_add(struct event_groups *g, const struct event_groups *more, struct err *e)
{
    for (size_t i = 0; i < more->n; i++) {
        size_t at;
        int rc = event_groups_find(g, more->v[i].by, &at, e);

        if (rc < 0)
            return rc;
        g->v[at].rows += more->v[i].rows;
        for (size_t s = 0; s < g->nsteps; s++)
            g->v[at].steps[s] += more->v[i].steps[s];
    }
    return 0;
}
