/* check.c: from the top to the bottom of a data directory.
 *
 *     vigla.db       SQLite's own check; the log of series is replayed; records of both journals are read
 *     partitions     what blocks_open sets aside
 *       of samples   each block's directory against its pages (blocks_check); in each page every column is decoded, its
 *                    times lie in the partition and in what the directory says, and its series is known
 *       of rows      each block's directory against its parts, and every column is decoded (event_block_check)
 *
 * A fault ends the part it is in, not the check. */
#include "store/check.h"

#include "base/mem.h"
#include "store/blocks-internal.h"
#include "store/event_blocks-internal.h"
#include "store/event_store-internal.h"
#include "store/index-internal.h"
#include "store/journal-internal.h"
#include "store/lock-internal.h"
#include "store/page-internal.h"
#include "store/series_log-internal.h"
#include "store/sqlite-internal.h"

#include <stdio.h>
#include <sys/stat.h>

struct checker {
    struct store_check *c;
    struct db *db;
    struct blocks *blocks;
    struct series_index *index;
    struct page_reader *reader;
    const struct block *block; /* the one being read */
    enum event_kind kind;      /* the table being read */
    int64_t watermark;         /* its */
};

/* A fault of the data is counted and told, and the check goes on: 0. Anything else stops it. */
static int found(struct checker *k, const char *where, const struct err *why, struct err *e)
{
    struct err fault = *why;

    if (why->code != ERR_CORRUPT) {
        if (e)
            *e = *why;
        return why->code;
    }
    err_wrap(&fault, "%s", where);
    k->c->faults++;
    if (k->c->fault)
        k->c->fault(k->c->arg, fault.msg);
    return 0;
}

/* --- vigla.db --- */

static int check_database(struct checker *k, struct err *e)
{
    struct stmt *s = db_prepare(k->db, STR("PRAGMA integrity_check(20)"), e);
    int rc = s ? 0 : db_why(k->db);

    while (rc == 0 && (rc = stmt_step(s, e)) == 1) {
        struct str text = stmt_text(s, 0);
        struct err why = ERR_INIT;

        rc = 0;
        if (str_eq(text, STR("ok")))
            continue;
        err_set(&why, ERR_CORRUPT, "%.*s", STR_ARG(text));
        rc = found(k, "vigla.db", &why, e);
    }
    stmt_close(s);
    return rc;
}

static int check_log_record(void *arg, uint64_t id, struct str record, struct err *e)
{
    struct checker *k = arg;
    int rc = index_replay(k->index, record, e);

    if (rc < 0)
        err_wrap(e, "series log %llu", (unsigned long long)id);
    k->c->records++;
    return rc;
}

static int count_samples(void *arg, uint32_t id, const struct sample *s, size_t n, struct err *e)
{
    struct checker *k = arg;

    (void)id; /* a series forgotten since may be named: the replay passes over it */
    (void)s;
    (void)e;
    k->c->journal_samples += n;
    return 0;
}

static int check_journal_record(void *arg, uint64_t id, struct str record, struct err *e)
{
    struct checker *k = arg;
    struct err why = ERR_INIT;
    char where[64];

    k->c->records++;
    if (journal_read(record, count_samples, k, &why) == 0)
        return 0;
    snprintf(where, sizeof(where), "vigla.db: journal record %llu", (unsigned long long)id);
    return found(k, where, &why, e);
}

static int check_event_record(void *arg, uint64_t number, struct str record, struct err *e)
{
    struct checker *k = arg;
    struct event_chunk *c;
    struct err why = ERR_INIT;
    char where[96];

    k->c->records++;
    if (event_chunk_replayed(record, k->kind, &c, &why) == 0) {
        k->c->journal_rows += number > (uint64_t)k->watermark ? c->head.rows : 0;
        event_chunk_release(c);
        return 0;
    }
    snprintf(where, sizeof(where), "vigla.db: %s: journal record %llu", event_tables[k->kind].name.p,
             (unsigned long long)number);
    return found(k, where, &why, e);
}

/* Its journal; blocks beyond the watermark do not count. */
static int check_table(struct checker *k, enum event_kind kind, struct err *e)
{
    int rc = event_store_watermark(k->db, kind, &k->watermark, e);

    k->kind = kind;
    return rc < 0 ? rc : db_event_journal_each(k->db, kind, 0, check_event_record, k, e);
}

static int check_main(struct checker *k, struct err *e)
{
    struct err why = ERR_INIT;
    int rc = check_database(k, e);

    if (rc == 0 && db_series_log_each(k->db, check_log_record, k, &why) < 0)
        rc = found(k, "vigla.db", &why, e);
    k->c->series = index_count(k->index);
    return rc < 0 ? rc : db_journal_each(k->db, check_journal_record, k, e);
}

/* --- blocks --- */

