/* model-internal.h: the typed objects of a mesh: what the checks leave behind for the snapshots.
 *
 * Names follow Istio's fields. Each struct begins with its place in the text. What needs no knowledge of other objects
 * is compiled here already (regular expressions, header operations, retry policies), so that a snapshot only binds
 * destinations to clusters. Names of hosts are resolved and in lower case. */
#ifndef MESH_MODEL_INTERNAL_H
#define MESH_MODEL_INTERNAL_H

#include "mesh/check-internal.h"
#include "mesh/envoy_filter-internal.h"
#include "mesh/mesh.h"
#include "mesh/policy-internal.h"
#include "mesh/snapshot.h"

/* ---- VirtualService ---- */

struct vs_port {
    const struct yaml_node *at;
    uint32_t number;
};

struct vs_destination {
    const struct yaml_node *at;
    struct str host, subset; /* host: resolved */
    struct vs_port *port;    /* NULL: the service's only one, or the listener's */
};

struct vs_header_rules {
    const struct yaml_node *at;
    LIST_OF(struct label) set, add;
    LIST_OF(struct str) remove;
};

struct vs_headers {
    const struct yaml_node *at;
    struct vs_header_rules *request, *response;
    struct header_ops ops;   /* removals first, then set, then add; names in lower case */
    struct str authority;    /* Host or :authority among request.set, which rewrites the host */
};

struct vs_weighted { /* of http and tcp */
    const struct yaml_node *at;
    struct vs_destination *destination;
    int64_t weight;
    struct vs_headers *headers;
};

struct vs_string { /* StringMatch; in a map its key is at->key */
    const struct yaml_node *at;
    struct str exact, prefix, regex;
    struct string_match match;
};

struct vs_http_match {
    const struct yaml_node *at;
    struct str name;
    struct vs_string *uri, *scheme, *method, *authority;
    LIST_OF(struct vs_string) headers, without_headers, query_params;
    uint32_t port;
    struct labels source_labels;
    struct str source_namespace;
    LIST_OF(struct str) gateways; /* "mesh" or "NAMESPACE/NAME" */
    bool ignore_uri_case;
    struct str stat_prefix;
    struct route_match match;     /* compiled by vs_compile_match */
};

struct vs_redirect {
    const struct yaml_node *at;
    struct str uri, prefix_rewrite, authority, scheme;
    uint32_t port, code;
    int derive_port; /* 1: FROM_REQUEST_PORT */
};

struct vs_body {
    const struct yaml_node *at;
    struct str string, bytes;
};

struct vs_direct_response {
    const struct yaml_node *at;
    uint32_t status;
    struct vs_body *body;
    struct str text;
};

struct vs_delegate {
    const struct yaml_node *at;
    struct str name, ns;
};

struct vs_regex_rewrite {
    const struct yaml_node *at;
    struct str match, rewrite;
    struct regex *re;
};

struct vs_rewrite {
    const struct yaml_node *at;
    struct str uri, authority;
    struct vs_regex_rewrite *regex;
};

struct vs_retries {
    const struct yaml_node *at;
    int64_t attempts, per_try_timeout, backoff;
    struct str retry_on;
    bool remote_localities, ignore_previous_hosts;
    struct retry_policy policy;
};

struct vs_percent {
    const struct yaml_node *at;
    double value;
};

struct vs_delay {
    const struct yaml_node *at;
    int64_t percent, fixed_delay;
    struct vs_percent *percentage;
};

struct vs_abort {
    const struct yaml_node *at;
    int64_t http_status;
    struct str grpc_status;
    struct vs_percent *percentage;
    unsigned status;
};

struct vs_fault {
    const struct yaml_node *at;
    struct vs_delay *delay;
    struct vs_abort *abort;
    struct fault fault;
};

struct vs_mirror {
    const struct yaml_node *at;
    struct vs_destination *destination;
    struct vs_percent *percentage;
    uint32_t ppm;
};

