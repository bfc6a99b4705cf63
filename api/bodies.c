/* bodies.c: memory of bodies that have been served, for those that will come.
 *
 * Problem    Who sends logs sends megabytes at a time. Memory for them that comes fresh from the system each time costs a
 *            fault, and the zeroing, of every page; and the heap does not always keep what is freed.
 * Idea       A few buffers are kept, and the next body whose length is known gets one that is large enough. Not for long:
 *            api_give_back drops them, so that who rests holds none. */
#include "api/http-internal.h"

#include "base/mem.h"

enum {
    LEAST = 64 << 10, /* less is not worth keeping */
    STEP = 512 << 10  /* sizes of large ones: bodies of one sender are about as long as each other */
};

void bodies_init(struct bodies *b)
{
    *b = (struct bodies){ .n = 0 };
    pthread_mutex_init(&b->lock, NULL);
}

void bodies_fini(struct bodies *b)
{
    bodies_drop(b);
    pthread_mutex_destroy(&b->lock);
}

/* The smallest with room for n bytes and a NUL, or NULL. */
static struct buf *best(struct bodies *b, size_t n)
{
    struct buf *found = NULL;

    for (size_t i = 0; i < b->n; i++)
        if (b->spare[i].cap > n && (!found || b->spare[i].cap < found->cap))
            found = &b->spare[i];
    return found;
}

void bodies_expect(struct bodies *b, struct buf *body, size_t n)
{
    struct buf *at = NULL;

    if (n >= LEAST)
        n = n < BODIES_LARGEST ? (n + STEP - 1) / STEP * STEP : BODIES_LARGEST;
    pthread_mutex_lock(&b->lock);
    if (n >= LEAST)
        at = best(b, n);
    if (at) {
        body->p = at->p;
        body->cap = at->cap;
        *at = b->spare[--b->n];
    }
    pthread_mutex_unlock(&b->lock);
    if (!at)
        buf_expect(body, n);
}

/* The place that the body takes; what is there is smaller. NULL: others are worth more. */
static struct buf *place_for(struct bodies *b, const struct buf *body)
{
    struct buf *smallest = best(b, 0);

    if (body->cap <= LEAST || body->cap > BODIES_LARGEST + 1)
        return NULL;
    if (b->n < BODIES_KEPT) {
        b->spare[b->n] = (struct buf)BUF_INIT(0);
        return &b->spare[b->n++];
    }
    return smallest->cap < body->cap ? smallest : NULL;
}

void bodies_done(struct bodies *b, struct buf *body)
{
    struct buf *at, unwanted = *body;

    pthread_mutex_lock(&b->lock);
    if ((at = place_for(b, body))) {
        unwanted = *at;
        *at = *body;
    }
    pthread_mutex_unlock(&b->lock);
    buf_free(&unwanted);
    *body = (struct buf)BUF_INIT(body->max);
}

void bodies_drop(struct bodies *b)
{
    pthread_mutex_lock(&b->lock);
    while (b->n)
        buf_free(&b->spare[--b->n]);
    pthread_mutex_unlock(&b->lock);
}
