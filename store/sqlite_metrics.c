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

int db_series_log_add(struct db *db, struct str record, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT INTO series_log(record) VALUES(?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_blob(s, 1, record);
    return stmt_run(s, e);
}

int db_series_log_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str record, struct err *e), void *arg,
                       struct err *e)
{
    return each_blob(db, "SELECT id, record FROM series_log ORDER BY id", fn, arg, e);
}

int db_setting(struct db *db, const char *name, int64_t otherwise, int64_t *value, struct err *e)
{
    struct stmt *put = db_cached(db, "INSERT OR IGNORE INTO setting VALUES(?, ?)", e);
    struct stmt *get = put ? db_cached(db, "SELECT value FROM setting WHERE name=?", e) : NULL;
    int rc;

    if (!get)
        return db_why(db);
    stmt_bind_text(put, 1, str_of(name));
    stmt_bind_i64(put, 2, otherwise);
    rc = stmt_run(put, e);
    if (rc < 0)
        return rc;
    stmt_bind_text(get, 1, str_of(name));
    rc = stmt_step(get, e);
    *value = rc == 1 ? stmt_i64(get, 0) : otherwise;
    stmt_reset(get);
    return rc < 0 ? rc : 0;
}

int db_setting_set(struct db *db, const char *name, int64_t value, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT OR REPLACE INTO setting VALUES(?, ?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_text(s, 1, str_of(name));
    stmt_bind_i64(s, 2, value);
    return stmt_run(s, e);
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