struct vs_cors {
    const struct yaml_node *at;
    LIST_OF(struct str) allow_origin, allow_methods, allow_headers, expose_headers;
    LIST_OF(struct vs_string) allow_origins;
    int64_t max_age;
    bool allow_credentials;
    int unmatched;
    struct cors cors;
};

struct vs_http {
    const struct yaml_node *at;
    struct str name;
    LIST_OF(struct vs_http_match) match;
    LIST_OF(struct vs_weighted) route;
    struct vs_redirect *redirect;
    struct vs_direct_response *direct;
    struct vs_delegate *delegate;
    struct vs_rewrite *rewrite;
    int64_t timeout;
    struct vs_retries *retries;
    struct vs_fault *fault;
    struct vs_destination *mirror;
    uint32_t mirror_percent;
    struct vs_percent *mirror_percentage;
    LIST_OF(struct vs_mirror) mirrors; /* with `mirror` as its first */
    struct vs_cors *cors;
    struct vs_headers *headers;
};

struct vs_l4_match { /* of tcp and tls */
    const struct yaml_node *at;
    LIST_OF(struct str) sni_hosts, destination_subnets, gateways;
    uint32_t port;
    struct str source_subnet, source_namespace;
    struct labels source_labels;
};

struct vs_l4 {
    const struct yaml_node *at;
    LIST_OF(struct vs_l4_match) match;
    LIST_OF(struct vs_weighted) route;
};

struct virtual_service {
    const struct yaml_node *at;
    const struct mesh_object *object;
    LIST_OF(struct str) hosts, gateways, export_to;
    LIST_OF(struct vs_http) http;
    LIST_OF(struct vs_l4) tls, tcp;
    bool in_mesh; /* gateways name "mesh", or there are none */
};

/* Istio's, for where nothing is said. */
extern const struct retry_policy vs_default_retries;

extern const struct message vs_port_message, virtual_service_message, vs_http_message, vs_string_message,
    vs_http_match_message, vs_headers_message, vs_destination_message, vs_redirect_message, vs_direct_response_message,
    vs_delegate_message, vs_rewrite_message, vs_retries_message, vs_fault_message, vs_percent_message;

/* "mesh" and "NAMESPACE/NAME" of names as they are written; errors for what is no name. */
void vs_resolve_gateways(struct check *c, const struct yaml_node *at, struct str *v, size_t n);
/* match->match from what is written: after the merge with a delegating rule's match. */
void vs_compile_match(struct check *c, struct vs_http_match *match);
/* Sum and signs of weights. */
void vs_check_weights(struct check *c, const struct yaml_node *at, const struct vs_weighted *v, size_t n);
/* NULL where it is none, which has been told of `member` of `at`. */
struct regex *vs_regex(struct check *c, const struct yaml_node *at, const char *member, struct str text,
                       unsigned flags);
/* A percentage in parts of a million; 0 when absent. */
uint32_t vs_ppm(const struct vs_percent *p);
/* Puts the delegates' rules in the place of the rules that delegate. Once all VirtualServices are read. */
void vs_merge_delegates(struct mesh *m, struct mesh_problems *p, bool *nomem);

/* ---- DestinationRule ---- */

struct dr_keepalive {
    const struct yaml_node *at;
    uint32_t probes;
    int64_t time, interval, timeout;
};

struct dr_tcp {
    const struct yaml_node *at;
    int64_t max_connections, connect_timeout, idle_timeout, max_connection_duration;
    struct dr_keepalive *keepalive;
};

struct dr_http {
    const struct yaml_node *at;
    int64_t max_pending, max_requests, max_requests_per_connection, max_retries, max_streams, idle_timeout;
    int h2_upgrade;
    bool use_client_protocol;
    struct dr_keepalive *keepalive;
};

struct dr_pool {
    const struct yaml_node *at;
    struct dr_tcp *tcp;
    struct dr_http *http;
};

struct dr_cookie {
    const struct yaml_node *at;
    struct str name, path;
    int64_t ttl;
    const struct yaml_node *attributes;
};

