/* envoy_filter.c: an EnvoyFilter's patches: where each goes, and whether it says something that is applied here.
 *
 * There is no Envoy, so a patch is not laid over a configuration: it is understood for what it is to achieve, or told
 * not to be applied, whole (its match or target means nothing here) or by the field. Where a filter is put counts as
 * far as there are places (enum rate_limit_place); a patch that Envoy would never come to, behind its router or beside
 * a filter that it does not have, is not applied either. */
#include "mesh/envoy_filter-internal.h"
#include "mesh/model-internal.h"

static bool not_applied(struct check *c, const struct yaml_node *at, const char *member, const char *why)
{
    check_warn(c, at, member, "this patch is not applied: %s", why);
    return false;
}

/* ---- match ---- */

static const struct field named_fields[] = {
    FIELD(STRING, envoy_named, name, "name"),
    END_OF_FIELDS,
};
static const struct message named_message = { sizeof(struct envoy_named), named_fields, MESSAGE_CLOSED, NULL };
static const struct field filter_match_fields[] = {
    FIELD(STRING, envoy_filter_match, name, "name"),
    FIELD_OF(MESSAGE, envoy_filter_match, sub, "subFilter", &named_message),
    END_OF_FIELDS,
};
static const struct message filter_match_message = { sizeof(struct envoy_filter_match), filter_match_fields,
                                                     MESSAGE_CLOSED, NULL };
static const struct field chain_match_fields[] = {
    FIELD(STRING, envoy_chain_match, name, "name"),
    FIELD(STRING, envoy_chain_match, sni, "sni"),
    FIELD(STRING, envoy_chain_match, transport, "transportProtocol"),
    FIELD(STRING, envoy_chain_match, protocols, "applicationProtocols"),
    FIELD_OF(MESSAGE, envoy_chain_match, filter, "filter", &filter_match_message),
    FIELD(PORT, envoy_chain_match, destination_port, "destinationPort"),
    END_OF_FIELDS,
};
static const struct message chain_match_message = { sizeof(struct envoy_chain_match), chain_match_fields,
                                                    MESSAGE_CLOSED, NULL };
static const struct field listener_match_fields[] = {
    FIELD(PORT, envoy_listener_match, port, "portNumber"),
    FIELD(STRING, envoy_listener_match, port_name, "portName"),
    FIELD_OF(MESSAGE, envoy_listener_match, chain, "filterChain", &chain_match_message),
    FIELD(STRING, envoy_listener_match, listener_filter, "listenerFilter"),
    FIELD(STRING, envoy_listener_match, name, "name"),
    END_OF_FIELDS,
};
static const struct message listener_match_message = { sizeof(struct envoy_listener_match), listener_match_fields,
                                                       MESSAGE_CLOSED, NULL };
static const char *const route_actions[] = { "ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE", NULL };
static const struct field route_match_fields[] = {
    FIELD(STRING, envoy_route_match, name, "name"),
    FIELD_OF(ENUM, envoy_route_match, action, "action", route_actions),
    END_OF_FIELDS,
};
static const struct message route_match_message = { sizeof(struct envoy_route_match), route_match_fields,
                                                    MESSAGE_CLOSED, NULL };
static const struct field host_match_fields[] = {
    FIELD(STRING, envoy_host_match, name, "name"),
    FIELD(STRING, envoy_host_match, domain_name, "domainName"),
    FIELD_OF(MESSAGE, envoy_host_match, route, "route", &route_match_message),
    END_OF_FIELDS,
};
static const struct message host_match_message = { sizeof(struct envoy_host_match), host_match_fields, MESSAGE_CLOSED,
                                                   NULL };
static const struct field routes_match_fields[] = {
    FIELD(PORT, envoy_routes_match, port, "portNumber"),
    FIELD(STRING, envoy_routes_match, port_name, "portName"),
    FIELD(STRING, envoy_routes_match, gateway, "gateway"),
    FIELD_OF(MESSAGE, envoy_routes_match, host, "vhost", &host_match_message),
    FIELD(STRING, envoy_routes_match, name, "name"),
    END_OF_FIELDS,
};
static const struct message routes_match_message = { sizeof(struct envoy_routes_match), routes_match_fields,
                                                     MESSAGE_CLOSED, NULL };
