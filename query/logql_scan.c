#include "query/logql_scan-internal.h"

#include "query/lexer-internal.h"

#include <stdarg.h>
#include <stdio.h>

int scanner_fail(struct scanner *sc, size_t at, const char *fmt, ...)
{
    unsigned line, column;
    char msg[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    text_position(sc->text, at, &line, &column);
    return err_set(sc->e, ERR_PARSE, "parse error at line %u, col %u: %s", line, column, msg);
}

int scanner_unexpected(struct scanner *sc, const char *expecting)
{
    const char *what = sc->kind == SCAN_END      ? "$end"
                       : sc->kind == SCAN_WORD   ? "IDENTIFIER"
                       : sc->kind == SCAN_STRING ? "STRING"
                       : sc->kind == SCAN_NUMBER ? "NUMBER"
                                                 : NULL;
    bool quote = sc->kind == SCAN_BAD && (sc->text.p[sc->from] == '"' || sc->text.p[sc->from] == '`');

    if (sc->kind == SCAN_BAD)
        return scanner_fail(sc, sc->from, "%s", quote ? "literal not terminated" : "syntax error: invalid character");
    return scanner_fail(sc, sc->from, "syntax error: unexpected %.*s%s%s", what ? (int)strlen(what) : (int)sc->token.n,
                     what ? what : sc->token.p, expecting ? ", expecting " : "", expecting ? expecting : "");
}

int scanner_nomem(struct scanner *sc)
{
    return err_set(sc->e, ERR_NOMEM, "query: no memory to parse it");
}

/* --- tokens ------------------------------------------------------------------------------------------------------ */

static bool word_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static size_t word_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && word_char(s.p[n], n == 0))
        n++;
    return n;
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

/* A number with its unit: 5, -1.5, 1h30m, 2KiB, 1.5µs. */
static size_t number_length(struct str s)
{
    size_t n = s.p[0] == '-';

    while (n < s.n && (word_char(s.p[n], false) || s.p[n] == '.' || (unsigned char)s.p[n] >= 0x80))
        n++;
    return n;
}

static size_t flag_length(struct str s)
{
    size_t n = 2;

    while (n < s.n && (word_char(s.p[n], true) || s.p[n] == '-'))
        n++;
    return n;
}

static size_t symbol_length(struct str s)
{
    static const char *const symbols[] = { "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}",
                                           "(",  ")",  "[",  "]",  ",",  "=",  ">",  "<",  "|" };

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++)
        if (str_starts(s, str_of(symbols[i])))
            return strlen(symbols[i]);
    return 0;
}

static void skip_blanks(struct scanner *sc)
{
    while (sc->at < sc->text.n) {
        char c = sc->text.p[sc->at];

        if (c == '#')
            while (sc->at < sc->text.n && sc->text.p[sc->at] != '\n')
                sc->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            sc->at++;
        else
            return;
    }
}

void scanner_next(struct scanner *sc)
{
    struct str rest;
    size_t n = 0;
    char c;

    sc->last = sc->at;
    skip_blanks(sc);
    sc->from = sc->at;
    rest = str_from(sc->text, sc->at);
    sc->kind = SCAN_END;
    sc->token = rest;
    if (rest.n == 0)
        return;
    c = rest.p[0];
    if (c == '"' || c == '`') {
        sc->kind = SCAN_STRING;
        n = string_length(rest);
    } else if (word_char(c, true)) {
        sc->kind = SCAN_WORD;
        n = word_length(rest);
    } else if (str_starts(rest, STR("--"))) {
        sc->kind = SCAN_FLAG;
        n = flag_length(rest);
    } else if ((c >= '0' && c <= '9') || c == '-' || c == '.') {
        sc->kind = SCAN_NUMBER;
        n = number_length(rest);
    } else {
        sc->kind = SCAN_SYMBOL;
        n = symbol_length(rest);
    }
    if (n == 0)
        sc->kind = SCAN_BAD;
    sc->token = (struct str){ rest.p, n };
    sc->at += n;
}

void scanner_start(struct scanner *sc, size_t at)
{
    sc->at = at;
    scanner_next(sc);
}

bool scanner_symbol(const struct scanner *sc, const char *symbol)
{
    return sc->kind == SCAN_SYMBOL && str_eqz(sc->token, symbol);
}

bool scanner_word(const struct scanner *sc, const char *word)
{
    return sc->kind == SCAN_WORD && str_eqz(sc->token, word);
}

int scanner_expect(struct scanner *sc, const char *symbol)
{
    if (!scanner_symbol(sc, symbol))
        return scanner_unexpected(sc, symbol);
    scanner_next(sc);
    return 0;
}

int scanner_string(struct scanner *sc, struct str *out)
{
    const char *why;

    if (sc->kind != SCAN_STRING)
        return scanner_unexpected(sc, "STRING");
    *out = literal_string(sc->a, sc->token, &why);
    if (!out->p)
        return scanner_fail(sc, sc->from, "invalid string literal: %s", why);
    scanner_next(sc);
    return 0;
}

/* --- labels ------------------------------------------------------------------------------------------------------ */

int scanner_label(struct scanner *sc, struct str name, size_t *index)
{
    for (*index = 0; *index < sc->nnames; ++*index)
        if (str_eq(sc->names[*index], name))
            return 0;
    if (sc->nnames == LOGQL_MAX_NAMES)
        return scanner_fail(sc, sc->from, "more than %d different labels in one query", LOGQL_MAX_NAMES);
    if (arena_grow(sc->a, &sc->names, &sc->names_cap, sc->nnames + 1, sizeof(*sc->names)) < 0)
        return scanner_nomem(sc);
    sc->names[sc->nnames++] = name;
    return 0;
}

int scanner_match_op(const struct scanner *sc)
{
    static const char *const ops[] = { "=", "!=", "=~", "!~" };

    for (int i = 0; i < 4; i++)
        if (scanner_symbol(sc, ops[i]))
            return i;
    return -1;
}

int scanner_matcher(struct scanner *sc, struct matcher *m, size_t at, enum match_op op, struct str name, struct str value)
{
    struct err why = ERR_INIT;
    int rc = matcher_init(m, sc->a, op, name, value, &why);

    if (rc < 0 && why.code != ERR_NOMEM)
        return scanner_fail(sc, at, "%s", why.msg);
    return rc < 0 ? scanner_nomem(sc) : 0;
}
