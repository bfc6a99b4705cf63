/* Parts of the API that need no server: routes, parameters, numbers, guards. */

#include "api/http-internal.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#include <math.h>

static const struct {
    enum http_method method;
    const char *path, *pattern; /* NULL: none */
    const char *argument;       /* the first */
    unsigned allowed;
} paths[] = {
    { HTTP_GET, "/api/v1/query", "/api/v1/query", NULL, 0 },
    { HTTP_POST, "/api/v1/query", "/api/v1/query", NULL, 0 },
    { HTTP_DELETE, "/api/v1/query", NULL, NULL, HTTP_GET | HTTP_POST },
    { HTTP_GET, "/api/v1/label/a%2Fb/values", "/api/v1/label/{}/values", "a%2Fb", 0 },
    { HTTP_POST, "/api/v1/label/x/values", NULL, NULL, HTTP_GET },
    { HTTP_GET, "/api/v1/label//values", "/{*}", "api/v1/label//values", 0 },
    { HTTP_GET, "/api/v1/querying", "/{*}", "api/v1/querying", 0 },
    { HTTP_GET, "/v1/logs", NULL, NULL, HTTP_POST },
    { HTTP_GET, "/", "/", NULL, 0 },
    { HTTP_PUT, "/", NULL, NULL, HTTP_GET },
    { HTTP_POST, "/nowhere", NULL, NULL, 0 },
    { HTTP_GET, "/api/mesh/objects", "/api/mesh/objects", NULL, 0 },
    { HTTP_DELETE, "/api/mesh/objects", NULL, NULL, HTTP_GET | HTTP_PUT | HTTP_POST },
    { HTTP_DELETE, "/api/mesh/objects/vs/ns/name", "/api/mesh/objects/{}/{}/{}", "vs", 0 },
    { HTTP_OTHER, "/metrics", NULL, NULL, HTTP_GET },
};

START_TEST(finds_routes)
{
    struct str arguments[HTTP_MOST_ARGUMENTS];
    unsigned allowed;
    size_t n;
    const struct route *r = route_find(routes, routes_n, str_of(paths[_i].path), paths[_i].method, arguments, &n, &allowed);

    ck_assert_msg((r != NULL) == (paths[_i].pattern != NULL), "%s", paths[_i].path);
    if (r)
        ck_assert_str_eq(r->pattern, paths[_i].pattern);
    if (paths[_i].argument)
        ck_assert(n >= 1 && str_eqz(arguments[0], paths[_i].argument));
    if (!r)
        ck_assert_int_eq(allowed, paths[_i].allowed);
}
END_TEST

START_TEST(names_allowed_methods)
{
    char text[64];

    route_allow(HTTP_GET | HTTP_DELETE, text, sizeof(text));
    ck_assert_str_eq(text, "GET, HEAD, DELETE, OPTIONS");
    route_allow(0, text, sizeof(text));
    ck_assert_str_eq(text, "OPTIONS");
}
END_TEST

static const struct {
    const char *text;
    size_t n;
    const char *names[3], *values[3];
} queries[] = {
    { "", 0, { NULL }, { NULL } },
    { "a=b", 1, { "a" }, { "b" } },
    { "a=1&a=2&b", 3, { "a", "a", "b" }, { "1", "2", "" } },
    { "q=a+b%20c%2B%26", 1, { "q" }, { "a b c+&" } },
    { "&&a=b&", 1, { "a" }, { "b" } },
    { "a=%zz%4", 1, { "a" }, { "%zz%4" } },
    { "match%5B%5D=%7Ba%3D%22b%22%7D", 1, { "match[]" }, { "{a=\"b\"}" } },
};

