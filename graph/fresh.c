/* fresh.c: a layout from nothing: Graphviz' dot, box by box.
 *
 * Problem    dot knows boxes (clusters), but in the release that Debian 12 has its cluster code leaks some hundred KiB
 *            with each layout and frees memory twice for an edge with a label between two boxes on one rank; turning an
 *            edge that closes a cycle leaks, too. A server can afford neither.
 * Idea       A box is laid out by itself, inner boxes first, and then is one large node for what is around it. An edge
 *            counts at the level at which its two ends lie in different things. dot sees plain graphs without cycles
 *            only, boxes cannot overlap, and each graph is smaller.
 * Bound      dot's time follows the nodes and the layers that edges go through (it cuts long edges into pieces): 6,000 of
 *            both together take it about 0.3 s, 30,000 take 7 s. A level with more than DOT_MAX is layered.c's; so is one
 *            without edges, a mere column. dot's search is bounded too (nslimit, mclimit).
 *
 * Only structure goes in (names for the order, sizes, edges), so only structure decides. */
#include "graph/graph-internal.h"

#include "base/mem.h"

#include <graphviz/gvc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOT_MAX = 6000 };

/* Things are the nodes, then the boxes; levels are the outside, 0, then the inside of each box. */
struct link {
    size_t level, from, to; /* things */
};

struct fresh {
    const struct graph *g;
    struct arena *a;
    size_t nthings, nlevels;
    struct layered_node *thing; /* sizes, and the centre within its level */
    size_t *level;              /* of each thing */
    size_t *at, *list;          /* level → its things; nlevels + 1 */
    struct link *links;         /* by level, from, to; each once */
    size_t nlinks;
    size_t *slot;               /* of each thing in its level's list */
    struct point *corner;       /* level → what its things' centres are relative to, once placed */
};

/* ---- who is where ---------------------------------------------------------------------------------------------- */

static size_t level_of_box(const struct box *in)
{
    return in ? in->index + 1 : 0;
}

static size_t thing_of_box(const struct fresh *f, const struct box *x)
{
    return f->g->nnodes + x->index;
}

static size_t depth(const struct box *x)
{
    return x ? 1 + depth(x->parent) : 0;
}

/* The level at which the ends of an edge part, and what they are there. False: an end in the other's place, a loop. */
static bool part(const struct fresh *f, const struct graph_edge *e, struct link *l)
{
    const struct box *a = e->source->box, *b = e->target->box;
    size_t da = depth(a), db = depth(b);

    l->from = e->source->index;
    l->to = e->target->index;
    while (a != b) {
        bool up_a = da >= db, up_b = db >= da;

        if (up_a) {
            l->from = thing_of_box(f, a);
            a = a->parent;
            da--;
        }
        if (up_b) {
            l->to = thing_of_box(f, b);
            b = b->parent;
            db--;
        }
    }
    l->level = level_of_box(a);
    return l->from != l->to;
}

static int cmp_links(const void *pa, const void *pb)
{
    const struct link *a = pa, *b = pb;

    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

static void collect_links(struct fresh *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->g->nedges; i++)
        if (part(f, f->g->edges_by_name[i], &f->links[n]))
            n++;
    qsort(f->links, n, sizeof(*f->links), cmp_links);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || cmp_links(&f->links[i], &f->links[i - 1]) != 0)
            f->links[f->nlinks++] = f->links[i];
}

static void list_levels(struct fresh *f)
{
    for (size_t i = 0; i < f->nthings; i++)
        f->at[f->level[i] + 1]++;
    for (size_t l = 0; l < f->nlevels; l++)
        f->at[l + 1] += f->at[l];
    for (size_t i = f->nthings; i-- > 0;) /* backwards: at[l + 1] ends up as the start of l's */
        f->list[--f->at[f->level[i] + 1]] = i;
    for (size_t l = 0; l < f->nlevels; l++)
        f->at[l] = f->at[l + 1];
    f->at[f->nlevels] = f->nthings;
    for (size_t l = 0; l < f->nlevels; l++)
        for (size_t i = f->at[l]; i < f->at[l + 1]; i++)
            f->slot[f->list[i]] = i - f->at[l];
}

static bool is_entry(const struct graph_node *n)
{
    return n->gateway && !n->gateway->egress;
}

