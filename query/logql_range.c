/* logql_range.c: metric queries.
 *
 * Idea    A metric query is a PromQL expression in which functions over ranges of log lines stand where PromQL has
 *         functions over ranges of series. So PromQL's parser reads it (struct dialect), and hands over to this file
 *         wherever such a function begins; what comes of it is a call of a window function whose argument is NODE_DERIVED:
 *
 *             sum by (app) ( rate( {kind="log"} |= "error" [5m] ) )
 *             aggregate      call  derived (struct log_range)
 *
 *         and PromQL's evaluator runs the whole. A count of lines is a sum over samples of value one, so most functions
 *         are PromQL's own under another name.
 * Labels  A line has some forty labels, most of which differ from line to line. A series of lines has those of the stream
 *         and what the pipeline has extracted, and of all others only those that the query around it names (`wanted`). */
#include "query/function-internal.h"
#include "query/logql_scan-internal.h"
#include "query/parser-internal.h"

#include "base/num.h"
#include "query/logql_value-internal.h"

#include <stdio.h>

/* --- the functions ----------------------------------------------------------------------------------------------- */

static bool per_second(const struct window *w, double *out)
{
    fn_sum_over_time(w, out);
    *out /= (double)w->range / 1000;
    return true;
}

static void sweep_per_second(const struct sweep *s, double *out)
{
    sweep_sum_over_time(s, out);
    for (size_t i = 0; i < s->steps; i++)
        if (!is_absent(out[i]))
            out[i] /= (double)s->range / 1000;
}

enum unwraps { UNWRAPS_NOT, UNWRAPS_MAYBE, UNWRAPS_ALWAYS };

struct range_function {
    struct function fn;
    enum counted counted; /* without an unwrapped label */
    enum unwraps unwraps;
    enum fold fold;
    bool groups;          /* by and without may stand behind it */
};

#define NAMED(n) .name = STR_INIT(n), .returns = PROMQL_VECTOR, .print = log_call_print
#define OF_RANGE .args = { PROMQL_MATRIX }, .nargs = 1, .min = 1, .max = 1
#define WINDOW(n, w, s) NAMED(n), OF_RANGE, .kind = FUNCTION_WINDOW, .keeps_name = true, .window = w, .sweep = s

