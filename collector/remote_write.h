/* remote_write.h: Prometheus' remote write 1.0 in: one WriteRequest to one batch.
 *
 * Source: prometheus.io/docs/specs/prw/remote_write_spec, prometheus/prompb (types.proto, remote.proto). Thread-safe. */
#ifndef COLLECTOR_REMOTE_WRITE_H
#define COLLECTOR_REMOTE_WRITE_H

#include "base/err.h"
#include "store/store.h"

/* What became of a request whose rest is good. */
struct remote_write_outcome {
    uint64_t samples;   /* in the batch */
    uint64_t refused;   /* samples, native histograms and pieces of metadata that are left out */
    uint64_t exemplars; /* left out: their labels are not in order, or are too long */
    char why[512];      /* the first reason of a refusal; empty: none */
};

/* `message` is the unpacked body; strings of the batch point into it. Series that `st` (may be NULL) knows are not parsed.
 * Nothing is allocated for a single sample. 0: the batch holds all that is good. ERR_PARSE: not a WriteRequest. ERR_NOMEM. */
int remote_write_decode(struct str message, struct store *st, struct batch *b, struct remote_write_outcome *o,
                        struct err *e);

#endif
