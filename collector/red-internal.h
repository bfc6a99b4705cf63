/* red-internal.h: what the files of RED share.
 *
 *   rows ──▶ struct red_request ──▶ sums by label set ──▶ increments in the batch
 *   red.c (access logs), red_spans.c   red_counts.c, red_sets.c
 *
 * red_known.c says whose metrics the store has anyway, red_peers.c who was at the other end of a span. */
#ifndef COLLECTOR_RED_INTERNAL_H
#define COLLECTOR_RED_INTERNAL_H

#include "base/istio_metrics.h"
#include "base/strmap.h"
#include "collector/red.h"

#include <pthread.h>
#include <stdatomic.h>

#define RED_LOGS_JOB  "vigla/logs"
#define RED_SPANS_JOB "vigla/spans"

/* --- one request --- */

/* Texts are views and live as long as the batch, but for the response code, which red_counts copies. */
struct red_request {
    bool is_http;
    struct str label[ACCESS_LOG_NFIELDS]; /* those of istio_labels, by their field; empty: missing */
    double observed[ISTIO_HISTOGRAMS];    /* ms, bytes, bytes; negative: not known, and not counted */
    int64_t sent_bytes, received_bytes;   /* TCP; negative: not known */
};

/* --- red_sets.c: label sets that are kept from batch to batch --- */

/* The series of a label set, by the labels that they do not share. */
enum {
    RED_BUCKETS = ISTIO_BOUNDS + 1,
    RED_HISTOGRAM = RED_BUCKETS + 2, /* the buckets, _sum, _count */

    RED_REQUESTS = 0,
    RED_HISTOGRAM_SERIES,                                              /* those of a histogram after those of another */
    RED_TCP = RED_HISTOGRAM_SERIES + ISTIO_HISTOGRAMS * RED_HISTOGRAM, /* as the metrics from ISTIO_TCP_OPENED on */
    RED_AWAITED = RED_TCP + ISTIO_TCP_END - ISTIO_TCP_OPENED,          /* SPAN_CALLERS_AWAITED */
    RED_FOUND,                                                         /* SPAN_CALLERS_FOUND */
    RED_SERIES
};

struct red_set {
    struct str key;
    struct labels labels; /* of all its series, but for what is in red.own */
    bool is_http;
    bool is_passing;          /* not kept: lives as long as the batch */
    int64_t ask_again_ns;     /* monotonic */
    uint32_t ids[RED_SERIES]; /* the store's, 0: not known */
};

/* Thread-safe, counted references. */
struct red_sets {
    _Atomic size_t holders;
    _Atomic bool is_full;
    uint64_t number;      /* no other collection has it; from 1 */
    pthread_mutex_t lock; /* guards all below, and what changes of a set: ask_again_ns, ids */
    struct arena memory;
    struct strmap by_key; /* struct red_set */
};

/* The collection at hand, to be dropped. NULL: no memory. */
struct red_sets *red_sets_take(struct red *r);
void red_sets_drop(struct red_sets *s); /* NULL is fine */
/* The arena holds it until it is freed, too. 0, ERR_NOMEM. */
int red_sets_lend(struct red_sets *s, struct arena *a);
/* The set of this key, which says all that `q` and `job` do. Lives as long as `s`, or in `a` where `s` is NULL or full.
 * NULL: no memory. */
struct red_set *red_sets_get(struct red_sets *s, const struct red *r, struct arena *a, struct str key,
                             const struct red_request *q, const char *job);
/* The store's numbers for its series, 0 where it is not known. */
void red_sets_numbers(struct red_sets *s, const struct red *r, struct red_set *set, uint32_t ids[RED_SERIES]);

/* --- red_counts.c: sums by label set; one call of red_access_logs or red_spans --- */

struct red_sum;
struct red_counts {
    const struct red *red;
    struct batch *batch;
    const char *job;
    struct red_sets *sets;
    struct strmap by_key; /* struct red_sum */
    struct red_sum *first, **last;
    struct buf key;
};

void red_counts_init(struct red_counts *c, struct red *r, struct batch *b, const char *job);
/* The set that the request was added to; NULL: no memory. */
struct red_set *red_counts_add(struct red_counts *c, const struct red_request *q);
/* That a request of the set was counted before its caller was known; that the caller of one is known by now. The set is
 * of c->sets. 0, ERR_NOMEM. */
