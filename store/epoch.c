#include "store/epoch-internal.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <string.h>

int epoch_init(struct epoch *ep)
{
    memset(ep, 0, sizeof(*ep));
    return pthread_mutex_init(&ep->lock, NULL) ? ERR_NOMEM : 0;
}

static void free_until(struct epoch *ep, uint64_t oldest_reader)
{
    while (ep->first && ep->first->since < oldest_reader) {
        struct retired *next = ep->first->next;

        mem_free(ep->first);
        ep->first = next;
    }
    if (!ep->first)
        ep->last = NULL;
}

void epoch_fini(struct epoch *ep)
{
    free_until(ep, UINT64_MAX);
    pthread_mutex_destroy(&ep->lock);
}

void epoch_enter(struct epoch *ep, struct epoch_reader *r)
{
    pthread_mutex_lock(&ep->lock);
    r->since = ++ep->clock;
    r->newer = NULL;
    r->older = ep->newest;
    if (ep->newest)
        ep->newest->newer = r;
    else
        ep->oldest = r;
    ep->newest = r;
    pthread_mutex_unlock(&ep->lock);
}

void epoch_leave(struct epoch *ep, struct epoch_reader *r)
{
    pthread_mutex_lock(&ep->lock);
    if (r->older)
        r->older->newer = r->newer;
    else
        ep->oldest = r->newer;
    if (r->newer)
        r->newer->older = r->older;
    else
        ep->newest = r->older;
    pthread_mutex_unlock(&ep->lock);
}

uint64_t epoch_now(struct epoch *ep)
{
    uint64_t now;

    pthread_mutex_lock(&ep->lock);
    now = ep->clock;
    pthread_mutex_unlock(&ep->lock);
    return now;
}

void epoch_retire(struct epoch *ep, struct retired *thing, uint64_t born)
{
    bool seen;

    pthread_mutex_lock(&ep->lock);
    thing->since = ep->clock;
    seen = ep->newest && ep->newest->since > born;
    pthread_mutex_unlock(&ep->lock);
    if (!seen) {
        mem_free(thing);
        return;
    }
    thing->next = NULL;
    if (ep->last)
        ep->last->next = thing;
    else
        ep->first = thing;
    ep->last = thing;
}

void epoch_collect(struct epoch *ep)
{
    uint64_t oldest;

    if (!ep->first)
        return;
    pthread_mutex_lock(&ep->lock);
    oldest = ep->oldest ? ep->oldest->since : UINT64_MAX;
    pthread_mutex_unlock(&ep->lock);
    free_until(ep, oldest);
}
