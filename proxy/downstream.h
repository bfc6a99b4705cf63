/* downstream.h: a client's HTTP/1 connection: reads requests one after the other, each served by a stream. */
#ifndef PROXY_DOWNSTREAM_H
#define PROXY_DOWNSTREAM_H

#include "proxy/http1_parser.h"
#include "proxy/worker.h"

/* A client as the log names it. */
struct peer {
    char remote[CONN_ADDR_TEXT], local[CONN_ADDR_TEXT];
    struct str remote_ip; /* a part of remote */
};

struct downstream {
    struct conn c;
    struct worker_listener *wl;
    struct peer peer;
    struct stream *stream;    /* the request under way */
    struct http1_scan scan;   /* of the next one's head */
    int64_t started_ns;       /* when its first byte came; 0: none yet */
    bool refused;             /* nothing more is read from it */
};

/* Takes over the socket. `first` are bytes already read from it. */
void downstream_new(struct worker_listener *wl, int fd, const struct sockaddr_storage *remote, struct str first);
/* The stream has ended (and is no longer there). Without `keep` the connection ends, too. */
void downstream_done(struct downstream *d, bool keep);

void peer_init(struct peer *p, const struct worker_listener *wl, int fd, const struct sockaddr_storage *remote);

#endif
