/* tls_link.h: TLS beneath one connection: what a conn reads and writes through when it is not in plain text.
 *
 * OpenSSL sees no socket: ciphertext is read once into the worker's memory and taken from there, and what is to be sent
 * is collected there and written once. A link that is idle holds neither; what the socket does not take waits in `out`.
 *
 *   SHAKING --tls_link_shake: 1--> OPEN --close_notify, end--> `eof`
 *      \------ -1 -------------------\----> broken: errno is EPROTO, and `failure` says why in Envoy's words
 *
 * Of one worker, and of one connection at a time: it goes along when a connection changes its owner. */
#ifndef PROXY_TLS_LINK_H
#define PROXY_TLS_LINK_H

#include "base/buf.h"
#include "proxy/tls.h"

#include <sys/uio.h>

enum {
    TLS_RECORD = 16 * 1024,           /* of plain text, at most */
    TLS_OVERHEAD = 256,               /* by which it may grow */
    TLS_SEALED = TLS_RECORD + TLS_OVERHEAD,
    TLS_SCRATCH = 4 * TLS_SEALED,
    TLS_FAILURE = 256
};

/* A worker's, used by each of its links in turn. */
struct tls_scratch {
    size_t sealed_n;
    char in[TLS_SCRATCH], sealed[TLS_SCRATCH];
};

/* What a link's peer has proved and said; in one piece of memory. */
struct tls_peer {
    size_t refs;          /* within one worker: requests outlive their connections */
    bool proved;          /* it has shown a certificate, and that was verified */
    struct str principal; /* "spiffe://…"; empty: its certificate has no such name */
    struct str own;       /* ours, likewise */
    struct str sni;       /* the name that it asked for */
    struct str xfcc;      /* what X-Forwarded-Client-Cert says of it; empty: nothing */
    struct str told;      /* tls_told.h: what tls_store_tell asks for */
};

struct tls_peer *tls_peer_get(struct tls_peer *p);
void tls_peer_put(struct tls_peer *p); /* NULL is accepted */

/* The session to offer to a host the next time. */
struct tls_session {
    SSL_SESSION *session; /* NULL: none */
    SSL_CTX *of;          /* it is worth nothing with another: who was trusted then need not be trusted now */
};

void tls_session_free(struct tls_session *s);

/* How a cluster's connections are secured, made ready. Counted, within one worker. */
struct tls_target {
    size_t refs;
    struct tls_context *context;
    bool mesh;
    struct str sni;
    const struct str *names; /* one of which the peer must have; n 0: any in the trust domain, or else the sni */
    size_t nnames;
    uint64_t hash;           /* differs for what differs */
};

/* `host`: its name, where the settings have none. NULL: no memory. */
struct tls_target *tls_target_new(struct tls_store *s, const struct tls_client *t, struct str host);
struct tls_target *tls_target_get(struct tls_target *t);
void tls_target_put(struct tls_target *t); /* NULL is accepted */

/* What the socket had when it was last read: nothing was asked of it; as much as was asked for; less; nothing. */
enum tls_supply { TLS_NOT_READ, TLS_MORE, TLS_SHORT, TLS_EMPTY };

struct tls_link {
    SSL *ssl;
    struct str in;              /* ciphertext that OpenSSL has not taken yet; empty between events */
    struct tls_scratch *scratch;
    struct buf out;             /* ciphertext that the socket has not taken yet */
    size_t out_at;
    bool started, complete;     /* the handshake */
    enum tls_supply supply;     /* of the last tls_link_shake or tls_link_read */
    bool eof, broken;           /* the peer's close_notify has come; an error */
    bool shut;                  /* ours has gone out */
    bool wants_http2;           /* a client's */
    bool misnamed;              /* the peer's certificate has none of the names that it should have */
    struct tls_target *target;  /* a client's, until the handshake is over */
    struct tls_session *session; /* where a client puts one; NULL: a server */
    struct tls_peer *peer;      /* once the handshake is over; NULL: nothing is known */
    char *failure;              /* NULL: none */
};

/* A server's side. `hello` has come already: it is looked at by the first tls_link_shake, and must live until then.
 * NULL with errno EPROTO: the context has nothing to make a handshake with; ENOMEM. */
struct tls_link *tls_link_accept(struct tls_context *c, struct tls_scratch *scratch, struct str hello);
/* A client's. `session` outlives the link. NULL: likewise. */
struct tls_link *tls_link_connect(struct tls_target *t, enum tls_speech speech, struct tls_scratch *scratch,
                                  struct tls_session *session);
void tls_link_free(struct tls_link *l); /* NULL is accepted */

/* One step. 1: it is over; 0: more has to come; -1: errno. */
int tls_link_shake(struct tls_link *l, int fd);
/* As read(): at most room - TLS_SEALED bytes, one system call. After that `eof` or `broken` may stand for what the next
 * call would return. */
ssize_t tls_link_read(struct tls_link *l, int fd, char *to, size_t room);
/* The same of ciphertext that was read already, `n` as recv(); at most as much as a record may be (TLS_SEALED). */
ssize_t tls_link_open(struct tls_link *l, int fd, struct str sealed, char *to, size_t room);
/* Encrypts for who sends on his own; nothing is to be unsent. `to` has room for s.n + TLS_OVERHEAD, s.n <= TLS_RECORD.
 * Returns the bytes, 0 when the link is broken. What the socket does not take goes to tls_link_keep. */
size_t tls_link_seal(struct tls_link *l, struct str s, char *to);
int tls_link_keep(struct tls_link *l, struct str sealed);
/* Decrypts what has come behind the handshake: as read(), without reading. What that has to be answered with, an alert or
 * new keys, is sent. */
ssize_t tls_link_read_early(struct tls_link *l, int fd, char *to, size_t room);
/* As writev(), but what is taken may stay here. */
ssize_t tls_link_writev(struct tls_link *l, int fd, struct iovec *v, size_t n);
/* Sends what waits here. 0, or -1 with errno. */
int tls_link_flush(struct tls_link *l, int fd);
/* Says, once, that nothing more will come from us. 0, or -1 with errno. */
int tls_link_shut(struct tls_link *l, int fd);

static inline size_t tls_link_unsent(const struct tls_link *l)
{
    return l->out.n - l->out_at;
}

/* By ALPN: "h2", "http/1.1"; empty: none. */
struct str tls_link_protocol(const struct tls_link *l);

#endif
