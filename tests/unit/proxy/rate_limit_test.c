/* Buckets: how they are filled and who they are; limits: which of them a request takes from, and what is counted. */
#include "proxy/rate_limit.h"

#include "tests/unit/unit.h"

#include <pthread.h>
#include <string.h>

enum { SECOND = 1000000000 };

static struct rate_limits *all;
static struct arena arena;
static struct rng rng;

static void setup(void)
{
    all = rate_limits_new();
    ck_assert_ptr_nonnull(all);
    rng_seed(&rng);
}

static void teardown(void)
{
    rate_limits_free(all);
    arena_free(&arena);
}

static struct rate_limiter open_at(const struct rate_limit *l, int64_t now_ns)
{
    struct rate_limiter r = { .limit = NULL };

    ck_assert_int_eq(rate_limiter_open(&r, all, l, &arena, now_ns), 0);
    return r;
}

#define BUCKET(name, n, fill, ms) { .key = STR_INIT(name), .most = (n), .per_fill = (fill), .interval_ms = (ms) }

/* ---- filling ---- */

/* The bucket is born at 10 s, holds 5, and gets 2 every second. */
static const struct {
    double at_s;
    unsigned asked, taken, left;
} fills[] = {
    { 10, 7, 5, 0 },        /* full at first */
    { 10.999, 1, 0, 0 },    /* nothing comes before the interval is over */
    { 11, 1, 1, 1 },        /* then all of it comes at once */
    { 11.5, 3, 1, 0 },
    { 9, 1, 0, 0 },         /* a clock that is behind brings nothing */
    { 13.9, 1, 1, 3 },      /* two intervals, counted from the birth, not from when it was last asked */
    { 14, 0, 0, 5 },
    { 100000, 9, 5, 0 },    /* never more than fits */
    { 100000.5, 1, 0, 0 },
    { 1e9, 1, 1, 4 },       /* thirty years later */
};

START_TEST(fills_by_the_interval)
{
    static const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("b", 5, 2, 1000) };
    struct rate_limiter r = open_at(&l, INT64_C(10) * SECOND);

    for (size_t i = 0; i < COUNT(fills); i++) {
        int64_t now_ns = (int64_t)(fills[i].at_s * SECOND);
        unsigned taken = 0;

        for (unsigned k = 0; k < fills[i].asked; k++)
            taken += rate_bucket_take(r.bucket, now_ns);
        ck_assert_msg(taken == fills[i].taken, "row %zu: %u taken", i, taken);
        ck_assert_msg(rate_bucket_left(r.bucket, now_ns) == fills[i].left, "row %zu: %u left", i,
                      rate_bucket_left(r.bucket, now_ns));
    }
    ck_assert_int_eq(rate_bucket_next_ns(r.bucket, INT64_C(10) * SECOND), SECOND);
    ck_assert_int_eq(rate_bucket_next_ns(r.bucket, INT64_C(12) * SECOND + SECOND / 4), SECOND / 4 * 3);
    rate_limiter_close(&r, all);
}
END_TEST

/* Over any time, what was taken is what was there and what has come: not one more or less, however it is asked. */
START_TEST(gives_just_what_comes)
{
    static const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("b", 7, 3, 50) };
    struct rate_limiter r = open_at(&l, 0);
    uint64_t taken = 0;
    int64_t now_ns = 0;

    for (int i = 0; i < 100000; i++) {
        now_ns += (int64_t)rng_below(&rng, 40000000); /* often enough that it never runs over */
        while (rate_bucket_take(r.bucket, now_ns))
            taken++;
    }
    ck_assert_uint_eq(taken, 7 + (uint64_t)(now_ns / 50000000) * 3);
    rate_limiter_close(&r, all);
}
END_TEST

/* ---- many threads ---- */

enum { THREADS = 4, ROUNDS = 200 };

static struct rate_bucket *shared;

static void *take_many(void *taken)
{
    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < 100; k++)
            *(unsigned *)taken += rate_bucket_take(shared, INT64_C(50000000) * i);
    return NULL;
}

