/* What runs where: Pods, Services and Deployments as endpoints, listeners and identities. */
#include "tests/unit/mesh/mesh_help.h"

#include <stdio.h>

#define SERVICE(name, spec) "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: " spec "\n"
#define POD_WITH(name, labels, ip, extra, ready)                                                                       \
    "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " name "\n  labels: {" labels "}\n" extra                      \
    "spec:\n  containers: [{name: main, ports: [{name: web, containerPort: 8080}, {name: low, containerPort: 80}]}]\n" \
    "status: {podIP: " ip ", conditions: [{type: Ready, status: '" ready "'}]}\n"
#define POD(name, labels, ip) POD_WITH(name, labels, ip, "", "True")
#define HOST_PORTS            "  annotations: {vigla.dev/host-ports: '80=10080, 443=10443'}\n"

static const struct {
    const char *what, *service, *cluster, *endpoints;
} endpoints[] = {
    { "a number", "{selector: {app: a}, ports: [{port: 80, targetPort: 8080}]}", "outbound|80||s.default.svc.cluster.local",
      "127.10.0.1:8080/8080=a1 127.10.0.2:8080/8080=a2" },
    { "none: as the port", "{selector: {app: a}, ports: [{port: 9000}]}", "outbound|9000||s.default.svc.cluster.local",
      "127.10.0.1:9000/9000=a1 127.10.0.2:9000/9000=a2" },
    { "a name", "{selector: {app: a}, ports: [{port: 80, targetPort: web}]}", "outbound|80||s.default.svc.cluster.local",
      "127.10.0.1:8080/8080=a1 127.10.0.2:8080/8080=a2" },
    { "a name nobody has", "{selector: {app: a}, ports: [{port: 80, targetPort: none}]}",
      "outbound|80||s.default.svc.cluster.local", "" },
    { "a moved port", "{selector: {app: a}, ports: [{port: 80, targetPort: low}]}",
      "outbound|80||s.default.svc.cluster.local", "127.10.0.1:80/80=a1 127.10.0.2:10080/80=a2" },
    { "more labels", "{selector: {app: a, version: v2}, ports: [{port: 80, targetPort: web}]}",
      "outbound|80||s.default.svc.cluster.local", "127.10.0.2:8080/8080=a2" },
    { "no selector", "{ports: [{port: 80}]}", "outbound|80||s.default.svc.cluster.local", "" },
};

#define PODS                                                                                                          \
    POD("a1", "app: a, version: v1", "127.10.0.1")                                                                    \
    POD_WITH("a2", "app: a, version: v2", "127.10.0.2", HOST_PORTS, "True")                                           \
    POD_WITH("a3", "app: a, version: v3", "127.10.0.3", "", "False")                                                  \
    POD_WITH("a4", "app: a, version: v4", "127.10.0.4", "  deletionTimestamp: '2024-01-01T00:00:00Z'\n", "True")      \
    POD("b1", "app: b", "127.10.0.5")

START_TEST(finds_endpoints)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct cluster *c;

    world_init(&w);
    buf_printf(&text, PODS "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: %s\n", endpoints[_i].service);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    c = cluster_named(world_snapshot(&w, &id), endpoints[_i].cluster);
    ck_assert_ptr_nonnull(c);
    ck_assert_msg(strcmp(endpoints_text(&w, c), endpoints[_i].endpoints) == 0, "%s: %s", endpoints[_i].what, w.text.p);
    ck_assert_int_eq(c->connect_timeout_ms, 10000);
    ck_assert_int_eq(c->idle_timeout_ms, 3600000);
    ck_assert_uint_eq(c->max_connections, UINT32_MAX);
    ck_assert_uint_eq(c->max_requests_per_connection, 0);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *what, *rules;
    enum lb_policy lb, lb_of_v1;
    int64_t connect_ms, connect_ms_of_v1;
} policies[] = {
    { "none", "", LB_LEAST_REQUEST, LB_LEAST_REQUEST, 10000, 0 },
    { "for all", "{host: s, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: [{name: v1, labels: {version: v1}}]}",
      LB_RANDOM, LB_RANDOM, 10000, 10000 },
    { "a subset's own, part by part",
      "{host: s, trafficPolicy: {loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {connectTimeout: 2s}}}, subsets: "
      "[{name: v1, labels: {version: v1}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}]}",
      LB_RANDOM, LB_ROUND_ROBIN, 2000, 2000 },
    { "a port's own, as a whole",
      "{host: s, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 2s}}, portLevelSettings: [{port: {number: 80}, "
      "loadBalancer: {simple: ROUND_ROBIN}}]}, subsets: [{name: v1, labels: {version: v1}}]}",
      LB_ROUND_ROBIN, LB_ROUND_ROBIN, 10000, 10000 },
    { "the host more exactly named",
      "{host: '*.default.svc.cluster.local', trafficPolicy: {loadBalancer: {simple: RANDOM}}}", LB_RANDOM,
      LB_LEAST_REQUEST, 10000, 0 },
};

