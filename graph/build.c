/* build.c: what the store knows of a window, asked in PromQL, becomes a graph.
 *
 * One instant query at the window's end for each metric. `anchored` takes a counter's value at the window's end less
 * that at its start, without extrapolation: whole numbers, where rate() would give fractions of requests; the store has
 * put a zero at each counter's start, so that a series' first increment counts too. The namespaces are chosen here and
 * not in the query: a hop belongs to the graph when either end does, which one selector cannot say.
 *
 * Services that tell of their requests by spans mostly tell before their callers do, and then count a request as from
 * "unknown" that the caller will count as its own (SPAN_CALLERS_AWAITED, SPAN_CALLERS_FOUND). So those that were found are
 * taken off again; and those that may still be, because their caller sends its spans every few seconds, are not shown
 * yet. */
#include "graph/graph-internal.h"

#include "base/istio_metrics.h"
#include "query/promql.h"

#define SOURCE_LABELS                                                                                                  \
    "source_cluster, source_workload_namespace, source_workload, source_canonical_service, source_canonical_revision"
#define DESTINATION_LABELS                                                                                             \
    "destination_cluster, destination_service_namespace, destination_service, destination_service_name, "              \
    "destination_workload_namespace, destination_workload, destination_canonical_service, "                            \
    "destination_canonical_revision"

static const struct {
    const char *name, *by;
} queries[METRICS] = {
    [METRIC_REQUESTS] = { "istio_requests_total",
                          "request_protocol, response_code, grpc_response_status, response_flags" },
    [METRIC_TCP_RECEIVED] = { "istio_tcp_received_bytes_total", "response_flags" },
    [METRIC_TCP_SENT] = { "istio_tcp_sent_bytes_total", "response_flags" },
    [METRIC_TCP_OPENED] = { "istio_tcp_connections_opened_total", "response_flags" },
    [METRIC_DURATION] = { "istio_request_duration_milliseconds_bucket", "request_protocol, le" },
};

/* How long a span may be behind that of the service it calls: two periods of OpenTelemetry's batch processor. */
enum { CALLER_LATE_MS = 10000 };

/* sum by (…) (increase(metric[window] anchored)), for `window` until `before_ms` before the graph's end. */
static void put_increase(struct buf *b, const char *metric, const char *by, int64_t window_ms, int64_t before_ms)
{
    buf_printf(b, "sum by (reporter, " SOURCE_LABELS ", " DESTINATION_LABELS ", %s) (increase(%s[%lldms]", by, metric,
               (long long)window_ms);
    buf_puts(b, " anchored");
    if (before_ms)
        buf_printf(b, " offset %lldms", (long long)before_ms);
    buf_puts(b, "))");
}

static void put_query(struct buf *b, enum metric m, const struct graph_options *o)
{
    put_increase(b, queries[m].name, queries[m].by, o->to_ms - o->from_ms, 0);
    /* A bucket that stays at zero is part of its histogram. */
    if (!o->include_idle_edges && m != METRIC_DURATION)
        buf_puts(b, " > 0");
}

/* What is to be added to the requests, 0 or less: the awaited are taken off, but for those that have been for too long
 * and were not found. */
static void put_correction(struct buf *b, const struct graph_options *o)
{
    const char *by = queries[METRIC_REQUESTS].by;
    int64_t window_ms = o->to_ms - o->from_ms;

    buf_puts(b, "clamp_min((");
    if (window_ms > CALLER_LATE_MS) {
        put_increase(b, SPAN_CALLERS_AWAITED, by, window_ms - CALLER_LATE_MS, CALLER_LATE_MS);
        buf_puts(b, " or ");
    }
    buf_puts(b, "0 * ");
    put_increase(b, SPAN_CALLERS_AWAITED, by, window_ms, 0);
    buf_puts(b, ") - ");
    put_increase(b, SPAN_CALLERS_FOUND, by, window_ms, 0);
    buf_puts(b, ", 0) - ");
    put_increase(b, SPAN_CALLERS_AWAITED, by, window_ms, 0);
}

static int read_vector(struct graph *g, struct ledger *l, enum metric m, const struct promql_value *v, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->series[i].n > 0 && graph_read(g, l, m, v->series[i].labels, v->series[i].v[0]) < 0)
            return err_set(e, ERR_NOMEM, "graph: no memory for %zu series of %s", v->n, queries[m].name);
    return 0;
}

/* Reads what the query in `text`, about the metric, comes to at the window's end. */
static int ask(struct store *st, struct graph *g, struct ledger *l, enum metric m, struct str text, struct err *e)
{
    struct promql_window at = { g->o.to_ms, g->o.to_ms, 0 };
    struct promql_expr *x = promql_parse(l->a, text, e);
    struct promql_value *v = x ? promql_eval(st, x, at, NULL, l->a, e) : NULL;

    if (!v)
        return err_wrap(e, "graph: %s", queries[m].name);
    return read_vector(g, l, m, v, e);
}

static int ask_all(struct store *st, struct graph *g, struct ledger *l, struct err *e)
{
    struct buf text = BUF_INIT(8192);
    int rc;

    put_correction(&text, &g->o);
    rc = ask(st, g, l, METRIC_REQUESTS, buf_view(&text), e);
    for (enum metric m = 0; m < METRICS && rc == 0; m++) {
        buf_reset(&text);
        put_query(&text, m, &g->o);
        rc = ask(st, g, l, m, buf_view(&text), e);
    }
    buf_free(&text);
    return rc;
}

static int fill(struct graph *g, struct store *st, struct err *e)
{
    struct arena a = ARENA_INIT(GRAPH_ARENA);
    struct ledger l;
    int rc;

    ledger_init(&l, &a);
    rc = ask_all(st, g, &l, e);
    if (rc == 0)
        rc = graph_finish(g, &l, e);
    ledger_fini(&l);
    arena_free(&a);
    return rc;
}

struct graph *graph_build(struct store *st, const struct graph_options *o, struct err *e)
{
    struct err mine = ERR_INIT, *says = e ? e : &mine;
    struct graph *g = graph_new(o, says);

    if (g && fill(g, st, says) < 0) {
        graph_free(g);
        g = NULL;
    }
    return g;
}
