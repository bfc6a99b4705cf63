/* virtual_service.c: VirtualService as a whole, its tcp and tls routes, and what they share with http. */
#include "base/err.h"
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

enum { MOST_HOSTS = 500 };

static const struct field port_fields[] = {
    REQUIRED(PORT, vs_port, number, "number"),
    END_OF_FIELDS,
};
const struct message vs_port_message = { sizeof(struct vs_port), port_fields, false, NULL };

static void check_destination(struct check *c, void *message)
{
    struct vs_destination *d = message;

    if (d->host.n && !host_is_valid(d->host))
        check_error(c, d->at, "host", "\"%.*s\" is no host name", STR_ARG(d->host));
    else if (d->host.n == 0 && check_get(d->at, "host"))
        check_error(c, d->at, "host", "must not be empty: the name of a service");
    d->host = host_resolve(c->arena, d->host, c->object->ns);
    if (!d->host.p)
        c->nomem = true;
}

static const struct field destination_fields[] = {
    REQUIRED(STRING, vs_destination, host, "host"),
    FIELD(STRING, vs_destination, subset, "subset"),
    FIELD_OF(MESSAGE, vs_destination, port, "port", &vs_port_message),
    END_OF_FIELDS,
};
const struct message vs_destination_message = { sizeof(struct vs_destination), destination_fields, false,
                                                check_destination };

static const struct field percent_fields[] = {
    FIELD(NUMBER, vs_percent, value, "value"),
    END_OF_FIELDS,
};

static void check_percent(struct check *c, void *message)
{
    struct vs_percent *p = message;

    if (p->value < 0 || p->value > 100)
        check_error(c, p->at, "value", "must be from 0 to 100");
}

const struct message vs_percent_message = { sizeof(struct vs_percent), percent_fields, false, check_percent };

uint32_t vs_ppm(const struct vs_percent *p)
{
    return p && p->value > 0 ? (uint32_t)(p->value * 10000 + 0.5) : 0;
}

void vs_check_weights(struct check *c, const struct yaml_node *at, const struct vs_weighted *v, size_t n)
{
    int64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (v[i].weight < 0)
            check_error(c, v[i].at, "weight", "must not be negative");
        sum += v[i].weight;
    }
    if (n > 1 && sum == 0)
        check_error(c, at, "route", "the weights' sum is 0: give at least one destination a weight");
}

void vs_resolve_gateways(struct check *c, const struct yaml_node *at, struct str *v, size_t n)
{
    const struct yaml_node *list = check_get(at, "gateways");

    for (size_t i = 0; i < n; i++) {
        ptrdiff_t slash = str_chr(v[i], '/');
        struct str ns = slash < 0 ? c->object->ns : (struct str){ v[i].p, (size_t)slash };
        struct str name = slash < 0 ? v[i] : str_from(v[i], (size_t)slash + 1);

        if (str_eqz(v[i], "mesh"))
            continue;
        if (!name_is_subdomain(name) || !ns.n || !name_is_label_value(ns)) {
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no gateway: NAME, NAMESPACE/NAME or mesh",
                        STR_ARG(v[i]));
            continue;
        }
        v[i] = check_printf(c, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    }
}

/* ---- tcp and tls ---- */

static void check_l4_match(struct check *c, void *message)
{
    struct vs_l4_match *m = message;
    const struct yaml_node *subnets = check_get(m->at, "destinationSubnets");
    uint32_t net, mask;

    for (size_t i = 0; i < m->destination_subnets.n; i++)
        if (!host_net(m->destination_subnets.v[i], &net, &mask) && str_chr(m->destination_subnets.v[i], ':') < 0)
            check_error(c, &subnets->items[i], NULL, "\"%.*s\" is no address nor net, as in 10.1.0.0/16",
                        STR_ARG(m->destination_subnets.v[i]));
    vs_resolve_gateways(c, m->at, m->gateways.v, m->gateways.n);
}

