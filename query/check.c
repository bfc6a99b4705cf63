/* check.c: types and their rules. The tree is walked when the whole text is parsed, so that what cannot be read is told
 * before what makes no sense; operands come before what they stand in. */
#include "query/function-internal.h"

#include <stdio.h>

const char *type_name(enum promql_type t)
{
    switch (t) {
    case PROMQL_SCALAR:
        return "scalar";
    case PROMQL_STRING:
        return "string";
    case PROMQL_VECTOR:
        return "instant vector";
    case PROMQL_MATRIX:
        return "range vector";
    }
    return "unknown";
}

const struct node *node_strip(const struct node *n)
{
    while (n->kind == NODE_PAREN)
        n = n->paren;
    return n;
}

static int expect_type(const struct node *n, enum promql_type want, const char *where, struct str text, struct err *e)
{
    int rc = node_check(n, text, e);

    if (rc < 0 || n->type == want)
        return rc;
    return parse_error(e, text, n->span.from, "expected type %s in %s, got %s", type_name(want), where,
                       type_name(n->type));
}

static int check_selector(const struct node *n, struct str text, struct err *e)
{
    const struct selector *s = &n->selector;

    for (size_t i = 1; s->name.n && i < s->n; i++)
        if (str_eq(s->matchers[i].name, STR("__name__")))
            return parse_error(e, text, n->span.from, "metric name must not be set twice: \"%.*s\" or \"%.*s\"",
                               STR_ARG(s->name), STR_ARG(s->matchers[i].value));
    if (s->name.n || s->labels_only)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (!matcher_match(&s->matchers[i], STR_NULL))
            return 0;
    return parse_error(e, text, n->span.from, "vector selector must contain at least one non-empty matcher");
}

static int check_subquery(const struct node *n, struct str text, struct err *e)
{
    static const char *const names[] = { [PROMQL_SCALAR] = "scalar", [PROMQL_STRING] = "string",
                                         [PROMQL_VECTOR] = "vector", [PROMQL_MATRIX] = "matrix" };
    int rc = node_check(n->subquery.inner, text, e);

    if (rc < 0 || n->subquery.inner->type == PROMQL_VECTOR)
        return rc;
    return parse_error(e, text, n->span.from, "subquery is only allowed on instant vector, got %s instead",
                       names[n->subquery.inner->type]);
}

static int check_count(const struct node *n, struct str text, struct err *e)
{
    const struct function *fn = n->call.fn;
    size_t want = n->call.n < fn->min ? fn->min : fn->max;

    if (n->call.n >= fn->min && (fn->max == FUNCTION_ANY || n->call.n <= fn->max))
        return 0;
    return parse_error(e, text, n->span.from, "expected %s%zu argument(s) in call to \"%.*s\", got %zu",
                       fn->min == fn->max  ? ""
                       : n->call.n < fn->min ? "at least "
                                             : "at most ",
                       want, STR_ARG(fn->name), n->call.n);
}

/* info()'s second argument. */
static int check_labels(const struct node *call, struct str text, struct err *e)
{
    const struct node *arg = call->call.args[1];

    if (arg->type != PROMQL_VECTOR)
        return parse_error(e, text, call->span.from, "expected type %s in call to function \"%.*s\", got %s",
                           type_name(PROMQL_VECTOR), STR_ARG(call->call.fn->name), type_name(arg->type));
    if (arg->kind == NODE_SELECTOR && arg->selector.name.n == 0)
        return 0;
    return parse_error(e, text, arg->span.from, "expected label selectors only%s",
                       arg->kind == NODE_SELECTOR ? ", got vector selector instead" : "");
}

static int check_call(const struct node *n, struct str text, struct err *e)
{
    const struct function *fn = n->call.fn;
    char where[80];
    int rc = check_count(n, text, e);

    if (rc == 0 && fn->selects_labels && n->call.n > 1)
        rc = check_labels(n, text, e);
    snprintf(where, sizeof(where), "call to function \"%.*s\"", STR_ARG(fn->name));
    for (size_t i = 0; rc == 0 && i < n->call.n; i++)
        rc = expect_type(n->call.args[i], fn->args[i < fn->nargs ? i : fn->nargs - 1u], where, text, e);
    return rc;
}

static int check_aggregate(const struct node *n, struct str text, struct err *e)
{
    const struct aggregate *agg = &n->aggregate;
    int rc = expect_type(agg->arg, PROMQL_VECTOR, "aggregation expression", text, e);

    if (rc == 0 && agg->param)
        rc = expect_type(agg->param, aggregates[agg->op].param, "aggregation parameter", text, e);
    return rc;
}

static int check_unary(const struct node *n, struct str text, struct err *e)
{
    int rc = node_check(n->unary.inner, text, e);

    if (rc < 0 || n->type == PROMQL_SCALAR || n->type == PROMQL_VECTOR)
        return rc;
    return parse_error(e, text, n->span.from,
                       "unary expression only allowed on expressions of type scalar or instant vector, got \"%s\"",
                       type_name(n->type));
}

