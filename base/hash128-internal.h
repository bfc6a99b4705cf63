/* hash128-internal.h: the same hash for machines with AVX2, to which hash128 leaves long texts: four times as fast. */
#ifndef BASE_HASH128_INTERNAL_H
#define BASE_HASH128_INTERNAL_H

#include "base/hash128.h"

struct hash128 hash128_avx2(const struct hash128_key *key, struct str s);

#endif
