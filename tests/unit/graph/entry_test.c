/* entry_test.c: where traffic comes in (gateways), and what does not count as traffic (connections without a byte). */
#include "tests/unit/graph/hops.h"

#include "base/mem.h"

static const struct str hosts[] = { STR_INIT("guestbook.lvh.me"), STR_INIT("*.example.org") };
static const struct graph_gateway gateways[] = {
    { STR_INIT("edge"), STR_INIT("gw"), STR_INIT("gw"), false, hosts, 2 },
    { STR_INIT("edge"), STR_INIT("out"), STR_INIT("out"), true, hosts, 1 },
};

static struct graph *graph_with_gateways(const struct hop *h, size_t n, enum graph_type type)
{
    struct graph_options o = { .type = type, .gateways = gateways, .ngateways = COUNT(gateways) };
    struct err e = ERR_INIT;
    struct graph *g = graph_of(h, n, &o, &e);

    ck_assert_msg(g != NULL, "%s", e.msg);
    return g;
}

static const struct hop traffic[] = {
    { "source", "gw.edge", "a.shop", "a.shop", "http", "200", "-", 10 },
    { "source", "a.shop", "out.edge", "out.edge", "http", "200", "-", 10 },
    { "source", "gw.shop", "a.shop", "a.shop", "http", "200", "-", 10 }, /* the name alone does not do */
};

static const struct {
    enum graph_type type;
    enum graph_format format;
    bool told;
} answers[] = {
    { GRAPH_WORKLOAD, GRAPH_KIALI, true },      { GRAPH_APP, GRAPH_KIALI, true }, { GRAPH_VERSIONED_APP, GRAPH_KIALI, true },
    { GRAPH_WORKLOAD, GRAPH_KIALI_PLAIN, false },
};

START_TEST(tells_gateways_as_kiali)
{
    static const char in[] = "\"isGateway\":{\"ingressInfo\":{\"hostnames\":[\"guestbook.lvh.me\",\"*.example.org\"]},"
                             "\"egressInfo\":{},\"gatewayAPIInfo\":{}}";
    static const char out[] = "\"isGateway\":{\"ingressInfo\":{},\"egressInfo\":{\"hostnames\":[\"guestbook.lvh.me\"]},"
                              "\"gatewayAPIInfo\":{}}";
    struct graph *g = graph_with_gateways(traffic, COUNT(traffic), answers[_i].type);
    struct buf b = BUF_INIT(1 << 20);
    size_t told = 0;

    ck_assert_int_eq(graph_export(g, answers[_i].format, &b, NULL), 0);
    buf_putc(&b, '\0');
    ck_assert((strstr(b.p, in) != NULL) == answers[_i].told);
    ck_assert((strstr(b.p, out) != NULL) == answers[_i].told);
    for (const char *at = b.p; (at = strstr(at, "isGateway")) != NULL; at++)
        told++;
    ck_assert_uint_eq(told, answers[_i].told ? 2 : 0);
    buf_free(&b);
    graph_free(g);
}
END_TEST

/* Without its mark, dot would draw gw beside c, which is all it calls. */
static const struct hop late[] = {
    { "source", "a.shop", "b.shop", "b.shop", "http", "200", "-", 10 },
    { "source", "b.shop", "c.shop", "c.shop", "http", "200", "-", 10 },
    { "source", "c.shop", "d.shop", "d.shop", "http", "200", "-", 10 },
    { "source", "gw.edge", "d.shop", "d.shop", "http", "200", "-", 10 },
};

START_TEST(gateways_stand_leftmost)
{
    struct graph *g = graph_with_gateways(late, COUNT(late), GRAPH_WORKLOAD);
    struct graph_positions *p = graph_positions_new();
    const struct graph_node *gw = node_named(g, "edge/gw");
    struct err e = ERR_INIT;

    ck_assert_msg(graph_layout(g, p, &e) == 0, "%s", e.msg);
    for (size_t i = 0; i < g->nnodes; i++)
        ck_assert_msg(gw->x <= g->nodes[i]->x + 1, "gw at %f, %.*s at %f", gw->x, STR_ARG(g->nodes[i]->workload), g->nodes[i]->x);
    graph_positions_free(p);
    graph_free(g);
}
END_TEST

