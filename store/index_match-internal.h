/* index_match-internal.h: a matcher made ready for an index: its answer for each pair of its name. */
#ifndef STORE_INDEX_MATCH_INTERNAL_H
#define STORE_INDEX_MATCH_INTERNAL_H

#include "store/index_state-internal.h"

struct condition {
    const struct matcher *m;
    const struct texts *texts;
    uint32_t name;     /* 0: no series has it */
    bool empty;        /* whether a series without the label matches */
    bool always;       /* whether all do; with an estimate of 0 none does */
    uint32_t only;     /* for EQ and NE: the pair with the value; UINT32_MAX when there is none */
    uint8_t *answers;  /* for RE and NRE, by pair.local: 0 not asked yet, 1 no, 2 yes */
    uint64_t estimate; /* series that may match */
};

/* 0 or ERR_NOMEM. */
int condition_init(struct condition *c, const struct series_index *ix, const struct matcher *m, struct arena *a);
/* Whether it holds for a series with this pair of its name, which some series have; 0 is a series without the label.
 * A regular expression is tried once for each pair. */
bool condition_holds(struct condition *c, uint32_t pair);

#endif
