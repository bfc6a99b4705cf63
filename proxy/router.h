/* router.h: what is to be done with a request, by Istio's rules. Pure: reads the snapshot and the request. */
#ifndef PROXY_ROUTER_H
#define PROXY_ROUTER_H

#include "base/arena.h"
#include "base/rand.h"
#include "mesh/snapshot.h"
#include "proxy/http_head.h"

struct router_request {
    const struct http_head *head;
    struct str method, authority, scheme;
    struct str path, query; /* split at the first "?"; query without it, p NULL when there is none */
};

/* `target` is "/path?query". */
void router_request_init(struct router_request *r, const struct http_head *h, struct str scheme, struct str target);
/* The first route that matches, NULL: none. */
const struct route *router_match(const struct virtual_host *vh, const struct router_request *r);
bool router_match_string(const struct string_match *m, struct str s);
/* By weight. */
const struct destination *router_pick(const struct destination *d, size_t n, uint64_t total_weight, struct rng *rng);
/* The path to ask the upstream for, query included; in `a` when it differs from the request's. p NULL: no memory. */
struct str router_rewrite(struct arena *a, const struct route *rt, const struct router_request *r);
/* "host", "host:port", "[IPv6]:port" without port and brackets; *port is 0 when there is none. */
struct str router_split_authority(struct str authority, uint16_t *port);
/* The Location of a redirect. p NULL: no memory. */
struct str router_location(struct arena *a, const struct route *rt, const struct router_request *r);
/* httpsRedirect: the same place by https. */
struct str router_https_location(struct arena *a, const struct router_request *r);
/* Whether the policy allows that origin. */
bool router_cors_allows(const struct cors *c, struct str origin);
/* Whether a failure with `status` (0: no response) is one the policy retries. */
bool router_retries_status(const struct retry_policy *p, unsigned status, struct str grpc_status);

enum router_reset {
    RESET_CONNECT, /* nothing of the request has gone out */
    RESET_REFUSED, /* the host has not looked at it */
    RESET_LATER
};
bool router_retries_reset(const struct retry_policy *p, enum router_reset how);
/* The pause before try number `retry` (1: the first retry): Envoy's, with full jitter, at most ten times the base. */
int64_t router_backoff_ms(const struct retry_policy *p, unsigned retry, struct rng *rng);

#endif
