/* metrics-internal.h: Istio's standard metrics, counted from records. One thread. */
#ifndef PROXY_METRICS_INTERNAL_H
#define PROXY_METRICS_INTERNAL_H

#include "base/buf.h"
#include "base/istio_metrics.h"
#include "proxy/record.h"

struct histogram {
    uint64_t buckets[ISTIO_BOUNDS + 1]; /* each for itself, not summed up */
    uint64_t count;
    double sum;
};

/* A request whose trace was recorded, for who asks what is behind a number: one each second at most, and sent once. */
struct exemplar {
    char trace_id[32], span_id[16]; /* not NUL-terminated */
    int64_t time_ns;                /* when it was counted; 0: there is none yet */
    double ms;
    bool is_new;                    /* not taken yet */
};

/* The series of one label set. A series exists from its first increment on, and its start lies just before that. */
struct metric_set {
    struct metric_set *next, *next_changed;
    bool is_changed;
    struct str text;              /* the labels as exposition text, without braces */
    struct str attributes[2];     /* the labels as attributes of a NumberDataPoint, a HistogramDataPoint */
    int64_t starts[ISTIO_METRICS];      /* ns since the epoch; 0: no such series */
    uint64_t counters[ISTIO_METRICS];   /* of those that are no histograms */
    struct histogram *histograms; /* HTTP: three, from ISTIO_DURATION on; TCP: NULL */
    struct exemplar exemplar;     /* HTTP: of the counter of requests, and of the histogram of their durations */
};

struct metrics;

/* NULL: no memory. */
struct metrics *metrics_new(size_t max_sets);
void metrics_free(struct metrics *m);
/* A label set beyond max_sets, or one that finds no memory, is not counted but in metrics_overflow. */
void metrics_record(struct metrics *m, const struct record *rec, int64_t now_ns);
size_t metrics_sets(const struct metrics *m);
uint64_t metrics_overflow(const struct metrics *m);

/* The text format 0.0.4. */
void metrics_text(const struct metrics *m, struct buf *b);
/* "name{labels}: value" lines of the counters, as Envoy's /stats has them. */
void metrics_stats(const struct metrics *m, struct buf *b);

/* Sets changed since they were taken last. A flush calls metrics_batch until it answers 0, and metrics_taken after each
 * batch that has found its place: a batch without a place leaves its sets changed, and a later one carries them.
 * Appends the Metric messages of as many changed sets as fit into max_bytes (one at least); answers their points. */
size_t metrics_batch(struct metrics *m, int64_t now_ns, size_t max_bytes, struct buf *records);
void metrics_taken(struct metrics *m, int64_t now_ns);
bool metrics_has_changed(const struct metrics *m);
/* Every series counts as changed. */
void metrics_touch_all(struct metrics *m);

#endif
