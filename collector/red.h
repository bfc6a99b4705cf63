/* red.h: rate, errors and duration of what is known only by its log lines or its spans.
 *
 * A sender of access logs that has no metrics of its own (nginx, HAProxy, Envoy without its metrics) gets Istio's:
 * istio_requests_total, istio_request_duration_milliseconds, istio_request_bytes, istio_response_bytes, and for TCP
 * istio_tcp_connections_opened_total, _closed_total, istio_tcp_sent_bytes_total, istio_tcp_received_bytes_total.
 * Spans of a service that sends nothing else get the same, source and destination from parent and child. They are
 * increments in the batch that carries the rows (batch_series.increments): what is committed is counted once, with
 * the rows it counts, and increase() of a series equals the number of its rows.
 *
 * Not twice: these series have job="vigla/logs" or job="vigla/spans"; a workload (or pod) whose istio_requests_total
 * comes under another job is left alone. That is looked up in the store every few seconds, for both reporters of an
 * edge apart. The bundled proxy's access logs come with its metrics and are never counted. */
#ifndef COLLECTOR_RED_H
#define COLLECTOR_RED_H

#include "store/batch.h"
#include "store/store.h"

struct red; /* thread-safe */

/* NULL: ERR_NOMEM. The store must outlive it, and it the batches it has added to. */
struct red *red_new(struct store *st, struct err *e);
void red_free(struct red *r); /* NULL is fine */

/* Adds to `b` what its rows from `first` on come to. 0, ERR_NOMEM. */
int red_access_logs(struct red *r, struct batch *b, size_t first, struct err *e);
int red_spans(struct red *r, struct batch *b, size_t first, struct err *e);

#endif
