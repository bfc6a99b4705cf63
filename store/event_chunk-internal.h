/* event_chunk-internal.h: the rows of one batch, column by column, in one piece of bytes.
 *
 * A chunk is the journal's record of a batch's rows of one table and, kept in memory, a part of the head: so what is
 * committed is encoded once, and queries read it as it is. Columns are dictionary-coded where values repeat; nothing is
 * compressed, since a chunk lives minutes. Sealing (event_build-internal.h) makes blocks of many chunks.
 *
 * A chunk's bytes carry a checksum and are believed only after event_chunk_check. The format: event_chunk.c. */
#ifndef STORE_EVENT_CHUNK_INTERNAL_H
#define STORE_EVENT_CHUNK_INTERNAL_H

#include "base/buf.h"
#include "store/batch.h"
#include "store/event_source-internal.h"

/* What a chunk's header says. */
struct event_chunk_head {
    enum event_kind kind;
    uint32_t rows;
    int64_t first_ns, last_ns;
};

/* Appends rows [first, first + n) of the batch, 1 <= n <= EVENT_SOURCE_ROWS, to `out`. ERR_NOMEM. Thread-safe: done on
 * the sender's thread, not on the committer's. */
int event_chunk_encode(const struct event_rows *rows, enum event_kind kind, size_t first, size_t n, struct buf *out,
                       struct err *e);
/* Checks length, checksum and header. ERR_CORRUPT; ERR_UNSUPPORTED: a newer format. */
int event_chunk_check(struct str bytes, struct event_chunk_head *head, struct err *e);
/* The chunk as a source; `bytes` was checked and must outlive it. Every offset in it is still tested. */
struct event_source *event_chunk_open(struct str bytes, struct arena *a, struct err *e);
/* One chunk of the rows of several (of one table, together at most EVENT_SOURCE_ROWS), in their order: a head of many
 * tiny chunks is read slowly. n >= 1. Appended to `out`. ERR_INVALID: too many rows; ERR_CORRUPT, ERR_NOMEM. */
int event_chunk_join(struct event_source *const *chunks, size_t n, struct buf *out, struct err *e);
/* A chunk of its rows from `first` on, of which there is one at least. Appended to `out`. */
int event_chunk_cut(struct event_source *chunk, size_t first, struct buf *out, struct err *e);

#endif
