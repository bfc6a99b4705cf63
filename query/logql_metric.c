/* logql_metric.c: from log lines to samples, which PromQL's window functions then take for a matrix.
 *
 * Problem    A count over 10 M lines must not keep 10 M samples.
 * Idea       All windows of a query begin and end at multiples of gcd(range, step) from the first one's begin. What lies
 *            between two such borders is in a window as a whole or not at all: for sums, least and greatest values one
 *            sample, at the later border, stands for all of it (enum fold). Only functions that need every value keep it.
 * Borders    Windows are (t - range, t]; a line's time in ns is rounded up to ms, which keeps it on its side of every t.
 * Memory     Series and samples of the whole range are kept until they are handed out, and count as the query's samples. */
#include "query/eval-internal.h"
#include "query/logql_source-internal.h"
#include "query/logql_tally-internal.h"
#include "query/logql_value-internal.h"

#include <stdlib.h>

/* --- labels of a sample ------------------------------------------------------------------------------------------ */

static bool named(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, names[i]))
            return true;
    return false;
}

static void add_name(struct label_plan *plan, enum event_kind kind, struct str name)
{
    for (size_t i = 0; i < plan->n; i++)
        if (str_eq(plan->v[i].name, name))
            return;
    plan->v[plan->n++] = logql_field(kind, name);
}

