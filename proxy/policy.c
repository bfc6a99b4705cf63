#include "proxy/policy-internal.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

/* ---- addresses ---- */

static struct policy_ip of_ipv4(const void *four)
{
    struct policy_ip ip = { .known = true, .b = { [10] = 0xff, [11] = 0xff } };

    memcpy(ip.b + 12, four, 4);
    return ip;
}

struct policy_ip policy_ip_of(const struct sockaddr *sa)
{
    struct policy_ip ip = { .known = false };

    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof(in));
        return of_ipv4(&in.sin_addr);
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof(in6));
        ip.known = true;
        memcpy(ip.b, &in6.sin6_addr, sizeof(ip.b));
    }
    return ip;
}

struct policy_ip policy_ip_parse(struct str text)
{
    struct policy_ip ip = { .known = false };
    char s[INET6_ADDRSTRLEN];
    uint8_t four[4];

    if (text.n == 0 || text.n >= sizeof(s) || memchr(text.p, 0, text.n))
        return ip;
    memcpy(s, text.p, text.n);
    s[text.n] = 0;
    if (inet_pton(AF_INET, s, four) == 1)
        return of_ipv4(four);
    ip.known = inet_pton(AF_INET6, s, ip.b) == 1;
    return ip;
}

/* ---- the peer ---- */

/* "spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME": its parts; pairs of other names may stand in between. */
struct peer {
    struct str name;              /* without "spiffe://"; p NULL: it is no SPIFFE id */
    struct str trust_domain, ns, account;
};

static struct peer peer_of(struct str principal)
{
    struct str scheme = STR("spiffe://"), rest;
    struct peer p = { .name = STR_NULL };

    if (!str_starts(principal, scheme))
        return p;
    rest = p.name = str_from(principal, scheme.n);
    p.trust_domain = str_cut(&rest, '/');
    while (rest.p) {
        struct str key = str_cut(&rest, '/'), value = rest.p ? str_cut(&rest, '/') : STR_NULL;

        if (!p.ns.p && str_eqz(key, "ns"))
            p.ns = value;
        else if (!p.account.p && str_eqz(key, "sa"))
            p.account = value;
    }
    return p;
}

/* ---- conditions ---- */

static bool is_http_only(enum policy_key key)
{
    switch (key) {
    case POLICY_REQUEST_PRINCIPAL:
    case POLICY_AUDIENCE:
    case POLICY_PRESENTER:
    case POLICY_CLAIM:
    case POLICY_HOST:
    case POLICY_METHOD:
    case POLICY_PATH:
    case POLICY_HEADER:
        return true;
    default:
        return false;
    }
}

static bool port_is(const struct policy_value *v, uint16_t port)
{
    char text[NUM_MOST_U64];

    return policy_text_is(v, (struct str){ text, num_put_u64(text, port) });
}

static bool claim_is(const struct policy_value *v, const struct policy_facts *f, struct str path)
{
    return f->token &&
           policy_claim_is(v, jwt_claim(f->token, path), jwt_is_space_delimited(f->token_rule, path));
}

static bool principal_is(const struct policy_value *v, struct str principal, const struct peer *peer)
{
    if (v->kind == POLICY_PRESENT)
        return principal.n > 0;
    return peer->name.p && policy_text_is(v, peer->name);
}

static bool value_holds(const struct policy_condition *c, const struct policy_value *v, const struct policy_facts *f,
                        const struct peer *peer)
{
    switch (c->key) {
    case POLICY_PRINCIPAL:
        return principal_is(v, f->principal, peer);
    case POLICY_NAMESPACE:
        return peer->ns.p && policy_text_is(v, peer->ns);
    case POLICY_SERVICE_ACCOUNT:
        return peer->ns.p && peer->account.p && policy_pair_is(v, peer->ns, peer->account);
    case POLICY_TRUST_DOMAIN:
        return policy_text_is(v, peer->trust_domain);
    case POLICY_REQUEST_PRINCIPAL:
        return policy_request_principal_is(v, f->token);
    case POLICY_AUDIENCE:
        return claim_is(v, f, STR("aud"));
    case POLICY_PRESENTER:
        return claim_is(v, f, STR("azp"));
    case POLICY_CLAIM:
        return claim_is(v, f, c->name);
    case POLICY_DESTINATION_PORT:
        return port_is(v, f->destination_port);
    case POLICY_SNI:
        return policy_text_is(v, f->sni);
    case POLICY_HOST:
        return policy_host_is(v, f->host);
    case POLICY_METHOD:
        return policy_text_is(v, f->method);
    case POLICY_PATH:
        return policy_path_is(v, f->path);
    case POLICY_HEADER:
        return policy_header_is(v, &f->headers, c->name);
    case POLICY_PEER_IP:
    case POLICY_REMOTE_IP:
    case POLICY_DESTINATION_IP:
        break; /* by nets */
    }
    return false;
}

