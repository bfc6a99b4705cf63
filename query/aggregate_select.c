/* aggregate_select.c: aggregations that must see a group's values together: topk, bottomk, limitk, limit_ratio,
 * quantile and count_values. They collect the rows and then go step by step, group by group. */
#include "query/eval-internal.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct member {
    size_t row;
    double v;
};

struct members {
    size_t *rows; /* places in the collected rows, rising */
    size_t n, cap;
    struct labels labels;
    bool drop_name;
};

struct selection {
    struct eval *ev;
    const struct grid *g;
    const struct aggregate *agg;
    struct rows rows;
    bool sorted;   /* the rows, by labels */
    struct members *groups;
    size_t ngroups, cap;
    struct label_map map;
    double *param; /* one for each step; NULL when it is a text */
    struct member *now;
    double *places; /* of the rows, for limit_ratio */
    uint8_t *chosen; /* topk and its like: rows.n × g->n */
    struct rows out;
};

static int add_row(struct selection *x, const struct row *row)
{
    if (arena_grow(x->ev->a, &x->out.v, &x->out.cap, x->out.n + 1, sizeof(*row)) < 0)
        return eval_nomem(x->ev);
    x->out.v[x->out.n++] = *row;
    return 0;
}

static int by_group(const void *a, const void *b)
{
    return labels_order(((const struct members *)a)->labels, ((const struct members *)b)->labels);
}

static int make_groups(struct selection *x)
{
    struct label_picker picker;
    struct labels l;
    size_t at;

    if (label_picker_init(&picker, x->ev->a, x->agg->labels, x->agg->n, !x->agg->without) < 0)
        return eval_nomem(x->ev);
    for (size_t i = 0; i < x->rows.n; i++) {
        int rc = label_pick(&picker, x->ev->a, x->rows.v[i].labels, &l);
        int fresh = rc < 0 ? rc : label_map_add(&x->map, x->ev->a, l, &at);
        struct members *m;

        if (fresh < 0 || arena_grow(x->ev->a, &x->groups, &x->cap, x->map.n, sizeof(*x->groups)) < 0)
            return eval_nomem(x->ev);
        m = &x->groups[at];
        if (fresh)
            m->labels = x->map.keys[at];
        if (arena_grow(x->ev->a, &m->rows, &m->cap, m->n + 1, sizeof(*m->rows)) < 0)
            return eval_nomem(x->ev);
        m->rows[m->n++] = i;
        m->drop_name |= x->rows.v[i].drop_name;
        x->ngroups = x->map.n;
    }
    if (x->ngroups > 1)
        qsort(x->groups, x->ngroups, sizeof(*x->groups), by_group);
    return 0;
}

/* The group's members that have a value at the step, into x->now. */
static size_t members_at(struct selection *x, const struct members *m, size_t step)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n; i++) {
        double v = x->rows.v[m->rows[i]].v[step];

        if (!is_absent(v))
            x->now[n++] = (struct member){ m->rows[i], v };
    }
    return n;
}

/* --- topk, bottomk, limitk, limit_ratio -------------------------------------------------------------------------- */

/* Of equal values the one with the lesser labels comes first, in whatever order the store has them. */
static int cmp_rows(const struct selection *x, size_t a, size_t b)
{
    return x->sorted ? (a > b) - (a < b) : labels_order(x->rows.v[a].labels, x->rows.v[b].labels);
}

static int cmp_members(const void *p, const void *q, void *arg)
{
    const struct member *a = p, *b = q;
    const struct selection *x = arg;

    if (isnan(a->v) || isnan(b->v)) {
        if (!!isnan(a->v) != !!isnan(b->v))
            return isnan(a->v) ? 1 : -1;
    } else if (a->v != b->v) {
        return (x->agg->op == AGG_TOPK ? a->v < b->v : a->v > b->v) ? 1 : -1;
    }
    return cmp_rows(x, a->row, b->row);
}

static int by_labels(const void *a, const void *b)
{
    return labels_order(((const struct row *)a)->labels, ((const struct row *)b)->labels);
}

/* For limitk the order is what is asked for; over many steps comparing places is cheaper than comparing labels. */
static void sort_rows(struct selection *x)
{
    bool by_place = x->agg->op == AGG_TOPK || x->agg->op == AGG_BOTTOMK || x->agg->op == AGG_LIMITK;

    if (!by_place || (x->g->n == 1 && x->agg->op != AGG_LIMITK))
        return;
    if (x->rows.n > 1)
        qsort(x->rows.v, x->rows.n, sizeof(*x->rows.v), by_labels);
    x->sorted = true;
}

