/* service_entry.c: what can be called beside Kubernetes' Services. Each of its hosts is a service of its own. */
#include "mesh/hosts-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

enum { EXTERNAL, INTERNAL };                                /* location */
enum { NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS };   /* resolution */

/* ---- workloadSelector ---- */

static void check_selector(struct check *c, void *message)
{
    const struct workload_selector *s = message;
    const struct yaml_node *map = check_get(s->at, "labels");

    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->n; i++) {
        const struct yaml_node *n = &map->items[i];

        if (!name_is_label_key(n->key) || !name_is_label_value(n->text))
            check_error(c, n, NULL, "\"%.*s: %.*s\" is no label, and no wildcard is taken", STR_ARG(n->key),
                        STR_ARG(n->text));
    }
}

static const struct field selector_fields[] = {
    FIELD(LABELS, workload_selector, labels, "labels"),
    END_OF_FIELDS,
};
const struct message workload_selector_message = { sizeof(struct workload_selector), selector_fields, false,
                                                   check_selector };

/* ---- ports ---- */

static void check_port(struct check *c, void *message)
{
    struct service_port *p = message;

    p->udp = str_ieq(p->protocol, STR("UDP"));
    p->speech = speech_named(p->protocol);
    if (!p->udp && p->protocol.n && p->speech == SPEECH_UNKNOWN)
        check_error(c, p->at, "protocol", "invalid protocol \"%.*s\": HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, "
                    "MONGO, REDIS or MYSQL", STR_ARG(p->protocol));
    if (p->name.n && !name_is_label(p->name))
        check_error(c, p->at, "name", "\"%.*s\" is no port name: small letters, digits and '-'", STR_ARG(p->name));
}

static const struct field port_fields[] = {
    REQUIRED(PORT, service_port, port, "number"),
    FIELD(STRING, service_port, protocol, "protocol"),
    REQUIRED(STRING, service_port, name, "name"),
    FIELD(PORT, service_port, target_number, "targetPort"),
    END_OF_FIELDS,
};
static const struct message port_message = { sizeof(struct service_port), port_fields, false, check_port };

static void check_ports(struct check *c, const struct service_entry *e)
{
    enum { MOST_PORTS = 250 };

    if (e->ports.n > MOST_PORTS) {
        check_error(c, e->at, "ports", "%zu ports: more than %d", e->ports.n, MOST_PORTS);
        return;
    }
    for (size_t i = 0; i < e->ports.n; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct service_port *p = &e->ports.v[i], *q = &e->ports.v[k];

            if (p->name.n && str_eq(p->name, q->name))
                check_error(c, p->at, "name", "\"%.*s\" stands twice: also on line %d", STR_ARG(p->name), q->at->line);
            if (p->port && p->port == q->port)
                check_error(c, p->at, "number", "%u stands twice: also on line %d", p->port, q->at->line);
        }
    }
    if (e->ports.n == 0)
        check_warn(c, e->at, "ports", "missing: no proxy serves its hosts");
}

/* ---- endpoints ---- */

static bool has_port(const struct service_entry *e, struct str name)
{
    for (size_t i = 0; i < e->ports.n; i++)
        if (str_eq(e->ports.v[i].name, name))
            return true;
    return false;
}

static void check_endpoint(struct check *c, const struct service_entry *e, const struct workload_entry *w)
{
    if (w->by_name && e->resolution == STATIC)
        check_error(c, w->at, "address", "\"%.*s\" is no address: names need resolution DNS", STR_ARG(w->address));
    if (w->by_socket && e->ports.n != 1)
        check_error(c, w->at, "address", "a Unix socket serves exactly one port, not %zu", e->ports.n);
    if (w->by_socket && e->resolution != STATIC)
        check_error(c, w->at, "address", "a Unix socket needs resolution STATIC");
    for (size_t i = 0; i < w->ports.n; i++)
        if (!has_port(e, w->ports.v[i].at->key))
            check_error(c, w->ports.v[i].at, NULL, "there is no port \"%.*s\" among the entry's",
                        STR_ARG(w->ports.v[i].at->key));
}

