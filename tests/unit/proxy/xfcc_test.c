/* xfcc_test.c: X-Forwarded-Client-Cert, read, written, and what each mode makes of it. */
#include "proxy/xfcc.h"
#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

static struct arena arena;

static void setup(void)
{
    arena = (struct arena)ARENA_INIT(1 << 20);
}

static void teardown(void)
{
    arena_free(&arena);
}

/* "by|hash|cert|subject|uris|dns" of each element, "-" for a subject that is not told. */
static struct str told(const struct xfcc_element *v, size_t n)
{
    struct str out = STR("");

    for (size_t i = 0; i < n; i++) {
        const struct xfcc_element *e = &v[i];

        out = arena_printf(&arena, "%.*s[%.*s|%.*s|%.*s|%.*s|", STR_ARG(out), STR_ARG(e->by), STR_ARG(e->hash),
                           STR_ARG(e->cert), STR_ARG(e->subject.p ? e->subject : STR("-")));
        for (size_t k = 0; k < e->nuris; k++)
            out = arena_printf(&arena, "%.*s%.*s ", STR_ARG(out), STR_ARG(e->uris[k]));
        out = arena_printf(&arena, "%.*s|", STR_ARG(out));
        for (size_t k = 0; k < e->ndns; k++)
            out = arena_printf(&arena, "%.*s%.*s ", STR_ARG(out), STR_ARG(e->dns[k]));
        out = arena_printf(&arena, "%.*s]", STR_ARG(out));
    }
    return out;
}

static const struct {
    const char *in, *told;
    const char *written; /* NULL: as it came; "": not written again (several elements) */
} good[] = {
    { "By=spiffe://td/ns/a/sa/b;Hash=9a3;Subject=\"CN=x,O=y\";URI=spiffe://td/ns/c/sa/d",
      "[spiffe://td/ns/a/sa/b|9a3||CN=x,O=y|spiffe://td/ns/c/sa/d |]", NULL },
    { "By=a;Hash=1;Subject=\"\";URI=", "[a|1||||]", "By=a;Hash=1;Subject=\"\"" },
    { "by=a;HASH=1;uri=b;dns=c;dns=d", "[a|1||-|b |c d ]", "By=a;Hash=1;URI=b;DNS=c;DNS=d" },
    { "By=a;Hash=1,By=b;Hash=2", "[a|1||-||][b|2||-||]", "" },
    { " By = a ; Hash = \"1\" ; New=\"x;,y\" ", "[a|1||-||]", "By=a;Hash=1" },
    { "Hash=1;Cert=\"-----BEGIN%20\";Chain=\"c\"", "[|1|-----BEGIN%20|-||]", NULL },
    { "Hash=1;Subject=\"CN=a\\\"b\"", "[|1||CN=a\"b||]", NULL },
    { "Hash=1;Subject=\"O=a\\,b\"", "[|1||O=a\\,b||]", NULL },
    { "Hash=1;Subject=\"CN=a\\\\\";URI=b", "[|1||CN=a\\|b |]", NULL }, /* it ends, and what follows is not swallowed */
    { "Hash=1;Subject=\"a\\\\\\\"b\"", "[|1||a\\\"b||]", NULL },
    { "Hash=1;URI=\"http://a/?b=c;d,e\"", "[|1||-|http://a/?b=c;d,e |]", NULL },
    { "URI=http://a/?b=c", "[|||-|http://a/?b=c |]", "URI=\"http://a/?b=c\"" },
    { "By=a;By=b", "[a|||-||]", "By=a" },
};

START_TEST(reads_and_writes)
{
    const struct xfcc_element *v;
    struct err e = ERR_INIT;
    struct str text;
    size_t n;

    ck_assert_msg(xfcc_parse(&arena, str_of(good[_i].in), &v, &n, &e) == 0, "%s: %s", good[_i].in, e.msg);
    text = told(v, n);
    ck_assert_msg(str_eqz(text, good[_i].told), "%s: %.*s", good[_i].in, STR_ARG(text));
    if (good[_i].written && !good[_i].written[0])
        return;
    text = xfcc_format(&arena, v);
    ck_assert_msg(str_eqz(text, good[_i].written ? good[_i].written : good[_i].in), "%.*s", STR_ARG(text));
}
END_TEST

static const struct {
    const char *in, *msg;
} bad[] = {
    { "", "byte 0: NAME=VALUE" },       { "By", "byte 0: NAME=VALUE" },      { "=a", "byte 0: NAME=VALUE" },
    { "By=a;", "byte 5: NAME=VALUE" },  { "By=a,", "byte 5: NAME=VALUE" },   { "By=\"a", "byte 4: a quote is opened" },
    { "By=\"a\"b", "byte 6: , or ;" },  { "By=a\"b\"", "byte 4: , or ;" },   { "By=\"a\\\"", "a quote is opened" },
    { "\"By\"=a", "byte 0: NAME=VALUE" },
};

START_TEST(refuses_what_is_no_list)
{
    const struct xfcc_element *v;
    struct err e = ERR_INIT;
    size_t n;

    ck_assert_int_eq(xfcc_parse(&arena, str_of(bad[_i].in), &v, &n, &e), ERR_PARSE);
    ck_assert_msg(strstr(e.msg, bad[_i].msg), "%s: %s", bad[_i].in, e.msg);
}
END_TEST

