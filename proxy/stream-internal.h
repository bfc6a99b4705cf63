/* stream-internal.h: a request's state, shared by stream.c (what is to be done), stream_try.c (the way to a host and
 * back), stream_mirror.c (copies), stream_told.c and stream_record.c (what is told about it). */
#ifndef PROXY_STREAM_INTERNAL_H
#define PROXY_STREAM_INTERNAL_H

#include "base/num.h"
#include "proxy/fields.h"
#include "proxy/grpc_count.h"
#include "proxy/header_source.h"
#include "proxy/outlier.h"
#include "proxy/response_flags.h"
#include "proxy/router.h"
#include "proxy/stream.h"
#include "proxy/trace.h"
#include "proxy/upstream.h"

enum {
    STREAM_MOST_REPLAY = 64 * 1024, /* of a body kept for a retry; a longer one is sent once */
    STREAM_MOST_TRIED = 16,
    STREAM_MOST_ARENA = 1024 * 1024
};

/*   AWAITING_KEYS of its token --> ROUTING
 *   ROUTING --(fault delay)--> DELAYED --> TRYING <--> BACKING_OFF, WAITING (for a connection),
 *                                            |      RESOLVING (a name's first answer)
 *                                            |  head of the response
 *                                            v
 *                                        RESPONDING --101--> TUNNEL
 * Each may end in a local reply, and each in stream_end(). */
enum stream_state {
    STREAM_ROUTING, STREAM_AWAITING_KEYS, STREAM_DELAYED, STREAM_TRYING, STREAM_WAITING, STREAM_BACKING_OFF,
    STREAM_RESOLVING, STREAM_RESPONDING, STREAM_TUNNEL
};

struct stream {
    struct worker *w;
    struct client *cl;
    struct view *view;
    const struct listener *l;
    const struct telemetry_policy *telemetry;
    enum stream_state state;

    struct buf head_bytes;
    struct http_head head;          /* over head_bytes */
    struct str target;               /* "/path?query" in its one spelling */
    struct router_request rq;
    struct arena arena;              /* what rarely needs room */
    bool request_done;               /* its body has come, too */
    bool expects_continue, upgrade;
    struct buf replay;               /* the body so far, while it may be sent again */
    bool replayable;

    const struct virtual_host *vh;
    const struct route *route;
    const struct destination *destination;
    struct upstream_cluster *cluster;
    const struct endpoint *endpoint; /* of the last try */
    struct upstream_host *host;      /* likewise; a reference */
    struct upstream_call *up;
    struct upstream_waiter waiter;
    struct name *name;               /* the request's host, where that says where it goes */
    int64_t resolving_until_ns;
    char up_local[CONN_ADDR_TEXT];   /* of the last try */
    struct tls_peer *up_peer;        /* likewise, who answered by TLS; NULL: plain text */
    unsigned tries, retries;
    bool retrying;                   /* one of the cluster's retries, until that is told to have failed or not */
    bool repeated;                   /* once more after a kept connection had gone away */
    uint32_t tried[STREAM_MOST_TRIED];
    size_t ntried;
    struct event timer, pause;       /* route timeout; delay, backoff or one try's timeout */
    struct stream_mirror *mirrors;

    const struct rate_bucket *told_bucket; /* every answer tells of; the view's. NULL: none is told of */

    bool cors_allowed;
    bool response_started, must_close;
    unsigned status, flags;
    const char *details;
    const char *transport_failure;
    struct str tls_failure;          /* of the last try; n 0: none */

    bool hashed;                     /* the host goes by `hash` */
    uint64_t hash;
    struct str set_cookie;           /* for hashing, for a client that has none */
    const struct header_op *auth_ops; /* what tokens change on the way upstream */
    size_t nauth_ops;

    struct trace trace;
    char uuid[37];
    struct str request_id;
    struct str path, authority;      /* as sent upstream */
    struct str xff;
    bool grpc;                       /* by the request's Content-Type */
    struct str grpc_status;
    struct grpc_count asked, answered; /* messages */
    struct str response_headers, response_trailers; /* texts.h: those of worker_settings.log_headers */
    struct str max_forwards;         /* for the next; n 0: as it came */
    char attempt_text[NUM_MOST_U64], time_text[NUM_MOST_U64];

