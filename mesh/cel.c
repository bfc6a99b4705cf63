/* cel.c: expressions from text to trees, by recursive descent: a function for each line of the grammar in cel.h. Types
 * that can never fit are found here, where there is somebody to be told. */
#include "mesh/cel-internal.h"

#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

struct parser {
    struct arena *a;
    struct str text;
    size_t at;
    struct cel *out;
    size_t cap, depth;
    struct err *e;
    bool failed;
};

static const struct {
    struct str name;
    enum cel_kind kind;
} attributes[] = {
#define CEL_ROW(id, name, kind) { STR_INIT(name), CEL_##kind },
    CEL_ATTRIBUTES(CEL_ROW)
#undef CEL_ROW
};

static const struct str maps[CEL_MAPS] = { STR_INIT("request.headers"), STR_INIT("response.headers"),
                                           STR_INIT("response.trailers") };

static const char *const kinds[] = { [CEL_NONE] = "anything", [CEL_BOOL] = "a condition", [CEL_INT] = "a number",
                                     [CEL_STRING] = "a text" };

static struct cel_node *parse_expr(struct parser *p);

/* The first problem counts. */
__attribute__((format(printf, 3, 4))) static struct cel_node *fail(struct parser *p, int code, const char *fmt, ...)
{
    char what[200];
    va_list ap;

    if (p->failed)
        return NULL;
    p->failed = true;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (code == ERR_NOMEM)
        err_set(p->e, code, "%s", what);
    else
        err_set(p->e, code, "byte %zu: %s", p->at + 1, what);
    return NULL;
}

/* ---- nodes ---- */

static struct cel_node *node(struct parser *p, enum cel_op op, enum cel_kind kind, size_t n)
{
    struct cel_node *v;

    if (p->failed)
        return NULL;
    if (p->out->n == CEL_MOST_NODES)
        return fail(p, ERR_LIMIT, "the expression has more than %d parts", CEL_MOST_NODES);
    v = ARENA_NEW(p->a, struct cel_node);
    if (v)
        v->arg = arena_array(p->a, n, sizeof(*v->arg));
    if (!v || (n && !v->arg) || arena_grow(p->a, &p->out->nodes, &p->cap, p->out->n + 1, sizeof(*p->out->nodes)) < 0)
        return fail(p, ERR_NOMEM, "no memory for an expression");
    v->op = op;
    v->kind = kind;
    v->n = n;
    p->out->nodes[p->out->n++] = v;
    return v;
}

static struct cel_node *with(struct cel_node *v, const struct cel_node *a, const struct cel_node *b)
{
    if (!v)
        return NULL;
    v->arg[0] = a;
    if (v->n > 1)
        v->arg[1] = b;
    return v;
}

static bool is_a(const struct cel_node *v, enum cel_kind kind)
{
    return v->kind == CEL_NONE || v->kind == kind;
}

/* False: told. Maps and lists are no values. */
static bool needs(struct parser *p, const struct cel_node *v, enum cel_kind kind, const char *whose)
{
    if (!v || p->failed)
        return false;
    if (v->op == CEL_OP_MAP || v->op == CEL_OP_LIST)
        return fail(p, ERR_UNSUPPORTED, "%s: a map or a list stands only to the right of in", whose) != NULL;
    if (kind != CEL_NONE && !is_a(v, kind))
        return fail(p, ERR_PARSE, "%s needs %s, not %s", whose, kinds[kind], kinds[v->kind]) != NULL;
    return true;
}

/* ---- words ---- */

static void skip_blanks(struct parser *p)
{
    while (p->at < p->text.n && strchr(" \t\r\n", p->text.p[p->at]) && p->text.p[p->at])
        p->at++;
}

