/* http1_body.h: where a message's body ends, by its length, its chunks or the connection's end;
 * and the trailers behind it. */
#ifndef PROXY_HTTP1_BODY_H
#define PROXY_HTTP1_BODY_H

#include "base/buf.h"
#include "proxy/http1_parser.h"

enum { HTTP1_MOST_OVERHEAD = 16 * 1024 }; /* chunk extensions and trailers of one message */

struct http1_body {
    enum http_framing framing;
    uint8_t state;      /* http1_body.c */
    uint8_t digits;
    uint8_t ntrailers;
    bool keeps_trailers; /* to be set after http1_body_init by who has a use for them; then http1_body_free follows */
    uint32_t overhead;
    uint64_t left;      /* of the body or of the chunk */
    struct buf trailers; /* "Name: value\n" each, as far as they have come */
};

enum http1_body_result {
    HTTP1_BODY_MORE,    /* all of *in is taken */
    HTTP1_BODY_DATA,    /* *data are bytes of the body, a part of what was *in; call again */
    HTTP1_BODY_END,     /* what is left in *in belongs to the next message */
    HTTP1_BODY_BAD
};

void http1_body_init(struct http1_body *b, enum http_framing framing, uint64_t length);
/* Forgets the trailers; one that is zeroed is fine, too. */
void http1_body_free(struct http1_body *b);
/* Takes from the front of *in. HTTP_UNTIL_CLOSE never ends here. Extensions are checked and left out. */
enum http1_body_result http1_body_next(struct http1_body *b, struct str *in, struct str *data);
/* Once it has ended: the trailers for trailers_from_lines; empty when there are none, or no memory for all of them. */
static inline struct str http1_body_trailers(const struct http1_body *b)
{
    return buf_failed(&b->trailers) ? STR_NULL : buf_view(&b->trailers);
}
/* How many bytes are sure to be the body's, as they are; and so many of them have gone by another way. */
uint64_t http1_body_plain(const struct http1_body *b);
void http1_body_passed(struct http1_body *b, uint64_t n);
/* Whether nothing is missing (the body has ended, or it ends with the connection). */
bool http1_body_may_close(const struct http1_body *b);

#endif
