/* incoming.h: a connection on its way from the listening socket to the owner that speaks its protocol.
 *
 *   accept --(PROXY protocol: its header)--> enter
 *
 *   enter --no TLS here---------------------------------------------------------> incoming_serve
 *      \--> its first bytes --plain text------------------------------------------------^  ^
 *               \--ClientHello--> a chain by its name, or the mesh's mutual TLS --handshake  |
 *                                    \--passed on as it is---------------------------------/
 *
 * What is refused (plain text where TLS is a must, a name that nobody serves, a malformed hello) is closed without an
 * answer, as Envoy does. */
#ifndef PROXY_INCOMING_H
#define PROXY_INCOMING_H

#include "proxy/worker.h"

struct peer;

struct incoming {
    struct worker_listener *wl;    /* the owner takes a reference of its own */
    const struct listener *serve;  /* wl->l, or what one of its chains serves: of wl->view, the newest */
    struct conn_socket socket;     /* the owner's from now on */
    struct sockaddr_storage remote;
    struct sockaddr_storage local; /* as the client knows it, by PROXY protocol; ss_family 0: the socket's own */
    struct peer *like;             /* what an owner before has found out; NULL: nothing */
    struct str first;              /* bytes already read from it */
    struct str name;               /* of a hello that is passed on; with TLS of ours the link knows it */
};

/* A socket that was just accepted. */
void incoming_accept(struct worker_listener *wl, int fd, const struct sockaddr_storage *remote);
/* For who has waited, and meanwhile there may be another snapshot: what serves it now. That is wl->l, or (`chained`)
 * what the chain for the link's name serves; one that is gone leaves the listener itself. */
const struct listener *incoming_listener(const struct worker_listener *wl, bool chained, const struct tls_link *tls);
/* To an owner by the protocol that ALPN chose, or by what the listener says. */
void incoming_serve(const struct incoming *in);

#endif
