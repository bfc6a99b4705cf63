/* look.c: how nodes and edges look in drawings.
 *
 * State is told twice, by colour and by form, for eyes that do not tell red from green and for printers: a healthy edge
 * is solid, a degraded one dashed, a failing one bold and dashed, an idle one dotted; TCP has an open arrow. A workload
 * is a rounded box, an app a square one, a service a hexagon, an unknown source an ellipse; where traffic enters the
 * mesh the outline is thick. */
#include "graph/graph-internal.h"

#include "base/clock.h"

#include <math.h>

enum { MAX_TEXT = 30, CHARACTER = 7, MARGIN = 26, MIN_WIDTH = 84, HEIGHT = 40 };

static const char *const strokes[] = { [HEALTH_NA] = "#5b6770",
                                       [HEALTH_HEALTHY] = "#2b7a3d",
                                       [HEALTH_NOT_READY] = "#5b6770",
                                       [HEALTH_DEGRADED] = "#b26a00",
                                       [HEALTH_FAILURE] = "#b3261e" };
static const char *const fills[] = { [HEALTH_NA] = "#f4f6f8",
                                     [HEALTH_HEALTHY] = "#eef7f0",
                                     [HEALTH_NOT_READY] = "#f4f6f8",
                                     [HEALTH_DEGRADED] = "#fff4de",
                                     [HEALTH_FAILURE] = "#fdecea" };

/* ---- texts ----------------------------------------------------------------------------------------------------- */

static void put_short(struct buf *b, struct str s)
{
    for (size_t n = 0; s.n; n++) {
        uint32_t c = utf8_next(&s);

        if (n == MAX_TEXT - 1 && s.n) {
            buf_puts(b, "…");
            return;
        }
        utf8_put(b, c < 0x20 ? ' ' : c);
    }
}

static bool is_nowhere(const struct graph_node *n)
{
    return n->type == NODE_SERVICE && !label_known(n->service);
}

static struct str first_name(const struct graph_node *n)
{
    if (n->type == NODE_UNKNOWN)
        return STR("unknown source");
    if (is_nowhere(n))
        return STR("unknown destination");
    return n->type == NODE_APP ? n->app : n->type == NODE_SERVICE ? n->service : n->workload;
}

void look_node_text(struct buf *b, const struct graph_node *n)
{
    put_short(b, first_name(n));
    buf_putc(b, '\n');
    if (n->type == NODE_UNKNOWN || (is_nowhere(n) && !label_known(n->ns))) {
        buf_puts(b, n->type == NODE_UNKNOWN ? "outside the mesh" : "no route");
        return;
    }
    if (n->type != NODE_WORKLOAD)
        buf_printf(b, "%s ", node_type_names[n->type]);
    if (n->type == NODE_APP && version_known(n->version)) {
        put_short(b, n->version);
        buf_putc(b, ' ');
    }
    buf_puts(b, n->type == NODE_WORKLOAD ? "" : "· ");
    put_short(b, n->ns);
}

static size_t characters(struct str s)
{
    size_t n = 0;

    for (; s.n; n++)
        utf8_next(&s);
    return n < MAX_TEXT ? n : MAX_TEXT;
}

static double text_width(const struct graph_node *n)
{
    size_t name = characters(first_name(n)), below = characters(n->ns), width;

    if (n->type != NODE_WORKLOAD)
        below += sizeof("service · ") - 1 + characters(n->version);
    if (below > MAX_TEXT)
        below = MAX_TEXT;
    width = (name > below ? name : below) * CHARACTER + MARGIN;
    return width < MIN_WIDTH ? MIN_WIDTH : (double)width;
}

/* 0.0042, 0.13, 4.2, 128, 12.5; returns the prefix that belongs to it: "", "k", "M" … */
static const char *put_number(struct buf *b, double v)
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T", "P" };
    size_t k = 0;

    for (; v >= 999.5 && k + 1 < sizeof(prefixes) / sizeof(prefixes[0]); k++)
        v /= 1000;
    if (v < 0.1)
        buf_printf(b, "%.2g", v);
    else
        buf_printf(b, "%.*f", v == floor(v) || v >= 100 ? 0 : v >= 1 ? 1 : 2, v);
    return prefixes[k];
}

