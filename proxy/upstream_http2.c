/* upstream_http2.c: HTTP/2 towards hosts: many requests on a connection, each a stream of its own.
 *
 *   http2_call: a connection with room, or a new one --head--> stream open --END_STREAM--> end
 *               RST_STREAM --> fail (REFUSED: the host has not looked at it); GOAWAY: no new ones, those above its
 *               last stream are refused by nghttp2; the connection's loss fails all
 *
 * Requests are put on a connection that is still connecting, too; but an upgrade waits for the host's SETTINGS, which
 * say whether it takes one (RFC 8441), or the host does not hear of it. What of a response nobody takes waits here,
 * bounded by the stream's window (HTTP2_WINDOW); the connection's is given back as bytes come. */
#include "proxy/upstream_http2-internal.h"

#include "base/mem.h"
#include "proxy/proxy_header.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static struct http2_upstream *of(struct conn *c)
{
    return (struct http2_upstream *)c;
}

static struct http2_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* ---- connections of a host ---- */

static void unlist(struct http2_upstream *h)
{
    if (!h->listed)
        return;
    h->listed = false;
    if (h->prev)
        h->prev->next = h->next;
    else
        h->host->http2 = h->next;
    if (h->next)
        h->next->prev = h->prev;
}

/* ---- what happens in time ---- */

static void set_deadline(struct http2_upstream *h)
{
    int64_t rest = h->nstreams == 0 ? h->rest_ns : 0;

    h->c.deadline_ns = rest && (!h->ping_ns || rest < h->ping_ns) ? rest : h->ping_ns;
}

/* From now on the peer has to show that it is there: a path that swallows everything says so no other way. */
static void plan_ping(struct http2_upstream *h)
{
    h->pinged = false;
    h->ping_ns = h->ping_interval_ns > 0 ? h->c.w->now_ns + h->ping_interval_ns : 0;
    set_deadline(h);
}

