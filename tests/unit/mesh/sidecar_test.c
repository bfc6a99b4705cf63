/* What a Sidecar lets its workload's proxy see, where it makes it listen, and what becomes of the unknown. */
#include "tests/unit/mesh/mesh_help.h"

#define SIDECAR_IN(ns, name, spec)                                                                                     \
    "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " name ", namespace: " ns "}\nspec: {" spec "}\n"
#define SIDECAR(spec) SIDECAR_IN("default", "s", spec)
#define SERVICE(ns, name, spec)                                                                                        \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns "}\nspec: {" spec "}\n"
#define MESH                                                                                                           \
    "apiVersion: v1\nkind: Pod\nmetadata: {name: me, labels: {app: me}}\n"                                             \
    "spec: {containers: [{name: main}]}\nstatus: {podIP: 127.10.0.9, conditions: [{type: Ready, status: 'True'}]}\n"   \
    SERVICE("default", "me", "clusterIP: 127.96.0.1, selector: {app: me}, ports: [{name: http, port: 80, targetPort: 8080}]") \
    SERVICE("default", "db", "clusterIP: 127.96.0.2, ports: [{name: tcp, port: 6379}]")                                \
    SERVICE("one", "a", "clusterIP: 127.96.0.3, ports: [{name: http, port: 80}]")                                      \
    SERVICE("two", "b", "clusterIP: 127.96.0.4, ports: [{name: http, port: 80}, {name: http-x, port: 81}]")
#define VS(ns, host, to)                                                                                               \
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: " ns                \
    "}\nspec: {hosts: [" host "], http: [{route: [{destination: {host: " to "}}]}]}\n"

/* "80||me.default 6379||db.default", without what is always there. */
static const char *clusters_text(struct world *w, const struct proxy_snapshot *s)
{
    buf_reset(&w->text);
    for (size_t i = 0; i < s->nclusters; i++) {
        struct str name = s->clusters[i].name;

        if (!str_starts(name, STR("outbound|")))
            continue;
        name = str_from(name, 9);
        if (str_ends(name, STR(".svc.cluster.local")))
            name.n -= 18;
        buf_printf(&w->text, "%s%.*s", w->text.n ? " " : "", STR_ARG(name));
    }
    return world_text(w);
}

static const struct {
    const char *what, *in, *said;
} visible[] = {
    { "none: all", "", "6379||db.default 80||a.one 80||b.two 80||me.default 81||b.two" },
    { "no egress: all", SIDECAR("ingress: [{port: {number: 8080, name: http, protocol: HTTP}}]"),
      "6379||db.default 80||a.one 80||b.two 80||me.default 81||b.two" },
    { "its own namespace", SIDECAR("egress: [{hosts: ['./*']}]"), "6379||db.default 80||me.default" },
    { "nothing", SIDECAR("egress: [{hosts: ['~/*']}]"), "" },
    { "one of any namespace", SIDECAR("egress: [{hosts: ['*/a.one.svc.cluster.local']}]"), "80||a.one" },
    { "one of the wrong namespace", SIDECAR("egress: [{hosts: ['two/a.one.svc.cluster.local']}]"), "" },
    { "by a suffix", SIDECAR("egress: [{hosts: ['*/*.two.svc.cluster.local']}]"), "80||b.two 81||b.two" },
    { "all but one namespace's", SIDECAR("egress: [{hosts: ['*/*', '~two/*']}]"), "6379||db.default 80||a.one 80||me.default" },
    { "by port", SIDECAR("egress: [{port: {number: 6379, name: tcp, protocol: TCP}, hosts: ['./*']}, {hosts: ['one/*']}]"),
      "6379||db.default 80||a.one" },
    { "of two the one for its labels",
      SIDECAR("egress: [{hosts: ['./*']}]")
      SIDECAR_IN("default", "t", "workloadSelector: {labels: {app: me}}, egress: [{hosts: ['one/*']}]")
      SIDECAR_IN("default", "u", "workloadSelector: {labels: {app: you}}, egress: [{hosts: ['two/*']}]"), "80||a.one" },
    { "the root namespace's", SIDECAR_IN("istio-system", "s", "egress: [{hosts: ['two/*']}]"), "80||b.two 81||b.two" },
    { "its own before the root namespace's", SIDECAR_IN("istio-system", "s", "egress: [{hosts: ['two/*']}]")
      SIDECAR("egress: [{hosts: ['one/*']}]"), "80||a.one" },
    { "another namespace's", SIDECAR_IN("one", "s", "egress: [{hosts: ['two/*']}]"),
      "6379||db.default 80||a.one 80||b.two 80||me.default 81||b.two" },
    { "where a VirtualService it sees leads", SIDECAR("egress: [{hosts: ['./*']}]")
      VS("default", "me.default.svc.cluster.local", "a.one.svc.cluster.local"), "6379||db.default 80||a.one 80||me.default" },
};

START_TEST(sees_what_is_imported)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    struct buf text = BUF_INIT(1 << 16);

    world_init(&w);
    buf_printf(&text, MESH "%s", visible[_i].in);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    ck_assert_msg(strcmp(clusters_text(&w, world_snapshot(&w, &id)), visible[_i].said) == 0, "%s: %s", visible[_i].what,
                  w.text.p);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

