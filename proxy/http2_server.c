/* http2_server.c: HTTP/2 from frames to requests, and answers to frames.
 *
 *   a request:  HEADERS --> OPEN --END_STREAM--> complete      its stream (stream.h) ends by itself: `done`, `cut`
 *               RST_STREAM, the connection's end --> the stream hears stream_client_gone
 *
 * Bounds. A stream that takes no more of its body keeps at most its window here (HTTP2_WINDOW); the connection's window
 * is given back as bytes come, so one such stream does not hold up its neighbours. Answers wait in http2_source, whose
 * feeder stops at CONN_HIGH. Nothing is read while more than CONN_HIGH is unsent, so that a peer that does not read
 * cannot make us queue answers; floods and rapid resets run out of credit and end in GOAWAY ENHANCE_YOUR_CALM. */
#include "proxy/http2_server.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/http2-internal.h"
#include "proxy/stream.h"

#include <stdio.h>
#include <unistd.h>

struct http2_request {
    struct client client;
    struct http2_server *h;
    int32_t id;
    bool complete;             /* END_STREAM has come */
    bool told_complete;        /* and the stream knows */
    bool tunnel, opened;       /* a WebSocket is asked for, and is open: then END_STREAM is its client's half's end */
    bool closed;               /* nghttp2 has forgotten it */
    struct buf waiting;        /* of the body, while the stream does not take it */
    struct fields *trailers;   /* behind it; copies live with it */
    struct http2_source answer;
    struct http2_request *prev, *next; /* of the connection's */
    struct http2_request *dead_next;
};

struct http2_server {
    struct conn c;
    struct worker_listener *wl;
    struct peer *peer;
    nghttp2_session *session;
    struct http2_block block;  /* the header block under way */
    struct http2_credit credit;
    struct http2_request *requests, *dead;
    int64_t empty_ns;          /* since when there is no request; 0: there is one */
    int64_t started_ns;        /* of the preface */
    bool settled;              /* the client's SETTINGS have come */
    int64_t notice_ns;         /* when the client was told that the end is near; 0: not yet */
    bool ending;               /* GOAWAY is out */
    bool some_drained;         /* tell_drained has something to do */
    bool broken;
};

static struct http2_server *of(struct conn *c)
{
    return (struct http2_server *)c;
}

static struct http2_request *of_client(struct client *cl)
{
    return (struct http2_request *)((char *)cl - offsetof(struct http2_request, client));
}

static struct http2_request *request_of(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* ---- requests come and go ---- */

static struct http2_request *new_request(struct http2_server *h, int32_t id)
{
    struct http2_request *rq = mem_zalloc(sizeof(*rq));

    if (!rq)
        return NULL;
    rq->h = h;
    rq->id = id;
    rq->waiting = (struct buf)BUF_INIT(HTTP2_WINDOW);
    http2_source_init(&rq->answer);
    rq->next = h->requests;
    if (rq->next)
        rq->next->prev = rq;
    h->requests = rq;
    h->empty_ns = 0;
    return rq;
}

/* Its memory stays until the connection's next event is over. */
static void forget_request(struct http2_request *rq)
{
    struct http2_server *h = rq->h;

    if (rq->prev)
        rq->prev->next = rq->next;
    else
        h->requests = rq->next;
    if (rq->next)
        rq->next->prev = rq->prev;
    rq->dead_next = h->dead;
    h->dead = rq;
    if (!h->requests)
        h->empty_ns = h->c.w->now_ns;
}

static void free_dead(struct http2_server *h)
{
    while (h->dead) {
        struct http2_request *rq = h->dead;

        h->dead = rq->dead_next;
        buf_free(&rq->waiting);
        http2_source_free(&rq->answer);
        mem_free(rq->trailers);
        mem_free(rq);
    }
}

static void wake(struct http2_server *h)
{
    conn_out(&h->c); /* on_fill follows at the event's end */
}

static void end_connection(struct http2_server *h, uint32_t error)
{
    if (h->ending)
        return;
    h->ending = true;
    if (nghttp2_session_terminate_session(h->session, error) < 0)
        h->broken = true;
    wake(h);
}

/* ---- answers ---- */

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    struct http2_request *rq = source->ptr;
    ssize_t n = http2_source_read(&rq->answer, session, id, to, room, flags);

    (void)user;
    http2_credit_earn(&rq->h->credit, HTTP2_CREDIT_OF_DATA);
    rq->h->some_drained = rq->h->some_drained || rq->answer.full;
    return n;
}

