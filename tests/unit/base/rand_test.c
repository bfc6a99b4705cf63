#include "base/rand.h"

#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>

/* xoshiro256** with the state 1, 2, 3, 4: the first numbers of the authors' reference code. */
START_TEST(is_xoshiro)
{
    static const uint64_t want[] = { 11520, 0, 1509978240, 1215971899390074240 };
    struct rng r = { { 1, 2, 3, 4 } };

    for (size_t i = 0; i < COUNT(want); i++)
        ck_assert_uint_eq(rng_next(&r), want[i]);
}
END_TEST

static const uint64_t ceilings[] = { 1, 2, 3, 10, 1000, (uint64_t)1 << 63, UINT64_MAX };

START_TEST(stays_below)
{
    struct rng r = { { 1, 2, 3, 4 } };

    for (int i = 0; i < 1000; i++)
        ck_assert_uint_lt(rng_below(&r, ceilings[_i]), ceilings[_i]);
}
END_TEST

START_TEST(is_uniform)
{
    enum { BINS = 7, DRAWS = 70000 };
    struct rng r = { { 1, 2, 3, 4 } };
    int n[BINS] = { 0 };

    for (int i = 0; i < DRAWS; i++)
        n[rng_below(&r, BINS)]++;
    for (int i = 0; i < BINS; i++)
        ck_assert_msg(n[i] > 9600 && n[i] < 10400, "bin %d: %d", i, n[i]); /* four standard deviations */
}
END_TEST

START_TEST(uuids)
{
    struct rng r;
    char a[37], b[37];

    rng_seed(&r);
    rng_uuid4(&r, a);
    rng_uuid4(&r, b);
    ck_assert_str_ne(a, b);
    for (int i = 0; i < 1000; i++) {
        rng_uuid4(&r, a);
        ck_assert_uint_eq(strlen(a), 36);
        ck_assert_uint_eq(strspn(a, "0123456789abcdef-"), 36);
        ck_assert(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        ck_assert_int_eq(a[14], '4');
        ck_assert_ptr_nonnull(strchr("89ab", a[19]));
    }
}
END_TEST

START_TEST(hex_digits)
{
    struct rng r = { { 1, 2, 3, 4 } };
    char text[40];
    bool seen[256] = { false };

    for (int i = 0; i < 1000; i++)
        for (size_t n = 0; n <= 33; n++) {
            rng_hex(&r, text, n);
            ck_assert_uint_eq(strlen(text), n);
            ck_assert_uint_eq(strspn(text, "0123456789abcdef"), n);
            ck_assert(n == 0 || strspn(text, "0") < n);
            seen[(unsigned char)text[0]] |= n == 32;
        }
    for (const char *c = "0123456789abcdef"; *c; c++) /* every digit may stand first */
        ck_assert_msg(seen[(unsigned char)*c], "%c", *c);
}
END_TEST

START_TEST(seeds_differ)
{
    struct rng a, b;
    unsigned char bytes[1000] = { 0 };
    int zeros = 0;

    rng_seed(&a);
    rng_seed(&b);
    ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
    rand_bytes(bytes, sizeof(bytes));
    rand_bytes(bytes, 0);
    for (size_t i = 0; i < sizeof(bytes); i++)
        zeros += bytes[i] == 0;
    ck_assert_int_lt(zeros, 30);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rand");
    TCase *t = tcase_create("rand");

    tcase_add_test(t, is_xoshiro);
    tcase_add_loop_test(t, stays_below, 0, COUNT(ceilings));
    tcase_add_test(t, is_uniform);
    tcase_add_test(t, uuids);
    tcase_add_test(t, hex_digits);
    tcase_add_test(t, seeds_differ);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
