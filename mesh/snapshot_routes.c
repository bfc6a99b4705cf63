/* snapshot_routes.c: a VirtualService's rules as one proxy's listener applies them.
 *
 * Some conditions are about the proxy, not the request (gateways, sourceLabels, sourceNamespace, port): they are
 * settled here, and a rule of which no match is left is no route. Rules behind one that catches all are never reached
 * and left out. */
#include "mesh/snapshot-internal.h"

static bool is_for_gateway(const struct str *v, size_t n, struct str gateway)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(v[i], gateway))
            return true;
    return false;
}

/* Where a match names gateways, its source conditions are passed over: Istio's rule. */
bool place_is_for(const struct place *at, const struct str *gateways, size_t ngateways, struct labels labels,
                  struct str ns)
{
    if (ngateways)
        return is_for_gateway(gateways, ngateways, at->gateway);
    return labels_contain(at->draft->labels, labels) && (ns.n == 0 || str_eq(ns, at->draft->ns));
}

static bool is_for(const struct place *at, const struct vs_http_match *m)
{
    return (m->port == 0 || m->port == at->port) &&
           place_is_for(at, m->gateways.v, m->gateways.n, m->source_labels, m->source_namespace);
}

/* The rule's port, or the service's only one, or the listener's. */
static uint32_t destination_port(const struct place *at, const struct vs_destination *d)
{
    const struct service *s = draft_service(at->draft, d->host);

    if (d->port)
        return d->port->number;
    return s && s->ports.n == 1 ? s->ports.v[0].port : at->port;
}

struct destination place_destination(const struct place *at, const struct vs_destination *d, int64_t weight)
{
    struct destination to = { .weight = weight > 0 ? (uint32_t)weight : 1 };

    to.cluster_name = draft_printf(at->draft, "outbound|%u|%.*s|%.*s", destination_port(at, d), STR_ARG(d->subset),
                                   STR_ARG(d->host));
    to.cluster = draft_cluster(at->draft, to.cluster_name);
    return to;
}

/* Two lists of operations as one: all removals before all the rest, each in their order. */
static const struct header_op *join_ops(struct draft *d, const struct header_op *a, size_t na,
                                        const struct header_op *b, size_t nb, size_t *n)
{
    struct header_op *v = draft_alloc(d, na + nb, sizeof(*v));
    size_t k = 0;

    for (int removals = 1; v && removals >= 0; removals--) {
        for (size_t i = 0; i < na; i++)
            if ((a[i].op == HEADER_REMOVE) == removals)
                v[k++] = a[i];
        for (size_t i = 0; i < nb; i++)
            if ((b[i].op == HEADER_REMOVE) == removals)
                v[k++] = b[i];
    }
    *n = k;
    return v;
}

static void add_headers(struct draft *d, struct route *r, const struct vs_headers *h)
{
    const struct header_ops was = r->headers;

    if (!h)
        return;
    r->headers.request = join_ops(d, was.request, was.nrequest, h->ops.request, h->ops.nrequest, &r->headers.nrequest);
    r->headers.response = join_ops(d, was.response, was.nresponse, h->ops.response, h->ops.nresponse,
                                   &r->headers.nresponse);
    if (h->authority.n && !r->rewrite_authority.n)
        r->rewrite_authority = h->authority;
}

/* A destination of several keeps its operations to itself; one that rewrites the host does so by ":authority". */
static struct header_ops own_headers(struct draft *d, const struct vs_headers *h)
{
    const struct header_op authority = { HEADER_SET, STR(":authority"), h ? h->authority : STR_NULL };
    struct header_ops ops = h ? h->ops : (struct header_ops){ NULL, NULL, 0, 0 };

    if (h && h->authority.n)
        ops.request = join_ops(d, h->ops.request, h->ops.nrequest, &authority, 1, &ops.nrequest);
    return ops;
}

/* Of several destinations those of weight 0 receive nothing; a single one receives all, whatever its weight. */
static void bind_destinations(const struct place *at, const struct vs_http *rule, struct route *r)
{
    struct destination *v = draft_alloc(at->draft, rule->route.n, sizeof(*v));

    for (size_t i = 0; v && i < rule->route.n; i++) {
        const struct vs_weighted *w = &rule->route.v[i];

        if (rule->route.n > 1 && w->weight == 0)
            continue;
        v[r->ndestinations] = place_destination(at, w->destination, w->weight);
        if (rule->route.n > 1)
            v[r->ndestinations].headers = own_headers(at->draft, w->headers);
        else
            add_headers(at->draft, r, w->headers);
        r->total_weight += v[r->ndestinations++].weight;
    }
    r->destinations = v;
}

