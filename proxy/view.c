#include "proxy/view.h"

#include "base/mem.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#include <arpa/inet.h>
#include <stdlib.h>

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

static struct upstream_host *new_host(struct worker *w, struct circuit *circuit, struct str key, struct str ip,
                                      uint16_t port)
{
    struct upstream_host *h = mem_zalloc(sizeof(*h) + key.n);

    if (!h)
        return NULL;
    memcpy(h + 1, key.p, key.n);
    h->key = (struct str){ (const char *)(h + 1), key.n };
    h->w = w;
    if (!parse_addr(h, ip, port) || strmap_put(&w->hosts, h->key, h, NULL) < 0) {
        mem_free(h);
        return NULL;
    }
    h->circuit = circuit_get(circuit->all, circuit->name);
    return h;
}

struct upstream_host *upstream_host_get(struct upstream_host *h)
{
    h->refs++;
    return h;
}

void upstream_host_put(struct upstream_host *h)
{
    if (!h || --h->refs > 0)
        return;
    strmap_del(&h->w->hosts, h->key);
    circuit_host_put(h->circuit, h->shared);
    circuit_put(h->circuit);
    mem_free(h);
}

/* The worker's host for an endpoint, new or known; held as one of the view's. *out is NULL when the address is none.
 * 0 or ERR_NOMEM. */
static int find_host(struct view *v, const struct upstream_cluster *u, const struct endpoint *e,
                     struct upstream_host **out)
{
    struct str key = arena_printf(&v->arena, "%.*s %.*s:%u", STR_ARG(u->cluster->name), STR_ARG(e->ip), e->port);
    struct upstream_host *h = key.p ? strmap_get(&v->w->hosts, key) : NULL;
    struct upstream_host address = { .addr_n = 0 };

    *out = NULL;
    if (!key.p)
        return ERR_NOMEM;
    if (!h && !parse_addr(&address, e->ip, e->port))
        return 0;
    if (!h)
        h = new_host(v->w, u->circuit, key, e->ip, e->port);
    if (!h)
        return ERR_NOMEM;
    upstream_host_get(h)->views++;
    *out = h;
    return 0;
}

static void let_host_go(struct upstream_host *h)
{
    if (!h)
        return;
    if (--h->views == 0)
        upstream_close_idle(h);
    upstream_host_put(h);
}

/* ---- which hosts count ---- */

static bool is_watched(const struct cluster *c)
{
    return c->outlier.on || c->warmup_ms > 0;
}

/* A warming host's share is looked at again a hundred times on its way up, and ten times a second at most. */
static int64_t next_step_ns(const struct cluster *c)
{
    int64_t step_ms = c->warmup_ms / 100;

    return (step_ms > 100 ? step_ms : 100) * 1000000;
}

static void update_slot(struct upstream_cluster *u, size_t i, int64_t now_ns)
{
    const struct circuit_host *h = u->slots[i].host->shared;
    struct lb_slot *s = &u->lb.slots[i];
    int64_t until_ns;

    if (!h)
        return;
    until_ns = atomic_load_explicit(&h->ejected_until_ns, memory_order_relaxed);
    s->ejected = u->cluster->outlier.on && until_ns > now_ns;
    s->share_ppm = lb_warmup_ppm(u->cluster, (now_ns - h->born_ns) / 1000000);
    if (s->ejected && until_ns < u->look_again_ns)
        u->look_again_ns = until_ns;
    if (s->share_ppm < LB_WHOLE_PPM && now_ns + next_step_ns(u->cluster) < u->look_again_ns)
        u->look_again_ns = now_ns + next_step_ns(u->cluster);
}

struct lb *upstream_lb(struct upstream_cluster *u, int64_t now_ns)
{
    unsigned epoch;

    if (!is_watched(u->cluster))
        return &u->lb;
    epoch = atomic_load_explicit(&u->circuit->epoch, memory_order_acquire);
    if (epoch == u->epoch && now_ns < u->look_again_ns)
        return &u->lb;
    u->epoch = epoch;
    u->look_again_ns = INT64_MAX;
    for (size_t i = 0; i < u->lb.n; i++)
        update_slot(u, i, now_ns);
    lb_update(&u->lb, u->cluster->outlier.min_health_percent);
    return &u->lb;
}

/* ---- clusters ---- */

static int by_priority(const void *x, const void *y)
{
    const struct upstream_slot *a = x, *b = y;

    if (a->endpoint->priority != b->endpoint->priority)
        return a->endpoint->priority < b->endpoint->priority ? -1 : 1;
    return a->endpoint < b->endpoint ? -1 : a->endpoint > b->endpoint;
}

/* Slots are known by their addresses, which stay the same from one snapshot to the next. */
static int open_lb(struct view *v, struct upstream_cluster *u, size_t n)
{
    struct lb_slot *slots = arena_array(&v->arena, n, sizeof(*slots));
    struct str *keys = arena_array(&v->arena, n, sizeof(*keys));

    if (!slots || !keys)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct endpoint *e = u->slots[i].endpoint;

        keys[i] = str_of(u->slots[i].host->text);
        slots[i] = (struct lb_slot){ .weight = e->weight, .priority = e->priority, .share_ppm = LB_WHOLE_PPM,
                                     .active = &u->slots[i].host->active };
    }
    return lb_init(&u->lb, &v->arena, u->cluster->lb, slots, n, keys, u->cluster->hash.table);
}

static int watch_host(struct view *v, struct upstream_host *h)
{
    if (!h->shared)
        h->shared = circuit_host_get(h->circuit, str_of(h->text), v->w->now_ns);
    return h->shared ? 0 : ERR_NOMEM;
}

static int open_cluster(struct view *v, struct upstream_cluster *u, const struct cluster *c)
{
    u->cluster = c;
    u->circuit = circuit_get(v->w->settings->circuits, c->name);
    u->slots = arena_array(&v->arena, c->nendpoints, sizeof(*u->slots));
    if (!u->circuit || !u->slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->nendpoints; i++) {
        struct upstream_host *h;

        if (c->endpoints[i].weight == 0)
            continue;
        if (find_host(v, u, &c->endpoints[i], &h) < 0)
            return ERR_NOMEM;
        if (!h)
            continue;
        u->slots[u->nslots++] = (struct upstream_slot){ h, &c->endpoints[i] };
        if (is_watched(c) && watch_host(v, h) < 0)
            return ERR_NOMEM;
    }
    if (u->nslots > 1)
        qsort(u->slots, u->nslots, sizeof(*u->slots), by_priority);
    return open_lb(v, u, u->nslots);
}

static void close_clusters(struct view *v)
{
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++) {
        for (size_t k = 0; k < v->clusters[i].nslots; k++)
            let_host_go(v->clusters[i].slots[k].host);
        circuit_put(v->clusters[i].circuit);
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
