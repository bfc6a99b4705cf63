/* hash128.h: XXH3's 128 bits (xxhash.com, XXH3_128bits_withSeed) of texts that others choose: keyed by a seed they do not
 * know. Two texts with the same hash do not occur. Thread-safe. */
#ifndef BASE_HASH128_H
#define BASE_HASH128_H

#include "base/str.h"

#include <stdint.h>

struct hash128 {
    uint64_t low, high;
};

/* A seed, and what XXH3 would otherwise make of it anew for each text of more than 240 bytes. */
struct hash128_key {
    uint64_t seed;
    unsigned char secret[192];
};

void hash128_key_init(struct hash128_key *key, uint64_t seed);
struct hash128 hash128(const struct hash128_key *key, struct str s);

#endif
