/* snapshot.c: who the proxy is, and all it is told. */
#include "mesh/snapshot.h"

#include "base/err.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

/* ---- identity ---- */

/* The Pod by its name, or the workload's first: a ready one before one that is not. */
static const struct pod *find_pod(const struct mesh *m, const struct proxy_identity *id)
{
    const struct pod *best = NULL;

    for (size_t i = 0; i < m->pods.n; i++) {
        const struct pod *p = &m->pods.v[i];

        if (!str_eq(p->object->ns, id->ns) || (id->pod.n && !str_eq(p->object->name, id->pod)))
            continue;
        if (id->pod.n)
            return p;
        if (str_eq(p->workload.name, id->name) && (!best || (p->workload.ready && !best->workload.ready)))
            best = p;
    }
    return best;
}

static const struct pod_template *find_template(const struct mesh *m, const struct proxy_identity *id)
{
    for (size_t i = 0; i < m->templates.n; i++)
        if (str_eq(m->templates.v[i].object->ns, id->ns) && str_eq(m->templates.v[i].object->name, id->name))
            return &m->templates.v[i];
    return NULL;
}

/* Who has neither Pod nor template is what the command line says: a gateway always, a sidecar with labels. */
static int name_self(struct draft *d, struct err *e)
{
    const struct proxy_identity *id = d->id;
    static const struct gateway_topology none;
    const struct pod_template *t = find_template(d->mesh, id);
    struct workload *self = &d->out->self;
    struct check c;

    d->pod = find_pod(d->mesh, id);
    if (d->pod) {
        *self = d->pod->workload;
        d->labels = d->pod->labels;
    } else if (t) {
        *self = t->workload;
        d->labels = t->labels;
    } else if (id->role == PROXY_GATEWAY || id->labels.n) {
        check_init(&c, d->arena, NULL, NULL);
        workload_describe(&c, self, id->ns, id->name, id->labels, STR_NULL);
        d->nomem = d->nomem || c.nomem;
    } else {
        return err_set(e, ERR_NOTFOUND, "workload %.*s.%.*s: there is no Pod nor Deployment of that name",
                       STR_ARG(id->name), STR_ARG(id->ns));
    }
    if (id->labels.n)
        d->labels = id->labels;
    d->topology = gateway_topology_of(t ? &t->topology : &none, d->pod ? &d->pod->topology : &none);
    d->topology = gateway_topology_of(&d->mesh->topology, &d->topology);
    if (!d->pod && id->pod.n)
        self->pod = id->pod;
    d->ns = self->ns;
    return 0;
}

static int check_addresses(const struct proxy_identity *id, struct err *e)
{
    uint32_t net, mask;

    if (!host_is_ip(id->bind) && (id->bind.n || !id->outbound_net.n))
        return err_set(e, ERR_INVALID, "bind: \"%.*s\" is no address", STR_ARG(id->bind));
    if (id->app_address.n && !host_is_ip(id->app_address))
        return err_set(e, ERR_INVALID, "app address: \"%.*s\" is no address", STR_ARG(id->app_address));
    if (id->outbound_net.n && !host_net(id->outbound_net, &net, &mask))
        return err_set(e, ERR_INVALID, "outbound net: \"%.*s\" is no net, as in 127.64.3.0/24",
                       STR_ARG(id->outbound_net));
    return 0;
}

/* ---- the whole ---- */

static int by_place(const void *x, const void *y)
{
    const struct listener *a = x, *b = y;
    int c;

    if (a->direction != b->direction)
        return a->direction < b->direction ? -1 : 1;
    c = str_cmp(a->ip, b->ip);
    return c ? c : (a->port > b->port) - (a->port < b->port);
}

static void fill(struct draft *d)
{
    bool inbound = d->id->role == PROXY_SIDECAR && d->id->app_address.n && d->pod && d->out->self.ip.n;

    draft_envoy_filters(d);
    draft_scopes(d);
    if (!d->nomem)
        draft_outbound_clusters(d);
    if (inbound && !d->nomem)
        draft_inbound_clusters(d);
    if (!d->nomem)
        draft_sort_clusters(d);
    if (!d->nomem)
        draft_health_checks(d);
    if (inbound && !d->nomem)
        draft_inbound_listeners(d);
    if (d->id->role == PROXY_GATEWAY && !d->nomem)
        draft_gateway_listeners(d);
    else if (!d->nomem)
        draft_sidecar_listeners(d);
    draft_telemetry(d);
    if (d->listeners.n > 1 && !d->nomem)
        qsort(d->listeners.v, d->listeners.n, sizeof(*d->listeners.v), by_place);
    d->out->clusters = d->clusters.v;
    d->out->nclusters = d->clusters.n;
    d->out->listeners = d->listeners.v;
    d->out->nlisteners = d->listeners.n;
    d->out->rate_limits = d->limits.v;
    d->out->nrate_limits = d->limits.n;
    d->out->workloads = d->mesh->workloads;
    d->out->nworkloads = d->mesh->nworkloads;
}

static bool copy_identity(struct arena *a, const struct proxy_identity *id, struct proxy_identity *to)
{
    *to = *id;
    to->name = arena_str(a, id->name);
    to->ns = arena_str(a, id->ns);
    to->pod = arena_str(a, id->pod);
    to->bind = arena_str(a, id->bind);
    to->app_address = arena_str(a, id->app_address);
    to->labels = labels_copy(a, id->labels);
    return to->name.p && to->ns.p && to->pod.p && to->bind.p && to->app_address.p && to->labels.v;
}

struct proxy_snapshot *mesh_snapshot(struct arena *a, const struct mesh *m, const struct proxy_identity *id,
                                     uint64_t version, struct err *e)
{
    struct proxy_snapshot *out = ARENA_NEW(a, struct proxy_snapshot);
    struct proxy_identity own;
    struct draft d = { .arena = a, .mesh = m, .id = &own, .out = out };

    if (!out || !copy_identity(a, id, &own)) {
        err_set(e, ERR_NOMEM, "no memory for a proxy's snapshot");
        return NULL;
    }
    out->version = version;
    if (check_addresses(&own, e) < 0 || name_self(&d, e) < 0)
        return NULL;
    fill(&d);
    if (d.nomem) {
        err_set(e, ERR_NOMEM, "no memory for a proxy's snapshot");
        return NULL;
    }
    return out;
}
