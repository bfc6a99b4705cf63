/* snapshot.h: what one proxy is told: listeners, routes, clusters, endpoints, workloads.
 *
 * Computed from a mesh for one identity; complete and checked, so that a proxy switches to it in one step. Immutable:
 * lives in its arena, may be read from many threads. Names and defaults are Istio's and Envoy's (research/istio.md;
 * istio.io/latest/docs/reference/config). Times are ms; a timeout of 0 is off. */
#ifndef MESH_SNAPSHOT_H
#define MESH_SNAPSHOT_H

#include "base/regex.h"
#include "mesh/cel.h"
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
    bool mtls;                                       /* a sidecar answers there that takes Istio's mutual TLS */
    struct str region, zone, subzone;                /* its locality; empty: unknown */
};

/* ---- TLS ---- */

/* A certificate chain, key or list of authorities in PEM: a Secret's text, or a path that the proxy reads and watches.
 * Both empty: none. */
struct pem {
    struct str text, path;
};

struct tls_pair {
    struct pem certificate, key;
};

enum tls_client_mode {
    TLS_CLIENT_AUTO,       /* Istio's mutual TLS where endpoint->workload->mtls, plain text elsewhere */
    TLS_CLIENT_OFF,
    TLS_CLIENT_SIMPLE,     /* we show no certificate */
    TLS_CLIENT_MUTUAL,     /* we show `own` */
    TLS_CLIENT_ISTIO       /* we show the workload's own and take a mesh identity, one of `names` if there are any */
};

/* How a cluster's connections are secured. */
struct tls_client {
    enum tls_client_mode mode;
    struct str sni;                /* empty: the request's host; ISTIO: outbound_.PORT_.SUBSET_.HOST */
    struct tls_pair own;
    struct pem ca, crl;            /* ca none: the system's */
    const struct str *names;       /* subject alternative names, one of which the peer must have; n 0: the sni */
    size_t nnames;
    bool insecure;                 /* the peer's certificate is not verified */
    bool missing;                  /* a Secret that it names is not there, or not whole: no connection can be made */
};

enum tls_server_mode { TLS_SERVER_SIMPLE, TLS_SERVER_MUTUAL, TLS_SERVER_OPTIONAL_MUTUAL, TLS_SERVER_ISTIO };

/* How a listener's connections are secured. Versions are 10 to 13 for TLS 1.0 to 1.3. A Secret that is not there leaves
 * no pair or no `ca`: then every handshake (OPTIONAL_MUTUAL without ca: every one with a certificate) is refused. */
struct tls_server {
    enum tls_server_mode mode;
    const struct tls_pair *pairs;  /* SIMPLE, MUTUAL: at least one, of different key types; ISTIO: the workload's own */
    size_t npairs;
    struct pem ca, crl;            /* of clients */
    const struct str *names;       /* one of which a client's certificate must have; n 0: any */
    size_t nnames;
    uint8_t min_version, max_version; /* 12, 13 */
    struct str ciphers;            /* OpenSSL's list for 1.2; empty: ours */
};

struct endpoint {
    struct str ip;
    struct str dns;                 /* where `ip` is empty: a name; one endpoint for each address that it has */
    uint16_t port;                  /* where to connect */
    uint16_t container_port;        /* as Kubernetes has it; the same unless the platform moved a port below 1024 */
    uint32_t weight;
    uint32_t priority;              /* 0 first; hosts of the next count when too few of these are healthy */
    const struct workload *workload; /* never NULL */
};

enum lb_policy { LB_LEAST_REQUEST, LB_ROUND_ROBIN, LB_RANDOM, LB_RING_HASH, LB_MAGLEV };

enum lb_hash_kind { LB_HASH_HEADER, LB_HASH_COOKIE, LB_HASH_SOURCE_IP, LB_HASH_QUERY };

/* What RING_HASH and MAGLEV hash. A request without it goes anywhere. */
struct lb_hash {
    enum lb_hash_kind kind;
    struct str name;          /* of the header (lower case), cookie or query parameter */
    struct str path;          /* cookie's */
    int64_t ttl_ms;           /* cookie: -1: never made by us; 0: made for the session */
    uint32_t table;           /* least size of the ring (1024), or maglev's table (65537, a prime) */
};

