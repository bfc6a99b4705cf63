#include "collector/grpc_wire-internal.h"
#include "tests/unit/unit.h"

#include <stdint.h>

/* --- messages --- */

static const struct {
    const char *name;
    const char *bytes;
    size_t n;
    int rc;
    const char *want; /* the messages, each with a comma behind it, a packed one in [] */
    const char *msg;
    bool midway;
} streams[] = {
    { "nothing", "", 0, 0, "", NULL, false },
    { "one", "\0\0\0\0\3abc", 8, 0, "abc,", NULL, false },
    { "two, one of them empty", "\0\0\0\0\0\0\0\0\0\1x", 11, 0, ",x,", NULL, false },
    { "packed", "\1\0\0\0\2zz", 7, 0, "[zz],", NULL, false },
    { "half a prefix", "\0\0\0", 3, 0, "", NULL, true },
    { "half a body", "\0\0\0\0\3ab", 7, 0, "", NULL, true },
    { "as long as allowed", "\0\0\0\0\x10" "0123456789abcdef", 21, 0, "0123456789abcdef,", NULL, false },
    { "longer", "\0\0\0\0\x11" "0", 6, ERR_LIMIT, "", "a message of 17 bytes, at most 16 are taken", false },
    { "much longer", "\0\xff\xff\xff\xff", 5, ERR_LIMIT, "", "a message of 4294967295 bytes, at most 16 are taken", false },
    { "no flag", "\2\0\0\0\1x", 6, ERR_PARSE, "", "a message begins with byte 2, should be 0 or 1 (compressed)", false },
};

/* Fed in pieces of `piece` bytes. */
static int deframe(struct grpc_deframer *d, struct str all, size_t piece, struct buf *out, struct err *e)
{
    while (all.n) {
        struct str in = { all.p, all.n < piece ? all.n : piece };
        struct buf body;
        bool packed;
        int rc;

        all = str_from(all, in.n);
        while ((rc = grpc_deframe(d, &in, &body, &packed, e)) == 1) {
            buf_printf(out, packed ? "[%.*s]," : "%.*s,", STR_ARG(buf_view(&body)));
            buf_free(&body);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

START_TEST(finds_messages_however_they_are_cut)
{
    for (size_t piece = 1; piece < 24; piece++) {
        struct grpc_deframer d = GRPC_DEFRAMER_INIT(16);
        struct buf out = BUF_INIT(1 << 10);
        struct err e = ERR_INIT;
        int rc = deframe(&d, (struct str){ streams[_i].bytes, streams[_i].n }, piece, &out, &e);

        ck_assert_msg(rc == streams[_i].rc, "%s: %d (%s)", streams[_i].name, rc, e.msg);
        ck_assert_msg(str_eqz(buf_view(&out), streams[_i].want), "%s, %zu: %.*s", streams[_i].name, piece,
                      STR_ARG(buf_view(&out)));
        if (rc < 0)
            ck_assert_str_eq(e.msg, streams[_i].msg);
        else
            ck_assert_int_eq(grpc_deframer_midway(&d), streams[_i].midway);
        grpc_deframer_fini(&d);
        buf_free(&out);
    }
}
END_TEST

/* --- header fields --- */

static const struct {
    const char *in;
    int rc;
    int64_t ns;
} timeouts[] = {
    { "1H", 0, 3600000000000 }, { "2M", 0, 120000000000 }, { "3S", 0, 3000000000 },  { "100m", 0, 100000000 },
    { "5u", 0, 5000 },          { "7n", 0, 7 },            { "0n", 0, 0 },           { "99999999S", 0, 99999999000000000 },
    { "99999999H", 0, INT64_MAX }, { "", ERR_PARSE, 0 },   { "S", ERR_PARSE, 0 },    { "1", ERR_PARSE, 0 },
    { "1s", ERR_PARSE, 0 },     { "-1S", ERR_PARSE, 0 },   { "1.5S", ERR_PARSE, 0 }, { "123456789S", ERR_PARSE, 0 },
};

START_TEST(reads_timeouts)
{
    struct err e = ERR_INIT;
    int64_t ns;
    int rc = grpc_timeout_parse(str_of(timeouts[_i].in), &ns, &e);

    ck_assert_msg(rc == timeouts[_i].rc, "%s: %d", timeouts[_i].in, rc);
    if (rc == 0)
        ck_assert_int_eq(ns, timeouts[_i].ns);
    else
        ck_assert_ptr_nonnull(strstr(e.msg, "should be up to eight digits and one of H M S m u n"));
}
END_TEST

static const struct {
    const char *in, *want;
} messages[] = {
    { "", "" }, { "plain text, ~!", "plain text, ~!" }, { "100%", "100%25" }, { "a\nb\x7f", "a%0Ab%7F" }, { "ä", "%C3%A4" },
};

START_TEST(encodes_messages)
{
    struct buf b = BUF_INIT(1 << 10);

    grpc_percent_encode(&b, str_of(messages[_i].in));
    ck_assert_msg(str_eqz(buf_view(&b), messages[_i].want), "%.*s", STR_ARG(buf_view(&b)));
    buf_free(&b);
}
END_TEST

/* --- statuses --- */

static const struct {
    int rc;
    enum grpc_status status;
    bool again;
} statuses[] = {
    { 0, GRPC_OK, false },
    { ERR_PARSE, GRPC_INVALID_ARGUMENT, false },
    { ERR_INVALID, GRPC_INVALID_ARGUMENT, false },
    { ERR_LIMIT, GRPC_RESOURCE_EXHAUSTED, false },
    { ERR_BUSY, GRPC_RESOURCE_EXHAUSTED, true },
    { ERR_NOMEM, GRPC_RESOURCE_EXHAUSTED, true },
    { ERR_FULL, GRPC_UNAVAILABLE, true },
    { ERR_CLOSED, GRPC_UNAVAILABLE, true },
    { ERR_IO, GRPC_UNAVAILABLE, false },
    { ERR_UNSUPPORTED, GRPC_UNIMPLEMENTED, false },
    { ERR_CORRUPT, GRPC_INTERNAL, false },
};

START_TEST(tells_what_an_error_means)
{
    bool again;

    ck_assert_int_eq(grpc_status_of(statuses[_i].rc, &again), statuses[_i].status);
    ck_assert_int_eq(again, statuses[_i].again);
}
END_TEST

START_TEST(tells_when_to_come_again)
{
    struct buf b = BUF_INIT(1 << 10);

    /* Status{8, "full", Any{RetryInfo{Duration{1 s, 500 ms}}}}, encoded by protobuf's own library */
    grpc_retry_details(&b, GRPC_RESOURCE_EXHAUSTED, STR("full"), 1500);
    ck_assert_msg(str_eqz(buf_view(&b), "CAgSBGZ1bGwaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIK"
                                        "CggIARCAyrXuAQ"),
                  "%.*s", STR_ARG(buf_view(&b)));
    buf_free(&b);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("grpc_wire");
    TCase *tc = tcase_create("grpc_wire");

    tcase_add_loop_test(tc, finds_messages_however_they_are_cut, 0, COUNT(streams));
    tcase_add_loop_test(tc, reads_timeouts, 0, COUNT(timeouts));
    tcase_add_loop_test(tc, encodes_messages, 0, COUNT(messages));
    tcase_add_loop_test(tc, tells_what_an_error_means, 0, COUNT(statuses));
    tcase_add_test(tc, tells_when_to_come_again);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
