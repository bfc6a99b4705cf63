/* aggregate.c: sum, avg, min, max, count, group, stddev, stdvar: rows go in one after another, one tally per group is
 * kept. */
#include "query/tally-internal.h"

#include "query/eval-internal.h"

struct group {
    struct labels labels;
    bool drop_name;
    struct tally tally;
};

struct aggregation {
    struct stream s;
    struct eval *ev;
    struct grid g;
    const struct aggregate *agg;
    struct label_picker picker;
    struct label_map map;
    struct group *groups;
    size_t cap, at;
    double *out;
};

static int group_of(struct aggregation *x, struct labels row, struct group **out)
{
    struct labels l;
    size_t at;
    int fresh;

    if (label_pick(&x->picker, x->ev->a, row, &l) < 0)
        return eval_nomem(x->ev);
    fresh = label_map_add(&x->map, x->ev->a, l, &at);
    if (fresh < 0 || arena_grow(x->ev->a, &x->groups, &x->cap, x->map.n, sizeof(*x->groups)) < 0)
        return eval_nomem(x->ev);
    *out = &x->groups[at];
    if (!fresh)
        return 0;
    **out = (struct group){ .labels = x->map.keys[at] };
    if (tally_init(&(*out)->tally, x->agg->op, x->g.n, x->ev->a) < 0)
        return eval_nomem(x->ev);
    return eval_hold(x->ev, x->g.n);
}

static int take_rows(struct aggregation *x, struct stream *in)
{
    struct group *group = NULL;
    struct row row;
    int rc;

    while ((rc = in->next(in, &row)) > 0) {
        rc = eval_work(x->ev, x->g.n);
        if (rc == 0)
            rc = group_of(x, row.labels, &group);
        if (rc < 0)
            return rc;
        group->drop_name |= row.drop_name;
        tally_add(&group->tally, x->agg->op, x->g.n, row.v);
    }
    return rc;
}

static int next_group(struct stream *s, struct row *row)
{
    struct aggregation *x = (struct aggregation *)s;
    const struct group *group = &x->groups[x->at];

    if (x->at == x->map.n)
        return 0;
    tally_result(&group->tally, x->agg->op, x->g.n, x->out);
    *row = (struct row){ group->labels, group->drop_name, x->out };
    x->at++;
    return 1;
}

int aggregate_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct aggregation *x = ARENA_NEW(ev->a, struct aggregation);
    const struct aggregate *agg = &n->aggregate;
    struct stream *in;
    int rc;

    if (!x || !(x->out = eval_values(ev, g)) ||
        label_picker_init(&x->picker, ev->a, agg->labels, agg->n, !agg->without) < 0)
        return eval_nomem(ev);
    x->s = (struct stream){ next_group, true };
    x->ev = ev;
    x->g = *g;
    x->agg = agg;
    *out = &x->s;
    rc = eval_open(ev, g, agg->arg, &in);
    return rc < 0 ? rc : take_rows(x, in);
}
