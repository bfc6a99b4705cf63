/* stream_try.c: the way to a host and back, once or as often as the retry policy says.
 *
 *   stream_forward --> open_try --> head, body out --> response's head --> RESPONDING --> end
 *                        ^               | failure, or a status that is retried
 *                        |               v
 *                        +-- backoff -- may_retry? --no--> local reply, or the response as it is
 *
 * Where no connection more may be made, open_try leaves the request WAITING for one of that host's; what goes over one
 * of the cluster's limits (circuit.h) is told so at once, and never retried.
 *
 * A kept connection may be closed by its host at the very moment a request goes out on it. When nothing of a response
 * has come and repeating does no harm, the request goes out once more on a new connection: no retry of any policy.
 * So does one behind the last that a GOAWAY lets pass: the host says that it has not looked at it. */
#include "proxy/stream-internal.h"

#include "proxy/trailers.h"
#include "proxy/worker.h"
#include "proxy/xfcc.h"

#include <errno.h>
#include <stdio.h>

static void open_try(struct stream *s, bool fresh);

static bool is_idempotent(struct str method)
{
    static const struct str methods[] = { STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("OPTIONS"), STR_INIT("PUT"),
                                          STR_INIT("DELETE"), STR_INIT("TRACE") };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(methods[i], method))
            return true;
    return false;
}

/* Who has proved itself to us, by Istio's rules: a sidecar adds it to what the mesh says, a gateway says nothing else,
 * and what an application says of itself is dropped. False: no memory. */
static bool add_certificate(struct stream *s, struct fields *f)
{
    static const enum xfcc_mode modes[] = { [LISTENER_OUTBOUND] = XFCC_SANITIZE,
                                            [LISTENER_INBOUND] = XFCC_APPEND_FORWARD,
                                            [LISTENER_GATEWAY] = XFCC_SANITIZE_SET };
    static const struct str name = STR_INIT("x-forwarded-client-cert");
    const struct tls_peer *p = s->cl->peer->tls;
    struct str came = STR_NULL, out;

    if (!p->proved && !s->head.first[HTTP_X_FORWARDED_CLIENT_CERT])
        return true;
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id == HTTP_X_FORWARDED_CLIENT_CERT)
            came = came.n ? arena_printf(&s->arena, "%.*s,%.*s", STR_ARG(came), STR_ARG(f->v[i].value)) : f->v[i].value;
    if (xfcc_apply(&s->arena, modes[s->l->direction], p->proved && p->xfcc.n, came, p->xfcc, &out) < 0)
        return false;
    if (out.p)
        fields_set(f, name, out);
    else
        fields_remove(f, name);
    return true;
}

/* What the next hop learns about the request's way. */
static void add_context(struct stream *s, struct fields *f)
{
    struct str scheme = s->cl->peer->https ? STR("https") : STR("http"); /* and not what the target claims */

    if (s->l->direction == LISTENER_GATEWAY) {
        fields_put(f, HTTP_X_FORWARDED_FOR, s->xff);
        fields_put(f, HTTP_X_FORWARDED_PROTO, scheme);
        fields_remove(f, STR("x-envoy-original-path")); /* only the mesh itself says so */
    } else if (!s->head.first[HTTP_X_FORWARDED_PROTO]) {
        fields_put(f, HTTP_X_FORWARDED_PROTO, scheme);
    }
    if (s->request_id.p == s->uuid)
        fields_put(f, HTTP_X_REQUEST_ID, s->request_id);
    if (s->max_forwards.n)
        fields_set(f, STR("max-forwards"), s->max_forwards);
    fields_put(f, HTTP_X_ENVOY_ATTEMPT_COUNT, (struct str){ s->attempt_text, num_put_u64(s->attempt_text, s->tries) });
    if (!s->telemetry->no_propagation)
        trace_inject(&s->trace, f);
}

