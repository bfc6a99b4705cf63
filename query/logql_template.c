/* logql_template.c: templates: from text to parts, and from parts to text.
 *
 *     {{.name}}  {{ .name | ToUpper | trunc 5 }}  {{ if eq .level "error" }}…{{ else if … }}…{{ else }}…{{ end }}
 *
 * A pipeline a | f x is the call f(x, a). {{- and -}} take the blanks beside them away. Depth is bounded while parsing,
 * so running may recurse. */
#include "query/logql_function-internal.h"

#include "query/lexer-internal.h"

#include <stdio.h>

enum { MOST_DEPTH = 32 };

enum expr_kind { EXPR_VALUE, EXPR_LABEL, EXPR_CALL };

struct expr {
    enum expr_kind kind;
    struct value value;
    size_t label;
    const struct template_function *fn;
    const struct regex *re;
    const struct expr **args;
    size_t n;
};

struct parts {
    struct part *v;
    size_t n, cap;
};

struct part {
    struct str text;         /* without `what` */
    const struct expr *what; /* printed; of an `if` its condition */
    bool is_if;
    struct parts then, otherwise;
};

struct template {
    struct str text;
    struct parts parts;
};

struct str template_text(const struct template *t)
{
    return t->text;
}

/* --- parsing: tokens inside of {{ }} ----------------------------------------------------------------------------- */

struct reader {
    struct scanner *sc;
    size_t from;       /* of the template's text in the query, for messages */
    struct str text;
    size_t at;         /* in text */
    size_t end;        /* of the action that is being read */
    int depth;
};

static int fail(struct reader *r, const char *what, struct str near)
{
    return scanner_fail(r->sc, r->from, "invalid line template: %s%s%.*s%s", what, near.n ? " \"" : "",
                     (int)(near.n > 40 ? 40 : near.n), near.n ? near.p : "", near.n ? "\"" : "");
}

static struct str rest_of(const struct reader *r)
{
    return (struct str){ r->text.p + r->at, r->end - r->at };
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && strchr(" \t\r\n", r->text.p[r->at]) && r->text.p[r->at])
        r->at++;
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static struct str read_word(struct reader *r)
{
    size_t from = r->at;

    while (r->at < r->end && word_char(r->text.p[r->at]))
        r->at++;
    return (struct str){ r->text.p + from, r->at - from };
}

/* The word that stands next, without taking it. */
static struct str peek_word(struct reader *r)
{
    struct str word;
    size_t at;

    skip_blanks(r);
    at = r->at;
    word = read_word(r);
    r->at = at;
    return word;
}

static bool at_char(struct reader *r, char c)
{
    skip_blanks(r);
    return r->at < r->end && r->text.p[r->at] == c;
}

/* --- parsing: expressions ---------------------------------------------------------------------------------------- */

static struct expr *parse_pipeline(struct reader *r);

static struct expr *new_expr(struct reader *r, enum expr_kind kind)
{
    struct expr *x = ARENA_NEW(r->sc->a, struct expr);

    if (!x)
        scanner_nomem(r->sc);
    else
        x->kind = kind;
    return x;
}

static struct expr *parse_quoted(struct reader *r)
{
    char quote = r->text.p[r->at];
    size_t n = 1;
    struct str rest = rest_of(r);
    struct expr *x;
    const char *why;

    while (n < rest.n && rest.p[n] != quote)
        n += quote == '"' && rest.p[n] == '\\' ? 2 : 1;
    if (n >= rest.n) {
        fail(r, "unterminated quoted string", rest);
        return NULL;
    }
    x = new_expr(r, EXPR_VALUE);
    if (!x)
        return NULL;
    x->value.s = literal_string(r->sc->a, (struct str){ rest.p, n + 1 }, &why);
    if (!x->value.s.p) {
        fail(r, why, rest);
        return NULL;
    }
    r->at += n + 1;
    return x;
}

static struct expr *parse_number(struct reader *r)
{
    struct str rest = rest_of(r);
    struct expr *x = new_expr(r, EXPR_VALUE);
    size_t n = 0;