START_TEST(bounds_lists)
{
    char text[XFCC_MOST_BYTES + 1];
    const struct xfcc_element *v;
    size_t n, at = 0;

    for (int i = 0; i <= XFCC_MOST_ELEMENTS; i++)
        at += (size_t)sprintf(text + at, "%sBy=a", i ? "," : "");
    ck_assert_int_eq(xfcc_parse(&arena, (struct str){ text, at }, &v, &n, NULL), ERR_LIMIT);
    ck_assert_int_eq(xfcc_parse(&arena, (struct str){ text, at - 5 }, &v, &n, NULL), 0);
    ck_assert_uint_eq(n, XFCC_MOST_ELEMENTS);
    for (size_t i = at = 0; i <= XFCC_MOST_NAMES; i++)
        at += (size_t)sprintf(text + at, "%sDNS=a", i ? ";" : "");
    ck_assert_int_eq(xfcc_parse(&arena, (struct str){ text, at }, &v, &n, NULL), ERR_LIMIT);
    memset(text, 'a', sizeof(text));
    ck_assert_int_eq(xfcc_parse(&arena, (struct str){ text, sizeof(text) }, &v, &n, NULL), ERR_LIMIT);
}
END_TEST

static const struct {
    enum xfcc_mode mode;
    bool mutual;
    const char *came, *want; /* NULL: none */
} modes[] = {
    { XFCC_SANITIZE, true, "By=x", NULL },
    { XFCC_FORWARD_ONLY, true, "By=x", "By=x" },
    { XFCC_FORWARD_ONLY, false, "By=x", NULL },
    { XFCC_FORWARD_ONLY, true, NULL, NULL },
    { XFCC_APPEND_FORWARD, true, "By=x", "By=x,By=us;Hash=1" },
    { XFCC_APPEND_FORWARD, true, NULL, "By=us;Hash=1" },
    { XFCC_APPEND_FORWARD, false, "By=x", NULL },
    { XFCC_SANITIZE_SET, true, "By=x", "By=us;Hash=1" },
    { XFCC_SANITIZE_SET, false, "By=x", NULL },
    { XFCC_ALWAYS_FORWARD_ONLY, false, "By=x", "By=x" },
    { XFCC_ALWAYS_FORWARD_ONLY, true, "By=x", "By=x" },
};

START_TEST(does_as_its_mode_says)
{
    struct xfcc_element ours = { .by = STR("us"), .hash = STR("1") };
    struct str out;

    ck_assert_int_eq(xfcc_apply(&arena, modes[_i].mode, modes[_i].mutual, str_of(modes[_i].came), xfcc_format(&arena, &ours),
                                &out), 0);
    ck_assert_int_eq(out.p != NULL, modes[_i].want != NULL);
    ck_assert_msg(!modes[_i].want || str_eqz(out, modes[_i].want), "%.*s", STR_ARG(out));
}
END_TEST

static void add_names(X509 *x, const char *names)
{
    X509_NAME *subject = X509_get_subject_name(x);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

    ck_assert_ptr_nonnull(ext);
    X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"Acme, \"Inc\"", -1, -1, 0);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"a\nb", -1, -1, 0);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
}

/* NULL: it names nobody. */
static X509 *certificate(const char *names)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();

    ck_assert(key && x);
    if (names)
        add_names(x, names);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 60);
    X509_set_pubkey(x, key);
    ck_assert_int_gt(X509_sign(x, key, EVP_sha256()), 0);
    EVP_PKEY_free(key);
    return x;
}

START_TEST(tells_of_certificates)
{
    X509 *x = certificate("URI:spiffe://td/ns/a/sa/b,DNS:a.example,DNS:b.example,IP:10.0.0.1");
    struct xfcc_element e;
    struct str text;

    ck_assert_int_eq(xfcc_of_certificate(&arena, x, STR("spiffe://td/ns/us/sa/x"), true, &e), 0);
    ck_assert_uint_eq(e.hash.n, 64);
    ck_assert(str_starts(e.cert, STR("-----BEGIN%20CERTIFICATE-----%0A")));
    ck_assert(str_eqz(e.subject, "CN=a\\0Ab,O=Acme\\, \\\"Inc\\\""));
    e.hash = e.cert = STR("");
    text = xfcc_format(&arena, &e);
    ck_assert_msg(str_eqz(text, "By=spiffe://td/ns/us/sa/x;Subject=\"CN=a\\0Ab,O=Acme\\, \\\\\\\"Inc\\\\\\\"\";"
                                "URI=spiffe://td/ns/a/sa/b;DNS=a.example;DNS=b.example"),
                  "%.*s", STR_ARG(text));
    X509_free(x);
}
END_TEST

START_TEST(tells_of_certificates_without_names)
{
    X509 *x = certificate(NULL);
    struct xfcc_element e;

    ck_assert_int_eq(xfcc_of_certificate(&arena, x, STR(""), false, &e), 0);
    ck_assert_uint_eq(e.nuris + e.ndns + e.subject.n + e.cert.n, 0);
    e.hash = STR("1");
    ck_assert(str_eqz(xfcc_format(&arena, &e), "Hash=1;Subject=\"\""));
    X509_free(x);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("xfcc");
    TCase *t = tcase_create("xfcc");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, reads_and_writes, 0, COUNT(good));
    tcase_add_loop_test(t, refuses_what_is_no_list, 0, COUNT(bad));
    tcase_add_test(t, bounds_lists);
    tcase_add_loop_test(t, does_as_its_mode_says, 0, COUNT(modes));
    tcase_add_test(t, tells_of_certificates);
    tcase_add_test(t, tells_of_certificates_without_names);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
