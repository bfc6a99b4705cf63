/* promql_counters_test.c: rate and increase of random counters against the rules as the documentation tells them. */
#include "tests/unit/query/promql_counters.h"

/* The rule as the documentation tells it, sample by sample. False: fewer than two samples. */
static bool naive_increase(const struct counter *c, int64_t from, int64_t to, double *out)
{
    size_t first = SAMPLES, last = 0, n = 0;
    double sum = 0, start, end, average, sampled;

    for (size_t i = 0; i < c->n; i++)
        if (c->t[i] > from && c->t[i] <= to) {
            first = n++ ? first : i;
            last = i;
        }
    if (n < 2)
        return false;
    for (size_t i = first + 1; i <= last; i++)
        sum += c->v[i] >= c->v[i - 1] ? c->v[i] - c->v[i - 1] : c->v[i];
    sampled = (double)(c->t[last] - c->t[first]);
    average = sampled / (double)(n - 1);
    start = (double)(c->t[first] - from);
    end = (double)(to - c->t[last]);
    start = start < average * 1.1 ? start : average / 2;
    end = end < average * 1.1 ? end : average / 2;
    if (sum > 0 && c->v[first] >= 0 && sampled * c->v[first] / sum < start)
        start = sampled * c->v[first] / sum;
    *out = sum * (sampled + start + end) / sampled;
    return true;
}

/* The count since the last sample at or before `from`, in the lookback of 5 minutes. */
static bool naive_anchored(const struct counter *c, int64_t from, int64_t to, double *out)
{
    size_t anchor = SAMPLES;
    double sum = 0;
    bool inside = false;

    for (size_t i = 0; i < c->n && c->t[i] <= to; i++) {
        if (c->t[i] <= from - 300000)
            continue;
        if (c->t[i] <= from || anchor == SAMPLES) {
            anchor = i;
            sum = 0;
        } else {
            sum += c->v[i] >= c->v[i - 1] ? c->v[i] - c->v[i - 1] : c->v[i];
        }
        inside |= c->t[i] > from;
    }
    *out = sum;
    return inside;
}

typedef bool naive_fn(const struct counter *c, int64_t from, int64_t to, double *out);

/* The sum over all counters at each step of a range query, both ways. */
static void compare_sums(struct script *sc, const struct counter *counters, const char *query, naive_fn *naive,
                         double divisor)
{
    struct script_query q = { .text = str_of(query), .w = { 0, (int64_t)SAMPLES * GAP, 7000 } };
    size_t at = 0;

    script_ask(sc, &q);
    ck_assert_msg(q.value && q.value->n == 1, "%s: %s", query, q.e.msg);
    for (int64_t t = 0; t <= q.w.end_ms; t += q.w.step_ms) {
        double sum = 0, one;
        bool any = false;

        for (size_t i = 0; i < SERIES; i++)
            if (naive(&counters[i], t - 120000, t, &one)) {
                sum += one;
                any = true;
            }
        if (!any)
            continue;
        ck_assert_uint_lt(at, q.value->series[0].n);
        ck_assert_int_eq(q.value->series[0].t[at], t);
        ck_assert_msg(script_same(sum / divisor, q.value->series[0].v[at]), "%s at %lld: %.17g, want %.17g", query,
                      (long long)t, q.value->series[0].v[at], sum / divisor);
        at++;
    }
    ck_assert_uint_eq(at, q.value->series[0].n);
}

START_TEST(agrees_with_the_naive_evaluator)
{
    static struct counter counters[SERIES];
    struct rng r = { { 0x1234567 + (uint64_t)_i, 2, 3, 4 } };
    struct script sc;

    script_open(&sc, "random counters");
    load_counters(&sc, &r, counters);
    compare_sums(&sc, counters, "sum(increase(c_total[2m]))", naive_increase, 1);
    compare_sums(&sc, counters, "sum(rate(c_total[2m]))", naive_increase, 120);
    compare_sums(&sc, counters, "sum(increase(c_total[2m] anchored))", naive_anchored, 1);
    script_close(&sc);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_counters");
    TCase *t = tcase_create("counters");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, agrees_with_the_naive_evaluator, 0, 4);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
