/* admin_config.c: the snapshot in Envoy's vocabulary.
 *
 * Sources: envoyproxy.io/docs, "Administration interface"; the messages' names are those of Envoy's v3 API, so that
 * tools made for its dumps find what they look for. What our snapshot does not have is not in the dump. */
#include "base/clock.h"
#include "proxy/admin-internal.h"
#include "proxy/admin_json-internal.h"
#include "proxy/telemetry-internal.h"

#include <inttypes.h>
#include <stdio.h>

/* A version is a number with us, and a text in Envoy's messages. */
static void version(struct buf *b, uint64_t v)
{
    json_member(b, "version_info");
    buf_printf(b, "\"%" PRIu64 "\"", v);
}

/* Protobuf's JSON form of a Duration. */
static void duration(struct buf *b, const char *key, int64_t ms)
{
    json_member(b, key);
    buf_puts(b, "\"");
    buf_double(b, (double)ms / 1000);
    buf_puts(b, "s\"");
}

/* Parts of a million, as a RuntimeFractionalPercent's default. */
static void percentage(struct buf *b, uint32_t ppm)
{
    json_open(b, "percentage", '{');
    json_number(b, "numerator", ppm);
    json_text(b, "denominator", STR("MILLION"));
    buf_putc(b, '}');
}

static void address(struct buf *b, struct str ip, uint16_t port)
{
    json_open(b, "address", '{');
    json_open(b, "socket_address", '{');
    json_text(b, "address", ip);
    json_number(b, "port_value", port);
    buf_puts(b, "}}");
}

/* --- clusters ----------------------------------------------------------------------------------------------------- */

static const char *const lb_names[] = {
    [LB_LEAST_REQUEST] = "LEAST_REQUEST", [LB_ROUND_ROBIN] = "ROUND_ROBIN", [LB_RANDOM] = "RANDOM",
    [LB_RING_HASH] = "RING_HASH",         [LB_MAGLEV] = "MAGLEV",
};

static void endpoints(struct buf *b, const struct cluster *c)
{
    json_open(b, "load_assignment", '{');
    json_text(b, "cluster_name", c->name);
    json_open(b, "endpoints", '[');
    buf_putc(b, '{');
    json_open(b, "lb_endpoints", '[');
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        json_open(b, NULL, '{');
        json_open(b, "endpoint", '{');
        address(b, e->ip, e->port);
        json_text(b, "hostname", e->workload->pod);
        buf_putc(b, '}');
        json_number(b, "load_balancing_weight", e->weight);
        json_text(b, "health_status", STR("HEALTHY"));
        buf_putc(b, '}');
    }
    buf_puts(b, "]}]}");
}

static void circuit_breakers(struct buf *b, const struct cluster *c)
{
    json_open(b, "circuit_breakers", '{');
    json_open(b, "thresholds", '[');
    buf_putc(b, '{');
    json_number(b, "max_connections", c->max_connections);
    json_number(b, "max_pending_requests", c->max_pending);
    json_number(b, "max_requests", c->max_requests);
    json_number(b, "max_retries", c->max_retries);
    buf_puts(b, "}]}");
}

static void health_check(struct buf *b, const struct health_check *h)
{
    static const char *const kinds[] = { [HEALTH_CHECK_HTTP] = "http_health_check",
                                         [HEALTH_CHECK_TCP] = "tcp_health_check",
                                         [HEALTH_CHECK_GRPC] = "grpc_health_check" };

    json_open(b, "health_checks", '[');
    json_open(b, NULL, '{');
    duration(b, "timeout", h->timeout_ms);
    duration(b, "interval", h->interval_ms);
    duration(b, "no_traffic_interval", h->no_traffic_ms);
    json_number(b, "unhealthy_threshold", h->unhealthy_threshold);
    json_number(b, "healthy_threshold", h->healthy_threshold);
    json_open(b, kinds[h->kind], '{');
    if (h->path.n)
        json_text(b, "path", h->path);
    if (h->service.n)
        json_text(b, "service_name", h->service);
    buf_puts(b, "}}]");
}

static void cluster(struct buf *b, const struct cluster *c)
{
    json_open(b, "cluster", '{');
    json_type(b, "envoy.config.cluster.v3.Cluster");
    json_text(b, "name", c->name);
    json_text(b, "type", STR("STATIC"));
    duration(b, "connect_timeout", c->connect_timeout_ms);
    json_text(b, "lb_policy", str_of(lb_names[c->lb]));
    circuit_breakers(b, c);
    if (c->check)
        health_check(b, c->check);
    admin_cluster_tls(b, &c->tls);
    endpoints(b, c);
    buf_putc(b, '}');
}

