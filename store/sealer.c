/* sealer.c: the thread that turns heads into blocks, and the committer's part in it (states in the header). */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/merge-internal.h"

#include <time.h>

enum {
    RECORDS_STEP = 1000,
    ADMIT_MS = 5000,
    WORTH_SEALING = 1024 /* left at the end; fewer are replayed from the journal at the next start */
};

static const struct seal_ops *ops_of(int slot)
{
    return slot == SEAL_SAMPLES ? &seal_samples : &seal_events;
}

/* Of the table, where the slot is one of rows. */
static int kind_of(int slot)
{
    return slot - SEAL_EVENTS;
}

static const char *name_of(int slot)
{
    return slot == SEAL_SAMPLES ? "samples" : event_tables[kind_of(slot)].name.p;
}

/* Of what stands between a frozen head and the next; with the lock held. */
static void report(struct store *st, int slot, const char *what, int rc, const struct err *e)
{
    struct seal_slot *s = &st->sealer.slots[slot];

    if (rc < 0 && s->failure.code == 0) /* told once, until it works again */
        log_error("%s (%s): %s (will be tried again)", what, name_of(slot), e->msg);
    if (rc == 0 && s->failure.code)
        log_info("%s (%s): works again", what, name_of(slot));
    s->failure = rc < 0 ? *e : (struct err)ERR_INIT;
    s->retry_ns = rc < 0 ? clock_mono_ns() + st->tuning.retry_ms * 1000000 : 0;
}

/* --- the thread --- */

enum { TASK_NONE = -1, TASK_TICK = -2, TASK_END = -3 }; /* else the slot whose head is to be written */

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

static struct timespec from_now(int64_t ms)
{
    return timespec_of(clock_mono_ns() + ms * 1000000);
}

/* The next in turn; TASK_NONE: none now. *until becomes earlier when one is to be tried again before. */
static int next_slot(const struct sealer *s, int64_t now_ns, int64_t *until)
{
    for (int i = 1; i <= SEAL_SLOTS; i++) {
        int slot = (s->turn + i) % SEAL_SLOTS;
        const struct seal_slot *one = &s->slots[slot];

        if (!one->has_frozen || one->sealed)
            continue;
        if (one->retry_ns <= now_ns)
            return slot;
        if (one->retry_ns < *until)
            *until = one->retry_ns;
    }
    return TASK_NONE;
}

/* Waits for a frozen head, or for the time of a tick. */
static int wait_for_task(struct store *st)
{
    struct sealer *s = &st->sealer;
    int64_t tick_ns = clock_mono_ns() + st->tuning.tidy_ms * 1000000;
    int task;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        int64_t now_ns = clock_mono_ns(), until_ns = tick_ns;
        struct timespec until;

        task = s->closing ? TASK_END : next_slot(s, now_ns, &until_ns);
        if (task == TASK_NONE && now_ns >= tick_ns)
            task = TASK_TICK;
        if (task != TASK_NONE)
            break;
        until = timespec_of(until_ns);
        pthread_cond_timedwait(&s->work, &s->lock, &until);
    }
    if (task >= 0)
        s->turn = task;
    pthread_mutex_unlock(&s->lock);
    return task;
}

/* False: it failed. Then what is too old still goes, which may be what the disk lacks. */
static bool seal_frozen(struct store *st, int slot)
{
    struct sealer *s = &st->sealer;
    struct err e = ERR_INIT;
    int rc = ops_of(slot)->seal(st, kind_of(slot), &e);

    pthread_mutex_lock(&s->lock);
    report(st, slot, "sealing", rc, &e);
    s->slots[slot].sealed = rc == 0;
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    committer_wake(st);
    return rc == 0;
}

static void *sealer_main(void *arg)
{
    struct store *st = arg;
    int task;

    while ((task = wait_for_task(st)) != TASK_END)
        if (task == TASK_TICK || !seal_frozen(st, task))
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
    s->running = s->started = true;
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

bool sealer_is_busy(struct sealer *s)
{
    bool busy = false;

    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < SEAL_SLOTS; i++)
        busy |= s->slots[i].has_frozen;
    pthread_mutex_unlock(&s->lock);
    return busy;
}

