/* cel_test.c: what expressions come to, with all that is known of a request and with nothing, and what is refused. */
#include "mesh/cel.h"
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>

static struct cel_value attribute(const void *of, enum cel_attribute a)
{
    static const struct {
        enum cel_attribute attribute;
        struct cel_value value;
    } known[] = {
        { CEL_REQUEST_PATH, { CEL_STRING, 0, STR_INIT("/a/b?c=d") } },
        { CEL_REQUEST_METHOD, { CEL_STRING, 0, STR_INIT("GET") } },
        { CEL_REQUEST_HOST, { CEL_STRING, 0, STR_INIT("a.example") } },
        { CEL_REQUEST_USERAGENT, { CEL_STRING, 0, STR_INIT("curl/8 \xc3\xa9") } },
        { CEL_RESPONSE_CODE, { CEL_INT, 503, { NULL, 0 } } },
        { CEL_CONNECTION_MTLS, { CEL_BOOL, 1, { NULL, 0 } } },
        { CEL_DESTINATION_PORT, { CEL_INT, 80, { NULL, 0 } } },
    };

    for (size_t i = 0; of && i < COUNT(known); i++)
        if (known[i].attribute == a)
            return known[i].value;
    return (struct cel_value){ .kind = CEL_NONE };
}

static struct str header(const void *of, enum cel_map m, struct str name)
{
    if (of && m == CEL_REQUEST_HEADERS && str_eqz(name, "x-a"))
        return STR("one");
    return of && m == CEL_RESPONSE_HEADERS && str_eqz(name, "x-b") ? STR("two") : STR_NULL;
}

static const char *shown(struct cel_value v, char out[256])
{
    if (v.kind == CEL_STRING)
        snprintf(out, 256, "'%.*s'", STR_ARG(v.s));
    else if (v.kind == CEL_INT)
        snprintf(out, 256, "%lld", (long long)v.i);
    else
        snprintf(out, 256, "%s", v.kind == CEL_NONE ? "none" : v.i ? "true" : "false");
    return out;
}

static const struct {
    const char *in, *out, *unknown; /* unknown: where nothing is known */
} cases[] = {
    { "response.code >= 400", "true", "none" },
    { "response.code < 400 || request.method == 'GET'", "true", "none" },
    { "connection.mtls && request.path.contains('/b')", "true", "none" },
    { "!has(request.useragent) || !(request.useragent.startsWith(\"Amazon-Route53-Health-Check-Service\"))", "true", "true" },
    { "has(request.referer)", "false", "false" },
    { "has(request.headers['x-a']) ? request.headers['x-a'] : 'none'", "'one'", "'none'" },
    { "request.headers.x", "none", "none" },
    { "request.headers['x-c'] | response.headers[\"x-b\"] | 'other'", "'two'", "'other'" },
    { "'x-a' in request.headers && !('x-b' in request.headers)", "true", "false" },
    { "response.code in [500, 503]", "true", "none" },
    { "request.method in ['POST', 'PUT']", "false", "none" },
    { "request.host + ':' + string(destination.port)", "'a.example:80'", "none" },
    { "request.path.matches('^/a/[a-z]+')", "true", "none" },
    { "request.path.endsWith('d') && request.path.startsWith('/')", "true", "none" },
    { "request.referer == 'x' || true", "true", "true" },
    { "false && request.referer == 'x'", "false", "false" },
    { "request.referer == 'x' && true", "none", "none" },
    { "response.code >= 500 ? 'bad' : response.code >= 400 ? 'poor' : 'good'", "'bad'", "none" },
    { "int('-12') + 2 == -10", "true", "true" },
    { "int('x')", "none", "none" },
    { "size(request.useragent)", "8", "none" },
    { "9223372036854775807 + 1", "none", "none" },
    { "'a' < 'b' && 2 <= 2 && 3 > -3 && 'b' != 'a' && !(1 >= 2)", "true", "true" },
    { "r'\\d' + '\\n\\'' + \"'\"", "'\\d\n'''", "'\\d\n'''" },
    { "  ( true )\n", "true", "true" },
    { "string(true)", "'true'", "'true'" },
};

START_TEST(comes_to)
{
    static const int something;
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    const struct cel *c = cel_compile(&a, str_of(cases[_i].in), CEL_NONE, &e);
    const struct cel_source known = { attribute, header, &something }, unknown = { attribute, header, NULL };
    char text[256];

    ck_assert_msg(c != NULL, "%s: %s", cases[_i].in, e.msg);
    ck_assert_msg(strcmp(shown(cel_evaluate(c, &known, &a), text), cases[_i].out) == 0, "%s: %s", cases[_i].in, text);
    ck_assert_msg(strcmp(shown(cel_evaluate(c, &unknown, &a), text), cases[_i].unknown) == 0, "%s: %s", cases[_i].in, text);
    arena_free(&a);
}
END_TEST