bool stream_pass_head(struct stream *s, const struct destination *to, struct upstream_call *u)
{
    struct str authority = s->rq.authority;
    struct fields f;

    fields_from_head(&f, &s->head);
    if (!add_certificate(s, &f))
        return false;
    add_context(s, &f);
    fields_apply(&f, s->auth_ops, s->nauth_ops, NULL);
    if (!str_eq(s->path, s->target))
        fields_put(&f, HTTP_X_ENVOY_ORIGINAL_PATH, s->target);
    if (s->route->rewrite_authority.n)
        authority = s->route->rewrite_authority;
    fields_apply(&f, s->route->headers.request, s->route->headers.nrequest, &authority);
    fields_apply(&f, to->headers.request, to->headers.nrequest, &authority);
    s->authority = authority;
    if (f.overflow)
        return false;
    upstream_head(u, &(struct upstream_request){
        .method = s->rq.method, .scheme = s->rq.scheme, .path = s->path, .fields = &f,
        .authority = authority.n ? authority : str_of(s->cl->peer->local), /* HTTP/1.0 need not name one */
        .framing = s->head.framing, .length = s->head.length, .websocket = s->upgrade,
        .wants_trailers = trailers_wanted(&s->head),
        .from = str_of(s->cl->peer->remote), .to = str_of(s->cl->peer->local) });
    return true;
}

static void retry_is_over(struct stream *s)
{
    if (s->retrying)
        circuit_give(&s->cluster->circuit->retries);
    s->retrying = false;
}

/* One of those that the cluster may have at once. */
static bool take_retry(struct stream *s)
{
    const struct cluster *c = s->cluster->cluster;
    struct circuit *circuit = s->cluster->circuit;
    uint32_t most = circuit_most_retries(circuit, c->max_retries, c->retry_budget_percent, c->retry_budget_min);

    s->retrying = circuit_take(&circuit->retries, most, &circuit->retry_overflows);
    if (!s->retrying)
        s->flags |= FLAG_UO;
    return s->retrying;
}

/* Whether the policy would have it tried again, and whether it may be. */
static bool may_retry(struct stream *s, bool policy)
{
    const struct retry_policy *p = &s->route->retry;

    retry_is_over(s);
    if (!policy || p->attempts == 0 || s->response_started || !s->replayable)
        return false;
    if (s->retries < p->attempts)
        return take_retry(s);
    s->flags |= FLAG_URX;
    return false;
}

static void back_off(struct stream *s)
{
    s->retries++;
    s->state = STREAM_BACKING_OFF;
    stream_set_timer(&s->pause, router_backoff_ms(&s->route->retry, s->retries, &s->w->rng));
}

void stream_continue(struct stream *s)
{
    struct client *cl = s->cl;

    open_try(s, false);
    if (cl->stream == s && s->state == STREAM_TRYING)
        cl->ops->resume(cl);
}

#define RESET "upstream connect error or disconnect/reset before headers. reset reason: "

/* As Envoy has it: in the details with underscores for blanks. */
static void reply_tls_failed(struct stream *s)
{
    struct str body = arena_printf(&s->arena, RESET "remote connection failure, transport failure reason: %.*s",
                                   STR_ARG(s->tls_failure));
    char *details = arena_cstr(&s->arena, arena_printf(&s->arena, "upstream_reset_before_response_started{"
                               "remote_connection_failure|%.*s}", STR_ARG(s->tls_failure)));

    for (char *p = details; p && *p; p++)
        if (*p == ' ')
            *p = '_';
    stream_reply(s, 503, FLAG_UF, details, body);
}

static void reply_overflow(struct stream *s)
{
    struct fields f = { .n = 0 };

    fields_add(&f, STR("x-envoy-overloaded"), STR("true"));
    s->flags |= FLAG_UO;
    s->details = "upstream_reset_before_response_started{overflow}";
    stream_reply_with(s, 503, &f, STR(RESET "overflow"));
}

static void reply_failed(struct stream *s, enum upstream_failure why)
{
    switch (why) {
    case UPSTREAM_CONNECT:
        if (s->tls_failure.n)
            reply_tls_failed(s);
        else
            stream_reply(s, 503, FLAG_UF, "upstream_reset_before_response_started{remote_connection_failure}",
                         STR(RESET "remote connection failure"));
        break;
    case UPSTREAM_TIMEOUT:
        stream_reply(s, 503, FLAG_UF, "upstream_reset_before_response_started{connection_timeout}",
                     STR(RESET "connection timeout"));
        break;
    case UPSTREAM_CLOSED:
        stream_reply(s, 503, FLAG_UC, "upstream_reset_before_response_started{connection_termination}",
                     STR(RESET "connection termination"));
        break;
    case UPSTREAM_RESET:
        stream_reply(s, 503, FLAG_UR, "upstream_reset_before_response_started{remote_reset}",
                     STR(RESET "remote reset"));
        break;
    case UPSTREAM_REFUSED:
        stream_reply(s, 503, FLAG_UR, "upstream_reset_before_response_started{remote_refused_stream_reset}",
                     STR(RESET "remote refused stream reset"));
        break;
    case UPSTREAM_PROTOCOL:
        stream_reply(s, 502, FLAG_UPE, "upstream_reset_before_response_started{protocol_error}",
                     STR(RESET "protocol error"));
        break;
    }
}

