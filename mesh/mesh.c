/* mesh.c: the gate: objects in, a checked mesh out, or all that is wrong.
 *
 * Two passes: every object by itself, by the table of its kind; then all of them together (references.c). The typed
 * lists are sorted by namespace and name, so that the order in which files were read changes nothing. */
#include "mesh/mesh.h"

#include "base/err.h"
#include "mesh/kinds-internal.h"
#include "mesh/model-internal.h"

#include <stdlib.h>

struct builder {
    struct mesh *mesh;
    const struct mesh_objects *objects;
    struct mesh_problems *problems;
    bool *superseded; /* of objects: a later one has the same name */
    bool nomem;
};

/* ---- what is done with each kind ---- */

enum intake {
    READ_VIRTUAL_SERVICE, READ_DESTINATION_RULE, READ_GATEWAY, READ_SERVICE, READ_POD, READ_TEMPLATE,
    READ_SERVICE_ENTRY, READ_WORKLOAD_ENTRY, READ_ENDPOINTS, READ_NODE, READ_SECRET, READ_SIDECAR,
    READ_ENVOY_FILTER, READ_POLICY, READ_CONFIG_MAP, KEEP
};

static const struct {
    const char *group, *kind;
    enum intake intake;
    enum mesh_severity severity; /* of KEEP: MESH_INFO says nothing */
} intakes[] = {
    { "networking.istio.io", "VirtualService", READ_VIRTUAL_SERVICE, MESH_INFO },
    { "networking.istio.io", "DestinationRule", READ_DESTINATION_RULE, MESH_INFO },
    { "networking.istio.io", "Gateway", READ_GATEWAY, MESH_INFO },
    { "", "Service", READ_SERVICE, MESH_INFO },
    { "", "Pod", READ_POD, MESH_INFO },
    { "apps", "Deployment", READ_TEMPLATE, MESH_INFO },
    { "apps", "ReplicaSet", READ_TEMPLATE, MESH_INFO },
    { "apps", "StatefulSet", READ_TEMPLATE, MESH_INFO },
    { "apps", "DaemonSet", READ_TEMPLATE, MESH_INFO },
    { "networking.istio.io", "ServiceEntry", READ_SERVICE_ENTRY, MESH_INFO },
    { "networking.istio.io", "WorkloadEntry", READ_WORKLOAD_ENTRY, MESH_INFO },
    { "networking.istio.io", "Sidecar", READ_SIDECAR, MESH_INFO },
    { "", "Endpoints", READ_ENDPOINTS, MESH_INFO },
    { "discovery.k8s.io", "EndpointSlice", READ_ENDPOINTS, MESH_INFO },
    { "", "Node", READ_NODE, MESH_INFO },
    { "", "Secret", READ_SECRET, MESH_INFO },
    { "", "ConfigMap", READ_CONFIG_MAP, MESH_INFO },
    { "networking.istio.io", "WorkloadGroup", KEEP, MESH_WARNING },
    { "networking.istio.io", "EnvoyFilter", READ_ENVOY_FILTER, MESH_INFO },
    { "networking.istio.io", "ProxyConfig", KEEP, MESH_WARNING },
    { "security.istio.io", "PeerAuthentication", READ_POLICY, MESH_INFO },
    { "security.istio.io", "RequestAuthentication", READ_POLICY, MESH_INFO },
    { "security.istio.io", "AuthorizationPolicy", READ_POLICY, MESH_INFO },
    { "telemetry.istio.io", "Telemetry", READ_POLICY, MESH_INFO },
    { "extensions.istio.io", "WasmPlugin", KEEP, MESH_WARNING },
    { "networking.k8s.io", "Ingress", KEEP, MESH_WARNING },
};

static enum intake intake_of(const struct mesh_object *o, enum mesh_severity *severity)
{
    struct str group = api_group(o->api_version);

    for (size_t i = 0; i < sizeof(intakes) / sizeof(intakes[0]); i++) {
        if (!str_eqz(group, intakes[i].group) || !str_eqz(o->kind, intakes[i].kind))
            continue;
        *severity = intakes[i].severity;
        return intakes[i].intake;
    }
    *severity = MESH_INFO;
    return KEEP;
}

/* ---- which objects count ---- */

static int cmp_name(const struct mesh_object *a, const struct mesh_object *b)
{
    int c = str_cmp(a->ns, b->ns);

    return c ? c : str_cmp(a->name, b->name);
}

