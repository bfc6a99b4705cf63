/* snapshot_clusters.c: upstreams: each service port, each subset of it, and the proxy's own application.
 *
 * Which DestinationRule counts is a matter of who asks: one in the client's namespace before one in the service's
 * before one in the root namespace; among those of one namespace the most specific host, and where several have that
 * host their subsets are joined and the oldest policy counts. */
#include "mesh/hosts-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

enum { CONNECT_TIMEOUT_MS = 10000, IDLE_TIMEOUT_MS = 3600000, MOST_RULES = 64 };

static const struct str root_ns = STR_INIT("istio-system");

/* The rules for one host as one client sees them, oldest first. */
struct rules {
    const struct destination_rule *v[MOST_RULES];
    size_t n;
};

/* What a policy says, part by part. */
struct settings {
    const struct dr_balancer *balancer;
    const struct dr_pool *pool;
};

uint16_t target_port(const struct service_port *sp, const struct pod *p)
{
    if (!sp->target)
        return (uint16_t)sp->port;
    if (sp->target->kind == YAML_NUMBER)
        return (uint16_t)sp->target->number;
    for (size_t i = 0; i < p->containers.n; i++)
        for (size_t k = 0; k < p->containers.v[i].ports.n; k++)
            if (str_eq(p->containers.v[i].ports.v[k].name, sp->target->text))
                return (uint16_t)p->containers.v[i].ports.v[k].port;
    return 0;
}

