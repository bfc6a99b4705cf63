/* telemetry.h: one thread beside the workers: Istio's metrics, the access log, spans, and their way to the server.
 *
 * It drains the workers' rings, counts, writes the access log file, and ships OTLP/HTTP protobuf (logs, metrics,
 * traces) to the server in numbered batches, which it keeps in a bounded buffer and sends again until they are
 * acknowledged; when the buffer is full it drops the newest and counts that. It also serves the admin port. */
#ifndef PROXY_TELEMETRY_H
#define PROXY_TELEMETRY_H

#include "base/err.h"
#include "mesh/snapshot.h"
#include "proxy/access_format.h"
#include "proxy/circuit.h"
#include "proxy/inherited.h"
#include "proxy/record.h"

struct telemetry;

struct telemetry_options {
    const char *url;               /* "http://127.0.0.1:20001"; NULL: ships nothing */
    const char *access_log;        /* path, "-" for stdout, NULL: none */
    bool access_log_json;
    const struct access_format *access_format; /* NULL: Istio's default, as text or JSON */
    const char *admin_host;        /* NULL: no admin port */
    uint16_t admin_port;
    size_t buffer_bytes;           /* of unacknowledged batches; 0 = 32 MiB */
    int64_t flush_ms;              /* 0 = 200 */
    struct record_ring **rings;    /* one per worker; owned by the caller, outlive telemetry */
    size_t nrings;
    /* The snapshot in force, for /config_dump, /clusters, /listeners: called from telemetry's thread. The result is
     * given back by snapshot_put. */
    const struct proxy_snapshot *(*snapshot_get)(void *arg);
    void (*snapshot_put)(void *arg, const struct proxy_snapshot *s);
    void *snapshot_arg;
    struct inherited *inherited; /* may have the admin port's socket; read at the start only; NULL: none */
    bool held;                   /* tells nothing until telemetry_release: the process before this one tells its last */
    struct circuits *circuits;   /* what is under way to clusters, for /clusters and /stats; NULL: not told */
    struct rate_limits *limits;  /* likewise, for /stats */
};

/* Starts the thread. `self` is copied. NULL: ERR_IO (a port or file that cannot be opened), ERR_PARSE, ERR_UNSUPPORTED
 * (the URL), ERR_NOMEM. */
struct telemetry *telemetry_start(const struct workload *self, const struct telemetry_options *o, struct err *e);
/* /ready answers 200 from now on (503 before), or 503 again while draining. Thread-safe. */
void telemetry_set_ready(struct telemetry *t, bool ready);
/* The admin port's listening socket, for another process; it stays telemetry's. -1: none. */
int telemetry_admin_socket(const struct telemetry *t);
/* Ends `held`. Until then records wait in the rings. Thread-safe. */
void telemetry_release(struct telemetry *t);
/* Another process has taken over: closes the admin port, and tells what is counted so far for the last time. What is
 * counted from then on, of requests that were under way, is told as that of an instance of its own,
 * "POD.NAMESPACE/PID": two processes must not count in one series. Thread-safe, and done within a tick: then
 * telemetry_has_handed_over. */
void telemetry_hand_over(struct telemetry *t);
bool telemetry_has_handed_over(const struct telemetry *t);
/* Opens the access log file again, after a rotation. Thread-safe. */
void telemetry_reopen(struct telemetry *t);
/* Drains the rings, flushes the file, tries for at most timeout_ms to get everything acknowledged, then frees. */
void telemetry_stop(struct telemetry *t, int64_t timeout_ms);

#endif
