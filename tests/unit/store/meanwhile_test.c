/* meanwhile_test.c: what others do at the very moment at which the disk is asked for something. */
#include "tests/unit/store/blocks_fixture.h"
#include "tests/unit/store/disk.h"

static char dir[64];
static struct store *st;

static void setup(void)
{
    const struct store_tuning tuning = { .tidy_ms = (int64_t)1 << 30, .retry_ms = 1 };
    struct err e = ERR_INIT;

    blocks_fixture_dir(dir);
    st = store_open_tuned(dir, NULL, &tuning, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
}

static void teardown(void)
{
    disk_repair();
    store_close(st);
    fixture_remove(dir);
}

/* --- a number that is taken back --- */

/* {__name__="m", i="1"} and {…, i="2"} as remote write has them. */
static const char raw_labels[2][26] = { "\x0a\x0d\x0a\x08__name__\x12\x01m\x0a\x06\x0a\x01i\x12\x01"
                                       "1",
                                       "\x0a\x0d\x0a\x08__name__\x12\x01m\x0a\x06\x0a\x01i\x12\x01"
                                       "2" };

struct raw_batch {
    struct sample sample;
    struct label labels[2];
    struct batch_series series;
    struct batch batch;
};

static struct raw_batch first, same, other;

static void make_raw(struct raw_batch *b, int which, int slot)
{
    *b = (struct raw_batch){ .sample = { slot * 1000, slot },
                             .labels = { { STR("__name__"), STR("m") }, { STR("i"), which ? STR("2") : STR("1") } } };
    b->series =
        (struct batch_series){ .labels = { b->labels, 2 }, .raw = { raw_labels[which], 23 }, .samples = &b->sample, .n = 1 };
    b->batch = (struct batch){ .series = &b->series, .nseries = 1, .bytes = 100 };
}

static void recognise_same(void)
{
    store_recognise(st, &same.batch);
}

/* While a commit fails its new series are known for a moment. Who recognises one then must not keep its number, which
 * the next new series gets. */
START_TEST(what_is_taken_back_is_not_recognised)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct sample *got;

    make_raw(&first, 0, 1);
    make_raw(&same, 0, 2);
    make_raw(&other, 1, 3);
    disk.on_failure = recognise_same;
    disk_fail_at(1, ENOSPC, true, false);
    ck_assert_int_eq(store_commit(st, &first.batch, &e), ERR_FULL);
    disk_repair();
    disk.on_failure = NULL;
    ck_assert_int_eq(store_commit(st, &other.batch, NULL), 0);
    ck_assert_int_eq(store_commit(st, &same.batch, NULL), 0);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 1);
    ck_assert_double_eq(got[0].v, 2);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), 1);
    ck_assert_double_eq(got[0].v, 3);
    arena_free(&a);
}
END_TEST

/* --- a series that is sealed while others are forgotten --- */

static void seal_all(void)
{
    ck_assert_int_eq(sealer_seal_all(st, NULL), 0);
}

/* It is in the head when blocks are looked at, and in a block when the heads are. */
START_TEST(what_is_sealed_meanwhile_is_not_forgotten)
{
    const struct sample s = { 1000, 1 };
    struct arena a = ARENA_INIT(0);
    struct sample *got;

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
    seal_all();
    ck_assert_int_eq(fixture_write(st, "m", "2", 0, &s, 1), 0);
    disk.on_failure = seal_all;
    disk_fail_at(1, 0, false, false); /* the file of the first block is opened */
    ck_assert_int_eq(retention_forget(st, NULL), 0);
    disk.on_failure = NULL;
    ck_assert_int_eq(atomic_load(&disk.left), 0);
    ck_assert_uint_eq(head_samples(st->head), 0);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), 1);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("meanwhile");
    TCase *tc = tcase_create("meanwhile");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_is_taken_back_is_not_recognised);
    tcase_add_test(tc, what_is_sealed_meanwhile_is_not_forgotten);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
