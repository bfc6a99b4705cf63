/* page_reader-internal.h: a page being read: page.c takes its head apart, page_column.c reads the bodies. */
#ifndef STORE_PAGE_READER_INTERNAL_H
#define STORE_PAGE_READER_INTERNAL_H

#include "store/page-internal.h"
#include "store/page_format-internal.h"

/* Where residuals (behind the exceptions, if any) stand in the page. */
struct page_body {
    uint64_t at, end; /* bits from the beginning of the page's bytes */
    uint8_t code;
    bool residuals; /* false: all are 0 */
};

struct page_reader_pattern {
    struct page_body body;
    uint32_t n; /* times */
    uint64_t step;
};
struct page_reader_times {
    uint64_t start;
    uint32_t at; /* of reader->t, once read */
    uint16_t pattern;
    bool read;
};
struct page_reader_column {
    struct page_body body;
    uint64_t first, base, ratio;
    uint32_t at; /* of reader->v and ->d */
    uint32_t exceptions;
    uint16_t times;
    struct form form;
    uint8_t mode; /* enum page_mode */
    uint8_t depth;
    bool read;
};

struct page_reader {
    uint8_t *bytes; /* a copy with SLACK zeros behind it, so that bits are read eight bytes at a time */
    size_t bytes_cap;
    size_t n_codes, n_columns, n_times, n_patterns, samples, times_used;
    struct page_reader_column *columns; /* these have room for PAGE_COLUMNS or for PAGE_SAMPLES at most */
    struct page_reader_times *times;
    struct page_reader_pattern *patterns;
    size_t columns_cap, times_cap, patterns_cap;
    int64_t *t;
    double *v;
    uint64_t *d; /* differences of integers; the first of a column is not used */
    size_t t_cap, v_cap, d_cap;
    /* What a page has of these is set when it is opened. */
    struct code_reader field[FIELDS];
    struct code_reader value[PAGE_CODES]; /* made when first wanted */
    struct code_lengths lengths[PAGE_CODES];
    bool made[PAGE_CODES];
};

#endif
