/* nomem_test.c: the n-th allocation fails, until the scenario makes fewer than n; SQLite's own among them.
 *
 * Every run either does its work or reports ERR_NOMEM, leaks nothing (SAN=address), and what was acknowledged is there
 * when the store is opened again. */
#include "store/catalog.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"
#include "tests/unit/store/sqlite_heap.h"

#include "base/rand.h"

#include <sys/stat.h>

static char dir[64];

static void setup(void)
{
    sqlite_heap_install();
    fixture_dir(dir);
}

static void teardown(void)
{
    fixture_remove(dir);
}

static const struct store_tuning tuning = { 6, (size_t)1 << 30, (int64_t)1 << 40 };

/* What a run was told. */
struct told {
    bool samples, event, document, deleted;
};

static bool allowed(int rc)
{
    return rc == 0 || rc == ERR_NOMEM;
}

static bool write_batch(struct store *st, int64_t t, bool with_event)
{
    const struct sample s[] = { { t, 1 }, { t + 1, 2 }, { t - 5, 3 } };
    const struct batch_metadata meta = { STR("m"), STR("counter"), STR("help"), STR_NULL };
    struct arena a = ARENA_INIT(0);
    union event_value v[LOG_NCOLUMNS] = { 0 };
    const struct label team = { STR("team"), STR("blue") };
    const struct event ev = { t, v, { &team, 1 } };
    const struct label l[] = { { STR("__name__"), STR("m") }, { STR("i"), STR("1") } };
    const struct batch_series bs = { .labels = { l, 2 }, .samples = s, .n = 3 };
    struct batch b;
    int rc;

    batch_init(&b, &a);
    b.sender = STR("x");
    b.number = (uint64_t)t;
    rc = batch_add_series(&b, &bs);
    if (rc == 0 && with_event)
        rc = batch_add_event(&b, EVENT_LOG, &ev);
    if (rc == 0)
        rc = batch_add_metadata(&b, &meta);
    if (rc == 0)
        rc = store_commit(st, &b, NULL);
    ck_assert_msg(allowed(rc), "commit: %d", rc);
    arena_free(&a);
    return rc == 0;
}

/* Reads all there is; the numbers do not matter here, the ways out do. */
static void read_all(struct store *st)
{
    const struct event_condition team = { .column = -1, .attribute = STR("team"), .op = EVENT_EQ,
                                          .value.s = STR("blue") };
    const struct event_query eq = { .kind = EVENT_LOG, .from_ns = 0, .to_ns = INT64_MAX, .conditions = &team, .n = 1,
                                    .columns = 3, .attributes = true };
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("m"), NULL };
    const struct series_query q = { .matchers = &m, .n = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX };
    struct series_query names = { .matchers = &m, .n = 1, .from_ms = 0, .to_ms = 100 };
    struct arena a = ARENA_INIT(0);
    struct series_set *set = series_open(st, &q, &a, NULL);
    struct event_cursor *c = events_open(st, &eq, &a, NULL);
    struct event_page p;
    struct sample_columns columns;
    struct batch_metadata *meta;
    struct catalog_document *d;
    struct labels l;
    struct str *v;
    size_t n;
    int rc = 0;

    while (set && (rc = series_next(set, &l, NULL)) == 1)
        while ((rc = series_samples(set, &columns, NULL)) == 1)
            ck_assert_uint_gt(columns.n, 0);
    ck_assert_msg(allowed(rc), "samples: %d", rc);
    names.labels_only = true;
    set = series_open(st, &names, &a, NULL);
    while (set && (rc = series_next(set, &l, NULL)) == 1)
        ck_assert_uint_gt(l.n, 0);
    ck_assert_msg(allowed(rc), "labels: %d", rc);
    while (c && (rc = events_next(c, &p, NULL)) == 1)
        ck_assert_uint_gt(p.n, 0);
    ck_assert_msg(allowed(rc), "events: %d", rc);
    events_close(c);
    ck_assert(allowed(series_label_names(st, &q, &a, &v, &n, NULL)));
    ck_assert(allowed(series_label_values(st, &q, STR("i"), &a, &v, &n, NULL)));
    ck_assert(allowed(series_label_names(st, &names, &a, &v, &n, NULL)));
    ck_assert(allowed(series_label_values(st, &names, STR("i"), &a, &v, &n, NULL)));
    ck_assert(allowed(series_metadata(st, STR_NULL, &a, &meta, &n, NULL)));
    ck_assert(allowed(events_distinct(st, EVENT_LOG, LOG_body, 0, 100, 9, &a, &v, &n, NULL)));
    ck_assert(allowed(catalog_list(st, STR_NULL, 0, &a, &d, &n, NULL)));
    arena_free(&a);
}