static enum router_reset reset_kind(enum upstream_failure why)
{
    return why == UPSTREAM_CONNECT || why == UPSTREAM_TIMEOUT ? RESET_CONNECT :
           why == UPSTREAM_REFUSED ? RESET_REFUSED : RESET_LATER;
}

/* A try came to nothing before its response's head. */
static void try_failed(struct stream *s, enum upstream_failure why, int err)
{
    bool policy = why != UPSTREAM_PROTOCOL && router_retries_reset(&s->route->retry, reset_kind(why));

    event_del(&s->pause);
    stream_tell_failed(s, why == UPSTREAM_TIMEOUT ? OUTLIER_TIMEOUT : OUTLIER_RESET);
    if (why == UPSTREAM_CONNECT)
        s->transport_failure = s->tls_failure.n ? s->tls_failure.p : upstream_why(err);
    if (may_retry(s, policy))
        back_off(s);
    else
        reply_failed(s, why);
}

static void cut_response(struct stream *s, unsigned flags, const char *details)
{
    s->flags |= flags;
    s->details = details;
    stream_cut(s);
}

/* The try is over; what is told of it stays: its connection may be gone before the request's record is written. */
static void forget_try(struct stream *s)
{
    const struct tls_link *tls = s->up->tls;

    memcpy(s->up_local, s->up->local, sizeof(s->up_local));
    tls_peer_put(s->up_peer);
    s->up_peer = tls && tls->peer ? tls_peer_get(tls->peer) : NULL;
    if (tls && tls->failure)
        s->tls_failure = arena_printf(&s->arena, "%s", tls->failure);
    s->up = NULL;
}

static void give_up_try(struct stream *s)
{
    struct upstream_call *u = s->up;

    forget_try(s);
    upstream_abort(u);
}

/* Its connection came to its end while the request was on the way, for no fault of either: it may go on another one. */
static bool came_too_late(const struct stream *s, enum upstream_failure why)
{
    const struct upstream_call *u = s->up;

    if (why == UPSTREAM_REFUSED)
        return u->turned_away;
    return why == UPSTREAM_CLOSED && u->reused && !u->any_byte && is_idempotent(s->rq.method);
}

static void on_fail(void *arg, enum upstream_failure why, int err)
{
    struct stream *s = arg;
    bool late = came_too_late(s, why);

    forget_try(s);
    if (s->response_started) {
        cut_response(s, FLAG_UC, "upstream_reset_after_response_started{connection_termination}");
    } else if (late && s->replayable && !s->repeated) {
        s->repeated = true;
        open_try(s, true);
    } else {
        try_failed(s, why, err);
    }
}

static void add_service_time(struct stream *s, struct fields *f)
{
    int64_t ms = (s->upstream_ns - s->request_done_ns) / 1000000;
    size_t n = num_put_u64(s->time_text, ms > 0 ? (uint64_t)ms : 0);

    fields_put(f, HTTP_X_ENVOY_UPSTREAM_SERVICE_TIME, (struct str){ s->time_text, n });
}

static void start_response(struct stream *s, const struct http_head *h)
{
    struct fields f;

    fields_from_head(&f, h);
    add_service_time(s, &f);
    /* A HEAD's answer and a 304 may tell the length of the body that they do not have. */
    if (h->framing == HTTP_NO_BODY && h->first[HTTP_CONTENT_LENGTH] && h->status >= 200 && h->status != 204)
        fields_add(&f, STR("content-length"), http_value(h, HTTP_CONTENT_LENGTH));
    fields_apply(&f, s->route->headers.response, s->route->headers.nresponse, NULL);
    fields_apply(&f, s->destination->headers.response, s->destination->headers.nresponse, NULL);
    if (s->set_cookie.n)
        fields_add(&f, STR("set-cookie"), s->set_cookie);
    if (f.overflow) { /* by what the configuration adds: to leave some out may leave out what protects */
        give_up_try(s);
        stream_reply(s, 502, FLAG_UPE, "response_headers_too_large", STR_NULL);
        return;
    }
    if (str_starts(fields_get(&f, HTTP_CONTENT_TYPE), STR("application/grpc")))
        s->grpc_status = arena_str(&s->arena, fields_get(&f, HTTP_GRPC_STATUS));
    s->details = "via_upstream";
    s->state = h->status == 101 ? STREAM_TUNNEL : STREAM_RESPONDING;
    stream_answer(s, h->status, http_text(h, h->reason), &f, h->framing, h->length);
    if (s->state == STREAM_TUNNEL)
        s->cl->ops->resume(s->cl);
}

