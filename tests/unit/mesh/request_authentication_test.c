/* What a RequestAuthentication's YAML becomes, and how several join. */
#include "tests/unit/mesh/policy_help.h"

#define RA_IN(ns, name, year) \
    "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: " name ", namespace: " ns \
    ", creationTimestamp: '" year "-01-01T00:00:00Z'}\nspec:\n"
#define RA         RA_IN("shop", "r", "2020")
#define RULE(rest) "  jwtRules: [{issuer: i, jwksUri: 'https://keys/x'" rest "}]\n"
#define KEYS(text) RA "  jwtRules: [{issuer: i, jwks: '" text "'}]\n"

static void put_list(struct buf *b, const char *what, const struct str *v, size_t n)
{
    if (n)
        buf_printf(b, " %s", what);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s%.*s", i ? "," : "=", STR_ARG(v[i]));
}

static void put_places(struct buf *b, const char *what, const struct jwt_place *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, " %s=%.*s<%.*s>", what, STR_ARG(v[i].name), STR_ARG(v[i].prefix));
}

/* One rule a line. */
static const char *jwt_text(struct world *w, const struct listener_policy *p)
{
    struct buf *b = &w->text;

    buf_reset(b);
    for (size_t i = 0; i < p->njwt; i++) {
        const struct jwt_rule *r = &p->jwt[i];

        buf_printf(b, "%s%.*s uri=%.*s keys=%.*s", i ? "\n" : "", STR_ARG(r->issuer), STR_ARG(r->jwks_uri), STR_ARG(r->jwks));
        put_list(b, "audiences", r->audiences, r->naudiences);
        put_places(b, "header", r->headers, r->nheaders);
        put_list(b, "params", r->params, r->nparams);
        put_list(b, "cookies", r->cookies, r->ncookies);
        if (r->payload_header.n)
            buf_printf(b, " payload=%.*s", STR_ARG(r->payload_header));
        put_places(b, "claim", r->claim_headers, r->nclaim_headers);
        put_list(b, "words", r->space_delimited, r->nspace_delimited);
        buf_printf(b, "%s %d s %d ms", r->forward ? " forward" : "", (int)r->leeway_s, (int)r->timeout_ms);
    }
    return world_text(w);
}

static const struct {
    const char *what, *in, *said;
} cases[] = {
    { "nothing said", "", "" },
    { "no rules", RA "  {}\n", "" },
    { "the defaults", RA RULE(""), "i uri=https://keys/x keys= 60 s 5000 ms" },
    { "all of it",
      RA RULE(", audiences: [a, b], fromHeaders: [{name: X-Token}, {name: Authorization, prefix: 'JWT '}], fromParams: [t], "
              "fromCookies: [c, d], outputPayloadToHeader: X-Payload, outputClaimToHeaders: [{header: X-Sub, claim: sub}, "
              "{header: x_org, claim: org.id}], forwardOriginalToken: true, timeout: 1.5s, spaceDelimitedClaims: [roles]"),
      "i uri=https://keys/x keys= audiences=a,b header=x-token<> header=authorization<JWT > params=t cookies=c,d "
      "payload=x-payload claim=x-sub<sub> claim=x_org<org.id> words=roles forward 60 s 1500 ms" },
    { "snake case", RA "  jwt_rules: [{issuer: i, jwks_uri: 'http://keys:8080/x', from_params: [p]}]\n",
      "i uri=http://keys:8080/x keys= params=p 60 s 5000 ms" },
    { "keys", KEYS("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}"),
      "i uri= keys={\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]} 60 s 5000 ms" },
    { "several join, the oldest first",
      RA_IN("shop", "a", "2022") "  jwtRules: [{issuer: x, jwksUri: 'https://k'}, {issuer: y, jwksUri: 'https://k'}]\n"
      RA_IN("istio-system", "b", "2021") "  jwtRules: [{issuer: z, jwksUri: 'https://k'}]\n",
      "z uri=https://k keys= 60 s 5000 ms\nx uri=https://k keys= 60 s 5000 ms\ny uri=https://k keys= 60 s 5000 ms" },
    { "other workloads'", RA "  selector: {matchLabels: {app: other}}\n" RULE("") RA_IN("other", "o", "2020") RULE(""), "" },
    { "its Service's", RA "  targetRefs: [{kind: Service, name: web}]\n" RULE(""), "i uri=https://keys/x keys= 60 s 5000 ms" },
};

