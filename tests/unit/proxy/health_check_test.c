/* What answers to health checks mean, when a host turns, and how long the next check waits. */
#include "proxy/health_check.h"

#include "mesh/snapshot.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct status_range expected[] = { { 200, 300 }, { 404, 405 } }, retriable[] = { { 503, 504 } };
static const struct health_check plain = {
    .timeout_ms = 1, .interval_ms = 10, .unhealthy_interval_ms = 20, .unhealthy_edge_ms = 30, .healthy_edge_ms = 40,
    .no_traffic_ms = 50, .no_traffic_healthy_ms = 60, .unhealthy_threshold = 3, .healthy_threshold = 2,
};

/* ---- statuses ---- */

static const struct {
    bool ranges;
    unsigned status;
    enum health_answer answer;
} statuses[] = {
    { false, 200, HEALTH_GOOD }, { false, 201, HEALTH_BAD },     { false, 503, HEALTH_BAD },
    { true, 200, HEALTH_GOOD },  { true, 299, HEALTH_GOOD },     { true, 300, HEALTH_BAD },
    { true, 404, HEALTH_GOOD },  { true, 503, HEALTH_NO_ANSWER }, { true, 504, HEALTH_BAD },
};

START_TEST(reads_statuses)
{
    struct health_check check = plain;

    if (statuses[_i].ranges) {
        check.expected = expected;
        check.nexpected = COUNT(expected);
        check.retriable = retriable;
        check.nretriable = COUNT(retriable);
    }
    ck_assert_int_eq(health_of_status(&check, statuses[_i].status), statuses[_i].answer);
}
END_TEST

/* ---- bytes ---- */

static const struct {
    const char *bytes;
    bool found;
} answers[] = {
    { "PONG", true }, { "xPOyNGz", true }, { "PO", false }, { "NGPO", false }, { "PPONN", false }, { "", false },
};

START_TEST(finds_parts_in_order)
{
    static const struct str parts[] = { STR_INIT("PO"), STR_INIT("NG") };
    struct health_check check = plain;

    ck_assert(health_has_parts(&check, STR("")));
    check.receive = parts;
    check.nreceive = COUNT(parts);
    ck_assert(health_has_parts(&check, str_of(answers[_i].bytes)) == answers[_i].found);
}
END_TEST

/* ---- turning ---- */

/* G: good, B: bad, N: no answer; the host after each: U, W, F. */
static const struct {
    const char *answers, *hosts;
} turns[] = {
    { "G", "W" },              /* the first decides */
    { "B", "F" },
    { "N", "F" },
    { "GB", "WF" },            /* a bad status is enough */
    { "GNNN", "WWWF" },        /* of the network it takes the threshold */
    { "GNNGNNN", "WWWWWWF" },  /* in a row */
    { "BGG", "FFW" },
    { "BGNGG", "FFFFW" },
    { "BGBGG", "FFFFW" },
    { "GNNNGGNNN", "WWWFFWWWF" },
};

START_TEST(turns_at_thresholds)
{
    static const char letters[] = "UWF";
    struct health_count n = { 0, 0 };
    enum host_health health = HOST_UNCHECKED;

    for (size_t i = 0; turns[_i].answers[i]; i++) {
        char a = turns[_i].answers[i];
        enum host_health was = health;

        health = health_count(&n, &plain, was, a == 'G' ? HEALTH_GOOD : a == 'B' ? HEALTH_BAD : HEALTH_NO_ANSWER);
        if (health != was)
            n = (struct health_count){ 0, 0 };
        ck_assert_msg(letters[health] == turns[_i].hosts[i], "%s: %c after %zu", turns[_i].answers, letters[health], i + 1);
    }
}
END_TEST

/* ---- pauses ---- */

static const struct {
    enum host_health is;
    enum health_answer answer;
    bool called;
    int64_t ms;
} pauses[] = {
    { HOST_WELL, HEALTH_GOOD, true, 10 },  { HOST_FAILED, HEALTH_BAD, true, 20 },  { HOST_FAILED, HEALTH_NO_ANSWER, true, 20 },
    { HOST_WELL, HEALTH_NO_ANSWER, true, 30 }, { HOST_FAILED, HEALTH_GOOD, true, 40 }, { HOST_FAILED, HEALTH_GOOD, false, 50 },
    { HOST_WELL, HEALTH_BAD, false, 50 },  { HOST_WELL, HEALTH_GOOD, false, 60 },
};

START_TEST(waits_for_the_next)
{
    ck_assert_int_eq(health_pause_ms(&plain, pauses[_i].is, pauses[_i].answer, pauses[_i].called), pauses[_i].ms);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("proxy/health_check");
    TCase *t = tcase_create("health_check");

    tcase_add_loop_test(t, reads_statuses, 0, COUNT(statuses));
    tcase_add_loop_test(t, finds_parts_in_order, 0, COUNT(answers));
    tcase_add_loop_test(t, turns_at_thresholds, 0, COUNT(turns));
    tcase_add_loop_test(t, waits_for_the_next, 0, COUNT(pauses));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
