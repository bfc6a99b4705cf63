/* Functions over ranges of lines against the plainest way: every window walked over all lines. Random lines, random
 * windows and steps, all functions; grouped by what comes from streams, attributes and parsers. */
#include "base/clock.h"
#include "base/rand.h"
#include "tests/unit/query/logql_rows.h"

#include <math.h>

enum { LINES = 400, SPAN_MS = 60000 };

struct line {
    int64_t ns;
    int app, user; /* user 0: none */
    double n;
    bool error;
    char text[64];
};

static struct line lines[LINES];
static const char *const apps[] = { "a", "b" }, *const users[] = { "", "u1", "u2" };

static int by_time(const void *p, const void *q)
{
    const struct line *a = p, *b = q;

    return (a->ns > b->ns) - (a->ns < b->ns);
}

static void make_lines(struct log_store *s, struct rng *r)
{
    for (size_t i = 0; i < LINES; i++) {
        struct line *l = &lines[i];
        /* often just at, before or behind a border */
        int64_t at = (int64_t)rng_below(r, SPAN_MS / 500) * 500 * 1000000;

        *l = (struct line){ .ns = rng_below(r, 2) ? at + (int64_t)rng_below(r, 3) - 1 : at + (int64_t)rng_below(r, 500000000),
                            .app = (int)rng_below(r, 2), .user = (int)rng_below(r, 3), .n = (double)rng_below(r, 1000) / 8,
                            .error = rng_below(r, 3) == 0 };
        snprintf(l->text, sizeof(l->text), "level=%s n=%g", l->error ? "error" : "info", l->n);
    }
    qsort(lines, LINES, sizeof(*lines), by_time);
    for (size_t i = 0; i < LINES; i++)
        log_store_add(s, lines[i].ns, apps[lines[i].app], lines[i].text, users[lines[i].user]);
    log_store_commit(s);
}

enum of { LINE_COUNT, LINE_BYTES, LINE_VALUE };

struct window {
    double v[LINES];
    size_t n;
    double seconds;
};

static int by_value(const void *p, const void *q)
{
    double a = *(const double *)p, b = *(const double *)q;

    return (a > b) - (a < b);
}

static double sum(const struct window *w)
{
    double v = 0;

    for (size_t i = 0; i < w->n; i++)
        v += w->v[i];
    return v;
}

static double rate(const struct window *w)
{
    return sum(w) / w->seconds;
}

static double avg(const struct window *w)
{
    return sum(w) / (double)w->n;
}

static double extreme(const struct window *w, bool max)
{
    double v = w->v[0];

    for (size_t i = 1; i < w->n; i++)
        v = max ? fmax(v, w->v[i]) : fmin(v, w->v[i]);
    return v;
}

static double least(const struct window *w)
{
    return extreme(w, false);
}

static double greatest(const struct window *w)
{
    return extreme(w, true);
}

static double stdvar(const struct window *w)
{
    double mean = avg(w), v = 0;

    for (size_t i = 0; i < w->n; i++)
        v += (w->v[i] - mean) * (w->v[i] - mean);
    return v / (double)w->n;
}

static double stddev(const struct window *w)
{
    return sqrt(stdvar(w));
}

static double first(const struct window *w)
{
    return w->v[0];
}

static double last(const struct window *w)
{
    return w->v[w->n - 1];
}

static double median(const struct window *w)
{
    double v[LINES];
    size_t mid = (w->n - 1) / 2;

    memcpy(v, w->v, w->n * sizeof(*v));
    qsort(v, w->n, sizeof(*v), by_value);
    return w->n % 2 ? v[mid] : (v[mid] + v[mid + 1]) / 2;
}

