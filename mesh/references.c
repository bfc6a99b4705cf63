/* references.c: what can only be said of objects when all others are at hand. None of it stops a mesh: Kubernetes lets
 * objects come in any order, so what is missing may be on its way. */
#include "base/strmap.h"
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"

struct look {
    const struct mesh *mesh;
    struct check c;
};

static bool has_subset(const struct mesh *m, struct str host, struct str subset)
{
    for (size_t i = 0; i < m->rules.n; i++) {
        const struct destination_rule *r = &m->rules.v[i];

        for (size_t k = 0; host_within(host, r->host) && k < r->subsets.n; k++)
            if (str_eq(r->subsets.v[k].name, subset))
                return true;
    }
    return false;
}

static void check_destination(struct look *l, const struct vs_destination *d)
{
    const struct service *s = d ? mesh_service_of(l->mesh, d->host) : NULL;

    if (!d)
        return;
    if (!s)
        check_warn(&l->c, d->at, "host", "there is no Service %.*s: requests will be answered 503", STR_ARG(d->host));
    else if (d->port && !service_port_find(s, d->port->number))
        check_warn(&l->c, d->at, "port", "%.*s has no port %u: requests will be answered 503", STR_ARG(d->host),
                   d->port->number);
    if (d->subset.n && !has_subset(l->mesh, d->host, d->subset))
        check_warn(&l->c, d->at, "subset", "no DestinationRule defines subset \"%.*s\" of %.*s: requests will be "
                   "answered 503", STR_ARG(d->subset), STR_ARG(d->host));
}

static void check_weighted(struct look *l, const struct vs_weighted *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_destination(l, v[i].destination);
}

static void check_gateways(struct look *l, const struct yaml_node *at, const struct str *v, size_t n)
{
    const struct yaml_node *list = check_get(at, "gateways");

    for (size_t i = 0; i < n; i++)
        if (!str_eqz(v[i], "mesh") && !mesh_gateway(l->mesh, v[i]))
            check_warn(&l->c, &list->items[i], NULL, "there is no Gateway %.*s", STR_ARG(v[i]));
}

static void check_rules(struct look *l, const struct virtual_service *vs)
{
    for (size_t i = 0; i < vs->http.n; i++) {
        const struct vs_http *r = &vs->http.v[i];

        check_weighted(l, r->route.v, r->route.n);
        for (size_t k = 0; k < r->mirrors.n; k++)
            check_destination(l, r->mirrors.v[k].destination);
        for (size_t k = 0; k < r->match.n; k++)
            check_gateways(l, r->match.v[k].at, r->match.v[k].gateways.v, r->match.v[k].gateways.n);
    }
    for (size_t i = 0; i < vs->tcp.n; i++)
        check_weighted(l, vs->tcp.v[i].route.v, vs->tcp.v[i].route.n);
    for (size_t i = 0; i < vs->tls.n; i++)
        check_weighted(l, vs->tls.v[i].route.v, vs->tls.v[i].route.n);
}

/* In the mesh there is no merging: of two that name the same host the older one counts alone. `owners` are those seen
 * so far, who are older, by their hosts. */
static void check_conflicts(struct look *l, size_t age, struct strmap *owners)
{
    const struct virtual_service **place = &l->mesh->by_age[age], *vs = *place;
    const struct yaml_node *list = check_get(vs->at, "hosts");

    for (size_t i = 0; vs->in_mesh && i < vs->hosts.n; i++) {
        const struct virtual_service **older = strmap_get(owners, vs->hosts.v[i]);

        if (older)
            check_warn(&l->c, &list->items[i], NULL, "VirtualService %.*s/%.*s is older and has this host in the mesh: "
                       "this one is not used for it", STR_ARG((*older)->object->ns), STR_ARG((*older)->object->name));
        else if (strmap_put(owners, vs->hosts.v[i], place, NULL) < 0)
            l->c.nomem = true;
    }
}

static void check_rule_host(struct look *l, const struct destination_rule *r)
{
    if (!host_is_wild(r->host) && str_ends(r->host, STR("." CLUSTER_DOMAIN)) && !mesh_service_of(l->mesh, r->host))
        check_warn(&l->c, r->at, "host", "there is no Service %.*s", STR_ARG(r->host));
}

/* Which namespace it must be in depends on the proxy: any one will do here. */
static bool has_secret(const struct mesh *m, struct str name)
{
    static const struct str scheme = STR_INIT("kubernetes://");

    if (str_starts(name, scheme))
        name = str_from(name, scheme.n);
    for (size_t i = 0; i < m->secrets.n; i++)
        if (str_eq(m->secrets.v[i].object->name, name))
            return true;
    return false;
}

static void check_secret(struct look *l, const struct yaml_node *at, const char *member, struct str name)
{
    if (name.n && !has_secret(l->mesh, name))
        check_warn(&l->c, at, member, "there is no Secret %.*s: no connection can be made", STR_ARG(name));
}

static void check_servers(struct look *l, const struct gateway *g)
{
    for (size_t i = 0; i < g->servers.n; i++) {
        const struct gw_tls *t = g->servers.v[i].tls;

        if (!t)
            continue;
        check_secret(l, t->at, "credentialName", t->credential_name);
        check_secret(l, t->at, "caCertCredentialName", t->ca_credential_name);
        for (size_t k = 0; k < t->credential_names.n; k++)
            check_secret(l, t->at, "credentialNames", t->credential_names.v[k]);
    }
}

static void check_virtual_services(struct look *l, struct mesh_problems *p)
{
    struct strmap owners = STRMAP_INIT;
    bool nomem = false;

    for (size_t i = 0; i < l->mesh->virtual_services.n && !nomem; i++) {
        const struct virtual_service *vs = l->mesh->by_age[i];

        check_init(&l->c, l->mesh->arena, p, vs->object);
        check_gateways(l, vs->at, vs->gateways.v, vs->gateways.n);
        check_rules(l, vs);
        check_conflicts(l, i, &owners);
        nomem = l->c.nomem;
    }
    strmap_free(&owners);
}

static void check_policy_secrets(struct look *l, const struct dr_policy *p)
{
    if (!p)
        return;
    if (p->tls)
        check_secret(l, p->tls->at, "credentialName", p->tls->credential_name);
    for (size_t i = 0; i < p->ports.n; i++)
        if (p->ports.v[i].tls)
            check_secret(l, p->ports.v[i].tls->at, "credentialName", p->ports.v[i].tls->credential_name);
}

void mesh_check_references(struct mesh *m, struct mesh_problems *p, bool *nomem)
{
    struct look l = { .mesh = m };

    check_virtual_services(&l, p);
    *nomem = l.c.nomem;
    for (size_t i = 0; i < m->rules.n && !*nomem; i++) {
        check_init(&l.c, m->arena, p, m->rules.v[i].object);
        check_rule_host(&l, &m->rules.v[i]);
        check_policy_secrets(&l, m->rules.v[i].policy);
        for (size_t k = 0; k < m->rules.v[i].subsets.n; k++)
            check_policy_secrets(&l, m->rules.v[i].subsets.v[k].policy);
        *nomem = l.c.nomem;
    }
    for (size_t i = 0; i < m->gateways.n && !*nomem; i++) {
        check_init(&l.c, m->arena, p, m->gateways.v[i].object);
        check_servers(&l, &m->gateways.v[i]);
        *nomem = l.c.nomem;
    }
}
