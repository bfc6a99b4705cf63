#include "proxy/upstream_cluster.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    MOST_BYTES = 64 * 1024 * 1024, /* of a cluster's slots */
    PANIC_PERCENT = 50             /* Envoy's, where outlier detection does not say Istio's */
};

static void set_port(struct sockaddr_storage *ss, uint16_t port)
{
    if (ss->ss_family == AF_INET)
        ((struct sockaddr_in *)ss)->sin_port = htons(port);
    else
        ((struct sockaddr_in6 *)ss)->sin6_port = htons(port);
}

bool upstream_parse_address(struct name_address *out, struct str ip)
{
    struct sockaddr_in *v4 = (void *)&out->addr;
    struct sockaddr_in6 *v6 = (void *)&out->addr;
    char text[INET6_ADDRSTRLEN];

    *out = (struct name_address){ .n = 0 };
    if (ip.n == 0 || ip.n >= sizeof(text))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        out->n = sizeof(*v4);
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        out->n = sizeof(*v6);
    }
    return out->n > 0;
}

static struct upstream_host *new_host(struct worker *w, struct circuit *circuit, struct str key,
                                      const struct name_address *at, struct tls_target *tls)
{
    struct upstream_host *h = mem_zalloc(sizeof(*h) + key.n);

    if (!h)
        return NULL;
    memcpy(h + 1, key.p, key.n);
    h->key = (struct str){ (const char *)(h + 1), key.n };
    h->w = w;
    h->addr = at->addr;
    h->addr_n = at->n;
    conn_addr_text(h->text, &h->addr);
    if (strmap_put(&w->hosts, h->key, h, NULL) < 0) {
        mem_free(h);
        return NULL;
    }
    h->circuit = circuit_get(circuit->all, circuit->name);
    h->tls = tls ? tls_target_get(tls) : NULL;
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
    tls_session_free(&h->session);
    tls_target_put(h->tls);
    circuit_host_put(h->circuit, h->shared);
    circuit_put(h->circuit);
    mem_free(h);
}

/* The worker's host at an address, reached by TLS or (NULL) without, new or known; held as one of the view's. NULL: no
 * memory. */
static struct upstream_host *hold_host(const struct upstream_cluster *u, const struct name_address *at, uint16_t port,
                                       struct tls_target *tls)
{
    struct worker *w = u->view->w;
    struct name_address with_port = *at;
    char text[CONN_ADDR_TEXT];
    struct buf key = BUF_INIT(4096);
    struct upstream_host *h = NULL;

    set_port(&with_port.addr, port);
    conn_addr_text(text, &with_port.addr);
    buf_printf(&key, "%.*s %s %llx", STR_ARG(u->cluster->name), text, tls ? (unsigned long long)tls->hash : 0);
    if (!buf_failed(&key))
        h = strmap_get(&w->hosts, buf_view(&key));
    if (!h && !buf_failed(&key))
        h = new_host(w, u->circuit, buf_view(&key), &with_port, tls);
    if (h)
        upstream_host_get(h)->views++;
    buf_free(&key);
    return h;
}

static void let_host_go(struct upstream_host *h)
{
    if (!h)
        return;
    if (--h->views == 0)
        upstream_close_idle(h);
    upstream_host_put(h);
}

/* ---- how they are secured ---- */

/* Whether some or all of a cluster's hosts are reached by TLS. */
static bool has_tls(const struct worker *w, const struct cluster *c)
{
    return c->tls.mode == TLS_CLIENT_AUTO ? tls_store_has_identity(w->settings->tls) : c->tls.mode != TLS_CLIENT_OFF;
}

/* Where the snapshot has no endpoint (NULL), whoever is known to be at the address answers. */
static bool wants_tls(const struct upstream_cluster *u, const struct endpoint *e, const struct name_address *at)
{
    char text[CONN_ADDR_TEXT];
    const struct workload *who;

    if (u->cluster->tls.mode != TLS_CLIENT_AUTO)
        return true;
    who = e ? e->workload : snapshot_workload(u->view->snapshot, conn_addr_text(text, &at->addr));
    return who && who->mtls;
}

static int open_tls(struct upstream_cluster *u)
{
    const struct cluster *c = u->cluster;
    bool wild = c->host.n && c->host.p[0] == '*';
    struct worker *w = u->view->w;

    if (!has_tls(w, c))
        return 0;
    u->tls = tls_target_new(w->settings->tls, &c->tls, wild ? STR_NULL : c->host);
    return u->tls ? 0 : ERR_NOMEM;
}

/* ---- which hosts count ---- */

static bool is_watched(const struct cluster *c)
{
    return c->outlier.on || c->check || c->warmup_ms > 0;
}

