/* finish.c: from settled reports to a graph that can be shown: reduced, summed, marked, judged, named, in order. */
#include "graph/graph-internal.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* Every edge of the cgraph graph; the body may not add or delete. */
#define EACH_EDGE(g, n, e)                                                                                             \
    for (Agnode_t *n = agfstnode((g)->g); n; n = agnxtnode((g)->g, n))                                                 \
        for (Agedge_t *e = agfstout((g)->g, n); e; e = agnxtout((g)->g, e))

/* ---- what is not there ------------------------------------------------------------------------------------------ */

/* Kiali's TCP edges are their bytes: connections that were refused, as those to a server that is not up yet, make none.
 * A histogram that did not move makes none either. Idle edges are shown when asked for. */
static void drop_silent_edges(struct graph *g)
{
    for (Agnode_t *n = agfstnode(g->g); n; n = agnxtnode(g->g, n))
        for (Agedge_t *gv = agfstout(g->g, n), *next; gv; gv = next) {
            next = agnxtout(g->g, gv);
            if (!(edge_of(gv)->counts.total > 0 || edge_of(gv)->tcp.sent > 0))
                agdeledge(g->g, gv);
        }
}

/* Who was only at the ends of such edges. */
static void drop_lonely_nodes(struct graph *g)
{
    for (Agnode_t *n = agfstnode(g->g), *next; n; n = next) {
        next = agnxtnode(g->g, n);
        if (!agfstedge(g->g, n))
            agdelnode(g->g, n);
    }
}

/* ---- sums and marks -------------------------------------------------------------------------------------------- */

static void sum_nodes(struct graph *g)
{
    EACH_EDGE(g, n, gv)
    {
        struct graph_edge *x = edge_of(gv);
        struct counts *in = &x->target->in[x->protocol];

        in->total += x->counts.total;
        in->no_response += x->counts.no_response;
        in->redirects += x->counts.redirects;
        in->client_errors += x->counts.client_errors;
        in->server_errors += x->counts.server_errors;
        in->grpc_errors += x->counts.grpc_errors;
        x->target->tcp.connections += x->tcp.connections;
        x->target->tcp.failed += x->tcp.failed;
        x->target->tcp.sent += x->tcp.sent;
        x->target->tcp.received += x->tcp.received;
        x->source->out[x->protocol] += x->counts.total;
    }
}

static bool listed(struct str s, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i], s))
            return true;
    return false;
}

/* A name that Envoy gives to traffic without a destination in the mesh. */
static bool is_egress_cluster(struct str service)
{
    return str_eqz(service, "PassthroughCluster") || str_eqz(service, "BlackHoleCluster");
}

/* Kiali tells gateways by their app, which every kind of node has but a service; a name is more precise. */
static const struct graph_gateway *gateway_of(const struct graph *g, const struct graph_node *n)
{
    for (size_t i = 0; i < g->o.ngateways && (n->type == NODE_WORKLOAD || n->type == NODE_APP); i++) {
        const struct graph_gateway *w = &g->o.gateways[i];

        if (str_eq(w->ns, n->ns) && (label_known(n->workload) ? str_eq(w->workload, n->workload)
                                                              : w->app.n && str_eq(w->app, n->app)))
            return w;
    }
    return NULL;
}

static void mark_node(const struct graph *g, struct graph_node *n)
{
    bool unknown_ns = str_eqz(n->ns, "unknown");
    bool nowhere = n->type == NODE_UNKNOWN ||
                   (n->type == NODE_SERVICE && (unknown_ns || is_egress_cluster(n->service)));

    n->is_inaccessible = nowhere || (g->o.ndeclared && !listed(n->ns, g->o.declared, g->o.ndeclared));
    n->is_outside = !nowhere && !unknown_ns && g->o.nnamespaces && !listed(n->ns, g->o.namespaces, g->o.nnamespaces);
    n->is_root = agfstout(g->g, n->gv) && !agfstin(g->g, n->gv);
    n->gateway = gateway_of(g, n);
}

static void mark_idle(struct graph_node *n)
{
    double all = n->tcp.connections + n->tcp.sent;

    for (size_t p = 0; p < PROTOCOLS; p++)
        all += n->in[p].total + n->out[p];
    n->is_idle = !(all > 0);
}

