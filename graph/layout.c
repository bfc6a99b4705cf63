/* layout.c: where each node stands.
 *
 * Problem    A layout program answers each graph afresh: one more node, and everything is somewhere else.
 * Idea       Positions are remembered. A node that is known keeps its place. A new one is put where a fresh layout has it
 *            relative to its neighbours: the fresh place, moved by the median of how far the remembered places of those
 *            in its box, or else of its neighbours, are from their fresh ones (of all known nodes, when there is
 *            neither). If something stands there, the new node moves, up or down and then aside, to the nearest free
 *            place.
 * Bound      A node never moves between two layouts, however many others come or go, unless more than half of the nodes
 *            are new, or there are half as many again as when the last fresh layout was taken: then the picture is
 *            another one (a console that was opened while the mesh still started shows one soon), and the fresh layout
 *            is taken as it is.
 * Invariant  The result depends on the structure and the remembered positions alone: not on rates, not on the order
 *            in which series came. The same input gives the same numbers.
 *
 * The fresh layout is fresh.c's. A place of a node that is gone is kept free for KEEP_ABSENT layouts, so that it comes
 * back to where it was. */
#include "graph/graph-internal.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

enum { KEEP_ABSENT = 1000, GAP = 16, TRIES = 400 };

struct place {
    char id[ID_TEXT];
    double x, y, width, height;
    uint64_t seen; /* in which layout */
};

struct graph_positions {
    struct strmap places; /* of struct place, by id */
    uint64_t layouts;
    size_t settled;       /* nodes of the last layout that was taken fresh */
};

struct graph_positions *graph_positions_new(void)
{
    return mem_zalloc(sizeof(struct graph_positions));
}

static void drop_places(struct graph_positions *p, uint64_t seen_before)
{
    const struct strmap_slot *s;
    size_t at = 0;

    while ((s = strmap_next(&p->places, &at)) != NULL) {
        struct place *x = s->value;

        if (x->seen < seen_before) {
            strmap_del(&p->places, s->key);
            mem_free(x);
        }
    }
}

void graph_positions_free(struct graph_positions *p)
{
    if (!p)
        return;
    drop_places(p, UINT64_MAX);
    strmap_free(&p->places);
    mem_free(p);
}

static struct place *place_of(const struct graph_positions *p, const struct graph_node *n)
{
    return strmap_get(&p->places, str_of(n->id));
}

/* ---- keeping what is known ------------------------------------------------------------------------------------- */

struct size {
    double width, height;
};

struct placing {
    struct graph *g;
    struct graph_positions *p;
    struct arena a;
    struct point *fresh;
    struct size *size; /* by node index, as fresh is */
    bool *done;
    struct point *off; /* room for all nodes' offsets */
};

static int cmp_doubles(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return a < b ? -1 : a > b;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), cmp_doubles);
    return v[n / 2];
}

/* Of the n offsets in w->off; 0 or ERR_NOMEM. */
static int median_offset(struct placing *w, size_t n, struct point *out)
{
    double *v = arena_array(&w->a, n, sizeof(*v));

    if (!v)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        v[i] = w->off[i].x;
    out->x = median(v, n);
    for (size_t i = 0; i < n; i++)
        v[i] = w->off[i].y;
    out->y = median(v, n);
    return 0;
}

static struct point offset_of(const struct placing *w, const struct graph_node *n)
{
    return (struct point){ n->x - w->fresh[n->index].x, n->y - w->fresh[n->index].y };
}

static bool overlaps(double ax, double ay, double aw, double ah, double bx, double by, double bw, double bh)
{
    return fabs(ax - bx) < (aw + bw) / 2 + GAP && fabs(ay - by) < (ah + bh) / 2 + NODE_GAP - GAP;
}

/* Whether the place is taken, by a node of this graph or by the memory of one that is away. */
static bool is_taken(const struct placing *w, struct size size, double x, double y)
{
    const struct strmap_slot *s;
    size_t at = 0;

    for (size_t i = 0; i < w->g->nnodes; i++) {
        const struct graph_node *o = w->g->nodes[i];

        if (w->done[i] && overlaps(x, y, size.width, size.height, o->x, o->y, w->size[i].width, w->size[i].height))
            return true;
    }
    while ((s = strmap_next(&w->p->places, &at)) != NULL) {
        const struct place *o = s->value;

        if (overlaps(x, y, size.width, size.height, o->x, o->y, o->width, o->height))
            return true;
    }
    return false;
}

