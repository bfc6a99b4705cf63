/* sqlite_schema.c: the tables.
 *
 * sender    the last batch number of each sender, written in the batch's own transaction: exactly once
 * setting   numbers of the directory: its seed; up to which records the journals of rows are sealed
 * series_log  the series, in the order they came and went: records of index_log.c
 * journal   one record for each batch of samples (journal.c); what is sealed into blocks leaves it
 * event_journal  one record for each table a batch has rows of (event_chunk.c), until they are sealed into blocks
 * metadata  what a metric is
 * exemplar  (sqlite_exemplars.c)
 * document  every version of every document of the catalog
 * access_log, log, span   one row for each event, columns from store/event.h, attributes packed
 *
 * user_version is the format. A column that events gain later is no new format: it is added when the database is
 * opened. */
#include "store/sqlite-internal.h"

#include "base/mem.h"

enum { FORMAT = 3 };

static const char tables[] =
    "CREATE TABLE sender(name TEXT PRIMARY KEY, number INTEGER NOT NULL, seen_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE setting(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE series_log(id INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    "CREATE TABLE journal(id INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    "CREATE TABLE event_journal(id INTEGER PRIMARY KEY, record BLOB NOT NULL);"
    "CREATE TABLE metadata(metric TEXT PRIMARY KEY, type TEXT NOT NULL, help TEXT NOT NULL, unit TEXT NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE document(kind TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,"
    " body TEXT NOT NULL, deleted INTEGER NOT NULL, created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL,"
    " PRIMARY KEY(kind, ns, name, revision)) WITHOUT ROWID;"
    "CREATE INDEX document_revision ON document(revision);";

static void put_column(struct buf *sql, enum event_kind kind, const struct event_column *c)
{
    buf_printf(sql, "\"%.*s\" ", STR_ARG(c->name));
    if (c->is_text)
        buf_puts(sql, "TEXT");
    else /* what an event of before the column was there gets: unset */
        buf_printf(sql, "INTEGER NOT NULL DEFAULT %d", kind == EVENT_ACCESS_LOG ? -1 : 0);
}

static int run(struct db *db, struct buf *sql, struct err *e)
{
    int rc;

    buf_putc(sql, '\0');
    rc = buf_failed(sql) ? err_set(e, ERR_NOMEM, "no memory for the schema") : db_exec(db, sql->p, e);
    buf_reset(sql);
    return rc;
}

static int create_events(struct db *db, enum event_kind kind, struct buf *sql, struct err *e)
{
    const struct event_table *t = &event_tables[kind];

    buf_printf(sql, "CREATE TABLE \"%.*s\"(time_ns INTEGER NOT NULL", STR_ARG(t->name));
    for (size_t i = 0; i < t->n; i++) {
        buf_puts(sql, ", ");
        put_column(sql, kind, &t->columns[i]);
    }
    buf_printf(sql, ", attributes BLOB);CREATE INDEX \"%.*s_time\" ON \"%.*s\"(time_ns);", STR_ARG(t->name),
               STR_ARG(t->name));
    return run(db, sql, e);
}

/* Which of the table's columns the database has, as bits. */
static int columns_there(struct db *db, enum event_kind kind, uint64_t *there, struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT name FROM pragma_table_info(?)", e);
    int rc;

    *there = 0;
    if (!s)
        return db_why(db);
    stmt_bind_text(s, 1, event_tables[kind].name);
    while ((rc = stmt_step(s, e)) == 1) {
        int i = event_column_index(kind, stmt_text(s, 0));

        if (i >= 0)
            *there |= (uint64_t)1 << i;
    }
    stmt_reset(s);
    return rc;
}

static int add_columns(struct db *db, enum event_kind kind, struct buf *sql, struct err *e)
{
    const struct event_table *t = &event_tables[kind];
    uint64_t there;
    int rc = columns_there(db, kind, &there, e);

    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        if (there >> i & 1)
            continue;
        buf_printf(sql, "ALTER TABLE \"%.*s\" ADD COLUMN ", STR_ARG(t->name));
        put_column(sql, kind, &t->columns[i]);
        rc = run(db, sql, e);
    }
    return rc;
}

static int create(struct db *db, struct buf *sql, struct err *e)
{
    int rc = db_exec(db, tables, e);

    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = create_events(db, (enum event_kind)kind, sql, e);
    if (rc == 0) {
        buf_printf(sql, "PRAGMA user_version=%d", FORMAT);
        rc = run(db, sql, e);
    }
    return rc;
}

int db_schema(struct db *db, struct err *e)
{
    struct buf sql = BUF_INIT(64 * 1024);
    int64_t format;
    int rc = db_number(db, "PRAGMA user_version", &format, e);

    if (rc < 0)
        return rc;
    if (format && format < FORMAT)
        return err_set(e, ERR_UNSUPPORTED, "the data has format %lld, of a vigla before its first release; this one reads "
                                           "format %d (choose another directory)", (long long)format, FORMAT);
    if (format > FORMAT)
        return err_set(e, ERR_UNSUPPORTED, "the data has format %lld, of a newer vigla; this one reads up to %d",
                       (long long)format, FORMAT);
    rc = db_begin(db, e);
    if (rc == 0 && format == 0)
        rc = create(db, &sql, e);
    for (int kind = 0; rc == 0 && format && kind < EVENT_KINDS; kind++)
        rc = add_columns(db, (enum event_kind)kind, &sql, e);
    if (rc == 0)
        rc = db_exemplar_schema(db, e);
    if (rc == 0)
        rc = db_commit(db, e);
    else
        db_rollback(db);
    buf_free(&sql);
    return rc;
}