static void mark_nodes(struct graph *g)
{
    for (Agnode_t *n = agfstnode(g->g); n; n = agnxtnode(g->g, n)) {
        mark_node(g, node_of(n));
        mark_idle(node_of(n));
    }
}

/* ---- the service graph ----------------------------------------------------------------------------------------- */

/* service → workload → service becomes service → service. */
static int bridge(struct graph *g, struct graph_node *service, struct graph_node *workload, struct err *e)
{
    for (Agedge_t *gv = agfstout(g->g, workload->gv); gv; gv = agnxtout(g->g, gv)) {
        struct graph_edge *x = edge_of(gv), *to;

        if (x->target->type != NODE_SERVICE)
            continue;
        to = graph_edge_between(g, service, x->target, x->protocol, e);
        if (!to)
            return e->code;
        if (edge_merge(g, to, x) < 0)
            return err_set(e, ERR_NOMEM, "graph: no memory for an edge");
    }
    return 0;
}

static int bridge_services(struct graph *g, struct err *e)
{
    for (Agnode_t *n = agfstnode(g->g); n; n = agnxtnode(g->g, n)) {
        if (node_of(n)->type != NODE_SERVICE)
            continue;
        for (Agedge_t *gv = agfstout(g->g, n); gv; gv = agnxtout(g->g, gv)) {
            struct graph_node *w = edge_of(gv)->target;

            if (w->type != NODE_SERVICE && bridge(g, node_of(n), w, e) < 0)
                return e->code;
        }
    }
    return 0;
}

/* Services stay, and who calls them without being called: the roots. */
static void drop_workloads(struct graph *g)
{
    for (Agnode_t *n = agfstnode(g->g), *next; n; n = next) {
        bool stays = node_of(n)->type == NODE_SERVICE || node_of(n)->is_root;
        bool calls = false;

        next = agnxtnode(g->g, n);
        for (Agedge_t *gv = agfstout(g->g, n), *after; gv; gv = after) {
            after = agnxtout(g->g, gv);
            if (stays && edge_of(gv)->target->type == NODE_SERVICE)
                calls = true;
            else
                agdeledge(g->g, gv);
        }
        if (!stays || (node_of(n)->type != NODE_SERVICE && !calls))
            agdelnode(g->g, n);
    }
}

/* What a node sends is then what its remaining edges carry; what comes in is still all of it. */
static int reduce_to_services(struct graph *g, struct err *e)
{
    if (bridge_services(g, e) < 0)
        return e->code;
    drop_workloads(g);
    for (Agnode_t *n = agfstnode(g->g); n; n = agnxtnode(g->g, n))
        memset(node_of(n)->out, 0, sizeof(node_of(n)->out));
    EACH_EDGE(g, n, gv)
    {
        edge_of(gv)->source->out[edge_of(gv)->protocol] += edge_of(gv)->counts.total;
    }
    return 0;
}

/* ---- latency and health ---------------------------------------------------------------------------------------- */

static int measure_node(struct graph_node *n, Agraph_t *g)
{
    struct arena a = ARENA_INIT(GRAPH_ARENA);
    struct histogram all = { 0 };
    int rc = 0;

    for (Agedge_t *gv = agfstin(g, n->gv); gv && rc == 0; gv = agnxtin(g, gv))
        rc = latency_merge(&all, &a, &edge_of(gv)->buckets);
    n->latency = latency_quantiles(&all);
    arena_free(&a);
    return rc;
}

static size_t list_counts(const struct graph_edge *x, const char *direction, struct health_count *c, size_t n, size_t max)
{
    for (const struct response *r = x->responses; r; r = r->next)
        for (const struct share *s = r->flags; s && n < max; s = s->next)
            c[n++] = (struct health_count){ direction, str_of(protocol_names[x->protocol]), r->code, s->value };
    return n;
}

enum { MAX_COUNTS = 4096 }; /* of one node; what is beyond says nothing new about its health */