static const struct field cluster_match_fields[] = {
    FIELD(PORT, envoy_cluster_match, port, "portNumber"),
    FIELD(STRING, envoy_cluster_match, service, "service"),
    FIELD(STRING, envoy_cluster_match, subset, "subset"),
    FIELD(STRING, envoy_cluster_match, name, "name"),
    END_OF_FIELDS,
};
static const struct message cluster_match_message = { sizeof(struct envoy_cluster_match), cluster_match_fields,
                                                      MESSAGE_CLOSED, NULL };

static void check_match(struct check *c, void *message)
{
    static const char *const forms[] = { "listener", "routeConfiguration", "cluster", "waypoint", NULL };

    check_count_of(c, ((struct envoy_match *)message)->at, 0, 1, forms);
}

static const char *const contexts[] = { "ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT", NULL };
static const struct field match_fields[] = {
    FIELD_OF(ENUM, envoy_match, context, "context", contexts),
    FIELD(ANY, envoy_match, proxy, "proxy"),
    FIELD_OF(MESSAGE, envoy_match, listener, "listener", &listener_match_message),
    FIELD_OF(MESSAGE, envoy_match, routes, "routeConfiguration", &routes_match_message),
    FIELD_OF(MESSAGE, envoy_match, cluster, "cluster", &cluster_match_message),
    FIELD(ANY, envoy_match, waypoint, "waypoint"),
    END_OF_FIELDS,
};
static const struct message match_message = { sizeof(struct envoy_match), match_fields, MESSAGE_CLOSED, check_match };

/* What a match asks must be something that is known here; what is not asked for is not told of. */
static bool can_match(struct check *c, const struct envoy_config_patch *p)
{
    static const char *const listener[] = { "portName", "listenerFilter", NULL };
    static const char *const chain[] = { "name", "sni", "transportProtocol", "applicationProtocols", NULL };
    static const char *const routes[] = { "portName", "gateway", NULL };
    static const char *const host[] = { "domainName", NULL };
    const struct envoy_match *m = p->match;
    const struct {
        const struct yaml_node *at;
        const char *const *members;
    } unknown[] = { { m && m->listener ? m->listener->at : NULL, listener },
                    { m && m->listener && m->listener->chain ? m->listener->chain->at : NULL, chain },
                    { m && m->routes ? m->routes->at : NULL, routes },
                    { m && m->routes && m->routes->host ? m->routes->host->at : NULL, host } };

    if (m && (m->proxy || m->waypoint || m->context == ENVOY_WAYPOINT))
        return not_applied(c, m->at, m->proxy ? "proxy" : m->waypoint ? "waypoint" : "context",
                           "no proxy here has a version of Istio's, nor is a waypoint");
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        for (const char *const *name = unknown[i].members; *name; name++)
            if (check_get(unknown[i].at, *name))
                return not_applied(c, unknown[i].at, *name, "nothing here is told apart by that");
    return true;
}

/* ---- where a filter is put ---- */

static const struct {
    const char *name;
    enum rate_limit_place before, after;
} http_filters[] = {
    { "envoy.filters.http.jwt_authn", RATE_LIMIT_FIRST, RATE_LIMIT_ADMITTED },
    { "envoy.filters.http.rbac", RATE_LIMIT_FIRST, RATE_LIMIT_ADMITTED },
    { "istio.alpn", RATE_LIMIT_ADMITTED, RATE_LIMIT_ADMITTED },
    { "envoy.filters.http.fault", RATE_LIMIT_ADMITTED, RATE_LIMIT_LAST },
    { "envoy.filters.http.cors", RATE_LIMIT_ADMITTED, RATE_LIMIT_LAST },
    { "envoy.filters.http.grpc_stats", RATE_LIMIT_LAST, RATE_LIMIT_LAST },
    { "istio.stats", RATE_LIMIT_LAST, RATE_LIMIT_LAST },
    { "envoy.filters.http.router", RATE_LIMIT_LAST, RATE_LIMIT_LAST },
};

static bool place_beside(struct check *c, const struct envoy_config_patch *p, const struct envoy_named *sub,
                         enum rate_limit_place *place)
{
    bool after = p->patch->operation == ENVOY_INSERT_AFTER;

    for (size_t i = 0; i < sizeof(http_filters) / sizeof(http_filters[0]); i++) {
        if (!str_eqz(sub->name, http_filters[i].name))
            continue;
        *place = after ? http_filters[i].after : http_filters[i].before;
        return !after || !str_eqz(sub->name, "envoy.filters.http.router") ||
               not_applied(c, sub->at, "name", "behind the router no filter is reached");
    }
    return not_applied(c, sub->at, "name", "there is no such filter here");
}

