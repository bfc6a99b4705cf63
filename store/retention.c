/* retention.c: dropping what is too old, in steps of some milliseconds with commits in between.
 *
 *     SENDERS ─► SPACE ─► done
 *
 * Samples and rows go by whole partitions, the sealer sees to it (merge.c). A series that has no samples left, and none in files
 * that are yet to be removed, is forgotten; should the journal still name it, the replay passes over that. With retention 0
 * nothing is too old, but senders not heard of for a week, and free pages go all the same. */
#include "store/bits-internal.h"
#include "store/series_log-internal.h"
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"

enum stage { SENDERS, SPACE, DONE };

enum {
    FREE_PAGES = 256,      /* may stay: they will be needed again */
    PERIOD_MS = 60 * 1000
};

#define SENDER_MS ((int64_t)7 * 24 * 3600 * 1000)

static int give_back_space(struct store *st, struct err *e)
{
    int64_t pages;
    int rc = db_number(st->db, "PRAGMA freelist_count", &pages, e);

    if (rc < 0 || pages <= FREE_PAGES)
        return rc;
    rc = db_exec(st->db, "PRAGMA incremental_vacuum(64)", e);
    return rc < 0 ? rc : 1;
}

/* One step of the stage the pass is in: 1 when the stage has more to do, 0 when it is done. */
static int step(struct store *st, struct retention *r, struct err *e)
{
    return r->stage == SENDERS ? db_senders_forget(st->db, r->now_ms - SENDER_MS, e) : give_back_space(st, e);
}

int retention_step(struct store *st, struct retention *r, struct err *e)
{
    int rc = step(st, r, e);

    if (rc == 0) {
        r->stage++;
        r->done = r->stage == DONE;
    }
    return rc < 0 ? rc : 0;
}

bool retention_tick(struct store *st)
{
    int64_t now_ms = clock_mono_ns() / 1000000;
    struct retention *r = &st->retention;
    struct err e = ERR_INIT;

    if (r->done) {
        if (now_ms < st->retain_ms)
            return false;
        *r = (struct retention){ .now_ms = clock_now_ms() };
        st->retain_ms = now_ms + PERIOD_MS;
    }
    if (retention_step(st, r, &e) < 0) {
        log_error("dropping old data: %s (will be tried again)", e.msg);
        r->done = true;
    }
    return !r->done;
}

/* --- series without samples --- */

struct forgetting {
    struct block_list *list; /* that was looked at */
    uint64_t *seen; /* bits: has samples in a block */
    uint32_t end;
    uint32_t *gone;
    size_t n;
};

static int mark_block(struct store *st, struct block *b, struct forgetting *f, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct block_directory d;
    int rc = blocks_directory(st->blocks, b, &a, &d, e);

    for (uint32_t i = 0; rc == 0 && i < b->series; i++)
        if (d.ids[i] < f->end)
            bits_set(f->seen, d.ids[i]);
    arena_free(&a);
    return rc == ERR_CORRUPT ? 0 : rc; /* set aside: its series are not served any more */
}

static bool is_listed(const struct block_list *list, const struct block *b)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->blocks[i] == b)
            return true;
    return false;
}

/* The blocks of `list` that have come since `before`. */
static int mark_blocks(struct store *st, const struct block_list *list, const struct block_list *before,
                       struct forgetting *f, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < list->n; i++)
        if (!before || !is_listed(before, list->blocks[i]))
            rc = mark_block(st, list->blocks[i], f, e);
    return rc;
}

static bool in_head(const struct head *h, uint32_t id)
{
    struct head_view v;

    return h && head_look(h, id, &v);
}

int retention_renew_index(struct store *st, struct err *e)
{
    struct series_index *old = st->index, *fresh;
    int rc;

    if (!series_log_is_old(old, st->tuning.dead_series))
        return 0;
    rc = series_log_rewrite(st->db, old, &fresh, e);
    if (rc < 0)
        return rc;
    pthread_rwlock_wrlock(&st->lock);
    st->index = fresh;
    pthread_rwlock_unlock(&st->lock);
    index_free(old); /* its texts stay as long as a query has them */
    return 0;
}

