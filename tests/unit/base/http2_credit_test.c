#include "base/http2_credit.h"
#include "tests/unit/unit.h"

enum { MOST = 4000, SECOND = 1000 * 1000 * 1000 };

static const nghttp2_frame_hd ping = { .type = NGHTTP2_PING, .length = 8 };

/* How many more are borne at that time. */
static size_t pings_borne(struct http2_credit *k, int64_t now_ns)
{
    size_t n = 0;

    while (n < 2 * MOST && http2_credit_pay(k, &ping, now_ns))
        n++;
    return n;
}

static const struct {
    nghttp2_frame_hd frame;
    bool costs;
} frames[] = {
    { { .type = NGHTTP2_PING, .length = 8 }, true },
    { { .type = NGHTTP2_SETTINGS }, true },
    { { .type = NGHTTP2_SETTINGS, .flags = NGHTTP2_FLAG_ACK }, true },
    { { .type = NGHTTP2_PRIORITY, .length = 5 }, true },
    { { .type = NGHTTP2_RST_STREAM, .length = 4 }, true },
    { { .type = NGHTTP2_WINDOW_UPDATE, .length = 4 }, true },
    { { .type = NGHTTP2_DATA }, true },
    { { .type = NGHTTP2_DATA, .flags = NGHTTP2_FLAG_END_STREAM }, false },
    { { .type = NGHTTP2_DATA, .length = 1 }, false },
    { { .type = NGHTTP2_HEADERS, .length = 1 }, false },
    { { .type = NGHTTP2_GOAWAY, .length = 8 }, false },
};

START_TEST(frames_that_bring_nothing_cost)
{
    struct http2_credit k = { 0 };

    ck_assert_uint_eq(pings_borne(&k, 1), MOST);
    ck_assert_int_eq(http2_credit_pay(&k, &frames[_i].frame, 1), !frames[_i].costs);
}
END_TEST

START_TEST(time_brings_credit_back_up_to_the_most)
{
    struct http2_credit k = { 0 };

    ck_assert_uint_eq(pings_borne(&k, 1), MOST);
    /* The one too many is owed, too. */
    ck_assert_uint_eq(pings_borne(&k, 1 + SECOND), 1000 - 1);
    ck_assert_uint_eq(pings_borne(&k, 1 + 3600LL * SECOND), MOST);
}
END_TEST

START_TEST(what_brings_something_earns)
{
    struct http2_credit k = { 0 };

    ck_assert_uint_eq(pings_borne(&k, 1), MOST);
    http2_credit_earn(&k, HTTP2_CREDIT_OF_REQUEST);
    ck_assert_uint_eq(pings_borne(&k, 1), HTTP2_CREDIT_OF_REQUEST - 1);
    for (int i = 0; i < MOST; i++)
        http2_credit_earn(&k, HTTP2_CREDIT_OF_REQUEST);
    ck_assert_uint_eq(pings_borne(&k, 1), MOST);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http2_credit");
    TCase *t = tcase_create("http2_credit");

    tcase_add_loop_test(t, frames_that_bring_nothing_cost, 0, COUNT(frames));
    tcase_add_test(t, time_brings_credit_back_up_to_the_most);
    tcase_add_test(t, what_brings_something_earns);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
