#include "query/lexer-internal.h"

#include "query/ast-internal.h"

#include <stdio.h>

void lexer_init(struct lexer *lx, struct str text)
{
    *lx = (struct lexer){ .text = text };
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* The byte at `i`, or -1 at the end. */
static int byte_at(const struct lexer *lx, size_t i)
{
    return i < lx->text.n ? (unsigned char)lx->text.p[i] : -1;
}

static void skip_blanks(struct lexer *lx)
{
    for (;;) {
        int c = byte_at(lx, lx->at);

        if (c == '#') {
            while (c != '\n' && c != -1)
                c = byte_at(lx, ++lx->at);
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            lx->at++;
        } else {
            return;
        }
    }
}

static struct token token(struct lexer *lx, enum token_kind kind, size_t from, size_t n)
{
    lx->at = from + n;
    return (struct token){ kind, -1, { lx->text.p + from, n }, (uint32_t)from, (uint32_t)(from + n) };
}

static struct token op_token(struct lexer *lx, enum binary_op op, size_t from, size_t n)
{
    struct token t = token(lx, T_OP, from, n);

    t.op = op;
    return t;
}

/* `shown` bytes from `at` on stand in the message. */
static struct token error_at(struct lexer *lx, size_t at, const char *what, size_t shown)
{
    struct token t = { T_ERROR, -1, STR_NULL, (uint32_t)at, (uint32_t)at };

    if (shown)
        snprintf(lx->error, sizeof(lx->error), "%s: '%.*s'", what, (int)shown, lx->text.p + at);
    else
        snprintf(lx->error, sizeof(lx->error), "%s", what);
    return t;
}

/* How many bytes the character at `at` has, for a message that must stay UTF-8. */
static size_t char_width(const struct lexer *lx, size_t at)
{
    size_t n = 1;

    while ((byte_at(lx, at + n) & 0xc0) == 0x80 && byte_at(lx, at + n) != -1 && n < 4)
        n++;
    return n;
}

static struct token bad_char(struct lexer *lx)
{
    return error_at(lx, lx->at, lx->in_braces ? "unexpected character inside braces" : "unexpected character",
                    char_width(lx, lx->at));
}

static struct token lex_string(struct lexer *lx)
{
    size_t from = lx->at, i = from + 1;
    int quote = byte_at(lx, from);

    for (;; i++) {
        int c = byte_at(lx, i);

        if (c == -1)
            return error_at(lx, from, quote == '`' ? "unterminated raw string" : "unterminated quoted string", 0);
        if (c == quote)
            return token(lx, T_STRING, from, i + 1 - from);
        if (quote == '`')
            continue;
        if (c == '\n')
            return error_at(lx, from, "unterminated quoted string", 0);
        if (c == '\\' && byte_at(lx, i + 1) != -1)
            i++;
    }
}

static size_t skip_digits(const struct lexer *lx, size_t i, bool hex)
{
    for (;; i++) {
        int c = byte_at(lx, i);
        bool digit = is_digit(c) || (hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')));

        if (!digit && !(c == '_' && byte_at(lx, i + 1) != '_'))
            return i;
    }
}

static size_t duration_unit(const struct lexer *lx, size_t i)
{
    int c = byte_at(lx, i);

    if (c == 'm' && byte_at(lx, i + 1) == 's')
        return 2;
    return c == 's' || c == 'm' || c == 'h' || c == 'd' || c == 'w' || c == 'y' ? 1 : 0;
}

/* The end of a duration's remainder that begins with a unit at `i`, or 0. */
static size_t skip_duration(const struct lexer *lx, size_t i)
{
    for (;;) {
        size_t unit = duration_unit(lx, i), digits;

        if (!unit)
            return 0;
        i += unit;
        if (!is_digit(byte_at(lx, i)))
            return i;
        digits = i;
        while (is_digit(byte_at(lx, digits)))
            digits++;
        i = digits;
    }
}

static size_t skip_number(const struct lexer *lx, size_t i, bool *whole)
{
    bool hex = byte_at(lx, i) == '0' && (byte_at(lx, i + 1) | 0x20) == 'x';

    *whole = !hex;
    if (hex)
        return skip_digits(lx, i + 2, true);
    i = skip_digits(lx, i, false);
    if (byte_at(lx, i) == '.') {
        *whole = false;
        i = skip_digits(lx, i + 1, false);
    }
    if ((byte_at(lx, i) | 0x20) == 'e') {
        size_t sign = byte_at(lx, i + 1) == '+' || byte_at(lx, i + 1) == '-';

        if (is_digit(byte_at(lx, i + 1 + sign))) {
            *whole = false;
            i = skip_digits(lx, i + 1 + sign, false);
        }
    }
    return i;
}

static struct token lex_number(struct lexer *lx)
{
    size_t from = lx->at, end;
    enum token_kind kind = T_NUMBER;
    bool whole;

    end = skip_number(lx, from, &whole);
    if (whole && duration_unit(lx, end)) {
        size_t stop = skip_duration(lx, end);

        if (stop) {
            kind = T_DURATION;
            end = stop;
        }
    }
    if (is_alpha(byte_at(lx, end)) || is_digit(byte_at(lx, end))) {
        snprintf(lx->error, sizeof(lx->error), "bad number or duration syntax: \"%.*s\"",
                 (int)(end + 1 - from > 40 ? 40 : end + 1 - from), lx->text.p + from);
        return (struct token){ T_ERROR, -1, STR_NULL, (uint32_t)from, (uint32_t)end };
    }
    return token(lx, kind, from, end - from);
}

/* Outside of braces and brackets a colon belongs to a metric's name. */
static struct token lex_word(struct lexer *lx)
{
    size_t i = lx->at;
    bool colons = !lx->in_braces && !lx->in_brackets;

    while (is_alpha(byte_at(lx, i)) || is_digit(byte_at(lx, i)) || (colons && byte_at(lx, i) == ':'))
        i++;
    return token(lx, T_IDENT, lx->at, i - lx->at);
}

static struct token lex_operator(struct lexer *lx)
{
    static const struct {
        char text[3];
        enum binary_op op;
    } two[] = { { "==", OP_EQ }, { "!=", OP_NE }, { "<=", OP_LE }, { ">=", OP_GE },
                { "</", OP_TRIM_UPPER }, { ">/", OP_TRIM_LOWER } },
      one[] = { { "<", OP_LT }, { ">", OP_GT }, { "+", OP_ADD }, { "-", OP_SUB },
                { "*", OP_MUL }, { "/", OP_DIV }, { "%", OP_MOD }, { "^", OP_POW } };
    int c = byte_at(lx, lx->at), d = byte_at(lx, lx->at + 1);

    if (lx->in_braces && c == '=' && d != '~')
        return token(lx, T_ASSIGN, lx->at, 1);
    if (lx->in_braces && d == '~' && (c == '=' || c == '!'))
        return token(lx, c == '=' ? T_MATCH_RE : T_MATCH_NRE, lx->at, 2);
    for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
        if (c == two[i].text[0] && d == two[i].text[1] && (!lx->in_braces || two[i].op == OP_NE))
            return op_token(lx, two[i].op, lx->at, 2);
    for (size_t i = 0; i < sizeof(one) / sizeof(one[0]) && !lx->in_braces; i++)
        if (c == one[i].text[0])
            return op_token(lx, one[i].op, lx->at, 1);
    if (c == '=' && d == '~')
        return error_at(lx, lx->at + 1, "unexpected character after '='", 1);
    if (c == '=')
        return token(lx, T_ASSIGN, lx->at, 1);
    if (c == '!' && !lx->in_braces && d != -1)
        return error_at(lx, lx->at + 1, "unexpected character after '!'", char_width(lx, lx->at + 1));
    return bad_char(lx);
}

static struct token lex_bracket(struct lexer *lx, int c)
{
    if (c == '[') {
        if (lx->in_brackets)
            return error_at(lx, lx->at, "unexpected left bracket", 1);
        lx->in_brackets = true;
        return token(lx, T_LBRACKET, lx->at, 1);
    }
    if (!lx->in_brackets)
        return error_at(lx, lx->at, "unexpected right bracket", 1);
    lx->in_brackets = false;
    return token(lx, T_RBRACKET, lx->at, 1);
}

static struct token lex_brace(struct lexer *lx, int c)
{
    if (c == '{') {
        if (lx->in_braces)
            return error_at(lx, lx->at, "unexpected left brace", 1);
        lx->in_braces = true;
        return token(lx, T_LBRACE, lx->at, 1);
    }
    if (!lx->in_braces)
        return error_at(lx, lx->at, "unexpected right brace", 1);
    lx->in_braces = false;
    return token(lx, T_RBRACE, lx->at, 1);
}

static struct token lex_paren(struct lexer *lx, int c)
{
    if (c == '(') {
        lx->parens++;
        return token(lx, T_LPAREN, lx->at, 1);
    }
    if (lx->parens == 0)
        return error_at(lx, lx->at, "unexpected right parenthesis", 1);
    lx->parens--;
    return token(lx, T_RPAREN, lx->at, 1);
}

static struct token lex_end(struct lexer *lx)
{
    if (lx->in_braces)
        return error_at(lx, lx->at, "unexpected end of input inside braces", 0);
    if (lx->in_brackets)
        return error_at(lx, lx->at, "unclosed left bracket", 0);
    if (lx->parens)
        return error_at(lx, lx->at, "unclosed left parenthesis", 0);
    return token(lx, T_EOF, lx->at, 0);
}

struct token lexer_next(struct lexer *lx)
{
    int c;

    if (lx->error[0])
        return (struct token){ T_ERROR, -1, STR_NULL, (uint32_t)lx->at, (uint32_t)lx->at };
    skip_blanks(lx);
    c = byte_at(lx, lx->at);
    if (c == -1)
        return lex_end(lx);
    if (c == '"' || c == '\'' || c == '`')
        return lex_string(lx);
    if (is_alpha(c) || (c == ':' && !lx->in_brackets && !lx->in_braces))
        return lex_word(lx);
    if (c == '{' || c == '}')
        return lex_brace(lx, c);
    if (c == ',')
        return token(lx, T_COMMA, lx->at, 1);
    if (lx->in_braces)
        return lex_operator(lx);
    if (is_digit(c) || (c == '.' && is_digit(byte_at(lx, lx->at + 1))))
        return lex_number(lx);
    if (c == '(' || c == ')')
        return lex_paren(lx, c);
    if (c == '[' || c == ']')
        return lex_bracket(lx, c);
    if (c == ':' || c == '@')
        return token(lx, c == ':' ? T_COLON : T_AT, lx->at, 1);
    return lex_operator(lx);
}
