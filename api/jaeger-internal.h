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

/* Where the encoding of an answer stands: before span `span` of trace `at`. */
struct jaeger_cursor {
    struct jaeger_trace *traces;
    size_t n, at, span;
    size_t process; /* v3, process by process: of those of this one */
    bool is_open;   /* the head of the trace, or of the process, has been put */
    bool begun;     /* v3: a process has been put */
    bool has_spans; /* v3: and a span of the one that is open */
};

/* How a version of the API answers. */
struct jaeger_version {
    const char *head;                                     /* what comes before the first trace */
    bool (*more)(void *cursor, struct buf *b);            /* a piece; false: that was the last */
    void (*fail)(struct request *rq, const struct err *e);
};

/* Answers with the traces, which live in the request's arena, piece by piece; or says that there is no memory. */
void jaeger_answer(struct request *rq, const struct jaeger_version *v, const struct trace *traces, size_t n);

/* What a process is besides its service: calls put(b, key, value, first) for each that is known. Returns how many. */
size_t jaeger_process_tags(struct buf *b, const struct trace_span *process,
                           void (*put)(struct buf *b, struct str key, struct str value, bool first));

/* {"k":"v"} as tags to search for. ERR_INVALID. */
int jaeger_tags(struct request *rq, struct str json, struct trace_search *s, struct err *e);
int jaeger_tag_add(struct request *rq, struct str key, struct str value, struct trace_search *s, struct err *e);
/* As Go writes durations: "1.2s", "100us". */
int jaeger_duration(struct str text, const char *name, int64_t *ns, struct err *e);

#endif
