/* snapshot_limits.c: the EnvoyFilters that are for a proxy, and the rate limits that they put into its listeners,
 * virtual hosts and routes.
 *
 * The root namespace's filters come before those of the proxy's own; among these the ones of lower priority first, of
 * one priority the older. A workloadSelector of the root namespace chooses workloads of every namespace: Istio's rules.
 *
 * Each place that a patch finds gets a limit of its own, with buckets of its own, as each of Envoy's filters and routes
 * has its own configuration. But listeners of one port and direction share theirs, by the buckets' keys: in Istio they
 * are one listener, and what they have apart here (addresses, TLS) is how they are reached. */
#include "base/err.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdlib.h>

/* ---- which filters ---- */

static bool is_for(const struct draft *d, const struct envoy_filter *f)
{
    bool here = str_eq(f->object->ns, d->ns) || str_eqz(f->object->ns, ROOT_NAMESPACE);

    return here && !f->targets && (!f->selector || labels_contain(d->labels, f->selector->labels));
}

static int by_order(const void *x, const void *y)
{
    const struct envoy_filter *a = *(const struct envoy_filter *const *)x, *b = *(const struct envoy_filter *const *)y;
    bool root_a = str_eqz(a->object->ns, ROOT_NAMESPACE), root_b = str_eqz(b->object->ns, ROOT_NAMESPACE);

    if (root_a != root_b)
        return root_a ? -1 : 1;
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return object_age_cmp(a->object, b->object);
}

void draft_envoy_filters(struct draft *d)
{
    const struct mesh *m = d->mesh;

    d->filters = draft_alloc(d, m->envoy_filters.n, sizeof(const struct envoy_filter *));
    for (size_t i = 0; d->filters && i < m->envoy_filters.n; i++)
        if (is_for(d, &m->envoy_filters.v[i]))
            d->filters[d->nfilters++] = &m->envoy_filters.v[i];
    if (d->nfilters > 1)
        qsort(d->filters, d->nfilters, sizeof(const struct envoy_filter *), by_order);
}

/* One patch after the other, in their order. */
struct patches {
    const struct draft *d;
    enum envoy_effect effect;
    size_t filter, at;
    const struct envoy_filter *of; /* the one last given */
};

static const struct envoy_config_patch *next_patch(struct patches *p)
{
    for (; p->filter < p->d->nfilters; p->filter++, p->at = 0) {
        const struct envoy_filter *f = p->d->filters[p->filter];

        while (p->at < f->patches.n) {
            const struct envoy_config_patch *patch = &f->patches.v[p->at++];

            if (patch->effect != p->effect)
                continue;
            p->of = f;
            return patch;
        }
    }
    return NULL;
}

static bool has_patch(const struct draft *d, enum envoy_effect effect)
{
    struct patches p = { .d = d, .effect = effect };

    return next_patch(&p) != NULL;
}

static bool in_context(const struct envoy_config_patch *p, enum listener_direction direction)
{
    static const enum envoy_context contexts[] = {
        [LISTENER_INBOUND] = ENVOY_INBOUND, [LISTENER_OUTBOUND] = ENVOY_OUTBOUND, [LISTENER_GATEWAY] = ENVOY_GATEWAY,
    };

    return !p->match || p->match->context == ENVOY_ANY || p->match->context == (int)contexts[direction];
}

/* ---- a limit at its place ---- */

/* Buckets are the same as long as their key is: where, by which patch, and how large. */
static struct token_bucket keyed(struct draft *d, const struct token_bucket *b, struct str place, const char *part,
                                 size_t n)
{
    struct token_bucket to = *b;

    if (to.most)
        to.key = draft_printf(d, "%u/%u/%lld %s%zu %.*s", to.most, to.per_fill, (long long)to.interval_ms, part, n,
                              STR_ARG(place));
    return to;
}

/* NULL on d->nomem. */
static const struct rate_limit *place_limit(struct draft *d, const struct rate_limit *pattern, struct str place)
{
    struct rate_limit *l = draft_alloc(d, 1, sizeof(*l));
    struct rate_limit_descriptor *v = draft_alloc(d, pattern->ndescriptors, sizeof(*v));

    if (!l || !v || arena_grow(d->arena, &d->limits.v, &d->limits_cap, d->limits.n + 1, sizeof(*d->limits.v)) < 0) {
        d->nomem = true;
        return NULL;
    }
    *l = *pattern;
    l->index = (uint32_t)d->limits.n;
    l->bucket = keyed(d, &pattern->bucket, place, "all", 0);
    for (size_t i = 0; i < l->ndescriptors; i++) {
        v[i] = pattern->descriptors[i];
        v[i].bucket = keyed(d, &v[i].bucket, place, "descriptor", i);
    }
    l->descriptors = v;
    d->limits.v[d->limits.n++] = l;
    return l;
}