/* Each row's place in [0, 1), which depends on its labels alone, as Prometheus computes it. */
static int find_places(struct selection *x)
{
    struct buf text = BUF_INIT(1 << 20);

    x->places = arena_array(x->ev->a, x->rows.n + 1, sizeof(*x->places));
    if (!x->places)
        return eval_nomem(x->ev);
    for (size_t r = 0; r < x->rows.n; r++) {
        struct labels l = x->rows.v[r].labels;

        text.n = 0; /* but a failure sticks */
        for (size_t i = 0; i < l.n; i++) {
            buf_str(&text, l.v[i].name);
            buf_putc(&text, '\xff');
            buf_str(&text, l.v[i].value);
            buf_putc(&text, '\xff');
        }
        x->places[r] = (double)XXH64(text.p, text.n, 0) / (double)UINT64_MAX;
    }
    if (buf_failed(&text)) {
        buf_free(&text);
        return eval_nomem(x->ev);
    }
    buf_free(&text);
    return 0;
}

static bool in_ratio(double place, double r)
{
    return r >= 0 ? place < r : place >= 1 + r;
}

/* Leaves the chosen ones of x->now[0..n) in front, in the order of the answer; returns how many. */
static size_t choose(struct selection *x, size_t n, double param)
{
    size_t kept = 0;

    if (x->agg->op == AGG_LIMIT_RATIO) {
        for (size_t i = 0; i < n; i++)
            if (in_ratio(x->places[x->now[i].row], param))
                x->now[kept++] = x->now[i];
        return kept;
    }
    if (x->agg->op != AGG_LIMITK)
        qsort_r(x->now, n, sizeof(*x->now), cmp_members, x);
    if (!(param >= 1))
        return 0;
    return param < (double)n ? (size_t)param : n;
}

struct span_of {
    double least, most;
    bool nan;
};

/* Of the parameter at all steps. */
static struct span_of span_param(const struct selection *x)
{
    struct span_of p = { INFINITY, -INFINITY, false };

    for (size_t i = 0; i < x->g->n; i++) {
        p.least = fmin(p.least, x->param[i]);
        p.most = fmax(p.most, x->param[i]);
        p.nan |= isnan(x->param[i]);
    }
    return p;
}

static void note_ratio(struct selection *x, double r, int cap)
{
    char text[ANNOTATE_NUMBER];

    annotate_warning(x->ev, x->agg->param, "ratio value should be between -1 and 1, got %s, capping to %d",
                     annotate_number(r, text), cap);
}

/* A share of the series between -1 and 1; beyond that it is cut, and told. */
static int check_ratios(struct selection *x)
{
    struct span_of p = span_param(x);

    if (p.nan)
        return eval_fail(x->ev, "Ratio value is NaN");
    if (p.most > 1)
        note_ratio(x, p.most, 1);
    if (p.least < -1)
        note_ratio(x, p.least, -1);
    for (size_t i = 0; i < x->g->n; i++)
        x->param[i] = fmax(-1, fmin(1, x->param[i]));
    return 0;
}

/* Where nothing is asked for at any step, what else is wrong does not matter. */
static int check_counts(struct selection *x)
{
    struct span_of p = span_param(x);
    char text[ANNOTATE_NUMBER];

    if (!p.nan && p.most < 1)
        return 0;
    if (p.nan)
        return eval_fail(x->ev, "Parameter value is NaN");
    if (p.least <= -0x1p63)
        return eval_fail(x->ev, "Scalar value %s underflows int64", annotate_number(p.least, text));
    if (p.most >= 0x1p63)
        return eval_fail(x->ev, "Scalar value %s overflows int64", annotate_number(p.most, text));
    return 0;
}

static void check_quantiles(struct selection *x)
{
    struct span_of p = span_param(x);

    if (p.nan)
        annotate_quantile(x->ev, x->agg->param, NAN);
    if (p.most > 1)
        annotate_quantile(x->ev, x->agg->param, p.most);
    if (p.least < 0)
        annotate_quantile(x->ev, x->agg->param, p.least);
}

