/* endpoint_list.c: Kubernetes' Endpoints and EndpointSlices: where a Service without a selector runs. */
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

struct ep_port {
    const struct yaml_node *at;
    struct str name, protocol, app_protocol;
    uint32_t port;
};

struct ep_conditions {
    const struct yaml_node *at;
    bool ready;
};

/* Of Endpoints `ip`, of a slice `addresses`; a slice says the zone of each. */
struct ep_address {
    const struct yaml_node *at;
    struct str ip, zone;
    LIST_OF(struct str) addresses;
    struct ep_conditions *conditions;
};

struct ep_subset {
    const struct yaml_node *at;
    LIST_OF(struct ep_address) addresses;
    LIST_OF(struct ep_port) ports;
};

struct ep_whole {
    const struct yaml_node *at;
    LIST_OF(struct ep_subset) subsets;    /* Endpoints */
    LIST_OF(struct ep_address) endpoints; /* EndpointSlice */
    LIST_OF(struct ep_port) ports;
    struct str address_type;
};

static const struct field port_fields[] = {
    FIELD(STRING, ep_port, name, "name"),
    FIELD(PORT, ep_port, port, "port"),
    FIELD(STRING, ep_port, protocol, "protocol"),
    FIELD(STRING, ep_port, app_protocol, "appProtocol"),
    END_OF_FIELDS,
};
static const struct message port_message = { sizeof(struct ep_port), port_fields, true, NULL };
static const struct field conditions_fields[] = {
    FIELD(BOOL, ep_conditions, ready, "ready"),
    END_OF_FIELDS,
};
static const struct message conditions_message = { sizeof(struct ep_conditions), conditions_fields, true, NULL };
static const struct field address_fields[] = {
    FIELD(STRING, ep_address, ip, "ip"),
    FIELD(STRINGS, ep_address, addresses, "addresses"),
    FIELD(STRING, ep_address, zone, "zone"),
    FIELD_OF(MESSAGE, ep_address, conditions, "conditions", &conditions_message),
    END_OF_FIELDS,
};
static const struct message address_message = { sizeof(struct ep_address), address_fields, true, NULL };
static const struct field subset_fields[] = {
    FIELD_OF(MESSAGES, ep_subset, addresses, "addresses", &address_message),
    FIELD_OF(MESSAGES, ep_subset, ports, "ports", &port_message),
    END_OF_FIELDS,
};
static const struct message subset_message = { sizeof(struct ep_subset), subset_fields, true, NULL };
static const struct field whole_fields[] = {
    FIELD_OF(MESSAGES, ep_whole, subsets, "subsets", &subset_message),
    FIELD_OF(MESSAGES, ep_whole, endpoints, "endpoints", &address_message),
    FIELD_OF(MESSAGES, ep_whole, ports, "ports", &port_message),
    FIELD(STRING, ep_whole, address_type, "addressType"),
    END_OF_FIELDS,
};
static const struct message whole_message = { sizeof(struct ep_whole), whole_fields, true, NULL };

static struct named_port *take_ports(struct check *c, const struct ep_port *v, size_t n)
{
    struct named_port *to = check_alloc(c, n, sizeof(*to));

    for (size_t i = 0; to && i < n; i++)
        to[i] = (struct named_port){ v[i].name, v[i].port };
    return to;
}

/* Whose address it is comes from the Pods, where one has it (registry.c). */
static void add_address(struct check *c, struct endpoint_list *l, const struct ep_address *at, struct str ip,
                        const struct named_port *ports, size_t nports)
{
    struct workload *w = check_alloc(c, 1, sizeof(*w));

    if (!host_is_ip(ip)) {
        check_error(c, at->at, NULL, "\"%.*s\" is no address", STR_ARG(ip));
        return;
    }
    if (!w || arena_grow(c->arena, &l->v, &l->cap, l->n + 1, sizeof(*l->v)) < 0) {
        c->nomem = true;
        return;
    }
    workload_describe(c, w, c->object->ns, STR("unknown"), (struct labels){ NULL, 0 }, STR_NULL);
    w->principal = STR("");
    w->ip = ip;
    w->zone = at->zone;
    w->ready = true;
    l->v[l->n++] = (struct instance){
        .address = ip, .workload = w, .ports = ports, .nports = nports, .listed = true, .weight = 1
    };
}

static void add_addresses(struct check *c, struct endpoint_list *l, const struct ep_address *v, size_t n,
                          const struct ep_port *p, size_t nports)
{
    const struct named_port *ports = take_ports(c, p, nports);

    for (size_t i = 0; i < n && !c->nomem; i++) {
        const struct ep_conditions *conditions = v[i].conditions;

        if (conditions && check_get(conditions->at, "ready") && !conditions->ready)
            continue;
        if (v[i].ip.n)
            add_address(c, l, &v[i], v[i].ip, ports, nports);
        for (size_t k = 0; k < v[i].addresses.n && !c->nomem; k++)
            add_address(c, l, &v[i], v[i].addresses.v[k], ports, nports);
    }
}

void endpoint_list_read(struct check *c, struct endpoint_list *l)
{
    struct ep_whole *e = check_new(c, &whole_message, c->object->root);
    bool slice = str_eqz(c->object->kind, "EndpointSlice");

    l->object = c->object;
    l->service = slice ? labels_get(c->object->labels, STR("kubernetes.io/service-name")) : c->object->name;
    if (!e)
        return;
    if (str_eqz(e->address_type, "FQDN")) {
        check_warn(c, e->at, "addressType", "kept, not applied: addresses alone are taken, as Kubernetes does");
        return;
    }
    for (size_t i = 0; i < e->subsets.n && !slice; i++)
        add_addresses(c, l, e->subsets.v[i].addresses.v, e->subsets.v[i].addresses.n, e->subsets.v[i].ports.v,
                      e->subsets.v[i].ports.n);
    if (slice)
        add_addresses(c, l, e->endpoints.v, e->endpoints.n, e->ports.v, e->ports.n);
}
