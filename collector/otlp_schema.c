/* otlp_schema.c: the messages of opentelemetry-proto 1.x, as far as they are read here. */

#include "collector/otlp-internal.h"

#define FIELD(name, number, type) { STR_INIT(name), number, type, false, false, NULL }
#define ONEOF(name, number, type) { STR_INIT(name), number, type, false, true, NULL }
#define REPEATED(name, number, type) { STR_INIT(name), number, type, true, false, NULL }
#define NESTED(name, number, message) { STR_INIT(name), number, OTLP_MESSAGE, false, false, &(message) }
#define NESTED_ONEOF(name, number, message) { STR_INIT(name), number, OTLP_MESSAGE, false, true, &(message) }
#define LIST(name, number, message) { STR_INIT(name), number, OTLP_MESSAGE, true, false, &(message) }
#define MESSAGE(fields) { (fields), sizeof(fields) / sizeof((fields)[0]) }

static const struct otlp_message any_value, array_value, key_value_list, key_value;

static const struct otlp_field any_value_fields[] = {
    ONEOF("string_value", 1, OTLP_STRING), ONEOF("bool_value", 2, OTLP_BOOL), ONEOF("int_value", 3, OTLP_INT64),
    ONEOF("double_value", 4, OTLP_DOUBLE), NESTED_ONEOF("array_value", 5, array_value),
    NESTED_ONEOF("kvlist_value", 6, key_value_list), ONEOF("bytes_value", 7, OTLP_BYTES),
};
static const struct otlp_field array_value_fields[] = { LIST("values", 1, any_value) };
static const struct otlp_field key_value_list_fields[] = { LIST("values", 1, key_value) };
static const struct otlp_field key_value_fields[] = { FIELD("key", 1, OTLP_STRING), NESTED("value", 2, any_value) };
static const struct otlp_message any_value = MESSAGE(any_value_fields);
static const struct otlp_message array_value = MESSAGE(array_value_fields);
static const struct otlp_message key_value_list = MESSAGE(key_value_list_fields);
static const struct otlp_message key_value = MESSAGE(key_value_fields);

static const struct otlp_field resource_fields[] = { LIST("attributes", 1, key_value) };
static const struct otlp_message resource = MESSAGE(resource_fields);
static const struct otlp_field scope_fields[] = { FIELD("name", 1, OTLP_STRING), FIELD("version", 2, OTLP_STRING) };
static const struct otlp_message scope = MESSAGE(scope_fields);

/* logs/v1/logs.proto */
static const struct otlp_field log_record_fields[] = {
    FIELD("time_unix_nano", 1, OTLP_FIXED64), FIELD("observed_time_unix_nano", 11, OTLP_FIXED64),
    FIELD("severity_number", 2, OTLP_ENUM), FIELD("severity_text", 3, OTLP_STRING), NESTED("body", 5, any_value),
    LIST("attributes", 6, key_value), FIELD("trace_id", 9, OTLP_HEX), FIELD("span_id", 10, OTLP_HEX),
    FIELD("event_name", 12, OTLP_STRING),
};
static const struct otlp_message log_record = MESSAGE(log_record_fields);
static const struct otlp_field scope_logs_fields[] = { NESTED("scope", 1, scope), LIST("log_records", 2, log_record) };
static const struct otlp_message scope_logs = MESSAGE(scope_logs_fields);
static const struct otlp_field resource_logs_fields[] = {
    NESTED("resource", 1, resource), LIST("scope_logs", 2, scope_logs),
};
static const struct otlp_message resource_logs = MESSAGE(resource_logs_fields);
static const struct otlp_field logs_fields[] = { LIST("resource_logs", 1, resource_logs) };

