/* access_log.h: one finished request or connection, as Envoy and Istio log it.
 *
 * The one list of its fields: the proxy fills them, OTLP carries them by these names, the store keeps a column for
 * each, and the text and JSON forms are printed from them. Names follow Istio's JSON access log, identities follow the
 * labels of Istio's metrics. Source: istio.io/latest/docs/tasks/observability/logs/access-log, Envoy's access log docs. */
#ifndef BASE_ACCESS_LOG_H
#define BASE_ACCESS_LOG_H

#include "base/buf.h"
#include "base/str.h"

#include <stdint.h>

/* S(field): text, empty = unset. I(field): a number, -1 = unset. */
#define ACCESS_LOG_FIELDS(S, I)                                                                              \
    S(reporter)                        /* "source" (an outbound listener, a gateway) or "destination" */     \
    S(method) S(path) S(protocol)      /* "GET", path before rewriting, "HTTP/1.1"; all empty for TCP */     \
    I(response_code)                   /* 0: none was sent, and TCP */                                       \
    S(response_flags)                  /* "UF,URX"; empty: none */                                           \
    S(response_code_details) S(connection_termination_details) S(upstream_transport_failure_reason)          \
    I(bytes_received) I(bytes_sent)    /* bodies for HTTP, payload for TCP; from and to the downstream */    \
    I(duration_us)                     /* from the first byte in to the last byte out */                     \
    I(upstream_service_time_us)        /* until the upstream's response headers */                           \
    S(x_forwarded_for) S(user_agent) S(request_id) S(authority)                                              \
    S(upstream_host) S(upstream_cluster) S(upstream_local_address)                                           \
    S(downstream_local_address) S(downstream_remote_address) S(requested_server_name) S(route_name)          \
    S(trace_id) S(span_id)                                                                                   \
    S(request_protocol)                /* "http", "grpc" or "tcp" */                                         \
    S(grpc_response_status) S(connection_security_policy)                                                    \
    S(pod) S(namespace) S(workload) S(app) S(version) /* the reporting proxy's own */                        \
    S(source_workload) S(source_workload_namespace) S(source_app) S(source_version) S(source_principal)      \
    S(source_canonical_service) S(source_canonical_revision) S(source_cluster)                               \
    S(destination_workload) S(destination_workload_namespace) S(destination_app) S(destination_version)      \
    S(destination_principal) S(destination_canonical_service) S(destination_canonical_revision)              \
    S(destination_service) S(destination_service_name) S(destination_service_namespace) S(destination_cluster)

struct access_log {
    int64_t start_ns; /* since the epoch */
#define ACCESS_LOG_S(field) struct str field;
#define ACCESS_LOG_I(field) int64_t field;
    ACCESS_LOG_FIELDS(ACCESS_LOG_S, ACCESS_LOG_I)
#undef ACCESS_LOG_S
#undef ACCESS_LOG_I
};

/* Index of each field in the list: ACCESS_LOG_reporter is 0. */
enum access_log_field {
#define ACCESS_LOG_ENUM(field) ACCESS_LOG_##field,
    ACCESS_LOG_FIELDS(ACCESS_LOG_ENUM, ACCESS_LOG_ENUM)
#undef ACCESS_LOG_ENUM
    ACCESS_LOG_NFIELDS
};

struct access_log_field_info {
    struct str name;
    bool is_text;
    size_t offset; /* in struct access_log: of a struct str or an int64_t */
};

extern const struct access_log_field_info access_log_fields[ACCESS_LOG_NFIELDS];

/* All texts empty, all numbers unset. */
void access_log_init(struct access_log *l);
/* -1 when no field has that name. */
int access_log_field_index(struct str name);

/* Istio's default line (since 1.9), with its newline; what is unset prints as "-". Control characters and quotes
 * inside a field are escaped, so that one entry is always one line. */
void access_log_text(struct buf *b, const struct access_log *l);
/* A text as it stands in that line; "-" when it is empty. */
void access_log_escaped(struct buf *b, struct str s);
/* Istio's JSON form, with its newline; numbers unquoted, what is unset is null. */
void access_log_json(struct buf *b, const struct access_log *l);

#endif