static void clusters_dump(struct buf *b, const struct proxy_snapshot *s)
{
    json_open(b, NULL, '{');
    json_type(b, "envoy.admin.v3.ClustersConfigDump");
    version(b, s->version);
    json_open(b, "dynamic_active_clusters", '[');
    for (size_t i = 0; i < s->nclusters; i++) {
        json_open(b, NULL, '{');
        version(b, s->version);
        cluster(b, &s->clusters[i]);
        buf_putc(b, '}');
    }
    buf_puts(b, "]}");
}

/* --- routes ------------------------------------------------------------------------------------------------------- */

static void weighted_cluster(struct buf *b, const struct destination *d)
{
    json_open(b, NULL, '{');
    json_text(b, "name", d->cluster_name);
    json_number(b, "weight", d->weight);
    buf_putc(b, '}');
}

/* One destination is `cluster`, several are `weighted_clusters`. */
static void destinations(struct buf *b, const struct destination *d, size_t n)
{
    if (n == 1) {
        json_text(b, "cluster", d->cluster_name);
        return;
    }
    json_open(b, "weighted_clusters", '{');
    json_open(b, "clusters", '[');
    for (size_t i = 0; i < n; i++)
        weighted_cluster(b, &d[i]);
    buf_puts(b, "]}");
}

static void regex_match_member(struct buf *b, const char *key, struct str pattern)
{
    json_open(b, key, '{');
    json_text(b, "regex", pattern);
    buf_putc(b, '}');
}

static void path_match(struct buf *b, const struct string_match *m)
{
    if (!m || m->kind == STRING_PRESENT)
        json_text(b, "prefix", STR("/"));
    else if (m->kind == STRING_REGEX)
        regex_match_member(b, "safe_regex", m->value);
    else
        json_text(b, m->kind == STRING_EXACT ? "path" : "prefix", m->value);
    if (m && m->ignore_case)
        json_truth(b, "case_sensitive", false);
}

static void string_match(struct buf *b, const struct string_match *m)
{
    json_open(b, "string_match", '{');
    if (m->kind == STRING_REGEX)
        regex_match_member(b, "safe_regex", m->value);
    else
        json_text(b, m->kind == STRING_EXACT ? "exact" : "prefix", m->value);
    if (m->ignore_case)
        json_truth(b, "ignore_case", true);
    buf_putc(b, '}');
}

static void key_match(struct buf *b, struct str name, const struct string_match *m, bool invert)
{
    json_open(b, NULL, '{');
    json_text(b, "name", name);
    if (m->kind == STRING_PRESENT)
        json_truth(b, "present_match", true);
    else
        string_match(b, m);
    if (invert)
        json_truth(b, "invert_match", true);
    buf_putc(b, '}');
}

static void header_matches(struct buf *b, const struct route_match *m)
{
    json_open(b, "headers", '[');
    if (m->method)
        key_match(b, STR(":method"), m->method, false);
    if (m->scheme)
        key_match(b, STR(":scheme"), m->scheme, false);
    if (m->authority)
        key_match(b, STR(":authority"), m->authority, false);
    for (size_t i = 0; i < m->nheaders; i++)
        key_match(b, m->headers[i].name, &m->headers[i].value, m->headers[i].invert);
    buf_putc(b, ']');
}