static void ping(struct http2_upstream *h)
{
    if (nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        h->broken = true;
    h->pinged = true;
    h->ping_ns = h->c.w->now_ns + h->ping_timeout_ns;
    set_deadline(h);
    http2_upstream_wake(h);
}

static bool has_room(const struct http2_upstream *h)
{
    uint32_t most = nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    return !h->leaving && !h->broken && h->nstreams < most && h->nstreams < h->most_streams &&
           (h->most_requests == 0 || h->requests < h->most_requests) && h->c.w->now_ns < h->old_ns &&
           nghttp2_session_check_request_allowed(h->session);
}

/* One without requests: it is kept for a while, or it goes. */
static void rest(struct http2_upstream *h)
{
    bool keep = has_room(h) && h->host->views > 0 && !h->c.w->draining;

    if (keep)
        h->rest_ns = upstream_rest_until(h->c.w->now_ns, h->idle_timeout_ms, h->old_ns);
    else
        h->broken = true;
    set_deadline(h);
    http2_upstream_wake(h);
}

void http2_stream_forget(struct http2_stream *s)
{
    struct http2_upstream *h = s->h;

    if (s->forgotten)
        return;
    s->forgotten = true;
    if (s->prev)
        s->prev->next = s->next;
    else
        h->streams = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->dead_next = h->dead;
    h->dead = s;
    if (--h->nstreams == 0)
        rest(h);
    upstream_has_room(h->host);
}

static void free_dead(struct http2_upstream *h)
{
    while (h->dead) {
        struct http2_stream *s = h->dead;

        h->dead = s->dead_next;
        buf_free(&s->waiting);
        http2_source_free(&s->body);
        mem_free(s->trailers);
        mem_free(s->waits);
        mem_free(s);
    }
}

void http2_stream_fail(struct http2_stream *s, enum upstream_failure why, int err)
{
    void *arg;
    const struct upstream_handler *handler = upstream_let_go(&s->call, &arg);

    if (handler)
        handler->fail(arg, why, err);
}

static void close_all(struct http2_upstream *h, enum upstream_failure why, int err)
{
    unlist(h);
    h->leaving = h->broken = true;
    conn_close(&h->c);
    while (h->streams) {
        struct http2_stream *s = h->streams;

        s->closed = true;
        http2_stream_forget(s);
        http2_stream_fail(s, why, err);
    }
}

/* ---- responses ---- */

/* The end, once everything before it has been taken. */
void http2_stream_tell_end(struct http2_stream *s)
{
    void *arg = s->call.arg;
    const struct upstream_handler *handler = s->call.handler;

    if (!s->ended || s->waiting.n || !handler)
        return;
    if (s->trailers && handler->trailers)
        handler->trailers(arg, s->trailers);
    upstream_let_go(&s->call, &arg);
    if (!s->body.ended && !s->closed) /* it does not want the rest of the request */
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    http2_upstream_wake(s->h);
    handler->end(arg);
}

void http2_stream_consume(struct http2_stream *s, size_t n)
{
    if (!s->closed)
        nghttp2_session_consume_stream(s->h->session, s->id, n);
    http2_upstream_wake(s->h);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session, (void)frame;
    http2_block_begin(&((struct http2_upstream *)user)->block);
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct http2_upstream *h = user;

    (void)session, (void)frame, (void)flags;
    http2_block_add(&h->block, (struct str){ (const char *)name, name_n },
                    (struct str){ (const char *)value, value_n });
    return 0;
}

static void give_up(struct http2_stream *s, enum upstream_failure why)
{
    if (!s->closed)
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
    http2_upstream_wake(s->h);
    http2_stream_fail(s, why, 0);
}

static void take_head(struct http2_upstream *h, struct http2_stream *s, bool ends)
{
    struct http_head *head = &h->block.head;

    if (!http2_block_finish(&h->block, false, !ends) || (!s->head_seen && (head->status < 100 || head->status > 599))) {
        give_up(s, UPSTREAM_PROTOCOL);
        return;
    }
    if (s->to_head || head->status == 204 || head->status == 304)
        head->framing = HTTP_NO_BODY; /* whatever follows: nghttp2 lets no content pass */
    else if (ends)
        head->framing = HTTP_LENGTH; /* an empty body, which HTTP/1 has to be told */
    if (s->head_seen) {
        mem_free(s->trailers);
        s->trailers = http2_block_trailers(&h->block);
    } else if (h->block.head.status >= 200) {
        s->head_seen = true;
        if (s->tunnel && head->status < 300) {
            head->status = 101;
            head->framing = HTTP_NO_BODY;
        }
        s->call.handler->head(s->call.arg, head);
    } else {
        upstream_interim(&s->call, head);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_upstream *h = user;
    struct http2_stream *s = stream_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (!http2_credit_pay(&h->credit, &frame->hd, h->c.w->now_ns))
        h->broken = true;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        h->settled = true;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        h->leaving = true;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
        plan_ping(h);
    if (!s || !s->call.handler)
        return 0;
    s->call.any_byte = true;
    if (frame->hd.type == NGHTTP2_HEADERS)
        take_head(h, s, ends);
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
        s->ended = s->ended || ends;
        http2_stream_tell_end(s);
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
    struct http2_stream *s = stream_of(session, id);
    struct str bytes = { (const char *)p, n };

    (void)flags, (void)user;
    if (s && s->call.handler && (s->paused || s->waiting.n)) {
        buf_str(&s->waiting, bytes); /* bounded by the window that is not given back */
        if (buf_failed(&s->waiting))
            give_up(s, UPSTREAM_PROTOCOL);
    } else if (s) {
        if (s->call.handler)
            s->call.handler->data(s->call.arg, bytes);
        nghttp2_session_consume_stream(session, id, n);
    }
    return nghttp2_session_consume_connection(session, n);
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct http2_stream *s = stream_of(session, id);

    (void)user;
    if (!s)
        return 0;
    s->closed = true;
    s->call.turned_away = s->h->leaving;
    if (s->ended && s->call.handler)
        return nghttp2_session_set_stream_user_data(session, id, NULL), 0; /* what waits is still taken */
    http2_stream_forget(s);
    http2_stream_fail(s, error == NGHTTP2_REFUSED_STREAM ? UPSTREAM_REFUSED : UPSTREAM_RESET, 0);
    return 0;
}

/* ---- the connection ---- */

static void tell_drained(struct http2_upstream *h)
{
    struct http2_stream *next;

    h->some_drained = false;
    for (struct http2_stream *s = h->streams; s; s = next) {
        next = s->next;
        if (!s->body.full || http2_source_left(&s->body) >= CONN_LOW)
            continue;
        s->body.full = false;
        if (s->call.handler)
            s->call.handler->drained(s->call.arg);
    }
}

static void on_fill(struct conn *c)
{
    struct http2_upstream *h = of(c);

    if (h->some_wait && h->settled)
        http2_upstream_open_tunnels(h);
    if (http2_fill(h->session, c) < 0)
        h->broken = true;
    if (h->some_drained)
        tell_drained(h);
    free_dead(h);
    if (h->broken || (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session)))
        close_all(h, UPSTREAM_CLOSED, 0);
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct http2_upstream *h = of(c);
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.p, bytes.n);

    if (n < 0)
        close_all(h, UPSTREAM_PROTOCOL, 0);
    http2_upstream_wake(h);
    if (conn_is_full(c))
        conn_pause(c);
    return bytes.n;
}

static void on_eof(struct conn *c)
{
    close_all(of(c), UPSTREAM_CLOSED, 0);
}

static void on_error(struct conn *c, int err)
{
    close_all(of(c), !c->connecting ? UPSTREAM_CLOSED : err == ETIMEDOUT ? UPSTREAM_TIMEOUT : UPSTREAM_CONNECT, err);
}

