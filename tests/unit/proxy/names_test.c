#include "proxy/names.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* A resolver that the tests change: which addresses "app.test" has; the other names have none. */
static atomic_uint has_first, has_last, asked;

static bool fake(const char *host, struct name_addresses *out)
{
    atomic_fetch_add(&asked, 1);
    if (strcmp(host, "app.test") != 0)
        return false;
    for (uint32_t i = atomic_load(&has_first); i > 0 && i <= atomic_load(&has_last); i++) {
        struct sockaddr_in *a = (void *)&out->v[out->n].addr;

        a->sin_family = AF_INET;
        a->sin_addr.s_addr = htonl(0x0a000000 + i);
        out->v[out->n++].n = sizeof(*a);
    }
    return out->n > 0;
}

static void set(unsigned first, unsigned last)
{
    atomic_store(&has_first, first);
    atomic_store(&has_last, last);
}

/* Until it has changed from `before`; the test's own time-out is what ends it otherwise. */
static unsigned wait_for_change(struct name *n, unsigned before)
{
    while (name_generation(n) == before)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
    return name_generation(n);
}

static void wait_for_asking(unsigned before)
{
    while (atomic_load(&asked) < before + 2)
        nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
}

START_TEST(follows_changes)
{
    struct names *ns = names_new(1, fake);
    struct name *n;
    struct name_addresses a;
    unsigned generation;

    set(1, 2);
    n = name_get(ns, STR("app.test"));
    ck_assert_ptr_eq(name_get(ns, STR("app.test")), n);
    generation = wait_for_change(n, 0);
    ck_assert_int_eq(name_read(n, &a), NAME_KNOWN);
    ck_assert_uint_eq(a.n, 2);
    set(2, 4);
    generation = wait_for_change(n, generation);
    while (name_read(n, &a) != NAME_KNOWN || a.n != 3) /* between the two stores there may be a look */
        generation = wait_for_change(n, generation);
    set(0, 0); /* nobody says: what was known stays */
    wait_for_asking(atomic_load(&asked));
    ck_assert_int_eq(name_read(n, &a), NAME_KNOWN);
    ck_assert_uint_ge(a.n, 3);
    name_put(n);
    name_put(n);
    names_free(ns);
}
END_TEST

START_TEST(a_name_without_addresses)
{
    struct names *ns = names_new(1, fake);
    struct name *n;
    struct name_addresses a;
    unsigned generation;

    set(1, 1);
    n = name_get(ns, STR("nobody.test"));
    generation = wait_for_change(n, 0);
    ck_assert_int_eq(name_read(n, &a), NAME_UNKNOWN);
    ck_assert_uint_eq(a.n, 0);
    wait_for_asking(atomic_load(&asked));
    ck_assert_uint_eq(name_generation(n), generation);
    name_put(n);
    names_free(ns);
}
END_TEST

START_TEST(refuses_what_is_no_name)
{
    struct names *ns = names_new(1000, fake);
    char longest[260];

    memset(longest, 'a', sizeof(longest));
    ck_assert_ptr_null(name_get(ns, STR("")));
    ck_assert_ptr_null(name_get(ns, (struct str){ longest, 254 }));
    ck_assert_ptr_null(name_get(ns, (struct str){ "a\0b", 3 }));
    ck_assert_ptr_null(name_get(ns, STR("a\nb.test")));
    names_free(ns);
    names_free(NULL);
}
END_TEST

/* Names that nobody holds make room when they are due. */
START_TEST(bounded)
{
    struct names *ns = names_new(1, fake);
    struct name *n;
    char host[32];

    for (int i = 0; i < 20000; i++) {
        snprintf(host, sizeof(host), "n%d.test", i);
        n = name_get(ns, str_of(host)); /* NULL where there are too many */
        name_put(n);
    }
    do
        n = name_get(ns, STR("app.test"));
    while (!n);
    name_put(n);
    names_free(ns);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("names");
    TCase *t = tcase_create("names");

    tcase_add_test(t, follows_changes);
    tcase_add_test(t, a_name_without_addresses);
    tcase_add_test(t, refuses_what_is_no_name);
    tcase_add_test(t, bounded);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
