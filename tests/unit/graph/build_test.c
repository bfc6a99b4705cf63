/* build_test.c: graphs of a real store: counters are committed as a proxy sends them, and the graph must have counted
 * every request of the window, and no other. */
#include "tests/unit/graph/hops.h"

#include "base/clock.h"
#include "base/istio_metrics.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

enum { T0 = 1790000000, MS = 1000 };

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

struct fixture {
    char dir[64];
    struct store *st;
};

static void open_store(struct fixture *f)
{
    struct err e = ERR_INIT;

    strcpy(f->dir, "/tmp/vigla-graph-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    f->st = store_open(f->dir, NULL, &e);
    ck_assert_msg(f->st != NULL, "%s", e.msg);
}

static void close_store(struct fixture *f)
{
    store_close(f->st);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A counter of `metric` with the hop's labels: began at T0 + start, and stood at v[i] at T0 + at[i] (seconds). */
struct counter {
    const char *metric, *le;
    struct hop hop;
    int start;
    struct {
        int at;
        double v;
    } samples[6];
};

static void commit(struct store *st, const struct counter *c)
{
    struct label_list l = { .n = 0 };
    struct sample samples[6];
    struct arena a = ARENA_INIT(1 << 20);
    struct batch b;
    struct batch_series s = { .samples = samples };
    struct err e = ERR_INIT;
    char host[512];

    hop_labels(&l, &c->hop, host, sizeof(host));
    put_label(&l, "__name__", str_of(c->metric));
    if (c->le)
        put_label(&l, "le", str_of(c->le));
    ck_assert_int_eq(labels_normalise(l.v, &l.n, &e), 0);
    for (; s.n < COUNT(samples) && c->samples[s.n].at; s.n++)
        samples[s.n] = (struct sample){ (int64_t)(T0 + c->samples[s.n].at) * MS, c->samples[s.n].v };
    s.labels = (struct labels){ l.v, l.n };
    s.start_ms = c->start ? (int64_t)(T0 + c->start) * MS : 0;
    batch_init(&b, &a);
    ck_assert_int_eq(batch_add_series(&b, &s), 0);
    ck_assert_msg(store_commit(st, &b, &e) == 0, "%s", e.msg);
    arena_free(&a);
}

static struct graph *build(struct store *st, int from, int to, const struct graph_options *base)
{
    struct graph_options o = base ? *base : (struct graph_options){ .type = GRAPH_WORKLOAD };
    struct err e = ERR_INIT;
    struct graph *g;

    o.from_ms = (int64_t)(T0 + from) * MS;
    o.to_ms = (int64_t)(T0 + to) * MS;
    g = graph_build(st, &o, &e);
    ck_assert_msg(g != NULL, "%s", e.msg);
    return g;
}

#define REQUESTS "istio_requests_total"
#define HOP(reporter, code) { reporter, "a.ns", "b.ns", "b.ns", "http", code, "-", 0 }

/* One counter, several windows: the whole number of requests that fell into each. */
static const struct {
    const char *what;
    struct counter c;
    int from, to;
    double requests;
} windows[] = {
    { "the whole life", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 } } }, 1, 100, 17 },
    { "begins inside: the first increment counts", { REQUESTS, NULL, HOP("destination", "200"), 50, { { 60, 7 } } }, 1, 100, 7 },
    { "began before", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 }, { 140, 40 } } }, 60, 200, 35 },
    { "ends before now", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 }, { 140, 40 } } }, 1, 100, 17 },
    { "a window in the middle", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 }, { 140, 40 } } }, 30, 100, 12 },
    { "a reset in the middle", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 }, { 90, 3 }, { 140, 8 } } }, 1, 200, 25 },
    { "a reset at the border", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 5 }, { 80, 17 }, { 90, 3 }, { 140, 8 } } }, 85, 200, 8 },
    { "a large counter keeps its last digit", { REQUESTS, NULL, HOP("destination", "200"), 10, { { 20, 9007199254740000 }, { 80, 9007199254740001 } } }, 30, 100, 1 },
    { "only the source", { REQUESTS, NULL, HOP("source", "200"), 10, { { 20, 5 } } }, 1, 100, 5 },
};

