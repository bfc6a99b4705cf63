#include "base/mem.h"
#include "base/rand.h"
#include "store/head-internal.h"
#include "tests/unit/unit.h"

#include <string.h>

static void append(struct head *h, uint32_t id, const struct sample *s, size_t n)
{
    ck_assert_int_eq(head_grow(h, id + 1), 0);
    ck_assert_int_eq(head_reserve(h, 1, n), 0);
    head_append(h, id, s, n);
}

static size_t read_view(const struct head_view *v, int64_t from, int64_t to, struct sample *out)
{
    int64_t t[256];
    double d[256];
    size_t at, n;

    ck_assert_uint_le(v->n + v->n_late, COUNT(t));
    ck_assert_int_eq(head_read(v, from, to, t, d, &at, &n), 0);
    for (size_t i = 0; i < n; i++)
        out[i] = (struct sample){ t[at + i], d[at + i] };
    return n;
}

static size_t read_all(const struct head *h, uint32_t id, struct sample *out)
{
    struct head_view v;

    return head_look(h, id, &v) ? read_view(&v, INT64_MIN, INT64_MAX, out) : 0;
}

static void expect(const struct sample *got, size_t n, const struct sample *want, size_t m)
{
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(got[i].t, want[i].t);
        ck_assert_mem_eq(&got[i].v, &want[i].v, sizeof(double));
    }
}

START_TEST(sorts_and_lets_the_last_win)
{
    const struct sample in[] = { { 10, 1 }, { 30, 3 }, { 20, 2 }, { 10, 9 }, { -5, 0 },
                                { 30, 4 }, { 40, 5 }, { 10, 8 } };
    const struct sample want[] = { { -5, 0 }, { 10, 8 }, { 20, 2 }, { 30, 4 }, { 40, 5 } };
    struct head *h = head_new();
    struct sample got[256];
    int64_t first, last;

    append(h, 7, in, COUNT(in));
    expect(got, read_all(h, 7, got), want, COUNT(want));
    ck_assert_uint_eq(head_samples(h), COUNT(in));
    head_range(h, &first, &last);
    ck_assert(first == -5 && last == 40);
    ck_assert_uint_eq(read_all(h, 6, got), 0);
    ck_assert_uint_eq(read_all(h, 100000, got), 0);
    head_release(h);
}
END_TEST

START_TEST(takes_any_time)
{
    const struct sample in[] = { { INT64_MIN, 1 }, { -1, 2 }, { INT64_MAX, 3 }, { 0, 4 }, { INT64_MIN + 1, 5 } };
    const struct sample want[] = { { INT64_MIN, 1 }, { INT64_MIN + 1, 5 }, { -1, 2 }, { 0, 4 }, { INT64_MAX, 3 } };
    struct head *h = head_new();
    struct sample got[256];

    append(h, 1, in, COUNT(in));
    expect(got, read_all(h, 1, got), want, COUNT(want));
    head_release(h);
}
END_TEST

START_TEST(keeps_what_was_noted)
{
    struct head *h = head_new();
    struct head_view early;
    struct sample got[256], s[200];

    for (int i = 0; i < 200; i++)
        s[i] = (struct sample){ i * 10, i };
    append(h, 3, s, 50);
    ck_assert(head_look(h, 3, &early));
    append(h, 3, s + 50, 150);
    append(h, 3, &(struct sample){ 5, -1 }, 1);
    expect(got, read_view(&early, INT64_MIN, INT64_MAX, got), s, 50);
    expect(got, read_view(&early, 100, 190, got), s + 10, 10);
    head_hold(h);
    head_release(h); /* somebody still looks */
    expect(got, read_view(&early, 0, 0, got), s, 1);
    head_release(h);
}
END_TEST

START_TEST(agrees_with_a_plain_array)
{
    enum { TIMES = 120 };
    struct head *h = head_new();
    struct rng r;
    bool there[TIMES] = { false };
    double v[TIMES];
    struct sample got[256];
    struct head_view view;

    rng_seed(&r);
    for (int i = 0; i < 200; i++) {
        size_t at = rng_below(&r, 3) ? (size_t)i * TIMES / 200 : rng_below(&r, TIMES);

        there[at] = true;
        v[at] = (double)i;
        append(h, 9, &(struct sample){ (int64_t)at, v[at] }, 1);
    }
    for (int round = 0; round < 50; round++) {
        size_t from = rng_below(&r, TIMES), to = from + rng_below(&r, TIMES), n, k = 0;

        ck_assert(head_look(h, 9, &view));
        n = read_view(&view, (int64_t)from, (int64_t)to, got);
        for (size_t at = from; at <= to && at < TIMES; at++)
            if (there[at]) {
                ck_assert_uint_lt(k, n);
                ck_assert(got[k].t == (int64_t)at && got[k].v == v[at]);
                k++;
            }
        ck_assert_uint_eq(k, n);
    }
    head_release(h);
}
END_TEST

/* Each series has its own stretch of time, late samples before it, and the head has more than each of them. */
START_TEST(knows_who_reaches_into_a_range)
{
    enum { SERIES = 40 };
    struct head *h = head_new();
    struct rng r;

    rng_seed(&r);
    for (uint32_t id = 1; id < SERIES; id++)
        for (int64_t i = 0, base = (int64_t)rng_below(&r, 500); i < 90; i++)
            append(h, id, &(struct sample){ base + (rng_below(&r, 30) ? i : -(int64_t)rng_below(&r, 50)), 0 }, 1);
    for (int round = 0; round < 3000; round++) {
        int64_t from = (int64_t)rng_below(&r, 700) - 50, to = from + (int64_t)rng_below(&r, 80), first, last;
        uint32_t id = 1 + (uint32_t)rng_below(&r, SERIES);
        struct head_view v;
        bool want = false;

        if (head_look(h, id, &v)) {
            head_view_range(&v, &first, &last);
            want = first <= to && last >= from;
        }
        ck_assert(head_reaches(h, id, from, to) == want);
    }
    ck_assert(head_reaches(h, 1, -100, 1000) && !head_reaches(h, SERIES, -100, 1000));
    head_release(h);
}
END_TEST

START_TEST(says_when_there_is_no_memory)
{
    struct head *h = head_new();

    for (long at = 1; at < 4; at++) {
        mem_fail_at(at);
        ck_assert(head_grow(h, 3000) == ERR_NOMEM || head_reserve(h, 10, 1000) == ERR_NOMEM);
        mem_fail_at(0);
    }
    append(h, 2999, &(struct sample){ 1, 1 }, 1);
    ck_assert_uint_eq(head_samples(h), 1);
    head_release(h);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("head");
    TCase *tc = tcase_create("head");

    tcase_add_test(tc, sorts_and_lets_the_last_win);
    tcase_add_test(tc, takes_any_time);
    tcase_add_test(tc, keeps_what_was_noted);
    tcase_add_test(tc, agrees_with_a_plain_array);
    tcase_add_test(tc, knows_who_reaches_into_a_range);
    tcase_add_test(tc, says_when_there_is_no_memory);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)
