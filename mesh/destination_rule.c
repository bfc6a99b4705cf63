#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

#include <stdint.h>

static void not_negative(struct check *c, const struct yaml_node *at, const char *member, int64_t v)
{
    if (v < 0)
        check_error(c, at, member, "must not be negative");
}

/* ---- connectionPool ---- */

static const struct field keepalive_fields[] = {
    FIELD(COUNT, dr_keepalive, probes, "probes"),
    FIELD(DURATION, dr_keepalive, time, "time"),
    FIELD(DURATION, dr_keepalive, interval, "interval"),
    END_OF_FIELDS,
};
static const struct message keepalive_message = { sizeof(struct dr_keepalive), keepalive_fields, false, NULL };

static const struct field http2_keepalive_fields[] = {
    REQUIRED(DURATION, dr_keepalive, interval, "interval"),
    REQUIRED(DURATION, dr_keepalive, timeout, "timeout"),
    END_OF_FIELDS,
};
static const struct message http2_keepalive_message = { sizeof(struct dr_keepalive), http2_keepalive_fields, false,
                                                        NULL };

static void check_tcp(struct check *c, void *message)
{
    struct dr_tcp *t = message;

    not_negative(c, t->at, "maxConnections", t->max_connections);
    if (check_get(t->at, "connectTimeout") && t->connect_timeout == 0)
        check_error(c, t->at, "connectTimeout", "must be at least 1ms");
}

static const struct field tcp_fields[] = {
    FIELD(INT, dr_tcp, max_connections, "maxConnections"),
    FIELD(DURATION, dr_tcp, connect_timeout, "connectTimeout"),
    FIELD_OF(MESSAGE, dr_tcp, keepalive, "tcpKeepalive", &keepalive_message),
    FIELD(DURATION, dr_tcp, max_connection_duration, "maxConnectionDuration"),
    FIELD(DURATION, dr_tcp, idle_timeout, "idleTimeout"),
    END_OF_FIELDS,
};
static const struct message tcp_message = { sizeof(struct dr_tcp), tcp_fields, false, check_tcp };

static void check_http(struct check *c, void *message)
{
    struct dr_http *h = message;

    not_negative(c, h->at, "http1MaxPendingRequests", h->max_pending);
    not_negative(c, h->at, "http2MaxRequests", h->max_requests);
    not_negative(c, h->at, "maxRequestsPerConnection", h->max_requests_per_connection);
    not_negative(c, h->at, "maxRetries", h->max_retries);
    not_negative(c, h->at, "maxConcurrentStreams", h->max_streams);
    if (h->use_client_protocol && h->h2_upgrade == 2)
        check_error(c, h->at, "useClientProtocol", "must not be given with h2UpgradePolicy UPGRADE");
}

static const char *const upgrades[] = { "DEFAULT", "DO_NOT_UPGRADE", "UPGRADE", NULL };
static const struct field http_fields[] = {
    FIELD(INT, dr_http, max_pending, "http1MaxPendingRequests"),
    FIELD(INT, dr_http, max_requests, "http2MaxRequests"),
    FIELD(INT, dr_http, max_requests_per_connection, "maxRequestsPerConnection"),
    FIELD(INT, dr_http, max_retries, "maxRetries"),
    FIELD(DURATION, dr_http, idle_timeout, "idleTimeout"),
    FIELD_OF(ENUM, dr_http, h2_upgrade, "h2UpgradePolicy", upgrades),
    FIELD(BOOL, dr_http, use_client_protocol, "useClientProtocol"),
    FIELD(INT, dr_http, max_streams, "maxConcurrentStreams"),
    FIELD_OF(MESSAGE, dr_http, keepalive, "http2KeepAlive", &http2_keepalive_message),
    END_OF_FIELDS,
};
static const struct message http_message = { sizeof(struct dr_http), http_fields, false, check_http };

static void check_pool(struct check *c, void *message)
{
    static const char *const forms[] = { "tcp", "http", NULL };

    check_count_of(c, ((struct dr_pool *)message)->at, 1, 2, forms);
}

static const struct field pool_fields[] = {
    FIELD_OF(MESSAGE, dr_pool, tcp, "tcp", &tcp_message),
    FIELD_OF(MESSAGE, dr_pool, http, "http", &http_message),
    END_OF_FIELDS,
};
static const struct message pool_message = { sizeof(struct dr_pool), pool_fields, false, check_pool };

/* ---- loadBalancer ---- */

