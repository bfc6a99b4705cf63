/* snapshot_listeners.c: where a sidecar listens, and which virtual hosts it has there.
 *
 * Nothing captures traffic, so every service port of the mesh has a listener that applications connect to:
 *
 *   with an outbound net   one for each service at its own address there. Host decides among all services of the port,
 *                          as in Istio; a host that nobody knows goes to the service whose listener it is (Istio would
 *                          pass it on to where the connection was going, which is just that).
 *   without                one for each port. A host that nobody knows is answered 404: there is no "where it was
 *                          going". What is not HTTP goes to the oldest service that has the port for it.
 *
 * A port is HTTP, TCP or sniffed by its name and appProtocol; one that several services share is sniffed when they
 * differ. A VirtualService of the mesh is whole or not at all: for a host the oldest that names it, or else the one
 * with the most specific wildcard, and where that has no rule for this proxy and port, the service's default. */
#include "base/err.h"
#include "base/strmap.h"
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

enum { EXTRA_PORT = 80 }; /* hosts that are no services are served there alone: so does Istio */

static const struct str mesh_gateway_name = STR_INIT("mesh");

/* One port of one service. */
struct target {
    const struct service *service;
    const struct service_port *port;
    const struct virtual_service *vs; /* NULL: none */
    struct str cluster;
};

/* Everything that has the same port. */
struct group {
    struct draft *draft;
    const struct target *v;
    size_t n;
    uint16_t port;
    struct strmap domains; /* given already: the first virtual host keeps a domain */
    struct virtual_host *hosts;
    size_t nhosts, cap;
    const struct host_index *index;
};

/* ---- listeners ---- */

static uint16_t mapped_port(const struct draft *d, uint16_t port)
{
    for (size_t i = 0; i < d->id->nports; i++)
        if (d->id->ports[i].from == port)
            return d->id->ports[i].to;
    return port;
}

void draft_listener(struct draft *d, const struct listener *l, bool mapped)
{
    struct listener copy = *l;

    copy.bind_port = mapped ? mapped_port(d, l->bind_port) : l->bind_port;
    for (size_t i = 0; i < d->listeners.n; i++)
        if (d->listeners.v[i].bind_port == copy.bind_port && str_eq(d->listeners.v[i].ip, copy.ip))
            return;
    copy.name = draft_printf(d, "%.*s_%u", STR_ARG(l->ip), l->port);
    draft_security(d, &copy);
    if (arena_grow(d->arena, &d->listeners.v, &d->listeners_cap, d->listeners.n + 1, sizeof(copy)) < 0)
        d->nomem = true;
    else
        d->listeners.v[d->listeners.n++] = copy;
}

/* ---- virtual hosts ---- */

static const struct virtual_service *find_vs(const struct draft *d, struct str host)
{
    const struct virtual_service *best = NULL;
    struct str best_host = STR_NULL;

    for (size_t i = 0; i < d->mesh->virtual_services.n; i++) {
        const struct virtual_service *vs = d->mesh->by_age[i];

        if (!vs->in_mesh || !exported_to(vs->export_to.v, vs->export_to.n, vs->object->ns, d->ns))
            continue;
        for (size_t k = 0; k < vs->hosts.n; k++) {
            if (str_eq(vs->hosts.v[k], host))
                return vs;
            if (host_within(host, vs->hosts.v[k]) && (!best || host_specific_cmp(vs->hosts.v[k], best_host) < 0)) {
                best = vs;
                best_host = vs->hosts.v[k];
            }
        }
    }
    return best;
}

/* Adds a domain unless another virtual host has it. */
static void add_domain(struct group *g, struct str domain, struct str *v, size_t *n)
{
    if (g->draft->nomem || !domain.p || strmap_get(&g->domains, domain))
        return;
    if (strmap_put(&g->domains, domain, g, NULL) < 0)
        g->draft->nomem = true;
    v[(*n)++] = domain;
}

static void add_host(struct group *g, const struct virtual_host *vh)
{
    if (vh->ndomains == 0 || g->draft->nomem)
        return;
    if (arena_grow(g->draft->arena, &g->hosts, &g->cap, g->nhosts + 1, sizeof(*vh)) < 0)
        g->draft->nomem = true;
    else
        g->hosts[g->nhosts++] = *vh;
}

/* All names by which this client may call the service. */
static void add_domains(struct group *g, const struct service *s, struct virtual_host *vh)
{
    enum { MOST_FORMS = 6 };
    struct draft *d = g->draft;
    struct str name = s->object->name, ns = s->object->ns;
    struct str *v = draft_alloc(d, MOST_FORMS, sizeof(*v));

    if (!v)
        return;
    add_domain(g, s->host, v, &vh->ndomains);
    add_domain(g, draft_printf(d, "%.*s.", STR_ARG(s->host)), v, &vh->ndomains);
    if (str_eq(ns, d->ns))
        add_domain(g, name, v, &vh->ndomains);
    add_domain(g, draft_printf(d, "%.*s.%.*s", STR_ARG(name), STR_ARG(ns)), v, &vh->ndomains);
    add_domain(g, draft_printf(d, "%.*s.%.*s.svc", STR_ARG(name), STR_ARG(ns)), v, &vh->ndomains);
    if (host_is_ip(s->cluster_ip))
        add_domain(g, s->cluster_ip, v, &vh->ndomains);
    vh->domains = v;
}

