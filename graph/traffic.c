/* traffic.c: settled reports become nodes and edges.
 *
 * The graph is a cgraph graph: a node's name is the sha256 of what identifies it, an edge's key its protocol, and the
 * numbers are in records bound to them. What identifies a node depends on the kind of graph; the keys are Kiali's, so
 * that a bookmark of a node in its console is one in ours:
 *
 *   wl_CLUSTER_NAMESPACE_WORKLOAD    app_CLUSTER_NAMESPACE_APP    vapp_CLUSTER_NAMESPACE_WORKLOAD
 *   svc_CLUSTER_NAMESPACE_SERVICE    svc_CLUSTER_NAMESPACE_unknown (a request to nowhere)    CLUSTER_unknown_source
 *
 * A service graph is made as a workload graph with every service between the workloads; finish.c reduces it. */
#include "graph/graph-internal.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

/* cgraph takes char * for names and does not write to them. */
#define NODE_RECORD ((char *)(uintptr_t) "vigla node")
#define EDGE_RECORD ((char *)(uintptr_t) "vigla edge")

enum { MAX_NAMES = 64 }; /* distinct hosts or flags kept apart for one code of one edge */

static const struct str unknown = STR_INIT("unknown");

struct graph_node *node_of(Agnode_t *n)
{
    return (struct graph_node *)(void *)aggetrec(n, NODE_RECORD, 0);
}

struct graph_edge *edge_of(Agedge_t *e)
{
    return (struct graph_edge *)(void *)aggetrec(e, EDGE_RECORD, 0);
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

struct identity {
    enum node_type type;
    struct str ns;
    char id[ID_TEXT];
};

static void put_key(struct buf *b, const char *kind, const struct party *p, struct str ns, struct str name)
{
    buf_printf(b, "%s_", kind);
    buf_str(b, p->cluster);
    buf_putc(b, '_');
    buf_str(b, ns);
    buf_putc(b, '_');
    buf_str(b, name);
}

static enum node_type put_app_key(struct buf *b, enum graph_type type, const struct party *p, struct str ns)
{
    if (type == GRAPH_VERSIONED_APP && label_known(p->workload)) {
        put_key(b, "vapp", p, ns, p->workload);
    } else if (type == GRAPH_VERSIONED_APP && version_known(p->version)) {
        put_key(b, "vapp", p, ns, p->app);
        buf_putc(b, '_');
        buf_str(b, p->version);
    } else {
        put_key(b, "app", p, ns, p->app);
    }
    return NODE_APP;
}

/* The node's key into `b`; false when the party names nothing at all. */
static bool put_identity(struct buf *b, enum graph_type type, const struct party *p, struct identity *id)
{
    bool by_app = type == GRAPH_APP || type == GRAPH_VERSIONED_APP;
    bool no_one = str_eq(p->workload, unknown) && str_eq(p->app, unknown);

    id->ns = label_known(p->ns) ? p->ns : p->service_ns;
    if (no_one && p->service.n == 0 && str_eq(id->ns, unknown)) {
        buf_str(b, p->cluster);
        buf_puts(b, "_unknown_source");
        id->type = NODE_UNKNOWN;
    } else if (no_one && str_eq(p->service, unknown)) {
        put_key(b, "svc", p, id->ns, unknown);
        id->type = NODE_SERVICE;
    } else if (!label_known(p->workload) && !label_known(p->app) && !label_known(p->service)) {
        return false;
    } else if (by_app && label_known(p->app)) {
        id->type = put_app_key(b, type, p, id->ns);
    } else if (label_known(p->workload)) {
        put_key(b, "wl", p, id->ns, p->workload);
        id->type = NODE_WORKLOAD;
    } else {
        put_key(b, "svc", p, id->ns, label_known(p->service) ? p->service : unknown);
        id->type = NODE_SERVICE;
    }
    return true;
}

/* 1: identified; 0: nothing to identify; ERR_NOMEM. */
static int identify(const struct graph *g, const struct party *p, struct identity *id)
{
    struct buf key = BUF_INIT(1 << 20);
    bool there = put_identity(&key, g->o.type, p, id);
    int rc = buf_failed(&key) ? ERR_NOMEM : there;

    if (rc == 1)
        graph_sha256(id->id, buf_view(&key));
    buf_free(&key);
    return rc;
}

static struct str keep(struct graph *g, struct str s, bool *ok)
{
    struct str copy = arena_str(&g->arena, s);

