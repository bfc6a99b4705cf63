/* router_test.c: matching, rewriting, redirecting, choosing: tables over hand-made routes. */
#include "proxy/http1_parser.h"
#include "proxy/router.h"
#include "tests/unit/unit.h"

static struct arena arena = ARENA_INIT(1 << 20);
static struct http_head head;

/* The request of a start line and fields, to "a.example:80". */
static struct router_request request(const char *line, const char *fields)
{
    struct str text = arena_printf(&arena, "%s HTTP/1.1\r\nHost: a.example:80\r\n%s\r\n", line, fields);
    struct http1_scan scan = { 0 };
    struct router_request r;

    ck_assert_int_eq(http1_request(&scan, text, &head), HTTP1_DONE);
    router_request_init(&r, &head, STR("http"), http_text(&head, head.path));
    return r;
}

static struct string_match matcher(enum string_match_kind kind, const char *value)
{
    struct string_match m = { .kind = kind, .value = str_of(value) };
    struct err e = ERR_INIT;

    if (kind == STRING_REGEX) {
        m.re = regex_compile(&arena, m.value, REGEX_FULL, &e);
        ck_assert_msg(m.re, "%s", e.msg);
    }
    return m;
}

static void teardown(void)
{
    arena_free(&arena);
}

static const struct {
    enum string_match_kind kind;
    const char *value;
    bool ignore_case;
    const char *line;
    bool want;
} uris[] = {
    { STRING_EXACT, "/a", false, "GET /a", true },
    { STRING_EXACT, "/a", false, "GET /a?x=1", true },
    { STRING_EXACT, "/a", false, "GET /a/", false },
    { STRING_EXACT, "/a", false, "GET /A", false },
    { STRING_EXACT, "/a", true, "GET /A", true },
    { STRING_PREFIX, "/v2", false, "GET /v2beta", true },
    { STRING_PREFIX, "/v2", false, "GET /V2", false },
    { STRING_PREFIX, "/v2", true, "GET /V2/x", true },
    { STRING_PREFIX, "/v2", false, "GET /v", false },
    { STRING_REGEX, "/a[0-9]+", false, "GET /a12?b", true },
    { STRING_REGEX, "/a[0-9]+", false, "GET /a12/b", false },
};

START_TEST(matches_uris)
{
    struct string_match uri = matcher(uris[_i].kind, uris[_i].value);
    struct route r = { .match = { .uri = &uri } };
    struct virtual_host vh = { .routes = &r, .nroutes = 1 };
    struct router_request rq = request(uris[_i].line, "");

    uri.ignore_case = uris[_i].ignore_case;
    ck_assert_msg((router_match(&vh, &rq) != NULL) == uris[_i].want, "%s against %s", uris[_i].line, uris[_i].value);
}
END_TEST

static const struct {
    enum string_match_kind kind;
    const char *value;
    bool invert;
    const char *fields;
    bool want;
} headers[] = {
    { STRING_EXACT, "v", false, "X-A: v\r\n", true },
    { STRING_EXACT, "v", false, "x-a: w\r\n", false },
    { STRING_EXACT, "v", false, "", false },
    { STRING_EXACT, "v,w", false, "X-A: v\r\nX-A: w\r\n", true },
    { STRING_PRESENT, "", false, "X-A:\r\n", true },
    { STRING_PRESENT, "", false, "", false },
    { STRING_PRESENT, "", true, "", true },
    { STRING_PRESENT, "", true, "X-A: v\r\n", false },
    { STRING_EXACT, "v", true, "", true },
    { STRING_EXACT, "v", true, "X-A: v\r\n", false },
    { STRING_EXACT, "v", true, "X-A: w\r\n", true },
    { STRING_REGEX, "v+", false, "X-A: vvv\r\n", true },
    { STRING_REGEX, "v+", false, "X-A: vvvw\r\n", false },
};

