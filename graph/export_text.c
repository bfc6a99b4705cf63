/* export_text.c: GraphML, CSV and Mermaid. */
#include "graph/graph-internal.h"

#include <math.h>

/* ---- GraphML (graphml.graphdrawing.org) ------------------------------------------------------------------------ */

static const struct {
    const char *id, *name, *type;
    bool of_node;
} keys[] = {
    { "n_label", "label", "string", true },     { "n_type", "type", "string", true },
    { "n_cluster", "cluster", "string", true }, { "n_namespace", "namespace", "string", true },
    { "n_app", "app", "string", true },         { "n_version", "version", "string", true },
    { "n_health", "health", "string", true },   { "n_x", "x", "double", true },
    { "n_y", "y", "double", true },             { "e_protocol", "protocol", "string", false },
    { "e_requests", "requests", "long", false }, { "e_errors", "errors", "long", false },
    { "e_rps", "rps", "double", false },        { "e_p50", "p50", "double", false },
    { "e_p95", "p95", "double", false },        { "e_p99", "p99", "double", false },
    { "e_connections", "connections", "long", false },
    { "e_sent", "sentBytes", "long", false },   { "e_received", "receivedBytes", "long", false },
    { "e_health", "health", "string", false },
};

static void xml_text(struct buf *b, const char *id, struct str s)
{
    if (s.n == 0)
        return;
    buf_printf(b, "      <data key=\"%s\">", id);
    escape_xml(b, s);
    buf_puts(b, "</data>\n");
}

static void xml_number(struct buf *b, const char *id, double v)
{
    if (!isfinite(v))
        return;
    buf_printf(b, "      <data key=\"%s\">", id);
    buf_double(b, v);
    buf_puts(b, "</data>\n");
}

static void xml_node(struct buf *b, const struct graph *g, const struct graph_node *n)
{
    buf_printf(b, "    <node id=\"%s\">\n", n->id);
    xml_text(b, "n_label", n->name);
    xml_text(b, "n_type", str_of(node_type_names[n->type]));
    xml_text(b, "n_cluster", n->cluster);
    xml_text(b, "n_namespace", n->ns);
    xml_text(b, "n_app", n->app);
    xml_text(b, "n_version", n->version);
    xml_text(b, "n_health", str_of(health_name(n->health)));
    xml_number(b, "n_x", g->placed ? n->x : NAN);
    xml_number(b, "n_y", g->placed ? n->y : NAN);
    buf_puts(b, "    </node>\n");
}

static void xml_edge(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    bool tcp = e->protocol == PROTO_TCP;

    buf_printf(b, "    <edge id=\"%s\" source=\"%s\" target=\"%s\">\n", e->id, e->source->id, e->target->id);
    xml_text(b, "e_protocol", str_of(protocol_names[e->protocol]));
    xml_number(b, "e_requests", tcp ? NAN : round(e->counts.total));
    xml_number(b, "e_errors", round(tcp ? e->tcp.failed : counts_errors(&e->counts)));
    xml_number(b, "e_rps", tcp ? NAN : e->counts.total / g->seconds);
    xml_number(b, "e_p50", e->latency.p50);
    xml_number(b, "e_p95", e->latency.p95);
    xml_number(b, "e_p99", e->latency.p99);
    xml_number(b, "e_connections", tcp ? round(e->tcp.connections) : NAN);
    xml_number(b, "e_sent", tcp ? round(e->tcp.sent) : NAN);
    xml_number(b, "e_received", tcp ? round(e->tcp.received) : NAN);
    xml_text(b, "e_health", str_of(health_name(e->health)));
    buf_puts(b, "    </edge>\n");
}

void export_graphml(struct buf *b, const struct graph *g)
{
    buf_puts(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\"\n"
                "         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n"
                "         xsi:schemaLocation=\"http://graphml.graphdrawing.org/xmlns "
                "http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd\">\n");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        buf_printf(b, "  <key id=\"%s\" for=\"%s\" attr.name=\"%s\" attr.type=\"%s\"/>\n", keys[i].id,
                   keys[i].of_node ? "node" : "edge", keys[i].name, keys[i].type);
    buf_puts(b, "  <graph id=\"vigla\" edgedefault=\"directed\">\n");
    for (size_t i = 0; i < g->nnodes; i++)
        xml_node(b, g, g->nodes[i]);
    for (size_t i = 0; i < g->nedges; i++)
        xml_edge(b, g, g->edges_by_name[i]);
    buf_puts(b, "  </graph>\n</graphml>\n");
}

/* ---- CSV ------------------------------------------------------------------------------------------------------- */

/* A number, or an empty field where there is none. */
static void csv_number(struct buf *b, double v)
{
    buf_putc(b, ',');
    if (isfinite(v))
        buf_double(b, v);
}

