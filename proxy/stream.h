/* stream.h: one request: from its head to its answer and its record. For clients (client.h). */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include "proxy/client.h"

/* Takes over a request; sets cl->stream, and clears it again if the answer is already given. */
void stream_start(struct client *cl, const struct http_head *h);
/* Whether it takes bytes of the body now; if not, client_ops.resume follows. */
bool stream_wants(const struct stream *s);
/* Bytes of the request's body, or of a tunnel. */
void stream_data(struct stream *s, struct str bytes);
/* The body is complete. `trailers` may be NULL. */
void stream_data_end(struct stream *s, const struct fields *trailers);
/* The body can be read in no way, or in more than one. */
void stream_data_bad(struct stream *s);
/* The client has closed its half; it has gone altogether. The latter ends the stream without another call. */
void stream_client_closed(struct stream *s);
void stream_client_gone(struct stream *s);
/* The client has taken what was unsent. */
void stream_drained(struct stream *s);
/* When it has been idle for too long, if nothing moves; and what is to be called then. */
int64_t stream_deadline_ns(const struct stream *s);
void stream_idle(struct stream *s);
/* Answers what is no request, and records it. */
void stream_refuse(struct client *cl, unsigned status);
/* The worker ends: frees the spare ones. */
void stream_free_all(struct worker *w);

#endif
