/* rate_limit.h: local rate limits: token buckets that all workers share, and which of them a request takes from.
 *
 * "100 requests a minute" is said of the proxy, not of one of its threads. A bucket is one atomic word, in two halves:
 *
 *      63             32 31              0
 *     | filled: intervals | tokens        |
 *
 *   Filling   nobody does it by a timer: whoever takes a token first adds what the intervals since `filled` brought
 *             (they are counted from the bucket's birth, so that none is lost or counted twice), and writes both halves
 *             in one compare-and-swap. There is no lock and no system call: the time is the worker's.
 *   Empty     a request that finds no token writes nothing: an overrun costs the workers a read of a shared line.
 *   Late      a worker whose clock is behind another's fills nothing; time is never turned back.
 *   Wrapping  interval numbers are compared modulo 2^32: a bucket must be asked once in three years.
 *
 * A bucket is found by its key (mesh/snapshot.h): it outlives the snapshot that it came with when the next one has it,
 * too, and then goes on where it was. Counters are found by the stat prefix, which several limits may share.
 *
 * Source: envoyproxy.io/docs, "Local rate limit" (HTTP and network filters): which buckets a request takes from, and
 * what is counted. */
#ifndef PROXY_RATE_LIMIT_H
#define PROXY_RATE_LIMIT_H

#include "base/rand.h"
#include "mesh/snapshot.h"
#include "proxy/header_source.h"

#include <stdatomic.h>

struct rate_limits; /* all buckets and counters of the proxy */

struct rate_bucket {
    size_t refs;                /* under the lock of all */
    struct str key;
    uint32_t most, per_fill;
    int64_t interval_ns, born_ns;
    _Atomic uint64_t state;
};

/* Envoy's counters. */
struct rate_limit_counts {
    size_t refs;                /* likewise */
    struct str prefix;
    bool of_connections;        /* only `limited` counts then */
    _Atomic uint64_t enabled, enforced, ok, limited;
};

/* A limit of a snapshot, as a worker's view holds it. */
struct rate_limiter {
    const struct rate_limit *limit;
    struct rate_bucket *bucket;       /* NULL: it has none */
    struct rate_bucket **descriptors; /* as limit->descriptors */
    struct rate_limit_counts *counts;
};

/* What a request's descriptors are made of. `actions` are those of route and virtual host. */
struct rate_limit_facts {
    struct header_source headers;
    struct str query;           /* p NULL: there is none */
    struct str remote_ip;
    struct str cluster;         /* where its route leads; empty: nowhere, or not yet known */
    const struct rate_limit_rules *route, *host; /* NULL: they say nothing */
};

/* What came of it. */
struct rate_limit_verdict {
    bool counted;               /* the limit was on for this request */
    bool limited, refused;      /* there was no token; and that is enforced */
    const struct rate_bucket *bucket; /* the one that decided, which x-ratelimit-* tell of; NULL: none did */
};

/* NULL: no memory. */
struct rate_limits *rate_limits_new(void);
/* Everything has been closed. NULL is accepted. */
void rate_limits_free(struct rate_limits *all);
/* Calls back with each prefix' counters, in no order; the callback may open or close nothing. Any thread. */
void rate_limits_each(struct rate_limits *all, void (*each)(void *arg, const struct rate_limit_counts *c), void *arg);

/* Finds or makes what `l` needs, for a worker; `a` is the view's. 0 or ERR_NOMEM: to be closed all the same. */
int rate_limiter_open(struct rate_limiter *r, struct rate_limits *all, const struct rate_limit *l,
                      struct arena *a, int64_t now_ns);
/* Zeroed storage may be closed, too. */
void rate_limiter_close(struct rate_limiter *r, struct rate_limits *all);

/* Asks for one request. Counts. */
void rate_limit_ask(const struct rate_limiter *r, const struct rate_limit_facts *facts, int64_t now_ns, struct rng *rng,
                    struct rate_limit_verdict *v);
/* For one connection. True: it may stay. */
bool rate_limit_ask_connection(const struct rate_limiter *r, int64_t now_ns);

/* One token, if there is one. */
bool rate_bucket_take(struct rate_bucket *b, int64_t now_ns);
uint32_t rate_bucket_left(const struct rate_bucket *b, int64_t now_ns);
/* Until the next tokens come. */
int64_t rate_bucket_next_ns(const struct rate_bucket *b, int64_t now_ns);

#endif
