/* lexer-internal.h: PromQL's tokens, one at a time. */
#ifndef QUERY_LEXER_INTERNAL_H
#define QUERY_LEXER_INTERNAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum token_kind {
    T_EOF, T_ERROR, T_NUMBER, T_DURATION, T_STRING, T_IDENT,
    T_LPAREN, T_RPAREN, T_LBRACE, T_RBRACE, T_LBRACKET, T_RBRACKET, T_COMMA, T_COLON, T_AT,
    T_ASSIGN, T_MATCH_RE, T_MATCH_NRE,
    T_OP /* + - * / % ^ == != < <= > >= </ >/ : binary_op in `op` */
};

struct token {
    enum token_kind kind;
    int op;
    struct str text; /* a view of the query */
    uint32_t from, to;
};

struct lexer {
    struct str text;
    size_t at;
    int parens;
    bool in_braces, in_brackets;
    char error[96]; /* of a T_ERROR */
};

void lexer_init(struct lexer *lx, struct str text);
/* After the end every call gives T_EOF, after an error every call gives T_ERROR. */
struct token lexer_next(struct lexer *lx);

/* literal.c */
/* Decodes a quoted string token with Go's escapes; p NULL: *why says what is wrong. */
struct str literal_string(struct arena *a, struct str quoted, const char **why);
/* 0x1f, 1_000, .5, 1e3, Inf, NaN. */
bool literal_number(struct str s, double *v);

#endif
