/* downstream.h: a client's HTTP/1 connection: reads requests one after the other, each served by a stream. */
#ifndef PROXY_DOWNSTREAM_H
#define PROXY_DOWNSTREAM_H

#include "proxy/incoming.h"

void downstream_new(const struct incoming *in);

#endif