static const struct policy_ip *ip_of(const struct policy_facts *f, enum policy_key key)
{
    return key == POLICY_PEER_IP ? &f->peer_ip : key == POLICY_REMOTE_IP ? &f->remote_ip : &f->destination_ip;
}

/* What TCP cannot answer never widens what is allowed, and never narrows what is denied or audited. */
static bool condition_holds(const struct policy_condition *c, enum policy_action action, const struct policy_facts *f,
                            const struct peer *peer)
{
    bool any = false;

    if (!f->http && is_http_only(c->key))
        return action != POLICY_ALLOW;
    for (size_t i = 0; i < c->nvalues && !any; i++)
        any = value_holds(c, &c->values[i], f, peer);
    for (size_t i = 0; i < c->nnets && !any; i++)
        any = policy_net_has(&c->nets[i], ip_of(f, c->key));
    return any != c->negate;
}

/* ---- rules ---- */

static bool all_hold(const struct policy_all *all, enum policy_action action, const struct policy_facts *f,
                     const struct peer *peer)
{
    for (size_t i = 0; i < all->n; i++)
        if (!condition_holds(&all->v[i], action, f, peer))
            return false;
    return true;
}

static bool one_holds(const struct policy_all *list, size_t n, enum policy_action action, const struct policy_facts *f,
                      const struct peer *peer)
{
    for (size_t i = 0; i < n; i++)
        if (all_hold(&list[i], action, f, peer))
            return true;
    return n == 0;
}

static bool rule_holds(const struct policy_rule *r, enum policy_action action, const struct policy_facts *f,
                       const struct peer *peer)
{
    /* Istio makes no rule at all of an ALLOW that asks TCP for HTTP, even where another of its entries could hold. */
    if (!f->http && r->http_only && action == POLICY_ALLOW)
        return false;
    return one_holds(r->from, r->nfrom, action, f, peer) && one_holds(r->to, r->nto, action, f, peer) &&
           all_hold(&r->when, action, f, peer);
}

static bool policy_matches(const struct policy *p, const struct policy_facts *f, const struct peer *peer,
                           struct policy_match *m)
{
    for (size_t i = 0; i < p->nrules; i++)
        if (rule_holds(&p->rules[i], p->action, f, peer)) {
            *m = (struct policy_match){ p, i };
            return true;
        }
    return false;
}

void policy_decide(const struct listener_policy *p, const struct policy_facts *f, struct policy_verdict *v)
{
    bool decided = false;
    struct peer peer;

    v->allowed = !p->default_deny;
    v->by = (struct policy_match){ NULL, 0 };
    v->naudits = 0;
    if (p->npolicies == 0)
        return;
    peer = peer_of(f->principal);
    for (size_t i = 0; i < p->npolicies; i++) {
        const struct policy *policy = &p->policies[i];
        struct policy_match m;

        if (policy->action == POLICY_AUDIT ? v->naudits == POLICY_MOST_AUDITS : decided)
            continue;
        if (!policy_matches(policy, f, &peer, &m))
            continue;
        if (policy->action == POLICY_AUDIT) {
            v->audits[v->naudits++] = m;
        } else {
            decided = true;
            v->by = m;
            v->allowed = policy->action == POLICY_ALLOW;
        }
    }
}

void policy_details(const struct policy_verdict *v, char out[POLICY_DETAILS])
{
    if (v->by.policy)
        snprintf(out, POLICY_DETAILS, "rbac_access_denied_matched_policy[ns[%.*s]-policy[%.*s]-rule[%zu]]",
                 STR_ARG(v->by.policy->ns), STR_ARG(v->by.policy->name), v->by.rule);
    else
        snprintf(out, POLICY_DETAILS, "rbac_access_denied_matched_policy[none]");
}