static void on_head(void *arg, const struct http_head *h)
{
    struct stream *s = arg;
    struct str grpc = http_value(h, HTTP_GRPC_STATUS);

    s->upstream_ns = s->w->now_ns;
    stream_touch(s);
    event_del(&s->pause);
    stream_tell_answered(s, h->status, grpc);
    if (h->status == 101 && !s->upgrade) {
        give_up_try(s);
        try_failed(s, UPSTREAM_PROTOCOL, 0);
        return;
    }
    if (may_retry(s, router_retries_status(&s->route->retry, h->status, grpc))) {
        give_up_try(s);
        back_off(s);
        return;
    }
    retry_is_over(s);
    if (h->status == 101) {
        event_del(&s->timer);
        upstream_tunnel(s->up);
    }
    start_response(s, h);
}

static void on_interim(void *arg, const struct http_head *h)
{
    struct stream *s = arg;
    struct fields f;

    if (s->head.version == HTTP_VERSION_10 || s->cl->ops->full(s->cl))
        return;
    fields_from_head(&f, h);
    s->cl->ops->interim(s->cl, h->status, &f);
}

static void on_data(void *arg, struct str bytes)
{
    struct stream *s = arg;
    struct client *cl = s->cl;

    stream_touch(s);
    s->bytes_sent += bytes.n;
    s->response_bytes += bytes.n;
    if (s->grpc)
        grpc_count_data(&s->answered, bytes);
    cl->ops->data(cl, bytes);
    if (cl->stream == s && s->up && cl->ops->full(cl))
        upstream_pause(s->up);
}

/* Messages are counted in what is seen. */
static struct conn *through(void *arg)
{
    struct stream *s = arg;

    return s->grpc || !s->cl->ops->through ? NULL : s->cl->ops->through(s->cl);
}

static void on_passed(void *arg, size_t n)
{
    struct stream *s = arg;

    stream_touch(s);
    s->bytes_sent += n;
    s->response_bytes += n;
}

static void on_trailers(void *arg, const struct fields *f)
{
    struct stream *s = arg;
    struct str grpc = fields_get(f, HTTP_GRPC_STATUS);

    if (grpc.p)
        s->grpc_status = arena_str(&s->arena, grpc);
    if (s->w->settings->log_headers->trailers.n)
        stream_keep_trailers(s, f);
    s->cl->ops->trailers(s->cl, f);
}

static void on_end(void *arg)
{
    struct stream *s = arg;

    forget_try(s);
    stream_end(s);
}

static void on_drained(void *arg)
{
    struct stream *s = arg;

    s->cl->ops->resume(s->cl);
}

static const struct upstream_handler handler = { .interim = on_interim, .head = on_head, .data = on_data,
                                                 .through = through, .passed = on_passed, .trailers = on_trailers,
                                                 .end = on_end, .fail = on_fail, .drained = on_drained };

static void send_try(struct stream *s)
{
    struct upstream_call *u = s->up;

    if (!stream_pass_head(s, s->destination, u)) {
        stream_reply(s, 431, 0, "request_headers_too_large", STR_NULL);
        return;
    }
    if (s->replay.n)
        upstream_data(u, buf_view(&s->replay));
    if (s->request_done)
        upstream_end(u, NULL);
    if (s->route->retry.per_try_timeout_ms > 0 && s->request_done)
        stream_set_timer(&s->pause, s->route->retry.per_try_timeout_ms);
    if (s->expects_continue && !s->request_done && s->tries == 1) {
        s->cl->ops->interim(s->cl, 100, NULL);
        s->expects_continue = false;
    }
}

bool stream_speaks_http2(const struct stream *s)
{
    const struct cluster *c = s->cluster->cluster;

    return !s->upgrade && (c->http2 || (c->client_protocol && s->head.version == HTTP_VERSION_2));
}

static void on_room(void *arg);

