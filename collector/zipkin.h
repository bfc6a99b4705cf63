/* zipkin.h: Zipkin's spans in: one JSON v2 list to one batch.
 *
 * Source: zipkin.io/zipkin-api (zipkin2-api.yaml, POST /spans); what becomes which attribute follows OpenTelemetry's
 * mapping for Zipkin where there is one (opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin).
 *
 *   traceId     filled with zeros to 32 digits       tags          attributes; `error` makes the status, too
 *   annotations events                               debug         attribute zipkin.debug
 *   localEndpoint   service; network.local.*         remoteEndpoint   peer.service, network.peer.*
 *   shared      not kept: that a server's span has its client's id is seen when the trace is read (query/traces.c)
 *
 * A span without a time began with its first annotation, or else now. Thread-safe. */
#ifndef COLLECTOR_ZIPKIN_H
#define COLLECTOR_ZIPKIN_H

#include "base/err.h"
#include "collector/push.h"
#include "store/batch.h"

/* Strings of the batch point into `body` or are in its arena. 0: the batch holds all spans that are good. ERR_PARSE: the
 * body is no such list. ERR_NOMEM. */
int zipkin_decode(struct str body, struct batch *b, struct push_outcome *o, struct err *e);

#endif