static void add_service_host(struct group *g, const struct target *t)
{
    struct draft *d = g->draft;
    struct virtual_host vh = { .name = draft_printf(d, "%.*s:%u", STR_ARG(t->service->host), g->port) };
    struct route_list routes = { NULL, 0, 0 };

    if (t->vs)
        draft_routes(d, t->vs, mesh_gateway_name, g->port, &routes);
    if (routes.n == 0)
        draft_default_route(d, t->cluster, &routes);
    vh.routes = routes.v;
    vh.nroutes = routes.n;
    add_domains(g, t->service, &vh);
    add_host(g, &vh);
}

static bool names_service(const struct draft *d, struct str host)
{
    if (mesh_service_of(d->mesh, host))
        return true;
    for (size_t i = 0; host_is_wild(host) && i < d->mesh->services.n; i++)
        if (host_within(d->mesh->services.v[i].host, host))
            return true;
    return false;
}

/* The hosts of a VirtualService that are no services. */
static void add_extra_hosts(struct group *g, const struct virtual_service *vs)
{
    struct draft *d = g->draft;
    struct route_list routes = { NULL, 0, 0 };

    for (size_t i = 0; i < vs->hosts.n && !d->nomem; i++) {
        struct virtual_host vh = { .name = STR_NULL };
        struct str *domain;

        if (names_service(d, vs->hosts.v[i]))
            continue;
        if (routes.n == 0)
            draft_routes(d, vs, mesh_gateway_name, g->port, &routes);
        domain = draft_alloc(d, 1, sizeof(*domain));
        if (!domain || routes.n == 0)
            return;
        vh.name = draft_printf(d, "%.*s:%u", STR_ARG(vs->hosts.v[i]), g->port);
        add_domain(g, vs->hosts.v[i], domain, &vh.ndomains);
        vh.domains = domain;
        vh.routes = routes.v;
        vh.nroutes = routes.n;
        add_host(g, &vh);
    }
}

static void make_hosts(struct group *g)
{
    struct draft *d = g->draft;

    for (size_t i = 0; i < g->n && !d->nomem; i++)
        if (g->v[i].port->speaks != PROTOCOL_TCP)
            add_service_host(g, &g->v[i]);
    for (size_t i = 0; g->port == EXTRA_PORT && i < d->mesh->virtual_services.n && !d->nomem; i++) {
        const struct virtual_service *vs = d->mesh->by_age[i];

        if (vs->in_mesh && exported_to(vs->export_to.v, vs->export_to.n, vs->object->ns, d->ns))
            add_extra_hosts(g, vs);
    }
    g->index = d->nomem ? NULL : draft_host_index(d, g->hosts, g->nhosts);
}

/* ---- one listener for a port ---- */

static void set_tcp(struct draft *d, const struct target *t, struct listener *l)
{
    if (!draft_tcp_routes(d, t->vs, mesh_gateway_name, l->port, t->service->cluster_ip, l))
        draft_tcp_default(d, t->cluster, l);
}

static void listen_on_bind(struct group *g)
{
    struct listener l = { .ip = g->draft->id->bind, .bind_port = g->port, .port = g->port };
    const struct target *tcp = NULL;
    bool http = false;

    for (size_t i = 0; i < g->n; i++) {
        const struct target *t = &g->v[i];

        http = http || t->port->speaks != PROTOCOL_TCP;
        if (t->port->speaks != PROTOCOL_HTTP && (!tcp || object_age_cmp(t->service->object, tcp->service->object) < 0))
            tcp = t;
    }
    l.direction = LISTENER_OUTBOUND;
    l.protocol = http && tcp ? PROTOCOL_SNIFF : http ? PROTOCOL_HTTP : PROTOCOL_TCP;
    if (http) {
        l.hosts = g->hosts;
        l.nhosts = g->nhosts;
        l.index = g->index;
    }
    if (tcp)
        set_tcp(g->draft, tcp, &l);
    draft_listener(g->draft, &l, true);
}

/* ---- one listener for a service's own address ---- */

/* The hosts of the port, and last "*", which is the service itself. */
static void set_own_hosts(const struct group *g, const struct target *t, struct listener *l)
{
    static const struct str any = STR_INIT("*");
    struct virtual_host *v = draft_alloc(g->draft, g->nhosts + 1, sizeof(*v));

    for (size_t i = 0; v && i < g->nhosts; i++) {
        v[i] = g->hosts[i];
        if (!str_eq(v[i].domains[0], t->service->host))
            continue;
        v[g->nhosts] = v[i];
        v[g->nhosts].domains = &any;
        v[g->nhosts].ndomains = 1;
    }
    l->hosts = v;
    l->nhosts = v ? g->nhosts + (v[g->nhosts].ndomains > 0) : 0;
    l->index = g->index;
}

