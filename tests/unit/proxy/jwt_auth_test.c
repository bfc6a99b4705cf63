/* jwt_auth_test.c: requests with tokens against rules: places, several rules, late keys, what goes upstream. */
#include "proxy/jwt_auth.h"

#include "base/mem.h"
#include "tests/unit/proxy/header_table.h"
#include "tests/unit/proxy/jwt_make.h"
#include "tests/unit/unit.h"

enum { NOW = 1700000000 };

static struct signer alice, bob;
static char *alice_jwks, *bob_jwks; /* what rules hold */
static struct arena arena;

static void setup(void)
{
    alice = ec_signer("P-256");
    bob = ec_signer("P-256");
    alice_jwks = jwks_text(&alice, "a", "");
    bob_jwks = jwks_text(&bob, "b", "");
    arena = (struct arena)ARENA_INIT(1 << 20);
}

static void teardown(void)
{
    arena_free(&arena);
    free(alice_jwks);
    free(bob_jwks);
    EVP_PKEY_free(alice.pkey);
    EVP_PKEY_free(bob.pkey);
}

static struct str token(const struct signer *s, const char *payload)
{
    char *text = token_by(s, "ES256", NULL, payload);
    struct str copy = arena_str(&arena, str_of(text));

    free(text);
    return copy;
}

static struct jwt_rule rule_of(const char *issuer, const char *jwks)
{
    return (struct jwt_rule){ .issuer = str_of(issuer), .jwks = str_of(jwks), .leeway_s = 60 };
}

static struct jwt_answer ask(const struct jwt_auth *auth, const struct header *headers, const char *target)
{
    struct header_source source = header_table(headers);
    struct jwt_answer answer;

    jwt_authenticate(auth, &arena, &source, str_of(target), NOW, &answer);
    return answer;
}

/* One rule, its keys at hand, and no cache. */
static struct jwt_answer ask_rule(const struct jwt_rule *r, const struct header *headers, const char *target)
{
    struct jwt_keys keys;
    struct jwt_auth auth = { r, &keys, 1, NULL };
    struct err e = ERR_INIT;
    struct jwt_answer answer;

    jwt_keys_init(&keys, r, &e);
    ck_assert_msg(keys.state == JWT_KEYS_STATE_THERE, "%s", e.msg);
    answer = ask(&auth, headers, target);
    jwt_keys_fini(&keys);
    return answer;
}

static void expect_answer(struct jwt_answer answer, enum jwt_status status, const char *subject)
{
    ck_assert_msg(answer.status == status, "%s, not %s", jwt_status_text(answer.status), jwt_status_text(status));
    if (subject) {
        ck_assert_ptr_nonnull(answer.token);
        ck_assert_msg(str_eqz(answer.token->subject, subject), "%.*s", STR_ARG(answer.token->subject));
    } else {
        ck_assert_ptr_null(answer.token);
    }
    jwt_put(answer.token);
}

static struct str bearer(struct str t)
{
    return arena_printf(&arena, "Bearer %.*s", STR_ARG(t));
}

/* ---- places ---- */

static const char good[] = "{\"iss\":\"alice\",\"sub\":\"s\"}";

static const char *text(const char *fmt, struct str t)
{
    static char out[4096];
    const char *at = strstr(fmt, "TOKEN");

    snprintf(out, sizeof(out), "%.*s%.*s%s", (int)(at - fmt), fmt, STR_ARG(t), at + 5);
    return out;
}

static const struct {
    const char *header, *value, *target; /* TOKEN is put in */
    bool found;
} places[] = {
    { "authorization", "Bearer TOKEN", "/", true },
    { "authorization", "bearer TOKEN", "/", false }, /* Envoy's prefix minds case */
    { "authorization", "Basic TOKEN", "/", false },
    { "authorization", "Bearer   TOKEN", "/", true },
    { "authorization", "x Bearer TOKEN", "/", true },
    { "x-token", "TOKEN", "/", false },
    { "x", "", "/?access_token=TOKEN", true },
    { "x", "", "/?a=b&access_token=TOKEN&c", true },
    { "x", "", "/?acc%65ss_token=TOKEN", true },
    { "x", "", "/?xaccess_token=TOKEN", false },
    { "x", "", "/access_token=TOKEN", false },
    { "cookie", "access_token=TOKEN", "/", false },
};

