/* health_check.h: asks hosts whether they are well, and keeps those that are not out of the balancing: Envoy's active
 * health checks.
 *
 *   UNCHECKED --the first answer--> WELL or FAILED
 *
 *   WELL --a bad status, or `unhealthy_threshold` failures of the network--> FAILED
 *     ^---------------------- `healthy_threshold` successes ------------------/
 *
 * One worker, the first, asks; what it finds is said in the record of the host that all workers share (circuit.h), as
 * an ejection is: the circuit's epoch tells them to look. A host that is new counts only after its first answer, as
 * Envoy's does, unless no host of the cluster has given one yet: Envoy would not use such a cluster before (it warms
 * up), and here nothing waits for it, so all count until then.
 *
 * Nothing blocks: each check by HTTP or TCP is a connection of its own, secured as the cluster's are, among no
 * circuit's; one by gRPC is a call as others are, and is left out while limits have no room for it. At most
 * HEALTH_MOST_PROBES are under way, and others wait their turn. Checks go on from one snapshot to the next: they are
 * bound to the hosts, and what is asked is what the newest snapshot says. A cluster that has never been called is asked
 * at its `no_traffic_ms`.
 *
 * Source: envoyproxy.io/docs, "Health checking"; config.core.v3.HealthCheck. */
#ifndef PROXY_HEALTH_CHECK_H
#define PROXY_HEALTH_CHECK_H

#include "proxy/circuit.h"

struct cluster;
struct health_checker;
struct health_check;
struct view;
struct worker;

enum { HEALTH_MOST_PROBES = 64 };

/* What a worker has of them. */
struct health_checks {
    struct health_checker *first;
    size_t nprobes;              /* under way */
    uint64_t generation;
    unsigned names;              /* the names' generations, as of which hosts are checked */
};

/* Checks the hosts of the view, which is to be the worker's, and no others. Nothing on workers that do not check. */
void health_checks_follow(struct worker *w, struct view *v);
/* Once a second: hosts of names come and go without a view. */
void health_checks_tick(struct worker *w);
/* The worker ends. */
void health_checks_stop(struct worker *w);

enum health_answer { HEALTH_GOOD, HEALTH_BAD, HEALTH_NO_ANSWER };

/* What a status says. */
enum health_answer health_of_status(const struct health_check *check, unsigned status);
/* Whether the parts are found one behind the other in what has come. */
bool health_has_parts(const struct health_check *check, struct str bytes);

/* Where a host stands, between its answers. */
struct health_count {
    uint32_t good, bad;          /* in a row, towards a threshold */
};

/* Whom an HTTP or gRPC check names as the one it asks. */
struct str health_host(const struct cluster *c);

/* Takes an answer. Returns what the host is now; `was` before. */
enum host_health health_count(struct health_count *n, const struct health_check *check, enum host_health was,
                              enum health_answer answer);
/* The pause before the next check, without jitter. `called`: the cluster ever was. */
int64_t health_pause_ms(const struct health_check *check, enum host_health is, enum health_answer answer, bool called);

#endif
