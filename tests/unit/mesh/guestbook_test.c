/* The guestbook, step by step, as its gateway and its sidecars are told of it; and all of it with failing memory. */
#include "base/mem.h"
#include "tests/unit/mesh/mesh_help.h"

#define DEPLOYMENT(name, labels, image, port)                                                                          \
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " name "}\nspec:\n  selector: {matchLabels: {" labels  \
    "}}\n  template:\n    metadata: {labels: {" labels "}}\n    spec:\n      containers: [{name: app, image: " image      \
    ", ports: [{containerPort: " port "}]}]\n"
#define SERVICE(name, ip, selector, port)                                                                              \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {clusterIP: 127.96.0." ip ", selector: {"     \
    selector "}, ports: [{port: " port ", targetPort: " port "}]}\n"
#define POD(name, owner, labels, ip, port, moved)                                                                      \
    "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " name "\n  labels: {" labels "}\n  annotations: {" moved "}\n"  \
    "  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: " owner "}]\n"                                  \
    "spec: {containers: [{name: app, ports: [{containerPort: " port "}]}]}\n"                                          \
    "status: {podIP: 127.10.0." ip ", conditions: [{type: Ready, status: 'True'}]}\n"
#define WEB_MOVED "vigla.dev/host-ports: '80=10080'"
#define FRONT     "app: guestbook, tier: frontend, "
#define REDIS     "app: redis, tier: backend, "

#define STEP_1                                                                                                         \
    DEPLOYMENT("frontend-v1", FRONT "version: v1, cluster: v1", "frontend", "80")                                      \
    DEPLOYMENT("redis-master", REDIS "role: master", "redis", "6379")                                                  \
    DEPLOYMENT("redis-slave", REDIS "role: slave", "redis", "6379")                                                    \
    SERVICE("frontend-internal", "1", FRONT "version: v1", "80")                                                       \
    SERVICE("redis-master", "2", REDIS "role: master", "6379") SERVICE("redis-slave", "3", REDIS "role: slave", "6379") \
    POD("frontend-v1-0", "frontend-v1", FRONT "version: v1, cluster: v1", "1", "80", WEB_MOVED)                        \
    POD("redis-master-0", "redis-master", REDIS "role: master", "2", "6379", "")                                       \
    POD("redis-slave-0", "redis-slave", REDIS "role: slave", "3", "6379", "")                                          \
    POD("redis-slave-1", "redis-slave", REDIS "role: slave", "4", "6379", "")
#define STEP_2                                                                                                         \
    DEPLOYMENT("frontend-v2", FRONT "version: v2", "frontend", "80")                                                   \
    SERVICE("frontend-internal-v2", "4", FRONT "version: v2", "80")                                                    \
    POD("frontend-v2-0", "frontend-v2", FRONT "version: v2", "5", "80", WEB_MOVED)
#define STEP_3                                                                                                         \
    DEPLOYMENT("frontend-v3", FRONT "version: v3, cluster: v1", "frontend", "80")                                      \
    SERVICE("frontend-internal", "1", FRONT "cluster: v1", "80")                                                       \
    POD("frontend-v3-0", "frontend-v3", FRONT "version: v3, cluster: v1", "6", "80", WEB_MOVED)
#define GATEWAY                                                                                                        \
    "---\napiVersion: networking.istio.io/v1alpha3\nkind: Gateway\nmetadata: {name: guestbook-gateway}\nspec:\n"         \
    "  selector: {istio: ingressgateway}\n  servers:\n  - port: {number: 80, name: http, protocol: HTTP}\n"            \
    "    hosts: [guestbook.lvh.me]\n"
#define VIRTUAL_SERVICE                                                                                                \
    "---\napiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: frontend}\nspec:\n"           \
    "  hosts: [guestbook.lvh.me]\n  gateways: [guestbook-gateway]\n  http:\n"
#define TO_V2 "route: [{destination: {host: frontend-internal-v2, port: {number: 80}}}]"
#define TO_V1 "route: [{destination: {host: frontend-internal, port: {number: 80}}}]"
#define SUBSETS                                                                                                        \
    "---\napiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: frontend}\nspec:\n"          \
    "  host: frontend-internal\n  subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]\n"

static const char *const by_uri = STEP_1 STEP_2 GATEWAY VIRTUAL_SERVICE
    "  - {match: [{uri: {prefix: /v2}}], rewrite: {uri: /}, " TO_V2 "}\n  - {" TO_V1 "}\n";
