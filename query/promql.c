/* promql.c: a query from its window to the value that is handed out. */
#include "query/function-internal.h"

#include "base/clock.h"
#include "query/cache-internal.h"
#include "query/crew-internal.h"

#include <stdlib.h>

/* Times beyond 2^61 ms would overflow somewhere. */
static bool far_off(int64_t ms)
{
    return ms > INT64_MAX / 4 || ms < INT64_MIN / 4;
}

static int by_labels(const void *a, const void *b)
{
    return labels_order(((const struct promql_series *)a)->labels, ((const struct promql_series *)b)->labels);
}

/* Takes away the names that functions have lost on the way. Rows that differed in their names alone are then alike,
 * which can be when not all had the same, or when more than the name went. */
static int drop_names(struct eval *ev, struct rows *rows)
{
    struct str name = STR_NULL;
    size_t dropped = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *row = &rows->v[i];
        struct str own = labels_get(row->labels, STR("__name__"));
        size_t before = row->labels.n;
        struct label *v;

        if (!row->drop_name)
            continue;
        v = arena_alloc(ev->a, (row->labels.n + 1) * sizeof(*v));
        if (!v)
            return eval_nomem(ev);
        row->labels = labels_without_name(row->labels, v);
        row->drop_name = false;
        if (dropped++ == 0)
            name = own;
        rows->unique &= str_eq(name, own) && before - row->labels.n == (own.n > 0);
    }
    rows->unique &= dropped == 0 || dropped == rows->n;
    return 0;
}

/* One row's points. A row with a value at every step is handed out as it is, with `all`, the times of the steps. */
static int points_of(struct eval *ev, const struct grid *g, const struct row *row, const int64_t *all,
                     struct promql_series *s)
{
    size_t n = 0;
    int64_t *t;
    double *v;

    for (size_t i = 0; i < g->n; i++)
        n += !is_absent(row->v[i]);
    *s = (struct promql_series){ row->labels, all, row->v, n };
    if (n == 0 || n == g->n)
        return 0;
    t = arena_alloc(ev->a, n * sizeof(*t));
    v = arena_alloc(ev->a, n * sizeof(*v));
    if (!t || !v)
        return eval_nomem(ev);
    *s = (struct promql_series){ row->labels, t, v, n };
    for (size_t i = 0; i < g->n; i++)
        if (!is_absent(row->v[i])) {
            *t++ = grid_time(g, i);
            *v++ = row->v[i];
        }
    return 0;
}

static void sort_series(struct promql_series *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (by_labels(&v[i - 1], &v[i]) > 0) {
            qsort(v, n, sizeof(*v), by_labels);
            return;
        }
}

static int vector_value(struct eval *ev, const struct grid *g, struct rows *rows, struct promql_value *out)
{
    int rc = drop_names(ev, rows);
    int64_t *all;

    if (rc == 0 && !rows->unique)
        rc = rows_unify(ev, g, rows);
    if (rc < 0)
        return rc;
    out->series = arena_array(ev->a, rows->n + 1, sizeof(*out->series));
    all = arena_alloc(ev->a, g->n * sizeof(*all));
    if (!out->series || !all)
        return eval_nomem(ev);
    for (size_t i = 0; i < g->n; i++)
        all[i] = grid_time(g, i);
    for (size_t i = 0; i < rows->n; i++) {
        if (points_of(ev, g, &rows->v[i], all, &out->series[out->n]) < 0)
            return ERR_NOMEM;
        out->n += out->series[out->n].n > 0;
    }
    if (out->type == PROMQL_MATRIX)
        sort_series(out->series, out->n);
    return 0;
}

static int eval_vector(struct eval *ev, const struct grid *g, const struct node *n, struct promql_value *out)
{
    struct rows rows;
    int rc = cached_collect(ev, g, n, &rows);

    out->type = ev->window.step_ms ? PROMQL_MATRIX : PROMQL_VECTOR;
    return rc < 0 ? rc : vector_value(ev, g, &rows, out);
}

