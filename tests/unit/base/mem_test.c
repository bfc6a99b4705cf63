#include "base/mem.h"

#include "base/err.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

START_TEST(behaves_as_malloc)
{
    char *p = mem_alloc(10), *z = mem_zalloc(10), *s = mem_strdup("vigla"), *nothing = mem_alloc(0);

    ck_assert(p && z && nothing);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(z[i], 0);
    memcpy(p, "123456789", 10);
    p = mem_realloc(p, 1000);
    ck_assert_str_eq(p, "123456789");
    ck_assert_str_eq(s, "vigla");
    mem_free(p);
    mem_free(z);
    mem_free(s);
    mem_free(nothing);
    mem_free(NULL);
}
END_TEST

static const struct {
    size_t cap, need, size;
    int rc;
    size_t to;
} growths[] = {
    { 0, 0, 4, 0, 0 },
    { 0, 1, 4, 0, 8 },
    { 8, 8, 4, 0, 8 },
    { 8, 9, 4, 0, 16 },
    { 10, 41, 4, 0, 80 },
    { 8, SIZE_MAX, 1, ERR_NOMEM, 8 },
    { 8, SIZE_MAX / 2, 4, ERR_NOMEM, 8 },
};

START_TEST(grows_by_doubling)
{
    size_t cap = growths[_i].cap;
    char *p = cap ? mem_zalloc(cap * growths[_i].size) : NULL, *before = p;

    ck_assert_int_eq(mem_grow(&p, &cap, growths[_i].need, growths[_i].size), growths[_i].rc);
    ck_assert_uint_eq(cap, growths[_i].to);
    if (growths[_i].rc)
        ck_assert_ptr_eq(p, before);
    else if (cap)
        memset(p, 1, cap * growths[_i].size);
    mem_free(p);
}
END_TEST

START_TEST(the_nth_fails_once)
{
    for (long n = 1; n <= 3; n++) {
        void *p[4];

        mem_fail_at(n);
        for (int i = 0; i < 4; i++) {
            p[i] = mem_alloc(8);
            ck_assert_msg((p[i] == NULL) == (i + 1 == n), "fail at %ld, allocation %d", n, i + 1);
            ck_assert_int_eq(mem_has_failed(), i + 1 >= n);
        }
        for (int i = 0; i < 4; i++)
            mem_free(p[i]);
    }
    mem_fail_at(2);
    mem_fail_at(0);
    for (int i = 0; i < 3; i++)
        mem_free(mem_alloc(1));
    ck_assert_int_eq(mem_has_failed(), 0);
}
END_TEST

static void *by_zalloc(void)
{
    return mem_zalloc(4);
}

static void *by_realloc(void)
{
    return mem_realloc(NULL, 4);
}

static void *by_strdup(void)
{
    return mem_strdup("x");
}

static void *by_grow(void)
{
    char *p = NULL;
    size_t cap = 0;
    int rc = mem_grow(&p, &cap, 3, 1);

    ck_assert((rc == ERR_NOMEM) == (p == NULL));
    ck_assert_uint_eq(cap, p ? 8 : 0);
    return p;
}

static const struct {
    const char *what;
    void *(*call)(void);
} doors[] = { { "zalloc", by_zalloc }, { "realloc", by_realloc }, { "strdup", by_strdup }, { "grow", by_grow } };

START_TEST(every_door_fails)
{
    void *p;

    mem_fail_at(1);
    ck_assert_msg(doors[_i].call() == NULL, "%s", doors[_i].what);
    p = doors[_i].call();
    ck_assert_ptr_nonnull(p);
    mem_free(p);
    mem_fail_at(0);
}
END_TEST

static void *allocate(void *failures)
{
    for (int i = 0; i < 1000; i++) {
        void *p = mem_alloc(16);

        if (!p)
            atomic_fetch_add((atomic_int *)failures, 1);
        mem_free(p);
    }
    return NULL;
}

START_TEST(fails_once_for_all_threads)
{
    pthread_t threads[4];
    atomic_int failures = 0;

    mem_fail_at(1500);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, allocate, &failures);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mem_fail_at(0);
    ck_assert_int_eq(failures, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mem");
    TCase *t = tcase_create("mem");

    tcase_add_test(t, behaves_as_malloc);
    tcase_add_loop_test(t, grows_by_doubling, 0, COUNT(growths));
    tcase_add_test(t, the_nth_fails_once);
    tcase_add_loop_test(t, every_door_fails, 0, COUNT(doors));
    tcase_add_test(t, fails_once_for_all_threads);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
