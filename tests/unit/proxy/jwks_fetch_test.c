/* jwks_fetch_test.c: keys by http and https, with a server that answers well, badly, elsewhere or not at all; the OpenID
 * configuration that says where they are; and the store that fetches them for all. */
#include "proxy/jwks_store.h"
#include "proxy/openid.h"
#include "tests/unit/proxy/key_server.h"

#include <signal.h>
#include <sys/eventfd.h>

#define OK "HTTP/1.1 200 OK\r\n"
#define WITH(text) OK "Connection: close\r\n\r\n" text
#define ED25519 "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define TO(where) "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " where "\r\n\r\n"

static const struct page pages[] = {
    { "/sized", OK "Content-Length: 4\r\n\r\nkeys", false },
    { "/chunked", OK "Transfer-Encoding: chunked\r\n\r\n2\r\nke\r\n2\r\nys\r\n0\r\n\r\n", false },
    { "/ended", WITH("keys"), false },
    { "/abrupt", WITH("keys"), true },
    { "/cut", OK "Content-Length: 5\r\n\r\nkeys", false },
    { "/bad-chunk", OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", false },
    { "/no-http", "hello\r\n\r\n", false },
    { "/nothing", "", false },
    { "/error", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false },
    { "/there", TO("/sized"), false },
    { "/round", TO("/round"), false },
    { "/nowhere", TO("sized"), false },
    { "/plain", TO("http://127.0.0.1:%u/sized"), false },
    { "/large", OK "Content-Length: 1000000\r\n\r\nkeys", false },
    { "/silent", NULL, false },
    { "/keys", WITH(ED25519), false },
};

static struct buf cert, key;
static struct tls_store *tls;
static struct key_server http, https;
static int stop;
static char ca[64];

static void setup(void)
{
    int fd;

    signal(SIGPIPE, SIG_IGN); /* the server may outlive who asks it */
    cert = key = (struct buf)BUF_INIT(64 * 1024);
    certificate_make("DNS:localhost,IP:127.0.0.1", &cert, &key);
    strcpy(ca, "/tmp/jwks_fetch_test.XXXXXX");
    fd = mkstemp(ca);
    ck_assert_int_eq(write(fd, cert.p, cert.n), (ssize_t)cert.n);
    close(fd);
    tls = tls_store_new(NULL, NULL);
    stop = eventfd(0, EFD_NONBLOCK);
    key_server_start(&http, pages, COUNT(pages), NULL, NULL);
    key_server_start(&https, pages, COUNT(pages), &cert, &key);
}

static void teardown(void)
{
    key_server_stop(&http);
    key_server_stop(&https);
    tls_store_free(tls);
    close(stop);
    unlink(ca);
    buf_free(&cert);
    buf_free(&key);
}

static int fetch(const char *base, const struct key_server *from, const char *path, struct buf *to, struct err *e)
{
    struct jwks_fetcher by = { stop, tls, ca };
    char uri[256];

    snprintf(uri, sizeof(uri), "%s:%u%s", base, from->port, path);
    *to = (struct buf)BUF_INIT(1000);
    return jwks_fetch(&by, uri, to, e);
}

static const struct {
    const char *path;
    int rc;
    const char *said; /* the keys, or a part of the message */
} answers[] = {
    { "/sized", 0, "keys" }, { "/chunked", 0, "keys" }, { "/ended", 0, "keys" }, { "/there", 0, "keys" },
    { "/cut", ERR_IO, "the answer is cut off" },
    { "/bad-chunk", ERR_PARSE, "the answer's chunks are none" },
    { "/no-http", ERR_PARSE, "the answer is no HTTP" },
    { "/nothing", ERR_IO, "the connection ended before an answer" },
    { "/error", ERR_IO, "the answer is 500, should be 200" },
    { "/missing", ERR_IO, "the answer is 404, should be 200" },
    { "/round", ERR_LIMIT, "it is sent on more than 5 times" },
    { "/nowhere", ERR_PARSE, "it is sent on to \"sized\"" },
    { "/large", ERR_IO, "the answer is cut off" },
};

static void expect(const char *base, const struct key_server *from, size_t i)
{
    struct err e = ERR_INIT;
    struct buf b;
    int rc = fetch(base, from, answers[i].path, &b, &e);

    ck_assert_msg(rc == answers[i].rc, "%s%s: %d, %s", base, answers[i].path, rc, e.msg);
    if (rc)
        ck_assert_msg(strstr(e.msg, answers[i].said) != NULL, "%s: %s", answers[i].path, e.msg);
    else
        ck_assert_str_eq(buf_cstr(&b), answers[i].said);
    buf_free(&b);
}

START_TEST(reads_answers)
{
    expect("http://127.0.0.1", &http, (size_t)_i);
    expect("https://127.0.0.1", &https, (size_t)_i);
    expect("https://localhost", &https, (size_t)_i);
}
END_TEST

static void refuses(const char *base, const struct key_server *from, const char *path, const char *why)
{
    struct err e = ERR_INIT;
    struct buf b;

    ck_assert_int_lt(fetch(base, from, path, &b, &e), 0);
    ck_assert_msg(strstr(e.msg, why) != NULL, "%s", e.msg);
    buf_free(&b);
}

static void trust(const struct buf *authorities)
{
    FILE *f = fopen(ca, "w");

    ck_assert_uint_eq(fwrite(authorities->p, 1, authorities->n, f), authorities->n);
    fclose(f);
}

/* A server that is not trusted; then one that is, under another name. */
START_TEST(names_are_checked)
{
    struct buf other_cert = BUF_INIT(64 * 1024), other_key = BUF_INIT(64 * 1024);
    struct key_server other;

    certificate_make("DNS:elsewhere.example", &other_cert, &other_key);
    key_server_start(&other, pages, COUNT(pages), &other_cert, &other_key);
    refuses("https://127.0.0.1", &other, "/sized", "certificate verify failed");
    trust(&other_cert);
    refuses("https://127.0.0.1", &other, "/sized", "verify SAN list");
    ck_assert_uint_eq(atomic_load(&other.asked), 0);
    key_server_stop(&other);
    buf_free(&other_cert);
    buf_free(&other_key);
}
END_TEST

START_TEST(https_is_kept)
{
    struct jwks_fetcher by = { stop, tls, "/nonexistent/ca.pem" };
    struct err e = ERR_INIT;
    struct buf b = BUF_INIT(1000);
    char uri[64];

    refuses("https://127.0.0.1", &https, "/plain", "from https to http");
    refuses("https://127.0.0.1", &https, "/abrupt", "the answer is cut off");
    refuses("http://127.0.0.1", &https, "/sized", "");
    snprintf(uri, sizeof(uri), "https://127.0.0.1:%u/sized", https.port);
    ck_assert_int_eq(jwks_fetch(&by, uri, &b, &e), ERR_IO);
    ck_assert_str_eq(e.msg, "the authorities for https cannot be read: /nonexistent/ca.pem");
    by = (struct jwks_fetcher){ stop, NULL, NULL };
    ck_assert_int_eq(jwks_fetch(&by, uri, &b, &e), ERR_UNSUPPORTED);
    buf_free(&b);
}
END_TEST

START_TEST(stops)
{
    uint64_t one = 1;

    ck_assert_int_eq(write(stop, &one, sizeof(one)), sizeof(one));
    refuses("https://127.0.0.1", &https, "/silent", "the proxy ends");
    refuses("http://127.0.0.1", &http, "/silent", "the proxy ends");
}
END_TEST

#define CONFIGURATION "/.well-known/openid-configuration"

static const struct {
    const char *document, *asked;
    int rc;
    const char *said;
} documents[] = {
    { "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://b/k\",\"x\":[1]}", "https://a" CONFIGURATION, 0, "https://b/k" },
    { "{\"issuer\":\"https://a/\",\"jwks_uri\":\"https://b/k\"}", "https://a" CONFIGURATION, 0, "https://b/k" },
    { "{\"issuer\":\"http://a\",\"jwks_uri\":\"http://b/k\"}", "http://a" CONFIGURATION, 0, "http://b/k" },
    { "{\"issuer\":\"https://a\",\"jwks_uri\":\"http://b/k\"}", "https://a" CONFIGURATION, ERR_INVALID,
      "the OpenID configuration's \"jwks_uri\" should be https, as its own is" },
    { "{\"issuer\":\"https://c\",\"jwks_uri\":\"https://b/k\"}", "https://a" CONFIGURATION, ERR_INVALID,
      "the OpenID configuration is of the issuer \"https://c\"" },
    { "{\"jwks_uri\":\"https://b/k\"}", "https://a" CONFIGURATION, ERR_INVALID,
      "the OpenID configuration is of the issuer \"\"" },
    { "{\"issuer\":\"https://a\",\"jwks_uri\":3}", "https://a" CONFIGURATION, ERR_INVALID,
      "the OpenID configuration has no \"jwks_uri\"" },
    { "[]", "https://a" CONFIGURATION, ERR_INVALID, "the OpenID configuration has no \"jwks_uri\"" },
    { "{", "https://a" CONFIGURATION, ERR_PARSE, "the OpenID configuration is no JSON: line 1: string or '}' expected near end of file" },
    { "{\"issuer\":\"https://a\",\"jwks_uri\":\"https://b/0123456789012345678901234567890123456789\"}",
      "https://a" CONFIGURATION, ERR_LIMIT, "the OpenID configuration's \"jwks_uri\" is longer than 32 bytes" },
};

START_TEST(reads_openid_configurations)
{
    struct buf uri = BUF_INIT(32);
    struct err e = ERR_INIT;
    int rc = openid_keys_uri(str_of(documents[_i].document), str_of(documents[_i].asked), &uri, &e);

    ck_assert_msg(rc == documents[_i].rc, "%s: %s", documents[_i].document, e.msg);
    if (rc)
        ck_assert_str_eq(e.msg, documents[_i].said);
    else
        ck_assert_str_eq(buf_cstr(&uri), documents[_i].said);
    buf_free(&uri);
}
END_TEST

/* ---- the store ---- */

/* What comes of a source: it is waited for as workers do, by its changes. */
static void await(struct jwks_store *s, struct jwks_source *k, struct jwt_keys *keys)
{
    while (keys->state == JWT_KEYS_STATE_AWAITED) {
        usleep(1000);
        if (jwks_store_changes(s) > 0)
            jwks_store_read(s, k, keys);
    }
}

static enum jwt_keys_state try(struct jwks_store *s, const char *uri, bool discovery)
{
    struct jwks_source *k = jwks_store_open(s, str_of(uri), discovery);
    struct jwt_rule rule = { .jwks_uri = str_of(uri) };
    enum jwt_keys_state state;
    struct jwt_keys keys;

    ck_assert_ptr_nonnull(k);
    jwt_keys_init(&keys, &rule, NULL);
    await(s, k, &keys);
    state = keys.state;
    jwks_store_renew(s, k);
    jwt_keys_fini(&keys);
    jwks_store_close(s, k);
    return state;
}

struct asker {
    struct jwks_store *store;
    const char *uri;
    enum jwt_keys_state state;
};

static void *ask(void *arg)
{
    struct asker *a = arg;

    a->state = try(a->store, a->uri, false);
    return NULL;
}

START_TEST(fetches_once_for_all)
{
    struct jwks_store *s = jwks_store_start(tls, ca, NULL);
    struct asker askers[4];
    pthread_t threads[COUNT(askers)];
    char uri[64];

    snprintf(uri, sizeof(uri), "https://localhost:%u/keys", https.port);
    for (size_t i = 0; i < COUNT(askers); i++) {
        askers[i] = (struct asker){ s, uri, JWT_KEYS_STATE_AWAITED };
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(askers); i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(askers[i].state, JWT_KEYS_STATE_THERE);
    }
    ck_assert_uint_eq(atomic_load(&https.asked), 1);
    jwks_store_stop(s);
}
END_TEST

START_TEST(discovers)
{
    static char document[256];
    struct page found[] = { { CONFIGURATION, document, false }, { "/keys", WITH(ED25519), false } };
    struct jwks_store *s = jwks_store_start(tls, ca, NULL);
    struct key_server issuer;
    char uri[128];

    key_server_start(&issuer, found, COUNT(found), &cert, &key);
    snprintf(document, sizeof(document), WITH("{\"issuer\":\"https://localhost:%u\",\"jwks_uri\":\"https://localhost:%u/keys\"}"),
             issuer.port, issuer.port);
    snprintf(uri, sizeof(uri), "https://localhost:%u" CONFIGURATION, issuer.port);
    ck_assert_int_eq(try(s, uri, true), JWT_KEYS_STATE_THERE);
    ck_assert_int_eq(try(s, uri, false), JWT_KEYS_STATE_UNREACHABLE); /* by itself it is no set of keys */
    jwks_store_stop(s);
    key_server_stop(&issuer);
}
END_TEST

START_TEST(says_who_is_away)
{
    struct jwks_store *s = jwks_store_start(tls, ca, NULL);
    char uri[64];

    snprintf(uri, sizeof(uri), "https://127.0.0.1:%u/missing", https.port);
    ck_assert_int_eq(try(s, uri, false), JWT_KEYS_STATE_UNREACHABLE);
    snprintf(uri, sizeof(uri), "http://127.0.0.1:%u/silent", http.port);
    ck_assert_ptr_nonnull(jwks_store_open(s, str_of(uri), false)); /* a fetch under way does not hold up the end */
    jwks_store_stop(s);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("jwks_fetch");
    TCase *t = tcase_create("fetches"), *d = tcase_create("documents"), *k = tcase_create("store");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, reads_answers, 0, COUNT(answers));
    tcase_add_test(t, names_are_checked);
    tcase_add_test(t, https_is_kept);
    tcase_add_test(t, stops);
    suite_add_tcase(s, t);
    tcase_add_loop_test(d, reads_openid_configurations, 0, COUNT(documents));
    suite_add_tcase(s, d);
    tcase_add_checked_fixture(k, setup, teardown);
    tcase_add_test(k, fetches_once_for_all);
    tcase_add_test(k, discovers);
    tcase_add_test(k, says_who_is_away);
    suite_add_tcase(s, k);
    return s;
}

UNIT_MAIN(suite)
