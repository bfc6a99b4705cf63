/* sqlite_exemplars.c: the table of exemplars.
 *
 * A row holds the labels of the series and its own, packed, and the value's bits (SQLite would make NULL of a NaN). It
 * is written in its batch's transaction. The ids count up, so that the newest ones are those above max(id) - MOST. */
#include "store/store-internal.h"

#include "store/exemplars.h"
#include "store/pack-internal.h"

enum { MOST = 100000 };

int db_exemplar_schema(struct db *db, struct err *e)
{
    return db_exec(db,
                   "CREATE TABLE IF NOT EXISTS exemplar(id INTEGER PRIMARY KEY AUTOINCREMENT, series BLOB NOT NULL,"
                   " time_ms INTEGER NOT NULL, value INTEGER NOT NULL, labels BLOB NOT NULL);"
                   "CREATE UNIQUE INDEX IF NOT EXISTS exemplar_series ON exemplar(series, time_ms, labels)",
                   e);
}

/* --- writing --- */

static int add(struct stmt *s, const struct batch_exemplar *x, struct buf *series, struct buf *labels, struct err *e)
{
    int64_t bits;

    buf_reset(series);
    buf_reset(labels);
    labels_pack(series, x->series);
    labels_pack(labels, x->labels);
    if (buf_failed(series) || buf_failed(labels))
        return err_set(e, ERR_NOMEM, "no memory for an exemplar");
    memcpy(&bits, &x->sample.v, sizeof(bits));
    stmt_bind_blob(s, 1, buf_view(series));
    stmt_bind_i64(s, 2, x->sample.t);
    stmt_bind_i64(s, 3, bits);
    stmt_bind_blob(s, 4, labels->n ? buf_view(labels) : STR(""));
    return stmt_run(s, e);
}

int db_exemplars_add(struct db *db, const struct batch_exemplar *v, size_t n, struct err *e)
{
    struct buf series = BUF_INIT(16 << 20), labels = BUF_INIT(16 << 20);
    struct stmt *s;
    int rc = 0;

    if (n == 0)
        return 0;
    s = db_cached(db, "INSERT OR IGNORE INTO exemplar(series, time_ms, value, labels) VALUES(?, ?, ?, ?)", e);
    if (!s)
        return db_why(db);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add(s, &v[i], &series, &labels, e);
    buf_free(&series);
    buf_free(&labels);
    if (rc < 0)
        return rc;
    s = db_cached(db, "DELETE FROM exemplar WHERE id <= (SELECT max(id) FROM exemplar) - ?", e);
    if (!s)
        return db_why(db);
    stmt_bind_i64(s, 1, MOST);
    return stmt_run(s, e);
}

/* --- reading --- */

struct reading {
    struct arena *arena;
    const struct series_query *query;
    struct str packed; /* of the series before */
    struct labels series;
    bool matches;
    struct batch_exemplar *v;
    size_t n, cap;
};

/* Rows of one series follow each other: each is unpacked once. */
static int look_at_series(struct reading *r, struct str packed, struct err *e)
{
    int rc;

    if (r->packed.p && str_eq(packed, r->packed))
        return 0;
    r->packed = arena_str(r->arena, packed);
    if (!r->packed.p)
        return err_set(e, ERR_NOMEM, "no memory for the exemplars");
    rc = labels_unpack(r->arena, r->packed, &r->series, e);
    r->matches = rc == 0 && matchers_match(r->query->matchers, r->query->n, r->series);
    return rc;
}

static int take_row(struct reading *r, struct stmt *s, struct err *e)
{
    struct batch_exemplar x;
    struct str packed;
    int64_t bits = stmt_i64(s, 2);
    int rc = look_at_series(r, stmt_text(s, 0), e);

    if (rc < 0 || !r->matches)
        return rc;
    x.series = r->series;
    x.sample.t = stmt_i64(s, 1);
    memcpy(&x.sample.v, &bits, sizeof(bits));
    packed = arena_str(r->arena, stmt_text(s, 3));
    if (!packed.p || arena_grow(r->arena, &r->v, &r->cap, r->n + 1, sizeof(*r->v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the exemplars");
    rc = labels_unpack(r->arena, packed, &x.labels, e);
    r->v[r->n++] = x;
    return rc;
}

int exemplars_find(struct store *st, const struct series_query *q, struct arena *a, struct batch_exemplar **out,
                   size_t *n, struct err *e)
{
    struct reading r = { .arena = a, .query = q };
    struct stmt *s;
    struct db *db;
    int rc = db_pool_take(st->readers, &db, e);

    if (rc < 0)
        return rc;
    s = db_cached(db, "SELECT series, time_ms, value, labels FROM exemplar WHERE time_ms BETWEEN ? AND ?"
                      " ORDER BY series, time_ms, id", e);
    rc = s ? 0 : db_why(db);
    if (s) {
        stmt_bind_i64(s, 1, q->from_ms);
        stmt_bind_i64(s, 2, q->to_ms);
        while (rc == 0 && (rc = stmt_step(s, e)) == 1)
            rc = take_row(&r, s, e);
        if (rc == 0)
            rc = stmt_check(s, e);
        stmt_reset(s);
    }
    db_pool_give(st->readers, db);
    *out = r.v;
    *n = r.n;
    return rc;
}
