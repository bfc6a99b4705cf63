/* event_filter-internal.h: which values, or which tokens of texts, are surely not in a block.
 *
 * Split block Bloom filters (Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters, 2007; the layout
 * is that of Apache Parquet's BloomFilter.md), cut into slices by the high bits of the hash: a value is in one
 * slice, and a probe reads no other. Of what is not there seems to be, with 8 bits for each distinct value one in thirty,
 * with 5 one in six.
 *
 * A token is a longest run of letters, digits, '_' and bytes >= 0x80. A text that contains a needle contains, whole,
 * the needle's tokens that other bytes of the needle enclose on both sides; the first and the last one may be parts of
 * longer ones. */
#ifndef STORE_EVENT_FILTER_INTERNAL_H
#define STORE_EVENT_FILTER_INTERNAL_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EVENT_FILTER_SLICE = 4000, /* bytes: four of them fill a database page */ EVENT_FILTER_MOST_SLICES = 500 };

/* Never 0. */
uint64_t event_filter_hash(struct str value);
/* Bits for each value: of a text's tokens, since texts are long to read; of a dictionary's values. */
enum { EVENT_FILTER_TOKEN_BITS = 8, EVENT_FILTER_VALUE_BITS = 5, EVENT_FILTER_MOST_BITS = 10 };
/* Bytes of the whole filter for so many distinct values: a multiple of 32; and in how many slices. */
size_t event_filter_bytes(size_t distinct, size_t bits);
size_t event_filter_slices(size_t bytes);
/* Where the value belongs: its slice, and what event_filter_test needs of it. */
size_t event_filter_slice(size_t bytes, uint64_t hash);
/* bits[0..bytes): the whole filter, zeroed before the first value. */
void event_filter_set(uint8_t *bits, size_t bytes, uint64_t hash);
/* `slice`: the bytes of the value's slice alone. */
bool event_filter_test(const uint8_t *slice, size_t n, size_t bytes, uint64_t hash);

/* Where the token begins that text[at - 1] is in; `at` itself when it is in none. */
size_t event_token_begin(struct str text, size_t at);
/* Whether a filter knows the token: short numbers (ports, counts) are in every block, and are left out. */
enum { EVENT_TOKEN_DIGITS = 6 };
bool event_token_counts(struct str token);
/* The next token of the text from *at on; n 0: no more. *inner: other bytes stand on both sides of it. */
struct str event_token_next(struct str text, size_t *at, bool *inner);

#endif
