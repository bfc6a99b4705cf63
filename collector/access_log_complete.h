/* access_log_complete.h: source and destination of an access log whose sender does not say them outright.
 *
 * Envoy names the upstream's cluster ("outbound|9080|v1|reviews.default.svc.cluster.local", "inbound|9080||") and its
 * own workload, and so whether it stands at the source or at the destination; Istio's proxies fill in one identity by
 * another. What a row says is never changed; nothing is guessed that its texts do not tell. */
#ifndef COLLECTOR_ACCESS_LOG_COMPLETE_H
#define COLLECTOR_ACCESS_LOG_COMPLETE_H

#include "store/batch.h"

/* Fills the columns of a row of access_log that has been ended. Texts are views of the row's. 0, ERR_NOMEM. */
int access_log_complete(struct batch *b, size_t row);
/* What a service's host name says: NAME.NAMESPACE.svc[.DOMAIN]; any other is a name as a whole, without a namespace,
 * as it is to Istio. */
void service_of_host(struct str host, struct str *name, struct str *ns);

#endif
