/* selector.c: from the store's columns to rows and windows.
 *
 * A series is read once, for the whole of the grid: two cursors walk over its samples as the steps go by. */
#include "query/eval-internal.h"

struct reader {
    struct eval *ev;
    struct series_set *set;
    int64_t *t;
    double *v;
    size_t n, tcap, vcap;
    size_t before;  /* samples of the series before, whose times are still in t beyond those read */
    bool same;      /* so far the times are those of the series before */
    uint32_t times; /* changes with the times */
};

static int reader_open(struct eval *ev, const struct selector *s, int64_t from, int64_t to, struct reader *r)
{
    struct series_query q = { .matchers = s->matchers, .n = s->n, .from_ms = from, .to_ms = to };

    *r = (struct reader){ .ev = ev };
    r->set = ev->given ? ev->given : series_open(ev->st, &q, ev->a, ev->e);
    ev->opened = r->set;
    ev->given = NULL;
    return r->set ? 0 : ev->e->code;
}

WIDE static bool any_stale(const double *v, size_t n)
{
    uint64_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= is_absent(v[i]);
    return any != 0;
}

/* Without stale markers. */
static void take_some(struct reader *r, const struct sample_columns *c)
{
    r->same = false;
    for (size_t i = 0; i < c->n; i++) {
        if (is_absent(c->v[i]))
            continue;
        r->t[r->n] = c->t[i];
        r->v[r->n++] = c->v[i];
    }
}

static int reader_take(struct reader *r, const struct sample_columns *c, bool stale)
{
    if (arena_grow(r->ev->a, &r->t, &r->tcap, r->n + c->n, sizeof(*r->t)) < 0 ||
        arena_grow(r->ev->a, &r->v, &r->vcap, r->n + c->n, sizeof(*r->v)) < 0)
        return eval_nomem(r->ev);
    if (!stale && any_stale(c->v, c->n)) {
        take_some(r, c);
        return 0;
    }
    r->same = r->same && r->n + c->n <= r->before && memcmp(r->t + r->n, c->t, c->n * sizeof(*r->t)) == 0;
    if (!r->same)
        memcpy(r->t + r->n, c->t, c->n * sizeof(*r->t));
    memcpy(r->v + r->n, c->v, c->n * sizeof(*r->v));
    r->n += c->n;
    return 0;
}

/* The next series with all its samples, stale markers only when asked for. 1, 0, ERR_*. */
static int reader_next(struct reader *r, struct labels *labels, bool stale)
{
    struct sample_columns c;
    int rc = series_next(r->set, labels, r->ev->e);

    if (rc <= 0)
        return rc;
    r->before = r->n;
    r->n = 0;
    r->same = true;
    while ((rc = series_samples(r->set, &c, r->ev->e)) > 0)
        if ((rc = reader_take(r, &c, stale)) < 0)
            return rc;
    if (rc < 0)
        return rc;
    r->times += !r->same || r->n != r->before;
    atomic_fetch_add_explicit(&r->ev->usage->read, r->n, memory_order_relaxed);
    if (eval_hold(r->ev, r->n) < 0 || eval_work(r->ev, r->n) < 0)
        return r->ev->failed;
    eval_release(r->ev, r->n);
    return 1;
}

/* --- instant selectors ------------------------------------------------------------------------------------------- */

struct instant {
    struct stream s;
    struct reader r;
    struct grid g;
    struct lookout l;
    bool timestamps, smoothed;
    double *out;
};

/* The value at time `at`, `next` being the first sample after it: the newest decides, and a stale one says none. */
static double latest(const struct instant *x, size_t next, int64_t at)
{
    const struct reader *r = &x->r;
    size_t i = next - 1;

    if (next == 0 || r->t[i] <= at - r->ev->lookback_ms || is_absent(r->v[i]))
        return ABSENT;
    if (x->timestamps)
        return (double)r->t[i] / 1000;
    if (x->smoothed && r->t[i] < at && next < r->n && r->t[next] <= at + r->ev->lookback_ms)
        return r->v[i] + (r->v[next] - r->v[i]) * (double)(at - r->t[i]) / (double)(r->t[next] - r->t[i]);
    return r->v[i];
}

/* Fills out[]; whether any step has a value. */
static bool fill_steps(struct instant *x)
{
    size_t next = 0;
    bool any = false;

    for (size_t i = 0; i < x->g.n; i++) {
        int64_t at = lookout_at(&x->l, &x->g, i);

        while (next < x->r.n && x->r.t[next] <= at)
            next++;
        x->out[i] = latest(x, next, at);
        any |= !is_absent(x->out[i]);
    }
    return any;
}

static int next_instant(struct stream *s, struct row *row)
{
    struct instant *x = (struct instant *)s;
    struct labels labels;
    int rc;

    while ((rc = reader_next(&x->r, &labels, !x->smoothed)) > 0) {
        if (eval_work(x->r.ev, x->g.n) < 0)
            return x->r.ev->failed;
        if (fill_steps(x)) {
            *row = (struct row){ labels, false, x->out };
            return 1;
        }
    }
    return rc;
}

