/* Buffers of bodies are used again, a few of them, and only those that are worth it. */
#include "api/http-internal.h"
#include "tests/unit/unit.h"

enum { MAX_BODY = 32 << 20, MB = 1 << 20 };

static struct buf expected(struct bodies *b, size_t n)
{
    struct buf body = BUF_INIT(MAX_BODY);

    bodies_expect(b, &body, n);
    ck_assert_ptr_nonnull(body.p);
    ck_assert_uint_eq(body.n, 0);
    return body;
}

START_TEST(is_used_again_by_one_of_its_size)
{
    struct bodies b;
    struct buf body;
    const char *p;

    bodies_init(&b);
    body = expected(&b, 4 * MB - 1000);
    p = body.p;
    bodies_done(&b, &body);
    ck_assert_ptr_null(body.p);
    ck_assert_uint_eq(body.cap, 0);
    ck_assert_uint_eq(body.max, MAX_BODY);
    body = expected(&b, 4 * MB); /* a little longer */
    ck_assert_ptr_eq(body.p, p);
    ck_assert_ptr_eq(buf_reserve(&body, 4 * MB), p); /* grows no more */
    bodies_done(&b, &body);
    ck_assert_uint_eq(b.n, 1);
    bodies_drop(&b);
    ck_assert_uint_eq(b.n, 0);
    bodies_fini(&b);
}
END_TEST

START_TEST(keeps_the_largest_of_them)
{
    struct buf bodies[BODIES_KEPT + 2];
    struct bodies b;

    bodies_init(&b);
    for (size_t i = 0; i < COUNT(bodies); i++)
        bodies[i] = expected(&b, (i + 1) * MB);
    for (size_t i = 0; i < COUNT(bodies); i++)
        bodies_done(&b, &bodies[i]);
    ck_assert_uint_eq(b.n, BODIES_KEPT);
    for (size_t i = 0; i < b.n; i++)
        ck_assert_uint_gt(b.spare[i].cap, (COUNT(bodies) - BODIES_KEPT) * MB);
    bodies_fini(&b);
}
END_TEST

START_TEST(lets_go_of_the_small_and_the_huge)
{
    struct buf small, huge = BUF_INIT(MAX_BODY);
    struct bodies b;

    bodies_init(&b);
    small = expected(&b, 1000);
    ck_assert_uint_le(small.cap, 1001);
    bodies_done(&b, &small);
    ck_assert_ptr_nonnull(buf_reserve(&huge, 9 * MB));
    bodies_done(&b, &huge);
    ck_assert_uint_eq(b.n, 0);
    huge = expected(&b, SIZE_MAX); /* a length is only said */
    ck_assert_uint_eq(huge.cap, BODIES_LARGEST + 1);
    bodies_done(&b, &huge);
    ck_assert_uint_eq(b.n, 1);
    bodies_fini(&b);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("bodies");
    TCase *t = tcase_create("bodies");

    tcase_add_test(t, is_used_again_by_one_of_its_size);
    tcase_add_test(t, keeps_the_largest_of_them);
    tcase_add_test(t, lets_go_of_the_small_and_the_huge);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