static void csv_edge(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    bool tcp = e->protocol == PROTO_TCP;

    escape_csv(b, e->source->name);
    buf_putc(b, ',');
    escape_csv(b, e->target->name);
    buf_printf(b, ",%s", protocol_names[e->protocol]);
    csv_number(b, tcp ? NAN : round(e->counts.total));
    csv_number(b, round(tcp ? e->tcp.failed : counts_errors(&e->counts)));
    csv_number(b, tcp ? NAN : e->counts.total / g->seconds);
    csv_number(b, e->latency.p50);
    csv_number(b, e->latency.p95);
    csv_number(b, e->latency.p99);
    csv_number(b, tcp ? round(e->tcp.connections) : NAN);
    csv_number(b, tcp ? round(e->tcp.sent) : NAN);
    csv_number(b, tcp ? round(e->tcp.received) : NAN);
    buf_puts(b, "\r\n");
}

void export_csv(struct buf *b, const struct graph *g)
{
    buf_puts(b, "source,target,protocol,requests,errors,rps,p50,p95,p99,connections,sent,received\r\n");
    for (size_t i = 0; i < g->nedges; i++)
        csv_edge(b, g, g->edges_by_name[i]);
}

/* ---- Mermaid (mermaid.js.org, flowchart) ----------------------------------------------------------------------- */

static const struct {
    const char *class, *style;
} classes[] = {
    [HEALTH_NA] = { "na", "fill:#f4f6f8,stroke:#5b6770,color:#1b2024" },
    [HEALTH_HEALTHY] = { "healthy", "fill:#eef7f0,stroke:#2b7a3d,color:#1b2024" },
    [HEALTH_NOT_READY] = { "notready", "fill:#f4f6f8,stroke:#5b6770,color:#1b2024" },
    [HEALTH_DEGRADED] = { "degraded", "fill:#fff4de,stroke:#b26a00,color:#1b2024,stroke-width:2px" },
    [HEALTH_FAILURE] = { "failure", "fill:#fdecea,stroke:#b3261e,color:#1b2024,stroke-width:3px" },
};

static void mermaid_node(struct buf *b, const struct graph_node *n)
{
    static const char *const open[] = { "(\"", "[\"", "{{\"", "([\"" };
    static const char *const close[] = { "\")", "\"]", "\"}}", "\"])" };
    struct buf text = BUF_INIT(1 << 16);

    look_node_text(&text, n);
    buf_printf(b, "    n%zu%s", n->index, open[n->type]);
    escape_mermaid(b, buf_view(&text));
    buf_printf(b, "%s:::%s\n", close[n->type], classes[n->health].class);
    buf_free(&text);
}

static void mermaid_box(struct buf *b, const struct graph *g, const struct box *x)
{
    size_t id = 0;

    while (g->boxes[id] != x)
        id++;
    buf_printf(b, "    subgraph b%zu[\"", id);
    escape_mermaid(b, x->app.n ? x->app : x->ns.n ? x->ns : x->cluster);
    buf_puts(b, "\"]\n");
    for (size_t i = 0; i < g->nboxes; i++)
        if (g->boxes[i]->parent == x)
            mermaid_box(b, g, g->boxes[i]);
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i]->box == x)
            mermaid_node(b, g->nodes[i]);
    buf_puts(b, "    end\n");
}

static void mermaid_edge(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    static const char *const arrows[] = { [HEALTH_NA] = "-->",        [HEALTH_HEALTHY] = "-->",
                                          [HEALTH_NOT_READY] = "-->", [HEALTH_DEGRADED] = "-.->",
                                          [HEALTH_FAILURE] = "==>" };
    struct buf text = BUF_INIT(4096);

    look_edge_text(&text, g, e);
    buf_printf(b, "    n%zu %s", e->source->index, arrows[e->health]);
    if (text.n) {
        buf_puts(b, "|\"");
        escape_mermaid(b, buf_view(&text));
        buf_puts(b, "\"|");
    }
    buf_printf(b, " n%zu\n", e->target->index);
    buf_free(&text);
}

void export_mermaid(struct buf *b, const struct graph *g)
{
    struct buf title = BUF_INIT(1024);

    look_title(&title, g);
    buf_puts(b, "%% ");
    buf_str(b, buf_view(&title));
    buf_puts(b, "\nflowchart LR\n");
    buf_free(&title);
    for (size_t i = 0; i < g->nboxes; i++)
        if (!g->boxes[i]->parent)
            mermaid_box(b, g, g->boxes[i]);
    for (size_t i = 0; i < g->nnodes; i++)
        if (!g->nodes[i]->box)
            mermaid_node(b, g->nodes[i]);
    for (size_t i = 0; i < g->nedges; i++)
        mermaid_edge(b, g, g->edges_by_name[i]);
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
        buf_printf(b, "    classDef %s %s\n", classes[i].class, classes[i].style);
}
