/* prometheus-internal.h: the envelope and the parameters of Prometheus' API, shared by its handlers.
 *
 * Source: prometheus.io/docs/prometheus/latest/querying/api (3.x). Texts of errors are those clients know. */
#ifndef API_PROMETHEUS_INTERNAL_H
#define API_PROMETHEUS_INTERNAL_H

#include "api/http-internal.h"

/* Prometheus' own bounds of "any time" lie outside of what a millisecond count of 64 bits may be added to. */
#define ANY_TIME_MIN (INT64_MIN / 4)
#define ANY_TIME_MAX (INT64_MAX / 4)

/* --- prometheus.c: envelope --- */

/* {"status":"error",…} */
void prometheus_fail(struct request *rq, unsigned status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* 400: invalid parameter "name": … */
void prometheus_fail_parameter(struct request *rq, const char *name, const struct err *e);
/* Type and status by the error's code. */
void prometheus_fail_store(struct request *rq, const struct err *e);
/* {"status":"success","data": … the caller goes on and closes the brace. */
void prometheus_begin(struct request *rq);
/* Closes the envelope of a list; says so when a limit left something out. */
void prometheus_end_list(struct buf *out, bool cut);

/* --- prometheus.c: parameters; these answer the request themselves when they fail --- */

/* A time that may be absent. */
int prometheus_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ms);
/* A time or duration of its plain form, which must be there. */
int prometheus_required_time(struct request *rq, const char *name, int64_t *ms);
int prometheus_required_duration(struct request *rq, const char *name, int64_t *ms);
/* `limit`; absent: 0, which is none. */
int prometheus_limit(struct request *rq, uint64_t *limit);

/* match[], start, end, limit. */
struct selection {
    struct series_query *queries; /* one for each match[]; one that takes all when there is none */
    size_t n;
    uint64_t limit;
};
int prometheus_selection(struct request *rq, bool needs_match, struct selection *s);

/* --- prometheus_result.c --- */

/* When, on the monotonic clock, a query came to what. */
struct query_times {
    int64_t began, parsed, evaluated;
};

/* Answers with the value, in pieces when it is large. `at` is the time of an instant query. limit 0: all of it. */
void prometheus_result(struct request *rq, const struct promql_value *v, int64_t at, uint64_t limit,
                       const struct query_times *when);
/* The same with statistics of the caller's, `,"stats":{…}`; STR_NULL: none. */
void prometheus_value(struct request *rq, const struct promql_value *v, int64_t at, uint64_t limit, struct str stats);

#endif
