/* snapshot.c: who the proxy is, and all it is told. */
#include "mesh/snapshot.h"

#include "base/err.h"
#include "mesh/names-internal.h"
#include "mesh/snapshot-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *draft_alloc(struct draft *d, size_t n, size_t size)
{
    void *p = arena_array(d->arena, n, size);

    if (!p)
        d->nomem = true;
    return p;
}

struct str draft_printf(struct draft *d, const char *fmt, ...)
{
    char text[1024];
    struct str s;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    n = n < 0 ? 0 : n < (int)sizeof(text) ? n : (int)sizeof(text) - 1;
    s = arena_str(d->arena, (struct str){ text, (size_t)n });
    if (!s.p)
        d->nomem = true;
    return s;
}

/* ---- identity ---- */

/* The Pod by its name, or the workload's first: a ready one before one that is not. */
static const struct pod *find_pod(const struct mesh *m, const struct proxy_identity *id)
{
    const struct pod *best = NULL;

    for (size_t i = 0; i < m->pods.n; i++) {
        const struct pod *p = &m->pods.v[i];

        if (!str_eq(p->object->ns, id->ns) || (id->pod.n && !str_eq(p->object->name, id->pod)))
            continue;
        if (id->pod.n)
            return p;
        if (str_eq(p->workload.name, id->name) && (!best || (p->workload.ready && !best->workload.ready)))
            best = p;
    }
    return best;
}

static const struct pod_template *find_template(const struct mesh *m, const struct proxy_identity *id)
{
    for (size_t i = 0; i < m->templates.n; i++)
        if (str_eq(m->templates.v[i].object->ns, id->ns) && str_eq(m->templates.v[i].object->name, id->name))
            return &m->templates.v[i];
    return NULL;
}

/* Who has neither Pod nor template is what the command line says: a gateway always, a sidecar with labels. */
static int name_self(struct draft *d, struct err *e)
{
    const struct proxy_identity *id = d->id;
    const struct pod_template *t = find_template(d->mesh, id);
    struct workload *self = &d->out->self;
    struct check c;

    d->pod = find_pod(d->mesh, id);
    if (d->pod) {
        *self = d->pod->workload;
        d->labels = d->pod->labels;
    } else if (t) {
        *self = t->workload;
        d->labels = t->labels;
    } else if (id->role == PROXY_GATEWAY || id->labels.n) {
        check_init(&c, d->arena, NULL, NULL);
        workload_describe(&c, self, id->ns, id->name, id->labels, STR_NULL);
        d->nomem = d->nomem || c.nomem;
    } else {
        return err_set(e, ERR_NOTFOUND, "workload %.*s.%.*s: there is no Pod nor Deployment of that name", STR_ARG(id->name),
                       STR_ARG(id->ns));
    }
    if (id->labels.n)
        d->labels = id->labels;
    if (!d->pod && id->pod.n)
        self->pod = id->pod;
    d->ns = self->ns;
    return 0;
}

static int check_addresses(const struct proxy_identity *id, struct err *e)
{
    uint32_t net, mask;

    if (!host_is_ip(id->bind) && (id->bind.n || !id->outbound_net.n))
        return err_set(e, ERR_INVALID, "bind: \"%.*s\" is no address", STR_ARG(id->bind));
    if (id->app_address.n && !host_is_ip(id->app_address))
        return err_set(e, ERR_INVALID, "app address: \"%.*s\" is no address", STR_ARG(id->app_address));
    if (id->outbound_net.n && !host_net(id->outbound_net, &net, &mask))
        return err_set(e, ERR_INVALID, "outbound net: \"%.*s\" is no net, as in 127.64.3.0/24", STR_ARG(id->outbound_net));
    return 0;
}

/* ---- the whole ---- */

static int by_place(const void *x, const void *y)
{
    const struct listener *a = x, *b = y;
    int c;

    if (a->direction != b->direction)
        return a->direction < b->direction ? -1 : 1;
    c = str_cmp(a->ip, b->ip);
    return c ? c : (a->port > b->port) - (a->port < b->port);
}