START_TEST(joins_rules)
{
    struct world w;

    world_init(&w);
    ck_assert_msg(strcmp(jwt_text(&w, policy_at(policy_snapshot(&w, cases[_i].in, PROXY_SIDECAR), WEB_PORT)), cases[_i].said) == 0,
                  "%s: %s", cases[_i].what, w.text.p);
    world_fini(&w);
}
END_TEST

static const struct {
    const char *in, *said;
} problems[] = {
    { RA "  jwtRules: [{}]\n", "error: spec.jwtRules[0].issuer: missing: whose tokens are meant; or jwksUri, or jwks\n" },
    { RA "  jwtRules: [{issuer: i}]\n", "warning: spec.jwtRules[0].jwksUri: no keys: an issuer that is no URL cannot be "
                                        "asked for them, every token of it is refused\n" },
    { RA "  jwtRules: [{issuer: 'https://i.example/'}]\n", "" },
    { RA "  jwtRules: [{jwksUri: 'https://x'}]\n", "" },
    { RA "  jwtRules: [{jwksUri: 'ftp://x'}]\n",
      "error: spec.jwtRules[0].jwksUri: \"ftp://x\" begins with neither http:// nor https://\n" },
    { RA "  jwtRules: [{jwksUri: 'https:///x'}]\n", "error: spec.jwtRules[0].jwksUri: \"https:///x\" names no host\n" },
    { RA RULE(", jwks: '{}'"), "error: spec.jwtRules[0].jwksUri: only one of jwks, jwksUri may be given\n"
                               "error: spec.jwtRules[0].jwks: is no set of keys: an object with the list \"keys\"\n" },
    { KEYS("{"), "error: spec.jwtRules[0].jwks: is no JSON: jwks:2: while parsing a flow node: did not find expected node content\n" },
    { KEYS("{\"keys\":[{}]}"), "error: spec.jwtRules[0].jwks: keys[0] is no key: it has no \"kty\"\n" },
    { KEYS("{\"keys\":[{\"kty\":\"RSA\",\"n\":\"a\"}]}"),
      "error: spec.jwtRules[0].jwks: keys[0]: a key of type RSA has \"e\"\n" },
    { KEYS("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"a\",\"y\":\"b\",\"d\":\"c\"}]}"),
      "warning: spec.jwtRules[0].jwks: keys[0] holds its private part, \"d\": who reads this can sign tokens; the public part "
      "is enough\n" },
    { KEYS("{\"keys\":[]}"), "warning: spec.jwtRules[0].jwks: there is no key in it: every token of this issuer is refused\n" },
    { RA RULE(", audiences: ['']"), "error: spec.jwtRules[0].audiences[0]: must not be empty\n" },
    { RA RULE(", fromParams: [a, '']"), "error: spec.jwtRules[0].fromParams[1]: must not be empty\n" },
    { RA RULE(", fromHeaders: [{prefix: x}]"), "error: spec.jwtRules[0].fromHeaders[0].name: missing: the header's name\n" },
    { RA RULE(", fromHeaders: [{name: 'a b'}]"),
      "error: spec.jwtRules[0].fromHeaders[0].name: \"a b\" is no header name\n" },
    { RA RULE(", outputPayloadToHeader: ':path'"),
      "error: spec.jwtRules[0].outputPayloadToHeader: \":path\" is no header name\n" },
    { RA RULE(", outputClaimToHeaders: [{header: a, claim: ''}]"),
      "error: spec.jwtRules[0].outputClaimToHeaders[0].claim: missing: the claim's name\n" },
    { RA RULE(", outputClaimToHeaders: [{header: a, claim: b}, {header: A, claim: c}]"),
      "error: spec.jwtRules[0].outputClaimToHeaders[1].header: \"a\" stands twice: also on line 6\n" },
    { RA RULE(", timeout: 0s"), "error: spec.jwtRules[0].timeout: must be 1ms or more\n" },
    { RA RULE(", issuers: a"), "error: spec.jwtRules[0].issuers: unknown field: did you mean \"issuer\"?\n" },
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
    Suite *s = suite_create("mesh/request_authentication");
    TCase *t = tcase_create("request_authentication");

    tcase_add_loop_test(t, joins_rules, 0, COUNT(cases));
    tcase_add_loop_test(t, says_what_is_wrong, 0, COUNT(problems));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
