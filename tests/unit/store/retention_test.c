#include "base/rand.h"
#include "store/events.h"
#include "tests/unit/store/fixture.h"

#include <time.h>

static char dir[64];
static struct arena a;

static void setup(void)
{
    fixture_dir(dir);
    a = (struct arena)ARENA_INIT(0);
}

static void teardown(void)
{
    arena_free(&a);
    fixture_remove(dir);
}

#define HOUR ((int64_t)3600 * 1000)

static struct store *open_retaining(int64_t retention_ms, size_t seal)
{
    const struct store_tuning tuning = {.seal_samples = seal};
    const struct store_options options = { .retention_ms = retention_ms };
    struct err e = ERR_INIT;
    struct store *st = store_open_tuned(dir, &options, &tuning, &e);

    ck_assert_msg(st != NULL, "%s", e.msg);
    return st;
}

static void write_log(struct store *st, int64_t time_ms)
{
    union event_value v[LOG_NCOLUMNS] = { 0 };
    const struct event ev = { .time_ns = time_ms * 1000000, .values = v };
    struct batch b;

    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_event(&b, EVENT_LOG, &ev), 0);
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
}

static size_t count_logs(struct store *st)
{
    const struct event_query q = { .kind = EVENT_LOG, .from_ns = INT64_MIN, .to_ns = INT64_MAX };
    struct event_cursor *c = events_open(st, &q, &a, NULL);
    struct event_page p;
    size_t n = 0;

    while (events_next(c, &p, NULL) == 1)
        n += p.n;
    events_close(c);
    return n;
}

static size_t count_samples(struct store *st, const char *instance)
{
    struct arena own = ARENA_INIT(0);
    struct sample *got;
    size_t n = fixture_read(st, "m", instance, INT64_MIN, INT64_MAX, &own, &got);

    arena_free(&own);
    return n;
}

/* Samples and rows go by days; what is not sealed yet stays. */
START_TEST(drops_what_is_old)
{
    struct store *st = open_retaining(10 * HOUR, 1000000);
    const struct sample old[] = { { 1 * HOUR, 1 }, { 2 * HOUR, 2 } }, new[] = { { 40 * HOUR, 3 }, { 41 * HOUR, 4 } };
    struct store_stats stats;

    ck_assert_int_eq(fixture_write(st, "m", "old", 0, old, 2), 0);
    ck_assert_int_eq(fixture_write(st, "m", "both", 0, old, 2), 0);
    ck_assert_int_eq(fixture_write(st, "m", "both", 0, new, 2), 0);
    for (int i = 1; i <= 3000; i++)
        write_log(st, i < 2500 ? HOUR : 40 * HOUR);
    ck_assert_int_eq(store_retain(st, 42 * HOUR, NULL), 0);
    ck_assert_uint_eq(count_samples(st, "old"), 2);
    ck_assert_uint_eq(count_logs(st), 3000);
    ck_assert_int_eq(sealer_seal_all(st, NULL), 0);
    ck_assert_int_eq(store_retain(st, 42 * HOUR, NULL), 0);
    ck_assert_uint_eq(count_samples(st, "old"), 0);
    ck_assert_uint_eq(count_samples(st, "both"), 2);
    ck_assert_uint_eq(count_logs(st), 501);
    store_stats(st, &stats);
    ck_assert_uint_eq(stats.series, 1);
    ck_assert_int_eq(fixture_write(st, "m", "old", 0, new, 1), 0); /* comes again, as a new series */
    store_close(st);
    st = open_retaining(10 * HOUR, 1000000);
    ck_assert_int_eq(store_retain(st, 42 * HOUR, NULL), 0);
    ck_assert_uint_eq(count_samples(st, "old"), 1);
    ck_assert_uint_eq(count_samples(st, "both"), 2);
    store_close(st);
}
END_TEST

START_TEST(zero_keeps_for_ever)
{
    struct store *st = open_retaining(0, 1000000);
    const struct sample s = { 1, 1 };

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &s, 1), 0);
    write_log(st, 1);
    ck_assert_int_eq(store_retain(st, (int64_t)1 << 60, NULL), 0);
    ck_assert_uint_eq(count_samples(st, "1"), 1);
    ck_assert_uint_eq(count_logs(st), 1);
    store_close(st);
}
END_TEST

static uint64_t last_number(struct store *st)
{
    uint64_t number = 99;

    ck_assert_int_eq(store_sender_last(st, STR("x"), &number, NULL), 0);
    return number;
}

