/* started-internal.h: whether a counter that says when it began at zero is new to the store. The committer's own. */
#ifndef STORE_STARTED_INTERNAL_H
#define STORE_STARTED_INTERNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum { STARTED_BLOCKS = 8 };

/* The series of a block, as bits. */
struct started_block {
    uint64_t rank;
    uint64_t *bits;
    uint32_t end;
};

struct started {
    struct started_block known[STARTED_BLOCKS];
    size_t next; /* the place to use again */
};

/* *anew: nothing of the series is stored at or after start_ms. ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
int started_after(struct store *st, uint32_t id, int64_t start_ms, bool *anew, struct err *e);
void started_fini(struct started *s);

#endif
