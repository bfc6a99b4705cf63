/* promql_grid_test.c: whole grids of results, compared: with definitions worked out naively, window by window; with the
 * same series in another order; and with several threads at work. */
#include "base/mem.h"
#include "base/rand.h"
#include "query/promql.h"
#include "tests/unit/query/fake_series.h"
#include "tests/unit/query/naive_windows.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERIES = 40, SAMPLES = WINDOW_MOST, GAP = 10000 };

static struct arena arena = ARENA_INIT(0); /* of the data and of one comparison */
static struct fake_series series[SERIES];

static double stale(void)
{
    uint64_t bits = SAMPLE_STALE_BITS;
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

static bool is_stale(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    return bits == SAMPLE_STALE_BITS;
}

static double random_value(struct rng *r, size_t kind, double before)
{
    if (kind == 3 && rng_below(r, 8) == 0)
        return rng_below(r, 2) ? NAN : rng_below(r, 2) ? INFINITY : -INFINITY;
    if (kind == 2) /* a gauge */
        return (double)rng_below(r, 2000) / 8 - 100;
    if (rng_below(r, kind == 1 ? 4 : 40) == 0) /* a counter restarts */
        return (double)rng_below(r, 5);
    return before + (rng_below(r, 3) ? (double)rng_below(r, 50) : 0);
}

/* Series of one job have the same times, as those of one target. */
static void make_series(struct rng *r, size_t i)
{
    struct fake_series *s = &series[i];
    struct label *l = arena_array(&arena, 5, sizeof(*l));
    size_t kind = i % 4, job = i % 10;
    double v = (double)rng_below(r, 30);

    l[0] = (struct label){ STR("__name__"), i % 2 ? STR("m_total") : STR("n_total") };
    l[1] = (struct label){ STR("i"), arena_printf(&arena, "%02zu", i) };
    l[2] = (struct label){ STR("job"), arena_printf(&arena, "%zu", job) };
    l[3] = (struct label){ STR("kind"), arena_printf(&arena, "%zu", kind) };
    *s = (struct fake_series){ { l, 4 }, arena_array(&arena, SAMPLES, sizeof(*s->t)),
                               arena_array(&arena, SAMPLES, sizeof(*s->v)), 0 };
    for (size_t k = 0; k < SAMPLES; k++) {
        bool gap = job % 3 == 0 && (k * 7 + job) % 11 < 3;

        v = random_value(r, kind, isfinite(v) ? v : 0);
        if (gap || (job == 5 && rng_below(r, 5) == 0))
            continue;
        s->t[s->n] = (int64_t)k * GAP + (int64_t)(job * 913 + (job % 2 ? k * 37 % 400 : 0));
        s->v[s->n++] = job == 7 && rng_below(r, 15) == 0 ? stale() : v;
    }
}

static void make_data(uint64_t seed)
{
    struct rng r = { { seed, 2, 3, 4 } };

    for (size_t i = 0; i < SERIES; i++)
        make_series(&r, i);
    fake.v = series;
    fake.n = SERIES;
    fake.piece = 1 + rng_below(&r, 2 * SAMPLES);
}

static struct promql_value *ask(const char *query, struct promql_window w, const struct promql_limits *limits)
{
    struct err e = ERR_INIT;
    struct promql_expr *x = promql_parse(&arena, str_of(query), &e);
    struct promql_value *v = x ? promql_eval(NULL, x, w, limits, &arena, &e) : NULL;

    ck_assert_msg(v != NULL, "%s: %s", query, e.msg);
    return v;
}

static bool close_to(double want, double got, double scale)
{
    if (isnan(want) || isnan(got) || isinf(want) || isinf(got))
        return (isnan(want) && isnan(got)) || want == got;
    return fabs(want - got) <= 1e-9 * fmax(scale, fmax(fabs(want), fabs(got)));
}

/* --- windows against their definitions --------------------------------------------------------------------------- */

static const struct {
    const char *name, *before; /* what stands before the range */
    naive_fn *fn;
} functions[] = {
    { "sum_over_time", "", naive_sum },
    { "avg_over_time", "", naive_avg },
    { "min_over_time", "", naive_min },
    { "max_over_time", "", naive_max },
    { "ts_of_max_over_time", "", naive_ts_of_max },
    { "ts_of_min_over_time", "", naive_ts_of_min },
    { "count_over_time", "", naive_count },
    { "first_over_time", "", naive_first },
    { "last_over_time", "", naive_last },
    { "ts_of_last_over_time", "", naive_ts_of_last },
    { "stdvar_over_time", "", naive_stdvar },
    { "stddev_over_time", "", naive_stddev },
    { "quantile_over_time", "0.5, ", naive_median },
    { "changes", "", naive_changes },
    { "resets", "", naive_resets },
    { "increase", "", naive_increase },
    { "delta", "", naive_delta },
    { "rate", "", naive_rate },
    { "irate", "", naive_irate },
    { "idelta", "", naive_idelta },
};

static const struct {
    const char *selector; /* after the name, with its range */
    int64_t range, offset, at; /* at < 0: none */
    struct promql_window w;
} windows[] = {
    { "[1m]", 60000, 0, -1, { 0, 3100000, 15000 } },
    { "[10m]", 600000, 0, -1, { -100000, 3300000, 7000 } },
    { "[25s]", 25000, 0, -1, { 500000, 900000, 60000 } },
    { "[5m] offset 2m", 300000, 120000, -1, { 0, 3000000, 30000 } },
    { "[5m] offset -90s", 300000, -90000, -1, { 0, 3000000, 300000 } },
    { "[20m] @ 2000", 1200000, 0, 2000000, { 0, 100000, 10000 } },
    { "[4m]", 240000, 0, -1, { 1234567, 1234567, 0 } },
};

static void fill_window(const struct fake_series *s, int64_t from, int64_t to, struct window *w)
{
    w->n = 0;
    w->from = from;
    w->to = to;
    w->scale = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->t[i] > from && s->t[i] <= to && !is_stale(s->v[i])) {
            w->t[w->n] = s->t[i];
            w->v[w->n++] = s->v[i];
            if (isfinite(s->v[i]))
                w->scale = fmax(w->scale, fabs(s->v[i]));
        }
}

