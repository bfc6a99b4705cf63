/* tally.c: sum, avg, min, max, count, group, stddev and stdvar, row after row.
 *
 * Sums are compensated (kahan_add), written here so that the compiler can do several steps at once: both orders of
 * magnitude are computed and one is taken. A mean is the plain sum divided, until the sum overflows; from then on that
 * step's mean is kept incrementally. Variances are Welford's, joined by Chan's formula. */
#include "query/tally-internal.h"

#include "query/eval-internal.h"

int tally_init(struct tally *t, enum aggregate_op op, size_t steps, struct arena *a)
{
    bool sums = op == AGG_SUM || op == AGG_AVG, spread = op == AGG_STDDEV || op == AGG_STDVAR;
    double *const unused = NULL;

    t->value = arena_alloc(a, steps * sizeof(double));
    t->c = sums ? arena_array(a, steps, sizeof(double)) : unused;
    t->mean = op == AGG_AVG || spread ? arena_alloc(a, steps * sizeof(double)) : unused;
    t->count = op == AGG_AVG || spread ? arena_array(a, steps, sizeof(double)) : unused;
    if (!t->value || (sums && !t->c) || ((op == AGG_AVG || spread) && (!t->mean || !t->count)))
        return ERR_NOMEM;
    for (size_t i = 0; i < steps; i++)
        t->value[i] = ABSENT;
    for (size_t i = 0; t->mean && i < steps; i++)
        t->mean[i] = ABSENT;
    return 0;
}

/* --- one row ----------------------------------------------------------------------------------------------------- */

/* -0 is the sum of nothing: adding to it changes no value, not even -0. */
WIDE static void add_sums(double *restrict sum, double *restrict c, const double *restrict v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double s = is_absent(sum[i]) ? -0.0 : sum[i], x = v[i], t = s + x;
        double big = fabs(s) >= fabs(x) ? s : x, small = fabs(s) >= fabs(x) ? x : s;
        double cc = isinf(t) ? 0 : c[i] + ((big - t) + small);

        sum[i] = is_absent(x) ? sum[i] : t;
        c[i] = is_absent(x) ? c[i] : cc;
    }
}

WIDE static void add_counts(double *restrict count, const double *restrict v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double more = (is_absent(count[i]) ? 0 : count[i]) + 1;

        count[i] = is_absent(v[i]) ? count[i] : more;
    }
}

WIDE static void add_ones(double *restrict one, const double *restrict v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        one[i] = is_absent(v[i]) ? one[i] : 1;
}

/* Any number takes the place of NaN, and of ABSENT, which is one. */
WIDE static void add_minima(double *restrict least, const double *restrict v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double next = least[i] <= v[i] ? least[i] : v[i];

        next = isnan(v[i]) && !is_absent(least[i]) ? least[i] : next;
        least[i] = is_absent(v[i]) ? least[i] : next;
    }
}

WIDE static void add_maxima(double *restrict most, const double *restrict v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double next = most[i] >= v[i] ? most[i] : v[i];

        next = isnan(v[i]) && !is_absent(most[i]) ? most[i] : next;
        most[i] = is_absent(v[i]) ? most[i] : next;
    }
}

/* Adds `weight` values whose mean is `mean` to a mean that is kept incrementally; t->count has them already. */
static void add_to_mean(struct tally *t, size_t i, double mean, double weight)
{
    double keep = (t->count[i] - weight) / t->count[i];

    if (isinf(t->mean[i]) && ((isinf(mean) && (t->mean[i] > 0) == (mean > 0)) || isfinite(mean)))
        return;
    t->mean[i] *= keep;
    t->c[i] *= keep;
    kahan_add(mean * (weight / t->count[i]), &t->mean[i], &t->c[i]);
}

/* From the sum of what was before the last `weight` values to their mean. */
static void start_mean(struct tally *t, size_t i, double weight)
{
    t->mean[i] = t->value[i] / (t->count[i] - weight);
    t->c[i] /= t->count[i] - weight;
}

static void add_means(struct tally *t, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = t->value[i], c = t->c[i];

        if (is_absent(v[i]))
            continue;
        t->count[i]++;
        if (is_absent(sum)) {
            t->value[i] = v[i];
            continue;
        }
        if (is_absent(t->mean[i])) {
            kahan_add(v[i], &sum, &c);
            if (!isinf(sum)) {
                t->value[i] = sum;
                t->c[i] = c;
                continue;
            }
            start_mean(t, i, 1);
        }
        add_to_mean(t, i, v[i], 1);
    }
}

