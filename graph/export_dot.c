/* export_dot.c: the graph in Graphviz' language, for people and for Graphviz.
 *
 * What is downloaded as DOT is what the pictures are drawn from, so both look alike. dot lays a picture out itself, with
 * room for the labels of its edges. A graph with boxes (fresh.c says why not by dot), or too large for it, is drawn with
 * its nodes where graph_layout has put them (engine nop), the labels on white. */
#include "graph/graph-internal.h"

#include <math.h>

/* Beyond these a picture takes more than about 0.5 s: dot's effort (fresh_effort), and nodes² · edges for curves around
 * nodes that stand where they stand. */
enum { MAX_DOT_PICTURE = 1500, MAX_CURVES = 500000 };

static void put_string(struct buf *b, struct str s)
{
    buf_putc(b, '"');
    escape_dot(b, s);
    buf_putc(b, '"');
}

static void put_head(struct buf *b, const struct graph *g, bool placed)
{
    bool lines = placed && (double)g->nnodes * (double)g->nnodes * (double)g->nedges > MAX_CURVES;
    struct buf title = BUF_INIT(1024);

    look_title(&title, g);
    buf_puts(b, "digraph \"Vigla\" {\n    graph [label=");
    put_string(b, buf_view(&title));
    buf_printf(b,
               ", labelloc=t, labeljust=l, fontsize=14,\n"
               "           fontname=\"DejaVu Sans,Verdana,Helvetica,sans-serif\", fontcolor=\"#1b2024\",\n"
               "           rankdir=LR, nodesep=0.3, ranksep=0.7, splines=%s, bgcolor=white, pad=0.3, charset=\"UTF-8\"%s];\n"
               "    node [fontname=\"DejaVu Sans,Verdana,Helvetica,sans-serif\", fontsize=10.5, fontcolor=\"#1b2024\", fixedsize=true];\n"
               "    edge [fontname=\"DejaVu Sans,Verdana,Helvetica,sans-serif\", fontsize=9, arrowsize=0.8];\n\n",
               lines ? "line, outputorder=edgesfirst, size=\"80,80\"" : "true", placed ? ", overlap=true" : ", newrank=true");
    buf_free(&title);
}

static void put_node(struct buf *b, const struct graph_node *n, bool placed, int depth)
{
    struct node_look l = look_node(n);
    struct buf text = BUF_INIT(1 << 16);

    look_node_text(&text, n);
    buf_printf(b, "%*s", 4 * depth, "");
    put_string(b, n->name);
    buf_puts(b, " [label=");
    put_string(b, buf_view(&text));
    buf_puts(b, ", tooltip=");
    put_string(b, n->name);
    buf_printf(b, ", shape=%s, style=\"%s\", color=\"%s\", fillcolor=\"%s\", penwidth=%g", l.shape, l.style, l.stroke,
               l.fill, l.penwidth);
    buf_printf(b, ", width=%.3f, height=%.3f", l.width / 72, l.height / 72);
    if (placed)
        buf_printf(b, ", pos=\"%.2f,%.2f\"", n->x, -n->y);
    buf_puts(b, "];\n");
    buf_free(&text);
}

struct frame {
    double left, top, right, bottom;
};

static void widen(struct frame *f, double left, double top, double right, double bottom)
{
    f->left = fmin(f->left, left);
    f->top = fmin(f->top, top);
    f->right = fmax(f->right, right);
    f->bottom = fmax(f->bottom, bottom);
}

/* Around all boxes' members, inner boxes first, which stand last. NULL without memory. */
static struct frame *frame_boxes(struct arena *a, const struct graph *g)
{
    struct frame *f = arena_array(a, g->nboxes + 1, sizeof(*f));

    if (!f)
        return NULL;
    for (size_t i = 0; i < g->nboxes; i++)
        f[i] = (struct frame){ INFINITY, INFINITY, -INFINITY, -INFINITY };
    for (size_t i = 0; i < g->nnodes; i++) {
        const struct graph_node *n = g->nodes[i];
        struct node_look l = look_node(n);

        if (n->box)
            widen(&f[n->box->index], n->x - l.width / 2, n->y - l.height / 2, n->x + l.width / 2, n->y + l.height / 2);
    }
    for (size_t i = g->nboxes; i-- > 0;) {
        f[i].left -= BOX_MARGIN;
        f[i].top -= BOX_MARGIN + BOX_TITLE;
        f[i].right += BOX_MARGIN;
        f[i].bottom += BOX_MARGIN;
        if (g->boxes[i]->parent)
            widen(&f[g->boxes[i]->parent->index], f[i].left, f[i].top, f[i].right, f[i].bottom);
    }
    return f;
}

