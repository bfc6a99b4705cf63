/* conn.h: a non-blocking socket with bounded buffers, owned by one worker. Owners see plain text, whether there is TLS
 * beneath (tls_link.h) or not.
 *
 * Reading costs one system call: bytes land in the worker's scratch memory and are shown to the owner there; only what
 * the owner leaves is kept in the connection, so one that is idle holds no buffers. Writing costs one, too: what is
 * put during an event is sent at its end (worker_leave). Large pieces of bodies go out past the buffer, or do not come
 * in at all (splice.h). Whether the socket can be read and written is remembered (poller.h), so waiting costs none.
 *
 *   conn_open_connecting --> CONNECTING --(SECURING)--connected--> OPEN --conn_linger--> LINGER --eof, 1 s--> closed
 *   conn_open --(conn_secure: SECURING)--connected-------------------^ \--conn_end--> all is sent ------------^
 *
 * A closed connection's memory stays until the end of the event, so callbacks may close whatever they like. */
#ifndef PROXY_CONN_H
#define PROXY_CONN_H

#include "proxy/splice.h"
#include "proxy/tls_link.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    CONN_SCRATCH = 64 * 1024,   /* read at most at once */
    CONN_MOST_IN = 64 * 1024,   /* kept for an owner that does not take it; reading stops then */
    CONN_HIGH = 256 * 1024,     /* unsent bytes at which an owner stops whoever feeds it */
    CONN_LOW = 64 * 1024,       /* and goes on */
    CONN_MOST_OUT = 1024 * 1024,
    CONN_AHEAD = 8 * 1024,      /* read at most ahead of a turn */
    CONN_DIRECT = 4096,         /* pieces from this size on go out past the buffer */
    CONN_ADDR_TEXT = 56         /* "[IPv6]:port" */
};

struct conn;
struct worker;

struct conn_ops {
    /* Returns how many bytes were used up; the rest is shown again together with what follows. */
    size_t (*data)(struct conn *c, struct str bytes);
    /* Where bytes may go without being shown, and at most how many; NULL: nowhere. May be NULL itself. Asked only when
     * they come in bulk. */
    struct conn *(*through)(struct conn *c, uint64_t *most);
    void (*passed)(struct conn *c, size_t n); /* so many have gone there */
    void (*eof)(struct conn *c);
    void (*error)(struct conn *c, int err); /* connecting, reading or writing failed */
    void (*connected)(struct conn *c);      /* may be NULL */
    void (*drained)(struct conn *c);        /* unsent bytes fell below CONN_LOW after having been above CONN_HIGH */
    void (*fill)(struct conn *c);           /* about to send: the last moment to put more; may be NULL */
    void (*deadline)(struct conn *c);       /* deadline_ns has passed; looked at once a second */
    void (*drain)(struct conn *c);          /* its listener or the proxy goes away: end soon; may be NULL */
    void (*destroy)(struct conn *c);        /* frees the object around it */
    bool hears_out;                         /* a peer that takes no more: what it has said is shown before its end is */
};

/* Bytes that wait: kept for the owner, or not sent yet. The worker has spare ones. */
struct conn_buf {
    struct buf buf;
    size_t at;                   /* what is in front of it is sent already */
    struct conn_buf *next;       /* spare */
};

/* What was read for a connection whose turn is about to come; or, after the turns, what is sent for one by TLS. */
struct conn_ahead {
    ssize_t n;                   /* as recv(), or -errno */
    char bytes[CONN_AHEAD + TLS_OVERHEAD];
};

struct conn {
    struct worker *w;
    const struct conn_ops *ops;
    void (*destroy)(struct conn *c); /* of the first ops */
    struct tls_link *tls;        /* owned; NULL: plain text */
    struct conn_buf *in, *out;   /* NULL: nothing waits */
    struct conn_ahead *ahead;    /* NULL: nothing was */
    struct splice_pipe *feeds, *fed_by; /* while a pipe has something from here, for here */
    struct str preamble;         /* the owner's: sent as soon as it is connected, in front of TLS; may be empty */
    int64_t deadline_ns;         /* 0: none */
    int64_t connect_by_ns;       /* while connecting; 0: no limit */
    struct conn *prev, *next;    /* of the worker's */
    struct conn *turn_prev, *turn_next; /* of the poller's, while listed */
    struct conn *leave_next;     /* of those that worker_leave flushes, or destroys */
    int fd;                      /* -1: closed */
    bool readable : 1, writable : 1; /* as far as is known; not so is known for sure */
    bool hung_up : 1;            /* behind what can be read is the end, or an error */
    bool failing : 1;            /* the socket has, or had, an error */
    bool listed : 1;             /* by the poller */
    bool seen : 1;               /* likewise: it is one of those whose turns are next */
    bool connecting : 1;         /* up to and with the TLS handshake */
    bool securing : 1;           /* the handshake is under way */
    bool paused : 1, eof_seen : 1, delivering : 1, above_high : 1;
    bool shut_when_sent : 1, shut : 1; /* our half is to be closed, is closed */
    bool bulk : 1;               /* the last bytes came in a large piece */
    bool ending : 1, lingering : 1, flush_listed : 1;
};

/* A connected socket, what secures it (NULL: nothing), and what its poller knows of it: what changes hands between
 * owners. */
struct conn_socket {
    int fd;
    struct tls_link *tls;
    bool registered, readable, writable, hung_up;
};

/* One that nobody has opened. */
void conn_socket_close(struct worker *w, struct conn_socket *s);

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
/* Sends what is left and closes, for a peer that has said that it sends nothing more: whoever does all the same gets a
 * reset. The owner is called no more, except `destroy`. */
void conn_end(struct conn *c);
/* Hands the socket over to another owner; the connection is closed without it. */
struct conn_socket conn_detach(struct conn *c);
/* Closes our half when everything is sent. */
void conn_shut(struct conn *c);

static inline bool conn_is_closed(const struct conn *c)
{
    return c->fd < 0;
}

/* What the owner has left; valid until the end of the event. */
static inline struct str conn_kept(const struct conn *c)
{
    return c->in ? buf_view(&c->in->buf) : STR_NULL;
}

/* Where to append; sent at the end of the event. */
struct buf *conn_out(struct conn *c);
void conn_write(struct conn *c, struct str s);
/* The pieces one behind the other, at once when they are large. n <= 4. */
void conn_write_pieces(struct conn *c, const struct str *pieces, size_t n);
static inline size_t conn_unsent(const struct conn *c)
{
    return (c->out ? c->out->buf.n - c->out->at : 0) + (c->tls ? tls_link_unsent(c->tls) : 0) +
           (c->fed_by ? c->fed_by->n : 0);
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

/* For worker_leave: sends what w->flush has put. */
void conn_send_all(struct worker *w);
void conn_destroy(struct conn *c);
void conn_buf_free_all(struct worker *w);
/* Those whose time to connect is over fail. */
void conn_check_connecting(struct worker *w);
/* For its poller: what has come to be, and the connection's turn, which is an event of its own. */
void conn_news(struct conn *c, bool readable, bool writable, bool hung_up, bool failing);
void conn_turn(struct conn *c);
/* Whether its turn will begin with reading a small piece. */
bool conn_reads_ahead(const struct conn *c);

/* "127.0.0.1:80"; returns the address alone, as a part of it. */
struct str conn_addr_text(char out[CONN_ADDR_TEXT], const struct sockaddr_storage *ss);
/* Its own end's; `out` stays as it is when the socket cannot say. */
void conn_local_text(const struct conn *c, char out[CONN_ADDR_TEXT]);

#endif