static const struct field cookie_fields[] = {
    REQUIRED(STRING, dr_cookie, name, "name"),
    FIELD(STRING, dr_cookie, path, "path"),
    FIELD(DURATION, dr_cookie, ttl, "ttl"),
    FIELD(ANY, dr_cookie, attributes, "attributes"),
    END_OF_FIELDS,
};
static const struct message cookie_message = { sizeof(struct dr_cookie), cookie_fields, false, NULL };

static const struct field ring_fields[] = {
    FIELD(NUMBER, dr_hash_table, size, "minimumRingSize"),
    END_OF_FIELDS,
};
static const struct message ring_message = { sizeof(struct dr_hash_table), ring_fields, false, NULL };

static bool is_prime(uint64_t n)
{
    for (uint64_t d = 2; d * d <= n; d++)
        if (n % d == 0)
            return false;
    return n > 1;
}

static void check_maglev(struct check *c, void *message)
{
    enum { MOST_TABLE = 5000011 }; /* Envoy's */
    struct dr_hash_table *t = message;

    if (check_get(t->at, "tableSize") && !(t->size >= 0 && t->size <= MOST_TABLE && is_prime((uint64_t)t->size)))
        check_error(c, t->at, "tableSize", "must be a prime number up to %d", MOST_TABLE);
}

static const struct field maglev_fields[] = {
    FIELD(NUMBER, dr_hash_table, size, "tableSize"),
    END_OF_FIELDS,
};
static const struct message maglev_message = { sizeof(struct dr_hash_table), maglev_fields, false, check_maglev };

static void check_hash(struct check *c, void *message)
{
    static const char *const keys[] = { "httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName", NULL };
    static const char *const tables[] = { "ringHash", "maglev", NULL };
    struct dr_hash *h = message;

    check_count_of(c, h->at, 1, 1, keys);
    check_count_of(c, h->at, 0, 1, tables);
}

static const struct field hash_fields[] = {
    FIELD(STRING, dr_hash, header, "httpHeaderName"),
    FIELD_OF(MESSAGE, dr_hash, cookie, "httpCookie", &cookie_message),
    FIELD(BOOL, dr_hash, source_ip, "useSourceIp"),
    FIELD(STRING, dr_hash, query, "httpQueryParameterName"),
    FIELD_OF(MESSAGE, dr_hash, ring, "ringHash", &ring_message),
    FIELD_OF(MESSAGE, dr_hash, maglev, "maglev", &maglev_message),
    FIELD(NUMBER, dr_hash, minimum_ring_size, "minimumRingSize"),
    END_OF_FIELDS,
};
static const struct message hash_message = { sizeof(struct dr_hash), hash_fields, false, check_hash };

static void check_balancer(struct check *c, void *message)
{
    static const char *const kinds[] = { "simple", "consistentHash", NULL };
    static const char *const places[] = { "localityLbSetting", "zoneAwareLbSetting", NULL };
    static const char *const later[] = { "consistentHash", "localityLbSetting", "zoneAwareLbSetting", "warmup",
                                         "warmupDurationSecs" };
    struct dr_balancer *b = message;

    check_count_of(c, b->at, 0, 1, kinds);
    check_count_of(c, b->at, 0, 1, places);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (check_get(b->at, later[i]))
            check_warn(c, b->at, later[i], "kept, not applied yet");
}

static const char *const simple_words[] = { "UNSPECIFIED", "LEAST_CONN",    "RANDOM", "PASSTHROUGH",
                                            "ROUND_ROBIN", "LEAST_REQUEST", NULL };
static const struct field balancer_fields[] = {
    FIELD_OF(ENUM, dr_balancer, simple, "simple", simple_words),
    FIELD_OF(MESSAGE, dr_balancer, hash, "consistentHash", &hash_message),
    FIELD(ANY, dr_balancer, locality, "localityLbSetting"),
    FIELD(ANY, dr_balancer, zone, "zoneAwareLbSetting"),
    FIELD(DURATION, dr_balancer, warmup_duration, "warmupDurationSecs"),
    FIELD(ANY, dr_balancer, warmup, "warmup"),
    END_OF_FIELDS,
};
static const struct message balancer_message = { sizeof(struct dr_balancer), balancer_fields, false, check_balancer };

/* ---- outlierDetection, tls ---- */

