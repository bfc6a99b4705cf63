/* Exemplars: kept with their batch, found by series and time, once each. Snapshots, when something fails. */
#include "store/exemplars.h"
#include "tests/unit/store/fixture.h"

#include <math.h>

static char dir[64];
static struct store *st;
static long fail_at; /* which allocation of a commit fails; 0: none */

static void setup(void)
{
    fixture_dir(dir);
    st = fixture_open(dir);
}

static void teardown(void)
{
    store_close(st);
    fixture_remove(dir);
}

static int commit(const char *name, const char *instance, int64_t t, double v, struct err *e)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct batch b;
    struct batch_exemplar x = { fixture_labels(&a, name, instance), fixture_labels(&a, "trace", ""), { t, v } };
    int rc;

    batch_init(&b, &a);
    rc = batch_add_exemplar(&b, &x);
    if (rc == 0) {
        mem_fail_at(fail_at);
        rc = store_commit(st, &b, e);
    }
    arena_free(&a);
    return rc;
}

static size_t find(const char *name, int64_t from, int64_t to, struct arena *a, struct batch_exemplar **v)
{
    struct matcher m;
    struct series_query q = { &m, 1, .from_ms = from, .to_ms = to };
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_int_eq(matcher_init(&m, a, MATCH_EQ, STR("__name__"), str_of(name), NULL), 0);
    ck_assert_msg(exemplars_find(st, &q, a, v, &n, &e) == 0, "%s", e.msg);
    return n;
}

START_TEST(finds_by_series_and_time)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct batch_exemplar *v;

    ck_assert_int_eq(commit("up", "b", 300, 3, NULL), 0);
    ck_assert_int_eq(commit("up", "a", 200, NAN, NULL), 0);
    ck_assert_int_eq(commit("up", "a", 100, -0.0, NULL), 0);
    ck_assert_int_eq(commit("up", "a", 100, -0.0, NULL), 0); /* again */
    ck_assert_int_eq(commit("down", "a", 100, 1, NULL), 0);
    store_close(st);
    st = fixture_open(dir);
    ck_assert_uint_eq(find("up", INT64_MIN, INT64_MAX, &a, &v), 3);
    ck_assert(v[0].sample.t == 100 && v[0].sample.v == 0 && signbit(v[0].sample.v));
    ck_assert(v[1].sample.t == 200 && isnan(v[1].sample.v));
    ck_assert(v[2].sample.t == 300 && str_eqz(labels_get(v[2].series, STR("i")), "b"));
    ck_assert(str_eqz(labels_get(v[2].labels, STR("__name__")), "trace"));
    ck_assert_uint_eq(find("up", 101, 299, &a, &v), 1);
    ck_assert_uint_eq(find("sideways", INT64_MIN, INT64_MAX, &a, &v), 0);
    arena_free(&a);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct err e = ERR_INIT;
        struct batch_exemplar *v;
        bool failed;
        int rc;

        fail_at = n;
        rc = commit("up", "a", n, 1, &e);
        fail_at = 0;
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || failed, "%s", e.msg);
        if (rc == 0)
            ck_assert_uint_eq(find("up", n, n, &a, &v), 1);
        arena_free(&a);
        if (!failed)
            break;
    }
}
END_TEST

START_TEST(a_snapshot_that_fails_leaves_nothing)
{
    for (long n = 1;; n++) {
        struct err e = ERR_INIT;
        char path[128];
        bool failed;
        int rc;

        mem_fail_at(n);
        rc = store_snapshot(st, "s", &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || failed, "%s", e.msg);
        snprintf(path, sizeof(path), "%s/snapshots/s", dir);
        ck_assert((access(path, F_OK) == 0) == (rc == 0));
        if (!failed)
            break;
        fixture_remove(path);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("exemplars");
    TCase *t = tcase_create("exemplars");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, finds_by_series_and_time);
    tcase_add_test(t, survives_failing_allocations);
    tcase_add_test(t, a_snapshot_that_fails_leaves_nothing);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
