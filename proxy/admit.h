/* admit.h: what a connection says about who is at its other end, as policies ask for it. */
#ifndef PROXY_ADMIT_H
#define PROXY_ADMIT_H

#include "proxy/client.h"
#include "proxy/policy.h"

/* What is known of any connection; views of `peer`. The rest is that of TCP. */
void admit_facts(struct policy_facts *f, const struct peer *peer, const struct listener *l);
/* The client as X-Forwarded-For names it: the last address there, which the proxy before us has put; `otherwise` where
 * that is none. */
struct str admit_remote_text(struct str xff, struct str otherwise);
/* The same for policies: where it is none it stays the connection's. */
void admit_remote(struct policy_facts *f, struct str xff);

#endif