static const struct promql_series *find_series(const struct promql_value *v, struct str i)
{
    for (size_t k = 0; k < v->n; k++)
        if (str_eq(labels_get(v->series[k].labels, STR("i")), i))
            return &v->series[k];
    return NULL;
}

static void compare_series(const char *query, size_t fn, size_t win, const struct fake_series *s,
                           const struct promql_series *got)
{
    struct promql_window q = windows[win].w;
    size_t at = 0;

    for (int64_t now = q.start_ms; now <= q.end_ms; now += q.step_ms ? q.step_ms : 1) {
        static struct window w;
        int64_t to = (windows[win].at < 0 ? now : windows[win].at) - windows[win].offset;
        bool spread = strncmp(functions[fn].name, "std", 3) == 0;
        double want = 0;

        fill_window(s, to - windows[win].range, to, &w);
        if (w.n == 0 || !functions[fn].fn(&w, &want))
            continue;
        ck_assert_msg(got && at < got->n && got->t[at] == now, "%s: %.*s: nothing at %lld", query,
                      STR_ARG(s->labels.v[1].value), (long long)now);
        ck_assert_msg(close_to(want, got->v[at], spread ? w.scale * w.scale * 1e-3 : w.scale), "%s: %.*s at %lld: %.17g, want %.17g", query,
                      STR_ARG(s->labels.v[1].value), (long long)now, got->v[at], want);
        at++;
    }
    ck_assert_msg(at == (got ? got->n : 0), "%s: %.*s: %zu values, want %zu", query, STR_ARG(s->labels.v[1].value),
                  got->n, at);
}