/* Envoy's outlier detection (config.cluster.v3.OutlierDetection), as Istio fills it. */
struct outlier_detection {
    bool on;
    uint32_t consecutive_5xx;       /* 5; 0: off */
    uint32_t consecutive_gateway;   /* 0: off */
    uint32_t consecutive_local;     /* with `split`: failures that no answer of the host's says; 5 */
    bool split;
    int64_t interval_ms;            /* 10 s */
    int64_t base_ejection_ms;       /* 30 s, times the number of ejections, 300 s at most */
    uint32_t max_ejection_percent;  /* 10; one host may always be ejected */
    uint32_t min_health_percent;    /* below it all hosts are taken, ejected or not; 0: never */
    const uint32_t *codes;          /* statuses that are errors; n 0: 500 to 599 */
    size_t ncodes;
};

enum health_check_kind { HEALTH_CHECK_HTTP, HEALTH_CHECK_TCP, HEALTH_CHECK_GRPC };

struct status_range {
    uint32_t from, to;        /* the last one is to - 1 */
};

/* Envoy's active health checks (config.core.v3.HealthCheck), as EnvoyFilters bring them. A failed check counts towards
 * `unhealthy_threshold` when the network or a status of `retriable` failed it; any other status counts at once. */
struct health_check {
    enum health_check_kind kind;
    int64_t timeout_ms, interval_ms;
    int64_t unhealthy_interval_ms;           /* while it fails */
    int64_t unhealthy_edge_ms, healthy_edge_ms; /* while a threshold is on its way to be reached */
    int64_t no_traffic_ms, no_traffic_healthy_ms; /* 60 s; until the cluster is called for the first time */
    int64_t initial_jitter_ms, jitter_ms;    /* up to which a pause is longer */
    uint32_t jitter_percent;                 /* likewise, of the pause */
    uint32_t unhealthy_threshold, healthy_threshold; /* in a row */
    struct str host;                         /* HTTP, GRPC; empty: the service's name */
    struct str path, method;                 /* HTTP */
    struct str service;                      /* GRPC; empty: the server as a whole */
    const struct header_op *headers;         /* of a request */
    size_t nheaders;
    const struct status_range *expected, *retriable; /* none expected: 200 */
    size_t nexpected, nretriable;
    struct str send;                         /* TCP: bytes; neither these nor any to receive: a connection is enough */
    const struct str *receive;               /* parts of what must come, in this order */
    size_t nreceive;
};

