/* binary_vector.c: operators between two vectors.
 *
 * Both sides are collected, and every row gets the number of its match group (the labels that on or ignoring leave). On
 * the "one" side who[group, step] says which row stands for the group at that step: which series that is may change
 * from step to step, and two at the same step are an error. The rows of the "many" side then find their partner step by
 * step. A one-to-one match is the same with a check that a group's partner is found once. */
#include "query/eval-internal.h"

struct side {
    struct rows rows;
    size_t *group;  /* of each row */
    uint8_t *any;   /* any[step]: some row has a value */
};

struct join {
    struct eval *ev;
    const struct grid *g;
    const struct node *node;
    const struct binary *b;
    const struct matching *m;
    bool swapped;            /* the many side is the right one */
    struct side many, one;
    bool fills_many, fills_one;
    double fill_many, fill_one;
    struct label_map groups;
    uint32_t *who;           /* [group, step]: row of `one` + 1, 0 = none */
    uint8_t *matched;        /* [group, step] */
    struct label_map results;
    struct rows out;
    uint8_t **taken;         /* for each row of out and step: something came there, even when a comparison let it go */
    size_t *taken_by;        /* for each row of out: the group that put something there last */
    size_t taken_cap, taken_by_cap;
    struct label_picker picker;
    struct label *scratch;
    size_t scap;
};

static int load_side(struct join *j, const struct node *n, struct side *side)
{
    struct labels l;
    int rc = eval_collect_node(j->ev, j->g, n, &side->rows);

    if (rc < 0)
        return rc;
    side->group = arena_array(j->ev->a, side->rows.n + 1, sizeof(*side->group));
    side->any = arena_array(j->ev->a, j->g->n, 1);
    if (!side->group || !side->any)
        return eval_nomem(j->ev);
    for (size_t r = 0; r < side->rows.n; r++) {
        for (size_t s = 0; s < j->g->n; s++)
            side->any[s] |= !is_absent(side->rows.v[r].v[s]);
        if (label_pick(&j->picker, j->ev->a, side->rows.v[r].labels, &l) < 0 ||
            label_map_add(&j->groups, j->ev->a, l, &side->group[r]) < 0)
            return eval_nomem(j->ev);
    }
    return 0;
}

/* --- set operators ----------------------------------------------------------------------------------------------- */

static uint8_t *presence(struct join *j, const struct side *side)
{
    size_t steps = j->g->n;
    uint8_t *there = arena_array(j->ev->a, j->groups.n * steps + 1, 1);

    for (size_t r = 0; there && r < side->rows.n; r++)
        for (size_t s = 0; s < steps; s++)
            there[side->group[r] * steps + s] |= !is_absent(side->rows.v[r].v[s]);
    if (!there)
        eval_nomem(j->ev);
    return there;
}

/* Adds the rows of a side, with the values where the group's presence is `want` (all of them without `there`). */
static int add_rows(struct join *j, const struct side *side, const uint8_t *there, bool want)
{
    for (size_t r = 0; r < side->rows.n; r++) {
        struct row *row = &side->rows.v[r];
        bool any = false;

        for (size_t s = 0; s < j->g->n; s++) {
            if (there && (bool)there[side->group[r] * j->g->n + s] != want)
                row->v[s] = ABSENT;
            any |= !is_absent(row->v[s]);
        }
        if (!any)
            continue;
        if (arena_grow(j->ev->a, &j->out.v, &j->out.cap, j->out.n + 1, sizeof(*row)) < 0)
            return eval_nomem(j->ev);
        j->out.v[j->out.n++] = *row;
    }
    return 0;
}

static int set_operation(struct join *j)
{
    const struct side *l = &j->many, *r = &j->one;
    uint8_t *there = presence(j, j->b->op == OP_OR ? l : r);
    int rc;

    if (!there)
        return ERR_NOMEM;
    if (j->b->op != OP_OR)
        return add_rows(j, l, there, j->b->op == OP_AND);
    rc = add_rows(j, l, NULL, true);
    return rc < 0 ? rc : add_rows(j, r, there, false);
}

/* --- the one side ------------------------------------------------------------------------------------------------ */

static int tell_duplicate(struct join *j, const struct row *x, const struct row *y, struct labels group)
{
    struct buf text = BUF_INIT(4096);

    buf_puts(&text, "found duplicate series for the match group ");
    labels_print(&text, group);
    buf_printf(&text, " on the %s hand-side of the operation: [", j->swapped ? "left" : "right");
    labels_print(&text, x->labels);
    buf_puts(&text, ", ");
    labels_print(&text, y->labels);
    buf_puts(&text, "];many-to-many matching not allowed: matching labels must be unique on one side");
    eval_fail(j->ev, "%.*s", (int)text.n, text.p ? text.p : "");
    buf_free(&text);
    return ERR_INVALID;
}

