/* admin_config.c: the snapshot in Envoy's vocabulary.
 *
 * Sources: envoyproxy.io/docs, "Administration interface"; the messages' names are those of Envoy's v3 API, so that tools
 * made for its dumps find what they look for. What our snapshot does not have is not in the dump. */
#include "base/clock.h"
#include "proxy/admin-internal.h"
#include "proxy/telemetry-internal.h"

#include <inttypes.h>
#include <stdio.h>

/* --- JSON: a comma goes before everything that does not come first ------------------------------------------------ */

static void comma(struct buf *b)
{
    char last = b->n ? b->p[b->n - 1] : '{';

    if (last != '{' && last != '[' && last != ':')
        buf_putc(b, ',');
}

/* `key` NULL: an item of an array. */
static void member(struct buf *b, const char *key)
{
    comma(b);
    if (key)
        buf_printf(b, "\"%s\":", key);
}

static void open_as(struct buf *b, const char *key, char bracket)
{
    member(b, key);
    buf_putc(b, bracket);
}

static void text(struct buf *b, const char *key, struct str s)
{
    member(b, key);
    buf_json(b, s);
}

static void number(struct buf *b, const char *key, int64_t v)
{
    member(b, key);
    buf_i64(b, v);
}

static void truth(struct buf *b, const char *key, bool v)
{
    member(b, key);
    buf_puts(b, v ? "true" : "false");
}

/* A version is a number with us, and a text in Envoy's messages. */
static void version(struct buf *b, uint64_t v)
{
    member(b, "version_info");
    buf_printf(b, "\"%" PRIu64 "\"", v);
}

/* Protobuf's JSON form of a Duration. */
static void duration(struct buf *b, const char *key, int64_t ms)
{
    member(b, key);
    buf_puts(b, "\"");
    buf_double(b, (double)ms / 1000);
    buf_puts(b, "s\"");
}

/* Parts of a million, as a RuntimeFractionalPercent's default. */
static void percentage(struct buf *b, uint32_t ppm)
{
    open_as(b, "percentage", '{');
    number(b, "numerator", ppm);
    text(b, "denominator", STR("MILLION"));
    buf_putc(b, '}');
}

static void typed(struct buf *b, const char *type)
{
    member(b, "@type");
    buf_printf(b, "\"type.googleapis.com/%s\"", type);
}

static void address(struct buf *b, struct str ip, uint16_t port)
{
    open_as(b, "address", '{');
    open_as(b, "socket_address", '{');
    text(b, "address", ip);
    number(b, "port_value", port);
    buf_puts(b, "}}");
}

/* --- clusters ----------------------------------------------------------------------------------------------------- */

static const char *const lb_names[] = {
    [LB_LEAST_REQUEST] = "LEAST_REQUEST", [LB_ROUND_ROBIN] = "ROUND_ROBIN", [LB_RANDOM] = "RANDOM",
    [LB_RING_HASH] = "RING_HASH",         [LB_MAGLEV] = "MAGLEV",
};

static void endpoints(struct buf *b, const struct cluster *c)
{
    open_as(b, "load_assignment", '{');
    text(b, "cluster_name", c->name);
    open_as(b, "endpoints", '[');
    buf_putc(b, '{');
    open_as(b, "lb_endpoints", '[');
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        open_as(b, NULL, '{');
        open_as(b, "endpoint", '{');
        address(b, e->ip, e->port);
        text(b, "hostname", e->workload->pod);
        buf_putc(b, '}');
        number(b, "load_balancing_weight", e->weight);
        text(b, "health_status", STR("HEALTHY"));
        buf_putc(b, '}');
    }
    buf_puts(b, "]}]}");
}

static void circuit_breakers(struct buf *b, const struct cluster *c)
{
    open_as(b, "circuit_breakers", '{');
    open_as(b, "thresholds", '[');
    buf_putc(b, '{');
    number(b, "max_connections", c->max_connections);
    number(b, "max_pending_requests", c->max_pending);
    number(b, "max_requests", c->max_requests);
    number(b, "max_retries", c->max_retries);
    buf_puts(b, "}]}");
}

