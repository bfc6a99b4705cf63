/* layered.c: a layered drawing for graphs that are too large for Graphviz' dot.
 *
 * Problem    dot's time grows with more than the square of the edges: 2,000 edges take 0.6 s, 10,000 half a minute.
 * Idea       The same picture in outline. Edges that close a cycle are turned; a node's layer is the longest way to it;
 *            within a layer, nodes go to the mean of where their neighbours are (the barycentre heuristic of Sugiyama,
 *            Tagawa, Toda 1981), a few times from left to right and back. A layer that is taller than the drawing is
 *            wide is folded into several columns.
 * Cost       O(sweeps · (n log n + m)). 5,000 nodes and 10,000 edges take a few hundredths of a second.
 * Left out   Bends around nodes, and straightening: at this size edges are drawn as lines. */
#include "graph/graph-internal.h"

#include <math.h>
#include <stdlib.h>

enum { SWEEPS = 8, GAP_Y = NODE_GAP, GAP_COLUMN = 26, GAP_LAYER = 90 };

struct slot {
    size_t node;
    double mean; /* of its neighbours' rows */
    size_t was;  /* its row before: keeps the sort stable */
};

struct drawing {
    struct arena a;
    struct layered_node *v;
    size_t n, m;
    size_t *head, *tail;         /* of each edge, turned so that there is no cycle */
    size_t *out_at, *in_at;      /* node → first of its edges below; n + 1 each */
    size_t *out, *in;            /* the other ends */
    size_t *order;               /* of the nodes, in which every turned edge leads onwards */
    size_t *layer, *row;
    size_t nlayers;
    struct slot *slots;          /* by layer */
    size_t *layer_at;            /* layer → first slot; nlayers + 1 */
};

/* Sorts edges by one end: at[v] .. at[v + 1] are v's, other[] the nodes at their other ends. */
static void index_edges(const size_t *end, const size_t *far, size_t n, size_t m, size_t *at, size_t *other)
{
    memset(at, 0, (n + 1) * sizeof(*at));
    for (size_t i = 0; i < m; i++)
        at[end[i] + 1]++;
    for (size_t v = 0; v < n; v++)
        at[v + 1] += at[v];
    for (size_t i = 0; i < m; i++)
        other[at[end[i]]++] = far[i];
    for (size_t v = n; v > 0; v--)
        at[v] = at[v - 1];
    at[0] = 0;
}

/* Depth-first from the sources, then from whatever is left, numbering nodes as they are finished: an edge that leads to
 * a node finished later closes a cycle. `stack` and `next` have room for n. */
static void number_nodes(const struct drawing *d, size_t *number, size_t *stack, size_t *next, char *state)
{
    size_t depth = 0, finished = 0;

    for (size_t round = 0; round < 2; round++) {
        for (size_t root = 0; root < d->n; root++) {
            if (state[root] || (round == 0 && d->in_at[root + 1] > d->in_at[root]))
                continue;
            stack[depth++] = root;
            state[root] = 1;
            next[root] = d->out_at[root];
            while (depth) {
                size_t v = stack[depth - 1];

                if (next[v] == d->out_at[v + 1]) {
                    number[v] = finished++;
                    depth--;
                } else if (!state[d->out[next[v]++]]) {
                    size_t w = d->out[next[v] - 1];

                    state[w] = 1;
                    next[w] = d->out_at[w];
                    stack[depth++] = w;
                }
            }
        }
    }
}

static int break_cycles(struct drawing *d)
{
    size_t *number = arena_array(&d->a, d->n + 1, sizeof(*number));
    size_t *stack = arena_array(&d->a, d->n + 1, sizeof(*stack));
    size_t *next = arena_array(&d->a, d->n + 1, sizeof(*next));
    char *state = arena_array(&d->a, d->n + 1, 1);

    if (!number || !stack || !next || !state)
        return ERR_NOMEM;
    number_nodes(d, number, stack, next, state);
    for (size_t i = 0; i < d->m; i++) {
        if (number[d->tail[i]] < number[d->head[i]]) {
            size_t t = d->tail[i];

            d->tail[i] = d->head[i];
            d->head[i] = t;
        }
    }
    for (size_t v = 0; v < d->n; v++)
        d->order[d->n - 1 - number[v]] = v;
    index_edges(d->tail, d->head, d->n, d->m, d->out_at, d->out);
    index_edges(d->head, d->tail, d->n, d->m, d->in_at, d->in);
    return 0;
}

static void number_layers(struct drawing *d)
{
    for (size_t i = 0; i < d->n; i++) {
        size_t v = d->order[i];

        for (size_t k = d->out_at[v]; k < d->out_at[v + 1]; k++)
            if (d->layer[d->out[k]] < d->layer[v] + 1)
                d->layer[d->out[k]] = d->layer[v] + 1;
        if (d->layer[v] + 1 > d->nlayers)
            d->nlayers = d->layer[v] + 1;
    }
}

static int fill_layers(struct drawing *d)
{
    size_t *fill = arena_array(&d->a, d->nlayers, sizeof(*fill));

    d->layer_at = arena_array(&d->a, d->nlayers + 1, sizeof(*d->layer_at));
    d->row = arena_array(&d->a, d->n, sizeof(*d->row));
    d->slots = arena_array(&d->a, d->n, sizeof(*d->slots));
    if (!fill || !d->layer_at || !d->row || !d->slots)
        return ERR_NOMEM;
    for (size_t v = 0; v < d->n; v++)
        d->layer_at[d->layer[v] + 1]++;
    for (size_t l = 0; l < d->nlayers; l++)
        d->layer_at[l + 1] += d->layer_at[l];
    for (size_t i = 0; i < d->n; i++) {
        size_t v = d->order[i], l = d->layer[v];

        d->row[v] = fill[l]++;
        d->slots[d->layer_at[l] + d->row[v]].node = v;
    }
    return 0;
}