    *ok &= copy.p != NULL;
    return copy;
}

/* What a node of its type shows of the party; the rest would differ from one report to the next. */
static bool name_node(struct graph *g, struct graph_node *n, const struct party *p, const struct identity *id)
{
    bool ok = true;
    bool versioned = n->type == NODE_APP && g->o.type == GRAPH_VERSIONED_APP;
    bool workload = n->type == NODE_WORKLOAD || n->type == NODE_UNKNOWN || versioned;

    n->cluster = keep(g, p->cluster, &ok);
    n->ns = keep(g, id->ns, &ok);
    if (workload)
        n->workload = keep(g, p->workload, &ok);
    if (n->type == NODE_APP || n->type == NODE_UNKNOWN || (workload && label_known(p->app)))
        n->app = keep(g, p->app, &ok);
    if (versioned || n->type == NODE_UNKNOWN || (workload && label_known(p->version)))
        n->version = keep(g, p->version, &ok);
    if (n->type == NODE_SERVICE)
        n->service = keep(g, label_known(p->service) ? p->service : unknown, &ok);
    return ok;
}

static struct graph_node *new_node(struct graph *g, const struct party *p, struct identity *id, struct err *e)
{
    Agnode_t *gv;
    struct graph_node *n;

    if (g->nodes_seen >= GRAPH_MAX_NODES) {
        err_set(e, ERR_LIMIT, "graph: more than %d nodes: ask for fewer namespaces, or an app graph", GRAPH_MAX_NODES);
        return NULL;
    }
    gv = agnode(g->g, id->id, TRUE);
    n = gv ? agbindrec(gv, NODE_RECORD, sizeof(*n), FALSE) : NULL;
    if (!n) {
        err_set(e, ERR_NOMEM, "graph: no memory for a node");
        return NULL;
    }
    n->gv = gv;
    n->type = id->type;
    n->latency = (struct quantiles){ NAN, NAN, NAN };
    memcpy(n->id, id->id, sizeof(n->id));
    g->nodes_seen++;
    if (!name_node(g, n, p, id)) {
        err_set(e, ERR_NOMEM, "graph: no memory for a node");
        return NULL;
    }
    return n;
}

/* 1: *n is the party's node; 0: the party is nobody; ERR_*. */
static int node_for(struct graph *g, const struct party *p, struct graph_node **n, struct err *e)
{
    struct identity id;
    int rc = identify(g, p, &id);
    Agnode_t *gv;

    if (rc < 0)
        return err_set(e, rc, "graph: no memory for a node's key");
    if (rc == 0)
        return 0;
    gv = agnode(g->g, id.id, FALSE);
    *n = gv ? node_of(gv) : new_node(g, p, &id, e);
    return *n ? 1 : e->code;
}

static int add_dest_service(struct graph *g, struct graph_node *n, const struct party *p)
{
    struct dest_service **at = &n->dest_services, *d;
    bool ok = true;

    if (!label_known(p->service))
        return 0;
    for (; *at; at = &(*at)->next) {
        int c = str_cmp((*at)->cluster, p->cluster);

        c = c ? c : str_cmp((*at)->ns, p->service_ns);
        c = c ? c : str_cmp((*at)->name, p->service);
        if (c == 0)
            return 0;
        if (c > 0)
            break;
    }
    d = ARENA_NEW(&g->arena, struct dest_service);
    if (!d)
        return ERR_NOMEM;
    d->cluster = keep(g, p->cluster, &ok);
    d->ns = keep(g, p->service_ns, &ok);
    d->name = keep(g, p->service, &ok);
    d->next = *at;
    *at = d;
    return ok ? 0 : ERR_NOMEM;
}

/* ---- edges ----------------------------------------------------------------------------------------------------- */

static void edge_id(struct graph_edge *x)
{
    char text[2 * ID_TEXT + 8];
    int n = snprintf(text, sizeof(text), "%s.%s.%s", x->source->id, x->target->id, protocol_names[x->protocol]);

    graph_sha256(x->id, (struct str){ text, (size_t)n });
}

struct graph_edge *graph_edge_between(struct graph *g, struct graph_node *s, struct graph_node *t, enum protocol p,
                                      struct err *e)
{
    char *key = (char *)(uintptr_t)protocol_names[p];
    Agedge_t *gv = agedge(g->g, s->gv, t->gv, key, FALSE);
    struct graph_edge *x;