START_TEST(applies_policies)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct cluster *c, *v1;
    const struct proxy_snapshot *s;

    world_init(&w);
    buf_puts(&text, PODS SERVICE("s", "{selector: {app: a}, ports: [{port: 80, targetPort: web}]}"));
    if (policies[_i].rules[0])
        buf_printf(&text, "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r}\nspec: %s\n",
                   policies[_i].rules);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    s = world_snapshot(&w, &id);
    c = cluster_named(s, "outbound|80||s.default.svc.cluster.local");
    v1 = cluster_named(s, "outbound|80|v1|s.default.svc.cluster.local");
    ck_assert_msg(c->lb == policies[_i].lb, "%s", policies[_i].what);
    ck_assert_int_eq(c->connect_timeout_ms, policies[_i].connect_ms);
    ck_assert_int_eq(v1 != NULL, policies[_i].connect_ms_of_v1 != 0);
    if (v1) {
        ck_assert_int_eq((int)v1->lb, (int)policies[_i].lb_of_v1);
        ck_assert_int_eq(v1->connect_timeout_ms, policies[_i].connect_ms_of_v1);
        ck_assert_str_eq(endpoints_text(&w, v1), "127.10.0.1:8080/8080=a1");
    }
    buf_free(&text);
    world_fini(&w);
}
END_TEST

#define RULE_IN(ns, name, spec) \
    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " name ", namespace: " ns "}\nspec: " spec "\n"

START_TEST(looks_rules_up_by_namespace)
{
    static const char all[] =
        PODS SERVICE("s", "{selector: {app: a}, ports: [{port: 80}]}")
        RULE_IN("istio-system", "root", "{host: s.default.svc.cluster.local, subsets: [{name: root}]}")
        RULE_IN("default", "one", "{host: s, subsets: [{name: one}, {name: both, labels: {version: v1}}]}")
        RULE_IN("default", "two", "{host: s, subsets: [{name: two}, {name: both, labels: {version: v2}}]}")
        RULE_IN("default", "private", "{host: s, exportTo: ['.'], subsets: [{name: private}]}")
        RULE_IN("other", "mine", "{host: s.default.svc.cluster.local, subsets: [{name: mine}]}");
    static const struct {
        const char *ns;
        const char *there, *absent;
    } rows[] = { { "default", "private", "root" }, { "third", "two", "private" }, { "other", "mine", "one" } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w;
        struct proxy_identity id = identity(PROXY_GATEWAY, "g.x");
        const struct proxy_snapshot *s;
        char name[128];

        id.ns = str_of(rows[i].ns);
        world_init(&w);
        world_build(&w, all);
        s = world_snapshot(&w, &id);
        snprintf(name, sizeof(name), "outbound|80|%s|s.default.svc.cluster.local", rows[i].there);
        ck_assert_msg(cluster_named(s, name) != NULL, "%s: %s", rows[i].ns, name);
        snprintf(name, sizeof(name), "outbound|80|%s|s.default.svc.cluster.local", rows[i].absent);
        ck_assert_msg(cluster_named(s, name) == NULL, "%s: %s", rows[i].ns, name);
        if (i < 2)
            ck_assert_str_eq(endpoints_text(&w, cluster_named(s, "outbound|80|both|s.default.svc.cluster.local")),
                             "127.10.0.1:80/80=a1");
        world_fini(&w);
    }
}
END_TEST

