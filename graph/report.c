/* report.c: one row of a vector is what one proxy reports of one kind of request: who called whom, how it ended.
 *
 * Istio's labels are not always whole. The clean-up is Kiali's, so that both draw the same graph: a destination
 * cluster that is unknown is the source's (istio#29373); a row that names a namespace but nothing in it, or a
 * destination that is a bare address, is left out; a response code "0" is no response, "-"; for gRPC the status counts
 * unless HTTP itself failed. */
#include "graph/graph-internal.h"

#include "base/num.h"

const char *const protocol_names[PROTOCOLS] = { "grpc", "http", "tcp" };

static const struct str unknown = STR_INIT("unknown");

bool label_known(struct str label)
{
    return label.n > 0 && !str_eq(label, unknown);
}

bool version_known(struct str version)
{
    return label_known(version) && !str_eqz(version, "latest");
}

static struct str get(struct labels l, const char *name)
{
    return labels_get(l, str_of(name));
}

/* An address, with or without a port: 10.11.12.13:80. */
static bool is_address(struct str s)
{
    int dots = 0, digits = 0;
    size_t i = 0;

    for (; i < s.n && s.p[i] != ':'; i++) {
        if (s.p[i] == '.') {
            if (digits == 0)
                return false;
            dots++;
            digits = 0;
        } else if (s.p[i] >= '0' && s.p[i] <= '9') {
            digits++;
        } else {
            return false;
        }
    }
    if (dots != 3 || digits == 0)
        return false;
    if (i == s.n)
        return true;
    for (digits = 0, i++; i < s.n; i++, digits++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return digits > 0;
}

static struct str or_unknown(struct str s)
{
    return s.n ? s : unknown;
}

/* False: the source says too little, or contradicts itself. */
static bool read_source(struct party *p, struct labels l)
{
    struct str cluster = get(l, "source_cluster");

    p->ns = get(l, "source_workload_namespace");
    p->workload = get(l, "source_workload");
    p->app = get(l, "source_canonical_service");
    p->version = get(l, "source_canonical_revision");
    p->cluster = or_unknown(cluster);
    p->service_ns = p->ns;
    p->service = STR_NULL;
    if (label_known(p->ns) && !label_known(p->workload) && !label_known(p->app))
        return false;
    return !(label_known(p->ns) && cluster.n && !label_known(cluster));
}

static void egress_gateway(struct party *p, struct str cluster)
{
    *p = (struct party){ .cluster = cluster,
                         .ns = STR("istio-system"),
                         .workload = STR("istio-egressgateway"),
                         .app = STR("istio-egressgateway"),
                         .version = STR("latest"),
                         .service_ns = STR("istio-system"),
                         .service = STR("istio-egressgateway") };
}

static bool read_destination(struct party *p, struct labels l, const struct party *source, struct str host)
{
    struct str cluster = get(l, "destination_cluster");

    p->cluster = or_unknown(cluster);
    p->ns = get(l, "destination_workload_namespace");
    p->workload = get(l, "destination_workload");
    p->app = get(l, "destination_canonical_service");
    p->version = get(l, "destination_canonical_revision");
    p->service_ns = get(l, "destination_service_namespace");
    p->service = get(l, "destination_service_name");
    if (str_eqz(host, "istio-egressgateway.istio-system.svc.cluster.local") && str_eq(host, p->service))
        egress_gateway(p, source->cluster);
    else if (!label_known(p->cluster) && label_known(source->cluster) && label_known(p->service_ns))
        p->cluster = source->cluster;
    if (!label_known(p->workload) && label_known(host) && str_eq(host, p->service) && is_address(p->service))
        return false;
    return !(label_known(p->service_ns) && cluster.n && !label_known(p->cluster));
}

static struct str read_code(struct labels l, enum protocol p)
{
    struct str code = get(l, "response_code"), status = get(l, "grpc_response_status");

    if (str_eqz(code, "0"))
        return STR("-");
    if (p != PROTO_GRPC || status.n == 0 || (code.n && (code.p[0] == '4' || code.p[0] == '5')))
        return code;
    return status;
}

bool report_read(struct report *r, enum metric m, struct labels l, double value)
{
    struct str reporter = get(l, "reporter");

    *r = (struct report){ .metric = m, .value = value, .host = get(l, "destination_service") };
    /* A waypoint stands in for the destination's own proxy. */
    r->by_destination = !str_eqz(reporter, "source");
    r->protocol = PROTO_TCP;
    if (m == METRIC_REQUESTS || m == METRIC_DURATION)
        r->protocol = str_eqz(get(l, "request_protocol"), "grpc") ? PROTO_GRPC : PROTO_HTTP;
    if (m == METRIC_REQUESTS)
        r->code = read_code(l, r->protocol);
    if (m != METRIC_DURATION)
        r->flags = get(l, "response_flags").n ? get(l, "response_flags") : STR("-");
    else if (!num_double(get(l, "le"), &r->le))
        return false;
    return read_source(&r->source, l) && read_destination(&r->destination, l, &r->source, r->host);
}

/* "reviews.bookinfo.svc.cluster.local" lies in bookinfo: something, a dot, the namespace, a dot, something. */
static bool host_in(struct str host, struct str ns)
{
    for (size_t i = 1; i + ns.n + 2 < host.n; i++)
        if (host.p[i] == '.' && host.p[i + 1 + ns.n] == '.' && memcmp(host.p + i + 1, ns.p, ns.n) == 0)
            return true;
    return false;
}

static bool is_focus(const struct graph_focus *f, const struct party *p, bool destination)
{
    if (f->service.n)
        return destination && str_eq(p->service_ns, f->ns) && str_eq(p->service, f->service);
    if (!str_eq(p->ns, f->ns))
        return false;
    if (f->workload.n)
        return str_eq(p->workload, f->workload);
    return str_eq(p->app, f->app) && (f->version.n == 0 || str_eq(p->version, f->version));
}

bool report_wanted(const struct report *r, const struct graph_options *o)
{
    bool lost = str_eq(r->destination.ns, unknown) && str_eq(r->destination.workload, unknown);

    if (o->focus.ns.n && !is_focus(&o->focus, &r->source, false) && !is_focus(&o->focus, &r->destination, true))
        return false;
    if (o->nnamespaces == 0)
        return true;
    for (size_t i = 0; i < o->nnamespaces; i++) {
        struct str ns = o->namespaces[i];

        if (str_eq(r->source.ns, ns) || str_eq(r->destination.ns, ns) || (lost && host_in(r->host, ns)))
            return true;
    }
    return false;
}

/* Envoy's flags of requests that no upstream ever saw: no route, no cluster, no healthy host, no connection, an open
 * circuit, refused by authorization or rate limit, a fault injected, failed health check, name not resolved. */
bool flags_not_sent(struct str flags)
{
    static const char *const not_sent[] = { "NR", "NC", "UH", "UF", "UO", "UAEX", "RL", "RLSE", "FI", "LH", "DF" };
    struct str rest = flags;

    while (rest.p) {
        struct str flag = str_cut(&rest, ',');

        for (size_t i = 0; i < sizeof(not_sent) / sizeof(not_sent[0]); i++)
            if (str_eqz(flag, not_sent[i]))
                return true;
    }
    return false;
}
