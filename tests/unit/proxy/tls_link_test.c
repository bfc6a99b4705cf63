/* tls_link_test.c: two links on a pair of sockets: handshakes, bytes in pieces, ends, sessions, too little memory. */
#include "proxy/tls_link.h"
#include "tests/unit/proxy/certificate.h"

#include "base/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LARGE = 300 * 1000 };

static struct tls_scratch scratch;
static struct tls_store *store;
static struct buf cert, key;
static int ends[2];
static struct tls_link *client, *server;
static struct tls_session session;

static void setup(void)
{
    cert = key = (struct buf)BUF_INIT(64 * 1024);
    certificate_make("DNS:a.example,DNS:*.b.example", &cert, &key);
    store = tls_store_new(NULL, NULL);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
}

static void hang_up(void)
{
    tls_link_free(client);
    tls_link_free(server);
    client = server = NULL;
}

static void teardown(void)
{
    hang_up();
    tls_session_free(&session);
    tls_store_free(store);
    close(ends[0]);
    close(ends[1]);
    buf_free(&cert);
    buf_free(&key);
}

static struct tls_context *serve(bool http)
{
    struct tls_pair pair = { { .text = buf_view(&cert) }, { .text = buf_view(&key) } };
    struct tls_server t = { .mode = TLS_SERVER_SIMPLE, .pairs = &pair, .npairs = 1, .min_version = 12 };

    t.max_version = 13;
    return tls_store_server(store, &t, http, NULL);
}

static struct tls_target *call(const char *name)
{
    struct str want = str_of(name);
    struct tls_client t = { .mode = TLS_CLIENT_SIMPLE, .sni = STR("a.example"), .names = &want };

    t.nnames = want.n ? 1 : 0;
    t.ca.text = buf_view(&cert);
    return tls_target_new(store, &t, STR_NULL);
}

/* Both sides until they are done or one fails. 1, or -1. */
static int shake(void)
{
    int c = 0, s = 0;

    for (int i = 0; i < 10 && c >= 0 && s >= 0 && !(c && s); i++) {
        if (c == 0)
            c = tls_link_shake(client, ends[0]);
        if (c >= 0 && s == 0)
            s = tls_link_shake(server, ends[1]);
    }
    return c == 1 && s == 1 ? 1 : -1;
}

static int connect_as(const char *name, enum tls_speech speech)
{
    struct tls_context *c = serve(true);
    struct tls_target *t = call(name);

    ck_assert(c && t);
    server = tls_link_accept(c, &scratch, STR_NULL);
    client = tls_link_connect(t, speech, &scratch, &session);
    ck_assert(server && client);
    tls_context_put(c);
    tls_target_put(t);
    return shake();
}

START_TEST(protocols_are_chosen)
{
    ck_assert_int_eq(connect_as("a.example", TLS_HTTP2), 1);
    ck_assert(str_eqz(tls_link_protocol(client), "h2"));
    ck_assert(str_eqz(tls_link_protocol(server), "h2"));
    ck_assert(str_eqz(server->peer->sni, "a.example"));
    ck_assert(client->peer->proved && !server->peer->proved);
    ck_assert_uint_eq(client->peer->principal.n, 0);
}
END_TEST

static const struct {
    const char *name;
    bool right;
} names[] = {
    { "a.example", true }, { "x.b.example", true }, { "", true }, { "b.example", false }, { "y.x.b.example", false },
    { "test", false }, { "spiffe://a/b", false },
};

START_TEST(names_are_checked)
{
    ck_assert_int_eq(connect_as(names[_i].name, TLS_HTTP1), names[_i].right ? 1 : -1);
    if (names[_i].right)
        return;
    ck_assert_int_eq(errno, EPROTO);
    ck_assert_ptr_nonnull(strstr(client->failure, "verify SAN list"));
}
END_TEST

/* Reads all that is there, in rooms of different sizes. */
static void drain(struct tls_link *l, int fd, struct buf *got)
{
    static char room[TLS_SEALED * 4];
    ssize_t n;

    while ((n = tls_link_read(l, fd, room, sizeof(room))) > 0)
        buf_put(got, room, (size_t)n);
}

