/* parser_tokens.c: the parser's hands: tokens, what is said of an unexpected one, nodes; and the operators' tables. */
#include "query/parser-internal.h"

#include <stdarg.h>
#include <stdio.h>

const struct binary_op_info binary_ops[OP_COUNT] = {
    [OP_OR] = { STR_INIT("or"), 1, true, true, false },
    [OP_AND] = { STR_INIT("and"), 2, true, true, false },
    [OP_UNLESS] = { STR_INIT("unless"), 2, true, true, false },
    [OP_EQ] = { STR_INIT("=="), 3, false, false, true },
    [OP_NE] = { STR_INIT("!="), 3, false, false, true },
    [OP_LE] = { STR_INIT("<="), 3, false, false, true },
    [OP_LT] = { STR_INIT("<"), 3, false, false, true },
    [OP_GE] = { STR_INIT(">="), 3, false, false, true },
    [OP_GT] = { STR_INIT(">"), 3, false, false, true },
    [OP_TRIM_UPPER] = { STR_INIT("</"), 3, false, false, false },
    [OP_TRIM_LOWER] = { STR_INIT(">/"), 3, false, false, false },
    [OP_ADD] = { STR_INIT("+"), 4, false, false, false },
    [OP_SUB] = { STR_INIT("-"), 4, false, false, false },
    [OP_MUL] = { STR_INIT("*"), 5, false, false, false },
    [OP_DIV] = { STR_INIT("/"), 5, false, false, false },
    [OP_MOD] = { STR_INIT("%"), 5, false, false, false },
    [OP_ATAN2] = { STR_INIT("atan2"), 5, true, false, false },
    [OP_POW] = { STR_INIT("^"), 6, false, false, false },
};

const struct aggregate_info aggregates[AGG_COUNT_OPS] = {
    [AGG_SUM] = { STR_INIT("sum"), false, PROMQL_SCALAR },
    [AGG_AVG] = { STR_INIT("avg"), false, PROMQL_SCALAR },
    [AGG_MIN] = { STR_INIT("min"), false, PROMQL_SCALAR },
    [AGG_MAX] = { STR_INIT("max"), false, PROMQL_SCALAR },
    [AGG_COUNT] = { STR_INIT("count"), false, PROMQL_SCALAR },
    [AGG_GROUP] = { STR_INIT("group"), false, PROMQL_SCALAR },
    [AGG_STDDEV] = { STR_INIT("stddev"), false, PROMQL_SCALAR },
    [AGG_STDVAR] = { STR_INIT("stdvar"), false, PROMQL_SCALAR },
    [AGG_TOPK] = { STR_INIT("topk"), true, PROMQL_SCALAR },
    [AGG_BOTTOMK] = { STR_INIT("bottomk"), true, PROMQL_SCALAR },
    [AGG_QUANTILE] = { STR_INIT("quantile"), true, PROMQL_SCALAR },
    [AGG_COUNT_VALUES] = { STR_INIT("count_values"), true, PROMQL_STRING },
    [AGG_LIMITK] = { STR_INIT("limitk"), true, PROMQL_SCALAR },
    [AGG_LIMIT_RATIO] = { STR_INIT("limit_ratio"), true, PROMQL_SCALAR },
};

