#include "tests/unit/store/fixture.h"

#include "base/file.h"

#include <sys/wait.h>

static char dir[64];

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static uint64_t bits_of(double v)
{
    uint64_t u;

    memcpy(&u, &v, sizeof(u));
    return u;
}

/* --- opening --- */

START_TEST(creates_the_directory)
{
    char deep[96];
    struct store *st;

    snprintf(deep, sizeof(deep), "%s/a/b", dir);
    st = fixture_open(deep);
    ck_assert_int_eq(access(deep, R_OK), 0);
    store_close(st);
    store_close(NULL);
}
END_TEST

START_TEST(second_server_is_refused)
{
    struct store *st = fixture_open(dir);
    struct err e = ERR_INIT;
    char pid[32];

    snprintf(pid, sizeof(pid), "process id %ld", (long)getpid());
    ck_assert_ptr_null(store_open(dir, NULL, &e));
    ck_assert_int_eq(e.code, ERR_CONFLICT);
    ck_assert_msg(strstr(e.msg, pid) && strstr(e.msg, dir), "%s", e.msg);
    store_close(st);
    store_close(fixture_open(dir));
}
END_TEST

START_TEST(second_process_is_refused)
{
    struct store *st = fixture_open(dir);
    int status;
    pid_t child = fork();

    if (child == 0) {
        struct err e = ERR_INIT;
        struct store *other = store_open(dir, NULL, &e);

        _exit(!other && e.code == ERR_CONFLICT ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    store_close(st);
}
END_TEST

static void run_sql(const char *sql)
{
    char path[96];
    struct err e = ERR_INIT;
    struct db *db;

    snprintf(path, sizeof(path), "%s/vigla.db", dir);
    db = db_open(path, DB_WRITE, &e);
    ck_assert_msg(db != NULL, "%s", e.msg);
    ck_assert_msg(db_exec(db, sql, &e) == 0, "%s", e.msg);
    db_close(db);
}

START_TEST(newer_format_is_refused)
{
    struct err e = ERR_INIT;

    store_close(fixture_open(dir));
    run_sql("PRAGMA user_version=99");
    ck_assert_ptr_null(store_open(dir, NULL, &e));
    ck_assert_int_eq(e.code, ERR_UNSUPPORTED);
    ck_assert_msg(strstr(e.msg, "format 99") != NULL, "%s", e.msg);
}
END_TEST

static const char foreign[] = "not a database at all, just a file with some text in it";

START_TEST(foreign_file_is_refused)
{
    struct err e = ERR_INIT;
    char path[96], text[8192];

    snprintf(path, sizeof(path), "%s/vigla.db", dir);
    memset(text, 'x', sizeof(text));
    memcpy(text, foreign, strlen(foreign));
    ck_assert_int_eq(file_write_atomic(path, (struct str){ text, sizeof(text) }, &e), 0);
    ck_assert_ptr_null(store_open(dir, NULL, &e));
    ck_assert_int_eq(e.code, ERR_CORRUPT);
}
END_TEST

START_TEST(damaged_journal_is_named)
{
    const struct sample s = { 1, 1 };
    struct store *st = fixture_open(dir);
    struct err e = ERR_INIT;

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
    store_close(st);
    run_sql("UPDATE journal SET record = x'0102030405060708090a0b'");
    ck_assert_ptr_null(store_open(dir, NULL, &e));
    ck_assert_int_eq(e.code, ERR_CORRUPT);
    ck_assert_msg(strstr(e.msg, "journal record 1: ") && strstr(e.msg, "checksum"), "%s", e.msg);
}
END_TEST

/* --- samples --- */

START_TEST(samples_survive_reopening)
{
    const struct sample in[] = { { 3000, 3 }, { 1000, 1 }, { -7000, 0.5 }, { 1000, 9 } };
    struct store *st = fixture_open_sealing(dir, _i ? 1 : 1000000);
    struct arena a = ARENA_INIT(0);
    struct sample *got;

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, in, COUNT(in)), 0);
    for (int round = 0; round < 3; round++) {
        ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 3);
        ck_assert_int_eq(got[0].t, -7000);
        ck_assert_int_eq(got[1].t, 1000);
        ck_assert_double_eq(got[1].v, 9);
        ck_assert_uint_eq(fixture_read(st, "m", "1", 1000, 2999, &a, &got), 1);
        ck_assert_uint_eq(fixture_read(st, "m", "1", 1001, 2999, &a, &got), 0);
        ck_assert_uint_eq(fixture_read(st, "m", "1", 3000, 2999, &a, &got), 0);
        arena_free(&a);
        store_close(st);
        st = fixture_open_sealing(dir, 1);
    }
    store_close(st);
}
END_TEST

