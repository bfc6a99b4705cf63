/* logql_parser.c: {stream selector} and its pipeline of line filters and label filters. */
#include "query/lexer-internal.h"
#include "query/logql-internal.h"

#include "base/clock.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

enum kind { L_END, L_BAD, L_IDENT, L_STRING, L_NUMBER, L_SYMBOL };

struct scanner {
    struct arena *a;
    struct err *e;
    struct str text;
    size_t at;        /* where the next token is looked for */
    enum kind kind;   /* the token that is not consumed yet */
    struct str token;
    size_t from;
    int depth;
    size_t comparisons;
};

/* --- tokens ------------------------------------------------------------------------------------------------------ */

static int fail_at(struct scanner *sc, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int fail_at(struct scanner *sc, size_t at, const char *fmt, ...)
{
    size_t line = 1, start = 0;
    char msg[400];
    va_list ap;

    for (size_t i = 0; i < at; i++)
        if (sc->text.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    return err_set(sc->e, ERR_PARSE, "parse error at line %zu, col %zu: %s", line, at - start + 1, msg);
}

static int unexpected(struct scanner *sc, const char *expecting)
{
    const char *what = sc->kind == L_END      ? "$end"
                       : sc->kind == L_IDENT  ? "IDENTIFIER"
                       : sc->kind == L_STRING ? "STRING"
                       : sc->kind == L_NUMBER ? "NUMBER"
                                              : NULL;

    if (sc->kind == L_BAD)
        return fail_at(sc, sc->from, "%s",
                       sc->text.p[sc->from] == '"' || sc->text.p[sc->from] == '`' ? "literal not terminated"
                                                                                 : "syntax error: invalid character");
    return fail_at(sc, sc->from, "syntax error: unexpected %.*s%s%s", what ? (int)strlen(what) : (int)sc->token.n,
                   what ? what : sc->token.p, expecting ? ", expecting " : "", expecting ? expecting : "");
}

static int nomem(struct scanner *sc)
{
    return err_set(sc->e, ERR_NOMEM, "query: no memory to parse it");
}

static bool ident_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static size_t string_length(struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] == s.p[0])
            return i + 1;
        if (s.p[0] == '"' && s.p[i] == '\n')
            return 0;
        if (s.p[0] == '"' && s.p[i] == '\\')
            i++;
    }
    return 0;
}

static size_t number_length(struct str s)
{
    size_t n = s.p[0] == '-';

    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '.' || ident_char(s.p[n], true) ||
                       (unsigned char)s.p[n] >= 0x80))
        n++;
    return n;
}

static size_t symbol_length(struct str s)
{
    static const char *const symbols[] = { "|=", "|~", "!=", "!~", "=~", "==", ">=", "<=",
                                           "{",  "}",  "(",  ")",  ",",  "=",  ">",  "<", "|" };

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        if (str_starts(s, str_of(symbols[i])))
            return strlen(symbols[i]);
    return 0;
}

static void skip_blanks(struct scanner *sc)
{
    for (; sc->at < sc->text.n; sc->at++) {
        char c = sc->text.p[sc->at];

        while (c == '#' && sc->at < sc->text.n && sc->text.p[sc->at] != '\n')
            sc->at++;
        if (sc->at < sc->text.n && !strchr(" \t\r\n", sc->text.p[sc->at]))
            return;
    }
}

static void advance(struct scanner *sc)
{
    struct str rest;
    size_t n = 0;
    char c;

    skip_blanks(sc);
    sc->at = sc->at > sc->text.n ? sc->text.n : sc->at;
    sc->from = sc->at;
    rest = str_from(sc->text, sc->at);
    sc->kind = L_END;
    if (rest.n == 0)
        return;
    c = rest.p[0];
    if (c == '"' || c == '`') {
        sc->kind = L_STRING;
        n = string_length(rest);
    } else if (ident_char(c, true)) {
        sc->kind = L_IDENT;
        while (n < rest.n && ident_char(rest.p[n], n == 0))
            n++;
    } else if ((c >= '0' && c <= '9') || c == '-' || c == '.') {
        sc->kind = L_NUMBER;
        n = number_length(rest);
    } else {
        sc->kind = L_SYMBOL;
        n = symbol_length(rest);
    }
    if (n == 0)
        sc->kind = L_BAD;
    sc->token = (struct str){ rest.p, n };
    sc->at += n;
}

