#include "tests/unit/graph/hops.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>

/* A mesh of `n` workloads in `levels` levels, each calling `fan` of the next level. Rows are the caller's to free. */
struct made {
    struct hop *h;
    char (*names)[32];
    size_t n;
};

static struct made make_mesh(size_t n, size_t levels, size_t fan, double load)
{
    struct made m = { mem_zalloc((n * fan + 1) * sizeof(struct hop)), mem_zalloc((n + 1) * 32), 0 };
    uint64_t seed = 1;

    for (size_t i = 0; i < n; i++)
        snprintf(m.names[i], 32, "w%zu.ns%zu", i, i % 7);
    for (size_t i = 0; i < n; i++) {
        size_t level = i * levels / n;

        for (size_t k = 0; k < fan && level + 1 < levels; k++) {
            size_t first = ((level + 1) * n + levels - 1) / levels, end = ((level + 2) * n + levels - 1) / levels;

            seed = seed * 6364136223846793005u + 1442695040888963407u;
            m.h[m.n++] = (struct hop){ "source", m.names[i], m.names[first + (seed >> 33) % (end - first)], "",
                                       "http", "200", "-", load + (double)k };
        }
    }
    return m;
}

static void free_mesh(struct made *m)
{
    mem_free(m->h);
    mem_free(m->names);
}

static void lay_out(struct graph *g, struct graph_positions *p)
{
    struct err e = ERR_INIT;

    ck_assert_msg(graph_layout(g, p, &e) == 0, "%s", e.msg);
    ck_assert(g->placed);
}

static size_t overlapping(const struct graph *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->nnodes; i++) {
        struct node_look a = look_node(g->nodes[i]);

        for (size_t j = 0; j < i; j++) {
            struct node_look b = look_node(g->nodes[j]);

            n += fabs(g->nodes[i]->x - g->nodes[j]->x) < (a.width + b.width) / 2 &&
                 fabs(g->nodes[i]->y - g->nodes[j]->y) < (a.height + b.height) / 2;
        }
    }
    return n;
}

static struct buf kiali(struct graph *g)
{
    struct buf b = BUF_INIT(1 << 26);

    ck_assert_int_eq(graph_export(g, GRAPH_KIALI, &b, NULL), 0);
    return b;
}

/* ---- the bound ------------------------------------------------------------------------------------------------- */

#define CALL(from, to) { "source", from, to, "", "http", "200", "-", 10 }

static const struct hop small[] = {
    CALL("gw.edge", "web.shop"), CALL("web.shop", "cart.shop"),  CALL("web.shop", "db.data"),
    CALL("cart.shop", "db.data"), CALL("cart.shop", "mail.shop"),
};

static const struct {
    const char *what;
    struct hop more[4];
    size_t nodes;
} additions[] = {
    { "nothing", { CALL("web.shop", "db.data") }, 5 },
    { "a new leaf", { CALL("cart.shop", "stock.shop") }, 6 },
    { "a new root", { CALL("probe.ops", "web.shop") }, 6 },
    { "one between", { CALL("web.shop", "auth.shop"), CALL("auth.shop", "db.data") }, 6 },
    { "new ones behind a new one", { CALL("mail.shop", "smtp.net"), CALL("smtp.net", "relay.net") }, 7 },
    { "an island", { CALL("lone.x", "other.x") }, 7 },
    { "two at once", { CALL("web.shop", "n1.x"), CALL("web.shop", "n2.x") }, 7 },
    { "a call back", { CALL("db.data", "web.shop") }, 5 },
};

START_TEST(no_old_node_moves)
{
    struct graph_positions *p = graph_positions_new();
    struct graph *before = must_graph(small, COUNT(small), NULL), *after;
    struct hop all[COUNT(small) + 4];
    size_t n = COUNT(small);

    memcpy(all, small, sizeof(small));
    for (size_t i = 0; i < 4 && additions[_i].more[i].reporter; i++)
        all[n++] = additions[_i].more[i];
    after = must_graph(all, n, NULL);
    lay_out(before, p);
    lay_out(after, p);
    ck_assert_uint_eq(after->nnodes, additions[_i].nodes);
    for (size_t i = 0; i < before->nnodes; i++) {
        const struct graph_node *was = before->nodes[i];
        const struct graph_node *is = node_named(after, was->name.p);

        ck_assert_msg(is && is->x == was->x && is->y == was->y, "%s: %s moved", additions[_i].what, was->name.p);
    }
    ck_assert_msg(overlapping(after) == 0, "%s: nodes overlap", additions[_i].what);
    graph_free(before);
    graph_free(after);
    graph_positions_free(p);
}
END_TEST

