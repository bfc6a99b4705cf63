#include "query/eval-internal.h"

#include <stdlib.h>

static int nan_first(const void *a, const void *b)
{
    double x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    if (isnan(x) || isnan(y))
        return !!isnan(y) - !!isnan(x);
    return (x > y) - (x < y);
}

double quantile_of(double q, double *values, size_t n)
{
    double rank = q * ((double)n - 1), below = floor(rank), weight = rank - below;
    size_t lo, hi;

    if (n == 0 || isnan(q))
        return NAN;
    if (q < 0 || q > 1)
        return q < 0 ? -INFINITY : INFINITY;
    qsort(values, n, sizeof(*values), nan_first);
    lo = (size_t)fmax(0, below);
    hi = lo + 1 < n ? lo + 1 : n - 1;
    return values[lo] * (1 - weight) + values[hi] * weight;
}
