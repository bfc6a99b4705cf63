/* envoy-internal.h: what Envoy streams: access logs (ALS v3) and metrics (v3), one message of a stream to one batch.
 *
 * Source: envoy.service.{accesslog,metrics}.v3, envoy.data.accesslog.v3, envoy.config.core.v3, io.prometheus.client,
 * google.protobuf.{Struct,Any,Timestamp,Duration}: their field numbers. What names source and destination follows Istio's
 * node metadata and its filter state. No I/O; strings of a batch point into the message or the batch's arena. */
#ifndef COLLECTOR_ENVOY_INTERNAL_H
#define COLLECTOR_ENVOY_INTERNAL_H

#include "base/pb.h"
#include "collector/label_builder.h"
#include "collector/otlp.h"
#include "collector/red.h"

enum {
    ENVOY_MOST_ATTRIBUTES = 200, /* of one entry: header fields, tags and the rest */
    ENVOY_MOST_DEPTH = 32,       /* of lists and maps in metadata */
    ENVOY_MOST_NODE = 1 << 20    /* bytes of what is kept of a node */
};

/* --- values (envoy_value.c) --- */

/* As it is when it is UTF-8, else a copy with U+FFFD for what is not. p NULL: no memory, also for an empty text. */
struct str envoy_text(struct arena *a, struct str s);
/* google.protobuf.Struct as JSON; of a Value that is a string the string itself. ERR_PARSE, ERR_LIMIT (nested too deeply),
 * ERR_NOMEM. */
int envoy_struct_json(struct arena *a, struct str message, struct str *out, struct err *e);
/* google.protobuf.Any: a Struct as JSON, StringValue and BytesValue as text when they are, the rest in base64. */
int envoy_any_text(struct arena *a, struct str any, struct str *out, struct err *e);
/* core.v3.Address: "10.0.0.1:80", "[::1]:80", a pipe's path, "envoy://LISTENER/ENDPOINT". */
int envoy_address(struct arena *a, struct str message, struct str *out, struct err *e);
/* Timestamp and Duration, in ns. ERR_RANGE: no int64 holds it. */
int envoy_time(struct str message, int64_t *ns, struct err *e);
/* A map's entry: the key, and its value's bytes. */
int envoy_entry(struct str message, struct str *key, struct str *value, struct err *e);
/* The first (of strings and messages: the last) field of that number; p NULL: there is none. */
int envoy_bytes_field(struct str message, uint32_t number, struct str *out, struct err *e);

/* --- who sends, and who his peer is (envoy_node.c) --- */

/* A workload, as Istio's metadata has it; what is unknown is empty. */
struct envoy_workload {
    struct str pod, ns, workload, app, version, service, revision, cluster;
};

/* A stream's identifier; counted by those who hold it, of one thread. */
struct envoy_node {
    struct arena arena;
    size_t holders;
    struct str id, cluster, log_name;
    struct str region, zone, sub_zone;
    struct envoy_workload is;
    bool is_istio, is_gateway;
};

/* From a core.v3.Node and the log's name. NULL: ERR_PARSE, ERR_LIMIT, ERR_NOMEM. */
struct envoy_node *envoy_node_new(struct str node, struct str log_name, struct err *e);
struct envoy_node *envoy_node_hold(struct envoy_node *n);
void envoy_node_release(struct envoy_node *n); /* NULL is fine */
/* From a Struct: node metadata ("WORKLOAD_NAME", "LABELS") or a peer in the filter state ("workload", "service"). */
int envoy_workload_read(struct arena *a, struct str metadata, struct envoy_workload *w, struct err *e);

/* --- messages (envoy_log.c, envoy_metrics.c) --- */

/* The identifier of a stream's message, of either service. *node is replaced when there is one. */
int envoy_identifier(struct str message, struct envoy_node **node, struct err *e);
/* Both add to the batch, which must hold the node until its end, and to *items: an entry or metric that is refused leaves the
 * others as they are. On failure nothing of the message is in the batch, and no more should be put into it. `node` NULL: the
 * first message had no identifier, ERR_INVALID. ERR_PARSE: not that message. ERR_NOMEM. `e` is not NULL.
 * Entries of what is still under way, or of one try at an upstream, become rows; `red` (NULL: nobody) counts the others. */
int envoy_log_decode(struct str message, struct envoy_node *node, struct red *red, struct batch *b,
                     struct otlp_refused *items, struct err *e);
int envoy_metrics_decode(struct str message, struct envoy_node *node, int64_t now_ms, struct batch *b,
                         struct otlp_refused *items, struct err *e);

/* --- one entry (envoy_entry.c) --- */

struct envoy_entry {
    struct arena *arena;
    const struct envoy_node *node;
    bool is_tcp;
    union event_value v[ACCESS_LOG_NFIELDS];
    struct label_builder attributes;
    int64_t start_ns;
    int64_t duration_ns, last_down_tx_ns, last_down_rx_ns, last_up_tx_ns, first_up_rx_ns; /* -1: not told */
    struct envoy_workload upstream, downstream; /* peers */
    bool mutual_tls, tls;
    struct str local_spiffe, peer_spiffe;
    struct str path, original_path, content_type, traceparent, b3_trace, b3_span;
    uint64_t type; /* AccessLogType */
    bool intermediate;
};

/* Reads an HTTPAccessLogEntry or a TCPAccessLogEntry into *x, with what follows from it and its sender. ERR_PARSE,
 * ERR_NOMEM; ERR_RANGE, ERR_LIMIT: the entry is refused. */
int envoy_entry_read(struct envoy_entry *x, struct arena *a, const struct envoy_node *node, bool is_tcp,
                     struct str message, struct err *e);
/* Whether it tells of a request or connection that is over, as its downstream saw it. */
bool envoy_entry_counts(const struct envoy_entry *x);
/* What follows from the fields: reporter, source, destination, protocol, times (envoy_identity.c). ERR_NOMEM. */
int envoy_entry_conclude(struct envoy_entry *x, struct err *e);
/* An attribute; the first of a name counts. ERR_LIMIT, ERR_NOMEM. */
int envoy_entry_put(struct envoy_entry *x, const char *prefix, struct str name, struct str value, struct err *e);

#endif
