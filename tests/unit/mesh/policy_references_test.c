/* What is said of policies beside all other objects. */
#include "tests/unit/mesh/policy_help.h"

#define SECURITY(kind, ns, name, year) \
    "---\napiVersion: security.istio.io/v1\nkind: " kind "\nmetadata: {name: " name ", namespace: " ns \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define AP(ns) SECURITY("AuthorizationPolicy", ns, "a", "2020")
#define RA(ns) SECURITY("RequestAuthentication", ns, "r", "2020") "  jwtRules: [{issuer: i, jwksUri: 'https://k'}]\n"
#define PA(ns, name, year) SECURITY("PeerAuthentication", ns, name, year)
#define T(ns, name, year) \
    "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: " name ", namespace: " ns \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define DEPLOYMENT \
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: shop}\nspec: {selector: {matchLabels: {app: d}}, " \
    "template: {metadata: {labels: {app: d}}, spec: {containers: []}}}\n"
#define FOR(label)  "  selector: {matchLabels: {" label "}}\n"
#define TOKENS      "  rules: [{from: [{source: {requestPrincipals: ['*']}}]}]\n"
#define NOBODY      "info: spec.selector: selects no Pod, WorkloadEntry, template nor gateway that is there: nobody has this policy\n"
#define NO_TOKENS \
    "warning: spec.rules: asks for what tokens say, and no RequestAuthentication of this namespace nor of istio-system reads any\n"

static const struct {
    const char *what, *in, *said;
} cases[] = {
    { "a Pod", AP("shop") FOR("app: web"), "" },
    { "no Pod", AP("shop") FOR("app: wep"), NOBODY },
    { "a Pod elsewhere", AP("other") FOR("app: web"), NOBODY },
    { "a Pod, from the root namespace", AP("istio-system") FOR("app: web"), "" },
    { "a template", DEPLOYMENT AP("shop") FOR("app: d"), "" },
    { "a gateway", AP("shop") FOR("istio: ingressgateway"), "" },
    { "whatever the kind", PA("shop", "p", "2020") FOR("x: y") T("shop", "t", "2020") FOR("x: y"), NOBODY NOBODY },
    { "a Service", AP("shop") "  targetRef: {kind: Service, name: web}\n",
      "info: spec.targetRef.kind: there are no waypoints: the sidecars of the Service's Pods apply it\n" },
    { "no Service", AP("shop") "  targetRef: {kind: Service, name: wep}\n",
      "info: spec.targetRef.kind: there are no waypoints: the sidecars of the Service's Pods apply it\n"
      "warning: spec.targetRef.name: there is no Service wep in this namespace: nobody has this policy\n" },

    { "two of a namespace", PA("shop", "a", "2021") "  {}\n" PA("shop", "b", "2020") "  {}\n",
      "warning: : PeerAuthentication shop/b is older and for the same namespace: this one is not used\n" },
    { "two namespaces", PA("shop", "a", "2021") "  {}\n" PA("other", "b", "2020") "  {}\n", "" },
    { "a namespace and a workload", PA("shop", "a", "2021") "  {}\n" PA("shop", "b", "2020") FOR("app: web"), "" },
    { "two Telemetries", T("shop", "a", "2020") "  {}\n" T("shop", "b", "2020") "  {}\n",
      "warning: : Telemetry shop/a is older and for the same namespace: this one is not used\n" },

    { "tokens that nobody reads", AP("shop") TOKENS, NO_TOKENS },
    { "claims that nobody reads", AP("shop") "  rules: [{}, {when: [{key: 'request.auth.claims[a]', values: [b]}]}]\n", NO_TOKENS },
    { "tokens", RA("shop") AP("shop") TOKENS, "" },
    { "tokens read by all", RA("istio-system") AP("shop") TOKENS, "" },
    { "tokens read elsewhere", RA("other") AP("shop") TOKENS, NO_TOKENS },
    { "tokens that some namespace may read", AP("istio-system") TOKENS, "" },
};

START_TEST(says_what_will_not_work)
{
    struct world w;

    world_init(&w);
    policy_snapshot(&w, cases[_i].in, PROXY_SIDECAR);
    ck_assert_msg(strcmp(world_said(&w), cases[_i].said) == 0, "%s: %s", cases[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/policy_references");
    TCase *t = tcase_create("policy_references");

    tcase_add_loop_test(t, says_what_will_not_work, 0, COUNT(cases));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
