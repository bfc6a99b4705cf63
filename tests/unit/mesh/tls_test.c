/* How connections are secured, to upstreams and at gateways, with files and with Secrets; and where TLS goes by its SNI. */
#include "tests/unit/mesh/mesh_help.h"

#define OBJECT(api, kind, name, rest) "---\napiVersion: " api "\nkind: " kind "\nmetadata: {name: " name "}\n" rest "\n"
#define ISTIO(kind, name, spec)       OBJECT("networking.istio.io/v1", kind, name, "spec: {" spec "}")
#define SERVICE(name, spec)           OBJECT("v1", "Service", name, "spec: {" spec "}")
#define SECRET(name, rest)            OBJECT("v1", "Secret", name, rest)
#define CERT                          "-----BEGIN CERTIFICATE-----"
#define KEY                           "-----BEGIN PRIVATE KEY-----"
#define CRL                           "-----BEGIN X509 CRL-----"
#define PAIR(name, cert)              SECRET(name, "stringData: {cert: " CERT cert ", key: " KEY "}")
#define POD(name, ip, account, labels)                                                                                 \
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " name ", labels: {app: a" labels "}}\n"                            \
    "spec: {serviceAccountName: " account ", containers: [{name: main}]}\n"                                            \
    "status: {podIP: " ip ", conditions: [{type: Ready, status: 'True'}]}\n"
#define MESH                                                                                                           \
    POD("a", "127.10.0.1", "one", ", v: v1") POD("b", "127.10.0.2", "two", "") POD("c", "127.10.0.3", "two", "")         \
    SERVICE("s", "clusterIP: 127.96.0.1, selector: {app: a}, ports: [{name: http, port: 80}, {name: tls, port: 443}]")  \
    ISTIO("ServiceEntry", "x", "hosts: [x.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS, " \
                               "subjectAltNames: [x.example.com, y]")                                                  \
    PAIR("both", "1") SECRET("both-cacert", "stringData: {cacert: " CERT "2, crl: " CRL "}")                             \
    SECRET("whole", "type: kubernetes.io/tls\ndata: {tls.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tMw==, tls.key: "        \
                    "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t, ca.crt: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tNA==}")          \
    SECRET("bare", "data: {other: eA==}")

static void put_pem(struct buf *b, const char *name, const struct pem *p)
{
    if (p->path.n)
        buf_printf(b, " %s=%.*s", name, STR_ARG(p->path));
    else if (p->text.n && str_starts(p->text, STR(CERT)))
        buf_printf(b, " %s=cert%.*s", name, STR_ARG(str_from(p->text, sizeof(CERT) - 1)));
    else if (p->text.n)
        buf_printf(b, " %s=text", name);
}

static void put_names(struct buf *b, const struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str short_name = str_starts(v[i], STR("spiffe://cluster.local/")) ? str_from(v[i], 23) : v[i];

        buf_printf(b, "%s%.*s", i ? "," : " names=", STR_ARG(short_name));
    }
}

static const char *client_text(struct world *w, const struct tls_client *t)
{
    static const char *const modes[] = { "auto", "off", "simple", "mutual", "istio" };
    struct buf *b = &w->text;

    buf_reset(b);
    buf_puts(b, modes[t->mode]);
    if (t->sni.n)
        buf_printf(b, " sni=%.*s", STR_ARG(t->sni));
    put_pem(b, "cert", &t->own.certificate);
    put_pem(b, "key", &t->own.key);
    put_pem(b, "ca", &t->ca);
    put_pem(b, "crl", &t->crl);
    put_names(b, t->names, t->nnames);
    buf_printf(b, "%s%s", t->insecure ? " insecure" : "", t->missing ? " missing" : "");
    return world_text(w);
}

#define RULE(host, tls, more) ISTIO("DestinationRule", "r", "host: " host ", " more "trafficPolicy: {tls: {" tls "}}")
#define MINE                  "workloadSelector: {matchLabels: {app: a}}, "
#define S                     "s.default.svc.cluster.local"

