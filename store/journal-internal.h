/* journal-internal.h: the journal's records as bytes; the format is drawn in journal.c. */
#ifndef STORE_JOURNAL_INTERNAL_H
#define STORE_JOURNAL_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "store/sample.h"

/* Writing a record of samples: journal_begin, then journal_series and its samples, …, journal_end. Failures stick to
 * the buffer. */
struct journal_writer {
    struct buf *b;
    size_t start;
    uint64_t series;
    uint64_t t;
};

void journal_begin(struct journal_writer *w, struct buf *b);
/* n samples of series `id` follow. */
void journal_series(struct journal_writer *w, uint32_t id, size_t n);
void journal_samples(struct journal_writer *w, const struct sample *s, size_t n);
void journal_end(struct journal_writer *w);

typedef int journal_visit(void *arg, uint32_t id, const struct sample *s, size_t n, struct err *e);

/* Calls `visit` for each series of a record. Any bytes may come in. ERR_CORRUPT, ERR_NOMEM, and what it returns. */
int journal_read(struct str record, journal_visit *visit, void *arg, struct err *e);

#endif
