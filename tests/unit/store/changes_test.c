/* changes_test.c: what is told to have changed is never less than what has. */
#include "base/rand.h"
#include "store/changes-internal.h"
#include "tests/unit/unit.h"

enum { NOTES = 5000 };

static int64_t lowest_since(const int64_t *noted, uint64_t from, uint64_t to)
{
    int64_t lowest = INT64_MAX;

    for (uint64_t i = from; i < to; i++)
        lowest = noted[i] < lowest ? noted[i] : lowest;
    return lowest;
}

/* Times rise, with some late ones; readers come back after any number of changes. */
START_TEST(tells_no_less_than_there_was)
{
    static int64_t noted[NOTES];
    struct rng r = { { 7, (uint64_t)_i + 1, 3, 4 } };
    struct changes c;
    size_t exact = 0;

    ck_assert_int_eq(changes_init(&c), 0);
    for (uint64_t n = 0; n < NOTES; n++) {
        uint64_t since = n < 50 || rng_below(&r, 2) ? rng_below(&r, n + 1) : n - rng_below(&r, 50), mark = since;
        int64_t want = lowest_since(noted, since, n), got = changes_since(&c, &mark);

        ck_assert_uint_eq(mark, n);
        ck_assert_msg(got <= want && (want < INT64_MAX) == (got < INT64_MAX), "since %llu of %llu: %lld, should be %lld",
                      (unsigned long long)since, (unsigned long long)n, (long long)got, (long long)want);
        exact += got == want;
        noted[n] = (int64_t)n * 1000 - (rng_below(&r, 20) ? 0 : (int64_t)rng_below(&r, 100000));
        changes_note(&c, noted[n]);
    }
    ck_assert_uint_gt(exact, NOTES / 4);
    changes_fini(&c);
}
END_TEST

START_TEST(a_loss_hides_all)
{
    struct changes c;
    uint64_t mark = 0;

    ck_assert_int_eq(changes_init(&c), 0);
    ck_assert(changes_since(&c, &mark) == INT64_MAX);
    changes_note(&c, 5000);
    changes_note(&c, INT64_MIN);
    changes_note(&c, 6000);
    ck_assert(changes_since(&c, &mark) == INT64_MIN);
    ck_assert(changes_since(&c, &mark) == INT64_MAX);
    changes_note(&c, 7000);
    ck_assert(changes_since(&c, &mark) == 7000);
    changes_fini(&c);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("changes");
    TCase *tc = tcase_create("changes");

    tcase_add_loop_test(tc, tells_no_less_than_there_was, 0, 4);
    tcase_add_test(tc, a_loss_hides_all);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