#define L4_MATCH_FIELDS                                                                                                \
    FIELD(STRINGS, vs_l4_match, destination_subnets, "destinationSubnets"),                                            \
        FIELD(PORT, vs_l4_match, port, "port"), FIELD(STRING, vs_l4_match, source_subnet, "sourceSubnet"),             \
        FIELD(LABELS, vs_l4_match, source_labels, "sourceLabels"), FIELD(STRINGS, vs_l4_match, gateways, "gateways"),  \
        FIELD(STRING, vs_l4_match, source_namespace, "sourceNamespace")

static const struct field tcp_match_fields[] = { L4_MATCH_FIELDS, END_OF_FIELDS };
static const struct field tls_match_fields[] = {
    REQUIRED(STRINGS, vs_l4_match, sni_hosts, "sniHosts"),
    L4_MATCH_FIELDS,
    END_OF_FIELDS,
};
static const struct message tcp_match_message = { sizeof(struct vs_l4_match), tcp_match_fields, false, check_l4_match };

static void check_tls_match(struct check *c, void *message)
{
    struct vs_l4_match *m = message;
    const struct yaml_node *list = check_get(m->at, "sniHosts");

    for (size_t i = 0; i < m->sni_hosts.n; i++) {
        if (!host_is_valid(m->sni_hosts.v[i]))
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no host name", STR_ARG(m->sni_hosts.v[i]));
        m->sni_hosts.v[i] = host_lower(c->arena, m->sni_hosts.v[i]);
        if (!m->sni_hosts.v[i].p)
            c->nomem = true;
    }
    if (list && m->sni_hosts.n == 0)
        check_error(c, m->at, "sniHosts", "must name at least one host");
    check_l4_match(c, message);
}

static const struct message tls_match_message = { sizeof(struct vs_l4_match), tls_match_fields, false,
                                                  check_tls_match };

static const struct field l4_route_fields[] = {
    REQUIRED_OF(MESSAGE, vs_weighted, destination, "destination", &vs_destination_message),
    FIELD(INT, vs_weighted, weight, "weight"),
    END_OF_FIELDS,
};
static const struct message l4_route_message = { sizeof(struct vs_weighted), l4_route_fields, false, NULL };

static void check_l4(struct check *c, void *message)
{
    struct vs_l4 *r = message;

    if (check_get(r->at, "route") && r->route.n == 0)
        check_error(c, r->at, "route", "must name at least one destination");
    vs_check_weights(c, r->at, r->route.v, r->route.n);
}

static const struct field tcp_fields[] = {
    FIELD_OF(MESSAGES, vs_l4, match, "match", &tcp_match_message),
    REQUIRED_OF(MESSAGES, vs_l4, route, "route", &l4_route_message),
    END_OF_FIELDS,
};
static const struct field tls_fields[] = {
    REQUIRED_OF(MESSAGES, vs_l4, match, "match", &tls_match_message),
    REQUIRED_OF(MESSAGES, vs_l4, route, "route", &l4_route_message),
    END_OF_FIELDS,
};
static const struct message tcp_message = { sizeof(struct vs_l4), tcp_fields, false, check_l4 };
static const struct message tls_message = { sizeof(struct vs_l4), tls_fields, false, check_l4 };

/* ---- the whole ---- */

