/* export_json.c: the graph as Kiali answers it, and as JSON Graph Format (jsongraphformat.info, version 2).
 *
 * Both tell the same of a node and of an edge. Kiali's rates are strings with two decimals, more where a small number
 * would vanish, five at most; its percentages have one. Rates that are zero are left out. Our own numbers are in the
 * object `vigla` (docs/protocols.md). */
#include "graph/graph-internal.h"

#include <math.h>

/* ---- small writers --------------------------------------------------------------------------------------------- */

/* The comma before all but the first of an object's or array's members. */
static void comma(struct buf *b, bool *first)
{
    if (!*first)
        buf_putc(b, ',');
    *first = false;
}

static void key(struct buf *b, bool *first, const char *name)
{
    comma(b, first);
    buf_printf(b, "\"%s\":", name);
}

static void put_text(struct buf *b, bool *first, const char *name, struct str s)
{
    key(b, first, name);
    buf_json(b, s);
}

static void put_some(struct buf *b, bool *first, const char *name, struct str s)
{
    if (s.n)
        put_text(b, first, name, s);
}

static void put_true(struct buf *b, bool *first, const char *name, bool is)
{
    if (!is)
        return;
    key(b, first, name);
    buf_puts(b, "true");
}

static void put_number(struct buf *b, bool *first, const char *name, double v)
{
    key(b, first, name);
    if (isfinite(v))
        buf_double(b, v);
    else
        buf_puts(b, "null");
}

/* A count is whole; sums of doubles stay exact far beyond any count of requests. */
static void put_count(struct buf *b, bool *first, const char *name, double v)
{
    put_number(b, first, name, isfinite(v) ? round(v) : v);
}

static void put_rate(struct buf *b, bool *first, const char *name, double rate)
{
    int decimals = 0;

    if (!(rate > 0))
        return;
    for (double v = rate; v < 1 && decimals < 5; v *= 10)
        decimals++;
    key(b, first, name);
    buf_printf(b, "\"%.*f\"", decimals > 2 ? decimals : 2, rate);
}

static void put_percent(struct buf *b, bool *first, const char *name, double part, double all)
{
    if (!(part > 0 && all > 0))
        return;
    key(b, first, name);
    buf_printf(b, "\"%.1f\"", part / all * 100);
}

/* ---- traffic, in Kiali's words --------------------------------------------------------------------------------- */

static void put_node_rates(struct buf *b, const struct graph *g, enum protocol p, const struct counts *c, double out)
{
    static const char *const in_names[] = { "grpcIn", "httpIn", "tcpIn" };
    static const char *const out_names[] = { "grpcOut", "httpOut", "tcpOut" };
    bool first = true;

    buf_printf(b, "{\"protocol\":\"%s\",\"rates\":{", protocol_names[p]);
    put_rate(b, &first, in_names[p], c->total / g->seconds);
    if (p == PROTO_GRPC) {
        put_rate(b, &first, "grpcInNoResponse", c->no_response / g->seconds);
        put_rate(b, &first, "grpcInErr", c->grpc_errors / g->seconds);
    } else if (p == PROTO_HTTP) {
        put_rate(b, &first, "httpInNoResponse", c->no_response / g->seconds);
        put_rate(b, &first, "httpIn3xx", c->redirects / g->seconds);
        put_rate(b, &first, "httpIn4xx", c->client_errors / g->seconds);
        put_rate(b, &first, "httpIn5xx", c->server_errors / g->seconds);
    }
    put_rate(b, &first, out_names[p], out / g->seconds);
    buf_puts(b, "}}");
}

static void put_node_traffic(struct buf *b, bool *first, const struct graph *g, const struct graph_node *n)
{
    bool none = true;

    for (enum protocol p = 0; p < PROTOCOLS; p++) {
        if (!(n->in[p].total > 0 || n->out[p] > 0))
            continue;
        if (none) {
            key(b, first, "traffic");
            buf_putc(b, '[');
        } else {
            buf_putc(b, ',');
        }
        none = false;
        put_node_rates(b, g, p, &n->in[p], n->out[p]);
    }
    if (!none)
        buf_putc(b, ']');
}