/* "OBJECT'S NAMESPACE/NAME#PATCH PLACE" */
static struct str place_text(struct draft *d, const struct patches *p, struct str place)
{
    return draft_printf(d, "%.*s/%.*s#%zu %.*s", STR_ARG(p->of->object->ns), STR_ARG(p->of->object->name), p->at,
                        STR_ARG(place));
}

/* ---- listeners ---- */

static const char *const directions[] = {
    [LISTENER_INBOUND] = "inbound", [LISTENER_OUTBOUND] = "outbound", [LISTENER_GATEWAY] = "gateway",
};

/* Istio's inbound ports are in one listener, the gateway's on all addresses. */
static bool is_named(struct draft *d, struct str name, const struct listener *l)
{
    if (l->direction == LISTENER_INBOUND && str_eqz(name, "virtualInbound"))
        return true;
    return str_eq(name, draft_printf(d, "0.0.0.0_%u", l->port)) ||
           str_eq(name, draft_printf(d, "%.*s_%u", STR_ARG(l->ip), l->port));
}

static bool finds_listener(struct draft *d, const struct envoy_config_patch *p, const struct listener *l)
{
    const struct envoy_listener_match *m = p->match ? p->match->listener : NULL;

    if (!in_context(p, l->direction))
        return false;
    return !m || ((!m->port || m->port == l->port) && (!m->name.n || is_named(d, m->name, l)) &&
                  (!m->chain || !m->chain->destination_port || m->chain->destination_port == l->port));
}

/* What is put ahead of all comes before what was put there earlier; the rest is in its order. */
static void put_filter(struct rate_limit_filter *v, size_t n, const struct rate_limit_filter *f, bool ahead)
{
    size_t at = n;

    while (at > 0 && (v[at - 1].place > f->place || (ahead && v[at - 1].place == f->place))) {
        v[at] = v[at - 1];
        at--;
    }
    v[at] = *f;
}

static size_t count_patches(struct draft *d, enum envoy_effect effect, const struct listener *l)
{
    struct patches p = { .d = d, .effect = effect };
    const struct envoy_config_patch *patch;
    size_t n = 0;

    while ((patch = next_patch(&p)))
        n += finds_listener(d, patch, l);
    return n;
}

void draft_http_limits(struct draft *d, struct listener *l)
{
    struct patches p = { .d = d, .effect = ENVOY_LIMIT };
    size_t n = l->protocol == PROTOCOL_TCP ? 0 : count_patches(d, ENVOY_LIMIT, l);
    struct rate_limit_filter *v = draft_alloc(d, n, sizeof(*v));
    const struct envoy_config_patch *patch;

    while (v && n && !d->nomem && (patch = next_patch(&p))) {
        struct rate_limit_filter f = patch->filter;
        struct str place = draft_printf(d, "%s %u", directions[l->direction], l->port);

        if (!finds_listener(d, patch, l))
            continue;
        f.limit = place_limit(d, f.limit, place_text(d, &p, place));
        put_filter(v, l->nlimits++, &f, f.place == RATE_LIMIT_FIRST);
    }
    l->limits = v;
}

void draft_connection_limits(struct draft *d, struct listener *l)
{
    struct patches p = { .d = d, .effect = ENVOY_CONNECTION_LIMIT };
    size_t n = count_patches(d, ENVOY_CONNECTION_LIMIT, l);
    const struct rate_limit **v = draft_alloc(d, n, sizeof(const struct rate_limit *));
    const struct envoy_config_patch *patch;

    while (v && n && !d->nomem && (patch = next_patch(&p))) {
        struct str place = draft_printf(d, "%s %.*s %u", directions[l->direction], STR_ARG(l->ip), l->port);

        if (finds_listener(d, patch, l))
            v[l->nconnection_limits++] = place_limit(d, patch->filter.limit, place_text(d, &p, place));
    }
    l->connection_limits = v;
}

/* ---- virtual hosts and routes ---- */

/* Where routes are: a listener's, by direction and port. */
struct routes_of {
    struct draft *d;
    enum listener_direction direction;
    uint16_t port;
};

static bool is_action(int wanted, const struct route *r)
{
    static const enum envoy_route_action actions[] = {
        [ROUTE_FORWARD] = ENVOY_ROUTE_FORWARD,
        [ROUTE_REDIRECT] = ENVOY_ROUTE_REDIRECT,
        [ROUTE_DIRECT] = ENVOY_ROUTE_DIRECT,
    };

    return wanted == ENVOY_ROUTE_ANY || wanted == (int)actions[r->action];
}

