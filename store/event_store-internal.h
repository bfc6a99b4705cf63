/* event_store-internal.h: the rows of one table: a head, perhaps a frozen one, and blocks.
 *
 *     batch's chunks ──► journal ──COMMIT──► head ──freeze──► frozen head ──event_seal──► blocks, committed but not listed
 *                                                                 │                              │
 *                                                                 │        the watermark is committed in vigla.db
 *                                                                 ▼                              ▼
 *                                                         gone ◄── at one moment, under the lock ──► listed
 *                                                     then its journal records are dropped
 *
 * Exactly once  A row has no identity by which a second copy of it could be told. So each block says up to which journal
 *               record its head went, and what counts is the table's watermark: records above it are in heads, blocks at
 *               or below it are listed. At a start, blocks above it are removed and records at or below it are not
 *               replayed. Whenever the process ends, each committed row is in one place that counts.
 * Pause         A head of a good block's rows is sealed as soon as senders pause: rows take twice the room in the journal,
 *               and are read slower from a head.
 * Retry         A seal that fails keeps the blocks it has written, and goes on behind them. */
#ifndef STORE_EVENT_STORE_INTERNAL_H
#define STORE_EVENT_STORE_INTERNAL_H

#include "store/days-internal.h"
#include "store/event.h"
#include "store/event_head-internal.h"

struct blocks;
struct block;
struct db;
struct group;

/* What a frozen head has become so far, slice by slice. The sealer's, and the committer's while there is none to seal. */
struct event_sealed {
    struct block **v; /* left unlisted */
    size_t n, cap;
    size_t rows;      /* in them: the first of the head, by time */
};

struct event_store {
    struct event_head *head, *frozen; /* with the store's lock */
    uint64_t shown;                   /* the last journal record whose rows readers see; with the store's lock */
    struct blocks *blocks;
    /* The committer's own. */
    uint64_t last;      /* journal record written */
    int64_t oldest_ms, newest_ms; /* on the monotonic clock: when the head's first rows came, and its last */
    struct days days;   /* of the head's rows, and of batches refused meanwhile */
    struct event_sealed sealed;
    uint64_t skip_rank; /* the sealer's: runs that begin at or below it can not be merged */
};

/* When the store is opened: heads from the journal, blocks. */
int event_stores_open(struct store *st, struct err *e);
void event_stores_close(struct store *st);
int event_store_watermark(struct db *db, enum event_kind kind, int64_t *number, struct err *e);

/* --- the committer, in a group --- */

/* Writes a batch's chunks into the journal. */
int event_stores_write(struct store *st, struct event_chunk *list, struct err *e);
/* Takes the memory that showing them needs. */
int event_stores_reserve(struct store *st, struct err *e);
/* They are committed; with the store's lock for writing. */
void event_stores_show(struct store *st);
/* Of tiny chunks larger ones are made. */
void event_stores_tidy(struct store *st);
/* They are not: their numbers will be given to others. */
void event_stores_undo(struct store *st);

/* --- the sealer --- */

/* Writes the next slices of the frozen head as blocks. (event_seal.c) */
int event_seal(struct store *st, enum event_kind kind, struct err *e);
/* Blocks of few rows become one of more; at most one such run. With st->writing held. (event_merge.c) */
int event_merge(struct store *st, enum event_kind kind, struct err *e);

#endif
