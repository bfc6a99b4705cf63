/* tree_json.c: a tree as the JSON of Prometheus' /api/v1/parse_query, and the selectors in it. */
#include "query/function-internal.h"

#include "base/num.h"

static void put_node(struct buf *b, const struct node *n);

static const char *json_type(enum promql_type t)
{
    static const char *const names[] = { [PROMQL_SCALAR] = "scalar", [PROMQL_STRING] = "string",
                                         [PROMQL_VECTOR] = "vector", [PROMQL_MATRIX] = "matrix" };

    return names[t];
}

static void put_bool(struct buf *b, const char *name, bool v)
{
    buf_printf(b, ",\"%s\":%s", name, v ? "true" : "false");
}

static void put_child(struct buf *b, const char *name, const struct node *n)
{
    buf_printf(b, ",\"%s\":", name);
    if (n)
        put_node(b, n);
    else
        buf_puts(b, "null");
}

static void put_names(struct buf *b, const char *name, const struct str *v, size_t n)
{
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i ? "," : "");
        buf_json(b, v[i]);
    }
    buf_putc(b, ']');
}

static void put_plain(struct buf *b, double v)
{
    char text[NUM_MOST];

    buf_putc(b, '"');
    buf_put(b, text, num_put_double(text, v, NUM_PLAIN));
    buf_putc(b, '"');
}

/* Milliseconds of a duration that is written as a number; 0 for an expression, which is worth something only when the
 * query runs. */
static void put_duration(struct buf *b, const char *name, const struct node *n)
{
    bool negative = n && n->kind == NODE_UNARY && n->unary.minus;
    const struct node *number = n && n->kind == NODE_UNARY ? n->unary.inner : n;
    double ms = number && number->kind == NODE_NUMBER ? round(number->number.value * 1000) : 0;

    buf_printf(b, ",\"%s\":%lld", name, fabs(ms) < 9e18 ? (long long)(negative ? -ms : ms) : 0);
}

static void put_shift(struct buf *b, const struct shift *s)
{
    put_duration(b, "offset", s->offset);
    if (s->at == AT_TIME)
        buf_printf(b, ",\"timestamp\":%lld", (long long)s->at_ms);
    else
        buf_puts(b, ",\"timestamp\":null");
    buf_puts(b, s->at == AT_START ? ",\"startOrEnd\":\"start\""
                : s->at == AT_END ? ",\"startOrEnd\":\"end\""
                                  : ",\"startOrEnd\":null");
}

static void put_selector(struct buf *b, const struct selector *s)
{
    static const char *const ops[] = { [MATCH_EQ] = "=", [MATCH_NE] = "!=", [MATCH_RE] = "=~", [MATCH_NRE] = "!~" };

    buf_puts(b, s->range ? "\"matrixSelector\",\"name\":" : "\"vectorSelector\",\"name\":");
    buf_json(b, s->name);
    if (s->range)
        put_duration(b, "range", s->range);
    put_shift(b, &s->shift);
    put_bool(b, "anchored", s->extension == EXTEND_ANCHORED);
    put_bool(b, "smoothed", s->extension == EXTEND_SMOOTHED);
    buf_puts(b, ",\"matchers\":[");
    for (size_t i = 0; i < s->n; i++) {
        buf_puts(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, s->matchers[i].name);
        buf_puts(b, ",\"value\":");
        buf_json(b, s->matchers[i].value);
        buf_printf(b, ",\"type\":\"%s\"}", ops[s->matchers[i].op]);
    }
    buf_putc(b, ']');
}

static void put_subquery(struct buf *b, const struct subquery *s)
{
    buf_puts(b, "\"subquery\"");
    put_child(b, "expr", s->inner);
    put_duration(b, "range", s->range);
    put_duration(b, "step", s->step);
    put_shift(b, &s->shift);
}

static void put_call(struct buf *b, const struct call *c)
{
    const struct function *f = c->fn;

    buf_puts(b, "\"call\",\"func\":{\"name\":");
    buf_json(b, f->name);
    buf_puts(b, ",\"argTypes\":[");
    for (size_t i = 0; i < f->nargs; i++)
        buf_printf(b, "%s\"%s\"", i ? "," : "", json_type(f->args[i]));
    buf_printf(b, "],\"variadic\":%d,\"returnType\":\"%s\"},\"args\":[",
               f->max == FUNCTION_ANY ? -1 : f->max - f->min, json_type(f->returns));
    for (size_t i = 0; i < c->n; i++) {
        buf_puts(b, i ? "," : "");
        put_node(b, c->args[i]);
    }
    buf_putc(b, ']');
}