/* An upstream: one service port, or a subset of it. */
struct cluster {
    struct str name;       /* "outbound|80|v1|frontend.guestbook.svc.cluster.local", "inbound|80||" */
    struct str host;       /* the service's full name: destination_service */
    struct str service, service_ns; /* destination_service_name, destination_service_namespace */
    uint16_t port;         /* the service's */
    struct str subset;
    const struct endpoint *endpoints;
    size_t nendpoints;
    bool dns_first;        /* of a name's addresses the first alone is taken */
    bool passthrough;      /* goes where the client wanted to go (original destination); where that is the proxy's own
                            * address: to what `host` or the request's host resolves to. Endpoints, if there are any,
                            * are of use there too. Envoy's "PassthroughCluster" has neither host nor port */
    bool dynamic;          /* goes to what the request's host (or SNI) resolves to, at `port` */
    enum lb_policy lb;
    struct lb_hash hash;
    int64_t warmup_ms;          /* a new endpoint gets its full share only after that; 0: at once */
    uint32_t warmup_percent;    /* its share at the beginning; 10 */
    double warmup_aggression;   /* 1: grows evenly */
    struct outlier_detection outlier;
    const struct health_check *check; /* of the endpoints; NULL: none */
    int64_t connect_timeout_ms; /* 10 s */
    int64_t idle_timeout_ms;    /* 1 h */
    int64_t max_connection_ms;  /* 0: no limit */
    uint32_t max_connections, max_pending, max_requests; /* UINT32_MAX = no limit */
    uint32_t max_retries;       /* under way at once; UINT32_MAX */
    uint32_t retry_budget_percent, retry_budget_min; /* of the active requests, at least so many; 0 %: max_retries */
    uint32_t max_requests_per_connection;            /* 0 = no limit */
    uint32_t max_streams;       /* of HTTP/2, at once on a connection; 2^31-1 */
    bool http2;                 /* spoken to the endpoints */
    bool client_protocol;       /* as the client's, instead */
    bool keepalive;             /* of TCP; what is 0 of these is the system's */
    uint32_t keepalive_probes;
    int64_t keepalive_idle_ms, keepalive_interval_ms;
    int64_t ping_interval_ms, ping_timeout_ms;       /* of HTTP/2; 0: none are sent */
    uint8_t proxy_protocol;     /* version sent in front: 0 none, 1, 2 */
    struct tls_client tls;
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
    bool other_priorities;   /* after every two tries those of all hosts tried so far are left out */
    bool same_hosts;         /* a host that was tried is as good as another */
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

/* ---- local rate limits: Envoy's local_ratelimit, as EnvoyFilters bring it ---- */

/* Full at first; every interval brings `per_fill` more, up to `most`. */
struct token_bucket {
    struct str key;           /* what it is for, and its size: with the same key in the next snapshot it goes on */
    uint32_t most, per_fill;  /* most 0: there is no bucket, and nothing is refused for it */
    int64_t interval_ms;      /* 50 at least */
};

struct rate_limit_entry {
    struct str key, value;
};

enum { RATE_LIMIT_MOST_ENTRIES = 8, RATE_LIMIT_MOST_ACTIONS = 16 }; /* the latter: lists that one patch brings */

/* Requests of which some actions make just these entries, in this order, have a bucket of their own. */
struct rate_limit_descriptor {
    const struct rate_limit_entry *entries;
    size_t nentries;          /* RATE_LIMIT_MOST_ENTRIES at most */
    struct token_bucket bucket;
};

enum rate_limit_source {
    RATE_LIMIT_GENERIC,              /* `value` */
    RATE_LIMIT_HEADER, RATE_LIMIT_QUERY, /* the value of what `name` says */
    RATE_LIMIT_HEADER_MATCH, RATE_LIMIT_QUERY_MATCH, /* `value`, when all `matches` hold, or with `negate` not all do */
    RATE_LIMIT_REMOTE_ADDRESS, RATE_LIMIT_DESTINATION_CLUSTER
};

/* Makes one entry. */
struct rate_limit_action {
    enum rate_limit_source source;
    struct str key, value;
    struct str name;          /* a header's in lower case, perhaps ":path" and the like; a query parameter's */
    bool skip_if_absent;      /* without a value there is no entry, instead of no descriptor */
    const struct key_match *matches;
    size_t nmatches;
    bool negate;
};

/* Makes one descriptor, or, where an action finds nothing, none. */
struct rate_limit_actions {
    const struct rate_limit_action *v;
    size_t n;                 /* RATE_LIMIT_MOST_ENTRIES at most */
};

enum rate_limit_inherit { RATE_LIMIT_OVERRIDE, RATE_LIMIT_INCLUDE, RATE_LIMIT_IGNORE };

struct rate_limit {
    uint32_t index;           /* in the snapshot's rate_limits */
    bool of_connections;
    struct str stat_prefix;
    struct token_bucket bucket;
    const struct rate_limit_descriptor *descriptors; /* the slowest first */
    size_t ndescriptors;
    bool spares_bucket;       /* what has a descriptor's bucket takes nothing from `bucket` */
    const struct rate_limit_actions *actions; /* in the place of the route's */
    size_t nactions;
    enum rate_limit_inherit inherit; /* the virtual host's actions: where the route has none, too, never */
    uint32_t enabled_ppm, enforced_ppm;
    unsigned status;          /* 429 */
    const struct header_op *headers; /* of a refusal */
    size_t nheaders;
    bool tells;               /* every answer says how much is left: x-ratelimit-limit, -remaining, -reset */
};

/* Where a limit stands among Envoy's HTTP filters: ahead of all; behind tokens and policies; ahead of the router,
 * behind faults and CORS. */
enum rate_limit_place { RATE_LIMIT_FIRST, RATE_LIMIT_ADMITTED, RATE_LIMIT_LAST };

struct rate_limit_filter {
    struct str name;          /* routes and virtual hosts have their own limits under it */
    enum rate_limit_place place; /* of a listener's */
    const struct rate_limit *limit;
};

/* What a route or virtual host says of its own. */
struct rate_limit_rules {
    const struct rate_limit_filter *filters; /* instead of the listener's of the same name */
    size_t nfilters;
    const struct rate_limit_actions *actions;
    size_t nactions;
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
    const struct rate_limit_rules *limits; /* NULL: none */
};

struct virtual_host {
    struct str name;             /* "frontend-internal.guestbook.svc.cluster.local:80" */
    const struct str *domains;   /* lower case, without port: exact names, "*.suffix", "*" */
    size_t ndomains;
    const struct route *routes;  /* first match wins */
    size_t nroutes;
    bool require_tls;            /* httpsRedirect */
    const struct rate_limit_rules *limits; /* NULL: none */
};

struct host_index; /* lookup.c */

/* ---- who may: AuthorizationPolicy, RequestAuthentication, PeerAuthentication ---- */

enum policy_key {
    POLICY_PRINCIPAL, POLICY_NAMESPACE, POLICY_SERVICE_ACCOUNT, POLICY_TRUST_DOMAIN, /* of the peer's certificate */
    POLICY_REQUEST_PRINCIPAL, POLICY_AUDIENCE, POLICY_PRESENTER, POLICY_CLAIM,       /* of the request's token */
    POLICY_PEER_IP, POLICY_REMOTE_IP, POLICY_DESTINATION_IP,                         /* by `nets` */
    POLICY_DESTINATION_PORT, POLICY_SNI,
    POLICY_HOST, POLICY_METHOD, POLICY_PATH, POLICY_HEADER
};

enum policy_value_kind { POLICY_EXACT, POLICY_PREFIX, POLICY_SUFFIX, POLICY_PRESENT, POLICY_TEMPLATE };

/* A principal's text is without "spiffe://", a service account's is "NAMESPACE/NAME", a request principal's
 * "ISSUER/SUBJECT", of which the last slash is the border. */
struct policy_value {
    enum policy_value_kind kind;
    struct str text;          /* of hosts in lower case; TEMPLATE: a path with whole segments {*} for any one and, at
                               * most once and behind these, {**} for any number */
};

struct policy_net {
    uint8_t ip[16];           /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;             /* of 128 */
};

/* One of `values` (or `nets`) holds; with `negate` none does. */
struct policy_condition {
    enum policy_key key;
    struct str name;          /* HEADER: lower case, perhaps ":authority"; CLAIM: its path, joined with U+0001 */
    bool negate;              /* holds, too, where the request has nothing of the kind */
    const struct policy_value *values;
    size_t nvalues;
    const struct policy_net *nets;
    size_t nnets;
};

/* All hold. n 0: always. */
struct policy_all {
    const struct policy_condition *v;
    size_t n;
};

/* One of `from`, one of `to`, and `when`; an empty list is no restriction. */
struct policy_rule {
    const struct policy_all *from, *to;
    size_t nfrom, nto;
    struct policy_all when;
    bool http_only;           /* some condition asks what only HTTP knows: on TCP a rule that allows never holds then,
                               * and one that denies is without such conditions, as one for an audit is */
};

enum policy_action { POLICY_DENY, POLICY_ALLOW, POLICY_AUDIT };

struct policy {
    struct str ns, name;
    enum policy_action action;
    const struct policy_rule *rules; /* one holds; n 0: none ever does */
    size_t nrules;
    bool http_only;           /* some rule is */
};

struct jwt_place {
    struct str name, prefix;
};

struct jwt_rule {
    struct str issuer;
    const struct str *audiences;
    size_t naudiences;
    struct str jwks, jwks_uri;        /* the keys' JSON, or where to get it */
    bool discovery;                   /* jwks_uri is the issuer's OpenID configuration, which names the keys' */
    const struct jwt_place *headers;  /* none of all three: "Authorization: Bearer " and ?access_token= */
    const struct str *params, *cookies;
    size_t nheaders, nparams, ncookies;
    struct str payload_header;        /* base64url of the payload goes upstream under this name; empty: not */
    const struct jwt_place *claim_headers; /* name: header, prefix: claim */
    size_t nclaim_headers;
    bool forward;                     /* the token itself goes upstream, too */
    const struct str *space_delimited; /* claims that are lists of words, besides "scope" and "permission" */
    size_t nspace_delimited;
    int64_t leeway_s, timeout_ms;     /* 60; of fetching jwks_uri */
};

/* What a listener asks of who comes in. */
struct listener_policy {
    enum { MTLS_OFF, MTLS_PERMISSIVE, MTLS_STRICT } mtls; /* inbound listeners: Istio's mutual TLS */
    const struct policy *policies;   /* DENY first, then ALLOW, then AUDIT */
    size_t npolicies;
    bool default_deny;               /* there is an ALLOW policy */
    const struct jwt_rule *jwt;
    size_t njwt;
};

enum listener_direction { LISTENER_OUTBOUND, LISTENER_INBOUND, LISTENER_GATEWAY };
enum listener_protocol { PROTOCOL_HTTP, PROTOCOL_TCP, PROTOCOL_SNIFF }; /* HTTP: 1 or 2, by its first bytes; SNIFF: HTTP
                                                                         * when it looks so, else TCP */

struct listener;

/* Connections that ask for one of some names by SNI. */
struct listener_chain {
    const struct str *server_names;  /* lower case: exact, "*.suffix"; n 0: all */
    size_t nserver_names;
    const struct tls_server *tls;    /* NULL: passed on as they are */
    const struct listener *serve;    /* what is done with them: its protocol, hosts, tcp. It has no address nor policy:
                                      * these are the listener's own */
};

/* What a gateway makes of X-Forwarded-Client-Cert, in Envoy's words; DEFAULT: SANITIZE_SET. */
enum client_cert_details {
    CLIENT_CERT_DEFAULT, CLIENT_CERT_SANITIZE, CLIENT_CERT_FORWARD_ONLY, CLIENT_CERT_APPEND_FORWARD,
    CLIENT_CERT_SANITIZE_SET, CLIENT_CERT_ALWAYS_FORWARD_ONLY
};

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
    /* TLS by the name it asks for, the most specific first; n 0: none. What begins otherwise, or asks for none of them,
     * is served as the listener itself says, and refused where that has neither hosts nor tcp */
    const struct listener_chain *chains;
    size_t nchains;
    struct listener_policy policy;
    bool proxy_protocol;         /* connections begin with PROXY protocol's header */
    const struct rate_limit_filter *limits; /* of HTTP requests, by place */
    size_t nlimits;
    const struct rate_limit *const *connection_limits; /* of TCP connections; not in a chain's `serve` */
    size_t nconnection_limits;
    uint32_t trusted_proxies;    /* gateway: so many addresses at the end of X-Forwarded-For are from proxies that are
                                  * trusted: the first of them is the client's. 0: the connection's own is */
    enum client_cert_details client_cert; /* gateway */
    const struct cluster *passthrough; /* outbound: for HTTP hosts that nobody knows. NULL: REGISTRY_ONLY, where
                                        * the last host, "block_all", answers 502 to all */
};

