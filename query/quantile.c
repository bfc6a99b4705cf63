/* quantile.c: quantiles of plain values, by Hoare's selection: only the two values around the rank are put in place. */
#include "query/eval-internal.h"

#include <stdlib.h>

enum { SHORT = 16, PATIENCE = 60 };

static int by_value(const void *a, const void *b)
{
    double x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void swap(double *a, double *b)
{
    double t = *a;

    *a = *b;
    *b = t;
}

static void insertion_sort(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && v[k] < v[k - 1]; k--)
            swap(&v[k], &v[k - 1]);
}

static double middle_of(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* Puts the value there that stands at v[k] once v[0..n), free of NaN, is sorted; what is before is not greater, what is
 * behind not less. Orders that defeat the choice of pivots end in a sort. */
static void select_place(double *v, size_t n, size_t k)
{
    for (int round = 0; n > SHORT; round++) {
        double pivot = middle_of(v[0], v[n / 2], v[n - 1]);
        size_t i = 0, j = n - 1;

        if (round == PATIENCE) {
            qsort(v, n, sizeof(*v), by_value);
            return;
        }
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&v[i++], &v[j--]);
        }
        /* v[0..i) <= pivot <= v[i..n) */
        if (k < i) {
            n = i;
        } else {
            v += i;
            n -= i;
            k -= i;
        }
    }
    insertion_sort(v, n);
}

/* NaN is less than all: moves those to the front and says how many there are. */
static size_t nan_first(double *v, size_t n)
{
    size_t nans = 0;

    for (size_t i = 0; i < n; i++)
        if (isnan(v[i]))
            swap(&v[i], &v[nans++]);
    return nans;
}

double quantile_of(double q, double *values, size_t n)
{
    double rank = q * ((double)n - 1), below = floor(rank), weight = rank - below, next;
    size_t lo, nans;

    if (n == 0 || isnan(q))
        return NAN;
    if (q < 0 || q > 1)
        return q < 0 ? -INFINITY : INFINITY;
    lo = (size_t)fmax(0, below);
    nans = nan_first(values, n);
    if (lo < nans)
        return NAN;
    select_place(values + nans, n - nans, lo - nans);
    next = lo + 1 < n ? values[lo + 1] : values[lo];
    for (size_t i = lo + 2; i < n; i++)
        next = fmin(next, values[i]);
    return values[lo] * (1 - weight) + next * weight;
}