static void scenario(struct told *told)
{
    const struct catalog_change c = { { STR("k"), STR_NULL, STR("n") }, STR("body"), false };
    struct matcher m = { MATCH_EQ, STR("__name__"), STR("m"), NULL };
    const struct series_query first = { .matchers = &m, .n = 1, .from_ms = 95, .to_ms = 95 };
    struct err e = ERR_INIT;
    struct store *st = store_open_tuned(dir, NULL, &tuning, &e);
    int rc;

    if (!st) {
        ck_assert_msg(e.code == ERR_NOMEM, "open: %s: %s", err_name(e.code), e.msg);
        return;
    }
    told->samples = write_batch(st, 100, false);
    told->event = write_batch(st, 200, true);
    rc = catalog_apply(st, &c, 1, 0, NULL, NULL);
    ck_assert_msg(allowed(rc), "catalog: %d", rc);
    told->document = rc == 0;
    read_all(st);
    rc = series_delete(st, &first, NULL);
    ck_assert_msg(allowed(rc), "delete: %d", rc);
    told->deleted = rc == 0;
    ck_assert(allowed(store_retain(st, 1000, NULL)));
    store_close(st);
}

static void verify(const struct told *told, long at)
{
    struct store *st = fixture_open(dir);
    struct arena a = ARENA_INIT(0);
    struct catalog_document *d;
    const struct event_query q = { .kind = EVENT_LOG, .from_ns = 0, .to_ns = INT64_MAX };
    struct event_cursor *c = events_open(st, &q, &a, NULL);
    struct event_page p = { 0 };
    struct sample *got;
    size_t n;

    n = fixture_read(st, "m", "1", 100, 190, &a, &got);
    ck_assert_msg(n == 2 || (n == 0 && !told->samples), "allocation %ld: %zu samples", at, n);
    n = fixture_read(st, "m", "1", 195, 299, &a, &got);
    ck_assert_msg(n == 3 || (n == 0 && !told->event), "allocation %ld: %zu samples", at, n);
    n = fixture_read(st, "m", "1", 95, 95, &a, &got);
    ck_assert_msg(n == 0 || !told->deleted, "allocation %ld: not deleted", at);
    events_next(c, &p, NULL);
    ck_assert_msg(p.n == 1 || (p.n == 0 && !told->event), "allocation %ld: %zu events", at, p.n);
    events_close(c);
    ck_assert_int_eq(catalog_list(st, STR_NULL, 0, &a, &d, &n, NULL), 0);
    ck_assert_msg(n == 1 || !told->document, "allocation %ld: no document", at);
    arena_free(&a);
    store_close(st);
}

static bool run(long at)
{
    struct told told = { 0 };
    int failed;

    mem_fail_at(at);
    scenario(&told);
    failed = mem_has_failed();
    mem_fail_at(0);
    verify(&told, at);
    return failed;
}

/* All of the first, then wider and wider apart, from another start each time: most are SQLite's, making its schema. */
START_TEST(every_allocation_fails_once)
{
    struct rng r;
    long at = 1;

    rng_seed(&r);
    while (run(at)) {
        at += 1 + (long)rng_below(&r, 1 + (uint64_t)at / 40);
        fixture_remove(dir);
        ck_assert_int_eq(mkdir(dir, 0700), 0);
    }
    ck_assert_int_gt(at, 400);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("store without memory");
    TCase *tc = tcase_create("nomem");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, every_allocation_fails_once);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