static int cmp_slots(const void *pa, const void *pb)
{
    const struct slot *a = pa, *b = pb;

    if (a->mean != b->mean)
        return a->mean < b->mean ? -1 : 1;
    return a->was < b->was ? -1 : a->was > b->was;
}

/* Rows relative to the layer's middle, so that layers of different height can be compared. */
static double height_of(const struct drawing *d, size_t v)
{
    size_t l = d->layer[v];

    return (double)d->row[v] - (double)(d->layer_at[l + 1] - d->layer_at[l]) / 2;
}

static void sort_layer(struct drawing *d, size_t l, const size_t *at, const size_t *other)
{
    struct slot *s = d->slots + d->layer_at[l];
    size_t n = d->layer_at[l + 1] - d->layer_at[l];

    for (size_t i = 0; i < n; i++) {
        size_t v = s[i].node, from = at[v], to = at[v + 1];
        double sum = 0;

        for (size_t k = from; k < to; k++)
            sum += height_of(d, other[k]);
        s[i].was = i;
        s[i].mean = to > from ? sum / (double)(to - from) : height_of(d, v);
    }
    qsort(s, n, sizeof(*s), cmp_slots);
    for (size_t i = 0; i < n; i++)
        d->row[s[i].node] = i;
}

static void sort_layers(struct drawing *d)
{
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        for (size_t l = 1; l < d->nlayers; l++)
            sort_layer(d, l, d->in_at, d->in);
        for (size_t l = d->nlayers; l-- > 0;)
            sort_layer(d, l, d->out_at, d->out);
    }
}

/* Writes the nodes of slots [from, to) as one column whose left side is at x; returns its width. */
static double put_column(struct drawing *d, size_t from, size_t to, double x)
{
    double width = 0, height = -GAP_Y, y;

    for (size_t i = from; i < to; i++) {
        const struct layered_node *v = &d->v[d->slots[i].node];

        width = v->width > width ? v->width : width;
        height += v->height + GAP_Y;
    }
    y = -height / 2;
    for (size_t i = from; i < to; i++) {
        struct layered_node *v = &d->v[d->slots[i].node];

        v->x = x + width / 2;
        v->y = y + v->height / 2;
        y += v->height + GAP_Y;
    }
    return width;
}

static void put_layers(struct drawing *d)
{
    size_t tallest = (size_t)(1.6 * sqrt((double)d->n)) + 12;
    double x = 0;

    for (size_t l = 0; l < d->nlayers; l++) {
        size_t from = d->layer_at[l], to = d->layer_at[l + 1];
        size_t columns = (to - from + tallest - 1) / tallest, rows = columns ? (to - from + columns - 1) / columns : 0;

        for (size_t i = from; i < to; i += rows)
            x += put_column(d, i, i + rows < to ? i + rows : to, x) + GAP_COLUMN;
        x += GAP_LAYER - GAP_COLUMN;
    }
}

/* The edges turned, and every node in its layer. */
static int begin(struct drawing *d, const struct layered_edge *e)
{
    d->head = arena_array(&d->a, d->m + 1, sizeof(*d->head));
    d->tail = arena_array(&d->a, d->m + 1, sizeof(*d->tail));
    d->out_at = arena_array(&d->a, d->n + 1, sizeof(*d->out_at));
    d->in_at = arena_array(&d->a, d->n + 1, sizeof(*d->in_at));
    d->out = arena_array(&d->a, d->m + 1, sizeof(*d->out));
    d->in = arena_array(&d->a, d->m + 1, sizeof(*d->in));
    d->order = arena_array(&d->a, d->n + 1, sizeof(*d->order));
    d->layer = arena_array(&d->a, d->n + 1, sizeof(*d->layer));
    if (!d->head || !d->tail || !d->out_at || !d->in_at || !d->out || !d->in || !d->order || !d->layer)
        return ERR_NOMEM;
    for (size_t i = 0; i < d->m; i++) {
        d->tail[i] = e[i].from;
        d->head[i] = e[i].to;
    }
    index_edges(d->tail, d->head, d->n, d->m, d->out_at, d->out);
    index_edges(d->head, d->tail, d->n, d->m, d->in_at, d->in);
    if (break_cycles(d) < 0)
        return ERR_NOMEM;
    number_layers(d);
    return 0;
}

static int draw(struct drawing *d, const struct layered_edge *e)
{
    if (begin(d, e) < 0 || fill_layers(d) < 0)
        return ERR_NOMEM;
    sort_layers(d);
    put_layers(d);
    return 0;
}

int layered_place(struct layered_node *v, size_t nv, const struct layered_edge *e, size_t ne)
{
    struct drawing d = { .a = ARENA_INIT(GRAPH_ARENA), .v = v, .n = nv, .m = ne };
    int rc = nv ? draw(&d, e) : 0;

    arena_free(&d.a);
    return rc;
}

int layered_turn(struct layered_edge *e, size_t ne, size_t nv, size_t *span)
{
    struct drawing d = { .a = ARENA_INIT(GRAPH_ARENA), .n = nv, .m = ne };
    int rc = begin(&d, e);

    *span = 0;
    for (size_t i = 0; i < ne && rc == 0; i++) {
        e[i] = (struct layered_edge){ d.tail[i], d.head[i] };
        *span += d.layer[e[i].to] - d.layer[e[i].from];
    }
    arena_free(&d.a);
    return rc;
}
