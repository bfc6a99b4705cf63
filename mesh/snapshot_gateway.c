/* snapshot_gateway.c: the listeners of a gateway, merged from all Gateways that select it.
 *
 * Of every server the VirtualServices that are bound to its Gateway and have hosts in common with it give their rules:
 * oldest first, all for one host in one virtual host, and what catches all moved behind the rest, so that an older
 * catch-all does not hide the younger rules (Istio's SortVHostRoutes). The host served is the narrower one of the
 * VirtualService's and the server's.
 *
 * Servers of HTTP share their port's virtual hosts. Those with TLS each have chains, by the names they serve: what is
 * in them is HTTP with virtual hosts of the server's own (HTTPS), a tcp rule's destinations (TLS), or, passed on as it
 * is, a tls rule's (PASSTHROUGH) or the cluster that the name itself says (AUTO_PASSTHROUGH). */
#include "mesh/hosts-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

/* A virtual host that still grows. */
struct growing {
    struct str host;
    struct route_list routes;
    bool require_tls;
};

/* One port, and all servers that have it. */
struct port {
    struct draft *draft;
    uint16_t number;
    struct growing *v;
    size_t n, cap;
};

struct served {
    const struct gateway *gateway;
    const struct gw_server *server;
    size_t order; /* among all: by the Gateways' age */
};

static bool is_bound(const struct virtual_service *vs, const struct gateway *g, struct str ns)
{
    if (!exported_to(vs->export_to.v, vs->export_to.n, vs->object->ns, ns))
        return false;
    for (size_t i = 0; i < vs->gateways.n; i++)
        if (str_eq(vs->gateways.v[i], g->name))
            return true;
    return false;
}

/* The narrower of a server's host and a VirtualService's; false when they have nothing in common. */
static bool common_host(const struct gw_host *h, const struct virtual_service *vs, struct str host, struct str *common)
{
    if (!str_eqz(h->ns, "*") && !str_eq(h->ns, vs->object->ns))
        return false;
    *common = host_within(host, h->host) ? host : h->host;
    return host_within(host, h->host) || host_within(h->host, host);
}

static struct growing *host_of(struct port *p, struct str host)
{
    for (size_t i = 0; i < p->n; i++)
        if (str_eq(p->v[i].host, host))
            return &p->v[i];
    if (arena_grow(p->draft->arena, &p->v, &p->cap, p->n + 1, sizeof(*p->v)) < 0) {
        p->draft->nomem = true;
        return NULL;
    }
    p->v[p->n].host = host;
    return &p->v[p->n++];
}

static void append_routes(struct draft *d, struct route_list *to, const struct route_list *from)
{
    if (arena_grow(d->arena, &to->v, &to->cap, to->n + from->n, sizeof(*to->v)) < 0) {
        d->nomem = true;
        return;
    }
    memcpy(to->v + to->n, from->v, from->n * sizeof(*from->v));
    to->n += from->n;
}

static void add_virtual_service(struct port *p, const struct served *s, const struct virtual_service *vs)
{
    bool redirect = s->server->tls && s->server->tls->https_redirect;
    struct route_list routes = { NULL, 0, 0 };
    bool made = false;

    for (size_t i = 0; i < s->server->hosts.n; i++) {
        for (size_t k = 0; k < vs->hosts.n && !p->draft->nomem; k++) {
            struct growing *g;
            struct str host;

            if (!common_host(&s->server->parsed[i], vs, vs->hosts.v[k], &host))
                continue;
            if (!made)
                draft_routes(p->draft, vs, s->gateway->name, p->number, &routes);
            made = true;
            g = routes.n ? host_of(p, host) : NULL;
            if (!g)
                continue;
            g->require_tls = g->require_tls || redirect;
            append_routes(p->draft, &g->routes, &routes);
        }
    }
}

static void add_server(struct port *p, const struct served *s)
{
    const struct mesh *m = p->draft->mesh;

    for (size_t i = 0; i < m->virtual_services.n && !p->draft->nomem; i++)
        if (is_bound(m->by_age[i], s->gateway, p->draft->ns))
            add_virtual_service(p, s, m->by_age[i]);
    for (size_t i = 0; s->server->tls && s->server->tls->https_redirect && i < s->server->hosts.n; i++) {
        struct growing *g = host_of(p, s->server->parsed[i].host);

        if (g)
            g->require_tls = true;
    }
}

