/* aggregate.c: sum, avg, min, max, count, group, stddev, stdvar: rows go in one after another, one row per group is
 * kept. */
#include "query/eval-internal.h"

/* One group at one step. What the fields mean depends on the operator. */
struct cell {
    double value, c; /* a compensated sum; the extreme; the sum of squares */
    double mean, count;
    bool incremental; /* avg, once the plain sum would overflow */
};

struct group {
    struct labels labels;
    bool drop_name;
    struct cell *cells;
};

struct aggregation {
    struct stream s;
    struct eval *ev;
    struct grid g;
    const struct aggregate *agg;
    struct label_map map;
    struct group *groups;
    size_t cap, at;
    struct label *scratch;
    size_t scratch_cap;
    double *out;
};

/* The labels of a row's group. */
int group_labels(struct eval *ev, const struct aggregate *agg, struct labels l, struct label **scratch, size_t *cap,
                 struct labels *out)
{
    static const struct str name[] = { STR_INIT("__name__") };

    if (arena_grow(ev->a, scratch, cap, l.n + 1, sizeof(**scratch)) < 0)
        return eval_nomem(ev);
    *out = labels_select(l, agg->labels, agg->n, !agg->without, *scratch);
    if (agg->without)
        *out = labels_select(*out, name, 1, false, *scratch);
    return 0;
}

static void add_to_mean(struct cell *x, double v)
{
    double value = x->value, c = x->c, keep;

    if (!x->incremental) {
        kahan_add(v, &value, &c);
        if (!isinf(value)) {
            x->value = value;
            x->c = c;
            return;
        }
        x->incremental = true;
        x->mean = x->value / (x->count - 1);
        x->c /= x->count - 1;
    }
    if (isinf(x->mean) && ((isinf(v) && (x->mean > 0) == (v > 0)) || isfinite(v)))
        return;
    keep = (x->count - 1) / x->count;
    x->mean *= keep;
    x->c *= keep;
    kahan_add(v / x->count, &x->mean, &x->c);
}

static void first_value(enum aggregate_op op, struct cell *x, double v)
{
    *x = (struct cell){ .value = v, .mean = v, .count = 1 };
    if (op == AGG_STDDEV || op == AGG_STDVAR)
        x->value = isfinite(v) ? 0 : NAN;
}

static void next_value(enum aggregate_op op, struct cell *x, double v)
{
    double delta = v - x->mean;

    x->count++;
    switch (op) {
    case AGG_SUM:
        kahan_add(v, &x->value, &x->c);
        break;
    case AGG_AVG:
        add_to_mean(x, v);
        break;
    case AGG_MIN:
        if (x->value > v || isnan(x->value))
            x->value = v;
        break;
    case AGG_MAX:
        if (x->value < v || isnan(x->value))
            x->value = v;
        break;
    case AGG_STDDEV:
    case AGG_STDVAR:
        x->mean += delta / x->count;
        x->value += delta * (v - x->mean);
        break;
    default:
        break;
    }
}

static double final_value(enum aggregate_op op, const struct cell *x)
{
    if (x->count == 0)
        return ABSENT;
    switch (op) {
    case AGG_SUM:
        return x->value + x->c;
    case AGG_AVG:
        return x->incremental ? x->mean + x->c : x->value / x->count + x->c / x->count;
    case AGG_COUNT:
        return x->count;
    case AGG_GROUP:
        return 1;
    case AGG_STDDEV:
        return sqrt(x->value / x->count);
    case AGG_STDVAR:
        return x->value / x->count;
    default:
        return x->value;
    }
}

static int group_of(struct aggregation *x, const struct row *row, struct group **out)
{
    struct labels l;
    size_t at;
    int rc = group_labels(x->ev, x->agg, row->labels, &x->scratch, &x->scratch_cap, &l), fresh;

    if (rc < 0)
        return rc;
    fresh = label_map_add(&x->map, x->ev->a, l, &at);
    if (fresh < 0 || arena_grow(x->ev->a, &x->groups, &x->cap, x->map.n, sizeof(*x->groups)) < 0)
        return eval_nomem(x->ev);
    *out = &x->groups[at];
    if (!fresh)
        return 0;
    **out = (struct group){ x->map.keys[at], false, arena_array(x->ev->a, x->g.n, sizeof(struct cell)) };
    return (*out)->cells ? eval_hold(x->ev, x->g.n) : eval_nomem(x->ev);
}

static int take_rows(struct aggregation *x, struct stream *in)
{
    enum aggregate_op op = x->agg->op;
    struct group *group = NULL;
    struct row row;
    int rc;

    while ((rc = in->next(in, &row)) > 0) {
        rc = eval_work(x->ev, x->g.n);
        if (rc == 0)
            rc = group_of(x, &row, &group);
        if (rc < 0)
            return rc;
        group->drop_name |= row.drop_name;
        for (size_t i = 0; i < x->g.n; i++) {
            if (is_absent(row.v[i]))
                continue;
            if (group->cells[i].count == 0)
                first_value(op, &group->cells[i], row.v[i]);
            else
                next_value(op, &group->cells[i], row.v[i]);
        }
    }
    return rc;
}

static int next_group(struct stream *s, struct row *row)
{
    struct aggregation *x = (struct aggregation *)s;
    const struct group *group = &x->groups[x->at];

    if (x->at == x->map.n)
        return 0;
    for (size_t i = 0; i < x->g.n; i++)
        x->out[i] = final_value(x->agg->op, &group->cells[i]);
    *row = (struct row){ group->labels, group->drop_name, x->out };
    x->at++;
    return 1;
}

int aggregate_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct aggregation *x = ARENA_NEW(ev->a, struct aggregation);
    struct stream *in;
    int rc;

    if (!x || !(x->out = eval_values(ev, g)))
        return eval_nomem(ev);
    x->s.next = next_group;
    x->ev = ev;
    x->g = *g;
    x->agg = &n->aggregate;
    *out = &x->s;
    rc = eval_open(ev, g, n->aggregate.arg, &in);
    return rc < 0 ? rc : take_rows(x, in);
}
