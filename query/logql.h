/* logql.h: LogQL over the store's events: a stream selector and a pipeline in, lines out.
 *
 * Streams: {kind="access_log"|"log"|"span"} with namespace, workload, app, version, reporter, service (CONTRACT.md);
 * every other column and attribute is structured metadata, which `| status >= 500` reaches without a parser. An
 * access log's line is Istio's text format, a span's its name and duration, a log line's its body. */
#ifndef QUERY_LOGQL_H
#define QUERY_LOGQL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/labels.h"
#include "store/events.h"

struct logql_expr;

/* NULL: ERR_PARSE, worded as Loki's ("parse error at line 1, col 5: …"). */
struct logql_expr *logql_parse(struct arena *a, struct str text, struct err *e);

struct logql_entry {
    int64_t time_ns;
    struct str line;
    struct labels metadata; /* structured metadata that is not empty */
};

struct logql_stream {
    struct labels labels;
    struct logql_entry *entries;
    size_t n;
};

struct logql_window {
    int64_t from_ns, to_ns; /* from inclusive, to exclusive */
    size_t limit;           /* lines in all */
    bool newest_first;
};

/* Streams in the order of labels_cmp, entries by time in the asked direction. Lives in `a`. */
int logql_lines(struct store *st, const struct logql_expr *x, struct logql_window w, struct arena *a,
                struct logql_stream **out, size_t *n, struct err *e);

/* Names of the stream labels, and values of one, seen in the window. */
int logql_label_names(struct store *st, struct logql_window w, struct arena *a, struct str **out, size_t *n,
                      struct err *e);
int logql_label_values(struct store *st, struct str name, struct logql_window w, struct arena *a, struct str **out,
                       size_t *n, struct err *e);

#endif