/* Keeps both orders: of those that do not catch all, and of those that do. */
static void sort_routes(struct draft *d, struct route_list *l)
{
    struct route *v = draft_alloc(d, l->n, sizeof(*v));
    size_t n = 0;

    for (int last = 0; v && last < 2; last++)
        for (size_t i = 0; i < l->n; i++)
            if (route_catches_all(&l->v[i]) == (last == 1))
                v[n++] = l->v[i];
    if (v)
        l->v = v;
}

static int by_host(const void *x, const void *y)
{
    const struct growing *a = x, *b = y;
    int c = host_specific_cmp(a->host, b->host);

    return c ? c : str_cmp(a->host, b->host);
}

static void listen_http(struct port *p, struct listener *l)
{
    struct draft *d = p->draft;
    struct virtual_host *v = draft_alloc(d, p->n, sizeof(*v));

    if (p->n > 1)
        qsort(p->v, p->n, sizeof(*p->v), by_host);
    for (size_t i = 0; v && i < p->n; i++) {
        struct growing *g = &p->v[i];

        sort_routes(d, &g->routes);
        v[i] = (struct virtual_host){ .name = draft_printf(d, "%.*s:%u", STR_ARG(g->host), p->number),
                                      .domains = &g->host,
                                      .ndomains = 1,
                                      .routes = g->routes.v,
                                      .nroutes = g->routes.n,
                                      .require_tls = g->require_tls };
    }
    if (!d->nomem)
        draft_limit_hosts(d, LISTENER_GATEWAY, p->number, v, p->n);
    l->protocol = PROTOCOL_HTTP;
    l->hosts = v;
    l->nhosts = p->n;
    l->index = d->nomem ? NULL : draft_host_index(d, v, p->n);
}

static struct str bind_of(const struct draft *d, const struct gw_server *s)
{
    return s->bind.n && !s->by_socket ? s->bind : d->id->bind;
}

static bool shares_host(const struct gw_server *s, const struct virtual_service *vs)
{
    struct str host;

    for (size_t i = 0; i < s->hosts.n; i++)
        for (size_t k = 0; k < vs->hosts.n; k++)
            if (common_host(&s->parsed[i], vs, vs->hosts.v[k], &host))
                return true;
    return false;
}

/* The first tcp rule of the oldest VirtualService that has one for this server. */
static void listen_tcp(struct draft *d, const struct served *s, struct listener *l)
{
    const struct mesh *m = d->mesh;

    l->protocol = PROTOCOL_TCP;
    for (size_t i = 0; i < m->virtual_services.n && !d->nomem; i++)
        if (is_bound(m->by_age[i], s->gateway, d->ns) && shares_host(s->server, m->by_age[i]) &&
            draft_tcp_routes(d, m->by_age[i], s->gateway->name, l->port, bind_of(d, s->server), l))
            return;
}

/* ---- TLS ---- */

/* What is within the TLS that a server ends. */
static const struct listener *terminated(struct draft *d, const struct served *s, const struct listener *like)
{
    struct port p = { .draft = d, .number = like->port };
    struct listener *serve = draft_alloc(d, 1, sizeof(*serve));

    if (!serve)
        return NULL;
    *serve = (struct listener){ .port = like->port, .direction = LISTENER_GATEWAY };
    if (!s->server->http_inside) {
        listen_tcp(d, s, serve);
        return serve;
    }
    add_server(&p, s);
    listen_http(&p, serve);
    draft_http_limits(d, serve);
    return serve;
}

static void add_terminated(struct draft *d, const struct served *s, const struct listener *l, struct chain_list *out)
{
    const struct tls_server *tls = draft_tls_server(d, s->server->tls);
    const struct listener *serve = d->nomem ? NULL : terminated(d, s, l);

    for (size_t i = 0; serve && i < s->server->hosts.n && !d->nomem; i++)
        draft_chain(d, out, s->server->parsed[i].host, tls, serve);
}

/* By the tls rules of the VirtualServices that are bound to it: names that these and the server have in common. */
static void add_passed_on(struct draft *d, const struct served *s, const struct listener *l, struct chain_list *out)
{
    const struct mesh *m = d->mesh;

    for (size_t i = 0; i < m->virtual_services.n && !d->nomem; i++) {
        const struct virtual_service *vs = m->by_age[i];

        if (!is_bound(vs, s->gateway, d->ns))
            continue;
        for (size_t k = 0; k < s->server->hosts.n && !d->nomem; k++) {
            const struct gw_host *h = &s->server->parsed[k];

            if (str_eqz(h->ns, "*") || str_eq(h->ns, vs->object->ns))
                draft_tls_routes(d, vs, s->gateway->name, l->port, l->ip, &h->host, 1, out);
        }
    }
}

