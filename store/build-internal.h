/* build-internal.h: from a scan to a block: pages are filled series by series, encoded and handed to a block_writer. */
#ifndef STORE_BUILD_INTERNAL_H
#define STORE_BUILD_INTERNAL_H

#include "store/page-internal.h"
#include "store/scan-internal.h"

/* Samples to leave out: those of `ids` (rising, n of them) from from_ms to to_ms, both included. */
struct build_cut {
    const uint32_t *ids;
    size_t n;
    int64_t from_ms, to_ms;
};

/* Writes all that the scan has (of series ids[…], the scan's own list) as one block of `partition` in the place of
 * replaced[0..n); cut may be NULL. Nothing is written when nothing is left and nothing replaced. ERR_RANGE: a series has
 * more than a page may hold, and nothing was written; otherwise as block_writer_commit and scan_next. */
int build_block(struct blocks *bs, struct scan *scan, const uint32_t *ids, int64_t partition, const struct build_cut *cut,
                struct block *const *replaced, size_t n, struct err *e);

#endif
