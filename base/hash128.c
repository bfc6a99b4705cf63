#define XXH_INLINE_ALL
#include "base/hash128-internal.h"

#include <stdbool.h>
#include <xxhash.h>

enum { SHORT = 240 }; /* no vectors are used up to here */

_Static_assert(sizeof(((struct hash128_key *)NULL)->secret) == XXH3_SECRET_DEFAULT_SIZE, "XXH3's own size");

void hash128_key_init(struct hash128_key *key, uint64_t seed)
{
    key->seed = seed;
    XXH3_generateSecret_fromSeed(key->secret, seed);
}

static bool has_avx2(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

struct hash128 hash128(const struct hash128_key *key, struct str s)
{
    XXH128_hash_t h;

    if (s.n > SHORT && has_avx2())
        return hash128_avx2(key, s);
    h = XXH3_128bits_withSecretandSeed(s.p, s.n, key->secret, sizeof(key->secret), key->seed);
    return (struct hash128){ h.low64, h.high64 };
}
