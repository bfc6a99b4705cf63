/* store-internal.h: what the files behind store.h share.
 *
 * Threads  One committer makes every change to vigla.db, the index and the head. One sealer writes frozen heads into
 *          blocks, merges blocks, and drops old partitions. Readers are many.
 * Lock     `lock` guards the index, the heads and which heads there are, and the metadata. The committer takes it for
 *          writing only to add new series and to append what is already committed (microseconds); it may read without
 *          it, being the only writer. `writing` is held by whoever writes blocks.
 * Order    A batch is written to the journal, committed in SQLite, then appended to the head. A frozen head stays until
 *          its blocks are in the list: readers, who take hold of heads and list together under `lock`, see a sample in a
 *          head, in a block or (harmlessly, the head wins) in both, but never in neither. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include "base/strmap.h"
#include "store/blocks-internal.h"
#include "store/changes-internal.h"
#include "store/committer-internal.h"
#include "store/counted-internal.h"
#include "store/days-internal.h"
#include "store/event_store-internal.h"
#include "store/head-internal.h"
#include "store/index-internal.h"
#include "store/sealer-internal.h"
#include "store/sqlite-internal.h"
#include "store/started-internal.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

/* When work is due that nobody asks for. Tests set smaller ones; 0 is what store_open takes. */
struct store_tuning {
    /* A head is sealed into blocks. */
    size_t seal_samples;   /* in the head */
    size_t seal_bytes;     /* of journal records */
    /* A head of rows, of each table. */
    size_t seal_rows, seal_row_bytes;
    int64_t seal_ms;       /* age of the oldest record */
    int64_t pause_ms;      /* since when nothing came: what is worth a block is sealed, and space is given back */
    /* The sealer looks for blocks to merge, and for what is too old or gone; and tries again what failed. */
    int64_t tidy_ms, retry_ms;
    size_t dead_series; /* that the index keeps in any case */
};

/* What the transaction under way has done: appended to the head after the commit, or taken back. */
struct group {
    struct index_mark mark;  /* where the index stood before */
    const struct batch **applied; /* whose samples go to the head */
    struct sample *made;     /* by the store: zeros that begin a counter, sums of increments; of the series made_ids */
    uint32_t *made_ids;
    size_t napplied, applied_cap, nmade, made_cap, made_ids_cap;
    const struct batch_metadata **metadata;
    size_t nmetadata, metadata_cap;
    struct event_chunk **chunks; /* that go to the heads of rows */
    size_t nchunks, chunks_cap;
    struct buf record, labels, log;
    uint64_t batches, duplicates, samples, series, events[EVENT_KINDS], journal_bytes;
    int64_t lowest_ms;       /* of the samples' times */
};

/* The journal: which records are there, and since when. The committer's own. */
struct journal_state {
    uint64_t last;      /* record */
    uint64_t bytes;     /* of those that the head covers */
    int64_t oldest_ms;  /* on the monotonic clock: when the first of those came; 0 = there is none */
};

/* A pass that drops what is too old, step by step; retention.c. */
struct retention {
    int stage;
    int64_t now_ms;
    bool done;
};

/* What the database gives back in a pause; rest.c. */
struct rest {
    uint64_t changes;  /* of the database, and since when there are no others, on the monotonic clock */
    int64_t since_ms;
    int64_t free_pages; /* at the last step */
    bool done;
};

struct store_counters {
    _Atomic uint64_t batches, duplicates, commits, refused, samples, events[EVENT_KINDS], series, sealed, merged;
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
    struct series_index *index;
    uint32_t committed;      /* series below it; others in the index may be taken back, and their numbers given again */
    struct hash128_key key;  /* of its series' keys */
    struct head *head, *frozen;
    struct strmap metadata;  /* metric → struct metadata */

    pthread_mutex_t writing;
    struct blocks *blocks;   /* of samples */
    struct event_store events[EVENT_KINDS];
    struct event_directory_cache *directories; /* of their blocks */

    /* The committer's own. */
    struct group group;
    struct started started;
    struct counted counted;
    struct journal_state journal;
    struct changes changes;
    _Atomic uint64_t losses; /* of blocks that changes knows of */
    struct days days;        /* of the head's samples, and of batches refused meanwhile */
    struct retention retention;
    int64_t retain_ms;       /* on the monotonic clock: when the next pass starts */
    struct rest rest;

    struct sealer sealer;
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
/* Appends a journal record to the head; when the store is opened. */
int group_replay(struct store *st, struct str record, struct err *e);
/* Keeps a copy in st->metadata. 0 or ERR_NOMEM. */
int metadata_keep(struct store *st, const struct batch_metadata *m);

/* --- rest.c --- */

/* The committer's, between groups: gives back space when nothing was written for a while, in steps; true when there is more
 * to do. */
bool rest_tick(struct store *st);

/* --- validate.c --- */

/* Whether the batch makes sense at all: ERR_INVALID, ERR_LIMIT. */
int batch_validate(const struct batch *b, struct err *e);

/* --- retention.c --- */

int retention_step(struct store *st, struct retention *r, struct err *e);
/* The committer's own passes: one bounded step when due; true when there is more to do. */
bool retention_tick(struct store *st);
/* Forgets series that have samples in no block and no head. Any thread but the committer. */
int retention_forget(struct store *st, struct err *e);
/* Has an index of the living take the place of one that is mostly of the dead. On the committer's thread. */
int retention_renew_index(struct store *st, struct err *e);

#endif
