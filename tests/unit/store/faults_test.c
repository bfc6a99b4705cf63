/* faults_test.c: the n-th allocation, or the n-th call to the disk, fails: for every n of a scenario in which everything
 * happens that the store does with samples.
 *
 * The scenario is a row of steps, each of which is done until the store says that it is done. In run n the n-th call of
 * every step fails; what is refused because of it changes nothing that can be read, then or after a kill, and is done
 * again, as a sender would: so a step begins as if nothing had failed before, and a run tries as many faults as there
 * are steps. A disk that is full stays so for some attempts.
 *
 * A model knows what is stored: for each series and time the value. Whatever is read is compared with all of it, bit by
 * bit; times that rise strictly are there once. */
#include "base/num.h"
#include "store/catalog.h"
#include "store/check.h"
#include "store/events.h"
#include "store/merge-internal.h"
#include "store/partition-internal.h"
#include "tests/unit/store/blocks_fixture.h"
#include "tests/unit/store/disk.h"
#include "tests/unit/store/sqlite_heap.h"

#include <dirent.h>
#include <sys/stat.h>

enum { SERIES = 20, DAYS = 2, SLOTS = 10 };
#define FIRST_DAY ((int64_t)10000 * PARTITION_MS) /* past: two blocks of it are enough to be merged */
#define RETENTION (30000 * PARTITION_MS)          /* and nothing is too old for the clock on the wall */

static char dir[64], killed[80];
static struct store *st;

/* --- the model --- */

struct cell {
    bool there;
    double v;
};

struct model {
    struct cell cells[SERIES][DAYS][SLOTS];
    bool logs[DAYS][SLOTS], document;
};

static struct model model;

/* What is being done, and may show before it is acknowledged: all of it or nothing, or any part (`parts`). */
static struct {
    bool any, parts;
    struct model then; /* with all of it */
} doubt;

static int64_t time_of(int day, int slot)
{
    return FIRST_DAY + day * PARTITION_MS + slot * 1000;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->there == b->there && (!a->there || memcmp(&a->v, &b->v, sizeof(a->v)) == 0);
}

/* Which fault is being tried, for messages. */
static char trying[96];

/* --- reading --- */

static void read_series(struct series_set *set, struct labels l, struct model *out)
{
    struct sample_columns c;
    int64_t s, last = INT64_MIN;
    struct err e = ERR_INIT;
    int rc;

    ck_assert(num_i64(labels_get(l, STR("i")), &s) && s >= 0 && s < SERIES);
    while ((rc = series_samples(set, &c, &e)) == 1)
        for (size_t i = 0; i < c.n; i++) {
            int64_t since = c.t[i] - FIRST_DAY;
            int64_t day = since / PARTITION_MS, slot = since % PARTITION_MS / 1000;

            if (c.t[i] <= last || day < 0 || day >= DAYS || slot >= SLOTS || time_of((int)day, (int)slot) != c.t[i])
                ck_abort_msg("%s: series %lld: time %lld after %lld", trying, (long long)s, (long long)c.t[i],
                             (long long)last);
            last = c.t[i];
            out->cells[s][day][slot] = (struct cell){ true, c.v[i] };
        }
    ck_assert_msg(rc == 0, "%s", e.msg);
}