struct dr_hash_table {
    const struct yaml_node *at;
    double size;
};

struct dr_hash {
    const struct yaml_node *at;
    struct str header, query;
    struct dr_cookie *cookie;
    bool source_ip;
    struct dr_hash_table *ring, *maglev;
    double minimum_ring_size;
};

struct dr_warmup {
    const struct yaml_node *at;
    int64_t duration;
    double percent, aggression;
};

struct dr_distribute {
    const struct yaml_node *at;
    struct str from;                  /* "region/zone/subzone", whose last part may be "*" */
    LIST_OF(struct named_number) to;
};

struct dr_failover { /* of regions */
    const struct yaml_node *at;
    struct str from, to;
};

struct dr_locality {
    const struct yaml_node *at;
    LIST_OF(struct dr_distribute) distribute;
    LIST_OF(struct dr_failover) failover;
    LIST_OF(struct str) priority;     /* labels, "key" or "key=value" */
    bool enabled;
};

enum dr_simple { DR_UNSPECIFIED, DR_LEAST_CONN, DR_RANDOM, DR_PASSTHROUGH, DR_ROUND_ROBIN, DR_LEAST_REQUEST };

struct dr_balancer {
    const struct yaml_node *at;
    int simple; /* enum dr_simple */
    struct dr_hash *hash;
    struct dr_locality *locality;
    const struct yaml_node *zone;
    struct dr_warmup *warmup;
    int64_t warmup_duration;
};

struct dr_outlier {
    const struct yaml_node *at;
    bool split;
    uint32_t local_failures, gateway_errors, errors_5xx;
    int64_t errors, interval, ejection_time, max_percent, min_percent;
    LIST_OF(uint32_t) codes;
};

enum dr_tls_mode { DR_TLS_DISABLE, DR_TLS_SIMPLE, DR_TLS_MUTUAL, DR_TLS_ISTIO_MUTUAL };

struct dr_tls {
    const struct yaml_node *at;
    int mode; /* enum dr_tls_mode */
    struct str client_certificate, private_key, ca_certificates, credential_name, sni, ca_crl;
    LIST_OF(struct str) names;
    bool insecure;
};

struct dr_budget {
    const struct yaml_node *at;
    double percent;
    uint32_t least;
    int64_t interval;
};

struct dr_proxy_protocol {
    const struct yaml_node *at;
    int version; /* 0: V1 */
};

struct dr_policy { /* TrafficPolicy, and one of its portLevelSettings */
    const struct yaml_node *at;
    struct vs_port *port;
    struct dr_balancer *balancer;
    struct dr_pool *pool;
    struct dr_outlier *outlier;
    struct dr_tls *tls;
    LIST_OF(struct dr_policy) ports;
    struct dr_proxy_protocol *proxy_protocol;
    struct dr_budget *budget;
    const struct yaml_node *tunnel;
};

struct dr_subset {
    const struct yaml_node *at;
    struct str name;
    struct labels labels;
    struct dr_policy *policy;
};

struct dr_selector {
    const struct yaml_node *at;
    struct labels labels;
};

struct destination_rule {
    const struct yaml_node *at;
    const struct mesh_object *object;
    struct str host; /* resolved */
    struct dr_policy *policy;
    LIST_OF(struct dr_subset) subsets;
    LIST_OF(struct str) export_to;
    struct dr_selector *selector;
};

extern const struct message destination_rule_message, dr_pool_message, dr_balancer_message;

/* ---- Gateway ---- */

struct gw_port {
    const struct yaml_node *at;
    uint32_t number, target_port;
    struct str name, protocol;
};

struct gw_certificate {
    const struct yaml_node *at;
    struct str server_certificate, private_key, ca_certificates;
};

enum gw_tls_mode {
    GW_MODE_PASSTHROUGH, GW_MODE_SIMPLE, GW_MODE_MUTUAL, GW_MODE_AUTO_PASSTHROUGH, GW_MODE_ISTIO_MUTUAL,
    GW_MODE_OPTIONAL_MUTUAL
};