static const struct {
    const char *port;
    enum listener_protocol protocol;
} protocols[] = {
    { "{port: 80, name: http}", PROTOCOL_HTTP },         { "{port: 80, name: http-web}", PROTOCOL_HTTP },
    { "{port: 80, name: httpweb}", PROTOCOL_SNIFF },     { "{port: 80}", PROTOCOL_SNIFF },
    { "{port: 80, name: tcp-db}", PROTOCOL_TCP },        { "{port: 80, name: redis}", PROTOCOL_TCP },
    { "{port: 80, name: https-x}", PROTOCOL_TCP },       { "{port: 80, name: grpc}", PROTOCOL_HTTP },
    { "{port: 80, name: grpc-web}", PROTOCOL_HTTP },     { "{port: 80, name: tcp, appProtocol: http}", PROTOCOL_HTTP },
    { "{port: 80, name: http, appProtocol: mongo}", PROTOCOL_TCP },
};

START_TEST(tells_protocols)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct listener *l;

    world_init(&w);
    buf_printf(&text, PODS "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [%s]}\n",
               protocols[_i].port);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    l = listener_at(world_snapshot(&w, &id), 80);
    ck_assert_msg(l->protocol == protocols[_i].protocol, "%s: %d", protocols[_i].port, l->protocol);
    ck_assert_int_eq(l->nhosts > 0, l->protocol != PROTOCOL_TCP);
    ck_assert_int_eq(l->ntcp > 0, l->protocol != PROTOCOL_HTTP);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

/* "outbound 127.64.3.5:6379 tcp" */
static const char *listeners_text(struct world *w, const struct proxy_snapshot *s)
{
    static const char *const directions[] = { "out", "in", "gate" }, *const words[] = { "http", "tcp", "sniff" };

    buf_reset(&w->text);
    for (size_t i = 0; i < s->nlisteners; i++)
        buf_printf(&w->text, "%s%s %.*s:%u/%u %s", i ? "\n" : "", directions[s->listeners[i].direction],
                   STR_ARG(s->listeners[i].ip), s->listeners[i].bind_port, s->listeners[i].port,
                   words[s->listeners[i].protocol]);
    return world_text(w);
}

#define TWO_SERVICES                                                                                        \
    PODS SERVICE("s", "{clusterIP: 127.96.0.5, selector: {app: a}, ports: [{port: 80, targetPort: low, name: http}]}") \
    SERVICE("db", "{clusterIP: 127.96.0.6, ports: [{port: 6379, name: redis}, {port: 80, name: tcp}, "                 \
                  "{port: 53, name: dns, protocol: UDP}]}")

START_TEST(listens_on_bind)
{
    struct world w;
    static const struct port_map ports[] = { { 80, 18080 } };
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    const struct proxy_snapshot *s;

    id.ports = ports;
    id.nports = 1;
    world_init(&w);
    world_build(&w, TWO_SERVICES);
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(listeners_text(&w, s), "out 127.0.0.1:18080/80 sniff\nout 127.0.0.1:6379/6379 tcp");
    ck_assert(str_eqz(s->listeners[0].name, "127.0.0.1_80"));
    ck_assert(str_eqz(s->listeners[0].tcp[0].cluster_name, "outbound|80||db.default.svc.cluster.local"));
    ck_assert_str_eq(routes_text(&w, s, 80, "s"), "-> 80||s.default");
    ck_assert_str_eq(routes_text(&w, s, 80, "127.96.0.5"), "-> 80||s.default");
    ck_assert_str_eq(routes_text(&w, s, 80, "db"), "none");
    ck_assert_uint_eq(s->version, 7);
    world_fini(&w);
}
END_TEST

START_TEST(listens_on_own_addresses)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    const struct proxy_snapshot *s;

    id.outbound_net = STR("127.138.7.0/24");
    world_init(&w);
    world_build(&w, TWO_SERVICES SERVICE("headless", "{clusterIP: None, ports: [{port: 80, name: http}]}"));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(listeners_text(&w, s),
                     "out 127.138.7.5:80/80 http\nout 127.138.7.6:80/80 tcp\nout 127.138.7.6:6379/6379 tcp");
    ck_assert_str_eq(routes_text(&w, s, 80, "s"), "-> 80||s.default");
    ck_assert_str_eq(routes_text(&w, s, 80, "headless.default"), "-> 80||headless.default");
    ck_assert_str_eq(routes_text(&w, s, 80, "whatever.example"), "-> 80||s.default");
    world_fini(&w);
}
END_TEST

