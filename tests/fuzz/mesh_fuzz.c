/* Any text: parsed, built and asked for, as a sidecar and as a gateway. Nothing may crash, and
 *   - an object's canonical JSON, and its YAML, read back as an object with the same canonical JSON;
 *   - every route that forwards has a destination, and its weights add up to what it says;
 *   - a virtual host is found by each of its exact domains;
 *   - of a cluster's endpoints each has an address or a name, a weight, and priorities from 0 without a gap;
 *   - a listener's chains go from the most specific name to all;
 *   - a rate limit is found by its index, its buckets have keys and can be filled, and no list is longer than its bound;
 *   - a health check has pauses, thresholds, and a path that is one word; its statuses are some;
 *   - policies stand in the order of their actions, the default denies just where one allows, and of each condition there
 *     are values or nets, whose bits are within an address. */
#include "base/err.h"
#include "mesh/snapshot.h"

#include <stdlib.h>

enum { MOST_MEMORY = 64 << 20, MOST_TEXT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reads_back(struct arena *a, const struct mesh_object *o, void (*print)(struct buf *, const struct mesh_object *))
{
    struct buf text = BUF_INIT(16 * MOST_TEXT), want = BUF_INIT(16 * MOST_TEXT), got = BUF_INIT(16 * MOST_TEXT);
    struct mesh_objects again = { NULL, 0, 0 };
    struct mesh_problems p;

    mesh_problems_init(&p, a);
    print(&text, o);
    mesh_object_json(&want, o);
    if (buf_failed(&text) || buf_failed(&want) || mesh_parse(a, STR("-"), buf_view(&text), o->ns, &again, &p) < 0)
        goto end;
    if (again.n != 1)
        abort();
    mesh_object_json(&got, &again.v[0]);
    if (!str_eq(buf_view(&got), buf_view(&want)))
        abort();
end:
    buf_free(&text);
    buf_free(&want);
    buf_free(&got);
}

static void check_route(const struct route *r)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < r->ndestinations; i++)
        sum += r->destinations[i].weight;
    if (r->action == ROUTE_FORWARD && (r->ndestinations == 0 || sum != r->total_weight || sum == 0))
        abort();
}

static void check_conditions(const struct policy_all *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++) {
            const struct policy_condition *c = &v[i].v[k];

            if ((c->nvalues > 0) == (c->nnets > 0))
                abort();
            for (size_t m = 0; m < c->nnets; m++)
                if (c->nets[m].bits > 128)
                    abort();
        }
    }
}

static void check_policy(const struct listener_policy *p)
{
    bool allows = false;

    for (size_t i = 0; i < p->npolicies; i++) {
        if (i && p->policies[i - 1].action > p->policies[i].action)
            abort();
        allows = allows || p->policies[i].action == POLICY_ALLOW;
        for (size_t k = 0; k < p->policies[i].nrules; k++) {
            check_conditions(p->policies[i].rules[k].from, p->policies[i].rules[k].nfrom);
            check_conditions(p->policies[i].rules[k].to, p->policies[i].rules[k].nto);
            check_conditions(&p->policies[i].rules[k].when, 1);
        }
    }
    if (allows != p->default_deny)
        abort();
}

static void check_listener(const struct listener *l);

/* The most specific name first, each once, and something to do in each. */
static void check_chains(const struct listener *l)
{
    for (size_t i = 0; i < l->nchains; i++) {
        const struct listener_chain *c = &l->chains[i], *next = i + 1 < l->nchains ? c + 1 : NULL;

        if (!c->serve || c->nserver_names > 1 || (next && c->nserver_names == 0) ||
            (next && next->nserver_names && str_eq(c->server_names[0], next->server_names[0])))
            abort();
        check_listener(c->serve);
    }
}

static void check_listener(const struct listener *l)
{
    check_policy(&l->policy);
    check_chains(l);
    for (size_t i = 0; i < l->nhosts; i++) {
        for (size_t k = 0; k < l->hosts[i].ndomains; k++) {
            struct str domain = l->hosts[i].domains[k];

            if (str_chr(domain, '*') < 0 && str_chr(domain, ':') < 0 && listener_host(l, domain) != &l->hosts[i])
                abort();
        }
        for (size_t k = 0; k < l->hosts[i].nroutes; k++)
            check_route(&l->hosts[i].routes[k]);
    }
}

