/* trace.h: W3C Trace Context and B3: which trace a request belongs to, and what the next hop is told.
 *
 * A context that comes in is continued in the forms it came in; without one a trace is started and told in both W3C's
 * form and B3's, so that an application that passes on either keeps it together. A decision already made is kept. */
#ifndef PROXY_TRACE_H
#define PROXY_TRACE_H

#include "base/rand.h"
#include "proxy/fields.h"

struct trace {
    char trace_id[33];       /* 32 hex digits */
    char parent_id[17];      /* the caller's span; empty: we are the first */
    char span_id[17];        /* ours */
    bool sampled;
    bool w3c, b3_single, b3_multi; /* forms to use */
    bool short_id;           /* B3 with 64 bits: upper half of trace_id is zero */
    char traceparent[56], b3[72];  /* texts that fields point into */
};

/* Reads the context out of a request, or starts one that is sampled with a probability of sampling_ppm millionths. */
void trace_start(struct trace *t, const struct http_head *h, struct rng *rng, uint32_t sampling_ppm);
/* Sets the fields for the next hop; they point into `t`. */
void trace_inject(struct trace *t, struct fields *f);

#endif
