/* jwt_auth.h: a request's tokens against a listener's rules: RequestAuthentication.
 *
 * Istio's contract (istio.io/latest/docs/reference/config/security/request_authentication): who shows no token passes
 * and has no request principal; who shows one that is not in order is refused. A request may show several: each is to
 * be in order by a rule that looks where it was, or a bad one could ride along with a good one.
 *
 * Keys come from elsewhere: rules' own at once, those of a jwks_uri when somebody has fetched them. Sets are immutable
 * and counted; a slot is one worker's, and swapping it takes effect with the next request. Not thread-safe. */
#ifndef PROXY_JWT_AUTH_H
#define PROXY_JWT_AUTH_H

#include "base/arena.h"
#include "proxy/header_source.h"
#include "proxy/jwt_cache.h"

/* A rule's keys.
 *
 *   AWAITED ──jwt_keys_set──▶ THERE ──jwt_keys_set──▶ THERE (others)
 *      └──jwt_keys_failed──▶ UNREACHABLE ──jwt_keys_set──▶ THERE
 *   THERE stays THERE when fetching fails: old keys are better than none. NONE: the rule's own text has no good key. */
enum jwt_keys_state { JWT_KEYS_STATE_AWAITED, JWT_KEYS_STATE_THERE, JWT_KEYS_STATE_UNREACHABLE, JWT_KEYS_STATE_NONE };

struct jwt_keys {
    enum jwt_keys_state state;
    struct jwks *jwks; /* THERE: a reference; else NULL */
};

/* THERE or NONE (`e` says why) by the rule's text, AWAITED by its URI. */
void jwt_keys_init(struct jwt_keys *k, const struct jwt_rule *r, struct err *e);
void jwt_keys_set(struct jwt_keys *k, struct jwks *jwks); /* takes a reference of its own */
void jwt_keys_failed(struct jwt_keys *k);
void jwt_keys_fini(struct jwt_keys *k);

struct jwt_auth {
    const struct jwt_rule *rules; /* a snapshot's: listener_policy.jwt */
    struct jwt_keys *keys;        /* one for each rule */
    size_t nrules;
    struct jwt_cache *cache;      /* may be NULL */
};

enum jwt_place_kind { JWT_IN_HEADER, JWT_IN_QUERY, JWT_IN_COOKIE };

struct jwt_answer {
    /* JWT_OK: goes on, with or without a token. JWT_KEYS_AWAITED: ask again when the keys of `rule` have come or have
     * failed; keep jwt_rule.timeout_ms. Else refused: jwt_status_code, _text, jwt_challenge. */
    enum jwt_status status;
    const struct jwt_rule *rule; /* JWT_OK: by which the token was verified; else the one that refuses or waits
                                  * (JWT_NO_KEY: its keys may be stale). NULL: none */
    struct jwt *token;           /* JWT_OK: a reference, to be put; NULL: the request shows none */
    /* JWT_OK: what changes on the way upstream, in the arena. Headers that rules put tokens' words into are removed
     * from every request, so that nobody can write them himself. */
    const struct header_op *ops;
    size_t nops;
    struct str target;           /* the request's, without the token if it was in the query and is not to go on */
};

/* `target` is "/path?query". Preflights (OPTIONS with Origin and Access-Control-Request-Method) carry no credentials:
 * Istio has them pass without being asked (bypass_cors_preflight); so should the caller. */
void jwt_authenticate(const struct jwt_auth *auth, struct arena *a, const struct header_source *headers,
                      struct str target, int64_t now_s, struct jwt_answer *answer);

/* WWW-Authenticate's value for a request to scheme://authority/path, in `a`. p NULL: no memory. */
struct str jwt_challenge(struct arena *a, enum jwt_status s, struct str scheme, struct str authority, struct str path);
/* %RESPONSE_CODE_DETAILS%: "jwt_authn_access_denied{Jwt_is_expired}", in `a`. p NULL: no memory. */
struct str jwt_details(struct arena *a, enum jwt_status s);

#endif
