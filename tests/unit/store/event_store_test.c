/* event_store_test.c: rows from a batch to the journal, the head, blocks; and what a start finds of them. */
#include "tests/unit/store/event_fixture.h"

static char dir[64];
static struct store *st;

/* Nothing happens by itself. */
static struct store *open_quiet(void)
{
    const struct store_tuning tuning = { .tidy_ms = (int64_t)1 << 30, .retry_ms = 1 };
    struct err e = ERR_INIT;
    struct store *opened = store_open_tuned(dir, NULL, &tuning, &e);

    ck_assert_msg(opened != NULL, "%s", e.msg);
    return opened;
}

static void setup(void)
{
    blocks_fixture_dir(dir);
    st = open_quiet();
}

static void teardown(void)
{
    store_close(st);
    fixture_remove(dir);
}

static void open_again(void)
{
    store_close(st);
    st = open_quiet();
}

START_TEST(what_is_committed_is_read)
{
    enum event_kind kind = (enum event_kind)_i;

    must_have(st, kind, 7, 0);
    must_commit(st, kind, 7, 0, 10);
    must_commit(st, kind, 7, 10, 1);
    ck_assert_uint_eq(must_have(st, kind, 7, 11), 2);
    must_have(st, kind, 8, 0);
    must_have(st, (enum event_kind)((kind + 1) % EVENT_KINDS), 7, 0);
    open_again();
    ck_assert_uint_eq(must_have(st, kind, 7, 11), 2);
}
END_TEST

/* More than one source may have. */
START_TEST(a_large_batch_is_several_chunks)
{
    must_commit(st, EVENT_LOG, 7, 0, EVENT_SOURCE_ROWS + 5);
    ck_assert_uint_eq(must_have(st, EVENT_LOG, 7, EVENT_SOURCE_ROWS + 5), 2);
}
END_TEST

START_TEST(tiny_chunks_are_joined)
{
    enum { ROWS = 1500 };

    for (uint64_t k = 0; k < ROWS; k++)
        must_commit(st, EVENT_ACCESS_LOG, 7, k, 1);
    ck_assert_uint_lt(must_have(st, EVENT_ACCESS_LOG, 7, ROWS), ROWS / 256 + 32);
    open_again();
    must_have(st, EVENT_ACCESS_LOG, 7, ROWS);
}
END_TEST

/* Whoever follows a table gets each row once, whichever chunks were joined meanwhile. */
START_TEST(what_came_since_is_told_apart)
{
    uint64_t n = 0, seen = 0, last = 0;
    struct rng r = { { 1, 2, 3, 4 } };

    for (int i = 0; i < 300; i++) {
        size_t more = 1 + rng_below(&r, 3);

        must_commit(st, EVENT_LOG, 7, n, more);
        n += more;
        if (rng_below(&r, 10))
            continue;
        must_have_after(st, EVENT_LOG, 7, seen, n, last);
        seen = n;
        last = events_last(st, EVENT_LOG);
        must_have_after(st, EVENT_LOG, 7, n, n, last);
    }
    ck_assert_uint_eq(events_last(st, EVENT_SPAN), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event store");
    TCase *tc = tcase_create("event store");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, what_is_committed_is_read, 0, EVENT_KINDS);
    tcase_add_test(tc, a_large_batch_is_several_chunks);
    tcase_add_test(tc, tiny_chunks_are_joined);
    tcase_add_test(tc, what_came_since_is_told_apart);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
