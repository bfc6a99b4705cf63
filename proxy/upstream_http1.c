/* upstream_http1.c: HTTP/1.1 towards hosts: one request at a time on a connection, kept between requests.
 *
 *   http1_call -> (CONNECTING ->) BUSY --response and request complete--> IDLE in the host's pool
 *                                  \--failure, abort-------------------> closed */
#include "proxy/upstream-internal.h"

#include "base/mem.h"
#include "proxy/http1_body.h"
#include "proxy/http1_write.h"
#include "proxy/proxy_header.h"
#include "proxy/trailers.h"

#include <errno.h>

struct http1_upstream {
    struct conn c;
    struct upstream_call call;
    int64_t idle_timeout_ms;
    int64_t old_ns;           /* when it serves no more requests; INT64_MAX: never */
    uint32_t requests, most_requests;
    bool to_head;             /* the request is a HEAD */
    bool chunk_request;       /* its body goes out in chunks */
    bool request_sent, head_seen, tunnel;
    bool keep;                /* by what both sides said */
    uint8_t proxy_protocol;   /* the version it begins with; 0: none. Else it is one client's, and for one request */
    struct http1_scan scan;
    struct http1_body body;
    char local[CONN_ADDR_TEXT];
    char announcement[PROXY_HEADER_MOST_OUT];
    struct http1_upstream *next_idle, *prev_idle;
};

static struct http1_upstream *of(struct conn *c)
{
    return (struct http1_upstream *)c;
}

static struct http1_upstream *of_call(struct upstream_call *u)
{
    return (struct http1_upstream *)((char *)u - offsetof(struct http1_upstream, call));
}

static void leave_pool(struct http1_upstream *u)
{
    if (u->prev_idle)
        u->prev_idle->next_idle = u->next_idle;
    else if (u->call.host->idle == u)
        u->call.host->idle = u->next_idle;
    if (u->next_idle)
        u->next_idle->prev_idle = u->prev_idle;
    u->next_idle = u->prev_idle = NULL;
}

static void close_conn(struct http1_upstream *u)
{
    void *arg;

    leave_pool(u);
    upstream_let_go(&u->call, &arg);
    conn_close(&u->c);
}

static void fail(struct http1_upstream *u, enum upstream_failure why, int err)
{
    void *arg;
    const struct upstream_handler *handler = upstream_let_go(&u->call, &arg);

    close_conn(u);
    if (handler)
        handler->fail(arg, why, err);
}

static void enter_pool(struct http1_upstream *u)
{
    struct upstream_host *h = u->call.host;

    splice_part(&u->c);
    u->scan = (struct http1_scan){ 0 };
    http1_body_free(&u->body);
    u->next_idle = h->idle;
    if (u->next_idle)
        u->next_idle->prev_idle = u;
    h->idle = u;
    u->c.deadline_ns = upstream_rest_until(u->c.w->now_ns, u->idle_timeout_ms, u->old_ns);
    upstream_has_room(h);
}

/* ---- responses ---- */

/* Whether a host has said more than its response: that answers no request of ours, and must not meet the next one.
 * The socket is asked only where what is known of it leaves that open. */
static bool says_more(const struct conn *c)
{
    char byte;

    return c->readable && (c->tls || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0);
}

static void finish(struct http1_upstream *u, bool more_bytes)
{
    void *arg;
    const struct upstream_handler *handler = upstream_let_go(&u->call, &arg);
    bool keep = u->keep && u->proxy_protocol == 0 && u->request_sent && !more_bytes && !u->c.eof_seen &&
                u->call.host->views > 0 && conn_unsent(&u->c) == 0 && !u->c.w->draining &&
                (u->most_requests == 0 || u->requests < u->most_requests) && u->c.w->now_ns < u->old_ns &&
                !says_more(&u->c);

    if (keep) {
        enter_pool(u);
        conn_resume(&u->c); /* the handler may have paused it just now */
    } else {
        conn_close(&u->c);
    }
    handler->end(arg);
}

/* Returns the bytes that the head took, 0 when it is incomplete or the connection is gone. */
static size_t take_head(struct http1_upstream *u, struct str bytes)
{
    struct http_head h;
    enum http1_result r = http1_response(&u->scan, bytes, u->to_head, &h);

    if (r == HTTP1_MORE)
        return 0;
    if (r == HTTP1_REFUSED) {
        fail(u, UPSTREAM_PROTOCOL, 0);
        return 0;
    }
    u->scan = (struct http1_scan){ 0 };
    if (h.status < 200 && h.status != 101) {
        upstream_interim(&u->call, &h);
        return h.size;
    }
    u->head_seen = true;
    u->keep = h.keep_alive && h.framing != HTTP_UNTIL_CLOSE && h.status != 101;
    http1_body_init(&u->body, h.framing, h.length);
    u->body.keeps_trailers = !h.nominates; /* as in downstream.c */
    u->call.handler->head(u->call.arg, &h);
    return h.size;
}

