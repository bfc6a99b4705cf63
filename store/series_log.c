#include "store/series_log-internal.h"

#include "store/index-internal.h"
#include "store/sqlite-internal.h"

enum { MANY = 100000 }; /* dead series that may stay in any case */

static int replace(struct db *db, struct str record, struct err *e)
{
    int rc = db_begin(db, e);

    if (rc == 0)
        rc = db_exec(db, "DELETE FROM series_log", e);
    if (rc == 0)
        rc = db_series_log_add(db, record, e);
    if (rc == 0)
        return db_commit(db, e);
    db_rollback(db);
    return rc;
}

int series_log_rewrite(struct db *db, const struct series_index *ix, struct err *e)
{
    struct series_index *empty = index_new();
    struct buf record = BUF_INIT((size_t)1 << 30);
    int rc;

    if (empty)
        index_log(ix, index_mark(empty), &record);
    rc = empty && !buf_failed(&record) ? replace(db, buf_view(&record), e)
                                       : err_set(e, ERR_NOMEM, "no memory to write the log of series anew");
    index_free(empty);
    buf_free(&record);
    return rc;
}

int series_log_tidy(struct db *db, const struct series_index *ix, struct err *e)
{
    size_t dead = index_end(ix) - 1 - index_count(ix);
    int64_t records;
    int rc;

    if (dead < MANY || dead < index_count(ix))
        return 0;
    rc = db_number(db, "SELECT count(*) FROM series_log", &records, e);
    return rc < 0 || records < 2 ? rc : series_log_rewrite(db, ix, e);
}
