/* parser.c: PromQL's grammar by recursive descent; operators by precedence climbing.
 *
 * Words are keywords only where the grammar has a place for them, so `sum`, `offset` or `by` may name metrics and
 * labels, as in Prometheus. Types are checked when all is read (check.c); the first error found is the one told. */
#include "query/parser-internal.h"

#include "query/function-internal.h"

#include "base/clock.h"

/* --- operands ---------------------------------------------------------------------------------------------------- */

struct node *parse_number(struct parser *ps)
{
    struct node *n = parser_node(ps, NODE_NUMBER, ps->cur.from);
    int64_t ms;

    if (!n)
        return NULL;
    if (ps->cur.kind == T_DURATION) {
        struct err why = ERR_INIT;

        if (duration_parse(ps->cur.text, &ms, &why) < 0) {
            parse_error(ps->e, ps->text, ps->cur.from, "%s",
                        why.code == ERR_RANGE ? "duration out of range" : why.msg);
            return NULL;
        }
        n->number.is_duration = true;
        n->number.value = (double)ms / 1000;
    } else if (!literal_number(ps->cur.text, &n->number.value)) {
        parse_error(ps->e, ps->text, ps->cur.from, "error parsing number: \"%.*s\"", STR_ARG(ps->cur.text));
        return NULL;
    }
    parser_advance(ps);
    return parser_finish(ps, n, 0);
}

static struct node *parse_string(struct parser *ps)
{
    struct node *n = parser_node(ps, NODE_STRING, ps->cur.from);
    const char *why;

    if (!n)
        return NULL;
    n->string = literal_string(ps->a, ps->cur.text, &why);
    if (!n->string.p) {
        parse_error(ps->e, ps->text, ps->cur.from, "%s", why);
        return NULL;
    }
    parser_advance(ps);
    return parser_finish(ps, n, 0);
}

static struct node *parse_paren(struct parser *ps)
{
    struct node *n = parser_node(ps, NODE_PAREN, ps->cur.from);

    if (!n)
        return NULL;
    parser_advance(ps);
    n->paren = parse_expression(ps);
    if (!n->paren || parser_expect(ps, T_RPAREN, "parenthesized expression", "\")\"") < 0)
        return NULL;
    return parser_finish(ps, n, n->paren->depth);
}

int parse_label_list(struct parser *ps, const char *context, const struct str **labels, size_t *n)
{
    struct str *list = NULL;
    size_t cap = 0;
    const char *why;

    *n = 0;
    if (parser_expect(ps, T_LPAREN, context, "\"(\"") < 0)
        return ERR_PARSE;
    while (ps->cur.kind != T_RPAREN) {
        struct str name = ps->cur.text;

        if (ps->cur.kind != T_IDENT && ps->cur.kind != T_STRING)
            return parser_unexpected(ps, context, "label");
        if (ps->cur.kind == T_STRING)
            name = literal_string(ps->a, name, &why);
        if (!name.p)
            return parse_error(ps->e, ps->text, ps->cur.from, "error unquoting string %.*s: %s", STR_ARG(ps->cur.text),
                               why);
        if (name.n == 0 || !str_is_utf8(name))
            return parse_error(ps->e, ps->text, ps->cur.from, "invalid label name for grouping: \"%.*s\"", STR_ARG(name));
        if (arena_grow(ps->a, &list, &cap, *n + 1, sizeof(*list)) < 0)
            return parser_nomem(ps);
        list[(*n)++] = name;
        parser_advance(ps);
        if (ps->cur.kind != T_COMMA)
            break;
        parser_advance(ps);
    }
    *labels = list;
    return parser_expect(ps, T_RPAREN, context, "\",\" or \")\"");
}

static struct node *parse_argument(struct parser *ps, bool labels_only)
{
    bool before = ps->labels_only;
    struct node *n;

    ps->labels_only = labels_only;
    n = parse_expression(ps);
    ps->labels_only = before;
    return n;
}

