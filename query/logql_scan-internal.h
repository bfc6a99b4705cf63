/* logql_scan-internal.h: LogQL's tokens, one at a time, and what the parts of its parser share. */
#ifndef QUERY_LOGQL_SCAN_INTERNAL_H
#define QUERY_LOGQL_SCAN_INTERNAL_H

#include "query/logql-internal.h"

enum scan_kind { SCAN_END, SCAN_BAD, SCAN_WORD, SCAN_STRING, SCAN_NUMBER, SCAN_FLAG, SCAN_SYMBOL };

struct scanner {
    struct arena *a;
    struct err *e;
    struct str text;
    size_t at;           /* where the next token is looked for */
    enum scan_kind kind; /* the token that is not consumed yet */
    struct str token;
    size_t from, last;   /* where it begins; where the one before it ended */
    int depth;           /* what makes the present label filter deeper; never given back: it bounds recursion */
    struct str *names;   /* of labels; grows as the query is read */
    size_t nnames, names_cap;
};

/* Everything that parses returns ERR_*, or NULL, once an error is set. */

void scanner_start(struct scanner *sc, size_t at);
void scanner_next(struct scanner *sc);
bool scanner_symbol(const struct scanner *sc, const char *symbol);
bool scanner_word(const struct scanner *sc, const char *word);
int scanner_expect(struct scanner *sc, const char *symbol);
/* A string's value, decoded. */
int scanner_string(struct scanner *sc, struct str *out);
/* The index of a label's name among the query's. */
int scanner_label(struct scanner *sc, struct str name, size_t *index);
/* "parse error at line 1, col 5: …" */
int scanner_fail(struct scanner *sc, size_t at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int scanner_unexpected(struct scanner *sc, const char *expecting);
int scanner_nomem(struct scanner *sc);
/* = != =~ !~ as enum match_op, else -1. */
int scanner_match_op(const struct scanner *sc);
int scanner_matcher(struct scanner *sc, struct matcher *m, size_t at, enum match_op op, struct str name, struct str value);

/* logql_parser.c: {a="b"}; ERR_PARSE when it may match every stream. */
int parse_streams(struct scanner *sc, struct log_query *q);
/* All stages up to what is none of them; *n grows. Stops in front of `| unwrap`. */
int parse_stages(struct scanner *sc, struct stage **stages, size_t *n, size_t *cap);
bool at_unwrap(const struct scanner *sc);

/* logql_filter.c: a label filter with all its `and`s and `or`s. */
const struct predicate *parse_label_filter(struct scanner *sc);

/* logql_path.c: the path of a JSON expression: a.b[0]["c d"]. */
int parse_json_path(struct scanner *sc, size_t at, struct extraction *x);

/* logql_range.c: a metric query. */
int parse_metric(struct arena *a, struct logql_expr *x, struct err *e);

#endif
