/* upstream-internal.h: what a protocol towards hosts has to offer (upstream_http1.c, upstream_http2.c). */
#ifndef PROXY_UPSTREAM_INTERNAL_H
#define PROXY_UPSTREAM_INTERNAL_H

#include "proxy/upstream.h"
#include "proxy/worker.h"

struct upstream_ops {
    void (*head)(struct upstream_call *u, const struct upstream_request *rq);
    void (*data)(struct upstream_call *u, struct str bytes);
    void (*end)(struct upstream_call *u, const struct fields *trailers);
    void (*tunnel)(struct upstream_call *u); /* NULL: the protocol has none */
    void (*shut)(struct upstream_call *u);
    bool (*full)(struct upstream_call *u);
    void (*pause)(struct upstream_call *u);
    void (*resume)(struct upstream_call *u);
    void (*abort)(struct upstream_call *u);
};

/* Where a new connection goes and comes from. */
struct upstream_route {
    struct upstream_host *host;
    const struct cluster *cluster;
    struct str source;
};

/* A call whose connection is not there yet is one of the cluster's pending. False, with errno EDQUOT: too many are. */
bool upstream_may_pend(const struct upstream_route *r);
/* The connection is there. The call pends no more; nothing when it did not. */
void upstream_connected(struct upstream_call *u);
/* Room for a connection and its first, pending call. False: errno is EDQUOT or, for connections, EAGAIN. */
bool upstream_may_connect(const struct upstream_route *r);
/* It came to nothing. errno stays. */
void upstream_not_connected(const struct upstream_route *r);
/* A connection's end. */
void upstream_disconnected(struct upstream_host *h);
/* When a new connection is too old for further requests; INT64_MAX: never. */
int64_t upstream_old_at(const struct upstream_route *r);
/* The deadline of a connection without requests; 0: none. */
int64_t upstream_rest_until(int64_t now_ns, int64_t idle_timeout_ms, int64_t old_ns);
/* A request may have become possible: who waits is woken at the end of the event. */
void upstream_has_room(struct upstream_host *h);

/* A call on a kept connection, or on a new one, then `pending`; its handler is not set yet. NULL: errno says why. */
struct upstream_call *http1_call(const struct upstream_route *r, bool fresh);
struct upstream_call *http2_call(const struct upstream_route *r, bool fresh);
void http1_close_idle(struct upstream_host *h);
void http2_close_idle(struct upstream_host *h);

/* What has come in front of its response. */
void upstream_interim(const struct upstream_call *u, const struct http_head *h);
/* The call is over; the host has one request less. Returns the handler it had, with *arg. */
const struct upstream_handler *upstream_let_go(struct upstream_call *u, void **arg);

#endif