/* Pieces of all sizes, through sockets that take a part. */
START_TEST(bytes_stay_in_order)
{
    char *bytes = mem_alloc(LARGE);
    struct buf got = BUF_INIT(LARGE);
    size_t at = 0, step = 1;

    ck_assert_int_eq(connect_as("a.example", TLS_HTTP1), 1);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    while (at < LARGE) {
        size_t n = LARGE - at < step ? LARGE - at : step;
        struct iovec v[3] = { { bytes + at, n / 3 }, { bytes + at + n / 3, 0 }, { bytes + at + n / 3, n - n / 3 } };
        ssize_t k = tls_link_writev(server, ends[1], v, 3);

        ck_assert_int_ge(k, 0);
        at += (size_t)k;
        step = step * 3 % 70001 + 1;
        if (tls_link_unsent(server))
            drain(client, ends[0], &got);
    }
    while (tls_link_unsent(server)) {
        drain(client, ends[0], &got);
        ck_assert_int_eq(tls_link_flush(server, ends[1]), 0);
    }
    drain(client, ends[0], &got);
    ck_assert_uint_eq(got.n, LARGE);
    ck_assert_int_eq(memcmp(got.p, bytes, LARGE), 0);
    mem_free(bytes);
    buf_free(&got);
}
END_TEST

START_TEST(one_half_ends_before_the_other)
{
    struct iovec v = { (void *)(uintptr_t)"last", 4 };
    char room[TLS_SEALED * 2];

    ck_assert_int_eq(connect_as("a.example", TLS_HTTP1), 1);
    ck_assert_int_eq(tls_link_writev(client, ends[0], &v, 1), 4);
    ck_assert_int_eq(tls_link_shut(client, ends[0]), 0);
    ck_assert_int_eq(tls_link_read(server, ends[1], room, sizeof(room)), 4);
    ck_assert(server->eof);
    ck_assert_int_eq(tls_link_read(server, ends[1], room, sizeof(room)), 0);
    v = (struct iovec){ (void *)(uintptr_t)"answer", 6 };
    ck_assert_int_eq(tls_link_writev(server, ends[1], &v, 1), 6);
    ck_assert_int_eq(tls_link_read(client, ends[0], room, sizeof(room)), 6);
}
END_TEST

START_TEST(what_is_tampered_with_is_refused)
{
    char room[TLS_SEALED * 2];

    ck_assert_int_eq(connect_as("a.example", TLS_HTTP1), 1);
    ck_assert_int_eq(write(ends[0], "\x17\3\3\0\x20 0123456789abcdef0123456789abcde", 37), 37);
    ck_assert_int_eq(tls_link_read(server, ends[1], room, sizeof(room)), -1);
    ck_assert_int_eq(errno, EPROTO);
    ck_assert(server->broken && strstr(server->failure, "TLS_error:|"));
}
END_TEST

/* Until the client's last word is on its way, and the server has not seen it. */
static void shake_but_for_the_last_word(void)
{
    struct tls_context *c = serve(true);
    struct tls_target *t = call("a.example");

    ck_assert(c && t);
    server = tls_link_accept(c, &scratch, STR_NULL);
    client = tls_link_connect(t, TLS_HTTP1, &scratch, &session);
    tls_context_put(c);
    tls_target_put(t);
    for (int i = 0; i < 10 && tls_link_shake(client, ends[0]) == 0; i++)
        ck_assert_int_eq(tls_link_shake(server, ends[1]), 0);
}

