#include "base/clock.h"

#include "tests/unit/unit.h"

static const struct {
    int64_t ns;
    const char *text, *text_ms;
} times[] = {
    { 0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z" },
    { 1606339578409000000, "2020-11-25T21:26:18.409Z", "2020-11-25T21:26:18.409Z" },
    { 1606339578409001000, "2020-11-25T21:26:18.409001Z", "2020-11-25T21:26:18.409Z" },
    { 1606339578000000001, "2020-11-25T21:26:18.000000001Z", "2020-11-25T21:26:18.000Z" },
    { -1000000, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z" },
    { -1000000000, "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000Z" },
    { 951782400000000000, "2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000Z" },
    { INT64_MAX, "2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854Z" },
    { INT64_MIN, "1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145Z" },
};

START_TEST(prints_times)
{
    char text[CLOCK_TEXT];
    int64_t ns, ms = times[_i].ns / 1000000 - (times[_i].ns % 1000000 < 0);

    clock_rfc3339(text, times[_i].ns);
    ck_assert_str_eq(text, times[_i].text);
    if (times[_i].ns > INT64_MIN / 2 && times[_i].ns < INT64_MAX / 2) {
        ck_assert_int_eq(clock_parse_rfc3339(str_of(text), &ns, NULL), 0);
        ck_assert_int_eq(ns, times[_i].ns);
    }
    clock_rfc3339_ms(text, ms);
    ck_assert_str_eq(text, times[_i].text_ms);
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} far_times[] = {
    { INT64_MAX, "292278994-08-17T07:12:55.807Z" },
    { INT64_MIN, "-292275055-05-16T16:47:04.192Z" },
    { 253402300799999, "9999-12-31T23:59:59.999Z" },
    { 253402300800000, "10000-01-01T00:00:00.000Z" },
};

START_TEST(prints_times_far_away)
{
    char text[CLOCK_TEXT];

    clock_rfc3339_ms(text, far_times[_i].ms);
    ck_assert_str_eq(text, far_times[_i].text);
}
END_TEST

static const struct {
    const char *in;
    int rc;
    int64_t ns;
} parses[] = {
    { "2020-11-25T21:26:18.409Z", 0, 1606339578409000000 },
    { "2020-11-25 21:26:18z", 0, 1606339578000000000 },
    { "2020-11-25t22:26:18.5+01:00", 0, 1606339578500000000 },
    { "2020-11-25T15:56:18-05:30", 0, 1606339578000000000 },
    { "2020-11-25T21:26:18.1234567891Z", 0, 1606339578123456789 },
    { "2016-12-31T23:59:60Z", 0, 1483228800000000000 },
    { "2020-02-29T00:00:00Z", 0, 1582934400000000000 },
    { "", ERR_PARSE, 0 },
    { "2020-11-25", ERR_PARSE, 0 },
    { "2020-11-25T21:26:18", ERR_PARSE, 0 },
    { "2020-11-25T21:26:18.Z", ERR_PARSE, 0 },
    { "2020-11-25T21:26:18Zx", ERR_PARSE, 0 },
    { "2020-11-25T21:26:18+1:00", ERR_PARSE, 0 },
    { "2020-11-25T21:26:18+24:00", ERR_PARSE, 0 },
    { "20-11-25T21:26:18Z", ERR_PARSE, 0 },
    { "2020-13-25T21:26:18Z", ERR_RANGE, 0 },
    { "2020-00-25T21:26:18Z", ERR_RANGE, 0 },
    { "2020-11-00T21:26:18Z", ERR_RANGE, 0 },
    { "2020-11-31T21:26:18Z", ERR_RANGE, 0 },
    { "2021-02-29T00:00:00Z", ERR_RANGE, 0 },
    { "1900-02-29T00:00:00Z", ERR_RANGE, 0 },
    { "2020-11-25T24:00:00Z", ERR_RANGE, 0 },
    { "2020-11-25T21:60:00Z", ERR_RANGE, 0 },
    { "1500-01-01T00:00:00Z", ERR_RANGE, 0 },
    { "9999-12-31T23:59:59Z", ERR_RANGE, 0 },
};

START_TEST(reads_times)
{
    struct err e = ERR_INIT;
    int64_t ns = 0;

    ck_assert_msg(clock_parse_rfc3339(str_of(parses[_i].in), &ns, &e) == parses[_i].rc, "%s: %s", parses[_i].in, e.msg);
    ck_assert_int_eq(ns, parses[_i].ns);
}
END_TEST

static const struct {
    const char *in;
    int rc;
    int64_t ms;
    const char *msg;
} durations[] = {
    { "0", 0, 0, "" },
    { "0s", 0, 0, "" },
    { "5m", 0, 300000, "" },
    { "1h30m", 0, 5400000, "" },
    { "1y2w3d4h5m6s7ms", 0, 33019506007, "" },
    { "500ms", 0, 500, "" },
    { "100y", 0, 3153600000000, "" },
    { "", ERR_PARSE, 0, "duration \"\": not a duration, as in 1h30m" },
    { "5", ERR_PARSE, 0, "duration \"5\": unit missing, one of ms s m h d w y" },
    { "5 m", ERR_PARSE, 0, "duration \"5 m\": units are ms s m h d w y, the largest first, each once" },
    { "-5m", ERR_PARSE, 0, "duration \"-5m\": not a duration, as in 1h30m" },
    { "1.5h", ERR_PARSE, 0, "duration \"1.5h\": units are ms s m h d w y, the largest first, each once" },
    { "1m1h", ERR_PARSE, 0, "duration \"1m1h\": units are ms s m h d w y, the largest first, each once" },
    { "1m1m", ERR_PARSE, 0, "duration \"1m1m\": units are ms s m h d w y, the largest first, each once" },
    { "1hx", ERR_PARSE, 0, "duration \"1hx\": units are ms s m h d w y, the largest first, each once" },
    { "9999999999999d", ERR_RANGE, 0, "duration \"9999999999999d\": too large" },
    { "300y", ERR_RANGE, 0, "duration \"300y\": too large" },
    { "99999999999999999999ms", ERR_RANGE, 0, "duration \"99999999999999999999ms\": too large" },
};

START_TEST(reads_durations)
{
    struct err e = ERR_INIT;
    int64_t ms = 0;

    ck_assert_msg(duration_parse(str_of(durations[_i].in), &ms, &e) == durations[_i].rc, "%s: %s", durations[_i].in,
                  e.msg);
    ck_assert_int_eq(ms, durations[_i].ms);
    ck_assert_str_eq(e.msg, durations[_i].msg);
}
END_TEST

static const struct {
    const char *in;
    int rc;
    int64_t ns;
} go_durations[] = {
    { "0", 0, 0 },
    { "1.5s", 0, 1500000000 },
    { "0.25s", 0, 250000000 },
    { "1h0m5s", 0, 3605000000000 },
    { "2ms3us4ns", 0, 2003004 },
    { "15s", 0, 15000000000 },
    { "", ERR_PARSE, 0 },
    { "5", ERR_PARSE, 0 },
    { "5.s", ERR_PARSE, 0 },
    { "5d", ERR_PARSE, 0 },
    { "-1s", ERR_PARSE, 0 },
    { "9999999h", ERR_RANGE, 0 },
    { "99999999999999999999ns", ERR_RANGE, 0 },
};

START_TEST(reads_durations_as_go_does)
{
    int64_t ns = 0;

    ck_assert_msg(duration_parse_go(str_of(go_durations[_i].in), &ns, NULL) == go_durations[_i].rc, "%s",
                  go_durations[_i].in);
    ck_assert_int_eq(ns, go_durations[_i].ns);
}
END_TEST

static const struct {
    int64_t ms;
    const char *text;
} duration_texts[] = {
    { 0, "0s" },           { -5, "0s" },           { 1, "1ms" },      { 5400000, "1h30m" },
    { 604800000, "1w" },   { 691200000, "8d" },    { 31536000000, "1y" }, { 86400001, "1d1ms" },
    { INT64_MAX, "106751991167d7h12m55s807ms" },
};

START_TEST(prints_durations)
{
    char text[CLOCK_TEXT];
    int64_t ms;

    duration_text(text, duration_texts[_i].ms);
    ck_assert_str_eq(text, duration_texts[_i].text);
    if (duration_texts[_i].ms > 0 && duration_texts[_i].ms < INT64_MAX) {
        ck_assert_int_eq(duration_parse(str_of(text), &ms, NULL), 0);
        ck_assert_int_eq(ms, duration_texts[_i].ms);
    }
}
END_TEST

START_TEST(clocks_go_on)
{
    int64_t mono = clock_mono_ns(), now = clock_now_ms();

    ck_assert_int_ge(clock_mono_ns(), mono);
    ck_assert_int_gt(now, 1600000000000);
    ck_assert_int_lt(clock_now_ns() / 1000000 - now, 10000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("clock");

    tcase_add_loop_test(t, prints_times, 0, COUNT(times));
    tcase_add_loop_test(t, prints_times_far_away, 0, COUNT(far_times));
    tcase_add_loop_test(t, reads_times, 0, COUNT(parses));
    tcase_add_loop_test(t, reads_durations, 0, COUNT(durations));
    tcase_add_loop_test(t, reads_durations_as_go_does, 0, COUNT(go_durations));
    tcase_add_loop_test(t, prints_durations, 0, COUNT(duration_texts));
    tcase_add_test(t, clocks_go_on);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
