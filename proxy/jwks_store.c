#include "proxy/jwks_store.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MOST_SOURCES = 256, REFRESH_S = 20 * 60, RENEW_S = 10, LONGEST_BACKOFF_S = 64 };

static const int64_t second = INT64_C(1000000000);

struct jwks_source {
    struct jwks_source *next;
    size_t refs;                /* 0: not fetched, but found again when a configuration comes back to it */
    enum jwt_keys_state state;
    struct jwks *jwks;
    int64_t due_ns, fetched_ns; /* fetched_ns: the last try's end */
    unsigned failures;          /* in a row */
    bool discovery;             /* the URI is of an OpenID configuration */
    char uri[];
};

struct jwks_store {
    pthread_t thread;
    struct jwks_fetcher fetcher; /* its `stop` can be read: the thread is to end */
    atomic_uint_fast64_t changes;
    pthread_mutex_t lock;       /* guards what follows */
    pthread_cond_t news;        /* for the thread: a source is due earlier than it knows, or it is to end */
    bool stopping;
    struct jwks_source *sources;
    size_t nsources;
};

/* ---- the thread ---- */

static struct jwks_source *first_due(struct jwks_store *s)
{
    struct jwks_source *first = NULL;

    for (struct jwks_source *k = s->sources; k; k = k->next)
        if (k->refs && (!first || k->due_ns < first->due_ns))
            first = k;
    return first;
}

static void take_set(struct jwks_store *s, struct jwks_source *k, struct jwks *set)
{
    if (k->failures)
        log_info("keys of tokens: %s: there again", k->uri);
    jwks_put(k->jwks);
    k->jwks = set;
    k->state = JWT_KEYS_STATE_THERE;
    k->failures = 0;
    k->due_ns = k->fetched_ns + REFRESH_S * second;
    atomic_fetch_add(&s->changes, 1);
}

/* Told once in a row. */
static void take_failure(struct jwks_store *s, struct jwks_source *k, const struct err *e)
{
    unsigned backoff_s = k->failures < 6 ? 1u << k->failures : LONGEST_BACKOFF_S;

    if (k->failures++ == 0)
        log_error("keys of tokens: %s: %s%s", k->uri, e->msg,
                  k->jwks ? " (the old ones stay)" : " (tokens are refused)");
    k->due_ns = k->fetched_ns + backoff_s * second;
    if (k->state == JWT_KEYS_STATE_AWAITED) {
        k->state = JWT_KEYS_STATE_UNREACHABLE;
        atomic_fetch_add(&s->changes, 1);
    }
}

/* Sources are freed with the store alone: one stays while the lock is not held. */
static void fetch(struct jwks_store *s, struct jwks_source *k)
{
    struct buf text = BUF_INIT(JWKS_MOST_BYTES);
    struct jwks *set = NULL;
    struct err e = ERR_INIT;

    pthread_mutex_unlock(&s->lock);
    if ((k->discovery ? jwks_fetch_discovered : jwks_fetch)(&s->fetcher, k->uri, &text, &e) == 0)
        set = jwks_new(buf_view(&text), &e);
    buf_free(&text);
    pthread_mutex_lock(&s->lock);
    k->fetched_ns = clock_mono_ns();
    if (set)
        take_set(s, k, set);
    else if (!s->stopping)
        take_failure(s, k, &e);
}

static void *run(void *arg)
{
    struct jwks_store *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->stopping) {
        struct jwks_source *k = first_due(s);

        if (!k) {
            pthread_cond_wait(&s->news, &s->lock);
        } else if (k->due_ns > clock_mono_ns()) {
            struct timespec at = { k->due_ns / second, k->due_ns % second };

            pthread_cond_timedwait(&s->news, &s->lock, &at);
        } else {
            fetch(s, k);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- for the others ---- */

struct jwks_store *jwks_store_start(struct tls_store *tls, const char *ca, struct err *e)
{
    struct jwks_store *s = mem_zalloc(sizeof(*s));
    pthread_condattr_t attr;
    int rc;

    if (!s) {
        err_set(e, ERR_NOMEM, "no memory for the keys of tokens");
        return NULL;
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->news, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    s->fetcher = (struct jwks_fetcher){ eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), tls, ca };
    rc = s->fetcher.stop < 0 ? errno : pthread_create(&s->thread, NULL, run, s);
    if (rc == 0)
        return s;
    err_set(e, ERR_IO, "the thread for the keys of tokens cannot be started: %s", strerror(rc));
    if (s->fetcher.stop >= 0)
        close(s->fetcher.stop);
    mem_free(s);
    return NULL;
}

void jwks_store_stop(struct jwks_store *s)
{
    uint64_t one = 1;

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    if (write(s->fetcher.stop, &one, sizeof(one)) < 0)
        log_error("keys of tokens: %m");
    pthread_join(s->thread, NULL);
    while (s->sources) {
        struct jwks_source *k = s->sources;

        s->sources = k->next;
        jwks_put(k->jwks);
        mem_free(k);
    }
    close(s->fetcher.stop);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static struct jwks_source *find(struct jwks_store *s, struct str uri, bool discovery)
{
    for (struct jwks_source *k = s->sources; k; k = k->next)
        if (k->discovery == discovery && str_eqz(uri, k->uri))
            return k;
    return NULL;
}

static struct jwks_source *add(struct jwks_store *s, struct str uri, bool discovery)
{
    struct jwks_source *k = s->nsources < MOST_SOURCES ? mem_zalloc(sizeof(*k) + uri.n + 1) : NULL;

    if (!k)
        return NULL;
    memcpy(k->uri, uri.p, uri.n);
    k->discovery = discovery;
    k->state = JWT_KEYS_STATE_AWAITED;
    k->next = s->sources;
    s->sources = k;
    s->nsources++;
    return k;
}

struct jwks_source *jwks_store_open(struct jwks_store *s, struct str uri, bool discovery)
{
    struct jwks_source *k;

    pthread_mutex_lock(&s->lock);
    k = find(s, uri, discovery);
    if (!k)
        k = add(s, uri, discovery);
    if (k && k->refs++ == 0)
        pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    return k;
}

void jwks_store_close(struct jwks_store *s, struct jwks_source *from)
{
    if (!from)
        return;
    pthread_mutex_lock(&s->lock);
    from->refs--;
    pthread_mutex_unlock(&s->lock);
}

uint64_t jwks_store_changes(struct jwks_store *s)
{
    return atomic_load(&s->changes);
}

void jwks_store_read(struct jwks_store *s, struct jwks_source *from, struct jwt_keys *to)
{
    pthread_mutex_lock(&s->lock);
    if (from->state == JWT_KEYS_STATE_THERE)
        jwt_keys_set(to, from->jwks);
    else if (from->state == JWT_KEYS_STATE_UNREACHABLE)
        jwt_keys_failed(to);
    pthread_mutex_unlock(&s->lock);
}

void jwks_store_renew(struct jwks_store *s, struct jwks_source *from)
{
    pthread_mutex_lock(&s->lock);
    if (from->state == JWT_KEYS_STATE_THERE && from->failures == 0 &&
        from->due_ns > from->fetched_ns + RENEW_S * second) {
        from->due_ns = from->fetched_ns + RENEW_S * second;
        pthread_cond_signal(&s->news);
    }
    pthread_mutex_unlock(&s->lock);
}
