/* grpc.h: the gRPC server: OpenTelemetry's and Envoy's senders on one port.
 *
 * HTTP/2 without TLS, by prior knowledge (RFC 9113), gRPC over it. One thread of its own has all connections; it never
 * waits for a peer or the store. A call is answered OK only after its data is committed; a call that streams (Envoy's) has
 * no answers, so its flow-control window is given back only then. What does not fit is pushed back or refused, never
 * dropped in silence.
 *
 * Services: OTLP's Logs, Metrics and Trace; Envoy's AccessLogService and MetricsService v3; grpc.health.v1.Health/Check. */
#ifndef COLLECTOR_GRPC_H
#define COLLECTOR_GRPC_H

#include "collector/red.h"
#include "store/store.h"

struct grpc_server;

/* As gRPC numbers them. */
enum grpc_status {
    GRPC_OK, GRPC_CANCELLED, GRPC_UNKNOWN, GRPC_INVALID_ARGUMENT, GRPC_DEADLINE_EXCEEDED, GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS, GRPC_PERMISSION_DENIED, GRPC_RESOURCE_EXHAUSTED, GRPC_FAILED_PRECONDITION, GRPC_ABORTED,
    GRPC_OUT_OF_RANGE, GRPC_UNIMPLEMENTED, GRPC_INTERNAL, GRPC_UNAVAILABLE, GRPC_DATA_LOSS, GRPC_UNAUTHENTICATED,
    GRPC_STATUSES
};

/* Every 0 is replaced by what stands behind it. */
struct grpc_options {
    const char *host;         /* a numeric address to listen on; needed only until grpc_start returns */
    uint16_t port;            /* 0 picks a free one */
    struct red *red;          /* counts access logs; NULL: nobody does */
    size_t max_message;       /* bytes of one message, unpacked too: 32 MiB */
    size_t max_bytes;         /* of all messages from their first byte to their commit: 128 MiB */
    size_t max_memory;        /* of what all messages are decoded into: 512 MiB */
    unsigned max_connections; /* 4096 */
    unsigned max_calls;       /* of one connection at a time: 256 */
    int64_t stall_ms;         /* for a peer that owes us the rest of a handshake or message, or does not read: 30 s */
    int64_t idle_ms;          /* of a connection without a call: 10 min */
};

/* Listens and serves. The store and red must outlive it. NULL: ERR_CONFLICT (somebody else listens there), ERR_IO
 * (both name the address), ERR_NOMEM. */
struct grpc_server *grpc_start(struct store *st, const struct grpc_options *o, struct err *e);
uint16_t grpc_port(const struct grpc_server *s);
/* Takes no new calls (GOAWAY), lets those whose data has come be answered, at most timeout_ms, then frees. What the store
 * has been given is waited for. NULL is fine. */
void grpc_stop(struct grpc_server *s, int64_t timeout_ms);

enum { GRPC_METHODS = 6 }; /* and one for calls of none of them */

/* Since the start, for /metrics. */
struct grpc_stats {
    struct {
        const char *name; /* "/opentelemetry.proto.collector.logs.v1.LogsService/Export"; "none" for the last */
        uint64_t calls[GRPC_STATUSES]; /* that have ended, by status; those that the peer gave up are CANCELLED */
        uint64_t messages;             /* complete ones */
        uint64_t accepted, refused;    /* items in them: log records, data points, spans, log entries */
    } methods[GRPC_METHODS + 1];
    uint64_t connections, calls; /* open now */
    uint64_t accepted;           /* connections taken; and turned away at the limit, ended for misbehaviour or silence */
    uint64_t turned_away, ended;
    uint64_t bytes;              /* of messages that are in memory now */
    uint64_t waiting;            /* messages that the store had no room for, kept until it has */
};
/* Thread-safe. */
void grpc_stats(struct grpc_server *s, struct grpc_stats *out);

/* "OK", "CANCELLED" and so on. */
const char *grpc_status_name(enum grpc_status status);

#endif