START_TEST(parses_parameters)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct parameters p = { 0 };

    ck_assert_int_eq(parameters_parse(&p, &a, str_of(queries[_i].text), NULL), 0);
    ck_assert_int_eq(p.n, queries[_i].n);
    for (size_t i = 0; i < p.n; i++) {
        ck_assert(str_eqz(p.v[i].name, queries[_i].names[i]));
        ck_assert(str_eqz(p.v[i].value, queries[_i].values[i]));
    }
    arena_free(&a);
}
END_TEST

START_TEST(bounds_parameters)
{
    struct arena a = ARENA_INIT(1 << 24);
    struct buf text = BUF_INIT(1 << 20);
    struct parameters p = { 0 };

    for (int i = 0; i < 5000; i++)
        buf_puts(&text, "a=b&");
    ck_assert_int_eq(parameters_parse(&p, &a, buf_view(&text), NULL), ERR_LIMIT);
    buf_free(&text);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *text;
    int rc;
    int64_t ms;
} times[] = {
    { "1435781451.781", 0, 1435781451781 },
    { "1435781451", 0, 1435781451000 },
    { "2015-07-01T20:10:51.781Z", 0, 1435781451781 },
    { "-1.5", 0, -1500 },
    { "1e9", 0, 1000000000000 },
    { "yesterday", ERR_PARSE, 0 },
    { "NaN", ERR_PARSE, 0 },
    { "1e300", ERR_PARSE, 0 },
    { "", ERR_PARSE, 0 },
};

START_TEST(parses_times)
{
    int64_t ms = 0;

    ck_assert_int_eq(parse_time_ms(str_of(times[_i].text), &ms, NULL), times[_i].rc);
    if (times[_i].rc == 0)
        ck_assert_int_eq(ms, times[_i].ms);
}
END_TEST

START_TEST(parses_moments_and_durations)
{
    int64_t ms = 0;

    ck_assert_int_eq(parse_moment_ms(STR("1700000000123"), &ms, NULL), 0);
    ck_assert_int_eq(ms, 1700000000123);
    ck_assert_int_eq(parse_moment_ms(STR("1700000000"), &ms, NULL), 0);
    ck_assert_int_eq(ms, 1700000000000);
    ck_assert_int_eq(parse_duration_ms(STR("600s"), &ms, NULL), 0);
    ck_assert_int_eq(ms, 600000);
    ck_assert_int_eq(parse_duration_ms(STR("1.5"), &ms, NULL), 0);
    ck_assert_int_eq(ms, 1500);
    ck_assert_int_eq(parse_duration_ms(STR("soon"), &ms, NULL), ERR_PARSE);
}
END_TEST

static const struct {
    double v;
    const char *value, *scalar;
} numbers[] = {
    { 0, "\"0\"", "\"0\"" },
    { 1, "\"1\"", "\"1\"" },
    { -2.5, "\"-2.5\"", "\"-2.5\"" },
    { 0.1, "\"0.1\"", "\"0.1\"" },
    { 1.0 / 3, "\"0.3333333333333333\"", "\"0.3333333333333333\"" },
    { 1e15, "\"1000000000000000\"", "\"1000000000000000\"" },
    { 1e20, "\"100000000000000000000\"", "\"100000000000000000000\"" },
    { 1e21, "\"1e+21\"", "\"1000000000000000000000\"" },
    { 1.5e-6, "\"0.0000015\"", "\"0.0000015\"" },
    { 1.5e-7, "\"1.5e-07\"", "\"0.00000015\"" },
    { 5e-324, "\"5e-324\"", NULL },
    { 1.7976931348623157e308, "\"1.7976931348623157e+308\"", NULL },
    { 123456789012345678, "\"123456789012345680\"", "\"123456789012345680\"" },
};

START_TEST(prints_samples)
{
    struct buf b = BUF_INIT(1024);

    json_sample_value(&b, numbers[_i].v, true);
    ck_assert(str_eqz(buf_view(&b), numbers[_i].value));
    buf_reset(&b);
    json_sample_value(&b, numbers[_i].v, false);
    ck_assert(!numbers[_i].scalar || str_eqz(buf_view(&b), numbers[_i].scalar));
    buf_free(&b);
}
END_TEST