    while (n < rest.n && (word_char(rest.p[n]) || rest.p[n] == '.' || ((rest.p[n] == '-' || rest.p[n] == '+') && n == 0)))
        n++;
    if (!x)
        return NULL;
    x->value = (struct value){ .type = VALUE_TEXT, .s = { rest.p, n } };
    if (value_int(&x->value, &x->value.i)) {
        x->value.type = VALUE_INT;
    } else if (value_float(&x->value, &x->value.f)) {
        x->value.type = VALUE_FLOAT;
    } else {
        fail(r, "bad number", x->value.s);
        return NULL;
    }
    r->at += n;
    return x;
}

static struct expr *parse_label(struct reader *r)
{
    struct expr *x = new_expr(r, EXPR_LABEL);
    struct str name;

    r->at++;
    name = read_word(r);
    if (x && name.n == 0) {
        fail(r, "a label's name should stand behind the dot", rest_of(r));
        return NULL;
    }
    return x && scanner_label(r->sc, name, &x->label) == 0 ? x : NULL;
}

/* One operand; a function's name alone is a call without arguments. */
static struct expr *parse_operand(struct reader *r)
{
    struct expr *x;
    char c;

    skip_blanks(r);
    c = r->at < r->end ? r->text.p[r->at] : '\0';
    if (c == '"' || c == '`')
        return parse_quoted(r);
    if ((c >= '0' && c <= '9') || c == '-' || c == '+')
        return parse_number(r);
    if (c == '.')
        return parse_label(r);
    if (c == '(') {
        r->at++;
        x = parse_pipeline(r);
        if (x && !at_char(r, ')')) {
            fail(r, "unclosed left parenthesis", STR_NULL);
            return NULL;
        }
        r->at++;
        return x;
    }
    if (!word_char(c)) {
        fail(r, "unexpected", c ? rest_of(r) : STR("}}"));
        return NULL;
    }
    x = new_expr(r, EXPR_CALL);
    if (x) {
        struct str word = read_word(r);

        x->fn = template_function(word);
        if (str_eqz(word, "true") || str_eqz(word, "false")) {
            x->kind = EXPR_VALUE;
            x->value = (struct value){ .type = VALUE_BOOL, .i = word.n == 4 };
        } else if (!x->fn) {
            fail(r, "function not defined", word);
            return NULL;
        }
    }
    return x;
}

static int add_argument(struct reader *r, struct expr *call, const struct expr *arg)
{
    if (call->n == FUNCTION_MOST_ARGUMENTS)
        return fail(r, "too many arguments for", call->fn->name);
    if (!call->args && !(call->args = arena_array(r->sc->a, FUNCTION_MOST_ARGUMENTS, sizeof(const struct expr *))))
        return scanner_nomem(r->sc);
    call->args[call->n++] = arg;
    return 0;
}

/* A call is whole: the number of its arguments, and its regular expression. */
static int check_call(struct reader *r, struct expr *x)
{
    struct err why = ERR_INIT;

    if (x->kind != EXPR_CALL)
        return 0;
    if (x->n < x->fn->min || x->n > x->fn->max)
        return fail(r, "wrong number of arguments for", x->fn->name);
    if (!x->fn->regex)
        return 0;
    if (x->args[0]->kind != EXPR_VALUE || x->args[0]->value.type != VALUE_TEXT)
        return fail(r, "the regular expression should stand in the template, of", x->fn->name);
    x->re = regex_compile(r->sc->a, x->args[0]->value.s, 0, &why);
    return x->re ? 0 : why.code == ERR_NOMEM ? scanner_nomem(r->sc) : fail(r, why.msg, STR_NULL);
}

/* An operand, or a function with its arguments; `before` is the last one of these. */
static struct expr *parse_command(struct reader *r, const struct expr *before)
{
    struct expr *x = parse_operand(r);

    if (!x)
        return NULL;
    if (x->kind != EXPR_CALL && before) {
        fail(r, "a function should stand behind |", STR_NULL);
        return NULL;
    }
    for (skip_blanks(r); x->kind == EXPR_CALL && !x->re && r->at < r->end && !strchr("|)", r->text.p[r->at]);
         skip_blanks(r)) {
        struct expr *arg = parse_operand(r);

        if (!arg || (arg->kind == EXPR_CALL && check_call(r, arg) < 0) || add_argument(r, x, arg) < 0)
            return NULL;
    }
    if (before && add_argument(r, x, before) < 0)
        return NULL;
    return check_call(r, x) == 0 ? x : NULL;
}

static struct expr *parse_pipeline(struct reader *r)
{
    struct expr *x;

