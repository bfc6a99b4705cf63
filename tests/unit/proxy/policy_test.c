/* policy_test.c: conditions one by one, then rules, then the order of policies. */
#include "proxy/policy.h"
#include "tests/unit/proxy/header_table.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>

/* ---- facts ---- */

static const struct header fields[] = {
    { STR_INIT("x-one"), STR_INIT("1") },   { STR_INIT("x-list"), STR_INIT("a") },
    { STR_INIT("x-list"), STR_INIT("b,c") }, { STR_INIT("x-list"), STR_INIT("") },
    { STR_INIT("x-empty"), STR_INIT("") },  { STR_INIT(":authority"), STR_INIT("Shop.example.com:8080") },
    { STR_NULL, STR_NULL },
};

static struct jwt token;

static struct policy_facts facts(void)
{
    return (struct policy_facts){
        .principal = STR("spiffe://cluster.local/ns/shop/sa/frontend"),
        .peer_ip = policy_ip_parse(STR("10.1.2.3")),
        .remote_ip = policy_ip_parse(STR("203.0.113.7")),
        .destination_ip = policy_ip_parse(STR("fd00::1")),
        .destination_port = 8080,
        .sni = STR("shop.example.com"),
        .http = true,
        .method = STR("GET"),
        .host = STR("Shop.example.com:8080"),
        .path = STR("/admin/users/7"),
        .headers = header_table(fields),
        .token = &token,
    };
}

static void setup(void)
{
    token = (struct jwt){ .issuer = STR("https://issuer.example/"), .subject = STR("alice") };
    token.claims = json_loads("{\"iss\":\"https://issuer.example/\",\"sub\":\"alice\",\"aud\":[\"a1\",\"a2\"],"
                              "\"azp\":\"app\",\"groups\":[\"dev\",\"ops\",7],\"scope\":\"read write\","
                              "\"note\":\"two words\",\"n\":7,\"realm\":{\"roles\":[\"admin\"]}}",
                              0, NULL);
    ck_assert_ptr_nonnull(token.claims);
}

static void teardown(void)
{
    json_decref(token.claims);
}

/* ---- one condition in one rule of one policy ---- */

static bool holds(const struct policy_condition *c, enum policy_action action, const struct policy_facts *f)
{
    struct policy_rule r = { .when = { c, 1 }, .http_only = false };
    struct policy p = { STR("ns"), STR("p"), action, &r, 1, false };
    struct listener_policy l = { .policies = &p, .npolicies = 1, .default_deny = action == POLICY_ALLOW };
    struct policy_verdict v;

    policy_decide(&l, f, &v);
    return v.by.policy || v.naudits;
}

/* "x" exact, "x*" prefix, "*x" suffix, "*" presence, "{" anywhere: a template. */
static struct policy_value value(const char *s)
{
    struct str t = str_of(s);

    if (str_chr(t, '{') >= 0)
        return (struct policy_value){ POLICY_TEMPLATE, t };
    if (str_eqz(t, "*"))
        return (struct policy_value){ POLICY_PRESENT, STR("") };
    if (t.n && t.p[0] == '*')
        return (struct policy_value){ POLICY_SUFFIX, str_from(t, 1) };
    if (t.n && t.p[t.n - 1] == '*')
        return (struct policy_value){ POLICY_PREFIX, { t.p, t.n - 1 } };
    return (struct policy_value){ POLICY_EXACT, t };
}

