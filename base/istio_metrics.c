#include "base/istio_metrics.h"

const struct istio_metric_info istio_metrics[ISTIO_METRICS] = {
    [ISTIO_REQUESTS] = {"istio_requests_total", "Requests.", false},
    [ISTIO_DURATION] = {"istio_request_duration_milliseconds", "Duration of requests in ms.", true},
    [ISTIO_REQUEST_BYTES] = {"istio_request_bytes", "Size of requests in bytes, headers included.", true},
    [ISTIO_RESPONSE_BYTES] = {"istio_response_bytes", "Size of responses in bytes, headers included.", true},
    [ISTIO_TCP_OPENED] = {"istio_tcp_connections_opened_total", "TCP connections opened.", false},
    [ISTIO_TCP_CLOSED] = {"istio_tcp_connections_closed_total", "TCP connections closed.", false},
    [ISTIO_TCP_SENT] = {"istio_tcp_sent_bytes_total", "Bytes sent to the downstream over TCP.", false},
    [ISTIO_TCP_RECEIVED] = {"istio_tcp_received_bytes_total", "Bytes received from the downstream over TCP.", false},
    [ISTIO_REQUEST_MESSAGES] = {"istio_request_messages_total", "gRPC messages from the client.", false},
    [ISTIO_RESPONSE_MESSAGES] = {"istio_response_messages_total", "gRPC messages to the client.", false},
};

const double istio_bounds[ISTIO_BOUNDS] = {0.5,  1,    5,     10,    25,    50,     100,    250,     500,    1000,
                                           2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000};

#define LABEL(field, missing)                                                                                          \
    {                                                                                                                  \
        STR_INIT(#field), ACCESS_LOG_##field, STR_INIT(missing), false                                                 \
    }
#define HTTP_LABEL(field, missing)                                                                                     \
    {                                                                                                                  \
        STR_INIT(#field), ACCESS_LOG_##field, STR_INIT(missing), true                                                  \
    }
const struct istio_label istio_labels[ISTIO_LABELS] = {
    LABEL(reporter, "unknown"),
    LABEL(source_workload, "unknown"),
    LABEL(source_canonical_service, "unknown"),
    LABEL(source_canonical_revision, "latest"),
    LABEL(source_workload_namespace, "unknown"),
    LABEL(source_principal, "unknown"),
    LABEL(source_app, "unknown"),
    LABEL(source_version, "unknown"),
    LABEL(source_cluster, "unknown"),
    LABEL(destination_workload, "unknown"),
    LABEL(destination_workload_namespace, "unknown"),
    LABEL(destination_principal, "unknown"),
    LABEL(destination_app, "unknown"),
    LABEL(destination_version, "unknown"),
    LABEL(destination_service, "unknown"),
    LABEL(destination_canonical_service, "unknown"),
    LABEL(destination_canonical_revision, "latest"),
    LABEL(destination_service_name, "unknown"),
    LABEL(destination_service_namespace, "unknown"),
    LABEL(destination_cluster, "unknown"),
    LABEL(request_protocol, "tcp"),
    HTTP_LABEL(response_code, "0"),
    HTTP_LABEL(grpc_response_status, ""),
    LABEL(response_flags, "-"),
    LABEL(connection_security_policy, "unknown"),
};
