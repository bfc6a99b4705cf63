/* store-internal.h: what the files behind store.h share.
 *
 * Threads  One committer thread makes every change, in SQLite and in memory. Readers are many.
 * Lock     `lock` guards the index, the published part of the heads, and the metadata. The committer takes it for
 *          writing only to publish what is already committed (microseconds); it may read without it, being the only
 *          writer.
 * Order    A change is staged in memory, committed in SQLite, then published. Readers take their snapshot of SQLite
 *          and of the heads while they hold `lock`: sealing publishes after its commit, so a sample is seen in the
 *          head, in a chunk or (harmlessly, one wins) in both, but never in neither. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "store/committer-internal.h"
#include "store/series_index-internal.h"
#include "store/sqlite-internal.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* When the head is sealed into chunks. Tests set smaller ones. */
struct store_tuning {
    size_t seal_samples;   /* in all heads */
    size_t seal_bytes;     /* of journal records */
    int64_t seal_ms;       /* age of the oldest record */
};

/* What the transaction under way has touched: published after the commit, or taken back. */
struct group {
    struct series **touched, **created;
    size_t ntouched, touched_cap, ncreated, created_cap;
    struct series **large; /* of the last group published: heads that have grown long */
    size_t nlarge, large_cap;
    const struct batch_metadata **metadata;
    size_t nmetadata, metadata_cap;
    struct buf record, labels;
    uint64_t batches, duplicates, samples, events[EVENT_KINDS], journal_bytes;
};

/* A pass over all series that seals what the journal holds up to a record; seal.c. */
struct sealing {
    bool active;
    uint64_t upto;          /* the last record covered */
    uint64_t next;          /* the series to go on with */
    uint64_t covered_bytes; /* of records up to `upto` */
    uint64_t journal_bytes; /* of all records */
    uint64_t samples;       /* in all heads */
    int64_t oldest_ms;      /* on the monotonic clock: when the oldest record came; 0 = there is none */
    int64_t not_before_ms;  /* after a failure */
};

/* A pass that drops what is too old, step by step; retention.c. */
struct retention {
    int stage;
    uint64_t next; /* the series to go on with */
    int64_t now_ms, cutoff_ms;
    bool done;
};

struct store_counters {
    _Atomic uint64_t batches, duplicates, commits, refused, samples, events[EVENT_KINDS], series;
};

struct store {
    char *dir, *path;
    struct store_options options;
    struct store_tuning tuning;
    int lock_fd;
    struct db *db;           /* the committer's */
    struct db_pool *readers;

    pthread_rwlock_t lock;
    bool lock_made;
    struct series_index index;
    struct strmap metadata;  /* metric → struct metadata */
    struct epoch epoch;
    bool epoch_made;

    /* The committer's own. */
    struct group group;
    struct sealing sealing;
    struct retention retention;
    int64_t retain_ms;       /* on the monotonic clock: when the next pass starts */
    uint64_t last_series, last_record;

    _Atomic uint64_t revision; /* of the catalog */
    struct store_counters counters;
    struct committer committer;
};

/* What a metric is, in one allocation. */
struct metadata {
    struct batch_metadata m;
    char text[];
};

struct store *store_open_tuned(const char *dir, const struct store_options *options, const struct store_tuning *tuning,
                               struct err *e);

/* --- group.c --- */

/* Commits the items in one transaction and sets the outcome of each. */
void group_commit(struct store *st, struct pending *first);
void group_fini(struct group *g);
/* Remembers that `s` has something staged. 0 or ERR_NOMEM. */
int group_touch(struct group *g, struct series *s);
/* After the commit, and instead of it. */
void group_publish(struct store *st);
void group_discard(struct store *st);
/* Keeps a copy in st->metadata. 0 or ERR_NOMEM. */
int metadata_keep(struct store *st, const struct batch_metadata *m);

/* --- validate.c --- */

/* Whether the batch makes sense at all: ERR_INVALID, ERR_LIMIT. */
int batch_validate(const struct batch *b, struct err *e);

/* --- seal.c --- */

/* Writes the heads of these series as chunks, in one transaction. */
int seal_series(struct store *st, struct series *const *list, size_t n, struct err *e);
/* Finds out anew what is sealed of a series, after chunks of it have gone. */
int series_refresh_sealed(struct store *st, uint64_t id, struct err *e);
/* One bounded step of sealing, when it is due; true when there is more to do. */
bool seal_step(struct store *st);

/* --- retention.c --- */

int retention_step(struct store *st, struct retention *r, struct err *e);
/* The committer's own passes: one bounded step when due; true when there is more to do. */
bool retention_tick(struct store *st);

#endif