START_TEST(threads_share_every_token)
{
    static const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("b", 1000, 11, 50) };
    struct rate_limiter r = open_at(&l, 0);
    pthread_t threads[THREADS];
    unsigned taken[THREADS] = { 0 }, sum = 0;

    shared = r.bucket;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_many, &taken[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += taken[i];
    }
    ck_assert_uint_eq(sum + rate_bucket_left(r.bucket, INT64_C(50000000) * (ROUNDS - 1)), 1000 + 11 * (ROUNDS - 1));
    rate_limiter_close(&r, all);
}
END_TEST

/* ---- who they are ---- */

START_TEST(lives_on_by_its_key)
{
    static const struct rate_limit one = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("same", 2, 1, 1000) };
    static const struct rate_limit two = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("other", 2, 1, 1000) };
    struct rate_limiter a = open_at(&one, 0), b, c;

    ck_assert(rate_bucket_take(a.bucket, 0));
    b = open_at(&one, INT64_C(5));
    c = open_at(&two, INT64_C(5));
    ck_assert_ptr_eq(a.bucket, b.bucket);
    ck_assert_ptr_ne(a.bucket, c.bucket);
    ck_assert_ptr_eq(a.counts, c.counts);
    rate_limiter_close(&a, all);
    ck_assert_uint_eq(rate_bucket_left(b.bucket, 5), 1);
    rate_limiter_close(&b, all);
    a = open_at(&one, 6);
    ck_assert_uint_eq(rate_bucket_left(a.bucket, 6), 2);
    rate_limiter_close(&a, all);
    rate_limiter_close(&c, all);
}
END_TEST

/* ---- which buckets ---- */

static struct str header(const void *of, struct str name, size_t n)
{
    const char *const *v = of;

    for (; *v && n == 0; v += 2)
        if (str_eqz(name, v[0]))
            return str_of(v[1]);
    return STR_NULL;
}

#define A(action) (const struct rate_limit_action[]){ action }
#define GENERIC(text) { .source = RATE_LIMIT_GENERIC, .key = STR_INIT("generic_key"), .value = STR_INIT(text) }

static const struct rate_limit_action user_and_page[] = {
    { .source = RATE_LIMIT_HEADER, .key = STR_INIT("user"), .name = STR_INIT("x-user") },
    { .source = RATE_LIMIT_QUERY, .key = STR_INIT("page"), .name = STR_INIT("page"), .skip_if_absent = true },
};
static const struct rate_limit_action address[] = { { .source = RATE_LIMIT_REMOTE_ADDRESS, .key = STR_INIT("remote_address") } };
static const struct key_match matches[] = {
    { STR_INIT(":path"), { STRING_PREFIX, STR_INIT("/a"), NULL, true }, false },
    { STR_INIT("x-no"), { STRING_EXACT, STR_INIT("1"), NULL, false }, true },
    { STR_INIT("x-never"), { STRING_PRESENT, STR_INIT(""), NULL, false }, true },
};
static const struct rate_limit_action matching[] = { { .source = RATE_LIMIT_HEADER_MATCH, .key = STR_INIT("header_match"),
                                                       .value = STR_INIT("yes"), .matches = matches, .nmatches = 3 } };
static const struct rate_limit_action none_matching[] = { { .source = RATE_LIMIT_HEADER_MATCH, .key = STR_INIT("header_match"),
                                                            .value = STR_INIT("no"), .matches = matches, .nmatches = 3,
                                                            .negate = true } };
static const struct rate_limit_action host_action[] = { GENERIC("host") };
static const struct rate_limit_actions route_actions[] = { { user_and_page, 2 }, { address, 1 }, { matching, 1 },
                                                           { none_matching, 1 } };
static const struct rate_limit_actions host_actions[] = { { host_action, 1 } };
static const struct rate_limit_rules route_rules = { .actions = route_actions, .nactions = COUNT(route_actions) };
static const struct rate_limit_rules host_rules = { .actions = host_actions, .nactions = 1 };

