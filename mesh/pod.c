/* pod.c: Pods, and the templates they are made of: who runs where, under which name. */
#include "base/num.h"
#include "mesh/locality-internal.h"
#include "mesh/model-internal.h"
#include "mesh/names-internal.h"

static const struct str unknown = STR_INIT("unknown");
static const char host_ports_key[] = "vigla.dev/host-ports";

/* The first label of a NULL-terminated list that is there. */
static struct str first_label(struct labels l, const char *const *names, struct str otherwise)
{
    for (; *names; names++) {
        struct str v = labels_get(l, str_of(*names));

        if (v.n)
            return v;
    }
    return otherwise;
}

void workload_describe(struct check *c, struct workload *w, struct str ns, struct str name, struct labels l,
                       struct str account)
{
    static const char *const app[] = { "app", NULL };
    static const char *const version[] = { "version", NULL };
    static const char *const service[] = { "service.istio.io/canonical-name", "app.kubernetes.io/name", "app", NULL };
    static const char *const revision[] = { "service.istio.io/canonical-revision", "app.kubernetes.io/version",
                                            "version", NULL };

    w->name = name;
    w->ns = ns;
    w->app = first_label(l, app, unknown);
    w->version = first_label(l, version, unknown);
    w->canonical_service = first_label(l, service, name);
    w->canonical_revision = first_label(l, revision, STR("latest"));
    w->cluster = STR("Kubernetes");
    w->principal = check_printf(c, "spiffe://cluster.local/ns/%.*s/sa/%.*s", STR_ARG(ns),
                                STR_ARG(account.n ? account : STR("default")));
    if (!w->pod.n)
        w->pod = unknown;
    w->mtls = str_eqz(labels_get(l, STR("security.istio.io/tlsMode")), "istio");
    locality_of_labels(w, l);
}

/* ---- what a Pod's spec says ---- */

static const struct field container_port_fields[] = {
    FIELD(STRING, container_port, name, "name"),
    REQUIRED(PORT, container_port, port, "containerPort"),
    FIELD(COUNT, container_port, host_port, "hostPort"),
    FIELD(STRING, container_port, protocol, "protocol"),
    END_OF_FIELDS,
};
static const struct message container_port_message = { sizeof(struct container_port), container_port_fields, true,
                                                       NULL };
static const struct field container_fields[] = {
    REQUIRED(STRING, container, name, "name"),
    FIELD(STRING, container, image, "image"),
    FIELD_OF(MESSAGES, container, ports, "ports", &container_port_message),
    END_OF_FIELDS,
};
static const struct message container_message = { sizeof(struct container), container_fields, true, NULL };

struct pod_spec {
    const struct yaml_node *at;
    LIST_OF(struct container) containers;
    struct str account, old_account, node;
};

static const struct field spec_fields[] = {
    REQUIRED_OF(MESSAGES, pod_spec, containers, "containers", &container_message),
    FIELD(STRING, pod_spec, account, "serviceAccountName"),
    FIELD(STRING, pod_spec, old_account, "serviceAccount"),
    FIELD(STRING, pod_spec, node, "nodeName"),
    END_OF_FIELDS,
};
static const struct message spec_message = { sizeof(struct pod_spec), spec_fields, true, NULL };

static struct str account_of(const struct pod_spec *s)
{
    return s->account.n ? s->account : s->old_account;
}

/* ---- names ---- */

/* Deployments name their ReplicaSets NAME-HASH, in letters that spell no words. */
static struct str without_hash(struct str name, struct str hash)
{
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    size_t at = name.n;

    if (hash.n && name.n > hash.n + 1 && str_ends(name, hash) && name.p[name.n - hash.n - 1] == '-')
        return (struct str){ name.p, name.n - hash.n - 1 };
    while (at > 0 && name.p[at - 1] && strchr(alphabet, name.p[at - 1]))
        at--;
    if (at > 1 && name.p[at - 1] == '-' && name.n - at >= 5 && name.n - at <= 10)
        return (struct str){ name.p, at - 1 };
    return name;
}

