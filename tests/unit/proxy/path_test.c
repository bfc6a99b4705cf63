/* path_test.c: one spelling for each path. The rows of the four ways are Istio's own table of examples. */
#include "proxy/path.h"
#include "tests/unit/unit.h"

static const struct {
    const char *in, *none, *base, *merged, *decoded;
} ways[] = {
    { "/", "/", "/", "/", "/" },
    { "/app", "/app", "/app", "/app", "/app" },
    { "/app/", "/app/", "/app/", "/app/", "/app/" },
    { "/app#foo", "/app", "/app", "/app", "/app" },
    { "/app//", "/app//", "/app//", "/app/", "/app/" },
    { "/app/../admin", "/app/../admin", "/admin", "/admin", "/admin" },
    { "/app/%2f", "/app/%2f", "/app/%2f", "/app/%2f", "/app/" },
    { "/app%2f/", "/app%2f/", "/app%2f/", "/app%2f/", "/app/" },
    { "/xyz%30..//abc", "/xyz%30..//abc", "/xyz0..//abc", "/xyz0../abc", "/xyz0../abc" },
    { "/app/%2E./admin", "/app/%2E./admin", "/admin", "/admin", "/admin" },
    { "/app\\admin", "/app\\admin", "/app/admin", "/app/admin", "/app/admin" },
    { "/app/\\/\\/\\admin", "/app/\\/\\/\\admin", "/app//////admin", "/app/admin", "/app/admin" },
    { "/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc", "/%2Fapp%5cadmin%5Cabc",
      "/app/admin/abc" },
    { "/%5Capp%2f%5c%2F%2e%2e%2fadmin%5c\\abc", "/%5Capp%2f%5c%2F%2e%2e%2fadmin%5c\\abc",
      "/%5Capp%2f%5c%2F..%2fadmin%5c/abc", "/%5Capp%2f%5c%2F..%2fadmin%5c/abc", "/app/admin/abc" },
    { "/app//../admin", "/app//../admin", "/app/admin", "/app/admin", "/app/admin" },
    { "/app//../../admin", "/app//../../admin", "/admin", "/admin", "/admin" },
    { "*", "*", "*", "*", "*" },
};

static void expect(enum path_normalization how, const char *in, const char *want)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct str out;

    ck_assert_int_eq(path_normalize(&a, how, str_of(in), &out), 0);
    ck_assert_msg(str_eqz(out, want), "%d: %s: got %.*s, not %s", how, in, STR_ARG(out), want);
    arena_free(&a);
}

START_TEST(goes_four_ways)
{
    expect(PATH_NONE, ways[_i].in, ways[_i].none);
    expect(PATH_BASE, ways[_i].in, ways[_i].base);
    expect(PATH_MERGE_SLASHES, ways[_i].in, ways[_i].merged);
    expect(PATH_DECODE_AND_MERGE_SLASHES, ways[_i].in, ways[_i].decoded);
}
END_TEST

static const struct {
    const char *in, *want;
} base[] = {
    /* dots: RFC 3986, 5.2.4 and 5.4 */
    { "/a/b/c/./../../g", "/a/g" }, { "/..", "/" }, { "/../../g", "/g" }, { "/a/..", "/" }, { "/a/.", "/a/" },
    { "/a/b/..", "/a/" }, { "/.", "/" }, { "/./a", "/a" }, { "/a/.../b", "/a/.../b" }, { "/a/..b", "/a/..b" },
    { "/a/b../c", "/a/b../c" }, { "/.well-known/x", "/.well-known/x" }, { "/a/%2e%2E/b", "/b" }, { "/a/.%2e", "/" },
    { "/a/%2e", "/a/" }, { "/a\\..\\b", "/b" }, { "/a/..\\b", "/b" }, { "/a/.%2eb", "/a/..b" }, { "/..;/a", "/..;/a" },
    /* a beginning */
    { "", "/" }, { "?x=1", "/?x=1" }, { "\\da", "/da" }, { "a/b", "/a/b" },
    /* escapes */
    { "/%61%62%7E%5f%2D", "/ab~_-" }, { "/%3a%20%c3%A9", "/%3a%20%c3%A9" }, { "/a%", "/a%" }, { "/a%4", "/a%4" },
    { "/a%zz", "/a%zz" }, { "/%2541", "/%2541" }, { "/%%341", "/%2541" }, { "/%%34%31", "/%2541" },
    { "/%4%31", "/%2541" }, { "/%%41g", "/%Ag" }, { "/a b\"<>^`{|}", "/a%20b%22%3C%3E%5E%60%7B%7C%7D" },
    { "/\xc3\xa9\x7f", "/%C3%A9%7F" }, { "/a;b=c,d:e@f!$&'()*+[]", "/a;b=c,d:e@f!$&'()*+[]" },
    /* the query is nobody's path */
    { "/a/../b?c=/../d//%41", "/b?c=/../d//%41" }, { "/a?b#c", "/a?b" }, { "/a%3fb/../c", "/c" },
};

START_TEST(normalizes_by_rfc_3986)
{
    expect(PATH_BASE, base[_i].in, base[_i].want);
}
END_TEST

static const struct {
    const char *in;
    size_t n; /* 0: as long as it is */
} refused[] = { { "/a%00", 0 }, { "/a/%00../b", 0 }, { "/%%00", 0 }, { "/a\0b", 4 }, { "/xyz/.%00../abc?x", 0 } };

START_TEST(refuses_nul)
{
    struct str in = { refused[_i].in, refused[_i].n ? refused[_i].n : strlen(refused[_i].in) }, out;
    struct arena a = ARENA_INIT(1 << 20);

    for (int how = PATH_NONE; how <= PATH_DECODE_AND_MERGE_SLASHES; how++)
        ck_assert_int_eq(path_normalize(&a, (enum path_normalization)how, in, &out), ERR_INVALID);
    arena_free(&a);
}
END_TEST

START_TEST(leaves_plain_paths_where_they_are)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct str in = STR("/productpage/v1?u=%41//.."), out;

    ck_assert_int_eq(path_normalize(&a, PATH_BASE, in, &out), 0);
    ck_assert_ptr_eq(out.p, in.p);
    ck_assert_uint_eq(a.used, 0);
    arena_free(&a);
}
END_TEST

START_TEST(says_no_memory)
{
    struct arena a = ARENA_INIT(16);
    struct str out;

    ck_assert_int_eq(path_normalize(&a, PATH_BASE, STR("/a/../bbbbbbbbbbbbbbbbbbbbbbb"), &out), ERR_NOMEM);
    arena_free(&a);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("path");
    TCase *t = tcase_create("path");

    tcase_add_loop_test(t, goes_four_ways, 0, COUNT(ways));
    tcase_add_loop_test(t, normalizes_by_rfc_3986, 0, COUNT(base));
    tcase_add_loop_test(t, refuses_nul, 0, COUNT(refused));
    tcase_add_test(t, leaves_plain_paths_where_they_are);
    tcase_add_test(t, says_no_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
