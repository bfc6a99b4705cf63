/* hosts-internal.h: host names as Istio resolves and compares them. All in lower case. */
#ifndef MESH_HOSTS_INTERNAL_H
#define MESH_HOSTS_INTERNAL_H

#include "base/arena.h"

#define CLUSTER_DOMAIN "cluster.local"

/* "reviews" in namespace "prod" → "reviews.prod.svc.cluster.local"; a name with a dot, a wildcard or an address stays
 * as it is. p is NULL when memory is short. */
struct str host_resolve(struct arena *a, struct str host, struct str ns);
struct str host_lower(struct arena *a, struct str s);
/* "reviews.prod.svc.cluster.local" → "reviews", "prod"; false for any other form. */
bool host_service(struct str host, struct str *name, struct str *ns);

bool host_is_wild(struct str host);
/* Whether every name that `host` stands for is one that `pattern` stands for; both may be wild. */
bool host_within(struct str host, struct str pattern);
/* Which of two patterns is the more specific one: < 0 when `a` is. An exact name before wild ones, then the longer. */
int host_specific_cmp(struct str a, struct str b);

#endif
