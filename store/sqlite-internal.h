/* sqlite-internal.h: SQLite, behind types of our own: connections, statements, and what is asked of the tables.
 *
 * A connection and its statements belong to one thread at a time. The committer has the only one that writes. Functions
 * that return int return 0 or ERR_IO (disk full is one), ERR_CORRUPT, ERR_NOMEM, ERR_LIMIT. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "base/labels.h"
#include "store/event.h"

struct db;
struct stmt;

/* --- sqlite.c: connections and statements --- */

enum db_mode {
    DB_WRITE,       /* synchronous=NORMAL */
    DB_WRITE_POWER, /* synchronous=FULL */
    DB_READ
};

struct db *db_open(const char *path, enum db_mode mode, struct err *e);
void db_close(struct db *db);
/* Statements without results and without values from outside. */
int db_exec(struct db *db, const char *sql, struct err *e);
int db_begin(struct db *db, struct err *e);
/* A failed commit is rolled back. */
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);
/* The one number a statement without parameters gives. */
int db_number(struct db *db, const char *sql, int64_t *out, struct err *e);

/* ERR_* of the connection's last failure: what a NULL below means. */
int db_why(const struct db *db);
/* Prepared once and kept by the connection. `sql` is a literal: its address is the key. Comes and is left reset. */
struct stmt *db_cached(struct db *db, const char *sql, struct err *e);
/* The caller's own. */
struct stmt *db_prepare(struct db *db, struct str sql, struct err *e);
/* A place for a statement of the caller's that the connection closes; NULL at first. */
struct stmt **db_slot(struct db *db, enum event_kind kind);
void stmt_close(struct stmt *s);
void stmt_reset(struct stmt *s);

/* Parameters count from 1. Texts and blobs are not copied: they must live until the reset. A failure sticks until
 * stmt_step reports it. */
void stmt_bind_i64(struct stmt *s, int i, int64_t v);
void stmt_bind_text(struct stmt *s, int i, struct str v);
void stmt_bind_blob(struct stmt *s, int i, struct str v);
void stmt_bind_null(struct stmt *s, int i);
/* 1: a row; 0: the end; ERR_*. */
int stmt_step(struct stmt *s, struct err *e);
/* One step of a statement that returns nothing, and the reset. */
int stmt_run(struct stmt *s, struct err *e);
/* Columns count from 0; views until the next step. NULL is 0 and the empty text. */
int64_t stmt_i64(struct stmt *s, int column);
struct str stmt_text(struct stmt *s, int column);
/* ERR_NOMEM when a text read since the reset could not be had (and came out empty). */
int stmt_check(struct stmt *s, struct err *e);

/* Connections for reading: up to a few are kept open between uses. Thread-safe. */
struct db_pool;
struct db_pool *db_pool_new(const char *path, struct err *e);
void db_pool_free(struct db_pool *pool);
struct db *db_pool_take(struct db_pool *pool, struct err *e);
/* Ends its transaction. NULL is fine. */
void db_pool_give(struct db_pool *pool, struct db *db);
/* Begins a transaction that sees the database as it is now. */
int db_snapshot(struct db *db, struct err *e);

/* --- sqlite_schema.c --- */

/* Makes the tables of a new database, and adds the columns that an older one lacks. ERR_UNSUPPORTED: it is newer. */
int db_schema(struct db *db, struct err *e);

/* --- sqlite_exemplars.c --- */

/* Makes the table where it is missing. */
int db_exemplar_schema(struct db *db, struct err *e);
/* Adds them, and drops what is too much. */
struct batch_exemplar;
int db_exemplars_add(struct db *db, const struct batch_exemplar *v, size_t n, struct err *e);

/* --- sqlite_metrics.c: senders, series, journal, chunks, metadata --- */

/* The last number committed from this sender; 0 when there is none. */
int db_sender_last(struct db *db, struct str sender, uint64_t *number, struct err *e);
int db_sender_set(struct db *db, struct str sender, uint64_t number, int64_t now_ms, struct err *e);
int db_senders_forget(struct db *db, int64_t before_ms, struct err *e);

int db_series_add(struct db *db, uint64_t id, struct str labels, struct err *e);
int db_series_remove(struct db *db, uint64_t id, struct err *e);
int db_series_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str labels, struct err *e), void *arg,
                   struct err *e);
/* The highest id ever given, also to a series that is gone: ids are not used again. */
int db_series_last(struct db *db, uint64_t *id, struct err *e);

int db_journal_add(struct db *db, uint64_t id, struct str record, struct err *e);
int db_journal_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str record, struct err *e), void *arg,
                    struct err *e);
/* Removes at most `n` of the records up to `upto`; *removed says how many it were. */
int db_journal_drop(struct db *db, uint64_t upto, size_t n, size_t *removed, struct err *e);

struct chunk_row {
    uint64_t id, series;
    int64_t first, last;
};
int db_chunk_add(struct db *db, uint64_t series, int64_t first, int64_t last, struct str body, struct err *e);
int db_chunk_replace(struct db *db, uint64_t id, int64_t first, int64_t last, struct str body, struct err *e);
int db_chunk_remove(struct db *db, uint64_t id, struct err *e);
/* The chunks of a series that overlap the range, by first time, then id; *rows is grown by mem_grow. */
int db_chunks_of(struct db *db, uint64_t series, int64_t from_ms, int64_t to_ms, struct chunk_row **rows, size_t *cap,
                 size_t *n, struct err *e);
/* At most `max` chunks that end before `before_ms`. */
int db_chunks_before(struct db *db, int64_t before_ms, struct chunk_row *rows, size_t max, size_t *n, struct err *e);
/* Appends the body. ERR_CORRUPT when there is no such chunk. */
int db_chunk_body(struct db *db, uint64_t id, struct buf *out, struct err *e);
/* First and last time of all chunks of a series; first > last when it has none. */
int db_chunk_range(struct db *db, uint64_t series, int64_t *first, int64_t *last, struct err *e);
int db_chunk_ranges(struct db *db, void (*fn)(void *arg, uint64_t series, int64_t first, int64_t last), void *arg,
                    struct err *e);

struct batch_metadata;
int db_metadata_set(struct db *db, const struct batch_metadata *m, struct err *e);
int db_metadata_each(struct db *db, int (*fn)(void *arg, const struct batch_metadata *m, struct err *e), void *arg,
                     struct err *e);

/* --- sqlite_events.c (reading is behind store/events.h) --- */

int db_event_add(struct db *db, enum event_kind kind, const struct event *ev, struct err *e);
/* Removes at most `max` events from before `before_ns`, the oldest first. */
int db_events_drop(struct db *db, enum event_kind kind, int64_t before_ns, size_t max, size_t *removed, struct err *e);

/* --- sqlite_catalog.c (reading is behind store/catalog.h) --- */

int db_catalog_revision(struct db *db, uint64_t *revision, struct err *e);

#endif