/* --- the committer's part --- */

void sealer_drop_records(struct store *st, int slot, uint64_t upto)
{
    st->sealer.slots[slot].drop_upto = upto;
}

static void freeze(struct store *st, int slot)
{
    struct sealer *s = &st->sealer;
    struct seal_slot *one = &s->slots[slot];

    if (ops_of(slot)->freeze(st, kind_of(slot), &one->upto) < 0)
        return; /* at the next tick */
    pthread_mutex_lock(&s->lock);
    one->has_frozen = true;
    one->sealed = one->wanted = false;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
}

static void let_go(struct store *st, int slot)
{
    struct sealer *s = &st->sealer;
    struct seal_slot *one = &s->slots[slot];
    struct err e = ERR_INIT;
    int rc = ops_of(slot)->let_go(st, kind_of(slot), one->upto, &e);

    if (rc == 0)
        one->drop_upto = one->upto;
    pthread_mutex_lock(&s->lock);
    report(st, slot, "listing what was sealed", rc, &e);
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
}

/* Drops the next records; true when there are more. */
static bool drop_records(struct store *st, int slot)
{
    struct sealer *s = &st->sealer;
    struct seal_slot *one = &s->slots[slot];
    struct err e = ERR_INIT;
    size_t removed;
    int rc;

    if (one->drop_upto == 0)
        return false;
    rc = ops_of(slot)->drop(st, kind_of(slot), one->drop_upto, RECORDS_STEP, &removed, &e);
    if (rc == 0 && removed == RECORDS_STEP)
        return true;
    pthread_mutex_lock(&s->lock);
    report(st, slot, "dropping journal records", rc, &e);
    if (rc == 0) {
        one->drop_upto = 0;
        one->passes += one->has_frozen;
        one->has_frozen = one->sealed = false;
    }
    pthread_cond_broadcast(&s->ended);
    pthread_mutex_unlock(&s->lock);
    return false;
}

static bool tick(struct store *st, int slot)
{
    struct sealer *s = &st->sealer;
    struct seal_slot *one = &s->slots[slot];
    const struct seal_ops *ops = ops_of(slot);
    int kind = kind_of(slot);
    bool has_frozen, sealed, wanted;

    pthread_mutex_lock(&s->lock);
    has_frozen = one->has_frozen;
    sealed = one->sealed;
    wanted = one->wanted;
    if (wanted && !has_frozen && ops->count(st, kind) == 0) {
        one->wanted = false; /* nothing to do */
        one->passes++;
        pthread_cond_broadcast(&s->ended);
    }
    pthread_mutex_unlock(&s->lock);
    if (sealed && one->drop_upto == 0)
        let_go(st, slot);
    if (one->drop_upto)
        return drop_records(st, slot);
    if (!has_frozen && ops->count(st, kind) && (wanted || ops->due(st, kind)))
        freeze(st, slot);
    return false;
}

bool sealer_tick(struct store *st)
{
    bool more = false;

    for (int slot = 0; slot < SEAL_SLOTS; slot++)
        more |= tick(st, slot);
    return more;
}

/* Waits on `ended` until that time at most, with the lock held. False: it is over. */
static bool wait_ended(struct sealer *s, const struct timespec *until)
{
    return pthread_cond_timedwait(&s->ended, &s->lock, until) == 0;
}

static int admit(struct store *st, int slot, struct err *e)
{
    struct sealer *s = &st->sealer;
    struct seal_slot *one = &s->slots[slot];
    const struct seal_ops *ops = ops_of(slot);
    struct timespec until = from_now(ADMIT_MS);
    struct err failure;
    bool sealed;

    if (!ops->full(st, kind_of(slot), 1))
        return 0;
    pthread_mutex_lock(&s->lock);
    while (one->has_frozen && !one->sealed && one->failure.code == 0 && !s->closing && wait_ended(s, &until))
        ;
    sealed = one->sealed;
    failure = one->failure;
    pthread_mutex_unlock(&s->lock);
    while (sealed && tick(st, slot))
        ;
    if (!one->has_frozen || !ops->full(st, kind_of(slot), 2))
        return 0;
    atomic_fetch_add(&st->counters.refused, 1);
    return err_set(e, ERR_BUSY, "too much waits to be written to disk (%s; try again later)",
                   failure.code ? failure.msg : "the disk is slow");
}

