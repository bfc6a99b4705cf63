/* sealer-internal.h: from heads into blocks, and from many blocks into fewer.
 *
 *     committer                          sealer
 *     head is due ── freeze: frozen = head, head = a new one ──► writes the frozen head as blocks
 *                 ◄── sealed ──                                  merges thin blocks, drops old partitions
 *     frozen = none, drops its journal records
 *
 * There is a head of samples and one of each table of rows: each in a slot of its own, one behind the other. While a
 * frozen head waits, the head goes on growing up to a bound; beyond it, batches are refused (ERR_BUSY). */
#ifndef STORE_SEALER_INTERNAL_H
#define STORE_SEALER_INTERNAL_H

#include "base/err.h"
#include "store/event.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct store;
struct head;
struct batch;

enum { SEAL_SAMPLES, SEAL_EVENTS, SEAL_SLOTS = SEAL_EVENTS + EVENT_KINDS };

/* What a slot's head is, for the sealer; `kind` says whose rows. */
struct seal_ops {
    /* On the committer's thread, or with both threads ended. */
    size_t (*count)(const struct store *st, int kind);           /* in the head */
    bool (*due)(const struct store *st, int kind);               /* to be sealed: full, or old */
    bool (*full)(const struct store *st, int kind, size_t times); /* has `times` as much as a head that is due */
    int (*freeze)(struct store *st, int kind, uint64_t *upto);   /* upto: its last journal record. ERR_NOMEM */
    /* The frozen head's blocks are committed: they take its place. ERR_IO, ERR_FULL, ERR_NOMEM: it stays, to try again. */
    int (*let_go)(struct store *st, int kind, uint64_t upto, struct err *e);
    int (*drop)(struct store *st, int kind, uint64_t upto, size_t n, size_t *removed, struct err *e); /* journal records */
    /* On the sealer's thread: writes what is not written yet of the frozen head. ERR_IO, ERR_FULL, ERR_NOMEM: may be called
     * again, and goes on. */
    int (*seal)(struct store *st, int kind, struct err *e);
};
extern const struct seal_ops seal_samples; /* seal.c */
extern const struct seal_ops seal_events;  /* event_store.c */

/* How far a head of samples has been written: all samples up to to_ms. */
struct seal_progress {
    bool any;
    int64_t to_ms;
};

/* Writes what `done` says is not written yet. On any thread, with nobody appending to the head. ERR_IO, ERR_FULL,
 * ERR_NOMEM: may be called again, and goes on. (seal.c) */
int seal_head(struct store *st, const struct head *h, struct seal_progress *done, struct err *e);

struct seal_slot {
    bool has_frozen;     /* a head waits to be written, or is being written */
    bool sealed;         /* its blocks are committed; the committer may let go of it */
    bool wanted;         /* seal whatever the head has */
    struct err failure;  /* of the last try; code 0: none */
    int64_t retry_ns;    /* on the monotonic clock: not before */
    uint64_t passes;     /* heads sealed and let go of */
    /* The committer's own. */
    uint64_t upto;       /* the last journal record of the frozen head */
    uint64_t drop_upto;  /* records up to here are sealed and may go; 0: none */
};

struct sealer {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* for the sealer */
    pthread_cond_t ended; /* for those who wait for a frozen head to be gone */
    pthread_t thread;
    bool made, running, closing;
    bool started;         /* all was loaded: what the heads hold may be sealed */
    struct seal_slot slots[SEAL_SLOTS];
    /* The sealer's own. */
    int turn;             /* the slot that was sealed last */
    struct seal_progress done; /* of the frozen samples; the committer's while there are none */
    uint64_t skip_rank;   /* merge.c: runs that begin at or below it can not be merged */
    bool untidy;          /* the last try failed */
    _Atomic bool forget;  /* series may have been left without samples (anybody may set it) */
};

int sealer_init(struct sealer *s); /* 0 or ERR_NOMEM */
int sealer_start(struct store *st, struct err *e);
/* Ends the thread, after the block it is at. */
void sealer_stop(struct store *st);
/* With both threads ended: seals what the heads still hold, when it is worth it. */
void sealer_finish(struct store *st);

/* The committer's part, between groups: freezes a head when it is due, lets go of a sealed one, drops journal records
 * that are no longer needed. True when there is more to do at once. */
bool sealer_tick(struct store *st);
/* Whether the heads may still grow by what the batch has; when not, waits for the sealer a moment. ERR_BUSY says what it
 * waits for. */
int sealer_admit(struct store *st, const struct batch *b, struct err *e);
/* At the start: journal records up to there are sealed. */
void sealer_drop_records(struct store *st, int slot, uint64_t upto);

/* Has all that is committed now sealed, and waits for it. Any thread but those two. */
int sealer_seal_all(struct store *st, struct err *e);
/* Whether a frozen head waits. Any thread. */
bool sealer_is_busy(struct sealer *s);

#endif