static int prepare(struct fresh *f)
{
    const struct graph *g = f->g;

    f->nthings = g->nnodes + g->nboxes;
    f->nlevels = g->nboxes + 1;
    f->thing = arena_array(f->a, f->nthings + 1, sizeof(*f->thing));
    f->level = arena_array(f->a, f->nthings + 1, sizeof(*f->level));
    f->slot = arena_array(f->a, f->nthings + 1, sizeof(*f->slot));
    f->list = arena_array(f->a, f->nthings + 1, sizeof(*f->list));
    f->at = arena_array(f->a, f->nlevels + 1, sizeof(*f->at));
    f->corner = arena_array(f->a, f->nlevels, sizeof(*f->corner));
    f->links = arena_array(f->a, g->nedges + 1, sizeof(*f->links));
    if (!f->thing || !f->level || !f->slot || !f->list || !f->at || !f->corner || !f->links)
        return ERR_NOMEM;
    for (size_t i = 0; i < g->nnodes; i++) {
        struct node_look l = look_node(g->nodes[i]);

        f->thing[i] = (struct layered_node){ .width = l.width, .height = l.height, .first = is_entry(g->nodes[i]) };
        f->level[i] = level_of_box(g->nodes[i]->box);
        for (const struct box *x = g->nodes[i]->box; x && f->thing[i].first; x = x->parent)
            f->thing[thing_of_box(f, x)].first = true;
    }
    for (size_t i = 0; i < g->nboxes; i++)
        f->level[g->nnodes + i] = level_of_box(g->boxes[i]->parent);
    list_levels(f);
    collect_links(f);
    return 0;
}

/* ---- one level ------------------------------------------------------------------------------------------------- */

struct level {
    struct layered_node *v;
    size_t n;
    struct layered_edge *e;
    size_t m;
};

static void set(void *object, const char *name, const char *value)
{
    agsafeset(object, (char *)(uintptr_t)name, (char *)(uintptr_t)value, (char *)(uintptr_t) "");
}

static void set_inches(void *object, const char *name, double points)
{
    char number[32];

    snprintf(number, sizeof(number), "%.4f", points / 72);
    set(object, name, number);
}

static Agnode_t *dot_node(Agraph_t *to, size_t i, int create)
{
    char name[32];

    snprintf(name, sizeof(name), "t%zu", i);
    return agnode(to, name, create);
}

/* Gateways stand leftmost, which dot alone does not see to: it pulls a source up to what it calls. A node that is not
 * drawn leads to all sources, tautly to the gateways, slackly to the others. */
static void lead_in(Agraph_t *to, const struct level *l)
{
    Agnode_t *lead = NULL;

    for (size_t i = 0; i < l->n && !lead; i++)
        if (l->v[i].first)
            lead = dot_node(to, l->n, TRUE);
    for (size_t i = 0; i < l->n && lead; i++) {
        Agnode_t *v = dot_node(to, i, FALSE);

        if (l->v[i].first || !agfstin(to, v))
            set(agedge(to, lead, v, NULL, TRUE), "weight", l->v[i].first ? "100" : "0");
    }
}

static Agraph_t *dot_graph(const struct level *l)
{
    static const char *const settings[][2] = { { "rankdir", "LR" }, { "splines", "false" },
                                               { "ranksep", "1.3" }, { "nslimit", "2" }, { "nslimit1", "2" },
                                               { "mclimit", "0.5" } };
    char name[] = "layout";
    Agraph_t *to = agopen(name, Agdirected, NULL);

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        set(to, settings[i][0], settings[i][1]);
    set_inches(to, "nodesep", NODE_GAP);
    for (size_t i = 0; i < l->n; i++) {
        Agnode_t *v = dot_node(to, i, TRUE);

        set_inches(v, "width", l->v[i].width);
        set_inches(v, "height", l->v[i].height);
        set(v, "shape", "box");
        set(v, "fixedsize", "true");
        set(v, "label", ""); /* or it would be measured, and Pango loaded for that */
    }
    for (size_t i = 0; i < l->m; i++)
        agedge(to, dot_node(to, l->e[i].from, FALSE), dot_node(to, l->e[i].to, FALSE), NULL, TRUE);
    lead_in(to, l);
    return to;
}

static int place_by_dot(struct level *l, struct err *e)
{
    Agraph_t *g;
    int rc;

    gv_lock();
    g = dot_graph(l);
    rc = gv_layout(g, "dot", e);
    for (size_t i = 0; i < l->n && rc == 0; i++) {
        Agnode_t *v = dot_node(g, i, FALSE);

        l->v[i].x = ND_coord(v).x;
        l->v[i].y = -ND_coord(v).y;
    }
    if (rc == 0)
        gv_free_layout(g);
    agclose(g);
    gv_unlock();
    return rc;
}

