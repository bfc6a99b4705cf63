/* store.c: opening and closing.
 *
 * Opening  LOCK, then the database, then memory from it: the index from its log, metadata; last the journal is replayed
 *          into the head. Everything acknowledged is in the journal or in blocks, so after kill -9 nothing else is
 *          needed: SQLite recovers its WALs by itself.
 * Closing  What is queued is committed; a head worth it is sealed, so that the next start has little to replay. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "store/lock-internal.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define DEFAULT_QUEUE ((size_t)64 << 20)
#define DEFAULT_DIRECTORIES ((size_t)16 << 20)
#define FIRST_RETAIN_MS 10000

static const struct store_tuning default_tuning = {
    .seal_samples = 2000000,
    .seal_bytes = (size_t)48 << 20,
    .seal_rows = 120 * 1024, /* two full blocks, with room for the batch that makes it due */
    .seal_row_bytes = (size_t)32 << 20,
    .seal_ms = 2 * 3600 * 1000,
    .pause_ms = 2000,
    .tidy_ms = 1000,
    .retry_ms = 5000,
    .dead_series = 100000,
};

static struct store_tuning tuned(struct store_tuning t)
{
    const struct store_tuning *d = &default_tuning;

    t.seal_samples = t.seal_samples ? t.seal_samples : d->seal_samples;
    t.seal_bytes = t.seal_bytes ? t.seal_bytes : d->seal_bytes;
    t.seal_rows = t.seal_rows ? t.seal_rows : d->seal_rows;
    t.seal_row_bytes = t.seal_row_bytes ? t.seal_row_bytes : d->seal_row_bytes;
    t.seal_ms = t.seal_ms ? t.seal_ms : d->seal_ms;
    t.pause_ms = t.pause_ms ? t.pause_ms : d->pause_ms;
    t.tidy_ms = t.tidy_ms ? t.tidy_ms : d->tidy_ms;
    t.retry_ms = t.retry_ms ? t.retry_ms : d->retry_ms;
    t.dead_series = t.dead_series ? t.dead_series : d->dead_series;
    return t;
}

static int load_series(void *arg, uint64_t id, struct str record, struct err *e)
{
    struct store *st = arg;
    int rc = index_replay(st->index, record, e);

    if (rc < 0)
        err_wrap(e, "series log %llu", (unsigned long long)id);
    return rc;
}

static int load_metadata(void *arg, const struct batch_metadata *m, struct err *e)
{
    return metadata_keep(arg, m) < 0 ? err_set(e, ERR_NOMEM, "no memory for metadata") : 0;
}

static int replay(void *arg, uint64_t id, struct str record, struct err *e)
{
    struct store *st = arg;
    int rc = group_replay(st, record, e);

    if (rc < 0) {
        err_wrap(e, "journal record %llu", (unsigned long long)id);
        return rc;
    }
    st->journal.last = id;
    st->journal.bytes += record.n;
    st->journal.oldest_ms = clock_mono_ns() / 1000000;
    return 0;
}

/* It is no need: a disk that is full must not keep the store from being opened. */
static void renew_index(struct store *st)
{
    struct err e = ERR_INIT;

    if (retention_renew_index(st, &e) < 0)
        log_warn("%s: the log of series is not made shorter: %s", st->path, e.msg);
}

static int load(struct store *st, struct err *e)
{
    struct rng random;
    uint64_t revision = 0;
    int64_t seed;
    int rc;

    rng_seed(&random);
    rc = db_setting(st->db, "seed", (int64_t)rng_next(&random), &seed, e);
    hash128_key_init(&st->key, (uint64_t)seed);
    if (rc == 0)
        rc = db_series_log_each(st->db, load_series, st, e);
    if (rc == 0)
        renew_index(st);
    if (rc == 0)
        rc = db_metadata_each(st->db, load_metadata, st, e);
    if (rc == 0)
        rc = db_catalog_revision(st->db, &revision, e);
    if (rc == 0)
        rc = db_journal_each(st->db, replay, st, e);
    st->committed = index_end(st->index);
    atomic_store(&st->revision, revision);
    atomic_store(&st->counters.series, index_count(st->index));
    return rc;
}