static const struct {
    const char *rule, *cluster, *said;
} clients[] = {
    { "", "80||" S, "auto sni=outbound_.80_._." S " names=ns/default/sa/one,ns/default/sa/two" },
    { ISTIO("DestinationRule", "r", "host: s, subsets: [{name: v1, labels: {v: v1}}]"), "80|v1|" S,
      "auto sni=outbound_.80_.v1_." S " names=ns/default/sa/one" },
    { "", "443||x.example.com", "off" },
    { RULE("s", "mode: DISABLE", ""), "80||" S, "off" },
    { RULE("s", "mode: ISTIO_MUTUAL", ""), "80||" S, "istio sni=outbound_.80_._." S " names=ns/default/sa/one,ns/default/sa/two" },
    { RULE("s", "mode: ISTIO_MUTUAL, sni: z", ""), "80||" S, "istio sni=z names=ns/default/sa/one,ns/default/sa/two" },
    { RULE("x.example.com", "mode: ISTIO_MUTUAL", ""), "443||x.example.com",
      "istio sni=outbound_.443_._.x.example.com names=x.example.com,y" },
    { RULE("s", "mode: SIMPLE", ""), "80||" S, "simple" },
    { RULE("s", "mode: SIMPLE, sni: z, caCertificates: /ca, caCrl: /crl, subjectAltNames: [n, m]", ""), "80||" S,
      "simple sni=z ca=/ca crl=/crl names=n,m" },
    { RULE("s", "mode: SIMPLE, insecureSkipVerify: true", ""), "80||" S, "simple insecure" },
    { RULE("x.example.com", "mode: SIMPLE", ""), "443||x.example.com", "simple names=x.example.com,y" },
    { RULE("s", "mode: MUTUAL, clientCertificate: /c, privateKey: /k, caCertificates: /ca", ""), "80||" S,
      "mutual cert=/c key=/k ca=/ca" },
    { RULE("s", "mode: MUTUAL, credentialName: both", MINE), "80||" S, "mutual cert=cert1 key=text ca=cert2 crl=text" },
    { RULE("s", "mode: MUTUAL, credentialName: whole", MINE), "80||" S, "mutual cert=cert3 key=text ca=cert4" },
    { RULE("s", "mode: SIMPLE, credentialName: both", MINE), "80||" S, "simple ca=cert2 crl=text" },
    { RULE("s", "mode: SIMPLE, credentialName: bare", MINE), "80||" S, "simple missing" },
    { RULE("s", "mode: MUTUAL, credentialName: bare", MINE), "80||" S, "mutual missing" },
    /* a sidecar reads Secrets for a rule of its own alone */
    { RULE("s", "mode: SIMPLE, credentialName: both", ""), "80||" S, "simple" },
};

START_TEST(secures_clusters)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "a.default");
    struct buf text = BUF_INIT(1 << 16), name = BUF_INIT(1 << 10);

    world_init(&w);
    buf_printf(&text, MESH "%s", clients[_i].rule);
    buf_putc(&text, '\0');
    buf_printf(&name, "outbound|%s", clients[_i].cluster);
    buf_putc(&name, '\0');
    world_build(&w, text.p);
    ck_assert_msg(w.problems.n == 0, "%s", world_problems(&w));
    ck_assert_str_eq(client_text(&w, &cluster_named(world_snapshot(&w, &id), name.p)->tls), clients[_i].said);
    buf_free(&text);
    buf_free(&name);
    world_fini(&w);
}
END_TEST

static void put_server(struct buf *b, const struct tls_server *t)
{
    static const char *const modes[] = { "simple", "mutual", "optional", "istio" };

    buf_puts(b, modes[t->mode]);
    for (size_t i = 0; i < t->npairs; i++) {
        put_pem(b, "cert", &t->pairs[i].certificate);
        put_pem(b, "key", &t->pairs[i].key);
    }
    put_pem(b, "ca", &t->ca);
    put_pem(b, "crl", &t->crl);
    put_names(b, t->names, t->nnames);
    if (t->min_version != 12 || t->max_version != 13)
        buf_printf(b, " %u-%u", t->min_version, t->max_version);
    if (t->ciphers.n)
        buf_printf(b, " %.*s", STR_ARG(t->ciphers));
}

/* "a.example.com simple cert=/c key=/k: http a.example.com; * -: tcp 80||s.default" */
static const char *chains_text(struct world *w, const struct listener *l)
{
    struct buf *b = &w->text;

    buf_reset(b);
    for (size_t i = 0; l && i < l->nchains; i++) {
        const struct listener_chain *c = &l->chains[i];

        buf_printf(b, "%s%.*s ", i ? "; " : "", STR_ARG(c->nserver_names ? c->server_names[0] : STR("*")));
        if (c->tls)
            put_server(b, c->tls);
        else
            buf_putc(b, '-');
        buf_puts(b, c->serve->protocol == PROTOCOL_HTTP ? ": http" : ": tcp");
        for (size_t k = 0; k < c->serve->nhosts; k++)
            buf_printf(b, " %.*s", STR_ARG(c->serve->hosts[k].domains[0]));
        put_destinations(b, c->serve->tcp, c->serve->ntcp);
    }
    return world_text(w);
}