static const struct rate_limit_entry bob[] = { { STR_INIT("user"), STR_INIT("bob") } };
static const struct rate_limit_entry bob_on_two[] = { { STR_INIT("user"), STR_INIT("bob") }, { STR_INIT("page"), STR_INIT("2") } };
static const struct rate_limit_entry turned_round[] = { { STR_INIT("page"), STR_INIT("2") }, { STR_INIT("user"), STR_INIT("bob") } };
static const struct rate_limit_entry from_nine[] = { { STR_INIT("remote_address"), STR_INIT("10.0.0.9") } };
static const struct rate_limit_entry yes[] = { { STR_INIT("header_match"), STR_INIT("yes") } };
static const struct rate_limit_entry no[] = { { STR_INIT("header_match"), STR_INIT("no") } };
static const struct rate_limit_entry host_entry[] = { { STR_INIT("generic_key"), STR_INIT("host") } };
static const struct rate_limit_descriptor descriptors[] = {
    { bob, 1, BUCKET("bob", 9, 1, 1000) },           { bob_on_two, 2, BUCKET("bob on two", 9, 1, 1000) },
    { turned_round, 2, BUCKET("round", 9, 1, 1000) }, { from_nine, 1, BUCKET("nine", 9, 1, 1000) },
    { yes, 1, BUCKET("yes", 9, 1, 1000) },           { no, 1, BUCKET("no", 9, 1, 1000) },
    { host_entry, 1, BUCKET("host", 9, 1, 1000) },
};