int red_counts_awaited(struct red_counts *c, struct red_set *set);
int red_counts_found(struct red_counts *c, struct red_set *set);
/* Adds the sums to the batch. 0, ERR_NOMEM. */
int red_counts_put(struct red_counts *c);
void red_counts_fini(struct red_counts *c);

/* --- red_known.c: who is counted elsewhere --- */

enum red_elsewhere { RED_BY_METRICS = 1, RED_BY_LOGS = 2 }; /* bits: a job of its own; RED_LOGS_JOB */

struct red_known; /* what a look into the store showed; never changed, counted references */

/* A look of some seconds ago, at most; never NULL but without memory. To be given back. */
struct red_known *red_known_take(struct red *r);
void red_known_drop(struct red *r, struct red_known *k);

/* A reporter, as a row names it; what is not known is empty. */
struct red_reporter {
    struct str reporter;                   /* "source", "destination" */
    struct str ns, pod, workload, service; /* service: Istio's canonical service */
};

/* Bits of red_elsewhere, by the most exact name that there is: pod, then workload, then service. `scratch` is
 * overwritten. */
unsigned red_known_elsewhere(const struct red_known *k, const struct red_reporter *who, struct buf *scratch);

/* --- red_peers.c: who was at the other end of a span --- */

/* A service, as its resource names it; what is not known is empty. */
struct red_party {
    struct str ns, workload, app, version, service;
};

/* What is remembered of spans, by trace and span. */
enum red_role {
    RED_SERVER,       /* a span that serves, by its own id */
    RED_OTHER,        /* any other span, by its own id */
    RED_SERVED_BELOW, /* a span that serves, by its parent's id */
    RED_SENT_BELOW    /* a span that calls, by its parent's id */
};

struct red_peers; /* guarded by red.peers_lock */

/* NULL: no memory. */
struct red_peers *red_peers_new(void);
void red_peers_free(struct red_peers *p);
/* The party kept of these texts: as long as `p`. NULL: there are too many. */
const struct red_party *red_peers_party(struct red_peers *p, const struct red_party *texts);
void red_peers_note(struct red_peers *p, enum red_role role, struct str trace, struct str span,
                    const struct red_party *party);
/* NULL: not known, or forgotten. */
const struct red_party *red_peers_find(const struct red_peers *p, enum red_role role, struct str trace,
                                       struct str span);
/* A request that was counted before its caller's span came. */
struct red_awaiting {
    uint64_t sets; /* the number of the collection of `set` */
    struct red_set *set;
    const struct red_party *party; /* who served it */
};

/* The caller will be the parent, or the other half of the span itself. */
void red_peers_await(struct red_peers *p, struct str trace, struct str span, struct str parent,
                     const struct red_awaiting *w);
/* Whom the caller's span is awaited by, one after the other, until false: each is told once. `served_by` NULL: as any
 * half or parent; else as the parent, by that party. */
bool red_peers_awaiting(struct red_peers *p, struct str trace, struct str span, const struct red_party *served_by,
                        struct red_awaiting *out);
/* That callers in the namespace reach this party by a host of this name. */
void red_peers_learn(struct red_peers *p, struct str ns, struct str name, const struct red_party *party);
/* NULL: not known, or the host is an address of several. */
const struct red_party *red_peers_at(struct red_peers *p, struct str ns, struct str name);

/* --- the whole --- */

/* The labels by name: at `at` in istio_labels, or beyond them `job`. */
struct red_label_at {
    struct str name;
    size_t at;
};

struct red {
    struct store *store;
    struct red_label_at order[ISTIO_LABELS + 1];
    struct batch_own own[RED_SERIES]; /* its texts: */
    struct arena names;

    pthread_mutex_t lock; /* guards all below */
    struct red_sets *sets;
    uint64_t nsets; /* collections there have been */
    struct red_known *known;
    int64_t look_again_ns; /* monotonic */
    bool looking;          /* a thread is at it: the others do with the last one */

    pthread_mutex_t peers_lock; /* guards the peers */
    struct red_peers *peers;    /* NULL until the first span */
};

#endif
