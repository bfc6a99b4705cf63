/* gateways.c: gateways among the workloads.
 *
 * A Deployment, or a Pod for those that were not given as Deployments, is a gateway when it carries Istio's labels of
 * one (istio: ingressgateway, or operator.istio.io/component), or when a Gateway's selector picks it. Its hosts are
 * those of all the Gateways whose selector does. The answer is kept until the catalog has another revision. */
#include "api/gateways-internal.h"

#include "base/mem.h"
#include "base/strmap.h"
#include "store/catalog.h"

#include <jansson.h>
#include <pthread.h>

enum { ARENA_LIMIT = 64 << 20, MOST_HOSTS = 256 };

struct gateways {
    pthread_mutex_t lock; /* guards what follows */
    uint64_t revision;    /* that `list` is of; 0: none is read */
    struct arena arena;
    struct graph_gateway *list;
    size_t n;
};

struct gateways *gateways_new(void)
{
    struct gateways *w = mem_zalloc(sizeof(*w));

    if (!w)
        return NULL;
    pthread_mutex_init(&w->lock, NULL);
    w->arena = (struct arena)ARENA_INIT(ARENA_LIMIT);
    return w;
}

void gateways_free(struct gateways *w)
{
    if (!w)
        return;
    arena_free(&w->arena);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

/* --- reading --- */

struct documents {
    struct catalog_document *v;
    size_t n;
    json_t **json; /* parsed; NULL where it is none */
};

struct reading {
    struct arena a; /* until the reading ends */
    struct documents gateways, deployments, pods;
    struct strmap seen; /* "NAMESPACE/WORKLOAD" that were considered */
};

static int read_documents(struct reading *r, struct store *st, const char *kind, uint64_t revision, struct documents *d,
                          struct err *e)
{
    int rc = catalog_list(st, str_of(kind), revision, &r->a, &d->v, &d->n, e);

    if (rc < 0) {
        d->n = 0;
        return rc;
    }
    d->json = arena_array(&r->a, d->n + 1, sizeof(*d->json));
    if (!d->json) {
        d->n = 0;
        return err_set(e, ERR_NOMEM, "no memory for the gateways");
    }
    for (size_t i = 0; i < d->n; i++)
        d->json[i] = json_loadb(d->v[i].body.p, d->v[i].body.n, 0, NULL);
    return 0;
}

static void free_documents(struct documents *d)
{
    for (size_t i = 0; i < d->n; i++)
        json_decref(d->json[i]);
}

static json_t *at(json_t *j, const char *first, const char *second, const char *third, const char *fourth)
{
    const char *const path[] = { first, second, third, fourth };

    for (size_t i = 0; i < 4 && path[i]; i++)
        j = json_object_get(j, path[i]);
    return j;
}

static bool has_label(const json_t *labels, const char *name, const char *value)
{
    const char *s = json_string_value(json_object_get(labels, name));

    return s && strcmp(s, value) == 0;
}

static bool selects(json_t *gateway, const json_t *labels)
{
    json_t *selector = at(gateway, "spec", "selector", NULL, NULL), *v;
    const char *name;

    if (json_object_size(selector) == 0)
        return false; /* all gateways, but that makes nobody one */
    json_object_foreach(selector, name, v)
        if (!json_is_string(v) || !has_label(labels, name, json_string_value(v)))
            return false;
    return true;
}

static bool has_host(const struct str *hosts, size_t n, struct str host)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(hosts[i], host))
            return true;
    return false;
}

/* The hosts of a Gateway's servers, added to hosts[0..*n); false without memory. */
static bool add_hosts(struct gateways *w, struct str *hosts, size_t *n, json_t *gateway)
{
    json_t *server, *host;
    size_t i, k;

    json_array_foreach(at(gateway, "spec", "servers", NULL, NULL), i, server)
        json_array_foreach(json_object_get(server, "hosts"), k, host) {
            struct str s = { json_string_value(host), json_string_length(host) };

            if (!s.p || *n == MOST_HOSTS || has_host(hosts, *n, s))
                continue;
            hosts[*n] = arena_str(&w->arena, s);
            if (!hosts[(*n)++].p)
                return false;
        }
    return true;
}

static bool is_component(const json_t *labels, const char *istio, const char *component)
{
    return has_label(labels, "istio", istio) || has_label(labels, "operator.istio.io/component", component);
}

/* All hosts that the workload serves; false without memory. */
static bool list_hosts(struct gateways *w, struct reading *r, struct graph_gateway *x, const json_t *labels)
{
    struct str *hosts = arena_array(&w->arena, MOST_HOSTS, sizeof(*hosts));

    x->hosts = hosts;
    for (size_t i = 0; hosts && i < r->gateways.n; i++)
        if (selects(r->gateways.json[i], labels) && !add_hosts(w, hosts, &x->nhosts, r->gateways.json[i]))
            return false;
    return hosts != NULL;
}

