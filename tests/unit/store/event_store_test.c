/* event_store_test.c: rows from a batch to the journal, the head, blocks; and what a start finds of them. */
#include "store/check.h"
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

/* --- sealing --- */

static void seal(void)
{
    struct err e = ERR_INIT;

    ck_assert_msg(sealer_seal_all(st, &e) == 0, "%s", e.msg);
}

static size_t count_blocks(enum event_kind kind)
{
    struct block_list *list = blocks_hold(st->events[kind].blocks);
    size_t n = list->n;

    blocks_release(st->events[kind].blocks, list);
    return n;
}

static const char *path_of_database(void)
{
    static char path[96];

    snprintf(path, sizeof(path), "%s/vigla.db", dir);
    return path;
}

static int64_t count_records(void)
{
    struct err e = ERR_INIT;
    struct db *db = db_open(path_of_database(), DB_READ, &e);
    int64_t n;

    ck_assert_msg(db && db_number(db, "SELECT count(*) FROM event_journal", &n, &e) == 0, "%s", e.msg);
    db_close(db);
    return n;
}

START_TEST(what_is_sealed_is_read)
{
    enum event_kind kind = (enum event_kind)_i;

    must_commit(st, kind, 7, 0, 100);
    must_commit(st, kind, 8, 0, 50);
    must_commit(st, kind, -1, 0, 50); /* before 1970 */
    must_commit(st, kind, 7, 100, 1);
    seal();
    ck_assert_uint_eq(count_blocks(kind), 3);
    ck_assert_int_eq(count_records(), 0);
    for (int again = 0; again < 2; again++) {
        must_have(st, kind, 7, 101);
        must_have(st, kind, 8, 50);
        must_have(st, kind, -1, 50);
        open_again();
    }
    must_commit(st, kind, 7, 101, 10); /* late, and numbered behind what was sealed */
    ck_assert_uint_eq(must_have(st, kind, 7, 111), 2);
    open_again();
    seal();
    ck_assert_uint_eq(must_have(st, kind, 7, 111), 2);
}
END_TEST

/* Each is as large as a source may be. */
START_TEST(a_large_head_is_several_blocks)
{
    enum { ROWS = 2 * EVENT_SOURCE_ROWS + 10, BATCH = 10000 };

    for (uint64_t k = 0; k < ROWS; k += BATCH)
        must_commit(st, EVENT_SPAN, 7, k, ROWS - k < BATCH ? ROWS - k : BATCH);
    seal();
    ck_assert_uint_eq(count_blocks(EVENT_SPAN), 3);
    must_have(st, EVENT_SPAN, 7, ROWS);
}
END_TEST

/* --- merging --- */

START_TEST(few_rows_become_many)
{
    enum { ROWS = 40 };

    for (uint64_t k = 0; k < ROWS; k++) {
        must_commit(st, EVENT_LOG, 7 + (int64_t)(k % 2), k / 2, 1);
        seal();
    }
    ck_assert_uint_eq(count_blocks(EVENT_LOG), ROWS);
    while (count_blocks(EVENT_LOG) > 2)
        ck_assert_int_eq(event_merge(st, EVENT_LOG, NULL), 0);
    for (int again = 0; again < 2; again++) {
        ck_assert_uint_eq(must_have(st, EVENT_LOG, 7, ROWS / 2), 1);
        ck_assert_uint_eq(must_have(st, EVENT_LOG, 8, ROWS / 2), 1);
        ck_assert_int_eq(event_merge(st, EVENT_LOG, NULL), 0); /* nothing to do */
        clean_all(st->events[EVENT_LOG].blocks);
        open_again();
    }
}
END_TEST

/* --- retention --- */

