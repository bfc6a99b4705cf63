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
 * differ. Connections with TLS that is not ours to end go by the name they ask for (chains). A VirtualService of the
 * mesh is whole or not at all: for a host the oldest that names it, or else the one with the most specific wildcard,
 * and where that has no rule for this proxy and port, the service's default.
 *
 * An egress listener of a Sidecar sees its own part of the mesh; one with an address listens there, for all of it. With
 * REGISTRY_ONLY a host that nobody knows is answered 502, by a virtual host for all ("block_all", as Istio has it). */
#include "base/err.h"
#include "base/strmap.h"
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

enum {
    EXTRA_PORT = 80, /* hosts that are no services are served there alone: so does Istio */
    BAD_GATEWAY = 502
};

static const struct str mesh_gateway_name = STR_INIT("mesh");

/* One port of one service. */
struct target {
    const struct service *service;
    const struct service_port *port;
    const struct virtual_service *vs; /* NULL: none */
    struct str cluster;
};

/* Everything in a scope that has the same port. */
struct group {
    struct draft *draft;
    const struct scope *scope;
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
    draft_http_limits(d, &copy);
    draft_connection_limits(d, &copy);
    if (arena_grow(d->arena, &d->listeners.v, &d->listeners_cap, d->listeners.n + 1, sizeof(copy)) < 0)
        d->nomem = true;
    else
        d->listeners.v[d->listeners.n++] = copy;
}

/* ---- virtual hosts ---- */