static int check_column(struct checker *k, size_t column, uint32_t id, struct err *e)
{
    int64_t partition = partition_of(k->block->first);
    struct sample_columns c;
    int rc = page_column(k->reader, column, &c, e);

    if (rc < 0)
        return rc;
    if (!index_has(k->index, id))
        return err_set(e, ERR_CORRUPT, "column %zu: series %u is not known", column, id);
    if (c.t[0] < k->block->first || c.t[c.n - 1] > k->block->last || partition_of(c.t[0]) != partition ||
        partition_of(c.t[c.n - 1]) != partition)
        return err_set(e, ERR_CORRUPT, "column %zu: times %lld to %lld are not the block's", column, (long long)c.t[0],
                       (long long)c.t[c.n - 1]);
    k->c->samples += c.n;
    return 0;
}

static int check_page(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e)
{
    struct checker *k = arg;
    size_t columns;
    int rc = page_open(k->reader, bytes, &columns, e);

    if (rc == 0 && columns != n)
        rc = err_set(e, ERR_CORRUPT, "%zu columns, the directory has %zu", columns, n);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = check_column(k, i, ids[i], e);
    k->c->pages++;
    return rc;
}

static int check_samples(struct checker *k, struct block *b, struct err *e)
{
    k->block = b;
    k->c->blocks++;
    return blocks_check(k->blocks, b, check_page, k, e);
}

static int check_rows(struct checker *k, struct block *b, struct err *e)
{
    k->c->row_blocks++;
    k->c->rows += b->rows;
    return event_block_check(k->blocks, b, e);
}

static int check_listed(struct checker *k, int (*check)(struct checker *k, struct block *b, struct err *e), struct err *e)
{
    struct block_list *list = blocks_hold(k->blocks);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->n; i++) {
        struct block *b = list->blocks[i];
        struct err why = ERR_INIT;
        char where[96];

        k->c->partitions += i == 0 || list->blocks[i - 1]->partition != b->partition;
        if (check(k, b, &why) == 0)
            continue;
        snprintf(where, sizeof(where), "%s/%lld.db: block %llu", blocks_kind(k->blocks)->folder.p,
                 (long long)blocks_partition(k->blocks, b->first), (unsigned long long)b->rank);
        rc = found(k, where, &why, e);
    }
    blocks_release(k->blocks, list);
    k->c->faults += blocks_damaged(k->blocks); /* blocks_open has named them */
    return rc;
}

/* The blocks of one folder. */
static int check_blocks(struct checker *k, const char *dir, const struct blocks_kind *kind, int64_t upto,
                        int (*check)(struct checker *k, struct block *b, struct err *e), struct err *e)
{
    int rc;

    k->blocks = blocks_open(dir, kind, (uint64_t)upto, STORE_PROCESS, e);
    rc = k->blocks ? check_listed(k, check, e) : e->code;
    blocks_close(k->blocks);
    k->blocks = NULL;
    return rc;
}

/* --- making anew --- */

static int rebuild(struct checker *k, struct err *e)
{
    int rc = db_exec(k->db, "REINDEX", e);

    if (rc == 0 && index_count(k->index))
        rc = series_log_rewrite(k->db, k->index, NULL, e);
    return rc < 0 ? rc : db_exec(k->db, "PRAGMA incremental_vacuum", e);
}

/* --- all of it --- */

static int run(struct checker *k, const char *dir, const char *path, struct err *e)
{
    int rc;

    k->index = index_new();
    k->reader = page_reader_new();
    if (!k->index || !k->reader)
        return err_set(e, ERR_NOMEM, "%s: no memory", dir);
    k->db = db_open(path, DB_WRITE, e);
    if (!k->db)
        return e->code;
    rc = db_schema(k->db, e);
    if (rc == 0)
        rc = check_main(k, e);
    if (rc == 0)
        rc = check_blocks(k, dir, &sample_blocks, 0, check_samples, e);
    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++) {
        rc = check_table(k, (enum event_kind)kind, e);
        if (rc == 0)
            rc = check_blocks(k, dir, &event_blocks[kind], k->watermark, check_rows, e);
    }
    if (rc == 0 && k->c->rebuild)
        rc = k->c->faults ? err_set(e, ERR_CORRUPT, "%s: damaged; nothing was made anew", dir) : rebuild(k, e);
    return rc;
}

int store_check(const char *dir, struct store_check *c, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* a path */
    struct str path = arena_printf(&a, "%s/vigla.db", dir);
    struct checker k = { .c = c };
    struct err why = ERR_INIT;
    struct stat sb;
    int lock = -1, rc;

    if (!path.p)
        rc = err_set(e, ERR_NOMEM, "%s: no memory", dir);
    else if (stat(path.p, &sb) < 0)
        rc = err_set(e, ERR_NOTFOUND, "%s: there is no vigla.db (is it the directory of --data?)", dir);
    else
        rc = lock = lock_take(dir, e);
    if (rc >= 0)
        rc = run(&k, dir, path.p, &why);
    db_close(k.db);
    page_reader_free(k.reader);
    index_free(k.index);
    lock_drop(lock);
    arena_free(&a);
    if (why.code && e)
        *e = why;
    return rc;
}
