/* grpc_conn.c: one connection: a socket, and nghttp2's session on it.
 *
 * Bounds. Nothing is read while something waits to be sent, so a peer that does not read cannot make us queue answers;
 * one that does not read for `stall_ms` is cut off. Floods of frames that bring nothing run out of credit
 * (base/http2_credit.h) and end in GOAWAY ENHANCE_YOUR_CALM. CONTINUATION, SETTINGS entries and header fields are
 * bounded by nghttp2 and grpc_call_header. The connection's window is given back as bytes come; what holds senders back
 * is each call's window and the count of bytes in memory. */
#include "collector/grpc-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONTINUATIONS = 8, RESET_BURST = 1000, RESETS_PER_SECOND = 100 };

static struct grpc_call *call_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

void grpc_conn_end(struct grpc_conn *c, uint32_t h2_error)
{
    if (c->ending)
        return;
    c->ending = true;
    if (h2_error != NGHTTP2_NO_ERROR)
        atomic_fetch_add(&c->server->ended, 1);
    if (nghttp2_session_terminate_session(c->session, h2_error) < 0)
        c->broken = true;
}

/* --- what nghttp2 tells --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct grpc_conn *c = user;
    struct grpc_call *call;

    c->owed_ns = clock_mono_ns();
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    call = grpc_call_new(c, frame->hd.stream_id);
    if (!call)
        return nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
    http2_credit_earn(&c->credit, HTTP2_CREDIT_OF_REQUEST);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct grpc_call *call = call_of(session, frame->hd.stream_id);

    (void)flags;
    (void)user;
    if (call && grpc_call_header(call, (struct str){ (const char *)name, name_n },
                                 (struct str){ (const char *)value, value_n }) < 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct grpc_conn *c = user;
    struct grpc_call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;

    if (!http2_credit_pay(&c->credit, &frame->hd, clock_mono_ns()))
        grpc_conn_end(c, NGHTTP2_ENHANCE_YOUR_CALM);
    if (frame->hd.type == NGHTTP2_SETTINGS && !c->settled) {
        c->settled = true;
        c->owed_ns = 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS)
        c->owed_ns = 0;
    if (call && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        grpc_call_start(call);
    if (call && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        grpc_call_end(call);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
    struct grpc_call *call = call_of(session, id);

    (void)flags;
    (void)user;
    if (call)
        grpc_call_data(call, (struct str){ (const char *)p, n });
    return nghttp2_session_consume_connection(session, n);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct grpc_call *call = call_of(session, id);

    (void)error;
    (void)user;
    if (call)
        grpc_call_closed(call);
    return 0;
}

/* Who has been answered need not send the rest. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct grpc_call *call = frame->hd.stream_id ? call_of(session, frame->hd.stream_id) : NULL;

    (void)user;
    if (call && !call->ended && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

int grpc_h2_init(struct grpc_server *s, struct err *e)
{
    if (nghttp2_session_callbacks_new(&s->callbacks) < 0 || nghttp2_option_new(&s->h2) < 0)
        return err_set(e, ERR_NOMEM, "no memory for HTTP/2");
    nghttp2_session_callbacks_set_on_begin_headers_callback(s->callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(s->callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(s->callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(s->callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(s->callbacks, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(s->callbacks, on_frame_send);
    nghttp2_option_set_no_auto_window_update(s->h2, 1);
    nghttp2_option_set_no_closed_streams(s->h2, 1);
    nghttp2_option_set_max_continuations(s->h2, MOST_CONTINUATIONS);
    nghttp2_option_set_stream_reset_rate_limit(s->h2, RESET_BURST, RESETS_PER_SECOND);
    return 0;
}

void grpc_h2_fini(struct grpc_server *s)
{
    nghttp2_session_callbacks_del(s->callbacks);
    nghttp2_option_del(s->h2);
}

/* --- in and out --- */

static bool send_some(struct grpc_conn *c)
{
    ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN && errno != EINTR)
        c->broken = true;
    if (n <= 0)
        return false;
    buf_drain(&c->out, (size_t)n);
    if (c->out.n == 0)
        c->blocked_ns = 0;
    return c->out.n == 0;
}

/* Takes from the session until there is enough to send, or nothing more. */
static void gather(struct grpc_conn *c)
{
    const uint8_t *p;
    ssize_t n = 0;

    while (c->out.n < GRPC_MOST_OUT && (n = nghttp2_session_mem_send(c->session, &p)) > 0)
        buf_put(&c->out, p, (size_t)n);
    if (n < 0 || buf_failed(&c->out))
        c->broken = true;
    if (c->out.n && !c->blocked_ns)
        c->blocked_ns = clock_mono_ns();
}

