/* snapshot_clusters.c: upstreams: each service port that the proxy sees, and each subset of it.
 *
 * Which DestinationRule counts is a matter of who asks: one in the client's namespace before one in the service's
 * before one in the root namespace; among those of one namespace the most specific host, and where several have that
 * host their subsets are joined and the oldest policy counts. A rule for some workloads alone counts for these, in its
 * own namespace, and there before the rules for all. */
#include "mesh/hosts-internal.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

enum { MOST_RULES = 64 };

static const struct str root_ns = STR_INIT("istio-system");

/* The rules for one host as one client sees them, oldest first. */
struct rules {
    const struct destination_rule *v[MOST_RULES];
    size_t n;
};

/* One port of a service, and what is said of it. */
struct upstream {
    const struct service *service;
    const struct service_port *port;
    const struct destination_rule *rule; /* whose policy counts; NULL: none has one */
    const struct dr_subset *subset;      /* NULL: the whole */
};

/* ---- which rules ---- */

static bool is_selected(const struct draft *d, const struct destination_rule *r)
{
    return !r->selector || r->selector->labels.n == 0 ||
           (str_eq(r->object->ns, d->ns) && labels_contain(d->labels, r->selector->labels));
}

/* < 0: `a` hides `b`, as the rule of a more specific host or of selected workloads. */
static int hides(const struct destination_rule *a, const struct destination_rule *b)
{
    bool selected_a = a->selector && a->selector->labels.n, selected_b = b->selector && b->selector->labels.n;
    int c = host_specific_cmp(a->host, b->host);

    return c ? c : (int)selected_b - (int)selected_a;
}

static void rules_in(const struct draft *d, struct str ns, struct str host, struct rules *out)
{
    for (size_t i = 0; i < d->mesh->rules.n; i++) {
        const struct destination_rule *r = d->mesh->rules_by_age[i];
        int c;

        if (!str_eq(r->object->ns, ns) || !host_within(host, r->host) || !is_selected(d, r) ||
            !exported_to(r->export_to.v, r->export_to.n, ns, d->ns))
            continue;
        c = out->n ? hides(r, out->v[0]) : -1;
        if (c < 0)
            out->n = 0;
        if (c <= 0 && out->n < MOST_RULES)
            out->v[out->n++] = r;
    }
}

static void find_rules(const struct draft *d, const struct service *s, struct rules *out)
{
    out->n = 0;
    rules_in(d, d->ns, s->host, out);
    if (out->n == 0)
        rules_in(d, s->object->ns, s->host, out);
    if (out->n == 0)
        rules_in(d, root_ns, s->host, out);
}

/* The oldest that has a policy. */
static const struct destination_rule *policy_rule(const struct rules *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i]->policy)
            return rules->v[i];
    return NULL;
}

const struct dr_pool *draft_pool_of(const struct draft *d, const struct service *s, uint32_t port)
{
    struct policy_parts parts = { .pool = NULL };
    struct rules rules;

    find_rules(d, s, &rules);
    if (policy_rule(&rules))
        policy_apply(&parts, policy_rule(&rules)->policy, port);
    return parts.pool;
}

/* ---- one upstream ---- */

static void set_endpoints(struct draft *d, struct cluster *c, const struct upstream *u,
                          const struct policy_parts *parts)
{
    const struct service *s = u->service;
    struct endpoint *v = draft_alloc(d, s->ninstances, sizeof(*v));
    struct labels *labels = draft_alloc(d, s->ninstances, sizeof(*labels));
    struct placed placed = { v, labels, 0 };

    for (size_t i = 0; v && labels && i < s->ninstances; i++) {
        const struct instance *in = &s->instances[i];
        uint16_t port = instance_port(in, u->port);
        bool ip = host_is_ip(in->address);

        if (!port || (u->subset && !labels_contain(in->labels, u->subset->labels)))
            continue;
        labels[placed.n] = in->labels;
        v[placed.n++] = (struct endpoint){ .ip = ip ? in->address : STR(""),
                                           .dns = ip ? STR("") : in->address,
                                           .port = in->pod ? pod_served_at(in->pod, port) : port,
                                           .container_port = port,
                                           .weight = in->weight,
                                           .workload = in->workload };
    }
    if (!d->nomem)
        draft_place_endpoints(d, &placed, parts);
    c->endpoints = v;
    c->nendpoints = placed.n;
}

