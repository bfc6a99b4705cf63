/* What can be called beside Services with Pods: ServiceEntries, WorkloadEntries, Endpoints, ExternalNames. */
#include "tests/unit/mesh/mesh_help.h"

#define ISTIO(kind, name, spec)                                                                                        \
    "---\napiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: {name: " name "}\nspec: {" spec "}\n"
#define ENTRY(spec)          ISTIO("ServiceEntry", "e", spec)
#define WORKLOAD(name, spec) ISTIO("WorkloadEntry", name, spec)
#define SERVICE(name, spec)  "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name "}\nspec: {" spec "}\n"
#define POD(name, labels, ip)                                                                                          \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {" labels "}}\n"                                 \
    "spec: {serviceAccountName: acc, containers: [{name: main, ports: [{name: web, containerPort: 8080}]}]}\n"          \
    "status: {podIP: " ip ", conditions: [{type: Ready, status: 'True'}]}\n"
#define ME       POD("me", "app: me", "127.10.0.9")
#define A_PODS   POD("a1", "app: a, security.istio.io/tlsMode: istio", "127.10.0.1")
#define HTTP     "ports: [{number: 80, name: http, protocol: HTTP}]"
#define TWO      "ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 443, name: tls, protocol: TLS}]"
#define EXTERNAL "hosts: [x.example.com], "

/* "127.0.0.1:80 name:80*2 [passthrough dynamic first] mode" */
static const char *upstream_text(struct world *w, const struct cluster *c)
{
    static const char *const modes[] = { "auto", "off", "simple", "mutual", "istio" };
    struct buf *b = &w->text;

    buf_reset(b);
    if (!c) {
        buf_puts(b, "none");
        return world_text(w);
    }
    for (size_t i = 0; i < c->nendpoints; i++) {
        const struct endpoint *e = &c->endpoints[i];

        buf_printf(b, "%.*s%.*s:%u", STR_ARG(e->ip), STR_ARG(e->dns), e->port);
        if (e->weight != 1)
            buf_printf(b, "*%u", e->weight);
        buf_printf(b, "=%.*s ", STR_ARG(e->workload->name));
    }
    buf_printf(b, "%s%s%s%s", c->passthrough ? "passthrough " : "", c->dynamic ? "dynamic " : "",
               c->dns_first ? "first " : "", modes[c->tls.mode]);
    return world_text(w);
}

