#include "tests/unit/store/blocks_fixture.h"

#include <sys/stat.h>

static char dir[64];
static struct blocks *bs;

static void setup(void)
{
    fixture_dir(dir);
    bs = blocks_must_open(dir);
}

static void teardown(void)
{
    blocks_close(bs);
    fixture_remove(dir);
}

static void reopen(void)
{
    blocks_close(bs);
    bs = blocks_must_open(dir);
}

/* The size of DIR/metrics/NAME; -1: not there. */
static long file_size(const char *name)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof(path), "%s/metrics/%s", dir, name);
    return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

static void put(int64_t partition, uint32_t from, uint32_t n, struct block *const *replaced, size_t nreplaced)
{
    uint32_t items[400];
    struct err e = ERR_INIT;

    for (uint32_t i = 0; i < n; i++)
        items[i] = from + i;
    ck_assert_msg(block_put(bs, partition, items, n, replaced, nreplaced, &e) == 0, "%s", e.msg);
}

static uint64_t sum_of(uint64_t from, uint64_t n)
{
    return n * (2 * from + n - 1) / 2;
}

static const struct { int64_t ms, partition; } days[] = {
    { 0, 0 },
    { PARTITION_MS - 1, 0 },
    { PARTITION_MS, 1 },
    { -1, -1 },
    { -PARTITION_MS, -1 },
    { -PARTITION_MS - 1, -2 },
    { INT64_MAX, 106751991167 }, { INT64_MIN, -106751991168 },
};

START_TEST(times_have_partitions)
{
    ck_assert_int_eq(partition_of(days[_i].ms), days[_i].partition);
}
END_TEST

START_TEST(what_is_written_is_read)
{
    static const int64_t partitions[] = { 20000, -3, 0, 20000, -106751991167, 106751991166 };
    struct block_list *list;

    for (uint32_t i = 0; i < COUNT(partitions); i++)
        put(partitions[i], 1000 * (i + 1), 1 + 60 * i, NULL, 0); /* up to 1.5 MB: several parts */
    for (int round = 0; round < 2; round++) {
        ck_assert_tally(bs, 906, sum_of(1000, 1) + sum_of(2000, 61) + sum_of(3000, 121) + sum_of(4000, 181) +
                                     sum_of(5000, 241) + sum_of(6000, 301));
        list = blocks_hold(bs);
        ck_assert_uint_eq(list->n, COUNT(partitions));
        ck_assert_uint_eq(list->blocks[0]->rank, 5);
        ck_assert_uint_eq(list->blocks[3]->rank, 1); /* by partition, then rank */
        ck_assert_uint_eq(list->blocks[4]->rank, 4);
        ck_assert_uint_eq(list->blocks[4]->pages, 181);
        blocks_release(bs, list);
        ck_assert_uint_eq(blocks_rank(bs), 6);
        reopen();
    }
    ck_assert_uint_eq(blocks_damaged(bs), 0);
}
END_TEST

START_TEST(idle_files_have_no_logs)
{
    put(7, 1, 1, NULL, 0);
    ck_assert_int_gt(file_size("7.db"), 0);
    ck_assert_int_lt(file_size("7.db"), 100 * 1024); /* with one tiny block */
    ck_assert_int_eq(file_size("7.db-wal"), -1);
    ck_assert_int_eq(file_size("7.db-shm"), -1);
    ck_assert_tally(bs, 1, 1);
    put(7, 2, 1, NULL, 0); /* with an idle reader: the log is there and empty */
    ck_assert_int_le(file_size("7.db-wal"), 0);
    ck_assert_int_eq(file_size("7.db-shm"), -1);
    ck_assert_uint_eq(blocks_bytes(bs), (uint64_t)file_size("7.db"));
}
END_TEST

START_TEST(replaced_blocks_stay_for_their_holders)
{
    struct block_list *before, *after;
    struct tally t = { 0, 0 };
    long size;

    put(1, 100, 300, NULL, 0);
    put(1, 500, 300, NULL, 0);
    put(2, 1, 1, NULL, 0);
    put(1, 5000, 10, NULL, 0);
    before = blocks_hold(bs);
    put(1, 1000, 20, before->blocks, 2);
    after = blocks_hold(bs);
    ck_assert_uint_eq(after->n, 3);
    ck_assert_uint_eq(after->blocks[0]->rank, 2); /* the highest of the two */
    ck_assert_uint_eq(after->blocks[1]->rank, 4);
    clean_all(bs);
    list_read(bs, before, tally_add, &t);
    ck_assert_uint_eq(t.n, 611);
    blocks_release(bs, before);
    size = file_size("1.db");
    clean_all(bs);
    ck_assert_int_lt(file_size("1.db"), size / 2); /* free space has been given back */
    blocks_release(bs, after);
    for (int round = 0; round < 2; round++) {
        ck_assert_tally(bs, 31, sum_of(1000, 20) + sum_of(5000, 10) + 1);
        reopen();
    }
}
END_TEST

