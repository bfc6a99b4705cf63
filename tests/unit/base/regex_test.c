#include "base/regex.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

static const struct {
    const char *pattern;
    unsigned flags;
    const char *subject;
    bool matches;
} matches[] = {
    { "b", 0, "abc", true },
    { "b", REGEX_FULL, "abc", false },
    { "a.c", REGEX_FULL, "abc", true },
    { "a|ab", REGEX_FULL, "ab", true },
    { "", REGEX_FULL, "", true },
    { "", REGEX_FULL, "x", false },
    { "", 0, "x", true },
    { "ABC", 0, "abc", false },
    { "ABC", REGEX_IGNORE_CASE, "abc", true },
    { "(?i)ABC", REGEX_FULL, "abc", true },
    { "a.c", 0, "a\nc", false },
    { "a.c", REGEX_DOTALL, "a\nc", true },
    { "a$", 0, "a\n", false },
    { "4..|5..", REGEX_FULL, "503", true },
    { "\xc3\xa9+", REGEX_FULL, "\xc3\xa9\xc3\xa9", true },
    { ".", REGEX_FULL, "\xc3\xa9", true },
    { "a", 0, "\xff\xfe a", true },                  /* a subject that is not UTF-8 */
    { "(?P<name>a)(?:b)(?s:.)", REGEX_FULL, "ab\n", true },
    { "(?<name>a)", REGEX_FULL, "a", true },
    { "[(?=]+", REGEX_FULL, "?=(", true },           /* nothing special in a class */
    { "[]\\1(*]+", REGEX_FULL, "](*", true },
    { "[^]]+", REGEX_FULL, "a(*", true },
    { "[[:alpha:]]+\\d\\pL", REGEX_FULL, "ab1c", true },
    { "\\(\\*x", REGEX_FULL, "(*x", true },
};

START_TEST(matches_as_re2)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct regex *re = regex_compile(&a, str_of(matches[_i].pattern), matches[_i].flags, &e);

    ck_assert_msg(re != NULL, "%s: %s", matches[_i].pattern, e.msg);
    ck_assert_msg(regex_match(re, str_of(matches[_i].subject)) == matches[_i].matches, "%s", matches[_i].pattern);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *pattern, *msg;
} bad[] = {
    { "a(", "regular expression \"a(\": at 2: missing closing parenthesis" },
    { "[a", "regular expression \"[a\": at 2: missing terminating ] for character class" },
    { "*", "regular expression \"*\": at 0: quantifier does not follow a repeatable item" },
    { "\xff", "regular expression \"\xff\": at 0: UTF-8 error: illegal byte (0xfe or 0xff)" },
    { "\\", "regular expression \"\\\": at 1: \\ at end of pattern" },
    { "(a)\\1", "regular expression \"(a)\\1\": back references and look-around are not offered (RE2)" },
    { "(a)\\g1", NULL },      { "(?P<n>a)(?P=n)", NULL }, { "(?<n>a)\\k<n>", NULL }, { "a(?=b)", NULL },
    { "a(?!b)", NULL },       { "(?<=a)b", NULL },        { "(?<!a)b", NULL },       { "(?>a)", NULL },
    { "(?(1)a)", NULL },      { "(?R)", NULL },           { "(a)(?1)", NULL },       { "(?#text)", NULL },
    { "(*LIMIT_MATCH=9)a", NULL }, { "a\\Kb", NULL },     { "(?|a|b)", NULL },       { "(?'n'a)", NULL },
    { "(?x) a", NULL },
};

START_TEST(refuses_what_re2_refuses)
{
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;

    ck_assert_msg(regex_compile(&a, str_of(bad[_i].pattern), 0, &e) == NULL, "%s", bad[_i].pattern);
    ck_assert_int_eq(e.code, ERR_PARSE);
    if (bad[_i].msg)
        ck_assert_str_eq(e.msg, bad[_i].msg);
    arena_free(&a);
}
END_TEST

