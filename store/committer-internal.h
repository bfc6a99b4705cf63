/* committer-internal.h: the one thread that writes, and the queue in front of it. */
#ifndef STORE_COMMITTER_INTERNAL_H
#define STORE_COMMITTER_INTERNAL_H

#include "store/batch.h"

#include <pthread.h>

struct store;
struct event_chunk;

/* A batch that waits for its commit. */
struct pending {
    struct pending *next;
    struct batch *batch;
    struct event_chunk *chunks; /* the batch's rows, encoded; held */
    size_t bytes; /* that it takes in the queue */
    void (*done)(void *arg, int rc, const struct err *e);
    void *arg;
    bool settled; /* rc is final, whatever becomes of the group */
    int rc;
    struct err err;
};

/* Other work for the committer's thread: the catalog, deletions, retention. On the stack of whoever waits for it. */
struct job {
    struct job *next;
    int (*fn)(struct store *st, void *arg, struct err *e);
    void *arg;
    struct err *e;
    int rc;
    bool done;
};

struct committer {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* for the committer: something came */
    pthread_cond_t ended; /* for those who wait for a job */
    struct pending *first, **end;
    struct job *first_job, **end_job;
    size_t bytes, max_bytes; /* of batches not answered yet */
    bool closing, running, made;
    bool woken;           /* somebody has news: look at the ticks */
    pthread_t thread;
};

int committer_start(struct store *st, size_t max_bytes, struct err *e);
/* Has the committer look at once whether anything is due. Any thread. */
void committer_wake(struct store *st);
/* Commits what is queued and ends the thread. */
void committer_stop(struct store *st);
/* Runs fn(st, arg, e) on the committer's thread, between two groups, and waits. Its result, or ERR_CLOSED. */
int committer_run(struct store *st, int (*fn)(struct store *st, void *arg, struct err *e), void *arg, struct err *e);

#endif
