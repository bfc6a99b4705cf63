/* kill_test.c: kill -9 at any moment: what was acknowledged is there, and everything is there once.
 *
 * A child commits numbered batches, several under way at a time, and tells each acknowledgement through a pipe. Another
 * of its threads deletes, has old data dropped, and reads; its store seals, merges, drops and forgets all the time. The
 * parent kills it after a while, checks the directory, opens the store itself, and compares it with what as many batches
 * make. The next child sends again from the first batch that was not acknowledged, as a proxy would: some of those were
 * committed. Batch k has
 *
 *     log         at k ns of one of three days, with k for its number
 *     span        at k ns of a day that is too old to stay
 *     live        samples of LIVE series at k ms of one of three days
 *     again       a sample at k, and that of batch k - BACK anew, with k for its value
 *     gone        a sample of a new series every so often, on a day that is too old to stay
 *
 * KILL_ROUNDS and KILL_SEED in the environment take the place of the number of rounds and of chance. */
#include "store/check.h"
#include "store/events.h"
#include "tests/unit/store/blocks_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { ROUNDS = UNIT_SANITIZED ? 15 : 40 };
enum { BYTES_UNDER_WAY = 8192, LIVE = 4, DAYS = 3, BACK = 7, GONE_EACH = 20, SAMPLES = LIVE + 3, MOST_BATCHES = 1 << 20 };
#define RETENTION (10 * PARTITION_MS)

static char dir[64];
static int64_t first_day; /* a partition's number: the days of live samples are past, and stay */

static void setup(void)
{
    blocks_fixture_dir(dir);
    first_day = partition_of((int64_t)time(NULL) * 1000) - DAYS - 1;
}

static void teardown(void)
{
    fixture_remove(dir);
}

/* What the child tells. */
struct message {
    enum { COMMITTED, DELETED } what;
    uint64_t number;         /* of the batch; of the last deleted sample */
    uint64_t merged, sealed; /* blocks, samples, since it started */
};

static struct store *open_busy(struct err *e)
{
    const struct store_options options = { .retention_ms = RETENTION };
    const struct store_tuning tuning = { .seal_samples = 1500, .seal_rows = 150, .tidy_ms = 1, .retry_ms = 1, .dead_series = 50 };

    return store_open_tuned(dir, &options, &tuning, e);
}

static int64_t live_time(uint64_t k)
{
    return (first_day + (int64_t)(k % DAYS)) * PARTITION_MS + (int64_t)k;
}

static int64_t log_ns(uint64_t k)
{
    return (first_day + (int64_t)(k % DAYS)) * PARTITION_MS * 1000000 + (int64_t)k;
}

static int64_t span_ns(uint64_t k)
{
    return (first_day - 20 - (int64_t)(k / 500 % 2)) * PARTITION_MS * 1000000 + (int64_t)k;
}

static int64_t again_time(uint64_t k)
{
    return first_day * PARTITION_MS + (int64_t)k;
}

static int64_t gone_time(uint64_t k)
{
    return (first_day - 20 - (int64_t)(k / 1000 % 2)) * PARTITION_MS + (int64_t)k;
}

/* --- the child: batches (nothing of Check's: its messages must not be cut short) --- */

static void must(const char *what, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, err_name(rc));
    _exit(1);
}

static void add(struct batch *b, const char *name, const char *instance, const struct sample *s, size_t n)
{
    struct label *v = arena_array(b->arena, 2, sizeof(*v));
    const struct batch_series bs = { .labels = { v, 2 }, .samples = s, .n = n };

    must("labels", v ? 0 : ERR_NOMEM);
    v[0] = (struct label){ STR("__name__"), str_of(name) };
    v[1] = (struct label){ STR("i"), str_of(instance) };
    must("series", batch_add_series(b, &bs));
}

struct flight {
    struct arena a;
    struct batch b;
    struct sample samples[SAMPLES];
    char gone[24];
    union event_value log[LOG_NCOLUMNS], span[SPAN_NCOLUMNS];
    uint64_t number;
    struct store *st;
    int fd;
};

static void tell(struct store *st, int fd, int what, uint64_t number)
{
    const struct message m = { .what = what,
                              .number = number,
                              .merged = atomic_load(&st->counters.merged),
                              .sealed = atomic_load(&st->counters.sealed) };

    if (write(fd, &m, sizeof(m)) != sizeof(m))
        _exit(1);
}