static const struct virtual_service *find_vs(const struct scope *scope, struct str host)
{
    const struct virtual_service *best = NULL;
    struct str best_host = STR_NULL;

    for (size_t i = 0; i < scope->nvs; i++) {
        const struct virtual_service *vs = scope->vs[i];

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

/* All names by which this client may call the service: its host, its addresses and, of a Service, its short names. */
static void add_domains(struct group *g, const struct service *s, struct virtual_host *vh)
{
    enum { MOST_NAMES = 5 };
    struct draft *d = g->draft;
    struct str ns = s->object->ns;
    struct str *v = draft_alloc(d, MOST_NAMES + s->addresses.n, sizeof(*v));

    if (!v)
        return;
    add_domain(g, s->host, v, &vh->ndomains);
    if (!host_is_wild(s->host))
        add_domain(g, draft_printf(d, "%.*s.", STR_ARG(s->host)), v, &vh->ndomains);
    if (!str_eq(s->name, s->host)) {
        if (str_eq(ns, d->ns))
            add_domain(g, s->name, v, &vh->ndomains);
        add_domain(g, draft_printf(d, "%.*s.%.*s", STR_ARG(s->name), STR_ARG(ns)), v, &vh->ndomains);
        add_domain(g, draft_printf(d, "%.*s.%.*s.svc", STR_ARG(s->name), STR_ARG(ns)), v, &vh->ndomains);
    }
    for (size_t i = 0; i < s->addresses.n; i++)
        if (host_is_ip(s->addresses.v[i]))
            add_domain(g, s->addresses.v[i], v, &vh->ndomains);
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

static bool names_service(const struct scope *scope, struct str host)
{
    for (size_t i = 0; i < scope->nservices; i++)
        if (str_eq(scope->services[i]->host, host) ||
            (host_is_wild(host) && host_within(scope->services[i]->host, host)))
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

        if (names_service(g->scope, vs->hosts.v[i]))
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

static bool blocks_unknown(const struct draft *d)
{
    return d->sidecar && d->sidecar->outbound && d->sidecar->outbound->mode == OUTBOUND_REGISTRY_ONLY;
}

/* The last of all, for whatever nobody knows. */
static void add_block_all(struct group *g)
{
    static const struct str any = STR_INIT("*");
    struct route *r = draft_alloc(g->draft, 1, sizeof(*r));
    struct virtual_host vh = { .name = STR("block_all"), .domains = &any, .ndomains = 1, .routes = r, .nroutes = 1 };

    if (!r)
        return;
    *r = (struct route){ .name = STR("block_all"), .action = ROUTE_DIRECT, .direct_status = BAD_GATEWAY };
    add_host(g, &vh);
}

static void make_hosts(struct group *g)
{
    struct draft *d = g->draft;

    for (size_t i = 0; i < g->n && !d->nomem; i++)
        if (speech_protocol(g->v[i].port->speech) != PROTOCOL_TCP)
            add_service_host(g, &g->v[i]);
    for (size_t i = 0; g->port == EXTRA_PORT && i < g->scope->nvs && !d->nomem; i++)
        add_extra_hosts(g, g->scope->vs[i]);
    if (blocks_unknown(d) && !d->nomem)
        add_block_all(g);
    draft_limit_hosts(d, LISTENER_OUTBOUND, g->port, g->hosts, g->nhosts);
    g->index = d->nomem ? NULL : draft_host_index(d, g->hosts, g->nhosts);
}

/* ---- connections that are no HTTP ---- */

static struct str first_address(const struct service *s)
{
    return s->addresses.n ? s->addresses.v[0] : STR("");
}

static void set_tcp(struct draft *d, const struct target *t, struct listener *l)
{
    if (!draft_tcp_routes(d, t->vs, mesh_gateway_name, l->port, first_address(t->service), l))
        draft_tcp_default(d, t->cluster, l);
}

/* The chains of a port with TLS: the rules for it, or its service's host. */
static void add_chains(struct draft *d, const struct target *t, const struct listener *l, struct chain_list *out)
{
    static const struct str any = STR_INIT("*");
    size_t before = out->n;

    if (t->port->speech != SPEECH_TLS)
        return;
    if (t->vs)
        draft_tls_routes(d, t->vs, mesh_gateway_name, l->port, first_address(t->service), &any, 1, out);
    if (out->n == before && !d->nomem)
        draft_chain(d, out, t->service->host, NULL, draft_tcp_serve(d, l, t->cluster));
}

/* The tls rules for hosts that are no services go with the others of their port. */
static void add_extra_chains(const struct group *g, const struct listener *l, struct chain_list *out)
{
    for (size_t i = 0; i < g->scope->nvs && !g->draft->nomem; i++)
        for (size_t k = 0; k < g->scope->vs[i]->hosts.n; k++)
            if (!names_service(g->scope, g->scope->vs[i]->hosts.v[k]))
                draft_tls_routes(g->draft, g->scope->vs[i], mesh_gateway_name, l->port, STR(""),
                                 &g->scope->vs[i]->hosts.v[k], 1, out);
}

/* What is done with hosts that nobody knows, and the egress proxy that a Sidecar may name for them. */
static const struct cluster *find_passthrough(struct draft *d)
{
    const struct vs_destination *proxy = d->sidecar && d->sidecar->outbound ? d->sidecar->outbound->proxy : NULL;

    if (blocks_unknown(d))
        return NULL;
    if (!proxy)
        return draft_cluster(d, STR("PassthroughCluster"));
    return draft_cluster(d, draft_printf(d, "outbound|%u|%.*s|%.*s", proxy->port->number, STR_ARG(proxy->subset),
                                         STR_ARG(proxy->host)));
}

/* ---- one listener for a port ---- */

/* Of those whose connections are not told apart the oldest takes what is no HTTP. */
static const struct target *oldest_tcp(const struct group *g)
{
    const struct target *tcp = NULL;

    for (size_t i = 0; i < g->n; i++) {
        const struct target *t = &g->v[i];

        if (speech_protocol(t->port->speech) != PROTOCOL_HTTP &&
            (!tcp || object_age_cmp(t->service->object, tcp->service->object) < 0))
            tcp = t;
    }
    return tcp;
}

static void serve_group(const struct group *g, struct listener *l)
{
    const struct target *tcp = oldest_tcp(g);
    struct chain_list chains = { NULL, 0, 0 };
    bool http = g->n == 0, tls = false;

    for (size_t i = 0; i < g->n; i++) {
        http = http || speech_protocol(g->v[i].port->speech) != PROTOCOL_TCP;
        tls = tls || g->v[i].port->speech == SPEECH_TLS;
        add_chains(g->draft, &g->v[i], l, &chains);
    }
    if (tls)
        add_extra_chains(g, l, &chains);
    l->protocol = http && tcp ? PROTOCOL_SNIFF : http ? PROTOCOL_HTTP : PROTOCOL_TCP;
    if (http) {
        l->hosts = g->hosts;
        l->nhosts = g->nhosts;
        l->index = g->index;
    }
    if (tcp)
        set_tcp(g->draft, tcp, l);
    draft_chains_done(&chains, l);
    l->passthrough = find_passthrough(g->draft);
}

static void listen_on_bind(const struct group *g)
{
    struct listener l = { .ip = g->draft->id->bind, .bind_port = g->port, .port = g->port };

    l.direction = LISTENER_OUTBOUND;
    serve_group(g, &l);
    draft_listener(g->draft, &l, true);
}

/* ---- one listener for a service's own address ---- */

/* The hosts of the port, and last "*", which is the service itself, unless all unknown is blocked. */
static void set_own_hosts(const struct group *g, const struct target *t, struct listener *l)
{
    static const struct str any = STR_INIT("*");
    struct virtual_host *v = draft_alloc(g->draft, g->nhosts + 1, sizeof(*v));

    for (size_t i = 0; v && i < g->nhosts; i++) {
        v[i] = g->hosts[i];
        if (blocks_unknown(g->draft) || !str_eq(v[i].domains[0], t->service->host))
            continue;
        v[g->nhosts] = v[i];
        v[g->nhosts].domains = &any;
        v[g->nhosts].ndomains = 1;
    }
    l->hosts = v;
    l->nhosts = v ? g->nhosts + (v[g->nhosts].ndomains > 0) : 0;
    l->index = g->index;
}

static void listen_on_own(const struct group *g, const struct target *t, struct str ip)
{
    struct listener l = { .ip = ip, .bind_port = g->port, .port = g->port, .direction = LISTENER_OUTBOUND };
    struct chain_list chains = { NULL, 0, 0 };

    l.protocol = speech_protocol(t->port->speech);
    if (l.protocol != PROTOCOL_TCP)
        set_own_hosts(g, t, &l);
    if (l.protocol != PROTOCOL_HTTP)
        set_tcp(g->draft, t, &l);
    add_chains(g->draft, t, &l, &chains);
    draft_chains_done(&chains, &l);
    l.passthrough = find_passthrough(g->draft);
    draft_listener(g->draft, &l, true);
}

/* An address of its own for each that the service has, with the same host bits. */
static void listen_on_all_own(const struct group *g, const struct target *t, uint32_t net, uint32_t mask)
{
    for (size_t i = 0; i < t->service->addresses.n && !g->draft->nomem; i++) {
        uint32_t ip;

        if (!host_ipv4(t->service->addresses.v[i], &ip))
            continue;
        ip = net | (ip & ~mask);
        listen_on_own(g, t, draft_printf(g->draft, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255));
    }
}

/* ---- all of them ---- */

static int by_port(const void *x, const void *y)
{
    const struct target *a = x, *b = y;
    int c;

    if (a->port->port != b->port->port)
        return a->port->port < b->port->port ? -1 : 1;
    c = str_cmp(a->service->object->ns, b->service->object->ns);
    if (c == 0)
        c = (int)host_is_wild(a->service->host) - (int)host_is_wild(b->service->host);
    return c ? c : str_cmp(a->service->host, b->service->host);
}

/* Whether another egress listener of the Sidecar has the port, or this one has another. */
static bool is_elsewhere(const struct draft *d, const struct scope *scope, uint32_t port)
{
    const struct sc_egress *e = scope->egress;

    if (e && e->port)
        return e->port->number != port;
    for (size_t i = 0; e && i < d->scopes.n; i++)
        if (d->scopes.v[i].egress->port && !d->scopes.v[i].egress->bind.n &&
            d->scopes.v[i].egress->port->number == port)
            return true;
    return false;
}

static struct target *list_targets(struct draft *d, const struct scope *scope, size_t *n)
{
    size_t cap = 0;
    struct target *v;

    for (size_t i = 0; i < scope->nservices; i++)
        cap += scope->services[i]->ports.n;
    v = draft_alloc(d, cap, sizeof(*v));
    for (size_t i = 0; v && i < scope->nservices; i++) {
        const struct service *s = scope->services[i];
        const struct virtual_service *vs = find_vs(scope, s->host);

        for (size_t k = 0; k < s->ports.n; k++) {
            if (s->ports.v[k].udp || is_elsewhere(d, scope, s->ports.v[k].port))
                continue;
            v[*n] = (struct target){ s, &s->ports.v[k], vs, STR_NULL };
            v[(*n)++].cluster = draft_printf(d, "outbound|%u||%.*s", s->ports.v[k].port, STR_ARG(s->host));
        }
    }
    if (*n > 1)
        qsort(v, *n, sizeof(*v), by_port);
    return v;
}

static void listen_for_group(struct draft *d, const struct scope *scope, const struct target *v, size_t n)
{
    struct group g = { .draft = d, .scope = scope, .v = v, .n = n, .port = (uint16_t)v->port->port,
                       .domains = STRMAP_INIT };
    uint32_t net = 0, mask = 0;
    bool own = host_net(d->id->outbound_net, &net, &mask);

    make_hosts(&g);
    strmap_free(&g.domains);
    if (!own)
        listen_on_bind(&g);
    for (size_t i = 0; own && i < n && !d->nomem; i++)
        listen_on_all_own(&g, &v[i], net, mask);
}

/* One that a Sidecar gives a place of its own: for all it names there, and where it speaks HTTP for unknown hosts. */
static void listen_at(struct draft *d, const struct scope *scope, const struct target *v, size_t n)
{
    const struct sc_egress *e = scope->egress;
    uint16_t port = (uint16_t)e->port->number;
    struct group g = { .draft = d, .scope = scope, .v = v, .n = n, .port = port, .domains = STRMAP_INIT };
    struct listener l = { .ip = e->bind, .bind_port = port, .port = port, .direction = LISTENER_OUTBOUND };

    make_hosts(&g);
    strmap_free(&g.domains);
    serve_group(&g, &l);
    if (n == 0)
        l.protocol = speech_protocol(e->speech);
    draft_listener(d, &l, true);
}

static void listen_for_scope(struct draft *d, const struct scope *scope)
{
    size_t n = 0, from = 0;
    const struct target *v = list_targets(d, scope, &n);

    if (d->nomem || (scope->egress && scope->egress->by_socket))
        return;
    if (scope->egress && scope->egress->bind.n) {
        listen_at(d, scope, v, n);
        return;
    }
    while (from < n && !d->nomem) {
        size_t to = from;

        while (to < n && v[to].port->port == v[from].port->port)
            to++;
        listen_for_group(d, scope, v + from, to - from);
        from = to;
    }
}

void draft_sidecar_listeners(struct draft *d)
{
    for (size_t i = 0; i < d->scopes.n && !d->nomem; i++)
        listen_for_scope(d, &d->scopes.v[i]);
}
