/* identity.h: who talked to whom, as Istio's metrics name it. */
#ifndef PROXY_IDENTITY_H
#define PROXY_IDENTITY_H

#include "base/access_log.h"
#include "mesh/snapshot.h"

/* Fills the reporter, the proxy's own workload, source_*, destination_* and connection_security_policy. `cluster` and
 * `endpoint` are NULL when none was chosen; `authority` stands in for the service of an inbound cluster without one. */
void identity_fill(struct access_log *l, const struct proxy_snapshot *s, const struct listener *on,
                   struct str remote_ip, const struct cluster *cluster, const struct endpoint *endpoint,
                   struct str authority);

#endif
