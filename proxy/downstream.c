/* downstream.c: HTTP/1 from bytes to requests, and answers to bytes.
 *
 *   IDLE --first byte--> HEAD --complete--> a stream has it --done--> IDLE, or LINGER
 *    | keep-alive time    | 60 s: 408        | client gone: the stream logs DC
 *    v closed             v refused: 4xx, LINGER
 *
 * A pipelined request waits in the connection's buffer until the one before it is answered: answers keep order. After
 * an answer with 101 bytes pass as they are, in both directions. */
#include "proxy/downstream.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/http1_body.h"
#include "proxy/http1_parser.h"
#include "proxy/http1_write.h"
#include "proxy/http2_server.h"
#include "proxy/stream.h"
#include "proxy/trailers.h"

struct downstream {
    struct conn c;
    struct client client;
    struct http1_scan scan;   /* of the next one's head */
    struct http1_body body;   /* of the request under way */
    uint8_t version;          /* its */
    bool keep_alive;          /* it would have the connection kept */
    bool complete;            /* its body has come, too */
    bool chunk_answer;
    bool until_close;         /* only the connection's end tells the answer's */
    bool tunnel;
    bool last;                /* its answer is the connection's last */
    bool promised;            /* its answer's head has said that another may follow */
    bool refused;             /* nothing more is read */
    bool served;              /* a request, already */
};

static struct downstream *of(struct conn *c)
{
    return (struct downstream *)c;
}

static struct downstream *of_client(struct client *cl)
{
    return (struct downstream *)((char *)cl - offsetof(struct downstream, client));
}

/* ---- requests ---- */

static void wait_for_request(struct downstream *d)
{
    d->scan = (struct http1_scan){ 0 };
    http1_body_free(&d->body);
    d->client.started_ns = 0;
    d->c.deadline_ns = d->c.w->now_ns + d->c.w->settings->keep_alive_ns;
}

static void refuse(struct downstream *d, unsigned status, const char *why)
{
    log_debug("%s: %s", d->client.peer->remote, why);
    d->refused = true;
    d->version = HTTP_VERSION_11;
    stream_refuse(&d->client, status);
    conn_linger(&d->c);
}

static void start_request(struct downstream *d, const struct http_head *h)
{
    d->scan = (struct http1_scan){ 0 };
    http1_body_init(&d->body, h->framing, h->length);
    d->body.keeps_trailers = !h->nominates; /* what Connection names is for one hop: by no name may it be a trailer */
    d->version = h->version;
    d->keep_alive = h->keep_alive;
    d->complete = http1_body_may_close(&d->body);
    d->last = d->tunnel = d->until_close = false;
    d->served = true;
    d->c.deadline_ns = d->c.w->now_ns + d->c.w->settings->stream_idle_ns;
    stream_start(&d->client, h);
}

/* A connection that begins with HTTP/2's preface is HTTP/2 (prior knowledge, RFC 9113 3.3). */
static bool becomes_http2(struct downstream *d, struct str bytes)
{
    struct str preface = STR(HTTP2_PREFACE);
    struct incoming in = { .wl = d->client.wl, .first = bytes, .like = d->client.peer };

    if (d->served || bytes.n < preface.n || !str_starts(bytes, preface))
        return false;
    in.serve = peer_listener(d->client.peer, d->client.wl);
    in.socket = conn_detach(&d->c);
    http2_server_new(&in);
    return true;
}

static bool may_become_http2(const struct downstream *d, struct str bytes)
{
    return !d->served && bytes.n < sizeof(HTTP2_PREFACE) - 1 && str_starts(STR(HTTP2_PREFACE), bytes);
}

/* Reads a head from the front of `bytes`; returns how many of them it took. */
static size_t read_head(struct downstream *d, struct str bytes)
{
    struct http_head h;

    if (becomes_http2(d, bytes))
        return bytes.n;
    if (!d->client.started_ns) {
        d->client.started_ns = d->c.w->now_ns;
        d->c.deadline_ns = d->c.w->now_ns + d->c.w->settings->header_timeout_ns;
    }
    if (may_become_http2(d, bytes))
        return 0;
    switch (http1_request(&d->scan, bytes, &h)) {
    case HTTP1_MORE:
        return 0;
    case HTTP1_REFUSED:
        refuse(d, h.refused, h.why);
        return bytes.n;
    case HTTP1_DONE:
        start_request(d, &h);
        return h.size;
    }
    return 0;
}