START_TEST(looks_in_the_usual_places)
{
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct str t = token(&alice, good);
    struct header headers[] = { { STR("accept"), STR("*") },
                                { str_of(places[_i].header), STR_NULL }, { STR_NULL, STR_NULL } };
    const char *value = places[_i].value, *target = places[_i].target;

    headers[1].value = strstr(value, "TOKEN") ? arena_str(&arena, str_of(text(value, t))) : str_of(value);
    target = strstr(target, "TOKEN") ? arena_cstr(&arena, str_of(text(target, t))) : target;
    expect_answer(ask_rule(&r, headers, target), JWT_OK, places[_i].found ? "s" : NULL);
}
END_TEST

START_TEST(looks_where_a_rule_says)
{
    static const struct jwt_place headers[] = { { STR_INIT("x-token"), STR_INIT("") },
                                                { STR_INIT("x-auth"), STR_INIT("JWT ") } };
    static const struct str params[] = { STR_INIT("t") }, cookies[] = { STR_INIT("session") };
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct str t = token(&alice, good);
    struct header plain[] = { { STR("x-token"), t }, { STR_NULL, STR_NULL } };
    struct header prefixed[] = { { STR("x-auth"), arena_printf(&arena, "JWT %.*s", STR_ARG(t)) },
                                 { STR_NULL, STR_NULL } };
    struct header cookie[] = { { STR("cookie"), STR("a=b; session2=x") },
                               { STR("cookie"), arena_printf(&arena, "c=d; session=\"%.*s\"; e", STR_ARG(t)) },
                               { STR_NULL, STR_NULL } };
    struct header usual[] = { { STR("authorization"), bearer(STR("nonsense")) }, { STR_NULL, STR_NULL } };

    r.headers = headers;
    r.nheaders = 2;
    r.params = params;
    r.nparams = 1;
    r.cookies = cookies;
    r.ncookies = 1;
    expect_answer(ask_rule(&r, plain, "/"), JWT_OK, "s");
    expect_answer(ask_rule(&r, prefixed, "/"), JWT_OK, "s");
    expect_answer(ask_rule(&r, cookie, "/"), JWT_OK, "s");
    expect_answer(ask_rule(&r, usual, text("/?t=TOKEN", t)), JWT_OK, "s");
    expect_answer(ask_rule(&r, usual, "/"), JWT_OK, NULL); /* not one of its places any more */
}
END_TEST

START_TEST(refuses_what_is_not_in_order)
{
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct str audience = STR("x");
    struct header headers[] = { { STR("authorization"), STR("Bearer nonsense") }, { STR_NULL, STR_NULL } };

    expect_answer(ask_rule(&r, headers, "/"), JWT_BAD_FORM, NULL);
    headers[0].value = bearer(token(&bob, good));
    expect_answer(ask_rule(&r, headers, "/"), JWT_BAD_SIGNATURE, NULL);
    headers[0].value = bearer(token(&alice, "{\"iss\":\"bob\"}"));
    expect_answer(ask_rule(&r, headers, "/"), JWT_UNKNOWN_ISSUER, NULL);
    headers[0].value = bearer(token(&alice, "{\"iss\":\"alice\",\"exp\":1}"));
    expect_answer(ask_rule(&r, headers, "/"), JWT_EXPIRED, NULL);
    r.audiences = &audience;
    r.naudiences = 1;
    headers[0].value = bearer(token(&alice, good));
    expect_answer(ask_rule(&r, headers, "/"), JWT_BAD_AUDIENCE, NULL);
    expect_answer(ask_rule(&r, headers + 1, "/?access_token="), JWT_BAD_FORM, NULL);
}
END_TEST