START_TEST(days_that_are_too_old_go)
{
    store_close(st);
    {
        const struct store_tuning tuning = { .tidy_ms = (int64_t)1 << 30, .retry_ms = 1 };
        const struct store_options options = { .retention_ms = PARTITION_MS };

        st = store_open_tuned(dir, &options, &tuning, NULL);
    }
    ck_assert_ptr_nonnull(st);
    must_commit(st, EVENT_LOG, 7, 0, 10);
    must_commit(st, EVENT_LOG, 8, 0, 10);
    seal();
    must_commit(st, EVENT_LOG, 7, 10, 1);
    ck_assert_int_eq(store_retain(st, 9 * PARTITION_MS, NULL), 0);
    must_have_after(st, EVENT_LOG, 7, 10, 11, 0); /* what is not sealed stays */
    must_have(st, EVENT_LOG, 8, 10);
    ck_assert_int_eq(store_retain(st, 10 * PARTITION_MS, NULL), 0);
    must_have(st, EVENT_LOG, 8, 0);
}
END_TEST

/* --- at each step between --- */

enum { NOTHING, FROZEN, LEFT, LISTED, DROPPED, STEPS };

static int freeze(struct store *store, void *upto, struct err *e)
{
    (void)e;
    return seal_events.freeze(store, EVENT_LOG, upto);
}

static int let_go(struct store *store, void *upto, struct err *e)
{
    return seal_events.let_go(store, EVENT_LOG, *(uint64_t *)upto, e);
}

static int drop_one(struct store *store, void *upto, struct err *e)
{
    size_t removed;

    return seal_events.drop(store, EVENT_LOG, *(uint64_t *)upto, 1, &removed, e);
}

/* What the sealer and the committer do one after the other, by hand, up to that step. Of day 7 there are `rows`. */
static void seal_up_to(int step, uint64_t rows)
{
    struct err e = ERR_INIT;
    uint64_t upto;

    if (step >= FROZEN)
        ck_assert_int_eq(committer_run(st, freeze, &upto, &e), 0);
    must_have(st, EVENT_LOG, 7, rows);
    if (step >= LEFT)
        ck_assert_msg(seal_events.seal(st, EVENT_LOG, &e) == 0, "%s", e.msg);
    must_have(st, EVENT_LOG, 7, rows);
    if (step >= LISTED)
        ck_assert_msg(committer_run(st, let_go, &upto, &e) == 0, "%s", e.msg);
    must_have(st, EVENT_LOG, 7, rows);
    if (step >= DROPPED)
        ck_assert_msg(committer_run(st, drop_one, &upto, &e) == 0, "%s", e.msg);
    must_have(st, EVENT_LOG, 7, rows);
}

/* Closed at any step, each row is there once; and again when it is sealed then, or left so again. */
START_TEST(each_row_is_there_once)
{
    for (uint64_t k = 0; k < 3; k++)
        must_commit(st, EVENT_LOG, 7, 10 * k, 10);
    for (uint64_t round = 0; round < STEPS; round++) {
        seal_up_to((_i + (int)round) % STEPS, 30);
        open_again();
        must_have(st, EVENT_LOG, 7, 30);
        must_have(st, EVENT_LOG, 8, 10 * round);
        must_commit(st, EVENT_LOG, 8, 10 * round, 10);
    }
    seal();
    open_again();
    must_have(st, EVENT_LOG, 7, 30);
    must_have(st, EVENT_LOG, 8, 50);
    ck_assert_int_eq(count_records(), 0);
}
END_TEST

/* What was left is gone before a watermark is noted that would make it count. */
START_TEST(what_was_left_never_counts)
{
    must_commit(st, EVENT_LOG, 7, 0, 10);
    seal_up_to(LEFT, 10);
    open_again();
    must_commit(st, EVENT_LOG, 7, 10, 10);
    seal();
    open_again(); /* before anything was cleaned */
    must_have(st, EVENT_LOG, 7, 20);
}
END_TEST

/* --- copies, damage --- */