/* A node that goes and comes back is where it was, and nobody has taken its place. */
START_TEST(a_node_comes_back_to_its_place)
{
    struct graph_positions *p = graph_positions_new();
    struct graph *all = must_graph(small, COUNT(small), NULL), *less = must_graph(small, COUNT(small) - 1, NULL);
    struct hop other[COUNT(small)];
    struct graph *without, *again = must_graph(small, COUNT(small), NULL);

    memcpy(other, small, sizeof(small));
    other[COUNT(small) - 1] = (struct hop)CALL("cart.shop", "stock.shop");
    without = must_graph(other, COUNT(other), NULL);
    lay_out(all, p);
    lay_out(less, p);
    lay_out(without, p);
    lay_out(again, p);
    ck_assert_double_eq(node_named(all, "shop/mail")->x, node_named(again, "shop/mail")->x);
    ck_assert_double_eq(node_named(all, "shop/mail")->y, node_named(again, "shop/mail")->y);
    ck_assert(node_named(without, "shop/stock")->y != node_named(again, "shop/mail")->y ||
              node_named(without, "shop/stock")->x != node_named(again, "shop/mail")->x);
    graph_free(all);
    graph_free(less);
    graph_free(without);
    graph_free(again);
    graph_positions_free(p);
}
END_TEST

/* A mesh that is still starting: bit by bit, and at half as many again the picture is a fresh one. */
START_TEST(a_graph_that_grew_by_half_is_laid_out_afresh)
{
    static const struct hop more[] = { CALL("web.shop", "n1.x"), CALL("web.shop", "n2.x"), CALL("web.shop", "n3.x") };
    struct graph_positions *p = graph_positions_new(), *none = graph_positions_new();
    struct hop all[COUNT(small) + COUNT(more)];
    struct graph *g, *same;

    memcpy(all, small, sizeof(small));
    memcpy(all + COUNT(small), more, sizeof(more));
    for (size_t n = COUNT(small); n <= COUNT(all); n++) {
        g = must_graph(all, n, NULL);
        lay_out(g, p);
        if (n < COUNT(all))
            graph_free(g);
    }
    same = must_graph(all, COUNT(all), NULL);
    lay_out(same, none);
    for (size_t i = 0; i < g->nnodes; i++) {
        ck_assert_double_eq(g->nodes[i]->x, same->nodes[i]->x);
        ck_assert_double_eq(g->nodes[i]->y, same->nodes[i]->y);
    }
    graph_free(g);
    graph_free(same);
    graph_positions_free(p);
    graph_positions_free(none);
}
END_TEST

/* With more new than old, the picture is a fresh one, equal to that without memory. */
START_TEST(another_graph_is_laid_out_afresh)
{
    struct made m = make_mesh(20, 4, 2, 10);
    struct graph_positions *p = graph_positions_new(), *none = graph_positions_new();
    struct graph *g = must_graph(small, COUNT(small), NULL);
    struct graph *other = must_graph(m.h, m.n, NULL), *same = must_graph(m.h, m.n, NULL);

    lay_out(g, p);
    lay_out(other, p);
    lay_out(same, none);
    for (size_t i = 0; i < other->nnodes; i++) {
        ck_assert_double_eq(other->nodes[i]->x, same->nodes[i]->x);
        ck_assert_double_eq(other->nodes[i]->y, same->nodes[i]->y);
    }
    graph_free(g);
    graph_free(other);
    graph_free(same);
    graph_positions_free(p);
    graph_positions_free(none);
    free_mesh(&m);
}
END_TEST

