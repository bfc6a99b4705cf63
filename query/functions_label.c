/* functions_label.c: functions that make labels, and those that look at which series are there. */
#include "query/expand-internal.h"
#include "query/function-internal.h"

static bool label_name(struct str s)
{
    return s.n > 0 && str_is_utf8(s);
}

/* --- label_replace ----------------------------------------------------------------------------------------------- */

struct replacement {
    struct str dst, template, src, pattern;
    struct regex *re;
    unsigned groups;
};

static int replace_row(struct eval *ev, const struct replacement *r, struct row *row)
{
    struct str groups[EXPAND_GROUPS], value;
    struct buf out = BUF_INIT(1 << 16);

    if (!regex_capture(r->re, labels_get(row->labels, r->src), groups, r->groups))
        return 0;
    expand_groups(&out, r->pattern, r->template, groups, r->groups);
    value = buf_failed(&out) ? STR_NULL : arena_str(ev->a, buf_view(&out));
    buf_free(&out);
    if (!value.p)
        return eval_nomem(ev);
    row->labels = labels_with(ev->a, row->labels, r->dst, value);
    if (!row->labels.v)
        return eval_nomem(ev);
    if (str_eq(r->dst, STR("__name__")))
        row->drop_name = false;
    return 0;
}

int fn_label_replace(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    const struct call *c = &n->call;
    struct replacement r = { call_text(c, 1), call_text(c, 2), call_text(c, 3), call_text(c, 4), NULL, 0 };
    struct err why = ERR_INIT;
    struct rows rows;
    int rc;

    r.re = regex_compile(ev->a, r.pattern, REGEX_FULL | REGEX_DOTALL, &why);
    if (!r.re)
        return why.code == ERR_NOMEM ? eval_nomem(ev)
                                     : eval_fail(ev, "invalid regular expression in label_replace(): %.*s",
                                                 STR_ARG(r.pattern));
    if (!label_name(r.dst))
        return eval_fail(ev, "invalid destination label name in label_replace(): %.*s", STR_ARG(r.dst));
    r.groups = regex_groups(r.re) + 1;
    if (r.groups > EXPAND_GROUPS)
        r.groups = EXPAND_GROUPS;
    rc = eval_collect_node(ev, g, c->args[0], &rows);
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        rc = replace_row(ev, &r, &rows.v[i]);
    if (rc == 0)
        rc = rows_unify(ev, g, &rows);
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

/* --- label_join -------------------------------------------------------------------------------------------------- */

static int join_row(struct eval *ev, const struct call *c, struct row *row)
{
    struct buf joined = BUF_INIT(1 << 16);
    struct str value;

    for (size_t i = 3; i < c->n; i++) {
        if (i > 3)
            buf_str(&joined, call_text(c, 2));
        buf_str(&joined, labels_get(row->labels, call_text(c, i)));
    }
    value = buf_failed(&joined) ? STR_NULL : arena_str(ev->a, buf_view(&joined));
    buf_free(&joined);
    if (!value.p)
        return eval_nomem(ev);
    row->labels = labels_with(ev->a, row->labels, call_text(c, 1), value);
    if (!row->labels.v)
        return eval_nomem(ev);
    if (str_eq(call_text(c, 1), STR("__name__")))
        row->drop_name = false;
    return 0;
}

int fn_label_join(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    const struct call *c = &n->call;
    struct rows rows;
    int rc;

    for (size_t i = 3; i < c->n; i++)
        if (!label_name(call_text(c, i)))
            return eval_fail(ev, "invalid source label name in label_join(): %.*s", STR_ARG(call_text(c, i)));
    if (!label_name(call_text(c, 1)))
        return eval_fail(ev, "invalid destination label name in label_join(): %.*s", STR_ARG(call_text(c, 1)));
    rc = eval_collect_node(ev, g, c->args[0], &rows);
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        rc = join_row(ev, c, &rows.v[i]);
    if (rc == 0)
        rc = rows_unify(ev, g, &rows);
    return rc < 0 ? rc : eval_replay(ev, g, rows, out);
}

/* --- absent ------------------------------------------------------------------------------------------------------ */

static bool fixed_before(const struct matcher *m, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (m[i].op == MATCH_EQ && str_eq(m[i].name, name))
            return true;
    return false;
}

/* What the selector says for certain: a label's first = fixes it; any other condition that comes after leaves it out. */
static int certain_labels(struct eval *ev, const struct node *n, struct labels *l)
{
    const struct matcher *all;
    size_t count;

    *l = (struct labels){ NULL, 0 };
    n = node_strip(n);
    if (n->kind != NODE_SELECTOR && n->kind != NODE_DERIVED)
        return 0;
    all = n->kind == NODE_SELECTOR ? n->selector.matchers : n->derived.matchers;
    count = n->kind == NODE_SELECTOR ? n->selector.n : n->derived.n;
    for (size_t i = 0; i < count; i++) {
        const struct matcher *m = &all[i];
        bool fixes = m->op == MATCH_EQ && !fixed_before(all, i, m->name);

        if (str_eq(m->name, STR("__name__")))
            continue;
        *l = labels_with(ev->a, *l, m->name, fixes ? m->value : STR_NULL);
        if (!l->v)
            return eval_nomem(ev);
    }
    return 0;
}

/* One row, 1 wherever `seen` is not. */
static int absent_row(struct eval *ev, const struct grid *g, const struct node *arg, const uint8_t *seen,
                      struct stream **out)
{
    struct row row = { { NULL, 0 }, false, eval_values(ev, g) };
    struct rows rows = { 0 };
    bool any = false;

    if (certain_labels(ev, arg, &row.labels) < 0)
        return ERR_NOMEM;
    if (!row.v || arena_grow(ev->a, &rows.v, &rows.cap, 1, sizeof(row)) < 0)
        return eval_nomem(ev);
    for (size_t i = 0; i < g->n; i++) {
        row.v[i] = seen[i] ? ABSENT : 1;
        any |= !seen[i];
    }
    if (any)
        rows.v[rows.n++] = row;
    return eval_replay(ev, g, rows, out);
}

int fn_absent(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    uint8_t *seen = arena_array(ev->a, g->n, 1);
    struct stream *in;
    struct row row;
    int rc = seen ? eval_open(ev, g, n->call.args[0], &in) : eval_nomem(ev);

    if (rc < 0)
        return rc;
    while ((rc = in->next(in, &row)) > 0)
        for (size_t i = 0; i < g->n; i++)
            seen[i] |= !is_absent(row.v[i]);
    return rc < 0 ? rc : absent_row(ev, g, n->call.args[0], seen, out);
}

/* Marks the steps in whose window the series has a sample. */
static void mark_windows(const struct grid *g, const struct lookout *l, const struct sample_row *row, uint8_t *seen)
{
    size_t next = 0;

    for (size_t i = 0; i < g->n; i++) {
        int64_t to = lookout_at(l, g, i);

        while (next < row->n && row->t[next] <= to)
            next++;
        seen[i] |= next > 0 && row->t[next - 1] > to - l->range;
    }
}

int fn_absent_over_time(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    uint8_t *seen = arena_array(ev->a, g->n, 1);
    struct sample_stream *in;
    struct sample_row row;
    struct lookout l;
    int rc = seen ? samples_open(ev, g, n->call.args[0], &l, &in) : eval_nomem(ev);

    if (rc < 0)
        return rc;
    while ((rc = in->next(in, &row)) > 0)
        mark_windows(g, &l, &row, seen);
    return rc < 0 ? rc : absent_row(ev, g, n->call.args[0], seen, out);
}
