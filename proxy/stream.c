/* stream.c: what is to be done with a request, in the order of Istio's filters: host, route, fault, CORS, action. */
#include "proxy/stream-internal.h"

#include "base/mem.h"
#include "proxy/path.h"

#include <stdio.h>

enum { MOST_FREE = 256, KEEP_HEAD_BYTES = 16 * 1024 };

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    struct worker *w = s->w;

    (void)fd, (void)what;
    worker_enter(w);
    stream_timeout(s);
    worker_leave(w);
}

static void admit_again(struct stream *s);
static void end_delay(struct stream *s);

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    struct worker *w = s->w;

    (void)fd, (void)what;
    worker_enter(w);
    if (s->state == STREAM_AWAITING_KEYS)
        admit_again(s);
    else if (s->state == STREAM_DELAYED)
        end_delay(s);
    else if (s->state == STREAM_BACKING_OFF || s->state == STREAM_RESOLVING)
        stream_continue(s);
    else
        stream_try_timeout(s);
    worker_leave(w);
}

void stream_set_timer(struct event *ev, int64_t ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(ev, &tv);
}

static struct stream *take_stream(struct worker *w)
{
    struct stream *s = w->free_streams;
    struct buf head_bytes = BUF_INIT(HTTP_MOST_HEAD);

    if (s) {
        w->free_streams = s->next_free;
        w->nfree_streams--;
        head_bytes = s->head_bytes;
        buf_reset(&head_bytes);
    } else {
        s = mem_alloc(sizeof(*s));
        if (!s)
            return NULL;
    }
    memset(s, 0, offsetof(struct stream, head)); /* the head itself is copied over whole */
    memset((char *)s + offsetof(struct stream, rq), 0, sizeof(*s) - offsetof(struct stream, rq));
    s->w = w;
    s->head_bytes = head_bytes;
    s->arena = (struct arena)ARENA_INIT(STREAM_MOST_ARENA);
    s->replay = (struct buf)BUF_INIT(STREAM_MOST_REPLAY);
    event_assign(&s->timer, w->base, -1, 0, on_timer, s);
    event_assign(&s->pause, w->base, -1, 0, on_pause, s);
    return s;
}

static void give_back(struct stream *s)
{
    struct worker *w = s->w;

    event_del(&s->timer);
    event_del(&s->pause);
    tls_peer_put(s->up_peer);
    arena_free(&s->arena);
    buf_free(&s->replay);
    view_put(s->view);
    if (s->head_bytes.cap > KEEP_HEAD_BYTES || w->nfree_streams == MOST_FREE) {
        buf_free(&s->head_bytes);
        if (w->nfree_streams == MOST_FREE) {
            mem_free(s);
            return;
        }
    }
    s->next_free = w->free_streams;
    w->free_streams = s;
    w->nfree_streams++;
}

void stream_free_all(struct worker *w)
{
    while (w->free_streams) {
        struct stream *s = w->free_streams;

        w->free_streams = s->next_free;
        buf_free(&s->head_bytes);
        mem_free(s);
    }
}

/* Frees it; its client has no stream any more. */
static struct client *leave(struct stream *s)
{
    struct client *cl = s->cl;

    stream_leave_upstream(s);
    mirror_leave_all(s);
    stream_record(s);
    upstream_host_put(s->host);
    name_put(s->name);
    cl->stream = NULL;
    give_back(s);
    return cl;
}

void stream_end(struct stream *s)
{
    struct client *cl = leave(s);

    cl->ops->done(cl);
}

void stream_cut(struct stream *s)
{
    struct client *cl = leave(s);

    cl->ops->cut(cl);
}

void stream_client_gone(struct stream *s)
{
    s->flags |= FLAG_DC;
    s->details = "downstream_remote_disconnect";
    if (!s->response_started)
        s->status = 0;
    leave(s);
}

void stream_client_closed(struct stream *s)
{
    if (s->up)
        upstream_shut(s->up);
}

int64_t stream_deadline_ns(const struct stream *s)
{
    return s->deadline_ns;
}

void stream_idle(struct stream *s)
{
    if (s->response_started) {
        s->flags |= FLAG_SI;
        s->details = "stream_idle_timeout";
        stream_cut(s);
    } else {
        stream_reply(s, s->request_done ? 504 : 408, FLAG_SI, "stream_idle_timeout", STR("stream timeout"));
    }
}