/* Writers first: a stream of queries must not keep the committer out. */
static int make_lock(struct store *st)
{
    pthread_rwlockattr_t attr;
    int rc;

    if (pthread_rwlockattr_init(&attr))
        return ERR_NOMEM;
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    rc = pthread_rwlock_init(&st->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    st->lock_made = rc == 0;
    return st->lock_made ? 0 : ERR_NOMEM;
}

static struct store *new_store(const char *dir, const struct store_options *options, const struct store_tuning *tuning)
{
    struct store *st = mem_zalloc(sizeof(*st));
    size_t n = strlen(dir);

    if (!st)
        return NULL;
    st->lock_fd = -1;
    st->tuning = tuned(*tuning);
    if (options)
        st->options = *options;
    if (st->options.queue_bytes == 0)
        st->options.queue_bytes = DEFAULT_QUEUE;
    if (st->options.directory_bytes == 0)
        st->options.directory_bytes = DEFAULT_DIRECTORIES;
    st->group.record = (struct buf)BUF_INIT(1 << 28);
    st->group.labels = (struct buf)BUF_INIT(1 << 29);
    st->group.log = (struct buf)BUF_INIT(1 << 29);
    st->index = index_new();
    st->head = head_new();
    pthread_mutex_init(&st->writing, NULL);

    st->retention.done = true;
    st->retain_ms = clock_mono_ns() / 1000000 + FIRST_RETAIN_MS;
    st->dir = mem_strdup(dir);
    st->path = mem_alloc(n + sizeof("/vigla.db"));
    if (!st->dir || !st->path || !st->index || !st->head || make_lock(st) < 0 ||
        sealer_init(&st->sealer) < 0 || changes_init(&st->changes) < 0) {
        store_close(st);
        return NULL;
    }
    memcpy(st->path, dir, n);
    memcpy(st->path + n, "/vigla.db", sizeof("/vigla.db"));
    return st;
}

static int open_parts(struct store *st, struct err *e)
{
    int rc = file_mkdirs(st->dir, e);

    if (rc < 0)
        return rc;
    st->lock_fd = lock_take(st->dir, e);
    if (st->lock_fd < 0)
        return st->lock_fd;
    st->db = db_open(st->path, st->options.durability == STORE_POWER ? DB_WRITE_POWER : DB_WRITE, e);
    if (!st->db)
        return ERR_IO;
    rc = db_schema(st->db, e);
    if (rc == 0)
        rc = load(st, e);
    if (rc < 0) {
        err_wrap(e, "%s", st->path);
        return rc;
    }
    st->blocks = blocks_open(st->dir, &sample_blocks, 0, st->options.durability, e);
    st->readers = st->blocks ? db_pool_new(st->path, e) : NULL;
    if (!st->readers)
        return ERR_NOMEM;
    rc = event_stores_open(st, e);
    if (rc < 0)
        return rc;
    rc = committer_start(st, st->options.queue_bytes, e);
    return rc < 0 ? rc : sealer_start(st, e);
}

struct store *store_open_tuned(const char *dir, const struct store_options *options, const struct store_tuning *tuning,
                               struct err *e)
{
    struct store *st = new_store(dir, options, tuning);

    if (!st) {
        err_set(e, ERR_NOMEM, "%s: no memory", dir);
        return NULL;
    }
    if (open_parts(st, e) < 0) {
        store_close(st);
        return NULL;
    }
    return st;
}

struct store *store_open(const char *dir, const struct store_options *options, struct err *e)
{
    return store_open_tuned(dir, options, &default_tuning, e);
}

static void free_metadata(struct strmap *m)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    while ((slot = strmap_next(m, &at)) != NULL)
        mem_free(slot->value);
    strmap_free(m);
}