static void add_spreads(struct tally *t, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double delta;

        if (is_absent(v[i]))
            continue;
        t->count[i]++;
        if (is_absent(t->value[i])) {
            t->mean[i] = v[i];
            t->value[i] = isfinite(v[i]) ? 0 : NAN;
            continue;
        }
        delta = v[i] - t->mean[i];
        t->mean[i] += delta / t->count[i];
        t->value[i] += delta * (v[i] - t->mean[i]);
    }
}

void tally_add(struct tally *t, enum aggregate_op op, size_t steps, const double *v)
{
    switch (op) {
    case AGG_SUM:
        add_sums(t->value, t->c, v, steps);
        break;
    case AGG_AVG:
        add_means(t, v, steps);
        break;
    case AGG_MIN:
        add_minima(t->value, v, steps);
        break;
    case AGG_MAX:
        add_maxima(t->value, v, steps);
        break;
    case AGG_COUNT:
        add_counts(t->value, v, steps);
        break;
    case AGG_STDDEV:
    case AGG_STDVAR:
        add_spreads(t, v, steps);
        break;
    default:
        add_ones(t->value, v, steps);
        break;
    }
}

/* --- another tally ----------------------------------------------------------------------------------------------- */

static void merge_sums(struct tally *t, const struct tally *o, size_t n)
{
    add_sums(t->value, t->c, o->value, n);
    for (size_t i = 0; i < n; i++)
        if (!is_absent(o->value[i]) && isfinite(t->value[i]))
            t->c[i] += o->c[i];
}

static void merge_means(struct tally *t, const struct tally *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = t->value[i], c = t->c[i];

        if (o->count[i] == 0)
            continue;
        t->count[i] += o->count[i];
        if (is_absent(sum)) {
            t->value[i] = o->value[i];
            t->mean[i] = o->mean[i];
            t->c[i] = o->c[i];
            continue;
        }
        if (is_absent(t->mean[i]) && is_absent(o->mean[i])) {
            kahan_add(o->value[i], &sum, &c);
            if (!isinf(sum)) {
                t->value[i] = sum;
                t->c[i] = c + o->c[i];
                continue;
            }
        }
        if (is_absent(t->mean[i]))
            start_mean(t, i, o->count[i]);
        if (is_absent(o->mean[i]))
            add_to_mean(t, i, o->value[i] / o->count[i] + o->c[i] / o->count[i], o->count[i]);
        else
            add_to_mean(t, i, o->mean[i] + o->c[i], o->count[i]);
    }
}

static void merge_spreads(struct tally *t, const struct tally *o, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double before = t->count[i], delta = o->mean[i] - t->mean[i];

        if (o->count[i] == 0)
            continue;
        t->count[i] += o->count[i];
        if (before == 0) {
            t->mean[i] = o->mean[i];
            t->value[i] = o->value[i];
            continue;
        }
        t->mean[i] += delta * (o->count[i] / t->count[i]);
        t->value[i] += o->value[i] + delta * delta * (before * o->count[i] / t->count[i]);
    }
}

void tally_merge(struct tally *t, enum aggregate_op op, size_t steps, const struct tally *other)
{
    switch (op) {
    case AGG_SUM:
        merge_sums(t, other, steps);
        break;
    case AGG_AVG:
        merge_means(t, other, steps);
        break;
    case AGG_STDDEV:
    case AGG_STDVAR:
        merge_spreads(t, other, steps);
        break;
    case AGG_COUNT:
        for (size_t i = 0; i < steps; i++)
            if (!is_absent(other->value[i]))
                t->value[i] = (is_absent(t->value[i]) ? 0 : t->value[i]) + other->value[i];
        break;
    default:
        tally_add(t, op, steps, other->value);
        break;
    }
}

/* --- results ----------------------------------------------------------------------------------------------------- */

static double result(const struct tally *t, enum aggregate_op op, size_t i)
{
    switch (op) {
    case AGG_SUM:
        return t->value[i] + t->c[i];
    case AGG_AVG:
        return is_absent(t->mean[i]) ? t->value[i] / t->count[i] + t->c[i] / t->count[i] : t->mean[i] + t->c[i];
    case AGG_STDDEV:
        return sqrt(t->value[i] / t->count[i]);
    case AGG_STDVAR:
        return t->value[i] / t->count[i];
    default:
        return t->value[i];
    }
}

void tally_result(const struct tally *t, enum aggregate_op op, size_t steps, double *out)
{
    for (size_t i = 0; i < steps; i++)
        out[i] = is_absent(t->value[i]) ? ABSENT : result(t, op, i);
}
