/* rows.c: the rows of an expression, collected: by several threads where that is worth it; made unique; played back. */
#include "query/crew-internal.h"

int eval_collect(struct eval *ev, const struct grid *g, struct stream *s, struct rows *rows)
{
    struct row row;
    int rc;

    *rows = (struct rows){ .unique = s->unique };
    while ((rc = s->next(s, &row)) > 0) {
        double *v = arena_alloc(ev->a, g->n * sizeof(*v));

        if (!v || arena_grow(ev->a, &rows->v, &rows->cap, rows->n + 1, sizeof(*rows->v)) < 0)
            return eval_nomem(ev);
        memcpy(v, row.v, g->n * sizeof(*v));
        row.v = v;
        rows->v[rows->n++] = row;
        if (eval_hold(ev, g->n) < 0)
            return ev->failed;
    }
    return rc;
}

static int collect_part(struct crew_member *m)
{
    return eval_collect(&m->ev, m->g, m->in, m->own);
}

/* Each member collects its own, which then stand one behind the other. */
static int collect_parts(struct eval *ev, struct crew *c, struct rows *rows)
{
    struct rows parts[CREW_MOST];
    int rc;

    for (size_t i = 0; i < c->n; i++)
        c->members[i].own = &parts[i];
    rc = crew_run(ev, c, collect_part);
    *rows = (struct rows){ .unique = c->members[0].in->unique };
    for (size_t i = 0; rc == 0 && i < c->n; i++) {
        if (arena_grow(ev->a, &rows->v, &rows->cap, rows->n + parts[i].n, sizeof(*rows->v)) < 0)
            return eval_nomem(ev);
        if (parts[i].n)
            memcpy(rows->v + rows->n, parts[i].v, parts[i].n * sizeof(*rows->v));
        rows->n += parts[i].n;
    }
    return rc;
}

int eval_collect_node(struct eval *ev, const struct grid *g, const struct node *n, struct rows *rows)
{
    struct crew *crew = NULL;
    struct stream *in;
    int rc = eval_open(ev, g, n, &in);

    if (rc == 0)
        rc = crew_split(ev, g, n, g->n, &crew);
    if (rc < 0)
        return rc;
    return crew ? collect_parts(ev, crew, rows) : eval_collect(ev, g, in, rows);
}

int rows_unify(struct eval *ev, const struct grid *g, struct rows *rows)
{
    struct label_map map = { 0 };
    size_t n = 0, at;

    for (size_t r = 0; r < rows->n; r++) {
        struct row *row = &rows->v[r];
        int fresh = label_map_add(&map, ev->a, row->labels, &at);

        if (fresh < 0)
            return eval_nomem(ev);
        if (fresh) {
            rows->v[n++] = *row;
            continue;
        }
        for (size_t i = 0; i < g->n; i++) {
            if (is_absent(row->v[i]))
                continue;
            if (!is_absent(rows->v[at].v[i]))
                return eval_fail(ev, "vector cannot contain metrics with the same labelset");
            rows->v[at].v[i] = row->v[i];
        }
        rows->v[at].drop_name |= row->drop_name;
    }
    rows->n = n;
    rows->unique = true;
    return 0;
}

struct replay {
    struct stream s;
    struct eval *ev;
    struct rows rows;
    size_t at, steps;
};

static int next_replay(struct stream *s, struct row *row)
{
    struct replay *r = (struct replay *)s;

    if (r->at == r->rows.n)
        return 0;
    *row = r->rows.v[r->at++];
    eval_release(r->ev, r->steps);
    return 1;
}

int eval_replay(struct eval *ev, const struct grid *g, struct rows rows, struct stream **out)
{
    struct replay *r = ARENA_NEW(ev->a, struct replay);

    if (!r)
        return eval_nomem(ev);
    *r = (struct replay){ { next_replay, rows.unique }, ev, rows, 0, g->n };
    *out = &r->s;
    return 0;
}