struct gw_tls { /* ServerTLSSettings */
    const struct yaml_node *at;
    bool https_redirect, insecure;
    int mode;                     /* enum gw_tls_mode */
    int min_version, max_version; /* 0: not said; 1 to 4 for TLS 1.0 to 1.3 */
    struct str server_certificate, private_key, ca_certificates, ca_crl, credential_name, ca_credential_name;
    LIST_OF(struct str) credential_names, names, spki, hashes, ciphers;
    LIST_OF(struct gw_certificate) certificates;
};

struct gw_host {
    struct str ns;   /* "*": any */
    struct str host; /* in lower case */
};

enum gw_protocol { GW_HTTP, GW_TCP, GW_TLS };

struct gw_server {
    const struct yaml_node *at;
    struct gw_port *port;
    struct str bind, name, default_endpoint;
    LIST_OF(struct str) hosts;
    struct gw_tls *tls;
    enum gw_protocol protocol;
    bool http_inside;               /* HTTPS */
    bool by_socket;                 /* bind is a Unix socket */
    struct gw_host *parsed;         /* as many as hosts */
};

struct gateway {
    const struct yaml_node *at;
    const struct mesh_object *object;
    struct str name; /* "NAMESPACE/NAME" */
    LIST_OF(struct gw_server) servers;
    struct labels selector;
};

extern const struct message gateway_message, gw_port_message, gw_tls_message;

/* ---- Secret ---- */

/* What a Secret holds of TLS, in PEM; empty where it has none. */
struct secret {
    const struct mesh_object *object;
    struct str certificate, key, ca, crl;
};

void secret_read(struct check *c, struct secret *s);

/* ---- what runs ---- */

/* What is spoken at a port. TLS is passed on by its SNI. */
enum service_speech { SPEECH_UNKNOWN, SPEECH_HTTP1, SPEECH_HTTP2, SPEECH_TLS, SPEECH_TCP };

struct service_port {
    const struct yaml_node *at;
    struct str name, protocol, app_protocol;
    uint32_t port, node_port;
    const struct yaml_node *target; /* as it is written */
    uint32_t target_number;         /* where it is served; 0: at target_name, or as port */
    struct str target_name;         /* of a container's port */
    enum service_speech speech;
    bool udp;
};

enum service_resolution {
    RESOLVE_ENDPOINTS, /* they are as given */
    RESOLVE_DNS,       /* those whose address is a name are all it resolves to */
    RESOLVE_DNS_FIRST, /* … the first it resolves to */
    RESOLVE_DYNAMIC,   /* whatever the request's host resolves to */
    RESOLVE_CALLER     /* where the caller wanted to go */
};

struct named_port {
    struct str name;
    uint32_t port;
};

/* One place where a service runs. */
struct instance {
    struct str address;            /* an IP, or a name to be looked up */
    struct labels labels;
    const struct workload *workload;
    const struct pod *pod;         /* whose containers name the ports; NULL: `ports` */
    const struct named_port *ports;
    size_t nports;
    bool listed;                   /* it has no other ports than these */
    uint32_t weight;
};

/* What can be called: a Service, or one host of a ServiceEntry. */
struct service {
    const struct yaml_node *at;
    const struct mesh_object *object;
    struct str host;             /* "reviews.default.svc.cluster.local", "api.example.com", "*.example.com" */
    struct str name;             /* destination_service_name: a Service's name, a ServiceEntry's host */
    struct str cluster_ip, type; /* "None" is headless */
    struct str external_name;
    LIST_OF(struct service_port) ports;
    struct labels selector;      /* of the namespace's Pods and WorkloadEntries; n 0: none */
    LIST_OF(struct str) addresses; /* virtual ones, some perhaps nets */
    LIST_OF(struct str) export_to;
    LIST_OF(struct str) names;     /* which one of its certificate must be; n 0: it does not say */
    enum service_resolution resolution;
    bool external;                 /* of no mesh: no mutual TLS there */
    struct instance *instances;    /* ready ones */
    size_t ninstances, instances_cap;
};

