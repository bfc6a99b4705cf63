#include "query/cache-internal.h"
#include "query/function-internal.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>

enum { WORK_PER_LOOK = 20000 }; /* values between two looks at the clock: well below a millisecond */

int eval_nomem(struct eval *ev)
{
    return err_set(ev->e, ERR_NOMEM, "query: it needs more memory than it may have");
}

int eval_fail(struct eval *ev, const char *fmt, ...)
{
    char msg[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    ev->failed = err_set(ev->e, ERR_INVALID, "%s", msg);
    return ev->failed;
}

int eval_work(struct eval *ev, size_t values)
{
    ev->work += values + 1;
    if (ev->work < WORK_PER_LOOK)
        return 0;
    ev->work = 0;
    if (clock_mono_ns() < ev->deadline_ns)
        return 0;
    ev->failed = err_set(ev->e, ERR_TIMEOUT, "query timed out in expression evaluation");
    return ev->failed;
}

int eval_hold(struct eval *ev, size_t values)
{
    if (atomic_fetch_add_explicit(&ev->usage->held, values, memory_order_relaxed) + values <= ev->max_samples)
        return 0;
    ev->failed = err_set(ev->e, ERR_LIMIT,
                         "query processing would load too many samples into memory in query execution");
    return ev->failed;
}

void eval_release(struct eval *ev, size_t values)
{
    uint64_t held = atomic_load_explicit(&ev->usage->held, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(&ev->usage->held, &held, held < values ? 0 : held - values,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

double *eval_values(struct eval *ev, const struct grid *g)
{
    double *v = arena_array(ev->a, g->n, sizeof(*v));

    if (!v) {
        eval_nomem(ev);
        return NULL;
    }
    for (size_t i = 0; i < g->n; i++)
        v[i] = ABSENT;
    return v;
}

/* --- durations and places in time -------------------------------------------------------------------------------- */

static double duration_seconds(struct eval *ev, const struct node *n);

static double duration_call(struct eval *ev, const struct call *c)
{
    double l, r;

    if (c->n == 0)
        return c->fn->scalar == fn_step ? (double)ev->window.step_ms / 1000
                                        : (double)(ev->window.end_ms - ev->window.start_ms) / 1000;
    l = duration_seconds(ev, c->args[0]);
    r = duration_seconds(ev, c->args[1]);
    return c->fn->scalar == fn_max_of ? fmax(l, r) : fmin(l, r);
}

static double duration_seconds(struct eval *ev, const struct node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
        return n->number.value;
    case NODE_PAREN:
        return duration_seconds(ev, n->paren);
    case NODE_UNARY:
        return n->unary.minus ? -duration_seconds(ev, n->unary.inner) : duration_seconds(ev, n->unary.inner);
    case NODE_BINARY:
        return binary_arithmetic(n->binary.op, duration_seconds(ev, n->binary.l), duration_seconds(ev, n->binary.r));
    default:
        return duration_call(ev, &n->call);
    }
}

int eval_duration(struct eval *ev, const struct node *n, int64_t *ms)
{
    double v = round(duration_seconds(ev, n) * 1000);
    unsigned line, column;

    if (fabs(v) <= 9.2e12) { /* 292 years, as Go's durations */
        *ms = (int64_t)v;
        return 0;
    }
    text_position(ev->text, n->span.from, &line, &column);
    return eval_fail(ev, "%u:%u: duration out of range", line, column);
}

static int positive_duration(struct eval *ev, const struct node *n, int64_t *ms)
{
    unsigned line, column;
    int rc = eval_duration(ev, n, ms);

    if (rc < 0 || *ms > 0)
        return rc;
    text_position(ev->text, n->span.from, &line, &column);
    return eval_fail(ev, "%u:%u: duration must be greater than 0", line, column);
}

int eval_lookout(struct eval *ev, const struct shift *shift, const struct node *range, struct lookout *l)
{
    *l = (struct lookout){ .fixed = shift->at != AT_NONE };
    if (shift->at == AT_TIME)
        l->at = shift->at_ms;
    else if (l->fixed)
        l->at = shift->at == AT_START ? ev->window.start_ms : ev->window.end_ms;
    if (shift->offset && eval_duration(ev, shift->offset, &l->offset) < 0)
        return ev->failed;
    return range ? positive_duration(ev, range, &l->range) : 0;
}

int64_t lookout_at(const struct lookout *l, const struct grid *g, size_t i)
{
    return (l->fixed ? l->at : grid_time(g, i)) - l->offset;
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

struct negation {
    struct stream s;
    struct stream *in;
    size_t steps;
};

static int next_negation(struct stream *s, struct row *row)
{
    struct negation *neg = (struct negation *)s;
    int rc = neg->in->next(neg->in, row);

    if (rc <= 0)
        return rc;
    row->drop_name = true;
    for (size_t i = 0; i < neg->steps; i++)
        if (!is_absent(row->v[i]))
            row->v[i] = -row->v[i];
    return 1;
}

static int unary_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct negation *neg;
    struct stream *in;
    int rc = eval_open(ev, g, n->unary.inner, &in);

    if (rc < 0)
        return rc;
    neg = ARENA_NEW(ev->a, struct negation);
    if (!neg)
        return eval_nomem(ev);
    *neg = (struct negation){ { next_negation, in->unique }, in, g->n };
    *out = n->unary.minus ? &neg->s : in;
    return 0;
}

/* anchored and smoothed belong to the functions that know what to do with them. */
static int check_extension(struct eval *ev, const struct function *fn, const struct node *arg)
{
    const struct node *s = node_strip(arg);

    if (s->kind != NODE_SELECTOR || !s->selector.range)
        return 0;
    if (s->selector.extension == EXTEND_ANCHORED && !fn->anchored)
        return eval_fail(ev,
                         "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with "
                         "%.*s", STR_ARG(fn->name));
    if (s->selector.extension == EXTEND_SMOOTHED && !fn->smoothed)
        return eval_fail(ev, "smoothed modifier can only be used with: delta, increase, rate - not with %.*s",
                         STR_ARG(fn->name));
    return 0;
}

static int call_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    for (size_t i = 0; i < n->call.n; i++)
        if (check_extension(ev, n->call.fn, n->call.args[i]) < 0)
            return ev->failed;
    switch (n->call.fn->kind) {
    case FUNCTION_MAP:
        return map_open(ev, g, n, out);
    case FUNCTION_WINDOW:
        return window_open(ev, g, n, out);
    case FUNCTION_STREAM:
        return n->call.fn->stream(ev, g, n, out);
    case FUNCTION_SCALAR:
        break;
    }
    return eval_fail(ev, "%.*s is no vector", STR_ARG(n->call.fn->name));
}

static int aggregation_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    struct rows rows;

    if (cached_may(ev, g, n)) {
        int rc = cached_collect(ev, g, n, &rows);

        return rc < 0 ? rc : eval_replay(ev, g, rows, out);
    }
    return n->aggregate.op >= AGG_TOPK ? select_open(ev, g, n, out) : aggregate_open(ev, g, n, out);
}

int eval_open(struct eval *ev, const struct grid *g, const struct node *n, struct stream **out)
{
    switch (n->kind) {
    case NODE_PAREN:
        return eval_open(ev, g, n->paren, out);
    case NODE_SELECTOR:
        return selector_open(ev, g, n, false, out);
    case NODE_CALL:
        return call_open(ev, g, n, out);
    case NODE_AGGREGATE:
        return aggregation_open(ev, g, n, out);
    case NODE_BINARY:
        return binary_open(ev, g, n, out);
    case NODE_UNARY:
        return unary_open(ev, g, n, out);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_SUBQUERY:
    case NODE_DERIVED:
        break;
    }
    return eval_fail(ev, "a %s stands where a vector should", type_name(n->type));
}

/* --- scalars ----------------------------------------------------------------------------------------------------- */

static int scalar_binary(struct eval *ev, const struct grid *g, const struct binary *b, double *out)
{
    double *r = eval_values(ev, g);
    int rc = r ? eval_scalar(ev, g, b->l, out) : ERR_NOMEM;

    if (is_trim(b->op))
        return eval_fail(ev, "operator \"%.*s\" not allowed for Scalar operations", STR_ARG(binary_ops[b->op].text));

    if (rc == 0)
        rc = eval_scalar(ev, g, b->r, r);
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        out[i] = binary_apply(b, out[i], r[i], out[i]);
    return rc;
}

int eval_scalar(struct eval *ev, const struct grid *g, const struct node *n, double *out)
{
    int rc;

    switch (n->kind) {
    case NODE_NUMBER:
        for (size_t i = 0; i < g->n; i++)
            out[i] = n->number.value;
        return 0;
    case NODE_PAREN:
        return eval_scalar(ev, g, n->paren, out);
    case NODE_UNARY:
        rc = eval_scalar(ev, g, n->unary.inner, out);
        for (size_t i = 0; rc == 0 && n->unary.minus && i < g->n; i++)
            out[i] = -out[i];
        return rc;
    case NODE_BINARY:
        return scalar_binary(ev, g, &n->binary, out);
    case NODE_CALL:
        return n->call.fn->scalar(ev, g, &n->call, out);
    default:
        return eval_fail(ev, "a %s stands where a scalar should", type_name(n->type));
    }
}

int eval_scalar_args(struct eval *ev, const struct grid *g, const struct call *c, double **args, size_t *n)
{
    double *one = NULL;
    size_t k = 0;

    *n = 0;
    *args = NULL;
    for (size_t i = 0; i < c->n; i++)
        *n += c->args[i]->type == PROMQL_SCALAR;
    if (*n == 0)
        return 0;
    one = eval_values(ev, g);
    *args = arena_array(ev->a, g->n * *n, sizeof(**args));
    if (!one || !*args)
        return eval_nomem(ev);
    for (size_t i = 0; i < c->n; i++) {
        int rc = c->args[i]->type == PROMQL_SCALAR ? eval_scalar(ev, g, c->args[i], one) : 1;

        if (rc < 0)
            return rc;
        for (size_t s = 0; rc == 0 && s < g->n; s++)
            (*args)[s * *n + k] = one[s];
        k += rc == 0;
    }
    return 0;
}
