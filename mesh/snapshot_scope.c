/* snapshot_scope.c: what of the mesh a proxy sees.
 *
 * Everything that is exported to its namespace, or, where a Sidecar is for it, what of that the Sidecar's egress
 * listeners name, and the destinations of the VirtualServices they name. Of Sidecars the oldest that selects the
 * workload counts, then the namespace's own, then the root namespace's. Of several services with one host the one of
 * the proxy's own namespace counts, then Kubernetes' before ServiceEntries, then the oldest. */
#include "mesh/hosts-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

static const struct str root_ns = STR_INIT("istio-system");

/* ---- which Sidecar ---- */

static bool selects(const struct workload_selector *s)
{
    return s && s->labels.n;
}

static const struct sidecar *older(const struct sidecar *a, const struct sidecar *b)
{
    return !a || object_age_cmp(b->object, a->object) < 0 ? b : a;
}

static const struct sidecar *find_sidecar(const struct draft *d)
{
    const struct sidecar *selected = NULL, *own = NULL, *root = NULL;

    for (size_t i = 0; i < d->mesh->sidecars.n; i++) {
        const struct sidecar *s = &d->mesh->sidecars.v[i];
        bool here = str_eq(s->object->ns, d->ns);

        if (here && selects(s->selector) && labels_contain(d->labels, s->selector->labels))
            selected = older(selected, s);
        else if (here && !selects(s->selector))
            own = older(own, s);
        else if (str_eq(s->object->ns, root_ns) && !selects(s->selector))
            root = older(root, s);
    }
    return selected ? selected : own ? own : root;
}

/* ---- what it names ---- */

static bool names_host(const struct sc_host *h, struct str ns, struct str host)
{
    return (str_eqz(h->ns, "*") || str_eq(h->ns, ns)) && (str_eqz(h->host, "*") || host_within(host, h->host));
}

/* NULL names everything. */
static bool imports(const struct sc_egress *e, struct str ns, struct str host)
{
    bool in = !e;

    for (size_t i = 0; e && i < e->hosts.n; i++) {
        if (!names_host(&e->parsed[i], ns, host))
            continue;
        if (e->parsed[i].excluded)
            return false;
        in = true;
    }
    return in;
}

/* A listener for one port is of no use to a service that does not have it. */
static bool sees_service(const struct draft *d, const struct sc_egress *e, const struct service *s)
{
    if (e && e->port && !e->by_socket && !service_port_find(s, e->port->number))
        return false;
    return exported_to(s->export_to.v, s->export_to.n, s->object->ns, d->ns) && imports(e, s->object->ns, s->host);
}

static void add_service(const struct draft *d, struct scope *scope, const struct service *s)
{
    const struct service **last = scope->nservices ? &scope->services[scope->nservices - 1] : NULL;

    if (!last || !str_eq((*last)->host, s->host))
        scope->services[scope->nservices++] = s;
    else if (str_eq(s->object->ns, d->ns) && !str_eq((*last)->object->ns, d->ns))
        *last = s;
}

static void take_virtual_services(struct draft *d, struct scope *scope)
{
    const struct mesh *m = d->mesh;

    scope->vs = draft_alloc(d, m->virtual_services.n, sizeof(const struct virtual_service *));
    for (size_t i = 0; scope->vs && i < m->virtual_services.n; i++) {
        const struct virtual_service *vs = m->by_age[i];
        bool in = false;

        if (!vs->in_mesh || !exported_to(vs->export_to.v, vs->export_to.n, vs->object->ns, d->ns))
            continue;
        for (size_t k = 0; k < vs->hosts.n; k++)
            in = in || imports(scope->egress, vs->object->ns, vs->hosts.v[k]);
        if (in)
            scope->vs[scope->nvs++] = vs;
    }
}

/* ---- where its VirtualServices lead ---- */