int selector_open(struct eval *ev, const struct grid *g, const struct node *n, bool timestamps, struct stream **out)
{
    struct instant *x = ARENA_NEW(ev->a, struct instant);
    int rc;

    if (!x || !(x->out = eval_values(ev, g)))
        return eval_nomem(ev);
    x->s = (struct stream){ next_instant, true };
    x->g = *g;
    x->timestamps = timestamps;
    x->smoothed = n->selector.extension == EXTEND_SMOOTHED && !timestamps;
    rc = eval_lookout(ev, &n->selector.shift, NULL, &x->l);
    if (rc == 0)
        rc = reader_open(ev, &n->selector, lookout_at(&x->l, g, 0) - ev->lookback_ms + 1,
                         lookout_at(&x->l, g, g->n - 1) + (x->smoothed ? ev->lookback_ms : 0), &x->r);
    *out = &x->s;
    return rc;
}

/* --- range selectors --------------------------------------------------------------------------------------------- */

struct ranged {
    struct sample_stream s;
    struct reader r;
};

static int next_ranged(struct sample_stream *s, struct sample_row *row)
{
    struct ranged *x = (struct ranged *)s;
    struct labels labels;
    int rc;

    while ((rc = reader_next(&x->r, &labels, false)) > 0)
        if (x->r.n) {
            *row = (struct sample_row){ labels, false, x->r.t, x->r.v, x->r.n, x->r.times };
            return 1;
        }
    return rc;
}

static int ranged_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                       struct sample_stream **out)
{
    struct ranged *x = ARENA_NEW(ev->a, struct ranged);
    const struct selector *s = &n->selector;
    int64_t before = s->extension ? ev->lookback_ms : 0, after = s->extension == EXTEND_SMOOTHED ? before : 0;
    int rc;

    if (!x)
        return eval_nomem(ev);
    x->s = (struct sample_stream){ next_ranged, true };
    *out = &x->s;
    rc = eval_lookout(ev, &s->shift, s->range, l);
    if (rc < 0)
        return rc;
    return reader_open(ev, s, lookout_at(l, g, 0) - l->range - before + 1, lookout_at(l, g, g->n - 1) + after, &x->r);
}

/* --- subqueries -------------------------------------------------------------------------------------------------- */

struct inner {
    struct sample_stream s;
    struct eval *ev;
    struct stream *in; /* NULL: no step falls into the range */
    struct grid g;
    int64_t *t;
    double *v;
    uint32_t times; /* 0: all steps have a value */
};

static int next_inner(struct sample_stream *s, struct sample_row *out)
{
    struct inner *x = (struct inner *)s;
    struct row row;
    int rc = 0;

    while (x->in && (rc = x->in->next(x->in, &row)) > 0) {
        size_t n = 0;

        for (size_t i = 0; i < x->g.n; i++)
            if (!is_absent(row.v[i])) {
                x->t[n] = grid_time(&x->g, i);
                x->v[n++] = row.v[i];
            }
        if (eval_work(x->ev, x->g.n) < 0)
            return x->ev->failed;
        if (n) {
            x->times += n < x->g.n;
            *out = (struct sample_row){ row.labels, row.drop_name, x->t, x->v, n, n < x->g.n ? x->times : 0 };
            return 1;
        }
    }
    return rc;
}

/* The steps are multiples of the step since the epoch, in (from, to]. */
static int inner_grid(struct eval *ev, int64_t from, int64_t to, int64_t step, struct grid *g)
{
    int64_t start = from / step * step;

    if (start <= from)
        start += step;
    *g = (struct grid){ start, step, start <= to ? (size_t)((to - start) / step) + 1 : 0 };
    if (eval_hold(ev, g->n) < 0)
        return ev->failed;
    eval_release(ev, g->n);
    return 0;
}

static int inner_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                      struct sample_stream **out)
{
    struct inner *x = ARENA_NEW(ev->a, struct inner);
    struct shift none = { 0 };
    struct lookout step = { .range = 60000 };
    int rc;

    if (!x)
        return eval_nomem(ev);
    x->s.next = next_inner;
    x->ev = ev;
    *out = &x->s;
    rc = eval_lookout(ev, &n->subquery.shift, n->subquery.range, l);
    if (rc == 0 && n->subquery.step)
        rc = eval_lookout(ev, &none, n->subquery.step, &step);
    if (rc == 0)
        rc = inner_grid(ev, lookout_at(l, g, 0) - l->range, lookout_at(l, g, g->n - 1), step.range, &x->g);
    if (rc < 0 || x->g.n == 0)
        return rc;
    x->t = arena_array(ev->a, x->g.n, sizeof(*x->t));
    x->v = eval_values(ev, &x->g);
    if (!x->t || !x->v)
        return eval_nomem(ev);
    rc = eval_open(ev, &x->g, n->subquery.inner, &x->in);
    x->s.unique = rc == 0 && x->in->unique;
    return rc;
}

int samples_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                 struct sample_stream **out)
{
    n = node_strip(n);
    if (n->kind == NODE_DERIVED)
        return n->derived.open(ev, g, n, l, out);
    return n->kind == NODE_SUBQUERY ? inner_open(ev, g, n, l, out) : ranged_open(ev, g, n, l, out);
}
