#include "proxy/view.h"

#include "base/mem.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#include <arpa/inet.h>

enum { MOST_BYTES = 256 * 1024 * 1024 };

static bool parse_addr(struct upstream_host *h, struct str ip, uint16_t port)
{
    struct sockaddr_in *v4 = (void *)&h->addr;
    struct sockaddr_in6 *v6 = (void *)&h->addr;
    char text[INET6_ADDRSTRLEN];

    if (ip.n == 0 || ip.n >= sizeof(text))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        h->addr_n = sizeof(*v4);
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        h->addr_n = sizeof(*v6);
    } else {
        return false;
    }
    conn_addr_text(h->text, &h->addr);
    return true;
}

/* The worker's host for an endpoint, new or known. *out stays NULL when the address is none. 0 or ERR_NOMEM. */
static int find_host(struct worker *w, struct arena *a, const struct cluster *c, const struct endpoint *e,
                     struct tls_target *tls, struct upstream_host **out)
{
    struct str key = arena_printf(a, "%.*s %.*s:%u %llx", STR_ARG(c->name), STR_ARG(e->ip), e->port,
                                  tls ? (unsigned long long)tls->hash : 0);
    struct upstream_host *h = key.p ? strmap_get(&w->hosts, key) : NULL;

    if (!key.p)
        return ERR_NOMEM;
    if (!h) {
        h = mem_zalloc(sizeof(*h) + key.n);
        if (!h)
            return ERR_NOMEM;
        if (!parse_addr(h, e->ip, e->port)) {
            mem_free(h);
            return 0;
        }
        memcpy(h + 1, key.p, key.n);
        h->key = (struct str){ (const char *)(h + 1), key.n };
        h->w = w;
        h->tls = tls ? tls_target_get(tls) : NULL;
        if (strmap_put(&w->hosts, h->key, h, NULL) < 0) {
            tls_target_put(h->tls);
            mem_free(h);
            return ERR_NOMEM;
        }
    }
    h->refs++;
    h->views++;
    *out = h;
    return 0;
}

void upstream_host_put(struct upstream_host *h)
{
    if (--h->refs > 0)
        return;
    strmap_del(&h->w->hosts, h->key);
    tls_session_free(&h->session);
    tls_target_put(h->tls);
    mem_free(h);
}

/* Slots are known by their addresses, which stay the same from one snapshot to the next. */
static int make_table(struct view *v, struct upstream_cluster *u, size_t n)
{
    struct str *keys = arena_array(&v->arena, n, sizeof(*keys));
    uint32_t *weights = arena_array(&v->arena, n, sizeof(*weights));

    if (!keys || !weights)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        keys[i] = str_of(u->hosts[u->slot_endpoint[i]]->text);
        weights[i] = u->slots[i].weight;
    }
    return lb_table_init(&u->lb.table, &v->arena, u->cluster->lb, u->cluster->hash.table, keys, weights, n);
}

/* Whether some or all of a cluster's endpoints are reached by TLS. */
static bool has_tls(const struct worker *w, const struct cluster *c)
{
    return c->tls.mode == TLS_CLIENT_AUTO ? tls_store_has_identity(w->settings->tls) : c->tls.mode != TLS_CLIENT_OFF;
}

static bool wants_tls(const struct cluster *c, const struct endpoint *e)
{
    return c->tls.mode != TLS_CLIENT_AUTO || e->workload->mtls;
}

static int find_hosts(struct view *v, struct upstream_cluster *u, const struct cluster *c)
{
    bool wild = c->host.n && c->host.p[0] == '*';
    struct tls_target *tls = NULL;
    int rc = 0;

    if (has_tls(v->w, c)) {
        tls = tls_target_new(v->w->settings->tls, &c->tls, wild ? STR_NULL : c->host);
        if (!tls)
            return ERR_NOMEM;
    }
    for (size_t i = 0; i < c->nendpoints && rc == 0; i++)
        rc = find_host(v->w, &v->arena, c, &c->endpoints[i], tls && wants_tls(c, &c->endpoints[i]) ? tls : NULL,
                       &u->hosts[i]);
    tls_target_put(tls);
    return rc;
}

static int open_cluster(struct view *v, struct upstream_cluster *u, const struct cluster *c)
{
    size_t n = 0;

    u->cluster = c;
    u->hosts = arena_array(&v->arena, c->nendpoints, sizeof(struct upstream_host *));
    u->slots = arena_array(&v->arena, c->nendpoints, sizeof(*u->slots));
    u->slot_endpoint = arena_array(&v->arena, c->nendpoints, sizeof(*u->slot_endpoint));
    if (!u->hosts || !u->slots || !u->slot_endpoint || find_hosts(v, u, c) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->nendpoints; i++) {
        if (!u->hosts[i] || c->endpoints[i].weight == 0)
            continue;
        u->slots[n] = (struct lb_slot){ .weight = c->endpoints[i].weight, .active = &u->hosts[i]->active };
        u->slot_endpoint[n++] = (uint32_t)i;
    }
    lb_init(&u->lb, c->lb, u->slots, n);
    return c->lb == LB_RING_HASH || c->lb == LB_MAGLEV ? make_table(v, u, n) : 0;
}

static void close_clusters(struct view *v)
{
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++)
        for (size_t k = 0; v->clusters[i].hosts && k < v->clusters[i].cluster->nendpoints; k++) {
            struct upstream_host *h = v->clusters[i].hosts[k];

            if (!h)
                continue;
            if (--h->views == 0)
                upstream_close_idle(h);
            upstream_host_put(h);
        }
}

struct view *view_new(struct worker *w, struct snapshot_ref *ref)
{
    struct view *v = mem_zalloc(sizeof(*v));

    if (!v)
        return NULL;
    v->refs = 1;
    v->w = w;
    v->ref = snapshot_ref_get(ref);
    v->snapshot = ref->snapshot;
    v->arena = (struct arena)ARENA_INIT(MOST_BYTES);
    v->clusters = arena_array(&v->arena, v->snapshot->nclusters, sizeof(*v->clusters));
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++)
        if (open_cluster(v, &v->clusters[i], &v->snapshot->clusters[i]) < 0) {
            view_put(v);
            return NULL;
        }
    if (!v->clusters) {
        view_put(v);
        return NULL;
    }
    return v;
}

struct view *view_get(struct view *v)
{
    v->refs++;
    return v;
}

void view_put(struct view *v)
{
    if (!v || --v->refs > 0)
        return;
    close_clusters(v);
    arena_free(&v->arena);
    snapshot_ref_put(v->ref);
    mem_free(v);
}

struct upstream_cluster *view_cluster(const struct view *v, const struct cluster *c)
{
    uintptr_t at = (uintptr_t)c, first = (uintptr_t)v->snapshot->clusters;

    if (!c || at < first || at >= first + v->snapshot->nclusters * sizeof(*c))
        return NULL;
    return &v->clusters[c - v->snapshot->clusters];
}
