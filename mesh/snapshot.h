/* snapshot.h: what one proxy is told: listeners, routes, clusters, endpoints, workloads.
 *
 * Computed from a mesh for one identity; complete and checked, so that a proxy switches to it in one step. Immutable:
 * lives in its arena, may be read from many threads. Names and defaults are Istio's and Envoy's (research/istio.md;
 * istio.io/latest/docs/reference/config). Times are ms; a timeout of 0 is off. */
#ifndef MESH_SNAPSHOT_H
#define MESH_SNAPSHOT_H

#include "base/regex.h"
#include "mesh/mesh.h"

#include <stdint.h>

/* Who runs somewhere: the labels of Istio's metrics. Unknown values are "unknown". */
struct workload {
    struct str pod, name, ns;
    struct str app, version;                         /* labels app and version; "unknown" when absent */
    struct str canonical_service, canonical_revision;
    struct str principal;                            /* "spiffe://cluster.local/ns/…/sa/…" */
    struct str cluster;                              /* "Kubernetes", Istio's default cluster name */
    struct str ip;
    bool ready;
};

struct endpoint {
    struct str ip;
    uint16_t port;                  /* where to connect */
    uint16_t container_port;        /* as Kubernetes has it; the same unless the platform moved a port below 1024 */
    uint32_t weight;
    const struct workload *workload; /* never NULL */
};

enum lb_policy { LB_LEAST_REQUEST, LB_ROUND_ROBIN, LB_RANDOM };

/* An upstream: one service port, or a subset of it. */
struct cluster {
    struct str name;       /* "outbound|80|v1|frontend.guestbook.svc.cluster.local", "inbound|80||" */
    struct str host;       /* the service's full name: destination_service */
    struct str service, service_ns; /* destination_service_name, destination_service_namespace */
    uint16_t port;         /* the service's */
    struct str subset;
    const struct endpoint *endpoints;
    size_t nendpoints;
    enum lb_policy lb;
    int64_t connect_timeout_ms; /* 10 s */
    int64_t idle_timeout_ms;    /* 1 h */
    uint32_t max_connections, max_pending, max_requests_per_connection; /* UINT32_MAX, UINT32_MAX, 0 = no limit */
};

enum string_match_kind { STRING_EXACT, STRING_PREFIX, STRING_REGEX, STRING_PRESENT };

struct string_match {
    enum string_match_kind kind;
    struct str value;
    struct regex *re;      /* REGEX: fully anchored */
    bool ignore_case;
};

struct key_match {         /* a header or a query parameter */
    struct str name;
    struct string_match value;
    bool invert;           /* withoutHeaders */
};

struct route_match {
    const struct string_match *uri, *method, *scheme, *authority; /* NULL = any */
    const struct key_match *headers, *query;
    size_t nheaders, nquery;
};

struct header_op {
    enum { HEADER_SET, HEADER_ADD, HEADER_REMOVE } op;
    struct str name, value;
};

struct header_ops {
    const struct header_op *request, *response;
    size_t nrequest, nresponse;
};

struct destination {
    const struct cluster *cluster; /* NULL: no such service or subset → 503, flag NC */
    struct str cluster_name;
    uint32_t weight;
    struct header_ops headers;
};

struct fault {
    uint32_t delay_ppm, abort_ppm; /* parts of a million */
    int64_t delay_ms;
    unsigned abort_status;
};

enum retry_on {
    RETRY_CONNECT_FAILURE = 1, RETRY_REFUSED_STREAM = 2, RETRY_UNAVAILABLE = 4, RETRY_CANCELLED = 8, RETRY_5XX = 16,
    RETRY_GATEWAY_ERROR = 32, RETRY_RESET = 64, RETRY_RETRIABLE_4XX = 128, RETRY_STATUS_CODES = 256,
    RETRY_DEADLINE_EXCEEDED = 512, RETRY_INTERNAL = 1024, RETRY_RESOURCE_EXHAUSTED = 2048,
    RETRY_RESET_BEFORE_REQUEST = 4096
};

struct retry_policy {
    unsigned attempts;       /* after the first try */
    unsigned on;             /* enum retry_on */
    const uint16_t *codes;   /* with RETRY_STATUS_CODES */
    size_t ncodes;
    int64_t per_try_timeout_ms;
    int64_t backoff_ms;      /* 25 */
};

struct redirect {
    struct str uri, prefix, authority, scheme; /* empty: as in the request; prefix replaces what was matched */
    uint16_t port;                             /* 0: as in the request */
    unsigned status;                           /* 301 */
};