static bool at_symbol(const struct scanner *sc, const char *symbol)
{
    return sc->kind == L_SYMBOL && str_eqz(sc->token, symbol);
}

static bool at_word(const struct scanner *sc, const char *word)
{
    return sc->kind == L_IDENT && str_eqz(sc->token, word);
}

static int expect(struct scanner *sc, const char *symbol)
{
    if (!at_symbol(sc, symbol))
        return unexpected(sc, symbol);
    advance(sc);
    return 0;
}

static int take_string(struct scanner *sc, struct str *out)
{
    const char *why;

    if (sc->kind != L_STRING)
        return unexpected(sc, "STRING");
    *out = literal_string(sc->a, sc->token, &why);
    if (!out->p)
        return fail_at(sc, sc->from, "invalid string literal: %s", why);
    advance(sc);
    return 0;
}

/* --- the selector ------------------------------------------------------------------------------------------------ */

/* -1 when the token is no text operator. */
static int match_op(const struct scanner *sc)
{
    static const char *const ops[] = { "=", "!=", "=~", "!~" };

    for (int i = 0; i < 4; i++)
        if (at_symbol(sc, ops[i]))
            return i;
    return -1;
}

static int make_matcher(struct scanner *sc, struct matcher *m, size_t at, enum match_op op, struct str name,
                        struct str value)
{
    struct err why = ERR_INIT;
    int rc = matcher_init(m, sc->a, op, name, value, &why);

    if (rc < 0 && why.code != ERR_NOMEM)
        return fail_at(sc, at, "%s", why.msg);
    return rc < 0 ? nomem(sc) : 0;
}

static int parse_matcher(struct scanner *sc, struct matcher *m)
{
    struct str name = sc->token, value;
    size_t at = sc->from;
    int op;

    if (sc->kind != L_IDENT)
        return unexpected(sc, "IDENTIFIER or }");
    advance(sc);
    op = match_op(sc);
    if (op < 0)
        return unexpected(sc, "= or != or =~ or !~");
    advance(sc);
    if (take_string(sc, &value) < 0)
        return ERR_PARSE;
    return make_matcher(sc, m, at, (enum match_op)op, name, value);
}

static int parse_selector(struct scanner *sc, struct logql_expr *x)
{
    struct matcher *list = NULL;
    size_t cap = 0;
    bool certain = false;
    int rc = expect(sc, "{");

    while (rc == 0 && !at_symbol(sc, "}")) {
        if (arena_grow(sc->a, &list, &cap, x->nmatchers + 1, sizeof(*list)) < 0)
            return nomem(sc);
        rc = parse_matcher(sc, &list[x->nmatchers]);
        if (rc < 0)
            return rc;
        certain |= !matcher_match(&list[x->nmatchers++], STR_NULL);
        if (!at_symbol(sc, ","))
            break;
        advance(sc);
    }
    x->matchers = list;
    if (rc == 0)
        rc = expect(sc, "}");
    if (rc == 0 && !certain)
        rc = err_set(sc->e, ERR_PARSE,
                     "parse error : queries require at least one regexp or equality matcher that does not have an "
                     "empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but "
                     "app=~\".+\" will");
    return rc;
}

/* --- line filters ------------------------------------------------------------------------------------------------ */

static int add_alternative(struct scanner *sc, struct line_filter *f, size_t *cap)
{
    struct err why = ERR_INIT;
    size_t at = sc->from;
    struct str text;
    int rc = take_string(sc, &text);

    if (rc < 0)
        return rc;
    if (arena_grow(sc->a, &f->any, cap, f->n + 1, sizeof(*f->any)) < 0)
        return nomem(sc);
    f->any[f->n] = (struct line_alternative){ text, NULL };
    if (f->is_regex && !(f->any[f->n].re = regex_compile(sc->a, text, 0, &why)))
        return why.code == ERR_NOMEM ? nomem(sc) : fail_at(sc, at, "%s", why.msg);
    f->n++;
    return 0;
}

