#include "base/num.h"

#include "base/pow10-internal.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    struct str in;
    bool is_i64, is_u64;
    int64_t i;
    uint64_t u;
} whole[] = {
    { STR_INIT("0"), true, true, 0, 0 },
    { STR_INIT("007"), true, true, 7, 7 },
    { STR_INIT("-1"), true, false, -1, 0 },
    { STR_INIT("+1"), true, false, 1, 0 },
    { STR_INIT("9223372036854775807"), true, true, INT64_MAX, INT64_MAX },
    { STR_INIT("9223372036854775808"), false, true, 0, 1ull << 63 },
    { STR_INIT("-9223372036854775808"), true, false, INT64_MIN, 0 },
    { STR_INIT("-9223372036854775809"), false, false, 0, 0 },
    { STR_INIT("18446744073709551615"), false, true, 0, UINT64_MAX },
    { STR_INIT("18446744073709551616"), false, false, 0, 0 },
    { STR_INIT("99999999999999999999999"), false, false, 0, 0 },
    { STR_INIT(""), false, false, 0, 0 },
    { { NULL, 0 }, false, false, 0, 0 },
    { STR_INIT("-"), false, false, 0, 0 },
    { STR_INIT("--1"), false, false, 0, 0 },
    { STR_INIT("1 "), false, false, 0, 0 },
    { STR_INIT(" 1"), false, false, 0, 0 },
    { STR_INIT("1.0"), false, false, 0, 0 },
    { STR_INIT("0x1"), false, false, 0, 0 },
    { STR_INIT("1\0"), false, false, 0, 0 },
};

START_TEST(reads_whole_numbers)
{
    int64_t i;
    uint64_t u;

    ck_assert(num_i64(whole[_i].in, &i) == whole[_i].is_i64);
    ck_assert(num_u64(whole[_i].in, &u) == whole[_i].is_u64);
    if (whole[_i].is_i64)
        ck_assert_int_eq(i, whole[_i].i);
    if (whole[_i].is_u64)
        ck_assert_uint_eq(u, whole[_i].u);
}
END_TEST

static const struct {
    struct str in;
    bool is_one;
    double v;
} doubles[] = {
    { STR_INIT("0"), true, 0 },
    { STR_INIT("-1.5e3"), true, -1500 },
    { STR_INIT("+.5"), true, 0.5 },
    { STR_INIT("0x1p-2"), true, 0.25 },
    { STR_INIT("nan"), true, NAN },
    { STR_INIT("NaN"), true, NAN },
    { STR_INIT("+Inf"), true, INFINITY },
    { STR_INIT("-infinity"), true, -INFINITY },
    { STR_INIT(""), false, 0 },
    { STR_INIT(" 1"), false, 0 },
    { STR_INIT("\n1"), false, 0 },
    { STR_INIT("\v1"), false, 0 },
    { STR_INIT("1 "), false, 0 },
    { STR_INIT("1,5"), false, 0 },
    { STR_INIT("nan(1)"), false, 0 },
    { STR_INIT("1e"), false, 0 },
    { STR_INIT("1\0"), false, 0 },
    { STR_INIT("."), false, 0 },
    { STR_INIT("00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
               "000000000000000000000000000000000000000000000001"), false, 0 },
};

START_TEST(reads_doubles)
{
    double v;

    ck_assert(num_double(doubles[_i].in, &v) == doubles[_i].is_one);
    if (doubles[_i].is_one)
        ck_assert(isnan(doubles[_i].v) ? isnan(v) : v == doubles[_i].v);
}
END_TEST

/* --- printing --- */

