/* naive_windows.h: what PromQL's window functions are, straight from their definitions: one window at a time, every sample
 * looked at, sums in long double. Slow, and plain enough to be believed. */
#ifndef TESTS_UNIT_QUERY_NAIVE_WINDOWS_H
#define TESTS_UNIT_QUERY_NAIVE_WINDOWS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { WINDOW_MOST = 300 };

struct window {
    int64_t t[WINDOW_MOST];
    double v[WINDOW_MOST];
    size_t n;
    int64_t from, to;
    double scale; /* of the values: what rounding is measured by */
};

typedef bool naive_fn(const struct window *w, double *out);

static inline bool naive_sum(const struct window *w, double *out)
{
    long double sum = 0;

    for (size_t i = 0; i < w->n; i++)
        sum += w->v[i];
    *out = (double)sum;
    return true;
}

static inline bool naive_avg(const struct window *w, double *out)
{
    naive_sum(w, out);
    *out /= (double)w->n;
    return true;
}

static inline bool naive_min(const struct window *w, double *out)
{
    *out = NAN;
    for (size_t i = 0; i < w->n; i++)
        *out = fmin(*out, w->v[i]);
    return true;
}

static inline bool naive_max(const struct window *w, double *out)
{
    *out = NAN;
    for (size_t i = 0; i < w->n; i++)
        *out = fmax(*out, w->v[i]);
    return true;
}

/* The last of the greatest; NaN is less than all. */
static inline bool naive_ts_of_max(const struct window *w, double *out)
{
    size_t best = 0;

    for (size_t i = 1; i < w->n; i++)
        if (w->v[i] >= w->v[best] || isnan(w->v[best]))
            best = i;
    *out = (double)w->t[best] / 1000;
    return true;
}

static inline bool naive_ts_of_min(const struct window *w, double *out)
{
    size_t best = 0;

    for (size_t i = 1; i < w->n; i++)
        if (w->v[i] <= w->v[best] || isnan(w->v[best]))
            best = i;
    *out = (double)w->t[best] / 1000;
    return true;
}

static inline bool naive_count(const struct window *w, double *out)
{
    *out = (double)w->n;
    return true;
}

static inline bool naive_first(const struct window *w, double *out)
{
    *out = w->v[0];
    return true;
}

static inline bool naive_last(const struct window *w, double *out)
{
    *out = w->v[w->n - 1];
    return true;
}

static inline bool naive_ts_of_last(const struct window *w, double *out)
{
    *out = (double)w->t[w->n - 1] / 1000;
    return true;
}

static inline bool naive_stdvar(const struct window *w, double *out)
{
    long double mean = 0, sum = 0;

    for (size_t i = 0; i < w->n; i++)
        mean += w->v[i];
    mean /= (long double)w->n;
    for (size_t i = 0; i < w->n; i++)
        sum += (w->v[i] - mean) * (w->v[i] - mean);
    *out = (double)(sum / (long double)w->n);
    return true;
}

static inline bool naive_stddev(const struct window *w, double *out)
{
    naive_stdvar(w, out);
    *out = sqrt(*out);
    return true;
}

static inline int nan_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return isnan(x) || isnan(y) ? !!isnan(y) - !!isnan(x) : (x > y) - (x < y);
}

static inline bool naive_median(const struct window *w, double *out)
{
    struct window c = *w;

    qsort(c.v, c.n, sizeof(*c.v), nan_first);
    *out = c.n % 2 ? c.v[c.n / 2] * 1 + c.v[c.n / 2 + (c.n > 1)] * 0 : c.v[c.n / 2 - 1] * 0.5 + c.v[c.n / 2] * 0.5;
    return true;
}

static inline bool naive_changes(const struct window *w, double *out)
{
    *out = 0;
    for (size_t i = 1; i < w->n; i++)
        *out += w->v[i] != w->v[i - 1] && !(isnan(w->v[i]) && isnan(w->v[i - 1]));
    return true;
}

static inline bool naive_resets(const struct window *w, double *out)
{
    *out = 0;
    for (size_t i = 1; i < w->n; i++)
        *out += w->v[i] < w->v[i - 1];
    return true;
}

static inline bool naive_change(const struct window *w, bool counter, double *out)
{
    double change, span, distance, start, end;

    if (w->n < 2)
        return false;
    change = w->v[w->n - 1] - w->v[0];
    for (size_t i = 1; counter && i < w->n; i++)
        if (w->v[i] < w->v[i - 1])
            change += w->v[i - 1];
    span = (double)(w->t[w->n - 1] - w->t[0]) / 1000;
    distance = span / (double)(w->n - 1);
    start = (double)(w->t[0] - w->from) / 1000;
    end = (double)(w->to - w->t[w->n - 1]) / 1000;
    start = start >= distance * 1.1 ? distance / 2 : start;
    if (counter && change > 0 && w->v[0] >= 0 && span * (w->v[0] / change) < start)
        start = span * (w->v[0] / change);
    end = end >= distance * 1.1 ? distance / 2 : end;
    *out = change * ((span + start + end) / span);
    return true;
}

static inline bool naive_increase(const struct window *w, double *out)
{
    return naive_change(w, true, out);
}

static inline bool naive_delta(const struct window *w, double *out)
{
    return naive_change(w, false, out);
}

static inline bool naive_rate(const struct window *w, double *out)
{
    bool any = naive_change(w, true, out);

    *out /= (double)(w->to - w->from) / 1000;
    return any;
}

static inline bool naive_irate(const struct window *w, double *out)
{
    size_t i = w->n - 1;

    if (w->n < 2)
        return false;
    *out = w->v[i] < w->v[i - 1] ? w->v[i] : w->v[i] - w->v[i - 1];
    *out /= (double)(w->t[i] - w->t[i - 1]) / 1000;
    return true;
}

static inline bool naive_idelta(const struct window *w, double *out)
{
    if (w->n < 2)
        return false;
    *out = w->v[w->n - 1] - w->v[w->n - 2];
    return true;
}

#endif
