/* otlp_exponential.c: exponential histograms as classic ones.
 *
 * Problem    A bucket's bounds are powers of 2^(2^-scale), and a sender changes scale and range as values come. Classic
 *            buckets are series: their bounds must stay, or a bucket that comes late would seem to have had no values.
 * Idea       The bounds are powers of two, always the same ones for a unit. Each is a bound at every scale up to 0,
 *            and at finer scales 2^scale buckets lie between two of them: so what is at or below a bound is counted
 *            exactly.
 * Price      Two bounds are a factor of two apart, whatever the sender's scale. Below the lowest bound (zero and
 *            negative values too) and above the highest all values are in one bucket. At a scale below 0 a bucket
 *            spans several bounds, and counts at the highest of them. */

#include "collector/otlp-internal.h"

#include <math.h>

enum { BUCKETS_OFFSET = 1, BUCKETS_COUNTS = 2 };  /* ExponentialHistogramDataPoint.Buckets */
enum { FINEST_SCALE = 62, COARSEST_SCALE = -32 }; /* beyond these the result is the same */

/* Exponents of the lowest and the highest bound. */
struct range {
    struct str unit;
    int low, high;
};

static const struct range ranges[] = {
    {STR_INIT("s"), -14, 10},                            /* 61 us to 17 min */
    {STR_INIT("ms"), -4, 20},                            /* 62.5 us to 17 min */
    {STR_INIT("us"), 6, 30},                             /* 64 us to 18 min */
    {STR_INIT("ns"), 16, 40},                            /* 66 us to 18 min */
    {STR_INIT("By"), 0, 30},                             /* 1 B to 1 GiB */
    {STR_INIT("kBy"), 0, 20}, {STR_INIT("KiBy"), 0, 20}, /* 1 KiB to 1 GiB */
};

static const struct range any_unit = {STR_INIT(""), -10, 20};

static const struct range *range_of(struct str unit)
{
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (str_eq(ranges[i].unit, unit))
            return &ranges[i];
    return &any_unit;
}

/* The exponent of the lowest power of two that no value of the bucket is above: its values lie in (b^index,
 * b^(index+1)], b being 2^(2^-scale). */
static int64_t exponent_above(int64_t index, int64_t scale)
{
    if (scale > 0)
        return (index >> (scale < FINEST_SCALE ? scale : FINEST_SCALE)) + 1;
    return (index + 1) * (INT64_C(1) << -(scale > COARSEST_SCALE ? scale : COARSEST_SCALE));
}

static void count_bucket(const struct range *r, int64_t exponent, uint64_t n, uint64_t *counts)
{
    int64_t at = exponent < r->low ? 0 : exponent - r->low;
    int64_t last = r->high - r->low + 1; /* beyond the highest bound */

    counts[at < last ? at : last] += n;
}

struct buckets {
    int64_t index; /* of the next one */
    int64_t scale;
    const struct range *range;
    uint64_t *counts;
};

static void take_count(struct buckets *b, uint64_t n)
{
    if (n)
        count_bucket(b->range, exponent_above(b->index, b->scale), n, b->counts);
    b->index++;
}

/* The offset may stand behind the counts. */
static int read_offset(struct str message, int64_t *offset, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *offset = 0;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != BUCKETS_OFFSET)
            continue;
        if ((rc = pb_want(&f, PB_VARINT, e)) < 0)
            return rc;
        *offset = (int32_t)pb_zigzag(f.u);
    }
    return rc;
}

/* Packed, as proto3 writes them, or one by one. */
static int read_counts(struct str message, struct buckets *b, struct err *e)
{
    struct pb_reader r = pb_reader(message), packed;
    struct pb_field f;
    uint64_t n;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != BUCKETS_COUNTS)
            continue;
        if (f.type == PB_VARINT) {
            take_count(b, f.u);
            continue;
        }
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0)
            return rc;
        packed = pb_reader(f.bytes);
        while ((rc = pb_packed(&packed, &n, e)) == 1)
            take_count(b, n);
        if (rc < 0)
            return rc;
    }
    return rc;
}

/* All of them are below zero: only how many there are counts. */
static int read_negative(struct str message, uint64_t *lowest, struct err *e)
{
    uint64_t counts[2] = {0};
    const struct range none = {STR_INIT(""), 0, -1};
    struct buckets b = {0, 0, &none, counts};
    int rc = read_counts(message, &b, e);

    *lowest += counts[0];
    return rc;
}

int otlp_explicit_buckets(const struct otlp_exponential *x, struct str unit, double *bounds, uint64_t *counts,
                          size_t *nbounds, struct err *e)
{
    const struct range *r = range_of(unit);
    struct buckets b = {0, x->scale, r, counts};
    int rc;

    *nbounds = (size_t)(r->high - r->low + 1);
    for (size_t i = 0; i < *nbounds; i++)
        bounds[i] = ldexp(1, r->low + (int)i);
    memset(counts, 0, (*nbounds + 1) * sizeof(*counts));
    counts[0] = x->zero_count;
    if ((rc = read_negative(x->negative, &counts[0], e)) < 0 || (rc = read_offset(x->positive, &b.index, e)) < 0)
        return rc;
    return read_counts(x->positive, &b, e);
}
