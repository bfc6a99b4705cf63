/* grpc-internal.h: the server's thread, its connections, their calls, and the messages of these.
 *
 *     socket ─ nghttp2 session ─ DATA ─ deframer ─ message ─ unpack ─ method.take ─ batch ─► store ─► committer
 *     (grpc_conn.c)             (grpc_call.c)     (grpc_batch.c)                                        │
 *        ▲                          │ window given back, answer                                         │
 *        └──────────────────────────┴────────────────────── box + eventfd (grpc_server.c) ◄─────────────┘
 *
 * A call that streams has one batch with the store; the messages that come meanwhile gather, and are the next one. So
 * the store gets few batches however small the messages are, as it does from its own group commit.
 *
 * A call's life, and what moves it:
 *
 *     HEADERS: grpc_call_new, _header, _start ─► OPEN ─ DATA: grpc_call_data ─► OPEN
 *                                                 │ END_STREAM: grpc_call_end
 *                                                 ▼
 *     stream closed: grpc_call_closed ◄─ ANSWERED ◄─ grpc_call_finish: the data is committed, or a fault is found (from
 *                                                    any state; then what still comes of the call is dropped)
 *
 * Ownership. A connection owns its session and the list of its calls. A call whose stream is closed lives until the
 * store has answered for its last batch, apart from any connection. Batches that the store had no room for wait in the
 * server's list, in their order; a call that streams can have its peer gone by then, and they are stored all the same.
 *
 * Threads. All of it belongs to the server's thread, but for `box`, which the committer fills, and the counts, which
 * anybody reads. Nothing of a connection is freed within one of nghttp2's callbacks: it is marked `ending`. */
#ifndef COLLECTOR_GRPC_INTERNAL_H
#define COLLECTOR_GRPC_INTERNAL_H

#include "base/arena.h"
#include "base/http2_credit.h"
#include "collector/grpc_wire-internal.h"
#include "collector/otlp.h"

#include <event2/event.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdatomic.h>

struct evconnlistener;
struct grpc_call;
struct grpc_batch;

enum {
    GRPC_STREAM_WINDOW = 256 << 10, /* bytes of a call that may wait for the store */
    GRPC_CONNECTION_WINDOW = 4 << 20,
    GRPC_MOST_HEADERS = 16 << 10,   /* bytes of a request's fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts them */
    GRPC_MOST_CALLS = 65536,        /* of all connections together */
    GRPC_MOST_OUT = 64 << 10,       /* bytes written and not yet sent; nothing is read while there are any */
    GRPC_READ = 64 << 10,
    GRPC_RETRY_MS = 1000            /* told to senders that are to come again */
};

/* What one of our methods does. */
struct grpc_method {
    const char *path;
    bool streams; /* the client sends many messages and may do so for ever; else it sends one */
    /* Decodes one message into t->batch, and adds to t->items. ERR_*: nothing of it is in the batch, and the call ends
     * with what grpc_status_of makes of it. */
    int (*take)(struct grpc_batch *t, struct str message, struct err *e);
    /* Writes the response message; NULL: it is empty. t->batch is committed. */
    void (*reply)(const struct grpc_batch *t, struct buf *out);
    void (*release)(void *state); /* of grpc_call.state; NULL: there is none */
};

extern const struct grpc_method grpc_methods[GRPC_METHODS];

/* Messages of one call on their way into the store. */
struct grpc_batch {
    struct grpc_call *call;
    struct grpc_batch *next; /* in the box, or among those that wait */
    struct buf *messages;    /* the batch's strings point into them */
    size_t n, cap;
    size_t charged;          /* bytes of the server's count */
    size_t window;           /* bytes of the call's window, which are given back in the end */
    bool decoded;            /* all has been taken, up to a fault */
    struct err fault;        /* of a message that is not the first: what stood before it is stored, then the call
                              * ends */
    struct arena arena;
    struct batch batch;
    struct otlp_refused items;
    int rc;                  /* the store's answer */
    struct err err;
};

struct grpc_call {
    struct grpc_server *server;
    struct grpc_conn *conn;    /* NULL: the stream is closed */
    struct grpc_call *next, **link;
    int32_t id;
    /* the request */
    size_t header_bytes;
    bool is_post, is_grpc;
    bool unknown_encoding, packed; /* grpc-encoding */
    int64_t timeout_ns;            /* -1: none; -2: malformed */
    const struct grpc_method *method; /* NULL: not one of ours */
    struct event *deadline;
    /* its messages */
    struct grpc_deframer in;
    struct grpc_batch *gathering; /* what comes next: when the stream has ended, or what is outstanding is stored */
    size_t outstanding;         /* 1: a batch is with the store, or waits for it */
    size_t held;                /* bytes of the stream's window that have come since the last batch */
    int64_t owed_ns;            /* since when the peer has owed us more; 0: it does not. clock_mono_ns */
    bool started, ended;        /* its headers, its end have come */
    bool settling;              /* grpc_call_settle is at it */
    void *state;                /* the service's, of a call that streams */
    /* the answer */
    bool answered;
    enum grpc_status status;
    struct buf out;
    size_t out_at;
    struct str message;         /* views into the two below */
    struct buf text, details;   /* grpc-message and grpc-status-details-bin, encoded */
};