START_TEST(counts_exactly)
{
    struct fixture f;
    struct graph *g;
    struct graph_edge *x;

    open_store(&f);
    commit(f.st, &windows[_i].c);
    g = build(f.st, windows[_i].from, windows[_i].to, NULL);
    x = edge_named(g, "ns/a", "ns/b");
    ck_assert_msg(x && x->counts.total == windows[_i].requests, "%s: %.17g, not %g", windows[_i].what,
                  x ? x->counts.total : -1, windows[_i].requests);
    graph_free(g);
    close_store(&f);
}
END_TEST

#define UNKNOWN(code) { "destination", "", "b.ns", "b.ns", "http", code, "-", 0 }
#define CALLS(v_20, v_80) { REQUESTS, NULL, HOP("source", "200"), 10, { { 20, v_20 }, { 80, v_80 } } }
#define SERVES(code, v_20, v_80) { REQUESTS, NULL, UNKNOWN(code), 10, { { 20, v_20 }, { 80, v_80 } } }
#define AWAITED(code, v_20, v_80) { SPAN_CALLERS_AWAITED, NULL, UNKNOWN(code), 10, { { 20, v_20 }, { 80, v_80 } } }
#define FOUND(code, v_20, v_80) { SPAN_CALLERS_FOUND, NULL, UNKNOWN(code), 10, { { 20, v_20 }, { 80, v_80 } } }

/* What spans tell: called by "unknown" is only who was not claimed by a caller. */
static const struct {
    const char *what;
    struct counter c[6];
    int to;
    double known, unknown;
} spans[] = {
    { "all were found", { CALLS(5, 17), SERVES("200", 5, 17), AWAITED("200", 5, 17), FOUND("200", 5, 17) }, 100, 17, 0 },
    { "all were found, of several codes",
      { CALLS(5, 17), SERVES("200", 5, 10), AWAITED("200", 5, 10), FOUND("200", 5, 10), SERVES("500", 0, 7) }, 100, 17, 7 },
    { "the last ones may still be found",
      { CALLS(5, 5), SERVES("200", 5, 17), AWAITED("200", 5, 17), FOUND("200", 5, 5) }, 85, 5, 0 },
    { "they were not found in time",
      { CALLS(5, 5), SERVES("200", 5, 17), AWAITED("200", 5, 17), FOUND("200", 5, 5) }, 95, 5, 12 },
    { "nobody is found in a short life",
      { CALLS(5, 5), SERVES("200", 5, 5), AWAITED("200", 5, 5), FOUND("200", 0, 0) }, 25, 5, 0 },
    { "who has no caller is awaited by nobody", { SERVES("200", 5, 17) }, 100, 0, 17 },
    { "some without a caller, some found", { CALLS(5, 17), SERVES("200", 9, 30), AWAITED("200", 5, 17), FOUND("200", 5, 17) }, 100, 17, 13 },
};

START_TEST(a_request_told_by_two_spans_counts_once)
{
    struct fixture f;
    struct graph *g;
    const struct graph_edge *known, *unknown;

    open_store(&f);
    for (size_t i = 0; i < COUNT(spans[_i].c) && spans[_i].c[i].metric; i++)
        commit(f.st, &spans[_i].c[i]);
    g = build(f.st, 1, spans[_i].to, NULL);
    known = edge_named(g, "ns/a", "ns/b");
    unknown = edge_named(g, "unknown source", "ns/b");
    ck_assert_msg((known ? known->counts.total : 0) == spans[_i].known, "%s: %g known", spans[_i].what,
                  known ? known->counts.total : 0);
    ck_assert_msg((unknown ? unknown->counts.total : 0) == spans[_i].unknown, "%s: %g unknown", spans[_i].what,
                  unknown ? unknown->counts.total : 0);
    ck_assert_ptr_eq(node_named(g, "unknown source"), unknown ? unknown->source : NULL);
    graph_free(g);
    close_store(&f);
}
END_TEST

/* Windows side by side share no request and lose none. */
START_TEST(windows_add_up)
{
    static const struct counter c = { REQUESTS, NULL, HOP("destination", "200"), 5,
                                      { { 10, 3 }, { 20, 11 }, { 30, 2 }, { 40, 30 }, { 50, 31 }, { 60, 99 } } };
    double all = 11 + 99, sum = 0; /* one reset, after 11 */
    struct fixture f;

    open_store(&f);
    commit(f.st, &c);
    for (int from = 1; from < 71; from += 7) {
        struct graph *g = build(f.st, from, from + 7, NULL);
        struct graph_edge *x = edge_named(g, "ns/a", "ns/b");

        sum += x ? x->counts.total : 0;
        graph_free(g);
    }
    ck_assert_double_eq(sum, all);
    close_store(&f);
}
END_TEST