static int place_level(struct level *l, struct err *e)
{
    int rc = ERR_UNSUPPORTED;
    size_t span;

    if (layered_turn(l->e, l->m, l->n, &span) < 0)
        return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
    if (l->m > 0 && l->n + span <= DOT_MAX)
        rc = place_by_dot(l, e);
    if (rc < 0 && layered_place(l->v, l->n, l->e, l->m) < 0)
        return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
    return 0;
}

/* The size of a box around its placed things, and where their coordinates begin in it. */
static void wrap(struct fresh *f, size_t level, const struct level *l)
{
    struct layered_node *box = &f->thing[f->g->nnodes + level - 1];
    double left = INFINITY, top = INFINITY, right = -INFINITY, bottom = -INFINITY;

    for (size_t i = 0; i < l->n; i++) {
        left = fmin(left, l->v[i].x - l->v[i].width / 2);
        right = fmax(right, l->v[i].x + l->v[i].width / 2);
        top = fmin(top, l->v[i].y - l->v[i].height / 2);
        bottom = fmax(bottom, l->v[i].y + l->v[i].height / 2);
    }
    box->width = right - left + 2 * BOX_MARGIN;
    box->height = bottom - top + 2 * BOX_MARGIN + BOX_TITLE;
    f->corner[level] = (struct point){ left - BOX_MARGIN, top - BOX_MARGIN - BOX_TITLE };
}

/* Places the things of one level; its links are [first, end). */
static int do_level(struct fresh *f, size_t level, size_t first, size_t end, struct err *e)
{
    size_t n = f->at[level + 1] - f->at[level];
    struct level l = { arena_array(f->a, n + 1, sizeof(*l.v)), n, arena_array(f->a, end - first + 1, sizeof(*l.e)),
                       end - first };

    if (!l.v || !l.e)
        return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
    for (size_t i = 0; i < n; i++)
        l.v[i] = f->thing[f->list[f->at[level] + i]];
    for (size_t i = 0; i < l.m; i++)
        l.e[i] = (struct layered_edge){ f->slot[f->links[first + i].from], f->slot[f->links[first + i].to] };
    if (place_level(&l, e) < 0)
        return e->code;
    for (size_t i = 0; i < n; i++)
        f->thing[f->list[f->at[level] + i]] = l.v[i];
    if (level > 0)
        wrap(f, level, &l);
    return 0;
}

/* Inner levels first: boxes stand with the outer ones before, and links by level. */
static int do_levels(struct fresh *f, struct err *e)
{
    size_t end = f->nlinks;

    for (size_t level = f->nlevels; level-- > 0;) {
        size_t first = end;

        while (first > 0 && f->links[first - 1].level == level)
            first--;
        if (do_level(f, level, first, end, e) < 0)
            return e->code;
        end = first;
    }
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------------- */

/* From places within boxes to places on the page; outer boxes first. */
static void unwrap(struct fresh *f)
{
    for (size_t level = 1; level < f->nlevels; level++) {
        const struct layered_node *box = &f->thing[f->g->nnodes + level - 1];
        double dx = box->x - box->width / 2 - f->corner[level].x, dy = box->y - box->height / 2 - f->corner[level].y;

        for (size_t i = f->at[level]; i < f->at[level + 1]; i++) {
            f->thing[f->list[i]].x += dx;
            f->thing[f->list[i]].y += dy;
        }
    }
}

size_t fresh_effort(const struct graph *g)
{
    struct layered_edge *e = mem_alloc((g->nedges + 1) * sizeof(*e));
    size_t n = 0, span;

    if (!e)
        return SIZE_MAX;
    for (size_t i = 0; i < g->nedges; i++)
        if (g->edges[i]->source != g->edges[i]->target)
            e[n++] = (struct layered_edge){ g->edges[i]->source->index, g->edges[i]->target->index };
    if (layered_turn(e, n, g->nnodes, &span) < 0)
        span = SIZE_MAX - g->nnodes;
    mem_free(e);
    return g->nnodes + span;
}

int fresh_layout(const struct graph *g, struct arena *a, struct point *out, struct err *e)
{
    struct fresh f = { .g = g, .a = a };
    double left = INFINITY, top = INFINITY;

    if (prepare(&f) < 0)
        return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
    if (do_levels(&f, e) < 0)
        return e->code;
    unwrap(&f);
    for (size_t i = 0; i < g->nnodes; i++) {
        left = fmin(left, f.thing[i].x - f.thing[i].width / 2);
        top = fmin(top, f.thing[i].y - f.thing[i].height / 2);
    }
    for (size_t i = 0; i < g->nnodes; i++) /* a tenth of a point is enough, and prints short */
        out[i] = (struct point){ round((f.thing[i].x - left) * 10) / 10, round((f.thing[i].y - top) * 10) / 10 };
    return 0;
}