static void put_edge_rates(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    const struct counts *c = &e->counts;
    double failed = c->no_response + c->client_errors + c->server_errors + c->grpc_errors;
    bool first = true;

    put_rate(b, &first, protocol_names[e->protocol], c->total / g->seconds);
    if (e->protocol == PROTO_TCP)
        return;
    if (e->protocol == PROTO_GRPC) {
        put_rate(b, &first, "grpcNoResponse", c->no_response / g->seconds);
        put_rate(b, &first, "grpcErr", c->grpc_errors / g->seconds);
    } else {
        put_rate(b, &first, "httpNoResponse", c->no_response / g->seconds);
        put_rate(b, &first, "http3xx", c->redirects / g->seconds);
        put_rate(b, &first, "http4xx", c->client_errors / g->seconds);
        put_rate(b, &first, "http5xx", c->server_errors / g->seconds);
    }
    put_percent(b, &first, e->protocol == PROTO_GRPC ? "grpcPercentErr" : "httpPercentErr", failed, c->total);
    put_percent(b, &first, e->protocol == PROTO_GRPC ? "grpcPercentReq" : "httpPercentReq", c->total,
                e->source->out[e->protocol]);
}

static void put_shares(struct buf *b, bool *first, const char *name, const struct share *s, double all)
{
    bool none = true;

    if (!s)
        return;
    key(b, first, name);
    buf_putc(b, '{');
    for (; s; s = s->next) {
        comma(b, &none);
        buf_json(b, s->name);
        buf_printf(b, ":\"%.1f\"", s->value / all * 100);
    }
    buf_putc(b, '}');
}