    if (++r->depth > MOST_DEPTH) {
        fail(r, "nested too deeply", STR_NULL);
        return NULL;
    }
    x = parse_command(r, NULL);
    for (unsigned n = 0; x && at_char(r, '|'); n++) {
        if (n == MOST_DEPTH) {
            fail(r, "too many functions in one pipeline", STR_NULL);
            return NULL;
        }
        r->at++;
        x = parse_command(r, x);
    }
    r->depth--;
    return x;
}

/* The whole of an action that is nothing else. */
static struct expr *parse_all_of_it(struct reader *r)
{
    struct expr *x = parse_pipeline(r);

    skip_blanks(r);
    if (x && r->at < r->end) {
        fail(r, "unexpected", rest_of(r));
        return NULL;
    }
    return x;
}

/* --- parsing: parts ---------------------------------------------------------------------------------------------- */

static int add_part(struct reader *r, struct parts *to, struct part part)
{
    if (arena_grow(r->sc->a, &to->v, &to->cap, to->n + 1, sizeof(part)) < 0)
        return scanner_nomem(r->sc);
    to->v[to->n++] = part;
    return 0;
}

static bool trims_left(struct str s)
{
    return s.n >= 4 && s.p[2] == '-' && strchr(" \t\r\n", s.p[3]);
}

/* The text up to the next action. *trim: what stands in front loses its blanks. */
static int take_text(struct reader *r, struct parts *to)
{
    struct str rest = str_from(r->text, r->at);
    ptrdiff_t open = str_find(rest, STR("{{"));
    struct str text = { rest.p, open < 0 ? rest.n : (size_t)open };

    r->at += text.n;
    if (open >= 0 && trims_left(str_from(rest, text.n)))
        while (text.n && strchr(" \t\r\n", text.p[text.n - 1]))
            text.n--;
    return text.n ? add_part(r, to, (struct part){ .text = text }) : 0;
}

/* Behind the }} that ends the action at r->at, quotes skipped; r->at becomes its first byte, r->end its end. */
static int open_action(struct reader *r, size_t *behind)
{
    size_t at = r->at + 2;
    char quote = '\0';

    at += trims_left(str_from(r->text, r->at));
    for (r->at = at; at + 1 < r->text.n; at++) {
        char c = r->text.p[at];

        if (quote) {
            at += quote == '"' && c == '\\';
            quote = c == quote ? '\0' : quote;
        } else if (c == '"' || c == '`') {
            quote = c;
        } else if (c == '}' && r->text.p[at + 1] == '}') {
            r->end = at;
            *behind = at + 2;
            return 0;
        }
    }
    return fail(r, "unclosed action", str_from(r->text, r->at));
}

/* -}} takes away the blanks behind it. */
static void close_action(struct reader *r, size_t *behind)
{
    if (r->end < r->at + 2 || r->text.p[r->end - 1] != '-' || !strchr(" \t\r\n", r->text.p[r->end - 2]))
        return;
    r->end--;
    while (*behind < r->text.n && r->text.p[*behind] && strchr(" \t\r\n", r->text.p[*behind]))
        ++*behind;
}

enum parts_end { ENDS_TEXT, ENDS_END, ENDS_ELSE, ENDS_ELSE_IF };

static int parse_parts(struct reader *r, struct parts *to, enum parts_end *how);

/* if …: its branches, up to its end. r stands behind the action, whose condition is `what`. */
static int parse_branches(struct reader *r, const struct expr *what, struct parts *to)
{
    struct part part = { .what = what, .is_if = true };
    enum parts_end how;
    int rc;

    if (++r->depth > MOST_DEPTH)
        return fail(r, "nested too deeply", STR_NULL);
    rc = parse_parts(r, &part.then, &how);
    if (rc == 0 && how == ENDS_ELSE_IF) {
        size_t behind = r->end;
        struct expr *next;

        open_action(r, &behind); /* it was looked at before: it closes */
        close_action(r, &behind);
        peek_word(r);
        r->at += strlen("else");
        peek_word(r);
        r->at += strlen("if");
        next = parse_all_of_it(r);
        r->at = behind;
        rc = next ? parse_branches(r, next, &part.otherwise) : ERR_PARSE;
    } else if (rc == 0 && how == ENDS_ELSE) {
        rc = parse_parts(r, &part.otherwise, &how);
        if (rc == 0 && how != ENDS_END)
            rc = fail(r, "{{ end }} is missing", STR_NULL);
    } else if (rc == 0 && how != ENDS_END) {
        rc = fail(r, "{{ end }} is missing", STR_NULL);
    }
    r->depth--;
    return rc == 0 ? add_part(r, to, part) : rc;
}