/* A warming host's share is looked at again a hundred times on its way up, and ten times a second at most. */
static int64_t next_step_ns(const struct cluster *c)
{
    int64_t step_ms = c->warmup_ms / 100;

    return (step_ms > 100 ? step_ms : 100) * 1000000;
}

/* Whether some host has told how it is: until then all count. */
static bool is_checked(const struct upstream_cluster *u)
{
    bool checked = false;

    for (size_t i = 0; u->cluster->check && i < u->nslots && !checked; i++) {
        const struct circuit_host *h = u->slots[i].host->shared;

        checked = h && atomic_load_explicit(&h->health, memory_order_relaxed) != HOST_UNCHECKED;
    }
    return checked;
}

static void update_slot(struct upstream_cluster *u, size_t i, int64_t now_ns, bool checked)
{
    const struct circuit_host *h = u->slots[i].host->shared;
    struct lb_slot *s = &u->lb.slots[i];
    int64_t until_ns;
    bool ejected;

    if (!h)
        return;
    until_ns = atomic_load_explicit(&h->ejected_until_ns, memory_order_relaxed);
    ejected = u->cluster->outlier.on && until_ns > now_ns;
    s->ejected = ejected || (checked && atomic_load_explicit(&h->health, memory_order_relaxed) != HOST_WELL);
    s->share_ppm = lb_warmup_ppm(u->cluster, (now_ns - h->born_ns) / 1000000);
    if (ejected && until_ns < u->look_again_ns)
        u->look_again_ns = until_ns;
    if (s->share_ppm < LB_WHOLE_PPM && now_ns + next_step_ns(u->cluster) < u->look_again_ns)
        u->look_again_ns = now_ns + next_step_ns(u->cluster);
}

/* ---- slots ---- */

/* Of what the snapshot has no endpoint for. */
static const struct endpoint nameless = { .weight = 1 };

static const struct endpoint *of_slot(const struct upstream_slot *s)
{
    return s->endpoint ? s->endpoint : &nameless;
}

static int by_priority(const void *x, const void *y)
{
    const struct upstream_slot *a = x, *b = y;
    uint32_t pa = of_slot(a)->priority, pb = of_slot(b)->priority;

    if (pa != pb)
        return pa < pb ? -1 : 1;
    if (a->endpoint != b->endpoint)
        return a->endpoint < b->endpoint ? -1 : 1;
    return strcmp(a->host->text, b->host->text);
}

/* Slots are known by their addresses, which stay the same from one snapshot to the next. */
static int open_lb(struct upstream_cluster *u, struct arena *a)
{
    size_t n = u->nslots;
    struct lb_slot *slots = arena_array(a, n, sizeof(*slots));
    struct str *keys = arena_array(a, n, sizeof(*keys));

    if (!slots || !keys)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        const struct endpoint *e = of_slot(&u->slots[i]);

        keys[i] = str_of(u->slots[i].host->text);
        slots[i] = (struct lb_slot){ .weight = e->weight, .priority = e->priority, .share_ppm = LB_WHOLE_PPM,
                                     .active = &u->slots[i].host->active };
    }
    return lb_init(&u->lb, a, u->cluster->lb, slots, n,
                   &(struct lb_hashing){ u->view->w->settings->tables, keys, u->cluster->hash.table });
}

/* A slot for an address of an endpoint (NULL: of the cluster's own host). */
static int add_slot(struct upstream_cluster *u, const struct name_address *at, const struct endpoint *e)
{
    struct upstream_host *h = hold_host(u, at, e ? e->port : u->cluster->port, wants_tls(u, e, at) ? u->tls : NULL);

    if (!h)
        return ERR_NOMEM;
    u->slots[u->nslots++] = (struct upstream_slot){ h, e };
    if (is_watched(u->cluster) && !h->shared)
        h->shared = circuit_host_get(h->circuit, str_of(h->text), u->view->w->now_ns);
    return is_watched(u->cluster) && !h->shared ? ERR_NOMEM : 0;
}

static int add_named(struct upstream_cluster *u, struct name *name, const struct endpoint *e)
{
    struct name_addresses a;
    int rc = 0;

    u->names_generation += name_generation(name);
    if (name_read(name, &a) == NAME_UNKNOWN)
        log_warn("%.*s: no address is found for %.*s", STR_ARG(u->cluster->name),
                 STR_ARG(e ? e->dns : u->cluster->host));
    for (size_t i = 0; rc == 0 && i < a.n && (i == 0 || !u->cluster->dns_first); i++)
        rc = add_slot(u, &a.v[i], e);
    return rc;
}

