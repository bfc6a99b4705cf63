#include "query/parser-internal.h"

#include <math.h>

static int add_matcher(struct parser *ps, struct matcher **list, size_t *n, size_t *cap, struct matcher m,
                       uint32_t from)
{
    struct err why = ERR_INIT;
    int rc;

    if (arena_grow(ps->a, list, cap, *n + 1, sizeof(**list)) < 0)
        return parser_nomem(ps);
    rc = matcher_init(&(*list)[*n], ps->a, m.op, m.name, m.value, &why);
    if (rc < 0 && why.code == ERR_NOMEM)
        return parser_nomem(ps);
    if (rc < 0)
        return parse_error(ps->e, ps->text, from, "error parsing regexp: %s", why.msg);
    ++*n;
    return 0;
}

static int string_here(struct parser *ps, struct str *s)
{
    const char *why;

    *s = literal_string(ps->a, ps->cur.text, &why);
    if (!s->p)
        return parse_error(ps->e, ps->text, ps->cur.from, "error unquoting string %.*s: %s", STR_ARG(ps->cur.text), why);
    return 0;
}

static int matcher_op(const struct parser *ps)
{
    switch (ps->cur.kind) {
    case T_ASSIGN:
        return MATCH_EQ;
    case T_MATCH_RE:
        return MATCH_RE;
    case T_MATCH_NRE:
        return MATCH_NRE;
    case T_OP:
        return ps->cur.op == OP_NE ? MATCH_NE : -1;
    default:
        return -1;
    }
}

/* One entry between the braces: name OP "value", "name" OP "value", or "metric name" alone. */
static int parse_matcher(struct parser *ps, struct matcher *m)
{
    bool quoted = ps->cur.kind == T_STRING;
    int op;

    m->name = ps->cur.text;
    if (!quoted && ps->cur.kind != T_IDENT)
        return parser_unexpected(ps, "label matching", "identifier or \"}\"");
    if (quoted && string_here(ps, &m->name) < 0)
        return ERR_PARSE;
    parser_advance(ps);
    op = matcher_op(ps);
    if (op < 0 && quoted) {
        *m = (struct matcher){ MATCH_EQ, STR("__name__"), m->name, NULL };
        return 0;
    }
    if (op < 0)
        return parser_unexpected(ps, "label matching", "label matching operator");
    m->op = (enum match_op)op;
    parser_advance(ps);
    if (ps->cur.kind != T_STRING)
        return parser_unexpected(ps, "label matching", "string");
    if (string_here(ps, &m->value) < 0)
        return ERR_PARSE;
    parser_advance(ps);
    return 0;
}

static int parse_braces(struct parser *ps, struct node *n, struct matcher **list, size_t *cap)
{
    struct selector *s = &n->selector;
    struct matcher m = { 0 };

    parser_advance(ps);
    while (ps->cur.kind != T_RBRACE) {
        uint32_t from = ps->cur.from;
        int rc = parse_matcher(ps, &m);

        if (rc == 0)
            rc = add_matcher(ps, list, &s->n, cap, m, from);
        if (rc < 0)
            return rc;
        if (ps->cur.kind != T_COMMA)
            break;
        parser_advance(ps);
    }
    return parser_expect(ps, T_RBRACE, "label matching", "\",\" or \"}\"");
}

struct node *parse_selector(struct parser *ps)
{
    struct node *n = parser_node(ps, NODE_SELECTOR, ps->cur.from);
    struct matcher *list = NULL;
    size_t cap = 0;

    if (!n)
        return NULL;
    n->selector.labels_only = ps->labels_only;
    if (ps->cur.kind == T_IDENT) {
        struct matcher name = { MATCH_EQ, STR("__name__"), ps->cur.text, NULL };

        n->selector.name = ps->cur.text;
        if (add_matcher(ps, &list, &n->selector.n, &cap, name, ps->cur.from) < 0)
            return NULL;
        parser_advance(ps);
    }
    if (ps->cur.kind == T_LBRACE && parse_braces(ps, n, &list, &cap) < 0)
        return NULL;
    n->selector.matchers = list;
    return parser_finish(ps, n, 0);
}

/* --- what follows an operand ------------------------------------------------------------------------------------- */

static struct node *make_subquery(struct parser *ps, struct node *inner, const struct node *range)
{
    struct node *n = parser_node(ps, NODE_SUBQUERY, inner->span.from);

    if (!n)
        return NULL;
    parser_advance(ps);
    n->subquery.inner = inner;
    n->subquery.range = range;
    if (ps->cur.kind != T_RBRACKET) {
        n->subquery.step = parse_duration(ps, "subquery selector", "number, duration, step(), range(), or \"]\"");
        if (!n->subquery.step)
            return NULL;
    }
    if (parser_expect(ps, T_RBRACKET, "subquery selector", "\"]\"") < 0)
        return NULL;
    return parser_finish(ps, n, inner->depth);
}

static struct node *parse_range(struct parser *ps, struct node *n)
{
    const struct node *range;
    const struct selector *s = &n->selector;
    uint32_t from = ps->cur.from;