static const struct {
    enum policy_key key;
    const char *name, *value;
    bool holds;
} single[] = {
    { POLICY_PRINCIPAL, "", "cluster.local/ns/shop/sa/frontend", true },
    { POLICY_PRINCIPAL, "", "spiffe://cluster.local/ns/shop/sa/frontend", false },
    { POLICY_PRINCIPAL, "", "cluster.local/ns/shop/sa/front", false },
    { POLICY_PRINCIPAL, "", "other.local/ns/shop/sa/frontend", false },
    { POLICY_PRINCIPAL, "", "cluster.local/ns/shop/*", true },
    { POLICY_PRINCIPAL, "", "*/ns/shop/sa/frontend", true },
    { POLICY_PRINCIPAL, "", "*/sa/backend", false },
    { POLICY_PRINCIPAL, "", "*", true },
    { POLICY_NAMESPACE, "", "shop", true },
    { POLICY_NAMESPACE, "", "sho", false },
    { POLICY_NAMESPACE, "", "sh*", true },
    { POLICY_NAMESPACE, "", "*op", true },
    { POLICY_NAMESPACE, "", "*", true },
    { POLICY_SERVICE_ACCOUNT, "", "shop/frontend", true },
    { POLICY_SERVICE_ACCOUNT, "", "shop/front", false },
    { POLICY_SERVICE_ACCOUNT, "", "other/frontend", false },
    { POLICY_SERVICE_ACCOUNT, "", "shop/fr*", true },
    { POLICY_SERVICE_ACCOUNT, "", "sh*", true },
    { POLICY_SERVICE_ACCOUNT, "", "shopp*", false },
    { POLICY_SERVICE_ACCOUNT, "", "*op/frontend", true },
    { POLICY_SERVICE_ACCOUNT, "", "*end", true },
    { POLICY_SERVICE_ACCOUNT, "", "*xop/frontend", false },
    { POLICY_TRUST_DOMAIN, "", "cluster.local", true },
    { POLICY_TRUST_DOMAIN, "", "*.local", true },
    { POLICY_TRUST_DOMAIN, "", "cluster", false },
    { POLICY_REQUEST_PRINCIPAL, "", "https://issuer.example//alice", true },
    { POLICY_REQUEST_PRINCIPAL, "", "https://issuer.example//bob", false },
    { POLICY_REQUEST_PRINCIPAL, "", "https://issuer.example//*", true },
    { POLICY_REQUEST_PRINCIPAL, "", "https://issuer.example//al*", true },
    { POLICY_REQUEST_PRINCIPAL, "", "https://other//*", false },
    { POLICY_REQUEST_PRINCIPAL, "", "*/alice", true },
    { POLICY_REQUEST_PRINCIPAL, "", "*example//alice", true },
    { POLICY_REQUEST_PRINCIPAL, "", "*ice", true },
    { POLICY_REQUEST_PRINCIPAL, "", "*", true },
    { POLICY_AUDIENCE, "", "a2", true },
    { POLICY_AUDIENCE, "", "a3", false },
    { POLICY_AUDIENCE, "", "a*", true },
    { POLICY_PRESENTER, "", "app", true },
    { POLICY_PRESENTER, "", "ap", false },
    { POLICY_CLAIM, "groups", "ops", true },
    { POLICY_CLAIM, "groups", "7", false },
    { POLICY_CLAIM, "realm\001roles", "admin", true },
    { POLICY_CLAIM, "realm\001roles", "*", true },
    { POLICY_CLAIM, "realm", "*", false },
    { POLICY_CLAIM, "scope", "write", true },
    { POLICY_CLAIM, "scope", "read write", false },
    { POLICY_CLAIM, "note", "words", false },
    { POLICY_CLAIM, "note", "two words", true },
    { POLICY_CLAIM, "n", "7", false },
    { POLICY_CLAIM, "none", "*", false },
    { POLICY_DESTINATION_PORT, "", "8080", true },
    { POLICY_DESTINATION_PORT, "", "808", false },
    { POLICY_SNI, "", "*.example.com", true },
    { POLICY_SNI, "", "shop.example.com", true },
    { POLICY_SNI, "", "example.com", false },
    { POLICY_HOST, "", "shop.example.com:8080", true },
    { POLICY_HOST, "", "shop.example.com", false }, /* Istio: the exact string; hence example.com and example.com:* */
    { POLICY_HOST, "", "shop.example.com:*", true },
    { POLICY_HOST, "", "*.example.com:8080", true },
    { POLICY_HOST, "", "*", true },
    { POLICY_METHOD, "", "GET", true },
    { POLICY_METHOD, "", "get", false },
    { POLICY_METHOD, "", "G*", true },
    { POLICY_PATH, "", "/admin/users/7", true },
    { POLICY_PATH, "", "/admin", false },
    { POLICY_PATH, "", "/Admin/users/7", false },
    { POLICY_PATH, "", "/admin/*", true },
    { POLICY_PATH, "", "*/7", true },
    { POLICY_PATH, "", "*", true },
    { POLICY_PATH, "", "/admin/{*}/7", true },
    { POLICY_PATH, "", "/admin/{**}", true },
    { POLICY_HEADER, "x-one", "1", true },
    { POLICY_HEADER, "x-one", "2", false },
    { POLICY_HEADER, "x-none", "*", false },
    { POLICY_HEADER, "x-empty", "*", true },
    { POLICY_HEADER, "x-list", "a,b,c,", true },
    { POLICY_HEADER, "x-list", "a,b,c", false },
    { POLICY_HEADER, "x-list", "a", false },
    { POLICY_HEADER, "x-list", "a,b*", true },
    { POLICY_HEADER, "x-list", "a,c*", false },
    { POLICY_HEADER, "x-list", "*,c,", true },
    { POLICY_HEADER, "x-list", "*b,c,", true },
    { POLICY_HEADER, "x-list", "*,", true },
    { POLICY_HEADER, "x-list", "*a,b,c,d,", false },
    { POLICY_HEADER, ":authority", "Shop.*", true },
};

