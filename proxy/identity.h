/* identity.h: who talked to whom, as Istio's metrics name it. */
#ifndef PROXY_IDENTITY_H
#define PROXY_IDENTITY_H

#include "base/access_log.h"
#include "proxy/client.h"

/* What is known of a request's or connection's two ends. */
struct identity {
    const struct listener *on;
    const struct peer *peer;
    const struct cluster *cluster;     /* NULL: none was chosen */
    const struct endpoint *endpoint;   /* likewise */
    const struct tls_peer *upstream;   /* who the endpoint has proved to be; NULL: plain text */
    struct str authority;              /* stands in for the service of an inbound cluster without one */
};

/* Fills the reporter, the proxy's own workload, source_*, destination_* and connection_security_policy. */
void identity_fill(struct access_log *l, const struct proxy_snapshot *s, const struct identity *id);

#endif