static bool is_selected(const struct reading *r, const json_t *labels)
{
    for (size_t i = 0; i < r->gateways.n; i++)
        if (selects(r->gateways.json[i], labels))
            return true;
    return false;
}

/* Adds the workload to the list if it is a gateway; false without memory. */
static bool consider(struct gateways *w, struct reading *r, struct str ns, struct str name, const json_t *labels)
{
    struct graph_gateway x = { .egress = is_component(labels, "egressgateway", "EgressGateways") };
    struct str key = arena_printf(&r->a, "%.*s/%.*s", STR_ARG(ns), STR_ARG(name));
    const char *app = json_string_value(json_object_get(labels, "app"));

    if (!key.p)
        return false;
    if (strmap_get(&r->seen, key))
        return true;
    if (strmap_put(&r->seen, key, w, NULL) < 0)
        return false;
    if (!x.egress && !is_component(labels, "ingressgateway", "IngressGateways") && !is_selected(r, labels))
        return true;
    if (!list_hosts(w, r, &x, labels))
        return false;
    x.ns = arena_str(&w->arena, ns);
    x.workload = arena_str(&w->arena, name);
    x.app = arena_str(&w->arena, str_of(app ? app : ""));
    w->list[w->n++] = x;
    return x.ns.p && x.workload.p && x.app.p;
}

static bool consider_all(struct gateways *w, struct reading *r)
{
    for (size_t i = 0; i < r->deployments.n; i++)
        if (!consider(w, r, r->deployments.v[i].key.ns, r->deployments.v[i].key.name,
                      at(r->deployments.json[i], "spec", "template", "metadata", "labels")))
            return false;
    for (size_t i = 0; i < r->pods.n; i++) {
        json_t *owner = json_array_get(at(r->pods.json[i], "metadata", "ownerReferences", NULL, NULL), 0);
        const char *name = json_string_value(json_object_get(owner, "name"));

        if (name && !consider(w, r, r->pods.v[i].key.ns, str_of(name), at(r->pods.json[i], "metadata", "labels", NULL, NULL)))
            return false;
    }
    return true;
}

static int read_objects(struct gateways *w, struct reading *r, struct store *st, uint64_t revision, struct err *e)
{
    int rc;

    if ((rc = read_documents(r, st, "Gateway", revision, &r->gateways, e)) < 0 ||
        (rc = read_documents(r, st, "Deployment", revision, &r->deployments, e)) < 0 ||
        (rc = read_documents(r, st, "Pod", revision, &r->pods, e)) < 0)
        return rc;
    w->list = arena_array(&w->arena, r->deployments.n + r->pods.n + 1, sizeof(*w->list));
    return w->list && consider_all(w, r) ? 0 : err_set(e, ERR_NOMEM, "no memory for the gateways");
}

static int refresh(struct gateways *w, struct store *st, uint64_t revision, struct err *e)
{
    struct reading r = { .a = ARENA_INIT(ARENA_LIMIT), .seen = STRMAP_INIT };
    int rc;

    arena_free(&w->arena);
    w->n = 0;
    w->revision = 0;
    rc = read_objects(w, &r, st, revision, e);
    if (rc == 0)
        w->revision = revision;
    else
        w->n = 0;
    free_documents(&r.gateways);
    free_documents(&r.deployments);
    free_documents(&r.pods);
    strmap_free(&r.seen);
    arena_free(&r.a);
    return rc;
}

/* --- answering --- */

static bool copy_one(struct arena *a, struct graph_gateway *to, const struct graph_gateway *from)
{
    struct str *hosts = arena_array(a, from->nhosts + 1, sizeof(*hosts));
    bool ok = hosts != NULL;

    *to = *from;
    to->ns = arena_str(a, from->ns);
    to->workload = arena_str(a, from->workload);
    to->app = arena_str(a, from->app);
    to->hosts = hosts;
    for (size_t i = 0; i < from->nhosts && ok; i++) {
        hosts[i] = arena_str(a, from->hosts[i]);
        ok = hosts[i].p != NULL;
    }
    return ok && to->ns.p && to->workload.p && to->app.p;
}

static int copy_all(const struct gateways *w, struct arena *a, const struct graph_gateway **out, struct err *e)
{
    struct graph_gateway *v = arena_array(a, w->n + 1, sizeof(*v));

    for (size_t i = 0; v && i < w->n; i++)
        if (!copy_one(a, &v[i], &w->list[i]))
            v = NULL;
    *out = v;
    return v ? 0 : err_set(e, ERR_NOMEM, "no memory for the gateways");
}

int gateways_list(struct gateways *w, struct store *st, struct arena *a, const struct graph_gateway **out, size_t *n,
                  struct err *e)
{
    uint64_t revision = catalog_revision(st);
    int rc = 0;

    pthread_mutex_lock(&w->lock);
    if (revision != 0 && revision != w->revision)
        rc = refresh(w, st, revision, e);
    if (rc == 0)
        rc = copy_all(w, a, out, e);
    *n = w->n;
    pthread_mutex_unlock(&w->lock);
    return rc;
}
