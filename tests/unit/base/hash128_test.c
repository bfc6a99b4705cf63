/* hash128_test.c: XXH3 as its authors have it, whatever vectors are used. */
#define XXH_INLINE_ALL
#include "base/hash128-internal.h"

#include "base/rand.h"
#include "tests/unit/unit.h"

#include <xxhash.h>

enum { MOST = 2000 };

static void assert_is(struct hash128 got, XXH128_hash_t want, size_t n)
{
    ck_assert_msg(got.low == want.low64 && got.high == want.high64, "%zu bytes: another hash", n);
}

START_TEST(is_xxh3)
{
    static const uint64_t seeds[] = { 0, 1, 0x8000000000000000, UINT64_MAX };
    struct rng r = { { 5, 6, 7, 8 } };
    struct hash128_key key;
    char text[MOST + 1];

    hash128_key_init(&key, seeds[_i]);
    for (size_t i = 0; i <= MOST; i++)
        text[i] = (char)rng_next(&r);
    for (size_t n = 0; n <= MOST; n++) {
        struct str s = { text + n % 2, n };
        XXH128_hash_t want = XXH3_128bits_withSeed(s.p, n, seeds[_i]);

        assert_is(hash128(&key, s), want, n);
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2"))
            assert_is(hash128_avx2(&key, s), want, n);
#endif
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("hash128");
    TCase *t = tcase_create("hash128");

    tcase_add_loop_test(t, is_xxh3, 0, 4);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