static const struct {
    double v;
    const char *plain, *json, *general;
} printed[] = {
    { 0, "0", "0", "0" },
    { -0.0, "-0", "-0", "-0" },
    { 1, "1", "1", "1" },
    { -17, "-17", "-17", "-17" },
    { 0.1, "0.1", "0.1", "0.1" },
    { -2.5, "-2.5", "-2.5", "-2.5" },
    { 1.0 / 3, "0.3333333333333333", "0.3333333333333333", "0.3333333333333333" },
    { 123456789.5, "123456789.5", "123456789.5", "123456789.5" },
    { 1e-4, "0.0001", "0.0001", "0.0001" },
    { 1e-5, "0.00001", "0.00001", "1e-05" },
    { 1e-6, "0.000001", "0.000001", "1e-06" },
    { 1.25e-7, "0.000000125", "1.25e-07", "1.25e-07" },
    { 9007199254740992, "9007199254740992", "9007199254740992", "9007199254740992" },
    { 1e15, "1000000000000000", "1000000000000000", "1e+15" },
    { 1e20, "100000000000000000000", "100000000000000000000", "1e+20" },
    { 1e21, "1000000000000000000000", "1e+21", "1e+21" },
    { 1.5e100, NULL, "1.5e+100", "1.5e+100" },
    { 1.7976931348623157e308, NULL, "1.7976931348623157e+308", "1.7976931348623157e+308" },
    { 5e-324, NULL, "5e-324", "5e-324" },
    { 2.2250738585072014e-308, NULL, "2.2250738585072014e-308", "2.2250738585072014e-308" },
    { 0x1p-44, NULL, "5.684341886080802e-14", "5.684341886080802e-14" }, /* the neighbour below is closer */
    { NAN, "NaN", "NaN", "NaN" },
    { INFINITY, "+Inf", "+Inf", "+Inf" },
    { -INFINITY, "-Inf", "-Inf", "-Inf" },
};

static const char *print(double v, enum num_form form, char text[NUM_MOST + 1])
{
    size_t n = num_put_double(text, v, form);

    ck_assert_uint_le(n, NUM_MOST);
    text[n] = '\0';
    return text;
}

START_TEST(prints_doubles)
{
    char text[NUM_MOST + 1];

    if (printed[_i].plain)
        ck_assert_str_eq(print(printed[_i].v, NUM_PLAIN, text), printed[_i].plain);
    ck_assert_str_eq(print(printed[_i].v, NUM_JSON, text), printed[_i].json);
    ck_assert_str_eq(print(printed[_i].v, NUM_GENERAL, text), printed[_i].general);
}
END_TEST

/* Reads back; no form with a digit less does; and of those with as many digits none is closer. */
static void check_shortest(double v)
{
    struct num_decimal d = num_shortest(v);
    char text[NUM_MOST + 1], other[64];
    int digits = snprintf(other, sizeof(other), "%" PRIu64, d.digits);

    ck_assert_msg(strtod(print(v, NUM_PLAIN, text), NULL) == v, "%a plain: %s", v, text);
    ck_assert_msg(strtod(print(v, NUM_GENERAL, text), NULL) == v, "%a: %s", v, text);
    ck_assert_uint_le(strlen(print(v, NUM_JSON, text)), NUM_MOST_JSON);
    ck_assert_msg(strtod(text, NULL) == v, "%a in JSON: %s", v, text);
    ck_assert_uint_ne(d.digits % 10, 0);
    for (uint64_t shorter = d.digits / 10; digits > 1 && shorter <= d.digits / 10 + 1; shorter++) {
        snprintf(other, sizeof(other), "%" PRIu64 "e%d", shorter, d.exponent + 1);
        ck_assert_msg(strtod(other, NULL) != v, "%a: %s is shorter than %s", v, other, text);
    }
    snprintf(other, sizeof(other), "%.*e", digits - 1, v); /* the closest with as many digits, if it reads back at all */
    if (strtod(other, NULL) == v) {
        double wanted = atof(other), exponent = atof(strchr(other, 'e') + 1);
        uint64_t all = 0;

        for (const char *c = other; *c != 'e'; c++)
            all = *c == '.' ? all : all * 10 + (uint64_t)(*c - '0');
        ck_assert_msg(wanted == v && all == d.digits && (int)exponent - digits + 1 == d.exponent, "%a: %s, closer is %s",
                      v, text, other);
    }
}

