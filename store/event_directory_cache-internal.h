/* event_directory_cache-internal.h: parsed directories of blocks of rows, kept from one query to the next.
 *
 * Every query asks the directory of each block in its range, and reading and parsing one takes longer than most answers it
 * gives. A block never changes once it is listed, so what was parsed stays right until no list has the block any more.
 *
 *     (none) ──put──▶ held ◀───get─────── idle ──room is needed──▶ empty ──put──▶ held
 *                      └──its last arena is freed──▶ ┘
 *     forget (the block was merged, dropped, set aside, and its last list is released): idle and empty ones are freed at
 *     once, held ones by their last holder
 *
 * Owner    The store has one cache for all its tables; it outlives their blocks. A block's entry hangs on block.kept.
 * Bound    What the entries hold together is never above the maximum. Idle ones go first that have been idle longest; what
 *          a query holds is never taken away: so of a scan over more blocks than there is room for, the first ones are
 *          there the next time, too.
 * Threads  All functions may be called by any; put, get: while the caller holds a list that has the block. */
#ifndef STORE_EVENT_DIRECTORY_CACHE_INTERNAL_H
#define STORE_EVENT_DIRECTORY_CACHE_INTERNAL_H

#include "store/blocks-internal.h"
#include "store/event_sealed-internal.h"

struct event_directory_cache;

/* NULL: ERR_NOMEM. */
struct event_directory_cache *event_directory_cache_new(size_t max_bytes, struct err *e);
void event_directory_cache_free(struct event_directory_cache *c); /* no block has an entry any more; NULL is fine */
/* Of its entries, in bytes. */
size_t event_directory_cache_used(struct event_directory_cache *c);

/* The block's directory, held until `a` is freed. NULL: it is not there (nor is it when `a` has no memory). */
const struct sealed_directory *event_directory_cache_get(struct event_directory_cache *c, struct block *b,
                                                         struct arena *a);
/* Keeps the directory, which was read out of `bytes` and takes `size` bytes of an arena; and holds it until `a` is freed.
 * Where there is no room or no memory, it is not kept. */
void event_directory_cache_put(struct event_directory_cache *c, struct block *b, struct str bytes, size_t size,
                               struct arena *a);
/* No list has the block any more. (A blocks_kind's `forget`.) */
void event_directory_cache_forget(struct block *b);

#endif