/* The same input gives the same bytes, whatever order the series came in; other rates leave the places. */
START_TEST(depends_on_structure_alone)
{
    struct made m = make_mesh(60, 5, 3, 10), busy = make_mesh(60, 5, 3, 99999);
    struct graph_options o = { .type = GRAPH_WORKLOAD, .boxes = GRAPH_BOX_NAMESPACE };
    struct graph_positions *p1 = graph_positions_new(), *p2 = graph_positions_new(), *p3 = graph_positions_new();
    struct graph *a = must_graph(m.h, m.n, &o), *b, *c = must_graph(busy.h, busy.n, &o);
    struct buf x, y;

    for (size_t i = 0; i < m.n / 2; i++) {
        struct hop h = m.h[i];

        m.h[i] = m.h[m.n - 1 - i];
        m.h[m.n - 1 - i] = h;
    }
    b = must_graph(m.h, m.n, &o);
    lay_out(a, p1);
    lay_out(b, p2);
    lay_out(c, p3);
    x = kiali(a);
    y = kiali(b);
    ck_assert(str_eq(buf_view(&x), buf_view(&y)));
    for (size_t i = 0; i < a->nnodes; i++)
        ck_assert(a->nodes[i]->x == c->nodes[i]->x && a->nodes[i]->y == c->nodes[i]->y);
    buf_free(&x);
    buf_free(&y);
    graph_free(a);
    graph_free(b);
    graph_free(c);
    graph_positions_free(p1);
    graph_positions_free(p2);
    graph_positions_free(p3);
    free_mesh(&m);
    free_mesh(&busy);
}
END_TEST

/* ---- size ------------------------------------------------------------------------------------------------------ */

static const struct {
    size_t nodes, levels, fan;
} sizes[] = { { 1, 1, 1 }, { 2, 2, 1 }, { 50, 5, 2 }, { 300, 6, 2 }, { 1000, 8, 2 }, { 5000, 8, 2 } };

START_TEST(large_graphs_are_placed_in_time)
{
    struct made m = make_mesh(sizes[_i].nodes, sizes[_i].levels, sizes[_i].fan, 10);
    struct hop one = CALL("alone.x", "alone.x");
    struct graph *g = m.n ? must_graph(m.h, m.n, NULL) : must_graph(&one, 1, NULL);
    struct graph_positions *p = graph_positions_new();
    int64_t start = clock_mono_ns();

    lay_out(g, p);
    ck_assert_int_lt(clock_mono_ns() - start, (int64_t)20 * 1000 * 1000 * 1000); /* under sanitizers too */
    ck_assert_uint_eq(overlapping(g), 0);
    graph_free(g);
    graph_positions_free(p);
    free_mesh(&m);
}
END_TEST

/* A ring, a clique, loops: what has no first layer. */
START_TEST(cycles_are_placed)
{
    struct layered_node v[40];
    struct layered_edge e[40 * 39];
    size_t n = 0;

    for (size_t i = 0; i < COUNT(v); i++) {
        v[i] = (struct layered_node){ .width = 100, .height = 40 };
        for (size_t j = 0; j < COUNT(v); j++)
            if (i != j && (_i == 0 || j == (i + 1) % COUNT(v)))
                e[n++] = (struct layered_edge){ i, j };
    }
    ck_assert_int_eq(layered_place(v, COUNT(v), e, n), 0);
    for (size_t i = 0; i < COUNT(v); i++)
        for (size_t j = 0; j < i; j++)
            ck_assert(fabs(v[i].x - v[j].x) >= 100 || fabs(v[i].y - v[j].y) >= 40);
}
END_TEST