static char peek(struct parser *p)
{
    skip_blanks(p);
    return p->at < p->text.n ? p->text.p[p->at] : '\0';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The operator, if it stands here; "<" is not "<=", nor "|" "||". */
static bool take(struct parser *p, const char *op)
{
    struct str rest;

    skip_blanks(p);
    rest = str_from(p->text, p->at);
    if (!str_starts(rest, str_of(op)))
        return false;
    if (op[1] == '\0' && strchr("<>!|&=", op[0]) && rest.n > 1 &&
        (rest.p[1] == '=' || (strchr("|&", op[0]) && rest.p[1] == op[0])))
        return false;
    p->at += strlen(op);
    return true;
}

static bool expect(struct parser *p, const char *op)
{
    if (take(p, op))
        return true;
    fail(p, ERR_PARSE, "\"%s\" is missing", op);
    return false;
}

/* The name that stands here; it is not taken. */
static struct str name_here(struct parser *p)
{
    struct str s;

    skip_blanks(p);
    s = str_from(p->text, p->at);
    if (!s.n || !is_letter(s.p[0]))
        return STR_NULL;
    for (size_t n = 1; n < s.n; n++)
        if (!is_letter(s.p[n]) && !is_digit(s.p[n])) {
            s.n = n;
            break;
        }
    return s;
}

static bool take_word(struct parser *p, const char *word)
{
    if (!str_eqz(name_here(p), word))
        return false;
    p->at += strlen(word);
    return true;
}

/* ---- literals ---- */

static struct cel_node *literal(struct parser *p, struct cel_value v)
{
    struct cel_node *n = node(p, CEL_OP_LITERAL, v.kind, 0);

    if (n)
        n->literal = v;
    return n;
}

static struct cel_node *parse_number(struct parser *p)
{
    struct str s = str_from(p->text, p->at);
    uint64_t v;
    size_t n = 0;

    while (n < s.n && is_digit(s.p[n]))
        n++;
    if (n < s.n && (s.p[n] == '.' || is_letter(s.p[n])))
        return fail(p, ERR_UNSUPPORTED, "a number is decimal digits: no fraction, exponent, hexadecimal or unsigned "
                    "one is offered");
    if (!num_u64((struct str){ s.p, n }, &v) || v > INT64_MAX)
        return fail(p, ERR_PARSE, "the number is too large");
    p->at += n;
    return literal(p, (struct cel_value){ .kind = CEL_INT, .i = (int64_t)v });
}

/* What a backslash and a letter stand for; 0: nothing. */
static char escaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case '\\':
    case '\'':
    case '"':
    case '`':
        return c;
    default:
        return '\0';
    }
}

static struct cel_node *parse_text(struct parser *p, bool raw)
{
    char quote = p->text.p[p->at++];
    char *to = arena_alloc(p->a, p->text.n + 1);
    size_t n = 0;

    if (!to)
        return fail(p, ERR_NOMEM, "no memory for an expression");
    while (p->at < p->text.n && p->text.p[p->at] != quote) {
        char c = p->text.p[p->at++];

        if (c == '\\' && !raw) {
            c = p->at < p->text.n ? escaped(p->text.p[p->at++]) : '\0';
            if (!c)
                return fail(p, ERR_UNSUPPORTED, "a backslash stands in front of n, t, r, a quote or a backslash");
        }
        to[n++] = c;
    }
    if (p->at == p->text.n)
        return fail(p, ERR_PARSE, "a text has no end");
    p->at++;
    return literal(p, (struct cel_value){ .kind = CEL_STRING, .s = { to, n } });
}

static struct cel_node *parse_list(struct parser *p)
{
    const struct cel_node **v = NULL;
    size_t n = 0, cap = 0;
    struct cel_node *list;

    while (!p->failed && peek(p) != ']') {
        const struct cel_node *item = parse_expr(p);

        if (!needs(p, item, n ? v[0]->kind : CEL_NONE, "a list"))
            return NULL;
        if (arena_grow(p->a, &v, &cap, n + 1, sizeof(*v)) < 0)
            return fail(p, ERR_NOMEM, "no memory for an expression");
        v[n++] = item;
        if (!take(p, ","))
            break;
    }
    if (!expect(p, "]"))
        return NULL;
    list = node(p, CEL_OP_LIST, n ? v[0]->kind : CEL_NONE, 0);
    if (list) {
        list->arg = v;
        list->n = n;
    }
    return list;
}

/* ---- attributes ---- */

static struct cel_node *header(struct parser *p, enum cel_map m, const struct cel_node *name)
{
    struct cel_node *v;

    if (!needs(p, name, CEL_STRING, "a header field's name"))
        return NULL;
    v = with(node(p, CEL_OP_HEADER, CEL_STRING, 1), name, NULL);
    if (v)
        v->map = m;
    return v;
}

static struct cel_node *map_at(struct parser *p, enum cel_map m)
{
    struct cel_node *v = node(p, CEL_OP_MAP, CEL_NONE, 0);

    if (v)
        v->map = m;
    return v;
}