/* 0, or why not everything could be read. */
static int read_samples(struct store *from, struct model *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("m"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_set *set = series_open(from, &q, &a, e);
    struct labels l;
    int rc = set ? 0 : e->code;

    while (rc == 0 && (rc = series_next(set, &l, e)) == 1) {
        read_series(set, l, out);
        rc = 0;
    }
    arena_free(&a);
    return rc;
}

/* Who has samples about the first day: by names, by values, by series. */
static int read_labels(struct store *from, struct err *e)
{
    const struct series_query q = { .from_ms = FIRST_DAY, .to_ms = FIRST_DAY + PARTITION_MS / 2, .labels_only = true };
    struct arena a = ARENA_INIT(0);
    struct series_set *set = series_open(from, &q, &a, e);
    struct labels l;
    struct str *v;
    size_t n;
    int rc = set ? 0 : e->code;

    while (rc == 0 && (rc = series_next(set, &l, e)) == 1)
        rc = 0;
    if (rc == 0)
        rc = series_label_names(from, &q, &a, &v, &n, e);
    if (rc == 0)
        rc = series_label_values(from, &q, STR("i"), &a, &v, &n, e);
    arena_free(&a);
    return rc;
}

static int read_logs(struct store *from, struct model *out, struct err *e)
{
    const struct event_query q = { .kind = EVENT_LOG, .from_ns = INT64_MIN, .to_ns = INT64_MAX };
    struct arena a = ARENA_INIT(0);
    struct event_cursor *c = events_open(from, &q, &a, e);
    struct event_page p;
    int rc = c ? 0 : e->code;

    while (rc == 0 && (rc = events_next(c, &p, e)) == 1) {
        for (size_t i = 0; i < p.n; i++) {
            int64_t since = p.time_ns[i] / 1000000 - FIRST_DAY;
            bool *log = &out->logs[since / PARTITION_MS][since % PARTITION_MS / 1000];

            if (*log)
                ck_abort_msg("%s: a log record twice", trying);
            *log = true;
        }
        rc = 0;
    }
    events_close(c);
    arena_free(&a);
    return rc;
}

static int read_document(struct store *from, struct model *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct catalog_document *d;
    size_t n = 0;
    int rc = catalog_list(from, STR_NULL, 0, &a, &d, &n, e);

    out->document = n != 0;
    arena_free(&a);
    return rc;
}

/* All there is. ERR_NOMEM only where an allocation may fail, ERR_IO where the disk may. */
static int read_all(struct store *from, struct model *out, struct err *e)
{
    int rc;

    memset(out, 0, sizeof(*out));
    rc = read_samples(from, out, e);
    if (rc == 0)
        rc = read_labels(from, e);
    if (rc == 0)
        rc = read_logs(from, out, e);
    return rc == 0 ? read_document(from, out, e) : rc;
}

/* How many of all cells are as in `a` and not as in `b`. */
static size_t count_unlike(const struct model *got, const struct model *a, const struct model *b)
{
    size_t n = 0;

    for (size_t d = 0; d < DAYS; d++)
        for (size_t k = 0; k < SLOTS; k++) {
            for (size_t s = 0; s < SERIES; s++)
                n += same_cell(&got->cells[s][d][k], &a->cells[s][d][k]) &&
                     !same_cell(&got->cells[s][d][k], &b->cells[s][d][k]);
            n += got->logs[d][k] == a->logs[d][k] && got->logs[d][k] != b->logs[d][k];
        }
    return n;
}

/* (Check writes each of its assertions down: too dear in loops.) */
static void compare(const struct model *got)
{
    const struct model *then = doubt.any ? &doubt.then : &model;

    for (size_t s = 0; s < SERIES; s++)
        for (size_t d = 0; d < DAYS; d++)
            for (size_t k = 0; k < SLOTS; k++) {
                const struct cell *g = &got->cells[s][d][k], *m = &model.cells[s][d][k];

                if (!same_cell(g, m) && !same_cell(g, &then->cells[s][d][k]))
                    ck_abort_msg("%s: series %zu, day %zu, slot %zu: %d %g, should be %d %g", trying, s, d, k, g->there,
                                 g->v, m->there, m->v);
            }
    for (size_t d = 0; d < DAYS; d++)
        for (size_t k = 0; k < SLOTS; k++)
            if (got->logs[d][k] != model.logs[d][k] && got->logs[d][k] != then->logs[d][k])
                ck_abort_msg("%s: log of day %zu, slot %zu", trying, d, k);
    ck_assert_msg(got->document == model.document || got->document == then->document, "%s: document", trying);
    ck_assert_msg(doubt.parts || count_unlike(got, &model, then) == 0 || count_unlike(got, then, &model) == 0,
                  "%s: a part of a batch", trying);
}

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
        if (strcmp(entry->d_name, "metrics") == 0)
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

/* Then blocks may be written while a copy is made. */
static bool head_waits(void)
{
    bool waits;

    pthread_mutex_lock(&st->sealer.lock);
    waits = st->sealer.has_frozen;
    pthread_mutex_unlock(&st->sealer.lock);
    return waits;
}

/* Something was not done: what is stored can be read and is what it was, now and after a kill. */
static void not_done(void)
{
    ck_assert_int_lt(fault.refusals, 20000);
    if (st && fault.refusals <= MEANWHILE)
        read_meanwhile();
    if (st && fault.kind == FAULT_DISK && fault.refusals == 0 && !head_waits())
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
    struct event log;
    union event_value columns[LOG_NCOLUMNS];
    struct batch batch;
} sent;

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
    for (size_t i = 0; i < n; i++)
        add_put(&p[i], i, p[i].stale ? stale_marker() : (double)number + (double)i / 64);
    sent.log = (struct event){ time_of(p[0].day, p[0].slot) * 1000000, sent.columns, { NULL, 0 } };
    sent.batch.events[EVENT_LOG] = &sent.log;
    sent.batch.nevents[EVENT_LOG] = !doubt.then.logs[p[0].day][p[0].slot];
    doubt.then.logs[p[0].day][p[0].slot] = true;
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
    } while (before != atomic_load(&st->counters.merged) || st->blocks->garbage || atomic_load(&st->sealer.forget));
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