START_TEST(takes_every_token_of_a_request_seriously)
{
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct str ok = token(&alice, good), bad = token(&bob, good);
    struct header both[] = { { STR("authorization"), bearer(ok) }, { STR("authorization"), bearer(bad) },
                             { STR_NULL, STR_NULL } };
    struct header one[] = { { STR("authorization"), bearer(ok) }, { STR_NULL, STR_NULL } };
    struct header many[12];

    expect_answer(ask_rule(&r, both, "/"), JWT_BAD_SIGNATURE, NULL);
    expect_answer(ask_rule(&r, one, text("/?access_token=TOKEN", bad)), JWT_BAD_SIGNATURE, NULL);
    expect_answer(ask_rule(&r, one, text("/?access_token=TOKEN&access_token=x", ok)), JWT_BAD_FORM, NULL);
    expect_answer(ask_rule(&r, one, text("/?access_token=TOKEN", ok)), JWT_OK, "s");
    for (size_t i = 0; i < 11; i++)
        many[i] = (struct header){ STR("authorization"), arena_printf(&arena, "Bearer %zu", i) };
    many[11] = (struct header){ STR_NULL, STR_NULL };
    expect_answer(ask_rule(&r, many, "/"), JWT_TOO_MANY, NULL);
}
END_TEST

/* ---- several rules ---- */

START_TEST(lets_the_rule_of_the_issuer_decide)
{
    struct jwt_rule rules[] = { rule_of("alice", alice_jwks), rule_of("bob", bob_jwks), rule_of("alice", bob_jwks) };
    struct jwt_keys keys[3];
    struct jwt_auth auth = { rules, keys, 3, jwt_cache_new() };
    struct header headers[] = { { STR("authorization"), STR_NULL }, { STR_NULL, STR_NULL } };
    struct jwt_answer answer;

    for (size_t i = 0; i < 3; i++)
        jwt_keys_init(&keys[i], &rules[i], NULL);
    for (int round = 0; round < 2; round++) { /* the second one from the cache */
        headers[0].value = bearer(token(&alice, good));
        expect_answer(ask(&auth, headers, "/"), JWT_OK, "s");
        headers[0].value = bearer(token(&bob, "{\"iss\":\"bob\",\"sub\":\"t\"}"));
        answer = ask(&auth, headers, "/");
        ck_assert_ptr_eq(answer.rule, &rules[1]);
        expect_answer(answer, JWT_OK, "t");
        headers[0].value = bearer(token(&bob, good)); /* the third rule has alice's other keys */
        answer = ask(&auth, headers, "/");
        ck_assert_ptr_eq(answer.rule, &rules[2]);
        expect_answer(answer, JWT_OK, "s");
        headers[0].value = bearer(token(&alice, "{\"iss\":\"bob\"}"));
        expect_answer(ask(&auth, headers, "/"), JWT_BAD_SIGNATURE, NULL);
        headers[0].value = bearer(token(&alice, "{\"iss\":\"carol\"}"));
        expect_answer(ask(&auth, headers, "/"), JWT_UNKNOWN_ISSUER, NULL);
    }
    for (size_t i = 0; i < 3; i++)
        jwt_keys_fini(&keys[i]);
    jwt_cache_free(auth.cache);
}
END_TEST

/* ---- keys ---- */