START_TEST(windows_agree_with_their_definition)
{
    size_t fn = (size_t)_i % COUNT(functions);
    char query[200];

    make_data(0x5eed + (uint64_t)_i);
    for (size_t win = 0; win < COUNT(windows); win++) {
        struct promql_value *v;

        snprintf(query, sizeof(query), "%s(%s{__name__=~\".+\"}%s)", functions[fn].name, functions[fn].before,
                 windows[win].selector);
        v = ask(query, windows[win].w, NULL);
        for (size_t i = 0; i < SERIES; i++)
            compare_series(query, fn, win, &series[i], find_series(v, series[i].labels.v[1].value));
    }
    arena_free(&arena);
}
END_TEST

/* --- naive aggregations ------------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    naive_fn *fn;
} aggregations[] = {
    { "sum", naive_sum }, { "avg", naive_avg }, { "min", naive_min }, { "max", naive_max }, { "count", naive_count },
    { "stdvar", naive_stdvar }, { "stddev", naive_stddev },
};

/* The newest sample in the lookback; stale: none. */
static bool newest(const struct fake_series *s, int64_t at, double *v)
{
    size_t n = 0;

    while (n < s->n && s->t[n] <= at)
        n++;
    if (n == 0 || s->t[n - 1] <= at - 300000 || is_stale(s->v[n - 1]))
        return false;
    *v = s->v[n - 1];
    return true;
}

START_TEST(aggregations_agree_with_their_definition)
{
    struct promql_window w = { -20000, 3600000, 25000 };
    char query[100];

    make_data(0xa99 + (uint64_t)_i);
    for (size_t k = 0; k < COUNT(aggregations); k++) {
        const struct promql_value *v;

        snprintf(query, sizeof(query), "%s by (kind) ({__name__=~\".+\"})", aggregations[k].name);
        v = ask(query, w, NULL);
        for (size_t g = 0; g < 4; g++) {
            const struct promql_series *got = NULL;
            char kind[2] = { (char)('0' + g), 0 };
            size_t at = 0;

            for (size_t i = 0; i < v->n; i++)
                if (str_eqz(labels_get(v->series[i].labels, STR("kind")), kind))
                    got = &v->series[i];
            for (int64_t now = w.start_ms; now <= w.end_ms; now += w.step_ms) {
                static struct window all;
                double want;

                all.n = 0;
                all.scale = 0;
                for (size_t i = g; i < SERIES; i += 4)
                    if (newest(&series[i], now, &all.v[all.n])) {
                        all.scale = fmax(all.scale, isfinite(all.v[all.n]) ? fabs(all.v[all.n]) : 0);
                        all.n++;
                    }
                if (all.n == 0)
                    continue;
                aggregations[k].fn(&all, &want);
                ck_assert_msg(got && at < got->n && got->t[at] == now, "%s: nothing at %lld", query, (long long)now);
                ck_assert_msg(close_to(want, got->v[at], k < 5 ? all.scale : all.scale * all.scale * 1e-3),
                              "%s: kind %zu at %lld: %.17g, want %.17g", query, g, (long long)now, got->v[at], want);
                at++;
            }
            ck_assert_uint_eq(at, got ? got->n : 0);
        }
    }
    arena_free(&arena);
}
END_TEST

/* --- the same in another order, and with several threads ----------------------------------------------------------- */

