/* sqlite.c: connections and statements, with errors in our codes.
 *
 * One file, in WAL mode: one writer, readers that see a snapshot and never wait for it. What a commit costs is the
 * pages it touched, copied to the WAL, so the page size weighs small groups against large blobs. Measured on a shared
 * machine, CPU seconds per million samples in batches of 1000 and of 20: 4 KiB pages 0.6 and 4.0, 16 KiB 0.6 and 4.6,
 * 64 KiB 0.8 and 6.4. Freed pages go back to the file system in small steps (auto_vacuum=INCREMENTAL). */
#include "store/sqlite-internal.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>

enum { MAX_CACHED = 48, MAX_IDLE = 4, BUSY_MS = 5000 };

#define CHECKPOINT_PAGES "1024" /* 16 MiB of WAL */

/* What the two kinds of files differ in. */
struct kind {
    const char *vfs;
    int64_t application; /* in the file's header, so that another program's database is not taken for ours */
    const char *writer, *reader;
};

static const struct kind main_kind = {
    NULL, 0x5649474c /* VIGL */,
    "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
    "PRAGMA application_id=0x5649474c; PRAGMA wal_autocheckpoint=" CHECKPOINT_PAGES ";"
    "PRAGMA journal_size_limit=33554432; PRAGMA secure_delete=OFF; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY",
    "PRAGMA query_only=ON; PRAGMA cache_size=-4096; PRAGMA temp_store=MEMORY",
};

/* Written in a few large transactions, each followed by a checkpoint; read in long runs that no cache would help. */
static const struct kind partition_kind = {
    DB_PARTITION_VFS, 0x56494742 /* VIGB */,
    "PRAGMA page_size=16384; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;"
    "PRAGMA application_id=0x56494742; PRAGMA wal_autocheckpoint=" CHECKPOINT_PAGES ";"
    "PRAGMA secure_delete=OFF; PRAGMA cache_size=-2048; PRAGMA temp_store=MEMORY",
    "PRAGMA query_only=ON; PRAGMA cache_size=-256; PRAGMA temp_store=MEMORY",
};

struct stmt {
    struct db *db;
    sqlite3_stmt *s;
    int failed; /* SQLite's code of the first bind that failed */
};

struct db {
    sqlite3 *h;
    const struct kind *kind;
    struct {
        const char *sql;
        struct stmt *stmt;
    } cached[MAX_CACHED];
    size_t ncached;
    int why; /* ERR_* of the last failure */
};

static int code_of(struct db *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_IOERR:
        return db->h && sqlite3_system_errno(db->h) == ENOSPC ? ERR_FULL : ERR_IO;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* a statement of ours that does not fit the tables */
        return ERR_CORRUPT;
    case SQLITE_TOOBIG:
        return ERR_LIMIT;
    default:
        return ERR_IO;
    }
}

static int db_error(struct db *db, int rc, struct err *e)
{
    const char *why = db->h && sqlite3_errcode(db->h) != SQLITE_OK ? sqlite3_errmsg(db->h) : sqlite3_errstr(rc);
    const char *file = db->h ? sqlite3_db_filename(db->h, "main") : NULL;

    db->why = code_of(db, rc);
    return err_set(e, db->why, "%s: SQLite: %s", file ? file : "database", why);
}

int db_why(const struct db *db)
{
    return db->why;
}

int db_exec(struct db *db, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : db_error(db, rc, e);
}

int db_check_application(struct db *db, struct err *e)
{
    int64_t id, tables;
    int rc = db_number(db, "PRAGMA application_id", &id, e);

    if (rc == 0)
        rc = db_number(db, "SELECT count(*) FROM sqlite_master", &tables, e);
    if (rc < 0 || (id == 0 && tables == 0))
        return rc;
    if (id != db->kind->application)
        return err_set(e, ERR_CORRUPT, "%s: a database, but not Vigla's for this place (choose another directory)",
                       sqlite3_db_filename(db->h, "main"));
    return 0;
}