/* Every cluster has a name that asks for it, as sidecars write it: outbound_.PORT_.SUBSET_.HOST. */
static void add_by_own_name(struct draft *d, const struct served *s, const struct listener *l, struct chain_list *out)
{
    for (size_t i = 0; i < d->clusters.n && !d->nomem; i++) {
        const struct cluster *c = &d->clusters.v[i];
        bool in = false;

        for (size_t k = 0; k < s->server->hosts.n && c->host.n; k++)
            in = in || host_within(c->host, s->server->parsed[k].host);
        if (in)
            draft_chain(d, out, draft_cluster_sni(d, c), NULL, draft_tcp_serve(d, l, c->name));
    }
}

static void add_chains(struct draft *d, const struct served *s, const struct listener *l, struct chain_list *out)
{
    switch (s->server->tls->mode) {
    case GW_MODE_PASSTHROUGH:
        add_passed_on(d, s, l, out);
        break;
    case GW_MODE_AUTO_PASSTHROUGH:
        add_by_own_name(d, s, l, out);
        break;
    default:
        add_terminated(d, s, l, out);
        break;
    }
}

static void listen_tls(struct draft *d, const struct served *v, size_t n, struct listener *l)
{
    struct chain_list chains = { NULL, 0, 0 };

    l->protocol = PROTOCOL_TCP;
    for (size_t i = 0; i < n && !d->nomem; i++)
        if (v[i].server->protocol == GW_TLS)
            add_chains(d, &v[i], l, &chains);
    draft_chains_done(&chains, l);
}

/* ---- ports ---- */

/* The oldest Gateway's server says what a port speaks; those that say otherwise are left out. */
static void listen_on_port(struct draft *d, const struct served *v, size_t n)
{
    struct port p = { .draft = d, .number = (uint16_t)v->server->port->number };
    struct listener l = { .ip = bind_of(d, v->server), .bind_port = p.number, .port = p.number };

    l.direction = LISTENER_GATEWAY;
    l.proxy_protocol = d->id->proxy_protocol || d->topology.proxy_protocol;
    l.trusted_proxies = d->topology.trusted_proxies;
    l.client_cert = d->topology.client_cert;
    if (v->server->protocol == GW_TCP) {
        listen_tcp(d, v, &l);
    } else if (v->server->protocol == GW_TLS) {
        listen_tls(d, v, n, &l);
    } else {
        for (size_t i = 0; i < n && !d->nomem; i++)
            if (v[i].server->protocol == GW_HTTP)
                add_server(&p, &v[i]);
        listen_http(&p, &l);
    }
    draft_listener(d, &l, true);
}

static int by_age(const void *x, const void *y)
{
    return object_age_cmp((*(const struct gateway *const *)x)->object, (*(const struct gateway *const *)y)->object);
}

static int by_port(const void *x, const void *y)
{
    const struct served *a = x, *b = y;

    int c = str_cmp(a->server->bind, b->server->bind);

    if (a->server->port->number != b->server->port->number)
        return a->server->port->number < b->server->port->number ? -1 : 1;
    if (c)
        return c;
    return (a->order > b->order) - (a->order < b->order);
}

static struct served *list_servers(struct draft *d, size_t *n)
{
    const struct mesh *m = d->mesh;
    const struct gateway **v = draft_alloc(d, m->gateways.n, sizeof(const struct gateway *));
    size_t count = 0, servers = 0;
    struct served *out;

    for (size_t i = 0; v && i < m->gateways.n; i++) {
        if (!labels_contain(d->labels, m->gateways.v[i].selector))
            continue;
        v[count++] = &m->gateways.v[i];
        servers += m->gateways.v[i].servers.n;
    }
    if (count > 1)
        qsort(v, count, sizeof(const struct gateway *), by_age);
    out = draft_alloc(d, servers, sizeof(*out));
    for (size_t i = 0; out && i < count; i++) {
        for (size_t k = 0; k < v[i]->servers.n; k++) {
            const struct gw_server *s = &v[i]->servers.v[k];

            if (!s->by_socket) {
                out[*n] = (struct served){ v[i], s, *n };
                ++*n;
            }
        }
    }
    if (*n > 1)
        qsort(out, *n, sizeof(*out), by_port);
    return out;
}

void draft_gateway_listeners(struct draft *d)
{
    size_t n = 0, from = 0;
    const struct served *v = list_servers(d, &n);

    while (from < n && !d->nomem) {
        size_t to = from;

        while (to < n && v[to].server->port->number == v[from].server->port->number &&
               str_eq(v[to].server->bind, v[from].server->bind))
            to++;
        listen_on_port(d, v + from, to - from);
        from = to;
    }
}