START_TEST(waits_for_keys)
{
    struct jwt_rule r = { .issuer = STR("alice"), .jwks_uri = STR("https://alice/keys") };
    struct jwks *hers = jwks_of(&alice, "a", ""), *new_ones = jwks_of(&bob, "b", "");
    struct jwt_keys keys;
    struct jwt_auth auth = { &r, &keys, 1, jwt_cache_new() };
    struct header headers[] = { { STR("authorization"), bearer(token(&alice, good)) }, { STR_NULL, STR_NULL } };
    struct header forged[] = { { STR("authorization"), STR("Bearer x") }, { STR_NULL, STR_NULL } };
    struct jwt_answer answer;

    jwt_keys_init(&keys, &r, NULL);
    answer = ask(&auth, headers, "/");
    ck_assert_ptr_eq(answer.rule, &r);
    expect_answer(answer, JWT_KEYS_AWAITED, NULL);
    expect_answer(ask(&auth, forged, "/"), JWT_BAD_FORM, NULL); /* no key would help it */
    expect_answer(ask(&auth, forged + 1, "/"), JWT_OK, NULL);
    jwt_keys_failed(&keys);
    expect_answer(ask(&auth, headers, "/"), JWT_KEYS_UNREACHABLE, NULL);
    jwt_keys_set(&keys, hers);
    expect_answer(ask(&auth, headers, "/"), JWT_OK, "s");
    jwt_keys_failed(&keys); /* the old ones stay */
    expect_answer(ask(&auth, headers, "/"), JWT_OK, "s");
    jwt_keys_set(&keys, new_ones); /* what was verified by other keys counts no more */
    expect_answer(ask(&auth, headers, "/"), JWT_BAD_SIGNATURE, NULL);
    jwt_keys_set(&keys, hers);
    expect_answer(ask(&auth, headers, "/"), JWT_OK, "s");
    jwt_keys_fini(&keys);
    jwt_cache_free(auth.cache);
    jwks_put(hers);
    jwks_put(new_ones);
}
END_TEST

START_TEST(says_when_a_rule_has_no_key)
{
    struct jwt_rule r = rule_of("alice", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}");
    struct header headers[] = { { STR("authorization"), bearer(token(&alice, good)) }, { STR_NULL, STR_NULL } };
    struct jwt_keys keys;
    struct jwt_auth auth = { &r, &keys, 1, NULL };
    struct err e = ERR_INIT;

    jwt_keys_init(&keys, &r, &e);
    ck_assert_int_eq(e.code, ERR_INVALID);
    expect_answer(ask(&auth, headers, "/"), JWT_NO_KEYS, NULL);
    jwt_keys_fini(&keys);
}
END_TEST

START_TEST(remembers_the_latest_tokens)
{
    static struct str texts[3 * JWT_CACHE_TOKENS];
    struct jwt_cache *c = jwt_cache_new();
    struct jwks *k = jwks_of(&alice, "a", ""), *other = jwks_of(&alice, "a", "");
    char payload[40];
    struct jwt *t;
    size_t kept = 0;

    for (size_t i = 0; i < COUNT(texts); i++) {
        snprintf(payload, sizeof(payload), "{\"n\":%zu}", i);
        texts[i] = token(&alice, payload);
        ck_assert_int_eq(jwt_parse(texts[i], &t), JWT_OK);
        jwt_cache_put(c, t, k);
        ck_assert_ptr_eq(jwt_cache_find(c, texts[i], k), t);
        ck_assert_ptr_null(jwt_cache_find(c, texts[i], other));
        ck_assert_ptr_nonnull(jwt_cache_find(c, texts[0], k)); /* what is used stays */
        jwt_put(t);
    }
    for (size_t i = 0; i < COUNT(texts); i++)
        kept += jwt_cache_find(c, texts[i], k) != NULL;
    ck_assert_msg(kept > JWT_CACHE_TOKENS / 2 && kept <= JWT_CACHE_TOKENS, "%zu", kept);
    jwks_put(k);
    jwks_put(other);
    jwt_cache_free(c);
}
END_TEST

START_TEST(does_not_remember_long_tokens)
{
    char payload[JWT_CACHE_LONGEST_TOKEN + 20];
    struct jwt_cache *c = jwt_cache_new();
    struct jwks *k = jwks_of(&alice, "a", "");
    struct jwt *t;

    snprintf(payload, sizeof(payload), "{\"f\":\"%0*d\"}", JWT_CACHE_LONGEST_TOKEN, 0);
    ck_assert_int_eq(jwt_parse(token(&alice, payload), &t), JWT_OK);
    jwt_cache_put(c, t, k);
    ck_assert_ptr_null(jwt_cache_find(c, t->text, k));
    jwt_put(t);
    jwks_put(k);
    jwt_cache_free(c);
}
END_TEST

