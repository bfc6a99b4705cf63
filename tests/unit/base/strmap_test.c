#include "base/strmap.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/rand.h"
#include "tests/unit/unit.h"

#include <stdio.h>

enum { KEYS = 500 };

static char names[KEYS][8];

static struct str key(size_t i)
{
    snprintf(names[i], sizeof(names[i]), "k%zu", i);
    return str_of(names[i]);
}

static void *value(size_t i)
{
    return (char *)NULL + i + 1;
}

START_TEST(puts_gets_deletes)
{
    struct strmap m = STRMAP_INIT;
    void *old = value(9);

    ck_assert_ptr_null(strmap_get(&m, STR("a")));
    ck_assert_ptr_null(strmap_del(&m, STR("a")));
    ck_assert_int_eq(strmap_put(&m, STR("a"), value(1), &old), 0);
    ck_assert_ptr_null(old);
    ck_assert_int_eq(strmap_put(&m, STR("a"), value(2), &old), 0);
    ck_assert_ptr_eq(old, value(1));
    ck_assert_int_eq(strmap_put(&m, STR(""), value(3), NULL), 0);
    ck_assert_int_eq(strmap_put(&m, STR("a\0b"), value(4), NULL), 0);
    ck_assert_uint_eq(m.n, 3);
    ck_assert_ptr_eq(strmap_get(&m, STR("a")), value(2));
    ck_assert_ptr_eq(strmap_get(&m, STR_NULL), value(3));
    ck_assert_ptr_eq(strmap_get(&m, STR("a\0b")), value(4));
    ck_assert_ptr_null(strmap_get(&m, STR("a\0c")));
    ck_assert_ptr_eq(strmap_del(&m, STR("a")), value(2));
    ck_assert_ptr_null(strmap_get(&m, STR("a")));
    ck_assert_uint_eq(m.n, 2);
    strmap_free(&m);
    ck_assert_uint_eq(m.n, 0);
    ck_assert_ptr_null(strmap_get(&m, STR("a")));
    strmap_free(&m);
}
END_TEST

/* Against an array, through many puts and deletions: graves must neither hide entries nor fill the table. */
START_TEST(follows_a_naive_reference)
{
    struct strmap m = STRMAP_INIT;
    void *want[KEYS] = { NULL };
    struct rng r = { { 1, 2, 3, 4 } };
    size_t n = 0, seen = 0, at = 0;
    const struct strmap_slot *s;

    for (int step = 0; step < 100000; step++) {
        size_t i = rng_below(&r, KEYS), v = rng_below(&r, 1000);

        if (rng_below(&r, 2)) {
            void *old;

            ck_assert_int_eq(strmap_put(&m, key(i), value(v), &old), 0);
            ck_assert_ptr_eq(old, want[i]);
            n += want[i] == NULL;
            want[i] = value(v);
        } else {
            ck_assert_ptr_eq(strmap_del(&m, key(i)), want[i]);
            n -= want[i] != NULL;
            want[i] = NULL;
        }
        ck_assert_uint_eq(m.n, n);
    }
    ck_assert_uint_le(m.cap, 2048);
    for (size_t i = 0; i < KEYS; i++)
        ck_assert_ptr_eq(strmap_get(&m, key(i)), want[i]);
    while ((s = strmap_next(&m, &at)) != NULL) {
        ck_assert_ptr_eq(strmap_get(&m, s->key), s->value);
        seen++;
    }
    ck_assert_uint_eq(seen, n);
    strmap_free(&m);
}
END_TEST

START_TEST(may_be_emptied_while_walked)
{
    struct strmap m = STRMAP_INIT;
    const struct strmap_slot *s;
    size_t at = 0, n = 0;

    for (size_t i = 0; i < KEYS; i++)
        ck_assert_int_eq(strmap_put(&m, key(i), value(i), NULL), 0);
    for (; (s = strmap_next(&m, &at)) != NULL; n++)
        strmap_del(&m, s->key);
    ck_assert_uint_eq(n, KEYS);
    ck_assert_uint_eq(m.n, 0);
    strmap_free(&m);
}
END_TEST

START_TEST(says_when_memory_is_short)
{
    for (long n = 1;; n++) {
        struct strmap m = STRMAP_INIT;
        size_t i = 0;
        bool failed;

        mem_fail_at(n);
        while (i < KEYS && strmap_put(&m, key(i), value(i), NULL) == 0)
            i++;
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert((i < KEYS) == failed);
        ck_assert_uint_eq(m.n, i);
        for (size_t k = 0; k < i; k++) /* what was in before is in */
            ck_assert_ptr_eq(strmap_get(&m, key(k)), value(k));
        strmap_free(&m);
        if (!failed)
            break;
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("strmap");
    TCase *t = tcase_create("strmap");

    tcase_add_test(t, puts_gets_deletes);
    tcase_add_test(t, follows_a_naive_reference);
    tcase_add_test(t, may_be_emptied_while_walked);
    tcase_add_test(t, says_when_memory_is_short);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