/* Whether row a of the one side comes before row b, by match group, then by labels. */
static bool comes_before(const struct join *j, size_t a, size_t b)
{
    int c = labels_order(j->groups.keys[j->one.group[a]], j->groups.keys[j->one.group[b]]);

    return c < 0 || (c == 0 && labels_order(j->one.rows.v[a].labels, j->one.rows.v[b].labels) < 0);
}

/* Of all duplicates of a step those with the least labels are told, whatever the order of the rows. */
static int duplicate(struct join *j, size_t step)
{
    const struct rows *rows = &j->one.rows;
    size_t x = SIZE_MAX, y = SIZE_MAX;

    for (size_t a = 0; a < rows->n; a++) {
        if (eval_work(j->ev, rows->n) < 0)
            return j->ev->failed;
        for (size_t b = 0; b < rows->n && !is_absent(rows->v[a].v[step]); b++) {
            bool pair = a != b && j->one.group[a] == j->one.group[b] && !is_absent(rows->v[b].v[step]) &&
                        comes_before(j, a, b);

            if (pair && (x == SIZE_MAX || comes_before(j, a, x) || (a == x && comes_before(j, b, y)))) {
                x = a;
                y = b;
            }
        }
    }
    return tell_duplicate(j, &rows->v[x], &rows->v[y], j->groups.keys[j->one.group[x]]);
}

static int find_partners(struct join *j)
{
    size_t steps = j->g->n, first = steps; /* the first step with duplicates */
    bool fills = j->fills_many || j->fills_one;

    j->who = arena_array(j->ev->a, j->groups.n * steps + 1, sizeof(*j->who));
    j->matched = arena_array(j->ev->a, j->groups.n * steps + 1, 1);
    if (!j->who || !j->matched)
        return eval_nomem(j->ev);
    for (size_t r = 0; r < j->one.rows.n; r++)
        for (size_t s = 0; s < first; s++) {
            uint32_t *who = &j->who[j->one.group[r] * steps + s];

            if (is_absent(j->one.rows.v[r].v[s]) || (!j->many.any[s] && !fills))
                continue;
            if (*who)
                first = s;
            *who = (uint32_t)r + 1;
        }
    return first < steps ? duplicate(j, first) : 0;
}

/* --- the many side ----------------------------------------------------------------------------------------------- */

/* The labels of a result: the many side's, narrowed by a one-to-one match, with the included ones of the one side.
 * Arithmetic makes another metric: the name goes at once, before group_left brings one in. */
static int result_labels(struct join *j, struct labels many, struct labels one, struct labels *out)
{
    if (arena_grow(j->ev->a, &j->scratch, &j->scap, many.n + 1, sizeof(*j->scratch)) < 0)
        return eval_nomem(j->ev);
    *out = many;
    if (!binary_ops[j->b->op].is_comparison)
        *out = labels_without_name(*out, j->scratch);
    if (j->m->card == ONE_TO_ONE)
        *out = labels_select(*out, j->m->labels, j->m->n, j->m->on, j->scratch);
    for (size_t i = 0; i < j->m->ninclude; i++) {
        *out = labels_with(j->ev->a, *out, j->m->include[i], labels_get(one, j->m->include[i]));
        if (!out->v)
            return eval_nomem(j->ev);
    }
    return 0;
}

static int result_row(struct join *j, struct labels many, struct labels one, bool drop_name, size_t *at)
{
    struct labels l;
    int rc = result_labels(j, many, one, &l), fresh;

    if (rc < 0)
        return rc;
    fresh = label_map_add(&j->results, j->ev->a, l, at);
    if (fresh < 0)
        return eval_nomem(j->ev);
    if (fresh) {
        struct row row = { j->results.keys[*at], drop_name, eval_values(j->ev, j->g) };

        if (!row.v || arena_grow(j->ev->a, &j->out.v, &j->out.cap, *at + 1, sizeof(row)) < 0 ||
            arena_grow(j->ev->a, &j->taken, &j->taken_cap, *at + 1, sizeof(*j->taken)) < 0 ||
            arena_grow(j->ev->a, &j->taken_by, &j->taken_by_cap, *at + 1, sizeof(*j->taken_by)) < 0 ||
            !(j->taken[*at] = arena_array(j->ev->a, j->g->n, 1)))
            return eval_nomem(j->ev);
        j->out.v[*at] = row;
        j->out.n = *at + 1;
        return eval_hold(j->ev, j->g->n);
    }
    j->out.v[*at].drop_name |= drop_name;
    return 0;
}

