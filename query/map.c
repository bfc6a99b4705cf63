/* map.c: functions of one value. */
#include "query/function-internal.h"

struct map {
    struct stream s;
    struct eval *ev;
    struct stream *in;
    map_fn *fn;
    size_t steps;
    const double *args; /* nargs for each step, or NULL */
    size_t nargs;
};

static int next_map(struct stream *s, struct row *row)
{
    struct map *m = (struct map *)s;
    int rc;

    while ((rc = m->in->next(m->in, row)) > 0) {
        bool any = false;

        for (size_t i = 0; i < m->steps; i++) {
            double *v = &row->v[i];

            if (!is_absent(*v) && !m->fn(*v, m->args ? m->args + i * m->nargs : NULL, v))
                *v = ABSENT;
            any |= !is_absent(*v);
        }
        row->drop_name = true;
        if (any)
            return 1;
    }
    return rc;
}

/* vector(time()), which functions of dates read when they are given nothing. */
static int open_time(struct eval *ev, const struct grid *g, struct stream **out)
{
    struct row row = { { NULL, 0 }, false, eval_values(ev, g) };
    struct rows rows = { 0 };

    if (!row.v || arena_grow(ev->a, &rows.v, &rows.cap, 1, sizeof(row)) < 0)
        return eval_nomem(ev);
    for (size_t i = 0; i < g->n; i++)
        row.v[i] = (double)grid_time(g, i) / 1000;
    rows.v[rows.n++] = row;
    return eval_replay(ev, g, rows, out);
}

int map_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct map *m = ARENA_NEW(ev->a, struct map);
    double *args;
    int rc;

    if (!m)
        return eval_nomem(ev);
    *m = (struct map){ .s = { next_map, false }, .ev = ev, .fn = n->call.fn->map, .steps = g->n };
    *out = &m->s;
    rc = eval_scalar_args(ev, g, &n->call, &args, &m->nargs);
    m->args = args;
    if (rc < 0)
        return rc;
    rc = n->call.n ? eval_open(ev, g, n->call.args[0], &m->in) : open_time(ev, g, &m->in);
    m->s.unique = rc == 0 && m->in->unique;
    return rc;
}
