#include "collector/access_log_complete.h"

static struct str get(const struct batch *b, size_t row, enum access_log_field field)
{
    return batch_event(b, EVENT_ACCESS_LOG, row, (int)field).s;
}

/* Where the column is empty and the text is not. */
static int fill(struct batch *b, size_t row, enum access_log_field field, struct str text)
{
    if (text.n == 0 || get(b, row, field).n)
        return 0;
    return batch_change_event(b, EVENT_ACCESS_LOG, row, (int)field, (union event_value){.s = text});
}

static int fill_from(struct batch *b, size_t row, enum access_log_field field, enum access_log_field other)
{
    return fill(b, row, field, get(b, row, other));
}

/* --- the cluster's name --- */

/* DIRECTION|PORT|SUBSET|HOST; false: it is none of Istio's. */
static bool read_cluster(struct str name, bool *is_inbound, struct str *host)
{
    struct str direction = str_cut(&name, '|');

    *is_inbound = str_eqz(direction, "inbound");
    if (!name.p || !(*is_inbound || str_eqz(direction, "outbound")))
        return false;
    (void)str_cut(&name, '|');
    (void)str_cut(&name, '|');
    *host = name;
    return true;
}

static int fill_from_cluster(struct batch *b, size_t row)
{
    struct str host;
    bool is_inbound;
    int rc;

    if (!read_cluster(get(b, row, ACCESS_LOG_upstream_cluster), &is_inbound, &host))
        return 0;
    rc = fill(b, row, ACCESS_LOG_reporter, is_inbound ? STR("destination") : STR("source"));
    return rc < 0 ? rc : fill(b, row, ACCESS_LOG_destination_service, host);
}

/* --- one identity by another --- */

void service_of_host(struct str host, struct str *name, struct str *ns)
{
    struct str rest = host, first = str_cut(&rest, '.'), second = rest.p ? str_cut(&rest, '.') : STR_NULL;
    bool is_service = rest.p && (str_eqz(rest, "svc") || str_starts(rest, STR("svc.")));

    *name = is_service ? first : host;
    *ns = is_service ? second : STR_NULL;
}

static int fill_from_host(struct batch *b, size_t row)
{
    struct str name, ns;
    int rc;

    service_of_host(get(b, row, ACCESS_LOG_destination_service), &name, &ns);
    rc = fill(b, row, ACCESS_LOG_destination_service_name, name);
    return rc < 0 ? rc : fill(b, row, ACCESS_LOG_destination_service_namespace, ns);
}

/* The fields of one end of the request. */
struct end {
    enum access_log_field workload, ns, app, version, service, revision, cluster;
};

static const struct end source = {
    ACCESS_LOG_source_workload, ACCESS_LOG_source_workload_namespace, ACCESS_LOG_source_app,
    ACCESS_LOG_source_version,  ACCESS_LOG_source_canonical_service,  ACCESS_LOG_source_canonical_revision,
    ACCESS_LOG_source_cluster};
static const struct end destination = {ACCESS_LOG_destination_workload,
                                       ACCESS_LOG_destination_workload_namespace,
                                       ACCESS_LOG_destination_app,
                                       ACCESS_LOG_destination_version,
                                       ACCESS_LOG_destination_canonical_service,
                                       ACCESS_LOG_destination_canonical_revision,
                                       ACCESS_LOG_destination_cluster};

/* The end at which the reporter stands is the reporter. */
static int fill_own(struct batch *b, size_t row, const struct end *end)
{
    int rc;

    if ((rc = fill_from(b, row, end->workload, ACCESS_LOG_workload)) < 0 ||
        (rc = fill_from(b, row, end->ns, ACCESS_LOG_namespace)) < 0 ||
        (rc = fill_from(b, row, end->app, ACCESS_LOG_app)) < 0)
        return rc;
    return fill_from(b, row, end->version, ACCESS_LOG_version);
}

/* Istio's canonical service is the label app where there is no better, and then the workload's name. Its clusters
 * have one name as long as there is one. */
static int fill_end(struct batch *b, size_t row, const struct end *end)
{
    int rc;

    if ((rc = fill_from(b, row, end->service, end->app)) < 0 ||
        (rc = fill_from(b, row, end->service, end->workload)) < 0 ||
        (rc = fill_from(b, row, end->revision, end->version)) < 0)
        return rc;
    return get(b, row, end->ns).n ? fill(b, row, end->cluster, STR("Kubernetes")) : 0;
}

static int fill_protocol(struct batch *b, size_t row)
{
    bool is_http =
        get(b, row, ACCESS_LOG_method).n || batch_event(b, EVENT_ACCESS_LOG, row, ACCESS_LOG_response_code).i > 0;

    if (!is_http)
        return fill(b, row, ACCESS_LOG_request_protocol, STR("tcp"));
    return fill(b, row, ACCESS_LOG_request_protocol,
                get(b, row, ACCESS_LOG_grpc_response_status).n ? STR("grpc") : STR("http"));
}

int access_log_complete(struct batch *b, size_t row)
{
    struct str reporter;
    int rc;

    if ((rc = fill_protocol(b, row)) < 0 || (rc = fill_from_cluster(b, row)) < 0 || (rc = fill_from_host(b, row)) < 0)
        return rc;
    reporter = get(b, row, ACCESS_LOG_reporter);
    if (str_eqz(reporter, "source"))
        rc = fill_own(b, row, &source);
    else if (str_eqz(reporter, "destination"))
        rc = fill_own(b, row, &destination);
    if (rc == 0)
        rc = fill_end(b, row, &source);
    return rc < 0 ? rc : fill_end(b, row, &destination);
}
