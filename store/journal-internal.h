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
void journal_series(struct journal_writer *w, uint64_t id, size_t n);
void journal_samples(struct journal_writer *w, const struct sample *s, size_t n);
void journal_end(struct journal_writer *w);

/* A record that says: the samples of these series from from_ms to to_ms, both included, are gone. */
void journal_deletion(struct buf *b, const uint64_t *ids, size_t n, int64_t from_ms, int64_t to_ms);

struct journal_visitor {
    int (*samples)(void *arg, uint64_t id, const struct sample *s, size_t n, struct err *e);
    int (*deletion)(void *arg, uint64_t id, int64_t from_ms, int64_t to_ms, struct err *e);
    void *arg;
};

/* Calls the visitor for each series of a record. Any bytes may come in. ERR_CORRUPT, ERR_NOMEM, and what it returns. */
int journal_read(struct str record, const struct journal_visitor *v, struct err *e);

#endif