START_TEST(stale_marker_keeps_its_bits)
{
    struct store *st = fixture_open_sealing(dir, _i ? 1 : 1000000);
    struct arena a = ARENA_INIT(0);
    struct sample s = { 1000, 0 }, *got;
    uint64_t bits = SAMPLE_STALE_BITS;

    memcpy(&s.v, &bits, sizeof(bits));
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
    store_close(st);
    st = fixture_open_sealing(dir, 1);
    ck_assert_uint_eq(fixture_read(st, "m", "1", 0, 2000, &a, &got), 1);
    ck_assert_uint_eq(bits_of(got[0].v), bits);
    arena_free(&a);
    store_close(st);
}
END_TEST

/* Steps on one series; after each, how many samples there are and the value at its start time. */
static const struct {
    int64_t start_ms;
    struct sample s[2];
    size_t n, want;
    bool zero; /* a zero stands at start_ms */
} starts[] = {
    { 500, { { 1000, 7 }, { 2000, 8 } }, 2, 3, true },  /* new: begins at zero */
    { 500, { { 3000, 9 }, { 0, 0 } }, 1, 4, true },     /* the same start again: no second zero */
    { 0, { { 4000, 9 }, { 0, 0 } }, 1, 5, false },      /* not known */
    { 4500, { { 5000, 2 }, { 0, 0 } }, 1, 7, true },    /* the counter was reset */
    { 5500, { { 5500, 0 }, { 6000, 1 } }, 2, 9, true }, /* a sample stands there: it is a zero by itself */
    { 5800, { { 7000, 2 }, { 0, 0 } }, 1, 10, false },  /* older than the newest sample */
};

START_TEST(counters_begin_at_zero)
{
    struct store *st = fixture_open_sealing(dir, _i & 1 ? 1 : 1000000);

    for (size_t i = 0; i < COUNT(starts); i++) {
        struct arena a = ARENA_INIT(0);
        struct sample *got;
        size_t n;

        ck_assert_int_eq(fixture_write(st, "m", "1", starts[i].start_ms, starts[i].s, starts[i].n), 0);
        n = fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got);
        ck_assert_msg(n == starts[i].want, "step %zu: %zu samples", i, n);
        n = fixture_read(st, "m", "1", starts[i].start_ms, starts[i].start_ms, &a, &got);
        ck_assert_uint_eq(n, starts[i].zero);
        if (n)
            ck_assert_double_eq(got[0].v, 0);
        arena_free(&a);
        if (_i & 2) { /* the last start is known from the samples, also after a restart */
            store_close(st);
            st = fixture_open_sealing(dir, _i & 1 ? 1 : 1000000);
        }
    }
    store_close(st);
}
END_TEST

/* --- batches --- */

static void numbered(struct batch *b, struct arena *a, const char *sender, uint64_t number, const struct sample *s)
{
    batch_init(b, a);
    b->sender = str_of(sender);
    b->number = number;
    fixture_add(b, "m", sender, 0, s, 1);
}

static const struct {
    const char *sender;
    uint64_t number;
    bool duplicate;
} numbers[] = {
    { "x", 1, false }, { "x", 1, true },  { "y", 1, false }, { "x", 2, false }, { "x", 1, true },
    { "x", 9, false }, { "x", 5, true },  { "y", 2, false }, { "x", 9, true },  { "x", 10, false },
};

