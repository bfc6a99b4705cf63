/* registry.c: who runs where, and what can be called: Services and ServiceEntries, each with the places where it runs.
 *
 * A Service or ServiceEntry with a selector runs where the ready Pods and the WorkloadEntries of its namespace with
 * such labels are; a ServiceEntry else at its endpoints; a Service without selector where Endpoints or EndpointSlices
 * of its name say, or, as ExternalName, at what that name resolves to or the Service of that name runs. */
#include "mesh/hosts-internal.h"
#include "mesh/locality-internal.h"
#include "mesh/model-internal.h"

#include <stdlib.h>

struct making {
    struct mesh *mesh;
    struct mesh_problems *problems;
    struct service *external; /* of the ServiceEntries */
    size_t nexternal;
    bool nomem;
};

/* ---- who runs where ---- */

static const struct mesh_object *find_node(const struct mesh *m, struct str name)
{
    for (size_t i = 0; name.n && i < m->nodes.n; i++)
        if (str_eq(m->nodes.v[i]->name, name))
            return m->nodes.v[i];
    return NULL;
}

/* A Pod is where its node is, unless its own labels say. */
static void place_pods(struct mesh *m)
{
    for (size_t i = 0; i < m->pods.n; i++) {
        struct workload *w = &m->pods.v[i].workload;
        const struct mesh_object *node = w->region.n || w->zone.n ? NULL : find_node(m, m->pods.v[i].node);

        if (node)
            locality_of_labels(w, node->labels);
    }
}

static int by_ip(const void *x, const void *y)
{
    const struct workload *a = x, *b = y;
    int c = str_cmp(a->ip, b->ip);

    if (c == 0)
        c = (int)b->ready - (int)a->ready;
    if (c == 0)
        c = str_cmp(a->ns, b->ns);
    if (c == 0)
        c = str_cmp(a->pod, b->pod);
    return c ? c : str_cmp(a->name, b->name);
}

static void list_workloads(struct making *r)
{
    struct mesh *m = r->mesh;
    size_t most = m->pods.n + m->workload_entries.n;
    struct workload *v = sticky_alloc(m->arena, &r->nomem, most, sizeof(*v));

    for (size_t i = 0; v && i < most; i++) {
        const struct workload *w = i < m->pods.n ? &m->pods.v[i].workload
                                                 : &m->workload_entries.v[i - m->pods.n].workload;

        if (w->ip.n)
            v[m->nworkloads++] = *w;
    }
    if (m->nworkloads > 1)
        qsort(v, m->nworkloads, sizeof(*v), by_ip);
    m->workloads = v;
}

/* ---- where a service runs ---- */

static void add_instance(struct making *r, struct service *s, struct instance i)
{
    if (arena_grow(r->mesh->arena, &s->instances, &s->instances_cap, s->ninstances + 1, sizeof(i)) < 0)
        r->nomem = true;
    else
        s->instances[s->ninstances++] = i;
}

static struct instance of_pod(const struct pod *p)
{
    return (struct instance){ .address = p->workload.ip, .labels = p->labels, .workload = &p->workload, .pod = p,
                              .weight = 1 };
}

static struct instance of_entry(const struct workload_entry *e)
{
    return (struct instance){ .address = e->address, .labels = e->labels, .workload = &e->workload, .ports = e->named,
                              .nports = e->ports.n, .weight = e->weight };
}

/* The first of a list sorted by namespace that is of `ns` or beyond. */
#define FIRST_OF(list, of_ns, at)                                                                                      \
    do {                                                                                                               \
        size_t high = (list).n, mid;                                                                                   \
                                                                                                                       \
        for ((at) = 0; (at) < high;) {                                                                                 \
            mid = (at) + (high - (at)) / 2;                                                                            \
            if (str_cmp((list).v[mid].object->ns, of_ns) < 0)                                                          \
                (at) = mid + 1;                                                                                        \
            else                                                                                                       \
                high = mid;                                                                                            \
        }                                                                                                              \
    } while (0)

static void select_workloads(struct making *r, struct service *s)
{
    const struct mesh *m = r->mesh;
    struct str ns = s->object->ns;
    size_t i;

    FIRST_OF(m->pods, ns, i);
    for (; i < m->pods.n && str_eq(m->pods.v[i].object->ns, ns) && !r->nomem; i++)
        if (m->pods.v[i].workload.ready && labels_contain(m->pods.v[i].labels, s->selector))
            add_instance(r, s, of_pod(&m->pods.v[i]));
    FIRST_OF(m->workload_entries, ns, i);
    for (; i < m->workload_entries.n && str_eq(m->workload_entries.v[i].object->ns, ns) && !r->nomem; i++) {
        const struct workload_entry *e = &m->workload_entries.v[i];

        if (e->address.n && !e->by_socket && (!e->by_name || s->resolution != RESOLVE_ENDPOINTS) &&
            labels_contain(e->labels, s->selector))
            add_instance(r, s, of_entry(e));
    }
}

/* Who has an address: a Pod, whose labels and locality then count. */
static const struct pod *find_pod(const struct mesh *m, struct str ns, struct str ip)
{
    size_t i;

    FIRST_OF(m->pods, ns, i);
    for (; i < m->pods.n && str_eq(m->pods.v[i].object->ns, ns); i++)
        if (str_eq(m->pods.v[i].workload.ip, ip))
            return &m->pods.v[i];
    return NULL;
}