START_TEST(asks_one_thing)
{
    struct policy_value v = value(single[_i].value), never = value("no such thing");
    struct policy_value both[] = { never, v };
    struct policy_facts f = facts();
    struct policy_condition c = { .key = single[_i].key, .name = str_of(single[_i].name), .values = &v, .nvalues = 1 };

    ck_assert_msg(holds(&c, POLICY_DENY, &f) == single[_i].holds, "%s %s", single[_i].name, single[_i].value);
    c.negate = true;
    ck_assert_msg(holds(&c, POLICY_DENY, &f) != single[_i].holds, "not %s %s", single[_i].name, single[_i].value);
    c.negate = false;
    c.values = both;
    c.nvalues = 2;
    ck_assert_msg(holds(&c, POLICY_ALLOW, &f) == single[_i].holds, "or %s %s", single[_i].name, single[_i].value);
}
END_TEST

/* What is not there is none of the values, and not anything either. */
START_TEST(holds_negated_where_there_is_nothing)
{
    static const enum policy_key keys[] = {
        POLICY_PRINCIPAL, POLICY_NAMESPACE, POLICY_SERVICE_ACCOUNT, POLICY_TRUST_DOMAIN, POLICY_REQUEST_PRINCIPAL,
        POLICY_AUDIENCE, POLICY_PRESENTER, POLICY_CLAIM, POLICY_SNI, POLICY_HEADER,
    };
    struct policy_value v = value("*");
    struct policy_facts f = { .http = true };
    struct policy_condition c = { .key = keys[_i], .name = STR("x"), .values = &v, .nvalues = 1 };

    ck_assert(!holds(&c, POLICY_ALLOW, &f));
    c.negate = true;
    ck_assert(holds(&c, POLICY_ALLOW, &f));
}
END_TEST

static const struct {
    const char *principal, *ns, *account; /* NULL: none */
} peers[] = {
    { "spiffe://td/ns/a/sa/b", "a", "a/b" },
    { "spiffe://td/region/x/ns/a/pod/y/sa/b/more/z", "a", "a/b" },
    { "spiffe://td/ns/a", "a", NULL },
    { "spiffe://td/sa/b", NULL, NULL },
    { "spiffe://td/xns/a/sa/b", NULL, NULL },
    { "spiffe://td", NULL, NULL },
    { "https://td/ns/a/sa/b", NULL, NULL },
    { "CN=ns/a/sa/b", NULL, NULL },
};

START_TEST(reads_spiffe_ids)
{
    struct policy_value ns = value("a"), account = value("a/b"), any = value("*");
    struct policy_facts f = { .principal = str_of(peers[_i].principal) };
    struct policy_condition by_ns = { .key = POLICY_NAMESPACE, .values = &ns, .nvalues = 1 };
    struct policy_condition by_account = { .key = POLICY_SERVICE_ACCOUNT, .values = &account, .nvalues = 1 };
    struct policy_condition present = { .key = POLICY_PRINCIPAL, .values = &any, .nvalues = 1 };

    ck_assert_int_eq(holds(&by_ns, POLICY_ALLOW, &f), peers[_i].ns != NULL);
    ck_assert_int_eq(holds(&by_account, POLICY_ALLOW, &f), peers[_i].account != NULL);
    ck_assert(holds(&present, POLICY_ALLOW, &f));
}
END_TEST

