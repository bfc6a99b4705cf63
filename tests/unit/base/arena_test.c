#include "base/arena.h"

#include "base/err.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <stdalign.h>

START_TEST(allocates_aligned_and_apart)
{
    struct arena a = ARENA_INIT(0);
    char *last = NULL;

    for (size_t n = 0; n < 3000; n += n / 7 + 1) {
        char *p = arena_alloc(&a, n);

        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % alignof(max_align_t), 0);
        ck_assert_ptr_ne(p, last);
        memset(p, 0xab, n);
        last = p;
    }
    ck_assert_uint_gt(a.used, 3000);
    arena_free(&a);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_ptr_nonnull(arena_alloc(&a, 1)); /* as new */
    arena_free(&a);
}
END_TEST

START_TEST(zeroes)
{
    struct arena a = ARENA_INIT(0);
    struct err *e;
    unsigned char *p = arena_alloc(&a, 64), *z;

    memset(p, 0xff, 64);
    arena_free(&a);
    z = arena_zalloc(&a, 64);
    for (int i = 0; i < 64; i++)
        ck_assert_uint_eq(z[i], 0);
    z = arena_array(&a, 16, 4);
    for (int i = 0; i < 64; i++)
        ck_assert_uint_eq(z[i], 0);
    e = ARENA_NEW(&a, struct err);
    ck_assert_int_eq(e->code, 0);
    arena_free(&a);
}
END_TEST

static const struct {
    size_t max, n, size;
    bool fits;
} bounds[] = {
    { 0, 1 << 20, 1, true },
    { 1024, 1024, 1, true },
    { 1024, 1009, 1, true },
    { 1024, 1025, 1, false },
    { 16, 1, 1, true },
    { 0, SIZE_MAX, 1, false },
    { 0, SIZE_MAX / 2, 4, false },
    { 0, SIZE_MAX / 8 + 2, 8, false }, /* n * size wraps around */
    { 0, 5, 0, true },
};

START_TEST(has_a_ceiling)
{
    struct arena a = ARENA_INIT(bounds[_i].max);
    void *p = arena_array(&a, bounds[_i].n, bounds[_i].size);

    ck_assert((p != NULL) == bounds[_i].fits);
    if (bounds[_i].max && p) {
        ck_assert_ptr_null(arena_alloc(&a, bounds[_i].max));
        ck_assert_uint_le(a.used, bounds[_i].max);
    }
    arena_free(&a);
}
END_TEST

START_TEST(copies_texts)
{
    struct arena a = ARENA_INIT(0);
    struct str s = arena_str(&a, STR("a\0b")), empty = arena_str(&a, STR_NULL);
    char *c = arena_cstr(&a, STR("text"));
    struct str f = arena_printf(&a, "%s-%d", "x", 7), nothing = arena_printf(&a, "%s", "");

    ck_assert(str_eq(s, STR("a\0b")));
    ck_assert_int_eq(s.p[3], '\0');
    ck_assert_ptr_nonnull(empty.p);
    ck_assert_uint_eq(empty.n, 0);
    ck_assert_str_eq(c, "text");
    ck_assert(str_eqz(f, "x-7"));
    ck_assert_int_eq(f.p[3], '\0');
    ck_assert(nothing.p && nothing.n == 0);
    arena_free(&a);
}
END_TEST

