#include "proxy/names.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strmap.h"

#include <ctype.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 4, MOST_NAMES = 4096, LONGEST_NAME = 253 };

struct name {
    struct names *all;
    size_t refs;                   /* as all below but `generation` under the lock of `all` */
    struct str host;
    bool asked_now;                /* a thread is at it */
    int64_t due_ns;
    enum name_state state;
    struct name_addresses addresses;
    atomic_uint generation;
};

struct names {
    pthread_mutex_t lock;          /* guards all */
    pthread_cond_t work;           /* a name is due, or the end has come */
    struct strmap by_host;
    size_t refs;                   /* the owner's and each thread's */
    size_t nthreads, nidle;
    bool ending;
    int64_t refresh_ns;
    names_ask *ask;
};

/* ---- the system's resolver ---- */

static int by_address(const void *x, const void *y)
{
    return memcmp(x, y, sizeof(struct name_address));
}

/* Sorted, so that answers in another order are the same answer. */
static bool ask_system(const char *host, struct name_addresses *out)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list;

    if (getaddrinfo(host, NULL, &hints, &list) != 0)
        return false;
    for (const struct addrinfo *a = list; a && out->n < NAME_MOST_ADDRESSES; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(out->v[0].addr))
            continue;
        memcpy(&out->v[out->n].addr, a->ai_addr, a->ai_addrlen);
        out->v[out->n++].n = a->ai_addrlen;
    }
    freeaddrinfo(list);
    if (out->n > 1)
        qsort(out->v, out->n, sizeof(out->v[0]), by_address);
    return out->n > 0;
}

/* ---- threads ---- */

/* Gives up a reference, and the lock. */
static void release(struct names *ns)
{
    bool last = --ns->refs == 0;

    pthread_mutex_unlock(&ns->lock);
    if (!last)
        return;
    strmap_free(&ns->by_host);
    pthread_cond_destroy(&ns->work);
    pthread_mutex_destroy(&ns->lock);
    mem_free(ns);
}

static void forget(struct name *n)
{
    strmap_del(&n->all->by_host, n->host);
    mem_free(n);
}

/* One that is due now, or NULL and when one will be. */
static struct name *find_due(struct names *ns, int64_t now_ns, int64_t *next_ns)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    *next_ns = INT64_MAX;
    while ((slot = strmap_next(&ns->by_host, &at))) {
        struct name *n = slot->value;

        if (n->asked_now)
            continue;
        if (n->due_ns <= now_ns && n->refs > 0)
            return n;
        if (n->due_ns <= now_ns)
            forget(n);
        else if (n->due_ns < *next_ns)
            *next_ns = n->due_ns;
    }
    return NULL;
}

static void take_answer(struct name *n, bool found, const struct name_addresses *answer)
{
    bool changed = n->state == NAME_ASKING;

    if (found) {
        changed |= n->addresses.n != answer->n ||
                   memcmp(n->addresses.v, answer->v, answer->n * sizeof(answer->v[0])) != 0;
        n->addresses = *answer;
        n->state = NAME_KNOWN;
    } else if (n->state == NAME_ASKING) {
        n->state = NAME_UNKNOWN;
    }
    n->due_ns = clock_mono_ns() + n->all->refresh_ns;
    n->asked_now = false;
    if (changed)
        atomic_fetch_add_explicit(&n->generation, 1, memory_order_release);
}

static void ask(struct names *ns, struct name *n)
{
    struct name_addresses answer = { .n = 0 };
    char host[LONGEST_NAME + 1];
    bool found;

    n->asked_now = true;
    memcpy(host, n->host.p, n->host.n);
    host[n->host.n] = '\0';
    pthread_mutex_unlock(&ns->lock);
    found = ns->ask(host, &answer);
    pthread_mutex_lock(&ns->lock);
    if (ns->ending) /* names_free has left it */
        forget(n);
    else
        take_answer(n, found, &answer);
}

