/* sealer.c: the thread that turns heads into blocks, and the committer's part in it.
 *
 * A block should span about SLICE samples of each series: few enough that a query for the last minutes decodes little,
 * enough that columns compress. So a head is written as one block for each of its partitions, or several, one behind the
 * other in time, when its series are long; and blocks whose series are short are merged later (merge.c). A block with
 * fewer than BLOCK_MIN samples is not split further for that: each block costs a directory. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/build-internal.h"
#include "store/merge-internal.h"

#include <stdlib.h>
#include <time.h>

enum {
    SLICE = 256,
    BLOCK_MIN = 256 * 1024,
    RECORDS_STEP = 1000,
    TICK_S = 1,
    RETRY_S = 5,
    ADMIT_S = 5,
    WORTH_SEALING = 1024  /* samples left at the end; fewer are replayed from the journal at the next start */
};

/* --- writing a head --- */

/* One partition's share of a head. */
struct share {
    int64_t partition, first, last;
    uint64_t samples, series;
    uint32_t seen; /* the last series that was counted, as a place in ids + 1 */
};

struct sealing {
    struct store *st;
    const struct head *head;
    uint32_t *ids;
    struct head_view *views;
    size_t n;
    struct share *shares;
    size_t nshares, cap;
    struct arena a;
};

static int list_series(struct sealing *s, struct err *e)
{
    uint32_t end = head_end(s->head);
    struct head_view v;
    int rc;

    for (uint32_t id = 0; id < end; id++)
        s->n += head_look(s->head, id, &v);
    s->ids = arena_array(&s->a, s->n + 1, sizeof(*s->ids));
    s->views = arena_array(&s->a, s->n + 1, sizeof(*s->views));
    if (!s->ids || !s->views)
        return err_set(e, ERR_NOMEM, "no memory to seal %zu series", s->n);
    s->n = 0;
    for (uint32_t id = 0; id < end; id++)
        if (head_look(s->head, id, &v))
            s->ids[s->n++] = id;
    pthread_rwlock_rdlock(&s->st->lock);
    rc = index_sort(s->st->index, s->ids, s->n);
    pthread_rwlock_unlock(&s->st->lock);
    if (rc < 0)
        return err_set(e, ERR_NOMEM, "no memory to sort %zu series", s->n);
    for (size_t i = 0; i < s->n; i++)
        (void)head_look(s->head, s->ids[i], &s->views[i]);
    return 0;
}

static struct share *share_of(struct sealing *s, int64_t partition)
{
    for (size_t i = s->nshares; i-- > 0;)
        if (s->shares[i].partition == partition)
            return &s->shares[i];
    if (arena_grow(&s->a, &s->shares, &s->cap, s->nshares + 1, sizeof(*s->shares)) < 0)
        return NULL;
    s->shares[s->nshares] = (struct share){ .partition = partition, .first = INT64_MAX, .last = INT64_MIN };
    return &s->shares[s->nshares++];
}

static int count_times(struct sealing *s, size_t at, const int64_t *t, size_t n, struct err *e)
{
    struct share *share = NULL;

    for (size_t i = 0; i < n; i++) {
        if (!share || partition_of(t[i]) != share->partition)
            share = share_of(s, partition_of(t[i]));
        if (!share)
            return err_set(e, ERR_NOMEM, "no memory to seal series");
        share->first = t[i] < share->first ? t[i] : share->first;
        share->last = t[i] > share->last ? t[i] : share->last;
        share->samples++;
        share->series += share->seen != at + 1;
        share->seen = (uint32_t)at + 1;
    }
    return 0;
}

/* Which partitions the head's samples belong to, and how many to each. */
static int find_shares(struct sealing *s, struct err *e)
{
    size_t cap = 0, vcap = 0;
    int64_t *t = NULL;
    double *v = NULL;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        size_t most = (size_t)s->views[i].n + s->views[i].n_late, n;

        if (mem_grow(&t, &cap, most, sizeof(*t)) < 0 || mem_grow(&v, &vcap, most, sizeof(*v)) < 0 ||
            head_read(&s->views[i], INT64_MIN, INT64_MAX, t, v, &n) < 0)
            rc = err_set(e, ERR_NOMEM, "no memory to seal %zu samples", most);
        else
            rc = count_times(s, i, t, n, e);
    }
    mem_free(t);
    mem_free(v);
    return rc;
}

static int write_slice(struct sealing *s, int64_t partition, int64_t from_ms, int64_t to_ms, struct err *e)
{
    struct scan_input in = { .store = s->st->blocks, .ids = s->ids, .n = s->n, .from_ms = from_ms, .to_ms = to_ms,
                             .views = { NULL, s->views } };
    struct arena a = ARENA_INIT(0); /* bounded by the head */
    struct scan *scan;
    int rc;

    in.end = head_end(s->head);
    scan = scan_open(&in, &a, e);
    rc = scan ? build_block(s->st->blocks, scan, s->ids, partition, NULL, NULL, 0, e) : e->code;
    arena_free(&a);
    if (rc == ERR_RANGE && from_ms < to_ms) { /* too dense for a page: half the time each */
        int64_t middle = from_ms + (to_ms - from_ms) / 2;

        rc = write_slice(s, partition, from_ms, middle, e);
        if (rc == 0)
            rc = write_slice(s, partition, middle + 1, to_ms, e);
    }
    return rc;
}