START_TEST(prints_special_samples)
{
    struct buf b = BUF_INIT(1024);

    json_sample_value(&b, NAN, true);
    json_sample_value(&b, INFINITY, true);
    json_sample_value(&b, -0.0, true);
    json_sample_time(&b, 1435781451781);
    json_sample_time(&b, 1000);
    json_sample_time(&b, -1005);
    ck_assert(str_eqz(buf_view(&b), "\"NaN\"\"+Inf\"\"-0\"1435781451.7811-1.005"));
    buf_free(&b);
}
END_TEST

START_TEST(prints_sets_one_after_the_other)
{
    static const char *const texts[] = { "a", "b", "longer than eight", "quo\"te", "\xff", "ü" };
    static struct label v[2][LABELS_TEXT_MOST + 8];
    struct buf each = BUF_INIT(1 << 20), after = BUF_INIT(1 << 20);
    struct labels_text before = { 0 };
    struct rng r;

    rng_seed(&r);
    for (int round = 0; round < 500; round++) {
        struct label *now = v[round % 2];
        size_t n = rng_below(&r, round % 3 ? 8 : COUNT(v[0]) + 1), same = n ? rng_below(&r, n + 1) : 0;

        memcpy(now, v[(round + 1) % 2], same * sizeof(*now));
        for (size_t i = same; i < COUNT(v[0]); i++)
            now[i] = (struct label){ str_of(texts[rng_below(&r, COUNT(texts))]),
                                     str_of(texts[rng_below(&r, COUNT(texts))]) };
        json_labels(&each, (struct labels){ now, n });
        json_labels_after(&after, (struct labels){ now, n }, &before);
        ck_assert_msg(str_eq(buf_view(&each), buf_view(&after)), "%s\n%s", buf_cstr(&each), buf_cstr(&after));
        if (rng_below(&r, 20) == 0) { /* the next piece */
            buf_reset(&each);
            buf_reset(&after);
            before.l.n = 0;
        }
    }
    buf_free(&each);
    buf_free(&after);
}
END_TEST

static const struct {
    const char *host;
    bool good;
} hosts[] = {
    { "localhost", true },     { "LocalHost:9090", true }, { "127.0.0.1:20001", true }, { "127.9.8.7", true },
    { "[::1]:20001", true },   { "evil.example", false },  { "127.0.0.1.evil", false }, { "localhost.evil:80", false },
    { "10.0.0.1", false },     { "", false },              { "[::1", false },           { "0.0.0.0", false },
    { "workstation", true },   { "[2001:db8::1]", false }, { "[::2]:80", false },       { "evil.", false },
};

START_TEST(guards_loopback)
{
    ck_assert_msg(host_is_loopback(str_of(hosts[_i].host), STR("127.0.0.1")) == hosts[_i].good, "%s", hosts[_i].host);
}
END_TEST

START_TEST(compares_origins)
{
    ck_assert(origin_is_own(STR("http://localhost:20001"), STR("localhost:20001")));
    ck_assert(!origin_is_own(STR("http://localhost:3000"), STR("localhost:20001")));
    ck_assert(!origin_is_own(STR("null"), STR("localhost:20001")));
    ck_assert(!origin_is_own(STR("http://evil.example"), STR("localhost:20001")));
}
END_TEST

