/* event_head-internal.h: the newest rows of one table, in memory, until they are sealed into blocks.
 *
 * A head is a row of chunks (event_chunk-internal.h) in the order of their commits. A chunk never changes, and lives as
 * long as somebody holds it: a reader copies pointers under the store's lock and reads without it. Of many tiny chunks
 * one is made, so that a head of single rows is read like one of large batches (event_head_join). */
#ifndef STORE_EVENT_HEAD_INTERNAL_H
#define STORE_EVENT_HEAD_INTERNAL_H

#include "store/days-internal.h"
#include "store/event_chunk-internal.h"

#include <stdatomic.h>

struct event_chunk {
    struct event_chunk *next;     /* of the same batch, before it is committed */
    atomic_uint holders;
    struct event_chunk_head head;
    /* The journal records its rows came with, rising: one, or several when it was joined. */
    struct event_commit {
        uint64_t number;
        uint32_t end; /* one past its last row */
    } *commits, only;
    size_t ncommits;
    struct str bytes;             /* owned */
    struct days days;             /* of its rows, when they are of more than one */
};

/* All rows of the batch, encoded: a list by `next`, held once each; NULL: there are none. ERR_NOMEM; ERR_LIMIT: rows of too
 * many days. Thread-safe. */
int event_chunks_of(const struct batch *b, struct event_chunk **list, struct err *e);
/* A journal record. ERR_CORRUPT, ERR_UNSUPPORTED, ERR_NOMEM. */
int event_chunk_replayed(struct str record, enum event_kind kind, struct event_chunk **chunk, struct err *e);
void event_chunk_hold(struct event_chunk *c);
void event_chunk_release(struct event_chunk *c); /* NULL is fine */
void event_chunks_release(struct event_chunk *list); /* those behind it by `next`, too */
/* Adds the days of its rows. ERR_NOMEM. */
int event_chunk_days(const struct event_chunk *c, struct days *days);

struct event_head {
    struct event_chunk **v;
    size_t n, cap;
    uint64_t rows, bytes;
    uint64_t last; /* journal record; 0: there is none */
};

struct event_head *event_head_new(void); /* NULL: no memory */
void event_head_free(struct event_head *h); /* NULL is fine */
/* Makes room for n chunks more. ERR_NOMEM. With the store's lock for writing, as event_head_append. */
int event_head_reserve(struct event_head *h, size_t n);
/* Takes hold of a chunk whose record's number is set. Cannot fail, within what was reserved. */
void event_head_append(struct event_head *h, struct event_chunk *c);

/* Joining, by the committer alone. Chunks are of two classes of tiny ones, below TINY and below SMALL rows, or large. When
 * JOIN_MOST of a class stand at the end, with none of a higher class between, they become one of the next class: so a
 * row is copied twice at most, and few chunks are tiny. */
struct event_join {
    size_t first, n;      /* places in the head */
    struct event_chunk *made;
};
/* False: nothing is to be joined (or there is no memory: next time). The head is as before. */
bool event_head_plan(const struct event_head *h, struct event_join *j);
/* Puts it in the place of what it was made of, which moves to `old`, j->n of room. With the store's lock for writing. */
void event_head_join(struct event_head *h, const struct event_join *j, struct event_chunk **old);

#endif
