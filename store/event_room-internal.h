/* event_room-internal.h: arenas beside a query's own, which come and go while it reads, under the query's ceiling. */
#ifndef STORE_EVENT_ROOM_INTERNAL_H
#define STORE_EVENT_ROOM_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

struct event_room {
    const struct arena *query;
    struct arena_budget budget; /* what the query's arena leaves over, and within what that shares with others */
};

static inline void event_room_init(struct event_room *r, const struct arena *query)
{
    size_t left = query->max > query->used ? query->max - query->used : 0;

    r->query = query;
    r->budget = (struct arena_budget){ .max = query->max ? left : SIZE_MAX, .within = query->budget };
}

static inline struct arena event_room_arena(struct event_room *r)
{
    struct arena a = ARENA_INIT(0);

    a.budget = &r->budget;
    return a;
}

/* The error as it is for who asked: when memory was refused because the query has much already, ERR_LIMIT says so. */
static inline int event_room_error(const struct event_room *r, int rc, struct err *e)
{
    bool much = r->query->max && r->query->used + r->budget.used > r->query->max / 2;

    for (const struct arena_budget *b = r->budget.within; b; b = b->within)
        much = much || b->used > b->max / 2;
    if (rc == ERR_NOMEM && much)
        return err_set(e, ERR_LIMIT, "the query needs more memory than the %zu bytes that it may use", r->query->max);
    return rc;
}

#endif
