/* cached.c: rows over a grid, of which some steps may be known.
 *
 *     known     |---------------------------|            as of a mark; good up to the first time that changed since
 *     asked            |---------------------------|
 *     computed                            |--------|     and put together with what is known
 *     kept      |----------------------------------|     at most twice as long as what is asked
 *
 * That is right because a step's values depend on samples at or before it, and on nothing else: an expression that looks
 * ahead (a negative offset, smoothed), or at the query's window (@ start(), range(), …), is not kept. Neither are rows
 * that came with annotations, which would have to be told again.
 *
 * What is kept is what is held in memory anyway: the rows of the whole query, and of aggregations inside it. */
#include "query/cache-internal.h"

#include "query/function-internal.h"

enum { FEWEST_STEPS = 16, MOST_KEY = 64 * 1024 };

/* --- what may be kept --- */

/* A duration that is the same whatever the query's window. */
static bool fixed_duration(const struct node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
        return true;
    case NODE_PAREN:
        return fixed_duration(n->paren);
    case NODE_UNARY:
        return fixed_duration(n->unary.inner);
    case NODE_BINARY:
        return fixed_duration(n->binary.l) && fixed_duration(n->binary.r);
    default:
        return false;
    }
}

static bool looks_back(const struct shift *s)
{
    return s->at == AT_NONE && (!s->offset || (node_strip(s->offset)->kind == NODE_NUMBER &&
                                               node_strip(s->offset)->number.value >= 0));
}

static bool of_window(const struct function *fn)
{
    return fn->kind == FUNCTION_SCALAR && (fn->scalar == fn_start || fn->scalar == fn_end || fn->scalar == fn_range ||
                                           fn->scalar == fn_step);
}

/* Of their values they tell with the answer, so that it is not kept; the sums of buckets that they look at are. */
static bool tells(const struct function *fn)
{
    return fn->kind == FUNCTION_STREAM && (fn->stream == fn_histogram_quantile || fn->stream == fn_histogram_quantiles ||
                                           fn->stream == fn_histogram_fraction);
}

static bool by_step(const struct node *n)
{
    bool all = true;

    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING:
        return true;
    case NODE_SELECTOR:
        return looks_back(&n->selector.shift) && n->selector.extension != EXTEND_SMOOTHED &&
               (!n->selector.range || fixed_duration(n->selector.range));
    case NODE_SUBQUERY:
        return looks_back(&n->subquery.shift) && fixed_duration(n->subquery.range) &&
               (!n->subquery.step || fixed_duration(n->subquery.step)) && by_step(n->subquery.inner);
    case NODE_CALL:
        if (of_window(n->call.fn) || tells(n->call.fn) ||
            n->call.fn->selects_labels) /* info() reads its labels over all of the window */
            return false;
        for (size_t i = 0; i < n->call.n; i++)
            all &= by_step(n->call.args[i]);
        return all;
    case NODE_AGGREGATE:
        return by_step(n->aggregate.arg) && (!n->aggregate.param || by_step(n->aggregate.param));
    case NODE_BINARY:
        return by_step(n->binary.l) && by_step(n->binary.r);
    case NODE_UNARY:
        return by_step(n->unary.inner);
    case NODE_PAREN:
        return by_step(n->paren);
    case NODE_DERIVED:
        break;
    }
    return false;
}

bool cached_may(const struct eval *ev, const struct grid *g, const struct node *n)
{
    return ev->cache && g->n >= FEWEST_STEPS && by_step(n);
}

/* --- how it is found --- */

/* Queries of about the same length share a result. */
static unsigned length_class(size_t steps)
{
    return 63u - (unsigned)__builtin_clzll(steps);
}

static int64_t phase(const struct grid *g)
{
    int64_t rest = g->start % g->step;

    return rest < 0 ? rest + g->step : rest;
}

static struct str key_of(const struct eval *ev, const struct grid *g, const struct node *n)
{
    struct buf b = BUF_INIT(MOST_KEY);
    struct str key = STR_NULL;

    buf_printf(&b, "%lld %lld %u %lld ", (long long)g->step, (long long)phase(g), length_class(g->n),
               (long long)ev->lookback_ms);
    node_print(&b, n);
    if (!buf_failed(&b))
        key = arena_str(ev->a, buf_view(&b));
    buf_free(&b);
    return key;
}

/* How many of the grid's steps, from its first on, are known, with nothing changed since before lowest_ms. */
static size_t steps_known(const struct cached *x, const struct grid *g, int64_t lowest_ms)
{
    int64_t end = grid_time(&x->g, x->g.n - 1);
    size_t steps;

    if (g->start < x->g.start || lowest_ms <= g->start)
        return 0;
    if (lowest_ms <= end)
        end = lowest_ms - 1;
    if (end < g->start)
        return 0;
    steps = (size_t)((end - g->start) / g->step) + 1;
    return steps < g->n ? steps : g->n;
}

/* --- putting together --- */

struct splice {
    struct eval *ev;
    struct grid g; /* of all rows: from the first step that is kept to the last that is asked */
    struct rows rows;
    struct label_map map;
};