#define GATEWAY(servers)   ISTIO("Gateway", "g", "selector: {istio: ingressgateway}, servers: [" servers "]")
#define HTTPS(hosts, tls)  "{port: {number: 443, name: https, protocol: HTTPS}, hosts: [" hosts "], tls: {" tls "}}"
#define TLS(hosts, tls)    "{port: {number: 443, name: tls, protocol: TLS}, hosts: [" hosts "], tls: {" tls "}}"
#define FILES              "serverCertificate: /c, privateKey: /k"
#define BOUND(hosts, spec) ISTIO("VirtualService", "v", "gateways: [g], hosts: [" hosts "], " spec)
#define TO_S               "route: [{destination: {host: s, port: {number: 80}}}]"

static const struct {
    const char *what, *in, *said;
} servers[] = {
    { "files", GATEWAY(HTTPS("a.example.com", "mode: SIMPLE, " FILES)) BOUND("a.example.com", "http: [{" TO_S "}]"),
      "a.example.com simple cert=/c key=/k: http a.example.com" },
    { "no VirtualService", GATEWAY(HTTPS("'*'", "mode: SIMPLE, " FILES)), "* simple cert=/c key=/k: http" },
    { "each server's own hosts",
      GATEWAY(HTTPS("a.example.com", "mode: SIMPLE, credentialName: both") ", "
              HTTPS("'*.example.com', b.org", "mode: SIMPLE, credentialName: whole"))
      BOUND("a.example.com, c.example.com, b.org", "http: [{" TO_S "}]"),
      "a.example.com simple cert=cert1 key=text: http a.example.com; "
      "b.org simple cert=cert3 key=text: http a.example.com c.example.com b.org; "
      "*.example.com simple cert=cert3 key=text: http a.example.com c.example.com b.org" },
    { "of one host the first server's", GATEWAY(HTTPS("a", "mode: SIMPLE, " FILES) ", " HTTPS("a", "mode: SIMPLE, credentialName: both")),
      "a simple cert=/c key=/k: http" },
    { "a mutual one's authorities", GATEWAY(HTTPS("a", "mode: MUTUAL, credentialName: both, subjectAltNames: [n]")),
      "a mutual cert=cert1 key=text ca=cert2 crl=text names=n: http" },
    { "authorities in the same Secret", GATEWAY(HTTPS("a", "mode: OPTIONAL_MUTUAL, credentialName: 'kubernetes://whole'")),
      "a optional cert=cert3 key=text ca=cert4: http" },
    { "authorities in a Secret by name",
      GATEWAY(HTTPS("a", "mode: MUTUAL, " FILES ", caCertCredentialName: whole")), "a mutual cert=/c key=/k ca=cert4: http" },
    { "files of a mutual one", GATEWAY(HTTPS("a", "mode: MUTUAL, " FILES ", caCertificates: /ca, caCrl: /crl")),
      "a mutual cert=/c key=/k ca=/ca crl=/crl: http" },
    { "several pairs", GATEWAY(HTTPS("a", "mode: SIMPLE, credentialNames: [both, whole]")),
      "a simple cert=cert1 key=text cert=cert3 key=text: http" },
    { "several files", GATEWAY(HTTPS("a", "mode: SIMPLE, tlsCertificates: [{serverCertificate: /1, privateKey: /2}, "
                                          "{serverCertificate: /3, privateKey: /4}]")),
      "a simple cert=/1 key=/2 cert=/3 key=/4: http" },
    { "a Secret without them", GATEWAY(HTTPS("a", "mode: SIMPLE, credentialName: bare")), "a simple: http" },
    { "versions and ciphers",
      GATEWAY(HTTPS("a", "mode: SIMPLE, " FILES ", minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_2, "
                         "cipherSuites: ['[A-B|C]', D]")), "a simple cert=/c key=/k 10-12 A-B:C:D: http" },
    { "an old version alone", GATEWAY(HTTPS("a", "mode: SIMPLE, " FILES ", maxProtocolVersion: TLSV1_1")),
      "a simple cert=/c key=/k 11-11: http" },
    { "the mesh's", GATEWAY(HTTPS("a", "mode: ISTIO_MUTUAL")), "a istio: http" },
    { "TCP within", GATEWAY(TLS("a.example.com", "mode: SIMPLE, " FILES))
      BOUND("a.example.com", "tcp: [{match: [{port: 443}], " TO_S "}]"),
      "a.example.com simple cert=/c key=/k: tcp 80||s.default" },
    { "passed on by name", GATEWAY(TLS("'*.example.com'", "mode: PASSTHROUGH"))
      BOUND("a.example.com, '*.b.example.com'", "tls: [{match: [{sniHosts: ['*.b.example.com']}], " TO_S "}, {match: "
            "[{sniHosts: [a.example.com], port: 443}], route: [{destination: {host: s, port: {number: 443}}}]}, {match: "
            "[{sniHosts: [a.example.com], port: 444}], " TO_S "}]"),
      "a.example.com -: tcp 443||s.default; *.b.example.com -: tcp 80||s.default" },
    { "HTTPS passed on", GATEWAY(HTTPS("a.example.com", "mode: PASSTHROUGH"))
      BOUND("'*.example.com'", "tls: [{match: [{sniHosts: ['*.example.com']}], " TO_S "}]"),
      "a.example.com -: tcp 80||s.default" },
    { "passed on and ended", GATEWAY(TLS("'*.example.com'", "mode: PASSTHROUGH") ", " HTTPS("a.example.com", "mode: SIMPLE, " FILES))
      BOUND("'*.example.com'", "tls: [{match: [{sniHosts: ['*.example.com']}], " TO_S "}], http: [{" TO_S "}]"),
      "a.example.com simple cert=/c key=/k: http a.example.com; *.example.com -: tcp 80||s.default" },
    { "by the cluster's name", GATEWAY(TLS("'*.local'", "mode: AUTO_PASSTHROUGH")),
      "outbound_.443_._." S " -: tcp 443||s.default; outbound_.80_._." S " -: tcp 80||s.default" },
};

