/* store.h: the data directory: opening, committing, retention.
 *
 * Everything that is written goes through one committer: batches queue, and all that wait are committed in one
 * transaction (group commit). A commit that returned 0 is in SQLite (DESIGN.md section 4). All functions are
 * thread-safe, apart from open and close. Reading: series.h, events.h, catalog.h. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "store/batch.h"

struct store;

enum store_durability {
    STORE_PROCESS, /* survives kill -9: WAL, synchronous=NORMAL */
    STORE_POWER    /* survives power loss: synchronous=FULL */
};

struct store_options {
    enum store_durability durability;
    int64_t retention_ms; /* 0 = for ever */
    size_t queue_bytes;   /* of batches that wait for the committer; 0 = 64 MiB */
    size_t directory_bytes; /* of directories of blocks of events that are kept in memory; 0 = 16 MiB */
};

/* Creates `dir` when missing. The caller owns the result. NULL: ERR_CONFLICT (another server holds it, named by pid),
 * ERR_IO, ERR_CORRUPT, ERR_NOMEM. options NULL = defaults. */
struct store *store_open(const char *dir, const struct store_options *options, struct err *e);
/* Commits what is queued, then closes. NULL is fine. */
void store_close(struct store *st);

/* Finds the series that are known, by their raw bytes or else by their labels, and notes so in batch_series.id: who is
 * known by raw bytes can do without labels. Without memory they are not found. */
void store_recognise(struct store *st, struct batch *b);

/* Queues `b` and calls done(arg, rc, e) from the committer's thread when it is committed (rc 0) or refused; `b` and
 * its arena must live until then. Returns 0 (done will be called, once) or, with done never called: ERR_BUSY (the queue
 * is full), ERR_CLOSED. */
int store_submit(struct store *st, struct batch *b, void (*done)(void *arg, int rc, const struct err *e), void *arg,
                 struct err *e);
/* store_submit, waiting for the end. Refused is refused: nothing of the batch shows, and it may be sent again. But after
 * ERR_IO it is open whether the next start finds it, as a whole, when nothing was committed in between. */
int store_commit(struct store *st, struct batch *b, struct err *e);

/* The number of the sender's last batch that was committed; 0: there is none. Waits for commits under way. ERR_IO, ERR_CLOSED. */
int store_sender_last(struct store *st, struct str sender, uint64_t *number, struct err *e);

/* Drops what is older than the retention, as seen from now_ms: samples and events by whole days, and then series without
 * samples. What is not sealed yet stays. The store does it by itself now and then. */
int store_retain(struct store *st, int64_t now_ms, struct err *e);

/* Copies the data as it is at one moment to DIR/snapshots/NAME, which can be opened as a data directory of its own.
 * Commits go on meanwhile. ERR_IO (and then nothing is left there), ERR_CLOSED, ERR_NOMEM. */
int store_snapshot(struct store *st, const char *name, struct err *e);

struct store_stats {
    uint64_t batches, duplicates, commits, refused; /* refused: ERR_BUSY */
    uint64_t samples, events[EVENT_KINDS];          /* committed since start */
    uint64_t series;                                /* known now */
    uint64_t queue_bytes, disk_bytes;
    uint64_t head_bytes, index_bytes; /* memory of samples and events that are not sealed yet, and of the index */
    uint64_t sealed, merged;      /* samples and events written into blocks; blocks merged; both since start */
    uint64_t blocks, damaged;     /* on disk; set aside */
    uint64_t chunks;              /* pieces that samples are kept in, memory and disk; 0: not known */
    int64_t oldest_ms, newest_ms; /* of all samples; both 0: not known */
};
void store_stats(struct store *st, struct store_stats *out);

#endif
