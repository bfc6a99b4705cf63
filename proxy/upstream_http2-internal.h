/* upstream_http2-internal.h: a connection of HTTP/2 to a host (upstream_http2.c) and the requests on it
 * (upstream_http2_call.c). */
#ifndef PROXY_UPSTREAM_HTTP2_INTERNAL_H
#define PROXY_UPSTREAM_HTTP2_INTERNAL_H

#include "proxy/http2-internal.h"
#include "proxy/upstream-internal.h"

struct http2_stream {
    struct upstream_call call;
    struct http2_upstream *h;
    int32_t id;                 /* 0: no head has gone out */
    bool to_head;               /* the request is a HEAD */
    bool tunnel;                /* it asks for a WebSocket */
    struct http2_list *waits;   /* its head, until it is known whether the host takes it */
    bool head_seen, ended, paused, closed;
    bool forgotten;             /* the connection has one stream less: it is freed when nobody looks at it any more */
    struct buf waiting;         /* of the response's body */
    struct fields *trailers;    /* of the response, behind it */
    struct http2_source body;   /* of the request */
    struct http2_stream *prev, *next, *dead_next;
};

struct http2_upstream {
    struct conn c;
    struct upstream_host *host;
    nghttp2_session *session;
    struct http2_block block;
    struct http2_credit credit;
    struct http2_stream *streams, *dead;
    uint32_t nstreams, requests;
    uint32_t most_streams, most_requests;
    int64_t idle_timeout_ms;
    int64_t old_ns;             /* when it takes no more requests; INT64_MAX: never */
    int64_t rest_ns;            /* when it closes, if it has no requests; 0: never */
    int64_t ping_interval_ns, ping_timeout_ns; /* 0: no pings */
    int64_t ping_ns;            /* when the next one goes out, or, with `pinged`, when its answer is missing */
    bool pinged;
    bool leaving;               /* nothing new on it */
    bool settled;               /* the host's SETTINGS have come */
    bool some_wait;             /* open_tunnels has something to do */
    bool broken, some_drained, listed;
    char local[CONN_ADDR_TEXT];
    struct http2_upstream *prev, *next; /* of the host's */
};

/* The end of the event sends what the session has. */
static inline void http2_upstream_wake(struct http2_upstream *h)
{
    conn_out(&h->c);
}

/* upstream_http2.c */
/* The connection has one stream less. Once is enough, twice does nothing. */
void http2_stream_forget(struct http2_stream *s);
/* Tells its handler, if it still has one. */
void http2_stream_fail(struct http2_stream *s, enum upstream_failure why, int err);
/* n bytes of the response were taken: its window opens again. */
void http2_stream_consume(struct http2_stream *s, size_t n);
/* Tells the handler the end, once all before it was taken. */
void http2_stream_tell_end(struct http2_stream *s);

/* upstream_http2_call.c */
extern const struct upstream_ops http2_call_ops;
/* Those that have waited for the host's SETTINGS go out, or fail. */
void http2_upstream_open_tunnels(struct http2_upstream *h);

#endif
