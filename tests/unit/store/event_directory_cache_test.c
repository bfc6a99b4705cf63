/* event_directory_cache_test.c: which directories are kept, and when they go. Blocks are real ones, one for each day. */
#include "store/event_blocks-internal.h"
#include "store/event_directory_cache-internal.h"
#include "tests/unit/store/event_fixture.h"

#include <pthread.h>

enum { ROWS = 10, FIRST_DAY = 7, DAYS = 6 };

static char dir[64];
static struct store *st;

static void open_with(size_t directory_bytes)
{
    const struct store_tuning tuning = {.tidy_ms = (int64_t)1 << 30, .retry_ms = 1};
    const struct store_options options = {.retention_ms = PARTITION_MS, .directory_bytes = directory_bytes};
    struct err e = ERR_INIT;

    store_close(st);
    st = store_open_tuned(dir, &options, &tuning, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
}

static void seal(void)
{
    struct err e = ERR_INIT;

    ck_assert_msg(sealer_seal_all(st, &e) == 0, "%s", e.msg);
}

static void setup(void)
{
    blocks_fixture_dir(dir);
    st = NULL;
    open_with(0);
    for (int64_t day = FIRST_DAY; day < FIRST_DAY + DAYS; day++)
        must_commit(st, EVENT_LOG, day, 0, ROWS);
    seal();
}

static void teardown(void)
{
    store_close(st);
    fixture_remove(dir);
}

static size_t used(void)
{
    return event_directory_cache_used(st->directories);
}

/* Reads the day: its blocks' directories, and all rows. */
static void ask(int64_t day)
{
    must_have(st, EVENT_LOG, day, ROWS);
}

/* Of one directory; all days' are alike. */
static size_t size_of_one(void)
{
    size_t size;

    ask(FIRST_DAY);
    size = used();
    ck_assert_uint_gt(size, 0);
    return size;
}

/* Whether the day's block has its directory in the cache, which counts as a use. */
static bool is_kept(int64_t day)
{
    struct blocks *bs = st->events[EVENT_LOG].blocks;
    struct block_list *list = blocks_hold(bs);
    struct arena a = ARENA_INIT(0);
    bool kept = false;

    for (size_t i = 0; i < list->n; i++)
        if (blocks_partition(bs, list->blocks[i]->first) == day)
            kept = event_directory_cache_get(st->directories, list->blocks[i], &a) != NULL;
    arena_free(&a);
    blocks_release(bs, list);
    return kept;
}

/* Runs SQL on the day's file, past the store's back. */
static void tamper(int64_t day, const char *sql)
{
    char path[96];
    struct err e = ERR_INIT;
    struct db *db;

    snprintf(path, sizeof(path), "%s/log/%d.db", dir, (int)day);
    ck_assert_int_eq(db_open_partition(path, DB_WRITE, &db, &e), 0);
    ck_assert_msg(db_exec(db, sql, &e) == 0, "%s", e.msg);
    db_close(db);
}

/* --- what is kept --- */

START_TEST(a_directory_is_read_once)
{
    size_t one = size_of_one();

    tamper(FIRST_DAY, "UPDATE part SET body=x'00' WHERE id % (1<<20) = 0");
    ask(FIRST_DAY);
    ck_assert(is_kept(FIRST_DAY));
    ck_assert(!is_kept(FIRST_DAY + 1));
    ask(FIRST_DAY + 1);
    ck_assert_uint_eq(used(), 2 * one);
}
END_TEST

START_TEST(checks_read_the_disk)
{
    struct blocks *bs = st->events[EVENT_LOG].blocks;
    struct block_list *list = blocks_hold(bs);

    ask(FIRST_DAY);
    ck_assert_int_eq(event_block_check(bs, list->blocks[0], NULL), 0);
    tamper(FIRST_DAY, "UPDATE part SET body=x'00' WHERE id % (1<<20) = 0");
    ck_assert_int_eq(event_block_check(bs, list->blocks[0], NULL), ERR_CORRUPT);
    blocks_release(bs, list);
}
END_TEST

/* --- the bound --- */

START_TEST(what_waits_longest_goes)
{
    size_t one = size_of_one();

    open_with(2 * one + one / 2);
    ask(7);
    ask(8);
    ask(7);
    ask(9);
    ck_assert(is_kept(7));
    ck_assert(!is_kept(8));
    ck_assert(is_kept(9));
    ck_assert_uint_eq(used(), 2 * one);
    ask(8); /* which has an entry, an empty one */
    ck_assert(!is_kept(7));
    ck_assert(is_kept(8));
    ck_assert_uint_eq(used(), 2 * one);
}
END_TEST

START_TEST(without_room_nothing_is_kept)
{
    size_t one = size_of_one();

    open_with(one - 1);
    ask(7);
    ask(7);
    ck_assert(!is_kept(7));
    ck_assert_uint_eq(used(), 0);
}
END_TEST

static void hold_days(int64_t from, int64_t to, struct arena *a, struct event_sources *out)
{
    const int64_t day_ns = PARTITION_MS * 1000000;

    ck_assert_int_eq(event_sources_hold(st, EVENT_LOG, from * day_ns, to * day_ns, 0, a, out, NULL), 0);
    ck_assert_uint_eq(out->n, (size_t)(to - from));
}

/* A query over more blocks than there is room for finds the first of them again the next time. */
START_TEST(what_is_held_stays)
{
    size_t one = size_of_one();

    open_with(2 * one + one / 2);
    for (int again = 0; again < 3; again++) {
        struct arena a = ARENA_INIT(0);
        struct event_sources all;

        hold_days(FIRST_DAY, FIRST_DAY + DAYS, &a, &all);
        ck_assert_uint_eq(used(), 2 * one);
        ask(FIRST_DAY + 5);
        ck_assert(is_kept(FIRST_DAY));
        ck_assert(is_kept(FIRST_DAY + 1));
        event_sources_release(st, &all);
        arena_free(&a);
    }
    ask(FIRST_DAY + 5);
    ck_assert(is_kept(FIRST_DAY + 5)); /* now that nobody holds the others */
    ck_assert_uint_eq(used(), 2 * one);
}
END_TEST

/* --- blocks that go --- */

static void merge(void)
{
    must_commit(st, EVENT_LOG, FIRST_DAY, ROWS, ROWS);
    seal();
    ck_assert_int_eq(event_merge(st, EVENT_LOG, NULL), 0);
}

START_TEST(merged_blocks_are_forgotten)
{
    ask(FIRST_DAY);
    merge();
    ck_assert_uint_eq(used(), 0);
    ck_assert(!is_kept(FIRST_DAY));
    must_have(st, EVENT_LOG, FIRST_DAY, 2 * ROWS);
    ck_assert(is_kept(FIRST_DAY));
}
END_TEST

/* Who holds one reads on; then it goes. */
START_TEST(what_is_held_is_forgotten_later)
{
    struct rows_read r = {FIRST_DAY, ROWS, calloc(ROWS + 1, 1), 0, 0};
    size_t one = size_of_one();
    struct arena a = ARENA_INIT(0);
    struct event_sources held;

    hold_days(FIRST_DAY, FIRST_DAY + 1, &a, &held);
    merge();
    ck_assert_int_eq(read_source(held.v[0], &r, NULL), 0);
    ck_assert_uint_eq(r.n, ROWS);
    free(r.times);
    event_sources_release(st, &held);
    ck_assert_uint_eq(used(), one);
    arena_free(&a);
    ck_assert_uint_eq(used(), 0);
}
END_TEST

START_TEST(days_that_are_dropped_are_forgotten)
{
    ask(FIRST_DAY);
    ask(FIRST_DAY + 1);
    ck_assert_int_eq(store_retain(st, (FIRST_DAY + DAYS) * PARTITION_MS, NULL), 0);
    ck_assert_uint_eq(used(), 0);
}
END_TEST

START_TEST(damaged_blocks_are_forgotten)
{
    size_t one = size_of_one();
    struct err why = ERR_INIT;
    struct arena a = ARENA_INIT(0);
    struct event_sources held;

    hold_days(FIRST_DAY, FIRST_DAY + 2, &a, &held);
    ck_assert_uint_eq(used(), 2 * one);
    err_set(&why, ERR_CORRUPT, "a test says so");
    event_source_damaged(st, held.v[0], &why);
    event_sources_release(st, &held);
    arena_free(&a);
    ck_assert_uint_eq(used(), one);
    ck_assert(is_kept(FIRST_DAY + 1));
}
END_TEST

/* --- when memory fails --- */

/* Wherever it does, the query says so or does without the cache, and the next one is answered. */
START_TEST(memory_that_fails_costs_no_answer)
{
    size_t one = size_of_one();
    bool failed = true;

    for (long n = 1; failed; n++) {
        struct rows_read r;
        int rc;

        open_with(0);
        mem_fail_at(n);
        rc = read_rows_after(st, EVENT_LOG, FIRST_DAY, ROWS, 0, &r, NULL);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(rc == ERR_NOMEM || (rc == 0 && r.n == ROWS));
        free(r.times);
        ask(FIRST_DAY);
        ck_assert_uint_eq(used(), one);
    }
}
END_TEST

/* --- threads --- */

struct reader {
    pthread_t thread;
    uint64_t seed;
    size_t bound;
    _Atomic bool *stop;
    uint64_t failures, reads;
};

/* Days at random, of which not all have room. */
static void *read_on(void *arg)
{
    struct reader *r = arg;
    struct rng random = {{r->seed, 1, 2, 3}};

    while (!*r->stop || r->reads < 20) {
        int64_t day = FIRST_DAY + 1 + (int64_t)rng_below(&random, DAYS - 1);
        struct rows_read rows;

        r->failures +=
            read_rows_after(st, EVENT_LOG, day, ROWS, 0, &rows, NULL) != 0 || rows.n != ROWS || used() > r->bound;
        free(rows.times);
        r->reads++;
    }
    return NULL;
}

START_TEST(readers_share_it_while_blocks_go)
{
    enum { READERS = 4, MERGES = 20 };
    struct reader readers[READERS];
    size_t bound = 3 * size_of_one() + 1;
    _Atomic bool stop = false;

    open_with(bound);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.seed = i + 1, .bound = bound, .stop = &stop};
        ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < MERGES; i++) {
        must_commit(st, EVENT_LOG, FIRST_DAY, (i + 1) * ROWS, ROWS);
        seal();
        must_have(st, EVENT_LOG, FIRST_DAY, (i + 2) * ROWS);
        ck_assert_int_eq(event_merge(st, EVENT_LOG, NULL), 0);
    }
    stop = true;
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i].thread, NULL);
        ck_assert_uint_eq(readers[i].failures, 0);
    }
    ck_assert_uint_le(used(), bound);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("event directory cache");
    TCase *tc = tcase_create("event directory cache");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_directory_is_read_once);
    tcase_add_test(tc, checks_read_the_disk);
    tcase_add_test(tc, what_waits_longest_goes);
    tcase_add_test(tc, without_room_nothing_is_kept);
    tcase_add_test(tc, what_is_held_stays);
    tcase_add_test(tc, merged_blocks_are_forgotten);
    tcase_add_test(tc, what_is_held_is_forgotten_later);
    tcase_add_test(tc, days_that_are_dropped_are_forgotten);
    tcase_add_test(tc, damaged_blocks_are_forgotten);
    tcase_add_test(tc, memory_that_fails_costs_no_answer);
    tcase_add_test(tc, readers_share_it_while_blocks_go);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
