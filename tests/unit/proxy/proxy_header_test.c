/* proxy_header_test.c: PROXY protocol's headers, cut anywhere, and written to be read again. */
#include "proxy/proxy_header.h"

#include "proxy/conn.h"
#include "tests/unit/unit.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\300\0\2\1\300\0\2\11\xdc\4\1\273" /* 192.0.2.1 192.0.2.9 56324 443 */

#define IN(text) { text, sizeof(text) - 1 }

static const struct {
    struct str in;
    enum proxy_header_result result;
    const char *from, *to, *rest; /* NULL: not known */
} cases[] = {
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\nGET /"), PROXY_HEADER_DONE, "192.0.2.1:56324", "192.0.2.9:443", "GET /" },
    { IN("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), PROXY_HEADER_DONE, "[2001:db8::1]:1", "[::1]:65535", "" },
    { IN("PROXY UNKNOWN\r\nx"), PROXY_HEADER_DONE, NULL, NULL, "x" },
    { IN("PROXY UNKNOWN what it likes\r\n"), PROXY_HEADER_DONE, NULL, NULL, "" },
    { IN(V2 "\x21\x11\0\14" TCP4 "GET /"), PROXY_HEADER_DONE, "192.0.2.1:56324", "192.0.2.9:443", "GET /" },
    { IN(V2 "\x21\x11\0\21" TCP4 "\4\0\2\0\0rest"), PROXY_HEADER_DONE, "192.0.2.1:56324", "192.0.2.9:443", "rest" },
    { IN(V2 "\x21\x21\0\44" "\x20\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" "\0\1\377\377"),
      PROXY_HEADER_DONE, "[2001:db8::1]:1", "[::1]:65535", "" },
    { IN(V2 "\x20\0\0\0rest"), PROXY_HEADER_DONE, NULL, NULL, "rest" },
    { IN(V2 "\x20\x11\0\14" TCP4 "rest"), PROXY_HEADER_DONE, NULL, NULL, "rest" },
    { IN(V2 "\x21\0\0\2xxrest"), PROXY_HEADER_DONE, NULL, NULL, "rest" },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY  TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324  443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324 443 \r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324 0443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 56324 65536\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1 192.0.2.9 -1 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 ::1 192.0.2.9 1 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY TCP4 192.0.2.1\0 192.0.2.9 1 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY UDP4 192.0.2.1 192.0.2.9 1 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("PROXY \r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("proxy TCP4 192.0.2.1 192.0.2.9 56324 443\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("GET / HTTP/1.1\r\n"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN("\x16\x03\x01"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x11\x11\0\14" TCP4), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x22\x11\0\14" TCP4), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x21\x12\0\14" TCP4), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x21\x31\0\14" TCP4), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x21\x11\0\13" TCP4), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x21\x11\0\20" TCP4 "\4\0\2\0"), PROXY_HEADER_BAD, NULL, NULL, NULL },
    { IN(V2 "\x21\x11\x10\0"), PROXY_HEADER_BAD, NULL, NULL, NULL },
};

static void expect_addr(const struct sockaddr_storage *got, const char *want)
{
    char text[CONN_ADDR_TEXT];

    conn_addr_text(text, got);
    ck_assert_str_eq(text, want);
}

START_TEST(reads)
{
    struct str in = cases[_i].in;
    struct proxy_header h;
    enum proxy_header_result r = PROXY_HEADER_MORE;
    size_t n = 0;

    while (r == PROXY_HEADER_MORE && n <= in.n) /* as it comes byte by byte */
        r = proxy_header_read((struct str){ in.p, n++ }, &h);
    ck_assert_msg(r == cases[_i].result, "case %d: %d", _i, (int)r);
    if (r == PROXY_HEADER_BAD) {
        ck_assert_ptr_nonnull(h.why);
        ck_assert_int_eq(proxy_header_read(in, &h), PROXY_HEADER_BAD);
        return;
    }
    ck_assert_int_eq(proxy_header_read(in, &h), PROXY_HEADER_DONE);
    ck_assert_uint_eq(h.size, n - 1);
    ck_assert(str_eqz(str_from(in, h.size), cases[_i].rest));
    ck_assert(h.known == (cases[_i].from != NULL));
    if (h.known) {
        expect_addr(&h.from, cases[_i].from);
        expect_addr(&h.to, cases[_i].to);
    }
}
END_TEST

START_TEST(bounds_lines)
{
    char text[200];
    struct proxy_header h;

    memset(text, 'x', sizeof(text));
    memcpy(text, "PROXY UNKNOWN ", 14);
    ck_assert_int_eq(proxy_header_read((struct str){ text, 106 }, &h), PROXY_HEADER_MORE);
    ck_assert_int_eq(proxy_header_read((struct str){ text, 107 }, &h), PROXY_HEADER_BAD);
}
END_TEST

static const struct {
    const char *from, *to;
    bool known;
} ends[] = {
    { "192.0.2.1:56324", "192.0.2.9:443", true },
    { "[2001:db8::1]:1", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", true },
    { "192.0.2.1:56324", "[::1]:443", false },
    { "192.0.2.1", "192.0.2.9:443", false },
    { "", "", false },
};

START_TEST(writes_what_it_reads)
{
    for (unsigned version = 1; version <= 2; version++) {
        char out[PROXY_HEADER_MOST_OUT];
        struct str text = proxy_header_write(out, version, str_of(ends[_i].from), str_of(ends[_i].to));
        struct proxy_header h;

        ck_assert_int_eq(proxy_header_read(text, &h), PROXY_HEADER_DONE);
        ck_assert_uint_eq(h.size, text.n);
        ck_assert(h.known == ends[_i].known);
        ck_assert((text.p[0] == 'P') == (version == 1));
        if (h.known) {
            expect_addr(&h.from, ends[_i].from);
            expect_addr(&h.to, ends[_i].to);
        }
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("proxy_header");
    TCase *t = tcase_create("proxy_header");

    tcase_add_loop_test(t, reads, 0, COUNT(cases));
    tcase_add_test(t, bounds_lines);
    tcase_add_loop_test(t, writes_what_it_reads, 0, COUNT(ends));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
