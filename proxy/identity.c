#include "proxy/identity.h"

static const struct workload stranger = {
    .pod = STR_INIT("unknown"), .name = STR_INIT("unknown"), .ns = STR_INIT("unknown"), .app = STR_INIT("unknown"),
    .version = STR_INIT("unknown"), .canonical_service = STR_INIT("unknown"),
    .canonical_revision = STR_INIT("latest"), .principal = STR_INIT("unknown"), .cluster = STR_INIT("unknown"),
};

static void fill_source(struct access_log *l, const struct workload *w)
{
    l->source_workload = w->name;
    l->source_workload_namespace = w->ns;
    l->source_app = w->app;
    l->source_version = w->version;
    l->source_canonical_service = w->canonical_service;
    l->source_canonical_revision = w->canonical_revision;
    l->source_cluster = w->cluster;
}

static void fill_destination(struct access_log *l, const struct workload *w)
{
    l->destination_workload = w->name;
    l->destination_workload_namespace = w->ns;
    l->destination_app = w->app;
    l->destination_version = w->version;
    l->destination_canonical_service = w->canonical_service;
    l->destination_canonical_revision = w->canonical_revision;
    l->destination_cluster = w->cluster;
}

/* Plain text proves nobody's name, and a proxy that calls does not say how it is secured: Istio leaves that to the one
 * that is called. */
static void fill_security(struct access_log *l, bool inbound, const struct identity *id)
{
    struct str unknown = STR("unknown");
    struct str source = inbound ? id->peer->tls->principal : id->upstream ? id->upstream->own : STR_NULL;
    struct str destination = inbound ? id->peer->tls->own : id->upstream ? id->upstream->principal : STR_NULL;
    bool mutual = source.n && destination.n;

    l->source_principal = mutual ? source : unknown;
    l->destination_principal = mutual ? destination : unknown;
    l->connection_security_policy = !inbound ? unknown : mutual ? STR("mutual_tls") : STR("none");
}

static void fill_service(struct access_log *l, const struct proxy_snapshot *s, bool inbound, const struct cluster *c,
                         struct str authority)
{
    struct str unknown = STR("unknown");

    l->destination_service = c && c->host.n ? c->host : inbound && authority.n ? authority : unknown;
    l->destination_service_name = c && c->service.n ? c->service : l->destination_service;
    l->destination_service_namespace = c && c->service_ns.n ? c->service_ns : inbound ? s->self.ns : unknown;
}

void identity_fill(struct access_log *l, const struct proxy_snapshot *s, const struct identity *id)
{
    bool inbound = id->on->direction == LISTENER_INBOUND;
    const struct workload *caller = inbound ? snapshot_workload(s, id->peer->remote_ip) : &s->self;

    l->reporter = inbound ? STR("destination") : STR("source");
    l->pod = s->self.pod;
    l->namespace = s->self.ns;
    l->workload = s->self.name;
    l->app = s->self.app;
    l->version = s->self.version;
    fill_source(l, caller ? caller : &stranger);
    fill_destination(l, inbound ? &s->self : id->endpoint ? id->endpoint->workload : &stranger);
    fill_service(l, s, inbound, id->cluster, id->authority);
    fill_security(l, inbound, id);
}
