#include "query/cache-internal.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/strmap.h"

#include <pthread.h>

enum { SHARE = 8 }; /* of the cache, that one result may take at most */

TAILQ_HEAD(cached_list, cached);

struct promql_cache {
    pthread_mutex_t lock; /* guards all that follows */
    size_t max_bytes;
    struct strmap by_key;    /* to struct cached */
    struct cached_list list; /* the one used last in front */
    struct promql_cache_stats stats;
};

struct promql_cache *promql_cache_new(size_t max_bytes)
{
    struct promql_cache *c = mem_zalloc(sizeof(*c));

    if (!c)
        return NULL;
    if (pthread_mutex_init(&c->lock, NULL)) {
        mem_free(c);
        return NULL;
    }
    c->max_bytes = max_bytes;
    TAILQ_INIT(&c->list);
    return c;
}

/* --- results --- */

static int copy_rows(struct cached *x, const struct rows *rows)
{
    struct arena *a = &x->a;

    x->rows = (struct rows){ arena_array(a, rows->n + 1, sizeof(*rows->v)), 0, rows->n, rows->unique };
    for (size_t i = 0; x->rows.v && i < rows->n; i++) {
        struct row *to = &x->rows.v[x->rows.n++];

        *to = (struct row){ labels_copy(a, rows->v[i].labels), rows->v[i].drop_name,
                            arena_alloc(a, x->g.n * sizeof(double)) };
        if (!to->v || (rows->v[i].labels.n && !to->labels.v))
            return ERR_NOMEM;
        memcpy(to->v, rows->v[i].v, x->g.n * sizeof(double));
    }
    return x->rows.v ? 0 : ERR_NOMEM;
}

struct cached *cached_new(const struct promql_cache *c, struct str key, const struct grid *g, uint64_t mark,
                          const struct rows *rows)
{
    struct cached *x;

    if (rows->n > c->max_bytes / SHARE / sizeof(double) / g->n)
        return NULL;
    x = mem_zalloc(sizeof(*x));
    if (!x)
        return NULL;
    atomic_init(&x->holders, 1);
    x->g = *g;
    x->mark = mark;
    x->a = (struct arena)ARENA_INIT(c->max_bytes / SHARE);
    x->key = arena_str(&x->a, key);
    if (x->key.p && copy_rows(x, rows) == 0)
        return x;
    cached_release(x);
    return NULL;
}

void cached_release(struct cached *x)
{
    if (!x || atomic_fetch_sub_explicit(&x->holders, 1, memory_order_acq_rel) > 1)
        return;
    arena_free(&x->a);
    mem_free(x);
}

/* --- the table, with the lock held --- */

static void take_out(struct promql_cache *c, struct cached *x)
{
    strmap_del(&c->by_key, x->key);
    TAILQ_REMOVE(&c->list, x, next);
    c->stats.bytes -= x->a.used;
    c->stats.results--;
    cached_release(x);
}

static void use(struct promql_cache *c, struct cached *x)
{
    x->used_ns = clock_mono_ns();
    TAILQ_INSERT_HEAD(&c->list, x, next);
}

/* --- the table --- */

struct cached *cache_take(struct promql_cache *c, struct str key)
{
    struct cached *x;

    pthread_mutex_lock(&c->lock);
    x = strmap_get(&c->by_key, key);
    if (x) {
        atomic_fetch_add_explicit(&x->holders, 1, memory_order_relaxed);
        TAILQ_REMOVE(&c->list, x, next);
        use(c, x);
    }
    pthread_mutex_unlock(&c->lock);
    return x;
}

void cache_count(struct promql_cache *c, bool hit)
{
    pthread_mutex_lock(&c->lock);
    if (hit)
        c->stats.hits++;
    else
        c->stats.misses++;
    pthread_mutex_unlock(&c->lock);
}

void cache_put(struct promql_cache *c, struct cached *x)
{
    struct cached *old;

    if (!x)
        return;
    pthread_mutex_lock(&c->lock);
    old = strmap_get(&c->by_key, x->key);
    if (old)
        take_out(c, old);
    if (strmap_put(&c->by_key, x->key, x, NULL) == 0) {
        use(c, x);
        c->stats.bytes += x->a.used;
        c->stats.results++;
        x = NULL;
    }
    while (c->stats.bytes > c->max_bytes)
        take_out(c, TAILQ_LAST(&c->list, cached_list));
    pthread_mutex_unlock(&c->lock);
    cached_release(x);
}

void promql_cache_trim(struct promql_cache *c, int64_t idle_ms)
{
    int64_t before_ns = clock_mono_ns() - idle_ms * 1000000;
    struct cached *x;

    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    while ((x = TAILQ_LAST(&c->list, cached_list)) && x->used_ns < before_ns)
        take_out(c, x);
    pthread_mutex_unlock(&c->lock);
}

void promql_cache_stats(struct promql_cache *c, struct promql_cache_stats *out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->stats;
    pthread_mutex_unlock(&c->lock);
}

void promql_cache_free(struct promql_cache *c)
{
    struct cached *x;

    if (!c)
        return;
    while ((x = TAILQ_LAST(&c->list, cached_list)))
        take_out(c, x);
    strmap_free(&c->by_key);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}
