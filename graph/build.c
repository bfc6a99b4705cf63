/* build.c: what the store knows of a window, asked in PromQL, becomes a graph.
 *
 * One instant query at the window's end for each metric. `anchored` takes a counter's value at the window's end less
 * that at its start, without extrapolation: whole numbers, where rate() would give fractions of requests; the store has
 * put a zero at each counter's start, so that a series' first increment counts too. The namespaces are chosen here and
 * not in the query: a hop belongs to the graph when either end does, which one selector cannot say. */
#include "graph/graph-internal.h"

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

static void put_query(struct buf *b, enum metric m, const struct graph_options *o)
{
    buf_printf(b, "sum by (reporter, " SOURCE_LABELS ", " DESTINATION_LABELS ", %s) (increase(%s[%lldms] anchored))",
               queries[m].by, queries[m].name, (long long)(o->to_ms - o->from_ms));
    /* A bucket that stays at zero is part of its histogram. */
    if (!o->include_idle_edges && m != METRIC_DURATION)
        buf_puts(b, " > 0");
}

static int read_vector(struct graph *g, struct ledger *l, enum metric m, const struct promql_value *v, struct err *e)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->series[i].n > 0 && graph_read(g, l, m, v->series[i].labels, v->series[i].v[0]) < 0)
            return err_set(e, ERR_NOMEM, "graph: no memory for %zu series of %s", v->n, queries[m].name);
    return 0;
}

static int ask(struct store *st, struct graph *g, struct ledger *l, enum metric m, struct err *e)
{
    struct promql_window at = { g->o.to_ms, g->o.to_ms, 0 };
    struct buf text = BUF_INIT(4096);
    struct promql_expr *x;
    struct promql_value *v;

    put_query(&text, m, &g->o);
    x = promql_parse(l->a, buf_view(&text), e);
    v = x ? promql_eval(st, x, at, NULL, l->a, e) : NULL;
    buf_free(&text);
    if (!v)
        return err_wrap(e, "graph: %s", queries[m].name);
    return read_vector(g, l, m, v, e);
}

static int fill(struct graph *g, struct store *st, struct err *e)
{
    struct arena a = ARENA_INIT(GRAPH_ARENA);
    struct ledger l;
    int rc = 0;

    ledger_init(&l, &a);
    for (enum metric m = 0; m < METRICS && rc == 0; m++)
        rc = ask(st, g, &l, m, e);
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
