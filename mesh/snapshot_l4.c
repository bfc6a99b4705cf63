/* snapshot_l4.c: routes of connections: a VirtualService's tcp and tls rules, and chains by the name a client asks for.
 *
 * As for http, conditions about the proxy are settled here. Of tcp rules the first counts that is left. A tls rule
 * makes a chain of each name that it matches; which of them counts is the proxy's to see, by SNI. */
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

static bool is_for_address(const struct vs_l4_match *m, struct str address)
{
    uint32_t ip, net, mask;

    if (m->destination_subnets.n == 0)
        return true;
    if (!host_ipv4(address, &ip))
        return false;
    for (size_t i = 0; i < m->destination_subnets.n; i++)
        if (host_net(m->destination_subnets.v[i], &net, &mask) && (ip & mask) == net)
            return true;
    return false;
}

static bool match_is_for(const struct place *at, const struct vs_l4_match *m, struct str address)
{
    return (m->port == 0 || m->port == at->port) && is_for_address(m, address) &&
           place_is_for(at, m->gateways.v, m->gateways.n, m->source_labels, m->source_namespace);
}

static bool rule_is_for(const struct place *at, const struct vs_l4 *rule, struct str address)
{
    for (size_t i = 0; i < rule->match.n; i++)
        if (match_is_for(at, &rule->match.v[i], address))
            return true;
    return rule->match.n == 0;
}

/* Of several destinations those of weight 0 receive nothing. */
static void bind_rule(const struct place *at, const struct vs_l4 *rule, struct listener *l)
{
    struct destination *v = draft_alloc(at->draft, rule->route.n, sizeof(*v));

    l->ntcp = 0;
    l->tcp_total_weight = 0;
    for (size_t k = 0; v && k < rule->route.n; k++) {
        if (rule->route.n > 1 && rule->route.v[k].weight == 0)
            continue;
        v[l->ntcp] = place_destination(at, rule->route.v[k].destination, rule->route.v[k].weight);
        l->tcp_total_weight += v[l->ntcp++].weight;
    }
    l->tcp = v;
}

/* ---- tcp ---- */

bool draft_tcp_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                      struct str address, struct listener *l)
{
    const struct place at = { d, gateway, port };

    for (size_t i = 0; vs && i < vs->tcp.n && !d->nomem; i++) {
        if (!rule_is_for(&at, &vs->tcp.v[i], address))
            continue;
        bind_rule(&at, &vs->tcp.v[i], l);
        return true;
    }
    return false;
}

void draft_tcp_default(struct draft *d, struct str cluster, struct listener *l)
{
    struct destination *to = draft_alloc(d, 1, sizeof(*to));

    if (!to)
        return;
    *to = (struct destination){ .cluster = draft_cluster(d, cluster), .cluster_name = cluster, .weight = 1 };
    l->tcp = to;
    l->ntcp = 1;
    l->tcp_total_weight = 1;
}

/* ---- chains ---- */

/* `name` as a list of one; "*" is the list of none. */
static void name_chain(struct draft *d, struct listener_chain *c, struct str name)
{
    struct str *v;

    if (str_eqz(name, "*"))
        return;
    v = draft_alloc(d, 1, sizeof(*v));
    if (!v)
        return;
    *v = name;
    c->server_names = v;
    c->nserver_names = 1;
}

static struct str name_of(const struct listener_chain *c)
{
    return c->nserver_names ? c->server_names[0] : STR("*");
}

void draft_chain(struct draft *d, struct chain_list *l, struct str name, const struct tls_server *tls,
                 const struct listener *serve)
{
    struct listener_chain c = { .tls = tls, .serve = serve };

    for (size_t i = 0; i < l->n; i++)
        if (str_eq(name_of(&l->v[i]), name))
            return;
    name_chain(d, &c, name);
    if (d->nomem || arena_grow(d->arena, &l->v, &l->cap, l->n + 1, sizeof(c)) < 0)
        d->nomem = true;
    else
        l->v[l->n++] = c;
}

/* What a chain does with its connections: as the listener, but on no address. */
static struct listener *new_serve(struct draft *d, uint16_t port, enum listener_direction direction)
{
    struct listener *l = draft_alloc(d, 1, sizeof(*l));

    if (l)
        *l = (struct listener){ .port = port, .direction = direction, .protocol = PROTOCOL_TCP };
    return l;
}

const struct listener *draft_tcp_serve(struct draft *d, const struct listener *like, struct str cluster)
{
    struct listener *l = new_serve(d, like->port, like->direction);

    if (l)
        draft_tcp_default(d, cluster, l);
    return l;
}

/* The narrower of the rule's name and one of the hosts; false: they have nothing in common. */
static bool common_name(struct str sni, const struct str *hosts, size_t n, struct str *name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eqz(hosts[i], "*") || host_within(sni, hosts[i])) {
            *name = sni;
            return true;
        }
        if (host_within(hosts[i], sni)) {
            *name = hosts[i];
            return true;
        }
    }
    return false;
}

static void add_rule(const struct place *at, const struct vs_l4 *rule, struct str address, const struct str *hosts,
                     size_t nhosts, struct chain_list *out)
{
    bool mesh = str_eqz(at->gateway, "mesh");
    struct listener *serve = NULL;

    for (size_t i = 0; i < rule->match.n; i++) {
        const struct vs_l4_match *m = &rule->match.v[i];

        for (size_t k = 0; match_is_for(at, m, address) && k < m->sni_hosts.n && !at->draft->nomem; k++) {
            struct str name;

            if (!common_name(m->sni_hosts.v[k], hosts, nhosts, &name))
                continue;
            if (!serve) {
                serve = new_serve(at->draft, at->port, mesh ? LISTENER_OUTBOUND : LISTENER_GATEWAY);
                if (!serve)
                    return;
                bind_rule(at, rule, serve);
            }
            draft_chain(at->draft, out, name, NULL, serve);
        }
    }
}

void draft_tls_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                      struct str address, const struct str *hosts, size_t nhosts, struct chain_list *out)
{
    const struct place at = { d, gateway, port };

    for (size_t i = 0; i < vs->tls.n && !d->nomem; i++)
        add_rule(&at, &vs->tls.v[i], address, hosts, nhosts, out);
}

static int by_name(const void *x, const void *y)
{
    struct str a = name_of(x), b = name_of(y);
    int c = host_specific_cmp(a, b);

    return c ? c : str_cmp(a, b);
}

void draft_chains_done(const struct chain_list *l, struct listener *to)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof(*l->v), by_name);
    to->chains = l->v;
    to->nchains = l->n;
}