/* The n-th allocation fails, for each n: nobody gets in by it, and nothing leaks. */
START_TEST(survives_lack_of_memory)
{
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct header headers[] = { { STR("authorization"), bearer(token(&alice, good)) }, { STR_NULL, STR_NULL } };
    struct header_source source = header_table(headers);
    int failed = 1;

    r.payload_header = STR("x-payload");
    for (long n = 1; failed; n++) {
        struct arena a = ARENA_INIT(1 << 16);
        struct jwt_keys keys;
        struct jwt_auth auth = { &r, &keys, 1, NULL };
        struct jwt_answer answer;

        ck_assert_int_lt(n, 100);
        mem_fail_at(n);
        auth.cache = jwt_cache_new();
        jwt_keys_init(&keys, &r, NULL);
        jwt_authenticate(&auth, &a, &source, STR("/"), NOW, &answer);
        failed = mem_has_failed();
        mem_fail_at(0);
        ck_assert(answer.status == JWT_OK ? answer.token != NULL : answer.token == NULL);
        ck_assert(failed || answer.status == JWT_OK);
        jwt_put(answer.token);
        jwt_keys_fini(&keys);
        jwt_cache_free(auth.cache);
        arena_free(&a);
    }
}
END_TEST

/* ---- upstream ---- */

/* "-name" and "name=value", with blanks between. */
static void expect_ops(const struct jwt_answer *answer, const char *want)
{
    struct buf b = BUF_INIT(1 << 16);

    for (size_t i = 0; i < answer->nops; i++) {
        const struct header_op *op = &answer->ops[i];

        if (op->op == HEADER_REMOVE)
            buf_printf(&b, "-%.*s ", STR_ARG(op->name));
        else
            buf_printf(&b, "%.*s=%.*s ", STR_ARG(op->name), STR_ARG(op->value));
    }
    ck_assert_msg(str_eqz(buf_view(&b), want), "got %.*s\nnot %s", STR_ARG(buf_view(&b)), want);
    buf_free(&b);
}

START_TEST(passes_on_what_rules_say)
{
    static const struct jwt_place claims[] = {
        { STR_INIT("x-sub"), STR_INIT("sub") },     { STR_INIT("x-n"), STR_INIT("n") },
        { STR_INIT("x-ok"), STR_INIT("ok") },       { STR_INIT("x-deep"), STR_INIT("a.b") },
        { STR_INIT("x-list"), STR_INIT("list") },   { STR_INIT("x-evil"), STR_INIT("evil") },
        { STR_INIT("x-none"), STR_INIT("nothing") }, { STR_INIT("x-url"), STR_INIT("https://c.d/e") },
    };
    struct jwt_rule r = rule_of("alice", alice_jwks);
    struct str t = token(&alice, "{\"iss\":\"alice\",\"sub\":\"s\",\"n\":7,\"ok\":true,\"a\":{\"b\":\"deep\"},"
                                 "\"list\":[\"l\"],\"evil\":\"a\\r\\nx-admin: yes\",\"https://c.d/e\":\"u\"}");
    struct header headers[] = { { STR("authorization"), bearer(t) }, { STR_NULL, STR_NULL } };
    struct jwt_answer answer;

    r.payload_header = STR("x-payload");
    answer = ask_rule(&r, headers, "/");
    expect_ops(&answer, text("-x-payload -authorization x-payload=TOKEN ", answer.token->payload));
    expect_answer(answer, JWT_OK, "s");
    r.payload_header = STR_NULL;
    r.claim_headers = claims;
    r.nclaim_headers = COUNT(claims);
    r.forward = true;
    answer = ask_rule(&r, headers, "/");
    expect_ops(&answer, "-x-sub -x-n -x-ok -x-deep -x-list -x-evil -x-none -x-url "
                        "x-sub=s x-n=7 x-ok=true x-deep=deep x-url=u ");
    expect_answer(answer, JWT_OK, "s");
    answer = ask_rule(&r, headers + 1, "/"); /* no token: nobody else writes these headers */
    expect_ops(&answer, "-x-sub -x-n -x-ok -x-deep -x-list -x-evil -x-none -x-url ");
    expect_answer(answer, JWT_OK, NULL);
}
END_TEST