static int write_share(struct sealing *s, const struct share *share, struct err *e)
{
    uint64_t slices = share->samples / share->series / SLICE, most = share->samples / BLOCK_MIN, i;
    int64_t from_ms = share->first, span;
    int rc = 0;

    slices = slices < most ? slices : most;
    slices = slices ? slices : 1;
    span = (share->last - share->first) / (int64_t)slices + 1;
    for (i = 0; rc == 0 && i < slices && from_ms <= share->last; i++, from_ms += span) {
        int64_t to_ms = share->last - from_ms < span ? share->last : from_ms + span - 1;

        rc = write_slice(s, share->partition, from_ms, to_ms, e);
    }
    return rc;
}

static int by_partition(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    return (x->partition > y->partition) - (x->partition < y->partition);
}

static int seal(struct store *st, const struct head *h, struct err *e)
{
    struct sealing s = { .st = st, .head = h, .a = ARENA_INIT(0) };
    int rc = list_series(&s, e);

    if (rc == 0)
        rc = find_shares(&s, e);
    if (rc == 0 && s.nshares)
        qsort(s.shares, s.nshares, sizeof(*s.shares), by_partition);
    pthread_mutex_lock(&st->writing);
    for (size_t i = 0; rc == 0 && i < s.nshares; i++)
        rc = write_share(&s, &s.shares[i], e);
    pthread_mutex_unlock(&st->writing);
    if (rc == 0)
        atomic_fetch_add(&st->counters.sealed, head_samples(h));
    arena_free(&s.a);
    return rc;
}

/* --- the thread --- */

static void report(struct sealer *s, const char *what, int rc, const struct err *e)
{
    if (rc < 0 && s->failure.code == 0) /* told once, until it works again */
        log_error("%s: %s (will be tried again)", what, e->msg);
    if (rc == 0 && s->failure.code)
        log_info("%s: works again", what);
    s->failure = rc < 0 ? *e : (struct err)ERR_INIT;
}

enum task { TASK_HEAD, TASK_TICK, TASK_END };

/* Waits for a frozen head, or a tick. */
static enum task wait_for_task(struct sealer *s)
{
    struct timespec until;
    enum task task;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += s->failure.code ? RETRY_S : TICK_S;
    pthread_mutex_lock(&s->lock);
    while (!s->closing && (s->failure.code || !s->has_frozen || s->sealed))
        if (pthread_cond_timedwait(&s->work, &s->lock, &until) != 0)
            break;
    task = s->closing ? TASK_END : s->has_frozen && !s->sealed ? TASK_HEAD : TASK_TICK;
    pthread_mutex_unlock(&s->lock);
    return task;
}

static void seal_frozen(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct err e = ERR_INIT;
    int rc = seal(st, st->frozen, &e); /* stays: only the committer lets go of it, and not before it is sealed */

    pthread_mutex_lock(&s->lock);
    report(s, "sealing samples", rc, &e);
    s->sealed = rc == 0;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    committer_wake(st);
}

static void *sealer_main(void *arg)
{
    struct store *st = arg;
    enum task task;

    while ((task = wait_for_task(&st->sealer)) != TASK_END)
        if (task == TASK_HEAD)
            seal_frozen(st);
        else
            merge_tick(st);
    return NULL;
}

int sealer_init(struct sealer *s)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc)
        return ERR_NOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_mutex_init(&s->lock, NULL);
    rc |= pthread_cond_init(&s->work, &attr);
    rc |= pthread_cond_init(&s->ended, &attr);
    pthread_condattr_destroy(&attr);
    s->made = rc == 0;
    return rc ? ERR_NOMEM : 0;
}

int sealer_start(struct store *st, struct err *e)
{
    struct sealer *s = &st->sealer;

    if (pthread_create(&s->thread, NULL, sealer_main, st))
        return err_set(e, ERR_NOMEM, "cannot start the sealer's thread");
    pthread_setname_np(s->thread, "sealer");
    s->running = true;
    return 0;
}

void sealer_stop(struct store *st)
{
    struct sealer *s = &st->sealer;

    if (!s->running)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->work);
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->running = false;
}

/* --- the committer's part --- */

static bool due(const struct store *st, bool wanted)
{
    const struct journal_state *j = &st->journal;

    if (head_samples(st->head) == 0)
        return false;
    return wanted || head_samples(st->head) >= st->tuning.seal_samples || j->bytes >= st->tuning.seal_bytes ||
           clock_mono_ns() / 1000000 - j->oldest_ms >= st->tuning.seal_ms;
}