/* Which endpoints and hosts go with which resolution. */
static void check_resolution(struct check *c, const struct service_entry *e)
{
    const struct yaml_node *hosts = check_get(e->at, "hosts");
    bool by_name = e->resolution == DNS || e->resolution == DNS_ROUND_ROBIN;

    if ((e->resolution == NONE || e->resolution == DYNAMIC_DNS) && e->endpoints.n)
        check_error(c, e->at, "endpoints", "must not be given with resolution %s",
                    e->resolution == NONE ? "NONE: give STATIC or DNS" : "DYNAMIC_DNS");
    if (e->resolution == DNS_ROUND_ROBIN && e->endpoints.n > 1)
        check_error(c, e->at, "endpoints", "%zu endpoints: with resolution DNS_ROUND_ROBIN at most one is taken",
                    e->endpoints.n);
    for (size_t i = 0; i < e->hosts.n; i++) {
        if (by_name && e->endpoints.n == 0 && !e->selector && host_is_wild(e->hosts.v[i]))
            check_error(c, &hosts->items[i], NULL, "\"%.*s\": a wildcard cannot be looked up: give endpoints, or "
                        "another resolution", STR_ARG(e->hosts.v[i]));
        if (e->resolution == DYNAMIC_DNS && !host_is_wild(e->hosts.v[i]))
            check_error(c, &hosts->items[i], NULL, "\"%.*s\": DYNAMIC_DNS is for wildcards; a name is looked up by DNS",
                        STR_ARG(e->hosts.v[i]));
    }
}

/* ---- the whole ---- */

static void check_hosts(struct check *c, const struct service_entry *e)
{
    const struct yaml_node *list = check_get(e->at, "hosts");

    if (list && e->hosts.n == 0)
        check_error(c, e->at, "hosts", "must name at least one host");
    for (size_t i = 0; i < e->hosts.n; i++) {
        struct str *h = &e->hosts.v[i];

        if (str_eqz(*h, "*"))
            check_error(c, &list->items[i], NULL, "\"*\" is too much: name hosts, as in *.example.com");
        else if (!host_is_valid(*h))
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no host name", STR_ARG(*h));
        *h = host_lower(c->arena, *h);
        if (!h->p)
            c->nomem = true;
        for (size_t k = 0; k < i; k++)
            if (h->p && str_eq(*h, e->hosts.v[k]))
                check_error(c, &list->items[i], NULL, "\"%.*s\" stands twice", STR_ARG(*h));
    }
}

static void check_addresses(struct check *c, const struct service_entry *e)
{
    const struct yaml_node *list = check_get(e->at, "addresses");
    uint32_t net, mask;

    for (size_t i = 0; i < e->addresses.n; i++)
        if (!host_net(e->addresses.v[i], &net, &mask) && str_chr(e->addresses.v[i], ':') < 0)
            check_error(c, &list->items[i], NULL, "\"%.*s\" is no address nor net, as in 10.1.0.0/16",
                        STR_ARG(e->addresses.v[i]));
}

static void check_entry(struct check *c, void *message)
{
    struct service_entry *e = message;

    check_hosts(c, e);
    check_addresses(c, e);
    check_ports(c, e);
    if (e->selector && e->endpoints.n)
        check_error(c, e->at, "workloadSelector", "only one of endpoints, workloadSelector may be given");
    for (size_t i = 0; i < e->endpoints.n; i++)
        check_endpoint(c, e, &e->endpoints.v[i]);
    check_resolution(c, e);
    if (e->resolution == STATIC && e->endpoints.n == 0 && !e->selector)
        check_warn(c, e->at, "endpoints", "missing: with resolution STATIC and no endpoint requests are answered 503");
}

