/* promql_cache_test.c: a query with the cache answers what it answers without, whatever happens to the samples. */
#include "base/rand.h"
#include "tests/unit/query/promql_script.h"

#include <pthread.h>

enum { GAP = 15000, TARGETS = 5, BEGIN = 200 }; /* scrapes before the first query */
#define CACHE_BYTES ((size_t)1 << 20)

static const char *const queries[] = {
    "rate(c_total[2m])",
    "sum by (i) (rate(c_total[2m]))",
    "sum(rate(c_total[1m])) / count(c_total)",
    "max_over_time(sum(rate(c_total[2m]))[10m:30s])",
    "c_total",
    "-c_total > 5",
    "topk(2, c_total)",
    "quantile(0.5, c_total offset 1m)",
    "absent(c_total{i=\"0\"})",
    "sum by (i) (increase(c_total[3m] anchored))",
    "histogram_quantile(0.9, sum by (le) (rate(h_bucket[2m])))",
    "label_replace(c_total, \"j\", \"$1\", \"i\", \"(.*)\") * on (i) group_left avg by (i) (c_total)",
    "count_values(\"v\", floor(c_total / 100))",
    "sum_over_time(c_total[5m] offset 30s) or vector(time())",
    "sum(c_total offset -1m)",
    "sum(rate(c_total[2m] @ end()))",
    "sum(sum_over_time(c_total[step() * 3]))",
    "{__name__=~\"c_total|h_bucket\"} * 2",
};

struct world {
    struct script sc;
    struct rng r;
    struct promql_cache *cache;
    size_t scrapes, targets;
};

static void add_sample(struct world *w, struct batch *b, const char *name, const char *label, const char *value, int64_t t,
                       double v)
{
    struct arena *a = &w->sc.arena;
    struct label *l = arena_array(a, 2, sizeof(*l));
    struct sample *s = ARENA_NEW(a, struct sample);
    const struct batch_series bs = { .labels = { l, 2 }, .samples = s, .n = 1 };

    l[0] = (struct label){ STR("__name__"), str_of(name) };
    l[1] = (struct label){ str_of(label), arena_str(a, str_of(value)) };
    *s = (struct sample){ t, v };
    ck_assert_int_eq(batch_add_series(b, &bs), 0);
}

static void commit(struct world *w, struct batch *b)
{
    struct err e = ERR_INIT;

    ck_assert_msg(store_commit(w->sc.st, b, &e) == 0, "%s", e.msg);
}

/* All targets but some, at one time each scrape. */
static void scrape(struct world *w)
{
    static const char *const les[] = { "1", "2", "+Inf" };
    int64_t t = (int64_t)w->scrapes++ * GAP;
    char number[24];
    struct batch b;

    batch_init(&b, &w->sc.arena);
    for (size_t i = 0; i < w->targets; i++) {
        snprintf(number, sizeof(number), "%zu", i);
        if (rng_below(&w->r, 8))
            add_sample(w, &b, "c_total", "i", number, t, (double)(w->scrapes * (i + 1) + rng_below(&w->r, 3)));
        else if (rng_below(&w->r, 2))
            add_sample(w, &b, "c_total", "i", number, t, script_stale());
    }
    for (size_t i = 0; i < 3; i++)
        add_sample(w, &b, "h_bucket", "le", les[i], t, (double)(w->scrapes * (i + 1)));
    commit(w, &b);
}

/* A sample among those that are there. */
static void come_late(struct world *w)
{
    struct batch b;

    batch_init(&b, &w->sc.arena);
    add_sample(w, &b, "c_total", "i", "1", (int64_t)rng_below(&w->r, w->scrapes * GAP), (double)rng_below(&w->r, 1000));
    commit(w, &b);
}

static void delete_some(struct world *w)
{
    const struct matcher m = { MATCH_EQ, STR("i"), STR("2"), NULL };
    int64_t from = (int64_t)rng_below(&w->r, w->scrapes * GAP);
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = from, .to_ms = from + 20 * GAP };
    struct err e = ERR_INIT;

    ck_assert_msg(series_delete(w->sc.st, &q, &e) == 0, "%s", e.msg);
}