static void listen_on_own(const struct group *g, const struct target *t, uint32_t net, uint32_t mask)
{
    struct listener l = { .bind_port = g->port, .port = g->port, .direction = LISTENER_OUTBOUND };
    uint32_t ip;

    if (!host_ipv4(t->service->cluster_ip, &ip))
        return;
    ip = net | (ip & ~mask);
    l.ip = draft_printf(g->draft, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    l.protocol = t->port->speaks;
    if (l.protocol != PROTOCOL_TCP)
        set_own_hosts(g, t, &l);
    if (l.protocol != PROTOCOL_HTTP)
        set_tcp(g->draft, t, &l);
    draft_listener(g->draft, &l, true);
}

/* ---- all of them ---- */

static int by_port(const void *x, const void *y)
{
    const struct target *a = x, *b = y;

    if (a->port->port != b->port->port)
        return a->port->port < b->port->port ? -1 : 1;
    return (a->service > b->service) - (a->service < b->service); /* services are sorted by namespace and name */
}

static struct target *list_targets(struct draft *d, size_t *n)
{
    size_t cap = 0;
    struct target *v;

    for (size_t i = 0; i < d->mesh->services.n; i++)
        cap += d->mesh->services.v[i].ports.n;
    v = draft_alloc(d, cap, sizeof(*v));
    for (size_t i = 0; v && i < d->mesh->services.n; i++) {
        const struct service *s = &d->mesh->services.v[i];
        const struct virtual_service *vs = find_vs(d, s->host);

        for (size_t k = 0; k < s->ports.n; k++) {
            if (s->ports.v[k].udp)
                continue;
            v[*n] = (struct target){ s, &s->ports.v[k], vs, STR_NULL };
            v[(*n)++].cluster = draft_printf(d, "outbound|%u||%.*s", s->ports.v[k].port, STR_ARG(s->host));
        }
    }
    if (*n > 1)
        qsort(v, *n, sizeof(*v), by_port);
    return v;
}

static void listen_for_group(struct draft *d, const struct target *v, size_t n)
{
    struct group g = { .draft = d, .v = v, .n = n, .port = (uint16_t)v->port->port, .domains = STRMAP_INIT };
    uint32_t net = 0, mask = 0;
    bool own = host_net(d->id->outbound_net, &net, &mask);

    make_hosts(&g);
    strmap_free(&g.domains);
    if (!own)
        listen_on_bind(&g);
    for (size_t i = 0; own && i < n && !d->nomem; i++)
        listen_on_own(&g, &v[i], net, mask);
}

void draft_sidecar_listeners(struct draft *d)
{
    size_t n = 0, from = 0;
    const struct target *v = list_targets(d, &n);

    while (from < n && !d->nomem) {
        size_t to = from;

        while (to < n && v[to].port->port == v[from].port->port)
            to++;
        listen_for_group(d, v + from, to - from);
        from = to;
    }
}

/* ---- inbound ---- */

/* Istio's: a connection that was closed before the request was sent is tried again. */
static void inbound_host(struct draft *d, const struct cluster *c, struct listener *l)
{
    static const struct str any = STR_INIT("*");
    struct virtual_host *vh = draft_alloc(d, 1, sizeof(*vh));
    struct route_list routes = { NULL, 0, 0 };

    draft_default_route(d, c->name, &routes);
    if (!vh || d->nomem)
        return;
    routes.v[0].retry.on = RETRY_RESET_BEFORE_REQUEST;
    *vh = (struct virtual_host){ .name = draft_printf(d, "inbound|http|%u", c->port), .domains = &any, .ndomains = 1 };
    vh->routes = routes.v;
    vh->nroutes = routes.n;
    l->hosts = vh;
    l->nhosts = 1;
}

/* What the service's port that leads to the container's speaks. */
static enum listener_protocol inbound_protocol(const struct draft *d, const struct cluster *c)
{
    const struct service *s = mesh_service(d->mesh, c->service_ns, c->service);

    for (size_t i = 0; s && i < s->ports.n; i++)
        if (!s->ports.v[i].udp && target_port(&s->ports.v[i], d->pod) == c->port)
            return s->ports.v[i].speaks;
    return PROTOCOL_SNIFF;
}

void draft_inbound_listeners(struct draft *d)
{
    for (size_t i = 0; i < d->clusters.n && !d->nomem; i++) {
        const struct cluster *c = &d->clusters.v[i];
        struct listener l = { .ip = d->out->self.ip, .port = c->port, .direction = LISTENER_INBOUND };

        if (!str_starts(c->name, STR("inbound|")))
            continue;
        l.bind_port = pod_served_at(d->pod, c->port);
        l.protocol = inbound_protocol(d, c);
        if (l.protocol != PROTOCOL_TCP)
            inbound_host(d, c, &l);
        if (l.protocol != PROTOCOL_HTTP)
            draft_tcp_default(d, c->name, &l);
        draft_listener(d, &l, false);
    }
}
