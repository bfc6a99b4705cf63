#include "base/num.h"

#include "tests/unit/unit.h"

#include <math.h>

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

static Suite *suite(void)
{
    Suite *s = suite_create("num");
    TCase *t = tcase_create("num");

    tcase_add_loop_test(t, reads_whole_numbers, 0, COUNT(whole));
    tcase_add_loop_test(t, reads_doubles, 0, COUNT(doubles));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
