/* http_url_test.c: URLs taken apart, bases, and where answers send us. */
#include "proxy/http_url-internal.h"
#include "tests/unit/unit.h"

static const struct {
    const char *in;
    bool secure;
    const char *host, *path; /* host: as a Host field has it; NULL: refused */
} urls[] = {
    { "http://a", false, "a", "" },
    { "http://a:80/", false, "a", "/" },
    { "http://a:8080/b/?c=d#e", false, "a:8080", "/b/?c=d" },
    { "https://a.example/keys", true, "a.example", "/keys" },
    { "https://a:443", true, "a", "" },
    { "https://a:80", true, "a:80", "" },
    { "http://[::1]:81/x", false, "[::1]:81", "/x" },
    { "http://[::1]", false, "[::1]", "" },
    { "http://a?b=c", false, "a", "/?b=c" },
    { "http://a#b", false, "a", "" },
    { "ftp://a", false, NULL, NULL }, { "http://", false, NULL, NULL }, { "http://:80", false, NULL, NULL },
    { "http://a:0", false, NULL, NULL }, { "http://a:65536", false, NULL, NULL }, { "http://a:b", false, NULL, NULL },
    { "http://[::1", false, NULL, NULL }, { "http://[::1]x", false, NULL, NULL }, { "http://u@a", false, NULL, NULL },
    { "http://a/b c", false, NULL, NULL }, { "http://a/\r\nX: y", false, NULL, NULL }, { "", false, NULL, NULL },
};

START_TEST(takes_apart)
{
    struct buf host = BUF_INIT(512);
    struct err e = ERR_INIT;
    struct http_url u;
    int rc = http_url_parse(urls[_i].in, &u, &e);

    if (!urls[_i].host) {
        ck_assert_msg(rc == ERR_PARSE, "%s", urls[_i].in);
        ck_assert(strstr(e.msg, "should be http[s]://HOST[:PORT][/PATH]"));
        return;
    }
    ck_assert_msg(rc == 0, "%s", e.msg);
    http_url_put_host(&u, &host);
    ck_assert_str_eq(buf_cstr(&host), urls[_i].host);
    ck_assert_str_eq(u.path, urls[_i].path);
    ck_assert_int_eq(u.secure, urls[_i].secure);
    buf_free(&host);
}
END_TEST

START_TEST(bases)
{
    struct err e = ERR_INIT;
    struct http_url u;

    ck_assert_int_eq(http_url_parse_base("http://a:1/b//", &u, &e), 0);
    ck_assert_str_eq(u.path, "/b");
    ck_assert_int_eq(http_url_parse_base("http://a:1/", &u, &e), 0);
    ck_assert_str_eq(u.path, "");
    ck_assert_int_eq(http_url_parse_base("https://a", &u, &e), ERR_UNSUPPORTED);
    ck_assert_str_eq(e.msg, "URL \"https://a\": https is not offered, use http");
    ck_assert_int_eq(http_url_parse_base("a", &u, &e), ERR_PARSE);
}
END_TEST

static const struct {
    const char *from, *to;
    int rc;
    const char *host, *path;
} ways[] = {
    { "https://a:1/x", "/y?z", 0, "a:1", "/y?z" },
    { "https://a:1/x", "/y#z", 0, "a:1", "/y" },
    { "http://a/x", "https://b/y", 0, "b", "/y" },
    { "https://a/x", "http://b/y", ERR_UNSUPPORTED, NULL, NULL },
    { "http://a/x", "http://b", 0, "b", "" },
    { "http://a/x", "//b/y", ERR_PARSE, NULL, NULL },
    { "http://a/x", "y", ERR_PARSE, NULL, NULL },
    { "http://a/x", "", ERR_PARSE, NULL, NULL },
    { "http://a/x", "/y z", ERR_PARSE, NULL, NULL },
};

START_TEST(follows)
{
    struct buf host = BUF_INIT(512);
    struct http_url from, to;
    struct err e = ERR_INIT;

    ck_assert_int_eq(http_url_parse(ways[_i].from, &from, &e), 0);
    ck_assert_msg(http_url_follow(&from, str_of(ways[_i].to), &to, &e) == ways[_i].rc, "%s: %s", ways[_i].to, e.msg);
    if (ways[_i].rc)
        return;
    http_url_put_host(&to, &host);
    ck_assert_str_eq(buf_cstr(&host), ways[_i].host);
    ck_assert_str_eq(to.path, ways[_i].path);
    buf_free(&host);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http_url");
    TCase *t = tcase_create("urls");

    tcase_add_loop_test(t, takes_apart, 0, COUNT(urls));
    tcase_add_test(t, bases);
    tcase_add_loop_test(t, follows, 0, COUNT(ways));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