static void rules_in(const struct draft *d, struct str ns, struct str host, struct rules *out)
{
    for (size_t i = 0; i < d->mesh->rules.n; i++) {
        const struct destination_rule *r = d->mesh->rules_by_age[i];
        int c;

        if (!str_eq(r->object->ns, ns) || !host_within(host, r->host) ||
            !exported_to(r->export_to.v, r->export_to.n, ns, d->ns))
            continue;
        c = out->n ? host_specific_cmp(r->host, out->v[0]->host) : -1;
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

/* A port's own settings replace all others, also those it does not have. */
static void apply_policy(struct settings *to, const struct dr_policy *p, uint32_t port)
{
    if (!p)
        return;
    if (p->balancer)
        to->balancer = p->balancer;
    if (p->pool)
        to->pool = p->pool;
    for (size_t i = 0; i < p->ports.n; i++)
        if (p->ports.v[i].port && p->ports.v[i].port->number == port)
            *to = (struct settings){ p->ports.v[i].balancer, p->ports.v[i].pool };
}

static enum lb_policy balancer_policy(const struct dr_balancer *b)
{
    enum { RANDOM = 2, ROUND_ROBIN = 4 }; /* of destination_rule.c's words */

    return !b                         ? LB_LEAST_REQUEST
           : b->simple == RANDOM      ? LB_RANDOM
           : b->simple == ROUND_ROBIN ? LB_ROUND_ROBIN
                                      : LB_LEAST_REQUEST;
}

static void set_pool(struct cluster *c, const struct dr_pool *p)
{
    const struct dr_tcp *t = p ? p->tcp : NULL;
    const struct dr_http *h = p ? p->http : NULL;

    c->connect_timeout_ms = t && t->connect_timeout ? t->connect_timeout : CONNECT_TIMEOUT_MS;
    c->idle_timeout_ms = IDLE_TIMEOUT_MS;
    if (t && check_get(t->at, "idleTimeout"))
        c->idle_timeout_ms = t->idle_timeout;
    if (h && check_get(h->at, "idleTimeout"))
        c->idle_timeout_ms = h->idle_timeout;
    c->max_connections = t && t->max_connections ? (uint32_t)t->max_connections : UINT32_MAX;
    c->max_pending = h && h->max_pending ? (uint32_t)h->max_pending : UINT32_MAX;
    c->max_requests_per_connection = h ? (uint32_t)h->max_requests_per_connection : 0;
}

static void set_endpoints(struct draft *d, struct cluster *c, const struct service *s, const struct service_port *sp,
                          struct labels subset)
{
    struct endpoint *v = draft_alloc(d, s->npods, sizeof(*v));

    for (size_t i = 0; v && i < s->npods; i++) {
        const struct pod *p = s->pods[i];
        uint16_t port = target_port(sp, p);

        if (port && labels_contain(p->labels, subset))
            v[c->nendpoints++] = (struct endpoint){ .ip = p->workload.ip, .port = pod_served_at(p, port),
                                                     .container_port = port, .weight = 1, .workload = &p->workload };
    }
    c->endpoints = v;
}

static void add_cluster(struct draft *d, const struct cluster *c)
{
    if (arena_grow(d->arena, &d->clusters.v, &d->clusters_cap, d->clusters.n + 1, sizeof(*c)) < 0)
        d->nomem = true;
    else
        d->clusters.v[d->clusters.n++] = *c;
}

static void add_outbound(struct draft *d, const struct service *s, const struct service_port *sp,
                         const struct dr_policy *policy, const struct dr_subset *subset)
{
    struct settings settings = { NULL, NULL };
    struct cluster c = { .host = s->host, .service = s->object->name, .service_ns = s->object->ns };

    apply_policy(&settings, policy, sp->port);
    if (subset)
        apply_policy(&settings, subset->policy, sp->port);
    c.port = (uint16_t)sp->port;
    c.subset = subset ? subset->name : STR("");
    c.name = draft_printf(d, "outbound|%u|%.*s|%.*s", sp->port, STR_ARG(c.subset), STR_ARG(s->host));
    c.lb = balancer_policy(settings.balancer);
    set_pool(&c, settings.pool);
    set_endpoints(d, &c, s, sp, subset ? subset->labels : (struct labels){ NULL, 0 });
    add_cluster(d, &c);
}

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
    const struct dr_policy *policy = NULL;

    for (size_t i = rules->n; i-- > 0;)
        if (rules->v[i]->policy)
            policy = rules->v[i]->policy;
    add_outbound(d, s, sp, policy, NULL);
    for (size_t i = 0; i < rules->n; i++)
        for (size_t k = 0; k < rules->v[i]->subsets.n && !d->nomem; k++)
            if (!seen_before(rules, i, rules->v[i]->subsets.v[k].name))
                add_outbound(d, s, sp, policy, &rules->v[i]->subsets.v[k]);
}

void draft_outbound_clusters(struct draft *d)
{
    for (size_t i = 0; i < d->mesh->services.n && !d->nomem; i++) {
        const struct service *s = &d->mesh->services.v[i];
        struct rules rules;

        find_rules(d, s, &rules);
        for (size_t k = 0; k < s->ports.n && !d->nomem; k++)
            if (!s->ports.v[k].udp)
                add_port(d, s, &s->ports.v[k], &rules);
    }
}

static bool has_cluster(const struct draft *d, struct str name)
{
    for (size_t i = 0; i < d->clusters.n; i++)
        if (str_eq(d->clusters.v[i].name, name))
            return true;
    return false;
}

/* The application behind this proxy, at one of its ports. Named by the container's port, as Istio does. */
static void add_inbound(struct draft *d, const struct service *s, uint16_t port)
{
    struct cluster c = { .host = s->host, .service = s->object->name, .service_ns = s->object->ns, .port = port };
    struct endpoint *ep = draft_alloc(d, 1, sizeof(*ep));

    c.name = draft_printf(d, "inbound|%u||", port);
    if (!ep || has_cluster(d, c.name))
        return;
    *ep = (struct endpoint){ .ip = d->id->app_address, .port = pod_served_at(d->pod, port), .container_port = port,
                             .weight = 1, .workload = &d->out->self };
    c.endpoints = ep;
    c.nendpoints = 1;
    c.lb = LB_LEAST_REQUEST;
    set_pool(&c, NULL);
    add_cluster(d, &c);
}

static int by_age(const void *x, const void *y)
{
    return object_age_cmp((*(const struct service *const *)x)->object, (*(const struct service *const *)y)->object);
}

void draft_inbound_clusters(struct draft *d)
{
    const struct mesh *m = d->mesh;
    const struct service **v = draft_alloc(d, m->services.n, sizeof(const struct service *));
    size_t n = 0;

    for (size_t i = 0; v && i < m->services.n; i++) {
        const struct service *s = &m->services.v[i];

        if (s->selector.n && str_eq(s->object->ns, d->pod->object->ns) && labels_contain(d->pod->labels, s->selector))
            v[n++] = s;
    }
    if (n > 1)
        qsort(v, n, sizeof(const struct service *), by_age);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < v[i]->ports.n && !d->nomem; k++)
            if (!v[i]->ports.v[k].udp && target_port(&v[i]->ports.v[k], d->pod))
                add_inbound(d, v[i], target_port(&v[i]->ports.v[k], d->pod));
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
