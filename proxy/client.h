/* client.h: who sent a request and waits for its answer, whatever protocol it speaks: a stream's way back.
 *
 *     HTTP/1: downstream.c     ── stream_start, stream_data, … ─▶   stream.c: one request,
 *     HTTP/2: http2_server.c   ◀── client_head, client_data, … ──   from its head to its record
 *
 * An answer is a head, data any number of times, trailers at most once, and `done`; or `cut` at any point. With `done`
 * and `cut` the stream is gone already, and the client may take the next request. A client that goes away first says
 * so to its stream (stream.h), which then calls it no more. A client's memory stays until the end of the event. */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "proxy/fields.h"
#include "proxy/incoming.h"

struct stream;
struct client;

/* Both ends of a connection, as the log names them. Counted: what takes a connection over has it, too. In one piece of
 * memory. */
struct peer {
    uint32_t refs;
    bool https;           /* it came by TLS that is not the mesh's own */
    bool chained;         /* one of its listener's chains serves it */
    const char *remote, *local; /* "IP:port" */
    struct str remote_ip; /* a part of remote */
    struct str sender_ip; /* whose socket it is: another proxy's, where that names `remote` (PROXY protocol) */
    struct str sni;       /* the name that it asked for; empty: none */
    struct tls_peer *tls; /* what it has proved; never NULL */
    const struct listener *serve; /* as of `generation` of its listener; by peer_listener */
    uint64_t generation;
};

struct answer {
    unsigned status;
    struct str reason;
    const struct fields *fields; /* without the framing */
    enum http_framing framing;   /* of what follows */
    uint64_t length;             /* of HTTP_LENGTH; the body's that a HEAD's answer does not have is among the fields */
    bool last;                   /* the connection is to serve no other request */
};

struct client_ops {
    /* Returns the head's bytes on the wire, as nearly as they are known. */
    size_t (*head)(struct client *cl, const struct answer *a);
    /* 1xx; `f` may be NULL. */
    void (*interim)(struct client *cl, unsigned status, const struct fields *f);
    void (*data)(struct client *cl, struct str bytes);
    /* The connection that takes the answer's data as they are; NULL: there is none. May be NULL itself. */
    struct conn *(*through)(struct client *cl);
    void (*trailers)(struct client *cl, const struct fields *f);
    void (*done)(struct client *cl);
    void (*cut)(struct client *cl);
    /* Whether so much is unsent that whoever feeds it should stop; stream_drained follows. */
    bool (*full)(struct client *cl);
    /* The stream takes the request's body again. */
    void (*resume)(struct client *cl);
};

struct client {
    const struct client_ops *ops;
    struct worker_listener *wl;
    struct peer *peer;
    struct stream *stream;       /* the request under way; NULL: none */
    int64_t started_ns;          /* when its first byte came */
};

/* NULL: no memory. It keeps in->wl->local in view, which the owner holds. */
struct peer *peer_new(const struct incoming *in);
void peer_put(struct peer *p); /* NULL is accepted */
/* What its listener serves it, by the newest snapshot: the listener itself, or the chain for the name it asked for. */
const struct listener *peer_listener(struct peer *p, const struct worker_listener *wl);

#endif
