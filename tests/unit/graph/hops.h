/* hops.h: small meshes for the tests of graph/, as rows of what proxies report. */
#ifndef TESTS_UNIT_GRAPH_HOPS_H
#define TESTS_UNIT_GRAPH_HOPS_H

#include "graph/graph-internal.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>

/* One row. Names are "WORKLOAD.NAMESPACE"; a workload "app-v1" has app and version; "" is an unknown end. */
struct hop {
    const char *reporter, *from, *to, *service; /* service "NAME.NAMESPACE", or "" */
    const char *protocol;                       /* "http", "grpc", "tcp" */
    const char *code, *flags;
    double value;
};

static inline struct str before(const char *s, char c)
{
    const char *at = s ? strchr(s, c) : NULL;

    return at ? (struct str){ s, (size_t)(at - s) } : str_of(s ? s : "");
}

static inline struct str after(const char *s, char c)
{
    const char *at = s ? strchr(s, c) : NULL;

    return at ? str_of(at + 1) : STR_NULL;
}

struct label_list {
    struct label v[32];
    size_t n;
};

static inline void put_label(struct label_list *l, const char *name, struct str value)
{
    l->v[l->n++] = (struct label){ str_of(name), value };
}

static inline struct str or_word_unknown(struct str s)
{
    return s.n ? s : STR("unknown");
}

static inline void put_end(struct label_list *l, const char *const names[4], const char *who)
{
    struct str workload = before(who, '.'), app = workload;

    for (size_t i = workload.n; i > 1; i--)
        if (workload.p[i - 1] == 'v' && workload.p[i - 2] == '-')
            app = (struct str){ workload.p, i - 2 };
    put_label(l, names[0], or_word_unknown(workload));
    put_label(l, names[1], or_word_unknown(after(who, '.')));
    put_label(l, names[2], or_word_unknown(app));
    put_label(l, names[3],
              app.n < workload.n ? str_from(workload, app.n + 1) : workload.n ? STR("latest") : STR("unknown"));
}

/* The labels of Istio's metrics, unsorted; views into the hop. `host` must hold the service's name. */
static inline void hop_labels(struct label_list *l, const struct hop *h, char *host, size_t room)
{
    static const char *const source[] = { "source_workload", "source_workload_namespace", "source_canonical_service",
                                          "source_canonical_revision" };
    static const char *const target[] = { "destination_workload", "destination_workload_namespace",
                                          "destination_canonical_service", "destination_canonical_revision" };
    struct str service = before(h->service, '.'), ns = after(h->service, '.');

    snprintf(host, room, "%s%s", h->service, ns.n ? ".svc.cluster.local" : "");
    put_label(l, "reporter", str_of(h->reporter));
    put_end(l, source, h->from);
    put_end(l, target, h->to);
    put_label(l, "source_cluster", h->from[0] ? STR("c1") : STR("unknown"));
    put_label(l, "destination_cluster", h->to[0] || ns.n ? STR("c1") : STR("unknown"));
    put_label(l, "destination_service", or_word_unknown(str_of(host)));
    put_label(l, "destination_service_name", or_word_unknown(service));
    put_label(l, "destination_service_namespace", or_word_unknown(ns));
    put_label(l, "request_protocol", str_of(h->protocol));
    put_label(l, "response_code", str_of(h->code));
    if (strcmp(h->protocol, "grpc") == 0)
        put_label(l, "grpc_response_status", str_of(h->code));
    put_label(l, "response_flags", str_of(h->flags));
}

static inline int read_hop(struct graph *g, struct ledger *l, enum metric m, const struct hop *h)
{
    struct label_list list = { .n = 0 };
    char *host = arena_alloc(l->a, 512);
    struct labels labels;
    struct label *v;

    if (!host)
        return ERR_NOMEM;
    hop_labels(&list, h, host, 512);
    v = arena_array(l->a, list.n, sizeof(*v));
    if (!v)
        return ERR_NOMEM;
    memcpy(v, list.v, list.n * sizeof(*v));
    ck_assert_int_eq(labels_normalise(v, &list.n, NULL), 0);
    labels = (struct labels){ v, list.n };
    return graph_read(g, l, m, labels, h->value);
}

/* A graph of the rows, over ten minutes unless the options say otherwise; NULL as *e says. TCP rows are bytes received
 * and as many sent; `value` 3000 and up: one connection for each 1000. */
static inline struct graph *graph_of(const struct hop *h, size_t n, const struct graph_options *o, struct err *e)
{
    struct graph_options mine = o ? *o : (struct graph_options){ .type = GRAPH_WORKLOAD };
    struct arena a = ARENA_INIT(0);
    struct ledger l;
    struct graph *g;
    int rc = 0;

    if (mine.to_ms == 0)
        mine.to_ms = mine.from_ms + 600000;
    ledger_init(&l, &a);
    g = graph_new(&mine, e);
    for (size_t i = 0; i < n && g && rc == 0; i++) {
        bool tcp = strcmp(h[i].protocol, "tcp") == 0;
        struct hop opened = h[i];

        opened.value = floor(h[i].value / 1000);
        rc = read_hop(g, &l, tcp ? METRIC_TCP_RECEIVED : METRIC_REQUESTS, &h[i]);
        if (tcp && rc == 0)
            rc = read_hop(g, &l, METRIC_TCP_SENT, &h[i]);
        if (tcp && rc == 0)
            rc = read_hop(g, &l, METRIC_TCP_OPENED, &opened);
    }
    if (g && rc < 0)
        err_set(e, rc, "reading");
    if (g && (rc < 0 || graph_finish(g, &l, e) < 0)) {
        graph_free(g);
        g = NULL;
    }
    ledger_fini(&l);
    arena_free(&a);
    return g;
}

static inline struct graph *must_graph(const struct hop *h, size_t n, const struct graph_options *o)
{
    struct err e = ERR_INIT;
    struct graph *g = graph_of(h, n, o, &e);

    ck_assert_msg(g != NULL, "%s", e.msg);
    return g;
}

static inline struct graph_node *node_named(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (str_eqz(g->nodes[i]->name, name))
            return g->nodes[i];
    return NULL;
}

static inline struct graph_edge *edge_named(const struct graph *g, const char *from, const char *to)
{
    for (size_t i = 0; i < g->nedges; i++)
        if (str_eqz(g->edges[i]->source->name, from) && str_eqz(g->edges[i]->target->name, to))
            return g->edges[i];
    return NULL;
}

#endif
