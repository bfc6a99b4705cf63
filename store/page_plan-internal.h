/* page_plan-internal.h: how a page is going to be written, worked out before its first bit.
 *
 *      page_times.c     which columns share times, and which times share their differences (a pattern)
 *      page_predict.c   how a column follows from itself or the one before it: leaves residuals
 *      page_classes.c   which residuals share a code
 *      page_encode.c    drives these, then writes
 *
 * All of it is gone when page_encode returns. */
#ifndef STORE_PAGE_PLAN_INTERNAL_H
#define STORE_PAGE_PLAN_INTERNAL_H

#include "store/page-internal.h"
#include "store/page_format-internal.h"

/* Residuals, zigzag, that are written with one code. */
struct page_sequence {
    uint32_t at, n; /* plan->residuals[at .. at + n); n is 0 when all of them are 0 */
    uint32_t key;   /* alike sequences have near keys (page_classes.c) */
    uint8_t code;
    enum code_kind kind;
};

struct page_pattern {
    uint32_t column; /* the first with it */
    uint64_t hash;
    uint64_t step;
    struct page_sequence residuals;
    uint64_t bits; /* of its body, once written */
};
struct page_times {
    uint32_t column;
    uint16_t pattern;
};

struct page_plan_column {
    uint16_t times;
    struct form form;
    uint8_t mode; /* enum page_mode */
    uint8_t base_shift;
    uint8_t depth; /* columns in a row it leans on */
    int64_t base;  /* mantissa */
    uint32_t exceptions;
    uint64_t ratio, first;
    struct page_sequence residuals;
    uint64_t bits; /* of its body, once written */
};

struct page_plan {
    const struct sample_columns *columns;
    size_t n, samples, longest;
    struct page_plan_column *column;
    struct page_times *times;
    struct page_pattern *patterns;
    size_t n_times, n_patterns;
    /* Times and patterns by their hashes: number + 1, linear probing. */
    uint16_t times_slot[2 * PAGE_COLUMNS], pattern_slot[2 * PAGE_COLUMNS];

    uint64_t *residuals; /* room for two for each sample: times and values */
    size_t n_residuals;
    /* Room for one for each sample of the longest column. */
    uint64_t *d, *before; /* differences of this column and of the one before it; [0] is not used */
    uint64_t *tried[2];   /* residuals of the best choice so far and of the one being tried */
    int64_t *x;
    double *scratch;

    struct code_counts field[FIELDS];
    struct page_group *groups; /* PAGE_GROUPS, page_classes.c */
    size_t n_codes;
};

/* Sequences that have been found alike, on the way to a code. */
enum { PAGE_GROUPS = 96 };
struct page_group {
    struct code_counts counts;
    double bits, together; /* alone; in one group with the next */
    enum code_kind kind;
};

void page_plan_times(struct page_plan *p, size_t column);
void page_plan_values(struct page_plan *p, size_t column);
/* Appends residuals from u[0..n) to the plan; fills *s. */
void page_sequence_add(struct page_plan *p, const uint64_t *u, size_t n, struct page_sequence *s);
/* Gives each sequence its code; groups[0 .. n_codes) count their symbols. */
void page_plan_codes(struct page_plan *p);

/* Bits of a number, 0 for 0. */
static inline unsigned bit_length(uint64_t u)
{
    return u ? 64u - (unsigned)__builtin_clzll(u) : 0;
}

#endif
