/* logql.h: LogQL over the store's events: lines by streams, and what PromQL's evaluator makes of counted lines.
 *
 * Streams: {kind="access_log"|"log"|"span"} with namespace, workload, app, version, reporter, service (CONTRACT.md);
 * any other label of a selector is a column or an attribute, so that what was pushed as {job="x"} is found so. Every
 * other column and attribute is structured metadata, which `| status >= 500` reaches without a parser. An access log's
 * line is Istio's text format, a span's its name and duration, a log line's its body. What there is of the language, and
 * what not: docs/logql.md. */
#ifndef QUERY_LOGQL_H
#define QUERY_LOGQL_H

#include "query/promql.h"
#include "store/events.h"

struct logql_expr;

/* NULL: ERR_PARSE, worded as Loki's ("parse error at line 1, col 5: …"). */
struct logql_expr *logql_parse(struct arena *a, struct str text, struct err *e);
/* Whether it gives numbers (logql_metric), not lines (logql_lines). */
bool logql_is_metric(const struct logql_expr *x);
/* In its normal form: what it prints parses to the same. */
void logql_print(struct buf *b, const struct logql_expr *x);

/* --- lines --- */

struct logql_entry {
    int64_t time_ns;
    struct str line;
    struct labels metadata; /* structured metadata that is not empty */
    struct labels parsed;   /* what stages have made of the line, __error__ too; where a name is in both, this counts */
};

struct logql_stream {
    struct labels labels;
    struct logql_entry *entries;
    size_t n;
};

struct logql_window {
    int64_t from_ns, to_ns; /* from inclusive, to exclusive */
    size_t limit;           /* lines in all; 0: no limit */
    bool newest_first;
    int64_t interval_ns;    /* at least so long from one line of a stream to the next; 0: all */
    int64_t timeout_ms;     /* 0: none → ERR_TIMEOUT */
    uint64_t *after;        /* EVENT_KINDS of them: only what came after events_last() said this, and then what it has
                             * come to, for who goes on (0: all); NULL: all */
};

/* Streams in the order of labels_cmp, entries by time in the asked direction. Lives in `a`. ERR_INVALID: a metric query. */
int logql_lines(struct store *st, const struct logql_expr *x, struct logql_window w, struct arena *a,
                struct logql_stream **out, size_t *n, struct err *e);

/* --- numbers --- */

enum { LOGQL_MOST_SERIES = 500 }; /* as Loki has it by default */

/* As promql_eval; windows are open at their left end. `max_series` 0: LOGQL_MOST_SERIES, ERR_LIMIT beyond. */
struct promql_value *logql_metric(struct store *st, const struct logql_expr *x, struct promql_window w,
                                  const struct promql_limits *limits, size_t max_series, struct arena *a,
                                  struct err *e);

/* --- labels --- */

/* Names of the stream labels, and values of one, seen in the window. Attributes of log lines are among the names: which of
 * them were pushed as a stream's labels nobody knows. */
int logql_label_names(struct store *st, struct logql_window w, struct arena *a, struct str **out, size_t *n,
                      struct err *e);
int logql_label_values(struct store *st, struct str name, struct logql_window w, struct arena *a, struct str **out,
                       size_t *n, struct err *e);

/* A stream, or a group of them, and what it came to in the window: lines, or their bytes. */
struct logql_volume {
    struct labels labels;
    double value;
};
/* Of the streams that the expression, one for lines, lets through. nby > 0: by these labels alone. The window is rounded
 * outward to ms. In the order of labels_cmp. Errors as logql_metric's. */
int logql_volumes(struct store *st, const struct logql_expr *x, struct logql_window w, const struct str *by, size_t nby,
                  bool bytes, const struct promql_limits *limits, struct arena *a, struct logql_volume **out, size_t *n,
                  struct err *e);
/* The bytes of each step, at its end: a matrix. NULL: errors as logql_metric's. */
struct promql_value *logql_volume_steps(struct store *st, const struct logql_expr *x, struct logql_window w,
                                        int64_t step_ms, const struct str *by, size_t nby,
                                        const struct promql_limits *limits, struct arena *a, struct err *e);
/* The labels that the selector names, each once; none of a metric query. ERR_NOMEM. */
int logql_selector_names(const struct logql_expr *x, struct arena *a, struct str **names, size_t *n);

#endif
