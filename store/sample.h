/* sample.h: what a series is made of. */
#ifndef STORE_SAMPLE_H
#define STORE_SAMPLE_H

#include "base/labels.h"

#include <stdint.h>

/* More kinds (native histograms) get a column of their own beside `v`. */
enum sample_kind { SAMPLE_FLOAT };

struct sample {
    int64_t t; /* ms since the epoch, any age */
    double v;  /* Prometheus' stale marker is kept bit for bit */
};

#define SAMPLE_STALE_BITS 0x7ff0000000000002u

/* A piece of one series, column by column, times rising strictly. */
struct sample_columns {
    enum sample_kind kind;
    const int64_t *t;
    const double *v;
    size_t n;
};

/* The first of t[0..n), which rise, that is not before `at`; n: there is none. */
static inline size_t sample_first_from(const int64_t *t, size_t n, int64_t at)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (t[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

#endif
