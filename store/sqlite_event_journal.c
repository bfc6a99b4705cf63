/* sqlite_event_journal.c: rows that are not sealed yet: a record is a chunk (event_chunk.c).
 *
 * Each table's records are numbered by themselves; in the database a record's row is that number with the table in its high
 * bits, so that the records of a table stand together and go together. */
#include "store/sqlite-internal.h"

enum { NUMBER_BITS = 48 };

static int64_t row_of(enum event_kind kind, uint64_t number)
{
    return (int64_t)((uint64_t)kind << NUMBER_BITS | number);
}

int db_event_journal_add(struct db *db, enum event_kind kind, uint64_t number, struct str record, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT INTO event_journal VALUES(?, ?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, row_of(kind, number));
    stmt_bind_blob(s, 2, record);
    return stmt_run(s, e);
}

int db_event_journal_each(struct db *db, enum event_kind kind, uint64_t after,
                          int (*fn)(void *arg, uint64_t number, struct str record, struct err *e), void *arg, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT id, record FROM event_journal WHERE id > ? AND id < ? ORDER BY id", e);
    int rc;

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, row_of(kind, after));
    stmt_bind_i64(s, 2, row_of(kind + 1, 0));
    while ((rc = stmt_step(s, e)) == 1) {
        uint64_t number = (uint64_t)stmt_i64(s, 0) & (((uint64_t)1 << NUMBER_BITS) - 1);
        struct str record = stmt_text(s, 1);

        rc = stmt_check(s, e);
        if (rc == 0)
            rc = fn(arg, number, record, e);
        if (rc < 0)
            break;
    }
    stmt_reset(s);
    return rc;
}

int db_event_journal_drop(struct db *db, enum event_kind kind, uint64_t upto, size_t n, size_t *removed, struct err *e)
{
    struct stmt *s = db_cached(db, "DELETE FROM event_journal WHERE id IN"
                                   " (SELECT id FROM event_journal WHERE id > ? AND id <= ? ORDER BY id LIMIT ?)"
                                   " RETURNING id", e);
    int rc;

    *removed = 0;
    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, row_of(kind, 0));
    stmt_bind_i64(s, 2, row_of(kind, upto));
    stmt_bind_i64(s, 3, (int64_t)n);
    while ((rc = stmt_step(s, e)) == 1)
        ++*removed;
    stmt_reset(s);
    return rc;
}
