#include "store/sqlite-internal.h"

#include "base/mem.h"
#include "store/batch.h"

/* Batch numbers and ids are uint64 with us and int64 with SQLite; the committer refuses those above INT64_MAX. */

int db_sender_last(struct db *db, struct str sender, uint64_t *number, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT number FROM sender WHERE name=?", e);
    int rc;

    *number = 0;
    if (!s)
        return db_why(db);
    stmt_bind_text(s, 1, sender);
    rc = stmt_step(s, e);
    if (rc == 1)
        *number = (uint64_t)stmt_i64(s, 0);
    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int db_sender_set(struct db *db, struct str sender, uint64_t number, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT OR REPLACE INTO sender VALUES(?, ?, ?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_text(s, 1, sender);
    stmt_bind_i64(s, 2, (int64_t)number);
    stmt_bind_i64(s, 3, now_ms);
    return stmt_run(s, e);
}

int db_senders_forget(struct db *db, int64_t before_ms, struct err *e)
{
    struct stmt *s = db_cached(db, "DELETE FROM sender WHERE seen_ms < ?", e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, before_ms);
    return stmt_run(s, e);
}

static int add_blob(struct db *db, const char *sql, uint64_t id, struct str blob, struct err *e)
{
    struct stmt *s = db_cached(db, sql, e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)id);
    stmt_bind_blob(s, 2, blob);
    return stmt_run(s, e);
}

static int each_blob(struct db *db, const char *sql,
                     int (*fn)(void *arg, uint64_t id, struct str blob, struct err *e), void *arg, struct err *e)
{
    struct stmt *s = db_cached(db, sql, e);
    int rc;

    if (!s)
        return db_why(db);
    while ((rc = stmt_step(s, e)) == 1) {
        uint64_t id = (uint64_t)stmt_i64(s, 0);
        struct str blob = stmt_text(s, 1);

        rc = stmt_check(s, e);
        if (rc == 0)
            rc = fn(arg, id, blob, e);
        if (rc < 0)
            break;
    }
    stmt_reset(s);
    return rc;
}

static int run_with_id(struct db *db, const char *sql, uint64_t id, struct err *e)
{
    struct stmt *s = db_cached(db, sql, e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)id);
    return stmt_run(s, e);
}

int db_series_add(struct db *db, uint64_t id, struct str labels, struct err *e)
{
    return add_blob(db, "INSERT INTO series VALUES(?, ?)", id, labels, e);
}

int db_series_remove(struct db *db, uint64_t id, struct err *e)
{
    return run_with_id(db, "DELETE FROM series WHERE id=?", id, e);
}

int db_series_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str labels, struct err *e), void *arg,
                   struct err *e)
{
    return each_blob(db, "SELECT id, labels FROM series ORDER BY id", fn, arg, e);
}

int db_series_last(struct db *db, uint64_t *id, struct err *e)
{
    int64_t last;
    int rc = db_number(db, "SELECT seq FROM sqlite_sequence WHERE name='series'", &last, e);

    *id = (uint64_t)last;
    return rc;
}

int db_journal_add(struct db *db, uint64_t id, struct str record, struct err *e)
{
    return add_blob(db, "INSERT INTO journal VALUES(?, ?)", id, record, e);
}

int db_journal_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str record, struct err *e), void *arg,
                    struct err *e)
{
    return each_blob(db, "SELECT id, record FROM journal ORDER BY id", fn, arg, e);
}

int db_journal_drop(struct db *db, uint64_t upto, size_t n, size_t *removed, struct err *e)
{
    struct stmt *s = db_cached(db, "DELETE FROM journal WHERE id IN"
                                   " (SELECT id FROM journal WHERE id <= ? ORDER BY id LIMIT ?) RETURNING id", e);
    int rc;

    *removed = 0;
    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)upto);
    stmt_bind_i64(s, 2, (int64_t)n);
    while ((rc = stmt_step(s, e)) == 1)
        ++*removed;
    stmt_reset(s);
    return rc;
}

static int write_chunk(struct db *db, const char *sql, uint64_t id, int64_t first, int64_t last, struct str body,
                       struct err *e)
{
    struct stmt *s = db_cached(db, sql, e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)id);
    stmt_bind_i64(s, 2, first);
    stmt_bind_i64(s, 3, last);
    stmt_bind_blob(s, 4, body);
    return stmt_run(s, e);
}

int db_chunk_add(struct db *db, uint64_t series, int64_t first, int64_t last, struct str body, struct err *e)
{
    return write_chunk(db, "INSERT INTO chunk(series, first_ms, last_ms, body) VALUES(?, ?, ?, ?)", series, first, last,
                       body, e);
}