static void match(struct buf *b, const struct route_match *m)
{
    json_open(b, "match", '{');
    path_match(b, m->uri);
    if (m->method || m->scheme || m->authority || m->nheaders)
        header_matches(b, m);
    if (m->nquery) {
        json_open(b, "query_parameters", '[');
        for (size_t i = 0; i < m->nquery; i++)
            key_match(b, m->query[i].name, &m->query[i].value, false);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
}

static void rewrite(struct buf *b, const struct route *r)
{
    if (r->rewrite_authority.n)
        json_text(b, "host_rewrite_literal", r->rewrite_authority);
    if (r->rewrite && r->rewrite_re) {
        json_open(b, "regex_rewrite", '{');
        json_text(b, "substitution", r->rewrite_uri);
        buf_putc(b, '}');
    } else if (r->rewrite) {
        json_text(b, "prefix_rewrite", r->rewrite_uri);
    }
}

static void forward(struct buf *b, const struct route *r)
{
    json_open(b, "route", '{');
    destinations(b, r->destinations, r->ndestinations);
    duration(b, "timeout", r->timeout_ms);
    rewrite(b, r);
    if (r->retry.attempts) {
        json_open(b, "retry_policy", '{');
        json_number(b, "num_retries", r->retry.attempts);
        if (r->retry.per_try_timeout_ms)
            duration(b, "per_try_timeout", r->retry.per_try_timeout_ms);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void redirect(struct buf *b, const struct redirect *r)
{
    json_open(b, "redirect", '{');
    if (r->scheme.n)
        json_text(b, "scheme_redirect", r->scheme);
    if (r->authority.n)
        json_text(b, "host_redirect", r->authority);
    if (r->port)
        json_number(b, "port_redirect", r->port);
    if (r->uri.n)
        json_text(b, "path_redirect", r->uri);
    if (r->prefix.n)
        json_text(b, "prefix_rewrite", r->prefix);
    json_number(b, "response_code", r->status);
    buf_putc(b, '}');
}

static void direct_response(struct buf *b, const struct route *r)
{
    json_open(b, "direct_response", '{');
    json_number(b, "status", r->direct_status);
    if (r->direct_body.n) {
        json_open(b, "body", '{');
        json_text(b, "inline_string", r->direct_body);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void fault(struct buf *b, const struct fault *f)
{
    if (f->delay_ppm == 0 && f->abort_ppm == 0)
        return;
    json_open(b, "typed_per_filter_config", '{');
    json_open(b, "envoy.filters.http.fault", '{');
    json_type(b, "envoy.extensions.filters.http.fault.v3.HTTPFault");
    if (f->delay_ppm) {
        json_open(b, "delay", '{');
        duration(b, "fixed_delay", f->delay_ms);
        percentage(b, f->delay_ppm);
        buf_putc(b, '}');
    }
    if (f->abort_ppm) {
        json_open(b, "abort", '{');
        json_number(b, "http_status", f->abort_status);
        percentage(b, f->abort_ppm);
        buf_putc(b, '}');
    }
    buf_puts(b, "}}");
}

static void route(struct buf *b, const struct route *r)
{
    json_open(b, NULL, '{');
    json_text(b, "name", r->name);
    match(b, &r->match);
    switch (r->action) {
    case ROUTE_FORWARD:
        forward(b, r);
        break;
    case ROUTE_REDIRECT:
        redirect(b, &r->redirect);
        break;
    case ROUTE_DIRECT:
        direct_response(b, r);
        break;
    }
    fault(b, &r->fault);
    buf_putc(b, '}');
}

static void virtual_host(struct buf *b, const struct virtual_host *h)
{
    json_open(b, NULL, '{');
    json_text(b, "name", h->name);
    json_open(b, "domains", '[');
    for (size_t i = 0; i < h->ndomains; i++)
        json_text(b, NULL, h->domains[i]);
    buf_putc(b, ']');
    json_open(b, "routes", '[');
    for (size_t i = 0; i < h->nroutes; i++)
        route(b, &h->routes[i]);
    buf_putc(b, ']');
    if (h->require_tls)
        json_text(b, "require_tls", STR("ALL"));
    buf_putc(b, '}');
}

static void routes_dump(struct buf *b, const struct proxy_snapshot *s)
{
    json_open(b, NULL, '{');
    json_type(b, "envoy.admin.v3.RoutesConfigDump");
    json_open(b, "dynamic_route_configs", '[');
    for (size_t i = 0; i < s->nlisteners; i++) {
        const struct listener *l = &s->listeners[i];

        if (l->nhosts == 0)
            continue;
        json_open(b, NULL, '{');
        version(b, s->version);
        json_open(b, "route_config", '{');
        json_type(b, "envoy.config.route.v3.RouteConfiguration");
        json_text(b, "name", l->name);
        json_open(b, "virtual_hosts", '[');
        for (size_t k = 0; k < l->nhosts; k++)
            virtual_host(b, &l->hosts[k]);
        buf_puts(b, "]}}");
    }
    buf_puts(b, "]}");
}

/* --- listeners ---------------------------------------------------------------------------------------------------- */

static void rate_limit(struct buf *b, struct str name, const char *type, const struct rate_limit *limit)
{
    json_open(b, NULL, '{');
    json_text(b, "name", name);
    json_open(b, "typed_config", '{');
    json_type(b, type);
    json_text(b, "stat_prefix", limit->stat_prefix);
    if (limit->bucket.most) {
        json_open(b, "token_bucket", '{');
        json_number(b, "max_tokens", limit->bucket.most);
        json_number(b, "tokens_per_fill", limit->bucket.per_fill);
        duration(b, "fill_interval", limit->bucket.interval_ms);
        buf_putc(b, '}');
    }
    buf_puts(b, "}}");
}

/* Those that a listener brings itself; what routes say instead is not told here. */
static void http_limits(struct buf *b, const struct listener *l)
{
    json_open(b, "http_filters", '[');
    for (size_t i = 0; i < l->nlimits; i++)
        rate_limit(b, l->limits[i].name, "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                   l->limits[i].limit);
    buf_putc(b, ']');
}

static void http_filter(struct buf *b, const struct listener *l)
{
    json_open(b, NULL, '{');
    json_text(b, "name", STR("envoy.filters.network.http_connection_manager"));
    json_open(b, "typed_config", '{');
    json_type(b, "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
    json_text(b, "stat_prefix", l->name);
    json_open(b, "rds", '{');
    json_text(b, "route_config_name", l->name);
    buf_putc(b, '}');
    if (l->nlimits)
        http_limits(b, l);
    buf_puts(b, "}}");
}

static void tcp_filter(struct buf *b, const struct listener *l)
{
    for (size_t i = 0; i < l->nconnection_limits; i++)
        rate_limit(b, STR("envoy.filters.network.local_ratelimit"),
                   "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit", l->connection_limits[i]);
    json_open(b, NULL, '{');
    json_text(b, "name", STR("envoy.filters.network.tcp_proxy"));
    json_open(b, "typed_config", '{');
    json_type(b, "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");
    json_text(b, "stat_prefix", l->name);
    destinations(b, l->tcp, l->ntcp);
    buf_puts(b, "}}");
}

/* How connections come to a chain, and what secures them. */
struct entry {
    const struct listener_chain *chain; /* NULL: no names */
    const struct tls_server *tls;       /* the chain's, or NULL */
    bool mesh;                          /* the mesh's mutual TLS */
    bool plain_only;                    /* beside `mesh`: what is not TLS */
};

static void chain_match(struct buf *b, const struct entry *in)
{
    bool named = in->chain && in->chain->nserver_names;

    if (!in->chain && !in->mesh && !in->plain_only)
        return;
    json_open(b, "filter_chain_match", '{');
    json_text(b, "transport_protocol", in->plain_only ? STR("raw_buffer") : STR("tls"));
    if (named) {
        json_open(b, "server_names", '[');
        for (size_t i = 0; i < in->chain->nserver_names; i++)
            json_text(b, NULL, in->chain->server_names[i]);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
}

static void filter_chain(struct buf *b, const struct listener *l, const struct entry *in,
                         void (*filter)(struct buf *, const struct listener *))
{
    json_open(b, NULL, '{');
    chain_match(b, in);
    json_open(b, "filters", '[');
    filter(b, l);
    buf_putc(b, ']');
    if (in->mesh)
        admin_mesh_tls(b);
    else if (in->tls)
        admin_server_tls(b, in->tls);
    buf_putc(b, '}');
}

/* Chains by a connection's protocol: one that is found out by its first bytes has one for either. */
static void filter_chains(struct buf *b, const struct listener *l, const struct entry *in)
{
    if (l->protocol != PROTOCOL_TCP && (l->nhosts || !in->chain))
        filter_chain(b, l, in, http_filter);
    if (l->protocol != PROTOCOL_HTTP && l->ntcp)
        filter_chain(b, l, in, tcp_filter);
}

static void listener(struct buf *b, const struct listener *l)
{
    bool mesh = l->policy.mtls != MTLS_OFF;

    json_open(b, "listener", '{');
    json_type(b, "envoy.config.listener.v3.Listener");
    json_text(b, "name", l->name);
    address(b, l->ip, l->bind_port);
    json_text(b, "traffic_direction", l->direction == LISTENER_INBOUND ? STR("INBOUND") : STR("OUTBOUND"));
    json_open(b, "filter_chains", '[');
    for (size_t i = 0; i < l->nchains; i++)
        filter_chains(b, l->chains[i].serve, &(struct entry){ .chain = &l->chains[i], .tls = l->chains[i].tls });
    if (mesh)
        filter_chains(b, l, &(struct entry){ .mesh = true });
    if (l->policy.mtls != MTLS_STRICT && (l->nhosts || l->ntcp || !l->nchains))
        filter_chains(b, l, &(struct entry){ .plain_only = mesh });
    buf_puts(b, "]}");
}

static void listeners_dump(struct buf *b, const struct proxy_snapshot *s)
{
    json_open(b, NULL, '{');
    json_type(b, "envoy.admin.v3.ListenersConfigDump");
    version(b, s->version);
    json_open(b, "dynamic_listeners", '[');
    for (size_t i = 0; i < s->nlisteners; i++) {
        json_open(b, NULL, '{');
        json_text(b, "name", s->listeners[i].name);
        json_open(b, "active_state", '{');
        version(b, s->version);
        listener(b, &s->listeners[i]);
        buf_puts(b, "}}");
    }
    buf_puts(b, "]}");
}

/* --- the pages ---------------------------------------------------------------------------------------------------- */

static void bootstrap_dump(struct buf *b, const struct telemetry *t)
{
    json_open(b, NULL, '{');
    json_type(b, "envoy.admin.v3.BootstrapConfigDump");
    json_open(b, "bootstrap", '{');
    json_open(b, "node", '{');
    json_text(b, "id", t->node_id);
    json_text(b, "cluster", t->self.canonical_service);
    json_open(b, "metadata", '{');
    json_text(b, "NAME", t->self.pod);
    json_text(b, "NAMESPACE", t->self.ns);
    json_text(b, "WORKLOAD_NAME", t->self.name);
    json_text(b, "CLUSTER_ID", t->self.cluster);
    buf_puts(b, "}}}}");
}

void admin_config_dump(struct telemetry *t, const struct proxy_snapshot *s, struct buf *b)
{
    buf_putc(b, '{');
    json_open(b, "configs", '[');
    bootstrap_dump(b, t);
    if (s) {
        clusters_dump(b, s);
        listeners_dump(b, s);
        routes_dump(b, s);
    }
    buf_puts(b, "]}\n");
}

/* Envoy's, one behind the other. */
static void health_flags(struct buf *b, const struct cluster *c, struct circuit *circuit, const struct endpoint *e)
{
    char text[80];
    enum host_health health = HOST_WELL;
    bool ejected;

    snprintf(text, sizeof(text), str_chr(e->ip, ':') < 0 ? "%.*s:%u" : "[%.*s]:%u", STR_ARG(e->ip), e->port);
    ejected = circuit && circuit_ejected_until(circuit, str_of(text)) > clock_mono_ns();
    if (circuit && c->check)
        health = circuit_health(circuit, str_of(text));
    buf_puts(b, health != HOST_WELL ? "/failed_active_hc" : "");
    buf_puts(b, ejected ? "/failed_outlier_check" : "");
    buf_puts(b, health == HOST_UNCHECKED ? "/pending_active_hc" : "");
    buf_puts(b, health == HOST_WELL && !ejected ? "healthy" : "");
}

/* `circuit` NULL: nothing is known of what is under way. */
static void cluster_lines(struct buf *b, const struct cluster *c, struct circuit *circuit)
{
    buf_printf(b, "%.*s::observability_name::%.*s\n", STR_ARG(c->name), STR_ARG(c->name));
    buf_printf(b, "%.*s::default_priority::max_connections::%" PRIu32 "\n", STR_ARG(c->name), c->max_connections);
    buf_printf(b, "%.*s::default_priority::max_pending_requests::%" PRIu32 "\n", STR_ARG(c->name), c->max_pending);
    buf_printf(b, "%.*s::default_priority::max_requests::%" PRIu32 "\n", STR_ARG(c->name), c->max_requests);
    buf_printf(b, "%.*s::default_priority::max_retries::%" PRIu32 "\n", STR_ARG(c->name), c->max_retries);
    buf_printf(b, "%.*s::added_via_api::true\n", STR_ARG(c->name));
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        buf_printf(b, "%.*s::%.*s:%u::health_flags::", STR_ARG(c->name), STR_ARG(e->ip), e->port);
        health_flags(b, c, circuit, e);
        buf_putc(b, '\n');
        buf_printf(b, "%.*s::%.*s:%u::weight::%" PRIu32 "\n", STR_ARG(c->name), STR_ARG(e->ip), e->port, e->weight);
        buf_printf(b, "%.*s::%.*s:%u::hostname::%.*s\n", STR_ARG(c->name), STR_ARG(e->ip), e->port,
                   STR_ARG(e->workload->pod));
    }
}

void admin_clusters(struct telemetry *t, const struct proxy_snapshot *s, struct buf *b)
{
    for (size_t i = 0; s && i < s->nclusters; i++) {
        struct circuit *circuit = t->o.circuits ? circuit_find(t->o.circuits, s->clusters[i].name) : NULL;

        cluster_lines(b, &s->clusters[i], circuit);
        circuit_put(circuit);
    }
}

void admin_listeners(const struct proxy_snapshot *s, struct buf *b)
{
    for (size_t i = 0; s && i < s->nlisteners; i++)
        buf_printf(b, "%.*s::%.*s:%u\n", STR_ARG(s->listeners[i].name), STR_ARG(s->listeners[i].ip),
                   s->listeners[i].bind_port);
}
