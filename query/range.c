/* range.c: functions over sliding windows: series by series, all steps of one at once.
 *
 * Two cursors over a series' samples find what each window holds; they do not run again while the series that follow have
 * the same times, as those of one target do. With that at hand the function sweeps over all steps (sweep.c), or is
 * called window by window when it has no faster way, or needs samples around the window (anchored, smoothed). */
#include "query/function-internal.h"

struct windows {
    struct stream s;
    struct eval *ev;
    struct grid g;
    const struct function *fn;
    const struct node *call, *arg; /* arg: the matrix */
    struct lookout l;
    struct sample_stream *in;
    enum extension extension;
    double *args;
    size_t nargs;
    double *out;
    struct str noted;        /* the metric looked at before */

    size_t steps;            /* 1 when all have the same window and the same arguments, else g.n */
    uint32_t *lo, *hi, times; /* of the windows, for a series whose times have that number */
    bool known, sweeps;
    struct gaps gaps;
    struct part *parts;      /* scratch, one for each sample, as those below */
    uint32_t *counts, *drops;
    double *values;
    size_t parts_cap, counts_cap, drops_cap, values_cap, ndrops;
};

/* --- where the windows are --------------------------------------------------------------------------------------- */

static void find_windows(struct windows *x, const struct sample_row *s)
{
    int64_t before = x->extension ? x->ev->lookback_ms : 0;
    int64_t after = x->extension == EXTEND_SMOOTHED ? x->ev->lookback_ms : 0;
    int64_t to = lookout_at(&x->l, &x->g, 0), step = x->l.fixed ? 0 : x->g.step;
    size_t lo = 0, hi = 0, all = 0;

    for (size_t i = 0; i < x->steps; i++, to += step) {
        while (hi < s->n && s->t[hi] <= to + after)
            hi++;
        while (lo < hi && s->t[lo] <= to - x->l.range - before)
            lo++;
        x->lo[i] = (uint32_t)lo;
        x->hi[i] = (uint32_t)hi;
        all += hi - lo;
    }
    x->sweeps = x->fn->sweep && !x->extension && (x->fn->always_sweeps || all > 4 * s->n);
}

static struct sweep sweep_of(const struct windows *x, const struct sample_row *s)
{
    return (struct sweep){ .t = s->t, .v = s->v, .n = s->n, .steps = x->steps, .lo = x->lo, .hi = x->hi,
                           .gaps = &x->gaps, .range = x->l.range, .parts = x->parts, .counts = x->counts };
}

/* Room for what the function needs, and the windows, unless they are those of the series before. */
static int prepare(struct windows *x, const struct sample_row *s)
{
    struct arena *a = x->ev->a;

    if (arena_grow(a, &x->parts, &x->parts_cap, s->n, sizeof(*x->parts)) < 0 ||
        arena_grow(a, &x->counts, &x->counts_cap, s->n, sizeof(*x->counts)) < 0 ||
        arena_grow(a, &x->values, &x->values_cap, s->n, sizeof(*x->values)) < 0)
        return eval_nomem(x->ev);
    if (x->known && x->times == s->times)
        return 0;
    find_windows(x, s);
    if (x->gaps.factor) {
        struct sweep sweep = sweep_of(x, s);

        sweep_gaps(&sweep, lookout_at(&x->l, &x->g, 0), x->l.fixed ? 0 : x->g.step, &x->gaps);
    }
    x->times = s->times;
    x->known = true;
    return 0;
}

/* --- window by window -------------------------------------------------------------------------------------------- */

