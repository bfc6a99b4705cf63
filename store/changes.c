#include "store/changes-internal.h"

#include "base/clock.h"

#include <string.h>

int changes_init(struct changes *c)
{
    c->mark = 0;
    c->n = 0;
    c->made = pthread_mutex_init(&c->lock, NULL) == 0;
    return c->made ? 0 : ERR_NOMEM;
}

void changes_fini(struct changes *c)
{
    if (c->made)
        pthread_mutex_destroy(&c->lock);
    c->made = false;
}

/* Of the older half, each second one takes in the one before it. */
static void thin_out(struct changes *c)
{
    size_t half = CHANGES_MOST / 2, pairs = half / 2;

    for (size_t i = 0; i < pairs; i++)
        c->v[i] = (struct change){ c->v[2 * i + 1].mark, c->v[2 * i].lowest_ms, c->v[2 * i + 1].second };
    memmove(c->v + pairs, c->v + half, (CHANGES_MOST - half) * sizeof(*c->v));
    c->n = CHANGES_MOST - pairs;
}

void changes_note(struct changes *c, int64_t lowest_ms)
{
    int64_t second = clock_mono_ns() / 1000000000;

    pthread_mutex_lock(&c->lock);
    c->mark++;
    while (c->n && c->v[c->n - 1].lowest_ms >= lowest_ms)
        c->n--;
    if (c->n >= CHANGES_MOST / 2 && c->v[c->n - 1].second == second) { /* many a second: one for them all */
        c->v[c->n - 1].mark = c->mark;
    } else {
        if (c->n == CHANGES_MOST)
            thin_out(c);
        c->v[c->n++] = (struct change){ c->mark, lowest_ms, second };
    }
    pthread_mutex_unlock(&c->lock);
}

int64_t changes_since(struct changes *c, uint64_t *mark)
{
    size_t lo = 0, hi;
    int64_t lowest;

    pthread_mutex_lock(&c->lock);
    hi = c->n;
    while (lo < hi) { /* the first that came after *mark is the lowest that did */
        size_t mid = lo + (hi - lo) / 2;

        if (c->v[mid].mark <= *mark)
            lo = mid + 1;
        else
            hi = mid;
    }
    lowest = lo < c->n ? c->v[lo].lowest_ms : INT64_MAX;
    *mark = c->mark;
    pthread_mutex_unlock(&c->lock);
    return lowest;
}
