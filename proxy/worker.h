/* worker.h: one thread, one libevent loop, everything it touches while serving.
 *
 * A worker has its own listening sockets (SO_REUSEPORT), its own pools and its own view of the snapshot; workers share
 * nothing but the snapshot's memory, which nobody writes. News comes as messages from the main thread. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include "base/rand.h"
#include "base/strmap.h"
#include "proxy/access_format.h"
#include "proxy/batch.h"
#include "proxy/health_check.h"
#include "proxy/jwks_store.h"
#include "proxy/poller.h"
#include "proxy/record.h"
#include "proxy/view.h"

#include <event2/event_struct.h>
#include <pthread.h>

struct circuits;
struct names;
struct rate_limits;
struct stream;
struct worker_message;

struct worker_settings {
    struct tls_store *tls;
    struct jwks_store *jwks;     /* NULL: keys are not fetched */
    uint32_t sampling_ppm;       /* of traces that start here, where no Telemetry says otherwise */
    const struct log_headers *log_headers; /* what records carry of headers; never NULL */
    int64_t header_timeout_ns;   /* for a request's head, from its first byte */
    int64_t keep_alive_ns;       /* between requests */
    int64_t stream_idle_ns;      /* without a byte in either direction while a request is under way */
    int64_t drain_ns;
    bool io_uring;               /* to be used where there is one */
    struct circuits *circuits;   /* of all workers, as are the names and limits */
    struct names *names;
    struct rate_limits *limits;
};

/* A socket that accepts, and what the snapshot says about it. Connections hold on to it. */
struct worker_listener {
    struct worker *w;
    size_t refs;
    int fd;                      /* -1: no longer in the snapshot */
    bool gone;
    struct event ev;
    struct view *view;           /* the newest that has this listener */
    const struct listener *l;    /* in view */
    uint64_t generation;         /* how often `l` has changed */
    struct jwt_auth auth;        /* of l->policy.jwt */
    struct jwks_source **sources; /* as auth.keys; NULL for rules that have their own */
    uint64_t keys_seen;          /* jwks_store_changes, when they were read */
    struct tls_context **chain_tls; /* as l->chains; NULL where they are passed on */
    size_t nchain_tls;
    struct tls_context *mesh_tls; /* for mutual TLS with the mesh; NULL: none here */
    char local[CONN_ADDR_TEXT];
    bool wildcard;               /* the local address is each connection's own */
    struct worker_listener *next;
};

struct worker {
    struct event_base *base;
    size_t index;
    pthread_t thread;
    const struct worker_settings *settings;
    struct record_ring *ring;
    struct rng rng;

    int64_t now_ns;              /* clock_mono_ns at the beginning of the event */
    int64_t wall_ns;             /* add to get the time since the epoch */
    char date[32];               /* "Sun, 06 Nov 1994 08:49:37 GMT" */
    struct event *tick;

    struct view *view;
    struct worker_listener *listeners;
    struct strmap hosts;         /* key → struct upstream_host */
    struct conn *conns;
    size_t nconns;
    struct poller poller;
    struct conn *flush, *dead;   /* what worker_leave has to do */
    struct conn_buf *spare;
    size_t nspare;
    struct conn_buf no_buf;      /* in place of one that there is no memory for */
    struct splice_pipe *spare_pipes;
    size_t npipes, nspare_pipes; /* npipes: those lent, too */
    struct event *connect_timer; /* goes off at connect_look_ns; 0: not */
    int64_t connect_look_ns;
    struct upstream_host *wake;  /* and whose waiting requests may go on */
    struct jwt_cache *jwt_cache; /* NULL: no listener has asked for tokens yet */
    struct health_checks checks;
    struct stream *free_streams;
    size_t nfree_streams;
    bool draining;

    pthread_mutex_t lock;        /* guards `mail` */
    struct worker_message *mail;
    struct event *mail_event;
    int mail_fd;

    struct batch *batch;         /* NULL: without io_uring */
    struct conn_ahead ahead[BATCH_MOST];
    struct tls_scratch tls;
    char scratch[CONN_SCRATCH];
};

/* `settings` and `ring` stay the caller's and outlive the worker. NULL: ERR_NOMEM, ERR_IO. */
struct worker *worker_start(size_t index, const struct worker_settings *settings, struct record_ring *ring,
                            struct err *e);
/* Likewise, without a thread: whoever turns its loop is in its place. */
struct worker *worker_new(size_t index, const struct worker_settings *settings, struct record_ring *ring, struct err *e);
/* Switches to a snapshot (takes a reference). fds[i] is a socket for listeners[i], then the worker's, or -1 when the
 * worker has one. Returns 0 or ERR_NOMEM (then the sockets stay the caller's). Any thread. */
int worker_switch(struct worker *w, struct snapshot_ref *ref, const int *fds);
/* Stops accepting, lets requests end, ends the thread after drain_ns at the latest. Any thread. */
void worker_drain(struct worker *w);
/* Waits for the thread's end and frees. */
void worker_join(struct worker *w);

/* Around each event. worker_leave sends what was put and frees what was closed. */
void worker_enter(struct worker *w);
void worker_leave(struct worker *w);

static inline int64_t worker_wall_ns(const struct worker *w, int64_t mono_ns)
{
    return mono_ns + w->wall_ns;
}

/* Reads what keys have come for its rules since the last time. */
void worker_listener_read_keys(struct worker_listener *wl);
/* For connections: hold on to their listener. */
struct worker_listener *worker_listener_get(struct worker_listener *wl);
void worker_listener_put(struct worker_listener *wl);

#endif
