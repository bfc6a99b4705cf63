/* circuit.h: what all workers together have under way to a cluster, and which of its hosts are ejected.
 *
 * Workers share nothing else (worker.h), but "1000 connections to this service" and "this host fails" are said of the
 * proxy, not of one of its threads. So each cluster has one such record, found by the cluster's name: it outlives
 * snapshots, and with it go its counts and the hosts' sentences.
 *
 *   Counts     connections and what waits for them are counted always: both are rare. Requests are counted only where
 *              a limit or a retry budget asks for it, so that most requests touch nothing that is shared.
 *   Exactness  a count is raised first and taken back when that was one too many: two workers that meet at the limit
 *              may both be turned away, but never both be let in.
 *   Epoch      rises when a host is ejected or its health changes: a worker looks at one number to know whether to look
 *              at the hosts again.
 *   One more   a worker without any connection to a host may always make one, as Envoy's: who waits for a connection
 *              waits in its own worker, and only that worker's connections can wake it.
 *
 * Atomics without an order among them: each is right by itself. The map of hosts and what outlier.c does to several of
 * them is under the record's lock. */
#ifndef PROXY_CIRCUIT_H
#define PROXY_CIRCUIT_H

#include "base/str.h"
#include "base/strmap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct circuits; /* all clusters' */

enum host_health { HOST_UNCHECKED, HOST_WELL, HOST_FAILED }; /* by health_check.h */

/* One host, as all workers see it: outlier.h says what its fields mean. */
struct circuit_host {
    size_t refs;                    /* under the circuit's lock, as is `ejections` */
    struct str address;
    int64_t born_ns;                /* first seen; clock_mono_ns */
    atomic_uint errors, gateway_errors, local_errors; /* in a row */
    _Atomic int64_t ejected_until_ns; /* 0: never was */
    uint32_t ejections;             /* counted down while it behaves */
    _Atomic enum host_health health;
};

struct circuit {
    struct circuits *all;
    size_t refs;                    /* under the lock of `all` */
    struct str name;
    atomic_uint connections, pending, requests, retries;
    atomic_uint connection_overflows, pending_overflows, request_overflows, retry_overflows; /* turned away so far */
    atomic_uint ejections_total;
    atomic_uint checks, checks_good, checks_failed, checks_unanswered; /* of health so far; unanswered: of the failed */
    atomic_bool called;             /* some request or connection has been meant for it; kept where checks ask for it */
    atomic_uint epoch;
    pthread_mutex_t lock;           /* guards `hosts` */
    struct strmap hosts;            /* address → struct circuit_host */
};

/* NULL: no memory. */
struct circuits *circuits_new(void);
/* Every circuit has been put. NULL is accepted. */
void circuits_free(struct circuits *cs);

/* By name, made when it is new; a reference. NULL: no memory. Any thread, as all below. */
struct circuit *circuit_get(struct circuits *cs, struct str cluster);
/* With a reference when there is one; NULL: not known. */
struct circuit *circuit_find(struct circuits *cs, struct str cluster);
void circuit_put(struct circuit *c); /* NULL is accepted */
/* Calls back with each, in no order; the callback may not get or put any. */
void circuits_each(struct circuits *cs, void (*each)(void *arg, struct circuit *c), void *arg);

struct circuit_host *circuit_host_get(struct circuit *c, struct str address, int64_t now_ns);
/* Until when a host is ejected; 0 or in the past: it is not. */
int64_t circuit_ejected_until(struct circuit *c, struct str address);
enum host_health circuit_health(struct circuit *c, struct str address);
void circuit_host_put(struct circuit *c, struct circuit_host *h); /* NULL is accepted */

/* One more of what is counted, unless there are `limit` already: then `overflows` counts it. */
static inline bool circuit_take(atomic_uint *count, uint32_t limit, atomic_uint *overflows)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < limit)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(overflows, 1, memory_order_relaxed);
    return false;
}

static inline void circuit_give(atomic_uint *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

/* How many retries there may be at once: `max`, or with a budget so many percent of what is under way, `least` at
 * least. */
uint32_t circuit_most_retries(const struct circuit *c, uint32_t max, uint32_t budget_percent, uint32_t least);

#endif
