/* counted-internal.h: what series that come as increments have come to since the store was opened. The committer's own. */
#ifndef STORE_COUNTED_INTERNAL_H
#define STORE_COUNTED_INTERNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct series_index;

struct counted_series {
    uint32_t id; /* 0: a free place */
    bool fresh;  /* no group with it is committed yet */
    double total;
    double before;  /* the group under way began */
    uint64_t group; /* that changed it last */
};

/* An open table, keyed by the series' number. */
struct counted {
    struct counted_series *v;
    size_t n, cap;    /* cap: a power of two */
    uint64_t group;   /* under way */
    uint32_t *touched; /* by it, each once */
    size_t ntouched, touched_cap;
    int64_t last_ms;  /* of samples made: the clock may be set back, a counter's times may not */
};

/* Between groups: counted_begin, then counted_add for each increment, then one of counted_keep and counted_undo. */
void counted_begin(struct counted *c, int64_t now_ms);
/* Adds to the series; *s is valid until the next call. `ix` tells which of the others are gone and need no place.
 * ERR_NOMEM. */
int counted_add(struct counted *c, const struct series_index *ix, uint32_t id, double increment,
                const struct counted_series **s, struct err *e);
void counted_keep(struct counted *c);
void counted_undo(struct counted *c);
void counted_fini(struct counted *c);

#endif