/* The workload behind a Pod: the name of what owns it. */
static struct str workload_name(const struct mesh_object *o)
{
    const struct yaml_node *owners = yaml_path(o->root, "metadata.ownerReferences");
    const struct yaml_node *owner = owners && owners->kind == YAML_LIST && owners->n ? &owners->items[0] : NULL;
    struct str name = yaml_text(yaml_get(owner, "name"));

    for (size_t i = 0; owner && i < owners->n; i++) {
        const struct yaml_node *controller = yaml_get(&owners->items[i], "controller");

        if (controller && controller->kind == YAML_BOOL && controller->boolean)
            name = yaml_text(yaml_get(owner = &owners->items[i], "name"));
    }
    if (!name.n)
        return o->name;
    if (str_eqz(yaml_text(yaml_get(owner, "kind")), "ReplicaSet"))
        return without_hash(name, labels_get(o->labels, STR("pod-template-hash")));
    return name;
}

/* ---- Pods ---- */

static bool is_ready(const struct mesh_object *o)
{
    const struct yaml_node *conditions = yaml_path(o->root, "status.conditions");

    if (check_get(yaml_get(o->root, "metadata"), "deletionTimestamp"))
        return false;
    for (size_t i = 0; conditions && conditions->kind == YAML_LIST && i < conditions->n; i++)
        if (str_eqz(yaml_text(yaml_get(&conditions->items[i], "type")), "Ready"))
            return str_eqz(yaml_text(yaml_get(&conditions->items[i], "status")), "True");
    return false;
}

uint16_t pod_served_at(const struct pod *p, uint16_t port)
{
    for (size_t i = 0; i < p->moved.n; i++)
        if (p->moved.v[i].from == port)
            return p->moved.v[i].to;
    return port;
}

uint16_t pod_target_port(const struct pod *p, const struct service_port *sp)
{
    if (!sp->target_name.n)
        return (uint16_t)(sp->target_number ? sp->target_number : sp->port);
    for (size_t i = 0; i < p->containers.n; i++)
        for (size_t k = 0; k < p->containers.v[i].ports.n; k++)
            if (str_eq(p->containers.v[i].ports.v[k].name, sp->target_name))
                return (uint16_t)p->containers.v[i].ports.v[k].port;
    return 0;
}

/* "80=10080,443=10443" */
static void read_host_ports(struct check *c, struct pod *p)
{
    const struct yaml_node *all = yaml_path(c->object->root, "metadata.annotations");
    const struct yaml_node *n = yaml_get(all, host_ports_key);
    struct str rest = yaml_text(n);

    p->moved.v = rest.n ? check_alloc(c, rest.n / 4 + 1, sizeof(*p->moved.v)) : NULL;
    while (rest.n && p->moved.v) {
        struct str pair = str_trim(str_cut(&rest, ',')), right = pair, left = str_cut(&right, '=');
        uint64_t from, to;

        if (!right.p || !num_u64(left, &from) || !num_u64(right, &to) || from < 1 || from > UINT16_MAX || to < 1 ||
            to > UINT16_MAX)
            check_error(c, n, NULL, "\"%.*s\": must be PORT=PORT, as in 80=10080", STR_ARG(pair));
        else
            p->moved.v[p->moved.n++] = (struct port_map){ (uint16_t)from, (uint16_t)to };
    }
}