static int configure(struct db *db, enum db_mode mode, struct err *e)
{
    int rc;

    if (mode == DB_READ)
        return db_exec(db, db->kind->reader, e);
    rc = db_check_application(db, e);
    if (rc == 0)
        rc = db_exec(db, db->kind->writer, e);
    if (rc == 0)
        rc = db_exec(db, mode == DB_WRITE_POWER ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", e);
    return rc;
}

static int open_kind(const char *path, enum db_mode mode, const struct kind *kind, struct db **out, struct err *e)
{
    int flags = SQLITE_OPEN_NOMUTEX | (mode == DB_READ ? SQLITE_OPEN_READWRITE
                                                       : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    struct db *db = mem_zalloc(sizeof(*db));
    int rc;

    *out = NULL;
    if (!db)
        return err_set(e, ERR_NOMEM, "%s: no memory", path);
    db->kind = kind;
    rc = sqlite3_open_v2(path, &db->h, flags, kind->vfs);
    if (rc != SQLITE_OK) {
        rc = err_set(e, code_of(db, rc), "%s: SQLite: %s", path, db->h ? sqlite3_errmsg(db->h) : "out of memory");
        db_close(db);
        return rc;
    }
    sqlite3_extended_result_codes(db->h, 1);
    sqlite3_busy_timeout(db->h, BUSY_MS);
    rc = configure(db, mode, e);
    if (rc < 0)
        db_close(db);
    else
        *out = db;
    return rc;
}

struct db *db_open(const char *path, enum db_mode mode, struct err *e)
{
    struct db *db;

    open_kind(path, mode, &main_kind, &db, e);
    return db;
}

int db_open_partition(const char *path, enum db_mode mode, struct db **db, struct err *e)
{
    return open_kind(path, mode, &partition_kind, db, e);
}

void db_close(struct db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < db->ncached; i++)
        stmt_close(db->cached[i].stmt);
    sqlite3_close(db->h);
    mem_free(db);
}

int db_begin(struct db *db, struct err *e)
{
    struct stmt *s = db_cached(db, "BEGIN IMMEDIATE", e);

    return s ? stmt_run(s, e) : db_why(db);
}

int db_commit(struct db *db, struct err *e)
{
    struct stmt *s = db_cached(db, "COMMIT", e);
    int rc = s ? stmt_run(s, e) : db_why(db);

    if (rc < 0)
        db_rollback(db);
    return rc;
}

void db_rollback(struct db *db)
{
    if (!sqlite3_get_autocommit(db->h)) /* some errors have rolled back already */
        sqlite3_exec(db->h, "ROLLBACK", NULL, NULL, NULL);
}

void db_checkpoint(struct db *db)
{
    sqlite3_busy_timeout(db->h, 0);
    sqlite3_wal_checkpoint_v2(db->h, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(db->h, BUSY_MS);
}

uint64_t db_changes(const struct db *db)
{
    return (uint64_t)sqlite3_total_changes64(db->h);
}

int db_number(struct db *db, const char *sql, int64_t *out, struct err *e)
{
    struct stmt *s = db_prepare(db, str_of(sql), e);
    int rc = s ? stmt_step(s, e) : db_why(db);

    *out = rc == 1 ? stmt_i64(s, 0) : 0;
    stmt_close(s);
    return rc < 0 ? rc : 0;
}

struct stmt *db_prepare(struct db *db, struct str sql, struct err *e)
{
    struct stmt *s = mem_zalloc(sizeof(*s));
    int rc;

    if (!s || sql.n > INT32_MAX) {
        db->why = err_set(e, ERR_NOMEM, "no memory for a statement");
        mem_free(s);
        return NULL;
    }
    s->db = db;
    rc = sqlite3_prepare_v2(db->h, sql.p, (int)sql.n, &s->s, NULL);
    if (rc != SQLITE_OK) {
        db_error(db, rc, e);
        mem_free(s);
        return NULL;
    }
    return s;
}

struct stmt *db_cached(struct db *db, const char *sql, struct err *e)
{
    struct stmt *s;

    for (size_t i = 0; i < db->ncached; i++)
        if (db->cached[i].sql == sql)
            return db->cached[i].stmt;
    s = db_prepare(db, str_of(sql), e);
    if (!s)
        return NULL;
    if (db->ncached == MAX_CACHED) {
        stmt_close(s);
        db->why = err_set(e, ERR_LIMIT, "more than %d statements on one connection", MAX_CACHED);
        return NULL;
    }
    db->cached[db->ncached].sql = sql;
    db->cached[db->ncached++].stmt = s;
    return s;
}

void stmt_close(struct stmt *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->s);
    mem_free(s);
}

void stmt_reset(struct stmt *s)
{
    sqlite3_reset(s->s);
    s->failed = SQLITE_OK;
}

static void bound(struct stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->failed == SQLITE_OK)
        s->failed = rc;
}

