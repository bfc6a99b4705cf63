/* sealer.c: the thread that turns heads into blocks, and the committer's part in it (states in the header). */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/merge-internal.h"

#include <time.h>

enum {
    RECORDS_STEP = 1000,
    ADMIT_MS = 5000,
    WORTH_SEALING = 1024 /* samples left at the end; fewer are replayed from the journal at the next start */
};

/* Of what stands between a frozen head and the next; with the lock held. */
static void report(struct sealer *s, const char *what, int rc, const struct err *e)
{
    if (rc < 0 && s->failure.code == 0) /* told once, until it works again */
        log_error("%s: %s (will be tried again)", what, e->msg);
    if (rc == 0 && s->failure.code)
        log_info("%s: works again", what);
    s->failure = rc < 0 ? *e : (struct err)ERR_INIT;
}

/* --- the thread --- */

enum task { TASK_HEAD, TASK_TICK, TASK_END };

static struct timespec from_now(int64_t ms)
{
    int64_t ns = clock_mono_ns() + ms * 1000000;

    return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

/* Waits for a frozen head, or a tick. */
static enum task wait_for_task(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct timespec until;
    enum task task;

    pthread_mutex_lock(&s->lock);
    until = from_now(s->failure.code ? st->tuning.retry_ms : st->tuning.tidy_ms);
    while (!s->closing && (s->failure.code || !s->has_frozen || s->sealed))
        if (pthread_cond_timedwait(&s->work, &s->lock, &until) != 0)
            break;
    task = s->closing ? TASK_END : s->has_frozen && !s->sealed ? TASK_HEAD : TASK_TICK;
    pthread_mutex_unlock(&s->lock);
    return task;
}

/* False: it failed. Then what is too old still goes, which may be what the disk lacks. */
static bool seal_frozen(struct store *st)
{
    struct sealer *s = &st->sealer;
    struct err e = ERR_INIT;
    int rc = seal_head(st, st->frozen, &s->done, &e); /* stays: only the committer lets go of it, and not before it is sealed */

    pthread_mutex_lock(&s->lock);
    report(s, "sealing samples", rc, &e);
    s->sealed = rc == 0;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    committer_wake(st);
    return rc == 0;
}

static void *sealer_main(void *arg)
{
    struct store *st = arg;
    enum task task;

    while ((task = wait_for_task(st)) != TASK_END)
        if (task == TASK_TICK || !seal_frozen(st))
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
    return wanted || st->days.n >= MOST_DAYS || head_samples(st->head) >= st->tuning.seal_samples || j->bytes >= st->tuning.seal_bytes ||
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
    s->done = (struct seal_progress){ false, 0 };
    st->journal.bytes = 0;
    st->journal.oldest_ms = 0;
    days_reset(&st->days);
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
    pthread_mutex_lock(&s->lock);
    report(s, "dropping journal records", rc, &e);
    if (rc == 0) {
        st->journal.drop_upto = 0;
        s->has_frozen = s->sealed = false;
        s->passes++;
    }
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

/* Whether the head has `times` as much as one that is sealed. */
static bool is_full(const struct store *st, size_t times)
{
    return head_samples(st->head) >= times * st->tuning.seal_samples || st->days.n >= times * MOST_DAYS;
}

int sealer_admit(struct store *st, struct err *e)
{
    struct sealer *s = &st->sealer;
    struct timespec until;
    struct err failure;
    bool sealed;

    if (!st->frozen || !is_full(st, 1))
        return 0;
    until = from_now(ADMIT_MS);
    pthread_mutex_lock(&s->lock);
    while (!s->sealed && s->failure.code == 0 && !s->closing && wait_ended(s, &until))
        ;
    sealed = s->sealed;
    failure = s->failure;
    pthread_mutex_unlock(&s->lock);
    while (sealed && sealer_tick(st))
        ;
    if (!st->frozen || !is_full(st, 2))
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

    committer_wake(st); /* what failed before is tried again */
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
        until = from_now(st->tuning.retry_ms);
        pthread_mutex_lock(&s->lock);
        if (s->passes < target && !s->closing)
            (void)wait_ended(s, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* --- the end --- */

static int finish_one(struct store *st, const struct head *h, struct seal_progress *done, uint64_t upto)
{
    struct err e = ERR_INIT;
    size_t removed = RECORDS_STEP;
    int rc = seal_head(st, h, done, &e);

    while (rc == 0 && removed == RECORDS_STEP)
        rc = db_journal_drop(st->db, upto, RECORDS_STEP, &removed, &e);
    if (rc < 0) /* no harm: the journal has it all */
        log_error("sealing samples at the end: %s", e.msg);
    return rc;
}

void sealer_finish(struct store *st)
{
    struct seal_progress fresh = { false, 0 };
    struct sealer *s = &st->sealer;
    int rc = 0;

    if (!s->made)
        return;
    if (st->frozen && s->sealed)
        st->journal.drop_upto = s->upto;
    while (drop_records(st))
        ;
    if (st->frozen && !s->sealed)
        rc = finish_one(st, st->frozen, &s->done, s->upto);
    if (rc == 0 && head_samples(st->head) >= WORTH_SEALING) /* in order: records go from the oldest on */
        (void)finish_one(st, st->head, &fresh, st->journal.last);
    if (st->db) /* what the journal took is the file system's again */
        (void)db_exec(st->db, "PRAGMA incremental_vacuum", NULL);
    pthread_cond_destroy(&s->ended);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    s->made = false;
}
