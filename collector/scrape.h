/* scrape.h: the scrape manager: fetches pages of metrics from targets, on time, and hands them to the store.
 *
 * One thread of its own does all of it, on libevent and libcurl; it never waits for a target, a file or the store. What
 * Prometheus writes beside a page is written here too: up and scrape_*, stale markers for what a page, a target or a
 * job no longer has, and for all of a target when a scrape fails. A scrape that the store refuses (its queue is full,
 * the disk is full) counts as failed, and is told and counted as that.
 *
 * All functions are thread-safe, apart from start and stop. */
#ifndef COLLECTOR_SCRAPE_H
#define COLLECTOR_SCRAPE_H

#include "collector/scrape_config.h"
#include "store/store.h"

struct scrape;

/* Takes `config` over, also on failure. The store must be open longer. NULL: ERR_NOMEM, ERR_IO. */
struct scrape *scrape_start(struct store *st, struct scrape_config *config, struct err *e);
/* Takes `config` over and returns when it is in force. What it does not change goes on undisturbed: jobs that are the
 * same, and of other jobs the targets that are the same. */
void scrape_apply(struct scrape *s, struct scrape_config *config);
/* Ends requests under way, waits for what the store has been given, and frees. No stale markers: after a restart series
 * go on. NULL is fine. */
void scrape_stop(struct scrape *s);

enum scrape_health { SCRAPE_UNKNOWN, SCRAPE_UP, SCRAPE_DOWN };

struct scrape_target {
    struct str pool;             /* the job's name in the configuration */
    struct labels discovered;    /* before relabelling, with __address__ and __meta_… */
    struct labels labels;
    struct str url;
    struct str last_error;       /* empty: none */
    int64_t last_scrape_ms;      /* when the last one began; 0: none yet */
    double last_duration_s;
    enum scrape_health health;
    int64_t interval_ms, timeout_ms;
};

struct scrape_dropped {
    struct str pool;
    struct labels discovered;
};

struct scrape_pool {
    struct str name;
    size_t active, dropped;
};

/* What is scraped now: for /api/v1/targets and /api/v1/scrape_pools. */
struct scrape_targets {
    const struct scrape_pool *pools; /* in the order of the configuration */
    size_t npools;
    const struct scrape_target *active; /* by pool, then by labels */
    size_t nactive;
    const struct scrape_dropped *dropped; /* as many as keep_dropped_targets allows; scrape_pool counts all */
    size_t ndropped;
};

/* A copy of all in `a`, which must stay as long. ERR_NOMEM. */
int scrape_targets(struct scrape *s, struct arena *a, struct scrape_targets *out, struct err *e);

struct scrape_metric {
    struct labels target;
    struct batch_metadata metadata;
};

/* What the active targets say about their metrics: for /api/v1/targets/metadata. `metric` empty: about all. Sorted by
 * target as scrape_targets has them, then by metric. ERR_NOMEM. */
int scrape_metadata(struct scrape *s, struct str metric, struct arena *a, struct scrape_metric **out, size_t *n,
                    struct err *e);

/* Since the start, for /metrics. */
struct scrape_stats {
    uint64_t scrapes, failures;   /* failures: those that ended with up = 0, or could not be stored */
    uint64_t not_stored;          /* of these: the store refused */
    uint64_t late;                /* left out because the one before had not ended */
    uint64_t samples;             /* stored, reports and stale markers too */
    uint64_t doubles;             /* lines that stood twice on their page, left out */
};
void scrape_stats(struct scrape *s, struct scrape_stats *out);

#endif
