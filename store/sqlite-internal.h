/* sqlite-internal.h: SQLite, behind types of our own: connections, statements, and what is asked of the tables.
 *
 * A connection and its statements belong to one thread at a time. The committer has the only one that writes. Functions
 * that return int return 0 or ERR_IO, ERR_FULL, ERR_CORRUPT, ERR_NOMEM, ERR_LIMIT. */
#ifndef STORE_SQLITE_INTERNAL_H
#define STORE_SQLITE_INTERNAL_H

#include "base/labels.h"
#include "store/event.h"

/* How partitions are opened, by whoever opens them: no -shm file, and nobody but this process. */
#define DB_PARTITION_VFS "unix-excl"

struct db;
struct stmt;

/* --- sqlite.c: connections and statements --- */

enum db_mode {
    DB_WRITE,       /* synchronous=NORMAL */
    DB_WRITE_POWER, /* synchronous=FULL */
    DB_READ
};

/* The one database of the data directory. NULL: see e. */
struct db *db_open(const char *path, enum db_mode mode, struct err *e);
/* A file of blocks. It is locked for other processes as long as it is open; its connections in this one share the
 * index of its WAL in memory, so there is no -shm file. */
int db_open_partition(const char *path, enum db_mode mode, struct db **db, struct err *e);
void db_close(struct db *db);
/* Whether its header says that it is ours, and of this kind; an empty database is. ERR_CORRUPT. */
int db_check_application(struct db *db, struct err *e);
/* Statements without results and without values from outside. */
int db_exec(struct db *db, const char *sql, struct err *e);
int db_begin(struct db *db, struct err *e);
/* A failed commit is rolled back. */
int db_commit(struct db *db, struct err *e);
void db_rollback(struct db *db);
/* Copies what the WAL holds into the file, as far as readers let it, and without waiting for them; empties the WAL when
 * that was all. A failure costs nothing: what is in the WAL is safe. */
void db_checkpoint(struct db *db);
/* Rows that its statements have changed since it was opened. */
uint64_t db_changes(const struct db *db);
/* The one number a statement without parameters gives. */
int db_number(struct db *db, const char *sql, int64_t *out, struct err *e);

/* ERR_* of the connection's last failure: what a NULL below means. */
int db_why(const struct db *db);
/* Prepared once and kept by the connection. `sql` is a literal: its address is the key. Comes and is left reset. */
struct stmt *db_cached(struct db *db, const char *sql, struct err *e);
/* The caller's own. */
struct stmt *db_prepare(struct db *db, struct str sql, struct err *e);
void stmt_close(struct stmt *s);
void stmt_reset(struct stmt *s);

/* Parameters count from 1. Texts and blobs are not copied: they must live until the reset. A failure sticks until
 * stmt_step reports it. */
void stmt_bind_i64(struct stmt *s, int i, int64_t v);
void stmt_bind_text(struct stmt *s, int i, struct str v);
void stmt_bind_blob(struct stmt *s, int i, struct str v);
/* 1: a row; 0: the end; ERR_*. */
int stmt_step(struct stmt *s, struct err *e);
/* One step of a statement that returns nothing, and the reset. */
int stmt_run(struct stmt *s, struct err *e);
/* Columns count from 0; views until the next step. NULL is 0 and the empty text. */
int64_t stmt_i64(struct stmt *s, int column);
struct str stmt_text(struct stmt *s, int column);
/* ERR_NOMEM when a text read since the reset could not be had (and came out empty). */
int stmt_check(struct stmt *s, struct err *e);

/* One blob, read piece by piece without the rest of its row; it sees the database as it was when it was opened. A
 * failed move leaves nothing but db_blob_close. ERR_CORRUPT: there is no such row. */
struct db_blob;
struct db_blob *db_blob_open(struct db *db, const char *table, const char *column, int64_t row, struct err *e);
int db_blob_move(struct db_blob *b, int64_t row, struct err *e);
size_t db_blob_size(const struct db_blob *b);
/* n bytes from `at`, which must be inside. */
int db_blob_read(struct db_blob *b, size_t at, size_t n, void *to, struct err *e);
void db_blob_close(struct db_blob *b); /* NULL is fine */

/* Connections for reading: up to a few are kept open between uses. Thread-safe. */
struct db_pool;
struct db_pool *db_pool_new(const char *path, struct err *e);
void db_pool_free(struct db_pool *pool);
int db_pool_take(struct db_pool *pool, struct db **db, struct err *e);
/* Ends its transaction. NULL is fine. */
void db_pool_give(struct db_pool *pool, struct db *db);

/* --- sqlite_schema.c --- */

/* Makes the tables of a new database. ERR_UNSUPPORTED: it has another format. */
int db_schema(struct db *db, struct err *e);

/* --- sqlite_exemplars.c --- */

