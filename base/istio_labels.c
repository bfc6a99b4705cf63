#include "base/istio_labels.h"

#define LABEL(field, missing) { STR_INIT(#field), ACCESS_LOG_##field, STR_INIT(missing), false }
#define HTTP_LABEL(field, missing) { STR_INIT(#field), ACCESS_LOG_##field, STR_INIT(missing), true }
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
