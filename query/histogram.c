/* histogram.c: quantiles and shares of classic histograms: one series per bucket, its upper bound in the label le.
 *
 * The series are collected and grouped by their other labels; a group's buckets are sorted by bound once, and each step
 * takes those of them that have a value there. */
#include "query/function-internal.h"

#include "base/num.h"

#include <float.h>
#include <stdlib.h>

struct bucket {
    double bound, count;
};

struct bucket_row {
    double bound;
    const double *v;
};

struct group {
    struct labels labels; /* without le */
    struct bucket_row *rows;
    size_t n, cap;
    struct bucket *now; /* the buckets of one step */
    size_t nnow;
    int64_t step_ms;    /* its time */
};

struct groups {
    struct group *v;
    size_t n, cap;
    struct label_map map;
    struct label *scratch;
    size_t scratch_cap;
};

/* What a function makes of one step's buckets, sorted by bound, the last of them +Inf. */
typedef double bucket_fn(struct eval *ev, const struct node *call, struct group *g, const double *args);

static int by_bound(const void *a, const void *b)
{
    const struct bucket_row *x = a, *y = b;

    return (x->bound > y->bound) - (x->bound < y->bound);
}

static int add_to_group(struct eval *ev, struct groups *gs, const struct row *row, double bound)
{
    static const struct str le[] = { STR_INIT("le") };
    struct group *g;
    size_t at;
    int fresh;

    if (arena_grow(ev->a, &gs->scratch, &gs->scratch_cap, row->labels.n + 1, sizeof(*gs->scratch)) < 0)
        return eval_nomem(ev);
    fresh = label_map_add(&gs->map, ev->a, labels_select(row->labels, le, 1, false, gs->scratch), &at);
    if (fresh < 0 || arena_grow(ev->a, &gs->v, &gs->cap, gs->map.n, sizeof(*gs->v)) < 0)
        return eval_nomem(ev);
    g = &gs->v[at];
    if (fresh) {
        *g = (struct group){ .labels = gs->map.keys[at] };
        gs->n++;
    }
    if (arena_grow(ev->a, &g->rows, &g->cap, g->n + 1, sizeof(*g->rows)) < 0)
        return eval_nomem(ev);
    g->rows[g->n++] = (struct bucket_row){ bound, row->v };
    return 0;
}

static void note_bad_bound(struct eval *ev, const struct node *arg, struct str metric, struct str le)
{
    const char *before = metric.n ? " for metric name \"" : "", *after = metric.n ? "\"" : "";

    annotate_warning(ev, arg, "bucket label \"le\" is missing or has a malformed value of \"%.*s\"%s%.*s%s", STR_ARG(le),
                     before, STR_ARG(metric), after);
}

static int group_buckets(struct eval *ev, const struct grid *g, const struct node *arg, struct groups *gs)
{
    struct rows rows;
    int rc = eval_collect_node(ev, g, arg, &rows);

    for (size_t i = 0; rc == 0 && i < rows.n; i++) {
        struct str le = labels_get(rows.v[i].labels, STR("le"));
        struct str name = labels_get(rows.v[i].labels, STR("__name__"));
        double bound;

        if (num_double(le, &bound))
            rc = add_to_group(ev, gs, &rows.v[i], bound);
        else
            note_bad_bound(ev, arg, name, le);
    }
    for (size_t i = 0; rc == 0 && i < gs->n; i++) {
        qsort(gs->v[i].rows, gs->v[i].n, sizeof(*gs->v[i].rows), by_bound);
        gs->v[i].now = arena_array(ev->a, gs->v[i].n, sizeof(*gs->v[i].now));
        if (!gs->v[i].now)
            return eval_nomem(ev);
    }
    return rc;
}

/* The buckets of one step; those with the same bound ("1" and "1.0") are one. */
static void take_step(struct group *g, size_t step)
{
    g->nnow = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct bucket_row *r = &g->rows[i];

        if (is_absent(r->v[step]))
            continue;
        if (g->nnow && g->now[g->nnow - 1].bound == r->bound)
            g->now[g->nnow - 1].count += r->v[step];
        else
            g->now[g->nnow++] = (struct bucket){ r->bound, r->v[step] };
    }
}