static void acknowledged(void *arg, int rc, const struct err *e)
{
    struct flight *f = arg;

    if (rc < 0) {
        fprintf(stderr, "batch %llu: %s\n", (unsigned long long)f->number, e->msg);
        _exit(1);
    }
    tell(f->st, f->fd, COMMITTED, f->number);
    arena_free(&f->a);
    mem_free(f);
}

static void add_samples(struct flight *f)
{
    static const char *const live[LIVE] = { "0", "1", "2", "3" };
    uint64_t k = f->number;
    struct sample *s = f->samples;

    for (int i = 0; i < LIVE; i++, s++) {
        *s = (struct sample){live_time(k), (double)k + i};
        add(&f->b, "live", live[i], s, 1);
    }
    s[0] = (struct sample){ again_time(k), (double)k };
    s[1] = (struct sample){ again_time(k - BACK), (double)k };
    add(&f->b, "again", "0", s, k > BACK ? 2 : 1);
    s += 2;
    *s = (struct sample){gone_time(k), (double)k};
    snprintf(f->gone, sizeof(f->gone), "%llu", (unsigned long long)(k / GONE_EACH));
    add(&f->b, "gone", f->gone, s, 1);
}

static void add_rows(struct flight *f)
{
    const struct event log = { log_ns(f->number), f->log, { NULL, 0 } }, span = { span_ns(f->number), f->span, { NULL, 0 } };

    f->log[LOG_severity_number].i = (int64_t)f->number;
    must("log", batch_add_event(&f->b, EVENT_LOG, &log));
    must("span", batch_add_event(&f->b, EVENT_SPAN, &span));
}

static void send_one(struct store *st, uint64_t number, int fd)
{
    struct flight *f = mem_zalloc(sizeof(*f));

    if (!f)
        _exit(1);
    f->number = number;
    f->st = st;
    f->fd = fd;
    batch_init(&f->b, &f->a);
    f->b.sender = STR("x");
    f->b.number = number;
    add_samples(f);
    add_rows(f);
    if (store_submit(st, &f->b, acknowledged, f, NULL) < 0)
        _exit(1);
}

/* --- the child: what goes on beside --- */

struct beside {
    struct store *st;
    uint64_t next; /* its samples' times count up */
    int fd;
};

static void write_deleted(struct beside *b)
{
    const struct sample s = { again_time(b->next), (double)b->next };
    struct arena a = ARENA_INIT(0);
    struct batch batch;

    batch_init(&batch, &a);
    add(&batch, "deleted", "0", &s, 1);
    must("write", store_commit(b->st, &batch, NULL));
    arena_free(&a);
}

