#include "base/buf.h"

#include "base/mem.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>

START_TEST(appends)
{
    struct buf b = BUF_INIT(1000);

    buf_put(&b, "ab", 2);
    buf_put(&b, NULL, 0);
    buf_str(&b, STR("c\0d"));
    buf_str(&b, STR_NULL);
    buf_puts(&b, "ef");
    buf_putc(&b, 'g');
    buf_printf(&b, "%d%s", 42, "!");
    buf_printf(&b, "%s", "");
    ck_assert(!buf_failed(&b));
    ck_assert(str_eq(buf_view(&b), STR("abc\0defg42!")));
    ck_assert_str_eq(buf_cstr(&b) + 4, "defg42!");
    ck_assert_uint_eq(b.n, 11); /* the NUL does not count */
    buf_drain(&b, 4);
    ck_assert(str_eqz(buf_view(&b), "defg42!"));
    buf_drain(&b, 0);
    buf_drain(&b, 100);
    ck_assert_uint_eq(b.n, 0);
    buf_free(&b);
    ck_assert_uint_eq(b.max, 1000);
    buf_puts(&b, "as new");
    buf_free(&b);
    buf_free(&b);
}
END_TEST

static const struct {
    size_t max;
    const char *fill, *more;
    bool fits;
} ceilings[] = {
    { 0, "", "a", false },       { 5, "", "hello", true },     { 5, "", "hello!", false },
    { 8, "abc", "defgh", true }, { 8, "abc", "defghi", false }, { 9, "abcdefgh", "i", true },
    { 9, "abcdefgh", "ij", false }, /* the array behind is larger than that */
};

START_TEST(has_a_ceiling_to_the_byte)
{
    for (int by = 0; by < 2; by++) {
        struct buf b = BUF_INIT(ceilings[_i].max);

        buf_puts(&b, ceilings[_i].fill);
        ck_assert(!buf_failed(&b));
        if (by)
            buf_printf(&b, "%s", ceilings[_i].more);
        else
            buf_puts(&b, ceilings[_i].more);
        ck_assert(buf_failed(&b) == !ceilings[_i].fits);
        ck_assert_uint_le(b.n, b.max);
        if (ceilings[_i].fits) {
            char *text;
            size_t n;

            ck_assert_ptr_nonnull(buf_cstr(&b)); /* a full buffer has room for a NUL, too */
            text = buf_take(&b, &n);
            ck_assert_ptr_nonnull(text);
            ck_assert_uint_eq(strlen(text), n);
            mem_free(text);
        }
        buf_free(&b);
    }
}
END_TEST

START_TEST(errors_stick)
{
    struct buf b = BUF_INIT(4);

    buf_puts(&b, "abc");
    buf_puts(&b, "de");
    ck_assert(buf_failed(&b));
    buf_putc(&b, 'd'); /* would fit */
    buf_i64(&b, 1);
    buf_double(&b, 1);
    buf_json(&b, STR("x"));
    buf_utf8(&b, STR("x"));
    buf_printf(&b, "x");
    ck_assert_ptr_null(buf_reserve(&b, 1));
    ck_assert_ptr_null(buf_cstr(&b));
    ck_assert(str_eqz(buf_view(&b), "abc"));
    buf_reset(&b);
    ck_assert(!buf_failed(&b));
    buf_puts(&b, "new");
    ck_assert(str_eqz(buf_view(&b), "new"));
    buf_puts(&b, "too long");
    ck_assert_ptr_null(buf_take(&b, NULL));
    ck_assert(b.p == NULL && !buf_failed(&b)); /* as new */
}
END_TEST

START_TEST(reserves)
{
    struct buf b = BUF_INIT(100);
    char *to = buf_reserve(&b, 10);

    ck_assert_ptr_nonnull(to);
    memcpy(to, "0123456789", 10);
    b.n += 10;
    ck_assert(str_eqz(buf_view(&b), "0123456789"));
    ck_assert_ptr_eq(buf_reserve(&b, 0), b.p + 10);
    ck_assert_ptr_null(buf_reserve(&b, SIZE_MAX));
    ck_assert(buf_failed(&b));
    buf_free(&b);
}
END_TEST

static const struct {
    int64_t v;
    const char *text;
} numbers[] = {
    { 0, "0" },
    { 7, "7" },
    { -7, "-7" },
    { 1000, "1000" },
    { INT64_MAX, "9223372036854775807" },
    { INT64_MIN, "-9223372036854775808" },
};