static void put_box(struct buf *b, const struct box *x, const struct frame *f, int depth)
{
    struct str name = x->app.n ? x->app : x->ns.n ? x->ns : x->cluster;

    buf_printf(b, "%*ssubgraph \"cluster_%.12s\" {\n%*slabel=", 4 * depth, "", x->id, 4 * depth + 4, "");
    put_string(b, name);
    buf_puts(b, "; style=\"rounded,filled\"; color=\"#9aa5ad\"; fillcolor=\"#fafbfc\"; fontsize=10; labeljust=l;\n");
    if (f) /* the middle of the title is where its left end, guessed from its length, comes to lie at the margin */
        buf_printf(b, "%*sbb=\"%.1f,%.1f,%.1f,%.1f\"; lp=\"%.1f,%.1f\";\n", 4 * depth + 4, "", f->left, -f->bottom,
                   f->right, -f->top, f->left + BOX_MARGIN / 2.0 + 3.2 * (double)name.n, -f->top - BOX_TITLE / 2.0);
}

/* A box's nodes and smaller boxes; NULL: those in no box. */
static void put_members(struct buf *b, const struct graph *g, const struct box *in, const struct frame *f, int depth)
{
    for (size_t i = 0; i < g->nboxes && depth < 4; i++) {
        const struct box *x = g->boxes[i];

        if (x->parent != in)
            continue;
        put_box(b, x, f ? &f[i] : NULL, depth);
        put_members(b, g, x, f, depth + 1);
        buf_printf(b, "%*s}\n", 4 * depth, "");
    }
    for (size_t i = 0; i < g->nnodes; i++)
        if (g->nodes[i]->box == in)
            put_node(b, g->nodes[i], f != NULL, depth);
}

/* Where no room was made for it, a label covers what is under it. Its text is ours: numbers and units. */
static void put_label(struct buf *b, struct str text, bool covers)
{
    if (!covers) {
        put_string(b, text);
        return;
    }
    buf_puts(b, "<<table border=\"0\" cellspacing=\"0\" cellpadding=\"1\" bgcolor=\"white\"><tr><td>");
    while (text.p) {
        escape_xml(b, str_cut(&text, '\n'));
        buf_puts(b, text.p ? "<br/>" : "");
    }
    buf_puts(b, "</td></tr></table>>");
}

static void put_edge(struct buf *b, const struct graph *g, const struct graph_edge *e, bool placed)
{
    struct edge_look l = look_edge(e);
    struct buf text = BUF_INIT(4096);

    look_edge_text(&text, g, e);
    buf_puts(b, "    ");
    put_string(b, e->source->name);
    buf_puts(b, " -> ");
    put_string(b, e->target->name);
    buf_puts(b, " [");
    if (text.n) {
        buf_puts(b, "label=");
        put_label(b, buf_view(&text), placed);
        buf_puts(b, ", ");
    }
    buf_printf(b, "color=\"%s\", fontcolor=\"%s\", style=\"%s\", arrowhead=%s, penwidth=%g];\n", l.stroke, l.stroke,
               l.style, l.arrow, l.penwidth);
    buf_free(&text);
}

void export_dot(struct buf *b, const struct graph *g, bool placed)
{
    struct arena a = ARENA_INIT(GRAPH_ARENA);
    struct frame *f = placed ? frame_boxes(&a, g) : NULL;

    put_head(b, g, placed);
    put_members(b, g, NULL, f, 1);
    buf_putc(b, '\n');
    for (size_t i = 0; i < g->nedges; i++)
        put_edge(b, g, g->edges_by_name[i], placed);
    buf_puts(b, "}\n");
    b->failed |= placed && !f;
    arena_free(&a);
}

static int place(struct graph *g, struct err *e)
{
    struct graph_positions *own = graph_positions_new();
    int rc = own ? graph_layout(g, own, e) : err_set(e, ERR_NOMEM, "graph: no memory for positions");

    graph_positions_free(own);
    return rc;
}

int export_picture(struct graph *g, const char *format, struct buf *out, struct err *e)
{
    struct buf dot = BUF_INIT(256 << 20);
    bool placed = g->nboxes > 0 || fresh_effort(g) > MAX_DOT_PICTURE;
    int rc;

    if (placed && !g->placed && place(g, e) < 0)
        return e->code;
    export_dot(&dot, g, placed);
    rc = buf_failed(&dot) ? err_set(e, ERR_NOMEM, "graph: no memory for a picture")
                          : picture_draw(buf_view(&dot), placed ? "nop" : "dot", format, out, e);
    buf_free(&dot);
    return rc;
}