/* Istio's standard metrics, in the order of Telemetry's words: the bits of telemetry_policy.metrics_off. */
enum telemetry_metric {
    TELEMETRY_REQUEST_COUNT, TELEMETRY_REQUEST_DURATION, TELEMETRY_REQUEST_SIZE, TELEMETRY_RESPONSE_SIZE,
    TELEMETRY_TCP_OPENED, TELEMETRY_TCP_CLOSED, TELEMETRY_TCP_SENT, TELEMETRY_TCP_RECEIVED,
    TELEMETRY_GRPC_REQUESTS, TELEMETRY_GRPC_RESPONSES,
    TELEMETRY_METRICS
};

struct access_format; /* proxy/access_format.h */

enum span_tag_kind { SPAN_TAG_LITERAL, SPAN_TAG_ENVIRONMENT, SPAN_TAG_HEADER, SPAN_TAG_FORMAT };

struct span_tag {
    struct str name;
    enum span_tag_kind kind;
    struct str value;            /* literal; variable's name; header's, in lower case; format of access logs */
    struct str otherwise;        /* where there is no such variable or header; empty: no tag */
    const struct access_format *format; /* FORMAT: what the proxy has made of `value`; NULL: nothing, and no tag */
};

enum { METRIC_TAGS_MOST = 32 };