static const char *const locations[] = { "MESH_EXTERNAL", "MESH_INTERNAL", NULL };
static const char *const resolutions[] = { "NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS", NULL };
static const struct field entry_fields[] = {
    REQUIRED(STRINGS, service_entry, hosts, "hosts"),
    FIELD(STRINGS, service_entry, addresses, "addresses"),
    FIELD_OF(MESSAGES, service_entry, ports, "ports", &port_message),
    FIELD_OF(ENUM, service_entry, location, "location", locations),
    FIELD_OF(ENUM, service_entry, resolution, "resolution", resolutions),
    FIELD_OF(MESSAGES, service_entry, endpoints, "endpoints", &workload_entry_message),
    FIELD_OF(MESSAGE, service_entry, selector, "workloadSelector", &workload_selector_message),
    FIELD(STRINGS, service_entry, export_to, "exportTo"),
    FIELD(STRINGS, service_entry, names, "subjectAltNames"),
    END_OF_FIELDS,
};
const struct message service_entry_message = { sizeof(struct service_entry), entry_fields, false, check_entry };

/* ---- its services ---- */

/* Who is of no mesh. */
static const struct workload nobody = {
    .pod = STR_INIT("unknown"), .name = STR_INIT("unknown"), .ns = STR_INIT("unknown"), .app = STR_INIT("unknown"),
    .version = STR_INIT("unknown"), .canonical_service = STR_INIT("unknown"),
    .canonical_revision = STR_INIT("unknown"), .cluster = STR_INIT("unknown"), .ready = true,
};

/* Nobody is known there but where it is. */
static const struct workload *stranger(struct check *c, const struct workload *w)
{
    struct workload *s = check_alloc(c, 1, sizeof(*s));

    if (!s)
        return NULL;
    *s = nobody;
    s->ip = w->ip;
    s->region = w->region;
    s->zone = w->zone;
    s->subzone = w->subzone;
    return s;
}

/* Endpoints of its own, or the host itself where names are looked up and nothing else is said. */
static void add_endpoints(struct check *c, const struct service_entry *e, struct service *s)
{
    bool itself = e->endpoints.n == 0 && !e->selector && (e->resolution == DNS || e->resolution == DNS_ROUND_ROBIN);

    s->instances_cap = e->endpoints.n + 1;
    s->instances = check_alloc(c, s->instances_cap, sizeof(*s->instances));
    if (s->instances && itself)
        s->instances[s->ninstances++] = (struct instance){ .address = s->host, .workload = &nobody, .weight = 1 };
    for (size_t i = 0; s->instances && i < e->endpoints.n && !c->nomem; i++) {
        const struct workload_entry *w = &e->endpoints.v[i];
        const struct workload *who = s->external ? stranger(c, &w->workload) : &w->workload;

        if (w->address.n && !w->by_socket)
            s->instances[s->ninstances++] = (struct instance){ .address = w->address,
                                                               .labels = w->labels,
                                                               .workload = who,
                                                               .ports = w->named,
                                                               .nports = w->ports.n,
                                                               .weight = w->weight };
    }
}

void service_entry_expand(struct check *c, const struct service_entry *e, struct service *v)
{
    static const enum service_resolution by_word[] = { [NONE] = RESOLVE_CALLER,
                                                       [STATIC] = RESOLVE_ENDPOINTS,
                                                       [DNS] = RESOLVE_DNS,
                                                       [DNS_ROUND_ROBIN] = RESOLVE_DNS_FIRST,
                                                       [DYNAMIC_DNS] = RESOLVE_DYNAMIC };

    for (size_t i = 0; i < e->hosts.n && !c->nomem; i++) {
        struct service *s = &v[i];

        *s = (struct service){ .at = e->at, .object = e->object, .host = e->hosts.v[i], .name = e->hosts.v[i] };
        s->ports.v = e->ports.v;
        s->ports.n = e->ports.n;
        s->addresses.v = e->addresses.v;
        s->addresses.n = e->addresses.n;
        s->export_to.v = e->export_to.v;
        s->export_to.n = e->export_to.n;
        s->names.v = e->names.v;
        s->names.n = e->names.n;
        s->external = e->location == EXTERNAL;
        s->resolution = by_word[e->resolution];
        if (e->selector)
            s->selector = e->selector->labels;
        add_endpoints(c, e, s);
    }
}