/* Makes the table where it is missing. */
int db_exemplar_schema(struct db *db, struct err *e);
/* Adds them, and drops what is too much. */
struct batch_exemplar;
int db_exemplars_add(struct db *db, const struct batch_exemplar *v, size_t n, struct err *e);

/* --- sqlite_metrics.c: senders, settings, series, journal, metadata --- */

/* The last number committed from this sender; 0 when there is none. */
int db_sender_last(struct db *db, struct str sender, uint64_t *number, struct err *e);
int db_sender_set(struct db *db, struct str sender, uint64_t number, int64_t now_ms, struct err *e);
int db_senders_forget(struct db *db, int64_t before_ms, struct err *e);

/* Records of the index's log (index-internal.h). */
int db_series_log_add(struct db *db, struct str record, struct err *e);
int db_series_log_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str record, struct err *e), void *arg,
                       struct err *e);
/* A number that the directory keeps under this name; `otherwise` becomes it the first time. */
int db_setting(struct db *db, const char *name, int64_t otherwise, int64_t *value, struct err *e);
int db_setting_set(struct db *db, const char *name, int64_t value, struct err *e);

int db_journal_add(struct db *db, uint64_t id, struct str record, struct err *e);
int db_journal_each(struct db *db, int (*fn)(void *arg, uint64_t id, struct str record, struct err *e), void *arg,
                    struct err *e);
/* Removes at most `n` of the records up to `upto`; *removed says how many it were. */
int db_journal_drop(struct db *db, uint64_t upto, size_t n, size_t *removed, struct err *e);

struct batch_metadata;
int db_metadata_set(struct db *db, const struct batch_metadata *m, struct err *e);
int db_metadata_each(struct db *db, int (*fn)(void *arg, const struct batch_metadata *m, struct err *e), void *arg,
                     struct err *e);

/* --- sqlite_blocks.c: in a file of blocks --- */

/* What one row says; not believed yet. */
struct block_row {
    int64_t id, rank, upto, first, last, series, pages, rows, bytes;
    bool gone;
};

/* Makes the tables when there are none, in the present transaction. ERR_UNSUPPORTED: a newer format. */
int db_blocks_schema(struct db *db, struct err *e);
/* Whether the file is one of blocks: ERR_CORRUPT, ERR_UNSUPPORTED. *empty: it has no tables yet. */
int db_blocks_recognise(struct db *db, bool *empty, struct err *e);
/* ERR_CORRUPT: there are none, but parts. */
int db_blocks_each(struct db *db, int (*fn)(void *arg, const struct block_row *row, struct err *e), void *arg,
                   struct err *e);
int db_block_get(struct db *db, uint64_t id, struct block_row *row, struct err *e); /* ERR_CORRUPT: not there */
/* The highest id there is. */
int db_blocks_last(struct db *db, uint64_t *id, struct err *e);
int db_block_add(struct db *db, const struct block_row *row, struct err *e);
int db_block_mark_gone(struct db *db, uint64_t id, struct err *e);
int db_blocks_mark_gone(struct db *db, uint64_t from, struct err *e); /* all that reach up to there, or beyond */
/* Removes at most `n` parts of the block, and when none is left its row: *done. */
int db_block_remove(struct db *db, uint64_t id, size_t n, bool *done, struct err *e);

/* Parts of a block: 0 is its directory, the others are pages. */
enum { BLOCK_PARTS = 1 << 20 };
static inline int64_t part_row(uint64_t block, uint32_t no)
{
    return (int64_t)(block * BLOCK_PARTS + no);
}
int db_part_add(struct db *db, uint64_t block, uint32_t no, struct str body, struct err *e);
struct db_blob *db_part_open(struct db *db, uint64_t block, uint32_t no, struct err *e);
/* Parts but the directory, and the bytes in them. */
int db_parts_count(struct db *db, uint64_t block, uint64_t *parts, uint64_t *bytes, struct err *e);

/* Whether so much of the file is free that it should shrink. */
int db_is_loose(struct db *db, bool *loose, struct err *e);
/* Gives back at most `pages` free pages; *left: there are more. */
int db_shrink(struct db *db, unsigned pages, bool *left, struct err *e);

/* --- sqlite_event_journal.c: records of one table's rows --- */

int db_event_journal_add(struct db *db, enum event_kind kind, uint64_t number, struct str record, struct err *e);
/* Those behind `after`, by rising number. */
int db_event_journal_each(struct db *db, enum event_kind kind, uint64_t after,
                          int (*fn)(void *arg, uint64_t number, struct str record, struct err *e), void *arg, struct err *e);
/* Removes at most `n` of the records up to `upto`; *removed says how many it were. */
int db_event_journal_drop(struct db *db, enum event_kind kind, uint64_t upto, size_t n, size_t *removed, struct err *e);

/* --- sqlite_catalog.c (reading is behind store/catalog.h) --- */

int db_catalog_revision(struct db *db, uint64_t *revision, struct err *e);

#endif
