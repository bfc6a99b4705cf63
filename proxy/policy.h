/* policy.h: who may: AuthorizationPolicy, evaluated as Istio's control plane and Envoy's RBAC filter do together.
 *
 *   a DENY policy matches            → denied by it
 *   an ALLOW policy matches          → allowed by it
 *   there is an ALLOW policy at all  → denied by none
 *   else                             → allowed
 *   AUDIT policies decide nothing; those that match are told
 *
 * Pure: no allocation, no lock, no I/O; any number of threads. A listener without policies costs one comparison. */
#ifndef PROXY_POLICY_H
#define PROXY_POLICY_H

#include "mesh/snapshot.h"
#include "proxy/header_source.h"
#include "proxy/jwt.h"

struct sockaddr;

/* An address as struct policy_net has it: IPv4 as ::ffff:a.b.c.d. */
struct policy_ip {
    bool known;
    uint8_t b[16];
};

struct policy_ip policy_ip_of(const struct sockaddr *sa);
/* From text, e.g. of X-Forwarded-For; not known when it is none. */
struct policy_ip policy_ip_parse(struct str text);

/* What policies may ask about. The caller's. */
struct policy_facts {
    struct str principal;       /* of the verified peer certificate, "spiffe://TD/ns/NS/sa/NAME"; one of another kind
                                 * (DNS name, subject) is only there or not; empty: the peer has proved nothing */
    struct policy_ip peer_ip;   /* whose connection it is */
    struct policy_ip remote_ip; /* the client's, by X-Forwarded-For or PROXY protocol, where these are trusted */
    struct policy_ip destination_ip;
    uint16_t destination_port;  /* where the connection came in */
    struct str sni;             /* empty: none */

    bool http;                  /* false: TCP, and nothing below is known */
    struct str method;
    struct str host;            /* :authority as it came, in any case, with its port if there is one */
    struct str path;            /* normalised (path.h), without the query */
    struct header_source headers;
    const struct jwt *token;    /* verified; NULL: none was shown */
    const struct jwt_rule *token_rule; /* by which; NULL: Istio's defaults */
};

struct policy_match {
    const struct policy *policy;
    size_t rule;                /* its index */
};

enum { POLICY_MOST_AUDITS = 8 };

struct policy_verdict {
    bool allowed;
    struct policy_match by;     /* policy NULL: none, the default decided */
    struct policy_match audits[POLICY_MOST_AUDITS]; /* the first ones */
    size_t naudits;
};

/* Policies in order: DENY, ALLOW, AUDIT, as listener_policy has them. Of those with the same action the first that
 * matches is named. */
void policy_decide(const struct listener_policy *p, const struct policy_facts *f, struct policy_verdict *v);

enum { POLICY_DETAILS = 384 }; /* room for a namespace (63), a name (253) and a rule */

/* %RESPONSE_CODE_DETAILS% of a denial: "rbac_access_denied_matched_policy[ns[foo]-policy[deny]-rule[0]]", by the
 * default "…[none]"; on TCP %CONNECTION_TERMINATION_DETAILS%, the same text. */
void policy_details(const struct policy_verdict *v, char out[POLICY_DETAILS]);

#endif