static int cmp_identity(const void *x, const void *y)
{
    const struct mesh_object *a = *(const struct mesh_object *const *)x, *b = *(const struct mesh_object *const *)y;
    int c = str_cmp(a->kind, b->kind);

    if (c == 0)
        c = str_cmp(api_group(a->api_version), api_group(b->api_version));
    if (c == 0)
        c = cmp_name(a, b);
    return c ? c : (a > b) - (a < b);
}

static bool same_identity(const struct mesh_object *a, const struct mesh_object *b)
{
    return str_eq(a->kind, b->kind) && cmp_name(a, b) == 0 &&
           str_eq(api_group(a->api_version), api_group(b->api_version));
}

static void find_superseded(struct builder *b)
{
    const struct mesh_objects *all = b->objects;
    const struct mesh_object **v = arena_array(b->mesh->arena, all->n, sizeof(const struct mesh_object *));

    b->superseded = arena_array(b->mesh->arena, all->n, sizeof(*b->superseded));
    if (!v || !b->superseded) {
        b->nomem = true;
        return;
    }
    for (size_t i = 0; i < all->n; i++)
        v[i] = &all->v[i];
    if (all->n > 1)
        qsort(v, all->n, sizeof(const struct mesh_object *), cmp_identity);
    for (size_t i = 1; i < all->n; i++)
        if (same_identity(v[i - 1], v[i]))
            b->superseded[v[i - 1] - all->v] = true;
}

/* ---- reading ---- */

static void check_top(struct check *c)
{
    static const char *const members[] = { "apiVersion", "kind", "metadata", "spec", "status" };
    const struct yaml_node *root = c->object->root;

    for (size_t i = 0; i < root->n; i++) {
        const struct yaml_node *n = &root->items[i];
        bool known = false;

        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++)
            known = known || str_eqz(n->key, members[k]);
        if (!known)
            check_error(c, n, NULL, "unknown field: apiVersion, kind, metadata and spec are known%s",
                        check_get(root, "spec") ? "" : "; is it one of spec?");
    }
}

static bool read_spec(struct check *c, const struct message *m, void *to)
{
    const struct yaml_node *spec = check_get(c->object->root, "spec");

    check_top(c);
    if (spec)
        check_message(c, m, spec, to);
    else
        check_error(c, c->object->root, "spec", "missing");
    return spec != NULL;
}

static void read_policy(struct check *c, struct policies *p)
{
    void *to;
    const struct message *m = policies_add(c, p, &to);

    if (m)
        read_spec(c, m, to);
}

static void read_object(struct builder *b, const struct mesh_object *o)
{
    struct mesh *m = b->mesh;
    enum mesh_severity severity;
    struct check c;

    check_init(&c, m->arena, b->problems, o);
    switch (intake_of(o, &severity)) {
    case READ_VIRTUAL_SERVICE:
        m->virtual_services.v[m->virtual_services.n].object = o;
        m->virtual_services.n += read_spec(&c, &virtual_service_message, &m->virtual_services.v[m->virtual_services.n]);
        break;
    case READ_DESTINATION_RULE:
        m->rules.v[m->rules.n].object = o;
        m->rules.n += read_spec(&c, &destination_rule_message, &m->rules.v[m->rules.n]);
        break;
    case READ_GATEWAY:
        m->gateways.v[m->gateways.n].object = o;
        m->gateways.n += read_spec(&c, &gateway_message, &m->gateways.v[m->gateways.n]);
        break;
    case READ_SERVICE:
        service_read(&c, &m->services.v[m->services.n++]);
        break;
    case READ_POD:
        pod_read(&c, &m->pods.v[m->pods.n++]);
        break;
    case READ_TEMPLATE:
        pod_template_read(&c, &m->templates.v[m->templates.n++]);
        break;
    case READ_SERVICE_ENTRY:
        m->service_entries.v[m->service_entries.n].object = o;
        m->service_entries.n += read_spec(&c, &service_entry_message, &m->service_entries.v[m->service_entries.n]);
        break;
    case READ_WORKLOAD_ENTRY:
        m->workload_entries.v[m->workload_entries.n].object = o;
        m->workload_entries.n += read_spec(&c, &workload_entry_message, &m->workload_entries.v[m->workload_entries.n]);
        break;
    case READ_ENDPOINTS:
        endpoint_list_read(&c, &m->endpoint_lists.v[m->endpoint_lists.n++]);
        break;
    case READ_NODE:
        m->nodes.v[m->nodes.n++] = o;
        break;
    case READ_SECRET:
        secret_read(&c, &m->secrets.v[m->secrets.n++]);
        break;
    case READ_SIDECAR:
        m->sidecars.v[m->sidecars.n].object = o;
        m->sidecars.n += read_spec(&c, &sidecar_message, &m->sidecars.v[m->sidecars.n]);
        break;
    case READ_ENVOY_FILTER:
        m->envoy_filters.v[m->envoy_filters.n].object = o;
        m->envoy_filters.n += read_spec(&c, &envoy_filter_message, &m->envoy_filters.v[m->envoy_filters.n]);
        break;
    case READ_CONFIG_MAP:
        gateway_topology_read_mesh(&c, o, &m->topology);
        break;
    case READ_POLICY:
        read_policy(&c, &m->policies);
        break;
    case KEEP:
        if (severity == MESH_WARNING)
            check_warn(&c, o->root, NULL, "kept, not applied yet: this version does not read %.*s", STR_ARG(o->kind));
        break;
    }
    b->nomem = b->nomem || c.nomem;
}

