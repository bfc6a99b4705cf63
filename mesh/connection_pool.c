/* connection_pool.c: ConnectionPoolSettings, of a DestinationRule's policy and of a Sidecar's inbound side. */
#include "mesh/model-internal.h"

static void not_negative(struct check *c, const struct yaml_node *at, const char *member, int64_t v)
{
    if (v < 0)
        check_error(c, at, member, "must not be negative");
}

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
const struct message dr_pool_message = { sizeof(struct dr_pool), pool_fields, false, check_pool };
