/* policy-internal.h: the typed objects of Istio's security and telemetry kinds. As in model-internal.h names follow
 * Istio's fields, and what needs no knowledge of other objects is compiled already. */
#ifndef MESH_POLICY_INTERNAL_H
#define MESH_POLICY_INTERNAL_H

#include "mesh/cel.h"
#include "mesh/check-internal.h"
#include "mesh/policy_scope-internal.h"
#include "mesh/snapshot.h"

/* Each policy begins so. */
#define POLICY_HEAD                                                                                                    \
    const struct yaml_node *at;                                                                                        \
    const struct mesh_object *object;                                                                                  \
    struct policy_scope scope

struct policy_head {
    POLICY_HEAD;
};

/* ---- PeerAuthentication ---- */

enum peer_mode { PEER_UNSET, PEER_DISABLE, PEER_PERMISSIVE, PEER_STRICT };

struct peer_mtls {
    const struct yaml_node *at;
    int mode;      /* enum peer_mode */
    uint16_t port; /* of the workload; portLevelMtls alone */
};

struct peer_authentication {
    POLICY_HEAD;
    struct peer_mtls *mtls;
    LIST_OF(struct peer_mtls) ports;
};

extern const struct message peer_authentication_message;

/* ---- AuthorizationPolicy ---- */

enum { AUTH_SOURCE_FIELDS = 7, AUTH_OPERATION_FIELDS = 4 };

/* What is asked of an attribute, by its values and by those that it must not have. */
struct auth_lists {
    LIST_OF(struct str) is, is_not;
};

struct auth_source {
    const struct yaml_node *at;
    struct auth_lists fields[AUTH_SOURCE_FIELDS];
};

struct auth_operation {
    const struct yaml_node *at;
    struct auth_lists fields[AUTH_OPERATION_FIELDS];
};

struct auth_from {
    const struct yaml_node *at;
    struct auth_source *source;
};

struct auth_to {
    const struct yaml_node *at;
    struct auth_operation *operation;
};

struct auth_when {
    const struct yaml_node *at;
    struct str key;
    struct auth_lists values;
};

struct auth_rule {
    const struct yaml_node *at;
    LIST_OF(struct auth_from) from;
    LIST_OF(struct auth_to) to;
    LIST_OF(struct auth_when) when;
};

struct auth_provider {
    const struct yaml_node *at;
    struct str name;
};

enum auth_action { AUTH_ALLOW, AUTH_DENY, AUTH_AUDIT, AUTH_CUSTOM };

struct authorization_policy {
    POLICY_HEAD;
    int action; /* enum auth_action */
    struct auth_provider *provider;
    LIST_OF(struct auth_rule) rules;
    bool dry_run;
    struct policy policy; /* compiled */
};

extern const struct message authorization_policy_message, auth_rule_message;

/* Whether the object has the annotation istio.io/dry-run, which is then *at. */
bool policy_dry_run(const struct check *c, const struct yaml_node **at);

/* `r` as a proxy asks it. False: it must never hold and is left out. */
bool auth_compile(struct check *c, const struct auth_rule *r, enum auth_action action, struct policy_rule *to);

/* ---- RequestAuthentication ---- */

struct jwt_header {
    const struct yaml_node *at;
    struct str name, prefix;
};

struct jwt_claim_header {
    const struct yaml_node *at;
    struct str header, claim;
};

struct jwt_source {
    const struct yaml_node *at;
    struct str issuer, jwks_uri, jwks, payload_header;
    LIST_OF(struct str) audiences, params, cookies, space_delimited;
    LIST_OF(struct jwt_header) headers;
    LIST_OF(struct jwt_claim_header) claim_headers;
    bool forward;
    int64_t timeout;
};

struct request_authentication {
    POLICY_HEAD;
    LIST_OF(struct jwt_source) sources;
    struct jwt_rule *rules; /* compiled, as many as sources */
};

extern const struct message request_authentication_message;

/* The keys' text: what is wrong with it is told of member "jwks" of `at`. */
void jwks_check(struct check *c, const struct yaml_node *at, struct str text);

/* ---- Telemetry ---- */

enum telemetry_mode { TELEMETRY_BOTH, TELEMETRY_CLIENT, TELEMETRY_SERVER };

struct telemetry_match {
    const struct yaml_node *at;
    int mode;   /* enum telemetry_mode */
    int metric; /* of a metric's override: 0 all, else enum telemetry_metric + 1 */
    struct str custom_metric;
};

struct telemetry_provider {
    const struct yaml_node *at;
    struct str name;
};

struct telemetry_filter {
    const struct yaml_node *at;
    struct str expression;
    const struct cel *compiled;
};

struct telemetry_log {
    const struct yaml_node *at;
    struct telemetry_match *match;
    LIST_OF(struct telemetry_provider) providers;
    bool disabled;
    struct telemetry_filter *filter;
};

struct telemetry_tag_value {
    const struct yaml_node *at;
    struct str value, name, otherwise;
};

struct telemetry_tag {
    const struct yaml_node *at; /* its key is the tag's name */
    struct telemetry_tag_value *literal, *environment, *header, *formatter;
};

struct telemetry_trace {
    const struct yaml_node *at;
    struct telemetry_match *match;
    LIST_OF(struct telemetry_provider) providers;
    double sampling; /* percent */
    bool no_spans, request_id_sampling, istio_tags, no_propagation;
    LIST_OF(struct telemetry_tag) tags;
    struct span_tag *span_tags; /* compiled, as many as tags, sorted by name */
};

enum tag_operation { TAG_UPSERT, TAG_REMOVE };

struct telemetry_tag_override {
    const struct yaml_node *at;
    int operation; /* enum tag_operation */
    struct str value;
    struct str label;
    const struct cel *compiled; /* UPSERT's; NULL: it is not applied */
};

struct telemetry_override {
    const struct yaml_node *at;
    struct telemetry_match *match;
    bool disabled;
    LIST_OF(struct telemetry_tag_override) tags;
};

struct telemetry_metrics {
    const struct yaml_node *at;
    LIST_OF(struct telemetry_provider) providers;
    LIST_OF(struct telemetry_override) overrides;
    int64_t interval;
};

struct telemetry {
    POLICY_HEAD;
    LIST_OF(struct telemetry_trace) traces;
    LIST_OF(struct telemetry_metrics) metrics;
    LIST_OF(struct telemetry_log) logs;
};

extern const struct message telemetry_message;

/* ---- all of them ---- */

#define POLICIES_OF(type)                                                                                              \
    struct {                                                                                                           \
        struct type *v;                                                                                                \
        size_t n, cap;                                                                                                 \
    }

struct policies {
    POLICIES_OF(peer_authentication) peers;           /* the oldest first: creation, then "name.namespace" */
    POLICIES_OF(request_authentication) requests;     /* so, too */
    POLICIES_OF(telemetry) telemetries;               /* so, too */
    POLICIES_OF(authorization_policy) authorizations; /* by namespace and name */
};

/* Adds a policy of c->object's kind, one of security.istio.io's or Telemetry: *to is what its spec is to be read into.
 * NULL on c->nomem. */
const struct message *policies_add(struct check *c, struct policies *p, void **to);
/* Once all are read. */
void policies_sort(struct policies *p);
/* Calls fn for every policy of every kind. */
void policies_each(const struct policies *p, void (*fn)(void *arg, const struct policy_head *head), void *arg);

#endif
