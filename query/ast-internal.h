/* ast-internal.h: the tree of a PromQL expression.
 *
 * Nodes live in the arena of their parse and never change afterwards: one tree may be evaluated by many threads. Depth
 * is bounded by AST_MAX_DEPTH, so everything that walks a tree may recurse. */
#ifndef QUERY_AST_INTERNAL_H
#define QUERY_AST_INTERNAL_H

#include "query/promql.h"

enum { AST_MAX_DEPTH = 256, AST_MAX_TEXT = 1 << 20 };

/* Bytes of the query's text: [from, to). */
struct span {
    uint32_t from, to;
};

enum binary_op {
    OP_OR, OP_AND, OP_UNLESS,
    OP_EQ, OP_NE, OP_LE, OP_LT, OP_GE, OP_GT, OP_TRIM_UPPER, OP_TRIM_LOWER,
    OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_MOD, OP_ATAN2, OP_POW,
    OP_COUNT
};

struct binary_op_info {
    struct str text;
    int precedence;   /* higher binds tighter */
    bool is_word;     /* and, or, unless, atan2 */
    bool is_set, is_comparison;
};

extern const struct binary_op_info binary_ops[OP_COUNT];

static inline bool is_trim(enum binary_op op)
{
    return op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

enum aggregate_op {
    AGG_SUM, AGG_AVG, AGG_MIN, AGG_MAX, AGG_COUNT, AGG_GROUP, AGG_STDDEV, AGG_STDVAR,
    AGG_TOPK, AGG_BOTTOMK, AGG_QUANTILE, AGG_COUNT_VALUES, AGG_LIMITK, AGG_LIMIT_RATIO,
    AGG_COUNT_OPS
};

struct aggregate_info {
    struct str name;
    bool has_param;
    enum promql_type param; /* SCALAR or STRING */
};

extern const struct aggregate_info aggregates[AGG_COUNT_OPS];

enum node_kind {
    NODE_NUMBER, NODE_STRING, NODE_SELECTOR, NODE_SUBQUERY, NODE_CALL, NODE_AGGREGATE, NODE_BINARY, NODE_UNARY,
    NODE_PAREN, NODE_DERIVED
};

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

/* Where in time a selector or subquery looks. */
struct shift {
    const struct node *offset; /* a duration expression, NULL = none */
    enum at_kind at;
    int64_t at_ms;
};

enum extension { EXTEND_NONE, EXTEND_ANCHORED, EXTEND_SMOOTHED };

struct selector {
    struct str name;                /* as it stands before the braces; empty when only inside them */
    const struct matcher *matchers; /* with the one for __name__ first when there is a name */
    size_t n;
    const struct node *range;       /* a duration expression; NULL: an instant selector */
    struct shift shift;
    enum extension extension;
    bool labels_only;               /* info()'s second argument: may match everything */
};

struct subquery {
    const struct node *inner;
    const struct node *range, *step; /* step NULL: the default */
    struct shift shift;
};

struct eval;
struct grid;
struct lookout;
struct sample_stream;

/* A range of samples that are made of something else than the store's series: of log lines (logql_metric.c). Only the
 * functions that the other language brings along take one, and print it with themselves. */
struct derived {
    /* As samples_open (eval-internal.h). */
    int (*open)(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                struct sample_stream **out);
    const void *what;               /* what open knows of it */
    const struct matcher *matchers; /* conditions that its labels are known to meet */
    size_t n;
};

struct call {
    const struct function *fn;
    const struct node **args;
    size_t n;
};

struct aggregate {
    enum aggregate_op op;
    const struct node *arg, *param; /* param NULL when the operator has none */
    bool without, grouped;          /* grouped: by or without is written */
    const struct str *labels;
    size_t n;
};

enum cardinality { ONE_TO_ONE, MANY_TO_ONE, ONE_TO_MANY, MANY_TO_MANY };

struct matching {
    enum cardinality card;
    bool written, on;             /* written: on or ignoring stands there; on: which */
    const struct str *labels;
    size_t n;
    const struct str *include;    /* of group_left and group_right */
    size_t ninclude;
    bool fills_left, fills_right;
    double fill_left, fill_right;
};

struct binary {
    enum binary_op op;
    bool returns_bool;
    const struct node *l, *r;
    struct matching matching;
};

struct node {
    enum node_kind kind;
    enum promql_type type;
    struct span span;
    int depth;
    union {
        struct {
            double value;
            bool is_duration; /* printed as 5m */
        } number;
        struct str string;
        struct selector selector;
        struct subquery subquery;
        struct call call;
        struct aggregate aggregate;
        struct binary binary;
        struct {
            bool minus;
            const struct node *inner;
        } unary;
        const struct node *paren;
        struct derived derived;
    };
};

struct promql_expr {
    struct str text; /* a copy of the query */
    const struct node *root;
};

/* check.c: what a node's type is, of those below it; and the rules of types for a whole tree: ERR_PARSE, worded with the
 * position in `text`. */
enum promql_type node_type(const struct node *n);
int node_check(const struct node *n, struct str text, struct err *e);
/* "instant vector" and so on. */
const char *type_name(enum promql_type t);

/* print.c: as promql_print. */
void node_print(struct buf *b, const struct node *n);
/* As Go's %q: UTF-8 stays, control characters and what is no UTF-8 are escaped. */
void print_quoted(struct buf *b, struct str s);
/* (a, b) */
void print_label_list(struct buf *b, const struct str *labels, size_t n);
/* A duration: a bare number of seconds prints as one, too. */
void print_duration(struct buf *b, const struct node *n);

/* Looks through parentheses. */
const struct node *node_strip(const struct node *n);

/* "1:5: parse error: …" at byte `at` of text. Returns ERR_PARSE. */
int parse_error(struct err *e, struct str text, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Line and column of byte `at`, both from 1. */
void text_position(struct str text, size_t at, unsigned *line, unsigned *column);

#endif
