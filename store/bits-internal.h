/* bits-internal.h: a set of series numbers as bits. */
#ifndef STORE_BITS_INTERNAL_H
#define STORE_BITS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words for numbers below `end`. */
static inline size_t bits_words(uint32_t end)
{
    return (size_t)end / 64 + 1;
}

static inline void bits_set(uint64_t *bits, uint32_t id)
{
    bits[id / 64] |= (uint64_t)1 << (id % 64);
}

static inline bool bits_test(const uint64_t *bits, uint32_t id)
{
    return bits[id / 64] >> (id % 64) & 1;
}

#endif
