/* upstream.h: requests to hosts, over connections that are kept between them, whatever protocol the host speaks.
 *
 *   upstream_open -> upstream_head -> upstream_data … -> upstream_end
 *
 * A handler hears: interim any number of times, head once, data any number of times, trailers at most once, then end;
 * or fail at any point. After end and fail, and after upstream_abort, the call is no longer the handler's.
 * Of the functions here only upstream_resume calls the handler from inside. */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "proxy/fields.h"
#include "proxy/view.h"

enum upstream_failure {
    UPSTREAM_CONNECT,    /* refused, unreachable */
    UPSTREAM_TIMEOUT,    /* connecting took too long */
    UPSTREAM_CLOSED,     /* gone before the response was complete */
    UPSTREAM_RESET,      /* HTTP/2: this request was given up by the host */
    UPSTREAM_REFUSED,    /* HTTP/2: the host has not looked at it: it may be sent again, whatever it is */
    UPSTREAM_NO_TUNNEL,  /* HTTP/2: the host has no room for WebSockets there; nothing has been sent */
    UPSTREAM_PROTOCOL    /* the response is none, or one that cannot be read in one way only */
};

struct upstream_handler {
    /* Informational responses, but 100, which is an answer to our own Expect at most, and 101; may be NULL. To be used
     * during the call; nothing may be given up in it. */
    void (*interim)(void *arg, const struct http_head *h);
    void (*head)(void *arg, const struct http_head *h); /* valid during the call */
    void (*data)(void *arg, struct str bytes);
    /* Where the body's bytes may go without being shown (NULL: nowhere); so many have. May be NULL themselves. */
    struct conn *(*through)(void *arg);
    void (*passed)(void *arg, size_t n);
    void (*trailers)(void *arg, const struct fields *f); /* likewise; may be NULL */
    void (*end)(void *arg);
    void (*fail)(void *arg, enum upstream_failure why, int err);
    void (*drained)(void *arg); /* there is room for more of the request's body */
};

/* A request's head on its way out. */
struct upstream_request {
    struct str method, scheme, authority, path;
    const struct fields *fields; /* without the framing */
    enum http_framing framing;   /* NO_BODY, LENGTH, STREAMED */
    uint64_t length;
    bool websocket;              /* asks for an upgrade; a 101 answers it, in HTTP/2, too */
    bool wants_trailers;         /* TE: trailers */
    struct str from, to;         /* the client's connection, "IP:port", for a host that PROXY protocol tells it. In
                                  * HTTP/2, where many clients share a connection, it tells that it is nobody's */
};

struct upstream_ops; /* upstream-internal.h */

/* One request. Embedded in what carries it: a connection of HTTP/1, a stream of HTTP/2. */
struct upstream_call {
    const struct upstream_ops *ops;
    struct upstream_host *host;
    const struct upstream_handler *handler; /* NULL: nobody's */
    void *arg;
    bool reused;          /* its connection has served before: the host may have closed it just now, for no fault of
                           * ours */
    bool any_byte;        /* of a response */
    bool turned_away;     /* UPSTREAM_REFUSED: its connection takes no more requests; another one of the host's may */
    bool pending, counted; /* among the circuit's pending, its requests */
    const struct tls_link *tls; /* of the connection; NULL: plain text */
    const char *local;    /* the connection's own address, "" until it is connected */
};

/* A call on a kept connection, or on a new one when there is none (or `fresh` is asked for). `source` is the address to
 * come from; empty: any. `http2`: what the host speaks. NULL: errno says why: EAGAIN: no connection more may be made,
 * upstream_wait says when to ask again; EDQUOT: another limit is reached; else no socket, no memory. */
struct upstream_call *upstream_open(struct upstream_host *h, const struct cluster *c, struct str source, bool http2,
                                    bool fresh, const struct upstream_handler *handler, void *arg);
void upstream_head(struct upstream_call *u, const struct upstream_request *rq);
void upstream_data(struct upstream_call *u, struct str bytes);
/* The request is complete. `trailers` may be NULL. */
void upstream_end(struct upstream_call *u, const struct fields *trailers);
/* After a 101: bytes pass as they are, in both directions; `end` comes when the host closes its half. */
void upstream_tunnel(struct upstream_call *u);
/* Closes our half of a tunnel. */
void upstream_shut(struct upstream_call *u);
/* Whether whoever feeds it should stop until `drained`. */
bool upstream_is_full(struct upstream_call *u);
/* No data until resumed. */
void upstream_pause(struct upstream_call *u);
void upstream_resume(struct upstream_call *u);
/* Gives it up; the handler hears no more. */
void upstream_abort(struct upstream_call *u);

/* One that waits for a connection to a host. Embedded in what waits. */
struct upstream_waiter {
    struct upstream_host *host; /* NULL: does not wait */
    void (*ready)(void *arg);   /* upstream_open finds room now; if not, it has failed for another reason */
    void *arg;
    struct upstream_waiter *prev, *next;
};

/* Waits behind those that do already. False: there are as many as may be. */
bool upstream_wait(struct upstream_waiter *q, struct upstream_host *h, const struct cluster *c,
                   void (*ready)(void *arg), void *arg);
/* Waits no more; it need not. */
void upstream_wait_end(struct upstream_waiter *q);
/* For worker_leave: those whose hosts have room again go on. */
void upstream_wake(struct worker *w);

/* Closes what no request is on. */
void upstream_close_idle(struct upstream_host *h);

/* Envoy's words for an errno of connecting. */
const char *upstream_why(int err);
/* A socket connecting to a host, bound to `source`, with the cluster's keep-alive, and what will secure it; `speech`
 * goes within. -1: errno says why, EPROTO that there is nothing to secure it with. */
int upstream_dial(struct upstream_host *h, const struct cluster *c, struct str source, enum tls_speech speech,
                  struct conn_socket *out);

#endif
