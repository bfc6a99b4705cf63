/* Which PeerAuthentication's word on mutual TLS counts at which port. */
#include "tests/unit/mesh/policy_help.h"

#define PA_IN(ns, name, year) \
    "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " name ", namespace: " ns \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define MESH         PA_IN("istio-system", "m", "2020")
#define NS           PA_IN("shop", "n", "2020")
#define WORKLOAD     PA_IN("shop", "w", "2020") "  selector: {matchLabels: {app: web}}\n"
#define MODE(word)   "  mtls: {mode: " word "}\n"

static const struct {
    const char *what, *in;
    unsigned web, db;
} cases[] = {
    { "nothing said", "", MTLS_PERMISSIVE, MTLS_PERMISSIVE },
    { "an empty one", NS "  {}\n", MTLS_PERMISSIVE, MTLS_PERMISSIVE },
    { "the mesh", MESH MODE("STRICT"), MTLS_STRICT, MTLS_STRICT },
    { "the namespace before the mesh", MESH MODE("STRICT") NS MODE("DISABLE"), MTLS_OFF, MTLS_OFF },
    { "the workload before the namespace", MESH MODE("DISABLE") NS MODE("STRICT") WORKLOAD MODE("PERMISSIVE"), MTLS_PERMISSIVE,
      MTLS_PERMISSIVE },
    { "unset inherits", MESH MODE("STRICT") NS MODE("UNSET") WORKLOAD "  mtls: {}\n", MTLS_STRICT, MTLS_STRICT },
    { "another namespace's", PA_IN("other", "n", "2020") MODE("STRICT"), MTLS_PERMISSIVE, MTLS_PERMISSIVE },
    { "another workload's", PA_IN("shop", "w", "2020") "  selector: {matchLabels: {app: other}}\n" MODE("STRICT"),
      MTLS_PERMISSIVE, MTLS_PERMISSIVE },
    { "a workload's from the root namespace", NS MODE("DISABLE") PA_IN("istio-system", "w", "2020")
      "  selector: {matchLabels: {app: web}}\n" MODE("STRICT"), MTLS_STRICT, MTLS_STRICT },
    { "a selector without labels is none", PA_IN("shop", "s", "2020") "  selector: {}\n" MODE("STRICT") WORKLOAD MODE("DISABLE"),
      MTLS_OFF, MTLS_OFF },

    { "a port", WORKLOAD MODE("STRICT") "  portLevelMtls: {8080: {mode: DISABLE}}\n", MTLS_OFF, MTLS_STRICT },
    { "a port, and what the mesh says of the others", MESH MODE("STRICT") WORKLOAD "  portLevelMtls: {'9000': {mode: PERMISSIVE}}\n",
      MTLS_STRICT, MTLS_PERMISSIVE },
    { "a port that says nothing", NS MODE("STRICT") WORKLOAD "  portLevelMtls: {8080: {mode: UNSET}}\n", MTLS_STRICT,
      MTLS_STRICT },

    { "the oldest of equals", PA_IN("shop", "a", "2022") MODE("DISABLE") PA_IN("shop", "b", "2021") MODE("STRICT"), MTLS_STRICT,
      MTLS_STRICT },
    { "of the same age the first by name", PA_IN("shop", "b", "2021") MODE("DISABLE") PA_IN("shop", "a", "2021") MODE("STRICT"),
      MTLS_STRICT, MTLS_STRICT },
    { "the oldest of the mesh's", PA_IN("istio-system", "a", "2022") MODE("DISABLE") MESH MODE("STRICT"), MTLS_STRICT, MTLS_STRICT },
    { "the oldest of the workload's, alone", PA_IN("shop", "v", "2019") "  selector: {matchLabels: {version: v1}}\n" MODE("DISABLE")
      WORKLOAD MODE("STRICT") "  portLevelMtls: {8080: {mode: STRICT}}\n", MTLS_OFF, MTLS_OFF },
};

START_TEST(says_who_decides)
{
    struct world w;
    const struct proxy_snapshot *s;

    world_init(&w);
    s = policy_snapshot(&w, cases[_i].in, PROXY_SIDECAR);
    ck_assert_msg(policy_at(s, WEB_PORT)->mtls == cases[_i].web, "%s: %u", cases[_i].what, policy_at(s, WEB_PORT)->mtls);
    ck_assert_msg(policy_at(s, DB_PORT)->mtls == cases[_i].db, "%s: %u", cases[_i].what, policy_at(s, DB_PORT)->mtls);
    world_fini(&w);
    world_init(&w);
    ck_assert_int_eq(policy_at(policy_snapshot(&w, cases[_i].in, PROXY_GATEWAY), GATE_PORT)->mtls, MTLS_OFF);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *said;
} problems[] = {
    { NS "  mtls: {mode: ON}\n", "error: spec.mtls.mode: \"ON\" is not one of UNSET, DISABLE, PERMISSIVE, STRICT\n" },
    { NS "  mode: STRICT\n", "error: spec.mode: unknown field\n" },
    { NS "  portLevelMtls: {80: {mode: STRICT}}\n",
      "error: spec.portLevelMtls: needs a selector with labels: ports are a workload's\n" },
    { WORKLOAD "  portLevelMtls: {}\n", "error: spec.portLevelMtls: must name at least one port\n" },
    { WORKLOAD "  portLevelMtls: {0: {mode: STRICT}}\n",
      "error: spec.portLevelMtls.0: \"0\" is no port: a number from 1 to 65535\n" },
    { WORKLOAD "  portLevelMtls: {http: {mode: STRICT}}\n",
      "error: spec.portLevelMtls.http: \"http\" is no port: a number from 1 to 65535\n" },
};

START_TEST(says_what_is_wrong)
{
    struct world w;

    world_init(&w);
    ck_assert_int_eq(world_parse(&w, problems[_i].in), 0);
    ck_assert_ptr_null(mesh_build(&w.arena, &w.objects, &w.problems, &w.e));
    ck_assert_str_eq(world_said(&w), problems[_i].said);
    world_fini(&w);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("mesh/peer_authentication");
    TCase *t = tcase_create("peer_authentication");

    tcase_add_loop_test(t, says_who_decides, 0, COUNT(cases));
    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(problems));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
