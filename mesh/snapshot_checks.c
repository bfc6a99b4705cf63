/* snapshot_checks.c: the health checks that EnvoyFilters merge into a proxy's clusters. */
#include "mesh/snapshot-internal.h"

static bool is_for_side(const struct draft *d, const struct envoy_config_patch *p, const struct cluster *c)
{
    bool inbound = str_starts(c->name, STR("inbound|"));
    int context = p->match ? p->match->context : ENVOY_ANY;

    if (context == ENVOY_ANY)
        return true;
    if (d->id->role == PROXY_GATEWAY)
        return context == ENVOY_GATEWAY;
    return context == (int)(inbound ? ENVOY_INBOUND : ENVOY_OUTBOUND);
}

/* A name alone counts where there is one: Istio's rule. */
static bool finds(const struct draft *d, const struct envoy_config_patch *p, const struct cluster *c)
{
    const struct envoy_cluster_match *m = p->match ? p->match->cluster : NULL;

    if (!is_for_side(d, p, c))
        return false;
    if (!m || m->name.n)
        return !m || str_eq(m->name, c->name);
    return (!m->subset.n || str_eq(m->subset, c->subset)) && (!m->service.n || str_eq(m->service, c->host)) &&
           (!m->port || m->port == c->port);
}

/* Clusters without endpoints of their own have nothing to be checked. */
void draft_health_checks(struct draft *d)
{
    for (size_t i = 0; i < d->nfilters; i++)
        for (size_t k = 0; k < d->filters[i]->patches.n; k++) {
            const struct envoy_config_patch *p = &d->filters[i]->patches.v[k];

            for (size_t n = 0; p->effect == ENVOY_HEALTH_CHECK && n < d->clusters.n; n++)
                if (finds(d, p, &d->clusters.v[n]) && !d->clusters.v[n].passthrough && !d->clusters.v[n].dynamic)
                    d->clusters.v[n].check = p->check;
        }
}
