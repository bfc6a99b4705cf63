/* box.c: nodes that belong together are drawn in a box: versions of an app, a namespace, a cluster.
 *
 * The rules are Kiali's: a box holds at least two; app graphs always box by app; namespaces (and clusters) are boxed
 * when there is more than one of them, and hold what is in no smaller box, and the smaller boxes. A box's id is the
 * sha256 of box_CLUSTER[_NAMESPACE[_APP]]. */
#include "graph/graph-internal.h"

#include "base/buf.h"

#include <stdlib.h>

/* What may lie in a box: a node, or a smaller box. */
struct member {
    struct str cluster, ns, app;
    struct box **in;
    const struct graph_node *node; /* NULL: a box */
    struct group *group;
};

/* The members of one box to be. */
struct group {
    struct str key;
    size_t n;
    struct box *box;
};

struct boxing {
    struct graph *g;
    struct arena scratch;
    struct member *members; /* room for all nodes and all boxes */
    size_t n;
    struct box **made;
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
        return m->node && label_known(m->app);
    return label_known(k == GRAPH_BOX_NAMESPACE ? m->ns : m->cluster);
}

static void put_key(struct buf *b, const struct member *m, enum graph_box k)
{
    buf_reset(b);
    buf_puts(b, "box_");
    buf_str(b, m->cluster);
    if (k != GRAPH_BOX_CLUSTER) {
        buf_putc(b, '_');
        buf_str(b, m->ns);
    }
    if (k == GRAPH_BOX_APP) {
        buf_putc(b, '_');
        buf_str(b, m->app);
    }
}

static int group_member(struct boxing *b, struct strmap *groups, struct member *m, struct str key)
{
    m->group = strmap_get(groups, key);
    if (!m->group) {
        m->group = ARENA_NEW(&b->scratch, struct group);
        if (!m->group)
            return ERR_NOMEM;
        m->group->key = arena_str(&b->scratch, key);
        if (!m->group->key.p || strmap_put(groups, m->group->key, m->group, NULL) < 0)
            return ERR_NOMEM;
    }
    m->group->n++;
    return 0;
}

static int group_members(struct boxing *b, struct strmap *groups, enum graph_box k)
{
    struct buf key = BUF_INIT(1 << 20);
    int rc = 0;

    for (size_t i = 0; i < b->n && rc == 0; i++) {
        b->members[i].group = NULL;
        if (!may_box(&b->members[i], k))
            continue;
        put_key(&key, &b->members[i], k);
        rc = buf_failed(&key) ? ERR_NOMEM : group_member(b, groups, &b->members[i], buf_view(&key));
    }
    buf_free(&key);
    return rc;
}

static struct box *make_box(struct boxing *b, const struct member *m, enum graph_box k)
{
    struct box *x = ARENA_NEW(&b->g->arena, struct box);

    if (!x)
        return NULL;
    x->kind = k;
    x->cluster = m->cluster;
    x->ns = k == GRAPH_BOX_CLUSTER ? STR_NULL : m->ns;
    x->app = k == GRAPH_BOX_APP ? m->app : STR_NULL;
    graph_sha256(x->id, m->group->key);
    b->made[b->nmade++] = x;
    return x;
}

static void put_in(struct box *x, struct member *m)
{
    *m->in = x;
    if (!m->node)
        return;
    x->health = health_worse(x->health, m->node->health);
    if (x->kind == GRAPH_BOX_APP) {
        x->is_outside |= m->node->is_outside;
        x->is_inaccessible |= m->node->is_inaccessible;
    }
}

static int box_groups(struct boxing *b, enum graph_box k)
{
    size_t n = b->n, before = b->nmade;

    for (size_t i = 0; i < n; i++) {
        struct member *m = &b->members[i];

        if (!m->group || m->group->n < 2)
            continue;
        if (!m->group->box)
            m->group->box = make_box(b, m, k);
        if (!m->group->box)
            return ERR_NOMEM;
        put_in(m->group->box, m);
    }
    for (size_t i = before; i < b->nmade; i++) {
        struct box *x = b->made[i];

        b->members[b->n++] = (struct member){ x->cluster, x->ns, x->app, &x->parent, NULL, NULL };
    }
    return 0;
}

static int box_by(struct boxing *b, enum graph_box k)
{
    struct strmap groups = STRMAP_INIT;
    int rc = group_members(b, &groups, k);

    if (rc == 0 && (k == GRAPH_BOX_APP || groups.n > 1))
        rc = box_groups(b, k);
    strmap_free(&groups);
    return rc;
}

static int compare_boxes(const void *pa, const void *pb)
{
    const struct box *a = *(struct box *const *)pa, *b = *(struct box *const *)pb;
    int c = (int)b->kind - (int)a->kind;

    c = c ? c : str_cmp(a->cluster, b->cluster);
    c = c ? c : str_cmp(a->ns, b->ns);
    return c ? c : str_cmp(a->app, b->app);
}

static int box_all(struct boxing *b)
{
    struct graph *g = b->g;
    unsigned boxes = g->o.boxes;

    if (g->o.type == GRAPH_APP || g->o.type == GRAPH_VERSIONED_APP)
        boxes |= GRAPH_BOX_APP;
    b->members = arena_array(&b->scratch, 2 * g->nnodes + 1, sizeof(*b->members));
    b->made = arena_array(&g->arena, g->nnodes + 1, sizeof(struct box *));
    if (!b->members || !b->made)
        return ERR_NOMEM;
    for (size_t i = 0; i < g->nnodes; i++) {
        struct graph_node *n = g->nodes[i];

        b->members[b->n++] = (struct member){ n->cluster, n->ns, n->app, &n->box, n, NULL };
    }
    for (unsigned k = GRAPH_BOX_APP; k <= GRAPH_BOX_CLUSTER; k <<= 1)
        if ((boxes & k) && box_by(b, (enum graph_box)k) < 0)
            return ERR_NOMEM;
    return 0;
}

int graph_box_nodes(struct graph *g, struct err *e)
{
    struct boxing b = { .g = g, .scratch = ARENA_INIT(GRAPH_ARENA) };
    int rc = box_all(&b);

    arena_free(&b.scratch);
    if (rc < 0)
        return err_set(e, rc, "graph: no memory for boxes");
    qsort(b.made, b.nmade, sizeof(struct box *), compare_boxes);
    g->boxes = b.made;
    g->nboxes = b.nmade;
    for (size_t i = 0; i < b.nmade; i++)
        b.made[i]->index = i;
    return 0;
}
