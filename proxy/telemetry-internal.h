/* telemetry-internal.h: what the telemetry thread holds, for the pages of its admin port. */
#ifndef PROXY_TELEMETRY_INTERNAL_H
#define PROXY_TELEMETRY_INTERNAL_H

#include "base/arena.h"
#include "base/rand.h"
#include "proxy/access_file-internal.h"
#include "proxy/export-internal.h"
#include "proxy/metrics-internal.h"
#include "proxy/telemetry.h"

#include <pthread.h>
#include <stdatomic.h>

struct event;
struct event_base;
struct admin;

/* Records of one signal on their way into a batch. */
struct open_batch {
    struct buf records;
    size_t n;
};

enum readiness { STARTING, READY, DRAINING };
enum handover_step { NOT_HANDED_OVER, HAND_OVER, HANDED_OVER };

struct telemetry {
    struct arena arena;              /* `self` and other texts that stay */
    struct workload self;
    struct str node_id;              /* as Envoy names it: "sidecar~IP~POD.NS~NS.svc.cluster.local" */
    struct telemetry_options o;
    struct event_base *base;
    struct event *tick;
    struct metrics *metrics;
    struct access_file *file;        /* NULL: none */
    struct exporter *exporter;       /* NULL: ships nothing */
    struct admin *admin;             /* NULL: no port */
    struct record *peeked;           /* one for each ring: its oldest record */
    bool *has_peeked;
    uint64_t records;                /* taken from the rings */
    int64_t started_ns, flush_at_ns, report_all_at_ns;
    struct rng rng;                  /* for the ids of log lines */
    struct buf resource, head, line, own_line; /* own_line: in the file's format, where that is not the server's */
    struct open_batch logs, spans;
    unsigned rested;                 /* ticks without a record, at most REST_TICKS */
    pthread_t thread;
    /* The only things another thread writes: */
    atomic_int readiness;            /* enum readiness */
    atomic_bool reopen, held;
    atomic_int handover;             /* enum handover_step */
    _Atomic int64_t stop_by_ns;      /* 0: not stopping; else by clock_mono_ns */
};

#endif