struct workload_entry {
    const struct yaml_node *at;
    const struct mesh_object *object; /* itself, or the ServiceEntry that it stands in */
    struct str address, network, locality, account;
    LIST_OF(struct named_number) ports;
    struct labels labels;
    uint32_t weight;
    struct named_port *named;         /* as many as ports */
    struct workload workload;
    bool by_name, by_socket;          /* what the address is, if not an IP: a DNS name, a Unix socket's path */
};

struct service_entry {
    const struct yaml_node *at;
    const struct mesh_object *object;
    LIST_OF(struct str) hosts, addresses, export_to, names;
    LIST_OF(struct service_port) ports;
    LIST_OF(struct workload_entry) endpoints;
    struct workload_selector *selector;
    int location, resolution;
};

struct workload_selector { /* Istio's, of a ServiceEntry or Sidecar */
    const struct yaml_node *at;
    struct labels labels;
};

/* Endpoints or EndpointSlice: where a Service without selector runs. */
struct endpoint_list {
    const struct mesh_object *object;
    struct str service;               /* its name */
    struct instance *v;
    size_t n, cap;
};

struct container_port {
    const struct yaml_node *at;
    struct str name, protocol;
    uint32_t port, host_port;
};

struct container {
    const struct yaml_node *at;
    struct str name, image;
    LIST_OF(struct container_port) ports;
};

/* What stands in front of a gateway. */
struct gateway_topology {
    uint32_t trusted_proxies;
    bool trusted_given, proxy_protocol;
    enum client_cert_details client_cert;
};

/* gateway_topology.c: of a Pod's annotations (may be NULL); of MeshConfig, where `o` is its ConfigMap. *to: zeroed. */
void gateway_topology_read(struct check *c, const struct yaml_node *annotations, struct gateway_topology *to);
void gateway_topology_read_mesh(struct check *c, const struct mesh_object *o, struct gateway_topology *to);
/* What is said nearer over what is said for more. */
struct gateway_topology gateway_topology_of(const struct gateway_topology *other, const struct gateway_topology *own);

struct pod {
    const struct mesh_object *object;
    struct gateway_topology topology;
    struct str node;
    struct labels labels;
    LIST_OF(struct container) containers;
    LIST_OF(struct port_map) moved; /* ports of containers that are served at others of the Pod's address */
    struct workload workload;
};

/* A Deployment or another kind that makes Pods: for a sidecar whose Pod is not there yet. */
struct pod_template {
    const struct mesh_object *object;
    struct gateway_topology topology;
    struct labels labels;
    struct workload workload; /* without pod and ip */
};

extern const struct message service_entry_message, workload_entry_message, workload_selector_message;

void service_read(struct check *c, struct service *s);
/* A service of its own for each host of `e`, into v[0..e->hosts.n). */
void service_entry_expand(struct check *c, const struct service_entry *e, struct service *v);
void endpoint_list_read(struct check *c, struct endpoint_list *l);
/* By a word of Istio's ("HTTP", "grpc-web"), in any case; UNKNOWN for others. */
enum service_speech speech_named(struct str word);
enum listener_protocol speech_protocol(enum service_speech s);
/* Where the instance serves the port; 0: nowhere. */
uint16_t instance_port(const struct instance *i, const struct service_port *p);
void pod_read(struct check *c, struct pod *p);
/* Where a container's port is to be had at the Pod's address. */
uint16_t pod_served_at(const struct pod *p, uint16_t port);
/* The container's port that a service's port goes to; 0 when the Pod has none of that name. */
uint16_t pod_target_port(const struct pod *p, const struct service_port *sp);
void pod_template_read(struct check *c, struct pod_template *t);
/* Fills what follows from a workload's name and labels. `account` may be empty. */
void workload_describe(struct check *c, struct workload *w, struct str ns, struct str name, struct labels l,
                       struct str account);

