/* page-internal.h: sealed samples of neighbouring series over a span of time, as bytes; the format is drawn in page.c.
 *
 * A page holds columns, one for each series. Its neighbours are alike (the buckets of one histogram, the codes of one
 * edge, everything of one scrape), and what is alike is stored once: columns with the same times share them, and a column
 * may be told as the difference to the one before it. So columns are read cheapest in rising order.
 *
 * Bytes are checked before they are believed: a checksum against rot, every length against malice. */
#ifndef STORE_PAGE_INTERNAL_H
#define STORE_PAGE_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "store/sample.h"

/* At most, in one page. */
enum { PAGE_COLUMNS = 1024, PAGE_SAMPLES = 32768 };

/* Appends a page of columns[0..n), 1 <= n <= PAGE_COLUMNS, each with at least one sample and times that rise strictly,
 * PAGE_SAMPLES samples in all at most. 0 or ERR_NOMEM. */
int page_encode(const struct sample_columns *columns, size_t n, struct buf *out, struct err *e);

/* Reads one page after another; one thread's. Its memory is kept from page to page and bounded by a page's limits. */
struct page_reader;
struct page_reader *page_reader_new(void); /* NULL: no memory */
void page_reader_free(struct page_reader *r);
size_t page_reader_bytes(const struct page_reader *r); /* what it holds */

/* Makes `bytes` the reader's page; they must stay until the next page_open or the end. *n: its columns.
 * ERR_CORRUPT says what is wrong and where; ERR_NOMEM. */
int page_open(struct page_reader *r, struct str bytes, size_t *n, struct err *e);
/* The samples of one column, valid until the next page_open. Asking again for a column costs nothing.
 * ERR_CORRUPT, ERR_NOMEM. */
int page_column(struct page_reader *r, size_t column, struct sample_columns *out, struct err *e);

#endif
