/* snapshot_inbound.c: a sidecar's own application: its ports as others call them, and where it really listens.
 *
 * A Sidecar with ingress listeners says which ports there are; without, each port that a Service leads to the Pod is
 * one. Clusters are named by the container's port, as Istio does. */
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

/* One port of the application. */
struct inward {
    const struct service *service;      /* the oldest that leads here; NULL: none does */
    const struct service_port *port;
    const struct sc_ingress *ingress;   /* NULL: by the services alone */
    uint16_t number;                    /* the container's */
};

static bool leads_here(const struct draft *d, const struct service *s)
{
    return s->selector.n && str_eq(s->object->ns, d->pod->object->ns) && labels_contain(d->pod->labels, s->selector);
}

static int by_age(const void *x, const void *y)
{
    return object_age_cmp((*(const struct service *const *)x)->object, (*(const struct service *const *)y)->object);
}

static const struct service **list_services(struct draft *d, size_t *n)
{
    const struct mesh *m = d->mesh;
    const struct service **v = draft_alloc(d, m->nregistry, sizeof(const struct service *));

    for (size_t i = 0; v && i < m->nregistry; i++)
        if (leads_here(d, m->registry[i]))
            v[(*n)++] = m->registry[i];
    if (*n > 1)
        qsort(v, *n, sizeof(const struct service *), by_age);
    return v;
}

/* ---- clusters ---- */

static bool has_cluster(const struct draft *d, struct str name)
{
    for (size_t i = 0; i < d->clusters.n; i++)
        if (str_eq(d->clusters.v[i].name, name))
            return true;
    return false;
}

static enum service_speech speech_of(const struct inward *in)
{
    return in->ingress ? in->ingress->speech : in->port->speech;
}

/* The Sidecar's connection pool, for the port or for all, or else the service's own DestinationRule's. */
static const struct dr_pool *pool_of(const struct draft *d, const struct inward *in)
{
    if (in->ingress && in->ingress->pool)
        return in->ingress->pool;
    if (d->sidecar && d->sidecar->pool)
        return d->sidecar->pool;
    return in->service ? draft_pool_of(d, in->service, in->port->port) : NULL;
}

static void add_cluster(struct draft *d, const struct inward *in)
{
    struct cluster c = { .port = in->number, .tls = { .mode = TLS_CLIENT_OFF } };
    struct policy_parts parts = { .pool = NULL };
    uint16_t to = in->ingress && in->ingress->to_port ? in->ingress->to_port : in->number;
    struct endpoint *ep = draft_alloc(d, 1, sizeof(*ep));

    c.name = draft_printf(d, "inbound|%u||", in->number);
    if (!ep || has_cluster(d, c.name))
        return;
    if (in->service) {
        c.host = in->service->host;
        c.service = in->service->name;
        c.service_ns = in->service->object->ns;
    }
    *ep = (struct endpoint){ .ip = d->id->app_address, .port = pod_served_at(d->pod, to), .container_port = to,
                             .weight = 1, .workload = &d->out->self };
    c.endpoints = ep;
    c.nendpoints = 1;
    parts.pool = pool_of(d, in);
    policy_set(&c, &parts, speech_of(in));
    draft_add_cluster(d, &c);
}

/* ---- which ports ---- */

/* The oldest service with a port that leads to the container's. */
static void find_service(const struct draft *d, const struct service **v, size_t n, struct inward *in)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i]->ports.n; k++) {
            if (v[i]->ports.v[k].udp || pod_target_port(d->pod, &v[i]->ports.v[k]) != in->number)
                continue;
            in->service = v[i];
            in->port = &v[i]->ports.v[k];
            return;
        }
    }
}

static void by_sidecar(struct draft *d, const struct service **v, size_t n)
{
    for (size_t i = 0; i < d->sidecar->ingress.n && !d->nomem; i++) {
        const struct sc_ingress *ingress = &d->sidecar->ingress.v[i];
        struct inward in = { .ingress = ingress, .number = (uint16_t)ingress->port->number };

        if (ingress->by_socket)
            continue;
        find_service(d, v, n, &in);
        add_cluster(d, &in);
    }
}

void draft_inbound_clusters(struct draft *d)
{
    size_t n = 0;
    const struct service **v = list_services(d, &n);

    if (d->sidecar && d->sidecar->ingress.n) {
        by_sidecar(d, v, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i]->ports.n && !d->nomem; k++) {
            struct inward in = { .service = v[i], .port = &v[i]->ports.v[k] };

            in.number = pod_target_port(d->pod, in.port);
            if (!in.port->udp && in.number)
                add_cluster(d, &in);
        }
    }
}

