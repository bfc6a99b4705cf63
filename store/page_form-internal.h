/* page_form-internal.h: doubles as integers, bit for bit.
 *
 * Samples that are whole, or have few decimals, are small integers after scaling, and their differences are smaller
 * still. All other doubles are taken by their bits, mapped so that rising doubles are rising integers. */
#ifndef STORE_PAGE_FORM_INTERNAL_H
#define STORE_PAGE_FORM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kind of a column: further ones (native histograms) get further numbers. */
enum form_kind {
    FORM_WHOLE,   /* value = x * 2^shift */
    FORM_DECIMAL, /* value = x / 10^shift, 1 <= shift <= FORM_DECIMALS */
    FORM_BITS,    /* the value's ordered bits are x, shifted to the left by shift; the bits let in are as the sign */
    FORM_KINDS
};
enum { FORM_DECIMALS = 9, FORM_SHIFTS = 64 };

struct form {
    uint8_t kind, shift;
};

static inline bool form_equal(struct form a, struct form b)
{
    return a.kind == b.kind && a.shift == b.shift;
}

/* Values that are kept apart when they are few: NaN, infinities, -0. */
bool form_is_special(double v);

/* Finds a form for v[0..n), n >= 1, and their integers x[0..n). A form near that of the column before is preferred. The
 * result is the number of specials kept apart: either all of them or 0. Where one was, x is as before it. `scratch` has
 * room for n. */
size_t form_find(const double *v, size_t n, struct form before, struct form *f, int64_t *x, double *scratch);

bool form_valid(unsigned kind, unsigned shift);
/* v[0] from x; v[i] from x + the sum of d[1..i]. The sums are modulo 2^64. */
void form_values(struct form f, uint64_t x, const uint64_t *d, double *v, size_t n);

#endif
