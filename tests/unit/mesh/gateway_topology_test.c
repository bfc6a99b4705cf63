/* gateway_topology_test.c: what stands in front of a gateway: its Pod's annotation, MeshConfig, both, and what is wrong. */
#include "tests/unit/mesh/mesh_help.h"

#define GATEWAY                                                                                                        \
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\n"                                         \
    "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n---\n"
#define DEPLOYMENT(config)                                                                                             \
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: gate, namespace: edge}\n"                                 \
    "spec: {selector: {matchLabels: {istio: ingressgateway}}, template: {metadata: {labels: {istio: ingressgateway}, " \
    "annotations: {proxy.istio.io/config: '" config "'}}, spec: {containers: [{name: a}]}}}\n---\n"
#define MESH(config)                                                                                                   \
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: '" config "'}\n---\n"

static const struct {
    const char *in;
    uint32_t trusted;
    enum client_cert_details details;
    bool proxy_protocol;
} cases[] = {
    { "", 0, CLIENT_CERT_DEFAULT, false },
    { DEPLOYMENT("{gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: APPEND_FORWARD, proxyProtocol: {}}}"), 2,
      CLIENT_CERT_APPEND_FORWARD, true },
    { DEPLOYMENT("{\"concurrency\": 2, \"gatewayTopology\": {\"numTrustedProxies\": 1}}"), 1, CLIENT_CERT_DEFAULT, false },
    { DEPLOYMENT("{concurrency: 2}"), 0, CLIENT_CERT_DEFAULT, false },
    { MESH("{defaultConfig: {gatewayTopology: {numTrustedProxies: 3, forwardClientCertDetails: SANITIZE}}}"), 3, CLIENT_CERT_SANITIZE,
      false },
    { MESH("{defaultConfig: {gatewayTopology: {numTrustedProxies: 3, forwardClientCertDetails: SANITIZE}}}")
      DEPLOYMENT("{gatewayTopology: {numTrustedProxies: 0}}"), 0, CLIENT_CERT_SANITIZE, false },
    { MESH("{gatewayTopology: {numTrustedProxies: 3}}"), 0, CLIENT_CERT_DEFAULT, false },
};

START_TEST(is_told_to_gateways)
{
    static const struct label label = { STR_INIT("istio"), STR_INIT("ingressgateway") };
    struct proxy_identity id = { .role = PROXY_GATEWAY, .name = STR("gate"), .ns = STR("edge"), .bind = STR("127.0.0.1"),
                                 .labels = { &label, 1 } };
    const struct proxy_snapshot *s;
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, GATEWAY), 0);
    ck_assert_int_eq(world_parse(&w, cases[_i].in), 0);
    w.mesh = mesh_build(&w.arena, &w.objects, &w.problems, &w.e);
    ck_assert_msg(w.mesh != NULL, "%s", world_problems(&w));
    s = mesh_snapshot(&w.arena, w.mesh, &id, 1, &w.e);
    ck_assert_msg(s != NULL && s->nlisteners == 1, "%s", w.e.msg);
    ck_assert_uint_eq(s->listeners[0].trusted_proxies, cases[_i].trusted);
    ck_assert_int_eq(s->listeners[0].client_cert, cases[_i].details);
    ck_assert_int_eq(s->listeners[0].proxy_protocol, cases[_i].proxy_protocol);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *said;
} problems[] = {
    { DEPLOYMENT("{gatewayTopology: {numTrustedProxies: -1}}"),
      "gatewayTopology.numTrustedProxies: must be a number from 0 to 255\n" },
    { DEPLOYMENT("{gatewayTopology: {numTrustedProxies: a}}"),
      "gatewayTopology.numTrustedProxies: must be a number from 0 to 255\n" },
    { DEPLOYMENT("{gatewayTopology: {numTrustedProxies: 1.5}}"),
      "gatewayTopology.numTrustedProxies: must be a number from 0 to 255\n" },
    { DEPLOYMENT("{gatewayTopology: {forwardClientCertDetails: ALL}}"),
      "gatewayTopology.forwardClientCertDetails: \"ALL\": must be SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET or "
      "ALWAYS_FORWARD_ONLY\n" },
    { DEPLOYMENT("{gatewayTopology: {trusted: 1}}"), "gatewayTopology.trusted: unknown field\n" },
    { DEPLOYMENT("{gatewayTopology: 3}"), "gatewayTopology: must be a map\n" },
    { DEPLOYMENT("{"), "is no YAML: text:2: while parsing a flow node: did not find expected node content\n" },
};

START_TEST(says_what_is_wrong)
{
    struct world w;
    const char *said;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, problems[_i].in), 0);
    mesh_build(&w.arena, &w.objects, &w.problems, &w.e);
    said = world_said(&w);
    ck_assert_msg(strncmp(said, "error: ", 7) == 0 && strstr(said, problems[_i].said), "%s", said);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/gateway_topology");
    TCase *t = tcase_create("topology");

    tcase_add_loop_test(t, is_told_to_gateways, 0, COUNT(cases));
    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(problems));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