/* Whether a label goes although nobody says so: what was unwrapped differs from line to line. */
static bool removed(const struct log_range *r, struct str name)
{
    return (r->grouped && r->without && named(name, r->labels, r->n)) ||
           (r->counted == COUNT_VALUES && str_eq(name, r->query.names[r->unwrapped]));
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

int log_label_plan(const struct log_range *r, const struct log_source *s, struct arena *a, struct label_plan *plan)
{
    bool listed = r->sums_only || (r->grouped && !r->without); /* nothing but what is named */

    *plan = (struct label_plan){ .open = !listed };
    plan->v = arena_array(a, s->streams.n + r->nwanted + r->n + 1, sizeof(*plan->v));
    if (!plan->v)
        return ERR_NOMEM;
    for (size_t i = 0; r->grouped && !r->without && i < r->n; i++)
        add_name(plan, s->kind, r->labels[i]);
    for (size_t i = 0; !listed && i < s->streams.n; i++)
        if (!removed(r, s->streams.v[i].name))
            add_name(plan, s->kind, s->streams.v[i].name);
    for (size_t i = 0; !(r->grouped && !r->without) && i < r->nwanted; i++)
        if (!removed(r, r->wanted[i]))
            add_name(plan, s->kind, r->wanted[i]);
    qsort(plan->v, plan->n, sizeof(*plan->v), by_name);
    return 0;
}

static int by_label(const void *a, const void *b)
{
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

/* Into out[], sorted; strings are the row's. */
static struct labels labels_of(const struct log_range *r, const struct label_plan *plan, struct pipeline *p,
                               struct label *out)
{
    size_t n = 0, planned;

    for (size_t i = 0; i < plan->n; i++) {
        struct str value = pipeline_get(p, plan->v[i].name, &plan->v[i]);

        if (value.n)
            out[n++] = (struct label){ plan->v[i].name, value };
    }
    planned = n;
    for (size_t i = 0; plan->open && i < p->nmade; i++) {
        bool there = p->made[i].value.n == 0 || removed(r, p->made[i].name);

        for (size_t k = 0; k < plan->n && !there; k++)
            there = str_eq(plan->v[k].name, p->made[i].name);
        if (!there)
            out[n++] = (struct label){ p->made[i].name, p->made[i].value };
    }
    if (n > planned)
        qsort(out, n, sizeof(*out), by_label);
    return (struct labels){ out, n };
}

/* --- series ------------------------------------------------------------------------------------------------------ */

int log_series_of(struct log_samples *x, struct labels l, struct log_series **out)
{
    struct eval *ev = x->ev;
    size_t at;

    if (!label_map_find(&x->map, l, &at)) {
        l = labels_copy(ev->a, l);
        if (!l.v || label_map_add(&x->map, ev->a, l, &at) < 0 ||
            arena_grow(ev->a, &x->series, &x->cap, at + 1, sizeof(*x->series)) < 0)
            return eval_nomem(ev);
        x->series[at] = (struct log_series){ .labels = l };
        x->n = at + 1;
    }
    *out = &x->series[at];
    return 0;
}

static double folded(enum fold fold, double a, double b)
{
    switch (fold) {
    case FOLD_MIN:
        return b < a || isnan(a) ? b : a;
    case FOLD_MAX:
        return b > a || isnan(a) ? b : a;
    default:
        return a + b;
    }
}

int log_series_add(struct log_samples *x, struct log_series *s, int64_t t, double v)
{
    size_t cap = s->vcap;

    if (x->range->fold != FOLD_NONE && s->n && s->t[s->n - 1] == t) {
        s->v[s->n - 1] = folded(x->range->fold, s->v[s->n - 1], v);
        return 0;
    }
    if (arena_grow(x->ev->a, &s->t, &s->tcap, s->n + 1, sizeof(*s->t)) < 0 ||
        arena_grow(x->ev->a, &s->v, &s->vcap, s->n + 1, sizeof(*s->v)) < 0)
        return eval_nomem(x->ev);
    s->t[s->n] = t;
    s->v[s->n++] = v;
    return eval_hold(x->ev, s->vcap - cap);
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

/* Where the row's sample stands, ms. */
static int64_t sample_time(const struct log_samples *x, int64_t time_ns)
{
    int64_t ms = time_ns / 1000000 + (time_ns % 1000000 > 0);

    if (x->range->fold == FOLD_NONE)
        return ms;
    return x->from_ms + (ms - x->from_ms + x->bucket_ms - 1) / x->bucket_ms * x->bucket_ms;
}

/* 1: *v is the row's number; 0: it has none. */
static int value_of(const struct log_range *r, struct pipeline *p, double *v)
{
    struct str text;

    *v = 1;
    if (r->counted == COUNT_LINES)
        return 1;
    if (r->counted == COUNT_BYTES) {
        *v = (double)pipeline_line(p).n;
        return 1;
    }
    text = pipeline_label(p, r->unwrapped);
    if (text.n == 0)
        return 0;
    if (!logql_measure(text, r->conversion, v))
        pipeline_fail(p, STR("SampleExtractionErr"), pipeline_copy(p, text));
    return 1;
}

/* A line that a stage could not deal with must not be counted in silence. */
static int fail_marked(struct eval *ev, struct pipeline *p, struct labels l)
{
    struct buf b = BUF_INIT(256);

    labels_print(&b, l);
    eval_fail(ev, "pipeline error: '%.*s' for series: '%.*s'.\nUse a label filter to intentionally skip this error. "
              "(e.g | __error__!=\"%.*s\").\nTo skip all potential errors you can match empty errors."
              "(e.g __error__=\"\")", STR_ARG(p->error), STR_ARG(buf_view(&b)), STR_ARG(p->error));
    buf_free(&b);
    return ev->failed;
}

/* 1: the row has passed, and *v is its number. */
static int judge(const struct log_samples *x, struct log_source *s, const struct logql_row *row, double *v)
{
    const struct log_range *r = x->range;
    bool judged = s->exact && s->only_filters && r->before == r->query.nstages;
    int rc = 1;

    pipeline_begin(&s->pipeline, row);
    if (!judged)
        rc = pipeline_run(&s->pipeline, 0, r->before);
    if (rc == 1)
        rc = value_of(r, &s->pipeline, v);
    if (rc == 1 && !judged)
        rc = pipeline_run(&s->pipeline, r->before, r->query.nstages);
    return rc;
}

static int take_row(struct log_samples *x, struct log_source *s, const struct label_plan *plan,
                    const struct logql_row *row)
{
    struct label *out = x->scratch;
    struct log_series *series;
    struct labels l;
    double v;
    int rc = judge(x, s, row, &v);

    if (rc == ERR_NOMEM)
        return eval_nomem(x->ev);
    if (rc <= 0)
        return rc;
    l = labels_of(x->range, plan, &s->pipeline, out);
    if (s->pipeline.error.n)
        return fail_marked(x->ev, &s->pipeline, l);
    rc = log_series_of(x, l, &series);
    return rc < 0 ? rc : log_series_add(x, series, sample_time(x, row->time_ns), v);
}

/* What the rows must have been read with for all of this. */
static void plan_reads(const struct log_range *r, struct log_source *s, const struct label_plan *plan)
{
    if (s->exact && s->only_filters && r->before == r->query.nstages) {
        s->columns = 0; /* what the conditions look at, and nobody else */
        s->attributes = false;
    }
    if (r->counted == COUNT_BYTES)
        source_reads_line(s);
    if (r->counted == COUNT_VALUES)
        source_reads(s, &s->pipeline.fields[r->unwrapped]);
    for (size_t i = 0; i < plan->n; i++)
        source_reads(s, &plan->v[i]);
}

static int read_rows(struct log_samples *x, struct log_sources *sources, const struct label_plan *plans)
{
    const struct log_rows rows = { .from_ns = x->from_ms * 1000000 + 1, .to_ns = x->to_ms * 1000000 + 1 };
    struct log_source *from;
    struct logql_row row;
    size_t most = 0;
    int rc;

    for (size_t i = 0; i < sources->n; i++) {
        plan_reads(x->range, &sources->v[i], &plans[i]);
        most = plans[i].n > most ? plans[i].n : most;
    }
    x->scratch = arena_array(x->ev->a, most + PIPELINE_MOST_LABELS, sizeof(*x->scratch));
    if (!x->scratch)
        return eval_nomem(x->ev);
    rc = sources_open(sources, &rows);
    while (rc == 0 && (rc = sources_next(sources, &from, &row)) == 1) {
        atomic_fetch_add_explicit(&x->ev->usage->read, 1, memory_order_relaxed);
        rc = take_row(x, from, &plans[from - sources->v], &row);
        if (rc == 0)
            rc = eval_work(x->ev, 1);
    }
    return rc;
}

static int load(struct log_samples *x)
{
    struct label_plan plans[EVENT_KINDS];
    struct log_sources sources;
    int rc = sources_plan(&sources, x->ev->st, &x->range->query, x->ev->a, x->ev->e);

    for (size_t i = 0; rc == 0 && i < sources.n; i++)
        if (log_label_plan(x->range, &sources.v[i], x->ev->a, &plans[i]) < 0)
            rc = eval_nomem(x->ev);
    if (rc == 0)
        rc = log_tally(x, &sources, plans);
    if (rc == 0)
        rc = read_rows(x, &sources, plans);
    sources_close(&sources);
    return rc < 0 ? rc : 0;
}

/* --- the stream -------------------------------------------------------------------------------------------------- */

static int next_series(struct sample_stream *s, struct sample_row *row)
{
    struct log_samples *x = (struct log_samples *)s;
    const struct log_series *series = &x->series[x->at];

    if (x->at == x->n)
        return 0;
    *row = (struct sample_row){ series->labels, false, series->t, series->v, series->n, (uint32_t)++x->at };
    eval_release(x->ev, series->vcap);
    return 1;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Times that are no ns of an int64. */
static bool beyond(int64_t ms)
{
    return ms > INT64_MAX / 1000000 - 1 || ms < INT64_MIN / 1000000 + 1;
}

int log_samples_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                     struct sample_stream **out)
{
    struct log_samples *x = ARENA_NEW(ev->a, struct log_samples);
    const struct log_range *r = n->derived.what;
    const struct shift shift = { .offset = r->offset };
    int rc = eval_lookout(ev, &shift, r->range, l);

    if (!x)
        return eval_nomem(ev);
    if (rc < 0)
        return rc;
    x->s = (struct sample_stream){ next_series, true };
    x->ev = ev;
    x->range = r;
    x->to_ms = lookout_at(l, g, g->n - 1);
    x->from_ms = lookout_at(l, g, 0) - l->range;
    x->bucket_ms = g->n > 1 ? gcd(l->range, g->step) : l->range;
    *out = &x->s;
    if (beyond(x->from_ms) || beyond(x->to_ms))
        return eval_fail(ev, "query window: times must be between the years 1678 and 2261");
    return load(x);
}

/* --- the face ---------------------------------------------------------------------------------------------------- */

struct promql_value *logql_metric(struct store *st, const struct logql_expr *x, struct promql_window w,
                                  const struct promql_limits *limits, size_t max_series, struct arena *a,
                                  struct err *e)
{
    struct promql_limits own = limits ? *limits : (struct promql_limits){ 0 };
    struct promql_value *v;

    max_series = max_series ? max_series : LOGQL_MOST_SERIES;
    own.cache = NULL; /* it knows when series have changed, not when lines have come */
    if (x->lines) {
        err_set(e, ERR_INVALID, "query: should be one for numbers, as in rate({app=\"web\"}[5m])");
        return NULL;
    }
    v = promql_eval(st, &x->metric, w, &own, a, e);
    if (v && v->n > max_series) {
        err_set(e, ERR_LIMIT, "maximum of series (%zu) reached for a single query", max_series);
        return NULL;
    }
    return v;
}