/* As many slots as endpoints, or addresses of their names, that have a weight. */
static int make_slots(struct upstream_cluster *u, struct arena *a)
{
    const struct cluster *c = u->cluster;
    struct name_address at;
    size_t name = 0;
    int rc = 0;

    u->slots = arena_array(a, c->nendpoints + u->nnames * NAME_MOST_ADDRESSES, sizeof(*u->slots));
    if (!u->slots)
        return ERR_NOMEM;
    for (size_t i = 0; rc == 0 && i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        if (e->ip.n == 0 && e->dns.n)
            rc = u->names[name] && e->weight ? add_named(u, u->names[name], e) : 0, name++;
        else if (e->weight && upstream_parse_address(&at, e->ip))
            rc = add_slot(u, &at, e);
    }
    if (rc == 0 && name < u->nnames && u->names[name])
        rc = add_named(u, u->names[name], NULL);
    if (rc < 0)
        return rc;
    if (u->nslots > 1)
        qsort(u->slots, u->nslots, sizeof(*u->slots), by_priority);
    return open_lb(u, a);
}

static void let_slots_go(struct upstream_cluster *u)
{
    for (size_t i = 0; i < u->nslots; i++)
        let_host_go(u->slots[i].host);
    lb_fini(&u->lb);
    u->nslots = 0;
}

/* Names have other addresses than before. Without memory for them the old ones stay. */
static void follow_names(struct upstream_cluster *u)
{
    struct upstream_cluster next = *u;

    next.slots = NULL;
    next.nslots = 0;
    next.lb = (struct lb){ .n = 0 };
    next.names_generation = 0;
    next.arena = (struct arena)ARENA_INIT(MOST_BYTES);
    next.look_again_ns = 0;
    if (make_slots(&next, &next.arena) < 0) {
        let_slots_go(&next);
        arena_free(&next.arena);
        return;
    }
    let_slots_go(u);
    arena_free(&u->arena);
    *u = next;
}

static unsigned names_generation(const struct upstream_cluster *u)
{
    unsigned sum = 0;

    for (size_t i = 0; i < u->nnames; i++)
        sum += u->names[i] ? name_generation(u->names[i]) : 0;
    return sum;
}

void upstream_follow_names(struct upstream_cluster *u)
{
    if (u->nnames && names_generation(u) != u->names_generation)
        follow_names(u);
}

/* Health checks become as frequent as they are to be when somebody calls. */
static void note_call(struct upstream_cluster *u)
{
    if (u->cluster->check && !atomic_load_explicit(&u->circuit->called, memory_order_relaxed))
        atomic_store_explicit(&u->circuit->called, true, memory_order_relaxed);
}

static uint32_t least_health(const struct cluster *c)
{
    if (c->outlier.on)
        return c->outlier.min_health_percent;
    return c->check ? PANIC_PERCENT : 0;
}

struct lb *upstream_lb(struct upstream_cluster *u, int64_t now_ns)
{
    unsigned epoch;
    bool checked;

    upstream_follow_names(u);
    if (!is_watched(u->cluster))
        return &u->lb;
    note_call(u);
    epoch = atomic_load_explicit(&u->circuit->epoch, memory_order_acquire);
    if (epoch == u->epoch && now_ns < u->look_again_ns)
        return &u->lb;
    u->epoch = epoch;
    u->look_again_ns = INT64_MAX;
    checked = is_checked(u);
    for (size_t i = 0; i < u->lb.n; i++)
        update_slot(u, i, now_ns, checked);
    lb_update(&u->lb, least_health(u->cluster));
    return &u->lb;
}

/* ---- names ---- */

/* A passthrough cluster without endpoints goes where its host's name leads; where that is a pattern, or there is none,
 * each request's host says so. */
static bool has_own_name(const struct cluster *c)
{
    return c->passthrough && c->nendpoints == 0 && c->host.n && c->host.p[0] != '*';
}

static bool has_name(const struct endpoint *e)
{
    return e->ip.n == 0 && e->dns.n;
}

bool upstream_cluster_has_names(const struct cluster *c)
{
    for (size_t i = 0; i < c->nendpoints; i++)
        if (has_name(&c->endpoints[i]))
            return true;
    return has_own_name(c);
}

static int ask_names(struct upstream_cluster *u, struct arena *a)
{
    const struct cluster *c = u->cluster;
    struct names *all = u->view->w->settings->names;
    size_t n = has_own_name(c);

    for (size_t i = 0; i < c->nendpoints; i++)
        n += has_name(&c->endpoints[i]);
    u->names = arena_array(a, n, sizeof(struct name *));
    if (!u->names)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->nendpoints; i++)
        if (has_name(&c->endpoints[i]))
            u->names[u->nnames++] = name_get(all, c->endpoints[i].dns);
    if (has_own_name(c))
        u->names[u->nnames++] = name_get(all, c->host);
    for (size_t i = 0; i < u->nnames; i++)
        if (!u->names[i])
            log_error("%.*s: there are too many names: one will have no addresses", STR_ARG(c->name));
    return 0;
}

