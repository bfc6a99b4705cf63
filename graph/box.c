/* box.c: nodes that belong together are drawn in a box: versions of an app, a namespace, a cluster.
 *
 * The rules are Kiali's: a box holds at least two; app graphs always box by app; namespaces (and clusters) are boxed
 * when there is more than one of them, and hold what is in no smaller box, and the smaller boxes. */
#include "graph/graph-internal.h"

#include "base/buf.h"

/* What may lie in a box: a node, or a smaller box. */
struct member {
    struct str cluster, ns, app;
    struct box **in;
    const struct graph_node *node;
};

struct boxing {
    struct graph *g;
    struct member *members;
    size_t n;
    struct box **made; /* inner ones first */
    size_t nmade;
};

const char *box_kind_name(enum graph_box k)
{
    return k == GRAPH_BOX_APP ? "app" : k == GRAPH_BOX_NAMESPACE ? "namespace" : "cluster";
}

static bool may_box(const struct member *m, enum graph_box k)
{
    if (*m->in)
        return false;
    if (k == GRAPH_BOX_APP)
        return m->node && known(m->app);
    return known(k == GRAPH_BOX_NAMESPACE ? m->ns : m->cluster);
}

static bool same_box(const struct member *a, const struct member *b, enum graph_box k)
{
    return str_eq(a->cluster, b->cluster) && (k == GRAPH_BOX_CLUSTER || str_eq(a->ns, b->ns)) &&
           (k != GRAPH_BOX_APP || str_eq(a->app, b->app));
}

static int put_box_id(struct box *x)
{
    struct buf key = BUF_INIT(1 << 20);
    int rc;

    buf_puts(&key, "box_");
    buf_str(&key, x->cluster);
    if (x->kind != GRAPH_BOX_CLUSTER) {
        buf_putc(&key, '_');
        buf_str(&key, x->ns);
    }
    if (x->kind == GRAPH_BOX_APP) {
        buf_putc(&key, '_');
        buf_str(&key, x->app);
    }
    rc = buf_failed(&key) ? ERR_NOMEM : 0;
    if (rc == 0)
        sha256_hex(x->id, buf_view(&key));
    buf_free(&key);
    return rc;
}

static int make_box(struct boxing *b, const struct member *m, enum graph_box k)
{
    struct box *x = ARENA_NEW(&b->g->arena, struct box);

    if (!x)
        return ERR_NOMEM;
    x->kind = k;
    x->cluster = m->cluster;
    x->ns = k == GRAPH_BOX_CLUSTER ? STR_NULL : m->ns;
    x->app = k == GRAPH_BOX_APP ? m->app : STR_NULL;
    b->made[b->nmade++] = x;
    for (size_t i = 0; i < b->n; i++) {
        struct member *o = &b->members[i];

        if (!may_box(o, k) || !same_box(o, m, k))
            continue;
        *o->in = x;
        if (k == GRAPH_BOX_APP) {
            x->is_outside |= o->node->is_outside;
            x->is_inaccessible |= o->node->is_inaccessible;
        }
        if (o->node)
            x->health = health_worse(x->health, o->node->health);
    }
    return put_box_id(x);
}

/* Counts the members that lie with m, up to 2; and whether m is the first of them. */
static size_t company(const struct boxing *b, const struct member *m, enum graph_box k)
{
    size_t n = 0;

    for (const struct member *o = b->members; o < b->members + b->n && n < 2; o++) {
        if (!may_box(o, k) || !same_box(o, m, k))
            continue;
        if (o < m)
            return 0;
        n++;
    }
    return n;
}

static bool several_kinds(const struct boxing *b, enum graph_box k)
{
    const struct member *first = NULL;

    for (const struct member *m = b->members; m < b->members + b->n; m++) {
        if (!may_box(m, k))
            continue;
        if (first && !same_box(first, m, k))
            return true;
        first = m;
    }
    return false;
}

static int box_by(struct boxing *b, enum graph_box k)
{
    size_t before = b->nmade, n = b->n;

    if (k != GRAPH_BOX_APP && !several_kinds(b, k))
        return 0;
    for (size_t i = 0; i < n; i++)
        if (may_box(&b->members[i], k) && company(b, &b->members[i], k) > 1 && make_box(b, &b->members[i], k) < 0)
            return ERR_NOMEM;
    for (size_t i = before; i < b->nmade; i++) {
        struct box *x = b->made[i];

        b->members[b->n++] = (struct member){ x->cluster, x->ns, x->app, &x->parent, NULL };
    }
    return 0;
}

static int compare_boxes(const struct box *a, const struct box *b)
{
    int c = (int)b->kind - (int)a->kind;

    c = c ? c : str_cmp(a->cluster, b->cluster);
    c = c ? c : str_cmp(a->ns, b->ns);
    return c ? c : str_cmp(a->app, b->app);
}

static void sort_boxes(struct box **v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct box *x = v[i];
        size_t at = i;

        for (; at > 0 && compare_boxes(v[at - 1], x) > 0; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

int graph_box_nodes(struct graph *g, struct err *e)
{
    struct boxing b = { .g = g };
    unsigned boxes = g->o.boxes;
    int rc = 0;

    if (g->o.type == GRAPH_APP || g->o.type == GRAPH_VERSIONED_APP)
        boxes |= GRAPH_BOX_APP;
    b.members = arena_array(&g->arena, 2 * g->nnodes + 1, sizeof(*b.members));
    b.made = arena_array(&g->arena, 2 * g->nnodes + 1, sizeof(*b.made));
    if (!b.members || !b.made)
        return err_set(e, ERR_NOMEM, "graph: no memory for boxes");
    for (size_t i = 0; i < g->nnodes; i++) {
        struct graph_node *n = g->nodes[i];

        b.members[b.n++] = (struct member){ n->cluster, n->ns, n->app, &n->box, n };
    }
    for (unsigned k = GRAPH_BOX_APP; k <= GRAPH_BOX_CLUSTER && rc == 0; k <<= 1)
        if (boxes & k)
            rc = box_by(&b, (enum graph_box)k);
    if (rc < 0)
        return err_set(e, rc, "graph: no memory for boxes");
    sort_boxes(b.made, b.nmade);
    g->boxes = b.made;
    g->nboxes = b.nmade;
    return 0;
}