START_TEST(serves_tls)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "g.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct listener *l;

    world_init(&w);
    buf_printf(&text, MESH "%s", servers[_i].in);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    ck_assert_msg(w.problems.n == 0, "%s", world_problems(&w));
    l = listener_at(world_snapshot(&w, &id), 443);
    ck_assert_ptr_nonnull(l);
    ck_assert_msg(strcmp(chains_text(&w, l), servers[_i].said) == 0, "%s: %s", servers[_i].what, w.text.p);
    ck_assert_uint_eq(l->nhosts + l->ntcp, 0);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

/* The Secret must be of the gateway's own namespace. */
START_TEST(reads_no_secret_of_others)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "g.other");

    world_init(&w);
    world_build(&w, MESH GATEWAY(HTTPS("a", "mode: SIMPLE, credentialName: both")));
    ck_assert_str_eq(chains_text(&w, listener_at(world_snapshot(&w, &id), 443)), "a simple: http");
    world_fini(&w);
}
END_TEST

START_TEST(routes_tls_within_it)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_GATEWAY, "g.default");
    const struct listener *l;
    const struct virtual_host *vh;

    world_init(&w);
    world_build(&w, MESH GATEWAY(HTTPS("a.example.com, '*.b.org'", "mode: SIMPLE, " FILES))
                    BOUND("a.example.com, x.b.org", "http: [{match: [{uri: {prefix: /a}}], " TO_S "}]"));
    l = listener_at(world_snapshot(&w, &id), 443)->chains[0].serve;
    vh = listener_host(l, STR("A.example.com:443"));
    ck_assert_ptr_nonnull(vh);
    ck_assert(str_eqz(vh->name, "a.example.com:443"));
    ck_assert_uint_eq(vh->nroutes, 1);
    ck_assert_ptr_nonnull(vh->routes[0].destinations[0].cluster);
    ck_assert_ptr_null(listener_host(l, STR("y.b.org")));
    ck_assert_int_eq((int)l->direction, LISTENER_GATEWAY);
    ck_assert_uint_eq(l->port, 443);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *what, *in, *net, *chains, *otherwise;
} sidecars[] = {
    { "hosts as they are", "", "", "s.default.svc.cluster.local -: tcp 443||s.default; x.example.com -: tcp 443||x.example.com",
      "443||s.default" },
    { "a rule for a service", ISTIO("VirtualService", "v", "hosts: [x.example.com], tls: [{match: [{sniHosts: [x.example.com]}], "
                                                           TO_S "}]"),
      "", "s.default.svc.cluster.local -: tcp 443||s.default; x.example.com -: tcp 80||s.default", "443||s.default" },
    { "a rule for another name", ISTIO("VirtualService", "v", "hosts: [z.org], tls: [{match: [{sniHosts: [z.org], port: 443}], "
                                                              TO_S "}]"),
      "", "s.default.svc.cluster.local -: tcp 443||s.default; x.example.com -: tcp 443||x.example.com; "
      "z.org -: tcp 80||s.default", "443||s.default" },
    { "a rule of a gateway", ISTIO("VirtualService", "v", "gateways: [g], hosts: [x.example.com], tls: [{match: [{sniHosts: "
                                                          "[x.example.com]}], " TO_S "}]") GATEWAY(TLS("a", "mode: PASSTHROUGH")),
      "", "s.default.svc.cluster.local -: tcp 443||s.default; x.example.com -: tcp 443||x.example.com", "443||s.default" },
    { "an address of its own", "", "127.138.0.0/16", "s.default.svc.cluster.local -: tcp 443||s.default", "443||s.default" },
};

