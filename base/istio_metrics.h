/* istio_metrics.h: Istio's standard metrics: names, labels and buckets, once for who counts requests as they pass and
 * for who counts their log lines and spans.
 *
 * Source: istio.io/latest/docs/reference/config/metrics; the order of the labels and what stands for a missing one as
 * Istio's proxies emit them; the bounds are Envoy's defaults. */
#ifndef BASE_ISTIO_METRICS_H
#define BASE_ISTIO_METRICS_H

#include "base/access_log.h"

enum istio_metric {
    ISTIO_REQUESTS,
    ISTIO_DURATION,
    ISTIO_REQUEST_BYTES,
    ISTIO_RESPONSE_BYTES,
    ISTIO_TCP_OPENED,
    ISTIO_TCP_CLOSED,
    ISTIO_TCP_SENT,
    ISTIO_TCP_RECEIVED,
    ISTIO_TCP_END,
    ISTIO_REQUEST_MESSAGES = ISTIO_TCP_END, /* gRPC's */
    ISTIO_RESPONSE_MESSAGES,
    ISTIO_METRICS
};

struct istio_metric_info {
    const char *name, *help;
    bool is_histogram;
};

extern const struct istio_metric_info istio_metrics[ISTIO_METRICS];

/* For ms and bytes alike; +Inf comes after them. The histograms stand together, from ISTIO_DURATION on. */
enum { ISTIO_BOUNDS = 19, ISTIO_HISTOGRAMS = 3 };
extern const double istio_bounds[ISTIO_BOUNDS];

/* Beside them, Vigla's own, with the labels of the istio_requests_total they speak of: requests that spans tell, counted
 * as from "unknown" because the caller's span had not come (collector/red_spans.c); and how many of these have been told
 * by their caller since, so that they are counted between the right two, too. Who wants each call once takes them off. */
#define SPAN_CALLERS_AWAITED "vigla_span_callers_awaited_total"
#define SPAN_CALLERS_FOUND   "vigla_span_callers_found_total"

struct istio_label {
    struct str name;
    enum access_log_field field; /* where its value stands */
    struct str missing;          /* what stands for an empty one; itself empty: the label is left out */
    bool http_only;              /* TCP's metrics are without it */
};

enum { ISTIO_LABELS = 25 };
extern const struct istio_label istio_labels[ISTIO_LABELS]; /* in Istio's order */

#endif
