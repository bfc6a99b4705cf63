/* http1_body.h: where a message's body ends, by its length, its chunks or the connection's end. */
#ifndef PROXY_HTTP1_BODY_H
#define PROXY_HTTP1_BODY_H

#include "proxy/http1_parser.h"

enum { HTTP1_MOST_OVERHEAD = 16 * 1024 }; /* chunk extensions and trailers of one message */

struct http1_body {
    enum http_framing framing;
    uint8_t state;      /* http1_body.c */
    uint8_t digits;
    uint32_t overhead;
    uint64_t left;      /* of the body or of the chunk */
};

enum http1_body_result {
    HTTP1_BODY_MORE,    /* all of *in is taken */
    HTTP1_BODY_DATA,    /* *data are bytes of the body, a part of what was *in; call again */
    HTTP1_BODY_END,     /* what is left in *in belongs to the next message */
    HTTP1_BODY_BAD
};

void http1_body_init(struct http1_body *b, enum http_framing framing, uint64_t length);
/* Takes from the front of *in. HTTP_UNTIL_CLOSE never ends here. Extensions and trailers are checked and left out. */
enum http1_body_result http1_body_next(struct http1_body *b, struct str *in, struct str *data);
/* Whether nothing is missing (the body has ended, or it ends with the connection). */
bool http1_body_may_close(const struct http1_body *b);

#endif
