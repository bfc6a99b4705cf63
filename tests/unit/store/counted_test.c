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

/* --- the table, against a plain array --- */

enum { SERIES = 500, GROUPS = 400 };

START_TEST(totals_follow_kept_groups_alone)
{
    struct series_index *ix = index_new(); /* which has none of them: those not of the group under way may go */
    struct counted c = { 0 };
    double kept[SERIES + 1] = { 0 };
    uint32_t random = (uint32_t)_i + 1;

    for (int g = 0; g < GROUPS; g++) {
        double now[SERIES + 1];

        memcpy(now, kept, sizeof(now));
        counted_begin(&c, g);
        for (int i = 0; i < 40; i++) {
            const struct counted_series *s;
            uint32_t id;

            random = random * 1664525 + 1013904223;
            id = 1 + (random >> 8) % SERIES;
            ck_assert_int_eq(counted_add(&c, ix, id, i, &s, NULL), 0);
            now[id] = s->fresh && s->total == i ? i : now[id] + i; /* it may have been let go of */
            ck_assert_double_eq(s->total, now[id]);
        }
        if (random >> 30) {
            counted_keep(&c);
            memcpy(kept, now, sizeof(kept));
        } else {
            counted_undo(&c);
        }
    }
    counted_fini(&c);
    index_free(ix);
}
END_TEST

/* --- in the store --- */

static int add(struct store *st, const char *instance, double increment)
{
    struct arena a = ARENA_INIT(0);
    const struct sample s = { 0, increment };
    struct batch_series bs = { .labels = fixture_labels(&a, "m", instance), .samples = &s, .n = 1, .increments = true };
    struct batch b;
    int rc;

    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    rc = store_commit(st, &b, NULL);
    arena_free(&a);
    return rc;
}

/* What increase() from the beginning of time makes of the samples, and the last of them. */
static double increase(struct store *st, const char *instance, double *last)
{
    struct arena a = ARENA_INIT(0);
    struct sample *s;
    size_t n = fixture_read(st, "m", instance, INT64_MIN, INT64_MAX, &a, &s);
    double sum = 0;

    for (size_t i = 1; i < n; i++)
        sum += s[i].v < s[i - 1].v ? s[i].v : s[i].v - s[i - 1].v;
    if (n) {
        ck_assert_double_eq(s[0].v, 0);
        *last = s[n - 1].v;
    }
    arena_free(&a);
    return sum;
}

START_TEST(increments_become_a_counter)
{
    struct store *st = fixture_open_sealing(dir, _i & 1 ? 1 : 1000000);
    double want = 0, last = 0;

    for (int i = 1; i <= 20; i++) {
        ck_assert_int_eq(add(st, "1", i), 0);
        ck_assert_int_eq(add(st, "2", 1), 0);
        want += i;
        ck_assert_double_eq(increase(st, "1", &last), want);
        if (i % 7 == 0) {
            store_close(st);
            st = fixture_open_sealing(dir, _i & 1 ? 1 : 1000000);
        }
    }
    ck_assert_double_eq(last, 15 + 16 + 17 + 18 + 19 + 20); /* since the last start */
    ck_assert_double_eq(increase(st, "2", &last), 20);
    store_close(st);
}
END_TEST

static int run_pragma(struct store *st, void *arg, struct err *e)
{
    return db_exec(st->db, arg, e);
}

START_TEST(a_failed_commit_counts_nothing)
{
    static char stop[] = "PRAGMA query_only=1", go[] = "PRAGMA query_only=0";
    struct store *st = fixture_open(dir);
    double last;

    ck_assert_int_eq(add(st, "1", 5), 0);
    ck_assert_int_eq(committer_run(st, run_pragma, stop, NULL), 0);
    ck_assert_int_lt(add(st, "1", 100), 0);
    ck_assert_int_lt(add(st, "2", 100), 0);
    ck_assert_int_eq(committer_run(st, run_pragma, go, NULL), 0);
    ck_assert_int_eq(add(st, "3", 1), 0); /* under the number that "2" had for a moment */
    ck_assert_int_eq(add(st, "1", 2), 0);
    ck_assert_double_eq(increase(st, "1", &last), 7);
    ck_assert_double_eq(increase(st, "3", &last), 1);
    store_close(st);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("counted");
    TCase *table = tcase_create("table"), *store = tcase_create("store");

    tcase_add_loop_test(table, totals_follow_kept_groups_alone, 0, 8);
    tcase_add_checked_fixture(store, setup, teardown);
    tcase_add_loop_test(store, increments_become_a_counter, 0, 2);
    tcase_add_test(store, a_failed_commit_counts_nothing);
    suite_add_tcase(s, table);
    suite_add_tcase(s, store);
    return s;
}

UNIT_MAIN(make_suite)