START_TEST(matches_headers)
{
    struct key_match k = { .name = STR("x-a"), .value = matcher(headers[_i].kind, headers[_i].value), .invert = headers[_i].invert };
    struct route r = { .match = { .headers = &k, .nheaders = 1 } };
    struct virtual_host vh = { .routes = &r, .nroutes = 1 };
    struct router_request rq = request("GET /", headers[_i].fields);

    ck_assert_msg((router_match(&vh, &rq) != NULL) == headers[_i].want, "row %d", _i);
}
END_TEST

static const struct {
    enum string_match_kind kind;
    const char *value, *line;
    bool want;
} queries[] = {
    { STRING_EXACT, "1", "GET /?a=1", true },       { STRING_EXACT, "1", "GET /?b=2&a=1", true },
    { STRING_EXACT, "1", "GET /?a=12", false },     { STRING_EXACT, "1", "GET /", false },
    { STRING_PRESENT, "", "GET /?a", true },        { STRING_PRESENT, "", "GET /?ab=1", false },
    { STRING_PREFIX, "1", "GET /?a=12", true },     { STRING_EXACT, "1", "GET /?A=1", false },
};

START_TEST(matches_queries)
{
    struct key_match k = { .name = STR("a"), .value = matcher(queries[_i].kind, queries[_i].value) };
    struct route r = { .match = { .query = &k, .nquery = 1 } };
    struct virtual_host vh = { .routes = &r, .nroutes = 1 };
    struct router_request rq = request(queries[_i].line, "");

    ck_assert_msg((router_match(&vh, &rq) != NULL) == queries[_i].want, "%s", queries[_i].line);
}
END_TEST

START_TEST(takes_the_first_match)
{
    struct string_match post = matcher(STRING_EXACT, "POST"), authority = matcher(STRING_EXACT, "a.example:80");
    struct route r[] = { { .match = { .method = &post } }, { .match = { .authority = &authority } }, { .action = ROUTE_DIRECT } };
    struct virtual_host vh = { .routes = r, .nroutes = 3 };
    struct router_request get = request("GET /", ""), other;

    ck_assert_ptr_eq(router_match(&vh, &get), &r[1]);
    other = request("POST /", "");
    ck_assert_ptr_eq(router_match(&vh, &other), &r[0]);
    vh.nroutes = 1;
    other = request("PUT /", "");
    ck_assert_ptr_null(router_match(&vh, &other));
}
END_TEST

