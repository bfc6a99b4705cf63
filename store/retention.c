/* retention.c: dropping what is too old, in steps of some milliseconds with commits in between.
 *
 *     HEADS ─► CHUNKS ─► ACCESS_LOG ─► LOG ─► SPAN ─► SERIES ─► SENDERS ─► SPACE ─► done
 *
 * A series that has no samples left is forgotten; should the journal still name it, the replay passes over that. With
 * retention 0 nothing is too old, but empty series, senders not heard of for a week, and free pages go all the same. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"

enum stage { HEADS, CHUNKS, EVENTS, SERIES = EVENTS + EVENT_KINDS, SENDERS, SPACE, DONE };

enum {
    HEADS_STEP = 4096,
    CHUNKS_STEP = 256,
    EVENTS_STEP = 2000,
    SERIES_STEP = 256,
    FREE_PAGES = 256,      /* may stay: they will be needed again */
    PERIOD_MS = 60 * 1000
};

#define SENDER_MS ((int64_t)7 * 24 * 3600 * 1000)

static int drop_heads(struct store *st, struct retention *r, struct err *e)
{
    size_t at = index_lower_bound(&st->index, r->next), end = at + HEADS_STEP;
    int rc = 0;

    for (; rc == 0 && at < st->index.n && at < end; at++) {
        struct series *s = st->index.all[at];

        r->next = s->id + 1;
        if (s->head.n == 0 || s->head.block->t[0] >= r->cutoff_ms)
            continue;
        if (group_touch(&st->group, s) < 0 ||
            head_stage_deletion(&s->head, &st->epoch, INT64_MIN, r->cutoff_ms - 1) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory to drop old samples");
    }
    if (rc < 0)
        group_discard(st);
    else
        group_publish(st);
    return rc < 0 ? rc : at < st->index.n;
}

static int drop_chunks(struct store *st, struct retention *r, struct err *e)
{
    struct chunk_row rows[CHUNKS_STEP];
    size_t n;
    int rc = db_chunks_before(st->db, r->cutoff_ms, rows, CHUNKS_STEP, &n, e);

    if (rc < 0 || n == 0)
        return rc;
    rc = db_begin(st->db, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = db_chunk_remove(st->db, rows[i].id, e);
    if (rc < 0) {
        db_rollback(st->db);
        return rc;
    }
    rc = db_commit(st->db, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (i == 0 || rows[i].series != rows[i - 1].series)
            rc = series_refresh_sealed(st, rows[i].series, e);
    return rc < 0 ? rc : n == CHUNKS_STEP;
}

static int drop_events(struct store *st, const struct retention *r, enum event_kind kind, struct err *e)
{
    size_t removed;
    int rc;

    if (r->cutoff_ms <= INT64_MIN / 1000000 || r->cutoff_ms >= INT64_MAX / 1000000)
        return 0; /* no nanosecond is as old, or as new */
    rc = db_events_drop(st->db, kind, r->cutoff_ms * 1000000, EVENTS_STEP, &removed, e);
    return rc < 0 ? rc : removed == EVENTS_STEP;
}

static bool is_empty(const struct series *s)
{
    return s->head.n == 0 && s->sealed_first > s->sealed_last;
}

static int drop_series(struct store *st, struct retention *r, struct err *e)
{
    struct series *gone[SERIES_STEP];
    size_t at = index_lower_bound(&st->index, r->next), end = at + HEADS_STEP, n = 0;
    bool more;
    int rc;

    for (; at < st->index.n && at < end && n < SERIES_STEP; at++) {
        r->next = st->index.all[at]->id + 1;
        if (is_empty(st->index.all[at]))
            gone[n++] = st->index.all[at];
    }
    more = at < st->index.n;
    if (n == 0)
        return more;
    rc = db_begin(st->db, e);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = db_series_remove(st->db, gone[i]->id, e);
    if (rc < 0) {
        db_rollback(st->db);
        return rc;
    }
    rc = db_commit(st->db, e);
    if (rc < 0)
        return rc;
    pthread_rwlock_wrlock(&st->lock);
    index_remove(&st->index, &st->epoch, gone, n);
    pthread_rwlock_unlock(&st->lock);
    atomic_store(&st->counters.series, st->index.n);
    return more;
}

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
    switch (r->stage) {
    case HEADS:
        return drop_heads(st, r, e);
    case CHUNKS:
        return drop_chunks(st, r, e);
    case SERIES:
        return drop_series(st, r, e);
    case SENDERS:
        return db_senders_forget(st->db, r->now_ms - SENDER_MS, e);
    case SPACE:
        return give_back_space(st, e);
    default:
        return drop_events(st, r, (enum event_kind)(r->stage - EVENTS), e);
    }
}

int retention_step(struct store *st, struct retention *r, struct err *e)
{
    int rc = step(st, r, e);

    if (rc == 0) {
        r->stage++;
        r->next = 0;
        r->done = r->stage == DONE;
    }
    return rc < 0 ? rc : 0;
}

static struct retention pass(const struct store *st, int64_t now_ms)
{
    struct retention r = { .now_ms = now_ms, .cutoff_ms = INT64_MIN };

    if (st->options.retention_ms > 0 && now_ms > INT64_MIN + st->options.retention_ms)
        r.cutoff_ms = now_ms - st->options.retention_ms;
    else
        r.stage = SERIES;
    return r;
}

bool retention_tick(struct store *st)
{
    int64_t now_ms = clock_mono_ns() / 1000000;
    struct retention *r = &st->retention;
    struct err e = ERR_INIT;

    if (r->done) {
        if (now_ms < st->retain_ms)
            return false;
        *r = pass(st, clock_now_ms());
        st->retain_ms = now_ms + PERIOD_MS;
    }
    if (retention_step(st, r, &e) < 0) {
        log_error("dropping old data: %s (will be tried again)", e.msg);
        r->done = true;
    }
    return !r->done;
}

static int run_step(struct store *st, void *arg, struct err *e)
{
    return retention_step(st, arg, e);
}

int store_retain(struct store *st, int64_t now_ms, struct err *e)
{
    struct retention r = pass(st, now_ms);
    int rc = 0;

    while (rc == 0 && !r.done)
        rc = committer_run(st, run_step, &r, e);
    return rc;
}