static bool at_line_filter(const struct scanner *sc)
{
    return at_symbol(sc, "|=") || at_symbol(sc, "|~") || at_symbol(sc, "!=") || at_symbol(sc, "!~");
}

/* |= "a" or "b": one of them; != "a" or "b": none of them. */
static int parse_line_filter(struct scanner *sc, struct line_filter *f)
{
    size_t cap = 0;
    int rc;

    *f = (struct line_filter){ .negative = sc->token.p[0] == '!', .is_regex = sc->token.p[1] == '~' };
    advance(sc);
    rc = add_alternative(sc, f, &cap);
    while (rc == 0 && at_word(sc, "or")) {
        advance(sc);
        rc = add_alternative(sc, f, &cap);
    }
    return rc;
}

/* --- label filters ----------------------------------------------------------------------------------------------- */

static const struct predicate *parse_or(struct scanner *sc);

bool logql_bytes(struct str s, double *v)
{
    static const struct {
        struct str unit;
        double bytes;
    } units[] = { { STR_INIT("KiB"), 1024.0 },          { STR_INIT("MiB"), 1048576.0 },
                  { STR_INIT("GiB"), 1073741824.0 },    { STR_INIT("KB"), 1e3 },
                  { STR_INIT("kB"), 1e3 },              { STR_INIT("MB"), 1e6 },
                  { STR_INIT("GB"), 1e9 },              { STR_INIT("B"), 1 } };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_ends(s, units[i].unit) && num_double((struct str){ s.p, s.n - units[i].unit.n }, v)) {
            *v *= units[i].bytes;
            return true;
        }
    return false;
}

static int read_number(struct scanner *sc, struct predicate *p)
{
    int64_t ns;

    if (sc->kind != L_NUMBER)
        return unexpected(sc, "NUMBER or DURATION or BYTES");
    if (num_double(sc->token, &p->value)) {
        p->measure = MEASURE_NUMBER;
    } else if (duration_parse_go(sc->token, &ns, NULL) == 0) {
        p->measure = MEASURE_DURATION;
        p->value = (double)ns / 1e9;
    } else if (logql_bytes(sc->token, &p->value)) {
        p->measure = MEASURE_BYTES;
    } else {
        return fail_at(sc, sc->from, "syntax error: unexpected \"%.*s\", expecting a number, a duration as in 10ms, or "
                       "bytes as in 1KB", (int)(sc->token.n > 60 ? 60 : sc->token.n), sc->token.p);
    }
    advance(sc);
    return 0;
}

static int number_op(const struct scanner *sc)
{
    static const struct {
        const char *text;
        enum event_op op;
    } ops[] = { { "==", EVENT_EQ }, { "=", EVENT_EQ }, { "!=", EVENT_NE }, { ">", EVENT_GT },
                { ">=", EVENT_GE }, { "<", EVENT_LT }, { "<=", EVENT_LE } };

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        if (at_symbol(sc, ops[i].text))
            return (int)ops[i].op;
    return -1;
}

static int parse_comparison(struct scanner *sc, struct predicate *p)
{
    size_t at = sc->from;
    int text, number, rc;
    struct str value;

    if (sc->kind != L_IDENT)
        return unexpected(sc, "IDENTIFIER or (");
    p->name = sc->token;
    p->id = sc->comparisons++;
    advance(sc);
    text = match_op(sc);
    number = number_op(sc);
    if (text < 0 && number < 0)
        return unexpected(sc, "a comparison");
    advance(sc);
    if (text >= 0 && (sc->kind == L_STRING || number < 0)) {
        p->kind = PREDICATE_TEXT;
        rc = take_string(sc, &value);
        return rc < 0 ? rc : make_matcher(sc, &p->text, at, (enum match_op)text, p->name, value);
    }
    p->kind = PREDICATE_NUMBER;
    p->op = (enum event_op)number;
    return read_number(sc, p);
}