static int row_of(struct splice *s, const struct row *like, struct row **out)
{
    size_t at;
    int fresh = label_map_add(&s->map, s->ev->a, like->labels, &at);

    if (fresh < 0 || arena_grow(s->ev->a, &s->rows.v, &s->rows.cap, s->map.n, sizeof(*s->rows.v)) < 0)
        return eval_nomem(s->ev);
    *out = &s->rows.v[at];
    if (fresh) {
        **out = (struct row){ s->map.keys[at], false, eval_values(s->ev, &s->g) };
        s->rows.n++;
    }
    (*out)->drop_name |= like->drop_name;
    return (*out)->v ? 0 : ERR_NOMEM;
}

/* Values from[0..n) of each row go to the steps from `step` on. */
static int add_rows(struct splice *s, const struct rows *rows, size_t from, size_t n, size_t step)
{
    struct row *to = NULL;

    for (size_t i = 0; i < rows->n; i++) {
        if (!any_value(rows->v[i].v + from, n))
            continue;
        if (row_of(s, &rows->v[i], &to) < 0)
            return ERR_NOMEM;
        memcpy(to->v + step, rows->v[i].v + from, n * sizeof(double));
    }
    return 0;
}

/* The rows over the last `steps` steps, those that have a value there. */
static int take_last(const struct splice *s, size_t steps, struct rows *out)
{
    size_t skip = s->g.n - steps;

    *out = (struct rows){ arena_array(s->ev->a, s->rows.n + 1, sizeof(*out->v)), 0, s->rows.n + 1, true };
    if (!out->v)
        return eval_nomem(s->ev);
    for (size_t i = 0; i < s->rows.n; i++)
        if (any_value(s->rows.v[i].v + skip, steps)) {
            out->v[out->n] = s->rows.v[i];
            out->v[out->n++].v += skip;
            if (eval_hold(s->ev, steps) < 0)
                return s->ev->failed;
        }
    return 0;
}

/* --- collecting --- */

/* Without the cache; *plain: the rows are all there is to it. */
static int collect(struct eval *ev, const struct grid *g, const struct node *n, struct rows *rows, bool *plain)
{
    struct annotations warnings = ev->warnings, infos = ev->infos;
    struct promql_cache *cache = ev->cache;
    struct eval told = *ev;
    int rc;

    ev->cache = NULL;
    ev->warnings = ev->infos = (struct annotations){ NULL, 0, 0 };
    rc = eval_collect_node(ev, g, n, rows);
    ev->cache = cache;
    *plain = rc == 0 && rows->unique && ev->warnings.n == 0 && ev->infos.n == 0;
    told.warnings = ev->warnings;
    told.infos = ev->infos;
    ev->warnings = warnings;
    ev->infos = infos;
    annotate_all(ev, &told);
    return rc;
}

static void let_go(void *x)
{
    cached_release(x);
}

/* Computes the steps behind the `known` ones of x. */
static int extend(struct eval *ev, const struct grid *g, const struct node *n, struct cached *x, size_t known,
                  uint64_t mark, struct rows *out)
{
    size_t most = (size_t)2 << length_class(g->n), before = (size_t)((g->start - x->g.start) / g->step);
    size_t keep = before + g->n > most ? most - g->n : before;
    struct splice s = { .ev = ev, .g = { g->start - (int64_t)keep * g->step, g->step, keep + g->n } };
    struct grid fresh = { grid_time(g, known), g->step, g->n - known };
    struct rows rows = { NULL, 0, 0, true };
    bool plain = true;
    int rc;

    if (arena_on_free(ev->a, let_go, x) < 0) /* its labels are in what is handed out */
        return eval_nomem(ev);
    atomic_fetch_add_explicit(&x->holders, 1, memory_order_relaxed);
    rc = fresh.n ? collect(ev, &fresh, n, &rows, &plain) : 0;

    if (rc == 0)
        rc = add_rows(&s, &x->rows, before - keep, keep + known, 0);
    if (rc == 0 && !rows.unique)
        rc = rows_unify(ev, &fresh, &rows);
    if (rc == 0)
        rc = add_rows(&s, &rows, 0, fresh.n, keep + known);
    if (rc == 0 && fresh.n && plain)
        cache_put(ev->cache, cached_new(ev->cache, x->key, &s.g, mark, &s.rows));
    return rc < 0 ? rc : take_last(&s, g->n, out);
}

int cached_collect(struct eval *ev, const struct grid *g, const struct node *n, struct rows *rows)
{
    struct str key = cached_may(ev, g, n) ? key_of(ev, g, n) : STR_NULL;
    struct cached *x = key.p ? cache_take(ev->cache, key) : NULL;
    uint64_t mark = x ? x->mark : 0;
    int64_t lowest_ms = key.p ? series_changes(ev->st, &mark) : 0;
    size_t known = x ? steps_known(x, g, lowest_ms) : 0;
    bool plain;
    int rc;

    if (!key.p)
        return eval_collect_node(ev, g, n, rows);
    cache_count(ev->cache, known > 0);
    if (known) {
        rc = extend(ev, g, n, x, known, mark, rows);
    } else {
        rc = collect(ev, g, n, rows, &plain);
        if (rc == 0 && plain)
            cache_put(ev->cache, cached_new(ev->cache, key, g, mark, rows));
    }
    cached_release(x);
    return rc;
}