/* _i: lasting ones after a year more */
START_TEST(forgets_senders_after_a_week)
{
    struct store *st = open_retaining(HOUR, 1000000);
    struct batch b;
    int64_t now_ms = (int64_t)time(NULL) * 1000, more = _i ? 365 * 24 * HOUR : 0;

    ck_assert_uint_eq(last_number(st), 0);
    batch_init(&b, &a);
    b.sender = STR("x");
    b.number = 7;
    b.lasting = _i;
    ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    ck_assert_int_eq(store_retain(st, now_ms + more + 6 * 24 * HOUR, NULL), 0);
    ck_assert_uint_eq(last_number(st), 7);
    ck_assert_int_eq(store_retain(st, now_ms + more + 8 * 24 * HOUR, NULL), 0);
    ck_assert_uint_eq(last_number(st), 0);
    store_close(st);
}
END_TEST

/* The file shrinks, or at least stops growing. */
START_TEST(gives_space_back)
{
    enum { TEXT = 1024 };
    struct store *st = open_retaining(HOUR, 1000000);
    struct store_stats full, empty;
    struct rng r = { { 1, 2, 3, 4 } };

    for (int i = 0; i < 20; i++) {
        union event_value v[LOG_NCOLUMNS] = { 0 };
        struct batch b;

        batch_init(&b, &a);
        for (int k = 0; k < 500; k++) {
            const struct event ev = { .time_ns = k, .values = v };
            char *text = arena_alloc(&a, TEXT + 1);

            ck_assert_ptr_nonnull(text);
            rng_hex(&r, text, TEXT);
            v[LOG_body].s = (struct str){ text, TEXT };

            ck_assert_int_eq(batch_add_event(&b, EVENT_LOG, &ev), 0);
        }
        ck_assert_int_eq(store_commit(st, &b, NULL), 0);
    }
    store_close(st);
    st = open_retaining(HOUR, 1000000);
    store_stats(st, &full);
    ck_assert_int_eq(store_retain(st, 100 * HOUR, NULL), 0);
    store_close(st);
    st = open_retaining(HOUR, 1000000);
    store_stats(st, &empty);
    ck_assert_uint_eq(count_logs(st), 0);
    ck_assert_msg(empty.disk_bytes < full.disk_bytes / 2, "%llu of %llu bytes left",
                  (unsigned long long)empty.disk_bytes, (unsigned long long)full.disk_bytes);
    store_close(st);
}
END_TEST

static int delete(struct store *st, const char *instance, int64_t from_ms, int64_t to_ms)
{
    struct matcher m;
    struct series_query q = { .matchers = &m, .n = 1, .from_ms = from_ms, .to_ms = to_ms };

    matcher_init(&m, &a, MATCH_EQ, STR("i"), str_of(instance), NULL);
    return series_delete(st, &q, NULL);
}

/* From head and blocks, and not back after a replay. */
START_TEST(deletes_ranges)
{
    struct store *st = open_retaining(0, _i ? 1 : 1000000);
    const struct sample in[] = { { 10, 1 }, { 20, 2 }, { 30, 3 }, { 40, 4 } }, more = { 25, 9 };
    struct sample *got;

    ck_assert_int_eq(fixture_write(st, "m", "1", 0, in, 4), 0);
    ck_assert_int_eq(fixture_write(st, "m", "2", 0, in, 4), 0);
    ck_assert_int_eq(delete(st, "1", 20, 30), 0);
    ck_assert_uint_eq(count_samples(st, "1"), 2);
    ck_assert_uint_eq(count_samples(st, "2"), 4);
    ck_assert_int_eq(fixture_write(st, "m", "1", 0, &more, 1), 0);
    ck_assert_int_eq(delete(st, "2", INT64_MIN, INT64_MAX), 0);
    for (int round = 0; round < 2; round++) {
        ck_assert_uint_eq(fixture_read(st, "m", "1", 0, 100, &a, &got), 3);
        ck_assert_int_eq(got[1].t, 25);
        arena_free(&a);
        ck_assert_uint_eq(count_samples(st, "2"), 0);
        store_close(st);
        st = open_retaining(0, 1000000);
    }
    store_close(st);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("retention");
    TCase *tc = tcase_create("retention");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, drops_what_is_old);
    tcase_add_test(tc, zero_keeps_for_ever);
    tcase_add_loop_test(tc, forgets_senders_after_a_week, 0, 2);
    tcase_add_test(tc, gives_space_back);
    tcase_add_loop_test(tc, deletes_ranges, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