    parser_advance(ps);
    range = parse_duration(ps, "subquery or range selector", "number, duration, step(), or range()");
    if (!range)
        return NULL;
    if (ps->cur.kind == T_COLON)
        return make_subquery(ps, n, range);
    if (parser_expect(ps, T_RBRACKET, "subquery or range", "\":\" or \"]\"") < 0)
        return NULL;
    if (n->kind != NODE_SELECTOR || s->range) {
        parse_error(ps->e, ps->text, from, "ranges only allowed for vector selectors");
        return NULL;
    }
    if (s->shift.offset || s->shift.at != AT_NONE) {
        parse_error(ps->e, ps->text, from, "no %s modifiers allowed before range",
                    s->shift.offset ? "offset" : "@");
        return NULL;
    }
    n->selector.range = range;
    return parser_finish(ps, n, 0);
}

static struct shift *shift_of(struct node *n)
{
    return n->kind == NODE_SELECTOR ? &n->selector.shift : n->kind == NODE_SUBQUERY ? &n->subquery.shift : NULL;
}

static int parse_offset(struct parser *ps, struct node *n)
{
    struct shift *shift = shift_of(n);

    if (!shift)
        return parse_error(ps->e, ps->text, n->span.from,
                           "offset modifier must be preceded by an instant vector selector or range vector selector "
                           "or a subquery");
    if (shift->offset)
        return parse_error(ps->e, ps->text, n->span.from, "offset may not be set multiple times");
    parser_advance(ps);
    shift->offset = parse_offset_duration(ps);
    return shift->offset ? 0 : ERR_PARSE;
}

/* 73 million years: what is added and taken away later cannot overflow. */
#define MOST_SECONDS 2.3e15

static int parse_at_number(struct parser *ps, struct shift *shift)
{
    bool minus = ps->cur.kind == T_OP && ps->cur.op == OP_SUB;
    struct node *n;
    double v;

    if (minus || (ps->cur.kind == T_OP && ps->cur.op == OP_ADD))
        parser_advance(ps);
    if (ps->cur.kind != T_NUMBER && ps->cur.kind != T_DURATION && !parser_at_word(ps, "inf") &&
        !parser_at_word(ps, "nan"))
        return parser_unexpected(ps, "@", "timestamp");
    n = parse_number(ps);
    if (!n)
        return ERR_PARSE;
    v = minus ? -n->number.value : n->number.value;
    if (!(fabs(v) < MOST_SECONDS))
        return parse_error(ps->e, ps->text, n->span.from, "timestamp out of bounds for @ modifier: %f", v);
    shift->at = AT_TIME;
    shift->at_ms = (int64_t)round(v * 1000);
    return 0;
}

static int parse_at(struct parser *ps, struct node *n)
{
    struct shift *shift = shift_of(n);

    if (!shift)
        return parse_error(ps->e, ps->text, n->span.from,
                           "@ modifier must be preceded by an instant vector selector or range vector selector or a "
                           "subquery");
    if (shift->at != AT_NONE)
        return parse_error(ps->e, ps->text, n->span.from, "@ <timestamp> may not be set multiple times");
    parser_advance(ps);
    if (!parser_at_word(ps, "start") && !parser_at_word(ps, "end"))
        return parse_at_number(ps, shift);
    shift->at = parser_at_word(ps, "start") ? AT_START : AT_END;
    parser_advance(ps);
    if (parser_expect(ps, T_LPAREN, "@", "timestamp") < 0)
        return ERR_PARSE;
    return parser_expect(ps, T_RPAREN, "@", "timestamp");
}

static int parse_extension(struct parser *ps, struct node *n)
{
    enum extension x = parser_at_word(ps, "anchored") ? EXTEND_ANCHORED : EXTEND_SMOOTHED;
    const char *word = x == EXTEND_ANCHORED ? "anchored" : "smoothed";

    if (n->kind != NODE_SELECTOR)
        return parse_error(ps->e, ps->text, n->span.from, "%s modifier %s", word,
                           n->kind == NODE_SUBQUERY ? "is not supported for subqueries"
                                                    : "must be preceded by an instant vector selector or range vector "
                                                      "selector");
    if (n->selector.extension && n->selector.extension != x)
        return parse_error(ps->e, ps->text, n->span.from, "anchored and smoothed modifiers cannot be used together");
    n->selector.extension = x;
    parser_advance(ps);
    return 0;
}

struct node *parse_postfix(struct parser *ps, struct node *n)
{
    while (n) {
        int rc;

        if (ps->cur.kind == T_LBRACKET) {
            n = parse_range(ps, n);
            continue;
        }
        if (parser_at_word(ps, "offset"))
            rc = parse_offset(ps, n);
        else if (ps->cur.kind == T_AT)
            rc = parse_at(ps, n);
        else if (parser_at_word(ps, "anchored") || parser_at_word(ps, "smoothed"))
            rc = parse_extension(ps, n);
        else
            return n;
        if (rc < 0)
            return NULL;
        n->span.to = ps->last;
    }
    return NULL;
}