struct grpc_conn {
    struct grpc_server *server;
    struct grpc_conn *next, **link;
    int fd;
    nghttp2_session *session;
    struct event *readable, *writable;
    struct buf out;
    struct grpc_call *calls;
    size_t ncalls;
    bool ending;               /* to be closed once `out` is sent */
    bool broken;               /* to be closed at once */
    bool settled;              /* the peer's SETTINGS have come */
    int64_t owed_ns;           /* since when it owes the rest of a handshake or header block; 0: it does not */
    int64_t blocked_ns;        /* since when `out` has not been sent off; 0: it is empty */
    int64_t quiet_ns;          /* since when it has had no call */
    struct http2_credit credit;
};

struct grpc_count {
    atomic_uint_fast64_t calls[GRPC_STATUSES], messages, accepted, refused;
};

struct grpc_server {
    struct store *store;
    /* store_submit, but in tests that have no store. */
    int (*submit)(struct store *st, struct batch *b, void (*done)(void *arg, int rc, const struct err *e), void *arg,
                  struct err *e);
    struct grpc_options options;
    uint16_t port;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *woken, *sweep, *retry, *give_up;
    int wake_fd;
    pthread_t thread;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *h2;
    struct grpc_conn *conns;
    struct grpc_batch *waiting, **waiting_end;
    size_t storing;            /* batches that the store has */
    int64_t retry_ms;          /* until those that wait are tried again */
    bool stopping;
    struct arena_budget budget; /* of the arenas of all batches */
    uint8_t in[GRPC_READ];
    pthread_mutex_t box;       /* guards the three below */
    struct grpc_batch *stored; /* newest first */
    bool stop;
    int64_t stop_ms;
    /* counts */
    struct grpc_count counts[GRPC_METHODS + 1];
    atomic_size_t bytes;       /* of messages in memory */
    atomic_size_t nconns, ncalls, nwaiting;
    atomic_uint_fast64_t accepted, turned_away, ended;
};

/* --- grpc_server.c --- */

/* Hands it to the store, whose answer comes to grpc_batch_stored. ERR_BUSY, ERR_CLOSED: it is not. */
int grpc_server_submit(struct grpc_batch *t, struct err *e);
/* Keeps it until the store has room. */
void grpc_server_wait(struct grpc_batch *t);

/* --- grpc_conn.c --- */

int grpc_h2_init(struct grpc_server *s, struct err *e);
void grpc_h2_fini(struct grpc_server *s);
/* Takes fd over, also on failure. */
void grpc_conn_new(struct grpc_server *s, int fd);
/* Sends what there is to send; may close and free the connection. Not from within a callback. */
void grpc_conn_flush(struct grpc_conn *c);
void grpc_conn_free(struct grpc_conn *c);
/* A flaw of the peer's: GOAWAY with the reason, and the end. */
void grpc_conn_end(struct grpc_conn *c, uint32_t h2_error);
/* What it owes and for how long, once a second; may free it. */
void grpc_conn_sweep(struct grpc_conn *c, int64_t now_ns);
/* No new calls; those that have nothing with the store end. May free it. */
void grpc_conn_stop(struct grpc_conn *c);
/* A new-born connection without a socket, for tests: bytes in by nghttp2_session_mem_recv. NULL: no memory. */
struct grpc_conn *grpc_conn_open(struct grpc_server *s, int fd);

/* --- grpc_call.c --- */

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t id);
/* ERR_LIMIT: too many fields. */
int grpc_call_header(struct grpc_call *call, struct str name, struct str value);
void grpc_call_start(struct grpc_call *call);
void grpc_call_data(struct grpc_call *call, struct str bytes);
void grpc_call_end(struct grpc_call *call);
void grpc_call_closed(struct grpc_call *call);
void grpc_call_sweep(struct grpc_call *call, int64_t now_ns);
void grpc_call_stop(struct grpc_call *call);
/* Ends it without a response message. `again`: the sender may come again with the same. Once it is answered,
 * nothing. */
void grpc_call_fail(struct grpc_call *call, enum grpc_status status, bool again, const char *why);
void grpc_call_fail_error(struct grpc_call *call, const struct err *e);
/* Ends it with OK and the response to `t`, NULL: an empty one. */
void grpc_call_succeed(struct grpc_call *call, const struct grpc_batch *t);
/* Lets the peer send *n bytes more, and sets it to 0. */
void grpc_call_give_back(struct grpc_call *call, size_t *n);
/* After something has left it: what has gathered, window, end and memory. May free the call. */
void grpc_call_settle(struct grpc_call *call);

/* --- grpc_batch.c --- */

/* Adds a message to what gathers. Takes `body` over, also on failure: then the call has been failed. */
int grpc_batch_add(struct grpc_call *call, struct buf *body, bool packed);
void grpc_batch_free(struct grpc_batch *t); /* NULL is fine */
/* Decodes it and hands it to the store. Takes it over. */
void grpc_batch_process(struct grpc_batch *t);
/* Once more, after it had to wait. False: it has to go on waiting. */
bool grpc_batch_retry(struct grpc_batch *t);
void grpc_batch_stored(struct grpc_batch *t);

#endif
