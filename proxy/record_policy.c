/* record_policy.c: what Telemetry resources keep out of the log, the traces and the metrics. */
#include "mesh/snapshot.h"
#include "proxy/record.h"

const struct telemetry_policy *record_policy(const struct proxy_snapshot *s, const struct listener *l)
{
    return l->direction == LISTENER_INBOUND ? &s->server : &s->client;
}

void record_obey(struct record *rec, const struct telemetry_policy *p)
{
    rec->no_log = p->no_access_log || rec->log.response_code < p->log_least_status;
    rec->no_span = p->no_spans;
    rec->no_istio_tags = p->no_istio_tags;
    rec->metrics_off = p->metrics_off;
}
