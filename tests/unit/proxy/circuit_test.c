#include "proxy/circuit.h"
#include "tests/unit/unit.h"

START_TEST(one_record_for_a_name)
{
    struct circuits *cs = circuits_new();
    struct circuit *a = circuit_get(cs, STR("outbound|80||a")), *b = circuit_get(cs, STR("outbound|80||b"));

    ck_assert_ptr_eq(circuit_get(cs, STR("outbound|80||a")), a);
    ck_assert_ptr_ne(a, b);
    ck_assert_ptr_eq(circuit_find(cs, STR("outbound|80||b")), b);
    ck_assert_ptr_null(circuit_find(cs, STR("outbound|80||c")));
    circuit_put(b);
    circuit_put(b);
    ck_assert_ptr_null(circuit_find(cs, STR("outbound|80||b")));
    circuit_put(a);
    ck_assert_ptr_eq(circuit_find(cs, STR("outbound|80||a")), a);
    circuit_put(a);
    circuit_put(a);
    circuits_free(cs);
}
END_TEST

START_TEST(a_host_is_known_while_somebody_holds_it)
{
    struct circuits *cs = circuits_new();
    struct circuit *c = circuit_get(cs, STR("a"));
    struct circuit_host *h = circuit_host_get(c, STR("10.0.0.1:80"), 5);

    ck_assert_ptr_eq(circuit_host_get(c, STR("10.0.0.1:80"), 9), h);
    ck_assert_int_eq(h->born_ns, 5);
    circuit_host_put(c, h);
    circuit_host_put(c, h);
    h = circuit_host_get(c, STR("10.0.0.1:80"), 9);
    ck_assert_int_eq(h->born_ns, 9);
    circuit_host_put(c, h);
    circuit_put(c);
    circuits_free(cs);
}
END_TEST

START_TEST(limits_hold)
{
    atomic_uint n = 0, overflows = 0;

    ck_assert(circuit_take(&n, 2, &overflows) && circuit_take(&n, 2, &overflows));
    ck_assert(!circuit_take(&n, 2, &overflows) && !circuit_take(&n, 0, &overflows));
    ck_assert_uint_eq(atomic_load(&n), 2);
    ck_assert_uint_eq(atomic_load(&overflows), 2);
    circuit_give(&n);
    ck_assert(circuit_take(&n, 2, &overflows));
}
END_TEST

static const struct {
    uint32_t requests, pending, max, percent, least, most;
} budgets[] = {
    { 100, 0, 7, 0, 3, 7 },          /* no budget: the limit */
    { 100, 0, 7, 20, 3, 20 },        /* which it replaces */
    { 90, 10, 7, 20, 3, 20 },        /* who waits counts */
    { 10, 0, 7, 20, 3, 3 },          /* never less than the least */
    { 4000000000, 0, 7, 100, 3, 4000000000 },
};

START_TEST(budget_follows_requests)
{
    struct circuit c = { .requests = budgets[_i].requests, .pending = budgets[_i].pending };

    ck_assert_uint_eq(circuit_most_retries(&c, budgets[_i].max, budgets[_i].percent, budgets[_i].least),
                      budgets[_i].most);
}
END_TEST

enum { THREADS = 4, ROUNDS = 20000, LIMIT = 2 };

struct race {
    struct circuits *cs;
    atomic_int inside, most;
};

/* Never more than LIMIT of them are inside. */
static void *enter_and_leave(void *arg)
{
    struct race *r = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct circuit *c = circuit_get(r->cs, STR("a"));

        if (circuit_take(&c->requests, LIMIT, &c->request_overflows)) {
            if (atomic_fetch_add(&r->inside, 1) + 1 > LIMIT)
                atomic_store(&r->most, 1);
            atomic_fetch_sub(&r->inside, 1);
            circuit_give(&c->requests);
        }
        circuit_put(c);
    }
    return NULL;
}

START_TEST(threads_share_a_limit)
{
    struct race r = { .cs = circuits_new() };
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, enter_and_leave, &r), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&r.most), 0);
    ck_assert_ptr_null(circuit_find(r.cs, STR("a")));
    circuits_free(r.cs);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("circuit");
    TCase *t = tcase_create("circuit");

    tcase_add_test(t, one_record_for_a_name);
    tcase_add_test(t, a_host_is_known_while_somebody_holds_it);
    tcase_add_test(t, limits_hold);
    tcase_add_loop_test(t, budget_follows_requests, 0, COUNT(budgets));
    tcase_add_test(t, threads_share_a_limit);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
