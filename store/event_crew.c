/* event_crew.c: threads that share an index.
 *
 * They are started for a query that is worth milliseconds, and end with it: that costs some 20 µs each, and nothing has to
 * be kept, woken or shut down. Each takes the next piece of work when it is done with one, so that pieces need not be
 * alike. The caller works, too: where no thread is to be had, it does all of it. */
#include "store/event_crew-internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { WORTH = 150000 }; /* rows for each thread: a few of them take as long as its start */

struct crew {
    int (*work)(void *arg, size_t member, size_t i, struct err *e);
    void *arg;
    size_t n;
    _Atomic size_t next;
    _Atomic bool failed;
};

struct member {
    struct crew *crew;
    size_t no;
    pthread_t thread;
    int rc;
    struct err e;
};

static size_t cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    return n < 1 ? 1 : n > EVENT_CREW_MOST ? EVENT_CREW_MOST : (size_t)n;
}

size_t event_crew_size(uint64_t rows)
{
    size_t most = cores();
    uint64_t worth = 1 + rows / WORTH;

    return worth < most ? (size_t)worth : most;
}

static void *work(void *arg)
{
    struct member *m = arg;
    struct crew *c = m->crew;
    size_t i;

    while (m->rc == 0 && !c->failed && (i = atomic_fetch_add(&c->next, 1)) < c->n)
        m->rc = c->work(c->arg, m->no, i, &m->e);
    if (m->rc < 0)
        c->failed = true;
    return NULL;
}

int event_crew_run(size_t members, size_t n, int (*fn)(void *arg, size_t member, size_t i, struct err *e), void *arg,
                   struct err *e)
{
    struct crew c = { .work = fn, .arg = arg, .n = n };
    struct member m[EVENT_CREW_MOST] = { 0 };
    size_t started = 1;

    members = members > n ? n : members;
    for (size_t i = 0; i < EVENT_CREW_MOST; i++)
        m[i] = (struct member){ .crew = &c, .no = i };
    while (started < members && pthread_create(&m[started].thread, NULL, work, &m[started]) == 0)
        started++;
    work(&m[0]);
    for (size_t i = 1; i < started; i++)
        pthread_join(m[i].thread, NULL);
    for (size_t i = 0; i < started; i++)
        if (m[i].rc < 0)
            return err_set(e, m[i].rc, "%s", m[i].e.msg);
    return 0;
}