static void wait_for_work(struct names *ns, int64_t until_ns)
{
    struct timespec ts = { until_ns / 1000000000, until_ns % 1000000000 };

    ns->nidle++;
    if (until_ns == INT64_MAX)
        pthread_cond_wait(&ns->work, &ns->lock);
    else
        pthread_cond_timedwait(&ns->work, &ns->lock, &ts);
    ns->nidle--;
}

static void *run(void *arg)
{
    struct names *ns = arg;
    int64_t next_ns;

    pthread_mutex_lock(&ns->lock);
    while (!ns->ending) {
        struct name *n = find_due(ns, clock_mono_ns(), &next_ns);

        if (n)
            ask(ns, n);
        else
            wait_for_work(ns, next_ns);
    }
    release(ns);
    return NULL;
}

/* Somebody has to ask for a new name. False: nobody can. */
static bool find_thread(struct names *ns)
{
    pthread_t thread;

    if (ns->nidle == 0 && ns->nthreads < MOST_THREADS) {
        if (pthread_create(&thread, NULL, run, ns) == 0) {
            pthread_detach(thread);
            ns->refs++;
            ns->nthreads++;
        }
    }
    pthread_cond_signal(&ns->work);
    return ns->nthreads > 0;
}

/* ---- names ---- */

struct names *names_new(int64_t refresh_ms, names_ask *ask_with)
{
    struct names *ns = mem_zalloc(sizeof(*ns));
    pthread_condattr_t monotonic;

    if (!ns)
        return NULL;
    ns->refs = 1;
    ns->refresh_ns = refresh_ms * 1000000;
    ns->ask = ask_with ? ask_with : ask_system;
    pthread_mutex_init(&ns->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ns->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return ns;
}

/* A name that a thread is asking for right now is left to it: it may take as long as the resolver wants. */
void names_free(struct names *ns)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    if (!ns)
        return;
    pthread_mutex_lock(&ns->lock);
    ns->ending = true;
    pthread_cond_broadcast(&ns->work);
    while ((slot = strmap_next(&ns->by_host, &at)))
        if (!((struct name *)slot->value)->asked_now)
            forget(slot->value);
    release(ns);
}

/* Letters, digits, and what else names have in practice: they come from clients, too, and go to the log. */
static bool is_name(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if (!isalnum((unsigned char)host.p[i]) && host.p[i] != '.' && host.p[i] != '-' && host.p[i] != '_')
            return false;
    return host.n > 0 && host.n <= LONGEST_NAME;
}

static struct name *new_name(struct names *ns, struct str host)
{
    struct name *n = ns->by_host.n < MOST_NAMES && is_name(host) ? mem_zalloc(sizeof(*n) + host.n) : NULL;

    if (!n)
        return NULL;
    memcpy(n + 1, host.p, host.n);
    n->host = (struct str){ (const char *)(n + 1), host.n };
    n->all = ns;
    if (strmap_put(&ns->by_host, n->host, n, NULL) < 0) {
        mem_free(n);
        return NULL;
    }
    if (!find_thread(ns)) {
        forget(n);
        return NULL;
    }
    return n;
}

struct name *name_get(struct names *ns, struct str host)
{
    struct name *n;

    pthread_mutex_lock(&ns->lock);
    n = strmap_get(&ns->by_host, host);
    if (!n)
        n = new_name(ns, host);
    if (n)
        n->refs++;
    pthread_mutex_unlock(&ns->lock);
    return n;
}

void name_put(struct name *n)
{
    struct names *ns = n ? n->all : NULL;

    if (!n)
        return;
    pthread_mutex_lock(&ns->lock);
    n->refs--;
    pthread_mutex_unlock(&ns->lock);
}

unsigned name_generation(const struct name *n)
{
    return atomic_load_explicit(&n->generation, memory_order_acquire);
}

enum name_state name_read(struct name *n, struct name_addresses *out)
{
    enum name_state state;

    pthread_mutex_lock(&n->all->lock);
    *out = n->addresses;
    state = n->state;
    pthread_mutex_unlock(&n->all->lock);
    return state;
}
