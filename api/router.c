#include "api/http-internal.h"

#include <stdio.h>

const struct route routes[] = {
    { HTTP_GET | HTTP_POST, "/api/v1/query", prometheus_query, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/api/v1/query_range", prometheus_query_range, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/api/v1/query_exemplars", prometheus_query_exemplars, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/api/v1/format_query", prometheus_format_query, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/api/v1/parse_query", prometheus_parse_query, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/api/v1/labels", prometheus_labels, ROUTE_FORM },
    { HTTP_GET, "/api/v1/label/{}/values", prometheus_label_values, 0 },
    { HTTP_GET | HTTP_POST, "/api/v1/series", prometheus_series, ROUTE_FORM },
    { HTTP_GET, "/api/v1/metadata", prometheus_metadata, 0 },
    { HTTP_GET, "/api/v1/targets", prometheus_targets, 0 },
    { HTTP_GET, "/api/v1/targets/metadata", prometheus_targets_metadata, 0 },
    { HTTP_GET, "/api/v1/scrape_pools", prometheus_scrape_pools, 0 },
    { HTTP_GET, "/api/v1/alertmanagers", prometheus_alertmanagers, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/features", prometheus_features, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/notifications", prometheus_notifications, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/buildinfo", prometheus_buildinfo, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/runtimeinfo", prometheus_runtimeinfo, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/config", prometheus_config, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/flags", prometheus_flags, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/tsdb", prometheus_tsdb, 0 },
    { HTTP_GET, "/api/v1/status/tsdb/blocks", prometheus_tsdb_blocks, ROUTE_INLINE },
    { HTTP_GET, "/api/v1/status/walreplay", prometheus_walreplay, ROUTE_INLINE },
    { HTTP_POST | HTTP_PUT, "/api/v1/admin/tsdb/delete_series", prometheus_delete_series, ROUTE_CHANGES | ROUTE_FORM },
    { HTTP_POST | HTTP_PUT, "/api/v1/admin/tsdb/clean_tombstones", prometheus_clean_tombstones, ROUTE_CHANGES },
    { HTTP_POST | HTTP_PUT, "/api/v1/admin/tsdb/snapshot", prometheus_snapshot, ROUTE_CHANGES | ROUTE_FORM },
    { HTTP_GET, "/federate", prometheus_federate, 0 },

    { HTTP_POST, "/api/v1/write", prometheus_write, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES | ROUTE_SNAPPY },
    { HTTP_POST, "/v1/logs", otlp_post_logs, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },
    { HTTP_POST, "/v1/metrics", otlp_post_metrics, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },
    { HTTP_POST, "/v1/traces", otlp_post_traces, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },

    /* The path that Loki takes OpenTelemetry's logs at. */
    { HTTP_POST, "/otlp/v1/logs", otlp_post_logs, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },
    { HTTP_POST, "/api/v2/spans", push_zipkin, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },
    { HTTP_POST, "/api/traces", push_jaeger, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES },
    { HTTP_POST, "/loki/api/v1/push", push_loki, ROUTE_INLINE | ROUTE_BULK | ROUTE_CHANGES | ROUTE_SNAPPY },

    { HTTP_GET | HTTP_POST, "/loki/api/v1/query", loki_query, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/query_range", loki_query_range, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/labels", loki_labels, ROUTE_FORM },
    { HTTP_GET, "/loki/api/v1/label", loki_labels, 0 },
    { HTTP_GET, "/loki/api/v1/label/{}/values", loki_label_values, 0 },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/series", loki_series, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/index/stats", loki_index_stats, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/index/volume", loki_index_volume, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/index/volume_range", loki_index_volume_range, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/detected_labels", loki_detected_labels, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/detected_fields", loki_detected_fields, ROUTE_FORM },
    { HTTP_GET | HTTP_POST, "/loki/api/v1/format_query", loki_format_query, ROUTE_FORM },
    { HTTP_GET, "/loki/api/v1/tail", loki_tail, 0 },
    { HTTP_GET, "/loki/api/v1/status/buildinfo", loki_buildinfo, ROUTE_INLINE },
    { HTTP_GET, "/ready", health_ready, ROUTE_INLINE },

    { HTTP_GET, "/jaeger/api/services", jaeger_services, 0 },
    { HTTP_GET, "/jaeger/api/services/{}/operations", jaeger_service_operations, 0 },
    { HTTP_GET, "/jaeger/api/operations", jaeger_operations, 0 },
    { HTTP_GET, "/jaeger/api/traces", jaeger_search, 0 },
    { HTTP_GET, "/jaeger/api/traces/{}", jaeger_trace, 0 },
    { HTTP_GET, "/jaeger/api/dependencies", jaeger_dependencies, 0 },
    { HTTP_GET, "/jaeger/api/v3/services", jaeger_v3_services, 0 },
    { HTTP_GET, "/jaeger/api/v3/operations", jaeger_v3_operations, 0 },
    { HTTP_GET, "/jaeger/api/v3/traces", jaeger_v3_find, 0 },
    { HTTP_GET, "/jaeger/api/v3/traces/{}", jaeger_v3_trace, 0 },

    { HTTP_GET | HTTP_POST, "/api/events", events_get, ROUTE_FORM },
    { HTTP_GET, "/api/graph", graph_get, 0 },
    { HTTP_GET, "/api/topology", graph_topology, 0 },
    { HTTP_GET, "/kiali/api/namespaces/graph", graph_kiali, 0 },
    { HTTP_GET, "/kiali/api/namespaces/{}/workloads/{}/graph", graph_kiali_workload, 0 },
    { HTTP_GET, "/kiali/api/namespaces/{}/services/{}/graph", graph_kiali_service, 0 },
    { HTTP_GET, "/kiali/api/namespaces/{}/applications/{}/graph", graph_kiali_app, 0 },
    { HTTP_GET, "/kiali/api/namespaces/{}/applications/{}/versions/{}/graph", graph_kiali_app, 0 },

    { HTTP_GET, "/api/mesh/objects", mesh_list, 0 },
    { HTTP_PUT | HTTP_POST, "/api/mesh/objects", mesh_put, ROUTE_CHANGES },
    { HTTP_GET, "/api/mesh/objects/{}/{}/{}", mesh_get, 0 },
    { HTTP_DELETE, "/api/mesh/objects/{}/{}/{}", mesh_delete, ROUTE_CHANGES },
    { HTTP_POST | HTTP_PUT, "/api/mesh/validate", mesh_validate, 0 },
    { HTTP_GET, "/api/mesh/history", mesh_get_history, 0 },
    { HTTP_GET, "/api/mesh/proxies", mesh_proxies, ROUTE_INLINE },
    { HTTP_GET, "/api/mesh/snapshot", mesh_get_snapshot, ROUTE_INLINE },

    { HTTP_GET, "/-/healthy", health_healthy, ROUTE_INLINE },
    { HTTP_GET, "/-/ready", health_ready, ROUTE_INLINE },
    { HTTP_POST | HTTP_PUT, "/-/reload", health_reload, ROUTE_CHANGES },
    { HTTP_GET, "/metrics", metrics_get, ROUTE_INLINE },
    { HTTP_GET, "/", static_get, ROUTE_INLINE },
    { HTTP_GET, "/{*}", static_get, ROUTE_INLINE },
};
const size_t routes_n = sizeof(routes) / sizeof(routes[0]);

static bool match(const char *pattern, struct str path, struct str arguments[HTTP_MOST_ARGUMENTS], size_t *n)
{
    *n = 0;
    while (*pattern) {
        size_t length = 0;

        if (strcmp(pattern, "{*}") == 0) {
            arguments[(*n)++] = path;
            return true;
        }
        if (strncmp(pattern, "{}", 2) == 0) {
            while (length < path.n && path.p[length] != '/')
                length++;
            if (length == 0)
                return false;
            arguments[(*n)++] = (struct str){ path.p, length };
            pattern += 2;
        } else {
            if (path.n == 0 || *path.p != *pattern)
                return false;
            length = 1;
            pattern++;
        }
        path = str_from(path, length);
    }
    return path.n == 0;
}

const struct route *route_find(const struct route *table, size_t n, struct str path, enum http_method method,
                               struct str arguments[HTTP_MOST_ARGUMENTS], size_t *narguments, unsigned *allowed)
{
    *allowed = 0;
    for (size_t i = 0; i < n; i++) {
        bool last_resort = strstr(table[i].pattern, "{*}") != NULL;

        /* Where a path is there for other methods the last resort is no answer; and it proves no path to be there. */
        if ((last_resort && *allowed) || !match(table[i].pattern, path, arguments, narguments))
            continue;
        if (table[i].methods & (unsigned)method)
            return &table[i];
        if (!last_resort)
            *allowed |= table[i].methods;
    }
    return NULL;
}

void route_allow(unsigned methods, char *out, size_t n)
{
    static const struct {
        unsigned method;
        const char *name;
    } names[] = { { HTTP_GET, "GET, HEAD" }, { HTTP_POST, "POST" }, { HTTP_PUT, "PUT" }, { HTTP_DELETE, "DELETE" } };
    size_t at = 0;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (methods & names[i].method)
            at += (size_t)snprintf(out + at, n - at, "%s, ", names[i].name);
    snprintf(out + at, n - at, "OPTIONS");
}
