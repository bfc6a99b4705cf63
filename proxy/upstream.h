/* upstream.h: HTTP/1.1 connections to hosts: one request at a time on each, kept between requests.
 *
 *   upstream_open -> (CONNECTING ->) BUSY --response and request complete--> IDLE in the host's pool
 *                                     \--failure, upstream_abort-----------> closed
 *
 * A handler hears: head (once; informational responses are swallowed), data any number of times, then end; or fail at
 * any point. After end and fail, and after upstream_abort, the connection is no longer the handler's. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "proxy/http1_body.h"
#include "proxy/view.h"

enum upstream_failure {
    UPSTREAM_CONNECT,    /* refused, unreachable */
    UPSTREAM_TIMEOUT,    /* connecting took too long */
    UPSTREAM_CLOSED,     /* gone before the response was complete */
    UPSTREAM_PROTOCOL    /* the response is none of HTTP/1, or one that cannot be read in one way only */
};

struct upstream_conn;

struct upstream_handler {
    void (*head)(void *arg, const struct http_head *h); /* valid during the call */
    void (*data)(void *arg, struct str bytes);
    void (*end)(void *arg);
    void (*fail)(void *arg, enum upstream_failure why, int err);
    void (*drained)(void *arg); /* there is room for more of the request's body */
};

struct upstream_conn {
    struct conn c;
    struct upstream_host *host;
    const struct upstream_handler *handler; /* NULL: idle or given up */
    void *arg;
    int64_t idle_timeout_ms;
    uint32_t requests, most_requests;
    bool to_head;             /* the request is a HEAD */
    bool chunk_request;       /* its body goes out in chunks */
    bool request_sent, head_seen, any_byte, tunnel;
    bool keep;                /* by what both sides said */
    struct http1_scan scan;
    struct http1_body body;
    char local[CONN_ADDR_TEXT]; /* once connected */
    struct upstream_conn *next_idle, *prev_idle;
};

/* A connection for one request: from the pool, or (`fresh`, or none there) a new one. NULL: no socket, no memory;
 * errno says why. Never calls the handler from inside. `source` is the address to come from; empty: any. */
struct upstream_conn *upstream_open(struct upstream_host *h, const struct cluster *c, struct str source, bool fresh,
                                    const struct upstream_handler *handler, void *arg);
/* Whether it has served before: then a host may have closed it just now, for no fault of the request. */
static inline bool upstream_is_reused(const struct upstream_conn *u)
{
    return u->requests > 1;
}
/* Where to write the request's head. framing is the request's body's. */
struct buf *upstream_request(struct upstream_conn *u, bool to_head, enum http_framing framing);
void upstream_send(struct upstream_conn *u, struct str body_bytes);
/* The request is complete. */
void upstream_sent(struct upstream_conn *u);
/* After a 101: bytes pass as they are, in both directions; `end` comes when the host closes its half. */
void upstream_tunnel(struct upstream_conn *u);
/* Gives the connection up; the handler hears no more. */
void upstream_abort(struct upstream_conn *u);
void upstream_close_idle(struct upstream_host *h);

/* Envoy's words for connect()'s errno. */
const char *upstream_why(int err);
/* A socket connecting to a host, bound to `source`. -1: errno says why. */
int upstream_dial(const struct upstream_host *h, struct str source);

#endif