static void on_connected(struct conn *c)
{
    struct http2_upstream *h = of(c);

    conn_local_text(c, h->local);
    plan_ping(h);
    for (struct http2_stream *s = h->streams; s; s = s->next)
        upstream_connected(&s->call);
}

static void on_drained(struct conn *c)
{
    conn_resume(c);
    http2_upstream_wake(of(c));
}

static void on_deadline(struct conn *c)
{
    struct http2_upstream *h = of(c);
    int64_t now_ns = c->w->now_ns;

    if ((h->nstreams == 0 && h->rest_ns && now_ns >= h->rest_ns) || (h->pinged && now_ns >= h->ping_ns))
        close_all(h, UPSTREAM_CLOSED, 0);
    else if (h->ping_ns && now_ns >= h->ping_ns)
        ping(h);
}

static void on_drain(struct conn *c)
{
    struct http2_upstream *h = of(c);

    if (h->nstreams == 0 && c->w->draining)
        close_all(h, UPSTREAM_CLOSED, 0);
}

static void destroy(struct conn *c)
{
    struct http2_upstream *h = of(c);

    free_dead(h);
    nghttp2_session_del(h->session);
    http2_block_free(&h->block);
    upstream_disconnected(h->host);
    upstream_host_put(h->host);
    mem_free(h);
}

static int open_session(struct http2_upstream *h)
{
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NGHTTP2_ERR_NOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    return http2_open(&h->session, false, cb, h);
}

static struct http2_upstream *connect_new(const struct upstream_route *r)
{
    static const struct conn_ops ops = { .data = on_data, .eof = on_eof, .error = on_error, .connected = on_connected,
                                         .drained = on_drained, .fill = on_fill, .deadline = on_deadline,
                                         .drain = on_drain, .destroy = destroy };
    struct http2_upstream *h = mem_zalloc(sizeof(*h));
    struct conn_socket socket;

    if (!h || open_session(h) != 0) {
        if (h)
            nghttp2_session_del(h->session);
        mem_free(h);
        errno = ENOMEM;
        return NULL;
    }
    if (upstream_dial(r->host, r->cluster, r->source, TLS_HTTP2, &socket) < 0) {
        int saved = errno;

        nghttp2_session_del(h->session);
        mem_free(h);
        errno = saved;
        return NULL;
    }
    h->host = r->host;
    h->host->refs++;
    h->most_streams = r->cluster->max_streams ? r->cluster->max_streams : UINT32_MAX;
    h->old_ns = upstream_old_at(r);
    h->most_requests = r->cluster->max_requests_per_connection;
    h->idle_timeout_ms = r->cluster->idle_timeout_ms;
    h->ping_interval_ns = r->cluster->ping_interval_ms * 1000000;
    h->ping_timeout_ns = r->cluster->ping_timeout_ms * 1000000;
    h->next = h->host->http2;
    if (h->next)
        h->next->prev = h;
    h->host->http2 = h;
    h->listed = true;
    conn_open_connecting(&h->c, h->host->w, socket, &ops, r->cluster->connect_timeout_ms);
    if (r->cluster->proxy_protocol) /* many clients share it */
        h->c.preamble = proxy_header_unknown(r->cluster->proxy_protocol);
    return h;
}

/* A connection that takes one more request, and whether that has to wait for it to be made. NULL: errno says why. */
static struct http2_upstream *find_room(const struct upstream_route *r, bool fresh, bool *pending)
{
    struct http2_upstream *h = fresh ? NULL : r->host->http2;

    while (h && !has_room(h))
        h = h->next;
    *pending = !h || h->c.connecting;
    if (h)
        return !*pending || upstream_may_pend(r) ? h : NULL;
    if (!upstream_may_connect(r))
        return NULL;
    h = connect_new(r);
    if (!h)
        upstream_not_connected(r);
    return h;
}

struct upstream_call *http2_call(const struct upstream_route *r, bool fresh)
{
    struct http2_stream *s = mem_zalloc(sizeof(*s));
    bool pending;
    struct http2_upstream *h = s ? find_room(r, fresh, &pending) : NULL;

    if (!h) {
        mem_free(s);
        return NULL;
    }
    s->call = (struct upstream_call){ .ops = &http2_call_ops, .host = r->host, .tls = h->c.tls, .local = h->local,
                                      .reused = h->requests > 0, .pending = pending };
    s->h = h;
    s->waiting = (struct buf)BUF_INIT(HTTP2_WINDOW);
    http2_source_init(&s->body);
    s->next = h->streams;
    if (s->next)
        s->next->prev = s;
    h->streams = s;
    h->nstreams++;
    h->requests++;
    set_deadline(h);
    return &s->call;
}

void http2_close_idle(struct upstream_host *host)
{
    struct http2_upstream *next;

    for (struct http2_upstream *h = host->http2; h; h = next) {
        next = h->next;
        if (h->nstreams == 0)
            close_all(h, UPSTREAM_CLOSED, 0);
        else
            h->leaving = true; /* views of the host are gone: its end follows the last request's */
    }
}