static void end_body(struct downstream *d)
{
    struct fields trailers;

    d->complete = true;
    trailers_from_lines(&trailers, http1_body_trailers(&d->body));
    stream_data_end(d->client.stream, &trailers);
}

/* Returns how many bytes belong to the request and were taken: 0 when it wants none now. */
static size_t read_body(struct downstream *d, struct str bytes)
{
    struct stream *s = d->client.stream;
    struct str rest = bytes, data;

    if (d->tunnel) {
        if (!stream_wants(s))
            return 0;
        stream_data(s, bytes);
        return bytes.n;
    }
    while (!d->complete && d->client.stream == s && stream_wants(s)) {
        switch (http1_body_next(&d->body, &rest, &data)) {
        case HTTP1_BODY_DATA:
            stream_data(s, data);
            break;
        case HTTP1_BODY_MORE:
            return bytes.n;
        case HTTP1_BODY_END:
            end_body(d);
            break;
        case HTTP1_BODY_BAD:
            d->last = true;
            stream_data_bad(s);
            return bytes.n;
        }
    }
    return bytes.n - rest.n;
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct downstream *d = of(c);
    size_t used = 0;

    while (used < bytes.n && !d->refused && !conn_is_closed(c)) {
        struct str rest = str_from(bytes, used);
        size_t n = d->client.stream ? read_body(d, rest) : read_head(d, rest);

        if (n == 0)
            break;
        used += n;
    }
    return d->refused ? bytes.n : used;
}

/* ---- answers ---- */

static bool may_keep(const struct downstream *d)
{
    return d->keep_alive && d->complete && !d->last && !d->c.w->draining && !d->client.wl->gone;
}

static void write_framing(struct downstream *d, struct buf *b, const struct answer *a)
{
    d->promised = may_keep(d);
    if (a->framing == HTTP_LENGTH)
        http1_write_length(b, a->length);
    else if (d->chunk_answer)
        buf_puts(b, "transfer-encoding: chunked\r\n");
    if (a->status == 101)
        buf_puts(b, "connection: upgrade\r\nupgrade: websocket\r\n");
    else if (!d->promised)
        buf_puts(b, "connection: close\r\n");
    else if (d->version == HTTP_VERSION_10)
        buf_puts(b, "connection: keep-alive\r\n");
    buf_puts(b, "\r\n");
}

static size_t put_head(struct client *cl, const struct answer *a)
{
    struct downstream *d = of_client(cl);
    struct buf *b = conn_out(&d->c);
    size_t before = b->n;
    bool streamed = a->framing == HTTP_STREAMED || a->framing == HTTP_UNTIL_CLOSE;

    d->chunk_answer = streamed && d->version == HTTP_VERSION_11;
    d->until_close = streamed && !d->chunk_answer;
    d->tunnel = a->status == 101;
    if (a->last || d->tunnel || d->until_close)
        d->last = true;
    buf_puts(b, "HTTP/1.1 ");
    buf_i64(b, a->status);
    buf_putc(b, ' ');
    buf_str(b, a->reason);
    buf_puts(b, "\r\n");
    fields_write(b, a->fields);
    write_framing(d, b, a);
    return b->n - before;
}

static void put_interim(struct client *cl, unsigned status, const struct fields *f)
{
    struct buf *b = conn_out(&of_client(cl)->c);

    buf_printf(b, "HTTP/1.1 %u %s\r\n", status, http_reason(status));
    if (f)
        fields_write(b, f);
    buf_puts(b, "\r\n");
}

static void put_data(struct client *cl, struct str bytes)
{
    struct downstream *d = of_client(cl);

    http1_write_data(&d->c, bytes, d->chunk_answer);
}

static struct conn *through(struct client *cl)
{
    return of_client(cl)->chunk_answer ? NULL : &of_client(cl)->c;
}

/* HTTP/1 has room for them behind chunks only. */
static void put_trailers(struct client *cl, const struct fields *f)
{
    struct downstream *d = of_client(cl);

    if (!d->chunk_answer)
        return;
    conn_write(&d->c, STR("0\r\n"));
    fields_write(conn_out(&d->c), f);
    conn_write(&d->c, STR("\r\n"));
    d->chunk_answer = false;
}

