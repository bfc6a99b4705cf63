/* Messages and frames by tables. */
#include "collector/syslog_frame.h"
#include "collector/syslog_message.h"

#include "base/buf.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#define NOW 1795684282LL /* 2026-11-26T09:11:22Z */

static void show(struct buf *out, const struct syslog_message *m)
{
    buf_printf(out, "%s%.*s.%.*s %" PRId64 " host=%.*s app=%.*s pid=%.*s id=%.*s", m->well_formed ? "" : "! ",
               STR_ARG(syslog_facility(m->priority)), STR_ARG(syslog_severity(m->priority)), m->time_ns / 1000000,
               STR_ARG(m->host), STR_ARG(m->app), STR_ARG(m->procid), STR_ARG(m->msgid));
    for (size_t i = 0; i < m->ndata; i++)
        buf_printf(out, " %.*s=%.*s", STR_ARG(m->data[i].name), STR_ARG(m->data[i].value));
    buf_printf(out, ": %.*s", STR_ARG(m->text));
}

static const struct {
    const char *in, *out;
} messages[] = {
    /* the examples of RFC 5424, section 6.5 */
    { "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \xef\xbb\xbf'su root' failed for lonvick on /dev/pts/8",
      "auth.crit 1065910455003 host=mymachine.example.com app=su pid= id=ID47: 'su root' failed for lonvick on /dev/pts/8" },
    { "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
      "local4.notice 1061727255000 host=192.0.2.1 app=myproc pid=8710 id=: %% It's time to make the do-nuts." },
    { "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
      "[exampleSDID@32473 iut=\"3\" eventSource=\"Application\"][examplePriority@32473 class=\"high\"] An event",
      "local4.notice 1065910455003 host=mymachine.example.com app=evntslog pid= id=ID47 exampleSDID@32473.iut=3 "
      "exampleSDID@32473.eventSource=Application examplePriority@32473.class=high: An event" },
    { "<165>1 2003-10-11T22:14:15.003Z h a - ID47 [x@1 q=\"a\\\"b\\\\c\\]d\\e\"]",
      "local4.notice 1065910455003 host=h app=a pid= id=ID47 x@1.q=a\"b\\c]d\\e: " },
    { "<165>1 2003-10-11T22:14:15.003Z h a - - [x@1] t", "local4.notice 1065910455003 host=h app=a pid= id=: t" },
    { "<13>1 - - - - - -", "user.notice 0 host= app= pid= id=: " },
    /* and what is not quite one */
    { "<13>1 yesterday h a - - - t", "! user.notice 0 host=h app=a pid= id=: t" },
    { "<13>1 - h a - - [x@1 q=3] t", "! user.notice 0 host=h app=a pid= id=: [x@1 q=3] t" },
    { "<13>1 - h a - - [x@1 q=\"3", "! user.notice 0 host=h app=a pid= id=: [x@1 q=\"3" },
    { "<13>1 - h a", "! user.notice 0 host=h app=a pid= id=: 1 - h a" },
    /* RFC 3164 */
    { "<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "auth.crit 1791756855000 host=mymachine app=su pid= id=: 'su root' failed" },
    { "<190>Nov 26 09:11:22 web-1 nginx: 1.2.3.4 - - [x]", "local7.info 1795684282000 host=web-1 app=nginx pid= id=: 1.2.3.4 - - [x]" },
    { "<134>Nov 26 09:11:22 haproxy[812]: 127.0.0.1:1 [x] y", "local0.info 1795684282000 host= app=haproxy pid=812 id=: 127.0.0.1:1 [x] y" },
    { "<13>Nov  6 09:11:22 h app[7]: t", "user.notice 1793956282000 host=h app=app pid=7 id=: t" },
    { "<13>2026-11-26T09:11:22.5+00:00 h systemd[1]: t", "user.notice 1795684282500 host=h app=systemd pid=1 id=: t" },
    { "<13>Nov 26 09:11:22 h no tag here", "user.notice 1795684282000 host=h app= pid= id=: no tag here" },
    { "<13>Nov 26 09:11:22 h", "user.notice 1795684282000 host=h app= pid= id=: " },
    { "<13>app: no time", "! user.notice 0 host= app=app pid= id=: no time" },
    { "<13>no time", "! user.notice 0 host= app= pid= id=: no time" },
    { "no priority", "! user.notice 0 host= app= pid= id=: no priority" },
    { "<192>x", "! user.notice 0 host= app= pid= id=: <192>x" },
    { "<>x", "! user.notice 0 host= app= pid= id=: <>x" },
    { "<1", "! user.notice 0 host= app= pid= id=: <1" },
    { "", "! user.notice 0 host= app= pid= id=: " },
};

START_TEST(parses_messages)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct buf out = BUF_INIT(4096);
    struct syslog_message m;

    ck_assert_int_eq(syslog_parse(str_of(messages[_i].in), NOW * 1000000000, &a, &m), 0);
    show(&out, &m);
    ck_assert_str_eq(buf_cstr(&out), messages[_i].out);
    buf_free(&out);
    arena_free(&a);
}
END_TEST