START_TEST(prints_whole_numbers)
{
    struct buf b = BUF_INIT(100);

    buf_i64(&b, numbers[_i].v);
    ck_assert_str_eq(buf_cstr(&b), numbers[_i].text);
    buf_free(&b);
}
END_TEST

static const struct {
    double v;
    const char *text;
} doubles[] = {
    { 0, "0" },
    { -0.0, "-0" },
    { 1, "1" },
    { 0.1, "0.1" },
    { 0.5, "0.5" },
    { 1.0 / 3, "0.3333333333333333" },
    { 3600000, "3600000" },
    { 123456789012345678, "1.2345678901234568e+17" },
    { 5e-324, "5e-324" },
    { 2.5e-320, "2.5e-320" },
    { DBL_MIN, "2.2250738585072014e-308" },
    { DBL_MAX, "1.7976931348623157e+308" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { NAN, "NaN" },
    { INFINITY, "+Inf" },
    { -INFINITY, "-Inf" },
};

START_TEST(prints_doubles)
{
    struct buf b = BUF_INIT(100);

    buf_double(&b, doubles[_i].v);
    ck_assert_str_eq(buf_cstr(&b), doubles[_i].text);
    if (isfinite(doubles[_i].v))
        ck_assert(strtod(b.p, NULL) == doubles[_i].v);
    buf_free(&b);
}
END_TEST

static const struct {
    struct str in;
    const char *json, *utf8;
} texts[] = {
    { STR_INIT(""), "\"\"", "" },
    { { NULL, 0 }, "\"\"", "" },
    { STR_INIT("plain"), "\"plain\"", "plain" },
    { STR_INIT("\"\\/"), "\"\\\"\\\\/\"", "\"\\/" },
    { STR_INIT("\n\r\t\b\x1f"), "\"\\n\\r\\t\\u0008\\u001f\"", "\n\r\t\b\x1f" },
    { STR_INIT("caf\xc3\xa9 \xf0\x9f\x98\x80"), "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"", "caf\xc3\xa9 \xf0\x9f\x98\x80" },
    { STR_INIT("\xe9"), "\"\xef\xbf\xbd\"", "\xef\xbf\xbd" },
    { STR_INIT("a\xffz"), "\"a\xef\xbf\xbdz\"", "a\xef\xbf\xbdz" },
    { STR_INIT("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"", "\xef\xbf\xbd\xef\xbf\xbd" },
    { STR_INIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
};

START_TEST(prints_json_and_utf8)
{
    struct buf b = BUF_INIT(100);

    buf_json(&b, texts[_i].in);
    ck_assert_str_eq(buf_cstr(&b), texts[_i].json);
    ck_assert(str_is_utf8(buf_view(&b)));
    buf_reset(&b);
    buf_utf8(&b, texts[_i].in);
    ck_assert_str_eq(buf_cstr(&b), texts[_i].utf8);
    buf_free(&b);
}
END_TEST

START_TEST(takes)
{
    struct buf b = BUF_INIT(100);
    size_t n = 99;
    char *p = buf_take(&b, &n);

    ck_assert_str_eq(p, "");
    ck_assert_uint_eq(n, 0);
    mem_free(p);
    buf_puts(&b, "text");
    p = buf_take(&b, NULL);
    ck_assert_str_eq(p, "text");
    ck_assert(b.p == NULL && b.n == 0 && b.max == 100);
    mem_free(p);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct buf b = BUF_INIT(1 << 20);
        bool failed;
        char *p;

        mem_fail_at(n);
        for (int i = 0; i < 100; i++)
            buf_printf(&b, "%d ", i);
        buf_json(&b, STR("text"));
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(buf_failed(&b) == failed);
        p = buf_take(&b, NULL);
        ck_assert((p == NULL) == failed);
        mem_free(p);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("buf");
    TCase *t = tcase_create("buf");

    tcase_add_test(t, appends);
    tcase_add_loop_test(t, has_a_ceiling_to_the_byte, 0, COUNT(ceilings));
    tcase_add_test(t, errors_stick);
    tcase_add_test(t, reserves);
    tcase_add_loop_test(t, prints_whole_numbers, 0, COUNT(numbers));
    tcase_add_loop_test(t, prints_doubles, 0, COUNT(doubles));
    tcase_add_loop_test(t, prints_json_and_utf8, 0, COUNT(texts));
    tcase_add_test(t, takes);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