START_TEST(captures)
{
    struct arena a = ARENA_INIT(0);
    struct regex *re = regex_compile(&a, STR("(\\d+)(?:-(\\d+))?(x)?"), 0, NULL);
    struct str groups[6];

    ck_assert_uint_eq(regex_groups(re), 3);
    ck_assert(regex_capture(re, STR("a 12-34 b"), groups, 6));
    ck_assert(str_eqz(groups[0], "12-34"));
    ck_assert(str_eqz(groups[1], "12"));
    ck_assert(str_eqz(groups[2], "34"));
    ck_assert_ptr_null(groups[3].p);
    ck_assert_ptr_null(groups[5].p);
    ck_assert(regex_capture(re, STR("5"), groups, 3));
    ck_assert_ptr_null(groups[2].p);
    ck_assert(!regex_capture(re, STR("none"), groups, 3));
    arena_free(&a);
}
END_TEST

START_TEST(finds_named_groups)
{
    struct arena a = ARENA_INIT(0);
    struct regex *re = regex_compile(&a, STR("(a)(?P<who>b)(?<then>c)"), 0, NULL);

    ck_assert_int_eq(regex_group_named(re, "who"), 2);
    ck_assert_int_eq(regex_group_named(re, "then"), 3);
    ck_assert_int_eq(regex_group_named(re, "nobody"), -1);
    arena_free(&a);
}
END_TEST

START_TEST(has_many_groups)
{
    struct arena a = ARENA_INIT(0);
    struct buf pattern = BUF_INIT(10000), subject = BUF_INIT(1000);
    struct str groups[100];
    struct regex *re;

    for (int i = 0; i < 90; i++) {
        buf_puts(&pattern, "(.)");
        buf_putc(&subject, (char)('0' + i % 10));
    }
    re = regex_compile(&a, buf_view(&pattern), REGEX_FULL, NULL);
    ck_assert(regex_capture(re, buf_view(&subject), groups, 100));
    ck_assert(str_eqz(groups[63], "2"));
    ck_assert_ptr_null(groups[64].p); /* what there is no room for counts as absent */
    buf_free(&pattern);
    buf_free(&subject);
    arena_free(&a);
}
END_TEST

/* Work is bounded; long subjects are matched all the same. */
static const struct {
    const char *pattern;
    size_t n;
    bool matches;
} heavy[] = {
    { "(a+)+b", 40, false },
    { "(a|b)*", 100000, true },
    { "(?:a|aa)*c", 50000, false },
    { "a*a*a*a*b", 3000, false },
};

START_TEST(work_is_bounded)
{
    struct arena a = ARENA_INIT(0);
    struct regex *re = regex_compile(&a, str_of(heavy[_i].pattern), REGEX_FULL, NULL);
    char *subject = malloc(heavy[_i].n);
    int64_t from = clock_mono_ns();

    memset(subject, 'a', heavy[_i].n);
    ck_assert_msg(regex_match(re, (struct str){ subject, heavy[_i].n }) == heavy[_i].matches, "%s", heavy[_i].pattern);
    ck_assert_int_lt(clock_mono_ns() - from, 3000000000);
    free(subject);
    arena_free(&a);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(0);
        struct err e = ERR_INIT;
        struct regex *re;

        mem_fail_at(n);
        re = regex_compile(&a, STR("a+"), 0, &e);
        mem_fail_at(0);
        ck_assert(re || e.code == ERR_NOMEM);
        arena_free(&a);
        if (re)
            break;
    }
    {
        struct arena tiny = ARENA_INIT(32);
        struct err e = ERR_INIT;

        ck_assert_ptr_null(regex_compile(&tiny, STR("a+"), 0, &e)); /* the hook finds no room */
        ck_assert_int_eq(e.code, ERR_NOMEM);
        arena_free(&tiny);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("regex");
    TCase *t = tcase_create("regex");

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, matches_as_re2, 0, COUNT(matches));
    tcase_add_loop_test(t, refuses_what_re2_refuses, 0, COUNT(bad));
    tcase_add_test(t, captures);
    tcase_add_test(t, finds_named_groups);
    tcase_add_test(t, has_many_groups);
    tcase_add_loop_test(t, work_is_bounded, 0, COUNT(heavy));
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