START_TEST(listens_for_its_application)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "a2.default");
    const struct proxy_snapshot *s;
    const struct cluster *c;
    const struct listener *l;

    id.app_address = STR("127.11.0.2");
    id.outbound_net = STR("127.138.7.0/24");
    world_init(&w);
    world_build(&w, TWO_SERVICES SERVICE("again", "{selector: {version: v2}, ports: [{port: 1, name: http, targetPort: 80}, "
                                                  "{port: 2, name: tcp-x, targetPort: web}]}"));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(listeners_text(&w, s),
                     "out 127.138.7.5:80/80 http\nout 127.138.7.6:80/80 tcp\nout 127.138.7.6:6379/6379 tcp\n"
                     "in 127.10.0.2:10080/80 http\nin 127.10.0.2:8080/8080 tcp");
    c = cluster_named(s, "inbound|80||");
    ck_assert_str_eq(endpoints_text(&w, c), "127.11.0.2:10080/80=a2");
    ck_assert(str_eqz(c->service, "again")); /* of two as old as each other the first by name */
    ck_assert_str_eq(endpoints_text(&w, cluster_named(s, "inbound|8080||")), "127.11.0.2:8080/8080=a2");
    l = &s->listeners[3];
    ck_assert_uint_eq(l->nhosts, 1);
    ck_assert_ptr_eq(listener_host(l, STR("any.thing")), l->hosts);
    ck_assert(str_eqz(l->hosts[0].routes[0].name, "default"));
    ck_assert_uint_eq(l->hosts[0].routes[0].retry.on, RETRY_RESET_BEFORE_REQUEST);
    ck_assert_ptr_eq(l->hosts[0].routes[0].destinations[0].cluster, c);
    ck_assert_ptr_eq(s->listeners[4].tcp[0].cluster, cluster_named(s, "inbound|8080||"));
    world_fini(&w);
}
END_TEST

#define TEMPLATE(name, labels) \
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " name "}\nspec: {selector: {matchLabels: {}}, template: " \
    "{metadata: {labels: {" labels "}}, spec: {serviceAccountName: acc, containers: []}}}\n"
#define OWNED(name, kind, owner, labels) \
    "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " name "\n  labels: {" labels "}\n  ownerReferences: [{kind: " kind \
    ", name: " owner "}]\nspec: {serviceAccount: old, containers: []}\nstatus: {podIP: 127.10.1.1}\n"

static const struct {
    const char *what, *in, *who;
    enum proxy_role role;
    const char *self; /* pod name.ns app version service revision principal */
} selves[] = {
    { "a Pod of its own", POD("p", "app: x", "127.10.1.1"), "p.default", PROXY_SIDECAR,
      "p p.default x unknown x latest spiffe://cluster.local/ns/default/sa/default" },
    { "a Deployment's", OWNED("p", "Deployment", "web", "app: x, version: v1"), "web.default", PROXY_SIDECAR,
      "p web.default x v1 x v1 spiffe://cluster.local/ns/default/sa/old" },
    { "a ReplicaSet's, by its hash", OWNED("p", "ReplicaSet", "web-v1-abc", "pod-template-hash: abc"), "web-v1.default",
      PROXY_SIDECAR, "p web-v1.default unknown unknown web-v1 latest spiffe://cluster.local/ns/default/sa/old" },
    { "a ReplicaSet's, by its look", OWNED("p", "ReplicaSet", "web-v1-5d8f7c9b4", "a: b"), "web-v1.default", PROXY_SIDECAR,
      "p web-v1.default unknown unknown web-v1 latest spiffe://cluster.local/ns/default/sa/old" },
    { "a ReplicaSet without a hash", OWNED("p", "ReplicaSet", "my-web", "a: b"), "my-web.default", PROXY_SIDECAR,
      "p my-web.default unknown unknown my-web latest spiffe://cluster.local/ns/default/sa/old" },
    { "canonical labels first",
      OWNED("p", "Deployment", "w", "app: x, service.istio.io/canonical-name: c, app.kubernetes.io/name: k, "
                                    "app.kubernetes.io/version: '2', version: v1"),
      "w.default", PROXY_SIDECAR, "p w.default x v1 c 2 spiffe://cluster.local/ns/default/sa/old" },
    { "no Pod yet: the template", TEMPLATE("web", "app: x, version: v1"), "web.default", PROXY_SIDECAR,
      "unknown web.default x v1 x v1 spiffe://cluster.local/ns/default/sa/acc" },
    { "a gateway that nobody describes", "", "ingress.istio-system", PROXY_GATEWAY,
      "unknown ingress.istio-system unknown unknown ingress latest spiffe://cluster.local/ns/istio-system/sa/default" },
};