static void read_all(struct store *st, struct arena *a)
{
    const struct series_query q = { .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_set *set = series_open(st, &q, a, NULL);
    struct sample_columns c;
    struct labels l;
    int rc = set ? 0 : ERR_NOMEM;

    while (rc == 0 && (rc = series_next(set, &l, NULL)) == 1)
        while ((rc = series_samples(set, &c, NULL)) == 1)
            ;
    must("read", rc);
}

/* No row is there twice, whatever is being sealed and merged. */
static void read_logs(struct store *st, struct arena *a)
{
    const struct event_query q = { .kind = EVENT_LOG, .from_ns = INT64_MIN, .to_ns = INT64_MAX };
    struct event_cursor *c = events_open(st, &q, a, NULL);
    struct event_page p;
    int64_t last = INT64_MIN;
    int rc = c ? 0 : ERR_NOMEM;

    while (rc == 0 && (rc = events_next(c, &p, NULL)) == 1) {
        for (size_t i = 0; i < p.n; i++) {
            must("a row twice", p.time_ns[i] > last ? 0 : ERR_CORRUPT);
            last = p.time_ns[i];
        }
        rc = 0;
    }
    events_close(c);
    must("read logs", rc);
}

static void *beside_main(void *arg)
{
    struct beside *b = arg;
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("deleted"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };

    for (;; b->next++) {
        struct arena a = ARENA_INIT(0);

        write_deleted(b);
        read_all(b->st, &a);
        read_logs(b->st, &a);
        must("retain", store_retain(b->st, (int64_t)time(NULL) * 1000, NULL));
        arena_free(&a); /* what was dropped was read from until now */
        must("delete", series_delete(b->st, &q, NULL));
        tell(b->st, b->fd, DELETED, b->next);
    }
    return NULL;
}

/* Never returns: it is killed. */
static void child_main(uint64_t number, uint64_t deleted, int fd)
{
    struct err e = ERR_INIT;
    struct store *st = open_busy(&e);
    struct beside beside = { st, deleted + 1, fd };
    pthread_t thread;

    must(e.msg, st ? 0 : e.code);
    if (pthread_create(&thread, NULL, beside_main, &beside))
        _exit(1);
    for (;; number++) {
        struct store_stats stats;

        send_one(st, number, fd);
        do
            store_stats(st, &stats);
        while (stats.queue_bytes > BYTES_UNDER_WAY);
    }
}

/* --- the parent --- */

/* What is known to have been done. */
struct known {
    uint64_t committed, deleted;
    uint64_t merged, sealed, rounds_merged;
};

static void listen_to(int fd, struct known *k)
{
    struct message m = { 0 };

    while (read(fd, &m, sizeof(m)) == sizeof(m)) {
        if (m.what == DELETED) {
            k->deleted = m.number;
            continue;
        }
        ck_assert_uint_eq(m.number, k->committed + 1);
        k->committed = m.number;
    }
    k->merged += m.merged;
    k->sealed += m.sealed;
    k->rounds_merged += m.merged != 0;
}

static void run_and_kill(struct known *k, int64_t ms)
{
    const struct timespec pause = { 0, ms * 1000000 };
    int fds[2], status;
    pid_t child;

    ck_assert_int_eq(pipe(fds), 0);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* the child does not wait for the parent, who sleeps */
    child = fork();
    if (child == 0) {
        close(fds[0]);
        child_main(k->committed + 1, k->deleted, fds[1]);
    }
    close(fds[1]);
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ck_assert_msg(WIFSIGNALED(status), "the child ended by itself");
    listen_to(fds[0], k);
    close(fds[0]);
}

/* What there is of a table: which batches' rows, each once, each as it was. */
struct rows {
    uint8_t *seen; /* of batches below `most`; the caller's to free */
    uint64_t n, most;
};

static struct rows read_rows(struct store *st, enum event_kind kind, int column, int64_t (*time_ns)(uint64_t k))
{
    const struct event_query q = { .kind = kind, .from_ns = INT64_MIN, .to_ns = INT64_MAX, .columns = (uint64_t)1 << column };
    struct rows r = { calloc(MOST_BATCHES, 1), 0, MOST_BATCHES };
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct event_cursor *c = events_open(st, &q, &a, &e);
    struct event_page p;
    int rc = 0;

    ck_assert_msg(c && r.seen, "%s", e.msg);
    while ((rc = events_next(c, &p, &e)) == 1)
        for (size_t i = 0; i < p.n; i++) {
            uint64_t k = (uint64_t)p.time_ns[i] % (PARTITION_MS * 1000000);

            if (k >= r.most || p.time_ns[i] != time_ns(k) || r.seen[k] ||
                (kind == EVENT_LOG && p.columns[column][i].i != (int64_t)k))
                ck_abort_msg("a row of batch %llu, twice or another", (unsigned long long)k);
            r.seen[k] = 1;
            r.n++;
        }
    ck_assert_msg(rc == 0, "%s", e.msg);
    events_close(c);
    arena_free(&a);
    return r;
}

/* Each number from 1 on, once: how many batches there are. */
static uint64_t count_logs(struct store *st)
{
    struct rows r = read_rows(st, EVENT_LOG, LOG_severity_number, log_ns);

    for (uint64_t k = 1; k <= r.n; k++)
        if (!r.seen[k])
            ck_abort_msg("log %llu of %llu is not there", (unsigned long long)k, (unsigned long long)r.n);
    free(r.seen);
    return r.n;
}

/* Some may be there still. */
static void compare_spans(struct store *st, uint64_t n)
{
    struct rows r = read_rows(st, EVENT_SPAN, SPAN_duration_ns, span_ns);

    for (uint64_t k = n + 1; k < r.most; k++)
        if (r.seen[k])
            ck_abort_msg("a span of batch %llu of %llu", (unsigned long long)k, (unsigned long long)n);
    free(r.seen);
}

static void compare_live(struct store *st, uint64_t n)
{
    for (int i = 0; i < LIVE; i++) {
        const char name[] = { (char)('0' + i), '\0' };
        struct arena a = ARENA_INIT(0);
        struct sample *got;
        size_t count = fixture_read(st, "live", name, INT64_MIN, INT64_MAX, &a, &got), at = 0;

        for (uint64_t day = 0; day < DAYS; day++)
            for (uint64_t k = day ? day : DAYS; k <= n; k += DAYS, at++)
                if (at >= count || got[at].t != live_time(k) || got[at].v != (double)k + i)
                    ck_abort_msg("series %d: batch %llu of %llu is not there once", i, (unsigned long long)k,
                                 (unsigned long long)n);
        ck_assert_uint_eq(at, count);
        arena_free(&a);
    }
}

static void compare_again(struct store *st, uint64_t n)
{
    struct arena a = ARENA_INIT(0);
    struct sample *got;
    size_t count = fixture_read(st, "again", "0", INT64_MIN, INT64_MAX, &a, &got);

    ck_assert_uint_eq(count, n);
    for (uint64_t k = 1; k <= n; k++)
        if (got[k - 1].t != again_time(k) || got[k - 1].v != (double)(k + BACK <= n ? k + BACK : k))
            ck_abort_msg("batch %llu of %llu: overwritten by %g", (unsigned long long)k, (unsigned long long)n,
                         got[k - 1].v);
    arena_free(&a);
}

/* Of days that are too old some may be there still: as they were. */
static void compare_gone(struct store *st, uint64_t n)
{
    struct arena a = ARENA_INIT(0);
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("gone"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_set *set = series_open(st, &q, &a, NULL);
    struct sample_columns c;
    struct labels l;

    while (set && series_next(set, &l, NULL) == 1) {
        int64_t last = INT64_MIN;

        while (series_samples(set, &c, NULL) == 1)
            for (size_t i = 0; i < c.n; i++) {
                uint64_t k = (uint64_t)c.v[i];

                if (k > n || c.t[i] <= last || c.t[i] != gone_time(k))
                    ck_abort_msg("an old sample of %llu", (unsigned long long)k);
                last = c.t[i];
            }
    }
    ck_assert_ptr_nonnull(set);
    arena_free(&a);
}

static void compare(struct store *st, const struct known *k)
{
    uint64_t n = count_logs(st);
    struct arena a = ARENA_INIT(0);
    struct sample *got;

    ck_assert_msg(n >= k->committed, "%llu batches there, %llu acknowledged", (unsigned long long)n,
                  (unsigned long long)k->committed);
    compare_live(st, n);
    compare_again(st, n);
    compare_gone(st, n);
    compare_spans(st, n);
    ck_assert_msg(fixture_read(st, "deleted", "0", INT64_MIN, again_time(k->deleted), &a, &got) == 0, "deleted: back");
    arena_free(&a);
}

static void hear_fault(void *arg, const char *text)
{
    (void)arg;
    ck_abort_msg("check: %s", text);
}

static void check_directory(void)
{
    struct store_check c = { .fault = hear_fault };
    struct err e = ERR_INIT;
    int rc = store_check(dir, &c, &e);

    ck_assert_msg(rc == 0 || rc == ERR_NOTFOUND, "check: %s", e.msg);
    ck_assert_uint_eq(c.faults, 0);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

START_TEST(nothing_lost_nothing_doubled)
{
    uint64_t rounds = from_environment("KILL_ROUNDS", ROUNDS), seed;
    struct known k = { 0 };
    struct rng r;

    rng_seed(&r);
    seed = from_environment("KILL_SEED", rng_next(&r));
    r = (struct rng){ { seed, 2, 3, 4 } };
    printf("KILL_SEED=%llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < rounds || (k.committed == 0 && round < 20 * rounds); round++) {
        struct err e = ERR_INIT;
        struct store *st;

        run_and_kill(&k, (int64_t)(rng_below(&r, 4) ? rng_below(&r, 300) : rng_below(&r, 30)));
        check_directory();
        st = open_busy(&e);
        ck_assert_msg(st != NULL, "%s", e.msg);
        compare(st, &k);
        store_close(st);
    }
    printf("%llu rounds, %llu batches, %llu deletes, %llu samples sealed, %llu blocks merged in %llu rounds\n",
           (unsigned long long)rounds, (unsigned long long)k.committed, (unsigned long long)k.deleted,
           (unsigned long long)k.sealed, (unsigned long long)k.merged, (unsigned long long)k.rounds_merged);
    ck_assert_uint_gt(k.committed, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store kill");
    TCase *tc = tcase_create("kill");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 3600);
    tcase_add_test(tc, nothing_lost_nothing_doubled);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