static bool place_by_class(struct check *c, const struct envoy_patch *p, enum rate_limit_place *place)
{
    if (p->filter_class == ENVOY_CLASS_UNSPECIFIED)
        return not_applied(c, p->at, "operation", "it adds a filter behind the router, where none is reached");
    *place = p->filter_class == ENVOY_CLASS_STATS ? RATE_LIMIT_LAST : RATE_LIMIT_ADMITTED;
    return true;
}

static const struct envoy_filter_match *filter_match(const struct envoy_config_patch *p)
{
    return p->match && p->match->listener && p->match->listener->chain ? p->match->listener->chain->filter : NULL;
}

static bool place_http(struct check *c, const struct envoy_config_patch *p, enum rate_limit_place *place)
{
    const struct envoy_filter_match *m = filter_match(p);
    const struct envoy_named *sub = m && m->sub && m->sub->name.n ? m->sub : NULL;

    if (m && m->name.n && !str_eqz(m->name, "envoy.filters.network.http_connection_manager"))
        return not_applied(c, m->at, "name", "HTTP filters are in envoy.filters.network.http_connection_manager");
    *place = RATE_LIMIT_FIRST;
    switch ((enum envoy_operation)p->patch->operation) {
    case ENVOY_INSERT_FIRST:
        return true;
    case ENVOY_INSERT_BEFORE:
        return !sub || place_beside(c, p, sub, place);
    case ENVOY_INSERT_AFTER:
        return sub ? place_beside(c, p, sub, place) : place_by_class(c, p->patch, place);
    case ENVOY_ADD:
        return place_by_class(c, p->patch, place);
    default:
        return not_applied(c, p->patch->at, "operation", "filters are only inserted or added here");
    }
}

/* Connections are counted once they are there: whatever its place, a filter comes before what is done with them. */
static bool place_network(struct check *c, const struct envoy_config_patch *p)
{
    const struct envoy_filter_match *m = filter_match(p);
    int op = p->patch->operation;

    if (op != ENVOY_INSERT_BEFORE && op != ENVOY_INSERT_FIRST)
        return not_applied(c, p->patch->at, "operation", "network filters are only inserted, before others or first");
    if (m && m->name.n && !str_eqz(m->name, "envoy.filters.network.tcp_proxy"))
        return not_applied(c, m->at, "name", "connections are limited where they are TCP's, ahead of "
                           "envoy.filters.network.tcp_proxy");
    return true;
}

/* ---- a patch ---- */

static void read_http_filter(struct check *c, struct envoy_config_patch *p)
{
    if (place_http(c, p, &p->filter.place) && envoy_read_limit(c, p->patch->value, &p->filter))
        p->effect = ENVOY_LIMIT;
}

static void read_network_filter(struct check *c, struct envoy_config_patch *p)
{
    if (place_network(c, p) && envoy_read_connection_limit(c, p->patch->value, &p->filter))
        p->effect = ENVOY_CONNECTION_LIMIT;
}

static void read_rules(struct check *c, struct envoy_config_patch *p)
{
    bool route = p->target == ENVOY_HTTP_ROUTE;

    if (p->patch->operation != ENVOY_MERGE)
        not_applied(c, p->patch->at, "operation", "routes and virtual hosts are only merged here");
    else if (envoy_read_rules(c, p->patch->value, route, &p->rules))
        p->effect = ENVOY_RULES;
}

static void read_cluster(struct check *c, struct envoy_config_patch *p)
{
    if (p->patch->operation != ENVOY_MERGE)
        not_applied(c, p->patch->at, "operation", "clusters are only merged here");
    else if ((p->check = envoy_read_health_check(c, p->patch->value)))
        p->effect = ENVOY_HEALTH_CHECK;
}

static void read_patch(struct check *c, struct envoy_config_patch *p)
{
    if (!can_match(c, p))
        return;
    switch ((enum envoy_target)p->target) {
    case ENVOY_HTTP_FILTER:
        read_http_filter(c, p);
        break;
    case ENVOY_NETWORK_FILTER:
        read_network_filter(c, p);
        break;
    case ENVOY_VIRTUAL_HOST:
    case ENVOY_HTTP_ROUTE:
        read_rules(c, p);
        break;
    case ENVOY_CLUSTER:
        read_cluster(c, p);
        break;
    default:
        not_applied(c, p->at, "applyTo", "those of HTTP_FILTER, NETWORK_FILTER, VIRTUAL_HOST, HTTP_ROUTE, CLUSTER "
                    "may be");
        break;
    }
}