static bool almost_equal(double a, double b)
{
    const double tolerance = 1e-12;
    double sum = fabs(a) + fabs(b), diff = fabs(a - b);

    if (a == b || (isnan(a) && isnan(b)))
        return true;
    if (a == 0 || b == 0 || sum < DBL_MIN)
        return diff < tolerance * DBL_MIN;
    return diff / fmin(sum, DBL_MAX) < tolerance;
}

/* Counts never fall from bucket to bucket. What is a rounding error is mended silently, what is more is told. */
static void make_monotonic(struct eval *ev, const struct node *arg, struct group *g)
{
    double prev = g->now[0].count, worst = 0, low = 0, high = 0;

    for (size_t i = 1; i < g->nnow; i++) {
        double count = g->now[i].count;

        if (count == prev)
            continue;
        if (!almost_equal(prev, count) && !(count < prev)) {
            prev = count;
            continue;
        }
        if (!almost_equal(prev, count)) {
            low = worst > 0 ? fmin(low, g->now[i].bound) : g->now[i].bound;
            high = worst > 0 ? fmax(high, g->now[i].bound) : g->now[i].bound;
            worst = fmax(worst, prev - count);
        }
        g->now[i].count = prev;
    }
    if (worst > 0)
        annotate_monotonicity(ev, arg, labels_get(g->labels, STR("__name__")), g->step_ms, low, high, worst);
}

static double interpolate(const struct group *g, double q)
{
    double rank = q * g->now[g->nnow - 1].count, start = 0, count;
    size_t b = 0;

    while (b < g->nnow - 1 && !(g->now[b].count >= rank))
        b++;
    if (b == g->nnow - 1)
        return g->now[g->nnow - 2].bound;
    if (b == 0 && g->now[0].bound <= 0)
        return g->now[0].bound;
    count = g->now[b].count;
    if (b > 0) {
        start = g->now[b - 1].bound;
        count -= g->now[b - 1].count;
        rank -= g->now[b - 1].count;
    }
    return start + (g->now[b].bound - start) * (rank / count);
}

static double bucket_quantile(struct eval *ev, const struct node *arg, struct group *g, double q)
{
    if (isnan(q))
        return NAN;
    if (q < 0 || q > 1)
        return q < 0 ? -INFINITY : INFINITY;
    if (!isinf(g->now[g->nnow - 1].bound) || g->now[g->nnow - 1].bound < 0)
        return NAN;
    make_monotonic(ev, arg, g);
    if (g->nnow < 2 || g->now[g->nnow - 1].count == 0)
        return NAN;
    return interpolate(g, q);
}

/* How many observations are below `v`. */
static double rank_of(const struct group *g, double v)
{
    double rank = 0, total = g->now[g->nnow - 1].count;

    for (size_t i = 0; i < g->nnow; i++) {
        double upper = g->now[i].bound, lower = i ? g->now[i - 1].bound : upper > 0 ? 0 : -INFINITY;

        if (lower >= v)
            return rank;
        if (upper > v && isinf(lower)) /* a bucket without a lower end cannot be divided */
            return g->now[i].count;
        if (upper > v)
            return rank + (g->now[i].count - rank) * (v - lower) / (upper - lower);
        rank = g->now[i].count;
    }
    return total;
}

static double bucket_fraction(const struct group *g, double lower, double upper)
{
    double total = g->now[g->nnow - 1].count, below, above;

    if (!isinf(g->now[g->nnow - 1].bound) || total == 0 || isnan(lower) || isnan(upper))
        return NAN;
    if (lower >= upper)
        return 0;
    below = fmin(rank_of(g, lower), total);
    above = fmin(rank_of(g, upper), total);
    return (above - below) / total;
}

/* --- the functions ----------------------------------------------------------------------------------------------- */

static double quantile_step(struct eval *ev, const struct node *call, struct group *g, const double *args)
{
    return bucket_quantile(ev, call->call.args[1], g, args[0]);
}

static double fraction_step(struct eval *ev, const struct node *call, struct group *g, const double *args)
{
    (void)ev;
    (void)call;
    return bucket_fraction(g, args[0], args[1]);
}

