/* jaeger-internal.h: what both versions of Jaeger's query API need of a trace.
 *
 * Attributes are stored as text. What reads as a whole number or a truth value is shown as one, as the SDK that sent it had
 * it; a text that merely looks like one is shown so, too. */
#ifndef API_JAEGER_INTERNAL_H
#define API_JAEGER_INTERNAL_H

#include "api/http-internal.h"
#include "query/traces.h"

enum { JAEGER_DEFAULT_LIMIT = 100, JAEGER_MOST_TRACES = 1500 };

/* Jaeger looks back two days when it is not told. */
#define JAEGER_LOOKBACK_NS (INT64_C(48) * 3600 * 1000000000)

enum jaeger_type { JAEGER_STRING, JAEGER_BOOL, JAEGER_INT64 };
enum jaeger_type jaeger_type(struct str value);

/* A trace with the reporters of its spans apart: spans of one service, pod, workload, app and version. */
struct jaeger_trace {
    const struct trace *trace;
    uint32_t *process;                      /* of each span: which of the processes */
    const struct trace_span **processes;    /* a span of each */
    size_t nprocesses;
};

/* In the request's arena. ERR_NOMEM. */
int jaeger_traces(struct request *rq, const struct trace *traces, size_t n, struct jaeger_trace **out, struct err *e);

/* What a process is besides its service: calls put(b, key, value, first) for each that is known. Returns how many. */
size_t jaeger_process_tags(struct buf *b, const struct trace_span *process,
                           void (*put)(struct buf *b, struct str key, struct str value, bool first));

/* {"k":"v"} as tags to search for. ERR_INVALID. */
int jaeger_tags(struct request *rq, struct str json, struct trace_search *s, struct err *e);
int jaeger_tag_add(struct request *rq, struct str key, struct str value, struct trace_search *s, struct err *e);
/* As Go writes durations: "1.2s", "100us". */
int jaeger_duration(struct str text, const char *name, int64_t *ns, struct err *e);

#endif