/* metrics/v1/metrics.proto */
static const struct otlp_field exemplar_fields[] = {
    FIELD("time_unix_nano", 2, OTLP_FIXED64), ONEOF("as_double", 3, OTLP_DOUBLE), FIELD("span_id", 4, OTLP_HEX),
    FIELD("trace_id", 5, OTLP_HEX), ONEOF("as_int", 6, OTLP_SFIXED64),
};
static const struct otlp_message exemplar = MESSAGE(exemplar_fields);
static const struct otlp_field number_fields[] = {
    LIST("attributes", 7, key_value), FIELD("start_time_unix_nano", 2, OTLP_FIXED64),
    FIELD("time_unix_nano", 3, OTLP_FIXED64), ONEOF("as_double", 4, OTLP_DOUBLE), ONEOF("as_int", 6, OTLP_SFIXED64),
    LIST("exemplars", 5, exemplar), FIELD("flags", 8, OTLP_UINT32),
};
static const struct otlp_message number = MESSAGE(number_fields);
static const struct otlp_field histogram_point_fields[] = {
    LIST("attributes", 9, key_value), FIELD("start_time_unix_nano", 2, OTLP_FIXED64),
    FIELD("time_unix_nano", 3, OTLP_FIXED64), FIELD("count", 4, OTLP_FIXED64), FIELD("sum", 5, OTLP_DOUBLE),
    REPEATED("bucket_counts", 6, OTLP_FIXED64), REPEATED("explicit_bounds", 7, OTLP_DOUBLE),
    LIST("exemplars", 8, exemplar), FIELD("flags", 10, OTLP_UINT32),
};
static const struct otlp_message histogram_point = MESSAGE(histogram_point_fields);
static const struct otlp_field quantile_fields[] = {
    FIELD("quantile", 1, OTLP_DOUBLE), FIELD("value", 2, OTLP_DOUBLE),
};
static const struct otlp_message quantile = MESSAGE(quantile_fields);
static const struct otlp_field summary_point_fields[] = {
    LIST("attributes", 7, key_value), FIELD("start_time_unix_nano", 2, OTLP_FIXED64),
    FIELD("time_unix_nano", 3, OTLP_FIXED64), FIELD("count", 4, OTLP_FIXED64), FIELD("sum", 5, OTLP_DOUBLE),
    LIST("quantile_values", 6, quantile), FIELD("flags", 8, OTLP_UINT32),
};
static const struct otlp_message summary_point = MESSAGE(summary_point_fields);
static const struct otlp_field exponential_buckets_fields[] = {
    FIELD("offset", 1, OTLP_SINT32), REPEATED("bucket_counts", 2, OTLP_UINT64),
};
static const struct otlp_message exponential_buckets = MESSAGE(exponential_buckets_fields);
static const struct otlp_field exponential_point_fields[] = {
    LIST("attributes", 1, key_value), FIELD("start_time_unix_nano", 2, OTLP_FIXED64),
    FIELD("time_unix_nano", 3, OTLP_FIXED64), FIELD("count", 4, OTLP_FIXED64), FIELD("sum", 5, OTLP_DOUBLE),
    FIELD("scale", 6, OTLP_SINT32), FIELD("zero_count", 7, OTLP_FIXED64), NESTED("positive", 8, exponential_buckets),
    NESTED("negative", 9, exponential_buckets), FIELD("flags", 10, OTLP_UINT32), LIST("exemplars", 11, exemplar),
};
static const struct otlp_message exponential_point = MESSAGE(exponential_point_fields);

