/* envoy_identity.c: what follows from an entry's fields and its sender: reporter, source and destination, times, trace.
 *
 * What a custom tag has said stays. Where Istio is, its proxies stand at both ends of an edge: the cluster's name says at
 * which one this is, and the filter state who the peer was. An Envoy by itself stands at the source, and its upstream's
 * cluster is the destination's service. */
#include "collector/envoy-internal.h"

#include "base/clock.h"

static void fill(struct envoy_entry *x, enum access_log_field column, struct str text)
{
    if (x->v[column].s.n == 0)
        x->v[column].s = text;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for an entry of an access log");
}

/* --- who --- */

static bool is_at_destination(const struct envoy_entry *x)
{
    struct str cluster = x->v[ACCESS_LOG_upstream_cluster].s;

    if (str_starts(cluster, STR("inbound")) || str_starts(cluster, STR("InboundPassthroughCluster")))
        return true;
    if (cluster.n || x->node->is_gateway)
        return false;
    return x->node->is_istio && x->local_spiffe.n; /* it answered by itself: only an inbound listener has a certificate */
}

static void fill_source(struct envoy_entry *x, const struct envoy_workload *w)
{
    fill(x, ACCESS_LOG_source_workload, w->workload);
    fill(x, ACCESS_LOG_source_workload_namespace, w->ns);
    fill(x, ACCESS_LOG_source_app, w->app);
    fill(x, ACCESS_LOG_source_version, w->version);
    fill(x, ACCESS_LOG_source_canonical_service, w->service);
    fill(x, ACCESS_LOG_source_canonical_revision, w->revision);
    fill(x, ACCESS_LOG_source_cluster, w->cluster);
}

static void fill_destination(struct envoy_entry *x, const struct envoy_workload *w)
{
    fill(x, ACCESS_LOG_destination_workload, w->workload);
    fill(x, ACCESS_LOG_destination_workload_namespace, w->ns);
    fill(x, ACCESS_LOG_destination_app, w->app);
    fill(x, ACCESS_LOG_destination_version, w->version);
    fill(x, ACCESS_LOG_destination_canonical_service, w->service);
    fill(x, ACCESS_LOG_destination_canonical_revision, w->revision);
    fill(x, ACCESS_LOG_destination_cluster, w->cluster);
}

static void fill_own(struct envoy_entry *x)
{
    const struct envoy_workload *w = &x->node->is;

    fill(x, ACCESS_LOG_pod, w->pod);
    fill(x, ACCESS_LOG_namespace, w->ns);
    fill(x, ACCESS_LOG_workload, w->workload.n ? w->workload : x->node->cluster);
    fill(x, ACCESS_LOG_app, w->app);
    fill(x, ACCESS_LOG_version, w->version);
}

/* The service as it was called, from the Host: "reviews:9080" and "reviews.default.svc.cluster.local" alike. */
static int fill_called_service(struct envoy_entry *x, struct err *e)
{
    struct str host = x->v[ACCESS_LOG_authority].s, ns = x->node->is.ns, full;

    if (host.n == 0 || host.p[0] == '[' || x->v[ACCESS_LOG_destination_service].s.n)
        return 0;
    host = str_cut(&host, ':');
    if (str_find(host, STR(".svc")) > 0) {
        x->v[ACCESS_LOG_destination_service].s = host;
    } else if (str_chr(host, '.') < 0 && ns.n) {
        full = arena_printf(x->arena, "%.*s.%.*s.svc.cluster.local", STR_ARG(host), STR_ARG(ns));
        if (!full.p)
            return no_memory(e);
        x->v[ACCESS_LOG_destination_service].s = full;
    }
    return 0;
}

static int conclude_destination(struct envoy_entry *x, struct err *e)
{
    bool is_mutual = x->tls && x->peer_spiffe.n;
    int rc = x->is_tcp ? 0 : fill_called_service(x, e);

    fill(x, ACCESS_LOG_reporter, STR("destination"));
    fill_destination(x, &x->node->is);
    fill_source(x, &x->downstream);
    fill(x, ACCESS_LOG_source_principal, x->peer_spiffe);
    fill(x, ACCESS_LOG_destination_principal, x->local_spiffe);
    fill(x, ACCESS_LOG_connection_security_policy, is_mutual ? STR("mutual_tls") : STR("none"));
    if (x->v[ACCESS_LOG_destination_service].s.n == 0) {
        fill(x, ACCESS_LOG_destination_service_name, x->node->is.service);
        fill(x, ACCESS_LOG_destination_service_namespace, x->node->is.ns);
    }
    return rc;
}