static const struct {
    const char *name;  /* up to the range */
    enum of of;
    double (*f)(const struct window *w);
} functions[] = {
    { "count_over_time(", LINE_COUNT, sum }, { "rate(", LINE_COUNT, rate },
    { "bytes_over_time(", LINE_BYTES, sum }, { "bytes_rate(", LINE_BYTES, rate },
    { "sum_over_time(", LINE_VALUE, sum },   { "avg_over_time(", LINE_VALUE, avg },
    { "min_over_time(", LINE_VALUE, least }, { "max_over_time(", LINE_VALUE, greatest },
    { "stdvar_over_time(", LINE_VALUE, stdvar }, { "stddev_over_time(", LINE_VALUE, stddev },
    { "first_over_time(", LINE_VALUE, first }, { "last_over_time(", LINE_VALUE, last },
    { "quantile_over_time(0.5, ", LINE_VALUE, median }, { "rate(", LINE_VALUE, rate },
};

struct question {
    size_t function;
    bool errors;       /* only lines that say error */
    int by;            /* 0: streams (app); 1: sum by (user); 2: sum over all */
    bool by_rows;      /* a stage that the engine cannot judge: rows are read */
    int64_t start, end, step, range, offset; /* ms after the base */
};

static void put_query(struct buf *b, const struct question *q)
{
    static const char *const outer[] = { "", "sum by (user) (", "sum(" };
    bool unwraps = functions[q->function].of == LINE_VALUE;

    buf_printf(b, "%s%s{kind=\"log\"}%s%s%s [%lldms]%s%lldms)%s", outer[q->by], functions[q->function].name,
               q->errors ? " |= \"error\"" : "", q->by_rows ? " | line_format \"{{__line__}}\"" : "",
               unwraps ? " | logfmt n | unwrap n" : "", (long long)q->range, " offset ", (long long)q->offset, q->by ? ")" : "");
}

/* Which group of the answer a line belongs to: its inner series, and the outer group. */
static int inner_series(const struct question *q, const struct line *l)
{
    return q->by == 1 ? l->app * 3 + l->user : l->app * 3;
}

static int outer_group(const struct question *q, int inner)
{
    return q->by == 0 ? inner / 3 : q->by == 1 ? inner % 3 : 0;
}

/* The value of a group at a time; NAN: none. */
static double naive(const struct question *q, int group, int64_t at)
{
    int64_t to = (at - q->offset) * 1000000, from = to - q->range * 1000000;
    double total = 0;
    bool any = false;

    for (int inner = 0; inner < 6; inner++) {
        struct window w = { .seconds = (double)q->range / 1000 };

        for (size_t i = 0; i < LINES; i++) {
            const struct line *l = &lines[i];

            if (l->ns <= from || l->ns > to || (q->errors && !l->error) || inner_series(q, l) != inner ||
                outer_group(q, inner) != group)
                continue;
            w.v[w.n++] = functions[q->function].of == LINE_COUNT   ? 1
                         : functions[q->function].of == LINE_BYTES ? (double)strlen(l->text)
                                                                    : l->n;
        }
        if (w.n) {
            total += functions[q->function].f(&w);
            any = true;
        }
    }
    return any ? total : NAN;
}

static int group_of(const struct question *q, struct labels l)
{
    struct str user = labels_get(l, STR("user"));

    if (q->by == 0)
        return str_eqz(labels_get(l, STR("app")), "b");
    return q->by == 1 && user.n ? user.p[1] - '0' : 0;
}

static void compare(const struct question *q, const struct promql_value *v, const char *query)
{
    for (int group = 0; group < 3; group++)
        for (int64_t at = q->start; at <= q->end; at += q->step) {
            double want = naive(q, group, at), got = NAN;

            for (size_t i = 0; i < v->n; i++)
                for (size_t k = 0; k < v->series[i].n && group_of(q, v->series[i].labels) == group; k++)
                    if (v->series[i].t[k] == ROWS_BASE_MS + at)
                        got = v->series[i].v[k];
            ck_assert_msg(isnan(want) ? isnan(got) : fabs(got - want) <= 1e-9 * fmax(1, fabs(want)),
                          "%s at %lld: group %d is %.17g, should be %.17g", query, (long long)at, group, got, want);
        }
}

