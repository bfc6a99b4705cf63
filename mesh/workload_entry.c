/* workload_entry.c: a workload that is no Pod, by itself or among a ServiceEntry's endpoints. */
#include "mesh/locality-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

static void check_address(struct check *c, struct workload_entry *e)
{
    static const struct str scheme = STR_INIT("unix://");
    struct str path = str_from(e->address, scheme.n);

    if (e->address.n == 0) {
        if (e->network.n == 0)
            check_error(c, e->at, "address", "missing: an IP or a host name; without one a network must be given");
        return;
    }
    if (str_starts(e->address, scheme)) {
        e->by_socket = true;
        if (path.n == 0 || (path.p[0] != '/' && path.p[0] != '@'))
            check_error(c, e->at, "address", "\"%.*s\": must be an absolute path, or begin with '@'",
                        STR_ARG(e->address));
        else if (e->ports.n)
            check_error(c, e->at, "ports", "must not be given with a Unix socket");
        else
            check_warn(c, e->at, "address", "kept, not applied yet: Unix sockets are no endpoints");
        return;
    }
    e->by_name = !host_is_ip(e->address);
    if (e->by_name && (!host_is_valid(e->address) || e->address.p[0] == '*'))
        check_error(c, e->at, "address", "\"%.*s\" is neither an address nor a host name: ports are given by \"ports\"",
                    STR_ARG(e->address));
}

static void check_ports(struct check *c, struct workload_entry *e)
{
    e->named = check_alloc(c, e->ports.n, sizeof(*e->named));
    for (size_t i = 0; e->named && i < e->ports.n; i++) {
        const struct named_number *p = &e->ports.v[i];

        e->named[i] = (struct named_port){ p->at->key, p->value };
        if (p->value == 0 || p->value > UINT16_MAX)
            check_error(c, p->at, NULL, "must be a port number from 1 to 65535");
        if (!name_is_label_value(p->at->key) || !p->at->key.n)
            check_error(c, p->at, NULL, "\"%.*s\" is no port name", STR_ARG(p->at->key));
    }
}

static void check_labels(struct check *c, const struct workload_entry *e)
{
    const struct yaml_node *map = check_get(e->at, "labels");

    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->n; i++)
        if (!name_is_label_key(map->items[i].key) || !name_is_label_value(map->items[i].text))
            check_error(c, &map->items[i], NULL, "\"%.*s: %.*s\" is no label", STR_ARG(map->items[i].key),
                        STR_ARG(map->items[i].text));
}

static void check_entry(struct check *c, void *message)
{
    struct workload_entry *e = message;

    check_address(c, e);
    check_ports(c, e);
    check_labels(c, e);
    e->object = c->object;
    workload_describe(c, &e->workload, c->object->ns, c->object->name, e->labels, e->account);
    if (e->locality.n)
        locality_parse(&e->workload, e->locality);
    e->workload.ip = e->by_name || e->by_socket ? STR("") : e->address;
    e->workload.ready = true;
    if (e->weight == 0)
        e->weight = 1;
}

static const struct field entry_fields[] = {
    FIELD(STRING, workload_entry, address, "address"),
    FIELD(NUMBERS, workload_entry, ports, "ports"),
    FIELD(LABELS, workload_entry, labels, "labels"),
    FIELD(STRING, workload_entry, network, "network"),
    FIELD(STRING, workload_entry, locality, "locality"),
    FIELD(COUNT, workload_entry, weight, "weight"),
    FIELD(STRING, workload_entry, account, "serviceAccount"),
    END_OF_FIELDS,
};
const struct message workload_entry_message = { sizeof(struct workload_entry), entry_fields, false, check_entry };
