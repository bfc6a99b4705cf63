/* proxy_header.h: the header that one proxy puts in front of a connection to tell the next who is at its other end
 * (HAProxy's PROXY protocol, versions 1 and 2; haproxy.org, doc/proxy-protocol.txt).
 *
 *   1  "PROXY TCP4 192.0.2.1 192.0.2.9 56324 443\r\n", "PROXY UNKNOWN …\r\n": at most 107 bytes
 *   2  signature (12 bytes) │ version, command │ family, transport │ length (16 bits) │ addresses │ TLVs
 *
 * Read strictly: a listener that expects it takes nothing else, and one spelling only, or a client could say who it is. */
#ifndef PROXY_PROXY_HEADER_H
#define PROXY_PROXY_HEADER_H

#include "base/str.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
    PROXY_HEADER_MOST_IN = 4096, /* with its TLVs, which are passed over */
    PROXY_HEADER_MOST_OUT = 108
};

enum proxy_header_result { PROXY_HEADER_MORE, PROXY_HEADER_DONE, PROXY_HEADER_BAD };

struct proxy_header {
    size_t size;                      /* of all of it */
    bool known;                       /* it names both ends; else the connection's own addresses hold */
    struct sockaddr_storage from, to; /* of the connection as its client sees it */
    const char *why;                  /* of BAD */
};

/* `in` are all bytes since the connection's start. */
enum proxy_header_result proxy_header_read(struct str in, struct proxy_header *h);
/* From and to are "IP:port" or "[IP]:port". What they do not say, or say of two families, goes out as unknown. */
struct str proxy_header_write(char out[PROXY_HEADER_MOST_OUT], unsigned version, struct str from, struct str to);
/* For a connection that is nobody's in particular. */
struct str proxy_header_unknown(unsigned version);

#endif
