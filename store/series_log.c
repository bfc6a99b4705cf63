#include "store/series_log-internal.h"

#include "store/index-internal.h"
#include "store/sqlite-internal.h"

enum {
    RUN = 64,     /* a record of its own for fewer series costs more than the dead between them */
    RECORD = 4096 /* series in one record */
};
#define MOST_LABELS ((size_t)64 << 20) /* bytes of the labels of one record */

bool series_log_is_old(const struct series_index *ix, size_t dead)
{
    size_t runs = 0;
    bool before = false;

    if (index_dead(ix) < dead || index_dead(ix) < index_count(ix))
        return false;
    for (uint32_t id = 1; id < index_end(ix); id++) {
        runs += index_has(ix, id) && !before;
        before = index_has(ix, id);
    }
    return runs <= index_count(ix) / RUN + 1;
}

struct rewriting {
    struct db *db;
    const struct series_index *from;
    struct series_index *to;
    struct buf record;
};

static int flush(struct rewriting *r, struct err *e)
{
    int rc = buf_failed(&r->record) ? err_set(e, ERR_NOMEM, "no memory for the log of series")
                                    : db_series_log_add(r->db, buf_view(&r->record), e);

    buf_reset(&r->record);
    return rc;
}

static int skip_to(struct rewriting *r, uint32_t end, struct err *e)
{
    if (index_skip(r->to, end) < 0)
        return err_set(e, ERR_NOMEM, "no memory for an index of series");
    index_log_skip(end, &r->record);
    return flush(r, e);
}

/* The living from `id` on, some of them; returns one past the last. 0: `e` says why not. */
static uint32_t copy_from(struct rewriting *r, uint32_t id, struct err *e)
{
    struct index_mark mark = index_mark(r->to);
    struct arena a = ARENA_INIT(MOST_LABELS);
    uint32_t first = id;

    for (; id - first < RECORD && index_has(r->from, id); id++) {
        struct labels l = index_labels(r->from, id, &a);

        if (!l.v || index_add(r->to, index_key_of(r->from, id), l, e) != id) {
            err_set(e, ERR_NOMEM, "no memory for an index of series");
            id = 0;
            break;
        }
    }
    arena_free(&a);
    if (id == 0)
        return 0;
    index_log(r->to, mark, &r->record);
    return flush(r, e) < 0 ? 0 : id;
}

static int copy_all(struct rewriting *r, struct err *e)
{
    uint32_t id = 1, end = index_end(r->from);
    struct err why = ERR_INIT;
    int rc = 0;

    while (rc == 0 && id < end) {
        uint32_t next = id;

        while (next < end && !index_has(r->from, next))
            next++;
        if (next > id)
            rc = skip_to(r, next, &why);
        else if ((next = copy_from(r, id, &why)) == 0)
            rc = why.code;
        id = next;
    }
    if (rc < 0 && e)
        *e = why;
    return rc;
}

int series_log_rewrite(struct db *db, const struct series_index *ix, struct series_index **fresh, struct err *e)
{
    struct rewriting r = { db, ix, index_new(), BUF_INIT((size_t)1 << 29) };
    int rc = r.to ? db_begin(db, e) : err_set(e, ERR_NOMEM, "no memory for an index of series");

    if (rc == 0) {
        rc = db_exec(db, "DELETE FROM series_log", e);
        if (rc == 0)
            rc = copy_all(&r, e);
        if (rc == 0)
            rc = db_commit(db, e);
        else
            db_rollback(db);
    }
    buf_free(&r.record);
    if (rc < 0 || !fresh)
        index_free(r.to);
    else
        *fresh = r.to;
    return rc;
}