START_TEST(windows_are_those_of_the_plainest_way)
{
    struct log_store s;
    struct rng r;

    rng_seed(&r);
    log_store_open(&s);
    make_lines(&s, &r);
    for (int round = 0; round < 300; round++) {
        static const int64_t steps[] = { 500, 1000, 1500, 7000, 333 };
        struct question q = { .function = rng_below(&r, COUNT(functions)), .errors = rng_below(&r, 2), .by = (int)rng_below(&r, 3),
                              .by_rows = rng_below(&r, 2), .start = (int64_t)rng_below(&r, 20) * 500,
                              .step = steps[rng_below(&r, COUNT(steps))], .range = ((int64_t)rng_below(&r, 20) + 1) * 500,
                              .offset = (int64_t)rng_below(&r, 2) * 2000 };
        struct arena a = ARENA_INIT(1 << 26);
        struct buf b = BUF_INIT(1 << 12);
        struct err e = ERR_INIT;
        struct logql_expr *x;
        struct promql_value *v;

        q.end = q.start + q.step * (int64_t)rng_below(&r, 30);
        put_query(&b, &q);
        x = logql_parse(&a, buf_view(&b), &e);
        ck_assert_msg(x != NULL, "%s: %s", buf_cstr(&b), e.msg);
        v = logql_metric(s.st, x, (struct promql_window){ ROWS_BASE_MS + q.start, ROWS_BASE_MS + q.end, q.step }, NULL, 0, &a, &e);
        ck_assert_msg(v != NULL, "%s: %s", buf_cstr(&b), e.msg);
        compare(&q, v, buf_cstr(&b));
        buf_free(&b);
        arena_free(&a);
    }
    log_store_close(&s);
}
END_TEST

/* --- what queries come to ---------------------------------------------------------------------------------------- */

static const struct {
    const char *query, *want; /* "{labels} value" of each series; or what the error says */
} instants[] = {
    { "count_over_time({app=\"a\"}[1m])", "{app=\"a\", kind=\"log\"} 3\n" },
    { "sum(count_over_time({kind=\"log\"}[1m]))", "{} 4\n" },
    { "sum by (user) (count_over_time({kind=\"log\"}[1m]))", "{} 1\n{user=\"u1\"} 2\n{user=\"u2\"} 1\n" },
    { "max by (user) (count_over_time({kind=\"log\"}[1m]))", "{} 1\n{user=\"u1\"} 1\n{user=\"u2\"} 1\n" },
    { "sum by (level) (count_over_time({kind=\"log\"} | logfmt [1m]))", "{} 2\n{level=\"error\"} 2\n" },
    { "topk(1, sum by (app) (count_over_time({kind=\"log\"}[1m])))", "{app=\"a\"} 3\n" },
    { "sum(rate({app=\"a\"}[1m])) / sum(rate({kind=\"log\"}[1m])) * 100", "{} 75\n" },
    { "sum by (app) (count_over_time({kind=\"log\"}[1m])) > 2", "{app=\"a\"} 3\n" },
    { "sum by (app) (count_over_time({kind=\"log\"}[1m])) > bool 2", "{app=\"a\"} 1\n{app=\"b\"} 0\n" },
    { "vector(3)", "{} 3\n" },
    { "sum(count_over_time({app=\"nobody\"}[1m])) or vector(0)", "{} 0\n" },
    { "absent_over_time({app=\"nobody\"}[1m])", "{app=\"nobody\"} 1\n" },
    { "absent_over_time({app=\"a\"}[1m])", "" },
    { "label_replace(sum by (app) (count_over_time({app=\"b\"}[1m])), \"x\", \"<$1>\", \"app\", \"(.*)\")", "{app=\"b\", x=\"<b>\"} 1\n" },
    { "sum_over_time({kind=\"log\"} | logfmt | unwrap n [1m])", "{app=\"a\", kind=\"log\", level=\"error\"} 7\n" },
    { "avg_over_time({kind=\"log\"} | logfmt | unwrap n [1m]) by (app)", "{app=\"a\"} 3.5\n" },
    { "sum_over_time({kind=\"log\"} | logfmt | unwrap level [1m])",
      "pipeline error: 'SampleExtractionErr' for series: '{app=\"a\", kind=\"log\", n=\"3\"}'." },
    { "sum_over_time({kind=\"log\"} | logfmt | unwrap level | __error__=\"\" [1m])", "" },
    { "count_over_time({kind=\"log\"} | json [1m])", "pipeline error: 'JSONParserErr' for series: '{" },
    { "sum(rate_counter({kind=\"log\"} | logfmt | unwrap n [1m]))", "{} 0.034166666666666665\n" },
    { "approx_topk(1, sum by (app) (count_over_time({kind=\"log\"}[1m])))", "{app=\"a\"} 3\n" },
};