/* Where the operator stands: behind the left operand and blanks. */
static size_t operator_place(const struct node *n, struct str text)
{
    size_t at = n->binary.l->span.to;

    while (at < text.n && (text.p[at] == ' ' || text.p[at] == '\t' || text.p[at] == '\n' || text.p[at] == '\r'))
        at++;
    return at;
}

/* What of a matching makes no sense between these operands. */
static int check_matching(const struct node *n, bool vectors, struct str text, struct err *e)
{
    const struct matching *m = &n->binary.matching;
    const struct binary_op_info *op = &binary_ops[n->binary.op];
    bool fills = m->fills_left || m->fills_right;

    if (m->n && !vectors)
        return parse_error(e, text, n->span.from, "vector matching only allowed between instant vectors");
    if (fills && !vectors)
        return parse_error(e, text, n->span.from, "filling in missing series only allowed between instant vectors");
    if (vectors && op->is_set && m->card != MANY_TO_MANY)
        return parse_error(e, text, n->span.from, "no grouping allowed for \"%.*s\" operation", STR_ARG(op->text));
    if (fills && op->is_set)
        return parse_error(e, text, n->span.from, "filling in missing series not allowed for set operators");
    return 0;
}

static int check_clauses(const struct node *n, struct str text, struct err *e)
{
    const struct matching *m = &n->binary.matching;

    for (size_t i = 0; m->on && i < m->n; i++)
        for (size_t k = 0; k < m->ninclude; k++)
            if (str_eq(m->labels[i], m->include[k]))
                return parse_error(e, text, operator_place(n, text),
                                   "label \"%.*s\" must not occur in ON and GROUP clause at once",
                                   STR_ARG(m->labels[i]));
    return 0;
}

static bool is_operand(const struct node *n)
{
    return n->type == PROMQL_SCALAR || n->type == PROMQL_VECTOR;
}

static int check_binary(const struct node *n, struct str text, struct err *e)
{
    const struct binary *b = &n->binary;
    const struct binary_op_info *op = &binary_ops[b->op];
    bool scalars = b->l->type == PROMQL_SCALAR && b->r->type == PROMQL_SCALAR;
    bool vectors = b->l->type == PROMQL_VECTOR && b->r->type == PROMQL_VECTOR;
    int rc = node_check(b->l, text, e);

    if (rc == 0)
        rc = node_check(b->r, text, e);
    if (rc == 0 && b->returns_bool && !op->is_comparison)
        rc = parse_error(e, text, operator_place(n, text), "bool modifier can only be used on comparison operators");
    if (rc == 0 && op->is_comparison && !b->returns_bool && scalars)
        rc = parse_error(e, text, operator_place(n, text), "comparisons between scalars must use BOOL modifier");
    if (rc == 0)
        rc = check_clauses(n, text, e);
    if (rc == 0 && (!is_operand(b->l) || !is_operand(b->r)))
        rc = parse_error(e, text, (is_operand(b->l) ? b->r : b->l)->span.from,
                         "binary expression must contain only scalar and instant vector types");
    if (rc == 0)
        rc = check_matching(n, vectors, text, e);
    if (rc == 0 && op->is_set && !vectors)
        rc = parse_error(e, text, n->span.from, "set operator \"%.*s\" not allowed in binary scalar expression",
                         STR_ARG(op->text));
    return rc;
}

int node_check(const struct node *n, struct str text, struct err *e)
{
    switch (n->kind) {
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DERIVED:
        return 0;
    case NODE_SELECTOR:
        return check_selector(n, text, e);
    case NODE_SUBQUERY:
        return check_subquery(n, text, e);
    case NODE_CALL:
        return check_call(n, text, e);
    case NODE_AGGREGATE:
        return check_aggregate(n, text, e);
    case NODE_BINARY:
        return check_binary(n, text, e);
    case NODE_UNARY:
        return check_unary(n, text, e);
    case NODE_PAREN:
        return node_check(n->paren, text, e);
    }
    return 0;
}

enum promql_type node_type(const struct node *n)
{
    switch (n->kind) {
    case NODE_NUMBER:
        return PROMQL_SCALAR;
    case NODE_STRING:
        return PROMQL_STRING;
    case NODE_SELECTOR:
        return n->selector.range ? PROMQL_MATRIX : PROMQL_VECTOR;
    case NODE_SUBQUERY:
    case NODE_DERIVED:
        return PROMQL_MATRIX;
    case NODE_CALL:
        return n->call.fn->returns;
    case NODE_AGGREGATE:
        return PROMQL_VECTOR;
    case NODE_BINARY:
        return n->binary.l->type == PROMQL_VECTOR || n->binary.r->type == PROMQL_VECTOR ? PROMQL_VECTOR : PROMQL_SCALAR;
    case NODE_UNARY:
        return n->unary.inner->type;
    case NODE_PAREN:
        return n->paren->type;
    }
    return PROMQL_SCALAR;
}
