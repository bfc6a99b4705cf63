/* envoy_filter-internal.h: EnvoyFilters: patches of Envoy's configuration, of which a few mean something here.
 *
 * Understood are local rate limits, of requests and of connections, with what virtual hosts and routes say of them, and
 * active health checks of clusters. Each patch is compiled as far as it goes without a proxy; one that is not
 * understood has no effect, which has been told. */
#ifndef MESH_ENVOY_FILTER_INTERNAL_H
#define MESH_ENVOY_FILTER_INTERNAL_H

#include "mesh/check-internal.h"
#include "mesh/snapshot.h"

/* In the order of their words. */
enum envoy_target {
    ENVOY_INVALID, ENVOY_LISTENER, ENVOY_FILTER_CHAIN, ENVOY_NETWORK_FILTER, ENVOY_HTTP_FILTER,
    ENVOY_ROUTE_CONFIGURATION, ENVOY_VIRTUAL_HOST, ENVOY_HTTP_ROUTE, ENVOY_CLUSTER, ENVOY_EXTENSION_CONFIG,
    ENVOY_BOOTSTRAP, ENVOY_LISTENER_FILTER
};
enum envoy_context { ENVOY_ANY, ENVOY_INBOUND, ENVOY_OUTBOUND, ENVOY_GATEWAY, ENVOY_WAYPOINT };
enum envoy_operation {
    ENVOY_NO_OPERATION, ENVOY_MERGE, ENVOY_ADD, ENVOY_REMOVE, ENVOY_INSERT_BEFORE, ENVOY_INSERT_AFTER,
    ENVOY_INSERT_FIRST, ENVOY_REPLACE
};
enum envoy_filter_class { ENVOY_CLASS_UNSPECIFIED, ENVOY_CLASS_AUTHN, ENVOY_CLASS_AUTHZ, ENVOY_CLASS_STATS };
enum envoy_route_action { ENVOY_ROUTE_ANY, ENVOY_ROUTE_FORWARD, ENVOY_ROUTE_REDIRECT, ENVOY_ROUTE_DIRECT };

struct envoy_named { /* a filter within the HTTP connection manager */
    const struct yaml_node *at;
    struct str name;
};

struct envoy_filter_match {
    const struct yaml_node *at;
    struct str name;
    struct envoy_named *sub;
};

struct envoy_chain_match {
    const struct yaml_node *at;
    struct str name, sni, transport, protocols;
    struct envoy_filter_match *filter;
    uint32_t destination_port;
};

struct envoy_listener_match {
    const struct yaml_node *at;
    uint32_t port;
    struct str port_name, listener_filter, name;
    struct envoy_chain_match *chain;
};

struct envoy_route_match {
    const struct yaml_node *at;
    struct str name;
    int action; /* enum envoy_route_action */
};

struct envoy_host_match {
    const struct yaml_node *at;
    struct str name, domain_name;
    struct envoy_route_match *route;
};

struct envoy_routes_match {
    const struct yaml_node *at;
    uint32_t port;
    struct str port_name, gateway, name;
    struct envoy_host_match *host;
};

struct envoy_cluster_match {
    const struct yaml_node *at;
    uint32_t port;
    struct str service, subset, name;
};

struct envoy_match {
    const struct yaml_node *at;
    int context; /* enum envoy_context */
    const struct yaml_node *proxy, *waypoint;
    struct envoy_listener_match *listener;
    struct envoy_routes_match *routes;
    struct envoy_cluster_match *cluster;
};

struct envoy_patch {
    const struct yaml_node *at, *value;
    int operation;    /* enum envoy_operation */
    int filter_class; /* enum envoy_filter_class */
};

enum envoy_effect { ENVOY_NOTHING, ENVOY_LIMIT, ENVOY_CONNECTION_LIMIT, ENVOY_RULES, ENVOY_HEALTH_CHECK };

struct envoy_config_patch {
    const struct yaml_node *at;
    int target; /* enum envoy_target */
    struct envoy_match *match;
    struct envoy_patch *patch;
    enum envoy_effect effect;
    struct rate_limit_filter filter; /* LIMIT, CONNECTION_LIMIT: a pattern, whose buckets have no keys yet */
    struct rate_limit_rules rules;   /* RULES: likewise */
    const struct health_check *check; /* HEALTH_CHECK */
};

struct envoy_filter {
    const struct yaml_node *at;
    const struct mesh_object *object;
    struct workload_selector *selector;
    const struct yaml_node *targets;
    LIST_OF(struct envoy_config_patch) patches;
    int64_t priority;
};

extern const struct message envoy_filter_message;

/* envoy_rate_limit.c. Each reads the patch's value, a filter with its configuration, and returns whether it is one of
 * ours; what it is instead has been told then. */
bool envoy_read_limit(struct check *c, const struct yaml_node *value, struct rate_limit_filter *to);
bool envoy_read_connection_limit(struct check *c, const struct yaml_node *value, struct rate_limit_filter *to);
/* What a virtual host's or (`route`) a route's value says of limits. */
bool envoy_read_rules(struct check *c, const struct yaml_node *value, bool route, struct rate_limit_rules *to);

/* envoy_health_check.c: what a cluster's value says of them. NULL: nothing that is applied, which has been told. */
const struct health_check *envoy_read_health_check(struct check *c, const struct yaml_node *value);

/* envoy_parts.c: small messages that several of Envoy's have. */
struct envoy_header {
    const struct yaml_node *at;
    struct str key, value;
};

struct envoy_header_option {
    const struct yaml_node *at;
    struct envoy_header *header;
    bool append, keep_empty;
    int action;
};

extern const struct message envoy_header_option_message;
/* n of them. */
const struct header_op *envoy_compile_headers(struct check *c, const struct envoy_header_option *v, size_t n);

/* envoy_actions.c */
struct envoy_actions {
    const struct yaml_node *at;
    LIST_OF(struct envoy_action) v;
    const struct yaml_node *stage;
    struct rate_limit_actions compiled; /* n 0: no descriptor comes of it, which has been told */
};

extern const struct message envoy_actions_message;
/* Those of which a descriptor comes. */
void envoy_collect_actions(struct check *c, const struct envoy_actions *v, size_t n,
                           const struct rate_limit_actions **to, size_t *nto);

#endif