static const struct {
    const char *header; /* NULL: none */
    enum coding coding;
    bool gzip;
} codings[] = {
    { NULL, CODING_NONE, false },
    { "", CODING_NONE, false },
    { "gzip", CODING_GZIP, true },
    { "GZIP", CODING_GZIP, true },
    { "x-gzip", CODING_GZIP, true },
    { "deflate, br", CODING_NONE, false },
    { "identity", CODING_NONE, false },
    { "zstd, br, gzip", CODING_ZSTD, true },
    { "gzip, deflate, br, zstd", CODING_ZSTD, true },
    { "gzip;q=1.0, zstd;q=0.5", CODING_GZIP, true },
    { "gzip ; q=0.001 , zstd;q=0", CODING_GZIP, true },
    { "gzip;q=0", CODING_NONE, false },
    { "gzip;q=0.000", CODING_NONE, false },
    { "gzip;q=1.5x", CODING_NONE, false },
    { "gzip;q=", CODING_NONE, false },
    { "*", CODING_ZSTD, true },
    { "*;q=0.5, zstd;q=0", CODING_GZIP, true },
    { "*;q=0", CODING_NONE, false },
    { "gzip;q=0.5, identity", CODING_NONE, true },
    { "gzip, identity;q=0.5", CODING_GZIP, true },
    { "gzip;level=9;q=0.2", CODING_GZIP, true },
    { ",,;q=1,", CODING_NONE, false },
};

START_TEST(chooses_codings)
{
    ck_assert_int_eq(accept_coding(str_of(codings[_i].header)), codings[_i].coding);
    ck_assert(accepts_gzip(str_of(codings[_i].header)) == codings[_i].gzip);
}
END_TEST

static const struct {
    const char *in, *unescaped, *flat; /* of the name as a metric's */
} names[] = {
    { "plain_name", "plain_name", "plain_name" },
    { "U__http_2e_status_2f_code", "http.status/code", "U__http_2e_status_2f_code" },
    { "U____a", "_a", NULL },
    { "U__a__b", "a_b", "U__a__b" },
    { "U__caf_e9__1f600_", "caf\xc3\xa9\xf0\x9f\x98\x80", NULL },
    { "U__a_d800_b", "U__a_d800_b", NULL },
    { "U__a_110000_b", "U__a_110000_b", NULL },
    { "U__a_12", "U__a_12", NULL },
    { "U__a_x_", "U__a_x_", NULL },
    { "U__", "", NULL },
    { "http.status", "http.status", "http_status" },
    { "9a:b", "9a:b", "_a:b" },
    { "caf\xc3\xa9", "caf\xc3\xa9", "caf_" },
};

START_TEST(names_in_other_forms)
{
    struct arena a = ARENA_INIT(1 << 16);
    struct buf flat = BUF_INIT(100);
    struct str s = label_unescape(&a, str_of(names[_i].in));

    ck_assert_msg(str_eqz(s, names[_i].unescaped), "%s: %.*s", names[_i].in, STR_ARG(s));
    if (names[_i].flat) {
        label_flatten(&flat, str_of(names[_i].in), true);
        ck_assert_str_eq(buf_cstr(&flat), names[_i].flat);
        ck_assert(label_is_classic(buf_view(&flat), true));
        ck_assert(label_is_classic(str_of(names[_i].in), true) == str_eqz(buf_view(&flat), names[_i].in));
    }
    buf_free(&flat);
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("api parts");
    TCase *t = tcase_create("parts");

    tcase_add_loop_test(t, finds_routes, 0, COUNT(paths));
    tcase_add_test(t, names_allowed_methods);
    tcase_add_loop_test(t, parses_parameters, 0, COUNT(queries));
    tcase_add_test(t, bounds_parameters);
    tcase_add_loop_test(t, parses_times, 0, COUNT(times));
    tcase_add_test(t, parses_moments_and_durations);
    tcase_add_loop_test(t, prints_samples, 0, COUNT(numbers));
    tcase_add_test(t, prints_special_samples);
    tcase_add_test(t, prints_sets_one_after_the_other);
    tcase_add_loop_test(t, guards_loopback, 0, COUNT(hosts));
    tcase_add_test(t, compares_origins);
    tcase_add_loop_test(t, chooses_codings, 0, COUNT(codings));
    tcase_add_loop_test(t, names_in_other_forms, 0, COUNT(names));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
