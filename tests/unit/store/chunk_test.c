#include "store/chunk-internal.h"
#include "tests/unit/unit.h"

#include "base/rand.h"

#include <math.h>

#define STALE_PAYLOAD 0x7ff0000000000002u

static double of_bits(uint64_t u)
{
    double v;

    memcpy(&v, &u, sizeof(v));
    return v;
}

static void round_trip(const int64_t *t, const double *v, size_t n)
{
    static int64_t t2[CHUNK_SAMPLES];
    static double v2[CHUNK_SAMPLES];
    struct buf b = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    size_t got;

    ck_assert_int_eq(chunk_encode(t, v, n, &b, &e), 0);
    ck_assert_msg(chunk_decode(buf_view(&b), t2, v2, &got, &e) == 0, "%s", e.msg);
    ck_assert_uint_eq(got, n);
    ck_assert_mem_eq(t2, t, n * sizeof(*t));
    ck_assert_mem_eq(v2, v, n * sizeof(*v));
    buf_free(&b);
}

static const struct {
    const char *what;
    size_t n;
    int64_t t[6];
    double v[6];
} cases[] = {
    { "one", 1, { 0 }, { 0 } },
    { "counter", 4, { 1000, 2000, 3000, 4000 }, { 1, 2, 2, 1000000 } },
    { "before 1970", 3, { -5000, -1, 7 }, { -1, 0, 1 } },
    { "ends of time", 4, { INT64_MIN, 0, 1, INT64_MAX }, { 1, 2, 3, 4 } },
    { "minus zero", 2, { 1, 2 }, { -0.0, 0.0 } },
    { "fractions", 3, { 1, 2, 3 }, { 0.1, -1e300, 5e-324 } },
    { "infinities", 3, { 1, 2, 4 }, { INFINITY, -INFINITY, 0 } },
    { "edge of whole", 4, { 1, 2, 3, 4 }, { 0x1p53, -0x1p53, 0x1p53 - 1, 0 } },
    { "beyond whole", 3, { 1, 2, 3 }, { 0x1p53 + 2, 0x1p63, -0x1p64 } },
};

START_TEST(keeps_samples)
{
    round_trip(cases[_i].t, cases[_i].v, cases[_i].n);
}
END_TEST

START_TEST(keeps_nan_bits)
{
    int64_t t[] = { 1, 2, 3, 4 };
    double v[] = { of_bits(STALE_PAYLOAD), of_bits(0x7ff8000000000001u), of_bits(0xfff0000000000123u), 1 };

    round_trip(t, v, 4);
}
END_TEST

START_TEST(keeps_random)
{
    static int64_t t[CHUNK_SAMPLES];
    static double v[CHUNK_SAMPLES];
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + rng_below(&r, CHUNK_SAMPLES);

        t[0] = (int64_t)rng_next(&r) >> 20;
        for (size_t i = 0; i < n; i++) {
            if (i)
                t[i] = t[i - 1] + 1 + (int64_t)rng_below(&r, round % 2 ? 20000 : 3);
            v[i] = round % 3 ? (double)rng_below(&r, 1000) / (round % 3) : of_bits(rng_next(&r));
        }
        round_trip(t, v, n);
    }
}
END_TEST

/* Every cut and every flipped byte is noticed. */
START_TEST(refuses_damage)
{
    int64_t t[40], t2[CHUNK_SAMPLES];
    double v[40], v2[CHUNK_SAMPLES];
    struct buf b = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    size_t got;

    for (int i = 0; i < 40; i++) {
        t[i] = i * 15000;
        v[i] = i * (_i ? 0.7 : 1);
    }
    ck_assert_int_eq(chunk_encode(t, v, 40, &b, &e), 0);
    for (size_t n = 0; n < b.n; n++)
        ck_assert_int_eq(chunk_decode((struct str){ b.p, n }, t2, v2, &got, &e), ERR_CORRUPT);
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 0x40;
        ck_assert_int_eq(chunk_decode(buf_view(&b), t2, v2, &got, &e), ERR_CORRUPT);
        b.p[i] ^= 0x40;
    }
    buf_free(&b);
}
END_TEST

START_TEST(packs_counters)
{
    int64_t t[480];
    double v[480];
    struct buf b = BUF_INIT(1 << 20);

    for (int i = 0; i < 480; i++) {
        t[i] = 1700000000000 + i * 15000;
        v[i] = i * 17;
    }
    ck_assert_int_eq(chunk_encode(t, v, 480, &b, NULL), 0);
    ck_assert_uint_lt(b.n, 100);
    buf_free(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("chunk");
    TCase *tc = tcase_create("chunk");

    tcase_add_loop_test(tc, keeps_samples, 0, COUNT(cases));
    tcase_add_test(tc, keeps_nan_bits);
    tcase_add_test(tc, keeps_random);
    tcase_add_loop_test(tc, refuses_damage, 0, 2);
    tcase_add_test(tc, packs_counters);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
