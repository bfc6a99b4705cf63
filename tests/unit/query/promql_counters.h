/* promql_counters.h: some random counters in a store: they grow, rest, restart and miss scrapes. */
#ifndef TESTS_UNIT_QUERY_PROMQL_COUNTERS_H
#define TESTS_UNIT_QUERY_PROMQL_COUNTERS_H

#include "base/rand.h"
#include "tests/unit/query/promql_script.h"

enum { SAMPLES = 240, SERIES = 6, GAP = 15000 };

struct counter {
    int64_t t[SAMPLES];
    double v[SAMPLES];
    size_t n;
};

static inline void make_counter(struct rng *r, struct counter *c)
{
    double v = (double)rng_below(r, 100);

    c->n = 0;
    for (int i = 0; i < SAMPLES; i++) {
        if (rng_below(r, 20) == 0)
            v = 0;
        v += rng_below(r, 3) ? (double)rng_below(r, 50) : 0;
        if (rng_below(r, 10) == 0)
            continue;
        c->t[c->n] = (int64_t)i * GAP + (int64_t)rng_below(r, 2000);
        c->v[c->n++] = v;
    }
}

/* Fills counters[0..SERIES) and stores them as c_total{i="0"}, … */
static inline void load_counters(struct script *sc, struct rng *r, struct counter *counters)
{
    struct batch b;
    struct err e = ERR_INIT;

    batch_init(&b, &sc->arena);
    for (size_t i = 0; i < SERIES; i++)
        make_counter(r, &counters[i]);
    for (size_t i = 0; i < SERIES; i++) {
        struct sample *s = arena_array(&sc->arena, SAMPLES, sizeof(*s));
        struct label *l = arena_array(&sc->arena, 2, sizeof(*l));
        struct batch_series bs = { .labels = { l, 2 }, .samples = s, .n = counters[i].n };

        l[0] = (struct label){ STR("__name__"), STR("c_total") };
        l[1] = (struct label){ STR("i"), arena_printf(&sc->arena, "%zu", i) };
        for (size_t k = 0; k < counters[i].n; k++)
            s[k] = (struct sample){ counters[i].t[k], counters[i].v[k] };
        ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    }
    ck_assert_msg(store_commit(sc->st, &b, &e) == 0, "%s", e.msg);
}

#endif
