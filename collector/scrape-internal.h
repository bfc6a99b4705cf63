/* scrape-internal.h: pools, targets and their life.
 *
 * A target's states, and what moves it:
 *
 *           timer: target_due                     page or error: target_fetched
 *    IDLE ───────────────────────► FETCHING ────────────────────────────► STORING ──┐
 *     ▲                                                                              │ store's answer: target_stored
 *     └──────────────────────────────────────────────────────────────────────────────┘
 *
 * A batch points into its target, so a target that is STORING changes nothing of what the batch shows.
 *
 * Threads. The scrape thread alone changes all this. `lock` guards what others read: the lists of pools and targets,
 * specs, job pointers, status and stats: it is held by the scrape thread to change them (not to read), by others to
 * read. `box` guards what others leave for the scrape thread. */
#ifndef COLLECTOR_SCRAPE_INTERNAL_H
#define COLLECTOR_SCRAPE_INTERNAL_H

#include "collector/discovery-internal.h"
#include "collector/scrape.h"
#include "collector/scrape_http-internal.h"
#include "collector/scrape_page-internal.h"
#include "collector/scrape_target-internal.h"

#include <pthread.h>

enum {
    REPORT_UP, REPORT_DURATION, REPORT_SCRAPED, REPORT_KEPT, REPORT_ADDED, REPORT_BASIC,
    REPORT_TIMEOUT = REPORT_BASIC, REPORT_SAMPLE_LIMIT, REPORT_BODY_BYTES, REPORT_ALL
};

enum target_state { TARGET_IDLE, TARGET_FETCHING, TARGET_STORING };

struct target {
    struct scrape *owner;
    struct pool *pool;               /* NULL when it is ending */
    struct target *next;             /* in its pool, or among those that end */
    struct arena spec_arena, report_arena;
    struct target_spec spec;
    struct labels report[REPORT_ALL]; /* labels of up, scrape_duration_seconds, … */
    bool reported;                   /* they are alive */
    bool extra;                      /* REPORT_BASIC and on too */
    enum target_state state;
    bool forget;                     /* the job has changed: entries of the cache no longer hold */
    bool doubles;                    /* the last page had lines that stood twice */
    bool farewell;                   /* the rows under way are its last: stale markers */
    bool late;                       /* the timer came while it was busy */
    struct event *timer;
    int64_t tick_ms;                 /* when the next scrape is due */
    int64_t scrape_ms;               /* the time of the scrape under way */
    int64_t begun_ns;                /* clock_mono_ns of its beginning */
    struct http_call call;
    struct scrape_cache cache;
    struct scrape_metadata metadata;
    struct page_rows rows;
    struct batch batch;
    struct arena batch_arena;
    int stored_rc;                   /* by the committer, before it puts the target into the box */
    struct err stored_error;
    struct target *next_stored;

    /* under `lock` */
    enum scrape_health health;
    char last_error[256];
    int64_t last_scrape_ms;
    double last_duration_s;
};

struct pool {
    struct scrape *owner;
    const struct scrape_job *job;
    struct pool *next;
    struct discovery **discovery;
    size_t ndiscovery;
    bool kept;                      /* scratch of a new configuration's coming */
    bool stale;                     /* its groups have changed since pool_settle */
    char over_limit[128];           /* "target_limit exceeded (…)": all scrapes fail by that */
    struct target *targets;         /* sorted by hash */
    size_t ntargets;
    struct arena dropped_arena;
    struct labels *dropped;         /* discovered labels */
    size_t ndropped, all_dropped;
};

struct scrape {
    struct store *store;
    struct event_base *base;
    struct http_client *client;     /* NULL until the first job: who scrapes nothing pays for nothing */
    struct event *woken, *settle;   /* settle: some pool's groups have changed */
    int wake_fd;
    pthread_t thread;
    bool running;

    pthread_mutex_t lock;
    struct scrape_config *config;
    struct pool *pools;
    struct target *ending;          /* have left their pools, and their stale markers are on the way */
    size_t storing;                 /* targets whose batch the store has */
    struct scrape_stats stats;

    pthread_mutex_t box;
    pthread_cond_t taken;
    struct scrape_config *next_config;
    struct target *stored;          /* the store has answered; newest first */
    bool stop;
};

/* --- scrape_target_make.c --- */

/* Its first scrape is planned. NULL: ERR_NOMEM. The spec is copied. */
struct target *target_new(struct pool *pool, const struct target_spec *spec);
/* A copy of the spec takes the place of its own, whose labels are the same. Under `lock`. */
void target_update(struct target *t, const struct target_spec *spec);
/* Not STORING. */
void target_free(struct target *t);

/* --- scrape_target_run.c --- */

/* What its timer and its call tell. */
void target_due(evutil_socket_t fd, short what, void *arg);
void target_fetched(struct http_call *call, const char *error);
/* Plans its next scrape. */
void target_plan(struct target *t);
/* It has left its pool: its series become stale, and then it is freed. */
void target_end(struct target *t);
/* The store has answered for it. */
void target_stored(struct target *t);

/* --- scrape_pool.c --- */

struct pool *pool_new(struct scrape *s, const struct scrape_job *job);
/* The same job, or another of that name. */
void pool_set_job(struct pool *p, const struct scrape_job *job);
/* Its targets become those that its groups tell of. */
void pool_settle(struct pool *p);
/* Ends all its targets. */
void pool_end(struct pool *p);
/* Frees it and its targets without a word to the store. */
void pool_free(struct pool *p);

#endif