static void judge_node(struct graph *g, struct graph_node *n, const struct health_rule *rule, struct health_count *c)
{
    size_t k = 0;

    if (n->type == NODE_UNKNOWN)
        return;
    for (Agedge_t *gv = agfstin(g->g, n->gv); gv; gv = agnxtin(g->g, gv))
        k = list_counts(edge_of(gv), "inbound", c, k, MAX_COUNTS);
    for (Agedge_t *gv = agfstout(g->g, n->gv); gv; gv = agnxtout(g->g, gv))
        k = list_counts(edge_of(gv), "outbound", c, k, MAX_COUNTS);
    n->health = health_of(rule, c, k);
}

/* An edge is judged as what its source sends and as what its target gets. */
static void judge_edge(struct graph_edge *x, const struct health_rule *rule, struct health_count *c)
{
    enum health out = health_of(rule, c, list_counts(x, "outbound", c, 0, MAX_COUNTS));
    enum health in = health_of(rule, c, list_counts(x, "inbound", c, 0, MAX_COUNTS));

    x->health = health_worse(in, out);
    x->latency = latency_quantiles(&x->buckets);
}

static int judge(struct graph *g, struct err *e)
{
    struct arena a = ARENA_INIT(16 << 20);
    struct health_rule *rule = health_default(&a, e);
    struct health_count *c = arena_array(&a, MAX_COUNTS, sizeof(*c));
    int rc = rule && c ? 0 : err_set(e, ERR_NOMEM, "graph: no memory for health");

    for (size_t i = 0; i < g->nedges && rc == 0; i++)
        judge_edge(g->edges[i], rule, c);
    for (size_t i = 0; i < g->nnodes && rc == 0; i++) {
        judge_node(g, g->nodes[i], rule, c);
        if (measure_node(g->nodes[i], g->g) < 0)
            rc = err_set(e, ERR_NOMEM, "graph: no memory for a node's latency");
    }
    arena_free(&a);
    return rc;
}

/* ---- order and names ------------------------------------------------------------------------------------------- */

static int cmp_nodes(const void *pa, const void *pb)
{
    const struct graph_node *a = *(struct graph_node *const *)pa, *b = *(struct graph_node *const *)pb;
    int c = str_cmp(a->cluster, b->cluster);

    c = c ? c : str_cmp(a->ns, b->ns);
    c = c ? c : str_cmp(a->app, b->app);
    c = c ? c : str_cmp(a->version, b->version);
    c = c ? c : str_cmp(a->service, b->service);
    c = c ? c : str_cmp(a->workload, b->workload);
    return c ? c : strcmp(a->id, b->id);
}

static int cmp_edges(const void *pa, const void *pb)
{
    const struct graph_edge *a = *(struct graph_edge *const *)pa, *b = *(struct graph_edge *const *)pb;
    int c = strcmp(a->source->id, b->source->id);

    c = c ? c : strcmp(a->target->id, b->target->id);
    return c ? c : (int)a->protocol - (int)b->protocol;
}

static int cmp_edges_by_name(const void *pa, const void *pb)
{
    const struct graph_edge *a = *(struct graph_edge *const *)pa, *b = *(struct graph_edge *const *)pb;

    if (a->source->index != b->source->index)
        return a->source->index < b->source->index ? -1 : 1;
    if (a->target->index != b->target->index)
        return a->target->index < b->target->index ? -1 : 1;
    return (int)a->protocol - (int)b->protocol;
}

static int list_all(struct graph *g, struct err *e)
{
    g->nodes = arena_array(&g->arena, (size_t)agnnodes(g->g) + 1, sizeof(struct graph_node *));
    g->edges = arena_array(&g->arena, (size_t)agnedges(g->g) + 1, sizeof(struct graph_edge *));
    g->edges_by_name = arena_array(&g->arena, (size_t)agnedges(g->g) + 1, sizeof(struct graph_edge *));
    if (!g->nodes || !g->edges || !g->edges_by_name)
        return err_set(e, ERR_NOMEM, "graph: no memory for its lists");
    for (Agnode_t *n = agfstnode(g->g); n; n = agnxtnode(g->g, n))
        g->nodes[g->nnodes++] = node_of(n);
    EACH_EDGE(g, n, gv)
    {
        g->edges[g->nedges++] = edge_of(gv);
    }
    qsort(g->nodes, g->nnodes, sizeof(struct graph_node *), cmp_nodes);
    qsort(g->edges, g->nedges, sizeof(struct graph_edge *), cmp_edges);
    for (size_t i = 0; i < g->nnodes; i++)
        g->nodes[i]->index = i;
    for (size_t i = 0; i < g->nedges; i++)
        g->edges_by_name[i] = g->edges[i];
    qsort(g->edges_by_name, g->nedges, sizeof(struct graph_edge *), cmp_edges_by_name);
    return 0;
}

