/* grpc_services.c: the methods that are served: what each makes of a message. */
#include "collector/grpc-internal.h"

#include "base/clock.h"
#include "collector/envoy-internal.h"

/* --- OpenTelemetry --- */

static int take_otlp(enum otlp_signal signal, struct grpc_batch *t, struct str message, struct err *e)
{
    return otlp_decode(signal, OTLP_PROTOBUF, message, t->call->server->options.red, &t->batch, &t->items, e);
}

static int take_logs(struct grpc_batch *t, struct str message, struct err *e)
{
    return take_otlp(OTLP_LOGS, t, message, e);
}

static int take_metrics(struct grpc_batch *t, struct str message, struct err *e)
{
    return take_otlp(OTLP_METRICS, t, message, e);
}

static int take_traces(struct grpc_batch *t, struct str message, struct err *e)
{
    return take_otlp(OTLP_TRACES, t, message, e);
}

/* The three responses differ in their names only. */
static void reply_otlp(const struct grpc_batch *t, struct buf *out)
{
    otlp_response(OTLP_LOGS, OTLP_PROTOBUF, &t->items, out);
}

/* --- Envoy --- */

static void release_node(void *node)
{
    envoy_node_release(node);
}

/* The node that holds for this message, which the batch holds, as its strings may point into it. */
static int hold_node(struct grpc_batch *t, struct str message, struct envoy_node **node, struct err *e)
{
    struct envoy_node *n = t->call->state;
    int rc = envoy_identifier(message, &n, e);

    t->call->state = n;
    *node = n;
    if (rc < 0 || !n)
        return rc;
    if (arena_on_free(&t->arena, release_node, n) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a message");
    envoy_node_hold(n);
    return 0;
}

static int take_envoy_logs(struct grpc_batch *t, struct str message, struct err *e)
{
    struct envoy_node *node;
    int rc = hold_node(t, message, &node, e);

    return rc < 0 ? rc : envoy_log_decode(message, node, t->call->server->options.red, &t->batch, &t->items, e);
}

static int take_envoy_metrics(struct grpc_batch *t, struct str message, struct err *e)
{
    struct envoy_node *node;
    int rc = hold_node(t, message, &node, e);

    return rc < 0 ? rc : envoy_metrics_decode(message, node, clock_now_ms(), &t->batch, &t->items, e);
}

/* --- health --- */

enum { HEALTH_SERVING = 1 };

static bool is_served(struct str service)
{
    if (service.n == 0)
        return true;
    for (size_t i = 0; i < GRPC_METHODS; i++) {
        struct str path = str_from(str_of(grpc_methods[i].path), 1);

        if (str_eq(str_cut(&path, '/'), service))
            return true;
    }
    return false;
}

static int take_health(struct grpc_batch *t, struct str message, struct err *e)
{
    struct str service;
    int rc = envoy_bytes_field(message, 1, &service, e);

    (void)t;
    if (rc == 0 && !is_served(service))
        rc = err_set(e, ERR_NOTFOUND, "no such service here");
    return rc;
}

static void reply_health(const struct grpc_batch *t, struct buf *out)
{
    (void)t;
    pb_put_varint(out, 1, HEALTH_SERVING);
}

#define OTLP_SERVICE(signal) "/opentelemetry.proto.collector." signal ".v1."

const struct grpc_method grpc_methods[GRPC_METHODS] = {
    { OTLP_SERVICE("logs") "LogsService/Export", false, take_logs, reply_otlp, NULL },
    { OTLP_SERVICE("metrics") "MetricsService/Export", false, take_metrics, reply_otlp, NULL },
    { OTLP_SERVICE("trace") "TraceService/Export", false, take_traces, reply_otlp, NULL },
    { "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs", true, take_envoy_logs, NULL, release_node },
    { "/envoy.service.metrics.v3.MetricsService/StreamMetrics", true, take_envoy_metrics, NULL, release_node },
    { "/grpc.health.v1.Health/Check", false, take_health, reply_health, NULL },
};
