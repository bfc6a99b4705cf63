/* What an AuthorizationPolicy's YAML becomes, whom it is for, and what is said of it. */
#include "tests/unit/mesh/policy_help.h"

#define AP_IN(ns, name) \
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " name ", namespace: " ns "}\nspec:\n"
#define AP            AP_IN("shop", "p")
#define FROM(source)  AP "  rules: [{from: [{source: {" source "}}]}]\n"
#define TO(operation) AP "  rules: [{to: [{operation: {" operation "}}]}]\n"
#define WHEN(key, rest) AP "  rules: [{when: [{key: '" key "', " rest "}]}]\n"
#define RULE "  rules: [{to: [{operation: {ports: ['80']}}]}]\n"

/* ---- rules ---- */

static const struct {
    const char *in, *said;
} rules[] = {
    { "", "else allow" },
    { AP "  {}\n", "ALLOW shop/p: never\nelse deny" },
    { AP "  rules: [{}]\n", "ALLOW shop/p:\nelse deny" },
    { AP "  action: DENY\n  rules: [{}]\n", "DENY shop/p:\nelse allow" },
    { AP "  action: AUDIT\n  rules: [{}]\n", "AUDIT shop/p:\nelse allow" },

    /* from */
    { FROM("principals: [cluster.local/ns/a/sa/b, cluster.local/*, '*/sa/b', '*']"),
      "ALLOW shop/p: from(principal cluster.local/ns/a/sa/b cluster.local/* */sa/b *)\nelse deny" },
    { FROM("notPrincipals: ['*']"), "ALLOW shop/p: from(!principal *)\nelse deny" },
    { FROM("namespaces: [a, b*], notNamespaces: ['*c']"),
      "ALLOW shop/p: from(namespace a b*; !namespace *c)\nelse deny" },
    { FROM("serviceAccounts: [mine, other/theirs]"), "ALLOW shop/p: from(account shop/mine other/theirs)\nelse deny" },
    { FROM("trustDomains: [a.b]"), "ALLOW shop/p: from(domain a.b)\nelse deny" },
    { FROM("requestPrincipals: ['https://a/*'], notRequestPrincipals: [x/y]"),
      "ALLOW shop/p: from(user https://a/*; !user x/y) http\nelse deny" },
    { FROM("ipBlocks: [10.1.2.3, 10.1.255.0/20, '2001:db8::1', '2001:db8:ffff::/33', 0.0.0.0/0]"),
      "ALLOW shop/p: from(peer ::ffff:10.1.2.3/128 ::ffff:10.1.240.0/116 2001:db8::1/128 2001:db8:8000::/33 "
      "::ffff:0.0.0.0/96)\nelse deny" },
    { FROM("remoteIpBlocks: [1.2.3.4], notRemoteIpBlocks: [1.0.0.0/8]"),
      "ALLOW shop/p: from(remote ::ffff:1.2.3.4/128; !remote ::ffff:1.0.0.0/104)\nelse deny" },

    /* to */
    { TO("hosts: [A.Example, '*.B'], notHosts: [c]"), "ALLOW shop/p: to(host a.example *.b; !host c) http\nelse deny" },
    { TO("ports: ['80', '0443'], notPorts: ['0']"), "ALLOW shop/p: to(port 80 443; !port 0)\nelse deny" },
    { TO("methods: [GET], notMethods: [POST]"), "ALLOW shop/p: to(method GET; !method POST) http\nelse deny" },
    { TO("paths: [/a, /b/*, '*/c', '*', '/*x'], notPaths: [/d]"),
      "ALLOW shop/p: to(path /a /b/* */c * /*x; !path /d) http\nelse deny" },
    { TO("paths: ['/a/{*}/b/{**}', '/{**}/x', '/a/{b}']"),
      "ALLOW shop/p: to(path ~/a/{*}/b/{**} ~/{**}/x /a/{b}) http\nelse deny" },

    /* when */
    { WHEN("request.headers[X-Token]", "values: ['t-*'], notValues: [t-0]"),
      "ALLOW shop/p: when(header[x-token] t-*; !header[x-token] t-0) http\nelse deny" },
    { WHEN("request.headers[:authority]", "values: [a]"), "ALLOW shop/p: when(header[:authority] a) http\nelse deny" },
    { WHEN("request.auth.principal", "values: [a/b]"), "ALLOW shop/p: when(user a/b) http\nelse deny" },
    { WHEN("request.auth.audiences", "values: [a]"), "ALLOW shop/p: when(audience a) http\nelse deny" },
    { WHEN("request.auth.presenter", "values: [a]"), "ALLOW shop/p: when(presenter a) http\nelse deny" },
    { WHEN("request.auth.claims[iss]", "values: [a]"), "ALLOW shop/p: when(claim[iss] a) http\nelse deny" },
    { WHEN("request.auth.claims[a b][c]", "values: [a]"), "ALLOW shop/p: when(claim[a b\001c] a) http\nelse deny" },
    { WHEN("source.ip", "values: [10.0.0.0/8]"), "ALLOW shop/p: when(peer ::ffff:10.0.0.0/104)\nelse deny" },
    { WHEN("remote.ip", "notValues: [10.0.0.0/8]"), "ALLOW shop/p: when(!remote ::ffff:10.0.0.0/104)\nelse deny" },
    { WHEN("destination.ip", "values: ['::1']"), "ALLOW shop/p: when(to-ip ::1/128)\nelse deny" },
    { WHEN("destination.port", "values: ['80']"), "ALLOW shop/p: when(port 80)\nelse deny" },
    { WHEN("source.namespace", "values: [a]"), "ALLOW shop/p: when(namespace a)\nelse deny" },
    { WHEN("source.principal", "values: [a]"), "ALLOW shop/p: when(principal a)\nelse deny" },
    { WHEN("source.serviceAccount", "values: [a]"), "ALLOW shop/p: when(account shop/a)\nelse deny" },
    { WHEN("source.trustDomain", "values: [a]"), "ALLOW shop/p: when(domain a)\nelse deny" },
    { WHEN("connection.sni", "values: ['*.a']"), "ALLOW shop/p: when(sni *.a)\nelse deny" },

    /* all together: lists are alternatives, fields of one are not */
    { AP "  rules:\n  - from: [{source: {principals: [a], notNamespaces: [x]}}, {source: {namespaces: [b]}}]\n"
      "    to: [{operation: {methods: [GET], ports: ['80']}}, {operation: {ports: ['81']}}]\n"
      "    when: [{key: source.ip, values: [1.1.1.1]}, {key: connection.sni, values: [c]}]\n  - {}\n",
      "ALLOW shop/p: from(principal a; !namespace x) from(namespace b) to(port 80; method GET) to(port 81) "
      "when(peer ::ffff:1.1.1.1/128; sni c) http\nALLOW shop/p:\nelse deny" },

    /* what is not offered opens no door */
    { AP "  rules: [{to: [{operation: {ports: ['1']}}]}, {when: [{key: 'experimental.envoy.filters.a.b[c]', values: [d]}]}]\n",
      "ALLOW shop/p: to(port 1)\nelse deny" },
    { AP "  rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', notValues: [d]}]}]\n", "ALLOW shop/p: never\nelse deny" },
    { AP "  action: DENY\n  rules: [{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [d]}, {key: connection.sni, "
      "values: [e]}]}]\n", "DENY shop/p: when(sni e)\nelse allow" },
    { AP "  action: CUSTOM\n  provider: {name: x}\n  rules: [{to: [{operation: {paths: [/a]}}]}]\n",
      "DENY shop/p: to(path /a) http\nelse allow" },
};

