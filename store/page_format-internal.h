/* page_format-internal.h: what writer and reader of a page agree on; drawn in page.c. */
#ifndef STORE_PAGE_FORMAT_INTERNAL_H
#define STORE_PAGE_FORMAT_INTERNAL_H

#include "store/page_code-internal.h"
#include "store/page_form-internal.h"

enum { PAGE_VERSION = 1, PAGE_HEADER = 16 };

/* Codes for values in one page; columns that lean on the one before, in a row. */
enum { PAGE_CODES = 24, PAGE_CHAIN = 32 };

/* The numbers in the head: each has a code of its own. */
enum page_field {
    FIELD_TIME,       /* which times; REFER_* */
    FIELD_START,      /* first time less that of the times before, zigzag */
    FIELD_PATTERN,    /* which differences; REFER_* */
    FIELD_COUNT,      /* times, less one */
    FIELD_STEP,       /* base of the differences, zigzag */
    FIELD_FORM,       /* 0: as the column before; else 1 + kind * 64 + shift */
    FIELD_MODE,       /* a page_mode and MODE_* */
    FIELD_RATIO,      /* less RATIO_ONE, zigzag */
    FIELD_BASE,       /* what a track begins with: mantissa, zigzag; not 0 */
    FIELD_BASE_SHIFT, /* and how far it is shifted to the left */
    FIELD_FIRST,      /* first integer less what is expected, zigzag */
    FIELD_CODE,       /* of the residuals */
    FIELD_BITS,       /* length of the body less that of the last one in its code, zigzag */
    FIELD_EXCEPTIONS, /* how many */
    FIELD_GAP,        /* in bodies: places between exceptions */
    FIELD_EXCEPTION,  /* in bodies: bits of the value, XOR the stale marker's */
    FIELDS
};

/* Times and patterns are numbered as they come. REFER_BACK + k: the one k before the latest. */
enum { REFER_SAME, REFER_NEW, REFER_BACK };

/* How a column's integers x follow from residuals r; d are the differences of x, p those of the column before. */
enum page_mode {
    MODE_DELTA, /* d = r; with MODE_TRACK: d = what it was lately + r */
    MODE_PREV,  /* d = p + r */
    MODE_RATIO, /* d = ratio * p + r */
    MODE_LEVEL  /* x = first + r, the first x too */
};
enum { MODE_MASK = 3, MODE_TRACK = 4, MODE_BODY = 8, MODE_EXCEPTIONS = 16, MODE_END = 32 };

enum { RATIO_BITS = 12, RATIO_ONE = 1 << RATIO_BITS };

/* Modulo 2^64 on both sides, so it is exact whatever comes. */
static inline uint64_t ratio_of(uint64_t p, uint64_t ratio)
{
    return (uint64_t)((int64_t)(p * ratio + RATIO_ONE / 2) >> RATIO_BITS);
}

/* The recent mean of a column's differences, in 1 / 2^TRACK_BITS: each one moves it by that part of its distance. */
enum { TRACK_BITS = 5 };

static inline uint64_t track_begin(uint64_t base)
{
    return base << TRACK_BITS;
}

static inline uint64_t track_expected(uint64_t track)
{
    return (uint64_t)((int64_t)(track + (1u << TRACK_BITS) / 2) >> TRACK_BITS);
}

static inline uint64_t track_next(uint64_t track, uint64_t d)
{
    return track + d - (uint64_t)((int64_t)track >> TRACK_BITS);
}

/* What a column is expected to begin with, when the one before has the same form and begins with `before`. Integers that
 * do not lean on their neighbours are of any size; bits of doubles at least share the exponent's highest. */
static inline uint64_t first_expected(enum page_mode mode, struct form form, uint64_t ratio, uint64_t before)
{
    if (mode == MODE_RATIO)
        return ratio_of(before, ratio);
    return mode == MODE_PREV || form.kind == FORM_BITS ? before : 0;
}

#endif
