/* functions_window.c: the *_over_time family, and the regressions. Sums are compensated (kahan_add), so that the order
 * and size of the samples do not show. */
#include "query/function-internal.h"

bool fn_sum_over_time(const struct window *w, double *out)
{
    double sum = 0, c = 0;

    for (size_t i = 0; i < w->n; i++)
        kahan_add(w->v[i], &sum, &c);
    *out = isinf(sum) ? sum : sum + c;
    return true;
}

/* The plain mean while the sum is finite, from then on the incremental one. */
bool fn_avg_over_time(const struct window *w, double *out)
{
    double sum = 0, c = 0, mean = 0;
    bool incremental = false;

    for (size_t i = 0; i < w->n; i++) {
        double count = (double)i + 1, next = sum, next_c = c;

        if (!incremental) {
            kahan_add(w->v[i], &next, &next_c);
            if (i == 0 || !isinf(next)) {
                sum = next;
                c = next_c;
                continue;
            }
            incremental = true;
            mean = sum / (count - 1);
            c /= count - 1;
        }
        mean *= (count - 1) / count;
        c *= (count - 1) / count;
        kahan_add(w->v[i] / count, &mean, &c);
    }
    *out = incremental ? mean + c : sum / (double)w->n + c / (double)w->n;
    return true;
}

static size_t place_of_extreme(const struct window *w, bool max, bool last)
{
    size_t best = 0;

    for (size_t i = 1; i < w->n; i++) {
        double v = w->v[i], b = w->v[best];
        bool beyond = max ? v > b : v < b;

        if (beyond || isnan(b) || (last && v == b))
            best = i;
    }
    return best;
}

bool fn_min_over_time(const struct window *w, double *out)
{
    *out = w->v[place_of_extreme(w, false, false)];
    return true;
}

bool fn_max_over_time(const struct window *w, double *out)
{
    *out = w->v[place_of_extreme(w, true, false)];
    return true;
}

bool fn_ts_of_min_over_time(const struct window *w, double *out)
{
    *out = (double)w->t[place_of_extreme(w, false, true)] / 1000;
    return true;
}

bool fn_ts_of_max_over_time(const struct window *w, double *out)
{
    *out = (double)w->t[place_of_extreme(w, true, true)] / 1000;
    return true;
}

bool fn_ts_of_first_over_time(const struct window *w, double *out)
{
    *out = (double)w->t[0] / 1000;
    return true;
}

bool fn_ts_of_last_over_time(const struct window *w, double *out)
{
    *out = (double)w->t[w->n - 1] / 1000;
    return true;
}

bool fn_count_over_time(const struct window *w, double *out)
{
    *out = (double)w->n;
    return true;
}

bool fn_last_over_time(const struct window *w, double *out)
{
    *out = w->v[w->n - 1];
    return true;
}

bool fn_first_over_time(const struct window *w, double *out)
{
    *out = w->v[0];
    return true;
}

bool fn_present_over_time(const struct window *w, double *out)
{
    (void)w;
    *out = 1;
    return true;
}

/* Welford's, compensated. */
bool fn_stdvar_over_time(const struct window *w, double *out)
{
    double mean = 0, mean_c = 0, sum = 0, sum_c = 0;

    for (size_t i = 0; i < w->n; i++) {
        double delta = w->v[i] - (mean + mean_c);

        kahan_add(delta / (double)(i + 1), &mean, &mean_c);
        kahan_add(delta * (w->v[i] - (mean + mean_c)), &sum, &sum_c);
    }
    *out = (sum + sum_c) / (double)w->n;
    return true;
}

bool fn_stddev_over_time(const struct window *w, double *out)
{
    fn_stdvar_over_time(w, out);
    *out = sqrt(*out);
    return true;
}

/* A copy of the window's values that may be sorted. */
static double *copy_values(const struct window *w)
{
    memcpy(w->scratch, w->v, w->n * sizeof(*w->v));
    return w->scratch;
}

bool fn_quantile_over_time(const struct window *w, double *out)
{
    double q = w->args[0], *v = copy_values(w);

    if (isnan(q) || q < 0 || q > 1)
        annotate_quantile(w->ev, w->call->call.args[0], q);
    *out = quantile_of(q, v, w->n);
    return true;
}

bool fn_mad_over_time(const struct window *w, double *out)
{
    double *v = copy_values(w), median;

    for (size_t i = 0; i < w->n; i++)
        if (isnan(v[i])) {
            *out = NAN;
            return true;
        }
    median = quantile_of(0.5, v, w->n);
    for (size_t i = 0; i < w->n; i++)
        v[i] = fabs(v[i] - median);
    *out = quantile_of(0.5, v, w->n);
    return true;
}

/* Least squares; `at` is where the intercept is taken. Equal values give a slope of exactly 0. */
static void regress(const struct window *w, int64_t at, double *slope, double *intercept)
{
    double x = 0, y = 0, xy = 0, xx = 0, cx = 0, cy = 0, cxy = 0, cxx = 0, n = (double)w->n;
    bool constant = true;

    for (size_t i = 0; i < w->n; i++) {
        double t = (double)(w->t[i] - at) / 1000, v = w->v[i];

        constant &= v == w->v[0];
        kahan_add(t, &x, &cx);
        kahan_add(v, &y, &cy);
        kahan_add(t * v, &xy, &cxy);
        kahan_add(t * t, &xx, &cxx);
    }
    if (constant) {
        *slope = isinf(w->v[0]) ? NAN : 0;
        *intercept = isinf(w->v[0]) ? NAN : w->v[0];
        return;
    }
    x += cx;
    y += cy;
    *slope = (xy + cxy - x * y / n) / (xx + cxx - x * x / n);
    *intercept = y / n - *slope * x / n;
}

bool fn_deriv(const struct window *w, double *out)
{
    double intercept;

    if (w->n < 2)
        return false;
    regress(w, w->t[0], out, &intercept);
    return true;
}

bool fn_predict_linear(const struct window *w, double *out)
{
    double slope, intercept;

    if (w->n < 2)
        return false;
    regress(w, w->now, &slope, &intercept);
    *out = slope * w->args[0] + intercept;
    return true;
}

bool fn_double_exponential_smoothing(const struct window *w, double *out)
{
    double sf = w->args[0], tf = w->args[1], before = 0, now, trend;

    if (sf <= 0 || sf >= 1)
        return eval_fail(w->ev, "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf) == 0;
    if (tf <= 0 || tf >= 1)
        return eval_fail(w->ev, "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf) == 0;
    if (w->n < 2)
        return false;
    now = w->v[0];
    trend = w->v[1] - w->v[0];
    for (size_t i = 1; i < w->n; i++) {
        double next;

        if (i > 1)
            trend = tf * (now - before) + (1 - tf) * trend;
        next = sf * w->v[i] + (1 - sf) * (now + trend);
        before = now;
        now = next;
    }
    *out = now;
    return true;
}