/* On the committer's thread: heads do not change meanwhile. What was in one when the blocks were looked at may have been
 * sealed since, and let go of: so blocks that are new count as well. */
static int forget(struct store *st, void *arg, struct err *e)
{
    struct forgetting *f = arg;
    struct block_list *list = blocks_hold(st->blocks);
    struct buf record = BUF_INIT((size_t)1 << 28);
    int rc = mark_blocks(st, list, f->list, f, e);

    blocks_release(st->blocks, list);
    if (rc < 0)
        return rc;
    for (uint32_t id = 1; id < f->end; id++)
        if (index_has(st->index, id) && !bits_test(f->seen, id) && !in_head(st->head, id) &&
            !in_head(st->frozen, id))
            f->gone[f->n++] = id;
    if (f->n == 0)
        return retention_renew_index(st, e);
    index_log_removal(f->gone, f->n, &record);
    rc = buf_failed(&record) ? err_set(e, ERR_NOMEM, "no memory to forget %zu series", f->n)
                             : db_series_log_add(st->db, buf_view(&record), e);
    buf_free(&record);
    if (rc < 0)
        return rc;
    pthread_rwlock_wrlock(&st->lock);
    index_remove(st->index, f->gone, f->n);
    pthread_rwlock_unlock(&st->lock);
    atomic_store(&st->counters.series, index_count(st->index));
    return retention_renew_index(st, e);
}

int retention_forget(struct store *st, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the number of series */
    struct forgetting f = { 0 };
    int rc = 0;

    pthread_rwlock_rdlock(&st->lock);
    f.end = index_end(st->index);
    f.list = blocks_hold(st->blocks);
    pthread_rwlock_unlock(&st->lock);
    f.seen = arena_array(&a, bits_words(f.end), sizeof(*f.seen));
    f.gone = arena_array(&a, (size_t)f.end + 1, sizeof(*f.gone));
    if (!f.seen || !f.gone)
        rc = err_set(e, ERR_NOMEM, "no memory to look for empty series");
    if (rc == 0)
        rc = mark_blocks(st, f.list, NULL, &f, e);
    if (rc == 0)
        rc = committer_run(st, forget, &f, e);
    blocks_release(st->blocks, f.list);
    arena_free(&a);
    return rc;
}

/* --- all of it at once --- */

static int run_step(struct store *st, void *arg, struct err *e)
{
    return retention_step(st, arg, e);
}

static int drop_partitions(struct store *st, struct blocks *bs, int64_t before_ms, struct err *e)
{
    size_t dropped;
    int rc;

    pthread_mutex_lock(&st->writing);
    rc = blocks_drop(bs, before_ms, &dropped, e);
    while (rc == 0 && (rc = blocks_clean(bs, e)) == 1)
        rc = 0;
    pthread_mutex_unlock(&st->writing);
    return rc;
}

/* What ends at or before that time, and series that are left without samples. */
static int drop_old(struct store *st, int64_t before_ms, struct err *e)
{
    int rc = drop_partitions(st, st->blocks, before_ms, e);

    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        rc = drop_partitions(st, st->events[kind].blocks, before_ms, e);
    if (rc < 0 || !blocks_dropping(st->blocks))
        return rc < 0 ? rc : retention_forget(st, e);
    atomic_store(&st->sealer.forget, true); /* somebody reads what was dropped: the sealer will see to it */
    return 0;
}

int store_retain(struct store *st, int64_t now_ms, struct err *e)
{
    struct retention r = { .now_ms = now_ms };
    int64_t most = st->options.retention_ms;
    int rc = most > 0 && now_ms > INT64_MIN + most ? drop_old(st, now_ms - most, e) : retention_forget(st, e);

    while (rc == 0 && !r.done)
        rc = committer_run(st, run_step, &r, e);
    return rc;
}