static void happen(struct world *w)
{
    switch (rng_below(&w->r, 12)) {
    case 0:
        come_late(w);
        break;
    case 1:
        w->targets++;
        break;
    case 2:
        delete_some(w);
        break;
    default:
        for (size_t n = rng_below(&w->r, 4); n; n--)
            scrape(w);
    }
}

static struct promql_value *ask(struct world *w, const char *text, struct promql_window at, struct promql_cache *cache,
                                struct arena *a)
{
    const struct promql_limits limits = { .cache = cache };
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(a, str_of(text), &e);
    struct promql_value *v = x ? promql_eval(w->sc.st, x, at, &limits, a, &e) : NULL;

    ck_assert_msg(v != NULL, "%s: %s", text, e.msg);
    return v;
}

static void assert_same_series(const char *text, const struct promql_series *a, const struct promql_series *b)
{
    ck_assert_msg(labels_cmp(a->labels, b->labels) == 0, "%s: other labels", text);
    ck_assert_msg(a->n == b->n, "%s: %zu points, should be %zu", text, a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        ck_assert_msg(a->t[i] == b->t[i], "%s: a point at %lld, should be at %lld", text, (long long)a->t[i],
                      (long long)b->t[i]);
        ck_assert_msg(script_same(b->v[i], a->v[i]), "%s: at %lld %.17g, should be %.17g", text, (long long)a->t[i], a->v[i],
                      b->v[i]);
    }
}

static void compare(struct world *w, const char *text, struct promql_window at)
{
    struct arena a = ARENA_INIT(0);
    const struct promql_value *got = ask(w, text, at, w->cache, &a), *want = ask(w, text, at, NULL, &a);
    struct promql_cache_stats s;

    ck_assert_msg(got->n == want->n, "%s: %zu series, should be %zu", text, got->n, want->n);
    for (size_t i = 0; i < got->n; i++)
        assert_same_series(text, &got->series[i], &want->series[i]);
    ck_assert_uint_eq(got->nwarnings, want->nwarnings);
    ck_assert_uint_eq(got->ninfos, want->ninfos);
    promql_cache_stats(w->cache, &s);
    ck_assert_uint_le(s.bytes, CACHE_BYTES);
    arena_free(&a);
}

/* A window that ends about now, as a dashboard's: steps stand at multiples of the step. */
static struct promql_window window_of(struct world *w)
{
    int64_t step = rng_below(&w->r, 2) ? 15000 : 20000, now = (int64_t)w->scrapes * GAP;
    int64_t end = (now + (int64_t)rng_below(&w->r, 3 * (uint64_t)GAP)) / step * step;

    return (struct promql_window){ end - (int64_t)(20 + rng_below(&w->r, 100)) * step, end, step };
}

static void open_world(struct world *w, uint64_t seed)
{
    *w = (struct world){ .r = { { seed + 99, 2, 3, 4 } }, .targets = TARGETS };
    script_open(&w->sc, "cache");
    w->cache = promql_cache_new(CACHE_BYTES);
    while (w->scrapes < BEGIN)
        scrape(w);
}

static void close_world(struct world *w)
{
    promql_cache_free(w->cache);
    script_close(&w->sc);
}

START_TEST(answers_as_without)
{
    struct promql_cache_stats s;
    struct world w;

    open_world(&w, (uint64_t)_i);
    for (int round = 0; round < 40; round++) {
        struct promql_window at = window_of(&w);

        for (size_t i = 0; i < COUNT(queries); i++)
            compare(&w, queries[i], at);
        compare(&w, queries[3], (struct promql_window){ at.end_ms, at.end_ms, 0 });
        happen(&w);
    }
    promql_cache_stats(w.cache, &s);
    ck_assert_uint_gt(s.hits, 100);
    close_world(&w);
}
END_TEST

