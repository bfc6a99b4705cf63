/* faults_test.c: the n-th allocation, or the n-th call to the disk, fails: for every n of a scenario in which everything
 * happens that the store does with samples and with rows.
 *
 * The scenario is a row of steps, each of which is done until the store says that it is done. In run n the n-th call of
 * every step fails; what is refused because of it changes nothing that can be read, then or after a kill, and is done
 * again, as a sender would: so a step begins as if nothing had failed before, and a run tries as many faults as there
 * are steps. A disk that is full stays so for some attempts.
 * What is stored, a model knows (faults_model.h). */
#include "store/check.h"
#include "store/merge-internal.h"
#include "store/partition-internal.h"
#include "tests/unit/store/blocks_fixture.h"
#include "tests/unit/store/disk.h"
#include "tests/unit/store/faults_model.h"
#include "tests/unit/store/sqlite_heap.h"

#include <dirent.h>
#include <sys/stat.h>

#define RETENTION (30000 * PARTITION_MS) /* nothing is too old for the clock on the wall */

static char dir[64], killed[80];
static struct store *st;

/* --- one fault --- */

enum fault { FAULT_NONE, FAULT_MEMORY, FAULT_DISK, FAULT_FULL };

enum { MEANWHILE = 3 }; /* refusals until there is space again */

static struct {
    enum fault kind;
    int code;
    bool torn;
    long n;               /* the call that fails, in each step */
    int refusals;         /* since arm() */
    bool in_step, failed; /* something has: in this step, in this run */
} fault;

static void arm(void)
{
    fault.refusals = 0;
    if (fault.kind == FAULT_MEMORY)
        mem_fail_at(fault.n);
    else if (fault.kind != FAULT_NONE)
        disk_fail_at(fault.n, fault.code, fault.kind == FAULT_FULL, fault.torn);
}

static bool has_failed(void)
{
    fault.in_step |= fault.kind == FAULT_MEMORY ? mem_has_failed() : disk_has_failed();
    fault.failed |= fault.in_step;
    return fault.failed;
}

static void disarm(void)
{
    (void)has_failed();
    mem_fail_at(0);
    disk_repair();
}

static bool may_fail_with(int rc)
{
    switch (fault.kind) {
    case FAULT_MEMORY:
        return rc == ERR_NOMEM;
    case FAULT_DISK:
        return rc == ERR_IO || rc == ERR_FULL;
    case FAULT_FULL:
        return rc == ERR_FULL || rc == ERR_BUSY;
    default:
        return false;
    }
}

