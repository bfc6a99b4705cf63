/* stream.h: one request: from its head to its answer and its record. */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include "proxy/downstream.h"

/* Takes over a request; sets d->stream, and clears it again if the answer is already given. */
void stream_start(struct downstream *d, const struct http_head *h);
/* Bytes behind the head. Returns how many belong to this request and were taken: 0 when it wants none (now). */
size_t stream_body(struct stream *s, struct str bytes);
/* The client has closed its half; it has gone altogether. The latter ends the stream and leaves the connection open. */
void stream_client_closed(struct stream *s);
void stream_client_gone(struct stream *s);
/* The client has taken what was unsent. */
void stream_drained(struct stream *s);
/* Nothing moved for stream_idle_ns. */
void stream_idle(struct stream *s);
/* Answers what is no request, and records it. */
void stream_refuse(struct downstream *d, unsigned status);
/* The worker ends: frees the spare ones. */
void stream_free_all(struct worker *w);

#endif