void draft_add_cluster(struct draft *d, const struct cluster *c)
{
    if (arena_grow(d->arena, &d->clusters.v, &d->clusters_cap, d->clusters.n + 1, sizeof(*c)) < 0)
        d->nomem = true;
    else
        d->clusters.v[d->clusters.n++] = *c;
}

static void secure(struct draft *d, struct cluster *c, const struct upstream *u, const struct dr_tls *policy)
{
    const struct service *s = u->service;
    struct cluster_tls from = { .policy = policy, .external = s->external, .names = s->names.v, .nnames = s->names.n };

    /* A sidecar reads Secrets only for a rule that names its workloads: Istio's rule. */
    from.by_secret = d->id->role == PROXY_GATEWAY ||
                     (u->rule && u->rule->selector && u->rule->selector->labels.n);
    draft_secure_cluster(d, c, &from);
}

static void add_outbound(struct draft *d, const struct upstream *u)
{
    const struct service *s = u->service;
    uint32_t port = u->port->port;
    struct policy_parts parts = { .balancer = NULL };
    struct cluster c = { .host = s->host, .service = s->name, .service_ns = s->object->ns, .port = (uint16_t)port };

    policy_apply(&parts, u->rule ? u->rule->policy : NULL, port);
    policy_apply(&parts, u->subset ? u->subset->policy : NULL, port);
    c.subset = u->subset ? u->subset->name : STR("");
    c.name = draft_printf(d, "outbound|%u|%.*s|%.*s", port, STR_ARG(c.subset), STR_ARG(s->host));
    c.passthrough = s->resolution == RESOLVE_CALLER;
    c.dynamic = s->resolution == RESOLVE_DYNAMIC;
    c.dns_first = s->resolution == RESOLVE_DNS_FIRST;
    policy_set(&c, &parts, u->port->speech);
    set_endpoints(d, &c, u, &parts);
    if (!d->nomem)
        secure(d, &c, u, parts.tls);
    draft_add_cluster(d, &c);
}

/* ---- all of them ---- */

static bool seen_before(const struct rules *rules, size_t rule, struct str subset)
{
    for (size_t i = 0; i < rule; i++)
        for (size_t k = 0; k < rules->v[i]->subsets.n; k++)
            if (str_eq(rules->v[i]->subsets.v[k].name, subset))
                return true;
    return false;
}

static void add_port(struct draft *d, const struct service *s, const struct service_port *sp, const struct rules *rules)
{
    struct upstream u = { s, sp, policy_rule(rules), NULL };

    add_outbound(d, &u);
    for (size_t i = 0; i < rules->n; i++) {
        for (size_t k = 0; k < rules->v[i]->subsets.n && !d->nomem; k++) {
            u.subset = &rules->v[i]->subsets.v[k];
            if (!seen_before(rules, i, u.subset->name))
                add_outbound(d, &u);
        }
    }
}

/* Where what nobody knows goes: to where it was going. */
static void add_passthrough(struct draft *d)
{
    static const struct str name = STR_INIT("PassthroughCluster");
    struct cluster c = { .name = name, .service = name, .passthrough = true, .tls = { .mode = TLS_CLIENT_OFF } };
    const struct policy_parts nothing = { .balancer = NULL };

    policy_set(&c, &nothing, SPEECH_UNKNOWN);
    draft_add_cluster(d, &c);
}

void draft_outbound_clusters(struct draft *d)
{
    for (size_t i = 0; i < d->nservices && !d->nomem; i++) {
        const struct service *s = d->services[i];
        struct rules rules;

        find_rules(d, s, &rules);
        for (size_t k = 0; k < s->ports.n && !d->nomem; k++)
            if (!s->ports.v[k].udp)
                add_port(d, s, &s->ports.v[k], &rules);
    }
    if (d->id->role == PROXY_SIDECAR && !d->nomem)
        add_passthrough(d);
}

static int by_name(const void *x, const void *y)
{
    return str_cmp(((const struct cluster *)x)->name, ((const struct cluster *)y)->name);
}

void draft_sort_clusters(struct draft *d)
{
    if (d->clusters.n > 1)
        qsort(d->clusters.v, d->clusters.n, sizeof(*d->clusters.v), by_name);
}

const struct cluster *draft_cluster(const struct draft *d, struct str name)
{
    const struct cluster key = { .name = name };

    return d->clusters.n ? bsearch(&key, d->clusters.v, d->clusters.n, sizeof(key), by_name) : NULL;
}