static void put_share(struct buf *b, double part, double all, const char *of)
{
    double percent = all > 0 ? part / all * 100 : 0;

    if (part > 0 && percent < 0.1)
        buf_printf(b, "\n<0.1%% %s", of);
    else if (part > 0)
        buf_printf(b, "\n%.1f%% %s", percent, of);
}

void look_edge_text(struct buf *b, const struct graph *g, const struct graph_edge *e)
{
    if (e->protocol == PROTO_TCP) {
        double bytes = (e->tcp.sent + e->tcp.received) / g->seconds;

        if (!(e->tcp.connections + bytes > 0))
            return;
        buf_printf(b, " %sB/s", put_number(b, bytes));
        if (e->tcp.connections > 0)
            buf_printf(b, "\n%.0f conn", e->tcp.connections);
        put_share(b, e->tcp.failed, e->tcp.connections, "failed");
        return;
    }
    if (!(e->counts.total > 0))
        return;
    buf_puts(b, put_number(b, e->counts.total / g->seconds));
    buf_puts(b, e->protocol == PROTO_GRPC ? " rps gRPC" : " rps");
    put_share(b, counts_errors(&e->counts), e->counts.total, "errors");
    put_share(b, e->counts.client_errors, e->counts.total, "4xx");
    if (!isnan(e->latency.p95)) {
        buf_puts(b, "\np95 ");
        buf_puts(b, put_number(b, e->latency.p95));
        buf_puts(b, " ms");
    }
}

/* "2026-09-21 14:13:20", cut off before `from` characters. */
static void put_time(struct buf *b, int64_t ms, size_t from)
{
    char text[CLOCK_TEXT];

    clock_rfc3339(text, ms / 1000 * 1000000000);
    text[10] = ' ';
    text[19] = '\0';
    buf_puts(b, text + from);
}

void look_title(struct buf *b, const struct graph *g)
{
    static const char *const titles[] = { "Workload graph", "App graph", "Versioned app graph", "Service graph" };
    bool same_day = g->o.from_ms / 86400000 == g->o.to_ms / 86400000;
    char window[CLOCK_TEXT];

    duration_text(window, g->o.to_ms - g->o.from_ms);
    buf_printf(b, "%s · ", titles[g->o.type]);
    put_time(b, g->o.from_ms, 0);
    buf_puts(b, " to ");
    put_time(b, g->o.to_ms, same_day ? 11 : 0);
    buf_printf(b, " UTC (%s)", window);
}

/* ---- forms ----------------------------------------------------------------------------------------------------- */

struct node_look look_node(const struct graph_node *n)
{
    static const char *const shapes[] = { "box", "box", "hexagon", "ellipse" };
    struct node_look l = { .shape = shapes[n->type],
                           .style = n->type == NODE_WORKLOAD ? "filled,rounded" : "filled",
                           .stroke = strokes[n->health],
                           .fill = fills[n->health],
                           .penwidth = n->is_root ? 2.5 : n->health == HEALTH_FAILURE ? 2 : 1.2,
                           .width = text_width(n),
                           .height = HEIGHT };

    if (n->type == NODE_SERVICE || n->type == NODE_UNKNOWN)
        l.width += 22; /* slanted sides */
    if (n->is_outside || n->is_inaccessible)
        l.style = n->type == NODE_WORKLOAD ? "filled,rounded,dashed" : "filled,dashed";
    return l;
}

struct edge_look look_edge(const struct graph_edge *e)
{
    struct edge_look l = { strokes[e->health], "solid", "normal", 1.4 };
    bool tcp = e->protocol == PROTO_TCP;

    if (tcp) {
        l.arrow = "vee";
        l.stroke = e->tcp.failed > 0 ? strokes[HEALTH_FAILURE] : "#2f6db5";
        l.style = e->tcp.failed > 0 ? "dashed" : "solid";
    }
    if (e->health == HEALTH_DEGRADED)
        l.style = "dashed";
    if (e->health == HEALTH_FAILURE)
        l = (struct edge_look){ strokes[HEALTH_FAILURE], "dashed,bold", "normal", 2.4 };
    if (!(e->counts.total + e->tcp.connections + e->tcp.sent > 0))
        l = (struct edge_look){ "#9aa5ad", "dotted", "normal", 1 };
    return l;
}
