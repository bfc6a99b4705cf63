/* record.h: what a worker tells telemetry about a finished request or a piece of a connection.
 *
 * Workers and telemetry share one ring per worker (one producer, one consumer, no lock, no system call). A record
 * carries copies: nothing in it points into a worker's memory. When a ring is full the record is dropped and
 * counted. */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "base/access_log.h"
#include "mesh/cel.h"

#include <stdint.h>

enum record_kind {
    RECORD_HTTP,       /* a request ended */
    RECORD_TCP_OPEN,   /* a connection was opened towards an upstream (or refused) */
    RECORD_TCP_BYTES,  /* bytes since the last report of a connection that goes on (every 5 s) */
    RECORD_TCP_CLOSE   /* the end: the access log entry; bytes_* in `log` are totals */
};

struct record {
    enum record_kind kind;
    struct access_log log;             /* texts may point anywhere while record_ring_push runs: they are copied */
    uint64_t request_bytes, response_bytes;       /* HTTP: on the wire, headers included */
    uint64_t received_delta, sent_delta;          /* TCP: since the last report */
    uint64_t request_messages, response_messages; /* gRPC's */
    int64_t request_us;                /* HTTP: from the first byte in until the request was complete */
    uint32_t tries;                    /* HTTP: how often it was sent to a host */
    bool upstream_http2;
    /* What Telemetry resources (record_obey) keep it out of. */
    bool no_log, no_span, no_istio_tags;
    uint32_t metrics_off;              /* 1 << enum telemetry_metric */
    struct str metric_tags;            /* texts.h: metrics (a uint32_t of such bits), name, value or STR_NULL, … */
    struct str span_tags;              /* texts.h: name, value, name, value, … */
    struct str headers;                /* texts.h: values of log_headers' (access_format.h) names, in their order */
    struct str direct_remote_address;  /* whose connection it is, where the log's is another, told by trusted proxies */
    struct str tls;                    /* texts.h: what log_headers asks of TLS: the client's side's, then the host's */
    /* The span: trace_id and span_id are in `log`; empty trace_id = not sampled. */
    struct str parent_span_id;
    bool span_is_client;               /* CLIENT for outbound and gateways' upstream side, else SERVER */
    struct str operation;              /* "frontend-internal.guestbook.svc.cluster.local:80/..." */
};

struct listener;
struct proxy_snapshot;
struct telemetry_policy;

/* The policy for what passes a listener. */
const struct telemetry_policy *record_policy(const struct proxy_snapshot *s, const struct listener *l);

/* What of a record's origin is not in it. */
struct record_context {
    struct str (*header)(const void *of, enum cel_map m, struct str name); /* STR_NULL: none; NULL: no headers at all */
    const void *of;
    bool mutual; /* the client has proved itself by a certificate */
};

/* Sets what a policy says of this record, which is complete otherwise. `metric_tags` holds its texts. */
void record_obey(struct record *rec, const struct telemetry_policy *p, const struct record_context *context,
                 struct buf *metric_tags);

struct record_ring;

/* `bytes` is rounded up to a power of two. NULL: no memory. */
struct record_ring *record_ring_new(size_t bytes);
void record_ring_free(struct record_ring *r);
/* Producer. False: full, and counted in the drops. */
bool record_ring_push(struct record_ring *r, const struct record *rec);
/* Consumer. True: *rec is the oldest; its texts stay valid until record_ring_pop. */
bool record_ring_peek(struct record_ring *r, struct record *rec);
void record_ring_pop(struct record_ring *r);
uint64_t record_ring_dropped(const struct record_ring *r);

#endif
