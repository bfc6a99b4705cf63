/* blocks_threads_test.c: readers and the writer at once; SAN=thread. Every reader sees a whole list, of which every
 * block can be read, whatever is replaced, dropped and cleaned meanwhile; and nobody is ever told that a file is busy.
 *
 * The writer keeps the set of items of each day: it writes day D's items 100 D + 1 to 100 D + 100 in pieces, then only
 * merges them. So a reader that holds a list finds each item at most once, and from the day's completion on exactly
 * once. */
#include "tests/unit/store/blocks_fixture.h"

#include "base/clock.h"

#include <pthread.h>

enum { READERS = 3, DAYS = 6, PER_DAY = 100, PIECES = 10, RUN_MS = 3000 };

struct shared {
    struct blocks *bs;
    atomic_bool stop;
    atomic_uint complete; /* days that are whole, from the first not dropped on */
    atomic_uint dropped;
    atomic_uint lists;
};

static char dir[64];

static void setup(void)
{
    blocks_fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static void count_item(void *arg, uint32_t item)
{
    uint8_t *times = arg;

    ck_assert_uint_le(item, DAYS * PER_DAY);
    ck_assert_uint_eq(times[item]++, 0);
}

static void *reader(void *arg)
{
    struct shared *s = arg;

    while (!atomic_load(&s->stop)) {
        uint8_t times[DAYS * PER_DAY + 1] = { 0 };
        unsigned complete = atomic_load(&s->complete);
        struct block_list *list = blocks_hold(s->bs);
        unsigned dropped = atomic_load(&s->dropped); /* announced before it is done */

        list_read(s->bs, list, count_item, times);
        blocks_release(s->bs, list);
        for (uint32_t i = dropped * PER_DAY + 1; i <= complete * PER_DAY; i++)
            ck_assert_msg(times[i] == 1, "item %u is not there", i);
        atomic_fetch_add(&s->lists, 1);
        blocks_bytes(s->bs);
    }
    return NULL;
}

static void merge_some(struct shared *s, struct rng *r)
{
    static struct items items;
    struct block_list *list = blocks_hold(s->bs);
    size_t n;
    struct block *const *v = pick_blocks(r, list, &n);
    struct err e = ERR_INIT;

    items.n = 0;
    for (size_t i = 0; i < n; i++)
        items_of(s->bs, v[i], &items);
    if (n)
        ck_assert_msg(block_put(s->bs, partition_of(v[0]->first), items.v, items.n, v, n, &e) == 0, "%s", e.msg);
    blocks_release(s->bs, list);
}

static void write_day(struct shared *s, struct rng *r, uint32_t day)
{
    struct err e = ERR_INIT;
    uint32_t items[PIECES];

    for (uint32_t at = 0; at < PER_DAY; at += PIECES) {
        for (uint32_t i = 0; i < PIECES; i++)
            items[i] = day * PER_DAY + at + i + 1;
        ck_assert_msg(block_put(s->bs, day, items, PIECES, NULL, 0, &e) == 0, "%s", e.msg);
        merge_some(s, r);
        ck_assert_msg(blocks_clean(s->bs, &e) >= 0, "%s", e.msg);
    }
    atomic_store(&s->complete, day + 1);
}

START_TEST(readers_see_whole_lists)
{
    struct shared s = { .bs = blocks_must_open(dir) };
    pthread_t threads[READERS];
    struct rng r;
    size_t dropped;
    int64_t end = clock_mono_ns() + RUN_MS * (int64_t)1000000;

    rng_seed(&r);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, reader, &s), 0);
    for (uint32_t day = 0; day < DAYS; day++)
        write_day(&s, &r, day);
    atomic_store(&s.dropped, 2);
    ck_assert_int_eq(blocks_drop(s.bs, 2 * PARTITION_MS, &dropped, NULL), 0);
    while (clock_mono_ns() < end || atomic_load(&s.lists) < 10) {
        merge_some(&s, &r);
        ck_assert_int_ge(blocks_clean(s.bs, NULL), 0);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    clean_all(s.bs);
    ck_assert_uint_eq(tally_of(s.bs).n, (DAYS - 2) * PER_DAY);
    ck_assert_uint_eq(blocks_damaged(s.bs), 0);
    blocks_close(s.bs);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("blocks, threads");
    TCase *tc = tcase_create("threads");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, readers_see_whole_lists);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
