/* parts_test.c: the small parts: label clean-up, node keys, quantiles, health. */
#include "tests/unit/graph/hops.h"

#include <stdio.h>

/* ---- labels ---------------------------------------------------------------------------------------------------- */

/* Pairs "name", "value" over a whole report; value NULL takes the label away. */
static const struct {
    const char *what;
    const char *set[3][2];
    const char *from, *to; /* the names of the edge's ends; from NULL: the row is left out */
    const char *code;
} rows[] = {
    { "whole", { { NULL } }, "ns/a", "ns/b", "200" },
    { "an unknown source", { { "source_workload", "unknown" }, { "source_workload_namespace", "unknown" }, { "source_canonical_service", "unknown" } }, "unknown source", "ns/b", "200" },
    { "a source that is only a namespace", { { "source_workload", "unknown" }, { "source_canonical_service", NULL } }, NULL, NULL, NULL },
    { "a source whose cluster is not known", { { "source_cluster", "unknown" } }, NULL, NULL, NULL },
    { "a source without a cluster label", { { "source_cluster", NULL }, { "destination_cluster", NULL } }, "ns/a", "ns/b", "200" },
    { "a destination whose cluster is not known takes the source's", { { "destination_cluster", "unknown" } }, "ns/a", "ns/b", "200" },
    { "a destination that is an address", { { "destination_workload", "unknown" }, { "destination_service", "10.1.2.3:80" }, { "destination_service_name", "10.1.2.3:80" } }, NULL, NULL, NULL },
    { "nearly an address", { { "destination_workload", "unknown" }, { "destination_service", "10.1.2:80" }, { "destination_service_name", "10.1.2:80" } }, "ns/a", "ns/10.1.2:80 (service)", "200" },
    { "no response", { { "response_code", "0" } }, "ns/a", "ns/b", "-" },
    { "gRPC's status", { { "request_protocol", "grpc" }, { "grpc_response_status", "14" } }, "ns/a", "ns/b", "14" },
    { "gRPC where HTTP failed", { { "request_protocol", "grpc" }, { "grpc_response_status", "0" }, { "response_code", "503" } }, "ns/a", "ns/b", "503" },
    { "gRPC without a status", { { "request_protocol", "grpc" } }, "ns/a", "ns/b", "200" },
    { "a request to nowhere", { { "destination_workload", "unknown" }, { "destination_canonical_service", "unknown" }, { "destination_service_name", "unknown" } }, "ns/a", "ns/unknown (service)", "200" },
    { "a service without a workload", { { "destination_workload", "unknown" } }, "ns/a", "ns/b (service)", "200" },
    { "nobody", { { "destination_workload", NULL }, { "destination_canonical_service", NULL }, { "destination_service_name", NULL } }, NULL, NULL, NULL },
    { "the egress gateway by its host", { { "destination_service", "istio-egressgateway.istio-system.svc.cluster.local" }, { "destination_service_name", "istio-egressgateway.istio-system.svc.cluster.local" } }, "ns/a", "istio-system/istio-egressgateway", "200" },
};

static size_t change_labels(struct label *v, size_t n, const char *const set[2])
{
    size_t i = 0;

    while (i < n && !str_eqz(v[i].name, set[0]))
        i++;
    v[i] = (struct label){ str_of(set[0]), str_of(set[1]) };
    return i == n ? n + 1 : n;
}

