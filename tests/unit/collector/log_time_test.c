#include "collector/log_time-internal.h"

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

#define S 1000000000LL
#define NOW (1795684282LL * S) /* 2026-11-26T09:11:22Z */

static const struct {
    const char *pattern, *text;
    int64_t ns; /* -1: it does not follow */
    bool precise;
} cases[] = {
    { "%d/%b/%Y:%T %z", "26/Nov/2026:09:11:22 +0000", NOW, false },
    { "%d/%b/%Y:%T %z", "26/Nov/2026:10:11:22 +0100", NOW, false },
    { "%d/%b/%Y:%T %z", "26/Nov/2026:04:41:22 -0430", NOW, false },
    { "%d/%b/%Y:%T %z", "26/Nov/2026:09:11:22 0000", -1, false },
    { "%d/%b/%Y:%T.%3f", "26/Nov/2026:09:11:22.123", NOW + 123000000, true },
    { "%d/%b/%Y:%T.%3f", "26/Nov/2026:09:11:22.12", -1, false },
    { "%FT%T%z", "2026-11-26T09:11:22Z", NOW, false },
    { "%FT%T%z", "2026-11-26T09:11:22+00:00", NOW, false },
    { "%s.%3f", "1795684282.500", NOW + S / 2, true },
    { "%s.%f", "1795684282.5", NOW + S / 2, true },
    { "%s", "99999999999", -1, false },
    { "%b %e %T", "Nov 26 09:11:22", NOW, false },
    { "%b %e %T", "Nov  6 09:11:22", NOW - 20LL * 86400 * S, false },
    { "%b %e %T", "Jan  1 00:00:00", 1798761600LL * S, false }, /* the next year: a clock that is ahead */
    { "%b %e %T", "Dec 31 23:59:59", 1798761599LL * S, false },
    { "%b %e %T", "Nox 26 09:11:22", -1, false },
    { "%Y-%m-%d %H:%M:%S%%", "2026-11-26 09:11:22%", NOW, false },
    { "%Y-%m-%d", "2026-13-26", -1, false },
    { "%Y-%m-%d", "1969-01-01", -1, false },
    { "%H:%M", "", -1, false },
    { "%T", "24:00:00", -1, false },
    { "%T x", "09:11:22 ", -1, false },
};

START_TEST(follows_patterns)
{
    struct log_time t = { -1, false };
    bool ok = log_time_parse(cases[_i].pattern, str_of(cases[_i].text), NOW, &t);

    ck_assert_msg(ok == (cases[_i].ns >= 0), "%s: %d", cases[_i].text, ok);
    if (ok) {
        ck_assert_msg(t.ns == cases[_i].ns, "%s: %lld", cases[_i].text, (long long)t.ns);
        ck_assert_int_eq(t.precise, cases[_i].precise);
    }
}
END_TEST

START_TEST(a_new_year)
{
    struct log_time t;

    ck_assert(log_time_parse("%b %e %T", STR("Dec 31 23:59:59"), 1798761600LL * S, &t));
    ck_assert_int_eq(t.ns, 1798761599LL * S);
}
END_TEST

static const struct {
    const char *text;
    int64_t ns;
} guesses[] = {
    { "2026-11-26T09:11:22.5Z", NOW + S / 2 },
    { "2026-11-26T10:11:22+01:00", NOW },
    { "1795684282", NOW },
    { "1795684282.125", NOW + S / 8 },
    { "1795684282500", NOW + S / 2 },
    { "1795684282500000", NOW + S / 2 },
    { "1795684282500000001", NOW + S / 2 + 1 },
    { "-5", -1 },
    { "yesterday", -1 },
    { "", -1 },
    { "nan", -1 },
    { "1e300", -1 },
    { "17956842825", -1 }, /* seconds beyond the year 2262 */
    { "17956842825000", -1 },
};

START_TEST(guesses_forms)
{
    struct log_time t = { -1, false };
    bool ok = log_time_guess(str_of(guesses[_i].text), &t);

    ck_assert_msg(ok == (guesses[_i].ns >= 0), "%s", guesses[_i].text);
    if (ok)
        ck_assert_int_eq(t.ns, guesses[_i].ns);
}
END_TEST

static const struct {
    const char *pattern;
    int at; /* -1: well */
} patterns[] = {{"%Y-%m-%dT%H:%M:%S.%3f%z", -1}, {"%F %Q", 3}, {"%", 0}, {"%3Y", 0}, {"", -1}, {"%%", -1}};

START_TEST(knows_its_letters)
{
    size_t at = 99;
    bool ok = log_time_pattern(patterns[_i].pattern, &at);

    ck_assert_int_eq(ok, patterns[_i].at < 0);
    if (!ok)
        ck_assert_int_eq(at, patterns[_i].at);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("log_time");
    TCase *tc = tcase_create("times");

    setenv("TZ", "UTC", 1);
    tzset();
    tcase_add_loop_test(tc, follows_patterns, 0, COUNT(cases));
    tcase_add_test(tc, a_new_year);
    tcase_add_loop_test(tc, guesses_forms, 0, COUNT(guesses));
    tcase_add_loop_test(tc, knows_its_letters, 0, COUNT(patterns));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