static const struct {
    const char *what, *in, *cluster, *said;
} upstreams[] = {
    { "static", ENTRY(EXTERNAL HTTP ", resolution: STATIC, endpoints: [{address: 127.1.1.1}, {address: 127.1.1.2, weight: 5, "
                      "ports: {http: 8080}}]"),
      "80||x.example.com", "127.1.1.1:80=unknown 127.1.1.2:8080*5=unknown off" },
    { "a target port", ENTRY(EXTERNAL TWO ", resolution: STATIC, endpoints: [{address: 127.1.1.1, ports: {tls: 8443}}]"),
      "80||x.example.com", "127.1.1.1:8080=unknown off" },
    { "a port of its own", ENTRY(EXTERNAL TWO ", resolution: STATIC, endpoints: [{address: 127.1.1.1, ports: {tls: 8443}}]"),
      "443||x.example.com", "127.1.1.1:8443=unknown off" },
    { "a Unix socket is left out", ENTRY(EXTERNAL HTTP ", resolution: STATIC, endpoints: [{address: 'unix:///run/x'}]"),
      "80||x.example.com", "off" },
    { "where it was going", ENTRY(EXTERNAL HTTP), "80||x.example.com", "passthrough off" },
    { "its own name", ENTRY(EXTERNAL HTTP ", resolution: DNS"), "80||x.example.com", "x.example.com:80=unknown off" },
    { "other names and addresses",
      ENTRY(EXTERNAL HTTP ", resolution: DNS, endpoints: [{address: eu.example.com, ports: {http: 81}}, {address: 127.1.1.1}]"),
      "80||x.example.com", "eu.example.com:81=unknown 127.1.1.1:80=unknown off" },
    { "the first of a name's addresses", ENTRY(EXTERNAL HTTP ", resolution: DNS_ROUND_ROBIN"), "80||x.example.com",
      "x.example.com:80=unknown first off" },
    { "whatever is asked for", ENTRY("hosts: ['*.example.com'], " HTTP ", resolution: DYNAMIC_DNS"), "80||*.example.com",
      "dynamic off" },
    { "a wildcard where it was going", ENTRY("hosts: ['*.example.com'], " HTTP), "80||*.example.com", "passthrough off" },
    { "each host is one", ENTRY("hosts: [A.example.com, b.example.com], " HTTP ", resolution: DNS"), "80||a.example.com",
      "a.example.com:80=unknown off" },
    { "not exported", ENTRY(EXTERNAL HTTP ", resolution: DNS, exportTo: [other]"), "80||x.example.com", "none" },
    { "Pods and WorkloadEntries by labels",
      ENTRY(EXTERNAL HTTP ", location: MESH_INTERNAL, resolution: STATIC, workloadSelector: {labels: {app: a}}")
      A_PODS WORKLOAD("vm", "address: 127.1.1.1, labels: {app: a}, ports: {http: 9}, weight: 3")
      WORKLOAD("other", "address: 127.1.1.2, labels: {app: b}"),
      "80||x.example.com", "127.10.0.1:80=a1 127.1.1.1:9*3=vm auto" },
    { "a name needs DNS",
      ENTRY(EXTERNAL HTTP ", resolution: STATIC, workloadSelector: {labels: {app: a}}")
      WORKLOAD("vm", "address: vm.example.com, labels: {app: a}"), "80||x.example.com", "off" },
    { "a Service's WorkloadEntries",
      SERVICE("s", "selector: {app: a}, ports: [{port: 80, name: http, targetPort: web}]") A_PODS
      WORKLOAD("vm", "address: 127.1.1.1, labels: {app: a}, ports: {web: 9}")
      WORKLOAD("vm2", "address: 127.1.1.2, labels: {app: a}, ports: {http: 10}"),
      "80||s.default.svc.cluster.local", "127.10.0.1:8080=a1 127.1.1.1:9=vm 127.1.1.2:10=vm2 auto" },

    { "Endpoints",
      SERVICE("s", "ports: [{port: 80, name: http, targetPort: 1}, {port: 81, name: other}]")
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: s}\nsubsets: [{addresses: [{ip: 127.1.1.1}, {ip: 127.10.0.9}], "
      "ports: [{name: http, port: 8080}]}]\n",
      "80||s.default.svc.cluster.local", "127.1.1.1:8080=unknown 127.10.0.9:8080=me auto" },
    { "Endpoints without the port",
      SERVICE("s", "ports: [{port: 80, name: http}, {port: 81, name: other}]")
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: s}\nsubsets: [{addresses: [{ip: 127.1.1.1}], "
      "ports: [{name: http, port: 8080}]}]\n",
      "81||s.default.svc.cluster.local", "auto" },
    { "EndpointSlice: ready ones",
      SERVICE("s", "ports: [{port: 80}]")
      "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s-x, labels: {kubernetes.io/service-name: "
      "s}}\naddressType: IPv4\nendpoints: [{addresses: [127.1.1.1]}, {addresses: [127.1.1.2], conditions: {ready: false}}, "
      "{addresses: [127.1.1.3], conditions: {ready: true}}]\nports: [{port: 8080}]\n",
      "80||s.default.svc.cluster.local", "127.1.1.1:8080=unknown 127.1.1.3:8080=unknown auto" },
    { "Endpoints of a Service with Pods are theirs",
      SERVICE("s", "selector: {app: a}, ports: [{port: 80}]") A_PODS
      "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: s}\nsubsets: [{addresses: [{ip: 127.1.1.1}], ports: [{port: 80}]}]\n",
      "80||s.default.svc.cluster.local", "127.10.0.1:80=a1 auto" },
    { "ExternalName", SERVICE("s", "type: ExternalName, externalName: API.example.com, ports: [{port: 80}]"),
      "80||s.default.svc.cluster.local", "api.example.com:80=unknown off" },
    { "ExternalName of a Service",
      SERVICE("s", "type: ExternalName, externalName: t.default.svc.cluster.local, ports: [{port: 80, targetPort: web}]")
      SERVICE("t", "selector: {app: a}, ports: [{port: 80}]") A_PODS,
      "80||s.default.svc.cluster.local", "127.10.0.1:8080=a1 auto" },
    { "a Service that is not exported",
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: other, annotations: {networking.istio.io/exportTo: "
      "'., third'}}\nspec: {ports: [{port: 80}]}\n",
      "80||s.other.svc.cluster.local", "none" },
    { "a Service that is exported",
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: other, annotations: {networking.istio.io/exportTo: "
      "'., default'}}\nspec: {ports: [{port: 80}]}\n",
      "80||s.other.svc.cluster.local", "auto" },
};

START_TEST(finds_upstreams)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    struct buf text = BUF_INIT(1 << 16), name = BUF_INIT(1 << 10);

    world_init(&w);
    buf_printf(&text, ME "%s", upstreams[_i].in);
    buf_putc(&text, '\0');
    buf_printf(&name, "outbound|%s", upstreams[_i].cluster);
    buf_putc(&name, '\0');
    world_build(&w, text.p);
    ck_assert_msg(strcmp(upstream_text(&w, cluster_named(world_snapshot(&w, &id), name.p)), upstreams[_i].said) == 0,
                  "%s: %s", upstreams[_i].what, w.text.p);
    buf_free(&text);
    buf_free(&name);
    world_fini(&w);
}
END_TEST

/* The proxy's own namespace first, then Kubernetes, then the older. */
START_TEST(of_one_host_the_nearest_counts)
{
#define IN(ns, time, address)                                                                                          \
    "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: " ns                  \
    ", creationTimestamp: '" time "'}\nspec: {hosts: [x.example.com], " HTTP                                           \
    ", resolution: STATIC, endpoints: [{address: " address "}]}\n"
    static const char all[] = ME IN("b", "2024-01-02T00:00:00Z", "127.1.1.2") IN("c", "2024-01-01T00:00:00Z", "127.1.1.3");
    static const struct {
        const char *ns, *said;
    } rows[] = { { "b", "127.1.1.2:80=unknown off" }, { "c", "127.1.1.3:80=unknown off" }, { "d", "127.1.1.3:80=unknown off" } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world w;
        struct proxy_identity id = identity(PROXY_GATEWAY, "g.x");

        id.ns = str_of(rows[i].ns);
        world_init(&w);
        world_build(&w, all);
        ck_assert_str_eq(upstream_text(&w, cluster_named(world_snapshot(&w, &id), "outbound|80||x.example.com")), rows[i].said);
        world_fini(&w);
    }
}
END_TEST

START_TEST(routes_to_entries)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct proxy_snapshot *s;
    const struct cluster *c;

    world_init(&w);
    world_build(&w, ME ENTRY("hosts: [x.example.com, '*.y.example.com'], addresses: [10.1.2.3, 10.2.0.0/16], " HTTP
                             ", resolution: DNS, endpoints: [{address: 127.1.1.1}]")
                    ISTIO("VirtualService", "v", "hosts: [x.example.com], http: [{match: [{uri: {prefix: /a}}], route: "
                                                 "[{destination: {host: x.example.com}}]}]"));
    ck_assert_msg(w.problems.n == 0, "%s", world_problems(&w));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(routes_text(&w, s, 80, "x.example.com"), "uri^/a -> 80||x.example.com");
    ck_assert_str_eq(routes_text(&w, s, 80, "10.1.2.3"), "uri^/a -> 80||x.example.com");
    ck_assert_str_eq(routes_text(&w, s, 80, "z.y.example.com"), "-> 80||*.y.example.com");
    ck_assert_str_eq(routes_text(&w, s, 80, "y.example.com"), "none");
    c = cluster_named(s, "outbound|80||x.example.com");
    ck_assert(str_eqz(c->host, "x.example.com") && str_eqz(c->service, "x.example.com") && str_eqz(c->service_ns, "default"));
    ck_assert_ptr_eq(listener_at(s, 80)->passthrough, cluster_named(s, "PassthroughCluster"));
    ck_assert(cluster_named(s, "PassthroughCluster")->passthrough);
    world_fini(&w);
}
END_TEST

START_TEST(listens_on_their_addresses)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct proxy_snapshot *s;

    id.outbound_net = STR("127.138.0.0/16");
    world_init(&w);
    world_build(&w, ME ENTRY("hosts: [x.example.com], addresses: [10.1.2.3, 10.2.0.0/16, 10.1.2.4], " HTTP ", resolution: DNS"));
    s = world_snapshot(&w, &id);
    ck_assert_uint_eq(s->nlisteners, 2);
    ck_assert(str_eqz(s->listeners[0].name, "127.138.2.3_80"));
    ck_assert(str_eqz(s->listeners[1].name, "127.138.2.4_80"));
    ck_assert_str_eq(routes_text(&w, s, 80, "whatever"), "-> 80||x.example.com");
    world_fini(&w);
}
END_TEST

START_TEST(knows_workloads_that_are_no_pods)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct workload *vm;

    world_init(&w);
    world_build(&w, ME WORKLOAD("vm", "address: 127.1.1.1, labels: {app: a, version: v2, security.istio.io/tlsMode: istio}, "
                                      "locality: eu/eu-1/rack, serviceAccount: acc"));
    vm = snapshot_workload(world_snapshot(&w, &id), STR("127.1.1.1"));
    ck_assert_ptr_nonnull(vm);
    ck_assert(str_eqz(vm->name, "vm") && str_eqz(vm->app, "a") && str_eqz(vm->version, "v2"));
    ck_assert(str_eqz(vm->principal, "spiffe://cluster.local/ns/default/sa/acc"));
    ck_assert(str_eqz(vm->region, "eu") && str_eqz(vm->zone, "eu-1") && str_eqz(vm->subzone, "rack"));
    ck_assert(vm->mtls && vm->ready);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/service_entry");
    TCase *t = tcase_create("service_entry");

    tcase_add_loop_test(t, finds_upstreams, 0, COUNT(upstreams));
    tcase_add_test(t, of_one_host_the_nearest_counts);
    tcase_add_test(t, routes_to_entries);
    tcase_add_test(t, listens_on_their_addresses);
    tcase_add_test(t, knows_workloads_that_are_no_pods);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