START_TEST(a_snapshot_has_each_row_once)
{
    char copy[96];
    struct err e = ERR_INIT;

    must_commit(st, EVENT_LOG, 7, 0, 10);
    seal();
    must_commit(st, EVENT_LOG, 7, 10, 10);
    seal_up_to(LEFT, 20);
    must_commit(st, EVENT_LOG, 7, 20, 10);
    ck_assert_msg(store_snapshot(st, "one", &e) == 0, "%s", e.msg);
    snprintf(copy, sizeof(copy), "%s/snapshots/one", dir);
    store_close(st);
    st = store_open(copy, NULL, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
    must_have(st, EVENT_LOG, 7, 30);
}
END_TEST

static void hear(void *arg, const char *text)
{
    snprintf(arg, 256, "%s", text);
}

/* One block's part is overwritten, past the store's back. */
START_TEST(a_damaged_block_is_set_aside)
{
    char path[96], told[256] = "";
    struct store_check c = { .fault = hear, .arg = told };
    struct store_stats stats;
    struct err e = ERR_INIT;
    struct rows_read r;
    struct db *db;

    must_commit(st, EVENT_LOG, 7, 0, 10);
    seal();
    must_commit(st, EVENT_LOG, 7, 10, 10);
    seal();
    store_close(st);
    snprintf(path, sizeof(path), "%s/log/7.db", dir);
    ck_assert_int_eq(db_open_partition(path, DB_WRITE, &db, &e), 0);
    ck_assert_msg(db_exec(db, "UPDATE part SET body=CAST(substr(body, 1, length(body) - 1)||'~' AS BLOB) WHERE id=1<<20", &e) == 0,
                  "%s", e.msg);
    db_close(db);
    ck_assert_int_eq(store_check(dir, &c, &e), 0);
    ck_assert_uint_eq(c.faults, 1);
    ck_assert_msg(strstr(told, "log/7.db: block 1: ") != NULL, "%s", told);
    st = open_quiet();
    ck_assert_int_eq(read_rows_after(st, EVENT_LOG, 7, 20, 0, &r, &e), 0);
    ck_assert_uint_eq(r.n, 10);
    free(r.times);
    store_stats(st, &stats);
    ck_assert_uint_eq(stats.damaged, 1);
    ck_assert_uint_eq(stats.blocks, 1);
}
END_TEST

START_TEST(a_damaged_record_is_named)
{
    struct err e = ERR_INIT;
    struct db *db;

    must_commit(st, EVENT_SPAN, 7, 0, 10);
    store_close(st);
    st = NULL;
    db = db_open(path_of_database(), DB_WRITE, &e);
    ck_assert_msg(db && db_exec(db, "UPDATE event_journal SET record=CAST(record||'~' AS BLOB)", &e) == 0, "%s", e.msg);
    db_close(db);
    ck_assert_ptr_null(store_open(dir, NULL, &e));
    ck_assert_int_eq(e.code, ERR_CORRUPT);
    ck_assert_msg(strstr(e.msg, "span: journal record 1: ") != NULL, "%s", e.msg);
}
END_TEST

/* --- what is refused --- */

/* A sender of nonsense times does not make thousands of files. */
START_TEST(too_many_days_are_refused)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct batch b;

    batch_init(&b, &a);
    for (int64_t day = 0; day <= MOST_DAYS; day++)
        add_row(&b, EVENT_LOG, day, 0);
    ck_assert_int_eq(store_commit(st, &b, &e), ERR_LIMIT);
    ck_assert_msg(strstr(e.msg, "days") != NULL, "%s", e.msg);
    arena_free(&a);
    must_commit(st, EVENT_LOG, 7, 0, 1);
    must_have(st, EVENT_LOG, 7, 1);
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
    tcase_add_loop_test(tc, what_is_sealed_is_read, 0, EVENT_KINDS);
    tcase_add_test(tc, a_large_head_is_several_blocks);
    tcase_add_test(tc, few_rows_become_many);
    tcase_add_test(tc, days_that_are_too_old_go);
    tcase_add_loop_test(tc, each_row_is_there_once, 0, STEPS);
    tcase_add_test(tc, what_was_left_never_counts);
    tcase_add_test(tc, a_snapshot_has_each_row_once);
    tcase_add_test(tc, a_damaged_block_is_set_aside);
    tcase_add_test(tc, a_damaged_record_is_named);
    tcase_add_test(tc, too_many_days_are_refused);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