START_TEST(does_not_take_a_subject_for_an_issuer)
{
    struct policy_value v = value("*/admin");
    struct policy_condition c = { .key = POLICY_REQUEST_PRINCIPAL, .values = &v, .nvalues = 1 };
    struct policy_facts f = facts();

    token.subject = STR("evil/admin");
    ck_assert(!holds(&c, POLICY_ALLOW, &f));
    token.subject = STR("admin");
    ck_assert(holds(&c, POLICY_ALLOW, &f));
    token.subject = STR_NULL;
    ck_assert(!holds(&c, POLICY_ALLOW, &f));
}
END_TEST

static const struct {
    const char *net;
    unsigned bits; /* of the family */
    const char *ip;
    bool in;
} nets[] = {
    { "10.0.0.0", 8, "10.255.0.1", true },         { "10.0.0.0", 8, "11.0.0.1", false },
    { "10.1.2.3", 32, "10.1.2.3", true },          { "10.1.2.3", 32, "10.1.2.2", false },
    { "10.1.2.0", 23, "10.1.3.9", true },          { "10.1.2.0", 23, "10.1.4.0", false },
    { "0.0.0.0", 0, "8.8.8.8", true },             { "0.0.0.0", 0, "2001:db8::1", false },
    { "::", 0, "2001:db8::1", true },              { "::", 0, "8.8.8.8", false },
    { "2001:db8::", 33, "2001:db8:7fff::1", true }, { "2001:db8::", 33, "2001:db8:8000::1", false },
    { "10.0.0.0", 8, "::ffff:10.1.1.1", true },    { "10.0.0.0", 8, "nonsense", false },
    { "0.0.0.0", 0, "", false },
};

START_TEST(knows_networks)
{
    struct policy_ip of = policy_ip_parse(str_of(nets[_i].net));
    bool four = strchr(nets[_i].net, '.') != NULL;
    struct policy_net net = { .bits = (uint8_t)(nets[_i].bits + (four ? 96 : 0)) };
    struct policy_condition c = { .key = POLICY_PEER_IP, .nets = &net, .nnets = 1 };
    struct policy_facts f = { .peer_ip = policy_ip_parse(str_of(nets[_i].ip)) };

    memcpy(net.ip, of.b, sizeof(net.ip));
    ck_assert_int_eq(holds(&c, POLICY_ALLOW, &f), nets[_i].in);
    c.negate = true;
    ck_assert_int_eq(holds(&c, POLICY_ALLOW, &f), !nets[_i].in);
}
END_TEST

START_TEST(tells_three_addresses_apart)
{
    static const enum policy_key keys[] = { POLICY_PEER_IP, POLICY_REMOTE_IP, POLICY_DESTINATION_IP };
    struct policy_facts f = facts();
    struct policy_ip ips[3] = { f.peer_ip, f.remote_ip, f.destination_ip };

    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 3; k++) {
            struct policy_net net = { .bits = 128 };
            struct policy_condition c = { .key = keys[i], .nets = &net, .nnets = 1 };

            memcpy(net.ip, ips[k].b, sizeof(net.ip));
            ck_assert_int_eq(holds(&c, POLICY_ALLOW, &f), i == k);
        }
}
END_TEST

START_TEST(reads_socket_addresses)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(0x0a010203) } };
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct policy_ip a = policy_ip_parse(STR("10.1.2.3")), b = policy_ip_parse(STR("::1"));
    struct policy_ip c = policy_ip_of((struct sockaddr *)&in), d = policy_ip_of((struct sockaddr *)&in6);
    struct sockaddr unix_one = { .sa_family = AF_UNIX };

    ck_assert(a.known && b.known && c.known && d.known);
    ck_assert_mem_eq(a.b, c.b, 16);
    ck_assert_mem_eq(b.b, d.b, 16);
    ck_assert(!policy_ip_of(&unix_one).known);
}
END_TEST

