/* otlp-internal.h: records as OTLP's protobuf messages.
 *
 * Source: opentelemetry-proto v1 (logs.proto, trace.proto, metrics.proto, common.proto); what carries which name is in
 * docs/protocols.md, Telemetry. The three kinds of request have one shape: request { 1: resource part { 1: resource,
 * 2: scope part { 1: scope, 2: record, record, … } } }. */
#ifndef PROXY_OTLP_INTERNAL_H
#define PROXY_OTLP_INTERNAL_H

#include "base/buf.h"
#include "mesh/snapshot.h"
#include "proxy/record.h"

enum { OTLP_RECORD = 2 }; /* number of a record (log, span, metric) in its scope */

/* A KeyValue with a text or a whole number, as field `number` of the message being written. */
void otlp_text(struct buf *b, uint32_t number, struct str key, struct str value);
void otlp_int(struct buf *b, uint32_t number, struct str key, int64_t value);

/* The n bytes of an id in hexadecimal; a shorter one is filled with zeros in front, what is none is left out. */
void otlp_id(struct buf *b, uint32_t number, struct str hex, size_t n);

/* The Resource's attributes: who reports. `suffix` ends the instance's name: "", or what sets it apart. */
void otlp_resource(struct buf *b, const struct workload *self, const char *suffix);
/* One LogRecord with its tag; `line` is the access log's line without newline. */
void otlp_log(struct buf *b, const struct record *rec, struct str line);

/* What is the same for all spans of a proxy. */
struct otlp_span_origin {
    struct str node_id;
    const struct workload *self;
};

/* One Span with its tag. False, and nothing written: the record has no trace, ids that are none, or is to tell none. */
bool otlp_span(struct buf *b, const struct record *rec, const struct otlp_span_origin *origin);

/* What stands before the records of a request, which take as many bytes; nothing stands behind them. */
void otlp_request_head(struct buf *b, struct str resource, struct str scope, size_t records);

#endif