START_TEST(passes_tls_on_by_name)
{
    struct world w;
    struct proxy_identity id = identity(PROXY_SIDECAR, "a.default");
    struct buf text = BUF_INIT(1 << 16);
    const struct listener *l;

    id.outbound_net = str_of(sidecars[_i].net);
    world_init(&w);
    buf_printf(&text, MESH "%s", sidecars[_i].in);
    buf_putc(&text, '\0');
    world_build(&w, text.p);
    l = listener_at(world_snapshot(&w, &id), 443);
    ck_assert_int_eq((int)l->protocol, PROTOCOL_TCP);
    ck_assert_msg(strcmp(chains_text(&w, l), sidecars[_i].chains) == 0, "%s: %s", sidecars[_i].what, w.text.p);
    buf_reset(&w.text);
    put_destinations(&w.text, l->tcp, l->ntcp);
    ck_assert_str_eq(world_text(&w) + 1, sidecars[_i].otherwise);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *said;
} secrets[] = {
    { "data: {tls.crt: '#'}", "f.yaml:4: error: Secret default/x: data.tls.crt: is not base64: what is not coded belongs under "
                              "stringData\n" },
    { "data: {tls.crt: 5}", "f.yaml:4: error: Secret default/x: data.tls.crt: must be a string\n" },
    { "data: [a]", "f.yaml:4: error: Secret default/x: data: must be a map of strings\n" },
    { "stringData: {tls.key: nothing}", "f.yaml:4: warning: Secret default/x: stringData.tls.key: is no PEM: \"-----BEGIN \" is "
                                        "nowhere in it\n" },
    { "data: {any: '#', other: eA==}", "" },
};

START_TEST(checks_secrets)
{
    struct world w;
    struct buf text = BUF_INIT(1 << 12);

    world_init(&w);
    buf_printf(&text, "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n%s\n", secrets[_i].in);
    buf_putc(&text, '\0');
    ck_assert_int_eq(world_parse(&w, text.p), 0);
    mesh_build(&w.arena, &w.objects, &w.problems, NULL);
    ck_assert_str_eq(world_problems(&w), secrets[_i].said);
    buf_free(&text);
    world_fini(&w);
}
END_TEST

START_TEST(warns_of_missing_secrets)
{
    struct world w;

    world_init(&w);
    world_build(&w, MESH GATEWAY(HTTPS("a", "mode: SIMPLE, credentialName: none")) RULE("s", "mode: SIMPLE, credentialName: gone", ""));
    ck_assert_uint_eq(w.problems.n, 2);
    ck_assert(str_eqz(w.problems.v[0].path, "spec.trafficPolicy.tls.credentialName"));
    ck_assert(str_eqz(w.problems.v[0].message, "there is no Secret gone: no connection can be made"));
    ck_assert(str_eqz(w.problems.v[1].path, "spec.servers[0].tls.credentialName"));
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/tls");
    TCase *t = tcase_create("tls");

    tcase_add_loop_test(t, secures_clusters, 0, COUNT(clients));
    tcase_add_loop_test(t, serves_tls, 0, COUNT(servers));
    tcase_add_test(t, reads_no_secret_of_others);
    tcase_add_test(t, routes_tls_within_it);
    tcase_add_loop_test(t, passes_tls_on_by_name, 0, COUNT(sidecars));
    tcase_add_loop_test(t, checks_secrets, 0, COUNT(secrets));
    tcase_add_test(t, warns_of_missing_secrets);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
