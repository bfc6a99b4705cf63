/* loki-internal.h: what the handlers of Loki's API share. Source: grafana.com/docs/loki/latest/reference/loki-http-api. */
#ifndef API_LOKI_INTERNAL_H
#define API_LOKI_INTERNAL_H

#include "api/http-internal.h"

#include "query/logql.h"

#define HOUR_NS INT64_C(3600000000000)

/* --- loki.c --- */

/* The error as Loki tells it: its text alone. */
void loki_fail(struct request *rq, const struct err *e);
/* start, end and since; an hour before the end when there is no start. ERR_INVALID names the parameter. */
int loki_range(struct request *rq, struct logql_window *w, struct err *e);
/* limit, direction and interval. */
int loki_lines_wanted(struct request *rq, struct logql_window *w, struct err *e);
/* A time: whole numbers are nanoseconds, or seconds when they have at most ten digits; others are seconds or RFC 3339. */
int loki_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e);
/* Seconds with fraction, or "1h30m"; absent: `otherwise`. */
int loki_duration(struct request *rq, const char *name, int64_t otherwise, int64_t *ns, struct err *e);
/* `query`, parsed; NULL with the error set. */
struct logql_expr *loki_query_of(struct request *rq, struct err *e);
/* Whether the client wants structured metadata apart from the stream's labels. */
bool loki_categorises(const struct request *rq);

/* --- loki_streams.c --- */

/* [{"stream":{…},"values":[…]},…]. Metadata has two shapes there, see the file. The lists it makes live in `a`. ERR_NOMEM. */
int loki_put_streams(struct buf *b, struct arena *a, const struct logql_stream *streams, size_t n, bool categorised);

#endif