static const char *const by_weight = STEP_1 STEP_2 STEP_3 GATEWAY SUBSETS VIRTUAL_SERVICE
    "  - route:\n    - {destination: {host: frontend-internal, subset: v3}, weight: 70}\n"
    "    - {destination: {host: frontend-internal, subset: v1}, weight: 30}\n"
    "    fault: {delay: {percent: 100, fixedDelay: 10s}}\n    timeout: 2s\n";

static const struct {
    const char *text, *routes;
} steps[] = {
    { STEP_1 GATEWAY, "none" },
    { STEP_1 GATEWAY VIRTUAL_SERVICE "  - {" TO_V1 "}\n", "-> 80||frontend-internal.guestbook" },
    { STEP_1 STEP_2 GATEWAY VIRTUAL_SERVICE "  - {match: [{headers: {source: {exact: terminal}}}], " TO_V2 "}\n  - {" TO_V1
      "}\n",
      "source=terminal -> 80||frontend-internal-v2.guestbook\n-> 80||frontend-internal.guestbook" },
};

static void build_guestbook(struct world *w, const char *text)
{
    world_init(w);
    ck_assert_int_eq(mesh_parse(&w->arena, STR("f.yaml"), str_of(text), STR("guestbook"), &w->objects, &w->problems), 0);
    w->mesh = mesh_build(&w->arena, &w->objects, &w->problems, &w->e);
    ck_assert_msg(w->mesh && w->problems.n == 0, "%s", world_problems(w));
}

START_TEST(routes_each_step)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "istio-ingressgateway.istio-system");

    build_guestbook(&w, steps[_i].text);
    ck_assert_str_eq(routes_text(&w, world_snapshot(&w, &id), 80, "guestbook.lvh.me"), steps[_i].routes);
    world_fini(&w);
}
END_TEST

START_TEST(rewrites_by_uri)
{
    struct world w;
    static const struct port_map ports[] = { { 80, 18080 } };
    struct proxy_identity id = identity(PROXY_GATEWAY, "istio-ingressgateway.istio-system");
    const struct proxy_snapshot *s;
    const struct virtual_host *vh;

    id.ports = ports;
    id.nports = 1;
    build_guestbook(&w, by_uri);
    s = world_snapshot(&w, &id);
    ck_assert_uint_eq(s->listeners[0].bind_port, 18080);
    vh = listener_host(&s->listeners[0], STR("guestbook.lvh.me:18080"));
    ck_assert_uint_eq(vh->nroutes, 2);
    ck_assert(vh->routes[0].rewrite && str_eqz(vh->routes[0].rewrite_uri, "/"));
    ck_assert_ptr_null(listener_host(&s->listeners[0], STR("other.lvh.me")));
    ck_assert_str_eq(endpoints_text(&w, vh->routes[0].destinations[0].cluster), "127.10.0.5:10080/80=frontend-v2-0");
    world_fini(&w);
}
END_TEST

START_TEST(splits_by_weight)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "istio-ingressgateway.istio-system");
    const struct proxy_snapshot *s;
    const struct route *r;

    build_guestbook(&w, by_weight);
    s = world_snapshot(&w, &id);
    r = listener_host(&s->listeners[0], STR("guestbook.lvh.me"))->routes;
    ck_assert_str_eq(routes_text(&w, s, 80, "guestbook.lvh.me"),
                     "-> 80|v3|frontend-internal.guestbook*70 80|v1|frontend-internal.guestbook*30");
    ck_assert_str_eq(endpoints_text(&w, r->destinations[0].cluster), "127.10.0.6:10080/80=frontend-v3-0");
    ck_assert_str_eq(endpoints_text(&w, cluster_named(s, "outbound|80||frontend-internal.guestbook.svc.cluster.local")),
                     "127.10.0.1:10080/80=frontend-v1-0 127.10.0.6:10080/80=frontend-v3-0");
    ck_assert_int_eq(r->fault.delay_ms, 10000);
    ck_assert_int_eq(r->timeout_ms, 2000);
    world_fini(&w);
}
END_TEST

