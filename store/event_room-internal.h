/* event_room-internal.h: arenas beside a query's own, which come and go while it reads, under the query's ceiling. */
#ifndef STORE_EVENT_ROOM_INTERNAL_H
#define STORE_EVENT_ROOM_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

enum { EVENT_ROOM_LARGE = 4 << 20 };

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

/* Whether it may well be the ceiling that refused: more than half is used, or what is left is less than some columns take. */
static inline bool event_room_short(size_t used, size_t max)
{
    return used > max / 2 || max - used < EVENT_ROOM_LARGE;
}

/* The error as it is for who asked: memory that was refused because the query may not have more is ERR_LIMIT. */
static inline int event_room_error(const struct event_room *r, int rc, struct err *e)
{
    bool is_short = r->query->max && event_room_short(r->query->used + r->budget.used, r->query->max);

    for (const struct arena_budget *b = r->budget.within; b; b = b->within)
        is_short = is_short || event_room_short(b->used, b->max);
    if (rc == ERR_NOMEM && is_short)
        return err_set(e, ERR_LIMIT, "the query needs more memory than it may use, %zu bytes", r->query->max);
    return rc;
}

#endif