/* Outside of nghttp2: the streams may send again at once. */
static void tell_drained(struct http2_server *h)
{
    struct http2_request *next;

    h->some_drained = false;
    for (struct http2_request *rq = h->requests; rq; rq = next) {
        next = rq->next;
        if (!rq->answer.full || http2_source_left(&rq->answer) >= CONN_LOW)
            continue;
        rq->answer.full = false;
        if (rq->client.stream)
            stream_drained(rq->client.stream);
    }
}

static size_t put_head(struct client *cl, const struct answer *a)
{
    struct http2_request *rq = of_client(cl);
    struct http2_list list = { .n = 0 };
    nghttp2_data_provider body = { .source.ptr = rq, .read_callback = read_answer };
    bool opens = a->status == 101; /* HTTP/2 has no such status */
    bool empty = !opens && (a->framing == HTTP_NO_BODY || (a->framing == HTTP_LENGTH && a->length == 0));
    char status[12], length[24];

    snprintf(status, sizeof(status), "%03u", opens ? 200 : a->status);
    snprintf(length, sizeof(length), "%llu", (unsigned long long)a->length);
    http2_list_add(&list, STR(":status"), str_of(status));
    http2_list_fields(&list, a->fields);
    if (a->framing == HTTP_LENGTH)
        http2_list_add(&list, STR("content-length"), str_of(length));
    rq->opened = opens;
    if (!rq->closed && nghttp2_submit_response(rq->h->session, rq->id, list.v, list.n, empty ? NULL : &body) < 0)
        rq->h->broken = true;
    wake(rq->h);
    return list.bytes;
}

static void put_interim(struct client *cl, unsigned status, const struct fields *f)
{
    struct http2_request *rq = of_client(cl);
    struct http2_list list = { .n = 0 };
    char text[12];

    snprintf(text, sizeof(text), "%03u", status);
    http2_list_add(&list, STR(":status"), str_of(text));
    if (f)
        http2_list_fields(&list, f);
    if (!rq->closed &&
        nghttp2_submit_headers(rq->h->session, NGHTTP2_FLAG_NONE, rq->id, NULL, list.v, list.n, NULL) < 0)
        rq->h->broken = true;
    wake(rq->h);
}

static void put_data(struct client *cl, struct str bytes)
{
    struct http2_request *rq = of_client(cl);

    if (!rq->closed && !http2_source_put(&rq->answer, rq->h->session, rq->id, bytes))
        rq->h->broken = true;
    wake(rq->h);
}

static void put_trailers(struct client *cl, const struct fields *f)
{
    struct http2_request *rq = of_client(cl);

    if (!rq->closed && !http2_source_end(&rq->answer, rq->h->session, rq->id, f))
        rq->h->broken = true;
    wake(rq->h);
}

static void reset(struct http2_request *rq, uint32_t error)
{
    if (!rq->closed && nghttp2_submit_rst_stream(rq->h->session, NGHTTP2_FLAG_NONE, rq->id, error) < 0)
        rq->h->broken = true;
    wake(rq->h);
}

static void finish(struct client *cl)
{
    struct http2_request *rq = of_client(cl);

    if (!rq->closed && !http2_source_end(&rq->answer, rq->h->session, rq->id, NULL))
        rq->h->broken = true;
    wake(rq->h);
}

static void cut(struct client *cl)
{
    reset(of_client(cl), NGHTTP2_INTERNAL_ERROR);
}

static bool is_full(struct client *cl)
{
    struct http2_request *rq = of_client(cl);

    rq->answer.full = rq->answer.full || http2_source_left(&rq->answer) >= CONN_HIGH;
    return rq->answer.full;
}

/* ---- bodies ---- */

static void tell_complete(struct http2_request *rq)
{
    if (!rq->complete || rq->told_complete || rq->waiting.n || !rq->client.stream || (rq->tunnel && !rq->opened))
        return;
    rq->told_complete = true;
    if (rq->tunnel)
        stream_client_closed(rq->client.stream);
    else
        stream_data_end(rq->client.stream, rq->trailers);
}

static void consume(struct http2_request *rq, size_t n)
{
    if (!rq->closed && nghttp2_session_consume_stream(rq->h->session, rq->id, n) < 0)
        rq->h->broken = true;
    wake(rq->h);
}