static int eval_number(struct eval *ev, const struct grid *g, const struct node *n, struct promql_value *out)
{
    struct row row = { { NULL, 0 }, false, eval_values(ev, g) };
    struct rows rows = { &row, 1, 1, true };
    int rc = row.v ? eval_scalar(ev, g, n, row.v) : ERR_NOMEM;

    out->type = ev->window.step_ms ? PROMQL_MATRIX : PROMQL_SCALAR;
    return rc < 0 ? rc : vector_value(ev, g, &rows, out);
}

/* The samples of a series that are in (from, to], copied. */
static int copy_samples(struct eval *ev, const struct sample_row *row, int64_t from, int64_t to,
                        struct promql_series *s)
{
    int64_t *t = arena_array(ev->a, row->n + 1, sizeof(*t));
    double *v = arena_array(ev->a, row->n + 1, sizeof(*v));

    if (!t || !v)
        return eval_nomem(ev);
    *s = (struct promql_series){ row->labels, t, v, 0 };
    for (size_t i = 0; i < row->n; i++)
        if (row->t[i] >= from && row->t[i] <= to) {
            t[s->n] = row->t[i];
            v[s->n++] = row->v[i];
        }
    return eval_hold(ev, s->n);
}

/* The samples themselves, series by series; row by row as lookout and modifiers say. */
struct matrix {
    const struct node *n;
    struct promql_series *v;
    size_t count, cap;
};

static int take_series(struct eval *ev, const struct grid *g, const struct lookout *l, struct sample_row *row,
                       struct matrix *out)
{
    int64_t to = lookout_at(l, g, 0);
    bool extended = node_strip(out->n)->kind == NODE_SELECTOR && node_strip(out->n)->selector.extension;
    struct label *labels = arena_array(ev->a, row->labels.n + 1, sizeof(*labels));
    int rc;

    if (!labels || arena_grow(ev->a, &out->v, &out->cap, out->count + 1, sizeof(*out->v)) < 0)
        return eval_nomem(ev);
    if (row->drop_name)
        row->labels = labels_without_name(row->labels, labels);
    rc = window_samples(ev, out->n, l, g->start, row);
    if (rc == 0)
        rc = copy_samples(ev, row, to - l->range + !extended, to, &out->v[out->count]);
    if (rc == 0)
        out->count += out->v[out->count].n > 0;
    return rc;
}

static int take_matrix(struct eval *ev, const struct grid *g, const struct lookout *l, struct sample_stream *in,
                       struct matrix *out)
{
    struct sample_row row;
    int rc;

    while ((rc = in->next(in, &row)) > 0)
        if ((rc = take_series(ev, g, l, &row, out)) < 0)
            return rc;
    return rc;
}

static int take_part(struct crew_member *m)
{
    return take_matrix(&m->ev, m->g, &m->l, m->samples, m->own);
}

static int take_parts(struct eval *ev, struct crew *c, struct matrix *out)
{
    struct matrix parts[CREW_MOST];
    int rc;

    for (size_t i = 0; i < c->n; i++) {
        parts[i] = (struct matrix){ .n = out->n };
        c->members[i].own = &parts[i];
    }
    rc = crew_run(ev, c, take_part);
    for (size_t i = 0; rc == 0 && i < c->n; i++) {
        if (arena_grow(ev->a, &out->v, &out->cap, out->count + parts[i].count, sizeof(*out->v)) < 0)
            return eval_nomem(ev);
        if (parts[i].count)
            memcpy(out->v + out->count, parts[i].v, parts[i].count * sizeof(*out->v));
        out->count += parts[i].count;
    }
    return rc;
}

/* About how many samples of one series are in a window: most are scraped this often. */
static size_t samples_in(const struct lookout *l)
{
    return (size_t)(l->range / 15000) + 1;
}