static const struct {
    const char *text, *path;
    bool fits;
} templates[] = {
    { "/a/{*}/c", "/a/b/c", true },       { "/a/{*}/c", "/a/b/d/c", false },   { "/a/{*}/c", "/a//c", false },
    { "/a/{*}", "/a/b", true },           { "/a/{*}", "/a/b/", false },        { "/a/{*}", "/a/", false },
    { "/a/{*}", "/a", false },            { "/a/{*}", "/a/b=c*d", true },      { "/{*}/{*}", "/a/b", true },
    { "/{*}/{*}", "/a", false },          { "/a/{**}", "/a/", true },          { "/a/{**}", "/a/b/c", true },
    { "/a/{**}", "/a", false },           { "/a/{**}/z", "/a/b/c/z", true },   { "/a/{**}/z", "/a//z", true },
    { "/a/{**}/z", "/a/z", false },       { "/a/{**}/z", "/a/z/y", false },    { "/a/{**}/z", "/a/z/z/z", true },
    { "/{*}/x/{**}/z", "/a/x/b/z", true }, { "/{*}/x/{**}/z", "/a/y/b/z", false },
    { "/a/{*}/c", "/a/{*}/c", true },     { "/a/{**}", "", false },
};

START_TEST(fits_templates)
{
    struct policy_value v = { POLICY_TEMPLATE, str_of(templates[_i].text) };
    struct policy_condition c = { .key = POLICY_PATH, .values = &v, .nvalues = 1 };
    struct policy_facts f = { .http = true, .path = str_of(templates[_i].path) };

    ck_assert_msg(holds(&c, POLICY_DENY, &f) == templates[_i].fits, "%s %s", templates[_i].text, templates[_i].path);
}
END_TEST

/* ---- rules ---- */

static const struct policy_value get = { POLICY_EXACT, STR_INIT("GET") }, put = { POLICY_EXACT, STR_INIT("PUT") },
                                 shop = { POLICY_EXACT, STR_INIT("shop") }, bank = { POLICY_EXACT, STR_INIT("bank") },
                                 port = { POLICY_EXACT, STR_INIT("8080") };

#define CONDITION(k, v) { .key = (k), .values = &(v), .nvalues = 1 }

static const struct policy_condition is_get = CONDITION(POLICY_METHOD, get), is_put = CONDITION(POLICY_METHOD, put),
                                     in_shop = CONDITION(POLICY_NAMESPACE, shop),
                                     in_bank = CONDITION(POLICY_NAMESPACE, bank),
                                     on_port = CONDITION(POLICY_DESTINATION_PORT, port);
static const struct policy_all all_get = { &is_get, 1 }, all_put = { &is_put, 1 }, all_shop = { &in_shop, 1 },
                               all_bank = { &in_bank, 1 }, all_port = { &on_port, 1 };

static const struct {
    struct policy_all from[2], to[2], when;
    size_t nfrom, nto;
    bool holds;
} rules[] = {
    { .holds = true }, /* rules: [{}] */
    { .from = { { &in_shop, 1 } }, .nfrom = 1, .holds = true },
    { .from = { { &in_bank, 1 } }, .nfrom = 1, .holds = false },
    { .from = { { &in_bank, 1 }, { &in_shop, 1 } }, .nfrom = 2, .holds = true },
    { .from = { { &in_shop, 1 } }, .nfrom = 1, .to = { { &is_put, 1 } }, .nto = 1, .holds = false },
    { .from = { { &in_shop, 1 } }, .nfrom = 1, .to = { { &is_put, 1 }, { &is_get, 1 } }, .nto = 2, .holds = true },
    { .to = { { &is_get, 1 } }, .nto = 1, .when = { &in_bank, 1 }, .holds = false },
    { .to = { { &is_get, 1 } }, .nto = 1, .when = { &in_shop, 1 }, .holds = true },
    { .from = { { NULL, 0 } }, .nfrom = 1, .holds = true }, /* from: [{source: {}}] */
};

START_TEST(joins_from_to_and_when)
{
    struct policy_rule r = { rules[_i].from, rules[_i].to, rules[_i].nfrom, rules[_i].nto, rules[_i].when, false };
    struct policy p = { STR("ns"), STR("p"), POLICY_ALLOW, &r, 1, false };
    struct listener_policy l = { .policies = &p, .npolicies = 1, .default_deny = true };
    struct policy_facts f = facts();
    struct policy_verdict v;

    policy_decide(&l, &f, &v);
    ck_assert_int_eq(v.allowed, rules[_i].holds);
}
END_TEST