START_TEST(survives_loss_of_power)
{
    blocks_close(bs);
    bs = blocks_open(dir, &sample_blocks, 0, STORE_POWER, NULL);
    ck_assert_ptr_nonnull(bs);
    put(7, 1, 10, NULL, 0);
    reopen();
    ck_assert_tally(bs, 10, sum_of(1, 10)); /* that it is synced, too, only a loss of power would show */
}
END_TEST

/* Replaced, held, and the process ends: what is marked as gone is not there again. */
START_TEST(what_is_replaced_does_not_come_back)
{
    struct block_list *list;

    put(1, 100, 50, NULL, 0);
    put(1, 500, 50, NULL, 0);
    list = blocks_hold(bs);
    put(1, 1000, 20, list->blocks, 1);
    put(1, 0, 0, list->blocks + 1, 1); /* in the place of the second: nothing */
    blocks_release(bs, list);
    reopen();
    ck_assert_tally(bs, 20, sum_of(1000, 20));
    clean_all(bs);
    ck_assert_tally(bs, 20, sum_of(1000, 20));
    list = blocks_hold(bs);
    put(1, 0, 0, list->blocks, 1);
    blocks_release(bs, list);
    clean_all(bs);
    ck_assert_int_eq(file_size("1.db"), -1); /* nothing is left in it */
}
END_TEST

START_TEST(dropped_partitions_go_with_their_holders)
{
    struct block_list *list;
    struct tally t = { 0, 0 };
    size_t dropped;

    for (uint32_t day = 1; day <= 4; day++)
        put(day, day * 100, 10, NULL, 0);
    list = blocks_hold(bs);
    ck_assert_int_eq(blocks_drop(bs, 3 * PARTITION_MS - 1, &dropped, NULL), 0);
    ck_assert_uint_eq(dropped, 1);
    ck_assert_int_eq(blocks_drop(bs, 3 * PARTITION_MS, &dropped, NULL), 0);
    ck_assert_uint_eq(dropped, 1);
    clean_all(bs);
    ck_assert_int_gt(file_size("1.db"), 0);
    list_read(bs, list, tally_add, &t);
    ck_assert_uint_eq(t.n, 40);
    blocks_release(bs, list);
    ck_assert_tally(bs, 20, sum_of(300, 10) + sum_of(400, 10));
    clean_all(bs);
    ck_assert_int_eq(file_size("1.db"), -1);
    ck_assert_int_eq(file_size("2.db"), -1);
    ck_assert_int_gt(file_size("3.db"), 0);
}
END_TEST

/* Late samples for a day that was just dropped, while somebody still reads it. */
START_TEST(a_dropped_partition_can_be_written_again)
{
    struct block_list *list;
    struct tally t = { 0, 0 };
    size_t dropped;

    put(1, 100, 10, NULL, 0);
    list = blocks_hold(bs);
    ck_assert_int_eq(blocks_drop(bs, 2 * PARTITION_MS, &dropped, NULL), 0);
    put(1, 200, 5, NULL, 0);
    ck_assert_tally(bs, 5, sum_of(200, 5));
    list_read(bs, list, tally_add, &t);
    ck_assert_uint_eq(t.n, 10);
    blocks_release(bs, list);
    clean_all(bs);
    for (int round = 0; round < 2; round++) {
        ck_assert_tally(bs, 5, sum_of(200, 5));
        reopen();
    }
}
END_TEST

START_TEST(an_abandoned_block_leaves_nothing)
{
    struct block_writer *w = block_writer_new(bs, 1, NULL);
    struct item it = item_new();

    ck_assert_ptr_nonnull(w);
    for (uint32_t k = 8; k < 8 * 400; k += 8) { /* more than SQLite's cache holds */
        item_make(k, 1, &it);
        ck_assert_int_eq(item_write(w, &it, NULL), 0);
    }
    block_writer_abandon(w);
    ck_assert_int_eq(file_size("1.db"), -1);
    put(1, 1, 1, NULL, 0);
    w = block_writer_new(bs, 1, NULL);
    item_make(5, 1, &it);
    ck_assert_int_eq(item_write(w, &it, NULL), 0);
    block_writer_abandon(w);
    free(it.bytes);
    ck_assert_tally(bs, 1, 1);
    block_writer_abandon(NULL);
    ck_assert_int_eq(block_writer_commit(block_writer_new(bs, 9, NULL), NULL, 0, NULL), 0); /* nothing at all */
    ck_assert_int_eq(file_size("9.db"), -1);
}
END_TEST

static const struct {
    const char *what;
    uint32_t id;
    size_t bytes, n, samples;
    int64_t first, last;
    int rc;
} pages[] = {
    { "fine", 1, 10, 1, 1, 0, 0, 0 },
    { "at its limits", UINT32_MAX, PAGE_BYTES_MAX, 1, 32768, 0, PARTITION_MS - 1, 0 },
    { "empty", 1, 0, 1, 1, 0, 0, ERR_INVALID },
    { "too long", 1, PAGE_BYTES_MAX + 1, 1, 1, 0, 0, ERR_LIMIT },
    { "without series", 1, 10, 0, 1, 0, 0, ERR_INVALID },
    { "series 0", 0, 10, 1, 1, 0, 0, ERR_INVALID },
    { "fewer samples than series", 1, 10, 1, 0, 0, 0, ERR_INVALID },
    { "too many samples", 1, 10, 1, 32769, 0, 0, ERR_INVALID },
    { "the day before", 1, 10, 1, 1, -1, 0, ERR_INVALID },
    { "the day after", 1, 10, 1, 1, 0, PARTITION_MS, ERR_INVALID },
    { "ends before it begins", 1, 10, 1, 1, 5, 4, ERR_INVALID },
};