/* An instant query for a range selector or a subquery: the samples themselves. */
static int eval_matrix(struct eval *ev, const struct grid *g, const struct node *n, struct promql_value *out)
{
    struct matrix m = { .n = n };
    struct sample_stream *in;
    struct crew *crew = NULL;
    struct lookout l;
    int rc = samples_open(ev, g, n, &l, &in);

    if (rc == 0)
        rc = crew_split(ev, g, n, samples_in(&l), &crew);
    if (rc == 0)
        rc = crew ? take_parts(ev, crew, &m) : take_matrix(ev, g, &l, in, &m);
    out->type = PROMQL_MATRIX;
    out->series = m.v;
    out->n = m.count;
    sort_series(out->series, out->n);
    for (size_t i = 1; rc == 0 && i < out->n; i++)
        if (by_labels(&out->series[i - 1], &out->series[i]) == 0)
            return eval_fail(ev, "vector cannot contain metrics with the same labelset");
    return rc;
}

static int eval_root(struct eval *ev, const struct grid *g, const struct node *n, struct promql_value *out)
{
    if (ev->window.step_ms && (n->type == PROMQL_MATRIX || n->type == PROMQL_STRING))
        return err_set(ev->e, ERR_PARSE,
                       "invalid expression type \"%s\" for range query, must be Scalar or instant Vector",
                       type_name(n->type));
    switch (n->type) {
    case PROMQL_STRING:
        out->type = PROMQL_STRING;
        out->string = node_strip(n)->string;
        return 0;
    case PROMQL_SCALAR:
        return eval_number(ev, g, n, out);
    case PROMQL_VECTOR:
        return eval_vector(ev, g, n, out);
    case PROMQL_MATRIX:
        break;
    }
    return eval_matrix(ev, g, n, out);
}

static int make_grid(struct eval *ev, struct promql_window w, struct grid *g)
{
    if (far_off(w.start_ms) || far_off(w.end_ms) || w.step_ms < 0 || far_off(w.step_ms))
        return err_set(ev->e, ERR_INVALID, "query window: times and step must be within 73 million years");
    if (w.end_ms < w.start_ms || (w.step_ms == 0 && w.end_ms != w.start_ms))
        return err_set(ev->e, ERR_INVALID,
                       "query window: the end must not be before the start, and a range has a step");
    *g = (struct grid){ w.start_ms, w.step_ms, 1 };
    if (w.step_ms)
        g->n = (size_t)((w.end_ms - w.start_ms) / w.step_ms) + 1;
    if (eval_hold(ev, g->n) < 0)
        return ev->failed;
    eval_release(ev, g->n);
    return 0;
}

struct promql_value *promql_eval(struct store *st, const struct promql_expr *x, struct promql_window w,
                                 const struct promql_limits *limits, struct arena *a, struct err *e)
{
    static const struct promql_limits none = { .lookback_ms = 0 };
    struct err why = ERR_INIT;
    struct promql_value *out = ARENA_NEW(a, struct promql_value);
    struct usage usage = { 0, 0 };
    struct eval ev = { .st = st, .usage = &usage, .a = a, .e = &why, .text = x->text, .window = w };
    struct grid g;
    int rc;

    if (!limits)
        limits = &none;
    ev.lookback_ms = limits->lookback_ms > 0 ? limits->lookback_ms : 5 * 60 * 1000;
    ev.max_samples = limits->max_samples ? limits->max_samples : 50 * 1000 * 1000;
    ev.cache = limits->cache;
    ev.threads = limits->threads ? limits->threads : crew_size();
    ev.deadline_ns = clock_mono_ns() + (limits->timeout_ms > 0 ? limits->timeout_ms : 120 * 1000) * 1000000;
    rc = out ? make_grid(&ev, w, &g) : eval_nomem(&ev);
    if (rc == 0)
        rc = eval_root(&ev, &g, x->root, out);
    if (rc < 0) {
        err_set(e, rc, "%s", why.msg);
        return NULL;
    }
    out->nwarnings = annotations_print(&ev, &ev.warnings, "warning", &out->warnings);
    out->ninfos = annotations_print(&ev, &ev.infos, "info", &out->infos);
    out->samples = usage.read;
    return out;
}
