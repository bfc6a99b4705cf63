/* range.c: functions over sliding windows.
 *
 * Problem    At a 15 s step 5 m windows overlap twentyfold.
 * Idea       Two cursors over a series' samples: each enters the window once and leaves it once. For counters the
 *            places where the value drops are found once per series; a window then adds up only the drops inside it, in the
 *            order in which Prometheus adds them, so the sums agree to the last bit. */
#include "query/function-internal.h"

struct windows {
    struct stream s;
    struct eval *ev;
    struct grid g;
    const struct node *call, *arg; /* arg: the matrix */
    struct lookout l;
    struct sample_stream *in;
    enum extension extension;
    double *args;
    size_t nargs;
    double *out;
    uint32_t *drops;
    size_t ndrops, drops_cap;
};

static int find_drops(struct windows *x, const struct sample_row *s)
{
    x->ndrops = 0;
    if (!x->call->call.fn->wants_drops)
        return 0;
    for (size_t i = 1; i < s->n; i++) {
        if (!(s->v[i] < s->v[i - 1]))
            continue;
        if (arena_grow(x->ev->a, &x->drops, &x->drops_cap, x->ndrops + 1, sizeof(*x->drops)) < 0)
            return eval_nomem(x->ev);
        x->drops[x->ndrops++] = (uint32_t)i;
    }
    return 0;
}

struct cursors {
    size_t lo, hi;   /* samples [lo, hi) are in the window */
    size_t dlo, dhi; /* so are the drops [dlo, dhi) */
};

static void slide(const struct windows *x, const struct sample_row *s, int64_t to, struct cursors *c)
{
    int64_t before = x->extension ? x->ev->lookback_ms : 0;
    int64_t after = x->extension == EXTEND_SMOOTHED ? x->ev->lookback_ms : 0;

    while (c->hi < s->n && s->t[c->hi] <= to + after)
        c->hi++;
    while (c->lo < c->hi && s->t[c->lo] <= to - x->l.range - before)
        c->lo++;
    while (c->dhi < x->ndrops && x->drops[c->dhi] < c->hi)
        c->dhi++;
    while (c->dlo < c->dhi && x->drops[c->dlo] <= c->lo)
        c->dlo++;
}

/* Fills out[]; whether any step has a value. */
static bool fill_windows(struct windows *x, const struct sample_row *s)
{
    struct cursors c = { 0 };
    struct window w = { .range = x->l.range, .extension = x->extension, .ev = x->ev, .call = x->call };
    bool any = false;

    for (size_t i = 0; i < x->g.n; i++) {
        if (x->l.fixed && x->nargs == 0 && i) { /* the same window again */
            x->out[i] = x->out[0];
            continue;
        }
        w.to = lookout_at(&x->l, &x->g, i);
        w.from = w.to - x->l.range;
        w.now = grid_time(&x->g, i);
        w.args = x->args + i * x->nargs;
        slide(x, s, w.to, &c);
        w.t = s->t + c.lo;
        w.v = s->v + c.lo;
        w.n = c.hi - c.lo;
        w.drops = x->drops ? x->drops + c.dlo : NULL;
        w.ndrops = c.dhi - c.dlo;
        w.first = c.lo;
        if (eval_work(x->ev, w.n) < 0 || w.n == 0 || !x->call->call.fn->window(&w, &x->out[i]))
            x->out[i] = ABSENT;
        any |= !is_absent(x->out[i]);
    }
    return any;
}

static void note_counter(struct windows *x, struct labels labels)
{
    static const struct str suffixes[] = { STR_INIT("_total"), STR_INIT("_sum"), STR_INIT("_count"),
                                           STR_INIT("_bucket") };
    struct str name = labels_get(labels, STR("__name__"));

    for (size_t i = 0; i < 4; i++)
        if (name.n == 0 || str_ends(name, suffixes[i]))
            return;
    annotate_info(x->ev, x->arg,
                  "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"%.*s\"",
                  STR_ARG(name));
}

static int next_windows(struct stream *s, struct row *row)
{
    struct windows *x = (struct windows *)s;
    const struct function *fn = x->call->call.fn;
    struct sample_row samples;
    bool any;
    int rc;

    while ((rc = x->in->next(x->in, &samples)) > 0) {
        if (find_drops(x, &samples) < 0)
            return ERR_NOMEM;
        any = fill_windows(x, &samples);
        if (x->ev->failed)
            return x->ev->failed;
        if (!any)
            continue;
        if (fn->of_counter)
            note_counter(x, samples.labels);
        *row = (struct row){ samples.labels, samples.drop_name || !fn->keeps_name, x->out };
        return 1;
    }
    return rc;
}

int window_open(struct eval *ev, const struct grid *g, const struct node *call, struct stream **out)
{
    struct windows *x = ARENA_NEW(ev->a, struct windows);
    const struct node *selector;
    int rc;

    if (!x || !(x->out = eval_values(ev, g)))
        return eval_nomem(ev);
    x->s.next = next_windows;
    x->ev = ev;
    x->g = *g;
    x->call = call;
    for (size_t i = 0; i < call->call.n; i++)
        if (call->call.args[i]->type == PROMQL_MATRIX)
            x->arg = call->call.args[i];
    selector = node_strip(x->arg);
    if (selector->kind == NODE_SELECTOR)
        x->extension = selector->selector.extension;
    *out = &x->s;
    rc = eval_scalar_args(ev, g, &call->call, &x->args, &x->nargs);
    return rc < 0 ? rc : samples_open(ev, g, x->arg, &x->l, &x->in);
}