/* Messages of at most 8 bytes, one a line; those that were cut have a '~' behind them. */
static const struct {
    const char *in, *out;
} streams[] = {
    { "<1>a\n<1>b\n", "<1>a\n<1>b\n" },
    { "<1>a\r\n\n\n<1>b", "<1>a\n<1>b\n" },
    { "4 <1>a4 <1>b", "<1>a\n<1>b\n" },
    { "4 <1>a\n<1>b\n4 <1>c", "<1>a\n<1>b\n<1>c\n" },
    { "5 <1>a\n4 <1>b", "<1>a\n<1>b\n" },
    { "8 1 2 3 4 4 <1>b", "1 2 3 4 \n<1>b\n" },
    { "12 <1>456789abc4 <1>b", "<1>45678~\n<1>b\n" },
    { "<1>456789abc\n<1>b\n", "<1>45678~\n<1>b\n" },
    { "<1>45678\n<1>b\n", "<1>45678\n<1>b\n" },
    { "9 <1>a", "<1>a~\n" },
    { "12a\n", "12a\n" },
    { "1234567890 \n<1>b", "12345678~\n<1>b\n" },
    { "12", "12\n" },
    { "0 x\n", "0 x\n" },
    { "", "" },
};

/* The stream comes in pieces of `step` bytes. */
static void cut_stream(const char *text, size_t step, struct buf *out)
{
    struct syslog_framer f = { .max = 8 };
    struct buf in = BUF_INIT(4096);
    struct syslog_frame frame;
    size_t n = strlen(text);

    for (size_t at = 0;; at += step) {
        bool end = at >= n;

        if (!end)
            buf_put(&in, text + at, n - at < step ? n - at : step);
        for (;;) {
            bool there = syslog_frame_next(&f, buf_view(&in), end, &frame);

            if (there)
                buf_printf(out, "%.*s%s\n", STR_ARG(frame.message), frame.cut ? "~" : "");
            buf_drain(&in, frame.used);
            if (!there)
                break;
        }
        ck_assert_uint_le(in.n, f.max + SYSLOG_FRAME_OVERHEAD + step);
        if (end)
            break;
    }
    buf_free(&in);
}

START_TEST(cuts_streams)
{
    for (size_t step = 1; step < 20; step++) {
        struct buf out = BUF_INIT(4096);

        cut_stream(streams[_i].in, step, &out);
        ck_assert_msg(strcmp(buf_cstr(&out), streams[_i].out) == 0, "%s by %zu: %s", streams[_i].in, step, out.p);
        buf_free(&out);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("syslog_message");
    TCase *tc = tcase_create("messages");

    setenv("TZ", "UTC", 1);
    tzset();
    tcase_add_loop_test(tc, parses_messages, 0, COUNT(messages));
    tcase_add_loop_test(tc, cuts_streams, 0, COUNT(streams));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
