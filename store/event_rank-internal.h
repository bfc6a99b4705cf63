/* event_rank-internal.h: the order of a dictionary's texts. */
#ifndef STORE_EVENT_RANK_INTERNAL_H
#define STORE_EVENT_RANK_INTERNAL_H

#include "store/event.h"

/* ranks[i]: the place of v[i].s, 0 <= i < n, among all, sorted byte by byte; no two are the same. order[] is the other
 * way round, from place to index. ERR_NOMEM. */
int event_rank_texts(const union event_value *v, size_t n, uint32_t *ranks, uint32_t *order);

#endif