    if (gv)
        return edge_of(gv);
    if (g->edges_seen >= GRAPH_MAX_EDGES) {
        err_set(e, ERR_LIMIT, "graph: more than %d edges: ask for fewer namespaces, or an app graph", GRAPH_MAX_EDGES);
        return NULL;
    }
    gv = agedge(g->g, s->gv, t->gv, key, TRUE);
    x = gv ? agbindrec(gv, EDGE_RECORD, sizeof(*x), FALSE) : NULL;
    if (!x) {
        err_set(e, ERR_NOMEM, "graph: no memory for an edge");
        return NULL;
    }
    x->source = s;
    x->target = t;
    x->protocol = p;
    x->latency = (struct quantiles){ NAN, NAN, NAN };
    edge_id(x);
    g->edges_seen++;
    return x;
}

/* Adds to the named share, keeping the list in order. Names come from outside (a Host header): beyond MAX_NAMES they
 * are counted together. */
static int add_share(struct graph *g, struct share **list, struct str name, double value)
{
    struct share **at = list, *s;
    size_t n = 0;

    for (s = *list; s; s = s->next)
        n++;
    if (n >= MAX_NAMES)
        name = STR("(others)");
    while (*at && str_cmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at && str_eq((*at)->name, name)) {
        (*at)->value += value;
        return 0;
    }
    s = ARENA_NEW(&g->arena, struct share);
    if (!s)
        return ERR_NOMEM;
    s->name = arena_str(&g->arena, name);
    s->value = value;
    s->next = *at;
    *at = s;
    return s->name.p ? 0 : ERR_NOMEM;
}

static struct response *response_for(struct graph *g, struct graph_edge *x, struct str code)
{
    struct response **at = &x->responses, *r;