int db_chunk_replace(struct db *db, uint64_t id, int64_t first, int64_t last, struct str body, struct err *e)
{
    return write_chunk(db, "UPDATE chunk SET first_ms=?2, last_ms=?3, body=?4 WHERE id=?1", id, first, last, body, e);
}

int db_chunk_remove(struct db *db, uint64_t id, struct err *e)
{
    return run_with_id(db, "DELETE FROM chunk WHERE id=?", id, e);
}

static struct chunk_row row_of(struct stmt *s)
{
    return (struct chunk_row){ (uint64_t)stmt_i64(s, 0), (uint64_t)stmt_i64(s, 1), stmt_i64(s, 2), stmt_i64(s, 3) };
}

int db_chunks_of(struct db *db, uint64_t series, int64_t from_ms, int64_t to_ms, struct chunk_row **rows, size_t *cap,
                 size_t *n, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT id, series, first_ms, last_ms FROM chunk WHERE series=? AND first_ms <= ?"
                                   " AND last_ms >= ? ORDER BY first_ms, id", e);
    int rc;

    *n = 0;
    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)series);
    stmt_bind_i64(s, 2, to_ms);
    stmt_bind_i64(s, 3, from_ms);
    while ((rc = stmt_step(s, e)) == 1) {
        if (mem_grow(rows, cap, *n + 1, sizeof(**rows)) < 0) {
            rc = err_set(e, ERR_NOMEM, "no memory for a list of %zu chunks", *n + 1);
            break;
        }
        (*rows)[(*n)++] = row_of(s);
    }
    stmt_reset(s);
    return rc;
}

int db_chunks_before(struct db *db, int64_t before_ms, struct chunk_row *rows, size_t max, size_t *n, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT id, series, first_ms, last_ms FROM chunk WHERE last_ms < ?"
                                   " ORDER BY last_ms LIMIT ?", e);
    int rc;

    *n = 0;
    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, before_ms);
    stmt_bind_i64(s, 2, (int64_t)max);
    while ((rc = stmt_step(s, e)) == 1 && *n < max)
        rows[(*n)++] = row_of(s);
    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int db_chunk_body(struct db *db, uint64_t id, struct buf *out, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT body FROM chunk WHERE id=?", e);
    int rc;

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)id);
    rc = stmt_step(s, e);
    if (rc == 1)
        buf_str(out, stmt_text(s, 0));
    if (rc == 0)
        rc = err_set(e, ERR_CORRUPT, "chunk %llu is not there", (unsigned long long)id);
    if (rc == 1)
        rc = stmt_check(s, e);
    if (buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "no memory for chunk %llu", (unsigned long long)id);
    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int db_chunk_range(struct db *db, uint64_t series, int64_t *first, int64_t *last, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT min(first_ms), max(last_ms) FROM chunk WHERE series=?"
                                   " HAVING count(*) > 0", e);
    int rc;

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, (int64_t)series);
    rc = stmt_step(s, e);
    *first = rc == 1 ? stmt_i64(s, 0) : INT64_MAX;
    *last = rc == 1 ? stmt_i64(s, 1) : INT64_MIN;
    stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int db_chunk_ranges(struct db *db, void (*fn)(void *arg, uint64_t series, int64_t first, int64_t last), void *arg,
                    struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT series, min(first_ms), max(last_ms) FROM chunk GROUP BY series", e);
    int rc;

    if (!s)
        return db_why(db);
    while ((rc = stmt_step(s, e)) == 1)
        fn(arg, (uint64_t)stmt_i64(s, 0), stmt_i64(s, 1), stmt_i64(s, 2));
    stmt_reset(s);
    return rc;
}

int db_metadata_set(struct db *db, const struct batch_metadata *m, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT OR REPLACE INTO metadata VALUES(?, ?, ?, ?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_text(s, 1, m->metric);
    stmt_bind_text(s, 2, m->type);
    stmt_bind_text(s, 3, m->help);
    stmt_bind_text(s, 4, m->unit);
    return stmt_run(s, e);
}

int db_metadata_each(struct db *db, int (*fn)(void *arg, const struct batch_metadata *m, struct err *e), void *arg,
                     struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT metric, type, help, unit FROM metadata", e);
    int rc;

    if (!s)
        return db_why(db);
    while ((rc = stmt_step(s, e)) == 1) {
        struct batch_metadata m = { stmt_text(s, 0), stmt_text(s, 1), stmt_text(s, 2), stmt_text(s, 3) };

        rc = stmt_check(s, e);
        if (rc == 0)
            rc = fn(arg, &m, e);
        if (rc < 0)
            break;
    }
    stmt_reset(s);
    return rc;
}
