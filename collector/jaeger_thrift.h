/* jaeger_thrift.h: Jaeger's own spans in: one Batch in Thrift's binary protocol to one batch.
 *
 * Source: jaeger-idl thrift/jaeger.thrift. The process' tags become attributes of each of its spans; the tags span.kind,
 * error, otel.status_code and otel.status_description become columns, logs the span's events. Strings of the batch point
 * into `body` or are in its arena. Thread-safe. */
#ifndef COLLECTOR_JAEGER_THRIFT_H
#define COLLECTOR_JAEGER_THRIFT_H

#include "base/err.h"
#include "collector/push.h"
#include "store/batch.h"

/* 0: the batch holds all spans that are good. ERR_PARSE: the body is no such Batch. ERR_NOMEM. */
int jaeger_thrift_decode(struct str body, struct batch *b, struct push_outcome *o, struct err *e);

#endif