struct mirror {
    struct destination destination;
    uint32_t ppm;
};

struct cors {
    const struct string_match *origins;
    size_t norigins;
    struct str methods, headers, expose;       /* joined with "," */
    int64_t max_age_s;                         /* -1: none */
    bool credentials, ignore_unmatched;
};

enum route_action { ROUTE_FORWARD, ROUTE_REDIRECT, ROUTE_DIRECT };

struct route {
    struct str name;             /* %ROUTE_NAME%: "default" or what the VirtualService says */
    struct route_match match;
    enum route_action action;
    const struct destination *destinations; /* FORWARD; weights' sum in total_weight, > 0 */
    size_t ndestinations;
    uint64_t total_weight;
    struct redirect redirect;
    unsigned direct_status;
    struct str direct_body;
    bool rewrite;                /* rewrite_uri counts */
    struct str rewrite_uri;      /* replaces the matched prefix, or the whole path */
    struct regex *rewrite_re;    /* uriRegexRewrite: every match is replaced by rewrite_uri, \1 are groups */
    struct str rewrite_authority;
    int64_t timeout_ms;          /* 0 */
    struct retry_policy retry;
    struct fault fault;
    struct header_ops headers;
    const struct mirror *mirrors;
    size_t nmirrors;
    const struct cors *cors;     /* NULL: none */
};

struct virtual_host {
    struct str name;             /* "frontend-internal.guestbook.svc.cluster.local:80" */
    const struct str *domains;   /* lower case, without port: exact names, "*.suffix", "*" */
    size_t ndomains;
    const struct route *routes;  /* first match wins */
    size_t nroutes;
    bool require_tls;            /* httpsRedirect */
};

struct host_index; /* lookup.c */

enum listener_direction { LISTENER_OUTBOUND, LISTENER_INBOUND, LISTENER_GATEWAY };
enum listener_protocol { PROTOCOL_HTTP, PROTOCOL_TCP, PROTOCOL_SNIFF }; /* SNIFF: HTTP/1 when it looks so, else TCP */

struct listener {
    struct str name;             /* "127.64.3.5_6379" */
    struct str ip;
    uint16_t bind_port;          /* where it listens */
    uint16_t port;               /* the service's port, what match.port and virtual hosts go by */
    enum listener_direction direction;
    enum listener_protocol protocol;
    const struct virtual_host *hosts; /* HTTP and SNIFF; inbound: one, for "*", which is always the last */
    size_t nhosts;
    const struct host_index *index;   /* of hosts, for listener_host; NULL: none but "*" */
    const struct destination *tcp;    /* TCP and SNIFF: weighted; n 0: refuse */
    size_t ntcp;
    uint64_t tcp_total_weight;
};

struct proxy_snapshot {
    uint64_t version;
    struct workload self;
    const struct listener *listeners;
    size_t nlisteners;
    const struct cluster *clusters;
    size_t nclusters;
    const struct workload *workloads; /* sorted by ip: who is at the other end */
    size_t nworkloads;
};

enum proxy_role { PROXY_SIDECAR, PROXY_GATEWAY };

struct port_map {
    uint16_t from, to;
};

/* The command line's part of a proxy's identity (CONTRACT.md, Proxy). */
struct proxy_identity {
    enum proxy_role role;
    struct str name, ns;         /* of the workload */
    struct labels labels;        /* gateway: what Gateways select by */
    struct str pod;              /* its Pod's name; empty: the workload's only one */
    struct str bind;             /* address of outbound listeners or of the gateway's */
    struct str outbound_net;     /* "127.64.3.0/24": each service's own address here, with the host bits of its
                                  * clusterIP; empty: all on `bind` */
    struct str app_address;      /* empty: no inbound listeners */
    const struct port_map *ports;
    size_t nports;
};

/* Computes what the proxy is told. Lives in `a`, which may be the mesh's arena or another that does not outlive it.
 * NULL: ERR_NOMEM, ERR_INVALID (an address of the identity is none), ERR_NOTFOUND (no such workload). */
struct proxy_snapshot *mesh_snapshot(struct arena *a, const struct mesh *m, const struct proxy_identity *id,
                                     uint64_t version, struct err *e);

/* The virtual host for a Host header (port and case ignored): exact, then the longest "*.suffix", then "*".
 * NULL: none. */
const struct virtual_host *listener_host(const struct listener *l, struct str authority);
/* NULL: a stranger. */
const struct workload *snapshot_workload(const struct proxy_snapshot *s, struct str ip);

#endif
