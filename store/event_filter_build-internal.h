/* event_filter_build-internal.h: the filter of one column: first all values are hashed, then it is known how large it
 * must be. */
#ifndef STORE_EVENT_FILTER_BUILD_INTERNAL_H
#define STORE_EVENT_FILTER_BUILD_INTERNAL_H

#include "store/event_column-internal.h"
#include "store/event_filter-internal.h"

/* Distinct hashes. */
struct event_hashes {
    uint64_t *slots; /* owned; 0: empty */
    size_t n, cap;   /* cap: a power of two */
    bool too_many;   /* more than a filter is made for: nothing was added any more */
};

/* Of dictionaries all values, of texts all tokens. ERR_NOMEM. event_hashes_fini is due in any case. */
int event_hashes_of(struct event_hashes *h, const struct event_coded *d, struct err *e);
void event_hashes_fini(struct event_hashes *h);
/* Sets bits[0..bytes), which are zero. */
void event_hashes_filter(const struct event_hashes *h, uint8_t *bits, size_t bytes);

#endif
