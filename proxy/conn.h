/* conn.h: a non-blocking socket with bounded buffers, owned by one worker. Owners see plain text, whether there is TLS
 * beneath (tls_link.h) or not.
 *
 * Reading costs one system call: bytes land in the worker's scratch memory and are shown to the owner there; only what
 * the owner leaves is kept in the connection, so one that is idle holds no buffers. Writing costs one, too: what is
 * put during an event is sent at its end (worker_leave). Large pieces of bodies go out past the buffer.
 *
 *   conn_open_connecting --> CONNECTING --(SECURING)--connected--> OPEN --conn_linger--> LINGER --eof, 1 s--> closed
 *   conn_open --(conn_secure: SECURING)--connected-------------------^
 *
 * A closed connection's memory stays until the end of the event, so callbacks may close whatever they like. */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include "proxy/tls_link.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    CONN_SCRATCH = 64 * 1024,   /* read at most at once */
    CONN_MOST_IN = 64 * 1024,   /* kept for an owner that does not take it; reading stops then */
    CONN_HIGH = 256 * 1024,     /* unsent bytes at which an owner stops whoever feeds it */
    CONN_LOW = 64 * 1024,       /* and goes on */
    CONN_MOST_OUT = 1024 * 1024,
    CONN_DIRECT = 4096,         /* pieces from this size on go out past the buffer */
    CONN_ADDR_TEXT = 56         /* "[IPv6]:port" */
};

struct conn;
struct worker;

struct conn_ops {
    /* Returns how many bytes were used up; the rest is shown again together with what follows. */
    size_t (*data)(struct conn *c, struct str bytes);
    void (*eof)(struct conn *c);
    void (*error)(struct conn *c, int err); /* connecting, reading or writing failed */
    void (*connected)(struct conn *c);      /* may be NULL */
    void (*drained)(struct conn *c);        /* unsent bytes fell below CONN_LOW after having been above CONN_HIGH */
    void (*fill)(struct conn *c);           /* about to send: the last moment to put more; may be NULL */
    void (*deadline)(struct conn *c);       /* deadline_ns has passed; looked at once a second */
    void (*drain)(struct conn *c);          /* its listener or the proxy goes away: end soon; may be NULL */
    void (*destroy)(struct conn *c);        /* frees the object around it */
};

struct conn {
    struct worker *w;
    const struct conn_ops *ops;
    void (*destroy)(struct conn *c); /* of the first ops */
    int fd;                      /* -1: closed */
    struct event rd, wr;
    struct buf in, out;
    size_t out_at;               /* of `out`, already sent */
    struct tls_link *tls;        /* owned; NULL: plain text */
    struct str preamble;         /* the owner's: sent as soon as it is connected, in front of TLS; may be empty */
    int64_t deadline_ns;         /* 0: none */
    int64_t connect_by_ns;       /* while connecting; 0: no limit */
    bool connecting;             /* up to and with the TLS handshake */
    bool securing;               /* the handshake is under way */
    bool paused, reading, writing, eof_seen, delivering, above_high;
    bool shut_when_sent, shut;   /* our half is to be closed, is closed */
    bool lingering, flush_listed;
    struct conn *prev, *next;    /* of the worker's */
    struct conn *flush_next, *dead_next;
};

/* A connected socket, and what secures it (NULL: nothing): what changes hands between owners. */
struct conn_socket {
    int fd;
    struct tls_link *tls;
};

void conn_socket_close(struct conn_socket *s);

/* Takes over a socket and starts reading. */
void conn_open(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops);
/* Takes over a socket whose connect() is under way; the handshake of its link follows. */
void conn_open_connecting(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops,
                          int64_t timeout_ms);
/* What has come already was a hello: its link, whose handshake follows; then `connected`. */
void conn_secure(struct conn *c, struct tls_link *tls);
/* Closes at once; what is unsent is lost. Once is enough, twice does nothing. */
void conn_close(struct conn *c);
/* Sends what is left, closes our half, and reads into the void for a second, so that the peer sees our last bytes
 * before a reset. The owner is called no more, except `destroy`. */
void conn_linger(struct conn *c);
/* Hands the socket over to another owner; the connection is closed without it. */
struct conn_socket conn_detach(struct conn *c);
/* Closes our half when everything is sent. */
void conn_shut(struct conn *c);

static inline bool conn_is_closed(const struct conn *c)
{
    return c->fd < 0;
}

/* Where to append; sent at the end of the event. */
struct buf *conn_out(struct conn *c);
void conn_write(struct conn *c, struct str s);
/* The pieces one behind the other, at once when they are large. n <= 4. */
void conn_write_pieces(struct conn *c, const struct str *pieces, size_t n);
static inline size_t conn_unsent(const struct conn *c)
{
    return c->out.n - c->out_at + (c->tls ? tls_link_unsent(c->tls) : 0);
}
/* Whether whoever feeds it should stop until `drained`. */
bool conn_is_full(struct conn *c);

/* No `data` until resumed. */
void conn_pause(struct conn *c);
/* Shows what was kept, then reads on. */
void conn_resume(struct conn *c);
/* Shows bytes as if they had just been read. */
void conn_feed(struct conn *c, struct str bytes);

/* In `error`: Envoy's words for what TLS had against it; NULL: nothing. */
static inline const char *conn_tls_failure(const struct conn *c)
{
    return c->tls ? c->tls->failure : NULL;
}

/* For the worker. */
void conn_flush(struct conn *c);
void conn_destroy(struct conn *c);
/* "127.0.0.1:80"; returns the address alone, as a part of it. */
struct str conn_addr_text(char out[CONN_ADDR_TEXT], const struct sockaddr_storage *ss);
/* Its own end's; `out` stays as it is when the socket cannot say. */
void conn_local_text(const struct conn *c, char out[CONN_ADDR_TEXT]);

#endif