/* Connections to `refused` were opened and failed at once; those to `db` carried something. */
static struct graph *graph_of_connections(bool idle, bool inject)
{
    static const struct hop refused = { "source", "slave.shop", "", "master.shop", "tcp", "", "UF,URX", 3 };
    static const struct hop carried = { "source", "web.shop", "db.shop", "db.shop", "tcp", "", "-", 500 };
    static const struct hop still = { "source", "web.shop", "old.shop", "old.shop", "http", "200", "-", 0 };
    struct graph_options o = { .to_ms = 600000, .include_idle_edges = idle, .inject_service_nodes = inject };
    struct arena a = ARENA_INIT(0);
    struct err e = ERR_INIT;
    struct ledger l;
    struct graph *g;

    ledger_init(&l, &a);
    g = graph_new(&o, &e);
    ck_assert_ptr_nonnull(g);
    ck_assert_int_eq(read_hop(g, &l, METRIC_TCP_OPENED, &refused), 0);
    ck_assert_int_eq(read_hop(g, &l, METRIC_TCP_OPENED, &carried), 0);
    ck_assert_int_eq(read_hop(g, &l, METRIC_TCP_SENT, &carried), 0);
    ck_assert_int_eq(read_hop(g, &l, METRIC_REQUESTS, &still), 0);
    ck_assert_msg(graph_finish(g, &l, &e) == 0, "%s", e.msg);
    ledger_fini(&l);
    arena_free(&a);
    return g;
}

static const struct {
    bool idle, inject;
    size_t nodes, edges;
} silences[] = {
    { false, false, 2, 1 }, /* web → db */
    { false, true, 3, 2 },  /* web → db (service) → db */
    { true, false, 5, 3 },
};

START_TEST(what_carried_nothing_is_no_edge)
{
    struct graph *g = graph_of_connections(silences[_i].idle, silences[_i].inject);

    ck_assert_uint_eq(g->nnodes, silences[_i].nodes);
    ck_assert_uint_eq(g->nedges, silences[_i].edges);
    graph_free(g);
}
END_TEST

static const struct {
    struct graph_focus focus;
    size_t nodes, edges;
} foci[] = {
    { { .ns = STR_INIT("shop"), .workload = STR_INIT("b") }, 3, 2 },  /* a → b → c */
    { { .ns = STR_INIT("shop"), .service = STR_INIT("d") }, 3, 2 },   /* c, gw → d */
    { { .ns = STR_INIT("edge"), .app = STR_INIT("gw") }, 2, 1 },
    { { .ns = STR_INIT("edge"), .app = STR_INIT("gw"), .version = STR_INIT("v9") }, 0, 0 },
    { { .ns = STR_INIT("edge"), .workload = STR_INIT("b") }, 0, 0 },
};

START_TEST(draws_what_is_about_one_node)
{
    struct graph_options o = { .focus = foci[_i].focus };
    struct graph *g = must_graph(late, COUNT(late), &o);

    ck_assert_uint_eq(g->nnodes, foci[_i].nodes);
    ck_assert_uint_eq(g->nedges, foci[_i].edges);
    graph_free(g);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("graph entry");
    TCase *t = tcase_create("entry");

    tcase_add_loop_test(t, tells_gateways_as_kiali, 0, COUNT(answers));
    tcase_add_test(t, gateways_stand_leftmost);
    tcase_add_loop_test(t, what_carried_nothing_is_no_edge, 0, COUNT(silences));
    tcase_add_loop_test(t, draws_what_is_about_one_node, 0, COUNT(foci));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
