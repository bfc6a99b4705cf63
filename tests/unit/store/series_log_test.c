/* series_log_test.c: series come and go by the hundred thousand: the log and the index keep those that live. */
#include "store/series_log-internal.h"
#include "tests/unit/store/fixture.h"

static char dir[64];

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

enum { GENERATION = 20000, GENERATIONS = 8 };
#define FIRST_DAY ((int64_t)40000 * PARTITION_MS) /* to come: nothing of it is too old for the clock on the wall */

static struct labels labels_of(struct arena *a, size_t generation, size_t i)
{
    struct label *v = arena_array(a, 3, sizeof(*v));

    v[0] = (struct label){ STR("__name__"), STR("m") };
    v[1] = (struct label){ STR("i"), arena_printf(a, "%zu", i % 40) };
    v[2] = (struct label){ STR("pod"), arena_printf(a, "pod-%zu-%zu", generation, i / 40) };
    return (struct labels){ v, 3 };
}

/* A generation of series, each with one sample; another day for each generation. */
static void write_generation(struct store *st, size_t generation)
{
    struct arena a = ARENA_INIT(0);
    struct sample s = { FIRST_DAY + (int64_t)generation * PARTITION_MS, 1 };
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    for (size_t i = 0; i < GENERATION; i++) {
        const struct batch_series bs = { .labels = labels_of(&a, generation, i), .samples = &s, .n = 1 };

        ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    }
    ck_assert_msg(store_commit(st, &b, &e) == 0, "%s", e.msg);
    ck_assert_msg(sealer_seal_all(st, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

static size_t count_series(struct store *st, struct arena *a, struct labels *last)
{
    const struct series_query q = { .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_set *set = series_open(st, &q, a, NULL);
    struct labels l;
    size_t n = 0;

    ck_assert_ptr_nonnull(set);
    while (series_next(set, &l, NULL) == 1) {
        *last = l;
        n++;
    }
    return n;
}

/* Only the last generation lives on; who has read labels before goes on reading them. */
START_TEST(forgets_for_good)
{
    const struct store_options options = { .retention_ms = PARTITION_MS };
    const struct store_tuning tuning = {.seal_samples = 1 << 30};
    struct store *st = store_open_tuned(dir, &options, &tuning, NULL);
    struct arena early = ARENA_INIT(0), a = ARENA_INIT(0);
    const struct series_query all = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct store_stats full, empty;
    struct labels after;
    struct str *pods;
    size_t npods;

    for (size_t g = 0; g < GENERATIONS; g++)
        write_generation(st, g);
    store_stats(st, &full);
    ck_assert_uint_eq(count_series(st, &a, &after), GENERATIONS * GENERATION);
    arena_free(&a); /* a reader of samples keeps the days it reads, and so their series */
    ck_assert_int_eq(series_label_values(st, &all, STR("pod"), &early, &pods, &npods, NULL), 0);
    ck_assert_int_eq(store_retain(st, FIRST_DAY + GENERATIONS * PARTITION_MS, NULL), 0);
    store_stats(st, &empty);
    ck_assert_uint_eq(empty.series, GENERATION);
    ck_assert_msg(empty.index_bytes < full.index_bytes / 3, "%llu of %llu bytes left",
                  (unsigned long long)empty.index_bytes, (unsigned long long)full.index_bytes);
    ck_assert_uint_eq(npods, GENERATIONS * GENERATION / 40);
    ck_assert(str_eq(pods[0], STR("pod-0-0")));
    arena_free(&early);
    ck_assert_uint_eq(count_series(st, &a, &after), GENERATION);
    write_generation(st, GENERATIONS);
    for (int round = 0; round < 2; round++) {
        arena_free(&a);
        ck_assert_uint_eq(count_series(st, &a, &after), 2 * GENERATION);
        arena_free(&a);
        store_close(st);
        st = store_open_tuned(dir, &options, &tuning, NULL);
        ck_assert_ptr_nonnull(st);
    }
    store_stats(st, &full);
    ck_assert_uint_eq(full.series, 2 * GENERATION);
    store_close(st);
}
END_TEST

static const struct {
    uint32_t first, skip, then;
} skips[] = {
    { 0, 2, 1 }, { 0, 4096, 1 }, { 0, 4097, 3 }, { 5, 8192, 1 }, { 5, 6, 1 }, { 4095, 4096, 2 }, { 100, 50000, 5000 },
};

static void add_some(struct series_index *ix, struct arena *a, uint32_t n, size_t generation)
{
    struct hash128_key key;

    hash128_key_init(&key, 1);
    for (uint32_t i = 0; i < n; i++) {
        struct labels l = labels_of(a, generation, i);
        struct buf canonical = BUF_INIT(1 << 16);

        labels_canonical(&canonical, l);
        ck_assert_uint_ne(index_add(ix, index_key(&key, buf_view(&canonical)), l, NULL), 0);
        buf_free(&canonical);
    }
}

/* Numbers passed over are as if their series had gone: nothing is there, and what follows is. */
START_TEST(passes_numbers_over)
{
    struct series_index *ix = index_new(), *again = index_new();
    struct arena a = ARENA_INIT(0);
    struct buf skip = BUF_INIT(1 << 10), log = BUF_INIT(1 << 24);
    struct index_mark mark;
    uint32_t *ids;
    size_t n;

    add_some(ix, &a, skips[_i].first, 0);
    add_some(again, &a, skips[_i].first, 0);
    ck_assert_int_eq(index_skip(ix, skips[_i].skip), 0);
    mark = index_mark(ix);
    add_some(ix, &a, skips[_i].then, 1);
    index_log_skip(skips[_i].skip, &skip);
    index_log(ix, mark, &log);
    ck_assert_int_eq(index_replay(again, buf_view(&skip), NULL), 0);
    ck_assert_int_eq(index_replay(again, buf_view(&log), NULL), 0);
    for (int k = 0; k < 2; k++) {
        struct series_index *one = k ? again : ix;

        ck_assert_uint_eq(index_end(one), skips[_i].skip + skips[_i].then);
        ck_assert_uint_eq(index_count(one), skips[_i].first + skips[_i].then);
        ck_assert_uint_eq(index_dead(one), 0);
        ck_assert(!index_has(one, skips[_i].skip - 1) || skips[_i].first + 1 == skips[_i].skip);
        ck_assert(index_has(one, skips[_i].skip));
        ck_assert_int_eq(index_select(one, NULL, 0, &a, &ids, &n), 0);
        ck_assert_uint_eq(n, index_count(one));
        ck_assert_uint_eq(ids[n - 1], index_end(one) - 1);
    }
    ck_assert_int_eq(index_replay(again, buf_view(&skip), NULL), ERR_CORRUPT); /* back */
    buf_free(&skip);
    buf_free(&log);
    arena_free(&a);
    index_free(ix);
    index_free(again);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("series log");
    TCase *tc = tcase_create("series log");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, forgets_for_good);
    tcase_add_loop_test(tc, passes_numbers_over, 0, COUNT(skips));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