static int put_result(struct join *j, size_t at, size_t group, size_t step, double many, double one)
{
    double l = j->swapped ? one : many, r = j->swapped ? many : one;
    uint8_t *matched = &j->matched[group * j->g->n + step];

    if (j->m->card == ONE_TO_ONE && *matched)
        return eval_fail(j->ev, "multiple matches for labels: many-to-one matching must be explicit "
                                "(group_left/group_right)");
    if (j->taken[at][step])
        return eval_fail(j->ev, j->taken_by[at] == group
                                    ? "multiple matches for labels: grouping labels must ensure unique matches"
                                    : "vector cannot contain metrics with the same labelset");
    j->taken_by[at] = group;
    *matched = 1;
    j->taken[at][step] = 1;
    if (is_trim(j->b->op))
        annotate_types(j->ev, j->node);
    j->out.v[at].v[step] = binary_apply(j->b, l, r, l);
    return 0;
}

/* Whether the name of a result goes at the end of the query. Of arithmetic it is gone. */
static bool drops_name(const struct join *j, const struct row *row)
{
    return binary_ops[j->b->op].is_comparison && (j->b->returns_bool || row->drop_name);
}

static int join_row(struct join *j, size_t m)
{
    const struct row *row = &j->many.rows.v[m];
    size_t group = j->many.group[m], steps = j->g->n, at = 0;
    uint32_t last = UINT32_MAX; /* whose labels are in `at` */

    for (size_t s = 0; s < steps; s++) {
        uint32_t who = j->who[group * steps + s];
        const struct row *one = who ? &j->one.rows.v[who - 1] : NULL;
        struct labels key = j->groups.keys[group];
        int rc = 0;

        if (is_absent(row->v[s]) || (!who && !j->fills_one))
            continue;
        if (who != last)
            rc = result_row(j, row->labels, one ? one->labels : key, drops_name(j, row), &at);
        last = who;
        if (rc == 0)
            rc = put_result(j, at, group, s, row->v[s], one ? one->v[s] : j->fill_one);
        if (rc < 0)
            return rc;
    }
    return eval_work(j->ev, steps);
}

/* What of the one side found no partner meets the value that fills the gap. */
static int fill_row(struct join *j, size_t o)
{
    const struct row *row = &j->one.rows.v[o];
    size_t group = j->one.group[o], at = 0;
    bool known = false;

    for (size_t s = 0; s < j->g->n; s++) {
        int rc = 0;

        if (is_absent(row->v[s]) || j->matched[group * j->g->n + s])
            continue;
        if (!known)
            rc = result_row(j, j->groups.keys[group], row->labels, drops_name(j, row), &at);
        known = true;
        if (rc == 0)
            rc = put_result(j, at, group, s, j->fill_many, row->v[s]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int join_sides(struct join *j)
{
    size_t n = 0;
    int rc = find_partners(j);

    for (size_t m = 0; rc == 0 && m < j->many.rows.n; m++)
        rc = join_row(j, m);
    for (size_t o = 0; rc == 0 && j->fills_many && o < j->one.rows.n; o++)
        rc = fill_row(j, o);
    for (size_t i = 0; rc == 0 && i < j->out.n; i++) {
        bool any = false;

        for (size_t s = 0; s < j->g->n; s++)
            any |= !is_absent(j->out.v[i].v[s]);
        if (any)
            j->out.v[n++] = j->out.v[i];
    }
    j->out.n = n;
    return rc;
}

int binary_vectors_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct join *j = ARENA_NEW(ev->a, struct join);
    const struct matching *m = &n->binary.matching;
    int rc;

    if (!j)
        return eval_nomem(ev);
    j->ev = ev;
    j->g = g;
    j->node = n;
    j->b = &n->binary;
    j->m = m;
    j->swapped = m->card == ONE_TO_MANY;
    /* Under group_right, too, fill_left is about the many side: so Prometheus has it. */
    j->fills_many = m->fills_left;
    j->fill_many = m->fill_left;
    j->fills_one = m->fills_right;
    j->fill_one = m->fill_right;
    if (label_picker_init(&j->picker, ev->a, m->labels, m->n, m->on) < 0)
        return eval_nomem(ev);
    rc = load_side(j, n->binary.l, j->swapped ? &j->one : &j->many);
    if (rc == 0)
        rc = load_side(j, n->binary.r, j->swapped ? &j->many : &j->one);
    if (rc == 0)
        rc = binary_ops[n->binary.op].is_set ? set_operation(j) : join_sides(j);
    /* Set operators hand on rows of both sides; the others number their results by labels. */
    j->out.unique = !binary_ops[n->binary.op].is_set || (n->binary.op != OP_OR && j->many.rows.unique);
    return rc < 0 ? rc : eval_replay(ev, g, j->out, out);
}
