/* http1_test.c: heads and bodies, good and bad; each case whole and cut at every byte. */
#include "base/buf.h"
#include "proxy/http1_body.h"
#include "proxy/trailers.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a.example\r\n"

static const struct {
    const char *in;
    unsigned refused; /* 0: good */
    const char *method, *path, *authority;
    enum http_framing framing;
    uint64_t length;
    bool keep_alive;
} requests[] = {
    { GET HOST "\r\n", 0, "GET", "/", "a.example", HTTP_NO_BODY, 0, true },
    { "\r\n\r\n" GET HOST "\r\n", 0, "GET", "/", "a.example", HTTP_NO_BODY, 0, true },
    { "GET /x?y=/z HTTP/1.1\r\nhOsT:\ta.example:80 \t\r\n\r\n", 0, "GET", "/x?y=/z", "a.example:80", HTTP_NO_BODY, 0, true },
    { "GET http://b.example/p?q HTTP/1.1\r\n" HOST "\r\n", 0, "GET", "/p?q", "b.example", HTTP_NO_BODY, 0, true },
    { "GET http://b.example HTTP/1.1\r\n" HOST "\r\n", 0, "GET", "", "b.example", HTTP_NO_BODY, 0, true },
    { "GET http://b.example?q HTTP/1.1\r\n" HOST "\r\n", 0, "GET", "?q", "b.example", HTTP_NO_BODY, 0, true },
    { "GET / HTTP/1.2\r\n" HOST "\r\n", 0, "GET", "/", "a.example", HTTP_NO_BODY, 0, true },
    { GET "Host: [::ffff:192.0.2.1]:65535\r\n\r\n", 0, "GET", "/", "[::ffff:192.0.2.1]:65535", HTTP_NO_BODY, 0, true },
    { GET "Host: a%2fb:\r\n\r\n", 0, "GET", "/", "a%2fb:", HTTP_NO_BODY, 0, true },
    { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, "OPTIONS", "*", "a.example", HTTP_NO_BODY, 0, true },
    { "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0, "GET", "/", "[::1]:8080", HTTP_NO_BODY, 0, true },
    { "POST / HTTP/1.1\r\n" HOST "Content-Length: 12\r\n\r\n", 0, "POST", "/", "a.example", HTTP_LENGTH, 12, true },
    { "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: ChUnKeD\r\n\r\n", 0, "POST", "/", "a.example", HTTP_STREAMED, 0, true },
    { GET HOST "Connection: x-a, Close\r\n\r\n", 0, "GET", "/", "a.example", HTTP_NO_BODY, 0, false },
    { GET HOST "X-Empty:\r\nX-High: \xc3\xa9\r\n\r\n", 0, "GET", "/", "a.example", HTTP_NO_BODY, 0, true },
    { "GET / HTTP/1.0\r\n\r\n", 0, "GET", "/", "", HTTP_NO_BODY, 0, false },
    { "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, "GET", "/", "", HTTP_NO_BODY, 0, true },
    /* the request line */
    { "GET / HTTP/1.1 x\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET /\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET  / HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { " GET / HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "G(T / HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET / http/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET / HTTP/1.10\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET / HTTP/2.0\r\n" HOST "\r\n", 505, NULL, NULL, NULL, 0, 0, 0 },
    { "GET a HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET /# HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET * HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "GET http://u@b/ HTTP/1.1\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", 501, NULL, NULL, NULL, 0, 0, 0 },
    { "\r\n\r\n\r\n" GET HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    /* lines */
    { "GET / HTTP/1.1\n" HOST "\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a\nX: y\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X: a\rb\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X: a\r\n b\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET " X: a\r\n" HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X : a\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST ": a\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X a\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X: \x01\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "X\xc3: a\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    /* Host */
    { GET "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST HOST "\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host:\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a b\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a/b\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a:b\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: u@a\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: [::1\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: [:::]\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a,b\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a%2\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET "Host: a:65536\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    /* framing */
    { GET HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content_Length: 3\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "TRANSFER_ENCODING: chunked\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length: 3, 3\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length: +3\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length:\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length: 0x3\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Content-Length: 9999999999999999999\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Transfer-Encoding: chunked,\r\n\r\n", 501, NULL, NULL, NULL, 0, 0, 0 },
    { GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
    { "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400, NULL, NULL, NULL, 0, 0, 0 },
};

static enum http1_result parse_in_pieces(struct str in, size_t piece, struct http_head *h)
{
    struct http1_scan s = { 0 };
    enum http1_result r = HTTP1_MORE;

    for (size_t n = piece; r == HTTP1_MORE; n += piece) {
        r = http1_request(&s, (struct str){ in.p, n < in.n ? n : in.n }, h);
        if (n >= in.n)
            break;
    }
    return r;
}

static void expect_text(const struct http_head *h, struct http_span s, const char *want)
{
    ck_assert_msg(str_eqz(http_text(h, s), want), "got \"%.*s\", want \"%s\"", STR_ARG(http_text(h, s)), want);
}

START_TEST(parses_requests)
{
    struct str in = str_of(requests[_i].in);

    for (size_t piece = in.n; piece >= 1; piece--) {
        struct http_head h;
        enum http1_result r = parse_in_pieces(in, piece, &h);

        if (requests[_i].refused) {
            ck_assert_msg(r == HTTP1_REFUSED && h.refused == requests[_i].refused, "%s: piece %zu: result %d, status %u",
                          in.p, piece, (int)r, h.refused);
            continue;
        }
        ck_assert_msg(r == HTTP1_DONE, "%s: piece %zu: %s", in.p, piece, r == HTTP1_REFUSED ? h.why : "incomplete");
        ck_assert_uint_eq(h.size, in.n);
        expect_text(&h, h.method, requests[_i].method);
        expect_text(&h, h.path, requests[_i].path);
        expect_text(&h, h.authority, requests[_i].authority);
        ck_assert_int_eq(h.framing, requests[_i].framing);
        ck_assert_uint_eq(h.length, requests[_i].length);
        ck_assert_int_eq(h.keep_alive, requests[_i].keep_alive);
    }
}
END_TEST

START_TEST(refuses_nul)
{
    static const char in[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    struct http1_scan s = { 0 };
    struct http_head h;

    ck_assert_int_eq(http1_request(&s, (struct str){ in, sizeof(in) - 1 }, &h), HTTP1_REFUSED);
    ck_assert_uint_eq(h.refused, 400);
}
END_TEST

START_TEST(refuses_garbage_at_once)
{
    static const char *const garbage[] = { "\x16\x03\x01", "GET/", "{", "\r\r", "GET /\r\n", "EHLO a\r\n", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ" };

    for (size_t i = 0; i < COUNT(garbage); i++) {
        struct http1_scan s = { 0 };
        struct http_head h;

        ck_assert_msg(http1_request(&s, str_of(garbage[i]), &h) == HTTP1_REFUSED, "%s: should be refused", garbage[i]);
    }
}
END_TEST

/* Heads of many fields, long fields, long targets. */
START_TEST(bounds_heads)
{
    static const struct {
        size_t fields, value;
        unsigned refused;
    } cases[] = { { 99, 10, 0 }, { 100, 10, 431 }, { 2, 20000, 0 }, { 2, 40000, 431 }, { 1, 70000, 431 } };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = BUF_INIT(1 << 20);
        struct http1_scan s = { 0 };
        struct http_head h;
        enum http1_result r;

        buf_puts(&b, GET HOST);
        for (size_t k = 0; k < cases[i].fields; k++) {
            buf_puts(&b, "X: ");
            for (size_t n = 0; n < cases[i].value; n++)
                buf_putc(&b, 'a');
            buf_puts(&b, "\r\n");
        }
        buf_puts(&b, "\r\n");
        r = http1_request(&s, buf_view(&b), &h);
        ck_assert_int_eq(r, cases[i].refused ? HTTP1_REFUSED : HTTP1_DONE);
        ck_assert_uint_eq(h.refused, cases[i].refused);
        buf_free(&b);
    }
}
END_TEST

static const struct {
    const char *in;
    bool to_head;
    unsigned status; /* 0: refused */
    enum http_framing framing;
    uint64_t length;
} responses[] = {
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, 200, HTTP_LENGTH, 3 },
    { "HTTP/1.1 200\r\n\r\n", false, 200, HTTP_UNTIL_CLOSE, 0 },
    { "HTTP/1.0 404 Not Found\r\n\r\n", false, 404, HTTP_UNTIL_CLOSE, 0 },
    { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 200, HTTP_STREAMED, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 200, HTTP_NO_BODY, 3 },
    { "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", false, 204, HTTP_NO_BODY, 3 },
    { "HTTP/1.1 304 Not Modified\r\n\r\n", false, 304, HTTP_NO_BODY, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0, 0, 0 },
    { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false, 0, 0, 0 },
    { "HTTP/1.1 200 OK\nContent-Length: 3\n\n", false, 0, 0, 0 },
    { "HTTP/1.1 103 Early Hints\r\n\r\n", false, 103, HTTP_NO_BODY, 0 },
    { "HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n", false, 0, 0, 0 },
    { "HTTP/1.1 99 OK\r\n\r\n", false, 0, 0, 0 },
    { "HTTP/1.1 999 OK\r\n\r\n", false, 0, 0, 0 },
    { "HTTP/2.0 200 OK\r\n\r\n", false, 0, 0, 0 },
    { "SSH-2.0-x\r\n", false, 0, 0, 0 },
};

START_TEST(parses_responses)
{
    struct http1_scan s = { 0 };
    struct http_head h;
    enum http1_result r = http1_response(&s, str_of(responses[_i].in), responses[_i].to_head, &h);

    ck_assert_msg(r == (responses[_i].status ? HTTP1_DONE : HTTP1_REFUSED), "%s: result %d", responses[_i].in, (int)r);
    if (!responses[_i].status) {
        ck_assert_uint_eq(h.refused, 502);
        return;
    }
    ck_assert_uint_eq(h.status, responses[_i].status);
    ck_assert_int_eq(h.framing, responses[_i].framing);
    ck_assert_uint_eq(h.length, responses[_i].length);
}
END_TEST

static const struct {
    const char *in;
    enum http_framing framing;
    uint64_t length;
    enum http1_body_result result;
    const char *data, *rest;
} bodies[] = {
    { "hellonext", HTTP_LENGTH, 5, HTTP1_BODY_END, "hello", "next" },
    { "hel", HTTP_LENGTH, 5, HTTP1_BODY_MORE, "hel", "" },
    { "next", HTTP_NO_BODY, 0, HTTP1_BODY_END, "", "next" },
    { "all of it", HTTP_UNTIL_CLOSE, 0, HTTP1_BODY_MORE, "all of it", "" },
    { "5\r\nhello\r\n0\r\n\r\nnext", HTTP_STREAMED, 0, HTTP1_BODY_END, "hello", "next" },
    { "5\r\nhello\r\n0000A;a=\"b c\"\r\n0123456789\r\n0\r\nX: y\r\n\r\n", HTTP_STREAMED, 0, HTTP1_BODY_END, "hello0123456789", "" },
    { "5 \t;a\r\nhello\r\n0\r\n\r\n", HTTP_STREAMED, 0, HTTP1_BODY_END, "hello", "" },
    { "5\r\nhello\r\n", HTTP_STREAMED, 0, HTTP1_BODY_MORE, "hello", "" },
    { "5\nhello\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "5\r\nhello0\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "hello", NULL },
    { "5\r\nhello\n0\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "hello", NULL },
    { "5;a\nhello\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "5;a\rb\r\nhello\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "5 x\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "5 \r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "0x5\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "-5\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { " 5\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "FFFFFFFFFFFFFFFFF\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "8000000000000000\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "0\r\nBad Name: x\r\n\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "0\r\nX: \x01\r\n\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
    { "0\r\n folded\r\n\r\n", HTTP_STREAMED, 0, HTTP1_BODY_BAD, "", NULL },
};

static enum http1_body_result run_body(struct http1_body *b, struct str *in, struct buf *data)
{
    enum http1_body_result r;
    struct str piece;

    while ((r = http1_body_next(b, in, &piece)) == HTTP1_BODY_DATA)
        buf_str(data, piece);
    return r;
}

START_TEST(frames_bodies)
{
    struct str in = str_of(bodies[_i].in);

    for (size_t piece = in.n; piece >= 1; piece--) {
        struct http1_body b = { .left = 0 };
        struct buf data = BUF_INIT(1 << 16);
        enum http1_body_result r = HTTP1_BODY_MORE;
        size_t at = 0, left = 0;

        http1_body_init(&b, bodies[_i].framing, bodies[_i].length);
        while (r == HTTP1_BODY_MORE && at < in.n) {
            size_t n = piece < in.n - at ? piece : in.n - at;
            struct str cut = { in.p + at, n };

            r = run_body(&b, &cut, &data);
            left = cut.n;
            at += n;
        }
        ck_assert_msg(r == bodies[_i].result, "%s: piece %zu: result %d", in.p, piece, (int)r);
        ck_assert_msg(str_eqz(buf_view(&data), bodies[_i].data), "%s: data \"%.*s\"", in.p, STR_ARG(buf_view(&data)));
        if (bodies[_i].rest)
            ck_assert_str_eq(in.p + at - left, bodies[_i].rest);
        buf_free(&data);
    }
}
END_TEST

START_TEST(bounds_extensions)
{
    struct http1_body b = { .left = 0 };
    struct str data, ext = STR("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n");
    enum http1_body_result r = HTTP1_BODY_MORE;

    http1_body_init(&b, HTTP_STREAMED, 0);
    for (int i = 0; r != HTTP1_BODY_BAD && i < 1000; i++) {
        struct str in = ext;

        while ((r = http1_body_next(&b, &in, &data)) == HTTP1_BODY_DATA)
            continue;
    }
    ck_assert_int_eq(r, HTTP1_BODY_BAD);
}
END_TEST

static const struct {
    const char *in, *want; /* as they go on; NULL: refused */
} trailers[] = {
    { "0\r\n\r\n", "" },
    { "0\r\nX-Sum: abc\r\n\r\n", "X-Sum: abc\r\n" },
    { "1;q\r\nx\r\n0\r\nX-A: \t1 2 \t\r\nx-b:\r\nX-A:3\r\n\r\n", "X-A: 1 2\r\nx-b: \r\nX-A: 3\r\n" },
    { "0\r\nX-Time: 12:30:00\r\n\r\n", "X-Time: 12:30:00\r\n" },
    { "0\r\nGrpc-Status: 0\r\nETag: \"a\"\r\n\r\n", "Grpc-Status: 0\r\nETag: \"a\"\r\n" },
    /* framing, routing, hop-by-hop, who it is, how to read it, what proxies say */
    { "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nHost: b\r\nX-A: 1\r\n\r\n", "X-A: 1\r\n" },
    { "0\r\nConnection: x-a\r\nKeep-Alive: 1\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n\r\n", "" },
    { "0\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nset-cookie: a=b\r\nProxy-Authorization: x\r\n\r\n", "" },
    { "0\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\nContent-Range: bytes 0-1/2\r\nCache-Control: no-store\r\n\r\n", "" },
    { "0\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Client-Cert: x\r\nX-Envoy-Anything: 1\r\nTraceparent: x\r\n\r\n", "" },
    { "0\r\nX-A: 1\nX-B: 2\r\n\r\n", NULL },
    { "0\r\nX-A : 1\r\n\r\n", NULL },
    { "0\r\n: 1\r\n\r\n", NULL },
};

START_TEST(keeps_trailers)
{
    struct str all = str_of(trailers[_i].in);

    for (size_t cut = 0; cut <= all.n; cut++) {
        struct str first = { all.p, cut }, rest = str_from(all, cut);
        struct http1_body b = { .left = 0 };
        struct buf data = BUF_INIT(1 << 16), got = BUF_INIT(1 << 16);
        enum http1_body_result r;
        struct fields f;

        http1_body_init(&b, HTTP_STREAMED, 0);
        b.keeps_trailers = true;
        r = run_body(&b, &first, &data);
        if (r == HTTP1_BODY_MORE)
            r = run_body(&b, &rest, &data);
        ck_assert_msg(r == (trailers[_i].want ? HTTP1_BODY_END : HTTP1_BODY_BAD), "%s: cut %zu: %d", all.p, cut, (int)r);
        if (trailers[_i].want) {
            trailers_from_lines(&f, http1_body_trailers(&b));
            fields_write(&got, &f);
            ck_assert_msg(str_eqz(buf_view(&got), trailers[_i].want), "%s: %.*s", all.p, STR_ARG(buf_view(&got)));
        }
        http1_body_free(&b);
        buf_free(&data);
        buf_free(&got);
    }
}
END_TEST

START_TEST(bounds_trailers)
{
    struct http1_body b = { .left = 0 };
    struct str in = STR("0\r\n"), data;

    http1_body_init(&b, HTTP_STREAMED, 0);
    b.keeps_trailers = true;
    ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_MORE);
    for (int i = 0; i < HTTP_MOST_FIELDS; i++) {
        in = STR("a: b\r\n");
        ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_MORE);
    }
    in = STR("a: b\r\n");
    ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_BAD);
    http1_body_free(&b);
    http1_body_init(&b, HTTP_STREAMED, 0);
    b.keeps_trailers = true;
    in = STR("0\r\na: ");
    ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_MORE);
    for (int i = 3; i < HTTP1_MOST_OVERHEAD; i++) { /* "a: " is there */
        in = STR("x");
        ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_MORE);
    }
    in = STR("x");
    ck_assert_int_eq(http1_body_next(&b, &in, &data), HTTP1_BODY_BAD);
    http1_body_free(&b);
}
END_TEST

START_TEST(knows_fields)
{
    ck_assert_int_eq(http_id_of(STR("Host")), HTTP_HOST);
    ck_assert_int_eq(http_id_of(STR("X-ENVOY-upstream-service-TIME")), HTTP_X_ENVOY_UPSTREAM_SERVICE_TIME);
    ck_assert_int_eq(http_id_of(STR("access-control-request-method")), HTTP_ACCESS_CONTROL_REQUEST_METHOD);
    ck_assert_int_eq(http_id_of(STR("hosts")), HTTP_OTHER);
    ck_assert_int_eq(http_id_of(STR("")), HTTP_OTHER);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http1");
    TCase *t = tcase_create("http1");

    tcase_add_loop_test(t, parses_requests, 0, COUNT(requests));
    tcase_add_test(t, refuses_nul);
    tcase_add_test(t, refuses_garbage_at_once);
    tcase_add_test(t, bounds_heads);
    tcase_add_loop_test(t, parses_responses, 0, COUNT(responses));
    tcase_add_loop_test(t, frames_bodies, 0, COUNT(bodies));
    tcase_add_test(t, bounds_extensions);
    tcase_add_loop_test(t, keeps_trailers, 0, COUNT(trailers));
    tcase_add_test(t, bounds_trailers);
    tcase_add_test(t, knows_fields);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