static int by_labels(const void *p, const void *q)
{
    return labels_cmp(((const struct promql_series *)p)->labels, ((const struct promql_series *)q)->labels);
}

static void print_value(struct buf *b, const struct promql_value *v)
{
    qsort(v->series, v->n, sizeof(*v->series), by_labels);
    for (size_t i = 0; i < v->n; i++) {
        labels_print(b, v->series[i].labels);
        buf_putc(b, ' ');
        buf_double(b, v->series[i].v[0]);
        buf_putc(b, '\n');
    }
}

START_TEST(instant_queries)
{
    struct log_store s;
    struct arena a = ARENA_INIT(1 << 24);
    struct buf b = BUF_INIT(1 << 14);
    struct err e = ERR_INIT;
    struct logql_expr *x;
    struct promql_value *v = NULL;

    log_store_open(&s);
    log_store_add(&s, 1000000000, "a", "level=error n=3", "u1");
    log_store_add(&s, 21000000000, "a", "level=error n=4", "u2");
    log_store_add(&s, 31000000000, "a", "plain", "");
    log_store_add(&s, 41000000000, "b", "plain", "u1");
    log_store_commit(&s);
    x = logql_parse(&a, str_of(instants[_i].query), &e);
    if (x)
        v = logql_metric(s.st, x, (struct promql_window){ ROWS_BASE_MS + 50000, ROWS_BASE_MS + 50000, 0 }, NULL, 0, &a, &e);
    if (v)
        print_value(&b, v);
    else
        buf_puts(&b, e.msg);
    ck_assert_msg(v ? str_eqz(buf_view(&b), instants[_i].want) : str_starts(buf_view(&b), str_of(instants[_i].want)),
                  "%s:\n%.*swant\n%s", instants[_i].query, STR_ARG(buf_view(&b)), instants[_i].want);
    buf_free(&b);
    arena_free(&a);
    log_store_close(&s);
}
END_TEST

START_TEST(series_are_bounded)
{
    static char users_of[600][16];
    struct log_store s;
    struct arena a = ARENA_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct logql_expr *x = logql_parse(&a, STR("sum by (user) (count_over_time({kind=\"log\"}[1m]))"), &e);

    log_store_open(&s);
    for (int i = 0; i < 600; i++) {
        snprintf(users_of[i], sizeof(users_of[i]), "u%d", i);
        log_store_add(&s, 1000000, "a", "x", users_of[i]);
    }
    log_store_commit(&s);
    ck_assert_ptr_null(logql_metric(s.st, x, (struct promql_window){ ROWS_BASE_MS + 1000, ROWS_BASE_MS + 1000, 0 }, NULL, 0, &a, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    ck_assert_str_eq(e.msg, "maximum of series (500) reached for a single query");
    arena_free(&a);
    log_store_close(&s);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("logql_metric");
    TCase *t = tcase_create("numbers");

    tcase_set_timeout(t, 120);
    tcase_add_test(t, windows_are_those_of_the_plainest_way);
    tcase_add_loop_test(t, instant_queries, 0, COUNT(instants));
    tcase_add_test(t, series_are_bounded);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
