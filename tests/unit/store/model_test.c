/* model_test.c: random work on a store and on plain arrays: the answers must be the same.
 *
 * Samples come in any order, with repeats and negative times; samples are sealed all the time; ranges are deleted; the
 * store is closed and opened in between. The seed of a failing run is in its message. */
#include "tests/unit/store/fixture.h"

#include "base/rand.h"

enum { SERIES = 6, TIMES = 400, FIRST = -100 };

struct model {
    bool there[SERIES][TIMES];
    double v[SERIES][TIMES];
};

static char dir[64];
static const char *const instances[SERIES] = { "0", "1", "2", "3", "4", "5" };

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static void write_some(struct store *st, struct model *m, struct rng *r)
{
    struct arena a = ARENA_INIT(0);
    struct batch b;
    size_t parts = 1 + rng_below(r, 5);

    batch_init(&b, &a);
    for (size_t p = 0; p < parts; p++) {
        size_t k = rng_below(r, SERIES), n = 1 + rng_below(r, 12), base = rng_below(r, TIMES);
        struct sample *s = arena_array(&a, n, sizeof(*s));

        for (size_t i = 0; i < n; i++) {
            size_t at = rng_below(r, 3) ? (base + i) % TIMES : rng_below(r, TIMES);

            s[i].t = (int64_t)at + FIRST;
            s[i].v = rng_below(r, 4) ? (double)rng_below(r, 100) : 0.1 * (double)at;
            m->there[k][at] = true;
            m->v[k][at] = s[i].v;
        }
        fixture_add(&b, "m", instances[k], 0, s, n);
    }
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    arena_free(&a);
}

static void delete_some(struct store *st, struct model *m, struct rng *r)
{
    struct arena a = ARENA_INIT(0);
    struct matcher matcher;
    size_t k = rng_below(r, SERIES), from = rng_below(r, TIMES), to = from + rng_below(r, 60);
    const struct series_query q = { .matchers = &matcher, .n = 1, .from_ms = (int64_t)from + FIRST,
                                    .to_ms = (int64_t)to + FIRST };

    matcher_init(&matcher, &a, MATCH_EQ, STR("i"), str_of(instances[k]), NULL);
    ck_assert_int_eq(series_delete(st, &q, NULL), 0);
    for (size_t at = from; at <= to && at < TIMES; at++)
        m->there[k][at] = false;
    arena_free(&a);
}

static void compare(struct store *st, const struct model *m, struct rng *r, uint64_t seed)
{
    for (size_t k = 0; k < SERIES; k++) {
        struct arena a = ARENA_INIT(0);
        size_t from = rng_below(r, 3) ? rng_below(r, TIMES) : 0, to = from + rng_below(r, TIMES), n, at = from;
        struct sample *got;

        n = fixture_read(st, "m", instances[k], (int64_t)from + FIRST, (int64_t)to + FIRST, &a, &got);
        for (size_t i = 0; i < n; i++, at++) {
            while (at < TIMES && at <= to && !m->there[k][at])
                at++;
            ck_assert_msg(got[i].t == (int64_t)at + FIRST && got[i].v == m->v[k][at],
                          "seed %llu: series %zu: %lld=%g, should be %lld=%g", (unsigned long long)seed, k,
                          (long long)got[i].t, got[i].v, (long long)at + FIRST, m->v[k][at % TIMES]);
        }
        for (; at <= to && at < TIMES; at++)
            ck_assert_msg(!m->there[k][at], "seed %llu: series %zu: %lld is missing", (unsigned long long)seed, k,
                          (long long)at + FIRST);
        arena_free(&a);
    }
}

START_TEST(agrees_with_plain_arrays)
{
    struct rng r, seeds;
    struct model m = { 0 };
    struct store *st;
    uint64_t seed;

    rng_seed(&seeds);
    seed = rng_next(&seeds);
    r = (struct rng){ { seed, 1, 2, 3 } };
    st = fixture_open_sealing(dir, 200);
    for (int round = 0; round < 400; round++) {
        switch (rng_below(&r, 24)) {
        case 0:
            store_close(st);
            st = fixture_open_sealing(dir, 50 + rng_below(&r, 1000));
            break;
        case 1:
            delete_some(st, &m, &r);
            break;
        case 2:
        case 3:
            compare(st, &m, &r, seed);
            break;
        case 4:
            ck_assert_int_eq(store_retain(st, 0, NULL), 0); /* forgets series left empty */
            break;
        default:
            write_some(st, &m, &r);
        }
    }
    for (int last = 0; last < 2; last++) {
        compare(st, &m, &r, seed);
        store_close(st);
        st = fixture_open_sealing(dir, 50);
    }
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store model");
    TCase *tc = tcase_create("model");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, agrees_with_plain_arrays, 0, 6);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