/* ---- policies ---- */

static const struct policy_rule when_get = { .to = &all_get, .nto = 1, .http_only = true },
                                when_put = { .to = &all_put, .nto = 1, .http_only = true },
                                when_shop = { .from = &all_shop, .nfrom = 1 },
                                when_bank = { .from = &all_bank, .nfrom = 1 }, always = { .nfrom = 0 };

#define POLICY(n, a, r) { STR_INIT("ns"), STR_INIT(n), (a), (r), (r) != NULL, true }

static const struct policy deny_put = POLICY("deny-put", POLICY_DENY, &when_put),
                           deny_bank = POLICY("deny-bank", POLICY_DENY, &when_bank),
                           deny_get = POLICY("deny-get", POLICY_DENY, &when_get),
                           deny_none = POLICY("deny-none", POLICY_DENY, NULL),
                           allow_shop = POLICY("allow-shop", POLICY_ALLOW, &when_shop),
                           allow_bank = POLICY("allow-bank", POLICY_ALLOW, &when_bank),
                           allow_none = POLICY("allow-none", POLICY_ALLOW, NULL),
                           allow_all = POLICY("allow-all", POLICY_ALLOW, &always),
                           audit_get = POLICY("audit-get", POLICY_AUDIT, &when_get),
                           audit_bank = POLICY("audit-bank", POLICY_AUDIT, &when_bank),
                           audit_all = POLICY("audit-all", POLICY_AUDIT, &always);

static const struct {
    const struct policy *policies[4];
    bool allowed;
    const char *by;     /* NULL: the default */
    size_t naudits;
} orders[] = {
    { { NULL }, true, NULL, 0 },
    { { &deny_put }, true, NULL, 0 },
    { { &deny_get }, false, "deny-get", 0 },
    { { &deny_none }, true, NULL, 0 },
    { { &allow_shop }, true, "allow-shop", 0 },
    { { &allow_bank }, false, NULL, 0 },
    { { &allow_none }, false, NULL, 0 }, /* spec: {} */
    { { &allow_bank, &allow_all }, true, "allow-all", 0 },
    { { &deny_get, &allow_all }, false, "deny-get", 0 },
    { { &deny_bank, &deny_get, &allow_all }, false, "deny-get", 0 },
    { { &deny_put, &allow_shop }, true, "allow-shop", 0 },
    { { &audit_all }, true, NULL, 1 },
    { { &deny_get, &allow_all, &audit_get, &audit_bank }, false, "deny-get", 1 },
    { { &allow_bank, &audit_get, &audit_all }, false, NULL, 2 },
};

/* Copies a row's policies in order. */
static struct listener_policy listener(const struct policy *const policies[4], struct policy out[4])
{
    struct listener_policy l = { .policies = out };

    while (l.npolicies < 4 && policies[l.npolicies]) {
        out[l.npolicies] = *policies[l.npolicies];
        l.default_deny |= out[l.npolicies++].action == POLICY_ALLOW;
    }
    return l;
}

START_TEST(denies_before_it_allows)
{
    struct policy policies[4];
    struct listener_policy l = listener(orders[_i].policies, policies);
    struct policy_facts f = facts();
    struct policy_verdict v;

    policy_decide(&l, &f, &v);
    ck_assert_int_eq(v.allowed, orders[_i].allowed);
    ck_assert_uint_eq(v.naudits, orders[_i].naudits);
    ck_assert_int_eq(v.by.policy != NULL, orders[_i].by != NULL);
    if (orders[_i].by)
        ck_assert(str_eqz(v.by.policy->name, orders[_i].by));
}
END_TEST

START_TEST(counts_audits_within_bounds)
{
    struct policy policies[POLICY_MOST_AUDITS + 2];
    struct listener_policy l = { .policies = policies, .npolicies = COUNT(policies) };
    struct policy_facts f = facts();
    struct policy_verdict v;

    for (size_t i = 0; i < COUNT(policies); i++)
        policies[i] = audit_all;
    policy_decide(&l, &f, &v);
    ck_assert(v.allowed);
    ck_assert_uint_eq(v.naudits, POLICY_MOST_AUDITS);
}
END_TEST

