/* istio_labels.h: the labels of Istio's standard metrics, and the field of an access log that each takes its value from.
 *
 * The one list of them, in the order in which Istio's proxies write them: the proxy counts by it, and whoever looks for the
 * rows behind a series reads it backwards. Source: istio.io/latest/docs/reference/config/metrics. */
#ifndef BASE_ISTIO_LABELS_H
#define BASE_ISTIO_LABELS_H

#include "base/access_log.h"

struct istio_label {
    struct str name;
    enum access_log_field field; /* all are texts but response_code */
    struct str missing;          /* what stands for an empty one */
    bool http_only;
};

enum { ISTIO_LABELS = 25 };
extern const struct istio_label istio_labels[ISTIO_LABELS];

#endif