/* ---- one mesh, many views -------------------------------------------------------------------------------------- */

#define BOTH(from, to, service, protocol, code, metric, v)                                                            \
    { metric, NULL, { "source", from, to, service, protocol, code, "-", 0 }, 10, { { 20, v } } },                      \
    {                                                                                                                  \
        metric, NULL, { "destination", from, to, service, protocol, code, "-", 0 }, 10, { { 21, v } }                  \
    }

static const struct counter mesh[] = {
    BOTH("gw.edge", "web-v1.shop", "web.shop", "http", "200", REQUESTS, 70),
    BOTH("gw.edge", "web-v2.shop", "web.shop", "http", "200", REQUESTS, 30),
    BOTH("web-v1.shop", "db.data", "db.data", "grpc", "0", REQUESTS, 40),
    { REQUESTS, NULL, { "source", "web-v1.shop", "db.data", "db.data", "http", "503", "UF", 0 }, 10, { { 20, 6 } } },
    { REQUESTS, NULL, { "source", "gw.edge", "", "", "http", "404", "NR", 0 }, 10, { { 20, 4 } } },
    BOTH("web-v2.shop", "db.data", "db.data", "http", "200", REQUESTS, 0),
    /* No sidecar at the other end. */
    { "istio_tcp_connections_opened_total", NULL, { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "-", 0 }, 10, { { 20, 3 } } },
    { "istio_tcp_connections_opened_total", NULL, { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "UF", 0 }, 10, { { 20, 2 } } },
    { "istio_tcp_sent_bytes_total", NULL, { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "-", 0 }, 10, { { 20, 3100 } } },
    { "istio_tcp_received_bytes_total", NULL, { "source", "web-v1.shop", "redis.data", "redis.data", "tcp", "", "-", 0 }, 10, { { 20, 810 } } },
    { REQUESTS, NULL, { "destination", "x.far", "y.far", "y.far", "http", "200", "-", 0 }, 10, { { 20, 9 } } },
};

static void commit_mesh(struct fixture *f)
{
    static const struct {
        const char *le;
        double count;
    } buckets[] = { { "10", 35 }, { "25", 63 }, { "50", 70 }, { "+Inf", 70 } };

    open_store(f);
    for (size_t i = 0; i < COUNT(mesh); i++)
        commit(f->st, &mesh[i]);
    for (size_t i = 0; i < COUNT(buckets); i++) {
        struct counter c = { "istio_request_duration_milliseconds_bucket", buckets[i].le,
                             { "destination", "gw.edge", "web-v1.shop", "web.shop", "http", "200", "-", 0 }, 10,
                             { { 20, buckets[i].count } } };

        commit(f->st, &c);
    }
}

START_TEST(draws_workloads)
{
    struct fixture f;
    struct graph *g;
    struct graph_edge *x;

    commit_mesh(&f);
    g = build(f.st, 1, 61, NULL);
    x = edge_named(g, "edge/gw", "shop/web-v1");
    ck_assert_ptr_nonnull(x);
    ck_assert_double_eq(x->counts.total, 70);
    ck_assert_double_eq(x->latency.p50, 10);
    ck_assert_double_eq_tol(x->latency.p95, 25 + 25 * (66.5 - 63) / 7, 1e-9);
    ck_assert_int_eq(x->health, HEALTH_HEALTHY);
    x = edge_named(g, "shop/web-v1", "data/redis");
    ck_assert_ptr_nonnull(x);
    ck_assert(x->protocol == PROTO_TCP && x->tcp.connections == 5 && x->tcp.failed == 2 && x->tcp.sent == 3100 &&
              x->tcp.received == 810);
    ck_assert_ptr_nonnull(edge_named(g, "edge/gw", "unknown destination"));
    ck_assert_ptr_null(edge_named(g, "shop/web-v2", "data/db")); /* idle */
    ck_assert(node_named(g, "edge/gw")->is_root && !node_named(g, "shop/web-v1")->is_root);
    ck_assert_double_eq(node_named(g, "shop/web-v1")->out[PROTO_HTTP], 6);
    ck_assert_double_eq(node_named(g, "shop/web-v1")->out[PROTO_GRPC], 40);
    ck_assert_int_eq(node_named(g, "edge/gw")->health, HEALTH_HEALTHY); /* 4 of 104 are 4xx: below 10 % */
    ck_assert_int_eq(node_named(g, "shop/web-v1")->health, HEALTH_FAILURE); /* all its HTTP calls fail */
    graph_free(g);
    close_store(&f);
}
END_TEST