static void health_check(struct buf *b, const struct health_check *h)
{
    static const char *const kinds[] = { [HEALTH_CHECK_HTTP] = "http_health_check",
                                         [HEALTH_CHECK_TCP] = "tcp_health_check",
                                         [HEALTH_CHECK_GRPC] = "grpc_health_check" };

    open_as(b, "health_checks", '[');
    open_as(b, NULL, '{');
    duration(b, "timeout", h->timeout_ms);
    duration(b, "interval", h->interval_ms);
    duration(b, "no_traffic_interval", h->no_traffic_ms);
    number(b, "unhealthy_threshold", h->unhealthy_threshold);
    number(b, "healthy_threshold", h->healthy_threshold);
    open_as(b, kinds[h->kind], '{');
    if (h->path.n)
        text(b, "path", h->path);
    if (h->service.n)
        text(b, "service_name", h->service);
    buf_puts(b, "}}]");
}

static void cluster(struct buf *b, const struct cluster *c)
{
    open_as(b, "cluster", '{');
    typed(b, "envoy.config.cluster.v3.Cluster");
    text(b, "name", c->name);
    text(b, "type", STR("STATIC"));
    duration(b, "connect_timeout", c->connect_timeout_ms);
    text(b, "lb_policy", str_of(lb_names[c->lb]));
    circuit_breakers(b, c);
    if (c->check)
        health_check(b, c->check);
    endpoints(b, c);
    buf_putc(b, '}');
}

static void clusters_dump(struct buf *b, const struct proxy_snapshot *s)
{
    open_as(b, NULL, '{');
    typed(b, "envoy.admin.v3.ClustersConfigDump");
    version(b, s->version);
    open_as(b, "dynamic_active_clusters", '[');
    for (size_t i = 0; i < s->nclusters; i++) {
        open_as(b, NULL, '{');
        version(b, s->version);
        cluster(b, &s->clusters[i]);
        buf_putc(b, '}');
    }
    buf_puts(b, "]}");
}

/* --- routes ------------------------------------------------------------------------------------------------------- */

static void weighted_cluster(struct buf *b, const struct destination *d)
{
    open_as(b, NULL, '{');
    text(b, "name", d->cluster_name);
    number(b, "weight", d->weight);
    buf_putc(b, '}');
}

/* One destination is `cluster`, several are `weighted_clusters`. */
static void destinations(struct buf *b, const struct destination *d, size_t n)
{
    if (n == 1) {
        text(b, "cluster", d->cluster_name);
        return;
    }
    open_as(b, "weighted_clusters", '{');
    open_as(b, "clusters", '[');
    for (size_t i = 0; i < n; i++)
        weighted_cluster(b, &d[i]);
    buf_puts(b, "]}");
}

static void regex_match_member(struct buf *b, const char *key, struct str pattern)
{
    open_as(b, key, '{');
    text(b, "regex", pattern);
    buf_putc(b, '}');
}

static void path_match(struct buf *b, const struct string_match *m)
{
    if (!m || m->kind == STRING_PRESENT)
        text(b, "prefix", STR("/"));
    else if (m->kind == STRING_REGEX)
        regex_match_member(b, "safe_regex", m->value);
    else
        text(b, m->kind == STRING_EXACT ? "path" : "prefix", m->value);
    if (m && m->ignore_case)
        truth(b, "case_sensitive", false);
}

static void string_match(struct buf *b, const struct string_match *m)
{
    open_as(b, "string_match", '{');
    if (m->kind == STRING_REGEX)
        regex_match_member(b, "safe_regex", m->value);
    else
        text(b, m->kind == STRING_EXACT ? "exact" : "prefix", m->value);
    if (m->ignore_case)
        truth(b, "ignore_case", true);
    buf_putc(b, '}');
}

static void key_match(struct buf *b, struct str name, const struct string_match *m, bool invert)
{
    open_as(b, NULL, '{');
    text(b, "name", name);
    if (m->kind == STRING_PRESENT)
        truth(b, "present_match", true);
    else
        string_match(b, m);
    if (invert)
        truth(b, "invert_match", true);
    buf_putc(b, '}');
}

