/* started-internal.h: whether a counter that says when it began at zero is new to the store. The committer's own. */
#ifndef STORE_STARTED_INTERNAL_H
#define STORE_STARTED_INTERNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum { STARTED_BLOCKS = 32, STARTED_TIMES = 2 };

/* The series of a block, as bits. */
struct started_series {
    uint64_t rank, id; /* of the block; rank 0: free */
    uint64_t *bits;
    uint32_t end;
};

/* When each of them was last seen in it. */
struct started_times {
    uint64_t rank, id;
    uint32_t *last; /* by number, ms since the block's first sample: a block is within a day */
};

struct started {
    struct started_series series[STARTED_BLOCKS];
    struct started_times times[STARTED_TIMES];
    size_t next_series, next_times; /* the places to use again */
};

/* *anew: nothing of the series is stored at or after start_ms. ERR_IO, ERR_NOMEM. */
int started_after(struct store *st, uint32_t id, int64_t start_ms, bool *anew, struct err *e);
void started_fini(struct started *s);

#endif