/* The wanted place, or the nearest free one: below, above, twice as far …, and after some tries a column further. */
static void put_node(struct placing *w, struct graph_node *n, double x, double y)
{
    struct size size = w->size[n->index];
    double step = size.height + NODE_GAP, column = size.width + 2 * GAP;

    for (int i = 0; i < TRIES; i++) {
        int row = i % 20, side = i / 20;
        double dy = (row + 1) / 2 * step * (row % 2 ? 1 : -1), dx = (side + 1) / 2 * column * (side % 2 ? 1 : -1);

        n->x = round((x + dx) * 10) / 10;
        n->y = round((y + dy) * 10) / 10;
        if (!is_taken(w, size, n->x, n->y))
            break;
    }
    w->done[n->index] = true;
}

/* Offsets of the placed nodes in the same box: a new one joins them rather than its callers. */
static size_t box_offsets(struct placing *w, const struct graph_node *n)
{
    size_t found = 0;

    for (size_t i = 0; i < w->g->nnodes && n->box; i++)
        if (w->done[i] && w->g->nodes[i]->box == n->box)
            w->off[found++] = offset_of(w, w->g->nodes[i]);
    return found;
}

static size_t neighbour_offsets(struct placing *w, const struct graph_node *n, struct graph_edge *const *of, size_t nof)
{
    size_t found = box_offsets(w, n);

    if (found)
        return found;
    for (size_t i = 0; i < nof; i++) {
        const struct graph_node *o = of[i]->source == n ? of[i]->target : of[i]->source;

        if (o != n && w->done[o->index])
            w->off[found++] = offset_of(w, o);
    }
    return found;
}

/* The edges of each node, as node → first in list. */
struct incidence {
    size_t *at; /* nnodes + 1 */
    struct graph_edge **list;
};

static int index_incidence(struct placing *w, struct incidence *x)
{
    const struct graph *g = w->g;

    x->at = arena_array(&w->a, g->nnodes + 2, sizeof(*x->at));
    x->list = arena_array(&w->a, 2 * g->nedges + 1, sizeof(struct graph_edge *));
    w->off = arena_array(&w->a, g->nnodes + 2 * g->nedges + 1, sizeof(*w->off));
    if (!x->at || !x->list || !w->off)
        return ERR_NOMEM;
    for (size_t i = 0; i < g->nedges; i++) {
        x->at[g->edges_by_name[i]->source->index + 2]++;
        x->at[g->edges_by_name[i]->target->index + 2]++;
    }
    for (size_t i = 2; i < g->nnodes + 2; i++)
        x->at[i] += x->at[i - 1];
    for (size_t i = 0; i < g->nedges; i++) {
        x->list[x->at[g->edges_by_name[i]->source->index + 1]++] = g->edges_by_name[i];
        x->list[x->at[g->edges_by_name[i]->target->index + 1]++] = g->edges_by_name[i];
    }
    return 0;
}

/* Places the new nodes that have a placed neighbour; how many, or ERR_NOMEM. */
static int place_beside(struct placing *w, const struct incidence *x)
{
    int placed = 0;

    for (size_t i = 0; i < w->g->nnodes; i++) {
        struct graph_node *n = w->g->nodes[i];
        struct point off;
        size_t k = w->done[i] ? 0 : neighbour_offsets(w, n, x->list + x->at[i], x->at[i + 1] - x->at[i]);

        if (k == 0)
            continue;
        if (median_offset(w, k, &off) < 0)
            return ERR_NOMEM;
        put_node(w, n, w->fresh[i].x + off.x, w->fresh[i].y + off.y);
        placed++;
    }
    return placed;
}