static void add_cors(struct stream *s, struct fields *f)
{
    const struct cors *c = s->route->cors;

    fields_set(f, STR("access-control-allow-origin"), http_value(&s->head, HTTP_ORIGIN));
    if (c->credentials)
        fields_set(f, STR("access-control-allow-credentials"), STR("true"));
    if (c->expose.n)
        fields_set(f, STR("access-control-expose-headers"), c->expose);
}

void stream_answer(struct stream *s, unsigned status, struct str reason, struct fields *f, enum http_framing framing,
                   uint64_t length)
{
    struct answer a = { .status = status, .reason = reason, .fields = f, .framing = framing, .length = length,
                        .last = s->must_close };

    if (s->cors_allowed)
        add_cors(s, f);
    if (s->head.version == HTTP_VERSION_10)
        fields_remove(f, STR("trailer")); /* HTTP/1.0 has no room for any */
    fields_put(f, HTTP_SERVER, STR("istio-envoy"));
    if (!fields_get(f, HTTP_DATE).p)
        fields_put(f, HTTP_DATE, str_of(s->w->date));
    if (s->told_bucket)
        stream_tell_limit(s, f);
    s->status = status;
    s->response_started = true;
    stream_keep_response(s, f);
    s->response_bytes += s->cl->ops->head(s->cl, &a);
}

static void reply_redirect(struct stream *s, unsigned status, struct str location)
{
    struct fields f = { .n = 0 };

    if (!location.p) {
        stream_reply(s, 503, FLAG_UO, "overload", STR_NULL);
        return;
    }
    fields_add(&f, STR("location"), location);
    if (s->route)
        fields_apply(&f, s->route->headers.response, s->route->headers.nresponse, NULL);
    s->details = "direct_response";
    stream_reply_with(s, status, &f, STR_NULL);
}

static void reply_direct(struct stream *s)
{
    struct fields f = { .n = 0 };

    fields_apply(&f, s->route->headers.response, s->route->headers.nresponse, NULL);
    s->details = "direct_response";
    stream_reply_with(s, s->route->direct_status, &f, s->route->direct_body);
}

/* A preflight that the policy answers. */
static void reply_preflight(struct stream *s)
{
    const struct cors *c = s->route->cors;
    struct fields f = { .n = 0 };
    char age[24];

    if (s->cors_allowed) {
        if (c->methods.n)
            fields_add(&f, STR("access-control-allow-methods"), c->methods);
        if (c->headers.n)
            fields_add(&f, STR("access-control-allow-headers"), c->headers);
        if (c->max_age_s >= 0) {
            snprintf(age, sizeof(age), "%lld", (long long)c->max_age_s);
            fields_add(&f, STR("access-control-max-age"), str_of(age));
        }
    }
    s->details = "direct_response";
    stream_reply_with(s, 200, &f, STR_NULL);
}

/* True: the answer is given. */
static bool serve_cors(struct stream *s)
{
    const struct cors *c = s->route->cors;
    bool preflight = c && str_eqz(s->rq.method, "OPTIONS") && s->head.first[HTTP_ORIGIN] &&
                     s->head.first[HTTP_ACCESS_CONTROL_REQUEST_METHOD];

    s->cors_allowed = c && router_cors_allows(c, http_value(&s->head, HTTP_ORIGIN));
    if (preflight && (s->cors_allowed || c->ignore_unmatched)) {
        reply_preflight(s);
        return true;
    }
    return false;
}

static bool happens(struct stream *s, uint32_t ppm)
{
    return ppm > 0 && (ppm >= 1000000 || rng_below(&s->w->rng, 1000000) < ppm);
}

static void act(struct stream *s)
{
    const struct route *r = s->route;

    if (!stream_limit(s, RATE_LIMIT_LAST))
        return;
    switch (r->action) {
    case ROUTE_REDIRECT:
        reply_redirect(s, r->redirect.status ? r->redirect.status : 301, router_location(&s->arena, r, &s->rq));
        return;
    case ROUTE_DIRECT:
        reply_direct(s);
        return;
    case ROUTE_FORWARD:
        stream_forward(s);
        return;
    }
}

static void after_delay(struct stream *s)
{
    const struct fault *fault = &s->route->fault;

    s->state = STREAM_ROUTING;
    if (happens(s, fault->abort_ppm)) {
        stream_reply(s, fault->abort_status, FLAG_FI, "fault_filter_abort", STR("fault filter abort"));
        return;
    }
    if (!serve_cors(s))
        act(s);
}

