/* scrape.c: the scrape thread: its loop, and what others leave for it in the box. */
#include "collector/scrape-internal.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { SPARE_CONNECTIONS = 16 };

/* --- a configuration comes into force --- */

static struct pool *find_pool(const struct scrape *s, struct str name)
{
    for (struct pool *p = s->pools; p; p = p->next)
        if (str_eq(p->job->name, name))
            return p;
    return NULL;
}

static void keep_connections(struct scrape *s)
{
    size_t n = SPARE_CONNECTIONS;

    for (const struct pool *p = s->pools; p; p = p->next)
        n += p->ntargets;
    if (s->client)
        http_client_keep(s->client, n < 100000 ? (long)n : 100000);
}

static void settle_all(struct scrape *s)
{
    for (struct pool *p = s->pools; p; p = p->next)
        if (p->stale)
            pool_settle(p);
    keep_connections(s);
}

/* The pool of a job, which is taken along from the configuration before or made. NULL: no memory. */
static struct pool *pool_for(struct scrape *s, const struct scrape_job *job)
{
    struct pool *p = find_pool(s, job->name);

    if (p) {
        pool_set_job(p, job);
    } else if ((p = pool_new(s, job))) {
        p->stale = true;
    } else {
        log_error("scrape: %.*s: no memory for the job", STR_ARG(job->name));
        return NULL;
    }
    p->kept = true;
    return p;
}

/* The list of pools becomes v[0..n); *gone are those that it no longer holds. */
static void relink(struct scrape *s, struct scrape_config *config, struct pool **v, size_t n, struct pool **gone)
{
    *gone = NULL;
    pthread_mutex_lock(&s->lock);
    while (s->pools) {
        struct pool *p = s->pools;

        s->pools = p->next;
        if (!p->kept) {
            p->next = *gone;
            *gone = p;
        }
    }
    while (n-- > 0) {
        v[n]->kept = false;
        v[n]->next = s->pools;
        s->pools = v[n];
    }
    s->config = config;
    pthread_mutex_unlock(&s->lock);
}

static void apply(struct scrape *s, struct scrape_config *config)
{
    struct scrape_config *before = s->config;
    struct pool **v = mem_zalloc((config->n + 1) * sizeof(struct pool *)), *gone;
    struct err e = ERR_INIT;
    size_t n = 0;

    if (config->n && !s->client)
        s->client = http_client_new(s->base, &e);
    if (!v || (config->n && !s->client)) {
        log_error("scrape: no memory for the new configuration, the old one stays");
        mem_free(v);
        scrape_config_free(config);
        return;
    }
    for (size_t i = 0; i < config->n; i++) {
        struct pool *p = pool_for(s, &config->jobs[i]);

        if (p)
            v[n++] = p;
    }
    relink(s, config, v, n, &gone);
    mem_free(v);
    while (gone) {
        struct pool *next = gone->next;

        pool_end(gone);
        pool_free(gone);
        gone = next;
    }
    settle_all(s);
    scrape_config_free(before);
}

/* --- the loop --- */

static void settle_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    settle_all(arg);
}

static void take_stored(struct target *newest)
{
    struct target *oldest = NULL;

    while (newest) { /* in the order of the store's answers */
        struct target *next = newest->next_stored;

        newest->next_stored = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct target *next = oldest->next_stored;

        target_stored(oldest);
        oldest = next;
    }
}

static void end_requests(struct scrape *s)
{
    for (struct pool *p = s->pools; p; p = p->next)
        for (struct target *t = p->targets; t; t = t->next) {
            event_del(t->timer);
            http_call_fini(&t->call);
        }
}

static void look_into_box(evutil_socket_t fd, short what, void *arg)
{
    struct scrape *s = arg;
    struct scrape_config *config;
    struct target *stored;
    uint64_t count;
    bool stop;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&s->box);
    stored = s->stored;
    s->stored = NULL;
    config = s->next_config;
    stop = s->stop;
    pthread_mutex_unlock(&s->box);
    if (stop) {
        for (; stored; stored = stored->next_stored)
            s->storing--;
        end_requests(s);
        if (s->storing == 0)
            event_base_loopbreak(s->base);
        return;
    }
    take_stored(stored);
    if (!config)
        return;
    apply(s, config);
    pthread_mutex_lock(&s->box);
    s->next_config = NULL;
    pthread_cond_broadcast(&s->taken);
    pthread_mutex_unlock(&s->box);
}

static void *scrape_main(void *arg)
{
    struct scrape *s = arg;

    event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

static void wake(struct scrape *s)
{
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is full of wakings */
}

/* --- the face --- */

static void scrape_free(struct scrape *s)
{
    while (s->pools) {
        struct pool *next = s->pools->next;

        pool_free(s->pools);
        s->pools = next;
    }
    while (s->ending) {
        struct target *next = s->ending->next;

        target_free(s->ending);
        s->ending = next;
    }
    http_client_free(s->client);
    if (s->woken)
        event_free(s->woken);
    if (s->settle)
        event_free(s->settle);
    if (s->base)
        event_base_free(s->base);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_cond_destroy(&s->taken);
    pthread_mutex_destroy(&s->box);
    pthread_mutex_destroy(&s->lock);
    scrape_config_free(s->config);
    mem_free(s);
}

static int make_loop(struct scrape *s, struct err *e)
{
    struct event_config *settings = event_config_new();

    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0)
        return err_set(e, ERR_IO, "scrape: eventfd: %m");
    if (settings && event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER) == 0)
        s->base = event_base_new_with_config(settings);
    if (settings)
        event_config_free(settings);
    if (s->base) {
        s->woken = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, look_into_box, s);
        s->settle = event_new(s->base, -1, 0, settle_due, s);
    }
    if (!s->woken || !s->settle || event_add(s->woken, NULL) < 0)
        return err_set(e, ERR_NOMEM, "scrape: no memory for its loop");
    return 0;
}

struct scrape *scrape_start(struct store *st, struct scrape_config *config, struct err *e)
{
    struct scrape *s = mem_zalloc(sizeof(*s));
    int rc;

    if (!s) {
        scrape_config_free(config);
        err_set(e, ERR_NOMEM, "scrape: no memory");
        return NULL;
    }
    s->store = st;
    s->wake_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->box, NULL);
    pthread_cond_init(&s->taken, NULL);
    rc = make_loop(s, e);
    if (rc == 0) {
        apply(s, config); /* there is no other thread yet */
        s->running = pthread_create(&s->thread, NULL, scrape_main, s) == 0;
        if (!s->running)
            rc = err_set(e, ERR_NOMEM, "scrape: no thread");
    } else {
        scrape_config_free(config);
    }
    if (rc < 0) {
        scrape_free(s);
        return NULL;
    }
    return s;
}

void scrape_apply(struct scrape *s, struct scrape_config *config)
{
    pthread_mutex_lock(&s->box);
    while (s->next_config)
        pthread_cond_wait(&s->taken, &s->box);
    s->next_config = config;
    wake(s);
    while (s->next_config == config)
        pthread_cond_wait(&s->taken, &s->box);
    pthread_mutex_unlock(&s->box);
}

void scrape_stop(struct scrape *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->box);
    s->stop = true;
    pthread_mutex_unlock(&s->box);
    wake(s);
    pthread_join(s->thread, NULL);
    scrape_free(s);
}

void scrape_stats(struct scrape *s, struct scrape_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    pthread_mutex_unlock(&s->lock);
}