static const struct {
    const char *what;
    struct graph_options o;
    const char *namespace;
    size_t nodes, edges, boxes;
    const char *from, *to; /* an edge that must be there … */
    double total;          /* … with so many requests; from NULL: none is looked for */
} views[] = {
    { "workloads", { .type = GRAPH_WORKLOAD }, NULL, 8, 7, 0, "edge/gw", "shop/web-v2", 30 },
    { "apps", { .type = GRAPH_APP }, NULL, 7, 6, 0, "edge/gw", "shop/web", 100 },
    { "versioned apps", { .type = GRAPH_VERSIONED_APP }, NULL, 8, 7, 1, "edge/gw", "shop/web v2", 30 },
    { "services", { .type = GRAPH_SERVICE }, NULL, 7, 6, 0, "edge/gw", "shop/web", 100 },
    { "with services between", { .type = GRAPH_WORKLOAD, .inject_service_nodes = true }, NULL, 12, 12, 0,
      "shop/web (service)", "shop/web-v1", 70 },
    { "with idle edges", { .type = GRAPH_WORKLOAD, .include_idle_edges = true }, NULL, 8, 8, 0, "shop/web-v2", "data/db", 0 },
    { "one namespace", { .type = GRAPH_WORKLOAD }, "edge", 4, 3, 0, "edge/gw", "shop/web-v1", 70 },
    { "its own edges and those that touch it", { .type = GRAPH_WORKLOAD }, "data", 3, 3, 0, NULL, NULL, 0 },
    { "boxed by namespace", { .type = GRAPH_WORKLOAD, .boxes = GRAPH_BOX_NAMESPACE }, NULL, 8, 7, 3, NULL, NULL, 0 },
    { "boxed by all", { .type = GRAPH_APP, .boxes = 7 }, NULL, 7, 6, 2, NULL, NULL, 0 },
    { "a namespace that is not", { .type = GRAPH_WORKLOAD }, "none", 0, 0, 0, NULL, NULL, 0 },
};

START_TEST(draws_views)
{
    struct graph_options o = views[_i].o;
    struct str ns = str_of(views[_i].namespace);
    struct graph_edge *x;
    struct fixture f;
    struct graph *g;

    commit_mesh(&f);
    o.namespaces = &ns;
    o.nnamespaces = views[_i].namespace != NULL;
    g = build(f.st, 1, 61, &o);
    ck_assert_msg(g->nnodes == views[_i].nodes && g->nedges == views[_i].edges && g->nboxes == views[_i].boxes,
                  "%s: %zu nodes, %zu edges, %zu boxes", views[_i].what, g->nnodes, g->nedges, g->nboxes);
    x = views[_i].from ? edge_named(g, views[_i].from, views[_i].to) : NULL;
    if (views[_i].from)
        ck_assert_msg(x && x->counts.total == views[_i].total, "%s: %g", views[_i].what, x ? x->counts.total : -1);
    for (size_t i = 0; i < g->nnodes; i++)
        if (views[_i].namespace && !g->nodes[i]->is_inaccessible)
            ck_assert_int_eq(g->nodes[i]->is_outside, !str_eqz(g->nodes[i]->ns, views[_i].namespace));
    graph_free(g);
    close_store(&f);
}
END_TEST

START_TEST(refuses_an_empty_window)
{
    struct graph_options o = { .from_ms = 1000, .to_ms = 1000 };
    struct err e = ERR_INIT;
    struct fixture f;

    open_store(&f);
    ck_assert_ptr_null(graph_build(f.st, &o, &e));
    ck_assert_int_eq(e.code, ERR_RANGE);
    ck_assert_ptr_null(graph_build(f.st, &o, NULL));
    close_store(&f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("build");
    TCase *t = tcase_create("store");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, counts_exactly, 0, COUNT(windows));
    tcase_add_loop_test(t, a_request_told_by_two_spans_counts_once, 0, (int)COUNT(spans));
    tcase_add_test(t, windows_add_up);
    tcase_add_test(t, draws_workloads);
    tcase_add_loop_test(t, draws_views, 0, COUNT(views));
    tcase_add_test(t, refuses_an_empty_window);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