static const struct {
    enum string_match_kind kind;
    const char *match; /* NULL: any path */
    const char *regex, *with, *line, *want;
} rewrites[] = {
    { STRING_PREFIX, "/v2", NULL, "/", "GET /v2", "/" },
    { STRING_PREFIX, "/v2", NULL, "/", "GET /v2/x?y=1", "//x?y=1" },
    { STRING_PREFIX, "/v2", NULL, "/", "GET /v2beta", "/beta" },
    { STRING_EXACT, "/ex", NULL, "/new", "GET /ex?q=1", "/new?q=1" },
    { STRING_REGEX, "/re/.*", NULL, "/whole", "GET /re/a/b?k", "/whole?k" },
    { STRING_EXACT, NULL, NULL, "/base/", "GET /x?", "/base/x?" },
    { STRING_PREFIX, "/", "^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "GET /service/foo/v1/api?a=b", "/v1/api/instance/foo?a=b" },
    { STRING_PREFIX, "/", "o", "0", "GET /foo/boo", "/f00/b00" },
    { STRING_PREFIX, "/", "x", "y", "GET /none", "/none" },
};

START_TEST(rewrites_paths)
{
    struct string_match uri = rewrites[_i].match ? matcher(rewrites[_i].kind, rewrites[_i].match) : matcher(STRING_PRESENT, "");
    struct route r = { .match = { .uri = rewrites[_i].match ? &uri : NULL }, .rewrite = true, .rewrite_uri = str_of(rewrites[_i].with) };
    struct router_request rq = request(rewrites[_i].line, "");
    struct err e = ERR_INIT;
    struct str got;

    if (rewrites[_i].regex)
        r.rewrite_re = regex_compile(&arena, str_of(rewrites[_i].regex), 0, &e);
    got = router_rewrite(&arena, &r, &rq);
    ck_assert_msg(str_eqz(got, rewrites[_i].want), "%s: got \"%.*s\", want \"%s\"", rewrites[_i].line, STR_ARG(got), rewrites[_i].want);
}
END_TEST

/* What policies and routes have looked at is what goes on, whatever the request's line says. */
START_TEST(the_normal_path_goes_on)
{
    struct route r = { .rewrite = false };
    struct router_request rq = request("GET /a/../b?c=/../d", "");
    struct str got;

    router_request_init(&rq, rq.head, STR("http"), STR("/b?c=/../d"));
    got = router_rewrite(&arena, &r, &rq);
    ck_assert_msg(str_eqz(got, "/b?c=/../d"), "got \"%.*s\"", STR_ARG(got));
    r.rewrite = true; /* of the host alone */
    got = router_rewrite(&arena, &r, &rq);
    ck_assert_msg(str_eqz(got, "/b?c=/../d"), "got \"%.*s\"", STR_ARG(got));
    got = router_https_location(&arena, &rq);
    ck_assert_msg(str_ends(got, STR("/b?c=/../d")) && !str_ends(got, STR("/a/../b?c=/../d")), "got \"%.*s\"", STR_ARG(got));
}
END_TEST

static const struct {
    struct redirect to;
    const char *line, *want;
} redirects[] = {
    { { .uri = STR_INIT("/new"), .authority = STR_INIT("b") }, "GET /p/x?a=1", "http://b/new?a=1" },
    { { .uri = STR_INIT("/new?own") }, "GET /p?a=1", "http://a.example:80/new?own" },
    { { .scheme = STR_INIT("https"), .uri = STR_INIT("/s") }, "GET /p", "https://a.example/s" },
    { { .authority = STR_INIT("b:81"), .port = 8443 }, "GET /p", "http://b:8443/p" },
    { { .prefix = STR_INIT("/q") }, "GET /p/x?y", "http://a.example:80/q/x?y" },
};

START_TEST(redirects_requests)
{
    struct string_match uri = matcher(STRING_PREFIX, "/p");
    struct route r = { .match = { .uri = &uri }, .redirect = redirects[_i].to };
    struct router_request rq = request(redirects[_i].line, "");
    struct str got = router_location(&arena, &r, &rq);

    ck_assert_msg(str_eqz(got, redirects[_i].want), "got \"%.*s\", want \"%s\"", STR_ARG(got), redirects[_i].want);
}
END_TEST

START_TEST(picks_by_weight)
{
    struct destination d[] = { { .weight = 70 }, { .weight = 0 }, { .weight = 30 } };
    unsigned n[3] = { 0 };
    struct rng rng;

    rng_seed(&rng);
    for (int i = 0; i < 10000; i++)
        n[router_pick(d, 3, 100, &rng) - d]++;
    ck_assert_uint_eq(n[1], 0);
    ck_assert_msg(n[0] > 6800 && n[0] < 7200, "%u of 10000 for weight 70", n[0]); /* 4 sigma are 183 */
    ck_assert_ptr_eq(router_pick(d + 1, 1, 0, &rng), d + 1);
    ck_assert_ptr_null(router_pick(d, 0, 0, &rng));
}
END_TEST

/* By which words of retryOn a try is repeated that came to nothing. */
static const struct {
    unsigned on;
    bool connect, refused, later;
} resets[] = {
    { 0, false, false, false },
    { RETRY_CONNECT_FAILURE, true, false, false },
    { RETRY_RESET_BEFORE_REQUEST, true, false, false },
    { RETRY_REFUSED_STREAM, false, true, false },
    { RETRY_RESET, true, true, true },
    { RETRY_5XX, true, true, true },
    { RETRY_GATEWAY_ERROR, true, true, true },
    { RETRY_UNAVAILABLE | RETRY_STATUS_CODES | RETRY_RETRIABLE_4XX, false, false, false },
};

static const struct {
    const char *authority, *host;
    uint16_t port;
} authorities[] = {
    { "a.example", "a.example", 0 },      { "a.example:80", "a.example", 80 }, { "10.0.0.1:65535", "10.0.0.1", 65535 },
    { "[::1]:8080", "::1", 8080 },        { "[::1]", "::1", 0 },               { "a.example:", "a.example", 0 },
    { "a.example:65536", "a.example", 0 }, { "", "", 0 },                      { ":80", "", 80 },
};

START_TEST(splits_authorities)
{
    uint16_t port;
    struct str host = router_split_authority(str_of(authorities[_i].authority), &port);

    ck_assert_msg(str_eqz(host, authorities[_i].host), "%s: %.*s", authorities[_i].authority, STR_ARG(host));
    ck_assert_uint_eq(port, authorities[_i].port);
}
END_TEST

START_TEST(knows_which_resets_are_retried)
{
    struct retry_policy p = { .on = resets[_i].on };

    ck_assert_int_eq(router_retries_reset(&p, RESET_CONNECT), resets[_i].connect);
    ck_assert_int_eq(router_retries_reset(&p, RESET_REFUSED), resets[_i].refused);
    ck_assert_int_eq(router_retries_reset(&p, RESET_LATER), resets[_i].later);
}
END_TEST

START_TEST(knows_what_is_retried)
{
    static const uint16_t codes[] = { 418 };
    struct retry_policy p = { .on = RETRY_CONNECT_FAILURE | RETRY_UNAVAILABLE, .backoff_ms = 25 };
    struct rng rng;

    ck_assert(router_retries_reset(&p, RESET_CONNECT));
    ck_assert(!router_retries_reset(&p, RESET_LATER));
    ck_assert(!router_retries_status(&p, 503, STR_NULL));
    ck_assert(router_retries_status(&p, 200, STR("14")));
    ck_assert(!router_retries_status(&p, 200, STR("0")));
    p.on = RETRY_GATEWAY_ERROR | RETRY_STATUS_CODES;
    p.codes = codes;
    p.ncodes = 1;
    ck_assert(router_retries_status(&p, 418, STR_NULL));
    ck_assert(router_retries_status(&p, 502, STR_NULL));
    ck_assert(!router_retries_status(&p, 500, STR_NULL));
    rng_seed(&rng);
    for (unsigned retry = 1; retry < 100; retry++)
        ck_assert_int_le(router_backoff_ms(&p, retry, &rng), 250);
}
END_TEST

START_TEST(allows_origins)
{
    struct string_match origins[] = { matcher(STRING_EXACT, "https://good.example"), matcher(STRING_PREFIX, "http://dev.") };
    struct cors c = { .origins = origins, .norigins = 2 };

    ck_assert(router_cors_allows(&c, STR("https://good.example")));
    ck_assert(router_cors_allows(&c, STR("http://dev.local")));
    ck_assert(!router_cors_allows(&c, STR("https://bad.example")));
    ck_assert(!router_cors_allows(&c, STR_NULL));
    origins[0] = matcher(STRING_EXACT, "*");
    ck_assert(router_cors_allows(&c, STR("https://bad.example")));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("router");
    TCase *t = tcase_create("router");

    tcase_add_checked_fixture(t, NULL, teardown);
    tcase_add_loop_test(t, matches_uris, 0, COUNT(uris));
    tcase_add_loop_test(t, matches_headers, 0, COUNT(headers));
    tcase_add_loop_test(t, matches_queries, 0, COUNT(queries));
    tcase_add_test(t, takes_the_first_match);
    tcase_add_loop_test(t, rewrites_paths, 0, COUNT(rewrites));
    tcase_add_test(t, the_normal_path_goes_on);
    tcase_add_loop_test(t, redirects_requests, 0, COUNT(redirects));
    tcase_add_test(t, picks_by_weight);
    tcase_add_loop_test(t, splits_authorities, 0, COUNT(authorities));
    tcase_add_loop_test(t, knows_which_resets_are_retried, 0, COUNT(resets));
    tcase_add_test(t, knows_what_is_retried);
    tcase_add_test(t, allows_origins);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
