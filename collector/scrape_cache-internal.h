/* scrape_cache-internal.h: what one target has shown: lines known by their bytes, series known by their labels, and
 * which of these are alive.
 *
 * An entry stands for the bytes of a line's series as the target writes it; a series for what relabelling makes of it.
 * Several entries may lead to one series, and some lead to none (dropped). Series stay where they are until
 * cache_trim, so a batch may point to their labels. One thread at a time. */
#ifndef COLLECTOR_SCRAPE_CACHE_INTERNAL_H
#define COLLECTOR_SCRAPE_CACHE_INTERNAL_H

#include "base/arena.h"
#include "base/hash128.h"
#include "base/labels.h"

#include <stdint.h>

/* A page reads them one after another, so they stand one behind the other, apart from their labels. */
struct scrape_series {
    struct labels labels; /* sorted; in one piece of memory; v NULL: not in use */
    uint64_t hash;        /* labels_hash */
    uint32_t id;          /* the store's number, once it has said so (batch_series.id) */
    uint32_t seen;        /* the last page that had a sample of it */
    uint32_t tracked;     /* the last page that kept it alive */
    uint32_t entries;     /* that lead here */
    bool was_live;        /* before the page `tracked` */
    struct scrape_series *next_unused;
};

struct scrape_entry {
    struct hash128 key;           /* of the bytes: equal means same */
    struct scrape_series *series; /* NULL: dropped by relabelling */
    uint32_t seen;                /* the last page that had the line */
};

struct scrape_cache {
    struct hash128_key key;   /* of the hash: nobody outside can choose bytes that collide */
    uint32_t page;            /* counts pages from 1 */
    uint32_t good, before;    /* series whose `tracked` is `good` are alive; `before`: so it was when the page began */
    size_t live, live_before; /* how many */
    size_t touched, kept;     /* by this page: all, and those that were alive before it */
    size_t found;             /* entries that this page has */
    struct scrape_entry *entries; /* in the order of the page that brought them: the next line is mostly the next entry */
    size_t n, cap, at;        /* `at`: the entry found last */
    uint32_t *slots;          /* open addressing: 1 + index of an entry, 0 empty */
    size_t nslots;
    struct scrape_series **table; /* open addressing, by `hash` */
    size_t nseries, ntable;
    struct series_slab *slabs;    /* what the table points into, the latest first */
    struct scrape_series *unused; /* in them */
};

void cache_init(struct scrape_cache *c);
void cache_fini(struct scrape_cache *c);

/* A page begins. */
void cache_begin(struct scrape_cache *c);
/* The entry of these bytes, marked as seen; NULL when they are new. */
struct scrape_entry *cache_find(struct scrape_cache *c, struct str bytes);
/* Remembers the bytes, and the labels they stand for (n 0: dropped). Valid until the next cache_add. NULL: no memory. */
struct scrape_entry *cache_add(struct scrape_cache *c, struct str bytes, struct labels labels);
/* The page keeps the series alive. */
void cache_touch(struct scrape_cache *c, struct scrape_series *s);
/* The page has ended, well or not: calls stale(arg, s) for each series that was alive and no longer is. Stops at a
 * result < 0 and returns it; cache_undo must follow then. */
int cache_end(struct scrape_cache *c, bool good, int (*stale)(void *arg, struct scrape_series *s), void *arg);
/* What the page said could not be stored: what was alive before it is alive. */
void cache_undo(struct scrape_cache *c);
/* Forgets entries that the last page did not have, when they are many, and dead series without entries. */
void cache_trim(struct scrape_cache *c);
/* Forgets all entries: other labels will be made of their bytes from now on. Series live on. */
void cache_forget_entries(struct scrape_cache *c);

#endif
