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
struct lb_tables;
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
    struct circuits *circuits;   /* of all workers, as are the names, the limits and the tables */
    struct names *names;
    struct rate_limits *limits;
    struct lb_tables *tables;
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
    size_t nlistening;           /* listeners that accept, or that connections still hold */
    bool retiring;               /* another process accepts in our place */
    bool draining;

    pthread_mutex_t lock;        /* guards `mail` */
    struct worker_message *mail;
    atomic_size_t nmail;         /* not obeyed yet */
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
struct worker *worker_new(size_t index, const struct worker_settings *settings, struct record_ring *ring,
                          struct err *e);

/* A socket that is to accept for one of a snapshot's listeners; one listener may have several of one worker's. */
struct worker_socket {
    size_t listener;             /* of snapshot->listeners */
    int fd;
};

/* Switches to a snapshot (takes a reference), with sockets for the listeners that are new, which are the worker's from
 * then on. Returns 0 or ERR_NOMEM (then the sockets stay the caller's). Any thread. */
int worker_switch(struct worker *w, struct snapshot_ref *ref, const struct worker_socket *sockets, size_t n);
/* Whether all that it was told so far is done. Any thread. */
bool worker_is_up_to_date(const struct worker *w);
/* Another process accepts on the sockets: closes its own copies, and what is in their queues is the other's.
 * Connections go on until they come to an end by themselves, told to where their protocol has words for that; ends the
 * thread then, or after `within_ns`. Any thread. */
void worker_retire(struct worker *w, int64_t within_ns);
/* Stops accepting, lets requests end, ends the thread after drain_ns at the latest. Any thread. */
void worker_drain(struct worker *w);
/* Waits for the thread's end and frees. */
void worker_join(struct worker *w);
/* Likewise when it has ended already; false: it has not. */
bool worker_try_join(struct worker *w);

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
