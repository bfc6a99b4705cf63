/* envoy_health_check.c: active health checks that a patch merges into clusters: config.core.v3.HealthCheck.
 *
 * By HTTP/1, TCP and gRPC. What would be asked elsewhere or otherwise than it is meant (another port, HTTP/2) is not
 * asked at all, and told: hosts must not be given up for an answer to another question. */
#include "base/num.h"
#include "mesh/envoy_filter-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

enum { NO_TRAFFIC_MS = 60000, LEAST_MS = 1, MOST_STATUS = 600 };

/* ---- HTTP ---- */

struct envoy_range { /* type.v3.Int64Range */
    const struct yaml_node *at, *start, *end;
    struct status_range range;
};

/* In protobuf's JSON an int64 may be a string, too. */
static uint32_t status_of(const struct yaml_node *n)
{
    bool scalar = n && (n->kind == YAML_NUMBER || n->kind == YAML_STRING);
    uint64_t v = 0;

    return scalar && num_u64(n->text, &v) && v <= MOST_STATUS ? (uint32_t)v : 0;
}

static void check_range(struct check *c, void *message)
{
    struct envoy_range *r = message;

    r->range = (struct status_range){ status_of(r->start), status_of(r->end) };
    if (r->range.from < 100 || r->range.from >= r->range.to)
        check_error(c, r->at, NULL, "must be a range of statuses from 100 to 599: `end` is the first that is not "
                    "in it");
}

static const struct field range_fields[] = {
    FIELD(ANY, envoy_range, start, "start"),
    FIELD(ANY, envoy_range, end, "end"),
    END_OF_FIELDS,
};
static const struct message range_message = { sizeof(struct envoy_range), range_fields, MESSAGE_FOREIGN, check_range };

struct envoy_http_check {
    const struct yaml_node *at;
    struct str host, path;
    int method, codec;
    LIST_OF(struct envoy_range) expected, retriable;
    LIST_OF(struct envoy_header_option) headers;
};

/* In the order of config.core.v3.RequestMethod. */
static const char *const methods[] = { "METHOD_UNSPECIFIED", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT",
                                       "OPTIONS", "TRACE", "PATCH", NULL };
static const char *const codecs[] = { "HTTP1", "HTTP2", "HTTP3", NULL };

/* It becomes the target of a request, which must stay one line. */
static bool is_target(struct str path)
{
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] <= ' ' || path.p[i] == 0x7f)
            return false;
    return path.n && path.p[0] == '/';
}

static void check_http(struct check *c, void *message)
{
    const struct envoy_http_check *h = message;

    if (check_get(h->at, "path") && !is_target(h->path))
        check_error(c, h->at, "path", "must be a path as it is asked for: it begins with '/' and has no blanks");
    if (h->host.n && !host_is_valid(h->host))
        check_error(c, h->at, "host", "\"%.*s\" is no host name", STR_ARG(h->host));
    if (str_eqz(str_of(methods[h->method]), "CONNECT"))
        check_error(c, h->at, "method", "must not be CONNECT");
    if (h->codec)
        check_warn(c, h->at, "codecClientType", "no check is made: it would be by HTTP/1");
}

static const struct field http_fields[] = {
    FIELD(STRING, envoy_http_check, host, "host"),
    REQUIRED(STRING, envoy_http_check, path, "path"),
    FIELD_OF(ENUM, envoy_http_check, method, "method", methods),
    FIELD_OF(ENUM, envoy_http_check, codec, "codecClientType", codecs),
    FIELD_OF(MESSAGES, envoy_http_check, expected, "expectedStatuses", &range_message),
    FIELD_OF(MESSAGES, envoy_http_check, retriable, "retriableStatuses", &range_message),
    FIELD_OF(MESSAGES, envoy_http_check, headers, "requestHeadersToAdd", &envoy_header_option_message),
    END_OF_FIELDS,
};
static const struct message http_message = { sizeof(struct envoy_http_check), http_fields, MESSAGE_FOREIGN,
                                             check_http };

/* ---- TCP ---- */

struct envoy_payload {
    const struct yaml_node *at;
    struct str text; /* in hexadecimal digits */
    struct str bytes;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void check_payload(struct check *c, void *message)
{
    struct envoy_payload *p = message;
    char *to = check_alloc(c, p->text.n / 2, 1);
    bool ok = p->text.n % 2 == 0 && (p->text.n > 0 || !p->text.p); /* p NULL: told already */