    int64_t deadline_ns;             /* of idleness */
    int64_t delayed_until_ns;        /* by a fault */
    int64_t keys_until_ns;           /* keys of its token are waited for; 0: they have not been yet */
    int64_t started_ns, request_done_ns, upstream_ns; /* upstream_ns: its response's head; 0: none */
    uint64_t bytes_received, bytes_sent, request_bytes, response_bytes;

    struct stream *next_free;
};

/* stream.c */
void stream_reply(struct stream *s, unsigned status, unsigned flags, const char *details, struct str body);
/* Our own answer, with the fields given; details are set already. */
void stream_reply_with(struct stream *s, unsigned status, struct fields *f, struct str body);
/* Records and frees a request: its answer is complete, or is cut short. */
void stream_end(struct stream *s);
void stream_cut(struct stream *s);
/* The answer's head. `f` gets the fields that we add. */
void stream_answer(struct stream *s, unsigned status, struct str reason, struct fields *f, enum http_framing framing,
                   uint64_t length);
/* Something moved. */
static inline void stream_touch(struct stream *s)
{
    s->deadline_ns = s->w->now_ns + s->w->settings->stream_idle_ns;
}

/* Sets vh and route; no route where a virtual host wants TLS that the client has not. */
void stream_find_route(struct stream *s);
/* stream_try.c */
void stream_forward(struct stream *s);
void stream_leave_upstream(struct stream *s); /* gives up what it has there, or waits for */
void stream_continue(struct stream *s);      /* the backoff is over */
void stream_try_timeout(struct stream *s);
void stream_timeout(struct stream *s);       /* the route's */
void stream_pass_body(struct stream *s, struct str bytes);
void stream_pass_end(struct stream *s, const struct fields *trailers);
/* The request's head for the upstream. False: it has grown too large. */
bool stream_pass_head(struct stream *s, const struct destination *to, struct upstream_call *u);
/* Whether the cluster is spoken to in HTTP/2. */
bool stream_speaks_http2(const struct stream *s);
void stream_set_timer(struct event *ev, int64_t ms);

/* stream_host.c: sets host and endpoint. ASKED: a name's first answer is waited for, with stream_continue behind it. */
enum stream_host_choice { STREAM_HOST_CHOSEN, STREAM_HOST_NONE, STREAM_HOST_ASKED };
enum stream_host_choice stream_choose_host(struct stream *s);
/* What came of the try there. `grpc`: a status in the head; empty: none. */
void stream_tell_failed(const struct stream *s, enum outlier_result r);
void stream_tell_answered(const struct stream *s, unsigned status, struct str grpc);

/* stream_meet.c: what HTTP itself asks of whoever stands between. False: it has been answered. */
bool stream_meet(struct stream *s);

/* stream_admit.c: who may. False: it has been answered, or waits: then it is to be asked again after `pause`. */
bool stream_admit(struct stream *s);
/* Its fields, for whoever looks for some by name. */
struct header_source stream_headers(const struct stream *s);

/* stream_limit.c: the local rate limits of one place. False: it has been answered. */
bool stream_limit_at(struct stream *s, enum rate_limit_place place);
static inline bool stream_limit(struct stream *s, enum rate_limit_place place)
{
    return s->l->nlimits == 0 || stream_limit_at(s, place);
}
/* x-ratelimit-*, of s->told_bucket. */
void stream_tell_limit(struct stream *s, struct fields *f);

/* stream_hash.c: false: the request has nothing to go by. */
bool stream_hash(struct stream *s, const struct lb_hash *h, uint64_t *hash);

/* stream_mirror.c: copies that nobody waits for */
void mirror_start_all(struct stream *s);
void mirror_body(struct stream *s, struct str bytes);
void mirror_end(struct stream *s, const struct fields *trailers);
/* The request is gone: complete copies go on alone, others are given up. */
void mirror_leave_all(struct stream *s);

/* stream_told.c: for the log and for spans */
void stream_keep_response(struct stream *s, const struct fields *f);
void stream_keep_trailers(struct stream *s, const struct fields *f);
void stream_tell_headers(const struct stream *s, struct buf *b);
void stream_tell_tags(const struct stream *s, struct buf *b);

/* stream_record.c */
void stream_record(struct stream *s);

#endif