START_TEST(cleans_labels_up)
{
    static const struct hop whole = { "source", "a.ns", "b.ns", "b.ns", "http", "200", "-", 10 };
    struct graph_options o = { .to_ms = 600000 };
    struct label_list l = { .n = 0 };
    struct graph *g = graph_new(&o, NULL);
    struct arena a = ARENA_INIT(0);
    struct ledger ledger;
    char host[512];

    hop_labels(&l, &whole, host, sizeof(host));
    for (size_t i = 0; i < 3 && rows[_i].set[i][0]; i++)
        l.n = change_labels(l.v, l.n, rows[_i].set[i]);
    ck_assert_int_eq(labels_normalise(l.v, &l.n, NULL), 0);
    ledger_init(&ledger, &a);
    ck_assert_int_eq(graph_read(g, &ledger, METRIC_REQUESTS, (struct labels){ l.v, l.n }, 10), 0);
    ck_assert_int_eq(graph_finish(g, &ledger, NULL), 0);
    ck_assert_msg(g->nedges == (rows[_i].from != NULL), "%s: %zu edges", rows[_i].what, g->nedges);
    if (g->nedges) {
        ck_assert_str_eq(g->edges[0]->source->name.p, rows[_i].from);
        ck_assert_str_eq(g->edges[0]->target->name.p, rows[_i].to);
        ck_assert_str_eq(g->edges[0]->responses->code.p, rows[_i].code);
    }
    ledger_fini(&ledger);
    arena_free(&a);
    graph_free(g);
}
END_TEST

/* ---- keys ------------------------------------------------------------------------------------------------------ */

static const struct {
    enum graph_type type;
    const char *key; /* whose sha256 is the id of web-v1's node */
} keys[] = {
    { GRAPH_WORKLOAD, "wl_c1_shop_web-v1" },
    { GRAPH_APP, "app_c1_shop_web" },
    { GRAPH_VERSIONED_APP, "vapp_c1_shop_web-v1" },
};

START_TEST(ids_are_hashes_of_keys)
{
    static const struct hop h = { "source", "", "web-v1.shop", "web.shop", "http", "200", "-", 1 };
    struct graph_options o = { .type = keys[_i].type };
    struct graph *g = must_graph(&h, 1, &o);
    char id[ID_TEXT], edge[ID_TEXT], text[256];

    graph_sha256(id, str_of(keys[_i].key));
    ck_assert_str_eq(g->edges[0]->target->id, id);
    graph_sha256(id, STR("unknown_unknown_source"));
    ck_assert_str_eq(g->edges[0]->source->id, id);
    snprintf(text, sizeof(text), "%s.%s.http", id, g->edges[0]->target->id);
    graph_sha256(edge, str_of(text));
    ck_assert_str_eq(g->edges[0]->id, edge);
    graph_free(g);
}
END_TEST

