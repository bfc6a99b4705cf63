/* otlp.h: OpenTelemetry's protocol in: one request's body to one batch.
 *
 * Source: opentelemetry-proto 1.x (collector/{logs,metrics,trace}/v1), OTLP/HTTP 1.x; metric names and labels by the
 * OpenTelemetry–Prometheus compatibility rules. Resource attributes k8s.pod.name and k8s.namespace.name become the
 * labels `pod` and `namespace`, service.name `job`, service.instance.id `instance`. Strings of the batch point into
 * `body` or the batch's arena. Thread-safe. */
#ifndef COLLECTOR_OTLP_H
#define COLLECTOR_OTLP_H

#include "base/err.h"
#include "collector/red.h"
#include "store/batch.h"

enum otlp_signal { OTLP_LOGS, OTLP_METRICS, OTLP_TRACES };
enum otlp_encoding { OTLP_PROTOBUF, OTLP_JSON };

/* What was left out of a batch whose rest is good: OTLP's partial success. Items are log records, data points, spans.
 * */
struct otlp_refused {
    uint64_t n;
    char why[256];     /* the first reason */
    uint64_t accepted; /* items that are in the batch */
};

/* 0: the batch holds all that is good, and what its access logs and spans come to by `red` (NULL: that is not wanted).
 * ERR_PARSE: the body is not that message. ERR_LIMIT, ERR_NOMEM. */
int otlp_decode(enum otlp_signal signal, enum otlp_encoding encoding, struct str body, struct red *red, struct batch *b,
                struct otlp_refused *refused, struct err *e);
/* The response's body: an Export…ServiceResponse, with partial_success when refused->n is not 0. */
void otlp_response(enum otlp_signal signal, enum otlp_encoding encoding, const struct otlp_refused *refused,
                   struct buf *out);

#endif
