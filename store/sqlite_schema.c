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
 *
 * user_version is the format. */
#include "store/sqlite-internal.h"

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
    "CREATE INDEX document_revision ON document(revision);"
    "PRAGMA user_version=3";

int db_schema(struct db *db, struct err *e)
{
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
        rc = db_exec(db, tables, e);
    if (rc == 0)
        rc = db_exemplar_schema(db, e);
    if (rc == 0)
        rc = db_commit(db, e);
    else
        db_rollback(db);
    return rc;
}