static void take_lists(struct making *r, struct service *s)
{
    const struct mesh *m = r->mesh;
    size_t i;

    FIRST_OF(m->endpoint_lists, s->object->ns, i);
    for (; i < m->endpoint_lists.n && str_eq(m->endpoint_lists.v[i].object->ns, s->object->ns); i++) {
        const struct endpoint_list *l = &m->endpoint_lists.v[i];

        for (size_t k = 0; str_eq(l->service, s->name) && k < l->n && !r->nomem; k++) {
            struct instance in = l->v[k];
            const struct pod *p = find_pod(m, s->object->ns, in.address);

            if (p) {
                in.labels = p->labels;
                in.workload = &p->workload;
            }
            add_instance(r, s, in);
        }
    }
}

static void take_external_name(struct making *r, struct service *s)
{
    struct str host = host_lower(r->mesh->arena, s->external_name), name, ns;
    const struct service *other = NULL;
    struct workload *w = sticky_alloc(r->mesh->arena, &r->nomem, 1, sizeof(*w));
    struct check c;

    if (!w || !host.p) {
        r->nomem = true;
        return;
    }
    if (host_service(host, &name, &ns))
        other = mesh_service(r->mesh, ns, name);
    if (other && !other->external_name.n) {
        s->resolution = other->resolution;
        s->external = other->external;
        s->instances = other->instances;
        s->ninstances = s->instances_cap = other->ninstances;
        return;
    }
    check_init(&c, r->mesh->arena, r->problems, s->object);
    workload_describe(&c, w, STR("unknown"), STR("unknown"), (struct labels){ NULL, 0 }, STR_NULL);
    w->principal = STR("");
    r->nomem = r->nomem || c.nomem;
    add_instance(r, s, (struct instance){ .address = host, .workload = w, .weight = 1 });
}

static void find_instances(struct making *r)
{
    struct mesh *m = r->mesh;

    for (size_t i = 0; i < m->services.n + r->nexternal && !r->nomem; i++) {
        struct service *s = i < m->services.n ? &m->services.v[i] : &r->external[i - m->services.n];

        if (s->selector.n && !s->external_name.n)
            select_workloads(r, s);
        else if (i < m->services.n && !s->external_name.n)
            take_lists(r, s);
    }
    for (size_t i = 0; i < m->services.n && !r->nomem; i++)
        if (m->services.v[i].external_name.n)
            take_external_name(r, &m->services.v[i]);
}

/* ---- what can be called ---- */

static void expand_entries(struct making *r)
{
    struct mesh *m = r->mesh;
    size_t most = 0;
    struct check c;

    for (size_t i = 0; i < m->service_entries.n; i++)
        most += m->service_entries.v[i].hosts.n;
    r->external = sticky_alloc(m->arena, &r->nomem, most, sizeof(*r->external));
    for (size_t i = 0; i < m->service_entries.n && !r->nomem; i++) {
        const struct service_entry *e = &m->service_entries.v[i];

        check_init(&c, m->arena, r->problems, e->object);
        service_entry_expand(&c, e, r->external + r->nexternal);
        r->nexternal += e->hosts.n;
        r->nomem = c.nomem;
    }
}

static bool is_kubernetes(const struct service *s)
{
    return str_eqz(s->object->kind, "Service");
}

static int by_host(const void *x, const void *y)
{
    const struct service *a = *(const struct service *const *)x, *b = *(const struct service *const *)y;
    int c = str_cmp(a->host, b->host);

    if (c == 0)
        c = (int)is_kubernetes(b) - (int)is_kubernetes(a);
    return c ? c : object_age_cmp(a->object, b->object);
}

static void list_services(struct making *r)
{
    struct mesh *m = r->mesh;

    m->registry = sticky_alloc(m->arena, &r->nomem, m->services.n + r->nexternal, sizeof(const struct service *));
    if (!m->registry)
        return;
    for (size_t i = 0; i < m->services.n; i++)
        m->registry[m->nregistry++] = &m->services.v[i];
    for (size_t i = 0; i < r->nexternal; i++)
        m->registry[m->nregistry++] = &r->external[i];
    if (m->nregistry > 1)
        qsort(m->registry, m->nregistry, sizeof(const struct service *), by_host);
}

void mesh_make_registry(struct mesh *m, struct mesh_problems *p, bool *nomem)
{
    struct making r = { .mesh = m, .problems = p };

    place_pods(m);
    list_workloads(&r);
    if (!r.nomem)
        expand_entries(&r);
    if (!r.nomem)
        find_instances(&r);
    if (!r.nomem)
        list_services(&r);
    *nomem = r.nomem;
}

/* ---- looking up ---- */

const struct service *mesh_service_of(const struct mesh *m, struct str host)
{
    size_t low = 0, high = m->nregistry;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (str_cmp(m->registry[mid]->host, host) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < m->nregistry && str_eq(m->registry[low]->host, host) ? m->registry[low] : NULL;
}

static uint16_t listed_port(const struct instance *i, struct str name)
{
    for (size_t k = 0; k < i->nports; k++)
        if (str_eq(i->ports[k].name, name))
            return (uint16_t)i->ports[k].port;
    return 0;
}

uint16_t instance_port(const struct instance *i, const struct service_port *p)
{
    uint16_t port;

    if (i->pod)
        return pod_target_port(i->pod, p);
    port = listed_port(i, p->name);
    if (!port && p->target_name.n)
        port = listed_port(i, p->target_name);
    if (port || i->listed || p->target_name.n)
        return port;
    return (uint16_t)(p->target_number ? p->target_number : p->port);
}