static void put_responses(struct buf *b, const struct graph_edge *e)
{
    bool first = true;

    buf_puts(b, ",\"responses\":{");
    for (const struct response *r = e->responses; r; r = r->next) {
        bool none = true;

        comma(b, &first);
        buf_json(b, r->code);
        buf_puts(b, ":{");
        put_shares(b, &none, "flags", r->flags, e->counts.total);
        put_shares(b, &none, "hosts", r->hosts, e->counts.total);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void put_edge_traffic(struct buf *b, bool *first, const struct graph *g, const struct graph_edge *e)
{
    key(b, first, "traffic");
    buf_printf(b, "{\"protocol\":\"%s\"", protocol_names[e->protocol]);
    if (e->counts.total > 0) {
        buf_puts(b, ",\"rates\":{");
        put_edge_rates(b, g, e);
        buf_putc(b, '}');
        put_responses(b, e);
    }
    buf_putc(b, '}');
}

/* ---- our own numbers ------------------------------------------------------------------------------------------- */

struct figures {
    double requests, errors, client_errors;
    const struct tcp *tcp; /* NULL: no TCP there */
    const struct quantiles *latency;
};

static void put_figures(struct buf *b, bool *first, const struct graph *g, const struct figures *f)
{
    double tried = f->requests + (f->tcp ? f->tcp->connections : 0);
    double errors = f->errors + (f->tcp ? f->tcp->failed : 0);
    bool none = true;

    key(b, first, "vigla");
    buf_putc(b, '{');
    put_count(b, &none, "requests", f->requests);
    put_count(b, &none, "errors", errors);
    put_count(b, &none, "clientErrors", f->client_errors);
    put_number(b, &none, "rps", f->requests / g->seconds);
    put_number(b, &none, "errorShare", tried > 0 ? errors / tried : NAN);
    put_number(b, &none, "p50", f->latency->p50);
    put_number(b, &none, "p95", f->latency->p95);
    put_number(b, &none, "p99", f->latency->p99);
    put_count(b, &none, "connections", f->tcp ? f->tcp->connections : NAN);
    put_count(b, &none, "sentBytes", f->tcp ? f->tcp->sent : NAN);
    put_count(b, &none, "receivedBytes", f->tcp ? f->tcp->received : NAN);
    buf_putc(b, '}');
}

static void put_node_figures(struct buf *b, bool *first, const struct graph *g, const struct graph_node *n)
{
    const struct counts *http = &n->in[PROTO_HTTP], *grpc = &n->in[PROTO_GRPC];
    bool tcp = n->tcp.connections + n->tcp.sent + n->tcp.received > 0;

    put_figures(b, first, g,
                &(struct figures){ http->total + grpc->total, counts_errors(http) + counts_errors(grpc),
                                   http->client_errors, tcp ? &n->tcp : NULL, &n->latency });
}

static void put_edge_figures(struct buf *b, bool *first, const struct graph *g, const struct graph_edge *e)
{
    bool tcp = e->protocol == PROTO_TCP;

    put_figures(b, first, g,
                &(struct figures){ tcp ? 0 : e->counts.total, counts_errors(&e->counts), e->counts.client_errors,
                                   tcp ? &e->tcp : NULL, &e->latency });
}

/* ---- nodes and edges ------------------------------------------------------------------------------------------- */

static void put_dest_services(struct buf *b, bool *first, const struct dest_service *d)
{
    bool none = true;

    if (!d)
        return;
    key(b, first, "destServices");
    buf_putc(b, '[');
    for (; d; d = d->next) {
        bool start = true;

        comma(b, &none);
        buf_putc(b, '{');
        put_text(b, &start, "cluster", d->cluster);
        put_text(b, &start, "namespace", d->ns);
        put_text(b, &start, "name", d->name);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
}

static void put_hosts(struct buf *b, const struct graph_gateway *w, bool is)
{
    if (!is || w->nhosts == 0) {
        buf_puts(b, "{}");
        return;
    }
    for (size_t i = 0; i < w->nhosts; i++) {
        buf_puts(b, i ? "," : "{\"hostnames\":[");
        buf_json(b, w->hosts[i]);
    }
    buf_puts(b, "]}");
}

/* Kiali always writes all three. */
static void put_gateway(struct buf *b, bool *first, const struct graph_gateway *w)
{
    if (!w)
        return;
    key(b, first, "isGateway");
    buf_puts(b, "{\"ingressInfo\":");
    put_hosts(b, w, !w->egress);
    buf_puts(b, ",\"egressInfo\":");
    put_hosts(b, w, w->egress);
    buf_puts(b, ",\"gatewayAPIInfo\":{}}");
}

/* A node's members, without the braces. */
static void put_node(struct buf *b, const struct graph *g, const struct graph_node *n, bool plain)
{
    bool first = true;

    put_text(b, &first, "id", str_of(n->id));
    put_some(b, &first, "parent", n->box ? str_of(n->box->id) : STR_NULL);
    put_text(b, &first, "nodeType", str_of(node_type_names[n->type]));
    put_text(b, &first, "cluster", n->cluster);
    put_text(b, &first, "namespace", n->ns);
    put_some(b, &first, "workload", n->workload);
    put_some(b, &first, "app", n->app);
    put_some(b, &first, "version", n->version);
    put_some(b, &first, "service", n->service);
    put_dest_services(b, &first, n->dest_services);
    put_node_traffic(b, &first, g, n);
    key(b, &first, "healthData");
    buf_puts(b, "null");
    put_true(b, &first, "isInaccessible", n->is_inaccessible);
    put_true(b, &first, "isInjected", n->is_injected);
    put_true(b, &first, "isOutside", n->is_outside);
    put_true(b, &first, "isRoot", n->is_root);
    if (plain)
        return;
    put_gateway(b, &first, n->gateway);
    put_true(b, &first, "isIdle", n->is_idle);
    put_text(b, &first, "healthStatus", str_of(health_name(n->health)));
    put_node_figures(b, &first, g, n);
}

static void put_box(struct buf *b, const struct box *x, bool plain)
{
    bool first = true;

    buf_putc(b, '{');
    put_text(b, &first, "id", str_of(x->id));
    put_some(b, &first, "parent", x->parent ? str_of(x->parent->id) : STR_NULL);
    put_text(b, &first, "nodeType", STR("box"));
    put_text(b, &first, "cluster", x->cluster);
    put_text(b, &first, "namespace", x->ns);
    put_some(b, &first, "app", x->app);
    key(b, &first, "healthData");
    buf_puts(b, "null");
    put_text(b, &first, "isBox", str_of(box_kind_name(x->kind)));
    put_true(b, &first, "isInaccessible", x->is_inaccessible);
    put_true(b, &first, "isOutside", x->is_outside);
    if (!plain)
        put_text(b, &first, "healthStatus", str_of(health_name(x->health)));
    buf_putc(b, '}');
}

static void put_edge(struct buf *b, const struct graph *g, const struct graph_edge *e, bool plain)
{
    bool first = true;

    buf_putc(b, '{');
    put_text(b, &first, "id", str_of(e->id));
    put_text(b, &first, "source", str_of(e->source->id));
    put_text(b, &first, "target", str_of(e->target->id));
    if (!plain) {
        put_text(b, &first, "healthStatus", str_of(health_name(e->health)));
        if (!isnan(e->latency.p95)) {
            key(b, &first, "responseTime");
            buf_printf(b, "\"%.0f\"", e->latency.p95);
        }
    }
    put_edge_traffic(b, &first, g, e);
    if (!plain)
        put_edge_figures(b, &first, g, e);
    buf_putc(b, '}');
}

static void put_position(struct buf *b, const struct graph *g, const struct graph_node *n)
{
    bool first = true;

    if (!g->placed)
        return;
    buf_puts(b, ",\"position\":{");
    put_number(b, &first, "x", n->x);
    put_number(b, &first, "y", n->y);
    buf_putc(b, '}');
}

static void put_elements(struct buf *b, const struct graph *g, bool plain)
{
    bool first = true;

    buf_puts(b, "{\"nodes\":[");
    for (size_t i = 0; i < g->nboxes; i++) {
        comma(b, &first);
        buf_puts(b, "{\"data\":");
        put_box(b, g->boxes[i], plain);
        buf_putc(b, '}');
    }
    for (size_t i = 0; i < g->nnodes; i++) {
        comma(b, &first);
        buf_puts(b, "{\"data\":{");
        put_node(b, g, g->nodes[i], plain);
        buf_putc(b, '}');
        if (!plain)
            put_position(b, g, g->nodes[i]);
        buf_putc(b, '}');
    }
    buf_puts(b, "],\"edges\":[");
    first = true;
    for (size_t i = 0; i < g->nedges; i++) {
        comma(b, &first);
        buf_puts(b, "{\"data\":");
        put_edge(b, g, g->edges[i], plain);
        buf_putc(b, '}');
    }
    buf_puts(b, "]}");
}

void export_kiali(struct buf *b, const struct graph *g, bool plain)
{
    buf_printf(b, "{\"timestamp\":%lld,\"duration\":%lld,\"graphType\":\"%s\"", (long long)(g->o.to_ms / 1000),
               (long long)((g->o.to_ms - g->o.from_ms) / 1000), graph_type_name(g->o.type));
    if (!plain)
        buf_printf(b, ",\"from\":%lld,\"to\":%lld", (long long)g->o.from_ms, (long long)g->o.to_ms);
    buf_puts(b, ",\"elements\":");
    put_elements(b, g, plain);
    buf_putc(b, '}');
}

/* ---- JSON Graph Format ----------------------------------------------------------------------------------------- */

static void put_jgf_nodes(struct buf *b, const struct graph *g)
{
    bool first = true;

    for (size_t i = 0; i < g->nboxes; i++) {
        const struct box *x = g->boxes[i];

        comma(b, &first);
        buf_printf(b, "\"%s\":{\"label\":", x->id);
        buf_json(b, x->app.n ? x->app : x->ns.n ? x->ns : x->cluster);
        buf_puts(b, ",\"metadata\":");
        put_box(b, x, false);
        buf_putc(b, '}');
    }
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct graph_node *n = g->nodes[i];

        comma(b, &first);
        buf_printf(b, "\"%s\":{\"label\":", n->id);
        buf_json(b, n->name);
        buf_puts(b, ",\"metadata\":{");
        put_node(b, g, n, false);
        put_position(b, g, n);
        buf_puts(b, "}}");
    }
}

static void put_jgf_edge(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    bool first = true;

    buf_putc(b, '{');
    put_text(b, &first, "id", str_of(e->id));
    put_text(b, &first, "source", str_of(e->source->id));
    put_text(b, &first, "target", str_of(e->target->id));
    put_text(b, &first, "relation", str_of(protocol_names[e->protocol]));
    key(b, &first, "directed");
    buf_puts(b, "true,\"metadata\":");
    put_edge(b, g, e, false);
    buf_putc(b, '}');
}

void export_jgf(struct buf *b, const struct graph *g)
{
    struct buf title = BUF_INIT(1024);
    bool first = true;

    look_title(&title, g);
    buf_puts(b, "{\"graph\":{\"directed\":true,\"type\":\"service graph\",\"label\":");
    buf_json(b, buf_view(&title));
    buf_free(&title);
    buf_printf(b, ",\"metadata\":{\"from\":%lld,\"to\":%lld,\"graphType\":\"%s\"},\"nodes\":{", (long long)g->o.from_ms,
               (long long)g->o.to_ms, graph_type_name(g->o.type));
    put_jgf_nodes(b, g);
    buf_puts(b, "},\"edges\":[");
    for (size_t i = 0; i < g->nedges; i++) {
        comma(b, &first);
        put_jgf_edge(b, g, g->edges[i]);
    }
    buf_puts(b, "]}}");
}