/* The arguments in their parentheses; fn is NULL for an aggregation. Returns how deep they are, or ERR_*. */
static int parse_arguments(struct parser *ps, const struct function *fn, const char *context,
                           const struct node ***args, size_t *n)
{
    const struct node **list = NULL;
    size_t cap = 0, comma;
    int depth = 0;

    *n = 0;
    if (parser_expect(ps, T_LPAREN, context, "\"(\"") < 0)
        return ERR_PARSE;
    while (ps->cur.kind != T_RPAREN) {
        struct node *arg = parse_argument(ps, fn && fn->selects_labels && *n == 1);

        if (!arg || arena_grow(ps->a, &list, &cap, *n + 1, sizeof(*list)) < 0)
            return arg ? parser_nomem(ps) : ERR_PARSE;
        list[(*n)++] = arg;
        if (arg->depth > depth)
            depth = arg->depth;
        if (ps->cur.kind != T_COMMA)
            break;
        comma = ps->cur.from;
        parser_advance(ps);
        if (ps->cur.kind == T_RPAREN)
            return parse_error(ps->e, ps->text, comma, "trailing commas not allowed in function call args");
    }
    *args = list;
    return parser_expect(ps, T_RPAREN, context, "\",\" or \")\"") < 0 ? ERR_PARSE : depth;
}

/* Functions of ranges are the dialect's own. */
static bool takes_range(const struct function *fn)
{
    for (size_t i = 0; i < fn->nargs; i++)
        if (fn->args[i] == PROMQL_MATRIX)
            return true;
    return fn->selects_labels;
}

static struct node *parse_call(struct parser *ps)
{
    struct node *n = parser_node(ps, NODE_CALL, ps->cur.from);
    int depth;

    if (!n)
        return NULL;
    n->call.fn = function_find(ps->cur.text);
    if (!n->call.fn || (ps->dialect && takes_range(n->call.fn))) {
        parse_error(ps->e, ps->text, ps->cur.from, "unknown function with name \"%.*s\"", STR_ARG(ps->cur.text));
        return NULL;
    }
    parser_advance(ps);
    depth = parse_arguments(ps, n->call.fn, "function call", &n->call.args, &n->call.n);
    return depth < 0 ? NULL : parser_finish(ps, n, depth);
}

/* A dialect may have names of its own. */
static int aggregate_at(const struct parser *ps, struct str word)
{
    if (ps->dialect && str_ieq(word, ps->dialect->topk))
        return AGG_TOPK;
    for (int i = 0; i < AGG_COUNT_OPS; i++)
        if (str_ieq(word, aggregates[i].name))
            return i;
    return -1;
}

/* by (…) or without (…), when it is there and was not before. */
static int parse_grouping(struct parser *ps, struct aggregate *agg)
{
    bool without = parser_at_word(ps, "without");

    if (agg->grouped || (!without && !parser_at_word(ps, "by")))
        return 0;
    agg->grouped = true;
    agg->without = without;
    parser_advance(ps);
    return parse_label_list(ps, "grouping opts", &agg->labels, &agg->n);
}

static int set_arguments(struct parser *ps, struct node *n, const struct node **args, size_t count)
{
    const struct aggregate_info *info = &aggregates[n->aggregate.op];
    size_t want = info->has_param ? 2 : 1;

    if (count == 0)
        return parse_error(ps->e, ps->text, n->span.from, "no arguments for aggregate expression provided");
    if (count != want)
        return parse_error(ps->e, ps->text, n->span.from,
                           "wrong number of arguments for aggregate expression provided, expected %zu, got %zu", want,
                           count);
    n->aggregate.arg = args[count - 1];
    n->aggregate.param = info->has_param ? args[0] : NULL;
    return 0;
}

static struct node *parse_aggregate(struct parser *ps, enum aggregate_op op)
{
    struct node *n = parser_node(ps, NODE_AGGREGATE, ps->cur.from);
    const struct node **args;
    size_t count;
    int depth;

    if (!n)
        return NULL;
    n->aggregate.op = op;
    parser_advance(ps);
    if (parse_grouping(ps, &n->aggregate) < 0)
        return NULL;
    depth = parse_arguments(ps, NULL, "aggregation", &args, &count);
    if (depth < 0 || parse_grouping(ps, &n->aggregate) < 0 || set_arguments(ps, n, args, count) < 0)
        return NULL;
    return parser_finish(ps, n, depth);
}