/* libevent counts from the coarse clock of its loop's last turn, some milliseconds ago: a delay may not end before its
 * time for that. */
static void end_delay(struct stream *s)
{
    int64_t left_ns = s->delayed_until_ns - s->w->now_ns;

    if (left_ns > 0)
        stream_set_timer(&s->pause, (left_ns + 999999) / 1000000);
    else
        after_delay(s);
}

/* A host that nobody knows: it is let go where it wants (Istio's ALLOW_ANY). NULL: no memory. */
static const struct route *allow_any(struct stream *s)
{
    struct route *r = arena_array(&s->arena, 1, sizeof(*r));
    struct destination *to = arena_array(&s->arena, 1, sizeof(*to));

    if (!r || !to)
        return NULL;
    *to = (struct destination){ .cluster = s->l->passthrough, .cluster_name = s->l->passthrough->name, .weight = 1 };
    *r = (struct route){ .name = STR("allow_any"), .action = ROUTE_FORWARD, .destinations = to, .ndestinations = 1,
                         .total_weight = 1 };
    return r;
}

static bool wants_tls(const struct stream *s)
{
    return s->vh && s->vh->require_tls && !s->cl->peer->https;
}

void stream_find_route(struct stream *s)
{
    s->vh = listener_host(s->l, s->rq.authority);
    if (wants_tls(s))
        s->route = NULL;
    else
        s->route = s->vh ? router_match(s->vh, &s->rq) : s->l->passthrough ? allow_any(s) : NULL;
}

static void reply_unrouted(struct stream *s)
{
    if (!stream_limit(s, RATE_LIMIT_LAST))
        return;
    if (wants_tls(s))
        reply_redirect(s, 301, router_https_location(&s->arena, &s->rq));
    else
        stream_reply(s, 404, FLAG_NR, "route_not_found", STR_NULL);
}

static void route(struct stream *s)
{
    stream_find_route(s);
    if (!stream_limit(s, RATE_LIMIT_ADMITTED))
        return;
    if (!s->route) {
        reply_unrouted(s);
        return;
    }
    if (happens(s, s->route->fault.delay_ppm)) {
        s->flags |= FLAG_DI;
        s->state = STREAM_DELAYED;
        s->delayed_until_ns = s->w->now_ns + s->route->fault.delay_ms * 1000000;
        stream_set_timer(&s->pause, s->route->fault.delay_ms);
        return;
    }
    after_delay(s);
}

static void admit_again(struct stream *s)
{
    s->state = STREAM_ROUTING;
    if (stream_admit(s))
        route(s);
}

static uint32_t sampling(const struct stream *s)
{
    int32_t ppm = s->telemetry->sampling_ppm;

    return ppm >= 0 ? (uint32_t)ppm : s->w->settings->sampling_ppm;
}

/* The request as its sender knows it: its id, its trace, its way so far. */
static void identify(struct stream *s)
{
    const struct http_head *h = &s->head;

    s->request_id = http_value(h, HTTP_X_REQUEST_ID);
    if (s->request_id.n == 0) {
        rng_uuid4(&s->w->rng, s->uuid);
        s->request_id = (struct str){ s->uuid, 36 };
    }
    stream_find_client(s);
    trace_start(&s->trace, h, &s->w->rng, sampling(s));
}

static bool copy_head(struct stream *s, const struct http_head *h)
{
    buf_put(&s->head_bytes, h->base, h->size);
    if (buf_failed(&s->head_bytes))
        return false;
    memcpy(&s->head, h, offsetof(struct http_head, fields) + h->nfields * sizeof(h->fields[0]));
    s->head.base = s->head_bytes.p;
    return true;
}

static bool is_websocket(const struct stream *s)
{
    if (s->head.version == HTTP_VERSION_2)
        return s->head.upgrade;
    return s->head.upgrade && s->head.version == HTTP_VERSION_11 && s->head.framing == HTTP_NO_BODY &&
           str_ieq(http_value(&s->head, HTTP_UPGRADE), STR("websocket"));
}

static struct stream *new_stream(struct client *cl)
{
    struct stream *s = take_stream(cl->wl->w);