/* Istio's names of route configurations, but for the gateways' of HTTPS, which have the Gateway's in them. */
static bool is_configuration(const struct routes_of *of, struct str name)
{
    static const char *const before[] = { [LISTENER_INBOUND] = "inbound|", [LISTENER_GATEWAY] = "http.",
                                          [LISTENER_OUTBOUND] = "" };
    const char *behind = of->direction == LISTENER_INBOUND ? "||" : "";

    return str_eq(name, draft_printf(of->d, "%s%u%s", before[of->direction], of->port, behind));
}

/* `r` NULL: the virtual host itself. */
static bool finds_route(const struct routes_of *of, const struct envoy_config_patch *p, const struct virtual_host *vh,
                        const struct route *r)
{
    const struct envoy_routes_match *m = p->match ? p->match->routes : NULL;
    const struct envoy_host_match *h = m ? m->host : NULL;
    const struct envoy_route_match *wanted = h ? h->route : NULL;

    if ((p->target == ENVOY_HTTP_ROUTE) != (r != NULL) || !in_context(p, of->direction))
        return false;
    if (m && ((m->port && m->port != of->port) || (m->name.n && !is_configuration(of, m->name)) ||
              (h && h->name.n && !str_eq(h->name, vh->name))))
        return false;
    return !r || !wanted || ((!wanted->name.n || str_eq(wanted->name, r->name)) && is_action(wanted->action, r));
}

/* Of the filters of one name the last counts; actions add up. */
static void add_rules(struct draft *d, struct rate_limit_filter *filters, struct rate_limit_actions *actions,
                      struct rate_limit_rules *to, const struct rate_limit_rules *from, struct str place)
{
    for (size_t i = 0; i < from->nfilters && !d->nomem; i++) {
        size_t at = 0;

        while (at < to->nfilters && !str_eq(filters[at].name, from->filters[i].name))
            at++;
        filters[at] = from->filters[i];
        filters[at].limit = place_limit(d, from->filters[i].limit, place);
        to->nfilters += at == to->nfilters;
    }
    for (size_t i = 0; i < from->nactions; i++)
        actions[to->nactions++] = from->actions[i];
}

/* NULL: nothing is said of it. */
static const struct rate_limit_rules *rules_of(const struct routes_of *of, const struct virtual_host *vh,
                                               const struct route *r)
{
    struct draft *d = of->d;
    struct patches p = { .d = d, .effect = ENVOY_RULES };
    const struct envoy_config_patch *patch;
    size_t nfilters = 0, nactions = 0;
    struct rate_limit_rules *rules;
    struct rate_limit_filter *filters;
    struct rate_limit_actions *actions;
    struct str place;

    while ((patch = next_patch(&p))) {
        if (!finds_route(of, patch, vh, r))
            continue;
        nfilters += patch->rules.nfilters;
        nactions += patch->rules.nactions;
    }
    if (nfilters + nactions == 0)
        return NULL;
    rules = draft_alloc(d, 1, sizeof(*rules));
    filters = draft_alloc(d, nfilters, sizeof(*filters));
    actions = draft_alloc(d, nactions, sizeof(*actions));
    place = draft_printf(d, "%s %u %.*s %zd", directions[of->direction], of->port, STR_ARG(vh->name),
                         r ? r - vh->routes : (ptrdiff_t)-1);
    p = (struct patches){ .d = d, .effect = ENVOY_RULES };
    while (!d->nomem && (patch = next_patch(&p)))
        if (finds_route(of, patch, vh, r))
            add_rules(d, filters, actions, rules, &patch->rules, place_text(d, &p, place));
    if (d->nomem)
        return NULL;
    rules->filters = filters;
    rules->actions = actions;
    return rules;
}

/* Routes may be another virtual host's, too: those that change are copies. */
static void limit_routes(const struct routes_of *of, struct virtual_host *vh)
{
    struct route *v = NULL;

    for (size_t i = 0; i < vh->nroutes && !of->d->nomem; i++) {
        const struct rate_limit_rules *rules = rules_of(of, vh, &vh->routes[i]);

        if (!rules)
            continue;
        if (!v) {
            v = draft_alloc(of->d, vh->nroutes, sizeof(*v));
            if (!v)
                return;
            memcpy(v, vh->routes, vh->nroutes * sizeof(*v));
        }
        v[i].limits = rules;
    }
    if (v)
        vh->routes = v;
}

void draft_limit_hosts(struct draft *d, enum listener_direction direction, uint16_t port, struct virtual_host *v,
                       size_t n)
{
    const struct routes_of of = { d, direction, port };

    if (!has_patch(d, ENVOY_RULES))
        return;
    for (size_t i = 0; i < n && !d->nomem; i++) {
        v[i].limits = rules_of(&of, &v[i], NULL);
        limit_routes(&of, &v[i]);
    }
}