START_TEST(digits_are_the_shortest_and_closest)
{
    struct rng r = { { 1, 2, 3, 4 } };

    for (int e = -1074; e < 1024; e++) { /* around each power of two the intervals change */
        check_shortest(ldexp(1, e));
        if (e > -1074)
            check_shortest(nextafter(ldexp(1, e), 0));
        check_shortest(nextafter(ldexp(1, e), INFINITY));
    }
    for (int i = 0; i < 60000; i++) {
        uint64_t bits = rng_next(&r) >> 1;
        double v;

        memcpy(&v, &bits, sizeof(v));
        if (isfinite(v) && v > 0)
            check_shortest(v);
        check_shortest((double)(1 + rng_below(&r, 1000000)) / (double)(1 + rng_below(&r, 1000)));
        check_shortest((double)(1 + rng_below(&r, UINT64_C(1) << 60)));
    }
    for (int e = -323; e < 309; e++) {
        char text[16];

        snprintf(text, sizeof(text), "1e%d", e);
        check_shortest(atof(text));
    }
}
END_TEST

/* The table again, in exact arithmetic: entry k times 10^-k (or 10^k for negative k) lies where it should. Numbers are
 * arrays of 32-bit words, the lowest first. */
enum { WORDS = 48 };

static void times(uint32_t n[WORDS], uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < WORDS; i++) {
        carry += (uint64_t)n[i] * factor;
        n[i] = (uint32_t)carry;
        carry >>= 32;
    }
    ck_assert_uint_eq(carry, 0);
}

static int compare(const uint32_t a[WORDS], const uint32_t b[WORDS])
{
    for (int i = WORDS - 1; i >= 0; i--)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static void set_shifted(uint32_t n[WORDS], unsigned __int128 v, int shift)
{
    memset(n, 0, WORDS * sizeof(*n));
    for (int i = 0; i < 128; i++)
        if (v >> i & 1)
            n[(i + shift) / 32] |= UINT32_C(1) << (i + shift) % 32;
}

/* ceil: (entry - 1) · 2^e < 10^k <= entry · 2^e; for negative k both sides times 10^-k. */
START_TEST(powers_of_ten_are_right)
{
    int k = POW10_MIN + _i, e = (k * 1741647 >> 19) - 127;
    unsigned __int128 entry = (unsigned __int128)pow10_table[_i].high << 64 | pow10_table[_i].low;
    uint32_t power[WORDS], above[WORDS], below[WORDS];

    ck_assert_uint_eq(pow10_table[_i].high >> 63, 1);
    set_shifted(power, 1, e < 0 ? -e : 0);
    set_shifted(above, entry, e < 0 ? 0 : e);
    set_shifted(below, entry - 1, e < 0 ? 0 : e);
    for (int i = 0; i < k; i++)
        times(power, 10);
    for (int i = 0; i < -k; i++) {
        times(above, 10);
        times(below, 10);
    }
    ck_assert_int_lt(compare(below, power), 0);
    ck_assert_int_le(compare(power, above), 0);
}
END_TEST

static const struct {
    uint64_t v;
    const char *text;
} unsigned_numbers[] = { { 0, "0" }, { 9, "9" }, { 10, "10" }, { 99, "99" }, { 100, "100" }, { 1234567, "1234567" },
                         { UINT64_MAX, "18446744073709551615" } };

START_TEST(prints_whole_numbers)
{
    char text[NUM_MOST_U64];
    size_t n = num_put_u64(text, unsigned_numbers[_i].v);

    ck_assert(str_eqz((struct str){ text, n }, unsigned_numbers[_i].text));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("num");
    TCase *t = tcase_create("num");

    tcase_add_loop_test(t, reads_whole_numbers, 0, COUNT(whole));
    tcase_add_loop_test(t, reads_doubles, 0, COUNT(doubles));
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, prints_doubles, 0, COUNT(printed));
    tcase_add_test(t, digits_are_the_shortest_and_closest);
    tcase_add_loop_test(t, powers_of_ten_are_right, 0, POW10_MAX - POW10_MIN + 1);
    tcase_add_loop_test(t, prints_whole_numbers, 0, COUNT(unsigned_numbers));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