    if (!s)
        return NULL;
    s->cl = cl;
    s->view = view_get(cl->wl->view);
    s->l = peer_listener(cl->peer, cl->wl);
    s->telemetry = record_policy(s->view->snapshot, s->l);
    s->started_ns = cl->started_ns ? cl->started_ns : s->w->now_ns;
    stream_touch(s);
    cl->stream = s;
    return s;
}

static void set_target(struct stream *s)
{
    struct str path = http_text(&s->head, s->head.path);
    /* A URI without a path is the whole server for OPTIONS (RFC 9112 3.2.4). */
    bool whole = path.n == 0 && str_eqz(http_text(&s->head, s->head.method), "OPTIONS");
    int rc = path_normalize(&s->arena, PATH_BASE, whole ? STR("*") : path, &s->target);

    if (rc < 0)
        s->target = STR_NULL;
    s->path = rc < 0 ? path : s->target;
    router_request_init(&s->rq, &s->head, s->head.https || s->cl->peer->https ? STR("https") : STR("http"), s->path);
    s->authority = s->rq.authority;
}

void stream_start(struct client *cl, const struct http_head *h)
{
    struct stream *s = new_stream(cl);

    if (!s || !copy_head(s, h)) {
        if (s)
            give_back(s);
        cl->stream = NULL;
        cl->ops->cut(cl);
        return;
    }
    s->request_bytes = h->size;
    set_target(s);
    s->request_done = h->framing == HTTP_NO_BODY || (h->framing == HTTP_LENGTH && h->length == 0);
    s->request_done_ns = s->w->now_ns;
    s->replayable = true;
    s->upgrade = is_websocket(s);
    s->grpc = grpc_is_content_type(http_value(&s->head, HTTP_CONTENT_TYPE));
    identify(s);
    if (!s->target.p) {
        stream_reply(s, 400, FLAG_DPE, "path_normalization_failed", STR_NULL);
        return;
    }
    if (stream_meet(s) && stream_limit(s, RATE_LIMIT_FIRST) && stream_admit(s))
        route(s);
}

bool stream_wants(const struct stream *s)
{
    if (s->state == STREAM_TUNNEL)
        return s->up && !upstream_is_full(s->up);
    if (s->request_done || (s->up && upstream_is_full(s->up)))
        return false;
    return s->state != STREAM_AWAITING_KEYS && s->state != STREAM_DELAYED && s->state != STREAM_BACKING_OFF &&
           s->state != STREAM_WAITING && s->state != STREAM_RESOLVING;
}

void stream_data(struct stream *s, struct str bytes)
{
    s->bytes_received += bytes.n;
    s->request_bytes += bytes.n;
    if (s->grpc)
        grpc_count_data(&s->asked, bytes);
    stream_touch(s);
    if (s->state == STREAM_TUNNEL)
        upstream_data(s->up, bytes);
    else
        stream_pass_body(s, bytes);
}

static bool is_token_field(const struct stream *s, struct str name)
{
    for (size_t i = 0; i < s->nauth_ops; i++)
        if (str_ieq(s->auth_ops[i].name, name))
            return true;
    return false;
}

void stream_data_end(struct stream *s, const struct fields *trailers)
{
    struct fields passed;

    passed.n = 0;
    passed.overflow = false;
    /* What a token alone may say in the head, nobody may say behind the body. */
    for (size_t i = 0; trailers && i < trailers->n; i++)
        if (!is_token_field(s, trailers->v[i].name))
            passed.v[passed.n++] = trailers->v[i];
    s->request_done = true;
    s->request_done_ns = s->w->now_ns;
    stream_touch(s);
    stream_pass_end(s, &passed);
}

void stream_data_bad(struct stream *s)
{
    s->must_close = true;
    if (s->response_started) {
        s->flags |= FLAG_DPE;
        stream_cut(s);
    } else {
        stream_reply(s, 400, FLAG_DPE, "http1.codec_error", STR("Bad Request"));
    }
}

void stream_drained(struct stream *s)
{
    stream_touch(s);
    if (s->up)
        upstream_resume(s->up);
}

void stream_refuse(struct client *cl, unsigned status)
{
    struct stream *s = new_stream(cl);

    if (!s)
        return;
    s->head = (struct http_head){ .version = HTTP_VERSION_11 };
    s->must_close = true;
    stream_reply(s, status, FLAG_DPE, status == 408 ? "request_header_timeout" : "http1.codec_error",
                 str_of(http_reason(status)));
}
