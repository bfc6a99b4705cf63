/* span_tags.h: what tags of a span say that has a column, too: for senders that know nothing but tags. */
#ifndef COLLECTOR_SPAN_TAGS_H
#define COLLECTOR_SPAN_TAGS_H

#include "store/event.h"

/* Fills the columns of pod, namespace, workload, app and version that are empty: from Kubernetes' attributes in
 * OpenTelemetry's names, and from Istio's own. */
void span_tags_identity(struct labels tags, union event_value *columns);
/* Sets status and its message by `error` and `otel.status_code`. `any_error`: an `error` of any value means that it
 * failed, and is the message; else only "true" does. */
void span_tags_status(struct labels tags, bool any_error, union event_value *columns);

#endif