START_TEST(grows_arrays)
{
    struct arena a = ARENA_INIT(0);
    uint32_t *v = NULL;
    size_t cap = 0;

    for (uint32_t i = 0; i < 1000; i++) {
        ck_assert_int_eq(arena_grow(&a, &v, &cap, i + 1, sizeof(*v)), 0);
        ck_assert_uint_gt(cap, i);
        v[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(v[i], i);
    ck_assert_int_eq(arena_grow(&a, &v, &cap, SIZE_MAX, sizeof(*v)), ERR_NOMEM);
    ck_assert_int_eq(arena_grow(&a, &v, &cap, SIZE_MAX / 2, sizeof(*v)), ERR_NOMEM);
    ck_assert_uint_eq(v[999], 999);
    arena_free(&a);
}
END_TEST

struct hook {
    int id, *called;
    size_t *n;
};

static void record_call(void *arg)
{
    struct hook *h = arg; /* in the arena: still there */

    h->called[(*h->n)++] = h->id;
}

START_TEST(hooks_run_newest_first_and_once)
{
    struct arena a = ARENA_INIT(0);
    int called[4];
    size_t n = 0;

    for (int i = 0; i < 3; i++) {
        struct hook *h = ARENA_NEW(&a, struct hook);

        *h = (struct hook){ i, called, &n };
        ck_assert_int_eq(arena_on_free(&a, record_call, h), 0);
    }
    arena_free(&a);
    ck_assert_uint_eq(n, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(called[i], 2 - i);
    arena_free(&a);
    ck_assert_uint_eq(n, 3);
}
END_TEST

static void do_nothing(void *arg)
{
    (void)arg;
}

static bool scenario(struct arena *a)
{
    size_t cap = 0;
    int *v = NULL;

    return arena_str(a, STR("text")).p && arena_zalloc(a, 10000) && arena_printf(a, "%d", 1).p &&
           arena_grow(a, &v, &cap, 100000, sizeof(*v)) == 0 && arena_on_free(a, do_nothing, NULL) == 0;
}

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct arena a = ARENA_INIT(0);
        bool ok, failed;

        mem_fail_at(n);
        ok = scenario(&a);
        failed = mem_has_failed();
        mem_fail_at(0);
        arena_free(&a);
        ck_assert(ok == !failed);
        if (ok)
            break;
    }
}
END_TEST

/* Two arenas, one budget: what one holds the other cannot, until it is given back. */
START_TEST(shares_a_budget)
{
    struct arena_budget budget = { .max = 16384 };
    struct arena a = ARENA_INIT(0), b = ARENA_INIT(0);

    a.budget = b.budget = &budget;
    ck_assert_ptr_nonnull(arena_alloc(&a, 9000));
    ck_assert_ptr_null(arena_alloc(&b, 9000));
    ck_assert_ptr_null(arena_alloc(&b, 20000));
    ck_assert_ptr_nonnull(arena_alloc(&b, 100));
    arena_free(&a);
    ck_assert_ptr_nonnull(arena_alloc(&b, 9000));
    arena_free(&b);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

/* What is elsewhere counts, against both bounds, until the end. */
START_TEST(is_charged)
{
    struct arena_budget budget = { .max = 16384 };
    struct arena a = ARENA_INIT(10000), b = ARENA_INIT(0);

    a.budget = b.budget = &budget;
    ck_assert_int_eq(arena_charge(&a, 10001), ERR_NOMEM);
    ck_assert_int_eq(arena_charge(&a, 6000), 0);
    ck_assert_int_eq(arena_charge(&a, 4001), ERR_NOMEM);
    ck_assert_ptr_null(arena_alloc(&a, 4001));
    ck_assert_int_eq(arena_charge(&b, 10385), ERR_NOMEM);
    ck_assert_int_eq(arena_charge(&b, 10384), 0);
    arena_free(&b);
    ck_assert_ptr_nonnull(arena_alloc(&a, 100));
    arena_free(&a);
    ck_assert_uint_eq(budget.used, 0);
    ck_assert_int_eq(arena_charge(&a, 10000), 0);
    arena_free(&a);
}
END_TEST

/* One block, of just that size: measured by a budget, which counts blocks. */
START_TEST(reserves)
{
    struct arena_budget budget = { .max = 40000 };
    struct arena a = ARENA_INIT(0);

    a.budget = &budget;
    ck_assert_int_eq(arena_reserve(&a, 9057), 0);
    ck_assert_uint_eq(a.used, 0);
    ck_assert_uint_eq(budget.used, 9072);
    for (int i = 0; i < 9; i++)
        ck_assert_ptr_nonnull(arena_alloc(&a, 1000));
    ck_assert_uint_eq(budget.used, 9072);
    ck_assert_ptr_nonnull(arena_alloc(&a, 16));
    ck_assert_uint_gt(budget.used, 9072);
    ck_assert_int_eq(arena_reserve(&a, 40000), ERR_NOMEM);
    ck_assert_int_eq(arena_reserve(&a, SIZE_MAX), ERR_NOMEM);
    arena_free(&a);
    ck_assert_uint_eq(budget.used, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("arena");
    TCase *t = tcase_create("arena");

    tcase_add_test(t, allocates_aligned_and_apart);
    tcase_add_test(t, zeroes);
    tcase_add_loop_test(t, has_a_ceiling, 0, COUNT(bounds));
    tcase_add_test(t, copies_texts);
    tcase_add_test(t, grows_arrays);
    tcase_add_test(t, hooks_run_newest_first_and_once);
    tcase_add_test(t, says_when_memory_is_short);
    tcase_add_test(t, shares_a_budget);
    tcase_add_test(t, is_charged);
    tcase_add_test(t, reserves);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