/* A label that some metrics have beside Istio's, instead of one of them, or not at all. */
struct metric_tag {
    uint32_t metrics;            /* 1 << enum telemetry_metric */
    struct str name;
    const struct cel *value;     /* NULL: the label is removed */
};

/* What Telemetry resources say of one side's traffic. */
struct telemetry_policy {
    int32_t sampling_ppm;        /* of requests that are not yet decided; -1: as the command line has it */
    bool no_spans;               /* none is reported; the decision is made and passed on all the same */
    bool no_propagation;         /* the trace's headers do not go upstream */
    bool no_istio_tags;
    const struct span_tag *tags; /* sorted by name */
    size_t ntags;
    bool some_formats;           /* among the tags */
    bool no_access_log;
    const struct cel **log_filters; /* what any of them lets through is logged; n 0: all */
    size_t nlog_filters;
    uint32_t metrics_off;        /* 1 << enum telemetry_metric */
    const struct metric_tag *metric_tags; /* in order: of one label of a metric the last counts; METRIC_TAGS_MOST */
    size_t nmetric_tags;
    /* What the expressions above ask of answers: names of header fields and trailers */
    const struct str *response_headers, *response_trailers;
    size_t nresponse_headers, nresponse_trailers;
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
    const struct rate_limit *const *rate_limits; /* all of them, by index */
    size_t nrate_limits;
    struct telemetry_policy client, server; /* of outbound and a gateway's listeners; of inbound ones */
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
    bool proxy_protocol;         /* gateway: whoever connects is a proxy that says for whom (PROXY protocol) */
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
/* The chain for the name that a TLS client asks for (lower case; empty: none). NULL: none. */
const struct listener_chain *listener_chain(const struct listener *l, struct str server_name);
/* NULL: a stranger. */
const struct workload *snapshot_workload(const struct proxy_snapshot *s, struct str ip);

#endif
