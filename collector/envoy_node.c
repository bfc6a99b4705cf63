#include "collector/envoy-internal.h"

#include "base/mem.h"

enum { NODE_ID = 1, NODE_CLUSTER = 2, NODE_METADATA = 3, NODE_LOCALITY = 4 };
enum { VALUE_STRING = 3, VALUE_STRUCT = 5 };

/* Where a member of the metadata goes: Istio's node metadata has capitals, its peers in the filter state have not. */
static const struct {
    struct str name;
    size_t offset;
} members[] = {
    { STR_INIT("NAME"), offsetof(struct envoy_workload, pod) },
    { STR_INIT("name"), offsetof(struct envoy_workload, pod) },
    { STR_INIT("NAMESPACE"), offsetof(struct envoy_workload, ns) },
    { STR_INIT("namespace"), offsetof(struct envoy_workload, ns) },
    { STR_INIT("WORKLOAD_NAME"), offsetof(struct envoy_workload, workload) },
    { STR_INIT("workload"), offsetof(struct envoy_workload, workload) },
    { STR_INIT("CLUSTER_ID"), offsetof(struct envoy_workload, cluster) },
    { STR_INIT("cluster"), offsetof(struct envoy_workload, cluster) },
    { STR_INIT("app"), offsetof(struct envoy_workload, app) },
    { STR_INIT("version"), offsetof(struct envoy_workload, version) },
    { STR_INIT("service"), offsetof(struct envoy_workload, service) },
    { STR_INIT("revision"), offsetof(struct envoy_workload, revision) },
};

/* The labels of a Pod, the best first: a later row fills only what is still empty. */
static const struct {
    struct str name;
    size_t offset;
} pod_labels[] = {
    { STR_INIT("app"), offsetof(struct envoy_workload, app) },
    { STR_INIT("app.kubernetes.io/name"), offsetof(struct envoy_workload, app) },
    { STR_INIT("version"), offsetof(struct envoy_workload, version) },
    { STR_INIT("app.kubernetes.io/version"), offsetof(struct envoy_workload, version) },
    { STR_INIT("service.istio.io/canonical-name"), offsetof(struct envoy_workload, service) },
    { STR_INIT("app.kubernetes.io/name"), offsetof(struct envoy_workload, service) },
    { STR_INIT("app"), offsetof(struct envoy_workload, service) },
    { STR_INIT("service.istio.io/canonical-revision"), offsetof(struct envoy_workload, revision) },
    { STR_INIT("app.kubernetes.io/version"), offsetof(struct envoy_workload, revision) },
    { STR_INIT("version"), offsetof(struct envoy_workload, revision) },
};

static struct str *place(struct envoy_workload *w, size_t offset)
{
    return (struct str *)(void *)((char *)w + offset);
}

/* A member of a Struct by its name: the string, or the bytes of the Struct, that its Value holds. */
static int member(struct str message, struct str name, uint32_t kind, struct str *out, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct str key, value;
    struct pb_field f;
    int rc;

    *out = STR_NULL;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != 1)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = envoy_entry(f.bytes, &key, &value, e)) < 0)
            return rc;
        if (str_eq(key, name))
            return envoy_bytes_field(value, kind, out, e);
    }
    return rc;
}

static int fill(struct arena *a, struct str message, struct str name, struct str *to, struct err *e)
{
    struct str text;
    int rc = to->n ? 0 : member(message, name, VALUE_STRING, &text, e);

    if (rc < 0 || to->n || text.n == 0)
        return rc;
    *to = envoy_text(a, text);
    return to->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a node's metadata");
}

int envoy_workload_read(struct arena *a, struct str metadata, struct envoy_workload *w, struct err *e)
{
    struct str labels;
    int rc = member(metadata, STR("LABELS"), VALUE_STRUCT, &labels, e);

    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++)
        rc = fill(a, metadata, members[i].name, place(w, members[i].offset), e);
    for (size_t i = 0; rc == 0 && i < sizeof(pod_labels) / sizeof(pod_labels[0]); i++)
        rc = fill(a, labels, pod_labels[i].name, place(w, pod_labels[i].offset), e);
    if (w->service.n == 0)
        w->service = w->workload;
    if (w->revision.n == 0 && w->service.n)
        w->revision = STR("latest"); /* as Istio has it */
    return rc;
}

