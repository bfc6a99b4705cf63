/* aggregate.c: sum, avg, min, max, count, group, stddev, stdvar: rows go in one after another, one tally per group is
 * kept. Of a heavy argument several threads take a part each (crew.c); their groups are merged in the order of the
 * parts, so that the same data give the same answer to the last bit. */
#include "query/tally-internal.h"

#include "query/crew-internal.h"

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

/* The group of these labels; a new one has no tally yet. 1: new, 0, ERR_*. */
static int find_group(struct aggregation *x, struct labels l, struct group **out)
{
    size_t at;
    int fresh = label_map_add(&x->map, x->ev->a, l, &at);

    if (fresh < 0 || arena_grow(x->ev->a, &x->groups, &x->cap, x->map.n, sizeof(*x->groups)) < 0)
        return eval_nomem(x->ev);
    *out = &x->groups[at];
    if (fresh)
        **out = (struct group){ .labels = x->map.keys[at] };
    return fresh;
}

static int group_of(struct aggregation *x, struct labels row, struct group **out)
{
    struct labels l;
    int fresh;

    if (label_pick(&x->picker, x->ev->a, row, &l) < 0)
        return eval_nomem(x->ev);
    fresh = find_group(x, l, out);
    if (fresh <= 0)
        return fresh;
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

/* --- several threads --------------------------------------------------------------------------------------------- */

static int init(struct aggregation *x, struct eval *ev, const struct grid *g, const struct aggregate *agg)
{
    x->ev = ev;
    x->g = *g;
    x->agg = agg;
    return label_picker_init(&x->picker, ev->a, agg->labels, agg->n, !agg->without) < 0 ? eval_nomem(ev) : 0;
}

/* A member's groups live in its own arena. */
static int part_of(const struct aggregation *x, struct crew_member *m)
{
    struct aggregation *part = ARENA_NEW(&m->arena, struct aggregation);

    m->own = part;
    if (part && init(part, &m->ev, &x->g, x->agg) == 0)
        return 0;
    return eval_nomem(x->ev);
}

static int take_part(struct crew_member *m)
{
    return take_rows(m->own, m->in);
}

/* Adds the groups of a part. */
static int merge_groups(struct aggregation *x, const struct aggregation *part)
{
    struct group *group = NULL;

    for (size_t i = 0; i < part->map.n; i++) {
        const struct group *other = &part->groups[i];
        int fresh = find_group(x, other->labels, &group);

        if (fresh < 0)
            return fresh;
        group->drop_name |= other->drop_name;
        if (fresh) {
            group->tally = other->tally;
        } else {
            tally_merge(&group->tally, x->agg->op, x->g.n, &other->tally);
            eval_release(x->ev, x->g.n);
        }
    }
    return 0;
}

static int take_parts(struct aggregation *x, struct crew *c)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = part_of(x, &c->members[i]);
    if (rc == 0)
        rc = crew_run(x->ev, c, take_part);
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = merge_groups(x, c->members[i].own);
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
    const struct node *arg = n->aggregate.arg;
    struct crew *crew = NULL;
    struct stream *in;
    int rc;

    if (!x || !(x->out = eval_values(ev, g)))
        return eval_nomem(ev);
    x->s = (struct stream){ next_group, true };
    *out = &x->s;
    rc = init(x, ev, g, &n->aggregate);
    if (rc == 0)
        rc = eval_open(ev, g, arg, &in);
    if (rc == 0)
        rc = crew_split(ev, g, arg, g->n, &crew);
    if (rc < 0)
        return rc;
    return crew ? take_parts(x, crew) : take_rows(x, in);
}