START_TEST(pages_are_checked)
{
    static char bytes[PAGE_BYTES_MAX + 1];
    struct block_writer *w = block_writer_new(bs, 0, NULL);
    struct err e = ERR_INIT;
    int rc = block_writer_add(w, (struct str){ bytes, pages[_i].bytes }, &pages[_i].id, pages[_i].n, pages[_i].first,
                              pages[_i].last, pages[_i].samples, &e);

    ck_assert_msg(rc == pages[_i].rc, "%s: %d (%s)", pages[_i].what, rc, e.msg);
    rc = block_writer_commit(w, NULL, 0, &e);
    ck_assert_int_eq(rc, pages[_i].rc ? ERR_INVALID : 0); /* one page refused, and the block is */
}
END_TEST

START_TEST(writers_do_not_meet)
{
    struct block_writer *w = block_writer_new(bs, 1, NULL);
    struct block_list *list;
    struct err e = ERR_INIT;

    ck_assert_ptr_nonnull(w);
    ck_assert_ptr_null(block_writer_new(bs, 1, &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    put(2, 1, 1, NULL, 0); /* another partition's may */
    block_writer_abandon(w);
    list = blocks_hold(bs);
    ck_assert_int_eq(block_put(bs, 1, (uint32_t[]){ 5 }, 1, list->blocks, 1, &e), ERR_INVALID);
    blocks_release(bs, list);
    ck_assert_tally(bs, 1, 1);
}
END_TEST

static int check_item(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e)
{
    struct tally *t = arg;

    ck_assert_uint_gt(bytes.n, 0);
    ck_assert_uint_gt(n, 0);
    tally_add(t, ids[0]);
    return ids[0] == 666 ? err_set(e, ERR_CORRUPT, "a bad page") : 0;
}

START_TEST(check_sees_every_page)
{
    struct tally t = { 0, 0 };
    struct block_list *list;
    struct err e = ERR_INIT;

    put(1, 100, 200, NULL, 0);
    put(2, 665, 3, NULL, 0);
    list = blocks_hold(bs);
    ck_assert_msg(blocks_check(bs, list->blocks[0], check_item, &t, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(t.n, 200);
    ck_assert_uint_eq(t.sum, sum_of(100, 200));
    ck_assert_int_eq(blocks_check(bs, list->blocks[1], check_item, &t, &e), ERR_CORRUPT);
    ck_assert_str_eq(e.msg, "page 1: a bad page");
    blocks_release(bs, list);
}
END_TEST

/* What a reader finds damaged is kept out, but not removed. */
START_TEST(set_aside_by_a_reader)
{
    struct block_list *list;
    struct err why = ERR_INIT;

    put(1, 100, 10, NULL, 0);
    put(1, 200, 10, NULL, 0);
    list = blocks_hold(bs);
    err_set(&why, ERR_CORRUPT, "a test says so");
    blocks_set_aside(bs, list->blocks[0], &why);
    blocks_set_aside(bs, list->blocks[0], &why);
    ck_assert_uint_eq(blocks_damaged(bs), 1);
    blocks_release(bs, list);
    clean_all(bs);
    ck_assert_tally(bs, 10, sum_of(200, 10));
    list = blocks_hold(bs);
    put(1, 0, 0, list->blocks, 1);
    blocks_release(bs, list);
    clean_all(bs);
    ck_assert_int_gt(file_size("1.db"), 0);
    reopen(); /* nothing of it is known to be wrong before somebody reads it */
    ck_assert_tally(bs, 10, sum_of(100, 10));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("blocks");
    TCase *tc = tcase_create("blocks");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, times_have_partitions, 0, COUNT(days));
    tcase_add_test(tc, what_is_written_is_read);
    tcase_add_test(tc, idle_files_have_no_logs);
    tcase_add_test(tc, survives_loss_of_power);
    tcase_add_test(tc, replaced_blocks_stay_for_their_holders);
    tcase_add_test(tc, what_is_replaced_does_not_come_back);
    tcase_add_test(tc, dropped_partitions_go_with_their_holders);
    tcase_add_test(tc, a_dropped_partition_can_be_written_again);
    tcase_add_test(tc, an_abandoned_block_leaves_nothing);
    tcase_add_loop_test(tc, pages_are_checked, 0, COUNT(pages));
    tcase_add_test(tc, writers_do_not_meet);
    tcase_add_test(tc, check_sees_every_page);
    tcase_add_test(tc, set_aside_by_a_reader);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