void stmt_bind_i64(struct stmt *s, int i, int64_t v)
{
    bound(s, sqlite3_bind_int64(s->s, i, v));
}

void stmt_bind_text(struct stmt *s, int i, struct str v)
{
    bound(s, sqlite3_bind_text64(s->s, i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_bind_blob(struct stmt *s, int i, struct str v)
{
    bound(s, sqlite3_bind_blob64(s->s, i, v.p ? v.p : "", v.n, SQLITE_STATIC));
}

int stmt_step(struct stmt *s, struct err *e)
{
    int rc = s->failed ? s->failed : sqlite3_step(s->s);

    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_error(s->db, rc, e);
}

int stmt_check(struct stmt *s, struct err *e)
{
    return s->failed ? db_error(s->db, s->failed, e) : 0;
}

int stmt_run(struct stmt *s, struct err *e)
{
    int rc = stmt_step(s, e);

    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int64_t stmt_i64(struct stmt *s, int column)
{
    return sqlite3_column_int64(s->s, column);
}

struct str stmt_text(struct stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s->s, column); /* of a text: its bytes, without conversion */

    if (!p && sqlite3_errcode(s->db->h) == SQLITE_NOMEM)
        bound(s, SQLITE_NOMEM);
    return (struct str){ p, p ? (size_t)sqlite3_column_bytes(s->s, column) : 0 };
}

struct db_blob {
    struct db *db;
    sqlite3_blob *b;
};

struct db_blob *db_blob_open(struct db *db, const char *table, const char *column, int64_t row, struct err *e)
{
    struct db_blob *b = mem_zalloc(sizeof(*b));
    int rc;

    if (!b) {
        db->why = err_set(e, ERR_NOMEM, "no memory for a blob's handle");
        return NULL;
    }
    b->db = db;
    rc = sqlite3_blob_open(db->h, "main", table, column, row, 0, &b->b);
    if (rc != SQLITE_OK) {
        db_error(db, rc, e);
        db_blob_close(b);
        return NULL;
    }
    return b;
}

int db_blob_move(struct db_blob *b, int64_t row, struct err *e)
{
    int rc = sqlite3_blob_reopen(b->b, row);

    return rc == SQLITE_OK ? 0 : db_error(b->db, rc, e);
}

size_t db_blob_size(const struct db_blob *b)
{
    return (size_t)sqlite3_blob_bytes(b->b);
}

int db_blob_read(struct db_blob *b, size_t at, size_t n, void *to, struct err *e)
{
    int rc = at > INT32_MAX || n > INT32_MAX ? SQLITE_ERROR : sqlite3_blob_read(b->b, to, (int)n, (int)at);

    return rc == SQLITE_OK ? 0 : db_error(b->db, rc, e);
}

void db_blob_close(struct db_blob *b)
{
    if (!b)
        return;
    sqlite3_blob_close(b->b);
    mem_free(b);
}

struct db_pool {
    pthread_mutex_t lock; /* guards idle and n */
    struct db *idle[MAX_IDLE];
    size_t n;
    char path[];
};

struct db_pool *db_pool_new(const char *path, struct err *e)
{
    size_t n = strlen(path) + 1;
    struct db_pool *pool = mem_zalloc(sizeof(*pool) + n);

    if (!pool || pthread_mutex_init(&pool->lock, NULL)) {
        err_set(e, ERR_NOMEM, "%s: no memory", path);
        mem_free(pool);
        return NULL;
    }
    memcpy(pool->path, path, n);
    return pool;
}

void db_pool_free(struct db_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->n; i++)
        db_close(pool->idle[i]);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

int db_pool_take(struct db_pool *pool, struct db **db, struct err *e)
{
    *db = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->n)
        *db = pool->idle[--pool->n];
    pthread_mutex_unlock(&pool->lock);
    return *db ? 0 : open_kind(pool->path, DB_READ, &main_kind, db, e);
}

void db_pool_give(struct db_pool *pool, struct db *db)
{
    if (!db)
        return;
    db_rollback(db);
    pthread_mutex_lock(&pool->lock);
    if (pool->n < MAX_IDLE) {
        pool->idle[pool->n++] = db;
        db = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    db_close(db);
}