START_TEST(compiles_rules)
{
    struct world w;

    world_init(&w);
    ck_assert_str_eq(policies_text(&w, policy_at(policy_snapshot(&w, rules[_i].in, PROXY_SIDECAR), WEB_PORT)),
                     rules[_i].said);
    world_fini(&w);
}
END_TEST

/* ---- whom it is for ---- */

#define REF(group, kind, name) "  targetRefs: [{group: " group ", kind: " kind ", name: " name "}]\n"
#define DRY_RUN(value) \
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop, annotations: " \
    "{istio.io/dry-run: '" value "'}}\nspec:\n"

static const struct {
    const char *what, *in;
    bool web, db, gate; /* whether it counts there */
} scopes[] = {
    { "its own namespace", AP RULE, true, true, true },
    { "not another", AP_IN("other", "p") RULE, false, false, false },
    { "the root namespace is for all", AP_IN("istio-system", "p") RULE, true, true, true },
    { "labels", AP "  selector: {matchLabels: {app: web, version: v1}}\n" RULE, true, true, false },
    { "labels of a gateway", AP "  selector: {matchLabels: {istio: ingressgateway}}\n" RULE, false, false, true },
    { "labels in the root namespace", AP_IN("istio-system", "p") "  selector: {matchLabels: {app: web}}\n" RULE, true, true,
      false },
    { "one label too many", AP "  selector: {matchLabels: {app: web, tier: x}}\n" RULE, false, false, false },
    { "an empty value is asked for", AP "  selector: {matchLabels: {app: ''}}\n" RULE, false, false, true },
    { "no labels are all", AP "  selector: {}\n" RULE, true, true, true },
    { "a Service: the ports that it leads to", AP REF("''", "Service", "web") RULE, true, false, false },
    { "a Service of group core", AP REF("core", "Service", "db") RULE, false, true, false },
    { "a Service of other Pods", AP REF("''", "Service", "other") RULE, false, false, false },
    { "a Service that is not there", AP REF("''", "Service", "none") RULE, false, false, false },
    { "a Service in the policy's namespace alone", AP_IN("istio-system", "p") REF("''", "Service", "web") RULE, false, false,
      false },
    { "the old form", AP "  targetRef: {kind: Service, name: web}\n" RULE, true, false, false },
    { "a gateway", AP REF("gateway.networking.k8s.io", "Gateway", "gw") RULE, false, false, true },
    { "another gateway", AP REF("gateway.networking.k8s.io", "Gateway", "gv") RULE, false, false, false },
    { "what has no waypoint", AP REF("networking.istio.io", "ServiceEntry", "web") RULE, false, false, false },
    { "a dry run", DRY_RUN("true") RULE, false, false, false },
    { "no dry run", DRY_RUN("F") RULE, true, true, true },
};