void store_close(struct store *st)
{
    if (!st)
        return;
    sealer_stop(st); /* first: what it asks of the committer is answered */
    committer_stop(st);
    sealer_finish(st);
    event_stores_close(st);
    blocks_close(st->blocks);
    db_pool_free(st->readers);
    db_close(st->db);
    group_fini(&st->group);
    started_fini(&st->started);
    counted_fini(&st->counted);
    days_fini(&st->days);
    changes_fini(&st->changes);
    free_metadata(&st->metadata);
    head_release(st->frozen);
    head_release(st->head);
    index_free(st->index);
    pthread_mutex_destroy(&st->writing);
    if (st->lock_made)
        pthread_rwlock_destroy(&st->lock);
    lock_drop(st->lock_fd);
    mem_free(st->path);
    mem_free(st->dir);
    mem_free(st);
}

static uint64_t file_bytes(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat sb;
    int n = snprintf(name, sizeof(name), "%s%s", path, suffix);

    if (n < 0 || (size_t)n >= sizeof(name) || stat(name, &sb) < 0)
        return 0;
    return (uint64_t)sb.st_size;
}

static void count_range(struct store_stats *out, int64_t first, int64_t last, bool *any)
{
    if (first > last)
        return;
    out->oldest_ms = !*any || first < out->oldest_ms ? first : out->oldest_ms;
    out->newest_ms = !*any || last > out->newest_ms ? last : out->newest_ms;
    *any = true;
}

/* What samples there are: pages and heads. */
static void count_samples(struct store *st, struct store_stats *out)
{
    const struct head *heads[2];
    struct block_list *list;
    bool any = false;

    pthread_rwlock_rdlock(&st->lock);
    list = blocks_hold(st->blocks);
    heads[0] = st->frozen;
    heads[1] = st->head;
    for (size_t h = 0; h < 2; h++) {
        int64_t first, last;

        if (!heads[h])
            continue;
        head_range(heads[h], &first, &last);
        count_range(out, first, last, &any);
        out->chunks += head_samples(heads[h]) != 0;
        out->head_bytes += head_bytes(heads[h]);
    }
    out->index_bytes = index_bytes(st->index);
    pthread_rwlock_unlock(&st->lock);
    out->blocks = list->n;
    for (size_t i = 0; i < list->n; i++) {
        count_range(out, list->blocks[i]->first, list->blocks[i]->last, &any);
        out->chunks += list->blocks[i]->pages;
    }
    blocks_release(st->blocks, list);
}

static void count_rows(struct store *st, enum event_kind kind, struct store_stats *out)
{
    const struct event_store *es = &st->events[kind];
    struct block_list *list;

    pthread_rwlock_rdlock(&st->lock);
    list = blocks_hold(es->blocks);
    out->head_bytes += es->head->bytes + (es->frozen ? es->frozen->bytes : 0);
    pthread_rwlock_unlock(&st->lock);
    out->blocks += list->n;
    blocks_release(es->blocks, list);
    out->events[kind] = atomic_load(&st->counters.events[kind]);
    out->damaged += blocks_damaged(es->blocks);
    out->disk_bytes += blocks_bytes(es->blocks);
}

void store_stats(struct store *st, struct store_stats *out)
{
    *out = (struct store_stats){
        .batches = atomic_load(&st->counters.batches),
        .duplicates = atomic_load(&st->counters.duplicates),
        .commits = atomic_load(&st->counters.commits),
        .refused = atomic_load(&st->counters.refused),
        .samples = atomic_load(&st->counters.samples),
        .series = atomic_load(&st->counters.series),
        .sealed = atomic_load(&st->counters.sealed),
        .merged = atomic_load(&st->counters.merged),
        .damaged = blocks_damaged(st->blocks),
        .disk_bytes = file_bytes(st->path, "") + file_bytes(st->path, "-wal") + blocks_bytes(st->blocks),
    };
    count_samples(st, out);
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        count_rows(st, (enum event_kind)kind, out);
    pthread_mutex_lock(&st->committer.lock);
    out->queue_bytes = st->committer.bytes;
    pthread_mutex_unlock(&st->committer.lock);
}
