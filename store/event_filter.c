/* event_filter.c: split block Bloom filters, and tokens.
 *
 * A filter is a row of blocks of 256 bits. A value belongs to one block, by the high half of its hash, and sets one bit
 * in each of the block's eight words, by the low half times eight odd numbers. A slice is EVENT_FILTER_SLICE bytes of
 * whole blocks, the last one what is left. Words are little-endian. */
#include "store/event_filter-internal.h"

#include <endian.h>

enum { BLOCK = 32, WORDS = 8, MOST_BYTES = EVENT_FILTER_MOST_SLICES * EVENT_FILTER_SLICE };
_Static_assert(EVENT_FILTER_SLICE % BLOCK == 0, "a slice is whole blocks");

/* Those of Parquet's format. */
static const uint32_t salts[WORDS] = { 0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
                                       0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31 };

uint64_t event_filter_hash(struct str value)
{
    uint64_t hash = str_hash_stable(value);

    return hash ? hash : 1;
}

size_t event_filter_bytes(size_t distinct, size_t bits)
{
    size_t bytes = distinct < MOST_BYTES ? (distinct * bits / 8 + BLOCK) / BLOCK * BLOCK : MOST_BYTES;

    return bytes > MOST_BYTES ? MOST_BYTES : bytes;
}

size_t event_filter_slices(size_t bytes)
{
    return (bytes + EVENT_FILTER_SLICE - 1) / EVENT_FILTER_SLICE;
}

/* Where the value's block begins. */
static size_t place(size_t bytes, uint64_t hash)
{
    return (size_t)((hash >> 32) * (bytes / BLOCK) >> 32) * BLOCK;
}

size_t event_filter_slice(size_t bytes, uint64_t hash)
{
    return place(bytes, hash) / EVENT_FILTER_SLICE;
}

static uint32_t mask(uint64_t hash, size_t word)
{
    return htole32((uint32_t)1 << ((uint32_t)hash * salts[word] >> 27));
}

void event_filter_set(uint8_t *bits, size_t bytes, uint64_t hash)
{
    uint8_t *block = bits + place(bytes, hash);
    uint32_t words[WORDS];

    memcpy(words, block, sizeof(words));
    for (size_t i = 0; i < WORDS; i++)
        words[i] |= mask(hash, i);
    memcpy(block, words, sizeof(words));
}

bool event_filter_test(const uint8_t *slice, size_t n, size_t bytes, uint64_t hash)
{
    size_t at = place(bytes, hash) % EVENT_FILTER_SLICE;
    uint32_t words[WORDS], missing = 0;

    if (n < BLOCK || at > n - BLOCK)
        return true; /* not the slice it should be: it says nothing */
    memcpy(words, slice + at, sizeof(words));
    for (size_t i = 0; i < WORDS; i++)
        missing |= ~words[i] & mask(hash, i);
    return missing == 0;
}

/* --- tokens --- */

#define RANGE(from, to) [from ... to] = true
static const bool in_token[256] = {
    RANGE('a', 'z'), RANGE('A', 'Z'), RANGE('0', '9'), ['_'] = true, RANGE(0x80, 0xff)
};
#undef RANGE

struct str event_token_next(struct str text, size_t *at, bool *inner)
{
    size_t begin = *at, end;

    while (begin < text.n && !in_token[(unsigned char)text.p[begin]])
        begin++;
    for (end = begin; end < text.n && in_token[(unsigned char)text.p[end]];)
        end++;
    *at = end;
    *inner = begin > 0 && end < text.n;
    return begin < end ? (struct str){ text.p + begin, end - begin } : STR_NULL;
}

size_t event_token_begin(struct str text, size_t at)
{
    while (at > 0 && in_token[(unsigned char)text.p[at - 1]])
        at--;
    return at;
}

bool event_token_counts(struct str token)
{
    size_t digits = 0;

    while (digits < token.n && token.p[digits] >= '0' && token.p[digits] <= '9')
        digits++;
    return digits < token.n || digits >= EVENT_TOKEN_DIGITS;
}
