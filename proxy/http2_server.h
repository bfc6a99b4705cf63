/* http2_server.h: a client's HTTP/2 connection: each of its streams is a request, served by a stream of ours. */
#ifndef PROXY_HTTP2_SERVER_H
#define PROXY_HTTP2_SERVER_H

#include "proxy/incoming.h"

/* What a connection begins with (RFC 9113 3.4). */
#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

void http2_server_new(const struct incoming *in);

#endif