/* One action. *how: it ends the parts. An `else if` is left where it is. */
static int parse_action(struct reader *r, struct parts *to, enum parts_end *how)
{
    size_t start = r->at, behind = 0;
    struct expr *x;
    struct str word;

    if (open_action(r, &behind) < 0)
        return ERR_PARSE;
    close_action(r, &behind);
    skip_blanks(r);
    word = peek_word(r);
    if (str_starts(rest_of(r), STR("/*"))) {
        r->at = behind;
        return 0;
    }
    if (str_eqz(word, "end") || str_eqz(word, "else")) {
        r->at += word.n;
        *how = word.n == 3 ? ENDS_END : str_eqz(peek_word(r), "if") ? ENDS_ELSE_IF : ENDS_ELSE;
        r->at = *how == ENDS_ELSE_IF ? start : behind;
        return 0;
    }
    if (str_eqz(word, "range") || str_eqz(word, "with") || str_eqz(word, "define") || str_eqz(word, "template") ||
        str_eqz(word, "block"))
        return fail(r, "only if, else and end are offered, not", word);
    if (str_eqz(word, "if"))
        r->at += word.n;
    x = parse_all_of_it(r);
    r->at = behind;
    if (!x)
        return ERR_PARSE;
    return str_eqz(word, "if") ? parse_branches(r, x, to) : add_part(r, to, (struct part){ .what = x });
}

static int parse_parts(struct reader *r, struct parts *to, enum parts_end *how)
{
    int rc = 0;

    *how = ENDS_TEXT;
    while (rc == 0 && *how == ENDS_TEXT) {
        rc = take_text(r, to);
        if (rc < 0 || r->at >= r->text.n)
            return rc;
        rc = parse_action(r, to, how);
    }
    return rc;
}

struct template *template_parse(struct scanner *sc, size_t at, struct str text)
{
    struct template *t = ARENA_NEW(sc->a, struct template);
    struct reader r = { .sc = sc, .from = at, .text = text };
    enum parts_end how;

    if (!t) {
        scanner_nomem(sc);
        return NULL;
    }
    t->text = text;
    if (parse_parts(&r, &t->parts, &how) < 0)
        return NULL;
    if (how == ENDS_TEXT)
        return t;
    fail(&r, "unexpected {{ else }} or {{ end }}", STR_NULL);
    return NULL;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static int run_expr(const struct expr *x, const struct template_row *row, struct value *out, struct err *e)
{
    struct value args[FUNCTION_MOST_ARGUMENTS];
    struct template_call c = { .row = row, .re = x->re, .e = e, .args = args, .n = x->n };

    switch (x->kind) {
    case EXPR_VALUE:
        *out = x->value;
        return 0;
    case EXPR_LABEL:
        *out = (struct value){ .type = VALUE_TEXT, .s = row->label(row->arg, x->label) };
        return 0;
    case EXPR_CALL:
        break;
    }
    for (size_t i = 0; i < x->n; i++) {
        int rc = run_expr(x->args[i], row, &args[i], e);

        if (rc < 0)
            return rc;
    }
    if (x->re)
        c.pattern = args[0].s;
    return x->fn->run(&c, out);
}

static int run_parts(const struct parts *parts, const struct template_row *row, struct buf *out, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < parts->n; i++) {
        const struct part *part = &parts->v[i];
        struct value v;
        struct str s;

        if (!part->what) {
            buf_str(out, part->text);
            continue;
        }
        rc = run_expr(part->what, row, &v, e);
        if (rc == 0 && part->is_if) {
            rc = run_parts(value_true(&v) ? &part->then : &part->otherwise, row, out, e);
        } else if (rc == 0) {
            s = value_text(&v, row->scratch);
            if (v.type != VALUE_TEXT && !s.p)
                return ERR_NOMEM;
            buf_str(out, s);
        }
    }
    return rc;
}

int template_run(const struct template *t, const struct template_row *row, struct buf *out, struct err *e)
{
    return run_parts(&t->parts, row, out, e);
}