START_TEST(sidecar_of_a_frontend)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "frontend-v1.guestbook");
    const struct proxy_snapshot *s;
    const struct listener *l = NULL;

    id.outbound_net = STR("127.138.1.0/24");
    id.app_address = STR("127.11.0.1");
    build_guestbook(&w, by_weight);
    s = world_snapshot(&w, &id);
    ck_assert_uint_eq(s->nlisteners, 5);
    for (size_t i = 0; i < s->nlisteners; i++)
        if (str_eqz(s->listeners[i].name, "127.138.1.3_6379"))
            l = &s->listeners[i];
    ck_assert_ptr_nonnull(l);
    ck_assert_int_eq((int)l->protocol, PROTOCOL_SNIFF);
    ck_assert(str_eqz(l->tcp[0].cluster_name, "outbound|6379||redis-slave.guestbook.svc.cluster.local"));
    ck_assert_str_eq(endpoints_text(&w, l->tcp[0].cluster),
                     "127.10.0.3:6379/6379=redis-slave-0 127.10.0.4:6379/6379=redis-slave-1");
    l = &s->listeners[s->nlisteners - 1];
    ck_assert_int_eq((int)l->direction, LISTENER_INBOUND);
    ck_assert(str_eqz(l->ip, "127.10.0.1"));
    ck_assert_uint_eq(l->bind_port, 10080);
    ck_assert_str_eq(endpoints_text(&w, l->tcp[0].cluster), "127.11.0.1:10080/80=frontend-v1-0");
    ck_assert(str_eqz(s->self.app, "guestbook"));
    ck_assert(str_eqz(snapshot_workload(s, STR("127.10.0.4"))->name, "redis-slave"));
    world_fini(&w);
}
END_TEST

static int parse_build_snapshot(struct world *w, struct proxy_identity *id, size_t *listeners)
{
    struct proxy_snapshot *s = NULL;
    int rc = mesh_parse(&w->arena, STR("f.yaml"), str_of(by_weight), STR("guestbook"), &w->objects, &w->problems);

    if (rc == 0) {
        w->mesh = mesh_build(&w->arena, &w->objects, &w->problems, &w->e);
        rc = w->mesh ? 0 : w->e.code;
    }
    if (rc == 0) {
        s = mesh_snapshot(&w->arena, w->mesh, id, 1, &w->e);
        rc = s ? 0 : w->e.code;
    }
    *listeners = s ? s->nlisteners : 0;
    return rc;
}

START_TEST(survives_failing_allocations)
{
    struct proxy_identity ids[] = { identity(PROXY_SIDECAR, "frontend-v1.guestbook"),
                                    identity(PROXY_GATEWAY, "istio-ingressgateway.istio-system") };
    int failed = 1;

    ids[0].outbound_net = STR("127.138.1.0/24");
    ids[0].app_address = STR("127.11.0.1");
    for (size_t k = 0; k < COUNT(ids); k++, failed = 1) {
        for (long i = 1; failed; i++) {
            struct world w;
            size_t listeners;
            int rc;

            world_init(&w);
            mem_fail_at(i);
            rc = parse_build_snapshot(&w, &ids[k], &listeners);
            failed = mem_has_failed();
            mem_fail_at(0);
            ck_assert_msg(rc == (failed ? ERR_NOMEM : 0), "%ld: %d %s %s", i, rc, w.e.msg, world_problems(&w));
            ck_assert_uint_eq(listeners, failed ? 0 : k ? 1 : 5);
            world_fini(&w);
        }
    }
}
END_TEST

/* Arenas take memory by the block, so that few of the calls above reach the heap: a ceiling that comes nearer and
 * nearer makes every single one fail. */
START_TEST(survives_any_ceiling)
{
    struct proxy_identity id = identity(PROXY_SIDECAR, "frontend-v1.guestbook");
    size_t listeners = 0, failures = 0;

    id.outbound_net = STR("127.138.1.0/24");
    id.app_address = STR("127.11.0.1");
    for (size_t max = 1024; listeners == 0 && max < 1 << 20; max += 208) {
        struct world w;
        int rc;

        world_init(&w);
        w.arena.max = max;
        rc = parse_build_snapshot(&w, &id, &listeners);
        ck_assert_msg(rc == (listeners ? 0 : ERR_NOMEM), "%zu: %d %s", max, rc, w.e.msg);
        failures += rc < 0;
        world_fini(&w);
    }
    ck_assert_uint_eq(listeners, 5);
    ck_assert_uint_gt(failures, 100);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/guestbook");
    TCase *t = tcase_create("guestbook");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, routes_each_step, 0, COUNT(steps));
    tcase_add_test(t, rewrites_by_uri);
    tcase_add_test(t, splits_by_weight);
    tcase_add_test(t, sidecar_of_a_frontend);
    tcase_add_test(t, survives_failing_allocations);
    tcase_add_test(t, survives_any_ceiling);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
