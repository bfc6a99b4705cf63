/* tls_hello_test.c: hellos, whole and in pieces, and what is refused. */
#include "proxy/tls_hello.h"
#include "tests/unit/unit.h"

#include "base/buf.h"

static struct buf hello;

static void setup(void)
{
    hello = (struct buf)BUF_INIT(64 * 1024);
}

static void teardown(void)
{
    buf_free(&hello);
}

static void put_number(struct buf *b, size_t v, size_t size)
{
    while (size--)
        buf_putc(b, (char)(v >> 8 * size));
}

static void put_vector(struct buf *b, size_t size, struct str s)
{
    put_number(b, s.n, size);
    buf_str(b, s);
}

/* A hello with these extensions, in records of at most `piece` bytes. */
static void make(struct str extensions, size_t piece)
{
    struct buf body = BUF_INIT(32 * 1024), message = BUF_INIT(32 * 1024);

    put_number(&body, 0x0303, 2);
    for (int i = 0; i < 32; i++)
        buf_putc(&body, (char)i);
    put_vector(&body, 1, STR(""));
    put_vector(&body, 2, STR("\x13\x01"));
    put_vector(&body, 1, STR("\0"));
    if (extensions.p)
        put_vector(&body, 2, extensions);
    put_number(&message, 1, 1);
    put_vector(&message, 3, buf_view(&body));
    for (size_t at = 0; at < message.n; at += piece) {
        struct str rest = str_from(buf_view(&message), at);

        put_number(&hello, 0x160301, 3);
        put_vector(&hello, 2, (struct str){ rest.p, rest.n < piece ? rest.n : piece });
    }
    buf_free(&body);
    buf_free(&message);
}

#define NAME_A "\0\0\0\16\0\14\0\0\11A.Example"
#define NO_NAME "server_name is not one host name"
#define MESH "\0\20\0\16\0\14\5istio\5other"

static const struct {
    struct str extensions;
    size_t piece;
    enum tls_hello_result result;
    const char *name;
    bool mesh;
    const char *why;
} cases[] = {
    { STR_NULL, 9999, TLS_HELLO_DONE, "", false, NULL },
    { STR_INIT(""), 9999, TLS_HELLO_DONE, "", false, NULL },
    { STR_INIT(NAME_A), 9999, TLS_HELLO_DONE, "a.example", false, NULL },
    { STR_INIT(NAME_A MESH), 9999, TLS_HELLO_DONE, "a.example", true, NULL },
    { STR_INIT("\0\20\0\15\0\13\12istio-ingr" NAME_A), 9999, TLS_HELLO_DONE, "a.example", true, NULL },
    { STR_INIT("\0\20\0\12\0\10\7istioed"), 9999, TLS_HELLO_DONE, "", false, NULL },
    { STR_INIT("\x7a\x7a\0\1x" NAME_A), 9999, TLS_HELLO_DONE, "a.example", false, NULL },
    { STR_INIT(NAME_A), 10, TLS_HELLO_DONE, "a.example", false, NULL },
    { STR_INIT(NAME_A), 4, TLS_HELLO_BAD, NULL, false, "it is in too many pieces" },
    { STR_INIT(NAME_A NAME_A), 9999, TLS_HELLO_BAD, NULL, false, "an extension comes twice" },
    { STR_INIT(MESH MESH), 9999, TLS_HELLO_BAD, NULL, false, "an extension comes twice" },
    { STR_INIT("\0\0\0\16\0\14\0\0\11A Example"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\0\0\16\0\14\0\0\11A\0Example"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\0\0\16\0\14\1\0\11A.Example"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\0\0\16\0\13\0\0\11A.Example"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\0\0\5\0\3\0\0\0"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\0\0\2\0\0"), 9999, TLS_HELLO_BAD, NULL, false, NO_NAME },
    { STR_INIT("\0\20\0\3\0\1\0"), 9999, TLS_HELLO_BAD, NULL, false, "the list of application protocols is malformed" },
    { STR_INIT("\0\20\0\2\0\0"), 9999, TLS_HELLO_BAD, NULL, false, "the list of application protocols is malformed" },
    { STR_INIT("\0\0\0\20\0\14\0\0\11A.Example"), 9999, TLS_HELLO_BAD, NULL, false, "an extension is cut short" },
    { STR_INIT("\0"), 9999, TLS_HELLO_BAD, NULL, false, "an extension is cut short" },
};

START_TEST(reads)
{
    struct tls_hello h;
    enum tls_hello_result r;

    make(cases[_i].extensions, cases[_i].piece);
    r = tls_hello_read(buf_view(&hello), &h);
    ck_assert_msg(r == cases[_i].result, "%d: %s", r, h.why ? h.why : "-");
    if (r == TLS_HELLO_BAD) {
        ck_assert_str_eq(h.why, cases[_i].why);
    } else {
        ck_assert(str_eqz(tls_hello_name(&h), cases[_i].name));
        ck_assert_int_eq(h.mesh, cases[_i].mesh);
    }
}
END_TEST

START_TEST(waits_for_all_of_it)
{
    struct tls_hello h;

    make((struct str)STR_INIT(NAME_A MESH), _i ? 20 : 9999);
    for (size_t n = 0; n < hello.n; n++)
        ck_assert_int_eq(tls_hello_read((struct str){ hello.p, n }, &h), TLS_HELLO_MORE);
    buf_puts(&hello, "early data");
    ck_assert_int_eq(tls_hello_read(buf_view(&hello), &h), TLS_HELLO_DONE);
}
END_TEST

/* Each seen at the earliest byte: nobody has to wait for the rest of what is none. */
static const struct {
    struct str bytes;
    const char *why;
} bad[] = {
    { STR_INIT("GET / HTTP/1.1\r\n"), "it does not begin with a record of TLS" },
    { STR_INIT("\x16\x02\0"), "its record is of no version of TLS" },
    { STR_INIT("\x16\3\1\0\0"), "a record is empty" },
    { STR_INIT("\x16\3\1\x40\1"), "a record is too long" },
    { STR_INIT("\x16\3\1\0\1\2"), "its first message is no hello" },
    { STR_INIT("\x16\3\1\0\4\1\1\0\0"), "it is too long" },
    { STR_INIT("\x16\3\1\0\4\1\0\0\0"), "it is cut short" },
    { STR_INIT("\x16\3\1\0\5\1\0\0\0\1"), "its message is followed by another" },
    { STR_INIT("\x16\3\1\0\4\1\0\0\1\x17"), "it does not begin with a record of TLS" },
};

START_TEST(refuses)
{
    struct tls_hello h;

    ck_assert_int_eq(tls_hello_read(bad[_i].bytes, &h), TLS_HELLO_BAD);
    ck_assert_str_eq(h.why, bad[_i].why);
}
END_TEST

static Suite *tls_hello_suite(void)
{
    Suite *s = suite_create("tls_hello");
    TCase *t = tcase_create("tls_hello");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, reads, 0, COUNT(cases));
    tcase_add_loop_test(t, waits_for_all_of_it, 0, 2);
    tcase_add_loop_test(t, refuses, 0, COUNT(bad));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(tls_hello_suite)