/* Graphs of any shape: loops, calls back and forth, boxes in boxes, islands; each is placed without overlap, and drawn. */
START_TEST(any_shape_is_placed_and_drawn)
{
    uint64_t seed = (uint64_t)_i * 7919 + 1;
    char names[40][32];
    struct hop h[80];
    size_t n = 2 + (size_t)_i % 39, m = 1 + (size_t)(_i * 37) % COUNT(h);
    struct graph_options o = { .type = (enum graph_type)(_i % 4), .inject_service_nodes = _i % 3 == 0,
                               .boxes = (unsigned)_i % 8 };
    struct graph_positions *p = graph_positions_new();
    struct buf svg = BUF_INIT(1 << 24);
    struct err e = ERR_INIT;
    struct graph *g;

    for (size_t i = 0; i < n; i++)
        snprintf(names[i], sizeof(names[i]), "app%zu-v%zu.ns%zu", i / 3, i % 3, i % 4);
    for (size_t i = 0; i < m; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        h[i] = (struct hop){ "source", names[(seed >> 33) % n], names[(seed >> 45) % n], i % 5 ? "svc.ns1" : "",
                             i % 7 ? "http" : "tcp", "200", "-", 10 };
    }
    g = must_graph(h, m, &o);
    lay_out(g, p);
    ck_assert_uint_eq(overlapping(g), 0);
    if (_i % 8 == 0)
        ck_assert_msg(graph_export(g, GRAPH_SVG, &svg, &e) == 0, "%d: %s", _i, e.msg);
    buf_free(&svg);
    graph_positions_free(p);
    graph_free(g);
}
END_TEST

/* Threads share Graphviz and nothing else. */
static void *use_graphs(void *arg)
{
    for (int i = 0; i < 5; i++) {
        struct made m = make_mesh(30, 4, 2, 10);
        struct graph *g = graph_of(m.h, m.n, NULL, NULL);
        struct graph_positions *p = graph_positions_new();
        struct buf out = BUF_INIT(1 << 24);

        if (graph_layout(g, p, NULL) < 0 || graph_export(g, GRAPH_KIALI, &out, NULL) < 0 ||
            graph_export(g, GRAPH_SVG, &out, NULL) < 0)
            *(bool *)arg = false;
        buf_free(&out);
        graph_positions_free(p);
        graph_free(g);
        free_mesh(&m);
    }
    return NULL;
}

START_TEST(threads_do_not_meet)
{
    bool ok[4] = { true, true, true, true };
    pthread_t t[4];

    for (size_t i = 0; i < COUNT(t); i++)
        ck_assert_int_eq(pthread_create(&t[i], NULL, use_graphs, &ok[i]), 0);
    for (size_t i = 0; i < COUNT(t); i++)
        pthread_join(t[i], NULL);
    for (size_t i = 0; i < COUNT(t); i++)
        ck_assert(ok[i]);
}
END_TEST

START_TEST(survives_failing_allocations)
{
    struct hop all[COUNT(small) + 1];
    long n = 1;

    memcpy(all, small, sizeof(small));
    all[COUNT(small)] = (struct hop)CALL("web.shop", "new.shop");
    for (bool failed = true; failed; n++) {
        struct graph_positions *p = graph_positions_new();
        struct graph *g = must_graph(small, COUNT(small), NULL), *more = must_graph(all, COUNT(all), NULL);
        struct err e = ERR_INIT;
        int rc;

        lay_out(g, p);
        mem_fail_at(n);
        rc = graph_layout(more, p, &e);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(rc == 0 || (rc == ERR_NOMEM && failed)); /* a name that could not be kept does no harm */
        lay_out(more, p); /* what failed can be tried again */
        ck_assert_double_eq(node_named(g, "shop/web")->x, node_named(more, "shop/web")->x);
        graph_free(g);
        graph_free(more);
        graph_positions_free(p);
    }
    ck_assert_int_gt(n, 2);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layout");
    TCase *t = tcase_create("places");

    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, no_old_node_moves, 0, COUNT(additions));
    tcase_add_test(t, a_node_comes_back_to_its_place);
    tcase_add_test(t, a_graph_that_grew_by_half_is_laid_out_afresh);
    tcase_add_test(t, another_graph_is_laid_out_afresh);
    tcase_add_test(t, depends_on_structure_alone);
    tcase_add_loop_test(t, large_graphs_are_placed_in_time, 0, COUNT(sizes));
    tcase_add_loop_test(t, cycles_are_placed, 0, 2);
    tcase_add_loop_test(t, any_shape_is_placed_and_drawn, 0, 160);
    tcase_add_test(t, threads_do_not_meet);
    tcase_add_test(t, survives_failing_allocations);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