/* On TCP nothing of HTTP can be asked: ALLOW rules that do are none, of DENY and AUDIT rules only the rest is left. */
static const struct policy_all put_or_port[] = { { &is_put, 1 }, { &on_port, 1 } };
static const struct policy_rule when_put_or_port = { .to = put_or_port, .nto = 2, .http_only = true },
                                when_bank_puts = { &all_bank, &all_put, 1, 1, { NULL, 0 }, true },
                                when_shop_puts = { &all_shop, &all_put, 1, 1, { NULL, 0 }, true },
                                when_port = { .to = &all_port, .nto = 1 };
static const struct policy allow_put_or_port = POLICY("p", POLICY_ALLOW, &when_put_or_port),
                           allow_port = POLICY("p", POLICY_ALLOW, &when_port),
                           allow_get = POLICY("p", POLICY_ALLOW, &when_get),
                           deny_bank_puts = POLICY("p", POLICY_DENY, &when_bank_puts),
                           deny_shop_puts = POLICY("p", POLICY_DENY, &when_shop_puts),
                           audit_put = POLICY("p", POLICY_AUDIT, &when_put);

static const struct {
    const struct policy *policies[4];
    bool allowed;
    size_t naudits;
} tcp[] = {
    { { &allow_port }, true, 0 },       { { &allow_put_or_port }, false, 0 }, { { &allow_get }, false, 0 },
    { { &deny_put }, false, 0 },        { { &deny_bank_puts }, true, 0 },     { { &deny_shop_puts }, false, 0 },
    { { &audit_put }, true, 1 },
};

START_TEST(is_careful_on_tcp)
{
    struct policy policies[4];
    struct listener_policy l = listener(tcp[_i].policies, policies);
    struct policy_facts f = facts();
    struct policy_verdict v;

    f.http = false;
    policy_decide(&l, &f, &v);
    ck_assert_int_eq(v.allowed, tcp[_i].allowed);
    ck_assert_uint_eq(v.naudits, tcp[_i].naudits);
}
END_TEST

START_TEST(never_allows_tcp_by_http)
{
    struct policy_condition not_put = is_put;
    struct policy_facts f = facts();

    f.http = false;
    not_put.negate = true;
    ck_assert(!holds(&is_get, POLICY_ALLOW, &f)); /* even of a rule that does not say it asks HTTP */
    ck_assert(!holds(&not_put, POLICY_ALLOW, &f));
    ck_assert(holds(&not_put, POLICY_DENY, &f));
}
END_TEST

START_TEST(names_who_denied)
{
    struct policy_verdict v = { .by = { &deny_put, 3 } };
    char text[POLICY_DETAILS];

    policy_details(&v, text);
    ck_assert_str_eq(text, "rbac_access_denied_matched_policy[ns[ns]-policy[deny-put]-rule[3]]");
    v.by.policy = NULL;
    policy_details(&v, text);
    ck_assert_str_eq(text, "rbac_access_denied_matched_policy[none]");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("policy");
    TCase *t = tcase_create("policy");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, asks_one_thing, 0, COUNT(single));
    tcase_add_loop_test(t, holds_negated_where_there_is_nothing, 0, 10);
    tcase_add_loop_test(t, reads_spiffe_ids, 0, COUNT(peers));
    tcase_add_test(t, does_not_take_a_subject_for_an_issuer);
    tcase_add_loop_test(t, knows_networks, 0, COUNT(nets));
    tcase_add_test(t, tells_three_addresses_apart);
    tcase_add_test(t, reads_socket_addresses);
    tcase_add_loop_test(t, fits_templates, 0, COUNT(templates));
    tcase_add_loop_test(t, joins_from_to_and_when, 0, COUNT(rules));
    tcase_add_loop_test(t, denies_before_it_allows, 0, COUNT(orders));
    tcase_add_test(t, counts_audits_within_bounds);
    tcase_add_loop_test(t, is_careful_on_tcp, 0, COUNT(tcp));
    tcase_add_test(t, never_allows_tcp_by_http);
    tcase_add_test(t, names_who_denied);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