/* By its whole name, or "request.headers.name". */
static struct cel_node *attribute(struct parser *p, struct str name)
{
    for (size_t i = 0; i < CEL_NATTRIBUTES; i++)
        if (str_eq(attributes[i].name, name)) {
            struct cel_node *v = node(p, CEL_OP_ATTRIBUTE, attributes[i].kind, 0);

            if (v)
                v->attribute = (enum cel_attribute)i;
            return v;
        }
    for (int m = 0; m < CEL_MAPS; m++) {
        struct str rest = str_from(name, maps[m].n);
        struct cel_value key = { .kind = CEL_STRING, .s = str_from(rest, 1) };

        if (str_eq(name, maps[m]))
            return map_at(p, (enum cel_map)m);
        if (str_starts(name, maps[m]) && rest.p[0] == '.')
            return header(p, (enum cel_map)m, literal(p, key));
    }
    return fail(p, ERR_UNSUPPORTED, "\"%.*s\" is no attribute that is offered", STR_ARG(name));
}

/* Whether ".name" follows, and no call of it. */
static bool is_part(struct parser *p)
{
    size_t before = p->at;
    struct str name;
    bool part;

    if (!take(p, "."))
        return false;
    name = name_here(p);
    p->at += name.n;
    part = name.n && peek(p) != '(';
    p->at = before;
    return part;
}

static struct cel_node *parse_attribute(struct parser *p)
{
    char *name = arena_alloc(p->a, p->text.n + 1);
    struct str part = name_here(p);
    size_t n = 0, before = p->at, end;
    struct cel_node *v;

    if (!name)
        return fail(p, ERR_NOMEM, "no memory for an expression");
    for (;;) {
        memcpy(name + n, part.p, part.n);
        n += part.n;
        p->at += part.n;
        if (!is_part(p))
            break;
        take(p, ".");
        name[n++] = '.';
        part = name_here(p);
    }
    end = p->at;
    p->at = before; /* what is wrong is wrong from there on */
    v = attribute(p, (struct str){ name, n });
    p->at = end;
    return v;
}

/* ---- functions ---- */

static struct cel_node *parse_call(struct parser *p, struct str name)
{
    static const struct {
        const char *name;
        enum cel_op op;
        enum cel_kind kind;
    } functions[] = { { "has", CEL_OP_HAS, CEL_BOOL }, { "string", CEL_OP_STRING, CEL_STRING },
                      { "int", CEL_OP_INT, CEL_INT }, { "size", CEL_OP_SIZE, CEL_INT } };

    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        const struct cel_node *of;

        if (!str_eqz(name, functions[i].name))
            continue;
        p->at += name.n;
        take(p, "(");
        of = parse_expr(p);
        if (!needs(p, of, functions[i].op == CEL_OP_SIZE ? CEL_STRING : CEL_NONE, functions[i].name) || !expect(p, ")"))
            return NULL;
        if (functions[i].op == CEL_OP_HAS && of->op != CEL_OP_ATTRIBUTE && of->op != CEL_OP_HEADER)
            return fail(p, ERR_PARSE, "has: an attribute or a header field stands in its parentheses");
        return with(node(p, functions[i].op, functions[i].kind, 1), of, NULL);
    }
    return fail(p, ERR_UNSUPPORTED, "the function \"%.*s\" is not offered", STR_ARG(name));
}

static struct cel_node *parse_method(struct parser *p, const struct cel_node *on)
{
    static const struct {
        const char *name;
        enum cel_op op;
    } methods[] = { { "contains", CEL_OP_CONTAINS }, { "startsWith", CEL_OP_STARTS_WITH },
                    { "endsWith", CEL_OP_ENDS_WITH }, { "matches", CEL_OP_MATCHES } };
    struct str name = name_here(p);

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        const struct cel_node *what;
        struct cel_node *v;

        if (!str_eqz(name, methods[i].name))
            continue;
        p->at += name.n;
        if (!expect(p, "("))
            return NULL;
        what = parse_expr(p);
        if (!needs(p, on, CEL_STRING, methods[i].name) || !needs(p, what, CEL_STRING, methods[i].name) ||
            !expect(p, ")"))
            return NULL;
        v = with(node(p, methods[i].op, CEL_BOOL, 2), on, what);
        if (v && v->op == CEL_OP_MATCHES) {
            struct err why = ERR_INIT;

            if (what->op != CEL_OP_LITERAL)
                return fail(p, ERR_UNSUPPORTED, "matches: its expression must be a literal text");
            v->regex = regex_compile(p->a, what->literal.s, 0, &why);
            if (!v->regex)
                return fail(p, why.code, "matches: %s", why.msg);
        }
        return v;
    }
    return fail(p, ERR_UNSUPPORTED, "the method \"%.*s\" is not offered", STR_ARG(name));
}