static void resume(struct client *cl)
{
    struct http2_request *rq = of_client(cl);
    struct buf waiting = rq->waiting;

    if (waiting.n && stream_wants(cl->stream)) {
        rq->waiting = (struct buf)BUF_INIT(HTTP2_WINDOW);
        stream_data(cl->stream, buf_view(&waiting));
        consume(rq, waiting.n);
        buf_free(&waiting);
    }
    if (cl->stream)
        tell_complete(rq);
}

static const struct client_ops client_ops = { .head = put_head, .interim = put_interim, .data = put_data,
                                              .trailers = put_trailers, .done = finish, .cut = cut, .full = is_full,
                                              .resume = resume };

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
    struct http2_request *rq = request_of(session, id);
    struct str bytes = { (const char *)p, n };

    (void)flags, (void)user;
    if (!rq || !rq->client.stream) {
        if (rq)
            nghttp2_session_consume_stream(session, id, n);
    } else if (rq->waiting.n == 0 && stream_wants(rq->client.stream)) {
        stream_data(rq->client.stream, bytes);
        nghttp2_session_consume_stream(session, id, n);
    } else {
        buf_str(&rq->waiting, bytes); /* bounded by the window that is not given back */
        if (buf_failed(&rq->waiting))
            reset(rq, NGHTTP2_FLOW_CONTROL_ERROR);
    }
    return nghttp2_session_consume_connection(session, n);
}

/* ---- heads ---- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_server *h = user;
    struct http2_request *rq;

    http2_block_begin(&h->block);
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    rq = new_request(h, frame->hd.stream_id);
    if (!rq)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    rq->client = (struct client){ .ops = &client_ops, .wl = h->wl, .peer = h->peer, .started_ns = h->c.w->now_ns };
    http2_credit_earn(&h->credit, HTTP2_CREDIT_OF_REQUEST);
    return nghttp2_session_set_stream_user_data(session, rq->id, rq);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct http2_server *h = user;

    (void)session, (void)frame, (void)flags;
    http2_block_add(&h->block, (struct str){ (const char *)name, name_n },
                    (struct str){ (const char *)value, value_n });
    return 0;
}

/* A request's head is there. */
static void start_request(struct http2_server *h, struct http2_request *rq, bool more)
{
    bool ok = http2_block_finish(&h->block, true, more);

    if (!ok) {
        log_debug("%s: HTTP/2 stream %d: %s", h->peer->remote, rq->id, h->block.bad ? "malformed" : "too large");
        stream_refuse(&rq->client, h->block.too_large ? 431 : 400);
    } else if (h->block.head.path.n == 0 || h->block.unknown_protocol) { /* CONNECT */
        stream_refuse(&rq->client, 501);
    } else {
        stream_start(&rq->client, &h->block.head);
    }
}

/* Copies: the block is the connection's, and the stream may take them later. */
static void keep_trailers(struct http2_request *rq, struct http2_block *b)
{
    if (http2_block_finish(b, false, false))
        rq->trailers = http2_block_trailers(b);
    else
        reset(rq, NGHTTP2_PROTOCOL_ERROR);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_server *h = user;
    struct http2_request *rq = request_of(session, frame->hd.stream_id);
    bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (!http2_credit_pay(&h->credit, &frame->hd, h->c.w->now_ns))
        end_connection(h, NGHTTP2_ENHANCE_YOUR_CALM);
    h->settled = h->settled || frame->hd.type == NGHTTP2_SETTINGS;
    if (!rq || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
        return 0;
    rq->complete = rq->complete || ends;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        rq->tunnel = h->block.has_protocol;
        rq->told_complete = ends && !rq->tunnel; /* the head says so */
        start_request(h, rq, !ends);
    } else if (frame->hd.type == NGHTTP2_HEADERS) {
        keep_trailers(rq, &h->block);
    }
    tell_complete(rq);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct http2_request *rq = request_of(session, id);

    (void)user, (void)error;
    if (!rq)
        return 0;
    rq->closed = true;
    if (rq->client.stream)
        stream_client_gone(rq->client.stream);
    forget_request(rq);
    return 0;
}

/* Who has the whole answer need not send the rest (RFC 9113 8.1). */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_request *rq = request_of(session, frame->hd.stream_id);

    (void)user;
    if (rq && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !rq->complete)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, rq->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* ---- the connection ---- */