static struct node *parse_word(struct parser *ps)
{
    struct token next = parser_peek(ps);
    int agg = aggregate_at(ps, ps->cur.text);
    static const char *const never[] = { "on", "ignoring", "group_left", "group_right", "bool" };

    if (str_ieq(ps->cur.text, STR("inf")) || str_ieq(ps->cur.text, STR("nan")))
        return parse_number(ps);
    if (agg >= 0 && (next.kind == T_LPAREN || (next.kind == T_IDENT && (str_ieq(next.text, STR("by")) ||
                                                                         str_ieq(next.text, STR("without"))))))
        return parse_aggregate(ps, (enum aggregate_op)agg);
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (parser_at_word(ps, never[i])) {
            parser_unexpected(ps, NULL, NULL);
            return NULL;
        }
    if (ps->dialect && next.kind == T_LPAREN && ps->dialect->knows(ps->cur.text))
        return ps->dialect->parse(ps);
    if (ps->dialect && next.kind != T_LPAREN) {
        parser_unexpected(ps, NULL, "an aggregation over log lines, as in rate({app=\"web\"}[5m])");
        return NULL;
    }
    return next.kind == T_LPAREN ? parse_call(ps) : parse_selector(ps);
}

static struct node *parse_operand(struct parser *ps)
{
    switch (ps->cur.kind) {
    case T_NUMBER:
    case T_DURATION:
        return parse_number(ps);
    case T_STRING:
        return parse_string(ps);
    case T_LPAREN:
        return parse_paren(ps);
    case T_LBRACE:
        if (ps->dialect)
            break;
        return parse_selector(ps);
    case T_IDENT:
        return parse_word(ps);
    default:
        break;
    }
    parser_unexpected(ps, NULL, NULL);
    return NULL;
}

/* --- operators --------------------------------------------------------------------------------------------------- */

static struct node *parse_binary(struct parser *ps, int floor);

static struct node *parse_unary(struct parser *ps)
{
    uint32_t from = ps->cur.from;
    bool minus = ps->cur.op == OP_SUB;
    struct node *inner, *n;

    if (ps->cur.kind != T_OP || (!minus && ps->cur.op != OP_ADD)) {
        n = parse_operand(ps);
        return n && !ps->dialect ? parse_postfix(ps, n) : n;
    }
    parser_advance(ps);
    inner = parse_binary(ps, binary_ops[OP_POW].precedence);
    return parser_signed(ps, inner, minus, from);
}

static int operator_at(const struct parser *ps)
{
    if (ps->cur.kind == T_OP)
        return ps->cur.op;
    for (int i = 0; ps->cur.kind == T_IDENT && i < OP_COUNT; i++)
        if (binary_ops[i].is_word && str_ieq(ps->cur.text, binary_ops[i].text))
            return i;
    return -1;
}

/* fill(x), fill_left(x), fill_right(x). */
static int parse_fills(struct parser *ps, struct matching *m)
{
    for (;;) {
        bool left = parser_at_word(ps, "fill_left"), right = parser_at_word(ps, "fill_right");
        bool both = parser_at_word(ps, "fill"), minus;
        double v;

        if ((!left && !right && !both) || parser_peek(ps).kind != T_LPAREN)
            return 0;
        parser_advance(ps);
        parser_advance(ps);
        minus = ps->cur.kind == T_OP && ps->cur.op == OP_SUB;
        if (minus || (ps->cur.kind == T_OP && ps->cur.op == OP_ADD))
            parser_advance(ps);
        if ((ps->cur.kind != T_NUMBER && ps->cur.kind != T_IDENT) || !literal_number(ps->cur.text, &v))
            return parser_unexpected(ps, "fill modifier", "number");
        parser_advance(ps);
        v = minus ? -v : v;
        if (left || both) {
            m->fills_left = true;
            m->fill_left = v;
        }
        if (right || both) {
            m->fills_right = true;
            m->fill_right = v;
        }
        if (parser_expect(ps, T_RPAREN, "fill modifier", "\")\"") < 0)
            return ERR_PARSE;
    }
}

