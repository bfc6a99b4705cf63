/* blocks_kill_test.c: kill -9 at any moment while blocks are written, replaced, dropped and cleaned.
 *
 * A child does that and tells through a pipe, for each item, what it is about to do and what it has done. The parent
 * kills it and opens the directory: what was done is done, every item is there once or not at all, and nothing is
 * damaged. */
#include "tests/unit/store/blocks_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 16, ITEMS = 60000, DAYS = 3, MOST_BLOCKS = 20 };
enum state { NEVER, MAYBE, THERE, GONE };

struct message {
    uint32_t item;
    enum state state;
};

static char dir[64];
static enum state states[ITEMS];

static void setup(void)
{
    blocks_fixture_dir(dir);
    memset(states, 0, sizeof(states));
}

static void teardown(void)
{
    fixture_remove(dir);
}

/* --- the child --- */

static void tell(int fd, const uint32_t *items, size_t n, enum state state)
{
    for (size_t i = 0; i < n; i++) {
        const struct message m = { items[i], state };

        if (write(fd, &m, sizeof(m)) != sizeof(m))
            _exit(1);
    }
}

static void must(int rc)
{
    if (rc < 0)
        _exit(1);
}

static void write_one(struct blocks *bs, struct rng *r, uint32_t *next, int fd)
{
    uint32_t items[12], n = 1 + (uint32_t)rng_below(r, 12);

    for (uint32_t i = 0; i < n; i++)
        items[i] = (*next)++;
    tell(fd, items, n, MAYBE);
    must(block_put(bs, (int64_t)rng_below(r, DAYS), items, n, NULL, 0, NULL));
    tell(fd, items, n, THERE);
}

static void replace_some(struct blocks *bs, struct rng *r, bool keep, int fd)
{
    static struct items items;
    struct block_list *list = blocks_hold(bs);
    size_t n;
    struct block *const *v = pick_blocks(r, list, &n);

    items.n = 0;
    for (size_t i = 0; i < n; i++)
        items_of(bs, v[i], &items);
    if (!keep)
        tell(fd, items.v, items.n, MAYBE);
    if (n)
        must(block_put(bs, partition_of(v[0]->first), items.v, keep ? items.n : 0, v, n, NULL));
    if (!keep)
        tell(fd, items.v, items.n, GONE);
    blocks_release(bs, list);
}

/* A drop is for good when the file is gone. */
static void drop_one(struct blocks *bs, int fd)
{
    static struct items items;
    struct block_list *list = blocks_hold(bs);
    size_t dropped;

    items.n = 0;
    for (size_t i = 0; i < list->n; i++)
        if (partition_of(list->blocks[i]->first) == 0)
            items_of(bs, list->blocks[i], &items);
    blocks_release(bs, list);
    tell(fd, items.v, items.n, MAYBE);
    must(blocks_drop(bs, PARTITION_MS, &dropped, NULL));
    while (blocks_clean(bs, NULL) == 1)
        ;
    tell(fd, items.v, items.n, GONE);
}

static bool crowded(struct blocks *bs)
{
    struct block_list *list = blocks_hold(bs);
    bool is = list->n > MOST_BLOCKS;

    blocks_release(bs, list);
    return is;
}

/* Never returns: it is killed. */
static void child_main(uint32_t next, uint64_t seed, int fd)
{
    struct rng r = { { seed, 2, 3, 4 } };
    struct blocks *bs = blocks_open(dir, &sample_blocks, 0, STORE_PROCESS, NULL);

    for (int i = 0; bs && next + 100 < ITEMS; i++) {
        uint64_t what = rng_below(&r, 100);

        if (what < 50 && !crowded(bs))
            write_one(bs, &r, &next, fd);
        else if (what < 80)
            replace_some(bs, &r, what > 55, fd);
        else if (what < 99)
            must(blocks_clean(bs, NULL));
        else
            drop_one(bs, fd);
    }
    _exit(1);
}

/* --- the parent --- */

/* Hears what the child says, until it has told of item `enough` or says no more; returns one past the last item. */
static uint32_t listen_to(int fd, uint32_t next, uint32_t enough)
{
    struct message m;

    while (next <= enough && read(fd, &m, sizeof(m)) == sizeof(m)) {
        states[m.item] = m.state;
        if (m.item >= next)
            next = m.item + 1;
    }
    return next;
}

/* The child has made some items, however slow it is, and then goes on for up to `ms`. */
static uint32_t run_and_kill(uint32_t next, uint64_t seed, uint32_t some, int64_t ms)
{
    const struct timespec pause = { 0, ms * 1000000 };
    int fds[2], status;
    pid_t child;

    ck_assert_int_eq(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* the child does not wait for the parent, who sleeps */
    child = fork();
    if (child == 0) {
        close(fds[0]);
        child_main(next, seed, fds[1]);
    }
    close(fds[1]);
    next = listen_to(fds[0], next, next + some);
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status), "the child ended by itself");
    next = listen_to(fds[0], next, ITEMS);
    close(fds[0]);
    return next;
}

static void count_item(void *arg, uint32_t item)
{
    uint8_t *times = arg;

    ck_assert_uint_lt(item, ITEMS);
    times[item]++;
}

static void verify(struct blocks *bs, int round)
{
    static uint8_t times[ITEMS];
    struct block_list *list = blocks_hold(bs);

    memset(times, 0, sizeof(times));
    list_read(bs, list, count_item, times);
    blocks_release(bs, list);
    for (uint32_t i = 0; i < ITEMS; i++) {
        ck_assert_msg(times[i] <= 1, "round %d: item %u is there %u times", round, i, times[i]);
        ck_assert_msg(states[i] != THERE || times[i] == 1, "round %d: item %u is lost", round, i);
        ck_assert_msg(states[i] == THERE || states[i] == MAYBE || times[i] == 0, "round %d: item %u is back", round,
                      i);
        if (states[i] == MAYBE)
            states[i] = times[i] ? THERE : GONE;
    }
    ck_assert_uint_eq(blocks_damaged(bs), 0);
}

START_TEST(nothing_lost_nothing_doubled)
{
    uint32_t next = 1, there = 0;
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < ROUNDS; round++) {
        struct blocks *bs;

        next = run_and_kill(next, rng_next(&r), (uint32_t)rng_below(&r, 60), (int64_t)rng_below(&r, 100));
        bs = blocks_must_open(dir);
        verify(bs, round);
        if (round % 4 == 0) {
            clean_all(bs);
            verify(bs, round);
        }
        blocks_close(bs);
    }
    for (uint32_t i = 0; i < ITEMS; i++)
        there += states[i] == THERE;
    ck_assert_uint_gt(next, there);
    ck_assert_uint_gt(next, 100);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("blocks kill");
    TCase *tc = tcase_create("kill");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, nothing_lost_nothing_doubled);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
