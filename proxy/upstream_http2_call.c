/* upstream_http2_call.c: one request of HTTP/2 on its way to a host; what comes back is upstream_http2.c's. */
#include "proxy/upstream_http2-internal.h"

#include "base/mem.h"

#include <stdio.h>

static struct http2_stream *of_call(struct upstream_call *u)
{
    return (struct http2_stream *)((char *)u - offsetof(struct http2_stream, call));
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct http2_stream *s = source->ptr;
    ssize_t n = http2_source_read(&s->body, session, id, to, room, flags);

    (void)user;
    http2_credit_earn(&s->h->credit, HTTP2_CREDIT_OF_DATA);
    s->h->some_drained = s->h->some_drained || s->body.full;
    return n;
}

static void submit(struct http2_stream *s, const struct http2_list *list, bool empty)
{
    nghttp2_data_provider body = { .source.ptr = s, .read_callback = read_body };

    s->id = nghttp2_submit_request(s->h->session, NULL, list->v, list->n, empty ? NULL : &body, s);
    if (s->id < 0)
        s->h->broken = true;
}

/* Those that have waited for the host's SETTINGS. */
void http2_upstream_open_tunnels(struct http2_upstream *h)
{
    bool taken = nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
    struct http2_stream *next;

    h->some_wait = false;
    for (struct http2_stream *s = h->streams; s; s = next) {
        next = s->next;
        if (!s->waits)
            continue;
        if (taken) {
            submit(s, s->waits, false);
            mem_free(s->waits);
            s->waits = NULL;
        } else {
            http2_stream_forget(s);
            http2_stream_fail(s, UPSTREAM_NO_TUNNEL, 0);
        }
    }
}

static void put_head(struct upstream_call *call, const struct upstream_request *rq)
{
    struct http2_stream *s = of_call(call);
    struct http2_list list = { .n = 0 };
    bool empty = rq->framing == HTTP_NO_BODY || (rq->framing == HTTP_LENGTH && rq->length == 0);
    char length[24];

    s->to_head = str_eqz(rq->method, "HEAD");
    s->tunnel = rq->websocket;
    http2_list_add(&list, STR(":method"), s->tunnel ? STR("CONNECT") : rq->method);
    if (s->tunnel)
        http2_list_add(&list, STR(":protocol"), STR("websocket"));
    http2_list_add(&list, STR(":scheme"), rq->scheme);
    http2_list_add(&list, STR(":authority"), rq->authority);
    http2_list_add(&list, STR(":path"), rq->path);
    http2_list_fields(&list, rq->fields);
    if (rq->wants_trailers || str_starts(fields_get(rq->fields, HTTP_CONTENT_TYPE), STR("application/grpc")))
        http2_list_add(&list, STR("te"), STR("trailers"));
    if (rq->framing == HTTP_LENGTH) {
        snprintf(length, sizeof(length), "%llu", (unsigned long long)rq->length);
        http2_list_add(&list, STR("content-length"), str_of(length));
    }
    if (s->tunnel) {
        s->waits = http2_list_copy(&list);
        s->h->some_wait = true;
        s->h->broken = s->h->broken || !s->waits;
    } else {
        submit(s, &list, empty);
    }
    http2_upstream_wake(s->h);
}

static void put_data(struct upstream_call *call, struct str bytes)
{
    struct http2_stream *s = of_call(call);

    if (!s->closed && !http2_source_put(&s->body, s->h->session, s->id, bytes))
        s->h->broken = true;
    http2_upstream_wake(s->h);
}

static void put_end(struct upstream_call *call, const struct fields *trailers)
{
    struct http2_stream *s = of_call(call);

    if (s->tunnel) /* its half stays open */
        return;
    if (!s->closed && !http2_source_end(&s->body, s->h->session, s->id, trailers))
        s->h->broken = true;
    http2_upstream_wake(s->h);
}

/* A 2xx has opened it already. */
static void tunnel(struct upstream_call *call)
{
    (void)call;
}

static void shut(struct upstream_call *call)
{
    struct http2_stream *s = of_call(call);

    if (!s->closed && !http2_source_end(&s->body, s->h->session, s->id, NULL))
        s->h->broken = true;
    http2_upstream_wake(s->h);
}

static bool is_full(struct upstream_call *call)
{
    struct http2_stream *s = of_call(call);

    s->body.full = s->body.full || http2_source_left(&s->body) >= CONN_HIGH;
    return s->body.full;
}

static void pause_reading(struct upstream_call *call)
{
    of_call(call)->paused = true;
}

static void resume_reading(struct upstream_call *call)
{
    struct http2_stream *s = of_call(call);
    struct buf waiting = s->waiting;

    s->paused = false;
    if (waiting.n) {
        s->waiting = (struct buf)BUF_INIT(HTTP2_WINDOW);
        call->handler->data(call->arg, buf_view(&waiting));
        http2_stream_consume(s, waiting.n);
        buf_free(&waiting);
    }
    if (call->handler)
        http2_stream_tell_end(s);
    if (s->closed && s->ended && !call->handler)
        http2_stream_forget(s);
}

static void abort_call(struct upstream_call *call)
{
    struct http2_stream *s = of_call(call);
    void *arg;

    upstream_let_go(call, &arg);
    if (s->id == 0 || s->closed)
        http2_stream_forget(s);
    else
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    http2_upstream_wake(s->h);
}

const struct upstream_ops http2_call_ops = { .head = put_head, .data = put_data, .end = put_end, .tunnel = tunnel,
                                              .shut = shut, .full = is_full,
                                              .pause = pause_reading, .resume = resume_reading, .abort = abort_call };
