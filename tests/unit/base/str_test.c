#include "base/str.h"

#include "tests/unit/unit.h"

static int sign(int v)
{
    return (v > 0) - (v < 0);
}

static const struct {
    struct str a, b;
    int cmp;
    bool ieq, starts, ends;
    ptrdiff_t find;
} pairs[] = {
    { STR_INIT(""), STR_INIT(""), 0, true, true, true, 0 },
    { { NULL, 0 }, STR_INIT(""), 0, true, true, true, 0 },
    { { NULL, 0 }, STR_INIT("a"), -1, false, false, false, -1 },
    { STR_INIT("a"), { NULL, 0 }, 1, false, true, true, 0 },
    { STR_INIT("abc"), STR_INIT("abc"), 0, true, true, true, 0 },
    { STR_INIT("abc"), STR_INIT("ab"), 1, false, true, false, 0 },
    { STR_INIT("ab"), STR_INIT("abc"), -1, false, false, false, -1 },
    { STR_INIT("abc"), STR_INIT("bc"), -1, false, false, true, 1 },
    { STR_INIT("abcbc"), STR_INIT("bc"), -1, false, false, true, 1 },
    { STR_INIT("ABC"), STR_INIT("abc"), -1, true, false, false, -1 },
    { STR_INIT("[@`{"), STR_INIT("{`@["), -1, false, false, false, -1 }, /* neighbours of letters are not folded */
    { STR_INIT("a\0b"), STR_INIT("a\0c"), -1, false, false, false, -1 },
    { STR_INIT("\xff"), STR_INIT("a"), 1, false, false, false, -1 }, /* bytes are unsigned */
};

START_TEST(compares)
{
    struct str a = pairs[_i].a, b = pairs[_i].b;

    ck_assert_int_eq(sign(str_cmp(a, b)), pairs[_i].cmp);
    ck_assert_int_eq(sign(str_cmp(b, a)), -pairs[_i].cmp);
    ck_assert(str_eq(a, b) == (pairs[_i].cmp == 0));
    ck_assert(str_ieq(a, b) == pairs[_i].ieq);
    ck_assert(str_starts(a, b) == pairs[_i].starts);
    ck_assert(str_ends(a, b) == pairs[_i].ends);
    ck_assert_int_eq(str_find(a, b), pairs[_i].find);
    ck_assert((str_hash(a) == str_hash(b)) == (pairs[_i].cmp == 0));
    ck_assert((str_hash_stable(a) == str_hash_stable(b)) == (pairs[_i].cmp == 0));
}
END_TEST

START_TEST(of_c_strings)
{
    ck_assert(str_eq(str_of("abc"), STR("abc")));
    ck_assert_uint_eq(str_of(NULL).n, 0);
    ck_assert(str_eqz(STR("abc"), "abc"));
    ck_assert(!str_eqz(STR("abc"), "ab"));
    ck_assert(str_eqz(STR_NULL, ""));
    ck_assert_int_eq(str_chr(STR("a:b:c"), ':'), 1);
    ck_assert_int_eq(str_chr(STR("abc"), ':'), -1);
    ck_assert_int_eq(str_chr(STR_NULL, ':'), -1);
    ck_assert_uint_eq(str_hash_stable(STR("vigla")), 0x150723be1b841383u);
}
END_TEST

static const struct {
    const char *in, *out;
} trims[] = { { "", "" }, { "  ", "" }, { " \ta b\t ", "a b" }, { "\na ", "\na" }, { "a", "a" } };

START_TEST(trims_blanks)
{
    ck_assert(str_eqz(str_trim(str_of(trims[_i].in)), trims[_i].out));
    ck_assert_uint_eq(str_trim(STR_NULL).n, 0);
}
END_TEST

START_TEST(from)
{
    ck_assert(str_eqz(str_from(STR("abc"), 0), "abc"));
    ck_assert(str_eqz(str_from(STR("abc"), 2), "c"));
    ck_assert(str_eqz(str_from(STR("abc"), 3), ""));
    ck_assert(str_eqz(str_from(STR("abc"), 99), ""));
    ck_assert_ptr_null(str_from(STR_NULL, 1).p);
}
END_TEST

static const struct {
    const char *in;
    const char *parts[5]; /* NULL ends them */
} cuts[] = {
    { "", { "" } },
    { "a", { "a" } },
    { "a,b", { "a", "b" } },
    { ",", { "", "" } },
    { "a,,b,", { "a", "", "b", "" } },
};

START_TEST(cuts_at_separators)
{
    struct str rest = str_of(cuts[_i].in);
    size_t n = 0;

    while (rest.p) {
        struct str part = str_cut(&rest, ',');

        ck_assert_ptr_nonnull(cuts[_i].parts[n]);
        ck_assert(str_eqz(part, cuts[_i].parts[n]));
        n++;
    }
    ck_assert_ptr_null(cuts[_i].parts[n]);
}
END_TEST

static const struct {
    struct str s;
    bool is_utf8;
} texts[] = {
    { STR_INIT(""), true },
    { { NULL, 0 }, true },
    { STR_INIT("plain"), true },
    { STR_INIT("twelve bytes, and a tail: \xc3\xa9"), true },
    { STR_INIT("nul \0 inside"), true },
    { STR_INIT("\xc2\x80 \xdf\xbf"), true },
    { STR_INIT("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"), true },
    { STR_INIT("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"), true },
    { STR_INIT("\x80"), false },                 /* a continuation alone */
    { STR_INIT("\xc0\xaf"), false },             /* overlong '/' */
    { STR_INIT("\xc1\xbf"), false },
    { STR_INIT("\xe0\x9f\xbf"), false },         /* overlong */
    { STR_INIT("\xed\xa0\x80"), false },         /* a surrogate */
    { STR_INIT("\xf0\x8f\xbf\xbf"), false },     /* overlong */
    { STR_INIT("\xf4\x90\x80\x80"), false },     /* beyond U+10FFFF */
    { STR_INIT("\xf5\x80\x80\x80"), false },
    { STR_INIT("\xff"), false },
    { STR_INIT("\xc3"), false },                 /* cut */
    { STR_INIT("\xe2\x82"), false },
    { STR_INIT("\xf0\x9f\x98"), false },
    { STR_INIT("\xe2\x82\x28"), false },
    { STR_INIT("eight by\xff"), false },
    { STR_INIT("eight bytes\xc3("), false },
};

START_TEST(knows_utf8)
{
    ck_assert(str_is_utf8(texts[_i].s) == texts[_i].is_utf8);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("str");
    TCase *t = tcase_create("str");

    tcase_add_loop_test(t, compares, 0, COUNT(pairs));
    tcase_add_test(t, of_c_strings);
    tcase_add_loop_test(t, trims_blanks, 0, COUNT(trims));
    tcase_add_test(t, from);
    tcase_add_loop_test(t, cuts_at_separators, 0, COUNT(cuts));
    tcase_add_loop_test(t, knows_utf8, 0, COUNT(texts));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
