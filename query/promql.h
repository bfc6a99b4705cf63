/* promql.h: PromQL over the store's series: text in, values out.
 *
 * The language is Prometheus 3.x's (shared research, prometheus.io/docs/prometheus/latest/querying/basics): windows
 * are open at their left end. Thread-safe: queries share nothing but the store. */
#ifndef QUERY_PROMQL_H
#define QUERY_PROMQL_H

#include "base/arena.h"
#include "base/err.h"
#include "query/cache.h"
#include "store/series.h"

struct promql_expr; /* a parsed query; lives in its arena */

/* NULL: ERR_PARSE; the message is worded as Prometheus' ("1:5: parse error: …"). */
struct promql_expr *promql_parse(struct arena *a, struct str text, struct err *e);
/* Prints it in Prometheus' normal form. */
void promql_print(struct buf *b, const struct promql_expr *x);
/* Its tree as JSON, as /api/v1/parse_query has it. */
void promql_print_json(struct buf *b, const struct promql_expr *x);

/* All its selectors, from left to right; the matchers live as long as the expression. ERR_NOMEM. */
struct promql_selector {
    const struct matcher *matchers;
    size_t n;
};
int promql_selectors(const struct promql_expr *x, struct arena *a, struct promql_selector **out, size_t *n,
                     struct err *e);

struct promql_limits {
    int64_t lookback_ms;        /* 0 = 5 min */
    int64_t timeout_ms;         /* 0 = 2 min → ERR_TIMEOUT */
    uint64_t max_samples;       /* 0 = 50 million → ERR_LIMIT */
    size_t threads;             /* that may work on one heavy query, the caller's among them; 0 = one for each core */
    struct promql_cache *cache; /* NULL = none */
};

struct promql_window {
    int64_t start_ms, end_ms, step_ms; /* an instant query: start == end, step 0 */
};

enum promql_type { PROMQL_SCALAR, PROMQL_STRING, PROMQL_VECTOR, PROMQL_MATRIX };

struct promql_series {
    struct labels labels;
    const int64_t *t; /* for a vector: one point */
    const double *v;
    size_t n;
};

struct promql_value {
    enum promql_type type;
    struct str string;               /* STRING */
    struct promql_series *series;    /* VECTOR and MATRIX in the order of Prometheus' answers; SCALAR: series[0] */
    size_t n;
    struct str *warnings, *infos;    /* annotations */
    size_t nwarnings, ninfos;
    uint64_t samples;                /* read, for statistics */
};

/* Everything of the value lives in `a`. NULL: ERR_INVALID (the query's own fault: "execution" in Prometheus' API),
 * ERR_TIMEOUT, ERR_LIMIT, ERR_NOMEM, ERR_IO, ERR_CORRUPT. limits NULL = defaults. */
struct promql_value *promql_eval(struct store *st, const struct promql_expr *x, struct promql_window w,
                                 const struct promql_limits *limits, struct arena *a, struct err *e);

/* The matchers of a lone selector, for /series and match[]: ERR_PARSE when the text is anything else. */
int promql_parse_selector(struct arena *a, struct str text, struct matcher **m, size_t *n, struct err *e);

#endif