    for (size_t i = 0; to && ok && i < p->text.n / 2; i++) {
        int high = hex_digit(p->text.p[2 * i]), low = hex_digit(p->text.p[2 * i + 1]);

        ok = high >= 0 && low >= 0;
        to[i] = (char)(high * 16 + low);
    }
    if (!ok)
        check_error(c, p->at, "text", "must be bytes in hexadecimal digits, as in 50494e47");
    p->bytes = (struct str){ to, p->text.n / 2 };
}

static const struct field payload_fields[] = {
    REQUIRED(STRING, envoy_payload, text, "text"),
    END_OF_FIELDS,
};
static const struct message payload_message = { sizeof(struct envoy_payload), payload_fields, MESSAGE_FOREIGN,
                                                check_payload };

struct envoy_tcp_check {
    const struct yaml_node *at;
    struct envoy_payload *send;
    LIST_OF(struct envoy_payload) receive;
};

static const struct field tcp_fields[] = {
    FIELD_OF(MESSAGE, envoy_tcp_check, send, "send", &payload_message),
    FIELD_OF(MESSAGES, envoy_tcp_check, receive, "receive", &payload_message),
    END_OF_FIELDS,
};
static const struct message tcp_message = { sizeof(struct envoy_tcp_check), tcp_fields, MESSAGE_FOREIGN, NULL };

/* ---- gRPC ---- */

struct envoy_grpc_check {
    const struct yaml_node *at;
    struct str service, authority;
    LIST_OF(struct envoy_header_option) headers;
};

static void check_grpc(struct check *c, void *message)
{
    enum { MOST_NAME = 1024 };
    const struct envoy_grpc_check *g = message;

    if (g->service.n > MOST_NAME)
        check_error(c, g->at, "serviceName", "must be at most %d bytes", MOST_NAME);
    if (g->authority.n && !host_is_valid(g->authority))
        check_error(c, g->at, "authority", "\"%.*s\" is no host name", STR_ARG(g->authority));
}

static const struct field grpc_fields[] = {
    FIELD(STRING, envoy_grpc_check, service, "serviceName"),
    FIELD(STRING, envoy_grpc_check, authority, "authority"),
    FIELD_OF(MESSAGES, envoy_grpc_check, headers, "initialMetadata", &envoy_header_option_message),
    END_OF_FIELDS,
};
static const struct message grpc_message = { sizeof(struct envoy_grpc_check), grpc_fields, MESSAGE_FOREIGN,
                                             check_grpc };

/* ---- the whole ---- */

struct envoy_health_check {
    const struct yaml_node *at, *alt_port, *custom, *reuse;
    int64_t timeout, interval, initial_jitter, jitter, no_traffic, no_traffic_healthy;
    int64_t unhealthy, unhealthy_edge, healthy_edge;
    uint32_t jitter_percent, unhealthy_threshold, healthy_threshold;
    struct envoy_http_check *http;
    struct envoy_tcp_check *tcp;
    struct envoy_grpc_check *grpc;
};

static void check_health_check(struct check *c, void *message)
{
    static const char *const forms[] = { "httpHealthCheck", "tcpHealthCheck", "grpcHealthCheck",
                                         "customHealthCheck", NULL };
    static const char *const pauses[] = { "timeout", "interval", "unhealthyInterval", "unhealthyEdgeInterval",
                                          "healthyEdgeInterval", "noTrafficInterval", "noTrafficHealthyInterval" };
    const struct envoy_health_check *h = message;
    const int64_t ms[] = { h->timeout,      h->interval,   h->unhealthy,         h->unhealthy_edge,
                           h->healthy_edge, h->no_traffic, h->no_traffic_healthy };

    check_count_of(c, h->at, 1, 1, forms);
    for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++)
        if (check_get(h->at, pauses[i]) && ms[i] < LEAST_MS)
            check_error(c, h->at, pauses[i], "must be at least %d ms", LEAST_MS);
    if (h->custom)
        check_warn(c, h->at, "customHealthCheck", "not applied: checks are by HTTP, TCP and gRPC");
    if (h->alt_port)
        check_warn(c, h->at, "altPort", "no check is made: it would be at the port of requests");
    if (h->reuse && h->reuse->kind == YAML_BOOL && h->reuse->boolean)
        check_info(c, h->at, "reuseConnection", "not applied: each check has a connection of its own");
}

static const struct field health_check_fields[] = {
    REQUIRED(DURATION, envoy_health_check, timeout, "timeout"),
    REQUIRED(DURATION, envoy_health_check, interval, "interval"),
    FIELD(DURATION, envoy_health_check, initial_jitter, "initialJitter"),
    FIELD(DURATION, envoy_health_check, jitter, "intervalJitter"),
    FIELD(COUNT, envoy_health_check, jitter_percent, "intervalJitterPercent"),
    REQUIRED(COUNT, envoy_health_check, unhealthy_threshold, "unhealthyThreshold"),
    REQUIRED(COUNT, envoy_health_check, healthy_threshold, "healthyThreshold"),
    FIELD(ANY, envoy_health_check, alt_port, "altPort"),
    FIELD(ANY, envoy_health_check, reuse, "reuseConnection"),
    FIELD_OF(MESSAGE, envoy_health_check, http, "httpHealthCheck", &http_message),
    FIELD_OF(MESSAGE, envoy_health_check, tcp, "tcpHealthCheck", &tcp_message),
    FIELD_OF(MESSAGE, envoy_health_check, grpc, "grpcHealthCheck", &grpc_message),
    FIELD(ANY, envoy_health_check, custom, "customHealthCheck"),
    FIELD(DURATION, envoy_health_check, no_traffic, "noTrafficInterval"),
    FIELD(DURATION, envoy_health_check, no_traffic_healthy, "noTrafficHealthyInterval"),
    FIELD(DURATION, envoy_health_check, unhealthy, "unhealthyInterval"),
    FIELD(DURATION, envoy_health_check, unhealthy_edge, "unhealthyEdgeInterval"),
    FIELD(DURATION, envoy_health_check, healthy_edge, "healthyEdgeInterval"),
    END_OF_FIELDS,
};
static const struct message health_check_message = { sizeof(struct envoy_health_check), health_check_fields,
                                                     MESSAGE_FOREIGN, check_health_check };

