/* http1_write.h: HTTP/1 messages on their way out, in either direction (RFC 9112). */
#ifndef PROXY_HTTP1_WRITE_H
#define PROXY_HTTP1_WRITE_H

#include "proxy/conn.h"

/* "content-length: N\r\n" */
void http1_write_length(struct buf *b, uint64_t n);
/* Bytes of a body, as a chunk of their own or as they are. */
void http1_write_data(struct conn *c, struct str bytes, bool chunked);

#endif
