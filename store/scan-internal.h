/* scan-internal.h: the samples of some series out of heads and blocks, series by series in the order of pages.
 *
 * Queries, the sealer and the compactor all read through a scan. A sample that is in several places counts once: a head
 * wins over blocks, the newer head over the older, a block of higher rank over one of lower. */
#ifndef STORE_SCAN_INTERNAL_H
#define STORE_SCAN_INTERNAL_H

#include "base/arena.h"
#include "store/blocks-internal.h"
#include "store/head-internal.h"

enum { SCAN_HEADS = 2 };

/* What to look at. All of it, what it points to included, must stay until the scan's arena ends; heads and blocks must be
 * held by the caller as long. */
struct scan_input {
    struct blocks *store;
    const uint32_t *ids;      /* sorted by index_order, then number */
    size_t n;
    uint32_t end;             /* one past the highest of them */
    int64_t from_ms, to_ms;   /* both included */
    struct block *const *blocks;
    size_t nblocks;
    const struct head_view *views[SCAN_HEADS]; /* n of each, older head first; n 0: not in it; NULL: no such head */
    bool skip_damaged;        /* the rest is served; otherwise ERR_CORRUPT. Either way the damaged block is set aside */
};

struct scan;

/* Lives in `a`. NULL: ERR_NOMEM, ERR_LIMIT (the arena's ceiling), ERR_IO, ERR_CORRUPT. */
struct scan *scan_open(const struct scan_input *in, struct arena *a, struct err *e);
/* The series ids[from..to) of `whole`, for another thread: lives in `a`, which must end before whole's arena. `whole`
 * itself must not be read any more. NULL as above. */
struct scan *scan_part(const struct scan *whole, size_t from, size_t to, struct arena *a, struct err *e);

/* 1: *at is the next series (as a place in ids) with samples in the range; 0: no more; ERR_*. */
int scan_next(struct scan *s, size_t *at, struct err *e);
/* The next piece of that series, oldest first, one behind the other, valid until the next scan_next. False: no more. */
bool scan_samples(struct scan *s, struct sample_columns *out);

#endif
