/* stream_reply.c: answers of our own.
 *
 * A caller of gRPC looks for a status in the trailers, not for HTTP's: it gets 200 and its own kind of status in the
 * head, as Envoy's local replies have it (the numbers: gRPC's "HTTP to gRPC Status Code Mapping"; the message: "gRPC
 * over HTTP2", Status-Message). */
#include "proxy/stream-internal.h"

static struct str grpc_status_of(unsigned status)
{
    switch (status) {
    case 400:
        return STR("13"); /* INTERNAL */
    case 401:
        return STR("16"); /* UNAUTHENTICATED */
    case 403:
        return STR("7"); /* PERMISSION_DENIED */
    case 404:
        return STR("12"); /* UNIMPLEMENTED */
    case 429:
    case 502:
    case 503:
    case 504:
        return STR("14"); /* UNAVAILABLE */
    default:
        return STR("2"); /* UNKNOWN */
    }
}

/* What is not printable, and the percent sign, as %XX. Empty: no memory. */
static struct str grpc_message(struct arena *a, struct str body)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = body.n ? arena_alloc(a, 3 * body.n) : NULL, *at = to;

    for (size_t i = 0; to && i < body.n; i++) {
        unsigned char c = (unsigned char)body.p[i];

        if (c >= ' ' && c <= '~' && c != '%') {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = digits[c >> 4];
        *at++ = digits[c & 15];
    }
    return to ? (struct str){ to, (size_t)(at - to) } : STR_NULL;
}

static void reply_to_grpc(struct stream *s, unsigned status, struct fields *f, struct str body)
{
    struct str message = grpc_message(&s->arena, body);

    s->grpc_status = grpc_status_of(status);
    fields_add(f, STR("content-type"), STR("application/grpc"));
    fields_put(f, HTTP_GRPC_STATUS, s->grpc_status);
    if (message.n)
        fields_add(f, STR("grpc-message"), message);
    stream_answer(s, 200, str_of(http_reason(200)), f, HTTP_LENGTH, 0);
    stream_end(s);
}

void stream_reply_with(struct stream *s, unsigned status, struct fields *f, struct str body)
{
    bool to_head = str_eqz(s->rq.method, "HEAD");

    if (s->grpc) {
        reply_to_grpc(s, status, f, body);
        return;
    }
    if (body.n)
        fields_add(f, STR("content-type"), STR("text/plain"));
    stream_answer(s, status, str_of(http_reason(status)), f, HTTP_LENGTH, body.n);
    if (body.n && !to_head) {
        s->cl->ops->data(s->cl, body);
        s->bytes_sent += body.n;
        s->response_bytes += body.n;
    }
    stream_end(s);
}

void stream_reply(struct stream *s, unsigned status, unsigned flags, const char *details, struct str body)
{
    struct fields f = { .n = 0 };

    s->flags |= flags;
    s->details = details;
    stream_reply_with(s, status, &f, body);
}