/* The listener has gone since the head went out: the next request may be on its way, whose answer says that it is the
 * last. */
static bool may_keep_word(const struct downstream *d)
{
    return d->promised && !d->c.w->draining;
}

/* Between requests to a listener that is gone. */
static void limit_rest(struct downstream *d)
{
    int64_t end = d->c.w->now_ns + d->c.w->settings->drain_ns;

    if (d->client.wl->gone && d->c.deadline_ns > end)
        d->c.deadline_ns = end;
}

static void finish(struct client *cl)
{
    struct downstream *d = of_client(cl);

    if (d->chunk_answer)
        conn_write(&d->c, STR("0\r\n\r\n"));
    d->chunk_answer = false;
    if (may_keep(d) || may_keep_word(d)) {
        wait_for_request(d);
        limit_rest(d);
        conn_resume(&d->c);
        return;
    }
    d->refused = true;
    if (d->keep_alive || !d->complete)
        conn_linger(&d->c);
    else
        conn_end(&d->c);
}

/* An orderly end would say that the answer is complete. */
static void end_with_reset(const struct conn *c)
{
    struct linger at_once = { .l_onoff = 1 };

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void cut(struct client *cl)
{
    struct downstream *d = of_client(cl);

    d->refused = true;
    if (d->until_close)
        end_with_reset(&d->c);
    conn_close(&d->c);
}

static bool is_full(struct client *cl)
{
    return conn_is_full(&of_client(cl)->c);
}

static void resume(struct client *cl)
{
    conn_resume(&of_client(cl)->c);
}

static const struct client_ops client_ops = { .head = put_head, .interim = put_interim, .data = put_data,
                                              .through = through, .trailers = put_trailers, .done = finish,
                                              .cut = cut, .full = is_full, .resume = resume };

/* ---- the connection ---- */

static void on_eof(struct conn *c)
{
    struct downstream *d = of(c);

    if (!d->client.stream) {
        conn_close(c);
    } else if (d->tunnel) {
        stream_client_closed(d->client.stream);
    } else {
        stream_client_gone(d->client.stream);
        conn_close(c);
    }
}

static void on_error(struct conn *c, int err)
{
    struct downstream *d = of(c);

    (void)err;
    if (d->client.stream)
        stream_client_gone(d->client.stream);
    conn_close(c);
}

static void on_drained(struct conn *c)
{
    struct downstream *d = of(c);

    if (d->client.stream)
        stream_drained(d->client.stream);
}

static void on_deadline(struct conn *c)
{
    struct downstream *d = of(c);

    if (d->client.stream) {
        c->deadline_ns = stream_deadline_ns(d->client.stream); /* it may have moved on since it was set */
        if (c->deadline_ns <= c->w->now_ns)
            stream_idle(d->client.stream);
    } else if (d->client.started_ns) {
        refuse(d, 408, "the request's head took too long");
    } else {
        conn_close(c);
    }
}

static void on_drain(struct conn *c)
{
    struct downstream *d = of(c);

    if (d->client.stream || d->client.started_ns)
        return; /* the answer will say that it is the last */
    if (c->w->draining)
        conn_close(c);
    else
        limit_rest(d); /* a request may be on its way */
}

static void destroy(struct conn *c)
{
    struct downstream *d = of(c);

    worker_listener_put(d->client.wl);
    peer_put(d->client.peer);
    http1_body_free(&d->body);
    mem_free(d);
}

void downstream_new(const struct incoming *in)
{
    static const struct conn_ops ops = { .data = on_data, .eof = on_eof, .error = on_error, .drained = on_drained,
                                         .deadline = on_deadline, .drain = on_drain, .destroy = destroy };
    struct peer *peer = peer_new(in);
    struct downstream *d = peer ? mem_zalloc(sizeof(*d)) : NULL;
    struct conn_socket socket = in->socket;

    if (!d) {
        peer_put(peer);
        conn_socket_close(in->wl->w, &socket);
        return;
    }
    d->client = (struct client){ .ops = &client_ops, .wl = worker_listener_get(in->wl), .peer = peer };
    conn_open(&d->c, in->wl->w, socket, &ops);
    wait_for_request(d);
    if (in->first.n)
        conn_feed(&d->c, in->first);
}
