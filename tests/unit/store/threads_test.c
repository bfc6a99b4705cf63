/* threads_test.c: writers, readers, deletion and retention at once, also for SAN=thread. */
#include "store/catalog.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

#include <pthread.h>

enum { BATCHES = 150, WRITERS = 2, READERS = 3, SERIES = 5 };

static char dir[64];
static const char *const instances[SERIES] = { "0", "1", "2", "3", "4" };

static void setup(void)
{
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

struct worker {
    struct store *st;
    int number;
    atomic_int *writing;
    int failures; /* Check's assertions are for the main thread */
};

static void fill(struct batch *b, struct sample *s, int t, int writer)
{
    union event_value *v = arena_array(b->arena, LOG_NCOLUMNS, sizeof(*v));
    struct event ev = { t, v, { NULL, 0 } };

    for (int k = 0; k < SERIES; k++) {
        struct label *l = arena_array(b->arena, 3, sizeof(*l));
        struct batch_series bs = { .labels = { l, 3 }, .samples = &s[k], .n = 1 };

        /* every tenth comes late */
        s[k].t = t % 10 == 9 ? t - 5 : t * 10;
        s[k].v = (double)s[k].t;
        l[0] = (struct label){ STR("__name__"), STR("m") };
        l[1] = (struct label){ STR("i"), str_of(instances[k]) };
        l[2] = (struct label){ STR("writer"), str_of(instances[writer]) };
        if (batch_add_series(b, &bs) < 0)
            abort();
    }
    v[LOG_body].s = STR("line");
    v[LOG_severity_number].i = writer;
    if (batch_add_event(b, EVENT_LOG, &ev) < 0)
        abort();
}

static void *write_main(void *arg)
{
    struct worker *j = arg;

    for (int t = 1; t <= BATCHES; t++) {
        struct arena a = ARENA_INIT(0);
        struct sample s[SERIES];
        struct batch b;

        batch_init(&b, &a);
        fill(&b, s, t, j->number);
        j->failures += store_commit(j->st, &b, NULL) != 0;
        arena_free(&a);
    }
    atomic_fetch_sub(j->writing, 1);
    return NULL;
}

/* Times rise, values belong to them, no series comes twice in a row. Not those of churn_main. */
static int read_series(struct store *st, size_t *samples)
{
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("m"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct arena a = ARENA_INIT(0);
    struct series_set *set = series_open(st, &q, &a, NULL);
    struct labels l, before = { NULL, 0 };
    struct sample_columns c;
    int failures = set == NULL, rc = 0;

    *samples = 0;
    while (set && (rc = series_next(set, &l, NULL)) == 1) {
        int64_t last = INT64_MIN;

        failures += before.n && labels_cmp(before, l) == 0;
        before = l;
        while ((rc = series_samples(set, &c, NULL)) == 1)
            for (size_t i = 0; i < c.n; i++) {
                failures += c.t[i] <= last || c.v[i] != (double)c.t[i];
                last = c.t[i];
                ++*samples;
            }
        failures += rc < 0;
    }
    arena_free(&a);
    return failures + (rc < 0);
}

/* Each row once, whatever is being sealed and merged. */
static int read_events(struct store *st, size_t *events)
{
    bool seen[WRITERS][BATCHES + 1] = { 0 };

    const struct event_condition body = { .column = LOG_body, .op = EVENT_EQ, .value.s = STR("line") };
    const struct event_query q = { .kind = EVENT_LOG, .to_ns = INT64_MAX, .conditions = &body, .n = 1,
                                   .columns = (uint64_t)1 << LOG_severity_number };
    struct arena a = ARENA_INIT(0);
    struct event_cursor *c = events_open(st, &q, &a, NULL);
    struct event_page p;
    int failures = c == NULL, rc = 0;

    *events = 0;
    while (c && (rc = events_next(c, &p, NULL)) == 1)
        for (size_t i = 0; i < p.n; i++, ++*events) {
            bool *row = &seen[p.columns[LOG_severity_number][i].i][p.time_ns[i]];

            failures += *row;
            *row = true;
        }
    events_close(c);
    arena_free(&a);
    return failures + (rc < 0);
}

static void *read_main(void *arg)
{
    struct worker *j = arg;
    size_t samples = 0, events = 0;

    while (atomic_load(j->writing)) {
        struct arena a = ARENA_INIT(0);
        const struct series_query q = { .to_ms = INT64_MAX };
        size_t now, n;
        struct str *v;

        j->failures += read_series(j->st, &now) + (now < samples); /* nothing that was seen goes away */
        samples = now;
        j->failures += read_events(j->st, &now) + (now < events);
        events = now;
        j->failures += series_label_values(j->st, &q, STR("i"), &a, &v, &n, NULL) < 0;
        arena_free(&a);
    }
    return NULL;
}

/* Its own series come and go. */
static void *churn_main(void *arg)
{
    struct worker *j = arg;

    for (int i = 0; atomic_load(j->writing); i++) {
        struct arena a = ARENA_INIT(0);
        const struct sample s = { i, i };
        const struct catalog_change c = { { STR("k"), STR_NULL, STR("n") }, i % 2 ? STR("x") : STR("y"), false };
        struct matcher m;
        const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
        struct store_stats stats;

        matcher_init(&m, &a, MATCH_EQ, STR("i"), STR("churn"), NULL);
        j->failures += fixture_write(j->st, "a", "churn", 0, &s, 1) != 0;
        j->failures += i % 3 == 0 && series_delete(j->st, &q, NULL) != 0;
        j->failures += i % 5 == 0 && store_retain(j->st, 0, NULL) != 0;
        j->failures += catalog_apply(j->st, &c, 1, 0, NULL, NULL) != 0;
        store_stats(j->st, &stats);
        arena_free(&a);
    }
    return NULL;
}

START_TEST(all_at_once)
{
    const struct store_tuning tuning = { .seal_samples = 300, .seal_rows = 20, .tidy_ms = 1 };
    struct store *st = store_open_tuned(dir, NULL, &tuning, NULL);
    atomic_int writing = WRITERS;
    struct worker jobs[WRITERS + READERS + 1];
    pthread_t threads[COUNT(jobs)];
    size_t samples;

    ck_assert_ptr_nonnull(st);
    for (int i = 0; i < (int)COUNT(jobs); i++) {
        jobs[i] = (struct worker){ st, i, &writing, 0 };
        ck_assert_int_eq(pthread_create(&threads[i], NULL,
                                        i < WRITERS ? write_main : i < WRITERS + READERS ? read_main : churn_main,
                                        &jobs[i]), 0);
    }
    for (size_t i = 0; i < COUNT(jobs); i++) {
        pthread_join(threads[i], NULL);
        ck_assert_msg(jobs[i].failures == 0, "thread %zu: %d failures", i, jobs[i].failures);
    }
    ck_assert_int_eq(read_events(st, &samples), 0);
    ck_assert_uint_eq(samples, WRITERS * BATCHES);
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store threads");
    TCase *tc = tcase_create("threads");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, all_at_once);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