int sealer_admit(struct store *st, const struct batch *b, struct err *e)
{
    int rc = b->nseries ? admit(st, SEAL_SAMPLES, e) : 0;

    for (int kind = 0; rc == 0 && kind < EVENT_KINDS; kind++)
        if (b->events[kind].n)
            rc = admit(st, SEAL_EVENTS + kind, e);
    return rc;
}

/* With the lock held. Whether the passes that are waited for have come: 1; 0: not all, and they are asked for; ERR_*. */
static int look_after(struct sealer *s, const uint64_t *targets, struct err *e)
{
    bool done = true;

    for (int i = 0; i < SEAL_SLOTS; i++) {
        struct seal_slot *one = &s->slots[i];

        if (one->passes >= targets[i])
            continue;
        done = false;
        one->wanted |= !one->has_frozen;
        if (s->closing)
            return err_set(e, ERR_CLOSED, "the store is being closed");
        if (one->failure.code)
            return err_set(e, one->failure.code, "%s", one->failure.msg);
    }
    return done;
}

int sealer_seal_all(struct store *st, struct err *e)
{
    struct sealer *s = &st->sealer;
    uint64_t targets[SEAL_SLOTS];
    int rc;

    committer_wake(st); /* what failed before is tried again */
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < SEAL_SLOTS; i++)
        targets[i] = s->slots[i].passes + 1 + s->slots[i].has_frozen;
    while ((rc = look_after(s, targets, e)) == 0) {
        struct timespec until;

        pthread_mutex_unlock(&s->lock);
        committer_wake(st);
        until = from_now(st->tuning.retry_ms);
        pthread_mutex_lock(&s->lock);
        if (look_after(s, targets, NULL) == 0)
            (void)wait_ended(s, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return rc < 0 ? rc : 0;
}

/* --- the end --- */

/* The frozen head, with nobody else at it. */
static int finish_frozen(struct store *st, int slot, struct err *e)
{
    struct seal_slot *one = &st->sealer.slots[slot];
    const struct seal_ops *ops = ops_of(slot);
    size_t removed = RECORDS_STEP;
    int rc = one->sealed ? 0 : ops->seal(st, kind_of(slot), e);

    if (rc == 0 && one->drop_upto == 0)
        rc = ops->let_go(st, kind_of(slot), one->upto, e);
    while (rc == 0 && removed == RECORDS_STEP)
        rc = ops->drop(st, kind_of(slot), one->upto, RECORDS_STEP, &removed, e);
    one->has_frozen = one->sealed = false;
    return rc;
}

static void finish(struct store *st, int slot)
{
    struct seal_slot *one = &st->sealer.slots[slot];
    const struct seal_ops *ops = ops_of(slot);
    struct err e = ERR_INIT;
    int rc = one->has_frozen ? finish_frozen(st, slot, &e) : 0;

    if (rc == 0 && ops->count(st, kind_of(slot)) >= WORTH_SEALING && /* in order: records go from the oldest on */
        ops->freeze(st, kind_of(slot), &one->upto) == 0) {
        one->drop_upto = 0;
        rc = finish_frozen(st, slot, &e);
    }
    if (rc < 0) /* no harm: the journal has it all */
        log_error("sealing at the end (%s): %s", name_of(slot), e.msg);
}

void sealer_finish(struct store *st)
{
    struct sealer *s = &st->sealer;

    if (!s->made)
        return;
    for (int slot = 0; s->started && slot < SEAL_SLOTS; slot++)
        finish(st, slot);
    if (st->db) /* what the journal took is the file system's again */
        (void)db_exec(st->db, "PRAGMA incremental_vacuum", NULL);
    pthread_cond_destroy(&s->ended);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    s->made = false;
}
