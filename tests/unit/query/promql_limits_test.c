/* promql_limits_test.c: a query ends within its samples, its memory and its time, and when there is no memory. */
#include "base/mem.h"
#include "tests/unit/query/promql_counters.h"

static const char *const heavy = "sum by (i) (rate(c_total[2m])) / on(i) group_left sum by (i) (c_total) "
                                 "or topk(2, label_replace(c_total, \"j\", \"$1\", \"i\", \"(.)\"))";

static int run_heavy(struct script *sc, const struct promql_limits *limits, size_t memory, struct err *e)
{
    struct arena a = ARENA_INIT(memory);
    struct promql_expr *x = promql_parse(&a, str_of(heavy), e);
    struct promql_value *v = NULL;

    if (x)
        v = promql_eval(sc->st, x, (struct promql_window){ 600000, 1200000, 60000 }, limits, &a, e);
    arena_free(&a);
    return v ? 0 : e->code;
}

START_TEST(stays_within_its_limits)
{
    static struct counter counters[SERIES];
    struct rng r = { { 1, 2, 3, 4 } };
    struct promql_limits few = { .max_samples = 100 };
    struct err e = ERR_INIT;
    struct script sc;

    script_open(&sc, "limits");
    load_counters(&sc, &r, counters);
    ck_assert_int_eq(run_heavy(&sc, NULL, 0, &e), 0);
    ck_assert_int_eq(run_heavy(&sc, &few, 0, &e), ERR_LIMIT);
    ck_assert_str_eq(e.msg, "query processing would load too many samples into memory in query execution");
    ck_assert_int_ne(run_heavy(&sc, NULL, 20000, &e), 0);
    for (long n = 1;; n++) {
        int rc;

        e = (struct err)ERR_INIT;
        mem_fail_at(n);
        rc = run_heavy(&sc, NULL, 0, &e);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            ck_assert_int_eq(rc, 0);
            break;
        }
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || e.msg[0], "allocation %ld: no message", n);
    }
    script_close(&sc);
}
END_TEST

START_TEST(ends_in_time)
{
    static struct counter counters[SERIES];
    struct rng r = { { 1, 2, 3, 4 } };
    struct promql_limits soon = { .timeout_ms = 1 };
    struct script_query q = { .text = STR("count_over_time(sum(c_total)[30d:1s])") };
    struct script sc;
    struct promql_expr *x;

    script_open(&sc, "timeout");
    load_counters(&sc, &r, counters);
    x = promql_parse(&sc.arena, q.text, &q.e);
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_null(promql_eval(sc.st, x, (struct promql_window){ 3600000, 3600000, 0 }, &soon, &sc.arena, &q.e));
    ck_assert_int_eq(q.e.code, ERR_TIMEOUT);
    ck_assert_str_eq(q.e.msg, "query timed out in expression evaluation");
    script_close(&sc);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_limits");
    TCase *t = tcase_create("limits");

    tcase_set_timeout(t, 60);
    tcase_add_test(t, stays_within_its_limits);
    tcase_add_test(t, ends_in_time);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
