/* parser_duration.c: durations of ranges, steps and offsets: arithmetic on literals, step() and range().
 *
 * They are ordinary nodes, so they print and evaluate as any number; only what may stand in them is less. */
#include "query/parser-internal.h"

#include "query/function-internal.h"

static struct node *parse_terms(struct parser *ps, int floor);

static const struct function *duration_function(const struct parser *ps)
{
    const struct function *fn = ps->cur.kind == T_IDENT ? function_find(ps->cur.text) : NULL;

    return fn && fn->in_durations ? fn : NULL;
}

static struct node *parse_duration_call(struct parser *ps, const struct function *fn)
{
    struct node *n = parser_node(ps, NODE_CALL, ps->cur.from);
    const struct node **args = arena_array(ps->a, 2, sizeof(*args));
    int depth = 0;

    if (!n || !args) {
        parser_nomem(ps);
        return NULL;
    }
    n->call.fn = fn;
    n->call.args = args;
    parser_advance(ps);
    if (parser_expect(ps, T_LPAREN, ps->context, ps->expected) < 0)
        return NULL;
    for (; n->call.n < fn->nargs; n->call.n++) {
        if (n->call.n && parser_expect(ps, T_COMMA, ps->context, ps->expected) < 0)
            return NULL;
        args[n->call.n] = parse_terms(ps, 0);
        if (!args[n->call.n])
            return NULL;
        depth = args[n->call.n]->depth > depth ? args[n->call.n]->depth : depth;
    }
    if (parser_expect(ps, T_RPAREN, ps->context, ps->expected) < 0)
        return NULL;
    return parser_finish(ps, n, depth);
}

static struct node *parse_duration_operand(struct parser *ps)
{
    const struct function *fn = duration_function(ps);
    struct node *n;

    if (ps->cur.kind == T_NUMBER || ps->cur.kind == T_DURATION)
        return parse_number(ps);
    if (fn)
        return parse_duration_call(ps, fn);
    if (ps->cur.kind != T_LPAREN) {
        parser_unexpected(ps, ps->context, ps->expected);
        return NULL;
    }
    n = parser_node(ps, NODE_PAREN, ps->cur.from);
    if (!n)
        return NULL;
    parser_advance(ps);
    n->paren = parse_terms(ps, 0);
    if (!n->paren || parser_expect(ps, T_RPAREN, ps->context, ps->expected) < 0)
        return NULL;
    return parser_finish(ps, n, n->paren->depth);
}

/* `power` binds tighter than the sign where a whole expression may stand, and not at all behind `offset`. */
static struct node *parse_signed(struct parser *ps, bool power)
{
    bool minus = ps->cur.op == OP_SUB;
    uint32_t from = ps->cur.from;
    struct node *inner;

    if (ps->cur.kind != T_OP || (!minus && ps->cur.op != OP_ADD))
        return parse_duration_operand(ps);
    parser_advance(ps);
    inner = power ? parse_terms(ps, binary_ops[OP_POW].precedence) : parse_duration_operand(ps);
    return parser_signed(ps, inner, minus, from);
}

static struct node *parse_terms(struct parser *ps, int floor)
{
    struct node *l, *n;

    if (++ps->depth > AST_MAX_DEPTH) {
        parse_error(ps->e, ps->text, ps->cur.from, "expression nested too deeply, at most %d levels", AST_MAX_DEPTH);
        return NULL;
    }
    l = parse_signed(ps, true);
    while (l && ps->cur.kind == T_OP && ps->cur.op >= OP_ADD && binary_ops[ps->cur.op].precedence >= floor) {
        enum binary_op op = (enum binary_op)ps->cur.op;
        uint32_t at = ps->cur.from;

        n = parser_node(ps, NODE_BINARY, l->span.from);
        if (!n)
            return NULL;
        parser_advance(ps);
        n->binary.op = op;
        n->binary.l = l;
        n->binary.r = parse_terms(ps, binary_ops[op].precedence + (op != OP_POW));
        if (!n->binary.r)
            return NULL;
        if ((op == OP_DIV || op == OP_MOD) && n->binary.r->kind == NODE_NUMBER && n->binary.r->number.value == 0) {
            parse_error(ps->e, ps->text, at, op == OP_DIV ? "division by zero" : "modulo by zero");
            return NULL;
        }
        l = parser_finish(ps, n, l->depth > n->binary.r->depth ? l->depth : n->binary.r->depth);
    }
    ps->depth--;
    return l;
}

struct node *parse_duration(struct parser *ps, const char *context, const char *expected)
{
    struct node *n;

    ps->context = context;
    ps->expected = expected;
    n = parse_terms(ps, 0);

    if (n && n->kind == NODE_NUMBER && !(n->number.value > 0)) {
        parse_error(ps->e, ps->text, n->span.from, "duration must be greater than 0");
        return NULL;
    }
    return n;
}

struct node *parse_offset_duration(struct parser *ps)
{
    ps->context = "offset";
    ps->expected = "number, duration, step(), or range()";
    return parse_signed(ps, false);
}
