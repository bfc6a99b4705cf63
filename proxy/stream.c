/* stream.c: what is to be done with a request, in the order of Istio's filters: host, route, fault, CORS, action. */
#include "proxy/stream-internal.h"

#include "base/mem.h"

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

static void end_delay(struct stream *s);

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
    struct stream *s = arg;
    struct worker *w = s->w;

    (void)fd, (void)what;
    worker_enter(w);
    if (s->state == STREAM_DELAYED)
        end_delay(s);
    else if (s->state == STREAM_BACKING_OFF)
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

bool stream_may_keep(const struct stream *s)
{
    return s->head.keep_alive && s->request_done && !s->must_close && !s->w->draining && !s->d->wl->gone;
}

static void end(struct stream *s)
{
    struct downstream *d = s->d;

    if (s->up)
        upstream_abort(s->up);
    s->up = NULL;
    mirror_leave_all(s);
    stream_record(s);
    d->stream = NULL;
    give_back(s);
}

void stream_end(struct stream *s, bool keep)
{
    struct downstream *d = s->d;

    end(s);
    downstream_done(d, keep);
}

void stream_client_cut(struct stream *s)
{
    end(s);
}

void stream_client_gone(struct stream *s)
{
    s->flags |= FLAG_DC;
    s->details = "downstream_remote_disconnect";
    if (!s->response_started)
        s->status = 0;
    end(s);
}

void stream_client_closed(struct stream *s)
{
    struct downstream *d = s->d;

    if (s->state == STREAM_TUNNEL) {
        if (s->up)
            conn_shut(&s->up->c);
        return;
    }
    stream_client_gone(s);
    conn_close(&d->c);
}