/* Sanitizers make it too slow for all: every so many, from another start each time. */
static long stride(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return fault.kind == FAULT_MEMORY ? 61 : 7;
#else
    return 1;
#endif
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

/* --- a number that is taken back --- */

/* {__name__="m", i="1"} and {…, i="2"} as remote write has them. */
static const char raw_labels[2][26] = { "\x0a\x0d\x0a\x08__name__\x12\x01m\x0a\x06\x0a\x01i\x12\x01"
                                       "1",
                                       "\x0a\x0d\x0a\x08__name__\x12\x01m\x0a\x06\x0a\x01i\x12\x01"
                                       "2" };

struct raw_batch {
    struct sample sample;
    struct label labels[2];
    struct batch_series series;
    struct batch batch;
};

static struct raw_batch first, same, other;

static void make_raw(struct raw_batch *b, int which, int slot)
{
    *b = (struct raw_batch){ .sample = { time_of(0, slot), slot },
                             .labels = { { STR("__name__"), STR("m") }, { STR("i"), which ? STR("2") : STR("1") } } };
    b->series =
        (struct batch_series){ .labels = { b->labels, 2 }, .raw = { raw_labels[which], 23 }, .samples = &b->sample, .n = 1 };
    b->batch = (struct batch){ .series = &b->series, .nseries = 1, .bytes = 100 };
}

static void recognise_same(void)
{
    store_recognise(st, &same.batch);
}

/* While a commit fails its new series are known for a moment. Who recognises one then must not keep its number, which
 * the next new series gets. */
START_TEST(what_is_taken_back_is_not_recognised)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct sample *got;

    fault.kind = FAULT_NONE;
    st = open_tuned(dir, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
    make_raw(&first, 0, 1);
    make_raw(&same, 0, 2);
    make_raw(&other, 1, 3);
    disk.on_failure = recognise_same;
    disk_fail_at(1, ENOSPC, true, false);
    ck_assert_int_eq(store_commit(st, &first.batch, &e), ERR_FULL);
    disk_repair();
    disk.on_failure = NULL;
    ck_assert_int_eq(store_commit(st, &other.batch, NULL), 0);
    ck_assert_int_eq(store_commit(st, &same.batch, NULL), 0);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 1);
    ck_assert_double_eq(got[0].v, 2);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), 1);
    ck_assert_double_eq(got[0].v, 3);
    arena_free(&a);
    store_close(st);
    st = NULL;
}
END_TEST

/* --- a series that is sealed while others are forgotten --- */

static void seal_all(void)
{
    ck_assert_int_eq(sealer_seal_all(st, NULL), 0);
}

/* It is in the head when blocks are looked at, and in a block when the heads are. */
START_TEST(what_is_sealed_meanwhile_is_not_forgotten)
{
    const struct sample s = { time_of(0, 1), 1 };
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct sample *got;

    fault.kind = FAULT_NONE;
    st = open_tuned(dir, &e);
    ck_assert_msg(st != NULL, "%s", e.msg);
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
    seal_all();
    ck_assert_int_eq(fixture_write(st, "m", "2", 0, &s, 1), 0);
    disk.on_failure = seal_all;
    disk_fail_at(1, 0, false, false); /* the file of the first block is opened */
    ck_assert_int_eq(retention_forget(st, NULL), 0);
    disk.on_failure = NULL;
    ck_assert_int_eq(atomic_load(&disk.left), 0);
    ck_assert_uint_eq(head_samples(st->head), 0);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), 1);
    arena_free(&a);
    store_close(st);
    st = NULL;
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store faults");
    TCase *tc = tcase_create("faults");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 600);
    tcase_add_loop_test(tc, every_call_fails, 0, COUNT(faults));
    tcase_add_test(tc, what_is_taken_back_is_not_recognised);
    tcase_add_test(tc, what_is_sealed_meanwhile_is_not_forgotten);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