static const struct {
    const char *in;
    int rc;
    const char *msg;
} refused[] = {
    { "", ERR_PARSE, "byte 1: a value is missing" },
    { "response.cod > 1", ERR_UNSUPPORTED, "byte 1: \"response.cod\" is no attribute that is offered" },
    { "request.time", ERR_UNSUPPORTED, "byte 1: \"request.time\" is no attribute that is offered" },
    { "response.code == '400'", ERR_PARSE, "byte 23: == needs a number, not a text" },
    { "response.code", ERR_PARSE, "byte 14: the expression needs a condition, not a number" },
    { "request.path && true", ERR_PARSE, "byte 21: && needs a condition, not a text" },
    { "response.code.contains('x')", ERR_PARSE, "byte 27: contains needs a text, not a number" },
    { "request.path.replace('x', 'y')", ERR_UNSUPPORTED, "byte 14: the method \"replace\" is not offered" },
    { "timestamp('x') > 1", ERR_UNSUPPORTED, "byte 1: the function \"timestamp\" is not offered" },
    { "response.code > 1.5", ERR_UNSUPPORTED, "byte 17: a number is decimal digits: no fraction, exponent, hexadecimal or "
                                              "unsigned one is offered" },
    { "1 * 2 == 2", ERR_UNSUPPORTED, "byte 3: the operator \"*\" is not offered" },
    { "[1].all(x, x > 0)", ERR_UNSUPPORTED, "byte 5: the method \"all\" is not offered" },
    { "{'a': 1}", ERR_UNSUPPORTED, "byte 1: maps are not offered" },
    { "request.headers == request.headers", ERR_UNSUPPORTED,
      "byte 35: ==: a map or a list stands only to the right of in" },
    { "request.path[0] == 'a'", ERR_UNSUPPORTED,
      "byte 13: an index stands behind request.headers, response.headers and response.trailers" },
    { "request.path in 'a'", ERR_PARSE, "byte 20: in: to its right stands a list, or a map of header fields" },
    { "response.code in ['a']", ERR_PARSE, "byte 23: in needs a text, not a number" },
    { "'a", ERR_PARSE, "byte 3: a text has no end" },
    { "'\\q'", ERR_UNSUPPORTED, "byte 4: a backslash stands in front of n, t, r, a quote or a backslash" },
    { "(true", ERR_PARSE, "byte 6: \")\" is missing" },
    { "true true", ERR_PARSE, "byte 6: \"t\" is not expected here" },
    { "true = true", ERR_PARSE, "byte 6: \"=\" is not expected here" },
    { "has('a')", ERR_PARSE, "byte 9: has: an attribute or a header field stands in its parentheses" },
    { "request.path.matches(request.host)", ERR_UNSUPPORTED, "byte 35: matches: its expression must be a literal text" },
    { "99999999999999999999 > 1", ERR_PARSE, "byte 1: the number is too large" },
    { "((((((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))))))", ERR_LIMIT, "byte 17: it is nested deeper than 32" },
    { "!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!true", ERR_LIMIT, "byte 32: it is nested deeper than 32" },
};

START_TEST(refuses)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    const struct cel *c = cel_compile(&a, str_of(refused[_i].in), CEL_BOOL, &e);

    ck_assert_msg(c == NULL, "%s", refused[_i].in);
    ck_assert_msg(strcmp(e.msg, refused[_i].msg) == 0 && e.code == refused[_i].rc, "%s: %d %s", refused[_i].in, e.code, e.msg);
    arena_free(&a);
}
END_TEST

START_TEST(is_bounded)
{
    struct buf b = BUF_INIT(1 << 20);
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;

    for (int i = 0; i < 300; i++)
        buf_puts(&b, i ? "+1" : "1");
    ck_assert(!cel_compile(&a, buf_view(&b), CEL_NONE, &e));
    ck_assert_int_eq(e.code, ERR_LIMIT);
    for (int i = 0; i < 4096; i++)
        buf_putc(&b, ' ');
    ck_assert(!cel_compile(&a, buf_view(&b), CEL_NONE, &e));
    ck_assert_str_eq(e.msg, "byte 1: the expression is longer than 4096 bytes");
    buf_free(&b);
    arena_free(&a);
}
END_TEST

START_TEST(names_its_headers)
{
    struct arena a = ARENA_INIT(1 << 20);
    const struct cel *c = cel_compile(&a, STR("response.headers['x-a'] == request.headers.y || 'z' in response.headers"), CEL_BOOL, NULL);

    ck_assert_ptr_nonnull(c);
    ck_assert(str_eqz(cel_header(c, CEL_RESPONSE_HEADERS, 0), "x-a") && str_eqz(cel_header(c, CEL_RESPONSE_HEADERS, 1), "z"));
    ck_assert(!cel_header(c, CEL_RESPONSE_HEADERS, 2).p && str_eqz(cel_header(c, CEL_REQUEST_HEADERS, 0), "y"));
    arena_free(&a);
}
END_TEST

/* Without memory at any point: no tree, and the reason. */
START_TEST(copes_without_memory)
{
    const struct cel *c = NULL;

    for (size_t n = 1; !c && n < 1000; n++) {
        struct arena a = ARENA_INIT(1 << 20);
        struct err e = ERR_INIT;

        mem_fail_at(n);
        c = cel_compile(&a, STR("request.headers['x'] in ['a', 'b'] && request.path.matches('a+') ? 'x' : 'y'"), CEL_STRING, &e);
        mem_fail_at(0);
        ck_assert(c || e.code == ERR_NOMEM);
        arena_free(&a);
    }
    ck_assert_ptr_nonnull(c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/cel");
    TCase *t = tcase_create("cel");

    tcase_add_loop_test(t, comes_to, 0, COUNT(cases));
    tcase_add_loop_test(t, refuses, 0, COUNT(refused));
    tcase_add_test(t, is_bounded);
    tcase_add_test(t, names_its_headers);
    tcase_add_test(t, copes_without_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