/* The scratch is every link's: an answer that stayed there would go out as another's. */
START_TEST(what_comes_behind_the_handshake_is_answered_at_once)
{
    char text[] = "word", answer[] = "answer";
    struct iovec word = { text, 4 };
    char room[TLS_SEALED * 2];

    shake_but_for_the_last_word();
    ck_assert_int_eq(SSL_key_update(client->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    ck_assert_int_eq(tls_link_writev(client, ends[0], &word, 1), 4);
    ck_assert_int_eq(tls_link_shake(server, ends[1]), 1);
    ck_assert_int_eq(tls_link_read_early(server, ends[1], room, sizeof(room)), 4);
    ck_assert_uint_eq(scratch.sealed_n, 0);
    word = (struct iovec){ answer, 6 };
    ck_assert_int_eq(tls_link_writev(server, ends[1], &word, 1), 6);
    ck_assert_int_eq(tls_link_read(client, ends[0], room, sizeof(room)), 6);
}
END_TEST

START_TEST(nonsense_behind_the_handshake_is_refused_at_once)
{
    static const char nonsense[] = "\27\3\3\0\40nonsense, as long as it has to be";
    char room[TLS_SEALED * 2];

    shake_but_for_the_last_word();
    ck_assert_int_gt(send(ends[0], nonsense, sizeof(nonsense) - 1, 0), 0);
    ck_assert_int_eq(tls_link_shake(server, ends[1]), 1);
    ck_assert_int_eq(tls_link_read_early(server, ends[1], room, sizeof(room)), -1);
    ck_assert(server->broken);
    ck_assert_uint_eq(scratch.sealed_n, 0);
}
END_TEST

START_TEST(sessions_are_resumed_with_the_same_context_only)
{
    struct tls_context *held = serve(true);
    struct tls_target *t = call("a.example");
    char room[TLS_SEALED * 2];

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(connect_as("a.example", TLS_HTTP1), 1);
        ck_assert_int_eq(SSL_session_reused(client->ssl), i > 0);
        ck_assert_int_eq(tls_link_read(client, ends[0], room, sizeof(room)), -1); /* a ticket, and nothing else */
        ck_assert_ptr_nonnull(session.session);
        hang_up();
    }
    tls_target_put(t); /* the client's context goes, and another one takes its place */
    ck_assert_int_eq(connect_as("a.example", TLS_HTTP1), 1);
    ck_assert(!SSL_session_reused(client->ssl));
    tls_context_put(held);
}
END_TEST

START_TEST(settings_are_contexts)
{
    struct tls_context *a = serve(true), *b = serve(true), *c = serve(false);
    struct tls_target *x = call("a.example"), *y = call("a.example"), *z = call("b.example");

    ck_assert_ptr_eq(a, b);
    ck_assert_ptr_ne(a, c);
    ck_assert_ptr_eq(x->context, z->context); /* names are the target's */
    ck_assert_uint_eq(x->hash, y->hash);
    ck_assert_uint_ne(x->hash, z->hash);
    tls_context_put(a);
    tls_context_put(b);
    tls_context_put(c);
    tls_target_put(x);
    tls_target_put(y);
    tls_target_put(z);
}
END_TEST

START_TEST(nothing_is_served_without_a_certificate)
{
    struct tls_server t = { .mode = TLS_SERVER_SIMPLE, .min_version = 12, .max_version = 13 };
    struct tls_context *c = tls_store_server(store, &t, true, NULL);

    ck_assert_ptr_nonnull(c);
    ck_assert_ptr_null(tls_link_accept(c, &scratch, STR_NULL));
    ck_assert_int_eq(errno, EPROTO);
    tls_context_put(c);
}
END_TEST

/* Whatever fails for lack of memory says so, and leaks nothing. */
START_TEST(short_of_memory)
{
    bool failed = true;

    for (long n = 1; failed; n++) {
        struct tls_context *c;
        struct tls_target *t;

        mem_fail_at(n);
        c = serve(true);
        t = call("a.example");
        server = c ? tls_link_accept(c, &scratch, STR_NULL) : NULL;
        client = t ? tls_link_connect(t, TLS_HTTP1, &scratch, &session) : NULL;
        if (server && client && shake() == 1)
            ck_assert(mem_has_failed() || (client->peer && server->peer));
        failed = mem_has_failed();
        mem_fail_at(0);
        tls_context_put(c);
        tls_target_put(t);
        hang_up();
        close(ends[0]);
        close(ends[1]);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    }
}
END_TEST

static Suite *tls_link_suite(void)
{
    Suite *s = suite_create("tls_link");
    TCase *t = tcase_create("tls_link");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, protocols_are_chosen);
    tcase_add_loop_test(t, names_are_checked, 0, COUNT(names));
    tcase_add_test(t, bytes_stay_in_order);
    tcase_add_test(t, one_half_ends_before_the_other);
    tcase_add_test(t, what_is_tampered_with_is_refused);
    tcase_add_test(t, what_comes_behind_the_handshake_is_answered_at_once);
    tcase_add_test(t, nonsense_behind_the_handshake_is_refused_at_once);
    tcase_add_test(t, sessions_are_resumed_with_the_same_context_only);
    tcase_add_test(t, settings_are_contexts);
    tcase_add_test(t, nothing_is_served_without_a_certificate);
    tcase_add_test(t, short_of_memory);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(tls_link_suite)