static void check_endpoints(const struct cluster *c)
{
    uint32_t most = 0;
    size_t seen = 0;

    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        if ((e->ip.n > 0) == (e->dns.n > 0) || !e->port || !e->weight || !e->workload)
            abort();
        most = e->priority > most ? e->priority : most;
    }
    for (uint32_t p = 0; p <= most; p++)
        for (size_t i = 0; i < c->nendpoints; i++)
            if (c->endpoints[i].priority == p) {
                seen++;
                break;
            }
    if (c->nendpoints && seen != (size_t)most + 1)
        abort();
}

static void check_bucket(const struct token_bucket *t)
{
    if (t->most && (!t->key.n || !t->per_fill || t->interval_ms < 50))
        abort();
}

static void check_limits(const struct proxy_snapshot *s)
{
    for (size_t i = 0; i < s->nrate_limits; i++) {
        const struct rate_limit *l = s->rate_limits[i];

        if (l->index != i || l->nactions > RATE_LIMIT_MOST_ACTIONS || l->enabled_ppm > 1000000 || l->status > 599)
            abort();
        check_bucket(&l->bucket);
        for (size_t k = 0; k < l->ndescriptors; k++) {
            const struct rate_limit_descriptor *d = &l->descriptors[k];

            check_bucket(&d->bucket);
            if (!d->bucket.most || !d->nentries || d->nentries > RATE_LIMIT_MOST_ENTRIES)
                abort();
        }
        for (size_t k = 0; k < l->nactions; k++)
            if (!l->actions[k].n || l->actions[k].n > RATE_LIMIT_MOST_ENTRIES)
                abort();
    }
}

static void check_health(const struct health_check *h)
{
    if (h->timeout_ms < 1 || h->interval_ms < 1 || h->unhealthy_interval_ms < 1 || h->healthy_edge_ms < 1 ||
        h->unhealthy_edge_ms < 1 || h->no_traffic_ms < 1 || h->no_traffic_healthy_ms < 1 || !h->unhealthy_threshold ||
        !h->healthy_threshold || h->jitter_percent > 100)
        abort();
    if (h->kind == HEALTH_CHECK_HTTP &&
        (!h->path.n || !h->method.n || str_chr(h->path, ' ') >= 0 || str_chr(h->path, '\n') >= 0))
        abort();
    for (size_t i = 0; i < h->nexpected; i++)
        if (h->expected[i].from < 100 || h->expected[i].to > 600 || h->expected[i].from >= h->expected[i].to)
            abort();
}

static void ask(struct arena *a, const struct mesh *m, const struct mesh_objects *objects)
{
    static const struct label labels[] = { { STR_INIT("istio"), STR_INIT("ingressgateway") } };
    struct proxy_identity id = { .role = PROXY_GATEWAY, .name = STR("gate"), .ns = STR("default") };

    id.bind = STR("127.0.0.1");
    id.labels = (struct labels){ labels, 1 };
    for (int i = 0; i < 3; i++) {
        struct proxy_snapshot *s = mesh_snapshot(a, m, &id, 1, NULL);

        for (size_t k = 0; s && k < s->nlisteners; k++)
            check_listener(&s->listeners[k]);
        if (s)
            check_limits(s);
        for (size_t k = 0; s && k < s->nclusters; k++)
            check_endpoints(&s->clusters[k]);
        for (size_t k = 0; s && k < s->nclusters; k++)
            if (s->clusters[k].check)
                check_health(s->clusters[k].check);
        id.role = PROXY_SIDECAR;
        id.outbound_net = i ? STR("127.138.0.0/16") : STR("");
        id.app_address = STR("127.11.0.1");
        for (size_t k = 0; k < objects->n; k++) {
            if (!str_eqz(objects->v[k].kind, "Pod"))
                continue;
            id.pod = objects->v[k].name;
            id.ns = objects->v[k].ns;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT(MOST_MEMORY);
    struct mesh_objects objects = { NULL, 0, 0 };
    struct mesh_problems p;
    struct mesh *m;

    if (size > MOST_TEXT)
        return 0;
    mesh_problems_init(&p, &a);
    if (mesh_parse(&a, STR("f"), (struct str){ (const char *)data, size }, STR("default"), &objects, &p) == 0) {
        for (size_t i = 0; i < objects.n && i < 8; i++) {
            reads_back(&a, &objects.v[i], mesh_object_json);
            reads_back(&a, &objects.v[i], mesh_object_yaml);
        }
        p.errors = 0;
        m = mesh_build(&a, &objects, &p, NULL);
        if (m)
            ask(&a, m, &objects);
    }
    arena_free(&a);
    return 0;
}
