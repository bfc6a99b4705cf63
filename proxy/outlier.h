/* outlier.h: hosts that fail several times in a row get no requests for a while: Envoy's outlier detection.
 *
 *            `consecutive_*` failures in a row
 *   TAKING  ------------------------------------>  EJECTED
 *      ^      unless too many of the cluster are      |
 *      +----- base × ejections later, 300 s at most --+
 *
 * What a failure is: with `split`, an answer and what our own side of the connection says are counted apart; else a
 * connection that cannot be made or breaks counts as a 503, and a time-out as a 504 (both are gateway errors). Each
 * success sets its row back to 0. Ejections are counted down again by one for each `interval` spent without another.
 *
 * The rows are shared by all workers: threshold 5 means five, however many threads the proxy has. They are atomics of
 * the host (circuit.h), written only when they change: a host that never fails costs one read of a line nobody writes.
 * A sentence is passed under the circuit's lock, where the share of ejected hosts is counted, too; it ends by time
 * alone, which every worker reads off the clock: there is no timer and no thread for it. */
#ifndef PROXY_OUTLIER_H
#define PROXY_OUTLIER_H

#include "mesh/snapshot.h"
#include "proxy/circuit.h"

enum outlier_result {
    OUTLIER_RESET,    /* no connection, or it broke before an answer */
    OUTLIER_TIMEOUT,
    OUTLIER_CONNECTED /* all that TCP can say well of a host */
};

/* `nhosts`: of the cluster. Times are of clock_mono_ns. */
struct outlier {
    const struct outlier_detection *rules;
    struct circuit *circuit;
    struct circuit_host *host;
    size_t nhosts;
    int64_t now_ns;
};

/* An answer came, with this HTTP status (of gRPC's statuses: outlier_grpc_status). */
void outlier_answered(const struct outlier *o, unsigned status);
void outlier_ended(const struct outlier *o, enum outlier_result r);

/* The HTTP status that a gRPC status counts as; 0: it is no number. */
unsigned outlier_grpc_status(struct str grpc);

static inline bool outlier_is_ejected(const struct circuit_host *h, int64_t now_ns)
{
    return atomic_load_explicit(&h->ejected_until_ns, memory_order_relaxed) > now_ns;
}

#endif
