/* sqlite_blocks.c: what is in a file of blocks.
 *
 * block  one small row for each block, so that opening a file reads next to nothing
 * part   the blobs: row BLOCK_PARTS * block is the directory (directory.c; of rows: event_build-internal.h), those behind
 *        it hold the pages of samples, several in each, one behind the other; or a column of rows each
 *
 * A part of 512 KiB is a chain of SQLite's overflow pages, walked in one pass for rising offsets. SQLite fills these
 * pages to the last byte and keeps the rest of a blob in the leaf, so little is lost. Measured with a block of 17 MB,
 * CPU ms to write it and to read all its pages, the space lost, and the size of a file with one tiny block:
 *
 *     database page    4 KiB    8 KiB   16 KiB   32 KiB   64 KiB
 *     write              112       94       62       53       56
 *     read               8.4      6.5      4.3      3.7      6.5
 *     lost             0.5 %    0.6 %    1.0 %    2.6 %    3.1 %
 *     tiny             16 K     32 K     64 K     128 K    256 K */
#include "store/sqlite-internal.h"

#include <stdio.h>

enum { FORMAT = 2 };

static const char tables[] =
    "CREATE TABLE block(id INTEGER PRIMARY KEY, rank INTEGER NOT NULL, gone INTEGER NOT NULL, upto INTEGER NOT NULL,"
    " first INTEGER NOT NULL, last INTEGER NOT NULL, series INTEGER NOT NULL, pages INTEGER NOT NULL,"
    " rows INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "CREATE TABLE part(id INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    "PRAGMA user_version=2";

/* Made, and killed before the first block: no tables, in a file that has no room for any. */
static int check_empty(struct db *db, struct err *e)
{
    int64_t made, pages = 0;
    int rc = db_number(db, "SELECT count(*) FROM sqlite_master", &made, e);

    if (rc == 0)
        rc = db_number(db, "PRAGMA page_count", &pages, e);
    if (rc == 0 && (made || pages > 2))
        rc = err_set(e, ERR_CORRUPT, "no format, but %lld pages", (long long)pages);
    return rc;
}

int db_blocks_recognise(struct db *db, bool *empty, struct err *e)
{
    int64_t format = 0;
    int rc = db_check_application(db, e);

    *empty = false;
    if (rc == 0)
        rc = db_number(db, "PRAGMA user_version", &format, e);
    if (rc == 0 && (format < 0 || format > FORMAT))
        rc = err_set(e, ERR_UNSUPPORTED, "format %lld, of a newer vigla; this one reads up to %d", (long long)format,
                     FORMAT);
    if (rc == 0 && format && format < FORMAT)
        rc = err_set(e, ERR_UNSUPPORTED, "format %lld, of a vigla before its first release; this one reads format %d",
                     (long long)format, FORMAT);
    if (rc == 0 && format == 0) {
        rc = check_empty(db, e);
        *empty = rc == 0;
    }
    return rc;
}

int db_blocks_schema(struct db *db, struct err *e)
{
    bool empty;
    int rc = db_blocks_recognise(db, &empty, e);

    return rc < 0 || !empty ? rc : db_exec(db, tables, e);
}

#define ROW "id, rank, gone, upto, first, last, series, pages, rows, bytes"

static void get_row(struct stmt *s, struct block_row *row)
{
    *row = (struct block_row){ .id = stmt_i64(s, 0),     .rank = stmt_i64(s, 1),  .gone = stmt_i64(s, 2) != 0,
                               .upto = stmt_i64(s, 3),   .first = stmt_i64(s, 4), .last = stmt_i64(s, 5),
                               .series = stmt_i64(s, 6), .pages = stmt_i64(s, 7), .rows = stmt_i64(s, 8),
                               .bytes = stmt_i64(s, 9) };
}

/* `sql` with whole numbers for its parameters. */
static struct stmt *bound(struct db *db, const char *sql, const int64_t *v, int n, struct err *e)
{
    struct stmt *s = db_cached(db, sql, e);

    for (int i = 0; s && i < n; i++)
        stmt_bind_i64(s, i + 1, v[i]);
    return s;
}

static int run(struct db *db, const char *sql, const int64_t *v, int n, struct err *e)
{
    struct stmt *s = bound(db, sql, v, n, e);

    return s ? stmt_run(s, e) : db_why(db);
}

int db_blocks_each(struct db *db, int (*fn)(void *arg, const struct block_row *row, struct err *e), void *arg,
                   struct err *e)
{
    struct stmt *s = db_cached(db, "SELECT " ROW " FROM block", e);
    struct block_row row;
    int64_t rows = 0, parts = 0;
    int rc;

    if (!s)
        return db_why(db);
    for (; (rc = stmt_step(s, e)) == 1; rows++) {
        get_row(s, &row);
        rc = fn(arg, &row, e);
        if (rc < 0)
            break;
    }
    stmt_reset(s);
    if (rc == 0 && rows == 0) /* the file would be removed */
        rc = db_number(db, "SELECT EXISTS(SELECT 1 FROM part)", &parts, e);
    return rc == 0 && parts ? err_set(e, ERR_CORRUPT, "parts, but no blocks") : rc;
}

int db_block_get(struct db *db, uint64_t id, struct block_row *row, struct err *e)
{
    struct stmt *s = bound(db, "SELECT " ROW " FROM block WHERE id=?", (int64_t[]){ (int64_t)id }, 1, e);
    int rc = s ? stmt_step(s, e) : db_why(db);

    if (rc == 1)
        get_row(s, row);
    if (s)
        stmt_reset(s);
    if (rc == 0)
        return err_set(e, ERR_CORRUPT, "its row is not there");
    return rc < 0 ? rc : 0;
}

int db_blocks_last(struct db *db, uint64_t *id, struct err *e)
{
    int64_t last;
    int rc = db_number(db, "SELECT max(id) FROM block", &last, e);

    *id = last > 0 ? (uint64_t)last : 0;
    return rc;
}

int db_block_add(struct db *db, const struct block_row *row, struct err *e)
{
    const int64_t v[] = { row->id,   row->rank,   row->gone,  row->upto, row->first,
                          row->last, row->series, row->pages, row->rows, row->bytes };

    return run(db, "INSERT INTO block(" ROW ") VALUES(?,?,?,?,?,?,?,?,?,?)", v, 10, e);
}

int db_block_mark_gone(struct db *db, uint64_t id, struct err *e)
{
    return run(db, "UPDATE block SET gone=1 WHERE id=?", (int64_t[]){ (int64_t)id }, 1, e);
}

int db_blocks_mark_gone(struct db *db, uint64_t from, struct err *e)
{
    return run(db, "UPDATE block SET gone=1 WHERE upto>=?", (int64_t[]){ (int64_t)from }, 1, e);
}

/* Two numbers about the parts [range[0], range[1]). */
static int ask_parts(struct db *db, const char *sql, const int64_t range[2], uint64_t out[2], struct err *e)
{
    struct stmt *s = bound(db, sql, range, 2, e);
    int rc = s ? stmt_step(s, e) : db_why(db);

    for (int i = 0; i < 2; i++)
        out[i] = rc == 1 ? (uint64_t)stmt_i64(s, i) : 0;
    if (s)
        stmt_reset(s);
    return rc < 0 ? rc : 0;
}

int db_block_remove(struct db *db, uint64_t id, size_t n, bool *done, struct err *e)
{
    const int64_t v[] = { part_row(id, 0), part_row(id + 1, 0), (int64_t)n };
    uint64_t left[2] = { 0 };
    int rc = run(db, "DELETE FROM part WHERE id IN (SELECT id FROM part WHERE id>=? AND id<? LIMIT ?)", v, 3, e);

    *done = false;
    if (rc == 0)
        rc = ask_parts(db, "SELECT EXISTS(SELECT 1 FROM part WHERE id>=? AND id<?), 0", v, left, e);
    if (rc < 0 || left[0])
        return rc;
    rc = run(db, "DELETE FROM block WHERE id=?", (int64_t[]){ (int64_t)id }, 1, e);
    *done = rc == 0;
    return rc;
}

int db_parts_count(struct db *db, uint64_t block, uint64_t *parts, uint64_t *bytes, struct err *e)
{
    const int64_t range[] = { part_row(block, 1), part_row(block + 1, 0) };
    uint64_t out[2] = { 0 };
    int rc = ask_parts(db, "SELECT count(*), sum(length(body)) FROM part WHERE id>=? AND id<?", range, out, e);

    *parts = out[0];
    *bytes = out[1];
    return rc;
}

int db_part_add(struct db *db, uint64_t block, uint32_t no, struct str body, struct err *e)
{
    struct stmt *s = db_cached(db, "INSERT INTO part(id, body) VALUES(?,?)", e);

    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, part_row(block, no));
    stmt_bind_blob(s, 2, body);
    return stmt_run(s, e);
}

struct db_blob *db_part_open(struct db *db, uint64_t block, uint32_t no, struct err *e)
{
    return db_blob_open(db, "part", "body", part_row(block, no), e);
}

/* A quarter, and at least 1 MiB: less will be filled by the next blocks. */
int db_is_loose(struct db *db, bool *loose, struct err *e)
{
    int64_t unused = 0, all = 0;
    int rc = db_number(db, "PRAGMA freelist_count", &unused, e);

    if (rc == 0)
        rc = db_number(db, "PRAGMA page_count", &all, e);
    *loose = rc == 0 && unused >= 64 && unused >= all / 4;
    return rc;
}

int db_shrink(struct db *db, unsigned pages, bool *left, struct err *e)
{
    char sql[48];
    int64_t unused = 0;
    int rc;

    snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%u)", pages);
    rc = db_exec(db, sql, e);
    if (rc == 0)
        rc = db_number(db, "PRAGMA freelist_count", &unused, e);
    *left = unused > 0;
    return rc;
}