START_TEST(knows_itself)
{
    struct world w;
    struct proxy_identity id = identity(selves[_i].role, selves[_i].who);
    const struct workload *self;

    world_init(&w);
    world_build(&w, selves[_i].in);
    self = &world_snapshot(&w, &id)->self;
    buf_printf(&w.text, "%.*s %.*s.%.*s %.*s %.*s %.*s %.*s %.*s", STR_ARG(self->pod), STR_ARG(self->name),
               STR_ARG(self->ns), STR_ARG(self->app), STR_ARG(self->version), STR_ARG(self->canonical_service),
               STR_ARG(self->canonical_revision), STR_ARG(self->principal));
    ck_assert_msg(strcmp(world_text(&w), selves[_i].self) == 0, "%s: %s", selves[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

START_TEST(knows_others_by_address)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "b1.default");
    const struct proxy_snapshot *s;

    world_init(&w);
    world_build(&w, PODS);
    s = world_snapshot(&w, &id);
    ck_assert_uint_eq(s->nworkloads, 5);
    ck_assert(str_eqz(snapshot_workload(s, STR("127.10.0.3"))->pod, "a3"));
    ck_assert_ptr_null(snapshot_workload(s, STR("127.10.0.9")));
    world_fini(&w);
}
END_TEST

START_TEST(refuses_an_identity)
{
    static const struct {
        const char *who, *bind, *net, *app;
        int code;
        const char *message;
    } rows[] = {
        { "x.default", "127.0.0.1", "", "", ERR_NOTFOUND, "workload x.default: there is no Pod nor Deployment of that name" },
        { "b1.other", "127.0.0.1", "", "", ERR_NOTFOUND, "workload b1.other: there is no Pod nor Deployment of that name" },
        { "b1.default", "here", "", "", ERR_INVALID, "bind: \"here\" is no address" },
        { "b1.default", "127.0.0.1", "127.0.0.0/33", "", ERR_INVALID,
          "outbound net: \"127.0.0.0/33\" is no net, as in 127.64.3.0/24" },
        { "b1.default", "127.0.0.1", "", "there", ERR_INVALID, "app address: \"there\" is no address" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w;
        struct proxy_identity id = identity(PROXY_SIDECAR, rows[i].who);

        id.bind = str_of(rows[i].bind);
        id.outbound_net = str_of(rows[i].net);
        id.app_address = str_of(rows[i].app);
        world_init(&w);
        world_build(&w, PODS);
        ck_assert_ptr_null(mesh_snapshot(&w.arena, w.mesh, &id, 1, &w.e));
        ck_assert_int_eq(w.e.code, rows[i].code);
        ck_assert_str_eq(w.e.msg, rows[i].message);
        world_fini(&w);
    }
}
END_TEST

START_TEST(the_later_object_counts)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "g.x");

    world_init(&w);
    world_build(&w, PODS SERVICE("s", "{selector: {app: b}, ports: [{port: 1}]}")
                    SERVICE("s", "{selector: {app: a, version: v1}, ports: [{port: 2, targetPort: 8080}]}"));
    ck_assert_ptr_null(cluster_named(world_snapshot(&w, &id), "outbound|1||s.default.svc.cluster.local"));
    ck_assert_str_eq(endpoints_text(&w, cluster_named(world_snapshot(&w, &id), "outbound|2||s.default.svc.cluster.local")),
                     "127.10.0.1:8080/8080=a1");
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/registry");
    TCase *t = tcase_create("registry");

    tcase_add_loop_test(t, finds_endpoints, 0, COUNT(endpoints));
    tcase_add_loop_test(t, applies_policies, 0, COUNT(policies));
    tcase_add_test(t, looks_rules_up_by_namespace);
    tcase_add_loop_test(t, tells_protocols, 0, COUNT(protocols));
    tcase_add_test(t, listens_on_bind);
    tcase_add_test(t, listens_on_own_addresses);
    tcase_add_test(t, listens_for_its_application);
    tcase_add_loop_test(t, knows_itself, 0, COUNT(selves));
    tcase_add_test(t, knows_others_by_address);
    tcase_add_test(t, refuses_an_identity);
    tcase_add_test(t, the_later_object_counts);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