/* At one step the answer has an order of its own; over a range the rows stay as they came, less what is not chosen. */
static int select_rows(struct selection *x)
{
    size_t steps = x->g->n;

    x->chosen = arena_array(x->ev->a, x->rows.n * steps + 1, 1);
    if (!x->chosen)
        return eval_nomem(x->ev);
    for (size_t k = 0; k < x->ngroups; k++)
        for (size_t s = 0; s < steps; s++) {
            size_t n = choose(x, members_at(x, &x->groups[k], s), x->param[s]);

            for (size_t i = 0; i < n; i++) {
                x->chosen[x->now[i].row * steps + s] = 1;
                if (steps == 1 && add_row(x, &x->rows.v[x->now[i].row]) < 0)
                    return ERR_NOMEM;
            }
            if (eval_work(x->ev, x->groups[k].n) < 0)
                return x->ev->failed;
        }
    for (size_t r = 0; steps > 1 && r < x->rows.n; r++) {
        for (size_t s = 0; s < steps; s++)
            if (!x->chosen[r * steps + s])
                x->rows.v[r].v[s] = ABSENT;
        if (add_row(x, &x->rows.v[r]) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

/* --- quantile ---------------------------------------------------------------------------------------------------- */

static int group_quantiles(struct selection *x)
{
    double *values = arena_array(x->ev->a, x->rows.n + 1, sizeof(*values));

    if (!values)
        return eval_nomem(x->ev);
    check_quantiles(x);
    for (size_t k = 0; k < x->ngroups; k++) {
        struct row row = { x->groups[k].labels, x->groups[k].drop_name, eval_values(x->ev, x->g) };

        if (!row.v || add_row(x, &row) < 0)
            return ERR_NOMEM;
        for (size_t s = 0; s < x->g->n; s++) {
            size_t n = members_at(x, &x->groups[k], s);

            for (size_t i = 0; i < n; i++)
                values[i] = x->now[i].v;
            if (n)
                row.v[s] = quantile_of(x->param[s], values, n);
        }
        if (eval_hold(x->ev, x->g->n) < 0 || eval_work(x->ev, x->groups[k].n) < 0)
            return x->ev->failed;
    }
    return 0;
}

/* --- count_values ------------------------------------------------------------------------------------------------ */

/* Go's FormatFloat(v, 'f', -1): never an exponent. */
static void put_plain(struct buf *b, double v)
{
    char text[400];
    int digits = 0;

    if (!isfinite(v)) {
        buf_double(b, v);
        return;
    }
    for (; digits < 340; digits++) {
        snprintf(text, sizeof(text), "%.*f", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_puts(b, text);
}

/* count_values without (v) ("v", …) counts all values of the group together. */
static bool leaves_out(const struct aggregate *agg, struct str name)
{
    for (size_t i = 0; agg->without && i < agg->n; i++)
        if (str_eq(agg->labels[i], name))
            return true;
    return false;
}

static int count_one(struct selection *x, struct label_map *found, const struct members *m, size_t row, size_t step)
{
    struct str name = node_strip(x->agg->param)->string, text;
    struct buf b = BUF_INIT(512);
    struct labels l;
    size_t at;
    int fresh;

    put_plain(&b, x->rows.v[row].v[step]);
    text = arena_str(x->ev->a, buf_view(&b));
    buf_free(&b);
    if (text.p && leaves_out(x->agg, name))
        text = STR("");
    l = text.p ? labels_with(x->ev->a, m->labels, name, text) : (struct labels){ NULL, 0 };
    fresh = l.v ? label_map_add(found, x->ev->a, l, &at) : ERR_NOMEM;
    if (fresh < 0)
        return eval_nomem(x->ev);
    if (fresh) {
        struct row out = { found->keys[at], m->drop_name, eval_values(x->ev, x->g) };

        if (!out.v || add_row(x, &out) < 0 || eval_hold(x->ev, x->g->n) < 0)
            return x->ev->e->code;
    }
    if (is_absent(x->out.v[at].v[step]))
        x->out.v[at].v[step] = 0;
    x->out.v[at].v[step]++;
    return 0;
}

static int count_values(struct selection *x)
{
    struct str name = node_strip(x->agg->param)->string;
    struct label_map found = { 0 };

    if (name.n == 0 || !str_is_utf8(name))
        return eval_fail(x->ev, "invalid label name \"%.*s\"", STR_ARG(name));
    for (size_t k = 0; k < x->ngroups; k++)
        for (size_t i = 0; i < x->groups[k].n; i++) {
            size_t row = x->groups[k].rows[i];

            for (size_t s = 0; s < x->g->n; s++) {
                int rc = is_absent(x->rows.v[row].v[s]) ? 0 : count_one(x, &found, &x->groups[k], row, s);

                if (rc < 0)
                    return rc;
            }
            if (eval_work(x->ev, x->groups[k].n) < 0)
                return x->ev->failed;
        }
    return 0;
}

int select_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct selection x = { .ev = ev, .g = g, .agg = &n->aggregate };
    int rc = 0;

    if (x.agg->op != AGG_COUNT_VALUES) {
        x.param = eval_values(ev, g);
        rc = x.param ? eval_scalar(ev, g, x.agg->param, x.param) : ERR_NOMEM;
    }
    if (rc == 0)
        rc = eval_collect_node(ev, g, x.agg->arg, &x.rows);
    sort_rows(&x);
    if (rc == 0)
        rc = make_groups(&x);
    if (rc < 0)
        return rc;
    x.now = arena_array(ev->a, x.rows.n + 1, sizeof(*x.now));
    if (!x.now)
        return eval_nomem(ev);
    if (x.agg->op == AGG_LIMIT_RATIO && find_places(&x) < 0)
        return ERR_NOMEM;
    if (x.agg->op == AGG_COUNT_VALUES)
        rc = count_values(&x);
    else if (x.agg->op == AGG_QUANTILE)
        rc = group_quantiles(&x);
    else if ((rc = x.agg->op == AGG_LIMIT_RATIO ? check_ratios(&x) : check_counts(&x)) == 0)
        rc = select_rows(&x);
    x.out.unique = x.agg->op == AGG_QUANTILE || x.agg->op == AGG_COUNT_VALUES || x.rows.unique;
    return rc < 0 ? rc : eval_replay(ev, g, x.out, out);
}