static void fill(struct draft *d)
{
    bool inbound = d->id->role == PROXY_SIDECAR && d->id->app_address.n && d->pod && d->out->self.ip.n;

    draft_outbound_clusters(d);
    if (inbound && !d->nomem)
        draft_inbound_clusters(d);
    if (!d->nomem)
        draft_sort_clusters(d);
    if (inbound && !d->nomem)
        draft_inbound_listeners(d);
    if (d->id->role == PROXY_GATEWAY && !d->nomem)
        draft_gateway_listeners(d);
    else if (!d->nomem)
        draft_sidecar_listeners(d);
    if (d->listeners.n > 1 && !d->nomem)
        qsort(d->listeners.v, d->listeners.n, sizeof(*d->listeners.v), by_place);
    d->out->clusters = d->clusters.v;
    d->out->nclusters = d->clusters.n;
    d->out->listeners = d->listeners.v;
    d->out->nlisteners = d->listeners.n;
    d->out->workloads = d->mesh->workloads;
    d->out->nworkloads = d->mesh->nworkloads;
}

static bool copy_identity(struct arena *a, const struct proxy_identity *id, struct proxy_identity *to)
{
    *to = *id;
    to->name = arena_str(a, id->name);
    to->ns = arena_str(a, id->ns);
    to->pod = arena_str(a, id->pod);
    to->bind = arena_str(a, id->bind);
    to->app_address = arena_str(a, id->app_address);
    to->labels = labels_copy(a, id->labels);
    return to->name.p && to->ns.p && to->pod.p && to->bind.p && to->app_address.p && to->labels.v;
}

struct proxy_snapshot *mesh_snapshot(struct arena *a, const struct mesh *m, const struct proxy_identity *id,
                                     uint64_t version, struct err *e)
{
    struct proxy_snapshot *out = ARENA_NEW(a, struct proxy_snapshot);
    struct proxy_identity own;
    struct draft d = { .arena = a, .mesh = m, .id = &own, .out = out };

    if (!out || !copy_identity(a, id, &own)) {
        err_set(e, ERR_NOMEM, "no memory for a proxy's snapshot");
        return NULL;
    }
    out->version = version;
    if (check_addresses(&own, e) < 0 || name_self(&d, e) < 0)
        return NULL;
    fill(&d);
    if (d.nomem) {
        err_set(e, ERR_NOMEM, "no memory for a proxy's snapshot");
        return NULL;
    }
    return out;
}

/* ---- looking up ---- */

/* "Example.com:80" → "Example.com", "[::1]:80" → "::1" */
static struct str without_port(struct str authority)
{
    ptrdiff_t end;

    if (authority.n && authority.p[0] == '[') {
        end = str_chr(authority, ']');
        return end < 0 ? authority : (struct str){ authority.p + 1, (size_t)end - 1 };
    }
    end = str_chr(authority, ':');
    return end < 0 ? authority : (struct str){ authority.p, (size_t)end };
}

static bool has_suffix(struct str s, struct str suffix)
{
    return s.n > suffix.n && str_ieq(str_from(s, s.n - suffix.n), suffix);
}

const struct virtual_host *listener_host(const struct listener *l, struct str authority)
{
    const struct virtual_host *best = NULL;
    struct str host = without_port(authority);
    size_t longest = 0;

    for (size_t i = 0; i < l->nhosts; i++) {
        const struct virtual_host *vh = &l->hosts[i];

        for (size_t k = 0; k < vh->ndomains; k++) {
            struct str domain = vh->domains[k];
            bool wild = domain.n && domain.p[0] == '*';

            if (!wild && domain.n == host.n && str_ieq(domain, host))
                return vh;
            if (wild && domain.n > longest && (domain.n == 1 || has_suffix(host, str_from(domain, 1)))) {
                best = vh;
                longest = domain.n;
            }
        }
    }
    return best;
}

static int by_ip(const void *key, const void *item)
{
    return str_cmp(*(const struct str *)key, ((const struct workload *)item)->ip);
}

const struct workload *snapshot_workload(const struct proxy_snapshot *s, struct str ip)
{
    const struct workload *w = s->nworkloads ? bsearch(&ip, s->workloads, s->nworkloads, sizeof(*w), by_ip) : NULL;

    while (w && w > s->workloads && str_eq(w[-1].ip, ip))
        w--;
    return w;
}