static const char *listeners_text(struct world *w, const struct proxy_snapshot *s)
{
    static const char *const directions[] = { "out", "in", "gate" }, *const words[] = { "http", "tcp", "sniff" };

    buf_reset(&w->text);
    for (size_t i = 0; i < s->nlisteners; i++)
        buf_printf(&w->text, "%s%s %.*s:%u %s", i ? ", " : "", directions[s->listeners[i].direction],
                   STR_ARG(s->listeners[i].ip), s->listeners[i].port, words[s->listeners[i].protocol]);
    return world_text(w);
}

START_TEST(listens_where_egress_says)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct proxy_snapshot *s;

    world_init(&w);
    world_build(&w, MESH SIDECAR("egress: [{port: {number: 81, name: http, protocol: HTTP}, bind: 127.0.0.7, hosts: ['two/*']}, "
                                 "{port: {number: 9090, name: http, protocol: HTTP}, bind: 127.0.0.8, hosts: ['two/*']}, "
                                 "{port: {number: 6379, name: tcp, protocol: TCP}, hosts: ['./*']}, {hosts: ['*/*']}]"));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(listeners_text(&w, s), "out 127.0.0.1:80 http, out 127.0.0.1:81 http, out 127.0.0.1:6379 tcp, "
                                            "out 127.0.0.7:81 http, out 127.0.0.8:9090 http");
    ck_assert_str_eq(routes_text(&w, s, 81, "b.two"), "-> 81||b.two");
    ck_assert_uint_eq(s->listeners[3].nhosts, 1);
    ck_assert_uint_eq(s->listeners[4].nhosts, 0);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *net, *unknown, *passthrough;
} policies[] = {
    { "", "", "none", "PassthroughCluster" },
    { SIDECAR("outboundTrafficPolicy: {mode: ALLOW_ANY}"), "", "none", "PassthroughCluster" },
    { SIDECAR("egress: [{hosts: ['*/*']}]"), "", "none", "PassthroughCluster" },
    { SIDECAR("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"), "", "-> answer 502", NULL },
    { SIDECAR("outboundTrafficPolicy: {}"), "", "-> answer 502", NULL },
    { SIDECAR("outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: b.two.svc.cluster.local, port: {number: 81}}}"), "",
      "none", "outbound|81||b.two.svc.cluster.local" },
    { "", "127.138.0.0/16", "-> 80||me.default", "PassthroughCluster" },
    { SIDECAR("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"), "127.138.0.0/16", "-> answer 502", NULL },
};

START_TEST(treats_the_unknown)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct proxy_snapshot *s;
    const struct cluster *c;

    id.outbound_net = str_of(policies[_i].net);
    world_init(&w);
    buf_printf(&text, MESH "%s", policies[_i].in);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(routes_text(&w, s, 80, "nobody.example"), policies[_i].unknown);
    ck_assert_str_eq(routes_text(&w, s, 80, "a.one"), "-> 80||a.one");
    c = listener_at(s, 80)->passthrough;
    ck_assert(policies[_i].passthrough ? c && str_eqz(c->name, policies[_i].passthrough) : !c);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

START_TEST(listens_where_ingress_says)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "me.default");
    const struct proxy_snapshot *s;
    const struct listener *l;

    id.app_address = STR("127.11.0.1");
    world_init(&w);
    world_build(&w, MESH SIDECAR("inboundConnectionPool: {tcp: {maxConnections: 3}}, egress: [{hosts: ['~/*']}], ingress: "
                                 "[{port: {number: 8080, name: http, protocol: HTTP}, defaultEndpoint: '127.0.0.1:9000'}, "
                                 "{port: {number: 7070, name: x}, connectionPool: {tcp: {maxConnections: 4}}}, "
                                 "{port: {number: 8443, name: https, protocol: HTTPS}, bind: 127.0.0.9, tls: {mode: MUTUAL, "
                                 "serverCertificate: /c.pem, privateKey: /k.pem, caCertificates: /ca.pem}}]"));
    s = world_snapshot(&w, &id);
    ck_assert_str_eq(listeners_text(&w, s), "in 127.0.0.9:8443 http, in 127.10.0.9:7070 sniff, in 127.10.0.9:8080 http");
    ck_assert_str_eq(endpoints_text(&w, cluster_named(s, "inbound|8080||")), "127.11.0.1:9000/9000=me");
    ck_assert_str_eq(endpoints_text(&w, cluster_named(s, "inbound|7070||")), "127.11.0.1:7070/7070=me");
    ck_assert_uint_eq(cluster_named(s, "inbound|8080||")->max_connections, 3);
    ck_assert_uint_eq(cluster_named(s, "inbound|7070||")->max_connections, 4);
    ck_assert(str_eqz(cluster_named(s, "inbound|8080||")->host, "me.default.svc.cluster.local"));
    l = &s->listeners[0];
    ck_assert_uint_eq(l->nchains, 1);
    ck_assert_uint_eq(l->nhosts + l->ntcp, 0);
    ck_assert_uint_eq(l->chains[0].nserver_names, 0);
    ck_assert_int_eq((int)l->chains[0].tls->mode, TLS_SERVER_MUTUAL);
    ck_assert(str_eqz(l->chains[0].tls->pairs[0].key.path, "/k.pem") && str_eqz(l->chains[0].tls->ca.path, "/ca.pem"));
    ck_assert_uint_eq(l->chains[0].serve->nhosts, 1);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/sidecar");
    TCase *t = tcase_create("sidecar");

    tcase_add_loop_test(t, sees_what_is_imported, 0, COUNT(visible));
    tcase_add_test(t, listens_where_egress_says);
    tcase_add_loop_test(t, treats_the_unknown, 0, COUNT(policies));
    tcase_add_test(t, listens_where_ingress_says);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