static void check_outlier(struct check *c, void *message)
{
    struct dr_outlier *o = message;

    if (o->min_percent < 0 || o->min_percent > 100)
        check_error(c, o->at, "minHealthPercent", "must be from 0 to 100");
    if (o->max_percent < 0 || o->max_percent > 100)
        check_error(c, o->at, "maxEjectionPercent", "must be from 0 to 100");
    not_negative(c, o->at, "consecutiveErrors", o->errors);
    if (check_get(o->at, "consecutiveLocalOriginFailures") && !o->split)
        check_error(c, o->at, "consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors: true");
    check_warn(c, o->at, NULL, "kept, not applied yet");
}

static const struct field outlier_fields[] = {
    FIELD(INT, dr_outlier, errors, "consecutiveErrors"),
    FIELD(BOOL, dr_outlier, split, "splitExternalLocalOriginErrors"),
    FIELD(COUNT, dr_outlier, local_failures, "consecutiveLocalOriginFailures"),
    FIELD(COUNT, dr_outlier, gateway_errors, "consecutiveGatewayErrors"),
    FIELD(COUNT, dr_outlier, errors_5xx, "consecutive5xxErrors"),
    FIELD(DURATION, dr_outlier, interval, "interval"),
    FIELD(DURATION, dr_outlier, ejection_time, "baseEjectionTime"),
    FIELD(INT, dr_outlier, max_percent, "maxEjectionPercent"),
    FIELD(INT, dr_outlier, min_percent, "minHealthPercent"),
    FIELD(COUNTS, dr_outlier, codes, "outlierDetectionHttpErrorCodes"),
    END_OF_FIELDS,
};
static const struct message outlier_message = { sizeof(struct dr_outlier), outlier_fields, false, check_outlier };

enum { TLS_DISABLE, TLS_SIMPLE, TLS_MUTUAL, TLS_ISTIO_MUTUAL };

static void check_mutual(struct check *c, const struct dr_tls *t)
{
    static const char *const files[] = { "clientCertificate", "privateKey" };
    bool named = t->credential_name.n > 0;

    if (named && (t->client_certificate.n || t->private_key.n || t->ca_certificates.n))
        check_error(c, t->at, "credentialName", "must not be given with certificate files");
    for (int i = 0; i < 2 && !named && t->mode == TLS_MUTUAL; i++)
        if (!(i ? t->private_key.n : t->client_certificate.n))
            check_error(c, t->at, files[i], "missing: mode MUTUAL needs it, or a credentialName");
}

static void check_tls(struct check *c, void *message)
{
    struct dr_tls *t = message;
    bool given = t->client_certificate.n || t->private_key.n || t->ca_certificates.n || t->names.n ||
                 t->credential_name.n;

    if (t->mode == TLS_ISTIO_MUTUAL && given)
        check_error(c, t->at, "mode", "ISTIO_MUTUAL brings its own certificates: give none");
    if (t->mode == TLS_SIMPLE || t->mode == TLS_MUTUAL)
        check_mutual(c, t);
    if (t->insecure && (t->ca_certificates.n || t->names.n || (t->mode == TLS_SIMPLE && t->credential_name.n)))
        check_error(c, t->at, "insecureSkipVerify", "must not be given with what is to be verified: caCertificates, "
                    "subjectAltNames or credentialName");
    if (t->mode != TLS_DISABLE)
        check_warn(c, t->at, "mode", "kept, not applied yet: proxies speak plain text");
}

static const char *const tls_modes[] = { "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL", NULL };
static const struct field tls_fields[] = {
    FIELD_OF(ENUM, dr_tls, mode, "mode", tls_modes),
    FIELD(STRING, dr_tls, client_certificate, "clientCertificate"),
    FIELD(STRING, dr_tls, private_key, "privateKey"),
    FIELD(STRING, dr_tls, ca_certificates, "caCertificates"),
    FIELD(STRING, dr_tls, credential_name, "credentialName"),
    FIELD(STRINGS, dr_tls, names, "subjectAltNames"),
    FIELD(STRING, dr_tls, sni, "sni"),
    FIELD(BOOL, dr_tls, insecure, "insecureSkipVerify"),
    FIELD(STRING, dr_tls, ca_crl, "caCrl"),
    END_OF_FIELDS,
};
static const struct message tls_message = { sizeof(struct dr_tls), tls_fields, false, check_tls };

/* ---- the whole ---- */

#define POLICY_FIELDS                                                                                                  \
    FIELD_OF(MESSAGE, dr_policy, balancer, "loadBalancer", &balancer_message),                                         \
        FIELD_OF(MESSAGE, dr_policy, pool, "connectionPool", &pool_message),                                           \
        FIELD_OF(MESSAGE, dr_policy, outlier, "outlierDetection", &outlier_message),                                   \
        FIELD_OF(MESSAGE, dr_policy, tls, "tls", &tls_message)

