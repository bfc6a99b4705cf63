/* prometheus-internal.h: the envelope of Prometheus' answers, shared by queries and metadata. */
#ifndef API_PROMETHEUS_INTERNAL_H
#define API_PROMETHEUS_INTERNAL_H

#include "api/http-internal.h"

/* {"status":"error",…} */
void prometheus_fail(struct request *rq, unsigned status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void prometheus_fail_parameter(struct request *rq, const char *name, const struct err *e);
/* Type and status by the error's code. */
void prometheus_fail_store(struct request *rq, const struct err *e);
/* {"status":"success","data": … the caller goes on and closes the brace. */
void prometheus_begin(struct request *rq);

/* These answer the request themselves when they fail. */
int prometheus_time(struct request *rq, const char *name, int64_t otherwise, int64_t *ms);
int prometheus_limit(struct request *rq, uint64_t *limit);

#endif
