/* store.c: opening and closing.
 *
 * Opening  LOCK, then the database, then memory from it: series, what is sealed of them, metadata; last the journal is
 *          replayed into the heads. Everything acknowledged is in the database, so after kill -9 nothing else is
 *          needed: SQLite recovers its WAL by itself. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/journal-internal.h"
#include "store/lock-internal.h"
#include "store/pack-internal.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define DEFAULT_QUEUE ((size_t)64 << 20)
#define FIRST_RETAIN_MS 10000

static const struct store_tuning default_tuning = {
    .seal_samples = 2000000,
    .seal_bytes = (size_t)48 << 20,
    .seal_ms = 2 * 3600 * 1000,
};

static int load_series(void *arg, uint64_t id, struct str bytes, struct err *e)
{
    struct store *st = arg;
    struct arena a = ARENA_INIT(0); /* bounded by the row */
    struct labels l;
    int rc = labels_unpack(&a, bytes, &l, e);

    if (rc == 0 && index_find(&st->index, l))
        rc = err_set(e, ERR_CORRUPT, "same labels as another");
    if (rc == 0 && !index_add(&st->index, id, l))
        rc = err_set(e, ERR_NOMEM, "no memory");
    arena_free(&a);
    if (rc < 0)
        err_wrap(e, "series %llu", (unsigned long long)id);
    return rc;
}

static void load_range(void *arg, uint64_t id, int64_t first, int64_t last)
{
    struct store *st = arg;
    struct series *s = index_by_id(&st->index, id);

    if (s)
        series_set_sealed(&st->index, s, first, last);
}

static int load_metadata(void *arg, const struct batch_metadata *m, struct err *e)
{
    return metadata_keep(arg, m) < 0 ? err_set(e, ERR_NOMEM, "no memory for metadata") : 0;
}

static int replay_samples(void *arg, uint64_t id, const struct sample *s, size_t n, struct err *e)
{
    struct store *st = arg;
    struct series *series = index_by_id(&st->index, id);

    if (!series)
        return 0; /* forgotten since (retention.c) */
    if (group_touch(&st->group, series) < 0 || head_stage(&series->head, &st->epoch, s, n) < 0)
        return err_set(e, ERR_NOMEM, "no memory for %zu samples", n);
    return 0;
}

static int replay_deletion(void *arg, uint64_t id, int64_t from_ms, int64_t to_ms, struct err *e)
{
    struct store *st = arg;
    struct series *series = index_by_id(&st->index, id);

    if (!series)
        return 0;
    if (group_touch(&st->group, series) < 0 || head_stage_deletion(&series->head, &st->epoch, from_ms, to_ms) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a deletion");
    return 0;
}

static int replay(void *arg, uint64_t id, struct str record, struct err *e)
{
    struct store *st = arg;
    const struct journal_visitor v = { replay_samples, replay_deletion, st };
    int rc = journal_read(record, &v, e);

    if (rc < 0) {
        err_wrap(e, "journal record %llu", (unsigned long long)id);
        return rc;
    }
    st->last_record = id;
    st->group.journal_bytes += record.n;
    return 0;
}

static int load(struct store *st, struct err *e)
{
    uint64_t revision = 0;
    int rc = db_series_each(st->db, load_series, st, e);

    if (rc == 0)
        rc = db_series_last(st->db, &st->last_series, e);
    if (rc == 0)
        rc = db_chunk_ranges(st->db, load_range, st, e);
    if (rc == 0)
        rc = db_metadata_each(st->db, load_metadata, st, e);
    if (rc == 0)
        rc = db_catalog_revision(st->db, &revision, e);
    if (rc == 0)
        rc = db_journal_each(st->db, replay, st, e);
    if (rc < 0) {
        group_discard(st);
        return rc;
    }
    atomic_store(&st->revision, revision);
    group_publish(st);
    return 0;
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
    st->epoch_made = st->lock_made && epoch_init(&st->epoch) == 0;
    return st->epoch_made ? 0 : ERR_NOMEM;
}

static struct store *new_store(const char *dir, const struct store_options *options, const struct store_tuning *tuning)
{
    struct store *st = mem_zalloc(sizeof(*st));
    size_t n = strlen(dir);

    if (!st)
        return NULL;
    st->lock_fd = -1;
    st->tuning = *tuning;
    if (options)
        st->options = *options;
    if (st->options.queue_bytes == 0)
        st->options.queue_bytes = DEFAULT_QUEUE;
    st->group.record = (struct buf)BUF_INIT(1 << 28);
    st->group.labels = (struct buf)BUF_INIT(1 << 29);
    st->retention.done = true;
    st->retain_ms = clock_mono_ns() / 1000000 + FIRST_RETAIN_MS;
    st->dir = mem_strdup(dir);
    st->path = mem_alloc(n + sizeof("/vigla.db"));
    if (!st->dir || !st->path || make_lock(st) < 0) {
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
    st->readers = db_pool_new(st->path, e);
    return st->readers ? committer_start(st, st->options.queue_bytes, e) : ERR_NOMEM;
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
    committer_stop(st);
    db_pool_free(st->readers);
    db_close(st->db);
    group_fini(&st->group);
    free_metadata(&st->metadata);
    index_fini(&st->index);
    if (st->epoch_made)
        epoch_fini(&st->epoch);
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

void store_stats(struct store *st, struct store_stats *out)
{
    *out = (struct store_stats){
        .batches = atomic_load(&st->counters.batches),
        .duplicates = atomic_load(&st->counters.duplicates),
        .commits = atomic_load(&st->counters.commits),
        .refused = atomic_load(&st->counters.refused),
        .samples = atomic_load(&st->counters.samples),
        .series = atomic_load(&st->counters.series),
        .disk_bytes = file_bytes(st->path, "") + file_bytes(st->path, "-wal"),
    };
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        out->events[kind] = atomic_load(&st->counters.events[kind]);
    pthread_mutex_lock(&st->committer.lock);
    out->queue_bytes = st->committer.bytes;
    pthread_mutex_unlock(&st->committer.lock);
}