/* Goes to the host that is chosen. */
static void reach_host(struct stream *s, bool fresh)
{
    const struct cluster *c = s->cluster->cluster;

    s->state = STREAM_TRYING;
    s->up = upstream_open(s->host, c, s->view->snapshot->self.ip, stream_speaks_http2(s), fresh, &handler, s);
    if (s->up)
        send_try(s);
    else if (errno == EAGAIN && upstream_wait(&s->waiter, s->host, c, on_room, s))
        s->state = STREAM_WAITING;
    else if (errno == EAGAIN || errno == EDQUOT)
        reply_overflow(s);
    else
        try_failed(s, UPSTREAM_CONNECT, errno);
}

static void on_room(void *arg)
{
    struct stream *s = arg;
    struct client *cl = s->cl;

    reach_host(s, false);
    if (cl->stream == s && s->state == STREAM_TRYING)
        cl->ops->resume(cl);
}

void stream_leave_upstream(struct stream *s)
{
    upstream_wait_end(&s->waiter);
    if (s->up)
        give_up_try(s);
    if (s->cluster)
        retry_is_over(s);
}

static void open_try(struct stream *s, bool fresh)
{
    switch (stream_choose_host(s)) {
    case STREAM_HOST_ASKED:
        return;
    case STREAM_HOST_NONE:
        stream_reply(s, 503, FLAG_UH, "no_healthy_upstream", STR("no healthy upstream"));
        return;
    case STREAM_HOST_CHOSEN:
        break;
    }
    s->tries++;
    s->up_local[0] = '\0';
    s->tls_failure = STR_NULL;
    reach_host(s, fresh);
}

void stream_forward(struct stream *s)
{
    const struct route *r = s->route;
    struct client *cl = s->cl;

    s->destination = router_pick(r->destinations, r->ndestinations, r->total_weight, &s->w->rng);
    s->cluster = s->destination ? view_cluster(s->view, s->destination->cluster) : NULL;
    if (!s->cluster) {
        stream_reply(s, 503, FLAG_NC, "cluster_not_found", STR_NULL);
        return;
    }
    if (lb_hashes(&s->cluster->lb))
        s->hashed = stream_hash(s, &s->cluster->cluster->hash, &s->hash);
    s->path = router_rewrite(&s->arena, r, &s->rq);
    if (!s->path.p) {
        stream_reply(s, 503, FLAG_UO, "overload", STR_NULL);
        return;
    }
    if (s->request_done && r->timeout_ms > 0)
        stream_set_timer(&s->timer, r->timeout_ms);
    mirror_start_all(s);
    open_try(s, false);
    if (cl->stream == s && !s->request_done)
        cl->ops->resume(cl);
}

void stream_pass_body(struct stream *s, struct str bytes)
{
    if (s->replayable && s->route->retry.attempts > 0) {
        buf_put(&s->replay, bytes.p, bytes.n);
        if (buf_failed(&s->replay)) {
            s->replayable = false;
            buf_free(&s->replay);
        }
    } else {
        s->replayable = false;
    }
    mirror_body(s, bytes);
    if (s->up)
        upstream_data(s->up, bytes);
}

void stream_pass_end(struct stream *s, const struct fields *trailers)
{
    mirror_end(s, trailers);
    if (trailers && trailers->n)
        s->replayable = false; /* they are not kept */
    if (s->up)
        upstream_end(s->up, trailers);
    if (s->route->timeout_ms > 0)
        stream_set_timer(&s->timer, s->route->timeout_ms);
    if (s->route->retry.per_try_timeout_ms > 0 && s->state == STREAM_TRYING)
        stream_set_timer(&s->pause, s->route->retry.per_try_timeout_ms);
}

void stream_try_timeout(struct stream *s)
{
    if (s->state != STREAM_TRYING || !s->up)
        return;
    give_up_try(s);
    stream_tell_failed(s, OUTLIER_TIMEOUT);
    if (may_retry(s, router_retries_reset(&s->route->retry, RESET_LATER)))
        back_off(s);
    else
        stream_reply(s, 504, FLAG_UT, "upstream_per_try_timeout", STR("upstream request timeout"));
}

void stream_timeout(struct stream *s)
{
    if (s->up && !s->response_started)
        stream_tell_failed(s, OUTLIER_TIMEOUT);
    if (s->response_started)
        cut_response(s, FLAG_UT, "response_timeout");
    else
        stream_reply(s, 504, FLAG_UT, "upstream_response_timeout", STR("upstream request timeout"));
}