/* One row per group: fn of each step's buckets. */
static int apply_groups(struct eval *ev, const struct grid *grid, const struct node *call, struct groups *gs,
                        bucket_fn *fn, const double *args, size_t nargs, struct rows *rows)
{
    for (size_t i = 0; i < gs->n; i++) {
        struct row row = { gs->v[i].labels, true, eval_values(ev, grid) };

        if (!row.v || arena_grow(ev->a, &rows->v, &rows->cap, rows->n + 1, sizeof(row)) < 0)
            return eval_nomem(ev);
        for (size_t s = 0; s < grid->n; s++) {
            take_step(&gs->v[i], s);
            gs->v[i].step_ms = grid_time(grid, s);
            if (gs->v[i].nnow)
                row.v[s] = fn(ev, call, &gs->v[i], args + s * nargs);
        }
        rows->v[rows->n++] = row;
        if (eval_hold(ev, grid->n) < 0 || eval_work(ev, grid->n * gs->v[i].n) < 0)
            return ev->failed;
    }
    return 0;
}

static void warn_quantiles(struct eval *ev, const struct grid *g, const struct node *arg, const double *args,
                           size_t nargs)
{
    for (size_t i = 0; i < g->n; i++)
        if (!(args[i * nargs] >= 0 && args[i * nargs] <= 1))
            annotate_quantile(ev, arg, args[i * nargs]);
}

int fn_histogram_quantile(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct groups gs = { 0 };
    struct rows rows = { 0 };
    double *args;
    size_t nargs;
    int rc = eval_scalar_args(ev, g, &n->call, &args, &nargs);

    if (rc == 0)
        rc = group_buckets(ev, g, n->call.args[1], &gs);
    if (rc < 0)
        return rc;
    warn_quantiles(ev, g, n->call.args[0], args, nargs);
    rc = apply_groups(ev, g, n, &gs, quantile_step, args, nargs, &rows);
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

int fn_histogram_fraction(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct groups gs = { 0 };
    struct rows rows = { 0 };
    double *args;
    size_t nargs;
    int rc = eval_scalar_args(ev, g, &n->call, &args, &nargs);

    if (rc == 0)
        rc = group_buckets(ev, g, n->call.args[2], &gs);
    if (rc == 0)
        rc = apply_groups(ev, g, n, &gs, fraction_step, args, nargs, &rows);
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

static double quantiles_step(struct eval *ev, const struct node *call, struct group *g, const double *args)
{
    return bucket_quantile(ev, call->call.args[0], g, args[0]);
}

/* The rows from `first` on get the quantile as a label. */
static int label_quantile(struct eval *ev, struct rows *rows, size_t first, struct str name, double q)
{
    struct buf text = BUF_INIT(64);
    struct str value;

    buf_double(&text, q);
    if (q == floor(q) && fabs(q) < 1e15) /* as OpenMetrics writes numbers: 1.0 */
        buf_puts(&text, ".0");
    value = arena_str(ev->a, buf_view(&text));
    buf_free(&text);
    for (size_t i = first; value.p && i < rows->n; i++) {
        rows->v[i].labels = labels_with(ev->a, rows->v[i].labels, name, value);
        if (!rows->v[i].labels.v)
            return eval_nomem(ev);
    }
    return value.p ? 0 : eval_nomem(ev);
}

int fn_histogram_quantiles(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct groups gs = { 0 };
    struct rows rows = { 0 };
    double *args;
    size_t nargs;
    int rc = eval_scalar_args(ev, g, &n->call, &args, &nargs);

    if (rc == 0)
        rc = group_buckets(ev, g, n->call.args[0], &gs);
    for (size_t k = 0; rc == 0 && k < nargs; k++) {
        size_t first = rows.n;

        warn_quantiles(ev, g, n->call.args[2 + k], args + k, nargs);
        rc = apply_groups(ev, g, n, &gs, quantiles_step, args + k, nargs, &rows);
        if (rc == 0)
            rc = label_quantile(ev, &rows, first, call_text(&n->call, 1), args[k]);
    }
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}