#define ROOM(list, kind) ((list).v = sticky_alloc(m->arena, &b->nomem, n[kind], sizeof(*(list).v)))

/* Room for as many of each kind as there are. */
static void make_room(struct builder *b)
{
    struct mesh *m = b->mesh;
    size_t n[KEEP + 1] = { 0 };
    enum mesh_severity severity;

    for (size_t i = 0; i < b->objects->n; i++)
        n[intake_of(&b->objects->v[i], &severity)]++;
    ROOM(m->virtual_services, READ_VIRTUAL_SERVICE);
    ROOM(m->rules, READ_DESTINATION_RULE);
    ROOM(m->gateways, READ_GATEWAY);
    ROOM(m->services, READ_SERVICE);
    ROOM(m->pods, READ_POD);
    ROOM(m->templates, READ_TEMPLATE);
    ROOM(m->service_entries, READ_SERVICE_ENTRY);
    ROOM(m->workload_entries, READ_WORKLOAD_ENTRY);
    ROOM(m->endpoint_lists, READ_ENDPOINTS);
    ROOM(m->nodes, READ_NODE);
    ROOM(m->secrets, READ_SECRET);
    ROOM(m->sidecars, READ_SIDECAR);
    ROOM(m->envoy_filters, READ_ENVOY_FILTER);
}

/* ---- order ---- */

#define BY_NAME(type)                                                                                                  \
    static int type##_by_name(const void *x, const void *y)                                                            \
    {                                                                                                                  \
        return cmp_name(((const struct type *)x)->object, ((const struct type *)y)->object);                           \
    }
BY_NAME(virtual_service)
BY_NAME(destination_rule)
BY_NAME(gateway)
BY_NAME(service)
BY_NAME(pod)
BY_NAME(pod_template)
BY_NAME(service_entry)
BY_NAME(workload_entry)
BY_NAME(endpoint_list)
BY_NAME(secret)
BY_NAME(sidecar)
BY_NAME(envoy_filter)

int object_age_cmp(const struct mesh_object *a, const struct mesh_object *b)
{
    int c;

    if (a->created_ms != b->created_ms)
        return a->created_ms < b->created_ms ? -1 : 1;
    c = str_cmp(a->name, b->name);
    return c ? c : str_cmp(a->ns, b->ns);
}

static int vs_by_age(const void *x, const void *y)
{
    return object_age_cmp((*(const struct virtual_service *const *)x)->object,
                          (*(const struct virtual_service *const *)y)->object);
}

static int rule_by_age(const void *x, const void *y)
{
    return object_age_cmp((*(const struct destination_rule *const *)x)->object,
                          (*(const struct destination_rule *const *)y)->object);
}

#define SORT(list, cmp)                                                                                                \
    do {                                                                                                               \
        if ((list).n > 1)                                                                                              \
            qsort((list).v, (list).n, sizeof(*(list).v), cmp);                                                         \
    } while (0)

