/* cache.h: results of range queries, kept from one query to the next.
 *
 * A dashboard asks the same again every few seconds, for a window that has moved by one step. What was computed for a step
 * holds as long as no sample at or before it changes, and the store tells which times have changed (series_changes): so
 * only new steps, and steps behind late samples, are computed. Answers are those of a query without the cache, apart from
 * the last bits of a sum that is added up in another order.
 *
 * Thread-safe. Memory is bounded; what was not used longest goes first. */
#ifndef QUERY_CACHE_H
#define QUERY_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct promql_cache;

struct promql_cache *promql_cache_new(size_t max_bytes); /* NULL: no memory */
void promql_cache_free(struct promql_cache *c);          /* no query may use it any more; NULL is fine */
/* Lets go of what no query has used for so long. NULL is fine. */
void promql_cache_trim(struct promql_cache *c, int64_t idle_ms);

struct promql_cache_stats {
    uint64_t hits, misses; /* lookups that found something of use, and others */
    size_t bytes, results; /* kept now */
};
void promql_cache_stats(struct promql_cache *c, struct promql_cache_stats *out);

#endif