/* ---- the grammar ---- */

static struct cel_node *parse_named(struct parser *p)
{
    struct str name = name_here(p);
    size_t before = p->at;
    bool call;

    if (str_eqz(name, "true") || str_eqz(name, "false")) {
        p->at += name.n;
        return literal(p, (struct cel_value){ .kind = CEL_BOOL, .i = name.n == 4 });
    }
    p->at += name.n;
    if (str_eqz(name, "r") && p->at < p->text.n && (p->text.p[p->at] == '\'' || p->text.p[p->at] == '"'))
        return parse_text(p, true);
    call = peek(p) == '(';
    p->at = before;
    return call ? parse_call(p, name) : parse_attribute(p);
}

static struct cel_node *parse_primary(struct parser *p)
{
    char c = peek(p);
    struct cel_node *v;

    if (is_digit(c))
        return parse_number(p);
    if (c == '\'' || c == '"')
        return parse_text(p, false);
    if (take(p, "["))
        return parse_list(p);
    if (take(p, "(")) {
        v = parse_expr(p);
        return v && expect(p, ")") ? v : NULL;
    }
    if (is_letter(c))
        return parse_named(p);
    if (c == '{')
        return fail(p, ERR_UNSUPPORTED, "maps are not offered");
    return c ? fail(p, ERR_PARSE, "\"%c\" begins no value", c) : fail(p, ERR_PARSE, "a value is missing");
}

static struct cel_node *parse_member(struct parser *p)
{
    struct cel_node *v = parse_primary(p);

    while (v) {
        if (take(p, ".")) {
            v = parse_method(p, v);
        } else if (peek(p) == '[') {
            const struct cel_node *name;

            if (v->op != CEL_OP_MAP)
                return fail(p, ERR_UNSUPPORTED, "an index stands behind request.headers, response.headers and "
                            "response.trailers");
            take(p, "[");
            name = parse_expr(p);
            v = name && expect(p, "]") ? header(p, v->map, name) : NULL;
        } else {
            return v;
        }
    }
    return v;
}

static struct cel_node *parse_unary(struct parser *p)
{
    const struct cel_node *of;
    struct cel_node *v = NULL;

    if (++p->depth > CEL_MOST_DEPTH)
        return fail(p, ERR_LIMIT, "it is nested deeper than %d", CEL_MOST_DEPTH);
    if (take(p, "!")) {
        of = parse_unary(p);
        if (needs(p, of, CEL_BOOL, "!"))
            v = with(node(p, CEL_OP_NOT, CEL_BOOL, 1), of, NULL);
    } else if (take(p, "-")) {
        of = parse_unary(p);
        if (needs(p, of, CEL_INT, "-"))
            v = with(node(p, CEL_OP_NEGATE, CEL_INT, 1), of, NULL);
    } else {
        v = parse_member(p);
    }
    p->depth--;
    return v;
}

static struct cel_node *parse_sum(struct parser *p)
{
    struct cel_node *v = parse_unary(p);

    while (v) {
        const struct cel_node *right;

        if (strchr("-*/%", peek(p)) && peek(p))
            return fail(p, ERR_UNSUPPORTED, "the operator \"%c\" is not offered", peek(p));
        if (!take(p, "+"))
            return v;
        right = parse_unary(p);
        if (!needs(p, v, v->kind == CEL_INT ? CEL_INT : CEL_STRING, "+") || !needs(p, right, v->kind, "+"))
            return NULL;
        v = with(node(p, CEL_OP_ADD, v->kind ? v->kind : right->kind, 2), v, right);
    }
    return v;
}

static struct cel_node *parse_in(struct parser *p, const struct cel_node *left)
{
    const struct cel_node *right = parse_sum(p);

    if (!right || !needs(p, left, CEL_NONE, "in"))
        return NULL;
    if (right->op != CEL_OP_LIST && right->op != CEL_OP_MAP)
        return fail(p, ERR_PARSE, "in: to its right stands a list, or a map of header fields");
    if (right->n && !needs(p, left, right->kind, "in"))
        return NULL;
    if (right->op == CEL_OP_MAP && !needs(p, left, CEL_STRING, "in"))
        return NULL;
    return with(node(p, CEL_OP_IN, CEL_BOOL, 2), left, right);
}

static struct cel_node *parse_relation(struct parser *p)
{
    static const struct {
        const char *word;
        enum cel_op op;
    } relations[] = { { "==", CEL_OP_EQ }, { "!=", CEL_OP_NE }, { "<=", CEL_OP_LE },
                      { ">=", CEL_OP_GE }, { "<", CEL_OP_LT },  { ">", CEL_OP_GT } };
    struct cel_node *v = parse_sum(p);
    const struct cel_node *right;

