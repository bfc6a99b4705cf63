#include "base/err.h"

#include "tests/unit/unit.h"

#include <string.h>

START_TEST(sets_and_wraps)
{
    struct err e = ERR_INIT;

    ck_assert_int_eq(err_set(&e, ERR_CORRUPT, "checksum 0x%x, should be 0x%x", 0x1f, 0x2e), ERR_CORRUPT);
    ck_assert_int_eq(err_wrap(&e, "footer at %d", 8192), ERR_CORRUPT);
    ck_assert_int_eq(err_wrap(&e, "%s", "12.vp"), ERR_CORRUPT);
    ck_assert_int_eq(e.code, ERR_CORRUPT);
    ck_assert_str_eq(e.msg, "12.vp: footer at 8192: checksum 0x1f, should be 0x2e");
    ck_assert_int_eq(err_set(NULL, ERR_IO, "nobody asks"), ERR_IO);
    ck_assert_int_lt(err_wrap(NULL, "nobody asks"), 0);
}
END_TEST

/* Long texts are cut at the end, and end with a NUL whatever the lengths are. */
START_TEST(long_texts_are_cut)
{
    for (size_t old = 0; old < 600; old += 7)
        for (size_t where = 500; where < 520; where++) {
            char text[700];
            struct err e = ERR_INIT;

            memset(text, 'x', sizeof(text));
            err_set(&e, ERR_IO, "%.*s", (int)old, text);
            err_wrap(&e, "%.*s", (int)where, text);
            ck_assert_ptr_nonnull(memchr(e.msg, '\0', sizeof(e.msg)));
            ck_assert_int_eq(e.msg[0], 'x');
            ck_assert_uint_ge(strlen(e.msg), where < 509 ? where : 509);
        }
}
END_TEST

static const struct {
    int code;
    const char *name;
} names[] = {
    { 0, "OK" },
    { ERR_NOMEM, "ERR_NOMEM" },
    { ERR_IO, "ERR_IO" },
    { ERR_CORRUPT, "ERR_CORRUPT" },
    { ERR_PARSE, "ERR_PARSE" },
    { ERR_INVALID, "ERR_INVALID" },
    { ERR_RANGE, "ERR_RANGE" },
    { ERR_LIMIT, "ERR_LIMIT" },
    { ERR_NOTFOUND, "ERR_NOTFOUND" },
    { ERR_CONFLICT, "ERR_CONFLICT" },
    { ERR_BUSY, "ERR_BUSY" },
    { ERR_TIMEOUT, "ERR_TIMEOUT" },
    { ERR_CLOSED, "ERR_CLOSED" },
    { ERR_UNSUPPORTED, "ERR_UNSUPPORTED" },
    { ERR_FULL, "ERR_FULL" },
    { -15, "ERR_UNKNOWN" },
    { 1, "ERR_UNKNOWN" },
    { -2147483647 - 1, "ERR_UNKNOWN" },
};

START_TEST(codes_have_names)
{
    ck_assert_str_eq(err_name(names[_i].code), names[_i].name);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("err");
    TCase *t = tcase_create("err");

    tcase_add_test(t, sets_and_wraps);
    tcase_add_test(t, long_texts_are_cut);
    tcase_add_loop_test(t, codes_have_names, 0, COUNT(names));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
