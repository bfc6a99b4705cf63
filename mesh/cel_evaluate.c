/* cel_evaluate.c: what an expression comes to: one walk over its tree, as deep as the compiler lets trees be. */
#include "mesh/cel-internal.h"

#include "base/num.h"

struct evaluation {
    const struct cel_source *source;
    struct arena *a;
};

static const struct cel_value none;

static struct cel_value truth(bool b)
{
    return (struct cel_value){ .kind = CEL_BOOL, .i = b };
}

static struct cel_value number(int64_t i)
{
    return (struct cel_value){ .kind = CEL_INT, .i = i };
}

static struct cel_value text(struct str s)
{
    return s.p ? (struct cel_value){ .kind = CEL_STRING, .s = s } : none;
}

static struct cel_value eval(const struct evaluation *v, const struct cel_node *n);

static struct cel_value header(const struct evaluation *v, enum cel_map m, struct cel_value name)
{
    return name.kind == CEL_STRING ? text(v->source->header(v->source->of, m, name.s)) : none;
}

static bool is_equal(struct cel_value a, struct cel_value b)
{
    return a.kind == b.kind && (a.kind == CEL_STRING ? str_eq(a.s, b.s) : a.i == b.i);
}

static struct cel_value compare(enum cel_op op, struct cel_value a, struct cel_value b)
{
    int c;

    if (a.kind == CEL_NONE || a.kind != b.kind)
        return none;
    if (op == CEL_OP_EQ || op == CEL_OP_NE)
        return truth(is_equal(a, b) == (op == CEL_OP_EQ));
    c = a.kind == CEL_STRING ? str_cmp(a.s, b.s) : (a.i > b.i) - (a.i < b.i);
    return truth(op == CEL_OP_LT ? c < 0 : op == CEL_OP_LE ? c <= 0 : op == CEL_OP_GT ? c > 0 : c >= 0);
}

static struct cel_value is_in(const struct evaluation *v, struct cel_value what, const struct cel_node *where)
{
    if (what.kind == CEL_NONE)
        return none;
    if (where->op == CEL_OP_MAP)
        return truth(header(v, where->map, what).kind != CEL_NONE);
    for (size_t i = 0; i < where->n; i++)
        if (is_equal(eval(v, where->arg[i]), what))
            return truth(true);
    return truth(false);
}

static struct cel_value sum(const struct evaluation *v, struct cel_value a, struct cel_value b)
{
    int64_t i;

    if (a.kind == CEL_INT && b.kind == CEL_INT)
        return __builtin_add_overflow(a.i, b.i, &i) ? none : number(i);
    if (a.kind == CEL_STRING && b.kind == CEL_STRING)
        return text(arena_printf(v->a, "%.*s%.*s", STR_ARG(a.s), STR_ARG(b.s)));
    return none;
}

static struct cel_value as_text(const struct evaluation *v, struct cel_value a)
{
    switch (a.kind) {
    case CEL_STRING:
        return a;
    case CEL_INT:
        return text(arena_printf(v->a, "%lld", (long long)a.i));
    case CEL_BOOL:
        return text(a.i ? STR("true") : STR("false"));
    case CEL_NONE:
        break;
    }
    return none;
}

static struct cel_value as_number(struct cel_value a)
{
    bool minus = a.kind == CEL_STRING && a.s.n && a.s.p[0] == '-';
    uint64_t u;

    if (a.kind == CEL_INT)
        return a;
    if (a.kind != CEL_STRING || !num_u64(str_from(a.s, minus), &u) || u > INT64_MAX)
        return none;
    return number(minus ? -(int64_t)u : (int64_t)u);
}

/* Of characters, as CEL counts. */
static struct cel_value size_of(struct cel_value a)
{
    int64_t n = 0;

    if (a.kind != CEL_STRING)
        return none;
    for (size_t i = 0; i < a.s.n; i++)
        n += ((unsigned char)a.s.p[i] & 0xc0) != 0x80;
    return number(n);
}

static struct cel_value look(const struct cel_node *n, struct cel_value a, struct cel_value b)
{
    if (a.kind != CEL_STRING || b.kind != CEL_STRING)
        return none;
    switch (n->op) {
    case CEL_OP_CONTAINS:
        return truth(str_find(a.s, b.s) >= 0);
    case CEL_OP_STARTS_WITH:
        return truth(str_starts(a.s, b.s));
    case CEL_OP_ENDS_WITH:
        return truth(str_ends(a.s, b.s));
    default:
        return truth(regex_match(n->regex, a.s));
    }
}

/* A side that decides does so whatever the other is. */
static struct cel_value combine(const struct evaluation *v, const struct cel_node *n)
{
    bool deciding = n->op == CEL_OP_OR;
    struct cel_value a = eval(v, n->arg[0]), b;

    if (a.kind == CEL_BOOL && (a.i != 0) == deciding)
        return a;
    b = eval(v, n->arg[1]);
    if (b.kind == CEL_BOOL && (b.i != 0) == deciding)
        return b;
    return a.kind == CEL_BOOL && b.kind == CEL_BOOL ? truth(!deciding) : none;
}

static struct cel_value eval_one(const struct evaluation *v, const struct cel_node *n)
{
    struct cel_value a = eval(v, n->arg[0]);

    switch (n->op) {
    case CEL_OP_HEADER:
        return header(v, n->map, a);
    case CEL_OP_NOT:
        return a.kind == CEL_BOOL ? truth(!a.i) : none;
    case CEL_OP_NEGATE:
        return a.kind == CEL_INT && a.i != INT64_MIN ? number(-a.i) : none;
    case CEL_OP_HAS:
        return truth(a.kind != CEL_NONE);
    case CEL_OP_STRING:
        return as_text(v, a);
    case CEL_OP_INT:
        return as_number(a);
    case CEL_OP_SIZE:
        return size_of(a);
    case CEL_OP_DEFAULT:
        return a.kind != CEL_NONE ? a : eval(v, n->arg[1]);
    case CEL_OP_TERNARY:
        return a.kind == CEL_BOOL ? eval(v, n->arg[a.i ? 1 : 2]) : none;
    case CEL_OP_IN:
        return is_in(v, a, n->arg[1]);
    case CEL_OP_ADD:
        return sum(v, a, eval(v, n->arg[1]));
    case CEL_OP_CONTAINS:
    case CEL_OP_STARTS_WITH:
    case CEL_OP_ENDS_WITH:
    case CEL_OP_MATCHES:
        return look(n, a, eval(v, n->arg[1]));
    default:
        return compare(n->op, a, eval(v, n->arg[1]));
    }
}

static struct cel_value eval(const struct evaluation *v, const struct cel_node *n)
{
    switch (n->op) {
    case CEL_OP_LITERAL:
        return n->literal;
    case CEL_OP_ATTRIBUTE:
        return v->source->attribute(v->source->of, n->attribute);
    case CEL_OP_AND:
    case CEL_OP_OR:
        return combine(v, n);
    case CEL_OP_MAP:
    case CEL_OP_LIST:
        return none; /* no values of themselves */
    default:
        return eval_one(v, n);
    }
}

struct cel_value cel_evaluate(const struct cel *c, const struct cel_source *s, struct arena *a)
{
    const struct evaluation v = { s, a };

    return eval(&v, c->root);
}