void grpc_conn_flush(struct grpc_conn *c)
{
    do {
        gather(c);
    } while (!c->broken && c->out.n && send_some(c));
    if (c->broken || (c->out.n == 0 && (c->ending || (!nghttp2_session_want_read(c->session) &&
                                                       !nghttp2_session_want_write(c->session))))) {
        grpc_conn_free(c);
        return;
    }
    if ((c->out.n ? event_add(c->writable, NULL) : event_del(c->writable)) < 0 ||
        (c->out.n || c->ending ? event_del(c->readable) : event_add(c->readable, NULL)) < 0)
        grpc_conn_free(c);
}

/* Whoever speaks HTTP/1.1 gets a sentence that he can read. */
static void tell_http1(struct grpc_conn *c)
{
    buf_reset(&c->out);
    buf_puts(&c->out, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
                      "This port speaks gRPC over HTTP/2 without TLS; OTLP over HTTP goes to the port of the API.\n");
    (void)send_some(c);
    c->broken = true;
}

static void feed(struct grpc_conn *c, const uint8_t *p, size_t n)
{
    ssize_t taken = nghttp2_session_mem_recv(c->session, p, n);

    if (taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        tell_http1(c);
    else if (taken < 0)
        grpc_conn_end(c, taken == NGHTTP2_ERR_FLOODED ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_conn *c = arg;
    ssize_t n = recv(fd, c->server->in, sizeof(c->server->in), MSG_DONTWAIT);

    (void)what;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        c->broken = true;
    else
        feed(c, c->server->in, (size_t)n);
    grpc_conn_flush(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    grpc_conn_flush(arg);
}

/* --- life --- */

static int greet(struct grpc_conn *c)
{
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, c->server->options.max_calls },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_MOST_HEADERS },
    };

    if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 3) < 0)
        return ERR_NOMEM;
    return nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, GRPC_CONNECTION_WINDOW) < 0 ?
               ERR_NOMEM : 0;
}

struct grpc_conn *grpc_conn_open(struct grpc_server *s, int fd)
{
    struct grpc_conn *c = mem_zalloc(sizeof(*c));

    if (!c) {
        close(fd);
        return NULL;
    }
    c->server = s;
    c->fd = fd;
    c->out = (struct buf)BUF_INIT(GRPC_MOST_OUT + (32 << 10)); /* mem_send hands out whole frames */
    c->owed_ns = c->quiet_ns = clock_mono_ns();
    c->next = s->conns;
    c->link = &s->conns;
    if (c->next)
        c->next->link = &c->next;
    s->conns = c;
    atomic_fetch_add(&s->nconns, 1);
    if (nghttp2_session_server_new2(&c->session, s->callbacks, c, s->h2) < 0 || greet(c) < 0)
        goto fail;
    return c;
fail:
    grpc_conn_free(c);
    return NULL;
}

void grpc_conn_new(struct grpc_server *s, int fd)
{
    struct grpc_conn *c = grpc_conn_open(s, fd);

    if (!c)
        return;
    c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(s->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    /* Our SETTINGS go out with the answer to the peer's preface: whoever speaks HTTP/1.1 should not get them. */
    if (!c->readable || !c->writable || event_add(c->readable, NULL) < 0)
        grpc_conn_free(c);
}

void grpc_conn_free(struct grpc_conn *c)
{
    while (c->calls)
        grpc_call_closed(c->calls);
    nghttp2_session_del(c->session);
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    if (c->next)
        c->next->link = c->link;
    *c->link = c->next;
    atomic_fetch_sub(&c->server->nconns, 1);
    buf_free(&c->out);
    close(c->fd);
    mem_free(c);
}

void grpc_conn_sweep(struct grpc_conn *c, int64_t now_ns)
{
    int64_t stall = c->server->options.stall_ms * 1000000;

    if ((c->owed_ns && now_ns - c->owed_ns > stall) || (c->blocked_ns && now_ns - c->blocked_ns > stall)) {
        atomic_fetch_add(&c->server->ended, 1);
        grpc_conn_free(c);
        return;
    }
    for (struct grpc_call *call = c->calls, *next; call; call = next) {
        next = call->next;
        grpc_call_sweep(call, now_ns);
    }
    if (c->ncalls == 0 && now_ns - c->quiet_ns > c->server->options.idle_ms * 1000000)
        grpc_conn_end(c, NGHTTP2_NO_ERROR);
    grpc_conn_flush(c);
}

void grpc_conn_stop(struct grpc_conn *c)
{
    if (nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(c->session),
                              NGHTTP2_NO_ERROR, NULL, 0) < 0)
        c->broken = true;
    for (struct grpc_call *call = c->calls, *next; call; call = next) {
        next = call->next;
        grpc_call_stop(call);
    }
    grpc_conn_flush(c);
}