void pod_read(struct check *c, struct pod *p)
{
    const struct mesh_object *o = c->object;
    struct pod_spec *spec = check_new(c, &spec_message, check_get(o->root, "spec"));
    struct str ip = yaml_text(yaml_path(o->root, "status.podIP"));

    if (!check_get(o->root, "spec"))
        check_error(c, o->root, "spec", "missing");
    if (!spec)
        return;
    p->object = o;
    p->labels = o->labels;
    p->containers.v = spec->containers.v;
    p->containers.n = spec->containers.n;
    p->node = spec->node;
    p->workload.pod = o->name;
    p->workload.ip = ip;
    p->workload.ready = ip.n && is_ready(o);
    if (ip.n && !host_is_ip(ip))
        check_error(c, yaml_path(o->root, "status.podIP"), NULL, "\"%.*s\" is no address", STR_ARG(ip));
    workload_describe(c, &p->workload, o->ns, workload_name(o), p->labels, account_of(spec));
    read_host_ports(c, p);
    gateway_topology_read(c, yaml_path(o->root, "metadata.annotations"), &p->topology);
}

/* ---- templates ---- */

struct template_meta {
    const struct yaml_node *at;
    struct labels labels, annotations;
};

struct template {
    const struct yaml_node *at;
    struct template_meta *meta;
    struct pod_spec *spec;
};

struct template_selector {
    const struct yaml_node *at;
    struct labels labels;
    const struct yaml_node *expressions;
};

struct template_owner {
    const struct yaml_node *at;
    int64_t replicas;
    struct template_selector *selector;
    struct template *template;
};

static const struct field template_meta_fields[] = {
    FIELD(LABELS, template_meta, labels, "labels"),
    FIELD(LABELS, template_meta, annotations, "annotations"),
    END_OF_FIELDS,
};
static const struct message template_meta_message = { sizeof(struct template_meta), template_meta_fields, true, NULL };
static const struct field template_fields[] = {
    FIELD_OF(MESSAGE, template, meta, "metadata", &template_meta_message),
    REQUIRED_OF(MESSAGE, template, spec, "spec", &spec_message),
    END_OF_FIELDS,
};
static const struct message template_message = { sizeof(struct template), template_fields, true, NULL };
static const struct field selector_fields[] = {
    FIELD(LABELS, template_selector, labels, "matchLabels"),
    FIELD(ANY, template_selector, expressions, "matchExpressions"),
    END_OF_FIELDS,
};
static const struct message selector_message = { sizeof(struct template_selector), selector_fields, true, NULL };

static void check_owner(struct check *c, void *message)
{
    struct template_owner *t = message;
    struct labels l = t->template && t->template->meta ? t->template->meta->labels : (struct labels){ NULL, 0 };

    if (t->replicas < 0)
        check_error(c, t->at, "replicas", "must not be negative");
    if (t->selector && t->template && !labels_contain(l, t->selector->labels))
        check_error(c, t->selector->at, NULL,
                    "does not select the Pods of spec.template: its labels must hold matchLabels");
}

static const struct field owner_fields[] = {
    FIELD(INT, template_owner, replicas, "replicas"),
    FIELD_OF(MESSAGE, template_owner, selector, "selector", &selector_message),
    REQUIRED_OF(MESSAGE, template_owner, template, "template", &template_message),
    END_OF_FIELDS,
};
static const struct message owner_message = { sizeof(struct template_owner), owner_fields, true, check_owner };

void pod_template_read(struct check *c, struct pod_template *t)
{
    const struct mesh_object *o = c->object;
    struct template_owner *owner = check_new(c, &owner_message, check_get(o->root, "spec"));
    struct str account = STR_NULL;

    if (!check_get(o->root, "spec"))
        check_error(c, o->root, "spec", "missing");
    if (!owner)
        return;
    if (str_eqz(o->kind, "Deployment") && !owner->selector)
        check_error(c, owner->at, "selector", "missing: matchLabels that select the template's Pods");
    if (owner->template && owner->template->meta)
        t->labels = owner->template->meta->labels;
    if (owner->template && owner->template->spec)
        account = account_of(owner->template->spec);
    t->object = o;
    workload_describe(c, &t->workload, o->ns, o->name, t->labels, account);
    gateway_topology_read(c, yaml_path(o->root, "spec.template.metadata.annotations"), &t->topology);
}
