/* snapshot_policy.c: a DestinationRule's policies as a cluster's numbers. What nobody says is Istio's default. */
#include "mesh/snapshot-internal.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    IDLE_TIMEOUT_MS = 3600000,
    MOST_STREAMS = INT32_MAX,
    RING_SIZE = 1024,
    MAGLEV_SIZE = 65537,
    WARMUP_PERCENT = 10,
    BUDGET_PERCENT = 20,
    BUDGET_LEAST = 3
};

/* A port's own settings replace all that it could have, also those it does not have. */
void policy_apply(struct policy_parts *to, const struct dr_policy *p, uint32_t port)
{
    if (!p)
        return;
    if (p->balancer)
        to->balancer = p->balancer;
    if (p->pool)
        to->pool = p->pool;
    if (p->outlier)
        to->outlier = p->outlier;
    if (p->tls)
        to->tls = p->tls;
    if (p->proxy_protocol)
        to->proxy_protocol = p->proxy_protocol;
    if (p->budget)
        to->budget = p->budget;
    for (size_t i = 0; i < p->ports.n; i++) {
        const struct dr_policy *own = &p->ports.v[i];

        if (!own->port || own->port->number != port)
            continue;
        to->balancer = own->balancer;
        to->pool = own->pool;
        to->outlier = own->outlier;
        to->tls = own->tls;
    }
}

/* ---- which endpoint ---- */

static void set_hash(struct cluster *c, const struct dr_hash *h)
{
    double ring = h->ring ? h->ring->size : h->minimum_ring_size;

    c->lb = h->maglev ? LB_MAGLEV : LB_RING_HASH;
    c->hash.kind = h->header.n  ? LB_HASH_HEADER
                   : h->cookie  ? LB_HASH_COOKIE
                   : h->query.n ? LB_HASH_QUERY
                                : LB_HASH_SOURCE_IP;
    c->hash.name = h->header.n ? h->header : h->cookie ? h->cookie->name : h->query;
    if (h->cookie) {
        c->hash.path = h->cookie->path;
        c->hash.ttl_ms = check_get(h->cookie->at, "ttl") ? h->cookie->ttl : -1;
    }
    if (h->maglev)
        c->hash.table = h->maglev->size > 0 ? (uint32_t)h->maglev->size : MAGLEV_SIZE;
    else
        c->hash.table = ring >= 1 ? (uint32_t)ring : RING_SIZE;
}

static void set_balancer(struct cluster *c, const struct dr_balancer *b)
{
    static const enum lb_policy policies[] = {
        [DR_UNSPECIFIED] = LB_LEAST_REQUEST, [DR_LEAST_CONN] = LB_LEAST_REQUEST, [DR_RANDOM] = LB_RANDOM,
        [DR_PASSTHROUGH] = LB_LEAST_REQUEST, [DR_ROUND_ROBIN] = LB_ROUND_ROBIN,  [DR_LEAST_REQUEST] = LB_LEAST_REQUEST,
    };

    c->lb = policies[b ? b->simple : DR_UNSPECIFIED];
    c->warmup_percent = WARMUP_PERCENT;
    c->warmup_aggression = 1;
    if (!b)
        return;
    c->passthrough = c->passthrough || b->simple == DR_PASSTHROUGH;
    if (b->hash)
        set_hash(c, b->hash);
    c->warmup_ms = b->warmup ? b->warmup->duration : b->warmup_duration;
    if (b->warmup && check_get(b->warmup->at, "minimumPercent"))
        c->warmup_percent = (uint32_t)b->warmup->percent;
    if (b->warmup && check_get(b->warmup->at, "aggression"))
        c->warmup_aggression = b->warmup->aggression;
}

/* ---- how many connections and requests ---- */

static uint32_t limit(int64_t v)
{
    return v > 0 ? (uint32_t)v : UINT32_MAX;
}