static void header_matches(struct buf *b, const struct route_match *m)
{
    open_as(b, "headers", '[');
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
    open_as(b, "match", '{');
    path_match(b, m->uri);
    if (m->method || m->scheme || m->authority || m->nheaders)
        header_matches(b, m);
    if (m->nquery) {
        open_as(b, "query_parameters", '[');
        for (size_t i = 0; i < m->nquery; i++)
            key_match(b, m->query[i].name, &m->query[i].value, false);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
}

static void rewrite(struct buf *b, const struct route *r)
{
    if (r->rewrite_authority.n)
        text(b, "host_rewrite_literal", r->rewrite_authority);
    if (r->rewrite && r->rewrite_re) {
        open_as(b, "regex_rewrite", '{');
        text(b, "substitution", r->rewrite_uri);
        buf_putc(b, '}');
    } else if (r->rewrite) {
        text(b, "prefix_rewrite", r->rewrite_uri);
    }
}

static void forward(struct buf *b, const struct route *r)
{
    open_as(b, "route", '{');
    destinations(b, r->destinations, r->ndestinations);
    duration(b, "timeout", r->timeout_ms);
    rewrite(b, r);
    if (r->retry.attempts) {
        open_as(b, "retry_policy", '{');
        number(b, "num_retries", r->retry.attempts);
        if (r->retry.per_try_timeout_ms)
            duration(b, "per_try_timeout", r->retry.per_try_timeout_ms);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void redirect(struct buf *b, const struct redirect *r)
{
    open_as(b, "redirect", '{');
    if (r->scheme.n)
        text(b, "scheme_redirect", r->scheme);
    if (r->authority.n)
        text(b, "host_redirect", r->authority);
    if (r->port)
        number(b, "port_redirect", r->port);
    if (r->uri.n)
        text(b, "path_redirect", r->uri);
    if (r->prefix.n)
        text(b, "prefix_rewrite", r->prefix);
    number(b, "response_code", r->status);
    buf_putc(b, '}');
}

static void direct_response(struct buf *b, const struct route *r)
{
    open_as(b, "direct_response", '{');
    number(b, "status", r->direct_status);
    if (r->direct_body.n) {
        open_as(b, "body", '{');
        text(b, "inline_string", r->direct_body);
        buf_putc(b, '}');
    }
    buf_putc(b, '}');
}

static void fault(struct buf *b, const struct fault *f)
{
    if (f->delay_ppm == 0 && f->abort_ppm == 0)
        return;
    open_as(b, "typed_per_filter_config", '{');
    open_as(b, "envoy.filters.http.fault", '{');
    typed(b, "envoy.extensions.filters.http.fault.v3.HTTPFault");
    if (f->delay_ppm) {
        open_as(b, "delay", '{');
        duration(b, "fixed_delay", f->delay_ms);
        percentage(b, f->delay_ppm);
        buf_putc(b, '}');
    }
    if (f->abort_ppm) {
        open_as(b, "abort", '{');
        number(b, "http_status", f->abort_status);
        percentage(b, f->abort_ppm);
        buf_putc(b, '}');
    }
    buf_puts(b, "}}");
}

static void route(struct buf *b, const struct route *r)
{
    open_as(b, NULL, '{');
    text(b, "name", r->name);
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
    open_as(b, NULL, '{');
    text(b, "name", h->name);
    open_as(b, "domains", '[');
    for (size_t i = 0; i < h->ndomains; i++)
        text(b, NULL, h->domains[i]);
    buf_putc(b, ']');
    open_as(b, "routes", '[');
    for (size_t i = 0; i < h->nroutes; i++)
        route(b, &h->routes[i]);
    buf_putc(b, ']');
    if (h->require_tls)
        text(b, "require_tls", STR("ALL"));
    buf_putc(b, '}');
}

static void routes_dump(struct buf *b, const struct proxy_snapshot *s)
{
    open_as(b, NULL, '{');
    typed(b, "envoy.admin.v3.RoutesConfigDump");
    open_as(b, "dynamic_route_configs", '[');
    for (size_t i = 0; i < s->nlisteners; i++) {
        const struct listener *l = &s->listeners[i];

        if (l->nhosts == 0)
            continue;
        open_as(b, NULL, '{');
        version(b, s->version);
        open_as(b, "route_config", '{');
        typed(b, "envoy.config.route.v3.RouteConfiguration");
        text(b, "name", l->name);
        open_as(b, "virtual_hosts", '[');
        for (size_t k = 0; k < l->nhosts; k++)
            virtual_host(b, &l->hosts[k]);
        buf_puts(b, "]}}");
    }
    buf_puts(b, "]}");
}

/* --- listeners ---------------------------------------------------------------------------------------------------- */

static void rate_limit(struct buf *b, struct str name, const char *type, const struct rate_limit *limit)
{
    open_as(b, NULL, '{');
    text(b, "name", name);
    open_as(b, "typed_config", '{');
    typed(b, type);
    text(b, "stat_prefix", limit->stat_prefix);
    if (limit->bucket.most) {
        open_as(b, "token_bucket", '{');
        number(b, "max_tokens", limit->bucket.most);
        number(b, "tokens_per_fill", limit->bucket.per_fill);
        duration(b, "fill_interval", limit->bucket.interval_ms);
        buf_putc(b, '}');
    }
    buf_puts(b, "}}");
}

/* Those that a listener brings itself; what routes say instead is not told here. */
static void http_limits(struct buf *b, const struct listener *l)
{
    open_as(b, "http_filters", '[');
    for (size_t i = 0; i < l->nlimits; i++)
        rate_limit(b, l->limits[i].name, "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
                   l->limits[i].limit);
    buf_putc(b, ']');
}

static void http_filter(struct buf *b, const struct listener *l)
{
    open_as(b, NULL, '{');
    text(b, "name", STR("envoy.filters.network.http_connection_manager"));
    open_as(b, "typed_config", '{');
    typed(b, "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
    text(b, "stat_prefix", l->name);
    open_as(b, "rds", '{');
    text(b, "route_config_name", l->name);
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
    open_as(b, NULL, '{');
    text(b, "name", STR("envoy.filters.network.tcp_proxy"));
    open_as(b, "typed_config", '{');
    typed(b, "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy");
    text(b, "stat_prefix", l->name);
    destinations(b, l->tcp, l->ntcp);
    buf_puts(b, "}}");
}

static void filter_chain(struct buf *b, const struct listener *l, void (*filter)(struct buf *, const struct listener *))
{
    open_as(b, NULL, '{');
    open_as(b, "filters", '[');
    filter(b, l);
    buf_puts(b, "]}");
}

static void listener(struct buf *b, const struct listener *l)
{
    open_as(b, "listener", '{');
    typed(b, "envoy.config.listener.v3.Listener");
    text(b, "name", l->name);
    address(b, l->ip, l->bind_port);
    text(b, "traffic_direction", l->direction == LISTENER_INBOUND ? STR("INBOUND") : STR("OUTBOUND"));
    open_as(b, "filter_chains", '[');
    if (l->protocol != PROTOCOL_TCP)
        filter_chain(b, l, http_filter);
    if (l->protocol != PROTOCOL_HTTP && l->ntcp)
        filter_chain(b, l, tcp_filter);
    buf_puts(b, "]}");
}

static void listeners_dump(struct buf *b, const struct proxy_snapshot *s)
{
    open_as(b, NULL, '{');
    typed(b, "envoy.admin.v3.ListenersConfigDump");
    version(b, s->version);
    open_as(b, "dynamic_listeners", '[');
    for (size_t i = 0; i < s->nlisteners; i++) {
        open_as(b, NULL, '{');
        text(b, "name", s->listeners[i].name);
        open_as(b, "active_state", '{');
        version(b, s->version);
        listener(b, &s->listeners[i]);
        buf_puts(b, "}}");
    }
    buf_puts(b, "]}");
}

/* --- the pages ---------------------------------------------------------------------------------------------------- */

static void bootstrap_dump(struct buf *b, const struct telemetry *t)
{
    open_as(b, NULL, '{');
    typed(b, "envoy.admin.v3.BootstrapConfigDump");
    open_as(b, "bootstrap", '{');
    open_as(b, "node", '{');
    text(b, "id", t->node_id);
    text(b, "cluster", t->self.canonical_service);
    open_as(b, "metadata", '{');
    text(b, "NAME", t->self.pod);
    text(b, "NAMESPACE", t->self.ns);
    text(b, "WORKLOAD_NAME", t->self.name);
    text(b, "CLUSTER_ID", t->self.cluster);
    buf_puts(b, "}}}}");
}

void admin_config_dump(struct telemetry *t, const struct proxy_snapshot *s, struct buf *b)
{
    buf_putc(b, '{');
    open_as(b, "configs", '[');
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
