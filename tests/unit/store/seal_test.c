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

#define DAY ((int64_t)24 * 3600 * 1000)

static size_t count_blocks(struct store *st)
{
    struct block_list *list = blocks_hold(st->blocks);
    size_t n = list->n;

    blocks_release(st->blocks, list);
    return n;
}

/* The second day's file cannot be written for a while: the first day's block is not written again with each try. */
START_TEST(goes_on_where_it_failed)
{
    const struct sample s[] = { { 1, 1 }, { DAY + 1, 2 }, { 2 * DAY + 1, 3 } };
    struct seal_progress done = { false, 0 };
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(0);
    struct block_writer *w;
    struct err e = ERR_INIT;
    struct sample *got;

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, s, 3), 0);
    w = block_writer_new(st->blocks, 1, &e);
    ck_assert_msg(w != NULL, "%s", e.msg);
    for (int try = 0; try < 3; try++) {
        ck_assert_int_eq(seal_head(st, st->head, &done, &e), ERR_CONFLICT);
        ck_assert_uint_eq(count_blocks(st), 1);
        ck_assert(done.any && done.to_ms == 1);
    }
    block_writer_abandon(w);
    ck_assert_int_eq(seal_head(st, st->head, &done, &e), 0);
    ck_assert_uint_eq(count_blocks(st), 3);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 3);
    arena_free(&a);
    store_close(st);
}
END_TEST

/* Nonsense times would make a file each: such a batch is refused, and nothing of it stays. */
START_TEST(refuses_too_many_days)
{
    static struct sample s[MOST_DAYS + 1];
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(0);
    struct sample *got;

    for (int i = 0; i <= MOST_DAYS; i++)
        s[i] = (struct sample){ (i - 1000) * DAY, i };
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, s, MOST_DAYS + 1), ERR_LIMIT);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 0);
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, s, 1), 0);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 1);
    arena_free(&a);
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("seal");
    TCase *tc = tcase_create("seal");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, goes_on_where_it_failed);
    tcase_add_test(tc, refuses_too_many_days);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