static void check_hosts(struct check *c, struct virtual_service *vs)
{
    const struct yaml_node *list = check_get(vs->at, "hosts");

    if (vs->hosts.n > MOST_HOSTS) {
        check_error(c, vs->at, "hosts", "%zu hosts: more than %d", vs->hosts.n, MOST_HOSTS);
        return;
    }
    for (size_t i = 0; i < vs->hosts.n && !c->nomem; i++) {
        struct str *h = &vs->hosts.v[i];

        if (!host_is_valid(*h))
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no host name", STR_ARG(*h));
        else if (str_eqz(*h, "*") && vs->in_mesh)
            check_error(c, &list->items[i], NULL,
                        "\"*\" is not allowed for the mesh: name hosts, or gateways other than mesh");
        *h = host_resolve(c->arena, *h, c->object->ns);
        if (!h->p)
            c->nomem = true;
        for (size_t k = 0; k < i && h->p; k++)
            if (host_within(*h, vs->hosts.v[k]) || host_within(vs->hosts.v[k], *h))
                check_error(c, &list->items[i], NULL, "\"%.*s\" and \"%.*s\" name the same hosts", STR_ARG(*h),
                            STR_ARG(vs->hosts.v[k]));
    }
}

/* Without hosts it is one that others delegate to. */
static void check_as_delegate(struct check *c, struct virtual_service *vs)
{
    if (vs->gateways.n)
        check_error(c, vs->at, "gateways", "must not be given without hosts (to be delegated to)");
    if (vs->tcp.n || vs->tls.n)
        check_error(c, vs->at, vs->tcp.n ? "tcp" : "tls", "must not be given without hosts (to be delegated to)");
    for (size_t i = 0; i < vs->http.n; i++)
        if (vs->http.v[i].delegate)
            check_error(c, vs->http.v[i].at, "delegate", "one that is delegated to cannot delegate");
}

/* Istio takes no other names than the hosts'. */
static void check_names(struct check *c, const struct virtual_service *vs, const struct vs_l4_match *m)
{
    const struct yaml_node *list = check_get(m->at, "sniHosts");

    for (size_t i = 0; i < m->sni_hosts.n; i++) {
        struct str full = host_resolve(c->arena, m->sni_hosts.v[i], c->object->ns);
        bool in = !full.p || host_is_ip(full);

        if (host_is_ip(full))
            check_warn(c, &list->items[i], NULL, "\"%.*s\": no client asks for an address: matches nothing",
                       STR_ARG(full));
        c->nomem = c->nomem || !full.p;
        for (size_t k = 0; k < vs->hosts.n; k++)
            in = in || host_within(full, vs->hosts.v[k]);
        if (!in)
            check_error(c, &list->items[i], NULL, "\"%.*s\" is not within the hosts of this VirtualService",
                        STR_ARG(m->sni_hosts.v[i]));
    }
}

static void check_virtual_service(struct check *c, void *message)
{
    struct virtual_service *vs = message;

    vs->in_mesh = vs->gateways.n == 0 && vs->hosts.n;
    for (size_t i = 0; i < vs->gateways.n; i++)
        if (str_eqz(vs->gateways.v[i], "mesh"))
            vs->in_mesh = true;
    vs_resolve_gateways(c, vs->at, vs->gateways.v, vs->gateways.n);
    check_hosts(c, vs);
    if (vs->hosts.n == 0)
        check_as_delegate(c, vs);
    if (vs->http.n + vs->tcp.n + vs->tls.n == 0)
        check_error(c, vs->at, NULL, "one of http, tcp, tls must be given");
    for (size_t i = 0; i < vs->tls.n; i++)
        for (size_t k = 0; k < vs->tls.v[i].match.n; k++)
            check_names(c, vs, &vs->tls.v[i].match.v[k]);
}

static const struct field virtual_service_fields[] = {
    FIELD(STRINGS, virtual_service, hosts, "hosts"),
    FIELD(STRINGS, virtual_service, gateways, "gateways"),
    FIELD_OF(MESSAGES, virtual_service, http, "http", &vs_http_message),
    FIELD_OF(MESSAGES, virtual_service, tls, "tls", &tls_message),
    FIELD_OF(MESSAGES, virtual_service, tcp, "tcp", &tcp_message),
    FIELD(STRINGS, virtual_service, export_to, "exportTo"),
    END_OF_FIELDS,
};
const struct message virtual_service_message = { sizeof(struct virtual_service), virtual_service_fields, false,
                                                 check_virtual_service };
