#include "base/mem.h"
#include "tests/unit/graph/hops.h"

#define BOTH(code, flags, by_source, by_destination)                                                                   \
    { "source", "a.ns", "b.ns", "b.ns", "http", code, flags, by_source },                                              \
    {                                                                                                                  \
        "destination", "a.ns", "b.ns", "b.ns", "http", code, flags, by_destination                                     \
    }
#define ONE(reporter, code, flags, value) { reporter, "a.ns", "b.ns", "b.ns", "http", code, flags, value }

/* What two proxies say of the same hop, and how many requests there were. */
static const struct {
    const char *what;
    struct hop h[6];
    double total, no_response, c4xx, c5xx;
} cases[] = {
    { "both agree", { BOTH("200", "-", 10, 10) }, 10, 0, 0, 0 },
    { "only the destination", { ONE("destination", "200", "-", 7) }, 7, 0, 0, 0 },
    { "only the source", { ONE("source", "200", "-", 7) }, 7, 0, 0, 0 },
    { "a waypoint stands in for the destination", { ONE("waypoint", "200", "-", 7), ONE("source", "200", "-", 7) }, 7, 0, 0, 0 },
    { "the destination is a flush behind", { BOTH("200", "-", 10, 8) }, 10, 0, 0, 0 },
    { "the source is a flush behind", { BOTH("200", "-", 8, 10) }, 10, 0, 0, 0 },
    { "several codes", { BOTH("200", "-", 10, 10), BOTH("404", "-", 3, 3), BOTH("500", "-", 2, 2) }, 15, 0, 3, 2 },
    { "never sent counts beside what was", { BOTH("200", "-", 10, 10), ONE("source", "503", "UF", 4) }, 14, 0, 0, 4 },
    { "never sent, flags together", { BOTH("200", "-", 10, 10), ONE("source", "503", "UF,URX", 4) }, 14, 0, 0, 4 },
    { "no response at all, only the source knows", { BOTH("200", "-", 1, 1), ONE("source", "0", "UH", 4) }, 5, 4, 0, 0 },
    { "a timeout has two names", { BOTH("200", "-", 5, 5), ONE("source", "504", "UT", 3), ONE("destination", "0", "DC", 3) }, 8, 3, 0, 0 },
    { "a timeout whose other name is a flush behind",
      { BOTH("200", "-", 5, 5), ONE("source", "504", "UT", 3), ONE("destination", "0", "DC", 1) }, 8, 1, 0, 2 },
    { "a reset that the killed destination could not report", { BOTH("200", "-", 5, 5), ONE("source", "503", "UC", 2) }, 7, 0, 0, 2 },
    { "retries: the destination saw more", { BOTH("200", "-", 4, 4), ONE("destination", "503", "-", 3) }, 7, 0, 0, 3 },
    { "two sources of one truth are added", { ONE("destination", "200", "-", 3), ONE("destination", "200", "-", 4) }, 7, 0, 0, 0 },
};

START_TEST(counts_a_request_once)
{
    size_t n = 0;
    struct graph *g;
    struct graph_edge *x;

    while (n < COUNT(cases[_i].h) && cases[_i].h[n].reporter)
        n++;
    g = must_graph(cases[_i].h, n, NULL);
    x = edge_named(g, "ns/a", "ns/b");
    ck_assert_msg(x != NULL, "%s: no edge", cases[_i].what);
    ck_assert_msg(x->counts.total == cases[_i].total && x->counts.no_response == cases[_i].no_response &&
                      x->counts.client_errors == cases[_i].c4xx && x->counts.server_errors == cases[_i].c5xx,
                  "%s: total %g, none %g, 4xx %g, 5xx %g", cases[_i].what, x->counts.total, x->counts.no_response,
                  x->counts.client_errors, x->counts.server_errors);
    graph_free(g);
}
END_TEST

static const struct {
    const char *flags;
    bool not_sent;
} flags[] = {
    { "-", false }, { "", false },   { "UH", true },   { "UF,URX", true }, { "URX,UF", true }, { "NR", true },
    { "DC", false }, { "UC", false }, { "UT", false }, { "DI", false },    { "FI", true },     { "UFX", false },
    { "UO", true },
};

START_TEST(knows_flags_of_the_unsent)
{
    ck_assert_msg(flags_not_sent(str_of(flags[_i].flags)) == flags[_i].not_sent, "%s", flags[_i].flags);
}
END_TEST

/* Every allocation in turn fails: the answer is NULL with ERR_NOMEM, and nothing leaks. */
START_TEST(survives_failing_allocations)
{
    const struct hop h[] = { BOTH("200", "-", 10, 10), BOTH("404", "-", 3, 3), ONE("source", "503", "UF", 4),
                             { "source", "a.ns", "", "redis.ns", "tcp", "", "-", 3000 } };
    struct graph_options o = { .type = GRAPH_VERSIONED_APP, .inject_service_nodes = true, .boxes = GRAPH_BOX_NAMESPACE };
    long n = 1;

    for (;; n++) {
        struct err e = ERR_INIT;
        struct graph *g;

        mem_fail_at(n);
        g = graph_of(h, COUNT(h), &o, &e);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            ck_assert_ptr_nonnull(g);
            graph_free(g);
            break;
        }
        mem_fail_at(0);
        ck_assert_msg(g == NULL && e.code == ERR_NOMEM, "allocation %ld: %s", n, e.msg);
    }
    ck_assert_int_gt(n, 10);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("ledger");
    TCase *t = tcase_create("settling");

    tcase_add_loop_test(t, counts_a_request_once, 0, COUNT(cases));
    tcase_add_loop_test(t, knows_flags_of_the_unsent, 0, COUNT(flags));
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
