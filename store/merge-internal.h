/* merge-internal.h: what the sealer does while no head waits: fewer, denser blocks; old partitions and replaced blocks go.
 */
#ifndef STORE_MERGE_INTERNAL_H
#define STORE_MERGE_INTERNAL_H

#include "store/build-internal.h"

struct store;

/* One bounded piece of that work. On the sealer's thread. */
void merge_tick(struct store *st);
/* Writes these blocks of one partition, neighbours by rank, as one, without what `cut` (may be NULL) takes out. The caller
 * holds st->writing and the blocks. ERR_RANGE: too dense for one block; otherwise as build_block. */
int merge_blocks(struct store *st, struct block *const *blocks, size_t n, const struct build_cut *cut, struct err *e);

#endif