START_TEST(knows_sha256)
{
    char out[ID_TEXT];

    graph_sha256(out, STR("abc")); /* FIPS 180-4 */
    ck_assert_str_eq(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    graph_sha256(out, STR_NULL);
    ck_assert_str_eq(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}
END_TEST

/* Hosts come from a Host header: many of them neither grow an edge without bound nor lose a request. */
START_TEST(many_hosts_are_counted_together)
{
    enum { HOSTS = 500 };
    static struct hop h[HOSTS];
    static char hosts[HOSTS][32];
    struct graph *g;
    size_t n = 0;
    double sum = 0;

    for (size_t i = 0; i < HOSTS; i++) {
        snprintf(hosts[i], sizeof(hosts[i]), "h%zu", i);
        h[i] = (struct hop){ "source", "a.ns", "", hosts[i], "http", "404", "NR", 2 };
    }
    for (size_t i = 0; i < HOSTS; i++)
        h[i].to = "b.ns";
    g = must_graph(h, HOSTS, NULL);
    ck_assert_uint_eq(g->nedges, 1);
    ck_assert_double_eq(g->edges[0]->counts.total, 2 * HOSTS);
    for (struct share *s = g->edges[0]->responses->hosts; s; s = s->next, n++)
        sum += s->value;
    ck_assert_uint_lt(n, 100);
    ck_assert_double_eq(sum, 2 * HOSTS);
    graph_free(g);
}
END_TEST

/* ---- quantiles ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    struct {
        double le, count;
    } b[6];
    double q, want; /* NaN: no answer */
} quantiles[] = {
    { "the middle of the first bucket", { { 10, 100 }, { INFINITY, 100 } }, 0.5, 5 },
    { "between two bounds", { { 10, 50 }, { 20, 100 }, { INFINITY, 100 } }, 0.75, 15 },
    { "on a bound", { { 10, 50 }, { 20, 100 }, { INFINITY, 100 } }, 0.5, 10 },
    { "beyond the last bound", { { 10, 50 }, { 20, 60 }, { INFINITY, 100 } }, 0.99, 20 },
    { "unsorted", { { INFINITY, 100 }, { 20, 100 }, { 10, 50 } }, 0.75, 15 },
    { "one bound twice", { { 10, 25 }, { 10, 25 }, { 20, 100 }, { INFINITY, 100 } }, 0.75, 15 },
    { "empty buckets between", { { 10, 0 }, { 20, 0 }, { 30, 10 }, { INFINITY, 10 } }, 0.5, 25 },
    { "a count a flush behind its neighbour", { { 10, 50 }, { 20, 49 }, { INFINITY, 50 } }, 0.99, 9.9 },
    { "nothing seen", { { 10, 0 }, { INFINITY, 0 } }, 0.5, NAN },
    { "no buckets", { { 0, 0 } }, 0.5, NAN },
    { "no +Inf", { { 10, 50 }, { 20, 100 } }, 0.5, NAN },
    { "only +Inf", { { INFINITY, 50 } }, 0.5, NAN },
    { "a first bound that is not positive", { { -5, 50 }, { INFINITY, 50 } }, 0.5, -5 },
    { "a bound that is no number", { { NAN, 7 }, { 10, 100 }, { INFINITY, 100 } }, 0.5, 5 },
};

START_TEST(computes_quantiles)
{
    struct arena a = ARENA_INIT(0);
    struct histogram h = { 0 };
    double got;

    for (size_t i = 0; i < 6 && quantiles[_i].b[i].le != 0; i++)
        ck_assert_int_eq(latency_add(&h, &a, quantiles[_i].b[i].le, quantiles[_i].b[i].count), 0);
    got = latency_quantile(&h, quantiles[_i].q);
    ck_assert_msg((isnan(got) && isnan(quantiles[_i].want)) || fabs(got - quantiles[_i].want) < 1e-9, "%s: %g",
                  quantiles[_i].what, got);
    arena_free(&a);
}
END_TEST

/* ---- health ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *what;
    struct health_count c[4];
    enum health want;
} judged[] = {
    { "nothing", { { NULL, STR_INIT(""), STR_INIT(""), 0 } }, HEALTH_NA },
    { "all well", { { "inbound", STR_INIT("http"), STR_INIT("200"), 100 } }, HEALTH_HEALTHY },
    { "one 500 in a thousand", { { "inbound", STR_INIT("http"), STR_INIT("200"), 999 }, { "inbound", STR_INIT("http"), STR_INIT("500"), 1 } }, HEALTH_DEGRADED },
    { "just under ten per cent", { { "inbound", STR_INIT("http"), STR_INIT("200"), 901 }, { "inbound", STR_INIT("http"), STR_INIT("503"), 99 } }, HEALTH_DEGRADED },
    { "ten per cent 5xx", { { "inbound", STR_INIT("http"), STR_INIT("200"), 90 }, { "inbound", STR_INIT("http"), STR_INIT("503"), 10 } }, HEALTH_FAILURE },
    { "ten per cent of several codes", { { "inbound", STR_INIT("http"), STR_INIT("200"), 90 }, { "inbound", STR_INIT("http"), STR_INIT("503"), 5 }, { "inbound", STR_INIT("http"), STR_INIT("500"), 5 } }, HEALTH_FAILURE },
    { "nine per cent 4xx", { { "inbound", STR_INIT("http"), STR_INIT("200"), 91 }, { "inbound", STR_INIT("http"), STR_INIT("404"), 9 } }, HEALTH_HEALTHY },
    { "ten per cent 4xx", { { "inbound", STR_INIT("http"), STR_INIT("200"), 90 }, { "inbound", STR_INIT("http"), STR_INIT("404"), 10 } }, HEALTH_DEGRADED },
    { "twenty per cent 4xx", { { "inbound", STR_INIT("http"), STR_INIT("200"), 80 }, { "inbound", STR_INIT("http"), STR_INIT("404"), 20 } }, HEALTH_FAILURE },
    { "redirects are fine", { { "inbound", STR_INIT("http"), STR_INIT("302"), 100 } }, HEALTH_HEALTHY },
    { "no response", { { "inbound", STR_INIT("http"), STR_INIT("200"), 99 }, { "inbound", STR_INIT("http"), STR_INIT("-"), 1 } }, HEALTH_DEGRADED },
    { "gRPC well", { { "inbound", STR_INIT("grpc"), STR_INIT("0"), 9 } }, HEALTH_HEALTHY },
    { "gRPC unavailable", { { "inbound", STR_INIT("grpc"), STR_INIT("0"), 80 }, { "inbound", STR_INIT("grpc"), STR_INIT("14"), 20 } }, HEALTH_FAILURE },
    { "gRPC 17 is no status", { { "inbound", STR_INIT("grpc"), STR_INIT("17"), 20 } }, HEALTH_HEALTHY },
    { "the worse direction", { { "inbound", STR_INIT("http"), STR_INIT("200"), 1000 }, { "outbound", STR_INIT("http"), STR_INIT("500"), 1 } }, HEALTH_FAILURE },
    { "the worse protocol", { { "inbound", STR_INIT("http"), STR_INIT("200"), 1000 }, { "inbound", STR_INIT("grpc"), STR_INIT("2"), 1 } }, HEALTH_FAILURE },
    { "TCP is not judged", { { "inbound", STR_INIT("tcp"), STR_INIT("-"), 1000 } }, HEALTH_NA },
};

START_TEST(judges_health)
{
    struct arena a = ARENA_INIT(0);
    struct health_rule *rule = health_default(&a, NULL);
    size_t n = 0;

    while (n < COUNT(judged[_i].c) && judged[_i].c[n].direction)
        n++;
    ck_assert_msg(health_of(rule, judged[_i].c, n) == judged[_i].want, "%s: %s", judged[_i].what,
                  health_name(health_of(rule, judged[_i].c, n)));
    arena_free(&a);
}
END_TEST

START_TEST(judges_without_rules)
{
    struct health_count c[] = { { "inbound", STR("http"), STR("200"), 1000 }, { "inbound", STR("http"), STR("404"), 0 } };

    ck_assert_int_eq(health_of(NULL, c, 0), HEALTH_NA);
    ck_assert_int_eq(health_of(NULL, c, 1), HEALTH_HEALTHY);
    c[1].count = 1; /* 0.0999 % */
    ck_assert_int_eq(health_of(NULL, c, 2), HEALTH_HEALTHY);
    c[1].count = 2;
    ck_assert_int_eq(health_of(NULL, c, 2), HEALTH_DEGRADED);
    c[1].count = 112;
    ck_assert_int_eq(health_of(NULL, c, 2), HEALTH_FAILURE);
}
END_TEST

START_TEST(refuses_bad_tolerances)
{
    struct arena a = ARENA_INIT(0);
    struct health_tolerance t;
    struct err e = ERR_INIT;

    ck_assert_int_eq(health_tolerance_init(&t, &a, STR("5XX"), STR("ht(tp"), STR(".*"), 0, 10, &e), ERR_PARSE);
    ck_assert_ptr_nonnull(strstr(e.msg, "5XX"));
    arena_free(&a);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("parts");
    TCase *t = tcase_create("parts");

    tcase_add_loop_test(t, cleans_labels_up, 0, COUNT(rows));
    tcase_add_loop_test(t, ids_are_hashes_of_keys, 0, COUNT(keys));
    tcase_add_test(t, knows_sha256);
    tcase_add_test(t, many_hosts_are_counted_together);
    tcase_add_loop_test(t, computes_quantiles, 0, COUNT(quantiles));
    tcase_add_loop_test(t, judges_health, 0, COUNT(judged));
    tcase_add_test(t, judges_without_rules);
    tcase_add_test(t, refuses_bad_tolerances);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