static int read_locality(struct envoy_node *n, struct str message, struct err *e)
{
    int rc = envoy_bytes_field(message, 1, &n->region, e);

    if (rc == 0)
        rc = envoy_bytes_field(message, 2, &n->zone, e);
    return rc < 0 ? rc : envoy_bytes_field(message, 3, &n->sub_zone, e);
}

static int read_node(struct envoy_node *n, struct str message, struct err *e)
{
    struct str metadata, locality;
    int rc = envoy_bytes_field(message, NODE_ID, &n->id, e);

    if (rc == 0)
        rc = envoy_bytes_field(message, NODE_CLUSTER, &n->cluster, e);
    if (rc == 0)
        rc = envoy_bytes_field(message, NODE_METADATA, &metadata, e);
    if (rc == 0)
        rc = envoy_workload_read(&n->arena, metadata, &n->is, e);
    if (rc == 0)
        rc = envoy_bytes_field(message, NODE_LOCALITY, &locality, e);
    return rc < 0 ? rc : read_locality(n, locality, e);
}

/* "sidecar~10.1.2.3~reviews-1.default~default.svc.cluster.local": what metadata leaves open. */
static void read_istio_id(struct envoy_node *n)
{
    struct str rest = n->id, kind = str_cut(&rest, '~'), pod, ns;

    n->is_gateway = str_eqz(kind, "router");
    n->is_istio = rest.p && (n->is_gateway || str_eqz(kind, "sidecar") || str_eqz(kind, "waypoint"));
    if (!n->is_istio)
        return;
    (void)str_cut(&rest, '~'); /* its address */
    ns = str_cut(&rest, '~');
    pod = str_cut(&ns, '.');
    if (n->is.pod.n == 0)
        n->is.pod = pod;
    if (n->is.ns.n == 0 && ns.p)
        n->is.ns = ns;
}

/* What is not UTF-8 in its texts is replaced. */
static int repair(struct envoy_node *n, struct err *e)
{
    struct str *texts[] = { &n->id, &n->cluster, &n->log_name, &n->region, &n->zone, &n->sub_zone };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = envoy_text(&n->arena, *texts[i]);
        if (!texts[i]->p)
            return err_set(e, ERR_NOMEM, "no memory for a node");
    }
    return 0;
}

struct envoy_node *envoy_node_new(struct str node, struct str log_name, struct err *e)
{
    struct envoy_node *n = mem_zalloc(sizeof(*n));
    struct str copy;

    if (!n) {
        err_set(e, ERR_NOMEM, "no memory for a node");
        return NULL;
    }
    n->holders = 1;
    n->arena = (struct arena)ARENA_INIT(ENVOY_MOST_NODE);
    if (node.n + log_name.n > ENVOY_MOST_NODE / 2) {
        err_set(e, ERR_LIMIT, "a node of %zu bytes, at most %d are taken", node.n + log_name.n, ENVOY_MOST_NODE / 2);
        goto fail;
    }
    copy = arena_str(&n->arena, node); /* views of it are kept */
    n->log_name = arena_str(&n->arena, log_name);
    if (!copy.p || !n->log_name.p) {
        err_set(e, ERR_NOMEM, "no memory for a node");
        goto fail;
    }
    if (read_node(n, copy, e) < 0 || repair(n, e) < 0)
        goto fail;
    read_istio_id(n);
    return n;
fail:
    envoy_node_release(n);
    return NULL;
}

struct envoy_node *envoy_node_hold(struct envoy_node *n)
{
    n->holders++;
    return n;
}

void envoy_node_release(struct envoy_node *n)
{
    if (!n || --n->holders > 0)
        return;
    arena_free(&n->arena);
    mem_free(n);
}
