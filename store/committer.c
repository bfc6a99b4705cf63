/* committer.c: group commit.
 *
 *     store_submit ──► queue ──► committer: takes all that waits ──► one transaction ──► done(arg, rc)
 *
 * What can be done on the sender's thread is done there: the batch is looked over, and its rows are encoded as the journal
 * and the head will have them.
 *
 * While one group is being committed the next gathers, so the more comes in, the more one commit carries. The queue is
 * bounded by what its batches hold in memory, the group under way included: a batch beyond that is refused (ERR_BUSY)
 * and counted. One batch alone is always taken, however large. */
#include "store/store-internal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <semaphore.h>
#include <time.h>

enum { TICK_MS = 1000 };

static void pending_free(struct pending *p)
{
    event_chunks_release(p->chunks);
    mem_free(p);
}

/* Makes room in the queue before the sender hears of it, so that its next batch is not refused for the sake of this. */
static void answer(struct committer *c, struct pending *p)
{
    pthread_mutex_lock(&c->lock);
    c->bytes -= p->bytes;
    pthread_mutex_unlock(&c->lock);
    p->done(p->arg, p->rc, p->rc < 0 ? &p->err : NULL);
    pending_free(p);
}

static void run_group(struct store *st, struct pending *first)
{
    group_commit(st, first);
    while (first) {
        struct pending *next = first->next;

        answer(&st->committer, first);
        first = next;
    }
}

static void run_jobs(struct store *st, struct job *first)
{
    struct committer *c = &st->committer;

    while (first) {
        struct job *next = first->next;

        first->rc = first->fn(st, first->arg, first->e);
        pthread_mutex_lock(&c->lock);
        first->done = true;
        pthread_cond_broadcast(&c->ended);
        pthread_mutex_unlock(&c->lock);
        first = next;
    }
}

/* Sleeps until something comes, or a tick. */
static void wait_for_work(struct committer *c)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TICK_MS / 1000;
    while (!c->first && !c->first_job && !c->closing && !c->woken)
        if (pthread_cond_timedwait(&c->work, &c->lock, &until) != 0)
            break;
    c->woken = false;
}

static void *committer_main(void *arg)
{
    struct store *st = arg;
    struct committer *c = &st->committer;
    bool more = false, stop = false;

    while (!stop) {
        struct pending *group;
        struct job *jobs;

        pthread_mutex_lock(&c->lock);
        if (!more)
            wait_for_work(c);
        group = c->first;
        jobs = c->first_job;
        c->first = NULL;
        c->end = &c->first;
        c->first_job = NULL;
        c->end_job = &c->first_job;
        stop = c->closing && !group && !jobs;
        pthread_mutex_unlock(&c->lock);
        if (group)
            run_group(st, group);
        run_jobs(st, jobs);
        more = !stop && sealer_tick(st);
        more |= !stop && retention_tick(st);
        more |= !stop && rest_tick(st);
    }
    return NULL;
}

static int make_conditions(struct committer *c)
{
    pthread_condattr_t attr;
    int rc;

    if (pthread_condattr_init(&attr))
        return ERR_NOMEM;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rc = pthread_mutex_init(&c->lock, NULL);
    rc |= pthread_cond_init(&c->work, &attr);
    rc |= pthread_cond_init(&c->ended, NULL);
    pthread_condattr_destroy(&attr);
    c->made = rc == 0;
    return rc ? ERR_NOMEM : 0;
}

void committer_wake(struct store *st)
{
    struct committer *c = &st->committer;

    pthread_mutex_lock(&c->lock);
    c->woken = true;
    pthread_cond_signal(&c->work);
    pthread_mutex_unlock(&c->lock);
}

int committer_start(struct store *st, size_t max_bytes, struct err *e)
{
    struct committer *c = &st->committer;

    c->max_bytes = max_bytes;
    c->end = &c->first;
    c->end_job = &c->first_job;
    if (make_conditions(c) < 0 || pthread_create(&c->thread, NULL, committer_main, st))
        return err_set(e, ERR_NOMEM, "cannot start the committer's thread");
    pthread_setname_np(c->thread, "committer");
    c->running = true;
    return 0;
}