static void bind_mirrors(const struct place *at, const struct vs_http *rule, struct route *r)
{
    struct mirror *v = draft_alloc(at->draft, rule->mirrors.n, sizeof(*v));

    for (size_t i = 0; v && i < rule->mirrors.n; i++) {
        const struct vs_mirror *m = &rule->mirrors.v[i];

        if (m->ppm && m->destination)
            v[r->nmirrors++] = (struct mirror){ place_destination(at, m->destination, 1), m->ppm };
    }
    r->mirrors = v;
}

static void set_rewrite(struct route *r, const struct vs_rewrite *w)
{
    if (!w)
        return;
    r->rewrite = w->uri.n || w->regex;
    r->rewrite_uri = w->regex ? w->regex->rewrite : w->uri;
    r->rewrite_re = w->regex ? w->regex->re : NULL;
    r->rewrite_authority = w->authority;
}

static void set_redirect(const struct place *at, struct route *r, const struct vs_redirect *from)
{
    r->action = ROUTE_REDIRECT;
    r->redirect = (struct redirect){ .uri = from->uri,
                                     .prefix = from->prefix_rewrite,
                                     .authority = from->authority,
                                     .scheme = from->scheme,
                                     .port = from->derive_port == 1 ? at->port : (uint16_t)from->port,
                                     .status = from->code };
}

static struct str route_name(struct draft *d, const struct vs_http *rule, const struct vs_http_match *m)
{
    if (m && m->name.n)
        return draft_printf(d, "%.*s.%.*s", STR_ARG(rule->name), STR_ARG(m->name));
    return rule->name;
}

static void add_route(const struct place *at, const struct vs_http *rule, const struct vs_http_match *m,
                      struct route_list *out)
{
    struct draft *d = at->draft;
    struct route r = { .name = route_name(d, rule, m), .action = ROUTE_FORWARD };

    if (m)
        r.match = m->match;
    r.timeout_ms = rule->timeout;
    r.retry = rule->retries ? rule->retries->policy : vs_default_retries;
    r.cors = rule->cors ? &rule->cors->cors : NULL;
    if (rule->fault)
        r.fault = rule->fault->fault;
    set_rewrite(&r, rule->rewrite);
    add_headers(d, &r, rule->headers);
    if (rule->redirect) {
        set_redirect(at, &r, rule->redirect);
    } else if (rule->direct) {
        r.action = ROUTE_DIRECT;
        r.direct_status = rule->direct->status;
        r.direct_body = rule->direct->text;
    } else {
        bind_destinations(at, rule, &r);
        bind_mirrors(at, rule, &r);
    }
    if (arena_grow(d->arena, &out->v, &out->cap, out->n + 1, sizeof(r)) < 0)
        d->nomem = true;
    else
        out->v[out->n++] = r;
}

bool route_catches_all(const struct route *r)
{
    const struct string_match *uri = r->match.uri;

    if (r->match.nheaders || r->match.nquery || r->match.method || r->match.scheme || r->match.authority)
        return false;
    return !uri || (uri->kind == STRING_PREFIX && str_eqz(uri->value, "/")) ||
           (uri->kind == STRING_REGEX && (str_eqz(uri->value, ".*") || str_eqz(uri->value, "*")));
}

void draft_routes(struct draft *d, const struct virtual_service *vs, struct str gateway, uint16_t port,
                  struct route_list *out)
{
    const struct place at = { d, gateway, port };
    size_t first = out->n;

    for (size_t i = 0; i < vs->http.n && !d->nomem; i++) {
        const struct vs_http *rule = &vs->http.v[i];

        if (rule->delegate)
            continue;
        if (rule->match.n == 0)
            add_route(&at, rule, NULL, out);
        for (size_t k = 0; k < rule->match.n && !d->nomem; k++) {
            if (!is_for(&at, &rule->match.v[k]))
                continue;
            add_route(&at, rule, &rule->match.v[k], out);
            if (route_catches_all(&out->v[out->n - 1]))
                return;
        }
        if (out->n > first && route_catches_all(&out->v[out->n - 1]))
            return;
    }
}

void draft_default_route(struct draft *d, struct str cluster, struct route_list *out)
{
    struct destination *to = draft_alloc(d, 1, sizeof(*to));
    struct route r = { .name = STR("default"), .action = ROUTE_FORWARD, .ndestinations = 1, .total_weight = 1 };

    if (!to || arena_grow(d->arena, &out->v, &out->cap, out->n + 1, sizeof(r)) < 0) {
        d->nomem = true;
        return;
    }
    *to = (struct destination){ .cluster = draft_cluster(d, cluster), .cluster_name = cluster, .weight = 1 };
    r.destinations = to;
    r.retry = vs_default_retries;
    out->v[out->n++] = r;
}