static void sort_all(struct builder *b)
{
    struct mesh *m = b->mesh;

    SORT(m->virtual_services, virtual_service_by_name);
    SORT(m->rules, destination_rule_by_name);
    SORT(m->gateways, gateway_by_name);
    SORT(m->services, service_by_name);
    SORT(m->pods, pod_by_name);
    SORT(m->templates, pod_template_by_name);
    SORT(m->service_entries, service_entry_by_name);
    SORT(m->workload_entries, workload_entry_by_name);
    SORT(m->endpoint_lists, endpoint_list_by_name);
    SORT(m->secrets, secret_by_name);
    SORT(m->sidecars, sidecar_by_name);
    SORT(m->envoy_filters, envoy_filter_by_name);
    policies_sort(&m->policies);
    m->by_age = arena_array(m->arena, m->virtual_services.n, sizeof(const struct virtual_service *));
    m->rules_by_age = arena_array(m->arena, m->rules.n, sizeof(const struct destination_rule *));
    if (!m->by_age || !m->rules_by_age) {
        b->nomem = true;
        return;
    }
    for (size_t i = 0; i < m->virtual_services.n; i++)
        m->by_age[i] = &m->virtual_services.v[i];
    for (size_t i = 0; i < m->rules.n; i++)
        m->rules_by_age[i] = &m->rules.v[i];
    if (m->virtual_services.n > 1)
        qsort(m->by_age, m->virtual_services.n, sizeof(const struct virtual_service *), vs_by_age);
    if (m->rules.n > 1)
        qsort(m->rules_by_age, m->rules.n, sizeof(const struct destination_rule *), rule_by_age);
}

struct mesh *mesh_build(struct arena *a, const struct mesh_objects *objects, struct mesh_problems *p, struct err *e)
{
    struct mesh *m = ARENA_NEW(a, struct mesh);
    struct builder b = { .mesh = m, .objects = objects, .problems = p };

    if (!m)
        goto nomem;
    m->arena = a;
    find_superseded(&b);
    if (!b.nomem)
        make_room(&b);
    for (size_t i = 0; i < objects->n && !b.nomem; i++)
        if (!b.superseded[i])
            read_object(&b, &objects->v[i]);
    if (!b.nomem && p->errors) {
        err_set(e, ERR_INVALID, "%zu errors in the objects", p->errors);
        return NULL;
    }
    if (!b.nomem)
        sort_all(&b);
    if (!b.nomem)
        mesh_make_registry(m, p, &b.nomem);
    if (!b.nomem)
        mesh_check_references(m, p, &b.nomem);
    if (!b.nomem)
        mesh_check_policies(m, p, &b.nomem);
    if (!b.nomem)
        vs_merge_delegates(m, p, &b.nomem);
    if (!b.nomem && p->errors == 0)
        return m;
    if (!b.nomem) {
        err_set(e, ERR_INVALID, "%zu errors in the objects", p->errors);
        return NULL;
    }
nomem:
    err_set(e, ERR_NOMEM, "no memory for a mesh of %zu objects", objects->n);
    return NULL;
}

/* ---- looking up ---- */

/* The index of (ns, name) in a sorted list of structs whose object is at `offset`, or n. */
static size_t search(const void *v, size_t n, size_t size, size_t offset, struct str ns, struct str name)
{
    const char *base = v;
    const struct mesh_object key = { .ns = ns, .name = name };
    size_t low = 0, high = n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct mesh_object *o;
        int c;

        memcpy(&o, base + mid * size + offset, sizeof(o));
        c = cmp_name(&key, o);
        if (c == 0)
            return mid;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return n;
}

#define SEARCH(list, type, ns, name)                                                                                   \
    search((list).v, (list).n, sizeof(struct type), offsetof(struct type, object), ns, name)

const struct service *mesh_service(const struct mesh *m, struct str ns, struct str name)
{
    size_t i = SEARCH(m->services, service, ns, name);

    return i < m->services.n ? &m->services.v[i] : NULL;
}

const struct service_port *service_port_find(const struct service *s, uint32_t port)
{
    for (size_t i = 0; i < s->ports.n; i++)
        if (s->ports.v[i].port == port && !s->ports.v[i].udp)
            return &s->ports.v[i];
    return NULL;
}

const struct virtual_service *mesh_virtual_service(const struct mesh *m, struct str ns, struct str name)
{
    size_t i = SEARCH(m->virtual_services, virtual_service, ns, name);

    return i < m->virtual_services.n ? &m->virtual_services.v[i] : NULL;
}

const struct secret *mesh_secret(const struct mesh *m, struct str ns, struct str name)
{
    size_t i = SEARCH(m->secrets, secret, ns, name);

    return i < m->secrets.n ? &m->secrets.v[i] : NULL;
}

const struct gateway *mesh_gateway(const struct mesh *m, struct str ns_and_name)
{
    struct str name = ns_and_name, ns = str_cut(&name, '/');
    size_t i = SEARCH(m->gateways, gateway, ns, name);

    return i < m->gateways.n ? &m->gateways.v[i] : NULL;
}

bool exported_to(const struct str *v, size_t n, struct str own, struct str ns)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqz(v[i], "*") || str_eq(v[i], ns) || (str_eqz(v[i], ".") && str_eq(own, ns)))
            return true;
    return n == 0;
}