static void conclude_source(struct envoy_entry *x)
{
    struct str cluster = x->v[ACCESS_LOG_upstream_cluster].s;

    fill(x, ACCESS_LOG_reporter, STR("source"));
    fill_source(x, &x->node->is);
    fill_destination(x, &x->upstream);
    if (!x->node->is_istio && str_chr(cluster, '|') < 0)
        fill(x, ACCESS_LOG_destination_service, cluster);
}

/* --- what --- */

static bool is_hex(struct str s, size_t n)
{
    if (s.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

/* W3C's traceparent, "00-TRACE-SPAN-FLAGS", or B3's two fields; B3's trace ids may have half the length. */
static int conclude_trace(struct envoy_entry *x, struct err *e)
{
    struct str rest = x->traceparent, trace, span;

    (void)str_cut(&rest, '-');
    trace = rest.p ? str_cut(&rest, '-') : x->b3_trace;
    span = rest.p ? str_cut(&rest, '-') : x->b3_span;
    if (is_hex(trace, 16)) {
        trace = arena_printf(x->arena, "0000000000000000%.*s", STR_ARG(trace));
        if (!trace.p)
            return no_memory(e);
    }
    if (!is_hex(trace, 32) || !is_hex(span, 16))
        return 0;
    fill(x, ACCESS_LOG_trace_id, trace);
    fill(x, ACCESS_LOG_span_id, span);
    return 0;
}

static void conclude_times(struct envoy_entry *x)
{
    int64_t took = x->duration_ns >= 0 ? x->duration_ns : x->last_down_tx_ns >= 0 ? x->last_down_tx_ns : x->last_down_rx_ns;

    if (took >= 0)
        x->v[ACCESS_LOG_duration_us].i = took / 1000;
    if (x->last_up_tx_ns >= 0 && x->first_up_rx_ns >= x->last_up_tx_ns)
        x->v[ACCESS_LOG_upstream_service_time_us].i = (x->first_up_rx_ns - x->last_up_tx_ns) / 1000;
    if (x->start_ns == 0)
        x->start_ns = clock_now_ns();
}

static int conclude_http(struct envoy_entry *x, struct err *e)
{
    int64_t *code = &x->v[ACCESS_LOG_response_code].i;
    bool is_grpc = str_starts(x->content_type, STR("application/grpc")) || x->v[ACCESS_LOG_grpc_response_status].s.n;

    *code = *code < 0 ? 0 : *code;
    fill(x, ACCESS_LOG_request_protocol, is_grpc ? STR("grpc") : STR("http"));
    if (x->original_path.n) {
        x->v[ACCESS_LOG_path].s = x->original_path;
        return envoy_entry_put(x, NULL, STR("rewritten_path"), x->path, e);
    }
    return 0;
}

static int put_sender(struct envoy_entry *x, struct err *e)
{
    const struct envoy_node *n = x->node;
    const struct label of_sender[] = {
        { STR("log_name"), n->log_name },  { STR("node.id"), n->id },     { STR("node.cluster"), n->cluster },
        { STR("node.region"), n->region }, { STR("node.zone"), n->zone }, { STR("node.sub_zone"), n->sub_zone },
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(of_sender) / sizeof(of_sender[0]); i++)
        rc = envoy_entry_put(x, NULL, of_sender[i].name, of_sender[i].value, e);
    return rc;
}

int envoy_entry_conclude(struct envoy_entry *x, struct err *e)
{
    struct str said = x->v[ACCESS_LOG_reporter].s;
    int rc = 0;

    fill_own(x);
    if (said.n ? str_eqz(said, "destination") : is_at_destination(x))
        rc = conclude_destination(x, e);
    else
        conclude_source(x);
    conclude_times(x);
    if (x->is_tcp)
        fill(x, ACCESS_LOG_request_protocol, STR("tcp"));
    else if (rc == 0)
        rc = conclude_http(x, e);
    if (rc == 0)
        rc = conclude_trace(x, e);
    return rc < 0 ? rc : put_sender(x, e);
}