/* The first new node that is nobody's neighbour goes by all that are placed. 1: placed; 0: none is left; ERR_NOMEM. */
static int place_apart(struct placing *w)
{
    struct point off = { 0, 0 };
    size_t k = 0, at = w->g->nnodes;

    for (size_t i = w->g->nnodes; i-- > 0;) {
        if (w->done[i])
            w->off[k++] = offset_of(w, w->g->nodes[i]);
        else
            at = i;
    }
    if (at == w->g->nnodes)
        return 0;
    if (k && median_offset(w, k, &off) < 0)
        return ERR_NOMEM;
    put_node(w, w->g->nodes[at], w->fresh[at].x + off.x, w->fresh[at].y + off.y);
    return 1;
}

static int place_new(struct placing *w, struct err *e)
{
    struct incidence x;
    int n = index_incidence(w, &x);

    while (n >= 0) {
        n = place_beside(w, &x);
        if (n == 0)
            n = place_apart(w);
        if (n == 0)
            return 0;
    }
    return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
}

/* ---- remembering ----------------------------------------------------------------------------------------------- */

static int remember_node(struct graph_positions *p, const struct graph_node *n)
{
    struct node_look l = look_node(n);
    struct place *x = place_of(p, n);

    if (!x) {
        x = mem_zalloc(sizeof(*x));
        if (!x)
            return ERR_NOMEM;
        memcpy(x->id, n->id, sizeof(x->id));
        if (strmap_put(&p->places, str_of(x->id), x, NULL) < 0) {
            mem_free(x);
            return ERR_NOMEM;
        }
    }
    x->x = n->x;
    x->y = n->y;
    x->width = l.width;
    x->height = l.height;
    x->seen = p->layouts;
    return 0;
}

static int remember(struct graph *g, struct graph_positions *p, struct err *e)
{
    for (size_t i = 0; i < g->nnodes; i++)
        if (remember_node(p, g->nodes[i]) < 0)
            return err_set(e, ERR_NOMEM, "graph: no memory to remember positions");
    if (p->layouts > KEEP_ABSENT)
        drop_places(p, p->layouts - KEEP_ABSENT);
    g->placed = true;
    return 0;
}

/* Takes what is known; returns how many that are. */
static size_t take_known(struct placing *w)
{
    size_t known_nodes = 0;

    for (size_t i = 0; i < w->g->nnodes; i++) {
        const struct place *x = place_of(w->p, w->g->nodes[i]);

        w->done[i] = x != NULL;
        if (!x)
            continue;
        w->g->nodes[i]->x = x->x;
        w->g->nodes[i]->y = x->y;
        known_nodes++;
    }
    return known_nodes;
}

static void take_fresh(struct placing *w)
{
    drop_places(w->p, UINT64_MAX);
    w->p->settled = w->g->nnodes;
    for (size_t i = 0; i < w->g->nnodes; i++) {
        w->g->nodes[i]->x = w->fresh[i].x;
        w->g->nodes[i]->y = w->fresh[i].y;
    }
}

static int place_all(struct placing *w, struct err *e)
{
    size_t n = w->g->nnodes, known_nodes;

    w->fresh = arena_array(&w->a, n + 1, sizeof(*w->fresh));
    w->done = arena_array(&w->a, n + 1, sizeof(*w->done));
    w->size = arena_array(&w->a, n + 1, sizeof(*w->size));
    if (!w->fresh || !w->done || !w->size)
        return err_set(e, ERR_NOMEM, "graph: no memory for a layout");
    for (size_t i = 0; i < n; i++) {
        struct node_look l = look_node(w->g->nodes[i]);

        w->size[i] = (struct size){ l.width, l.height };
    }
    known_nodes = take_known(w);
    if (known_nodes == n)
        return 0;
    if (fresh_layout(w->g, &w->a, w->fresh, e) < 0)
        return e->code;
    if (2 * known_nodes < n || 2 * n > 3 * w->p->settled) {
        take_fresh(w);
        return 0;
    }
    return place_new(w, e);
}

int graph_layout(struct graph *g, struct graph_positions *p, struct err *e)
{
    struct err mine = ERR_INIT, *says = e ? e : &mine;
    struct placing w = { .g = g, .p = p, .a = ARENA_INIT(GRAPH_ARENA) };
    int rc;

    p->layouts++;
    rc = place_all(&w, says);
    arena_free(&w.a);
    return rc < 0 ? rc : remember(g, p, says);
}
