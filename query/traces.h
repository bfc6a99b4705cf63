/* traces.h: traces out of the store's spans: found by what one of their spans is like, put together, and summed up.
 *
 * A trace is all spans of one trace id. When it is read, a span that came twice is left out, and where a server's span has
 * the id of its client's (Zipkin's shared spans) it gets one of its own below it. Everything that is returned lives in the
 * arena. Times are ns since the epoch, from inclusive, to exclusive. Errors: ERR_NOMEM, ERR_IO, ERR_CORRUPT, ERR_INVALID. */
#ifndef QUERY_TRACES_H
#define QUERY_TRACES_H

#include "base/arena.h"
#include "base/err.h"
#include "store/events.h"

struct trace_span {
    int64_t time_ns, duration_ns;
    struct str span_id, parent_id; /* parent empty: it has none */
    struct str name, kind;         /* kind as in store/event.h; may be empty */
    int64_t status;                /* 0 unset, 1 ok, 2 error */
    struct str status_message, trace_state;
    struct str service, pod, ns, workload, app, version; /* who reported it */
    struct str events, links;      /* OTLP JSON arrays, or empty */
    struct labels attributes;
};

struct trace {
    struct str id;
    struct trace_span *spans; /* by time */
    size_t n;
    size_t left_out;          /* spans beyond TRACE_MOST_SPANS */
};

enum { TRACE_MOST_SPANS = 50000 };

/* What one span of a trace should be like; what is empty says nothing. A tag is an attribute, or one of `error` (true,
 * false), `span.kind`, `otel.status_code` (OK, ERROR), `otel.status_description`, `k8s.pod.name`, `k8s.namespace.name`,
 * `k8s.deployment.name`, `app`, `service.version`, `w3c.tracestate`. */
struct trace_search {
    struct str service, operation, kind;
    const struct label *tags;
    size_t ntags;
    int64_t min_ns, max_ns; /* its duration, both inclusive; 0: no bound */
    int64_t from_ns, to_ns; /* when it began */
    size_t limit;           /* traces, those with the newest such spans */
};

/* Whole traces, the newest first. */
int traces_find(struct store *st, const struct trace_search *s, struct arena *a, struct trace **out, size_t *n,
                struct err *e);

/* The trace of an id of 1 to 32 hexadecimal digits, zeros in front left out or not, as far as it lies in the range.
 * ERR_NOTFOUND: there is none; ERR_INVALID: it is no id. */
int traces_get(struct store *st, struct str id, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace *out,
               struct err *e);

/* Who has spans in the range, sorted. */
int traces_services(struct store *st, int64_t from_ns, int64_t to_ns, struct arena *a, struct str **out, size_t *n,
                    struct err *e);

struct trace_operation {
    struct str name, kind;
};
/* Names of a service's spans with their kinds, sorted; `kind` empty: of any. ERR_LIMIT: more than 10,000. */
int traces_operations(struct store *st, struct str service, struct str kind, int64_t from_ns, int64_t to_ns,
                      struct arena *a, struct trace_operation **out, size_t *n, struct err *e);

struct trace_dependency {
    struct str parent, child; /* services */
    uint64_t calls;
};
/* Who called whom: spans whose parent is another service's and in the range, too. Sorted. ERR_LIMIT: more services, or
 * spans of one trace, than can be told apart. */
int traces_dependencies(struct store *st, int64_t from_ns, int64_t to_ns, struct arena *a, struct trace_dependency **out,
                        size_t *n, struct err *e);

#endif
