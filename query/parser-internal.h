/* parser-internal.h: what the parts of PromQL's parser share. */
#ifndef QUERY_PARSER_INTERNAL_H
#define QUERY_PARSER_INTERNAL_H

#include "query/ast-internal.h"
#include "query/lexer-internal.h"

struct parser;

/* A language that shares PromQL's operators, aggregations and functions of vectors, and has something else in place of
 * its selectors: LogQL (logql_range.c). */
struct dialect {
    /* Whether a call of that name is the dialect's. */
    bool (*knows)(struct str name);
    /* Parses it: ps->cur is the name, and then what stands behind the call (parser_skip). NULL with the error set. */
    struct node *(*parse)(struct parser *ps);
    struct str topk; /* another name of topk */
};

struct parser {
    const struct dialect *dialect; /* NULL: PromQL itself */
    struct arena *a;
    struct str text;
    struct lexer lx;
    struct token cur; /* not consumed yet */
    uint32_t last;    /* where the token before it ended */
    int depth;
    const char *context, *expected; /* of the duration under way */
    bool labels_only; /* what comes is the argument of info() that selects labels */
    struct err *e;
};

/* Everything that parses returns NULL, or ERR_*, once an error is set. */

void parser_advance(struct parser *ps);
/* Goes on at byte `at`, behind what somebody else has read. */
void parser_skip(struct parser *ps, size_t at);
struct token parser_peek(const struct parser *ps);
bool parser_at_word(const struct parser *ps, const char *word); /* in any case */
int parser_expect(struct parser *ps, enum token_kind kind, const char *context, const char *expected);
/* "unexpected X in CONTEXT, expected EXPECTED"; both may be NULL. */
int parser_unexpected(struct parser *ps, const char *context, const char *expected);
int parser_nomem(struct parser *ps);
struct node *parser_node(struct parser *ps, enum node_kind kind, uint32_t from);
/* Ends the node's span here, sets its depth above its children's and its type. NULL on error. */
struct node *parser_finish(struct parser *ps, struct node *n, int below);
/* `inner` behind a sign at `from`: a number takes it up, anything else is wrapped. inner may be NULL. */
struct node *parser_signed(struct parser *ps, struct node *inner, bool minus, uint32_t from);

/* parser.c */
struct node *parse_expression(struct parser *ps);
/* The whole of ps->text, checked. The caller has set dialect, a, text and e. */
struct node *parse_all(struct parser *ps);
int parse_label_list(struct parser *ps, const char *context, const struct str **labels, size_t *n);
struct node *parse_number(struct parser *ps);

/* parser_selector.c */
struct node *parse_selector(struct parser *ps);
/* [range], [range:step], offset, @, anchored and smoothed behind an operand. */
struct node *parse_postfix(struct parser *ps, struct node *n);

/* parser_duration.c */
/* Between brackets: a whole expression. What is said of a token that cannot stand there: parser_unexpected. */
struct node *parse_duration(struct parser *ps, const char *context, const char *expected);
struct node *parse_offset_duration(struct parser *ps); /* behind `offset`: one operand with its sign */

#endif
