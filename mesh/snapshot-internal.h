/* snapshot-internal.h: a snapshot while it is made: clusters first, then the listeners that point to them. */
#ifndef MESH_SNAPSHOT_INTERNAL_H
#define MESH_SNAPSHOT_INTERNAL_H

#include "mesh/model-internal.h"

struct draft {
    struct arena *arena;
    const struct mesh *mesh;
    const struct proxy_identity *id;
    struct proxy_snapshot *out;
    const struct pod *pod; /* the proxy's own; NULL: none yet */
    struct labels labels;  /* the proxy's own */
    struct str ns;
    LIST_OF(struct cluster) clusters; /* sorted by name once all are there */
    size_t clusters_cap;
    LIST_OF(struct listener) listeners;
    size_t listeners_cap;
    bool nomem;            /* sticks */
};

#define draft_alloc(d, n, size) sticky_alloc((d)->arena, &(d)->nomem, (n), (size))
#define draft_printf(d, ...)    sticky_printf((d)->arena, &(d)->nomem, __VA_ARGS__)

/* snapshot_clusters.c */
void draft_outbound_clusters(struct draft *d);
void draft_inbound_clusters(struct draft *d);
void draft_sort_clusters(struct draft *d);
const struct cluster *draft_cluster(const struct draft *d, struct str name);
/* The container port of `p` that a service's port goes to; 0 when the Pod has none of that name. */
uint16_t target_port(const struct service_port *sp, const struct pod *p);

/* snapshot_routes.c: `gateway` is "mesh" or a Gateway's name, `port` the listener's. */
struct route_list {
    struct route *v;
    size_t n, cap;
};
/* Appends the rules of `vs` that are for this proxy, up to the first that catches all. */
void draft_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                  struct route_list *out);
/* Appends the route of a service that no VirtualService speaks of. */
void draft_default_route(struct draft *d, struct str cluster, struct route_list *out);
bool route_catches_all(const struct route *r);
/* The tcp destinations that `vs` (NULL: none) has for this listener. False when it has none. */
bool draft_tcp_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                      struct str address, struct listener *l);
void draft_tcp_default(struct draft *d, struct str cluster, struct listener *l);

/* snapshot_listeners.c */
void draft_sidecar_listeners(struct draft *d);
void draft_inbound_listeners(struct draft *d);
/* Adds `l` unless its address is taken; gives it its name, its policy and, by the port map, the port it binds. */
void draft_listener(struct draft *d, const struct listener *l, bool mapped);

/* snapshot_security.c */
/* Fills l->policy from the rest of it. */
void draft_security(struct draft *d, struct listener *l);
/* Whether a policy of the proxy's own namespace with this scope is for listener `l`, or, NULL, for the proxy at all. */
bool draft_covers(const struct draft *d, const struct policy_scope *s, const struct listener *l);

/* snapshot_telemetry.c */
void draft_telemetry(struct draft *d);

/* lookup.c */
const struct host_index *draft_host_index(struct draft *d, const struct virtual_host *hosts, size_t n);

/* snapshot_gateway.c */
void draft_gateway_listeners(struct draft *d);

#endif