static const char *const queries[] = {
    "sum by (job) (rate({__name__=~\".+\",kind!=\"3\"}[2m]))",
    "avg without (i) ({__name__=~\".+\",kind!=\"3\"})",
    "min by (kind) (-max_over_time({__name__=~\".+\"}[5m]) * 2)",
    "max by (job) (round(irate(m_total{kind!=\"3\"}[1m]), 0.5))",
    "count by (kind) ({__name__=~\".+\"} > 20)",
    "stddev by (job) ({__name__=~\".+\",kind!=\"3\"})",
    "stdvar by (kind) (sum_over_time({__name__=~\".+\",kind!=\"3\"}[3m] offset 1m))",
    "group by (job, kind) ({__name__=~\".+\"} @ 1000)",
    "topk by (kind) (3, {__name__=~\".+\"})",
    "bottomk(7, changes({__name__=~\".+\"}[5m]))",
    "limitk by (job) (2, {__name__=~\".+\"})",
    "limit_ratio(0.4, {__name__=~\".+\"})",
    "quantile by (kind) (0.7, {__name__=~\".+\"})",
    "count_values by (kind) (\"value\", resets({__name__=~\".+\"}[5m]))",
    "label_replace({__name__=~\".+\"}, \"j\", \"$1\", \"job\", \"(.)\")",
    "label_join(sum by (job, kind) ({__name__=~\".+\"}), \"x\", \"-\", \"job\", \"kind\")",
    "m_total{kind!=\"3\"} / on (job) group_left sum by (job) (n_total) or sum by (kind) (m_total)",
    "sum by (job) (m_total) unless on (job) sum by (job) (n_total > 150)",
    "max_over_time(sum by (job) ({__name__=~\".+\",kind!=\"3\"})[5m:30s])",
    "last_over_time({__name__=~\".+\"}[3m])",
    "sort_by_label({__name__=~\".+\"}, \"kind\", \"job\")",
    "absent(m_total{i=\"none\"}) or scalar(count(m_total)) * vector(1)",
};

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(((const struct promql_series *)a)->labels, ((const struct promql_series *)b)->labels);
}

static void compare_values(const char *query, const struct promql_value *want, struct promql_value *got, bool sorted)
{
    ck_assert_msg(want->n == got->n, "%s: %zu series, want %zu", query, got->n, want->n);
    if (!sorted)
        qsort(got->series, got->n, sizeof(*got->series), by_labels);
    for (size_t i = 0; i < want->n; i++) {
        const struct promql_series *w = &want->series[i], *g = &got->series[i];

        ck_assert_msg(labels_cmp(w->labels, g->labels) == 0, "%s: series %zu is another", query, i);
        ck_assert_msg(w->n == g->n && memcmp(w->t, g->t, w->n * sizeof(*w->t)) == 0, "%s: series %zu: other times",
                      query, i);
        for (size_t k = 0; k < w->n; k++)
            ck_assert_msg(close_to(w->v[k], g->v[k], 1), "%s: series %zu at %lld: %.17g, want %.17g", query, i,
                          (long long)w->t[k], g->v[k], w->v[k]);
    }
}

static void shuffle(struct rng *r)
{
    for (size_t i = SERIES - 1; i > 0; i--) {
        size_t k = rng_below(r, (uint64_t)i + 1);
        struct fake_series s = series[i];

        series[i] = series[k];
        series[k] = s;
    }
}