/* Istio's own rules for patches: which match goes with which target. */
static void check_target(struct check *c, const struct envoy_config_patch *p)
{
    const struct envoy_match *m = p->match;
    bool routes = p->target == ENVOY_ROUTE_CONFIGURATION || p->target == ENVOY_VIRTUAL_HOST ||
                  p->target == ENVOY_HTTP_ROUTE;
    bool cluster = p->target == ENVOY_CLUSTER;

    if (m && m->routes && !routes)
        check_error(c, m->routes->at, NULL, "only goes with applyTo ROUTE_CONFIGURATION, VIRTUAL_HOST and HTTP_ROUTE");
    else if (m && m->cluster && !cluster)
        check_error(c, m->cluster->at, NULL, "only goes with applyTo CLUSTER");
    else if (m && m->listener && (routes || cluster))
        check_error(c, m->listener->at, NULL, "does not go with this applyTo");
}

static void check_config_patch(struct check *c, void *message)
{
    struct envoy_config_patch *p = message;

    if (p->target == ENVOY_INVALID) {
        check_error(c, p->at, "applyTo", "missing: what is patched, as in HTTP_FILTER");
    } else if (!p->patch || p->patch->operation == ENVOY_NO_OPERATION) {
        check_error(c, p->patch ? p->patch->at : p->at, p->patch ? "operation" : "patch", "missing: what is done");
    } else if (!p->patch->value && p->patch->operation != ENVOY_REMOVE) {
        check_error(c, p->patch->at, "value", "missing");
    } else {
        check_target(c, p);
        read_patch(c, p);
    }
}

static const char *const operations[] = { "INVALID", "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER",
                                          "INSERT_FIRST", "REPLACE", NULL };
static const char *const classes[] = { "UNSPECIFIED", "AUTHN", "AUTHZ", "STATS", NULL };
static const struct field patch_fields[] = {
    FIELD_OF(ENUM, envoy_patch, operation, "operation", operations),
    FIELD(ANY, envoy_patch, value, "value"),
    FIELD_OF(ENUM, envoy_patch, filter_class, "filterClass", classes),
    END_OF_FIELDS,
};
static const struct message patch_message = { sizeof(struct envoy_patch), patch_fields, MESSAGE_CLOSED, NULL };
static const char *const targets[] = { "INVALID", "LISTENER", "FILTER_CHAIN", "NETWORK_FILTER", "HTTP_FILTER",
                                       "ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE", "CLUSTER",
                                       "EXTENSION_CONFIG", "BOOTSTRAP", "LISTENER_FILTER", NULL };
static const struct field config_patch_fields[] = {
    FIELD_OF(ENUM, envoy_config_patch, target, "applyTo", targets),
    FIELD_OF(MESSAGE, envoy_config_patch, match, "match", &match_message),
    FIELD_OF(MESSAGE, envoy_config_patch, patch, "patch", &patch_message),
    END_OF_FIELDS,
};
static const struct message config_patch_message = { sizeof(struct envoy_config_patch), config_patch_fields,
                                                     MESSAGE_CLOSED, check_config_patch };

/* ---- the whole ---- */

static void check_envoy_filter(struct check *c, void *message)
{
    struct envoy_filter *f = message;

    if (f->targets)
        check_warn(c, f->targets, NULL, "nothing of this is applied: filters are for workloads by workloadSelector "
                   "here");
    if (f->targets && f->selector)
        check_error(c, f->at, "workloadSelector", "only one of targetRefs or workloadSelector may be given");
}

static const struct field envoy_filter_fields[] = {
    FIELD_OF(MESSAGE, envoy_filter, selector, "workloadSelector", &workload_selector_message),
    FIELD(ANY, envoy_filter, targets, "targetRefs"),
    FIELD_OF(MESSAGES, envoy_filter, patches, "configPatches", &config_patch_message),
    FIELD(INT, envoy_filter, priority, "priority"),
    END_OF_FIELDS,
};
const struct message envoy_filter_message = { sizeof(struct envoy_filter), envoy_filter_fields, MESSAGE_CLOSED,
                                              check_envoy_filter };