static const struct predicate *parse_predicate(struct scanner *sc)
{
    const struct predicate *inner;
    struct predicate *p;

    if (at_symbol(sc, "(")) {
        advance(sc);
        inner = parse_or(sc);
        return inner && expect(sc, ")") == 0 ? inner : NULL;
    }
    p = ARENA_NEW(sc->a, struct predicate);
    if (!p)
        nomem(sc);
    return p && parse_comparison(sc, p) == 0 ? p : NULL;
}

static const struct predicate *join(struct scanner *sc, enum predicate_kind kind, const struct predicate *l,
                                    const struct predicate *r)
{
    struct predicate *p = r ? ARENA_NEW(sc->a, struct predicate) : NULL;

    if (r && !p)
        nomem(sc);
    if (p)
        *p = (struct predicate){ .kind = kind, .l = l, .r = r };
    return p;
}

static const struct predicate *parse_and(struct scanner *sc)
{
    const struct predicate *p = parse_predicate(sc);

    while (p && (at_word(sc, "and") || at_symbol(sc, ","))) {
        if (++sc->depth > LOGQL_MAX_DEPTH) {
            fail_at(sc, sc->from, "label filter nested too deeply, at most %d levels", LOGQL_MAX_DEPTH);
            return NULL;
        }
        advance(sc);
        p = join(sc, PREDICATE_AND, p, parse_predicate(sc));
    }
    return p;
}

/* `depth` counts whatever makes the tree deeper, and is not given back: it bounds recursion over the whole query. */
static const struct predicate *parse_or(struct scanner *sc)
{
    const struct predicate *p;

    if (++sc->depth > LOGQL_MAX_DEPTH) {
        fail_at(sc, sc->from, "label filter nested too deeply, at most %d levels", LOGQL_MAX_DEPTH);
        return NULL;
    }
    p = parse_and(sc);
    while (p && at_word(sc, "or")) {
        if (++sc->depth > LOGQL_MAX_DEPTH) {
            fail_at(sc, sc->from, "label filter nested too deeply, at most %d levels", LOGQL_MAX_DEPTH);
            return NULL;
        }
        advance(sc);
        p = join(sc, PREDICATE_OR, p, parse_and(sc));
    }
    return p;
}

/* --- the pipeline ------------------------------------------------------------------------------------------------ */

static int parse_stage(struct scanner *sc, struct stage *st)
{
    if (at_line_filter(sc)) {
        st->kind = STAGE_LINE;
        return parse_line_filter(sc, &st->line);
    }
    if (!at_symbol(sc, "|"))
        return unexpected(sc, NULL);
    advance(sc);
    st->kind = STAGE_LABEL;
    st->label = parse_or(sc);
    return st->label ? 0 : ERR_PARSE;
}

struct logql_expr *logql_parse(struct arena *a, struct str text, struct err *e)
{
    struct err mine = ERR_INIT;
    struct scanner sc = { .a = a, .e = e ? e : &mine, .text = text };
    struct logql_expr *x = ARENA_NEW(a, struct logql_expr);
    struct stage *stages = NULL;
    size_t cap = 0;

    if (text.n > LOGQL_MAX_TEXT) {
        err_set(sc.e, ERR_PARSE, "parse error at line 1, col 1: query of %zu bytes is too long, at most %d", text.n,
                LOGQL_MAX_TEXT);
        return NULL;
    }
    sc.text = arena_str(a, text);
    if (!x || !sc.text.p) {
        nomem(&sc);
        return NULL;
    }
    advance(&sc);
    if (parse_selector(&sc, x) < 0)
        return NULL;
    while (sc.kind != L_END) {
        if (arena_grow(a, &stages, &cap, x->nstages + 1, sizeof(*stages)) < 0) {
            nomem(&sc);
            return NULL;
        }
        if (parse_stage(&sc, &stages[x->nstages]) < 0)
            return NULL;
        x->nstages++;
    }
    x->stages = stages;
    x->ncomparisons = sc.comparisons;
    return x;
}
