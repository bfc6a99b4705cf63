/* Frames that keep to RFC 6455, and those that do not. */
#include "api/websocket.h"
#include "tests/unit/unit.h"

enum { MOST = 4096 };

#define CASE(bytes, masked, want) { bytes, sizeof(bytes) - 1, masked, want }

static const struct {
    const char *bytes;
    size_t n;
    bool masked;
    const char *want; /* "op:payload " of each message, then what is wrong */
} cases[] = {
    CASE("", false, ""),
    CASE("\x81\x02hi", false, "1:hi "),
    CASE("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", true, "1:Hello "), /* section 5.7 */
    CASE("\x01\x03Hel\x80\x02lo", false, "1:Hello "),
    CASE("\x01\x03Hel\x89\x01p\x80\x02lo", false, "9:p 1:Hello "), /* a ping between two fragments */
    CASE("\x81\x00\x82\x01x", false, "1: 2:x "),
    CASE("\x88\x02\x03\xe8", false, "8:\x03\xe8 "),
    CASE("\x81\x7e\x00\x03" "abc", false, "1:abc "),
    CASE("\x81", false, ""),
    CASE("\x81\x05hi", false, ""),
    CASE("\x81\x02hi", true, "1002 websocket: a client's frame must be masked"),
    CASE("\x81\x80\x01\x02\x03\x04", false, "1002 websocket: a server's frame must not be masked"),
    CASE("\xc1\x00", false, "1002 websocket: a reserved bit is set, and no extension was agreed on"),
    CASE("\x83\x00", false, "1002 websocket: an opcode that is not defined"),
    CASE("\x09\x00", false, "1002 websocket: a control frame should be whole, of 125 bytes at most"),
    CASE("\x89\x7e\x00\x7e", false, "1002 websocket: a control frame should be whole, of 125 bytes at most"),
    CASE("\x80\x00", false, "1002 websocket: a continuation of nothing"),
    CASE("\x01\x00\x81\x00", false, "1002 websocket: a message begins inside of another"),
    CASE("\x88\x01x", false, "1002 websocket: a close frame's code has two bytes"),
    CASE("\x81\x01\xff", false, "1007 websocket: a text message should be UTF-8"),
    CASE("\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00", false, "1009 websocket: a message is too large"),
};

/* Messages that are whole by now. False: something is wrong. */
static bool read_all(struct websocket_reader *r, struct buf *out)
{
    struct websocket_message m;
    struct err e = ERR_INIT;
    unsigned code = 0;
    int rc;

    while ((rc = websocket_next(r, &m, &code, &e)) > 0) {
        buf_printf(out, "%d:", m.op);
        buf_str(out, m.payload);
        buf_putc(out, ' ');
    }
    if (rc < 0)
        buf_printf(out, "%u %s", code, e.msg);
    return rc == 0;
}

/* In pieces of any size it comes to the same. */
START_TEST(reads_frames)
{
    for (size_t piece = 1; piece <= 16; piece *= 4) {
        struct websocket_reader r;
        struct buf got = BUF_INIT(MOST);
        bool well = true;

        websocket_reader_init(&r, cases[_i].masked, MOST);
        for (size_t at = 0; well && at < cases[_i].n; at += piece) {
            size_t left = cases[_i].n - at;

            ck_assert_int_eq(websocket_feed(&r, cases[_i].bytes + at, left < piece ? left : piece), 0);
            well = read_all(&r, &got);
        }
        ck_assert_msg(str_eqz(buf_view(&got), cases[_i].want), "case %d, %zu bytes at a time: \"%.*s\", should be \"%s\"", _i,
                      piece, STR_ARG(buf_view(&got)), cases[_i].want);
        buf_free(&got);
        websocket_reader_free(&r);
    }
}
END_TEST

/* What is written is read, with and without a mask, at the sizes where the header grows. */
START_TEST(writes_what_it_reads)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 65535, 65536, 100000 };
    static const uint8_t mask[4] = { 1, 2, 3, 254 };
    struct buf payload = BUF_INIT(1 << 20), frame = BUF_INIT(1 << 20);
    struct websocket_reader r;
    struct websocket_message m;
    unsigned code;

    for (size_t i = 0; i < sizes[_i]; i++)
        buf_putc(&payload, (char)('a' + i % 26));
    for (int masked = 0; masked < 2; masked++) {
        websocket_reader_init(&r, masked, 1 << 20);
        buf_reset(&frame);
        websocket_put(&frame, WEBSOCKET_TEXT, buf_view(&payload), masked ? mask : NULL);
        ck_assert_int_eq(websocket_feed(&r, frame.p, frame.n), 0);
        ck_assert_int_eq(websocket_next(&r, &m, &code, NULL), 1);
        ck_assert_int_eq(m.op, WEBSOCKET_TEXT);
        ck_assert(str_eq(m.payload, buf_view(&payload)));
        ck_assert_int_eq(websocket_next(&r, &m, &code, NULL), 0);
        websocket_reader_free(&r);
    }
    buf_free(&payload);
    buf_free(&frame);
}
END_TEST

START_TEST(shakes_hands)
{
    char accept[WEBSOCKET_KEY_TEXT];

    websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept); /* section 1.3 */
    ck_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ck_assert(websocket_key_is_valid(STR("dGhlIHNhbXBsZSBub25jZQ==")));
    ck_assert(!websocket_key_is_valid(STR("dGhlIHNhbXBsZSBub25jZQ=")));
    ck_assert(!websocket_key_is_valid(STR("dGhlIHNhbXBsZSBub25 ZQ==")));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("websocket");
    TCase *t = tcase_create("frames");

    tcase_add_loop_test(t, reads_frames, 0, COUNT(cases));
    tcase_add_loop_test(t, writes_what_it_reads, 0, 7);
    tcase_add_test(t, shakes_hands);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
