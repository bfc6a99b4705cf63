/* downstream.h: a client's HTTP/1 connection: reads requests one after the other, each served by a stream. */
#ifndef PROXY_DOWNSTREAM_H
#define PROXY_DOWNSTREAM_H

#include "proxy/worker.h"

/* Takes over the socket. `first` are bytes already read from it. */
void downstream_new(struct worker_listener *wl, int fd, const struct sockaddr_storage *remote, struct str first);

#endif
