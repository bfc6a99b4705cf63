/* http2-internal.h: what both ends of HTTP/2 need (RFC 9113), on nghttp2: http2_server.c towards clients,
 * upstream_http2.c towards hosts.
 *
 * nghttp2 knows frames, states, flow control and HPACK, and refuses malformed messages by itself; here is what a proxy
 * adds: bounds, and heads in the form that the rest of it reads. */
#ifndef PROXY_HTTP2_INTERNAL_H
#define PROXY_HTTP2_INTERNAL_H

#include "base/buf.h"
#include "base/http2_credit.h"
#include "proxy/conn.h"
#include "proxy/fields.h"

#include <nghttp2/nghttp2.h>

enum {
    HTTP2_WINDOW = 256 * 1024,           /* of a stream, and so the most of its body that waits here */
    HTTP2_CONNECTION_WINDOW = 1024 * 1024,
    HTTP2_MOST_STREAMS = 100             /* at once, opened by a client */
};

/* ---- heads and trailers that come in: http2_head.c ---- */

/* One header block under way: a connection has one at a time. */
struct http2_block {
    struct buf bytes;
    struct http_head head;     /* over bytes, once it is finished */
    bool too_large, bad;       /* bad: what nghttp2 lets pass, and HTTP/1 could not say */
    bool has_protocol, unknown_protocol; /* :protocol (RFC 8441): websocket alone is known */
    bool has_host;
    unsigned cookies;
};

void http2_block_begin(struct http2_block *b);
void http2_block_free(struct http2_block *b);
/* One field, pseudo-fields included. Never fails: what is wrong shows at the end. */
void http2_block_add(struct http2_block *b, struct str name, struct str value);
/* The head is b->head, valid until the next block begins. `more`: a body follows. False: it is no message, or it is
 * larger than a head may be. */
bool http2_block_finish(struct http2_block *b, bool request, bool more);
/* What of a finished block of trailers may go on, with copies of its texts, for mem_free. NULL: no memory. */
struct fields *http2_block_trailers(struct http2_block *b);

/* ---- heads and trailers that go out ---- */

struct http2_list {
    nghttp2_nv v[FIELDS_MOST + 8];
    size_t n;
    size_t bytes;              /* of names and values */
};

/* Views: everything has to stay until it is submitted, which copies. */
void http2_list_add(struct http2_list *l, struct str name, struct str value);
void http2_list_fields(struct http2_list *l, const struct fields *f);

/* With copies of its texts, to be freed by mem_free. NULL: no memory. */
struct http2_list *http2_list_copy(const struct http2_list *l);

/* ---- bodies that go out ---- */

/* What is to go out on a stream, taken by nghttp2 as windows allow. */
struct http2_source {
    struct buf waiting;        /* [at, n) */
    size_t at;
    bool ended;                /* nothing follows: END_STREAM, or `trailers` */
    bool stalled;              /* nghttp2 has found nothing, and must be told when there is something again */
    struct http2_list *trailers; /* NULL: none; freed with the source */
    bool full;                 /* whoever feeds it has been told to stop */
};

void http2_source_init(struct http2_source *s);
void http2_source_free(struct http2_source *s);
static inline size_t http2_source_left(const struct http2_source *s)
{
    return s->waiting.n - s->at;
}
/* False: no memory. */
bool http2_source_put(struct http2_source *s, nghttp2_session *session, int32_t id, struct str bytes);
/* Trailers are copied, texts and all. False: no memory. */
bool http2_source_end(struct http2_source *s, nghttp2_session *session, int32_t id, const struct fields *trailers);
/* Gives nghttp2 at most `room` bytes: nghttp2_data_source_read_callback's result. */
ssize_t http2_source_read(struct http2_source *s, nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
                          uint32_t *flags);

/* ---- sending, and bounds: http2_session.c ---- */

/* Takes the callbacks, with `user` for all of them, and says our settings and windows. Returns 0, or nghttp2's error;
 * *out may be set then, too. */
int http2_open(nghttp2_session **out, bool server, nghttp2_session_callbacks *callbacks, void *user);
/* Moves frames into the connection's buffer until it is full or there are none. Returns 0, or nghttp2's error. */
int http2_fill(nghttp2_session *session, struct conn *c);

#endif
