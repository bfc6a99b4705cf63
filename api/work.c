#include "api/http-internal.h"

#include "base/mem.h"

enum { MOST_WAITING = 1024 };

struct workers {
    pthread_t *threads;
    unsigned n; /* that run */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct request *queue[MOST_WAITING]; /* a ring */
    size_t head, waiting;
    bool ending;
};

static struct request *take(struct workers *w)
{
    struct request *rq = NULL;

    pthread_mutex_lock(&w->lock);
    while (!w->waiting && !w->ending)
        pthread_cond_wait(&w->more, &w->lock);
    if (w->waiting) {
        rq = w->queue[w->head];
        w->head = (w->head + 1) % MOST_WAITING;
        w->waiting--;
    }
    pthread_mutex_unlock(&w->lock);
    return rq;
}

static void *run(void *arg)
{
    struct workers *w = arg;
    struct request *rq;

    while ((rq = take(w))) {
        request_serve(rq);
        request_let_go(rq);
    }
    return NULL;
}

struct workers *workers_start(unsigned threads, struct err *e)
{
    struct workers *w = mem_zalloc(sizeof(*w));

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory for the workers");
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->threads = mem_zalloc(threads * sizeof(*w->threads));
    while (w->threads && w->n < threads && pthread_create(&w->threads[w->n], NULL, run, w) == 0)
        w->n++;
    if (w->n == threads)
        return w;
    err_set(e, ERR_NOMEM, "cannot start %u worker threads", threads);
    workers_stop(w);
    return NULL;
}

int workers_add(struct workers *w, struct request *rq, struct err *e)
{
    bool full;

    pthread_mutex_lock(&w->lock);
    full = w->waiting == MOST_WAITING;
    if (!full) {
        w->queue[(w->head + w->waiting++) % MOST_WAITING] = rq;
        pthread_cond_signal(&w->more);
    }
    pthread_mutex_unlock(&w->lock);
    return full ? err_set(e, ERR_BUSY, "%d requests wait already: try again later", MOST_WAITING) : 0;
}

void workers_stop(struct workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n; i++)
        pthread_join(w->threads[i], NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    mem_free(w->threads);
    mem_free(w);
}