static void put_aggregate(struct buf *b, const struct aggregate *a)
{
    buf_puts(b, "\"aggregation\",\"op\":");
    buf_json(b, aggregates[a->op].name);
    put_child(b, "expr", a->arg);
    put_child(b, "param", a->param);
    put_names(b, "grouping", a->labels, a->n);
    put_bool(b, "without", a->without);
}

static void put_fill(struct buf *b, const char *name, bool fills, double v)
{
    buf_printf(b, "\"%s\":", name);
    if (fills)
        put_plain(b, v);
    else
        buf_puts(b, "null");
}

static void put_matching(struct buf *b, const struct matching *m)
{
    static const char *const cards[] = { [ONE_TO_ONE] = "one-to-one", [MANY_TO_ONE] = "many-to-one",
                                         [ONE_TO_MANY] = "one-to-many", [MANY_TO_MANY] = "many-to-many" };

    buf_printf(b, ",\"matching\":{\"card\":\"%s\"", cards[m->card]);
    put_names(b, "labels", m->labels, m->n);
    put_bool(b, "on", m->on);
    put_names(b, "include", m->include, m->ninclude);
    buf_puts(b, ",\"fillValues\":{");
    put_fill(b, "lhs", m->fills_left, m->fill_left);
    buf_putc(b, ',');
    put_fill(b, "rhs", m->fills_right, m->fill_right);
    buf_puts(b, "}}");
}

static void put_binary(struct buf *b, const struct binary *x)
{
    buf_puts(b, "\"binaryExpr\",\"op\":");
    buf_json(b, binary_ops[x->op].text);
    put_child(b, "lhs", x->l);
    put_child(b, "rhs", x->r);
    if (x->l->type == PROMQL_VECTOR && x->r->type == PROMQL_VECTOR)
        put_matching(b, &x->matching);
    else
        buf_puts(b, ",\"matching\":null");
    put_bool(b, "bool", x->returns_bool);
}

static void put_node(struct buf *b, const struct node *n)
{
    buf_puts(b, "{\"type\":");
    switch (n->kind) {
    case NODE_NUMBER:
        buf_puts(b, "\"numberLiteral\",\"val\":");
        put_plain(b, n->number.value);
        break;
    case NODE_STRING:
        buf_puts(b, "\"stringLiteral\",\"val\":");
        buf_json(b, n->string);
        break;
    case NODE_SELECTOR:
        put_selector(b, &n->selector);
        break;
    case NODE_SUBQUERY:
        put_subquery(b, &n->subquery);
        break;
    case NODE_CALL:
        put_call(b, &n->call);
        break;
    case NODE_AGGREGATE:
        put_aggregate(b, &n->aggregate);
        break;
    case NODE_BINARY:
        put_binary(b, &n->binary);
        break;
    case NODE_UNARY:
        buf_puts(b, n->unary.minus ? "\"unaryExpr\",\"op\":\"-\"" : "\"unaryExpr\",\"op\":\"+\"");
        put_child(b, "expr", n->unary.inner);
        break;
    case NODE_PAREN:
        buf_puts(b, "\"parenExpr\"");
        put_child(b, "expr", n->paren);
        break;
    case NODE_DERIVED: /* of no PromQL query */
        buf_puts(b, "\"derived\"");
        break;
    }
    buf_putc(b, '}');
}

void promql_print_json(struct buf *b, const struct promql_expr *x)
{
    put_node(b, x->root);
}

/* --- selectors --- */

struct found {
    struct arena *arena;
    struct promql_selector *v;
    size_t n, cap;
    int rc;
};

static void find(struct found *f, const struct node *n)
{
    if (!n || f->rc < 0)
        return;
    switch (n->kind) {
    case NODE_SELECTOR:
        f->rc = arena_grow(f->arena, &f->v, &f->cap, f->n + 1, sizeof(*f->v));
        if (f->rc == 0)
            f->v[f->n++] = (struct promql_selector){ n->selector.matchers, n->selector.n };
        break;
    case NODE_SUBQUERY:
        find(f, n->subquery.inner);
        break;
    case NODE_CALL:
        for (size_t i = 0; i < n->call.n; i++)
            find(f, n->call.args[i]);
        break;
    case NODE_AGGREGATE:
        find(f, n->aggregate.param);
        find(f, n->aggregate.arg);
        break;
    case NODE_BINARY:
        find(f, n->binary.l);
        find(f, n->binary.r);
        break;
    case NODE_UNARY:
        find(f, n->unary.inner);
        break;
    case NODE_PAREN:
        find(f, n->paren);
        break;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DERIVED:
        break;
    }
}

int promql_selectors(const struct promql_expr *x, struct arena *a, struct promql_selector **out, size_t *n,
                     struct err *e)
{
    struct found f = { .arena = a };

    find(&f, x->root);
    *out = f.v;
    *n = f.n;
    return f.rc < 0 ? err_set(e, ERR_NOMEM, "no memory for the selectors") : 0;
}
