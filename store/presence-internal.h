/* presence-internal.h: which series have samples about a range.
 *
 * Heads are looked at first, then blocks, the newest first, each only as long as the one who asks has not seen enough:
 * most questions about now end with the head. A head knows of each series' first and last sample; a block of each
 * page's, so that a series may be taken for present that has samples near the range but none in it. */
#ifndef STORE_PRESENCE_INTERNAL_H
#define STORE_PRESENCE_INTERNAL_H

#include "store/head-internal.h"
#include "store/index-internal.h"
#include "store/series.h"

/* What one head or one block knows. */
struct presence {
    int64_t from_ms, to_ms;
    const struct head *head;
    const bool *there; /* of a block, when head is NULL: by series below `end` */
    uint32_t end;
};

bool presence_has(const void *presence, uint32_t id);

/* Both are called with the store's lock held for reading. */
struct presence_asker {
    /* First, once: 0 or ERR_*. */
    int (*begin)(void *arg, struct series_index *ix, struct err *e);
    /* 1: go on; 0: nothing is left to be found; ERR_*. */
    int (*look)(void *arg, const struct presence *p, struct err *e);
    /* Takes every series of the index for present when the range takes in all there is (p is NULL then), be it that one
     * lost its samples a moment ago. */
    bool trusts_index;
};

/* 0, ERR_IO, ERR_NOMEM, or what the asker returned, who sets e then. A damaged block is set aside, the rest counts. */
int presence_ask(struct store *st, const struct series_query *q, const struct presence_asker *asker, void *arg,
                 struct err *e);

#endif