static const struct otlp_field gauge_fields[] = { LIST("data_points", 1, number) };
static const struct otlp_field sum_fields[] = {
    LIST("data_points", 1, number), FIELD("aggregation_temporality", 2, OTLP_ENUM), FIELD("is_monotonic", 3, OTLP_BOOL),
};
static const struct otlp_field histogram_fields[] = {
    LIST("data_points", 1, histogram_point), FIELD("aggregation_temporality", 2, OTLP_ENUM),
};
static const struct otlp_field exponential_fields[] = {
    LIST("data_points", 1, exponential_point), FIELD("aggregation_temporality", 2, OTLP_ENUM),
};
static const struct otlp_field summary_fields[] = { LIST("data_points", 1, summary_point) };
static const struct otlp_message gauge = MESSAGE(gauge_fields);
static const struct otlp_message sum = MESSAGE(sum_fields);
static const struct otlp_message histogram = MESSAGE(histogram_fields);
static const struct otlp_message exponential = MESSAGE(exponential_fields);
static const struct otlp_message summary = MESSAGE(summary_fields);
static const struct otlp_field metric_fields[] = {
    FIELD("name", 1, OTLP_STRING), FIELD("description", 2, OTLP_STRING), FIELD("unit", 3, OTLP_STRING),
    NESTED_ONEOF("gauge", 5, gauge), NESTED_ONEOF("sum", 7, sum), NESTED_ONEOF("histogram", 9, histogram),
    NESTED_ONEOF("exponential_histogram", 10, exponential), NESTED_ONEOF("summary", 11, summary),
};
static const struct otlp_message metric = MESSAGE(metric_fields);
static const struct otlp_field scope_metrics_fields[] = { NESTED("scope", 1, scope), LIST("metrics", 2, metric) };
static const struct otlp_message scope_metrics = MESSAGE(scope_metrics_fields);
static const struct otlp_field resource_metrics_fields[] = {
    NESTED("resource", 1, resource), LIST("scope_metrics", 2, scope_metrics),
};
static const struct otlp_message resource_metrics = MESSAGE(resource_metrics_fields);
static const struct otlp_field metrics_fields[] = { LIST("resource_metrics", 1, resource_metrics) };

/* trace/v1/trace.proto */
static const struct otlp_field span_event_fields[] = {
    FIELD("time_unix_nano", 1, OTLP_FIXED64), FIELD("name", 2, OTLP_STRING), LIST("attributes", 3, key_value),
    FIELD("dropped_attributes_count", 4, OTLP_UINT32),
};
static const struct otlp_field span_link_fields[] = {
    FIELD("trace_id", 1, OTLP_HEX), FIELD("span_id", 2, OTLP_HEX), FIELD("trace_state", 3, OTLP_STRING),
    LIST("attributes", 4, key_value), FIELD("dropped_attributes_count", 5, OTLP_UINT32),
    FIELD("flags", 6, OTLP_FIXED32),
};
const struct otlp_message otlp_span_event = MESSAGE(span_event_fields);
const struct otlp_message otlp_span_link = MESSAGE(span_link_fields);
static const struct otlp_field status_fields[] = { FIELD("message", 2, OTLP_STRING), FIELD("code", 3, OTLP_ENUM) };
static const struct otlp_message status = MESSAGE(status_fields);
static const struct otlp_field span_fields[] = {
    FIELD("trace_id", 1, OTLP_HEX), FIELD("span_id", 2, OTLP_HEX), FIELD("trace_state", 3, OTLP_STRING),
    FIELD("parent_span_id", 4, OTLP_HEX), FIELD("name", 5, OTLP_STRING), FIELD("kind", 6, OTLP_ENUM),
    FIELD("start_time_unix_nano", 7, OTLP_FIXED64), FIELD("end_time_unix_nano", 8, OTLP_FIXED64),
    LIST("attributes", 9, key_value), LIST("events", 11, otlp_span_event), LIST("links", 13, otlp_span_link),
    NESTED("status", 15, status),
};
static const struct otlp_message span = MESSAGE(span_fields);
static const struct otlp_field scope_spans_fields[] = { NESTED("scope", 1, scope), LIST("spans", 2, span) };
static const struct otlp_message scope_spans = MESSAGE(scope_spans_fields);
static const struct otlp_field resource_spans_fields[] = {
    NESTED("resource", 1, resource), LIST("scope_spans", 2, scope_spans),
};
static const struct otlp_message resource_spans = MESSAGE(resource_spans_fields);
static const struct otlp_field traces_fields[] = { LIST("resource_spans", 1, resource_spans) };

const struct otlp_message otlp_requests[3] = {
    [OTLP_LOGS] = MESSAGE(logs_fields),
    [OTLP_METRICS] = MESSAGE(metrics_fields),
    [OTLP_TRACES] = MESSAGE(traces_fields),
};