START_TEST(numbers_make_it_exactly_once)
{
    struct store *st = fixture_open(dir);
    uint64_t duplicates = 0;

    for (size_t i = 0; i < COUNT(numbers); i++) {
        const struct sample s = { (int64_t)i * 1000 + 1, 1 };
        struct arena a = ARENA_INIT(0);
        struct store_stats stats;
        struct sample *got;
        struct batch b;

        numbered(&b, &a, numbers[i].sender, numbers[i].number, &s);
        ck_assert_int_eq(store_commit(st, &b, NULL), 0);
        ck_assert_uint_eq(fixture_read(st, "m", numbers[i].sender, s.t, s.t, &a, &got), !numbers[i].duplicate);
        store_stats(st, &stats);
        duplicates = _i ? duplicates : duplicates + numbers[i].duplicate;
        if (!_i)
            ck_assert_uint_eq(stats.duplicates, duplicates);
        arena_free(&a);
        if (_i) {
            store_close(st);
            st = fixture_open(dir);
        }
    }
    store_close(st);
}
END_TEST

struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int left, rc[16];
};

struct ticket {
    struct outcome *o;
    int i;
};

static void note(void *arg, int rc, const struct err *e)
{
    struct ticket *t = arg;

    (void)e;
    pthread_mutex_lock(&t->o->lock);
    t->o->rc[t->i] = rc;
    t->o->left--;
    pthread_cond_signal(&t->o->changed);
    pthread_mutex_unlock(&t->o->lock);
}