void stream_idle(struct stream *s)
{
    struct downstream *d = s->d;

    s->flags |= FLAG_SI;
    if (s->response_started) {
        s->details = "stream_idle_timeout";
        end(s);
        conn_close(&d->c);
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

void stream_write_head(struct stream *s, unsigned status, struct str reason, struct fields *f,
                       enum http_framing framing, uint64_t length)
{
    struct buf *b = conn_out(&s->d->c);
    size_t before = b->n;
    bool keep;

    if (framing == HTTP_UNTIL_CLOSE)
        s->must_close = true;
    keep = stream_may_keep(s);
    if (s->cors_allowed)
        add_cors(s, f);
    fields_set(f, STR("server"), STR("istio-envoy"));
    if (!fields_get(f, HTTP_DATE).p)
        fields_add(f, STR("date"), str_of(s->w->date));
    buf_printf(b, "HTTP/1.1 %u %.*s\r\n", status, STR_ARG(reason));
    fields_write(b, f);
    if (framing == HTTP_LENGTH)
        buf_printf(b, "content-length: %llu\r\n", (unsigned long long)length);
    else if (framing == HTTP_STREAMED)
        buf_puts(b, "transfer-encoding: chunked\r\n");
    if (status == 101)
        buf_puts(b, "connection: upgrade\r\nupgrade: websocket\r\n");
    else if (!keep)
        buf_puts(b, "connection: close\r\n");
    else if (s->head.version == HTTP_VERSION_10)
        buf_puts(b, "connection: keep-alive\r\n");
    buf_puts(b, "\r\n");
    s->status = status;
    s->response_started = true;
    s->chunk_response = framing == HTTP_STREAMED;
    s->response_bytes += b->n - before;
}

/* Our own answer, with the fields given; ends the stream. */
static void reply_with(struct stream *s, unsigned status, struct fields *f, struct str body)
{
    bool to_head = str_eqz(s->rq.method, "HEAD");

    if (body.n)
        fields_add(f, STR("content-type"), STR("text/plain"));
    stream_write_head(s, status, str_of(http_reason(status)), f, HTTP_LENGTH, body.n);
    if (body.n && !to_head) {
        conn_write(&s->d->c, body);
        s->bytes_sent += body.n;
        s->response_bytes += body.n;
    }
    stream_end(s, stream_may_keep(s));
}

void stream_reply(struct stream *s, unsigned status, unsigned flags, const char *details, struct str body)
{
    struct fields f = { .n = 0 };

    s->flags |= flags;
    s->details = details;
    reply_with(s, status, &f, body);
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
    reply_with(s, status, &f, STR_NULL);
}

static void reply_direct(struct stream *s)
{
    struct fields f = { .n = 0 };

    fields_apply(&f, s->route->headers.response, s->route->headers.nresponse, NULL);
    s->details = "direct_response";
    reply_with(s, s->route->direct_status, &f, s->route->direct_body);
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
    reply_with(s, 200, &f, STR_NULL);
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

static void route(struct stream *s)
{
    s->vh = listener_host(s->l, s->rq.authority);
    if (s->vh && s->vh->require_tls) {
        reply_redirect(s, 301, router_https_location(&s->arena, &s->rq));
        return;
    }
    s->route = s->vh ? router_match(s->vh, &s->rq) : NULL;
    if (!s->route) {
        stream_reply(s, 404, FLAG_NR, "route_not_found", STR_NULL);
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

/* The request as its sender knows it: its id, its trace, its way so far. */
static void identify(struct stream *s)
{
    const struct http_head *h = &s->head;

    s->request_id = http_value(h, HTTP_X_REQUEST_ID);
    if (s->request_id.n == 0) {
        rng_uuid4(&s->w->rng, s->uuid);
        s->request_id = (struct str){ s->uuid, 36 };
    }
    s->xff = http_value(h, HTTP_X_FORWARDED_FOR);
    if (s->l->direction == LISTENER_GATEWAY) { /* the mesh's edge: who called is added to what the caller says */
        struct str ip = s->d->peer.remote_ip;
        const char *comma = s->xff.n ? "," : "";
        int n = snprintf(s->xff_text, sizeof(s->xff_text), "%.*s%s%.*s", STR_ARG(s->xff), comma, STR_ARG(ip));

        s->xff = n < (int)sizeof(s->xff_text) ?
                     (struct str){ s->xff_text, (size_t)n } :
                     arena_printf(&s->arena, "%.*s%s%.*s", STR_ARG(s->xff), comma, STR_ARG(ip));
    }
    trace_start(&s->trace, h, &s->w->rng, s->w->settings->sampling_ppm);
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
    return s->head.upgrade && s->head.version == HTTP_VERSION_11 && s->head.framing == HTTP_NO_BODY &&
           str_ieq(http_value(&s->head, HTTP_UPGRADE), STR("websocket"));
}

static struct stream *new_stream(struct downstream *d)
{
    struct stream *s = take_stream(d->c.w);

    if (!s)
        return NULL;
    s->d = d;
    s->view = view_get(d->wl->view);
    s->l = d->wl->l;
    s->started_ns = d->started_ns ? d->started_ns : s->w->now_ns;
    d->stream = s;
    d->c.deadline_ns = s->w->now_ns + s->w->settings->stream_idle_ns;
    return s;
}

void stream_start(struct downstream *d, const struct http_head *h)
{
    struct stream *s = new_stream(d);

    if (!s || !copy_head(s, h)) {
        if (s)
            give_back(s);
        d->stream = NULL;
        d->refused = true;
        conn_close(&d->c);
        return;
    }
    d->scan = (struct http1_scan){ 0 };
    s->request_bytes = h->size;
    router_request_init(&s->rq, &s->head, s->head.https ? STR("https") : STR("http"));
    s->path = http_text(&s->head, s->head.path);
    s->authority = s->rq.authority;
    http1_body_init(&s->body, h->framing, h->length);
    s->request_done = http1_body_may_close(&s->body);
    s->request_done_ns = s->w->now_ns;
    s->replayable = true;
    s->upgrade = is_websocket(s);
    identify(s);
    if (s->head.first[HTTP_EXPECT] && s->head.version == HTTP_VERSION_11) {
        s->expects_continue = str_ieq(http_value(&s->head, HTTP_EXPECT), STR("100-continue"));
        if (!s->expects_continue) {
            stream_reply(s, 417, 0, "expectation_failed", STR_NULL);
            return;
        }
    }
    route(s);
}

size_t stream_body(struct stream *s, struct str bytes)
{
    struct downstream *d = s->d;
    struct str rest = bytes, data;

    if (s->state == STREAM_TUNNEL) {
        if (!s->up || conn_is_full(&s->up->c))
            return 0;
        s->bytes_received += bytes.n;
        s->request_bytes += bytes.n;
        d->c.deadline_ns = s->w->now_ns + s->w->settings->stream_idle_ns;
        upstream_send(s->up, bytes);
        return bytes.n;
    }
    if (s->request_done || s->state == STREAM_DELAYED || s->state == STREAM_BACKING_OFF)
        return 0;
    d->c.deadline_ns = s->w->now_ns + s->w->settings->stream_idle_ns;
    while (!s->up || !conn_is_full(&s->up->c)) {
        enum http1_body_result r = http1_body_next(&s->body, &rest, &data);

        if (r == HTTP1_BODY_BAD) {
            s->must_close = true;
            if (s->response_started) {
                s->flags |= FLAG_DPE;
                stream_end(s, false);
            } else {
                stream_reply(s, 400, FLAG_DPE, "http1.codec_error", STR("Bad Request"));
            }
            return bytes.n;
        }
        s->request_bytes += data.n;
        if (r == HTTP1_BODY_DATA) {
            s->bytes_received += data.n;
            stream_pass_body(s, data);
        } else if (r == HTTP1_BODY_END) {
            stream_request_done(s);
        }
        if (d->stream != s)
            return bytes.n;
        if (r != HTTP1_BODY_DATA)
            break;
    }
    return bytes.n - rest.n;
}

void stream_drained(struct stream *s)
{
    s->d->c.deadline_ns = s->w->now_ns + s->w->settings->stream_idle_ns;
    if (s->up)
        conn_resume(&s->up->c);
}

void stream_refuse(struct downstream *d, unsigned status)
{
    struct stream *s = new_stream(d);
    struct fields f = { .n = 0 };
    struct str body = str_of(http_reason(status));

    if (!s)
        return;
    s->head = (struct http_head){ .version = HTTP_VERSION_11 };
    s->must_close = true;
    s->flags = FLAG_DPE;
    s->details = status == 408 ? "request_header_timeout" : "http1.codec_error";
    fields_add(&f, STR("content-type"), STR("text/plain"));
    stream_write_head(s, status, body, &f, HTTP_LENGTH, body.n);
    conn_write(&d->c, body);
    s->bytes_sent = body.n;
    s->response_bytes += body.n;
    end(s);
}
