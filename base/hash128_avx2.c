#include "base/hash128-internal.h"

/* All of XXH3 that follows, which chooses its vectors by what the compiler may use. */
#ifdef __x86_64__
#pragma GCC target("avx2")
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>

struct hash128 hash128_avx2(const struct hash128_key *key, struct str s)
{
    XXH128_hash_t h = XXH3_128bits_withSecretandSeed(s.p, s.n, key->secret, sizeof(key->secret), key->seed);

    return (struct hash128){ h.low64, h.high64 };
}