static const struct {
    const char *headers[10];
    const char *query, *ip;
    bool spares, no_route;
    enum rate_limit_inherit inherit;
    const char *taken; /* from each descriptor's bucket, and the common one */
} asked[] = {
    { { "x-user", "bob", ":path", "/b" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "10000101" },
    { { "x-user", "bob", ":path", "/b" }, "a=1&page=2", "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "01000101" },
    { { "x-user", "bob", ":path", "/b" }, "page=3", "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00000101" },
    { { ":path", "/b" }, "page=2", "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00000101" },
    { { "x-user", "eve", ":path", "/b" }, NULL, "10.0.0.9", false, false, RATE_LIMIT_OVERRIDE, "00010101" },
    { { "x-user", "eve", ":path", "/Abc", "x-no", "0" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00001001" },
    { { ":path", "/Abc", "x-no", "1" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00000101" },
    { { ":path", "/Abc" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00000101" }, /* missing is no mismatch */
    { { ":path", "/Abc", "x-no", "0", "x-never", "1" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_OVERRIDE, "00000101" },
    { { ":path", "/b" }, NULL, "10.0.0.1", true, false, RATE_LIMIT_OVERRIDE, "00000100" },
    { { ":path", "/b" }, NULL, "10.0.0.1", false, false, RATE_LIMIT_INCLUDE, "00000111" },
    { { ":path", "/b" }, NULL, "10.0.0.1", false, true, RATE_LIMIT_OVERRIDE, "00000011" },
    { { ":path", "/b" }, NULL, "10.0.0.1", false, true, RATE_LIMIT_IGNORE, "00000001" },
    { { ":path", "/b" }, NULL, "10.0.0.1", true, true, RATE_LIMIT_IGNORE, "00000001" },
};

START_TEST(takes_by_descriptors)
{
    const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("all", 9, 1, 1000), .descriptors = descriptors,
                                  .ndescriptors = COUNT(descriptors), .enabled_ppm = 1000000, .enforced_ppm = 1000000,
                                  .spares_bucket = asked[_i].spares, .inherit = asked[_i].inherit };
    struct rate_limiter r = open_at(&l, 0);
    const struct rate_limit_facts f = { .headers = { header, asked[_i].headers }, .remote_ip = str_of(asked[_i].ip),
                                        .query = asked[_i].query ? str_of(asked[_i].query) : STR_NULL,
                                        .route = asked[_i].no_route ? NULL : &route_rules, .host = &host_rules };
    struct rate_limit_verdict v;
    char taken[COUNT(descriptors) + 2] = "";

    rate_limit_ask(&r, &f, 0, &rng, &v);
    ck_assert(v.counted && !v.limited && !v.refused && v.bucket);
    for (size_t i = 0; i < COUNT(descriptors); i++)
        taken[i] = (char)('0' + 9 - rate_bucket_left(r.descriptors[i], 0));
    taken[COUNT(descriptors)] = (char)('0' + 9 - rate_bucket_left(r.bucket, 0));
    ck_assert_str_eq(taken, asked[_i].taken);
    rate_limiter_close(&r, all);
}
END_TEST

/* The bucket that refuses is the one that is told of; else the first that was asked. */
START_TEST(tells_of_the_one_that_decides)
{
    static const struct rate_limit_descriptor one[] = { { host_entry, 1, BUCKET("slow", 2, 1, 1000) } };
    static const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("all", 1, 1, 1000), .descriptors = one,
                                         .ndescriptors = 1, .actions = host_actions, .nactions = 1, .enabled_ppm = 1000000,
                                         .enforced_ppm = 0 };
    struct rate_limiter r = open_at(&l, 0);
    const struct rate_limit_facts f = { .route = &route_rules };
    struct rate_limit_verdict v;

    rate_limit_ask(&r, &f, 0, &rng, &v);
    ck_assert(!v.limited && v.bucket == r.descriptors[0]);
    rate_limit_ask(&r, &f, 0, &rng, &v);
    ck_assert(v.limited && !v.refused && v.bucket == r.bucket);
    rate_limit_ask(&r, &f, 0, &rng, &v);
    ck_assert(v.limited && v.bucket == r.descriptors[0]);
    ck_assert_uint_eq(r.counts->enabled, 3);
    ck_assert_uint_eq(r.counts->ok, 1);
    ck_assert_uint_eq(r.counts->limited, 2);
    ck_assert_uint_eq(r.counts->enforced, 0);
    rate_limiter_close(&r, all);
}
END_TEST

/* Half of the requests are counted, and half of those that are over are refused. */
START_TEST(goes_by_its_shares)
{
    enum { N = 40000 };
    static const struct rate_limit l = { .stat_prefix = STR_INIT("p"), .bucket = BUCKET("all", 1, 1, 1000), .enabled_ppm = 500000,
                                         .enforced_ppm = 500000 };
    struct rate_limiter r = open_at(&l, 0);
    const struct rate_limit_facts f = { .route = NULL };
    struct rate_limit_verdict v;

    for (int i = 0; i < N; i++)
        rate_limit_ask(&r, &f, 0, &rng, &v);
    ck_assert(r.counts->enabled > N / 2 - N / 20 && r.counts->enabled < N / 2 + N / 20);
    ck_assert_uint_eq(r.counts->ok, 1);
    ck_assert_uint_eq(r.counts->limited, r.counts->enabled - 1);
    ck_assert(r.counts->enforced > N / 4 - N / 20 && r.counts->enforced < N / 4 + N / 20);
    rate_limiter_close(&r, all);
}
END_TEST

START_TEST(limits_connections)
{
    static const struct rate_limit on = { .of_connections = true, .stat_prefix = STR_INIT("c"), .bucket = BUCKET("on", 1, 1, 1000),
                                          .enabled_ppm = 1000000 };
    static const struct rate_limit off = { .of_connections = true, .stat_prefix = STR_INIT("c"), .bucket = BUCKET("off", 1, 1, 1000) };
    struct rate_limiter r = open_at(&on, 0), o = open_at(&off, 0);

    ck_assert(rate_limit_ask_connection(&r, 0));
    ck_assert(!rate_limit_ask_connection(&r, 0));
    ck_assert(rate_limit_ask_connection(&r, SECOND));
    ck_assert(rate_limit_ask_connection(&o, 0) && rate_limit_ask_connection(&o, 0));
    ck_assert_uint_eq(r.counts->limited, 1);
    rate_limiter_close(&r, all);
    rate_limiter_close(&o, all);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("proxy/rate_limit");
    TCase *t = tcase_create("rate_limit");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, fills_by_the_interval);
    tcase_add_test(t, gives_just_what_comes);
    tcase_add_test(t, threads_share_every_token);
    tcase_add_test(t, lives_on_by_its_key);
    tcase_add_loop_test(t, takes_by_descriptors, 0, COUNT(asked));
    tcase_add_test(t, tells_of_the_one_that_decides);
    tcase_add_test(t, goes_by_its_shares);
    tcase_add_test(t, limits_connections);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