static void wait_all(struct outcome *o)
{
    pthread_mutex_lock(&o->lock);
    while (o->left)
        pthread_cond_wait(&o->changed, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

/* Holds the committer's thread until told to go on, so that what is submitted meanwhile makes one group. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool in, open;
};

static int hold(struct store *st, void *arg, struct err *e)
{
    struct gate *g = arg;

    (void)st;
    (void)e;
    pthread_mutex_lock(&g->lock);
    g->in = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

struct holder {
    struct store *st;
    struct gate *gate;
};

static void *hold_main(void *arg)
{
    struct holder *h = arg;

    committer_run(h->st, hold, h->gate, NULL);
    return NULL;
}

static pthread_t close_gate(struct holder *h)
{
    pthread_t t;

    ck_assert_int_eq(pthread_create(&t, NULL, hold_main, h), 0);
    pthread_mutex_lock(&h->gate->lock);
    while (!h->gate->in)
        pthread_cond_wait(&h->gate->changed, &h->gate->lock);
    pthread_mutex_unlock(&h->gate->lock);
    return t;
}

static void open_gate(struct gate *g, pthread_t t)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    pthread_join(t, NULL);
}

#define GATE { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false }
#define OUTCOME(n) { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, (n), { 0 } }

/* In one group: a duplicate of one before it, and one that makes no sense. */
START_TEST(one_group_many_fates)
{
    static const struct {
        const char *sender;
        uint64_t number;
        int rc;
        size_t samples; /* 0 or 1 of its own time */
    } fates[] = {
        { "x", 1, 0, 1 }, { "x", 1, 0, 0 }, { "x", 2, 0, 1 }, { "x", 0, ERR_INVALID, 0 }, { "y", 1, 0, 1 },
        { "", 0, 0, 1 },
    };
    struct gate gate = GATE;
    struct outcome o = OUTCOME(COUNT(fates));
    struct store *st = fixture_open(dir);
    struct holder h = { st, &gate };
    struct ticket tickets[COUNT(fates)];
    struct sample s[COUNT(fates)];
    struct batch b[COUNT(fates)];
    struct arena a = ARENA_INIT(0);
    struct store_stats before, after;
    pthread_t t;

    store_stats(st, &before);
    t = close_gate(&h);
    for (size_t i = 0; i < COUNT(fates); i++) {
        s[i] = (struct sample){ 1000 + (int64_t)i, 1 };
        tickets[i] = (struct ticket){ &o, (int)i };
        numbered(&b[i], &a, fates[i].sender, fates[i].number, &s[i]);
        ck_assert_int_eq(store_submit(st, &b[i], note, &tickets[i], NULL), 0);
    }
    open_gate(&gate, t);
    wait_all(&o);
    store_stats(st, &after);
    ck_assert_uint_eq(after.commits - before.commits, 1);
    ck_assert_uint_eq(after.duplicates, 1);
    ck_assert_uint_eq(after.batches, 4);
    for (size_t i = 0; i < COUNT(fates); i++) {
        struct sample *got;

        ck_assert_int_eq(o.rc[i], fates[i].rc);
        ck_assert_uint_eq(fixture_read(st, "m", fates[i].sender, s[i].t, s[i].t, &a, &got), fates[i].samples);
    }
    arena_free(&a);
    store_close(st);
}
END_TEST

START_TEST(full_queue_refuses)
{
    const struct store_options options = { .queue_bytes = 1000 };
    struct gate gate = GATE;
    struct outcome o = OUTCOME(2);
    struct ticket tickets[2] = { { &o, 0 }, { &o, 1 } };
    struct store *st = store_open(dir, &options, NULL);
    struct holder h = { st, &gate };
    const struct sample s = { 1, 1 };
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct store_stats stats;
    struct batch b[3];
    pthread_t t = close_gate(&h);

    for (int i = 0; i < 3; i++) {
        numbered(&b[i], &a, "", 0, &s);
        b[i].bytes = i == 0 ? 600 : i == 1 ? 500 : 400;
    }
    ck_assert_int_eq(store_submit(st, &b[0], note, &tickets[0], &e), 0);
    ck_assert_int_eq(store_submit(st, &b[1], note, &tickets[1], &e), ERR_BUSY);
    ck_assert_msg(strstr(e.msg, "600 of 1000") != NULL, "%s", e.msg);
    ck_assert_int_eq(store_submit(st, &b[2], note, &tickets[1], &e), 0);
    store_stats(st, &stats);
    ck_assert_uint_eq(stats.refused, 1);
    ck_assert_uint_eq(stats.queue_bytes, 1000);
    open_gate(&gate, t);
    wait_all(&o);
    b[1].bytes = 5000; /* larger than the queue: alone it may pass */
    ck_assert_int_eq(store_commit(st, &b[1], &e), 0);
    store_close(st);
    arena_free(&a);
}
END_TEST

/* What a batch must not have, and what is said. */
static const struct {
    const char *name, *value, *second, *sender;
    uint64_t number;
    int rc;
    const char *msg;
} invalid[] = {
    { "__name__", "m", "a", "", 0, 0, NULL },
    { "a", "m", "b", "", 0, ERR_INVALID, "series 0: label __name__ is missing" },
    { "__name__", "", "b", "", 0, ERR_INVALID, "series 0: label \"__name__\": name or value is empty" },
    { "__name__", "m", "", "", 0, ERR_INVALID, "series 0: label \"\": name or value is empty" },
    { "__name__", "m", "__name__", "", 0, ERR_INVALID, "series 0: label \"__name__\": twice or not in order" },
    { "__name__", "m", "A", "", 0, ERR_INVALID, "series 0: label \"A\": twice or not in order" },
    { "__name__", "m", "a", "x", 0, ERR_INVALID, "batch number 0 of sender \"x\": should be 1 to 9223372036854775807" },
    { "__name__", "m", "a", "x", (uint64_t)1 << 63, ERR_INVALID, NULL },
};

START_TEST(senseless_batches_are_refused)
{
    const struct label l[] = { { str_of(invalid[_i].name), str_of(invalid[_i].value) },
                               { str_of(invalid[_i].second), STR("v") } };
    const struct sample s = { 1, 1 };
    const struct batch_series bs = { .labels = { l, 2 }, .samples = &s, .n = 1 };
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct store_stats stats;
    struct batch b;

    batch_init(&b, &a);
    b.sender = str_of(invalid[_i].sender);
    b.number = invalid[_i].number;
    ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    ck_assert_int_eq(store_commit(st, &b, &e), invalid[_i].rc);
    if (invalid[_i].msg)
        ck_assert_str_eq(e.msg, invalid[_i].msg);
    store_stats(st, &stats);
    ck_assert_uint_eq(stats.series, invalid[_i].rc == 0);
    arena_free(&a);
    store_close(st);
}
END_TEST

/* The disk is full, or cannot be written to: everybody is told, memory is as the disk, and it goes on afterwards. */
static const struct {
    const char *stop, *go;
    int rc;
} troubles[] = {
    { "PRAGMA query_only=ON", "PRAGMA query_only=OFF", ERR_IO },
    /* The present size at least: no page more. */
    { "PRAGMA max_page_count=1", "PRAGMA max_page_count=1073741823", ERR_FULL },
};

static int run_pragma(struct store *st, void *arg, struct err *e)
{
    return db_exec(st->db, *(const char **)arg, e);
}

enum { MANY = 20000 };

START_TEST(failed_commit_leaves_no_trace)
{
    static struct sample more[MANY];
    const struct sample first = { 1000, 1 };
    const char *stop = troubles[_i].stop, *go = troubles[_i].go;
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(0);
    struct store_stats stats;
    struct sample *got;

    for (int i = 0; i < MANY; i++)
        more[i] = (struct sample){ 2000 - i, 0.1 * i };
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &first, 1), 0);
    ck_assert_int_eq(committer_run(st, run_pragma, &stop, NULL), 0);
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, more, MANY), troubles[_i].rc);
    ck_assert_int_eq(fixture_write(st, "m", "2", 0, more, MANY), troubles[_i].rc);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 1);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), 0);
    store_stats(st, &stats);
    ck_assert_uint_eq(stats.series, 1);
    ck_assert_uint_eq(stats.samples, 1);
    ck_assert_int_eq(committer_run(st, run_pragma, &go, NULL), 0);
    ck_assert_int_eq(fixture_write(st, "m", "2", 0, more, MANY), 0);
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, more, MANY), 0);
    arena_free(&a);
    store_close(st);
    st = fixture_open(dir);
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), MANY);
    ck_assert_uint_eq(fixture_read(st, "m", "2", INT64_MIN, INT64_MAX, &a, &got), MANY);
    arena_free(&a);
    store_close(st);
}
END_TEST