static void freeze(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct head *fresh = head_new();

    if (!fresh)
        return; /* at the next tick */
    pthread_rwlock_wrlock(&st->lock);
    st->frozen = st->head;
    st->head = fresh;
    pthread_rwlock_unlock(&st->lock);
    s->upto = st->journal.last;
    st->journal.bytes = 0;
    st->journal.oldest_ms = 0;
    pthread_mutex_lock(&s->lock);
    s->has_frozen = true;
    s->sealed = s->wanted = false;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

static void let_go(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct head *h = st->frozen;

    pthread_rwlock_wrlock(&st->lock);
    st->frozen = NULL;
    pthread_rwlock_unlock(&st->lock);
    head_release(h);
    st->journal.drop_upto = s->upto;
}

/* Drops the next records; true when there are more. */
static bool drop_records(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct err e = ERR_INIT;
    size_t removed;
    int rc;

    if (st->journal.drop_upto == 0)
        return false;
    rc = db_journal_drop(st->db, st->journal.drop_upto, RECORDS_STEP, &removed, &e);
    if (rc == 0 && removed == RECORDS_STEP)
        return true;
    if (rc < 0) {
        log_error("dropping journal records: %s (will be tried again)", e.msg);
        return false;
    }
    st->journal.drop_upto = 0;
    pthread_mutex_lock(&s->lock);
    s->has_frozen = s->sealed = false;
    s->passes++;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    return false;
}

bool sealer_tick(struct store *st)
{
    struct sealer *s = &st->sealer;
    bool sealed, wanted;

    pthread_mutex_lock(&s->lock);
    sealed = s->sealed;
    wanted = s->wanted;
    if (wanted && !s->has_frozen && head_samples(st->head) == 0) {
        s->wanted = false; /* nothing to do */
        s->passes++;
        pthread_cond_broadcast(&s->ended);
    }
    pthread_mutex_unlock(&s->lock);
    if (sealed && st->frozen)
        let_go(st);
    if (st->journal.drop_upto)
        return drop_records(st);
    if (!st->frozen && due(st, wanted))
        freeze(st);
    return false;
}

/* Waits on `ended` until that time at most, with the lock held. False: it is over. */
static bool wait_ended(struct sealer *s, const struct timespec *until)
{
    return pthread_cond_timedwait(&s->ended, &s->lock, until) == 0;
}

static struct timespec seconds_from_now(int seconds)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += seconds;
    return t;
}

int sealer_admit(struct store *st, struct err *e)
{
    struct sealer *s = &st->sealer;
    struct timespec until;
    struct err failure;
    bool sealed;

    if (!st->frozen || head_samples(st->head) < st->tuning.seal_samples)
        return 0;
    until = seconds_from_now(ADMIT_S);
    pthread_mutex_lock(&s->lock);
    while (!s->sealed && s->failure.code == 0 && !s->closing && wait_ended(s, &until))
        ;
    sealed = s->sealed;
    failure = s->failure;
    pthread_mutex_unlock(&s->lock);
    while (sealed && sealer_tick(st))
        ;
    if (!st->frozen || head_samples(st->head) < 2 * st->tuning.seal_samples)
        return 0;
    atomic_fetch_add(&st->counters.refused, 1);
    return err_set(e, ERR_BUSY, "too much waits to be written to disk (%s; try again later)",
                   failure.code ? failure.msg : "the disk is slow");
}

int sealer_seal_all(struct store *st, struct err *e)
{
    struct sealer *s = &st->sealer;
    struct timespec until;
    uint64_t target;
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    target = s->passes + 1 + s->has_frozen;
    while (rc == 0 && s->passes < target) {
        s->wanted |= !s->has_frozen;
        if (s->closing)
            rc = err_set(e, ERR_CLOSED, "the store is being closed");
        else if (s->failure.code)
            rc = err_set(e, s->failure.code, "%s", s->failure.msg);
        if (rc < 0)
            break;
        pthread_mutex_unlock(&s->lock);
        committer_wake(st);
        until = seconds_from_now(1);
        pthread_mutex_lock(&s->lock);
        if (s->passes < target && !s->closing)
            (void)wait_ended(s, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* --- the end --- */

static int finish_one(struct store *st, const struct head *h, uint64_t upto)
{
    struct err e = ERR_INIT;
    size_t removed = RECORDS_STEP;
    int rc = seal(st, h, &e);

    while (rc == 0 && removed == RECORDS_STEP)
        rc = db_journal_drop(st->db, upto, RECORDS_STEP, &removed, &e);
    if (rc < 0) /* no harm: the journal has it all */
        log_error("sealing samples at the end: %s", e.msg);
    return rc;
}

void sealer_finish(struct store *st)
{
    struct sealer *s = &st->sealer;
    int rc = 0;

    if (!s->made)
        return;
    if (st->frozen && s->sealed)
        st->journal.drop_upto = s->upto;
    while (drop_records(st))
        ;
    if (st->frozen && !s->sealed)
        rc = finish_one(st, st->frozen, s->upto);
    if (rc == 0 && head_samples(st->head) >= WORTH_SEALING) /* in order: records go from the oldest on */
        (void)finish_one(st, st->head, st->journal.last);
    if (st->db) /* what the journal took is the file system's again */
        (void)db_exec(st->db, "PRAGMA incremental_vacuum", NULL);
    pthread_cond_destroy(&s->ended);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    s->made = false;
}