/* The handler may have given up the call with them. */
static bool pass_trailers(struct http1_upstream *u)
{
    struct fields trailers;

    trailers_from_lines(&trailers, http1_body_trailers(&u->body));
    if (trailers.n && u->call.handler->trailers)
        u->call.handler->trailers(u->call.arg, &trailers);
    return u->call.handler != NULL;
}

static size_t take_body(struct http1_upstream *u, struct str bytes)
{
    struct str rest = bytes, data;

    while (u->call.handler) {
        switch (http1_body_next(&u->body, &rest, &data)) {
        case HTTP1_BODY_DATA:
            u->call.handler->data(u->call.arg, data);
            break;
        case HTTP1_BODY_MORE:
            return bytes.n - rest.n;
        case HTTP1_BODY_END:
            if (pass_trailers(u))
                finish(u, rest.n > 0);
            return bytes.n;
        case HTTP1_BODY_BAD:
            fail(u, UPSTREAM_PROTOCOL, 0);
            return bytes.n;
        }
    }
    return bytes.n;
}

static struct conn *through(struct conn *c, uint64_t *most)
{
    struct http1_upstream *u = of(c);
    const struct upstream_handler *handler = u->call.handler;

    if (!handler || !handler->through || !u->head_seen || u->tunnel)
        return NULL;
    *most = http1_body_plain(&u->body);
    return handler->through(u->call.arg);
}

static void on_passed(struct conn *c, size_t n)
{
    struct http1_upstream *u = of(c);

    http1_body_passed(&u->body, n);
    u->call.handler->passed(u->call.arg, n);
    if (u->body.framing == HTTP_LENGTH && http1_body_may_close(&u->body))
        finish(u, false);
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct http1_upstream *u = of(c);
    size_t used = 0;

    if (!u->call.handler) { /* a response to nothing */
        close_conn(u);
        return bytes.n;
    }
    u->call.any_byte = true;
    while (u->call.handler && !u->head_seen && used < bytes.n) {
        size_t n = take_head(u, str_from(bytes, used));

        if (n == 0)
            return used;
        used += n;
    }
    if (!u->call.handler)
        return bytes.n;
    if (!u->head_seen) /* an informational response, up to now */
        return used;
    if (!u->tunnel)
        return used + take_body(u, str_from(bytes, used));
    if (used < bytes.n)
        u->call.handler->data(u->call.arg, str_from(bytes, used));
    return bytes.n;
}

/* ---- the connection ---- */

static void on_eof(struct conn *c)
{
    struct http1_upstream *u = of(c);

    if (!u->call.handler)
        close_conn(u);
    else if (u->tunnel || (u->head_seen && u->body.framing == HTTP_UNTIL_CLOSE))
        finish(u, false);
    else
        fail(u, UPSTREAM_CLOSED, 0);
}

static void on_error(struct conn *c, int err)
{
    struct http1_upstream *u = of(c);

    fail(u, !c->connecting ? UPSTREAM_CLOSED : err == ETIMEDOUT ? UPSTREAM_TIMEOUT : UPSTREAM_CONNECT, err);
}

static void on_connected(struct conn *c)
{
    conn_local_text(c, of(c)->local);
    upstream_connected(&of(c)->call);
}

static void on_drained(struct conn *c)
{
    struct http1_upstream *u = of(c);

    if (u->call.handler)
        u->call.handler->drained(u->call.arg);
}

static void on_deadline(struct conn *c)
{
    close_conn(of(c));
}

/* While the worker drains, idle connections are of no use any more. */
static void on_drain(struct conn *c)
{
    struct http1_upstream *u = of(c);

    if (!u->call.handler && c->w->draining)
        close_conn(u);
}

static void destroy(struct conn *c)
{
    struct http1_upstream *u = of(c);

    upstream_disconnected(u->call.host);
    upstream_host_put(u->call.host);
    http1_body_free(&u->body);
    mem_free(u);
}

/* ---- requests ---- */