/* Marks, by place in the registry, the services that are destinations. */
static void mark(const struct draft *d, const struct vs_destination *to, bool *marked)
{
    const struct mesh *m = d->mesh;
    const struct service *first = to ? mesh_service_of(m, to->host) : NULL;
    size_t i = 0;

    while (first && m->registry[i] != first)
        i++;
    for (; first && i < m->nregistry && str_eq(m->registry[i]->host, first->host); i++)
        marked[i] = true;
}

static void mark_weighted(const struct draft *d, const struct vs_weighted *v, size_t n, bool *marked)
{
    for (size_t i = 0; i < n; i++)
        mark(d, v[i].destination, marked);
}

static void mark_destinations(const struct draft *d, const struct scope *scope, bool *marked)
{
    for (size_t i = 0; i < scope->nvs; i++) {
        const struct virtual_service *vs = scope->vs[i];

        for (size_t k = 0; k < vs->http.n; k++) {
            mark_weighted(d, vs->http.v[k].route.v, vs->http.v[k].route.n, marked);
            for (size_t j = 0; j < vs->http.v[k].mirrors.n; j++)
                mark(d, vs->http.v[k].mirrors.v[j].destination, marked);
        }
        for (size_t k = 0; k < vs->tcp.n; k++)
            mark_weighted(d, vs->tcp.v[k].route.v, vs->tcp.v[k].route.n, marked);
        for (size_t k = 0; k < vs->tls.n; k++)
            mark_weighted(d, vs->tls.v[k].route.v, vs->tls.v[k].route.n, marked);
    }
}

static void fill_scope(struct draft *d, struct scope *scope, bool *named)
{
    const struct mesh *m = d->mesh;
    bool *marked = draft_alloc(d, m->nregistry, sizeof(*marked));

    scope->services = draft_alloc(d, m->nregistry, sizeof(const struct service *));
    if (d->id->role == PROXY_SIDECAR)
        take_virtual_services(d, scope);
    if (d->nomem)
        return;
    if (scope->egress)
        mark_destinations(d, scope, marked);
    for (size_t i = 0; i < m->nregistry; i++) {
        const struct service *s = m->registry[i];
        bool led_to = marked[i] && exported_to(s->export_to.v, s->export_to.n, s->object->ns, d->ns);

        if (led_to || sees_service(d, scope->egress, s))
            add_service(d, scope, s);
    }
    for (size_t i = 0, k = 0; i < m->nregistry && k < scope->nservices; i++) {
        if (!str_eq(m->registry[i]->host, scope->services[k]->host))
            continue;
        named[i] = named[i] || m->registry[i] == scope->services[k];
        if (i + 1 == m->nregistry || !str_eq(m->registry[i + 1]->host, scope->services[k]->host))
            k++;
    }
}

void draft_scopes(struct draft *d)
{
    const struct mesh *m = d->mesh;
    struct scope all = { .egress = NULL };
    bool *named = draft_alloc(d, m->nregistry, sizeof(*named));
    size_t n;

    d->sidecar = d->id->role == PROXY_SIDECAR ? find_sidecar(d) : NULL;
    n = d->sidecar ? d->sidecar->egress.n : 0;
    d->scopes.v = draft_alloc(d, n ? n : 1, sizeof(*d->scopes.v));
    d->services = draft_alloc(d, m->nregistry, sizeof(const struct service *));
    if (d->nomem)
        return;
    d->scopes.n = n ? n : 1;
    d->scopes.v[0] = all;
    for (size_t i = 0; i < d->scopes.n && !d->nomem; i++) {
        if (n)
            d->scopes.v[i].egress = &d->sidecar->egress.v[i];
        fill_scope(d, &d->scopes.v[i], named);
    }
    all.services = d->services;
    for (size_t i = 0; i < m->nregistry; i++)
        if (named[i])
            add_service(d, &all, m->registry[i]);
    d->nservices = all.nservices;
}

static int by_host(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, (*(const struct service *const *)item)->host);
}

const struct service *draft_service(const struct draft *d, struct str host)
{
    const struct service **s = NULL;

    if (d->nservices)
        s = bsearch(&host, d->services, d->nservices, sizeof(const struct service *), by_host);
    return s ? *s : NULL;
}
