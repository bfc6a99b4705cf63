#include "store/event_directory_cache-internal.h"

#include "base/mem.h"

#include <pthread.h>

/* Of one block. */
struct event_directory {
    struct event_directory_cache *cache;
    struct event_directory *before, *after;   /* in the ring of those that are idle */
    const struct sealed_directory *directory; /* NULL: empty */
    struct arena arena;                       /* of the directory */
    size_t bytes;                             /* as the cache counts them */
    size_t holders;
    bool forgotten; /* no block has it: the last holder frees it */
};

struct event_directory_cache {
    size_t max;
    pthread_mutex_t lock;        /* guards all that follows, the entries, and where blocks' `kept` point to */
    size_t used, idle;           /* bytes of all that are not empty, and of those that are idle */
    struct event_directory ring; /* of the idle: the one that waits longest comes after it */
};

struct event_directory_cache *event_directory_cache_new(size_t max_bytes, struct err *e)
{
    struct event_directory_cache *c = mem_zalloc(sizeof(*c));

    if (!c || pthread_mutex_init(&c->lock, NULL)) {
        err_set(e, ERR_NOMEM, "no memory to keep directories");
        mem_free(c);
        return NULL;
    }
    c->max = max_bytes;
    c->ring.before = c->ring.after = &c->ring;
    return c;
}

void event_directory_cache_free(struct event_directory_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

size_t event_directory_cache_used(struct event_directory_cache *c)
{
    size_t used;

    pthread_mutex_lock(&c->lock);
    used = c->used;
    pthread_mutex_unlock(&c->lock);
    return used;
}

/* --- under the lock --- */

static void become_idle(struct event_directory *d)
{
    struct event_directory *ring = &d->cache->ring;

    d->before = ring->before;
    d->after = ring;
    d->before->after = d->after->before = d;
    d->cache->idle += d->bytes;
}

static void leave_ring(struct event_directory *d)
{
    d->before->after = d->after;
    d->after->before = d->before;
    d->cache->idle -= d->bytes;
}

static void empty(struct event_directory *d)
{
    arena_free(&d->arena);
    d->directory = NULL;
    d->cache->used -= d->bytes;
    d->bytes = 0;
}

/* Takes so many bytes, from those that are idle when it must. */
static bool make_room(struct event_directory_cache *c, size_t bytes)
{
    if (bytes > c->max || c->used - c->idle > c->max - bytes)
        return false;
    while (c->used > c->max - bytes) {
        struct event_directory *oldest = c->ring.after;

        leave_ring(oldest);
        empty(oldest);
    }
    c->used += bytes;
    return true;
}

/* --- holding --- */

/* When the arena of who holds it is freed. */
static void release(void *arg)
{
    struct event_directory *d = arg;
    struct event_directory_cache *c = d->cache;
    bool last;

    pthread_mutex_lock(&c->lock);
    last = --d->holders == 0;
    if (last && d->forgotten)
        empty(d);
    else if (last)
        become_idle(d);
    last = last && d->forgotten;
    pthread_mutex_unlock(&c->lock);
    if (last)
        mem_free(d);
}

/* NULL: there is none. With the lock held. */
static struct event_directory *hold(const struct block *b)
{
    struct event_directory *d = b->kept;

    if (!d || !d->directory)
        return NULL;
    if (d->holders++ == 0)
        leave_ring(d);
    return d;
}

const struct sealed_directory *event_directory_cache_get(struct event_directory_cache *c, struct block *b,
                                                         struct arena *a)
{
    struct event_directory *d;

    pthread_mutex_lock(&c->lock);
    d = hold(b);
    pthread_mutex_unlock(&c->lock);
    if (!d)
        return NULL;
    if (arena_on_free(a, release, d) == 0)
        return d->directory;
    release(d);
    return NULL;
}

/* --- keeping --- */

/* The block's entry, an empty one when it has none; NULL: no memory. With the lock held. */
static struct event_directory *entry_of(struct event_directory_cache *c, struct block *b)
{
    struct event_directory *d = b->kept;

    if (d)
        return d;
    d = mem_zalloc(sizeof(*d));
    if (d)
        d->cache = c;
    b->kept = d;
    return d;
}

/* Puts the directory in its place, held once, unless another thread was faster. */
static struct event_directory *place(struct event_directory_cache *c, struct block *b, struct arena *arena,
                                     const struct sealed_directory *directory, size_t bytes)
{
    struct event_directory *d;

    pthread_mutex_lock(&c->lock);
    d = entry_of(c, b);
    if (d && !d->directory) {
        d->arena = *arena;
        *arena = (struct arena)ARENA_INIT(0);
        d->directory = directory;
        d->bytes = bytes;
        d->holders = 1;
    } else {
        c->used -= bytes;
        d = hold(b);
    }
    pthread_mutex_unlock(&c->lock);
    return d;
}

static bool take_room(struct event_directory_cache *c, size_t bytes)
{
    bool there;

    pthread_mutex_lock(&c->lock);
    there = make_room(c, bytes);
    pthread_mutex_unlock(&c->lock);
    return there;
}

static void give_room(struct event_directory_cache *c, size_t bytes)
{
    pthread_mutex_lock(&c->lock);
    c->used -= bytes;
    pthread_mutex_unlock(&c->lock);
}

void event_directory_cache_put(struct event_directory_cache *c, struct block *b, struct str bytes, size_t size,
                               struct arena *a)
{
    struct arena own = ARENA_INIT(size); /* one block, of just that size */
    const struct sealed_directory *directory;
    struct event_directory *d = NULL;
    size_t all = size + sizeof(*d);

    if (!take_room(c, all))
        return;
    if (arena_reserve(&own, size) == 0 && sealed_directory_read(bytes, &own, &directory, NULL) == 0)
        d = place(c, b, &own, directory, all);
    else
        give_room(c, all);
    arena_free(&own);
    if (d && arena_on_free(a, release, d) < 0)
        release(d);
}

/* Nobody looks for the block's entry any more; but it may be held, and room may be made. */
void event_directory_cache_forget(struct block *b)
{
    struct event_directory *d = b->kept;
    struct event_directory_cache *c = d ? d->cache : NULL;
    bool held;

    if (!d)
        return;
    b->kept = NULL;
    pthread_mutex_lock(&c->lock);
    held = d->holders > 0;
    if (!held && d->directory) {
        leave_ring(d);
        empty(d);
    }
    d->forgotten = true;
    pthread_mutex_unlock(&c->lock);
    if (!held)
        mem_free(d);
}