    while (*at && str_cmp((*at)->code, code) < 0)
        at = &(*at)->next;
    if (*at && str_eq((*at)->code, code))
        return *at;
    r = ARENA_NEW(&g->arena, struct response);
    if (!r)
        return NULL;
    r->code = arena_str(&g->arena, code);
    r->next = *at;
    *at = r;
    return r->code.p ? r : NULL;
}

static int add_response(struct graph *g, struct graph_edge *x, struct str code, struct str flags, struct str host,
                        double v)
{
    struct response *r = response_for(g, x, code.n ? code : STR("-"));

    if (!r)
        return ERR_NOMEM;
    if (flags.n && add_share(g, &r->flags, flags, v) < 0)
        return ERR_NOMEM;
    return host.n ? add_share(g, &r->hosts, host, v) : 0;
}

static void add_counts(struct counts *c, enum protocol p, struct str code, double v)
{
    char class = code.n ? code.p[0] : '\0';

    c->total += v;
    if (p == PROTO_TCP)
        return;
    if (str_eqz(code, "-"))
        c->no_response += v;
    else if (p == PROTO_GRPC) /* three digits: HTTP's code, where the transport failed */
        c->grpc_errors += code.n == 3 ? (class == '4' || class == '5') * v : !str_eqz(code, "0") * (code.n > 0) * v;
    else if (class == '3')
        c->redirects += v;
    else if (class == '4')
        c->client_errors += v;
    else if (class == '5')
        c->server_errors += v;
}

static int add_to_edge(struct graph *g, struct graph_edge *x, const struct report *r)
{
    double v = r->value;

    if (!(v > 0))
        return 0;
    switch (r->metric) {
    case METRIC_TCP_RECEIVED:
        x->tcp.received += v;
        /* fall through */
    case METRIC_REQUESTS:
        add_counts(&x->counts, r->protocol, r->code, v);
        return add_response(g, x, r->code, r->flags, r->host, v);
    case METRIC_TCP_SENT:
        x->tcp.sent += v;
        return 0;
    case METRIC_TCP_OPENED:
        x->tcp.connections += v;
        x->tcp.failed += flags_not_sent(r->flags) ? v : 0;
        return 0;
    case METRIC_DURATION:
        return latency_add(&x->buckets, &g->arena, r->le, v);
    case METRICS:
        break;
    }
    return 0;
}

static void merge_counts(struct counts *to, const struct counts *from)
{
    to->total += from->total;
    to->no_response += from->no_response;
    to->redirects += from->redirects;
    to->client_errors += from->client_errors;
    to->server_errors += from->server_errors;
    to->grpc_errors += from->grpc_errors;
}

int edge_merge(struct graph *g, struct graph_edge *to, const struct graph_edge *from)
{
    merge_counts(&to->counts, &from->counts);
    to->tcp.connections += from->tcp.connections;
    to->tcp.failed += from->tcp.failed;
    to->tcp.sent += from->tcp.sent;
    to->tcp.received += from->tcp.received;
    for (const struct response *r = from->responses; r; r = r->next) {
        for (const struct share *s = r->flags; s; s = s->next)
            if (add_response(g, to, r->code, s->name, STR_NULL, s->value) < 0)
                return ERR_NOMEM;
        for (const struct share *s = r->hosts; s; s = s->next)
            if (add_response(g, to, r->code, STR_NULL, s->name, s->value) < 0)
                return ERR_NOMEM;
    }
    return latency_merge(&to->buckets, &g->arena, &from->buckets);
}

double counts_errors(const struct counts *c)
{
    return c->no_response + c->server_errors + c->grpc_errors;
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

static int join(struct graph *g, struct graph_node *s, struct graph_node *t, const struct report *r, struct err *e)
{
    struct graph_edge *x = graph_edge_between(g, s, t, r->protocol, e);

    if (!x)
        return e->code;
    if (add_dest_service(g, t, &r->destination) < 0 || add_to_edge(g, x, r) < 0)
        return err_set(e, ERR_NOMEM, "graph: no memory for an edge");
    return 0;
}

/* Service nodes stand between workloads where a service was named; never before PassthroughCluster, which is what
 * Envoy calls traffic to no known service (kiali#4488). */
static bool injects(const struct graph *g, const struct report *r, const struct graph_node *t)
{
    return (g->o.inject_service_nodes || g->o.type == GRAPH_SERVICE) && label_known(r->destination.service) &&
           !str_eqz(r->destination.service, "PassthroughCluster") && t->type != NODE_SERVICE;
}

int graph_add(struct graph *g, const struct report *r, struct err *e)
{
    struct graph_node *s = NULL, *t = NULL, *service = NULL;
    struct party between = { .cluster = r->destination.cluster,
                             .service_ns = r->destination.service_ns,
                             .service = r->destination.service };
    int rc = node_for(g, &r->source, &s, e);

    if (rc <= 0)
        return rc;
    rc = node_for(g, &r->destination, &t, e);
    if (rc <= 0)
        return rc;
    if (!injects(g, r, t))
        return join(g, s, t, r, e);
    rc = node_for(g, &between, &service, e);
    if (rc <= 0)
        return rc;
    service->is_injected = true;
    rc = join(g, s, service, r, e);
    return rc < 0 ? rc : join(g, service, t, r, e);
}