START_TEST(chooses_workloads)
{
    struct world w;
    const struct proxy_snapshot *s;

    world_init(&w);
    s = policy_snapshot(&w, scopes[_i].in, PROXY_SIDECAR);
    ck_assert_msg(policy_at(s, WEB_PORT)->npolicies == scopes[_i].web, "%s", scopes[_i].what);
    ck_assert_msg(policy_at(s, DB_PORT)->npolicies == scopes[_i].db, "%s", scopes[_i].what);
    ck_assert_int_eq(policy_at(s, WEB_PORT)->default_deny, scopes[_i].web);
    world_fini(&w);
    world_init(&w);
    s = policy_snapshot(&w, scopes[_i].in, PROXY_GATEWAY);
    ck_assert_msg(policy_at(s, GATE_PORT)->npolicies == scopes[_i].gate, "%s", scopes[_i].what);
    ck_assert_int_eq(policy_at(s, GATE_PORT)->default_deny, scopes[_i].gate);
    world_fini(&w);
}
END_TEST

START_TEST(orders_by_action_and_name)
{
    struct world w;
    const struct proxy_snapshot *s;

    world_init(&w);
    s = policy_snapshot(&w,
                        AP_IN("shop", "z") "  action: AUDIT\n  rules: [{}]\n" AP_IN("shop", "b") "  rules: [{}]\n"
                        AP_IN("shop", "y") "  action: DENY\n  rules: [{}]\n" AP_IN("shop", "a") "  rules: [{}]\n"
                        AP_IN("shop", "x") "  action: CUSTOM\n  provider: {name: q}\n  rules: [{}]\n"
                        AP_IN("istio-system", "w") "  action: DENY\n  rules: [{}]\n",
                        PROXY_SIDECAR);
    ck_assert_str_eq(policies_text(&w, policy_at(s, WEB_PORT)),
                     "DENY shop/x:\nDENY istio-system/w:\nDENY shop/y:\nALLOW shop/a:\nALLOW shop/b:\nAUDIT shop/z:\n"
                     "else deny");
    for (size_t i = 0; i < s->nlisteners; i++)
        ck_assert(s->listeners[i].direction != LISTENER_OUTBOUND || s->listeners[i].policy.npolicies == 0);
    world_fini(&w);
}
END_TEST