static const struct {
    const char *target, *want;
} targets[] = {
    { "/a?access_token=TOKEN", "/a" },
    { "/a?access_token=TOKEN&b=c", "/a?b=c" },
    { "/a?x&access_token=TOKEN&b=c", "/a?x&b=c" },
    { "/a?x=%20&acces%73_token=TOKEN&", "/a?x=%20&" },
};

START_TEST(takes_tokens_out_of_the_query)
{
    struct jwt_rule r = rule_of("alice", alice_jwks);
    const char *target = arena_cstr(&arena, str_of(text(targets[_i].target, token(&alice, good))));
    struct header none[] = { { STR_NULL, STR_NULL } };
    struct jwt_answer answer = ask_rule(&r, none, target);

    ck_assert_msg(str_eqz(answer.target, targets[_i].want), "%.*s", STR_ARG(answer.target));
    expect_answer(answer, JWT_OK, "s");
    r.forward = true;
    answer = ask_rule(&r, none, target);
    ck_assert(str_eqz(answer.target, target));
    expect_answer(answer, JWT_OK, "s");
}
END_TEST

START_TEST(words_refusals_as_envoy)
{
    struct str long_path = arena_printf(&arena, "/%0300d", 0);

    ck_assert(str_eqz(jwt_challenge(&arena, JWT_EXPIRED, STR("http"), STR("a:80"), STR("/x?y")),
                      "Bearer realm=\"http://a:80/x?y\", error=\"invalid_token\""));
    ck_assert(str_eqz(jwt_challenge(&arena, JWT_MISSING, STR("https"), STR("a"), STR("/")),
                      "Bearer realm=\"https://a/\""));
    ck_assert(str_eqz(jwt_challenge(&arena, JWT_MISSING, STR("http"), STR("a"), STR("/\"\\")),
                      "Bearer realm=\"http://a/\\\"\\\\\""));
    ck_assert_uint_eq(jwt_challenge(&arena, JWT_MISSING, STR("http"), STR("a"), long_path).n, 14 + 8 + 256 + 1);
    ck_assert(str_eqz(jwt_details(&arena, JWT_EXPIRED), "jwt_authn_access_denied{Jwt_is_expired}"));
    ck_assert_uint_eq(jwt_status_code(JWT_EXPIRED), 401);
    ck_assert_uint_eq(jwt_status_code(JWT_BAD_AUDIENCE), 403);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("jwt_auth");
    TCase *t = tcase_create("jwt_auth");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, looks_in_the_usual_places, 0, COUNT(places));
    tcase_add_test(t, looks_where_a_rule_says);
    tcase_add_test(t, refuses_what_is_not_in_order);
    tcase_add_test(t, takes_every_token_of_a_request_seriously);
    tcase_add_test(t, lets_the_rule_of_the_issuer_decide);
    tcase_add_test(t, waits_for_keys);
    tcase_add_test(t, says_when_a_rule_has_no_key);
    tcase_add_test(t, remembers_the_latest_tokens);
    tcase_add_test(t, does_not_remember_long_tokens);
    tcase_add_test(t, survives_lack_of_memory);
    tcase_add_test(t, passes_on_what_rules_say);
    tcase_add_loop_test(t, takes_tokens_out_of_the_query, 0, COUNT(targets));
    tcase_add_test(t, words_refusals_as_envoy);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