/* ---- listeners ---- */

static const struct sc_ingress *find_ingress(const struct draft *d, uint16_t port)
{
    for (size_t i = 0; d->sidecar && i < d->sidecar->ingress.n; i++)
        if (d->sidecar->ingress.v[i].port->number == port)
            return &d->sidecar->ingress.v[i];
    return NULL;
}

static const struct service *find_own(const struct draft *d, const struct cluster *c)
{
    for (size_t i = 0; i < d->mesh->nregistry; i++)
        if (str_eq(d->mesh->registry[i]->host, c->host) && str_eq(d->mesh->registry[i]->object->ns, c->service_ns))
            return d->mesh->registry[i];
    return NULL;
}

/* The service's port that leads to the cluster; NULL: a Sidecar says what there is, or no service does. */
static const struct service_port *find_port(const struct draft *d, const struct cluster *c)
{
    const struct service *s = find_ingress(d, c->port) ? NULL : find_own(d, c);

    for (size_t i = 0; s && i < s->ports.n; i++)
        if (!s->ports.v[i].udp && pod_target_port(d->pod, &s->ports.v[i]) == c->port)
            return &s->ports.v[i];
    return NULL;
}

/* Istio's: a connection that was closed before the request was sent is tried again. Its name has the service's port. */
static void inbound_host(struct draft *d, const struct cluster *c, struct listener *l)
{
    static const struct str any = STR_INIT("*");
    const struct service_port *port = find_port(d, c);
    struct virtual_host *vh = draft_alloc(d, 1, sizeof(*vh));
    struct route_list routes = { NULL, 0, 0 };

    draft_default_route(d, c->name, &routes);
    if (!vh || d->nomem)
        return;
    routes.v[0].retry.on = RETRY_RESET_BEFORE_REQUEST;
    *vh = (struct virtual_host){ .name = draft_printf(d, "inbound|http|%u", port ? port->port : c->port),
                                 .domains = &any, .ndomains = 1 };
    vh->routes = routes.v;
    vh->nroutes = routes.n;
    draft_limit_hosts(d, LISTENER_INBOUND, c->port, vh, 1);
    l->hosts = vh;
    l->nhosts = 1;
}

/* What the port speaks: the Sidecar says, or the service's port that leads to it. */
static enum listener_protocol protocol_of(const struct draft *d, const struct cluster *c)
{
    const struct sc_ingress *ingress = find_ingress(d, c->port);
    const struct service_port *port = find_port(d, c);

    if (ingress && ingress->tls)
        return str_ieq(ingress->port->protocol, STR("HTTPS")) ? PROTOCOL_HTTP : PROTOCOL_TCP;
    if (ingress)
        return speech_protocol(ingress->speech);
    return port ? speech_protocol(port->speech) : PROTOCOL_SNIFF;
}

/* A port that terminates TLS of those who are outside of the mesh. */
static void secure(struct draft *d, const struct sc_ingress *ingress, struct listener *l)
{
    struct listener *serve = draft_alloc(d, 1, sizeof(*serve));
    struct chain_list chains = { NULL, 0, 0 };

    if (!serve)
        return;
    *serve = *l;
    draft_http_limits(d, serve);
    l->hosts = NULL;
    l->tcp = NULL;
    l->nhosts = l->ntcp = 0;
    draft_chain(d, &chains, STR("*"), draft_tls_server(d, ingress->tls), serve);
    draft_chains_done(&chains, l);
}

void draft_inbound_listeners(struct draft *d)
{
    for (size_t i = 0; i < d->clusters.n && !d->nomem; i++) {
        const struct cluster *c = &d->clusters.v[i];
        struct listener l = { .ip = d->out->self.ip, .port = c->port, .direction = LISTENER_INBOUND };
        const struct sc_ingress *ingress;

        if (!str_starts(c->name, STR("inbound|")))
            continue;
        ingress = find_ingress(d, c->port);
        if (ingress && ingress->bind.n)
            l.ip = ingress->bind;
        l.bind_port = pod_served_at(d->pod, c->port);
        l.protocol = protocol_of(d, c);
        if (l.protocol != PROTOCOL_TCP)
            inbound_host(d, c, &l);
        if (l.protocol != PROTOCOL_HTTP)
            draft_tcp_default(d, c->name, &l);
        if (ingress && ingress->tls && !d->nomem)
            secure(d, ingress, &l);
        draft_listener(d, &l, false);
    }
}