static void put_head(struct upstream_call *call, const struct upstream_request *rq)
{
    struct http1_upstream *u = of_call(call);
    struct buf *b = conn_out(&u->c);

    if (u->proxy_protocol)
        u->c.preamble = proxy_header_write(u->announcement, u->proxy_protocol, rq->from, rq->to);
    u->to_head = str_eqz(rq->method, "HEAD");
    u->chunk_request = rq->framing == HTTP_STREAMED;
    buf_str(b, rq->method);
    buf_putc(b, ' ');
    buf_str(b, rq->path);
    buf_puts(b, " HTTP/1.1\r\nhost: ");
    buf_str(b, rq->authority);
    buf_puts(b, "\r\n");
    fields_write(b, rq->fields);
    if (rq->framing == HTTP_LENGTH)
        http1_write_length(b, rq->length);
    else if (u->chunk_request)
        buf_puts(b, "transfer-encoding: chunked\r\n");
    if (rq->websocket)
        buf_puts(b, "connection: upgrade\r\nupgrade: websocket\r\n");
    else if (rq->wants_trailers)
        buf_puts(b, "connection: te\r\nte: trailers\r\n");
    buf_puts(b, "\r\n");
}

static void put_data(struct upstream_call *call, struct str bytes)
{
    struct http1_upstream *u = of_call(call);

    http1_write_data(&u->c, bytes, u->chunk_request && !u->tunnel);
}

static void put_end(struct upstream_call *call, const struct fields *trailers)
{
    struct http1_upstream *u = of_call(call);

    u->request_sent = true;
    if (!u->chunk_request)
        return;
    conn_write(&u->c, STR("0\r\n"));
    if (trailers)
        fields_write(conn_out(&u->c), trailers);
    conn_write(&u->c, STR("\r\n"));
}

static void tunnel(struct upstream_call *call)
{
    of_call(call)->tunnel = true;
    of_call(call)->keep = false;
}

static void shut(struct upstream_call *call)
{
    conn_shut(&of_call(call)->c);
}

static bool is_full(struct upstream_call *call)
{
    return conn_is_full(&of_call(call)->c);
}

static void pause_reading(struct upstream_call *call)
{
    conn_pause(&of_call(call)->c);
}

static void resume_reading(struct upstream_call *call)
{
    conn_resume(&of_call(call)->c);
}

static void give_up(struct upstream_call *call)
{
    close_conn(of_call(call));
}

static const struct upstream_ops call_ops = { .head = put_head, .data = put_data, .end = put_end, .tunnel = tunnel,
                                              .shut = shut, .full = is_full, .pause = pause_reading,
                                              .resume = resume_reading, .abort = give_up };

static struct http1_upstream *connect_new(const struct upstream_route *r)
{
    static const struct conn_ops ops = { .data = on_data, .through = through, .passed = on_passed, .eof = on_eof,
                                         .error = on_error, .connected = on_connected, .drained = on_drained,
                                         .deadline = on_deadline, .drain = on_drain, .destroy = destroy,
                                         .hears_out = true };
    struct conn_socket socket;
    struct http1_upstream *u;

    if (upstream_dial(r->host, r->cluster, r->source, TLS_HTTP1, &socket) < 0)
        return NULL;
    u = mem_zalloc(sizeof(*u));
    if (!u) {
        conn_socket_close(r->host->w, &socket);
        errno = ENOMEM;
        return NULL;
    }
    u->call = (struct upstream_call){ .ops = &call_ops, .host = r->host, .tls = socket.tls, .local = u->local };
    r->host->refs++;
    u->idle_timeout_ms = r->cluster->idle_timeout_ms;
    u->most_requests = r->cluster->max_requests_per_connection;
    u->old_ns = upstream_old_at(r);
    u->proxy_protocol = r->cluster->proxy_protocol;
    conn_open_connecting(&u->c, r->host->w, socket, &ops, r->cluster->connect_timeout_ms);
    return u;
}

static struct http1_upstream *connect_within_limits(const struct upstream_route *r)
{
    struct http1_upstream *u;

    if (!upstream_may_connect(r))
        return NULL;
    u = connect_new(r);
    if (u)
        u->call.pending = true;
    else
        upstream_not_connected(r);
    return u;
}

struct upstream_call *http1_call(const struct upstream_route *r, bool fresh)
{
    struct http1_upstream *u = fresh || r->cluster->proxy_protocol ? NULL : r->host->idle;

    if (u)
        leave_pool(u);
    else
        u = connect_within_limits(r);
    if (!u)
        return NULL;
    u->c.deadline_ns = 0;
    u->call.reused = u->requests++ > 0;
    u->call.any_byte = false;
    u->request_sent = u->head_seen = u->tunnel = false;
    return &u->call;
}

void http1_close_idle(struct upstream_host *h)
{
    while (h->idle)
        close_conn(h->idle);
}
