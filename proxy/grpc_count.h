/* grpc_count.h: how many gRPC messages have passed in one direction, without keeping any of their bytes.
 *
 * Source: "gRPC over HTTP2": each message stands behind five bytes, a flag of compression and its length, most
 * significant byte first. As Envoy's, the count goes up with a message's first byte. */
#ifndef PROXY_GRPC_COUNT_H
#define PROXY_GRPC_COUNT_H

#include "base/str.h"

/* All zero: nothing has come. */
struct grpc_count {
    uint64_t messages;
    uint32_t left;     /* bytes of the message under way, once its prefix is complete; before, the length so far */
    uint8_t prefix;    /* bytes of its prefix that have come; 5: all */
};

/* "application/grpc", "application/grpc+proto"; not "application/grpc-web". */
bool grpc_is_content_type(struct str s);
/* The next bytes of the body, cut anywhere. */
void grpc_count_data(struct grpc_count *c, struct str bytes);

#endif