static const struct {
    const char *query;
    bool kept;
} kinds[] = {
    { "sum(c_total)", true },
    { "c_total offset 1m", true },
    { "sum(rate(c_total[1m])) / sum(rate(c_total[2m]))", true },
    { "histogram_quantile(0.9, sum by (le) (rate(h_bucket[2m])))", true }, /* the sum */
    { "sum(c_total offset -1m)", false },
    { "sum(c_total @ 100)", false },
    { "c_total + start()", false },
    { "rate(c_total[step() * 3])", false },
    { "sum(increase(c_total[2m] smoothed))", false },
    { "rate({__name__=\"c_total\",i=\"1\"}[2m])", true },
    { "rate(h_bucket[2m]) + rate(gauge[2m])", true },
    { "histogram_quantile(0.9, h_bucket)", false },
    { "info(c_total)", false },
};

/* Asked twice, the second time is known; and again when a sample has come in the middle, but not when at the beginning. */
START_TEST(keeps_what_depends_on_the_past_alone)
{
    const struct promql_window at = { 100 * GAP, 180 * GAP, GAP };
    const int64_t changed[] = { 150 * GAP, 100 * GAP };
    uint64_t hits = 0;
    struct world w;

    open_world(&w, 0);
    for (int k = 0; k < 4; k++) {
        struct promql_cache_stats s;
        struct batch b;

        compare(&w, kinds[_i].query, at);
        promql_cache_stats(w.cache, &s);
        ck_assert_msg((s.hits > hits) == (kinds[_i].kept && (k == 1 || k == 2)), "%s, time %d", kinds[_i].query, k);
        hits = s.hits;
        if (k == 0)
            continue;
        batch_init(&b, &w.sc.arena);
        add_sample(&w, &b, "c_total", "i", "1", changed[(k - 1) % 2], 77);
        commit(&w, &b);
    }
    close_world(&w);
}
END_TEST

START_TEST(lets_go)
{
    const struct promql_window at = { 100 * GAP, 180 * GAP, GAP };
    struct promql_cache_stats s;
    struct world w;
    char query[64];

    open_world(&w, 0);
    for (int i = 0; i < 2000; i++) {
        snprintf(query, sizeof(query), "c_total + %d", i);
        compare(&w, query, at);
    }
    promql_cache_stats(w.cache, &s);
    ck_assert_uint_gt(s.results, 10);
    ck_assert_uint_lt(s.results, 1000);
    promql_cache_trim(w.cache, 3600 * 1000);
    promql_cache_stats(w.cache, &s);
    ck_assert_uint_gt(s.results, 10);
    promql_cache_trim(w.cache, -1);
    promql_cache_stats(w.cache, &s);
    ck_assert_uint_eq(s.results, 0);
    ck_assert_uint_eq(s.bytes, 0);
    close_world(&w);
}
END_TEST

enum { READERS = 3, ROUNDS = 60 };

static void *read_on(void *arg)
{
    struct world *w = arg;

    for (int64_t i = 0; i < ROUNDS; i++) {
        struct arena a = ARENA_INIT(0);

        ask(w, queries[i % 4], (struct promql_window){ (100 + i) * GAP, (180 + i) * GAP, GAP }, w->cache, &a);
        promql_cache_trim(w->cache, i % 8 ? 60000 : 0);
        arena_free(&a);
    }
    return NULL;
}

/* Readers and a writer at once; what they leave in the cache is right. */
START_TEST(is_shared_by_threads)
{
    pthread_t readers[READERS];
    struct world w;

    open_world(&w, 5);
    for (size_t i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&readers[i], NULL, read_on, &w), 0);
    for (int i = 0; i < ROUNDS; i++) {
        scrape(&w);
        if (i % 10 == 0)
            come_late(&w);
    }
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    for (size_t i = 0; i < COUNT(queries); i++)
        compare(&w, queries[i], (struct promql_window){ 140 * GAP, 250 * GAP, GAP });
    close_world(&w);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_cache");
    TCase *t = tcase_create("cache");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, answers_as_without, 0, 3);
    tcase_add_loop_test(t, keeps_what_depends_on_the_past_alone, 0, COUNT(kinds));
    tcase_add_test(t, lets_go);
    tcase_add_test(t, is_shared_by_threads);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