/* --- a store that was killed at this moment --- */

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;

    ck_assert(in >= 0 && out >= 0);
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        ck_assert_int_eq(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static void copy_folder(const char *from, const char *to)
{
    DIR *d = opendir(from);
    struct dirent *entry;

    fixture_remove(to);
    ck_assert_int_eq(mkdir(to, 0700), 0);
    while (d && (entry = readdir(d))) {
        char a[512], b[512];

        snprintf(a, sizeof(a), "%s/%s", from, entry->d_name);
        snprintf(b, sizeof(b), "%s/%s", to, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        if (entry->d_type == DT_DIR)
            copy_folder(a, b);
        else
            copy_file(a, b);
    }
    if (d)
        closedir(d);
}

static void hear_fault(void *arg, const char *text)
{
    (void)arg;
    ck_abort_msg("%s: check: %s", trying, text);
}

static void check_folder(const char *path)
{
    struct store_check c = { .fault = hear_fault };
    struct err e = ERR_INIT;

    ck_assert_msg(store_check(path, &c, &e) == 0 && c.faults == 0, "%s: check: %llu faults %s", trying,
                  (unsigned long long)c.faults, e.msg);
}

static struct store_options options = { .retention_ms = RETENTION };

static struct store *open_tuned(const char *path, struct err *e)
{
    const struct store_tuning tuning = { .seal_samples = fault.kind == FAULT_FULL ? 12 : 1 << 20,
                                        .seal_rows = fault.kind == FAULT_FULL ? 3 : 1 << 20,
                                        .tidy_ms = (int64_t)1 << 30,
                                        .retry_ms = 1,
                                        .dead_series = 8 };

    return store_open_tuned(path, &options, &tuning, e);
}

static void open_and_compare(const char *path)
{
    static struct model got;
    struct err e = ERR_INIT;
    struct store *other = open_tuned(path, &e);

    ck_assert_msg(other && read_all(other, &got, &e) == 0, "%s: opened again: %s", trying, e.msg);
    compare(&got);
    store_close(other);
    check_folder(path);
}

/* (A commit that could not be synced is in the log all the same.) */
static void compare_after_kill(void)
{
    bool before = doubt.any;

    doubt.any |= options.durability == STORE_POWER;
    copy_folder(dir, killed);
    open_and_compare(killed);
    doubt.any = before;
}

/* --- what may be refused --- */

static void read_meanwhile(void)
{
    static struct model got;
    struct err e = ERR_INIT;

    ck_assert_msg(read_all(st, &got, &e) == 0, "%s: not readable meanwhile: %s", trying, e.msg);
    compare(&got);
}

/* Something was not done: what is stored can be read and is what it was, now and after a kill. */
static void not_done(void)
{
    ck_assert_int_lt(fault.refusals, 20000);
    if (st && fault.refusals <= MEANWHILE)
        read_meanwhile();
    if (st && fault.kind == FAULT_DISK && fault.refusals == 0 && !sealer_is_busy(&st->sealer)) /* else blocks may be written while it is copied */
        compare_after_kill();
    if (++fault.refusals >= MEANWHILE)
        disk_repair();
    if (fault.refusals > MEANWHILE)
        usleep(100); /* the sealer has not tried again yet */
}

/* Whether it is to be tried again. */
static bool refused(const char *what, int rc, struct err *e)
{
    if (rc == 0)
        return false;
    ck_assert_msg(may_fail_with(rc) && has_failed(), "%s: %s: %s: %s", trying, what, err_name(rc), e->msg);
    ck_assert_msg(e->msg[0], "%s: %s: no words", trying, what);
    not_done();
    *e = (struct err)ERR_INIT;
    return true;
}

static void begin(bool parts)
{
    doubt.then = model;
    doubt.parts = parts;
    doubt.any = parts;
    arm();
}

static void acknowledged(void)
{
    model = doubt.then;
    doubt.any = doubt.parts = false;
}

/* --- what is done --- */

/* A sample. `start`: its counter began a slot before that; `stale`: the marker. */
struct put {
    int series, day, slot;
    bool start, stale;
};

static double stale_marker(void)
{
    const uint64_t bits = SAMPLE_STALE_BITS;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static bool has_since(int series, int day, int slot)
{
    for (int d = day; d < DAYS; d++)
        for (int k = d == day ? slot : 0; k < SLOTS; k++)
            if (doubt.then.cells[series][d][k].there)
                return true;
    return false;
}

/* The samples of a batch, neighbours of one series together. */
static struct {
    struct batch_series series[SERIES];
    struct label labels[SERIES][2];
    char names[SERIES][4];
    struct sample samples[64];
    int64_t log_times[64];
    struct labels log_attributes[64];
    union event_value bodies[64], numbers[64];
    struct batch batch;
} sent;

/* A log record for each day and slot that has none yet. */
static void add_log(const struct put *p)
{
    struct event_rows *rows = &sent.batch.events[EVENT_LOG];
    bool *log = &doubt.then.logs[p->day][p->slot];

    if (*log)
        return;
    *log = true;
    sent.log_times[rows->n] = time_of(p->day, p->slot) * 1000000;
    sent.bodies[rows->n].s = STR("a line");
    sent.numbers[rows->n].i = p->slot;
    *rows = (struct event_rows){ .n = rows->n + 1,
                                .cap = COUNT(sent.log_times),
                                .time_ns = sent.log_times,
                                .columns = { [LOG_body] = sent.bodies, [LOG_severity_number] = sent.numbers },
                                .attributes = sent.log_attributes };
}

static void add_put(const struct put *p, size_t i, double v)
{
    struct batch_series *s = sent.batch.nseries ? &sent.series[sent.batch.nseries - 1] : NULL;
    size_t k = sent.batch.nseries;

    if (p->start && !has_since(p->series, p->day, p->slot - 1))
        doubt.then.cells[p->series][p->day][p->slot - 1] = (struct cell){ true, 0 };
    doubt.then.cells[p->series][p->day][p->slot] = (struct cell){ true, v };
    sent.samples[i] = (struct sample){ time_of(p->day, p->slot), v };
    if (s && str_eq(s->labels.v[1].value, str_of(sent.names[p->series]))) {
        s->n++;
        return;
    }
    snprintf(sent.names[p->series], sizeof(sent.names[0]), "%d", p->series);
    sent.labels[k][0] = (struct label){ STR("__name__"), STR("m") };
    sent.labels[k][1] = (struct label){ STR("i"), str_of(sent.names[p->series]) };
    sent.series[k] = (struct batch_series){ .labels = { sent.labels[k], 2 },
                                           .samples = &sent.samples[i],
                                           .n = 1,
                                           .start_ms = p->start ? time_of(p->day, p->slot - 1) : 0 };
    sent.batch.nseries++;
}

/* Nothing here takes memory: the faults are for the store. */
static void commit(const struct put *p, size_t n)
{
    static const struct batch_metadata metadata = { STR("m"), STR("counter"), STR("help"), STR_NULL };
    static uint64_t number;
    struct err e = ERR_INIT;

    begin(false);
    memset(&sent, 0, sizeof(sent));
    sent.batch = (struct batch){ .sender = STR("x"),
                                .number = ++number,
                                .series = sent.series,
                                .bytes = 100,
                                .metadata = (struct batch_metadata *)(uintptr_t)&metadata,
                                .nmetadata = 1 };
    for (size_t i = 0; i < n; i++) {
        add_put(&p[i], i, p[i].stale ? stale_marker() : (double)number + (double)i / 64);
        add_log(&p[i]);
    }
    while (refused("commit", store_commit(st, &sent.batch, &e), &e))
        ;
    acknowledged();
}

#define P(s, d, k, ...)                                                                                                \
    {                                                                                                                  \
        .series = (s), .day = (d), .slot = (k), __VA_ARGS__                                                            \
    }
#define COMMIT(...)                                                                                                    \
    do {                                                                                                               \
        static const struct put puts_[] = { __VA_ARGS__ };                                                               \
        commit(puts_, COUNT(puts_));                                                                                   \
    } while (0)

static void seal(void)
{
    struct err e = ERR_INIT;

    begin(false);
    while (refused("seal", sealer_seal_all(st, &e), &e))
        ;
}

static bool has_garbage(void)
{
    bool has = st->blocks->garbage != NULL;

    for (int kind = 0; kind < EVENT_KINDS; kind++)
        has |= st->events[kind].blocks->garbage != NULL;
    return has;
}

/* Merges and cleans until there is no more to do. The sealer itself does so when ticks come, which these tests have
 * seen to that they do not. */
static void tidy(void)
{
    uint64_t before;

    do { /* each time with a fault of its own: one after the other they make many calls */
        disarm();
        begin(false);
        before = atomic_load(&st->counters.merged);
        while (merge_tick(st), st->sealer.untidy)
            not_done();
    } while (before != atomic_load(&st->counters.merged) || has_garbage() || atomic_load(&st->sealer.forget));
}

static void read_everything(void)
{
    static struct model got;
    struct err e = ERR_INIT;

    begin(false);
    while (refused("read", read_all(st, &got, &e), &e))
        ;
    compare(&got);
}

static void put_document(void)
{
    const struct catalog_change c = { { STR("k"), STR_NULL, STR("n") }, STR("body"), false };
    struct err e = ERR_INIT;

    begin(false);
    doubt.then.document = true;
    while (refused("document", catalog_apply(st, &c, 1, 0, NULL, &e), &e))
        ;
    acknowledged();
}

/* Slots of a day of one series. */
static void delete (int series, int day, int from, int to)
{
    char name[4];
    struct matcher m = { MATCH_EQ, STR("i"), STR_NULL, NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = time_of(day, from), .to_ms = time_of(day, to) };
    struct err e = ERR_INIT;

    begin(true);
    snprintf(name, sizeof(name), "%d", series);
    m.value = str_of(name);
    for (int k = from; k <= to; k++)
        doubt.then.cells[series][day][k].there = false;
    while (refused("delete", series_delete(st, &q, &e), &e))
        ;
    acknowledged();
}

/* All of the first day. */
static void retain(void)
{
    struct err e = ERR_INIT;

    begin(true);
    for (int s = 0; s < SERIES; s++)
        memset(doubt.then.cells[s][0], 0, sizeof(doubt.then.cells[s][0]));
    memset(doubt.then.logs[0], 0, sizeof(doubt.then.logs[0]));
    while (refused("retain", store_retain(st, time_of(1, 0) + RETENTION, &e), &e))
        ;
    acknowledged();
}

static void open_store(void)
{
    struct err e = ERR_INIT;

    begin(false);
    while (!(st = open_tuned(dir, &e)))
        refused("open", e.code, &e);
}

/* Whatever fails at the end, nothing is lost. */
static void close_store(void)
{
    begin(false);
    store_close(st);
    st = NULL;
}

/* --- the scenario --- */

/* The first of them will be forgotten, and are most: then their log is written anew. */
static void new_series(void)
{
    COMMIT(P(8, 0, 0), P(9, 0, 0), P(10, 0, 0), P(11, 0, 0), P(12, 0, 0), P(13, 0, 0), P(14, 0, 0), P(15, 0, 0),
           P(16, 0, 0), P(0, 0, 1), P(0, 0, 2), P(0, 0, 3), P(0, 1, 0), P(1, 0, 1), P(2, 0, 1));
}

/* Late samples, one overwritten, a stale marker, a counter that begins. */
static void known_series(void)
{
    COMMIT(P(0, 0, 6), P(0, 0, 5), P(0, 0, 2), P(1, 0, 2, .stale = true), P(3, 0, 7, .start = true));
}

/* On days that are sealed; a counter whose start is looked for in their blocks; a sample overwritten in one. */
static void several_days(void)
{
    COMMIT(P(0, 0, 6), P(0, 1, 0), P(0, 1, 2), P(0, 1, 3), P(4, 1, 1), P(3, 0, 9, .start = true), P(1, 1, 3),
           P(2, 1, 3));
}

static void delete_some(void)
{
    delete (0, 1, 2, 3);
}

static void the_other_day(void)
{
    COMMIT(P(0, 1, 5), P(3, 1, 8, .start = true));
}

/* One of them was forgotten. */
static void after_the_day_was_dropped(void)
{
    COMMIT(P(5, 1, 9), P(8, 1, 9), P(0, 1, 9));
    ck_assert_uint_eq(index_dead(st->index), 0);
    ck_assert_uint_eq(index_count(st->index), 7);
}

/* What makes most calls comes first: the later runs, in which only that has so many, end with it. */
static void (*const steps[])(void) = {
    open_store,      new_series, seal,          known_series, close_store, open_store,
    read_everything, seal,       put_document,  several_days, seal,        tidy,
    delete_some,     tidy,       the_other_day, seal,         retain,      after_the_day_was_dropped,
    close_store,
};
enum { STEPS = COUNT(steps) };

/* --- all n --- */

/* The first `n` steps; returns one past the last in which something failed. */
static size_t run_steps(size_t n)
{
    size_t last = 0;

    for (size_t i = 0; i < n; i++) {
        fault.in_step = false;
        steps[i]();
        disarm();
        if (fault.in_step)
            last = i + 1;
    }
    return last;
}

static size_t run(long at, size_t n)
{
    static const char *const kinds[] = { "none", "allocation", "call to the disk", "full from call" };
    size_t last;

    fixture_remove(dir);
    memset(&model, 0, sizeof(model));
    fault.failed = false;
    fault.n = at;
    snprintf(trying, sizeof(trying), "%s %ld, errno %d", kinds[fault.kind], at, fault.code);
    last = run_steps(n);
    store_close(st);
    st = NULL;
    if (n > 1) /* else it was only opened, and when it had failed once more */
        open_and_compare(dir);
    return last;
}

static void setup(void)
{
    sqlite_heap_install();
    mem_keep(); /* thousands of stores are opened */
    blocks_fixture_dir(dir);
    snprintf(killed, sizeof(killed), "%s-killed", dir);
}

static void teardown(void)
{
    disarm();
    fixture_remove(dir);
    fixture_remove(killed);
}

static const struct {
    enum fault kind;
    int code;
    bool torn;
    enum store_durability durability;
} faults[] = {
    { FAULT_NONE, 0, false, STORE_PROCESS },
    { FAULT_MEMORY, 0, false, STORE_PROCESS },
    { FAULT_DISK, EIO, false, STORE_PROCESS },
    { FAULT_DISK, ENOSPC, true, STORE_PROCESS },
    { FAULT_FULL, ENOSPC, false, STORE_PROCESS },
    { FAULT_DISK, EIO, false, STORE_POWER },
};

/* All would take minutes: every so many, from another start each time. FAULTS_STRIDE=1 in the environment tries all. */
static long stride(void)
{
    const char *text = getenv("FAULTS_STRIDE");

    if (text && atol(text) > 0)
        return atol(text);
    if (fault.kind == FAULT_MEMORY)
        return UNIT_SANITIZED ? 127 : 5;
    return UNIT_SANITIZED ? 13 : 2;
}

START_TEST(every_call_fails)
{
    struct rng r;
    size_t last = STEPS;
    long n;

    rng_seed(&r);
    fault.kind = faults[_i].kind;
    fault.code = faults[_i].code;
    fault.torn = faults[_i].torn;
    options.durability = faults[_i].durability;
    for (n = 1 + (long)rng_below(&r, (uint64_t)stride()); (last = run(n, last)) != 0; n += stride())
        ;
    ck_assert_int_gt(n, fault.kind == FAULT_MEMORY ? 1000 : fault.kind == FAULT_NONE ? 0 : 20);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store faults");
    TCase *tc = tcase_create("faults");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 600);
    tcase_add_loop_test(tc, every_call_fails, 0, COUNT(faults));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