bool upstream_is_asking(const struct upstream_cluster *u)
{
    struct name_addresses a;

    for (size_t i = 0; i < u->nnames; i++)
        if (u->names[i] && name_read(u->names[i], &a) == NAME_ASKING)
            return true;
    return false;
}

/* ---- hosts that requests name ---- */

bool upstream_goes_by_request(const struct upstream_cluster *u)
{
    return u->cluster->dynamic || (u->cluster->passthrough && u->cluster->nendpoints == 0 && u->nnames == 0);
}

long upstream_slot_at(const struct upstream_cluster *u, struct str ip)
{
    for (size_t i = 0; i < u->nslots; i++)
        if (u->slots[i].endpoint && ip.n && str_eq(u->slots[i].endpoint->ip, ip))
            return (long)i;
    return -1;
}

/* Whether it would come back to us. A listener on all addresses counts for the loopback ones, where requests without
 * anywhere to go would end up. */
static bool is_own(const struct proxy_snapshot *s, const struct name_address *at, uint16_t port)
{
    bool loopback = at->addr.ss_family == AF_INET &&
                    ntohl(((const struct sockaddr_in *)&at->addr)->sin_addr.s_addr) >> 24 == 127;
    char text[CONN_ADDR_TEXT];
    struct str ip = conn_addr_text(text, &at->addr);

    for (size_t i = 0; i < s->nlisteners; i++) {
        const struct listener *l = &s->listeners[i];
        bool all = str_eqz(l->ip, "0.0.0.0") || str_eqz(l->ip, "::");

        if (l->bind_port == port && (str_eq(l->ip, ip) || (all && (loopback || str_eq(s->self.ip, ip)))))
            return true;
    }
    return false;
}

/* A host that a request names, which is the name to be secured by, too. */
static struct upstream_host *hold_named(const struct upstream_cluster *u, struct str name,
                                        const struct name_address *at, uint16_t port)
{
    struct tls_client how = u->cluster->tls;
    ptrdiff_t star = str_chr(how.sni, '*');
    char sni[512];
    struct upstream_host *h;
    struct tls_target *tls;

    if (!u->tls || !wants_tls(u, NULL, at))
        return hold_host(u, at, port, NULL);
    if (star >= 0) { /* "outbound_.80_._.*.example": the pattern is no name */
        int n = snprintf(sni, sizeof(sni), "%.*s%.*s", (int)star, how.sni.p, STR_ARG(name));

        how.sni = (struct str){ sni, n < (int)sizeof(sni) ? (size_t)n : 0 };
    }
    tls = tls_target_new(u->view->w->settings->tls, &how, name);
    h = tls ? hold_host(u, at, port, tls) : NULL;
    tls_target_put(tls);
    return h;
}

struct upstream_host *upstream_named(struct upstream_cluster *u, struct str host, const struct name_addresses *a,
                                     size_t which, uint16_t port)
{
    const struct name_address *at = a->n ? &a->v[which % a->n] : NULL;
    struct upstream_host *h;

    if (!at || is_own(u->view->snapshot, at, port))
        return NULL;
    h = hold_named(u, host, at, port);
    if (!h)
        return NULL;
    upstream_host_get(h);
    if (!u->met)
        u->met = arena_array(&u->view->arena, UPSTREAM_MOST_MET, sizeof(struct upstream_host *));
    for (size_t i = 0; i < u->nmet; i++)
        if (u->met[i] == h) {
            let_host_go(h);
            return h;
        }
    if (u->met && u->nmet < UPSTREAM_MOST_MET)
        u->met[u->nmet++] = h;
    else
        let_host_go(h); /* its connections are not kept */
    return h;
}

/* ---- clusters ---- */

int upstream_cluster_open(struct upstream_cluster *u, struct view *v, const struct cluster *c)
{
    u->view = v;
    u->cluster = c;
    u->arena = (struct arena)ARENA_INIT(MOST_BYTES);
    u->circuit = circuit_get(v->w->settings->circuits, c->name);
    if (!u->circuit || open_tls(u) < 0 || ask_names(u, &v->arena) < 0)
        return ERR_NOMEM;
    return make_slots(u, u->nnames ? &u->arena : &v->arena);
}

void upstream_cluster_close(struct upstream_cluster *u)
{
    let_slots_go(u);
    for (size_t i = 0; i < u->nmet; i++)
        let_host_go(u->met[i]);
    for (size_t i = 0; i < u->nnames; i++)
        name_put(u->names[i]);
    arena_free(&u->arena);
    tls_target_put(u->tls);
    circuit_put(u->circuit);
}
