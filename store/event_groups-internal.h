/* event_groups-internal.h: groups of rows by the values of some fields, and what was counted of each. */
#ifndef STORE_EVENT_GROUPS_INTERNAL_H
#define STORE_EVENT_GROUPS_INTERNAL_H

#include "store/event_source-internal.h"

struct event_groups {
    struct arena *a;      /* of all that follows */
    const bool *is_text;  /* one for each value of a key */
    size_t nby, nsteps;
    size_t most;
    struct event_group *v;
    uint64_t *hashes;
    size_t n, cap, hashes_cap;
    uint32_t *slots;      /* place in v + 1; 0: free */
    size_t nslots;        /* a power of two, or 0 */
};

/* The place in v of the group with this key, which is made, its texts copied, when there is none. ERR_NOMEM; ERR_LIMIT:
 * more than `most`. */
int event_groups_find(struct event_groups *g, const union event_value *key, size_t *at, struct err *e);
/* Adds all that `more` has. */
int event_groups_add(struct event_groups *g, const struct event_groups *more, struct err *e);

#endif