static const struct field port_policy_fields[] = {
    REQUIRED_OF(MESSAGE, dr_policy, port, "port", &vs_port_message),
    POLICY_FIELDS,
    END_OF_FIELDS,
};
static const struct message port_policy_message = { sizeof(struct dr_policy), port_policy_fields, false, NULL };

static void check_policy(struct check *c, void *message)
{
    static const char *const parts[] = { "loadBalancer", "connectionPool", "outlierDetection", "tls",
                                         "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget", NULL };
    static const char *const later[] = { "tunnel", "proxyProtocol", "retryBudget" };
    struct dr_policy *p = message;

    check_count_of(c, p->at, 1, 8, parts);
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++)
        if (check_get(p->at, later[i]))
            check_warn(c, p->at, later[i], "kept, not applied yet");
}

static const struct field policy_fields[] = {
    POLICY_FIELDS,
    FIELD_OF(MESSAGES, dr_policy, ports, "portLevelSettings", &port_policy_message),
    FIELD(ANY, dr_policy, tunnel, "tunnel"),
    FIELD(ANY, dr_policy, proxy_protocol, "proxyProtocol"),
    FIELD(ANY, dr_policy, retry_budget, "retryBudget"),
    END_OF_FIELDS,
};
static const struct message policy_message = { sizeof(struct dr_policy), policy_fields, false, check_policy };

static const struct field subset_fields[] = {
    REQUIRED(STRING, dr_subset, name, "name"),
    FIELD(LABELS, dr_subset, labels, "labels"),
    FIELD_OF(MESSAGE, dr_subset, policy, "trafficPolicy", &policy_message),
    END_OF_FIELDS,
};

static void check_subset(struct check *c, void *message)
{
    struct dr_subset *s = message;

    if (s->name.n && !name_is_label_value(s->name))
        check_error(c, s->at, "name", "\"%.*s\" is no name: letters, digits, '-', '_' and '.'", STR_ARG(s->name));
}

static const struct message subset_message = { sizeof(struct dr_subset), subset_fields, false, check_subset };
static const struct field selector_fields[] = {
    FIELD(LABELS, dr_selector, labels, "matchLabels"),
    END_OF_FIELDS,
};
static const struct message selector_message = { sizeof(struct dr_selector), selector_fields, false, NULL };

static void check_subset_names(struct check *c, const struct destination_rule *r)
{
    enum { MOST_SUBSETS = 1000 };

    if (r->subsets.n > MOST_SUBSETS) {
        check_error(c, r->at, "subsets", "%zu subsets: more than %d", r->subsets.n, MOST_SUBSETS);
        return;
    }
    for (size_t i = 0; i < r->subsets.n; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(r->subsets.v[i].name, r->subsets.v[k].name))
                check_error(c, r->subsets.v[i].at, "name", "subset \"%.*s\" stands twice: also on line %d",
                            STR_ARG(r->subsets.v[i].name), r->subsets.v[k].at->line);
}

static void check_destination_rule(struct check *c, void *message)
{
    struct destination_rule *r = message;

    if (r->host.n == 0 && check_get(r->at, "host"))
        check_error(c, r->at, "host", "must not be empty: the name of a service");
    else if (r->host.n && !host_is_valid(r->host))
        check_error(c, r->at, "host", "\"%.*s\" is no host name", STR_ARG(r->host));
    if (!r->policy && r->subsets.n == 0 && check_get(r->at, "host"))
        check_warn(c, r->at, NULL, "neither trafficPolicy nor subsets: does nothing");
    r->host = host_resolve(c->arena, r->host, c->object->ns);
    if (!r->host.p)
        c->nomem = true;
    check_subset_names(c, r);
    if (r->selector && r->selector->labels.n)
        check_warn(c, r->at, "workloadSelector", "kept, not applied yet: the rule is for all workloads");
}

static const struct field destination_rule_fields[] = {
    REQUIRED(STRING, destination_rule, host, "host"),
    FIELD_OF(MESSAGE, destination_rule, policy, "trafficPolicy", &policy_message),
    FIELD_OF(MESSAGES, destination_rule, subsets, "subsets", &subset_message),
    FIELD(STRINGS, destination_rule, export_to, "exportTo"),
    FIELD_OF(MESSAGE, destination_rule, selector, "workloadSelector", &selector_message),
    END_OF_FIELDS,
};
const struct message destination_rule_message = { sizeof(struct destination_rule), destination_rule_fields, false,
                                                  check_destination_rule };
