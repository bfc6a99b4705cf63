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
    if (n->type == want)
        return 0;
    return parse_error(e, text, n->span.from, "expected type %s in %s, got %s", type_name(want), where,
                       type_name(n->type));
}

static int check_selector(struct node *n, struct str text, struct err *e)
{
    const struct selector *s = &n->selector;

    n->type = s->range ? PROMQL_MATRIX : PROMQL_VECTOR;
    if (s->labels_only)
        return 0;
    for (size_t i = 0; i < s->n; i++)
        if (!matcher_match(&s->matchers[i], STR_NULL))
            return 0;
    return parse_error(e, text, n->span.from, "vector selector must contain at least one non-empty matcher");
}

static int check_subquery(struct node *n, struct str text, struct err *e)
{
    n->type = PROMQL_MATRIX;
    if (n->subquery.inner->type != PROMQL_VECTOR)
        return parse_error(e, text, n->span.from, "subquery is only allowed on instant vector, got %s instead",
                           type_name(n->subquery.inner->type));
    return 0;
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

static int check_call(struct node *n, struct str text, struct err *e)
{
    const struct function *fn = n->call.fn;
    char where[80];

    n->type = fn->returns;
    snprintf(where, sizeof(where), "call to function \"%.*s\"", STR_ARG(fn->name));
    if (check_count(n, text, e) < 0)
        return ERR_PARSE;
    for (size_t i = 0; i < n->call.n; i++) {
        enum promql_type want = fn->args[i < fn->nargs ? i : fn->nargs - 1u];

        if (expect_type(n->call.args[i], want, where, text, e) < 0)
            return ERR_PARSE;
        if (i == 1 && fn->selects_labels &&
            (n->call.args[i]->kind != NODE_SELECTOR || n->call.args[i]->selector.name.n))
            return parse_error(e, text, n->call.args[i]->span.from,
                               "expected label selectors only, got vector selector instead");
    }
    return 0;
}

static int check_aggregate(struct node *n, struct str text, struct err *e)
{
    const struct aggregate *agg = &n->aggregate;

    n->type = PROMQL_VECTOR;
    if (expect_type(agg->arg, PROMQL_VECTOR, "aggregation expression", text, e) < 0)
        return ERR_PARSE;
    return agg->param ? expect_type(agg->param, aggregates[agg->op].param, "aggregation parameter", text, e) : 0;
}

static int check_unary(struct node *n, struct str text, struct err *e)
{
    n->type = n->unary.inner->type;
    if (n->type == PROMQL_SCALAR || n->type == PROMQL_VECTOR)
        return 0;
    return parse_error(e, text, n->span.from,
                       "unary expression only allowed on expressions of type scalar or instant vector, got \"%s\"",
                       type_name(n->type));
}

/* What of a matching makes no sense between these operands. */
static int check_matching(const struct node *n, bool vectors, struct str text, struct err *e)
{
    const struct matching *m = &n->binary.matching;
    const struct binary_op_info *op = &binary_ops[n->binary.op];

    if ((m->written || m->fills_left || m->fills_right) && !vectors)
        return parse_error(e, text, n->span.from, "vector matching only allowed between instant vectors");
    if ((m->fills_left || m->fills_right) && op->is_set)
        return parse_error(e, text, n->span.from, "filling in missing series not allowed for set operators");
    for (size_t i = 0; m->on && i < m->n; i++)
        for (size_t k = 0; k < m->ninclude; k++)
            if (str_eq(m->labels[i], m->include[k]))
                return parse_error(e, text, n->span.from,
                                   "label \"%.*s\" must not occur in ON and GROUP clause at once",
                                   STR_ARG(m->labels[i]));
    return 0;
}

static int check_binary(struct node *n, struct str text, struct err *e)
{
    const struct binary *b = &n->binary;
    const struct binary_op_info *op = &binary_ops[b->op];
    bool lv = b->l->type == PROMQL_VECTOR, rv = b->r->type == PROMQL_VECTOR;

    n->type = lv || rv ? PROMQL_VECTOR : PROMQL_SCALAR;
    if (b->returns_bool && !op->is_comparison)
        return parse_error(e, text, n->span.from, "bool modifier can only be used on comparison operators");
    if ((!lv && b->l->type != PROMQL_SCALAR) || (!rv && b->r->type != PROMQL_SCALAR))
        return parse_error(e, text, (!lv && b->l->type != PROMQL_SCALAR ? b->l : b->r)->span.from,
                           "binary expression must contain only scalar and instant vector types");
    if (op->is_comparison && !b->returns_bool && !lv && !rv)
        return parse_error(e, text, n->span.from, "comparisons between scalars must use BOOL modifier");
    if (op->is_set && !(lv && rv))
        return parse_error(e, text, n->span.from, "set operator \"%.*s\" not allowed in binary scalar expression",
                           STR_ARG(op->text));
    return check_matching(n, lv && rv, text, e);
}

int node_check(struct node *n, struct str text, struct err *e)
{
    switch (n->kind) {
    case NODE_NUMBER:
        n->type = PROMQL_SCALAR;
        return 0;
    case NODE_STRING:
        n->type = PROMQL_STRING;
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
        n->type = n->paren->type;
        return 0;
    }
    return 0;
}