void text_position(struct str text, size_t at, unsigned *line, unsigned *column)
{
    size_t start = 0;

    *line = 1;
    for (size_t i = 0; i < at && i < text.n; i++)
        if (text.p[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    *column = (unsigned)(at - start + 1);
}

int parse_error(struct err *e, struct str text, size_t at, const char *fmt, ...)
{
    unsigned line, column;
    char msg[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    text_position(text, at, &line, &column);
    return err_set(e, ERR_PARSE, "%u:%u: parse error: %s", line, column, msg);
}

void parser_advance(struct parser *ps)
{
    ps->last = ps->cur.to;
    ps->cur = lexer_next(&ps->lx);
}

void parser_skip(struct parser *ps, size_t at)
{
    ps->lx.at = at;
    ps->last = (uint32_t)at;
    ps->cur = lexer_next(&ps->lx);
}

struct token parser_peek(const struct parser *ps)
{
    struct lexer ahead = ps->lx;

    return lexer_next(&ahead);
}

bool parser_at_word(const struct parser *ps, const char *word)
{
    return ps->cur.kind == T_IDENT && str_ieq(ps->cur.text, str_of(word));
}

int parser_nomem(struct parser *ps)
{
    return err_set(ps->e, ERR_NOMEM, "query: no memory to parse it");
}

static bool is_keyword(struct str s)
{
    static const char *const words[] = { "by", "without", "on", "ignoring", "group_left", "group_right", "bool",
                                         "offset", "anchored", "smoothed" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_ieq(s, str_of(words[i])))
            return true;
    return false;
}

/* Ten characters at most, as Go quotes them. */
static void describe_quoted(struct str s, const char *label, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s\"", label), shown = 0;

    for (size_t i = 0; i < s.n && shown < 10 && n + 8 < size; i++) {
        bool starts = (s.p[i] & 0xc0) != 0x80;

        if (s.p[i] == '"' || s.p[i] == '\\')
            out[n++] = '\\';
        out[n++] = s.p[i];
        shown += starts && !(i + 1 < s.n && (s.p[i + 1] & 0xc0) == 0x80);
    }
    snprintf(out + n, size - n, "\"%s", s.n > 10 ? "..." : "");
}

/* As Prometheus names a token in a message. */
static void describe(struct token t, char *out, size_t size)
{
    const char *label = "";

    if (t.kind == T_EOF) {
        snprintf(out, size, "end of input");
        return;
    }
    if (t.kind == T_IDENT && is_keyword(t.text)) {
        snprintf(out, size, "<%.*s>", STR_ARG(t.text));
        return;
    }
    for (size_t i = 0; t.kind == T_IDENT && i < OP_COUNT; i++)
        if (binary_ops[i].is_word && str_ieq(t.text, binary_ops[i].text)) {
            snprintf(out, size, "<op:%.*s>", STR_ARG(t.text));
            return;
        }
    if (t.kind == T_OP || t.kind == T_MATCH_RE || t.kind == T_MATCH_NRE) {
        snprintf(out, size, "<op:%.*s>", STR_ARG(t.text));
        return;
    }
    for (size_t i = 0; t.kind == T_IDENT && i < AGG_COUNT_OPS; i++)
        if (str_ieq(t.text, aggregates[i].name)) {
            snprintf(out, size, "<aggr:%.*s>", STR_ARG(t.text));
            return;
        }
    if (t.kind == T_IDENT) {
        snprintf(out, size, "%sidentifier \"%.*s\"", str_chr(t.text, ':') >= 0 ? "metric " : "",
                 (int)(t.text.n > 60 ? 60 : t.text.n), t.text.p);
        return;
    }
    if (t.kind == T_STRING)
        label = "string ";
    else if (t.kind == T_NUMBER)
        label = "number ";
    else if (t.kind == T_DURATION)
        label = "duration ";
    describe_quoted(t.text, label, out, size);
}

int parser_unexpected(struct parser *ps, const char *context, const char *expected)
{
    char what[100];

    if (ps->cur.kind == T_ERROR)
        return parse_error(ps->e, ps->text, ps->cur.from, "%s", ps->lx.error);
    describe(ps->cur, what, sizeof(what));
    return parse_error(ps->e, ps->text, ps->cur.from, "unexpected %s%s%s%s%s", what, context ? " in " : "",
                       context ? context : "", expected ? ", expected " : "", expected ? expected : "");
}

int parser_expect(struct parser *ps, enum token_kind kind, const char *context, const char *expected)
{
    if (ps->cur.kind != kind)
        return parser_unexpected(ps, context, expected);
    parser_advance(ps);
    return 0;
}

struct node *parser_node(struct parser *ps, enum node_kind kind, uint32_t from)
{
    struct node *n = ARENA_NEW(ps->a, struct node);

    if (!n) {
        parser_nomem(ps);
        return NULL;
    }
    n->kind = kind;
    n->span.from = from;
    return n;
}

struct node *parser_finish(struct parser *ps, struct node *n, int below)
{
    n->span.to = ps->last;
    n->depth = below + 1;
    if (n->depth > AST_MAX_DEPTH) {
        parse_error(ps->e, ps->text, n->span.from, "expression nested too deeply, at most %d levels", AST_MAX_DEPTH);
        return NULL;
    }
    n->type = node_type(n);
    return n;
}

struct node *parser_signed(struct parser *ps, struct node *inner, bool minus, uint32_t from)
{
    struct node *n;

    if (!inner)
        return NULL;
    if (inner->kind == NODE_NUMBER) {
        inner->number.value = minus ? -inner->number.value : inner->number.value;
        inner->span.from = from;
        return inner;
    }
    n = parser_node(ps, NODE_UNARY, from);
    if (!n)
        return NULL;
    n->unary.minus = minus;
    n->unary.inner = inner;
    return parser_finish(ps, n, inner->depth);
}