START_TEST(the_order_of_series_does_not_matter)
{
    struct promql_window range = { 0, 3000000, 20000 }, now = { 1500000, 1500000, 0 };
    const char *query = queries[_i];
    bool ordered = strncmp(query, "topk", 4) == 0 || strncmp(query, "bottomk", 7) == 0 ||
                   strncmp(query, "sort", 4) == 0;
    struct promql_value *matrix, *vector;
    struct rng r = { { 7, (uint64_t)_i, 3, 4 } };

    make_data(0x0de5);
    matrix = ask(query, range, NULL);
    vector = ask(query, now, NULL);
    if (!ordered)
        qsort(vector->series, vector->n, sizeof(*vector->series), by_labels);
    for (size_t i = 1; i < matrix->n; i++)
        ck_assert_msg(by_labels(&matrix->series[i - 1], &matrix->series[i]) < 0, "%s: not sorted", query);
    for (int k = 0; k < 5; k++) {
        shuffle(&r);
        compare_values(query, matrix, ask(query, range, NULL), true);
        compare_values(query, vector, ask(query, now, NULL), ordered);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(threads_give_the_same)
{
    struct promql_limits one = { .threads = 1 }, many = { .threads = 5 };
    struct promql_window range = { 0, 3000000, 1000 };
    const char *query = queries[_i];
    struct promql_value *want, *got, *again;

    make_data(0x7ead);
    want = ask(query, range, &one);
    got = ask(query, range, &many);
    again = ask(query, range, &many);
    ck_assert_uint_eq(want->samples, got->samples);
    compare_values(query, want, got, true);
    for (size_t i = 0; i < got->n; i++)
        ck_assert_msg(memcmp(got->series[i].v, again->series[i].v, got->series[i].n * sizeof(double)) == 0,
                      "%s: not the same twice", query);
    arena_free(&arena);
}
END_TEST

static int fail_with(const char *query, struct promql_limits limits, size_t memory, struct err *e)
{
    struct arena a = ARENA_INIT(memory);
    struct promql_expr *x = promql_parse(&a, str_of(query), e);
    struct promql_window w = { 0, 3000000, 500 };
    struct promql_value *v;

    limits.threads = 4;
    v = x ? promql_eval(NULL, x, w, &limits, &a, e) : NULL;
    arena_free(&a);
    return v ? 0 : e->code;
}

START_TEST(threads_keep_the_limits)
{
    const char *query = "sum by (i) (rate({__name__=~\".+\"}[5m]))";
    struct err e = ERR_INIT;

    make_data(1);
    ck_assert_int_eq(fail_with(query, (struct promql_limits){ .threads = 0 }, 0, &e), 0);
    ck_assert_int_eq(fail_with(query, (struct promql_limits){ .max_samples = 100000 }, 0, &e), ERR_LIMIT);
    ck_assert_str_eq(e.msg, "query processing would load too many samples into memory in query execution");
    ck_assert_int_eq(fail_with(query, (struct promql_limits){ .threads = 0 }, 1 << 20, &e), ERR_NOMEM);
    ck_assert_int_eq(fail_with("sum(quantile_over_time(0.3, {__name__=~\".+\"}[50m]))",
                               (struct promql_limits){ .timeout_ms = 1 }, 0, &e), ERR_TIMEOUT);
    ck_assert_int_eq(fail_with("sum(double_exponential_smoothing({__name__=~\".+\"}[50m], 2, 0.5))",
                               (struct promql_limits){ .threads = 0 }, 0, &e), ERR_INVALID);
    ck_assert_msg(str_find(str_of(e.msg), STR("invalid smoothing factor")) >= 0, "%s", e.msg);
    arena_free(&arena);
}
END_TEST

START_TEST(threads_survive_failing_allocations)
{
    struct err e = ERR_INIT;

    make_data(2);
    for (long n = 1;; n++) {
        int rc;

        e = (struct err)ERR_INIT;
        mem_fail_at(n);
        rc = fail_with("avg by (i) (rate({__name__=~\".+\"}[5m]))", (struct promql_limits){ .threads = 0 }, 0, &e);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            ck_assert_int_eq(rc, 0);
            break;
        }
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || e.msg[0], "allocation %ld: no message", n);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(annotations_come_from_all_threads)
{
    struct promql_limits many = { .threads = 4 };
    struct promql_value *v;

    make_data(3);
    for (size_t i = 0; i < SERIES; i++)
        ((struct label *)(uintptr_t)series[i].labels.v)[0].value = i < SERIES / 2 ? STR("left") : STR("right");
    v = ask("sum(rate({__name__=~\".+\"}[5m]))", (struct promql_window){ 0, 3000000, 500 }, &many);
    ck_assert_uint_eq(v->ninfos, 2);
    arena_free(&arena);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_grid");
    TCase *t = tcase_create("grid");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, windows_agree_with_their_definition, 0, COUNT(functions));
    tcase_add_loop_test(t, aggregations_agree_with_their_definition, 0, 3);
    tcase_add_loop_test(t, the_order_of_series_does_not_matter, 0, COUNT(queries));
    tcase_add_loop_test(t, threads_give_the_same, 0, COUNT(queries));
    tcase_add_test(t, threads_keep_the_limits);
    tcase_add_test(t, threads_survive_failing_allocations);
    tcase_add_test(t, annotations_come_from_all_threads);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