static const struct status_range *compile_ranges(struct check *c, const struct envoy_range *v, size_t n)
{
    struct status_range *to = check_alloc(c, n, sizeof(*to));

    for (size_t i = 0; to && i < n; i++)
        to[i] = v[i].range;
    return to;
}

static void compile_http(struct check *c, const struct envoy_http_check *h, struct health_check *to)
{
    to->kind = HEALTH_CHECK_HTTP;
    to->host = h->host;
    to->path = h->path;
    to->method = str_of(methods[h->method ? h->method : 1]);
    to->headers = envoy_compile_headers(c, h->headers.v, h->headers.n);
    to->nheaders = h->headers.n;
    to->expected = compile_ranges(c, h->expected.v, h->expected.n);
    to->nexpected = h->expected.n;
    to->retriable = compile_ranges(c, h->retriable.v, h->retriable.n);
    to->nretriable = h->retriable.n;
}

static void compile_tcp(struct check *c, const struct envoy_tcp_check *t, struct health_check *to)
{
    struct str *receive = check_alloc(c, t->receive.n, sizeof(*receive));

    to->kind = HEALTH_CHECK_TCP;
    to->send = t->send ? t->send->bytes : STR("");
    for (size_t i = 0; receive && i < t->receive.n; i++)
        receive[i] = t->receive.v[i].bytes;
    to->receive = receive;
    to->nreceive = receive ? t->receive.n : 0;
}

static void compile_grpc(struct check *c, const struct envoy_grpc_check *g, struct health_check *to)
{
    to->kind = HEALTH_CHECK_GRPC;
    to->host = g->authority;
    to->service = g->service;
    to->headers = envoy_compile_headers(c, g->headers.v, g->headers.n);
    to->nheaders = g->headers.n;
}

static int64_t or_else(int64_t ms, int64_t otherwise)
{
    return ms > 0 ? ms : otherwise;
}

static uint32_t threshold(uint32_t n)
{
    return n > 0 ? n : 1;
}

static const struct health_check *compile(struct check *c, const struct envoy_health_check *h)
{
    struct health_check *to = check_alloc(c, 1, sizeof(*to));

    if (!to || h->alt_port || (!h->http && !h->tcp && !h->grpc) || (h->http && h->http->codec))
        return NULL;
    to->timeout_ms = h->timeout;
    to->interval_ms = h->interval;
    to->unhealthy_interval_ms = or_else(h->unhealthy, h->interval);
    to->unhealthy_edge_ms = or_else(h->unhealthy_edge, to->unhealthy_interval_ms);
    to->healthy_edge_ms = or_else(h->healthy_edge, h->interval);
    to->no_traffic_ms = or_else(h->no_traffic, NO_TRAFFIC_MS);
    to->no_traffic_healthy_ms = or_else(h->no_traffic_healthy, to->no_traffic_ms);
    to->initial_jitter_ms = h->initial_jitter;
    to->jitter_ms = h->jitter;
    to->jitter_percent = h->jitter_percent < 100 ? h->jitter_percent : 100;
    to->unhealthy_threshold = threshold(h->unhealthy_threshold);
    to->healthy_threshold = threshold(h->healthy_threshold);
    if (h->http)
        compile_http(c, h->http, to);
    else if (h->tcp)
        compile_tcp(c, h->tcp, to);
    else
        compile_grpc(c, h->grpc, to);
    return to;
}

struct envoy_cluster { /* of config.cluster.v3.Cluster */
    const struct yaml_node *at;
    LIST_OF(struct envoy_health_check) checks;
};

static const struct field cluster_fields[] = {
    FIELD_OF(MESSAGES, envoy_cluster, checks, "healthChecks", &health_check_message),
    END_OF_FIELDS,
};
static const struct message cluster_message = { sizeof(struct envoy_cluster), cluster_fields, MESSAGE_FOREIGN, NULL };

const struct health_check *envoy_read_health_check(struct check *c, const struct yaml_node *value)
{
    const struct envoy_cluster *cluster = check_new(c, &cluster_message, value);

    if (!cluster || cluster->checks.n == 0)
        return NULL;
    if (cluster->checks.n > 1)
        check_error(c, cluster->checks.v[1].at, NULL, "one too many: a cluster has one health check");
    return compile(c, &cluster->checks.v[0]);
}
