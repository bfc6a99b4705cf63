/* snapshot-internal.h: a snapshot while it is made: what the proxy sees, its clusters, then the listeners that point to
 * them. */
#ifndef MESH_SNAPSHOT_INTERNAL_H
#define MESH_SNAPSHOT_INTERNAL_H

#include "mesh/model-internal.h"

/* What one egress listener of a Sidecar brings in; without a Sidecar there is one, with all that is exported. */
struct scope {
    const struct sc_egress *egress;          /* NULL: the default */
    const struct service **services;         /* by host, each once */
    size_t nservices;
    const struct virtual_service **vs;       /* of the mesh, oldest first */
    size_t nvs;
};

struct draft {
    struct arena *arena;
    const struct mesh *mesh;
    const struct proxy_identity *id;
    struct proxy_snapshot *out;
    const struct pod *pod; /* the proxy's own; NULL: none yet */
    struct labels labels;  /* the proxy's own */
    struct str ns;
    struct gateway_topology topology;
    const struct sidecar *sidecar;   /* NULL: none is for this proxy */
    const struct envoy_filter **filters; /* for this proxy, in their order */
    size_t nfilters;
    LIST_OF(const struct rate_limit *) limits;
    size_t limits_cap;
    LIST_OF(struct scope) scopes;    /* a gateway has one, without VirtualServices */
    const struct service **services; /* of all scopes, by host, each once */
    size_t nservices;
    LIST_OF(struct cluster) clusters; /* sorted by name once all are there */
    size_t clusters_cap;
    LIST_OF(struct listener) listeners;
    size_t listeners_cap;
    bool nomem;            /* sticks */
};

#define draft_alloc(d, n, size) sticky_alloc((d)->arena, &(d)->nomem, (n), (size))
#define draft_printf(d, ...)    sticky_printf((d)->arena, &(d)->nomem, __VA_ARGS__)

/* snapshot_scope.c */
void draft_scopes(struct draft *d);
/* By a resolved host; NULL: the proxy sees none. */
const struct service *draft_service(const struct draft *d, struct str host);

/* snapshot_policy.c: what policies say, part by part; NULL: nothing. */
struct policy_parts {
    const struct dr_balancer *balancer;
    const struct dr_pool *pool;
    const struct dr_outlier *outlier;
    const struct dr_tls *tls;
    const struct dr_proxy_protocol *proxy_protocol;
    const struct dr_budget *budget;
};
/* What `p` (NULL: nothing) says for this port takes the place of what was said. */
void policy_apply(struct policy_parts *to, const struct dr_policy *p, uint32_t port);
/* All of a cluster but its names, endpoints and TLS. */
void policy_set(struct cluster *c, const struct policy_parts *p, enum service_speech speech);

/* snapshot_locality.c: endpoints whose weights and priorities are made out. */
struct placed {
    struct endpoint *v;
    const struct labels *labels; /* of each */
    size_t n;                    /* may become less */
};
void draft_place_endpoints(struct draft *d, struct placed *p, const struct policy_parts *policy);

/* snapshot_tls.c */
struct cluster_tls {
    const struct dr_tls *policy; /* NULL: none */
    bool by_secret;              /* its credentialName is for this proxy */
    bool external;
    const struct str *names;     /* a ServiceEntry's subjectAltNames */
    size_t nnames;
};
/* The cluster's names and endpoints are there. */
void draft_secure_cluster(struct draft *d, struct cluster *c, const struct cluster_tls *from);
/* The name by which the mesh asks for a cluster: outbound_.PORT_.SUBSET_.HOST. */
struct str draft_cluster_sni(struct draft *d, const struct cluster *c);
/* NULL on d->nomem. */
const struct tls_server *draft_tls_server(struct draft *d, const struct gw_tls *t);

/* snapshot_clusters.c */
void draft_outbound_clusters(struct draft *d);
void draft_sort_clusters(struct draft *d);
void draft_add_cluster(struct draft *d, const struct cluster *c);
const struct cluster *draft_cluster(const struct draft *d, struct str name);
/* The connection pool that the service's DestinationRule has for a port; NULL: none. */
const struct dr_pool *draft_pool_of(const struct draft *d, const struct service *s, uint32_t port);

/* snapshot_routes.c: where a route is made for: `gateway` is "mesh" or a Gateway's name, `port` the listener's. */
struct place {
    struct draft *draft;
    struct str gateway;
    uint16_t port;
};
bool place_is_for(const struct place *at, const struct str *gateways, size_t ngateways, struct labels labels,
                  struct str ns);
struct destination place_destination(const struct place *at, const struct vs_destination *d, int64_t weight);

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

/* snapshot_l4.c: routes of connections. */
/* The tcp destinations that `vs` (NULL: none) has for this listener. False when it has none. */
bool draft_tcp_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                      struct str address, struct listener *l);
void draft_tcp_default(struct draft *d, struct str cluster, struct listener *l);

/* Chains of a listener while they are gathered: of one name the first is kept. */
struct chain_list {
    struct listener_chain *v;
    size_t n, cap;
};
/* A chain for `name` ("*": all). */
void draft_chain(struct draft *d, struct chain_list *l, struct str name, const struct tls_server *tls,
                 const struct listener *serve);
/* Chains that pass connections on as the tls rules of `vs` say, for names within `hosts`. */
void draft_tls_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                      struct str address, const struct str *hosts, size_t nhosts, struct chain_list *out);
/* What stands in a chain that goes to one cluster. */
const struct listener *draft_tcp_serve(struct draft *d, const struct listener *like, struct str cluster);
/* The most specific name first. */
void draft_chains_done(const struct chain_list *l, struct listener *to);

/* snapshot_listeners.c */
void draft_sidecar_listeners(struct draft *d);
/* Adds `l` unless its address is taken; gives it its name, its policy and, by the port map, the port it binds. */
void draft_listener(struct draft *d, const struct listener *l, bool mapped);

/* snapshot_inbound.c */
void draft_inbound_clusters(struct draft *d);
void draft_inbound_listeners(struct draft *d);

/* snapshot_security.c */
/* Fills l->policy from the rest of it. */
void draft_security(struct draft *d, struct listener *l);
/* Whether a policy of the proxy's own namespace with this scope is for listener `l`, or, NULL, for the proxy at all. */
bool draft_covers(const struct draft *d, const struct policy_scope *s, const struct listener *l);

/* snapshot_telemetry.c */
void draft_telemetry(struct draft *d);

/* snapshot_limits.c */
void draft_envoy_filters(struct draft *d);
/* Limits of requests, of a listener or of what a chain serves: its direction, port and protocol are there. */
void draft_http_limits(struct draft *d, struct listener *l);
/* Limits of connections, of a listener whose address is there, too. */
void draft_connection_limits(struct draft *d, struct listener *l);
/* What EnvoyFilters say of virtual hosts and their routes. */
void draft_limit_hosts(struct draft *d, enum listener_direction direction, uint16_t port, struct virtual_host *v,
                       size_t n);

/* snapshot_checks.c: once all clusters are there. */
void draft_health_checks(struct draft *d);

/* lookup.c */
const struct host_index *draft_host_index(struct draft *d, const struct virtual_host *hosts, size_t n);

/* snapshot_gateway.c */
void draft_gateway_listeners(struct draft *d);

#endif
