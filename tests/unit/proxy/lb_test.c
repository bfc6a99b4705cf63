#include "proxy/lb.h"
#include "proxy/tcp.h"
#include "tests/unit/unit.h"

static void count(struct lb *l, unsigned n, unsigned *hits)
{
    struct rng rng;

    rng_seed(&rng);
    for (unsigned i = 0; i < n; i++)
        hits[lb_pick(l, &rng, NULL, 0)]++;
}

START_TEST(round_robin_is_smooth)
{
    static const uint32_t idle = 0;
    struct lb_slot slots[] = { { 5, 0, &idle }, { 1, 0, &idle }, { 1, 0, &idle } };
    static const long want[] = { 0, 0, 1, 0, 2, 0, 0 };
    struct rng rng;
    struct lb l;

    rng_seed(&rng);
    lb_init(&l, LB_ROUND_ROBIN, slots, 3);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < COUNT(want); i++)
            ck_assert_int_eq(lb_pick(&l, &rng, NULL, 0), want[i]);
}
END_TEST

START_TEST(random_follows_weights)
{
    static const uint32_t idle = 0;
    struct lb_slot slots[] = { { 3, 0, &idle }, { 1, 0, &idle } };
    unsigned hits[2] = { 0 };
    struct lb l;

    lb_init(&l, LB_RANDOM, slots, 2);
    count(&l, 10000, hits);
    ck_assert_msg(hits[0] > 7300 && hits[0] < 7700, "%u of 10000 for weight 3 of 4", hits[0]); /* 4 sigma are 173 */
}
END_TEST

START_TEST(least_request_avoids_the_busy)
{
    static const uint32_t busy = 10, idle = 0;
    struct lb_slot slots[] = { { 1, 0, &busy }, { 1, 0, &idle }, { 1, 0, &idle } };
    unsigned hits[3] = { 0 };
    struct lb l;

    lb_init(&l, LB_LEAST_REQUEST, slots, 3);
    count(&l, 9000, hits);
    ck_assert_msg(hits[0] < 1400, "the busy host got %u of 9000, a ninth is right", hits[0]);
    ck_assert_msg(hits[1] > 3500 && hits[2] > 3500, "%u, %u", hits[1], hits[2]);
}
END_TEST

START_TEST(avoids_what_was_tried)
{
    static const uint32_t idle = 0;
    static const uint32_t tried[] = { 0 };
    struct lb_slot slots[] = { { 1, 0, &idle }, { 1, 0, &idle } };
    unsigned again = 0;
    struct rng rng;
    struct lb l;

    rng_seed(&rng);
    for (int policy = LB_LEAST_REQUEST; policy <= LB_RANDOM; policy++) {
        lb_init(&l, (enum lb_policy)policy, slots, 2);
        for (int i = 0; i < 1000; i++)
            again += lb_pick(&l, &rng, tried, 1) == 0;
    }
    ck_assert_msg(again < 160, "%u of 3000, five picks leave one in 32", again);
    lb_init(&l, LB_RANDOM, slots, 1);
    ck_assert_int_eq(lb_pick(&l, &rng, tried, 1), 0);
    lb_init(&l, LB_RANDOM, slots, 0);
    ck_assert_int_eq(lb_pick(&l, &rng, NULL, 0), -1);
}
END_TEST

static const struct {
    const char *first;
    enum tcp_guess want;
} guesses[] = {
    { "GET / HTTP/1.1\r\n", TCP_GUESS_HTTP },  { "GE", TCP_GUESS_MORE },          { "GET /x", TCP_GUESS_MORE },
    { "GET key\r\n", TCP_GUESS_TCP },          { "GET /key\r\n", TCP_GUESS_TCP }, { "PING\r\n", TCP_GUESS_TCP },
    { "*1\r\n$4\r\nPING\r\n", TCP_GUESS_TCP }, { "\x16\x03\x01", TCP_GUESS_TCP }, { "OPTIONS * HTTP/1.1\r\n", TCP_GUESS_HTTP },
    { "GETX / HTTP/1.1\r\n", TCP_GUESS_TCP },  { "get / HTTP/1.1", TCP_GUESS_TCP }, { "P", TCP_GUESS_MORE },
};

START_TEST(guesses_protocols)
{
    ck_assert_msg(tcp_guess(str_of(guesses[_i].first)) == guesses[_i].want, "%s", guesses[_i].first);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("lb");
    TCase *t = tcase_create("lb");

    tcase_add_test(t, round_robin_is_smooth);
    tcase_add_test(t, random_follows_weights);
    tcase_add_test(t, least_request_avoids_the_busy);
    tcase_add_test(t, avoids_what_was_tried);
    tcase_add_loop_test(t, guesses_protocols, 0, COUNT(guesses));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