/* What reading blocks takes counts as the query's memory. */
START_TEST(a_query_of_many_blocks_is_bounded)
{
    const struct series_query q = { .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct series_set *set;
    struct sample *got;
    struct labels l;
    int rc;

    for (int64_t day = 0; day < 10; day++) {
        struct sample s = { day * PARTITION_MS, 1 };

        ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
        ck_assert_int_eq(sealer_seal_all(st, &e), 0);
    }
    set = series_open(st, &q, &a, &e);
    rc = set ? series_next(set, &l, &e) : e.code;
    ck_assert_msg(rc == ERR_LIMIT && strstr(e.msg, "1048576 bytes of memory"), "%d: %s", rc, e.msg);
    arena_free(&a);
    a.max = 16 << 20;
    ck_assert_uint_eq(fixture_read(st, "m", "1", INT64_MIN, INT64_MAX, &a, &got), 10);
    ck_assert_uint_gt(a.used, 1 << 20);
    arena_free(&a);
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store");
    TCase *tc = tcase_create("store");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, creates_the_directory);
    tcase_add_test(tc, second_server_is_refused);
    tcase_add_test(tc, second_process_is_refused);
    tcase_add_test(tc, newer_format_is_refused);
    tcase_add_test(tc, foreign_file_is_refused);
    tcase_add_test(tc, damaged_journal_is_named);
    tcase_add_loop_test(tc, samples_survive_reopening, 0, 2);
    tcase_add_test(tc, a_query_of_many_blocks_is_bounded);
    tcase_add_loop_test(tc, stale_marker_keeps_its_bits, 0, 2);
    tcase_add_loop_test(tc, counters_begin_at_zero, 0, 4);
    tcase_add_loop_test(tc, numbers_make_it_exactly_once, 0, 2);
    tcase_add_test(tc, one_group_many_fates);
    tcase_add_test(tc, full_queue_refuses);
    tcase_add_loop_test(tc, senseless_batches_are_refused, 0, COUNT(invalid));
    tcase_add_loop_test(tc, failed_commit_leaves_no_trace, 0, COUNT(troubles));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