static void put_name(struct buf *b, const struct graph *g, const struct graph_node *n, bool clusters)
{
    if (n->type == NODE_UNKNOWN) {
        buf_puts(b, "unknown source");
    } else if (n->type == NODE_SERVICE && !label_known(n->service) && !label_known(n->ns)) {
        buf_puts(b, "unknown destination");
        return;
    } else {
        buf_str(b, n->ns);
        buf_putc(b, '/');
        buf_str(b, n->type == NODE_APP ? n->app : n->type == NODE_SERVICE ? n->service : n->workload);
        if (n->type == NODE_APP && g->o.type == GRAPH_VERSIONED_APP && version_known(n->version)) {
            buf_putc(b, ' ');
            buf_str(b, n->version);
        }
    }
    if (n->type == NODE_SERVICE && g->o.type != GRAPH_SERVICE)
        buf_puts(b, " (service)");
    if (clusters) {
        buf_puts(b, " @ ");
        buf_str(b, n->cluster);
    }
}

/* "guestbook/frontend-v1", "guestbook/frontend (service)"; with the cluster where there are several, and with the start
 * of the id where two would still look the same. */
static int name_nodes(struct graph *g, struct strmap *seen)
{
    struct buf b = BUF_INIT(1 << 20);
    const struct str *cluster = NULL;
    bool clusters = false;
    int rc = 0;

    for (size_t i = 0; i < g->nnodes; i++) {
        if (!label_known(g->nodes[i]->cluster))
            continue;
        clusters |= cluster && !str_eq(*cluster, g->nodes[i]->cluster);
        cluster = &g->nodes[i]->cluster;
    }
    for (size_t i = 0; i < g->nnodes && rc == 0; i++) {
        struct graph_node *n = g->nodes[i];

        buf_reset(&b);
        put_name(&b, g, n, clusters);
        if (strmap_get(seen, buf_view(&b)))
            buf_printf(&b, " #%.8s", n->id);
        n->name = arena_str(&g->arena, buf_view(&b));
        rc = buf_failed(&b) || !n->name.p ? ERR_NOMEM : strmap_put(seen, n->name, n, NULL);
    }
    buf_free(&b);
    return rc;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static int complete(struct graph *g, struct err *e)
{
    struct strmap seen = STRMAP_INIT;
    int rc;

    if (!g->o.include_idle_edges) {
        drop_silent_edges(g);
        drop_lonely_nodes(g);
    }
    sum_nodes(g);
    mark_nodes(g);
    if (g->o.type == GRAPH_SERVICE && reduce_to_services(g, e) < 0)
        return e->code;
    if (list_all(g, e) < 0 || judge(g, e) < 0)
        return e->code;
    rc = name_nodes(g, &seen);
    strmap_free(&seen);
    if (rc < 0)
        return err_set(e, rc, "graph: no memory for names");
    return graph_box_nodes(g, e);
}

struct adding {
    struct graph *g;
    struct err *e;
};

static int add_one(void *arg, const struct report *r)
{
    struct adding *to = arg;

    return graph_add(to->g, r, to->e);
}

int graph_read(struct graph *g, struct ledger *l, enum metric m, struct labels labels, double value)
{
    struct report r;

    if (isnan(value) || !report_read(&r, m, labels, value) || !report_wanted(&r, &g->o))
        return 0;
    return ledger_add(l, &r);
}

int graph_finish(struct graph *g, struct ledger *l, struct err *e)
{
    struct adding to = { g, e };
    int rc;

    gv_lock();
    rc = ledger_settle(l, add_one, &to);
    if (rc == 0)
        rc = complete(g, e);
    gv_unlock();
    return rc < 0 ? rc : 0;
}