/* ---- Sidecar ---- */

struct sc_ingress {
    const struct yaml_node *at;
    struct gw_port *port;
    struct str bind, default_endpoint;
    int capture;
    struct gw_tls *tls;
    struct dr_pool *pool;
    enum service_speech speech;
    uint16_t to_port; /* of defaultEndpoint; 0: as port */
    bool by_socket;
};

struct sc_host {
    struct str ns;    /* "*": any; "~": none */
    struct str host;
    bool excluded;
};

struct sc_egress {
    const struct yaml_node *at;
    struct gw_port *port;
    struct str bind;
    int capture;
    LIST_OF(struct str) hosts;
    struct sc_host *parsed; /* as many as hosts */
    enum service_speech speech;
    bool by_socket;
};

enum outbound_mode { OUTBOUND_REGISTRY_ONLY, OUTBOUND_ALLOW_ANY };

struct sc_outbound {
    const struct yaml_node *at;
    int mode; /* enum outbound_mode */
    struct vs_destination *proxy;
};

struct sidecar {
    const struct yaml_node *at;
    const struct mesh_object *object;
    struct workload_selector *selector;
    LIST_OF(struct sc_ingress) ingress;
    LIST_OF(struct sc_egress) egress;
    struct sc_outbound *outbound;
    struct dr_pool *pool;
};

extern const struct message sidecar_message;

/* ---- the whole ---- */

struct mesh {
    struct arena *arena;
    /* each sorted by namespace and name */
    LIST_OF(struct service) services;
    LIST_OF(struct pod) pods;
    LIST_OF(struct workload_entry) workload_entries;
    LIST_OF(struct service_entry) service_entries;
    LIST_OF(struct endpoint_list) endpoint_lists;
    LIST_OF(const struct mesh_object *) nodes; /* as they come */
    LIST_OF(struct pod_template) templates;
    LIST_OF(struct gateway) gateways;
    LIST_OF(struct secret) secrets;
    LIST_OF(struct sidecar) sidecars;
    LIST_OF(struct envoy_filter) envoy_filters;
    LIST_OF(struct destination_rule) rules;
    LIST_OF(struct virtual_service) virtual_services;
    struct policies policies;
    struct gateway_topology topology; /* MeshConfig's */
    /* by age: creation, then "name.namespace" */
    const struct virtual_service **by_age;
    const struct destination_rule **rules_by_age;
    /* all Services and hosts of ServiceEntries, by host; of one host Services first, then by age */
    const struct service **registry;
    size_t nregistry;
    /* of all Pods and WorkloadEntries with an address, sorted by it */
    const struct workload *workloads;
    size_t nworkloads;
};

/* Older first; equal times by "name.namespace", as Istio breaks ties. */
int object_age_cmp(const struct mesh_object *a, const struct mesh_object *b);
const struct service *mesh_service(const struct mesh *m, struct str ns, struct str name);
/* By a resolved host, whosever it is; NULL when it is none of the mesh. */
const struct service *mesh_service_of(const struct mesh *m, struct str host);
const struct service_port *service_port_find(const struct service *s, uint32_t port);
const struct virtual_service *mesh_virtual_service(const struct mesh *m, struct str ns, struct str name);
const struct secret *mesh_secret(const struct mesh *m, struct str ns, struct str name);
const struct gateway *mesh_gateway(const struct mesh *m, struct str ns_and_name);
/* Whether an object of `own` with this exportTo is seen in `ns`. */
bool exported_to(const struct str *v, size_t n, struct str own, struct str ns);

/* registry.c: who runs where, and what can be called. Once all is read and sorted. */
void mesh_make_registry(struct mesh *m, struct mesh_problems *p, bool *nomem);

/* What can only be said with all objects at hand; of policies. */
void mesh_check_references(struct mesh *m, struct mesh_problems *p, bool *nomem);
void mesh_check_policies(const struct mesh *m, struct mesh_problems *p, bool *nomem);

#endif