    if (!v)
        return NULL;
    if (take_word(p, "in"))
        return parse_in(p, v);
    for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++) {
        if (!take(p, relations[i].word))
            continue;
        right = parse_sum(p);
        if (!needs(p, v, CEL_NONE, relations[i].word) || !needs(p, right, v->kind, relations[i].word))
            return NULL;
        if (relations[i].op >= CEL_OP_LT && (v->kind == CEL_BOOL || right->kind == CEL_BOOL))
            return fail(p, ERR_PARSE, "%s: conditions have no order", relations[i].word);
        return with(node(p, relations[i].op, CEL_BOOL, 2), v, right);
    }
    return v;
}

static struct cel_node *parse_and(struct parser *p)
{
    struct cel_node *v = parse_relation(p);

    while (v && take(p, "&&")) {
        const struct cel_node *right = parse_relation(p);

        v = needs(p, v, CEL_BOOL, "&&") && needs(p, right, CEL_BOOL, "&&") ?
                with(node(p, CEL_OP_AND, CEL_BOOL, 2), v, right) : NULL;
    }
    return v;
}

static struct cel_node *parse_or(struct parser *p)
{
    struct cel_node *v = parse_and(p);

    while (v && take(p, "||")) {
        const struct cel_node *right = parse_and(p);

        v = needs(p, v, CEL_BOOL, "||") && needs(p, right, CEL_BOOL, "||") ?
                with(node(p, CEL_OP_OR, CEL_BOOL, 2), v, right) : NULL;
    }
    return v;
}

static struct cel_node *parse_ternary(struct parser *p)
{
    struct cel_node *v = parse_or(p), *whole;
    const struct cel_node *yes, *no;

    if (!v || !take(p, "?"))
        return v;
    yes = parse_or(p);
    if (!yes || !expect(p, ":"))
        return NULL;
    no = parse_ternary(p);
    if (!needs(p, v, CEL_BOOL, "?") || !needs(p, yes, CEL_NONE, "?") || !needs(p, no, yes->kind, "?"))
        return NULL;
    whole = with(node(p, CEL_OP_TERNARY, yes->kind ? yes->kind : no->kind, 3), v, yes);
    if (whole)
        whole->arg[2] = no;
    return whole;
}

static struct cel_node *parse_expr(struct parser *p)
{
    struct cel_node *v;

    if (++p->depth > CEL_MOST_DEPTH)
        return fail(p, ERR_LIMIT, "it is nested deeper than %d", CEL_MOST_DEPTH);
    v = parse_ternary(p);
    while (v && take(p, "|")) {
        const struct cel_node *right = parse_ternary(p);

        v = needs(p, v, CEL_NONE, "|") && needs(p, right, v->kind, "|") ?
                with(node(p, CEL_OP_DEFAULT, v->kind ? v->kind : right->kind, 2), v, right) : NULL;
    }
    p->depth--;
    return v;
}

const struct cel *cel_compile(struct arena *a, struct str text, enum cel_kind wanted, struct err *e)
{
    struct parser p = { .a = a, .text = text, .out = ARENA_NEW(a, struct cel), .e = e };

    if (text.n > CEL_MOST_BYTES)
        fail(&p, ERR_LIMIT, "the expression is longer than %d bytes", CEL_MOST_BYTES);
    else if (!p.out)
        fail(&p, ERR_NOMEM, "no memory for an expression");
    if (p.failed)
        return NULL;
    p.out->root = parse_expr(&p);
    if (p.out->root && p.at < text.n && peek(&p))
        fail(&p, ERR_PARSE, "\"%c\" is not expected here", peek(&p));
    if (p.out->root && needs(&p, p.out->root, wanted, "the expression") && !p.failed)
        return p.out;
    return NULL;
}

struct str cel_header(const struct cel *c, enum cel_map m, size_t i)
{
    for (size_t k = 0; k < c->n; k++) {
        const struct cel_node *v = c->nodes[k], *name = v->n ? v->arg[0] : NULL;
        bool named = (v->op == CEL_OP_HEADER && v->map == m) ||
                     (v->op == CEL_OP_IN && v->arg[1]->op == CEL_OP_MAP && v->arg[1]->map == m);

        if (named && name->op == CEL_OP_LITERAL && i-- == 0)
            return name->literal.s;
    }
    return STR_NULL;
}