static int find_drops(struct windows *x, const struct sample_row *s)
{
    x->ndrops = 0;
    if (!x->fn->wants_drops)
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

static int walk(struct windows *x, const struct sample_row *s)
{
    struct window w = { .range = x->l.range, .extension = x->extension, .scratch = x->values, .ev = x->ev,
                        .call = x->call };
    size_t dlo = 0, dhi = 0; /* the drops in the window */

    if (find_drops(x, s) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < x->steps; i++) {
        while (dhi < x->ndrops && x->drops[dhi] < x->hi[i])
            dhi++;
        while (dlo < dhi && x->drops[dlo] <= x->lo[i])
            dlo++;
        w.to = lookout_at(&x->l, &x->g, i);
        w.from = w.to - x->l.range;
        w.now = grid_time(&x->g, i);
        w.args = x->args + i * x->nargs;
        w.t = s->t + x->lo[i];
        w.v = s->v + x->lo[i];
        w.n = x->hi[i] - x->lo[i];
        w.drops = x->drops ? x->drops + dlo : NULL;
        w.ndrops = dhi - dlo;
        w.first = x->lo[i];
        if (eval_work(x->ev, w.n) < 0 || w.n == 0 || !x->fn->window(&w, &x->out[i]))
            x->out[i] = ABSENT;
        if (x->ev->failed)
            return x->ev->failed;
    }
    return 0;
}

/* --- the stream -------------------------------------------------------------------------------------------------- */

static void note_counter(struct windows *x, struct labels labels)
{
    static const struct str suffixes[] = { STR_INIT("_total"), STR_INIT("_sum"), STR_INIT("_count"),
                                           STR_INIT("_bucket") };
    struct str name = labels_get(labels, STR("__name__"));

    if (name.p == x->noted.p && name.n == x->noted.n)
        return;
    x->noted = name;
    for (size_t i = 0; i < 4; i++)
        if (name.n == 0 || str_ends(name, suffixes[i]))
            return;
    annotate_info(x->ev, x->arg,
                  "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"%.*s\"",
                  STR_ARG(name));
}

/* Fills out[]. */
static int fill_steps(struct windows *x, const struct sample_row *s)
{
    struct sweep sweep;
    int rc = prepare(x, s);

    if (rc < 0)
        return rc;
    sweep = sweep_of(x, s);
    if (x->sweeps)
        x->fn->sweep(&sweep, x->out);
    else
        rc = walk(x, s);
    for (size_t i = x->steps; i < x->g.n; i++)
        x->out[i] = x->out[0];
    return rc < 0 ? rc : eval_work(x->ev, x->steps);
}

static int next_windows(struct stream *s, struct row *row)
{
    struct windows *x = (struct windows *)s;
    struct sample_row samples;
    int rc;

    while ((rc = x->in->next(x->in, &samples)) > 0) {
        rc = fill_steps(x, &samples);
        if (rc < 0)
            return rc;
        if (!any_value(x->out, x->g.n))
            continue;
        if (x->fn->of_counter)
            note_counter(x, samples.labels);
        *row = (struct row){ samples.labels, samples.drop_name || !x->fn->keeps_name, x->out };
        return 1;
    }
    return rc;
}

static int make_room(struct windows *x)
{
    struct arena *a = x->ev->a;
    struct gaps *g = &x->gaps;

    x->out = eval_values(x->ev, &x->g);
    x->lo = arena_array(a, x->steps, sizeof(*x->lo));
    x->hi = arena_array(a, x->steps, sizeof(*x->hi));
    if (!x->out || !x->lo || !x->hi)
        return eval_nomem(x->ev);
    if (!x->fn->extrapolates || x->extension)
        return 0;
    g->sampled = arena_array(a, x->steps, sizeof(double));
    g->to_start = arena_array(a, x->steps, sizeof(double));
    g->to_end = arena_array(a, x->steps, sizeof(double));
    g->pairs = arena_array(a, x->steps, sizeof(double));
    g->factor = arena_array(a, x->steps, sizeof(double));
    g->per = x->fn->per_second ? (double)x->l.range / 1000 : 1;
    return g->sampled && g->to_start && g->to_end && g->pairs && g->factor ? 0 : eval_nomem(x->ev);
}

int window_open(struct eval *ev, const struct grid *g, const struct node *call, struct stream **out)
{
    struct windows *x = ARENA_NEW(ev->a, struct windows);
    const struct node *selector;
    int rc;

    if (!x)
        return eval_nomem(ev);
    x->s.next = next_windows;
    x->ev = ev;
    x->g = *g;
    x->call = call;
    x->fn = call->call.fn;
    for (size_t i = 0; i < call->call.n; i++)
        if (call->call.args[i]->type == PROMQL_MATRIX)
            x->arg = call->call.args[i];
    selector = node_strip(x->arg);
    if (selector->kind == NODE_SELECTOR)
        x->extension = selector->selector.extension;
    *out = &x->s;
    rc = eval_scalar_args(ev, g, &call->call, &x->args, &x->nargs);
    if (rc == 0)
        rc = samples_open(ev, g, x->arg, &x->l, &x->in);
    x->steps = x->l.fixed && x->nargs == 0 ? 1 : g->n;
    if (rc < 0)
        return rc;
    x->s.unique = x->in->unique;
    return make_room(x);
}
