/* kill_test.c: kill -9 at any moment: what was acknowledged is there, and everything is there once.
 *
 * A child commits numbered batches, several under way at a time, and reports each acknowledgement through a pipe; batch
 * k has one sample and one log record at time k. The parent kills it after a while, opens the store itself and counts.
 * The next child sends again from the first batch that was not acknowledged, as a proxy would: some of those were
 * committed. */
#include "store/events.h"
#include "tests/unit/store/fixture.h"

#include "base/rand.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = 8, BYTES_UNDER_WAY = 4096 };

static char dir[64];

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

struct flight {
    struct arena a;
    struct batch b;
    struct sample s;
    union event_value v[LOG_NCOLUMNS];
    uint64_t number;
    int fd;
};

static void acknowledged(void *arg, int rc, const struct err *e)
{
    struct flight *f = arg;

    (void)e;
    if (rc < 0 || write(f->fd, &f->number, sizeof(f->number)) != sizeof(f->number))
        _exit(1);
    arena_free(&f->a);
    mem_free(f);
}

static void send_one(struct store *st, uint64_t number, int fd)
{
    struct flight *f = mem_zalloc(sizeof(*f));
    struct event ev;

    if (!f)
        _exit(1);
    f->number = number;
    f->fd = fd;
    f->s = (struct sample){ (int64_t)number, (double)number };
    batch_init(&f->b, &f->a);
    f->b.sender = STR("x");
    f->b.number = number;
    fixture_add(&f->b, "m", number % 2 ? "1" : "2", 0, &f->s, 1);
    ev = (struct event){ (int64_t)number, f->v, { NULL, 0 } };
    if (batch_add_event(&f->b, EVENT_LOG, &ev) < 0 || store_submit(st, &f->b, acknowledged, f, NULL) < 0)
        _exit(1);
}

/* Never returns: it is killed. */
static void child_main(uint64_t number, int fd)
{
    struct store *st = fixture_open_sealing(dir, 40);

    for (;; number++) {
        struct store_stats stats;

        send_one(st, number, fd);
        do
            store_stats(st, &stats);
        while (stats.queue_bytes > BYTES_UNDER_WAY);
    }
}

/* The highest number acknowledged before the kill. */
static uint64_t run_and_kill(uint64_t next, int64_t ms)
{
    const struct timespec pause = { 0, ms * 1000000 };
    uint64_t number, last = next - 1;
    int fds[2];
    pid_t child;

    ck_assert_int_eq(pipe(fds), 0);
    child = fork();
    if (child == 0) {
        close(fds[0]);
        child_main(next, fds[1]);
    }
    close(fds[1]);
    nanosleep(&pause, NULL);
    while (ms > 20 && last == next - 1 && read(fds[0], &number, sizeof(number)) == sizeof(number))
        last = number; /* slow machines and sanitizers: at least one got through */
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(fds[0], &number, sizeof(number)) == sizeof(number)) {
        ck_assert_uint_eq(number, last + 1);
        last = number;
    }
    close(fds[0]);
    return last;
}

static size_t count_samples(struct store *st)
{
    struct arena a = ARENA_INIT(0);
    size_t n = 0;

    for (int k = 1; k <= 2; k++) {
        struct sample *got;
        size_t count = fixture_read(st, "m", k == 1 ? "1" : "2", INT64_MIN, INT64_MAX, &a, &got);

        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq(got[i].t, (int64_t)i * 2 + k);
        n += count;
    }
    arena_free(&a);
    return n;
}

/* Each number from 1 on, once. */
static size_t count_logs(struct store *st)
{
    const struct event_query q = { .kind = EVENT_LOG, .from_ns = 0, .to_ns = INT64_MAX };
    struct arena a = ARENA_INIT(0);
    struct event_cursor *c = events_open(st, &q, &a, NULL);
    struct event_page p;
    size_t n = 0;

    ck_assert_ptr_nonnull(c);
    while (events_next(c, &p, NULL) == 1)
        for (size_t i = 0; i < p.n; i++)
            ck_assert_int_eq(p.time_ns[i], (int64_t)++n);
    events_close(c);
    arena_free(&a);
    return n;
}

START_TEST(nothing_lost_nothing_doubled)
{
    uint64_t last = 0;
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < ROUNDS; round++) {
        struct store *st;
        size_t samples, logs;

        last = run_and_kill(last + 1, (int64_t)rng_below(&r, 150));
        st = fixture_open_sealing(dir, 40);
        samples = count_samples(st);
        logs = count_logs(st);
        ck_assert_uint_eq(samples, logs); /* a batch is there as a whole or not at all */
        ck_assert_msg(logs >= last, "%zu batches there, %llu acknowledged", logs, (unsigned long long)last);
        store_close(st);
    }
    ck_assert_uint_gt(last, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store kill");
    TCase *tc = tcase_create("kill");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, nothing_lost_nothing_doubled);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