static void drop_requests(struct http2_server *h)
{
    struct http2_request *next;

    for (struct http2_request *rq = h->requests; rq; rq = next) {
        next = rq->next;
        rq->closed = true;
        if (rq->client.stream)
            stream_client_gone(rq->client.stream);
        forget_request(rq);
    }
}

static void close_all(struct conn *c)
{
    drop_requests(of(c));
    conn_close(c);
}

static void on_fill(struct conn *c)
{
    struct http2_server *h = of(c);

    if (http2_fill(h->session, c) < 0)
        h->broken = true;
    if (h->some_drained)
        tell_drained(h);
    free_dead(h);
    if (h->broken) {
        close_all(c);
    } else if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session)) {
        drop_requests(h); /* after a GOAWAY for misconduct there may be some */
        conn_linger(c);
    }
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct http2_server *h = of(c);
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)bytes.p, bytes.n);

    if (n < 0) {
        log_debug("%s: HTTP/2: %s", h->peer->remote, nghttp2_strerror((int)n));
        h->broken = true;
    }
    wake(h);
    if (conn_is_full(c))
        conn_pause(c);
    return bytes.n;
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    close_all(c);
}

static void on_drained(struct conn *c)
{
    conn_resume(c);
    wake(of(c));
}

/* First a warning, so that requests that are on their way are still served; a second later GOAWAY says which was the
 * last (RFC 9113 6.8). */
static void on_drain(struct conn *c)
{
    struct http2_server *h = of(c);

    if (h->ending || h->notice_ns || (!c->w->draining && !h->wl->gone))
        return;
    h->notice_ns = c->w->now_ns;
    if (nghttp2_submit_shutdown_notice(h->session) < 0)
        h->broken = true;
    wake(h);
}

static void say_goodbye(struct http2_server *h)
{
    h->ending = true;
    if (nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(h->session),
                              NGHTTP2_NO_ERROR, NULL, 0) < 0)
        h->broken = true;
    wake(h);
}

/* Looked at every second: streams that stand still, a connection without any, one that never began. */
static void on_deadline(struct conn *c)
{
    struct http2_server *h = of(c);
    const struct worker_settings *set = c->w->settings;
    struct http2_request *next;

    for (struct http2_request *rq = h->requests; rq; rq = next) {
        next = rq->next;
        if (rq->client.stream && stream_deadline_ns(rq->client.stream) <= c->w->now_ns)
            stream_idle(rq->client.stream);
    }
    c->deadline_ns = c->w->now_ns + 1;
    if (!h->settled && c->w->now_ns - h->started_ns > set->header_timeout_ns)
        close_all(c);
    else if (h->empty_ns && c->w->now_ns - h->empty_ns > set->keep_alive_ns)
        end_connection(h, NGHTTP2_NO_ERROR);
    else if (h->notice_ns && !h->ending)
        say_goodbye(h);
}

static void destroy(struct conn *c)
{
    struct http2_server *h = of(c);

    drop_requests(h);
    free_dead(h);
    nghttp2_session_del(h->session);
    http2_block_free(&h->block);
    worker_listener_put(h->wl);
    peer_put(h->peer);
    mem_free(h);
}

static int open_session(struct http2_server *h)
{
    nghttp2_session_callbacks *cb;

    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NGHTTP2_ERR_NOMEM;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    return http2_open(&h->session, true, cb, h);
}

void http2_server_new(const struct incoming *in)
{
    static const struct conn_ops ops = { .data = on_data, .eof = close_all, .error = on_error, .drained = on_drained,
                                         .fill = on_fill, .deadline = on_deadline, .drain = on_drain,
                                         .destroy = destroy };
    struct peer *peer = peer_new(in);
    struct http2_server *h = peer ? mem_zalloc(sizeof(*h)) : NULL;
    struct conn_socket socket = in->socket;

    if (!h || open_session(h) != 0) {
        if (h)
            nghttp2_session_del(h->session);
        mem_free(h);
        peer_put(peer);
        conn_socket_close(in->wl->w, &socket);
        return;
    }
    h->wl = worker_listener_get(in->wl);
    h->peer = peer;
    h->started_ns = h->empty_ns = in->wl->w->now_ns;
    conn_open(&h->c, in->wl->w, socket, &ops);
    h->c.deadline_ns = in->wl->w->now_ns + 1;
    wake(h);
    if (in->first.n)
        conn_feed(&h->c, in->first);
}