static void set_tcp(struct cluster *c, const struct dr_tcp *t)
{
    c->max_connections = limit(t->max_connections);
    if (t->connect_timeout)
        c->connect_timeout_ms = t->connect_timeout;
    if (check_get(t->at, "idleTimeout"))
        c->idle_timeout_ms = t->idle_timeout;
    c->max_connection_ms = t->max_connection_duration;
    if (t->keepalive) {
        c->keepalive = true;
        c->keepalive_probes = t->keepalive->probes;
        c->keepalive_idle_ms = t->keepalive->time;
        c->keepalive_interval_ms = t->keepalive->interval;
    }
}

static void set_http(struct cluster *c, const struct dr_http *h, enum service_speech speech)
{
    enum { UPGRADE = 2 }; /* of h2UpgradePolicy's words */

    c->max_pending = limit(h->max_pending);
    c->max_requests = limit(h->max_requests);
    c->max_retries = limit(h->max_retries);
    c->max_requests_per_connection = (uint32_t)h->max_requests_per_connection;
    if (h->max_streams)
        c->max_streams = (uint32_t)h->max_streams;
    if (check_get(h->at, "idleTimeout"))
        c->idle_timeout_ms = h->idle_timeout;
    if (h->use_client_protocol)
        c->client_protocol = true;
    else if (h->h2_upgrade == UPGRADE && speech == SPEECH_HTTP1)
        c->http2 = true;
    if (h->keepalive) {
        c->ping_interval_ms = h->keepalive->interval;
        c->ping_timeout_ms = h->keepalive->timeout;
    }
}

static void set_pool(struct cluster *c, const struct dr_pool *p, enum service_speech speech)
{
    c->connect_timeout_ms = CONNECT_TIMEOUT_MS;
    c->idle_timeout_ms = IDLE_TIMEOUT_MS;
    c->max_connections = c->max_pending = c->max_requests = c->max_retries = UINT32_MAX;
    c->max_streams = MOST_STREAMS;
    c->http2 = speech == SPEECH_HTTP2;
    c->client_protocol = speech == SPEECH_UNKNOWN;
    if (p && p->tcp)
        set_tcp(c, p->tcp);
    if (p && p->http)
        set_http(c, p->http, speech);
    if (c->client_protocol)
        c->http2 = false;
}

/* ---- which endpoints ail ---- */

static uint32_t threshold(const struct dr_outlier *o, const char *field, uint32_t v, uint32_t otherwise)
{
    return check_get(o->at, field) ? v : otherwise;
}

static void set_outlier(struct cluster *c, const struct dr_outlier *o)
{
    c->outlier = (struct outlier_detection){
        .on = true,
        .consecutive_5xx = threshold(o, "consecutive5xxErrors", o->errors_5xx, 5),
        .consecutive_gateway = o->gateway_errors,
        .consecutive_local = threshold(o, "consecutiveLocalOriginFailures", o->local_failures, 5),
        .split = o->split,
        .interval_ms = o->interval ? o->interval : 10000,
        .base_ejection_ms = o->ejection_time ? o->ejection_time : 30000,
        .max_ejection_percent = o->max_percent ? (uint32_t)o->max_percent : 10,
        .min_health_percent = (uint32_t)o->min_percent,
        .codes = o->codes.v,
        .ncodes = o->codes.n,
    };
}

void policy_set(struct cluster *c, const struct policy_parts *p, enum service_speech speech)
{
    set_balancer(c, p->balancer);
    set_pool(c, p->pool, speech);
    if (p->outlier)
        set_outlier(c, p->outlier);
    if (p->proxy_protocol)
        c->proxy_protocol = (uint8_t)(p->proxy_protocol->version + 1);
    if (p->budget) {
        c->retry_budget_percent = check_get(p->budget->at, "percent") ? (uint32_t)p->budget->percent : BUDGET_PERCENT;
        c->retry_budget_min = check_get(p->budget->at, "minRetryConcurrency") ? p->budget->least : BUDGET_LEAST;
    }
}