void committer_stop(struct store *st)
{
    struct committer *c = &st->committer;

    if (c->running) {
        pthread_mutex_lock(&c->lock);
        c->closing = true;
        pthread_cond_signal(&c->work);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
    }
    if (c->made) {
        pthread_cond_destroy(&c->ended);
        pthread_cond_destroy(&c->work);
        pthread_mutex_destroy(&c->lock);
    }
}

/* Queues `p`; with the lock held. */
static int enqueue(struct store *st, struct pending *p, struct err *e)
{
    struct committer *c = &st->committer;
    size_t bytes = p->bytes;

    if (c->closing)
        return err_set(e, ERR_CLOSED, "the store is being closed");
    if (c->bytes && (bytes > c->max_bytes || c->bytes > c->max_bytes - bytes)) {
        atomic_fetch_add(&st->counters.refused, 1);
        return err_set(e, ERR_BUSY, "the store's queue is full (%zu of %zu bytes wait; try again later)", c->bytes,
                       c->max_bytes);
    }
    c->bytes += bytes;
    *c->end = p;
    c->end = &p->next;
    pthread_cond_signal(&c->work);
    return 0;
}

/* A batch that is refused takes its turn in the queue, too. */
static void prepare(struct pending *p)
{
    p->rc = batch_validate(p->batch, &p->err);
    if (p->rc == 0)
        p->rc = event_chunks_of(p->batch, &p->chunks, &p->err);
    p->settled = p->rc < 0;
    p->bytes = p->batch->bytes;
    for (const struct event_chunk *c = p->chunks; c; c = c->next)
        p->bytes += c->bytes.n;
}

int store_submit(struct store *st, struct batch *b, void (*done)(void *arg, int rc, const struct err *e), void *arg,
                 struct err *e)
{
    struct pending *p = mem_zalloc(sizeof(*p));
    int rc;

    if (!p)
        return err_set(e, ERR_NOMEM, "no memory to queue a batch");
    p->batch = b;
    p->done = done;
    p->arg = arg;
    prepare(p);
    pthread_mutex_lock(&st->committer.lock);
    rc = enqueue(st, p, e);
    pthread_mutex_unlock(&st->committer.lock);
    if (rc < 0)
        pending_free(p);
    return rc;
}

struct waiter {
    struct err *e;
    int rc;
    sem_t done;
};

static void wake(void *arg, int rc, const struct err *e)
{
    struct waiter *w = arg;

    w->rc = rc;
    if (e && w->e)
        *w->e = *e;
    sem_post(&w->done);
}

int store_commit(struct store *st, struct batch *b, struct err *e)
{
    struct waiter w = { .e = e };
    int rc;

    sem_init(&w.done, 0, 0);
    rc = store_submit(st, b, wake, &w, e);
    while (rc == 0 && sem_wait(&w.done) < 0) /* a signal */
        ;
    sem_destroy(&w.done);
    return rc < 0 ? rc : w.rc;
}

int committer_run(struct store *st, int (*fn)(struct store *st, void *arg, struct err *e), void *arg, struct err *e)
{
    struct committer *c = &st->committer;
    struct job j = { NULL, fn, arg, e, 0, false };

    if (pthread_equal(pthread_self(), c->thread))
        return fn(st, arg, e); /* from a done callback */
    pthread_mutex_lock(&c->lock);
    if (c->closing) {
        pthread_mutex_unlock(&c->lock);
        return err_set(e, ERR_CLOSED, "the store is being closed");
    }
    *c->end_job = &j;
    c->end_job = &j.next;
    pthread_cond_signal(&c->work);
    while (!j.done)
        pthread_cond_wait(&c->ended, &c->lock);
    pthread_mutex_unlock(&c->lock);
    return j.rc;
}
