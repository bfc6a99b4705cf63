/* sealer-internal.h: from the head into blocks, and from many blocks into fewer.
 *
 *     committer                          sealer
 *     head is due ── freeze: frozen = head, head = a new one ──► writes the frozen head as blocks
 *                 ◄── sealed ──                                  merges thin blocks, drops old partitions
 *     frozen = none, drops its journal records
 *
 * While a frozen head waits, the head goes on growing up to a bound; beyond it, batches are refused (ERR_BUSY). */
#ifndef STORE_SEALER_INTERNAL_H
#define STORE_SEALER_INTERNAL_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct store;
struct head;

/* How far a head has been written: all samples up to to_ms. */
struct seal_progress {
    bool any;
    int64_t to_ms;
};

/* Writes what `done` says is not written yet. On any thread, with nobody appending to the head. ERR_IO, ERR_FULL,
 * ERR_NOMEM: may be called again, and goes on. (seal.c) */
int seal_head(struct store *st, const struct head *h, struct seal_progress *done, struct err *e);

struct sealer {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* for the sealer */
    pthread_cond_t ended; /* for those who wait for a frozen head to be gone */
    pthread_t thread;
    bool made, running, closing;
    bool has_frozen;      /* a head waits to be written, or is being written */
    bool sealed;          /* its blocks are committed; the committer may let go of it */
    bool wanted;          /* seal whatever the head has */
    uint64_t upto;        /* the last journal record of the frozen head */
    struct seal_progress done; /* of the frozen head: the sealer's, and the committer's while there is none */
    struct err failure;   /* of the last try; code 0: none */
    uint64_t passes;      /* heads sealed and let go of */
    /* The sealer's own, for merge.c. */
    uint64_t skip_rank;   /* runs that begin at or below it can not be merged */
    bool untidy;          /* the last try failed */
    _Atomic bool forget;  /* series may have been left without samples (anybody may set it) */
};

int sealer_init(struct sealer *s); /* 0 or ERR_NOMEM */
int sealer_start(struct store *st, struct err *e);
/* Ends the thread, after the block it is at. */
void sealer_stop(struct store *st);
/* With both threads ended: seals what the heads still hold, when it is worth it. */
void sealer_finish(struct store *st);

/* The committer's part, between groups: freezes the head when it is due, lets go of a sealed one, drops journal records
 * that are no longer needed. True when there is more to do at once. */
bool sealer_tick(struct store *st);
/* Whether the head may still grow; when not, waits for the sealer a moment. ERR_BUSY says what it waits for. */
int sealer_admit(struct store *st, struct err *e);

/* Has all that is committed now sealed, and waits for it. Any thread but those two. */
int sealer_seal_all(struct store *st, struct err *e);

#endif