static const struct range_function range_functions[] = {
    { { WINDOW("rate", per_second, sweep_per_second) }, COUNT_LINES, UNWRAPS_MAYBE, FOLD_SUM, false },
    { { WINDOW("rate_counter", fn_rate, NULL), .wants_drops = true }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_NONE, false },
    { { WINDOW("count_over_time", fn_sum_over_time, sweep_sum_over_time) }, COUNT_LINES, UNWRAPS_NOT, FOLD_SUM, false },
    { { WINDOW("bytes_rate", per_second, sweep_per_second) }, COUNT_BYTES, UNWRAPS_NOT, FOLD_SUM, false },
    { { WINDOW("bytes_over_time", fn_sum_over_time, sweep_sum_over_time) }, COUNT_BYTES, UNWRAPS_NOT, FOLD_SUM, false },
    { { WINDOW("sum_over_time", fn_sum_over_time, sweep_sum_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_SUM, false },
    { { WINDOW("avg_over_time", fn_avg_over_time, sweep_avg_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_NONE, true },
    { { WINDOW("min_over_time", fn_min_over_time, sweep_min_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_MIN, true },
    { { WINDOW("max_over_time", fn_max_over_time, sweep_max_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_MAX, true },
    { { WINDOW("stddev_over_time", fn_stddev_over_time, sweep_stddev_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_NONE,
      true },
    { { WINDOW("stdvar_over_time", fn_stdvar_over_time, sweep_stdvar_over_time) }, COUNT_VALUES, UNWRAPS_ALWAYS, FOLD_NONE,
      true },
    { { NAMED("quantile_over_time"), .args = { PROMQL_SCALAR, PROMQL_MATRIX }, .nargs = 2, .min = 2, .max = 2,
        .kind = FUNCTION_WINDOW, .keeps_name = true, .window = fn_quantile_over_time }, COUNT_VALUES, UNWRAPS_ALWAYS,
      FOLD_NONE, true },
    { { WINDOW("first_over_time", fn_first_over_time, sweep_first_over_time), .always_sweeps = true }, COUNT_VALUES,
      UNWRAPS_ALWAYS, FOLD_NONE, true },
    { { WINDOW("last_over_time", fn_last_over_time, sweep_last_over_time), .always_sweeps = true }, COUNT_VALUES,
      UNWRAPS_ALWAYS, FOLD_NONE, true },
    { { NAMED("absent_over_time"), OF_RANGE, .kind = FUNCTION_STREAM, .stream = fn_absent_over_time }, COUNT_LINES,
      UNWRAPS_MAYBE, FOLD_SUM, false },
};

static const struct range_function *range_function(struct str name)
{
    for (size_t i = 0; i < sizeof(range_functions) / sizeof(range_functions[0]); i++)
        if (str_eq(name, range_functions[i].fn.name))
            return &range_functions[i];
    return NULL;
}

static bool knows(struct str name)
{
    return range_function(name) != NULL;
}

/* --- parsing ----------------------------------------------------------------------------------------------------- */

struct metric_parser {
    struct parser ps;
    struct log_range **ranges;
    size_t n, cap;
};

/* 5m, 1h30m, 1.5h. A node, since PromQL's ranges may be computed. */
static const struct node *parse_duration_token(struct scanner *sc, bool may_be_negative)
{
    bool minus = sc->kind == SCAN_NUMBER && sc->token.p[0] == '-';
    struct str text = str_from(sc->token, minus);
    struct node *n;
    double v;

    if (sc->kind != SCAN_NUMBER || !logql_duration(text, &v)) {
        scanner_unexpected(sc, "a duration, as in 5m");
        return NULL;
    }
    if (!may_be_negative && (minus || v < 0.001)) {
        scanner_fail(sc, sc->from, "invalid duration: \"%.*s\" should be a millisecond at least",
                  (int)(sc->token.n > 40 ? 40 : sc->token.n), sc->token.p);
        return NULL;
    }
    n = ARENA_NEW(sc->a, struct node);
    if (!n) {
        scanner_nomem(sc);
        return NULL;
    }
    n->kind = NODE_NUMBER;
    n->type = PROMQL_SCALAR;
    n->span = (struct span){ (uint32_t)sc->from, (uint32_t)sc->at };
    n->depth = 1;
    n->number.is_duration = true;
    n->number.value = minus ? -v : v;
    scanner_next(sc);
    return n;
}

/* [5m] offset 1h, when it stands here and did not before. */
static int parse_brackets(struct scanner *sc, struct log_range *r)
{
    if (!scanner_symbol(sc, "[") || r->range)
        return 0;
    scanner_next(sc);
    r->range = parse_duration_token(sc, false);
    if (!r->range || scanner_expect(sc, "]") < 0)
        return ERR_PARSE;
    if (!scanner_word(sc, "offset"))
        return 0;
    scanner_next(sc);
    r->offset = parse_duration_token(sc, true);
    return r->offset ? 0 : ERR_PARSE;
}

/* unwrap label, unwrap duration(label), unwrap bytes(label) */
static int parse_unwrap(struct scanner *sc, struct log_range *r)
{
    static const struct {
        const char *word;
        enum measure measure;
    } conversions[] = { { "duration", MEASURE_DURATION }, { "duration_seconds", MEASURE_DURATION },
                        { "bytes", MEASURE_BYTES } };
    struct scanner ahead = *sc;
    bool converts = false;
    int rc;

    scanner_next(&ahead);
    for (size_t i = 0; i < sizeof(conversions) / sizeof(conversions[0]) && scanner_symbol(&ahead, "("); i++)
        if (scanner_word(sc, conversions[i].word)) {
            converts = true;
            r->conversion = conversions[i].measure;
        }
    if (converts) {
        scanner_next(sc);
        scanner_next(sc);
    }
    if (sc->kind != SCAN_WORD)
        return scanner_unexpected(sc, "IDENTIFIER");
    r->counted = COUNT_VALUES;
    rc = scanner_label(sc, sc->token, &r->unwrapped);
    scanner_next(sc);
    return rc == 0 && converts ? scanner_expect(sc, ")") : rc;
}

/* Behind an unwrap stand label filters only. */
static int parse_filters(struct scanner *sc, struct log_range *r, struct stage **stages, size_t *cap)
{
    size_t at = sc->from;
    int rc = parse_stages(sc, stages, &r->query.nstages, cap);

    for (size_t i = r->before; rc == 0 && i < r->query.nstages; i++)
        if ((*stages)[i].kind != STAGE_LABEL)
            rc = scanner_fail(sc, at, "syntax error: only label filters may stand behind unwrap");
    return rc;
}

static int parse_log_range(struct scanner *sc, struct log_range *r)
{
    struct stage *stages = NULL;
    size_t cap = 0, parentheses = 0;
    int rc;

    for (; scanner_symbol(sc, "("); parentheses++)
        scanner_next(sc);
    rc = parse_streams(sc, &r->query);
    if (rc == 0)
        rc = parse_brackets(sc, r);
    if (rc == 0)
        rc = parse_stages(sc, &stages, &r->query.nstages, &cap);
    r->before = r->query.nstages;
    if (rc == 0 && at_unwrap(sc)) {
        scanner_next(sc);
        scanner_next(sc);
        rc = parse_unwrap(sc, r);
        if (rc == 0)
            rc = parse_filters(sc, r, &stages, &cap);
    }
    if (rc == 0)
        rc = parse_brackets(sc, r);
    while (rc == 0 && parentheses--) {
        rc = scanner_expect(sc, ")");
        if (rc == 0)
            rc = parse_brackets(sc, r);
    }
    r->query.stages = stages;
    return rc == 0 && !r->range ? scanner_unexpected(sc, "a range, as in [5m]") : rc;
}

static int parse_grouping(struct scanner *sc, struct log_range *r)
{
    struct str *list = NULL;
    size_t cap = 0;

    r->without = scanner_word(sc, "without");
    if (!r->without && !scanner_word(sc, "by"))
        return 0;
    r->grouped = true;
    scanner_next(sc);
    if (scanner_expect(sc, "(") < 0)
        return ERR_PARSE;
    while (!scanner_symbol(sc, ")")) {
        if (sc->kind != SCAN_WORD)
            return scanner_unexpected(sc, "IDENTIFIER or )");
        if (arena_grow(sc->a, &list, &cap, r->n + 1, sizeof(*list)) < 0)
            return scanner_nomem(sc);
        list[r->n++] = sc->token;
        scanner_next(sc);
        if (!scanner_symbol(sc, ","))
            break;
        scanner_next(sc);
    }
    r->labels = list;
    return scanner_expect(sc, ")");
}

/* What this function may have of an unwrap and of a grouping. */
static int check_range(struct scanner *sc, size_t at, const struct range_function *f, const struct log_range *r)
{
    bool unwraps = r->counted == COUNT_VALUES;

    if (unwraps && f->unwraps == UNWRAPS_NOT)
        return scanner_fail(sc, at, "invalid aggregation %.*s with unwrap", STR_ARG(f->fn.name));
    if (!unwraps && f->unwraps == UNWRAPS_ALWAYS)
        return scanner_fail(sc, at, "invalid aggregation %.*s without unwrap", STR_ARG(f->fn.name));
    if (r->grouped && !f->groups)
        return scanner_fail(sc, at, "grouping not allowed for %.*s aggregation", STR_ARG(f->fn.name));
    return 0;
}

/* The number before the range: quantile_over_time's. */
static struct node *parse_number_argument(struct metric_parser *mp, struct scanner *sc)
{
    struct node *n = parser_node(&mp->ps, NODE_NUMBER, (uint32_t)sc->from);

    if (!n)
        return NULL;
    if (sc->kind != SCAN_NUMBER || !num_double(sc->token, &n->number.value)) {
        scanner_unexpected(sc, "NUMBER");
        return NULL;
    }
    n->type = PROMQL_SCALAR;
    n->span.to = (uint32_t)sc->at;
    n->depth = 1;
    scanner_next(sc);
    return scanner_expect(sc, ",") == 0 ? n : NULL;
}

static struct node *derived_node(struct metric_parser *mp, const struct scanner *sc, const struct log_range *r,
                                 uint32_t from)
{
    struct node *n = parser_node(&mp->ps, NODE_DERIVED, from);

    if (!n)
        return NULL;
    n->type = PROMQL_MATRIX;
    n->span.to = (uint32_t)sc->last;
    n->depth = 1;
    n->derived = (struct derived){ log_samples_open, r, r->query.matchers, r->query.nmatchers };
    return n;
}

static struct log_range *new_range(struct metric_parser *mp, const struct range_function *f)
{
    struct log_range *r = ARENA_NEW(mp->ps.a, struct log_range);

    if (!r || arena_grow(mp->ps.a, &mp->ranges, &mp->cap, mp->n + 1, sizeof(struct log_range *)) < 0) {
        parser_nomem(&mp->ps);
        return NULL;
    }
    mp->ranges[mp->n++] = r;
    r->counted = f->counted == COUNT_VALUES ? COUNT_LINES : f->counted;
    r->fold = f->fold;
    return r;
}

/* name( [number,] range ) [by (…)]: sc stands behind the name. */
static int parse_range_call(struct metric_parser *mp, struct scanner *sc, const struct range_function *f,
                            struct node *call)
{
    const struct node **args = arena_array(sc->a, 2, sizeof(const struct node *));
    struct log_range *r = new_range(mp, f);
    uint32_t from;
    int rc;

    if (!args || !r)
        return scanner_nomem(sc);
    call->call.args = args;
    if (scanner_expect(sc, "(") < 0)
        return ERR_PARSE;
    if (f->fn.nargs == 2 && !(args[call->call.n++] = parse_number_argument(mp, sc)))
        return ERR_PARSE;
    from = (uint32_t)sc->from;
    rc = parse_log_range(sc, r);
    if (rc == 0 && !(args[call->call.n++] = derived_node(mp, sc, r, from)))
        return ERR_NOMEM;
    if (rc == 0)
        rc = scanner_expect(sc, ")");
    if (rc == 0)
        rc = parse_grouping(sc, r);
    if (rc == 0)
        rc = check_range(sc, call->span.from, f, r);
    r->query.names = sc->names;
    r->query.nnames = sc->nnames;
    return rc;
}

static struct node *parse(struct parser *ps)
{
    struct metric_parser *mp = (struct metric_parser *)ps;
    const struct range_function *f = range_function(ps->cur.text);
    struct scanner sc = { .a = ps->a, .e = ps->e, .text = ps->text };
    struct node *n = parser_node(ps, NODE_CALL, ps->cur.from);

    if (!n)
        return NULL;
    n->call.fn = &f->fn;
    scanner_start(&sc, ps->cur.to);
    if (parse_range_call(mp, &sc, f, n) < 0)
        return NULL;
    parser_skip(ps, sc.last);
    return parser_finish(ps, n, 1);
}

/* What Loki finds about, we know. */
static const struct dialect dialect = { knows, parse, STR_INIT("approx_topk") };

/* --- which labels are asked for ---------------------------------------------------------------------------------- */

/* Names that the nodes on the way up from a range ask for. */
struct wants {
    const struct wants *up;
    const struct str *names;
    size_t n;
};

static int set_wants(struct metric_parser *mp, const struct node *derived, const struct wants *w)
{
    struct str *list = NULL;
    size_t n = 0, cap = 0;

    for (; w; w = w->up)
        for (size_t i = 0; i < w->n; i++) {
            if (arena_grow(mp->ps.a, &list, &cap, n + 1, sizeof(*list)) < 0)
                return parser_nomem(&mp->ps);
            list[n++] = w->names[i];
        }
    for (size_t i = 0; i < mp->n; i++)
        if (mp->ranges[i] == derived->derived.what) {
            mp->ranges[i]->wanted = list;
            mp->ranges[i]->nwanted = n;
        }
    return 0;
}

static bool keeps_labels(enum aggregate_op op)
{
    return op == AGG_TOPK || op == AGG_BOTTOMK || op == AGG_LIMITK || op == AGG_LIMIT_RATIO;
}

/* sum by (…) straight around a function that adds up: nothing else is needed of its series. */
static void mark_sums(struct metric_parser *mp, const struct aggregate *agg)
{
    const struct node *call = node_strip(agg->arg), *arg;

    if (agg->op != AGG_SUM || agg->without || call->kind != NODE_CALL || call->call.n == 0)
        return;
    arg = call->call.args[0];
    for (size_t i = 0; arg->kind == NODE_DERIVED && i < mp->n; i++)
        if (mp->ranges[i] == arg->derived.what)
            mp->ranges[i]->sums_only = mp->ranges[i]->fold == FOLD_SUM && call->call.fn->kind == FUNCTION_WINDOW;
}

static int find_wants(struct metric_parser *mp, const struct node *n, const struct wants *w);

static int call_wants(struct metric_parser *mp, const struct call *c, const struct wants *w)
{
    struct wants own[FUNCTION_MAX_ARGS];
    int rc = 0;

    for (size_t i = 0; i < c->n && i < FUNCTION_MAX_ARGS; i++) /* label_replace names labels in its strings */
        if (node_strip(c->args[i])->kind == NODE_STRING) {
            own[i] = (struct wants){ w, &node_strip(c->args[i])->string, 1 };
            w = &own[i];
        }
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        rc = find_wants(mp, c->args[i], w);
    return rc;
}

static int binary_wants(struct metric_parser *mp, const struct binary *b, const struct wants *w)
{
    struct wants on = { w, b->matching.labels, b->matching.on ? b->matching.n : 0 };
    struct wants include = { &on, b->matching.include, b->matching.ninclude };
    int rc = find_wants(mp, b->l, &include);

    return rc < 0 ? rc : find_wants(mp, b->r, &include);
}

static int find_wants(struct metric_parser *mp, const struct node *n, const struct wants *w)
{
    struct wants own;

    switch (n->kind) {
    case NODE_DERIVED:
        return set_wants(mp, n, w);
    case NODE_PAREN:
        return find_wants(mp, n->paren, w);
    case NODE_UNARY:
        return find_wants(mp, n->unary.inner, w);
    case NODE_BINARY:
        return binary_wants(mp, &n->binary, w);
    case NODE_CALL:
        return call_wants(mp, &n->call, w);
    case NODE_AGGREGATE:
        mark_sums(mp, &n->aggregate);
        own = (struct wants){ n->aggregate.without || keeps_labels(n->aggregate.op) ? w : NULL, n->aggregate.labels,
                              n->aggregate.without ? 0 : n->aggregate.n };
        return find_wants(mp, n->aggregate.arg, &own);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_SELECTOR:
    case NODE_SUBQUERY:
        break;
    }
    return 0;
}

/* PromQL's parser says where as "1:5: parse error: …". */
static int reword(struct err *e)
{
    unsigned line, column;
    int n = 0;
    struct err said = *e;

    if (sscanf(said.msg, "%u:%u: parse error: %n", &line, &column, &n) == 2 && n > 0)
        err_set(e, said.code, "parse error at line %u, col %u: %.400s", line, column, said.msg + n);
    return said.code;
}

int parse_metric(struct arena *a, struct logql_expr *x, struct err *e)
{
    struct metric_parser mp = { .ps = { .dialect = &dialect, .a = a, .text = x->metric.text, .e = e } };
    int rc;

    x->metric.root = parse_all(&mp.ps);
    if (!x->metric.root)
        return reword(e);
    rc = find_wants(&mp, x->metric.root, NULL);
    x->ranges = (const struct log_range *const *)mp.ranges;
    x->nranges = mp.n;
    return rc;
}

/* --- counting what a query of lines lets through ------------------------------------------------------------------ */

int log_count_expr(struct arena *a, const struct log_query *q, int64_t range_ms, const struct str *by, size_t nby,
                   bool bytes, struct promql_expr *out)
{
    const struct range_function *f = range_function(bytes ? STR("bytes_over_time") : STR("count_over_time"));
    struct node *duration = ARENA_NEW(a, struct node), *derived = ARENA_NEW(a, struct node);
    struct node *call = ARENA_NEW(a, struct node);
    const struct node **args = arena_array(a, 1, sizeof(const struct node *));
    struct log_range *r = ARENA_NEW(a, struct log_range);

    if (!duration || !derived || !call || !args || !r)
        return ERR_NOMEM;
    *duration = (struct node){ .kind = NODE_NUMBER, .type = PROMQL_SCALAR,
                               .number = { (double)range_ms / 1000, true } };
    *r = (struct log_range){ .query = *q, .counted = f->counted, .fold = f->fold, .before = q->nstages,
                             .range = duration, .grouped = nby > 0, .labels = by, .n = nby };
    *derived = (struct node){ .kind = NODE_DERIVED, .type = PROMQL_MATRIX,
                              .derived = { log_samples_open, r, q->matchers, q->nmatchers } };
    args[0] = derived;
    *call = (struct node){ .kind = NODE_CALL, .type = PROMQL_VECTOR, .call = { &f->fn, args, 1 } };
    *out = (struct promql_expr){ STR(""), call };
    return 0;
}