static int parse_modifiers(struct parser *ps, struct binary *b)
{
    struct matching *m = &b->matching;
    bool left;

    if (parser_at_word(ps, "bool")) {
        b->returns_bool = true;
        parser_advance(ps);
    }
    m->card = binary_ops[b->op].is_set ? MANY_TO_MANY : ONE_TO_ONE;
    if (parser_at_word(ps, "on") || parser_at_word(ps, "ignoring")) {
        m->written = true;
        m->on = parser_at_word(ps, "on");
        parser_advance(ps);
        if (parse_label_list(ps, "grouping opts", &m->labels, &m->n) < 0)
            return ERR_PARSE;
        left = parser_at_word(ps, "group_left");
        if (left || parser_at_word(ps, "group_right")) {
            m->card = left ? MANY_TO_ONE : ONE_TO_MANY;
            parser_advance(ps);
            if (ps->cur.kind == T_LPAREN && parse_label_list(ps, "grouping opts", &m->include, &m->ninclude) < 0)
                return ERR_PARSE;
        }
    }
    return parse_fills(ps, m);
}

static struct node *parse_binary(struct parser *ps, int floor)
{
    struct node *l, *n;
    int op;

    if (++ps->depth > AST_MAX_DEPTH) {
        parse_error(ps->e, ps->text, ps->cur.from, "expression nested too deeply, at most %d levels", AST_MAX_DEPTH);
        return NULL;
    }
    l = parse_unary(ps);
    while (l && (op = operator_at(ps)) >= 0 && binary_ops[op].precedence >= floor) {
        n = parser_node(ps, NODE_BINARY, l->span.from);
        if (!n)
            return NULL;
        parser_advance(ps);
        n->binary.op = (enum binary_op)op;
        n->binary.l = l;
        if (parse_modifiers(ps, &n->binary) < 0)
            return NULL;
        n->binary.r = parse_binary(ps, binary_ops[op].precedence + (op != OP_POW));
        if (!n->binary.r)
            return NULL;
        l = parser_finish(ps, n, l->depth > n->binary.r->depth ? l->depth : n->binary.r->depth);
    }
    ps->depth--;
    return l;
}

struct node *parse_expression(struct parser *ps)
{
    return parse_binary(ps, 0);
}

/* --- the face ---------------------------------------------------------------------------------------------------- */

struct node *parse_all(struct parser *ps)
{
    struct node *root;

    lexer_init(&ps->lx, ps->text);
    parser_advance(ps);
    root = parse_expression(ps);
    if (root && ps->cur.kind != T_EOF) {
        parser_unexpected(ps, NULL, NULL);
        return NULL;
    }
    return root && node_check(root, ps->text, ps->e) == 0 ? root : NULL;
}

struct promql_expr *promql_parse(struct arena *a, struct str text, struct err *e)
{
    struct parser ps = { .a = a, .e = e };
    struct promql_expr *x = ARENA_NEW(a, struct promql_expr);

    if (text.n > AST_MAX_TEXT) {
        err_set(e, ERR_PARSE, "1:1: parse error: query of %zu bytes is too long, at most %d", text.n, AST_MAX_TEXT);
        return NULL;
    }
    if (!x || !(x->text = arena_str(a, text)).p) {
        parser_nomem(&ps);
        return NULL;
    }
    ps.text = x->text;
    lexer_init(&ps.lx, x->text);
    if (lexer_next(&ps.lx).kind == T_EOF) {
        err_set(e, ERR_PARSE, "unknown position: parse error: no expression found in input");
        return NULL;
    }
    x->root = parse_all(&ps);
    return x->root ? x : NULL;
}

int promql_parse_selector(struct arena *a, struct str text, struct matcher **m, size_t *n, struct err *e)
{
    struct promql_expr *x = promql_parse(a, text, e);
    const struct selector *s;

    if (!x)
        return e && e->code ? e->code : ERR_PARSE;
    s = &x->root->selector;
    if (x->root->kind != NODE_SELECTOR || s->range || s->shift.offset || s->shift.at != AT_NONE || s->extension)
        return parse_error(e, x->text, x->root->span.from, "expected a series selector alone, as in up{job=\"x\"}");
    *m = arena_array(a, s->n, sizeof(**m));
    if (!*m)
        return err_set(e, ERR_NOMEM, "query: no memory to parse it");
    memcpy(*m, s->matchers, s->n * sizeof(**m));
    *n = s->n;
    return 0;
}