/* ---- what is said ---- */

static const struct {
    const char *in, *said; /* all that is said, the object's name left out */
} problems[] = {
    { AP "  selector: {matchLabels: {a: 'x*'}}\n",
      "error: spec.selector.matchLabels: \"a=x*\": wildcards are not supported in a selector\n" },
    { AP "  selector: {matchLabels: {'': x}}\n", "error: spec.selector.matchLabels: a label's name must not be empty\n" },
    { AP "  selector: {}\n", "warning: spec.selector: selects by no labels: the same as no selector\n" },
    { AP "  selector: {matchLabels: {a: b}}\n  targetRef: {kind: Service, name: web}\n",
      "info: spec.targetRef.kind: there are no waypoints: the sidecars of the Service's Pods apply it\n"
      "error: spec.selector: only one of targetRefs or selector may be given\n" },
    { AP "  targetRef: {kind: Service}\n",
      "error: spec.targetRef.name: missing: targetRef name must be set\n"
      "info: spec.targetRef.kind: there are no waypoints: the sidecars of the Service's Pods apply it\n" },
    { AP "  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a, namespace: b}]\n",
      "error: spec.targetRefs[0].namespace: must not be set: a target is in the policy's own namespace\n" },
    { AP "  targetRefs: [{group: x, kind: Gateway, name: a}]\n",
      "error: spec.targetRefs[0].kind: x/Gateway is no target: Gateway or GatewayClass of gateway.networking.k8s.io, "
      "Service, or ServiceEntry of networking.istio.io\n" },
    { AP "  targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: a}]\n",
      "warning: spec.targetRefs[0].kind: kept, not applied: a GatewayClass is the target of waypoints' policies, and there "
      "are no waypoints\n" },
    { AP "  action: DENY\n",
      "error: spec.rules: missing: DENY without rules does nothing; an empty rule, {}, is for every request\n" },
    { AP "  action: REFUSE\n", "error: spec.action: \"REFUSE\" is not one of ALLOW, DENY, AUDIT, CUSTOM\n" },
    { AP "  provider: {name: x}\n", "error: spec.provider: goes with CUSTOM alone\n" },
    { AP "  action: CUSTOM\n  rules: [{}]\n",
      "error: spec.provider: missing: CUSTOM names the provider that is asked\n" },
    { AP "  action: CUSTOM\n  provider: {name: ''}\n  rules: [{}]\n",
      "error: spec.provider.name: missing: CUSTOM names the provider that is asked\n" },
    { AP "  action: CUSTOM\n  provider: {name: x}\n  rules: [{from: [{source: {namespaces: [a]}}]}]\n",
      "error: spec.rules[0].from[0].source.namespaces: is not supported with CUSTOM\n"
      "warning: spec.provider.name: there is no provider \"x\" to ask: what the rules match is denied\n" },
    { AP "  action: CUSTOM\n  provider: {name: x}\n  rules: [{when: [{key: request.auth.principal, values: [a]}]}]\n",
      "error: spec.rules[0].when[0].key: request.auth.principal is not supported with CUSTOM\n"
      "warning: spec.provider.name: there is no provider \"x\" to ask: what the rules match is denied\n" },
    { DRY_RUN("perhaps") RULE, "error: metadata.annotations.istio.io/dry-run: \"perhaps\" is neither true nor false\n" },
    { DRY_RUN("1") RULE, "warning: metadata.annotations.istio.io/dry-run: checked and not applied: nothing is denied nor "
                         "recorded by a dry run\n" },

    /* rules */
    { AP "  rules: [{from: []}]\n", "error: spec.rules[0].from: must not be empty: without it any source is meant\n" },
    { AP "  rules: [{to: []}]\n", "error: spec.rules[0].to: must not be empty: without it any operation is meant\n" },
    { AP "  rules: [{from: [{}]}]\n", "error: spec.rules[0].from[0].source: missing\n" },
    { AP "  rules: [{from: [{source: {}}]}]\n",
      "error: spec.rules[0].from[0].source: must not be empty: without `from` any source is meant\n" },
    { AP "  rules: [{to: [{operation: {paths: []}}]}]\n",
      "error: spec.rules[0].to[0].operation: must not be empty: without `to` any operation is meant\n" },
    { FROM("principal: [a]"), "error: spec.rules[0].from[0].source.principal: unknown field: did you mean \"principals\"?\n"
                              "error: spec.rules[0].from[0].source: must not be empty: without `from` any source is meant\n" },
    { FROM("principals: [a, '']"), "error: spec.rules[0].from[0].source.principals[1]: must not be empty\n" },
    { FROM("principals: ['spiffe://a/ns/b/sa/c']"),
      "warning: spec.rules[0].from[0].source.principals[0]: \"spiffe://a/ns/b/sa/c\" is nobody's: a principal is written "
      "without spiffe://, as in cluster.local/ns/NAMESPACE/sa/NAME\n" },
    { FROM("namespaces: ['a*b']"), "error: spec.rules[0].from[0].source.namespaces[0]: \"a*b\": one '*' may stand, at the "
                                   "beginning or at the end\n" },
    { FROM("serviceAccounts: [a/b/c]"), "error: spec.rules[0].from[0].source.serviceAccounts[0]: \"a/b/c\" is no service "
                                        "account: NAMESPACE/NAME, or NAME in the policy's namespace, without '*'\n" },
    { FROM("serviceAccounts: [a], notNamespaces: [b]"),
      "error: spec.rules[0].from[0].source: service accounts cannot be given with principals or namespaces\n" },
    { FROM("ipBlocks: [10.0.0.0/33]"), "error: spec.rules[0].from[0].source.ipBlocks[0]: \"10.0.0.0/33\" is no address nor "
                                       "net, as in 10.1.0.0/16 or 2001:db8::/32\n" },
    { FROM("notIpBlocks: [here]"), "error: spec.rules[0].from[0].source.notIpBlocks[0]: \"here\" is no address nor net, as in "
                                   "10.1.0.0/16 or 2001:db8::/32\n" },
    { TO("ports: ['65536']"),
      "error: spec.rules[0].to[0].operation.ports[0]: \"65536\" is no port: a number from 0 to 65535\n" },
    { TO("ports: [80]"), "error: spec.rules[0].to[0].operation.ports[0]: must be a string: write \"80\" in quotes\n" },
    { TO("paths: ['/{**}/a/{*}']"),
      "error: spec.rules[0].to[0].operation.paths[0]: \"/{**}/a/{*}\": no {*} nor {**} may come after {**}\n" },
    { TO("paths: ['/a{*}']"), "error: spec.rules[0].to[0].operation.paths[0]: \"/a{*}\": a path template's segments are {*}, "
                              "{**}, or text without '*', '{' and '}'\n" },
    { TO("notPaths: ['/{*}/{x}']"), "error: spec.rules[0].to[0].operation.notPaths[0]: \"/{*}/{x}\": a path template's "
                                    "segments are {*}, {**}, or text without '*', '{' and '}'\n" },
    { TO("paths: ['a/{*}']"),
      "error: spec.rules[0].to[0].operation.paths[0]: \"a/{*}\": a path template begins with '/'\n" },

    /* when */
    { AP "  rules: [{when: [{values: [a]}]}]\n", "error: spec.rules[0].when[0].key: missing\n" },
    { WHEN("source.ip", "values: []"), "error: spec.rules[0].when[0]: at least one of values or notValues must be given\n" },
    { WHEN("source.ip", "values: [x]"), "error: spec.rules[0].when[0].values[0]: \"x\" is no address nor net, as in "
                                        "10.1.0.0/16 or 2001:db8::/32\n" },
    { WHEN("source.ipp", "values: [x]"),
      "error: spec.rules[0].when[0].key: unknown attribute \"source.ipp\": did you mean \"source.ip\"?\n" },
    { WHEN("colour", "values: [x]"), "error: spec.rules[0].when[0].key: unknown attribute \"colour\"\n" },
    { WHEN("source.ip[a]", "values: [x]"),
      "error: spec.rules[0].when[0].key: unknown attribute \"source.ip[a]\": did you mean \"source.ip\"?\n" },
    { WHEN("destination.labels[a]", "values: [x]"), "error: spec.rules[0].when[0].key: \"destination.labels[a]\" is no longer "
                                                    "asked for: use the policy's selector\n" },
    { WHEN("request.headers", "values: [x]"),
      "error: spec.rules[0].when[0].key: \"request.headers\": must be request.headers[NAME]\n" },
    { WHEN("request.headers[a][b]", "values: [x]"),
      "error: spec.rules[0].when[0].key: \"request.headers[a][b]\": must be request.headers[NAME]\n" },
    { WHEN("request.auth.claims[]", "values: [x]"),
      "error: spec.rules[0].when[0].key: \"request.auth.claims[]\": must be request.auth.claims[NAME]\n" },
    { WHEN("request.auth.claims[a]b", "values: [x]"),
      "error: spec.rules[0].when[0].key: \"request.auth.claims[a]b\": must be request.auth.claims[NAME]\n" },
    { WHEN("experimental.envoy.filters.a[b]", "values: [x]"),
      "warning: spec.rules[0].when[0].key: not applied: there are no Envoy filters: the rule never holds\n" },
    { AP "  action: DENY\n  rules: [{when: [{key: 'experimental.envoy.filters.a[b]', values: [x]}]}]\n",
      "warning: spec.rules[0].when[0].key: not applied: there are no Envoy filters: the rule holds without asking for it\n" },

    /* a denial that is wider on TCP */
    { AP "  action: DENY\n  rules: [{to: [{operation: {methods: [GET]}}]}]\n",
      "warning: spec.rules[0]: on TCP ports, too, this denies, and there without what only HTTP knows: name the ports that "
      "are meant\n" },
    { AP "  action: DENY\n  rules: [{from: [{source: {requestPrincipals: ['*']}}]}]\n",
      "warning: spec.rules[0]: on TCP ports, too, this denies, and there without what only HTTP knows: name the ports that "
      "are meant\n"
      "warning: spec.rules: asks for what tokens say, and no RequestAuthentication of this namespace nor of istio-system reads "
      "any\n" },
    { AP "  action: DENY\n  rules: [{from: [{source: {principals: [a]}}]}, {to: [{operation: {methods: [GET], ports: "
      "['80']}}]}]\n", "" },
};

START_TEST(says_what_is_wrong)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, problems[_i].in), 0);
    mesh_build(&w.arena, &w.objects, &w.problems, &w.e);
    ck_assert_str_eq(world_said(&w), problems[_i].said);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/authorization_policy");
    TCase *t = tcase_create("authorization_policy");

    tcase_add_loop_test(t, compiles_rules, 0, COUNT(rules));
    tcase_add_loop_test(t, chooses_workloads, 0, COUNT(scopes));
    tcase_add_test(t, orders_by_action_and_name);
    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(problems));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
