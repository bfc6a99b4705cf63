/* scrape_target-internal.h: from what discovery says to what is scraped. */
#ifndef COLLECTOR_SCRAPE_TARGET_INTERNAL_H
#define COLLECTOR_SCRAPE_TARGET_INTERNAL_H

#include "base/err.h"
#include "collector/scrape_config-internal.h"

/* A target before it is scraped; all in one arena. */
struct target_spec {
    struct labels discovered; /* with __address__, __meta_… and the job's defaults: before relabelling */
    struct labels labels;     /* those that its series carry */
    struct str url;           /* NUL-terminated */
    int64_t interval_ms, timeout_ms;
    uint64_t labels_hash;     /* this and the next: the same in every process */
    uint64_t hash;            /* of labels and URL */
};

/* The target at `address` of a group. 1: *out is it; 0: relabelling dropped it (only out->discovered is set);
 * ERR_INVALID: it cannot be scraped, with Prometheus' words; ERR_NOMEM. */
int target_resolve(const struct scrape_job *job, const struct target_group *group, struct str address, struct arena *a,
                   struct target_spec *out, struct err *e);

/* When the first scrape after now_ms is due: each target has its own place within the interval, the same after every
 * start, so that targets are spread over it. */
int64_t target_next(uint64_t hash, int64_t interval_ms, int64_t now_ms);

#endif
