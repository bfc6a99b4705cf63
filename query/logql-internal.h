/* logql-internal.h: a parsed LogQL query: a selector, the stages behind it, and what is counted over a range of lines.
 *
 * Everything lives in the arena of the parse and never changes afterwards. */
#ifndef QUERY_LOGQL_INTERNAL_H
#define QUERY_LOGQL_INTERNAL_H

#include "query/ast-internal.h"
#include "query/logql.h"
#include "store/matcher.h"

enum { LOGQL_MAX_DEPTH = 64, LOGQL_MAX_TEXT = 1 << 16, LOGQL_MAX_STAGES = 64, LOGQL_MAX_NAMES = 512 };

/* --- label filters --- */

enum predicate_kind { PREDICATE_AND, PREDICATE_OR, PREDICATE_TEXT, PREDICATE_NUMBER, PREDICATE_IP };

/* What a literal measures: a plain number, seconds, bytes. The label's value is read in the same way. */
enum measure { MEASURE_NUMBER, MEASURE_DURATION, MEASURE_BYTES };

/* Addresses from `low` to `high`, both inclusive, as IPv6 has them (IPv4 mapped). */
struct ip_range {
    uint8_t low[16], high[16];
    struct str text; /* as written */
};

struct predicate {
    enum predicate_kind kind;
    const struct predicate *l, *r; /* AND, OR */
    size_t label;                  /* else: which of the query's names */
    struct matcher text;           /* TEXT; its name is the label's */
    enum event_op op;              /* NUMBER; IP: EQ or NE */
    enum measure measure;          /* NUMBER */
    double value;
    struct str literal;            /* the number as written */
    struct ip_range ip;
};

/* --- stages --- */

enum line_op { LINE_CONTAINS, LINE_REGEX, LINE_PATTERN };

struct line_alternative {
    struct str text;
    struct regex *re;              /* REGEX: finds anywhere */
    const struct pattern *pattern; /* PATTERN */
    bool is_ip;                    /* CONTAINS: an address in that range stands in the line */
    struct ip_range ip;
};

/* |= "a" or "b": one of them; != "a" or "b": none of them. */
struct line_filter {
    enum line_op op;
    bool negative;
    struct line_alternative *any; /* at least one */
    size_t n;
};

struct json_step {
    struct str key; /* p NULL: an index */
    size_t index;
};

/* A label and where its value is found: in JSON by steps, in logfmt by one key. */
struct extraction {
    struct str name, path; /* path: as written */
    struct json_step *steps;
    size_t n;
};

struct extractor {
    bool strict, keep_empty; /* logfmt */
    struct extraction *v;    /* none: all there is */
    size_t n;
};

struct capture_names {
    struct str text;
    struct regex *re;
    struct str *names; /* by group; STR_NULL: the group has none */
    size_t n;          /* groups, the whole match among them */
};

struct label_format {
    struct str name;
    size_t from;                   /* rename: which of the query's names */
    const struct template *text;   /* NULL: it is a rename */
};

struct label_choice {
    struct str name;
    bool matches; /* only when the label's value meets the condition */
    struct matcher text;
};

enum stage_kind {
    STAGE_LINE, STAGE_LABEL, STAGE_JSON, STAGE_LOGFMT, STAGE_PATTERN, STAGE_REGEXP, STAGE_UNPACK, STAGE_DECOLORIZE,
    STAGE_LINE_FORMAT, STAGE_LABEL_FORMAT, STAGE_DROP, STAGE_KEEP
};

struct stage {
    enum stage_kind kind;
    union {
        struct line_filter line;
        const struct predicate *label;
        struct extractor extract;         /* JSON, LOGFMT */
        const struct pattern *pattern;
        struct capture_names regexp;
        const struct template *line_format;
        struct {
            struct label_format *v;
            size_t n;
        } label_format;
        struct {
            struct label_choice *v;
            size_t n;
        } labels;                         /* DROP, KEEP */
    };
};

/* {selector} | stage | stage */
struct log_query {
    const struct matcher *matchers;
    size_t nmatchers;
    const struct stage *stages;
    size_t nstages;
    const struct str *names; /* all labels that stages ask for: a place here is what they keep of a name */
    size_t nnames;
};

/* --- ranges --- */

enum counted {
    COUNT_LINES, COUNT_BYTES, COUNT_VALUES /* of the unwrapped label */
};

/* What becomes of the samples of one series between two borders of windows. */
enum fold { FOLD_NONE, FOLD_SUM, FOLD_MIN, FOLD_MAX };

/* {selector} | stages | unwrap label | filters [range] offset …: samples for a window function. */
struct log_range {
    struct log_query query;
    enum counted counted;
    enum fold fold;
    size_t unwrapped;           /* COUNT_VALUES: which of the query's names */
    enum measure conversion;
    size_t before;              /* stages before the unwrap; the rest are filters behind it */
    const struct node *range, *offset; /* durations; offset NULL: none */
    bool grouped, without;      /* by (…) or without (…) behind the function */
    const struct str *labels;
    size_t n;
    const struct str *wanted;   /* what the query around it asks for by name */
    size_t nwanted;
    bool sums_only;             /* nothing but the sums by `wanted` is needed */
};

/* logql_metric.c: the samples of a range, for NODE_DERIVED; `what` is the struct log_range. */
int log_samples_open(struct eval *ev, const struct grid *g, const struct node *n, struct lookout *l,
                     struct sample_stream **out);

struct logql_expr {
    const struct log_query *lines;     /* NULL: a metric query */
    struct promql_expr metric;
    const struct log_range *const *ranges; /* of a metric query, from left to right */
    size_t nranges;
};

/* logql_range.c: count_over_time or bytes_over_time of all that the query lets through in that range; nby > 0: by these
 * labels alone. ERR_NOMEM. */
int log_count_expr(struct arena *a, const struct log_query *q, int64_t range_ms, const struct str *by, size_t nby,
                   bool bytes, struct promql_expr *out);

/* --- logql_print.c --- */

void log_query_print(struct buf *b, const struct log_query *q);
/* A function of a range with its arguments, range and grouping. */
void log_call_print(struct buf *b, const struct call *c);

#endif
