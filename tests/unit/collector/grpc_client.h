/* grpc_client.h: a gRPC client of nghttp2 on a real socket, turned by hand: it sends and takes only when a test says so.
 *
 * client_open, client_send for each call, turn until what the test waits for, client_close. */
#ifndef TESTS_UNIT_COLLECTOR_GRPC_CLIENT_H
#define TESTS_UNIT_COLLECTOR_GRPC_CLIENT_H

#include "base/buf.h"
#include "tests/unit/collector/pbtext.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct sent {
    int32_t id;
    struct buf body;
    size_t at;
    bool more; /* the stream does not end behind the body */
    int http, grpc;
    char message[128];
    bool has_details, closed;
    size_t answer; /* bytes */
};

struct client {
    int fd;
    nghttp2_session *session;
    struct sent calls[300];
    size_t n;
    uint32_t goaway; /* its error + 1 */
    bool eof;
};

static inline ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct sent *s = source->ptr;
    size_t n = s->body.n - s->at < most ? s->body.n - s->at : most;

    (void)session;
    (void)id;
    (void)user;
    if (n)
        memcpy(to, s->body.p + s->at, n);
    s->at += n;
    if (s->at < s->body.n)
        return (ssize_t)n;
    if (!s->more)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0)
        return NGHTTP2_ERR_DEFERRED;
    return (ssize_t)n;
}

static inline int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct sent *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct str field = { (const char *)name, name_n };

    (void)flags;
    (void)user;
    if (!s)
        return 0;
    if (str_eqz(field, ":status"))
        s->http = atoi((const char *)value);
    else if (str_eqz(field, "grpc-status"))
        s->grpc = atoi((const char *)value);
    else if (str_eqz(field, "grpc-message"))
        snprintf(s->message, sizeof(s->message), "%.*s", (int)value_n, (const char *)value);
    else if (str_eqz(field, "grpc-status-details-bin"))
        s->has_details = true;
    return 0;
}

static inline int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
    struct sent *s = nghttp2_session_get_stream_user_data(session, id);

    (void)flags;
    (void)p;
    (void)user;
    s->answer += n;
    return 0;
}

static inline int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *c = user;

    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        c->goaway = frame->goaway.error_code + 1;
    return 0;
}

static inline int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct sent *s = nghttp2_session_get_stream_user_data(session, id);

    (void)error;
    (void)user;
    s->closed = true;
    return 0;
}

static inline void client_open(struct client *c, unsigned port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    nghttp2_session_callbacks *callbacks;

    memset(c, 0, sizeof(*c));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    ck_assert_int_eq(nghttp2_session_client_new(&c->session, callbacks, c), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, 0, NULL, 0);
}

static inline void client_close(struct client *c)
{
    nghttp2_session_del(c->session);
    for (size_t i = 0; i < c->n; i++)
        buf_free(&c->calls[i].body);
    close(c->fd);
}

/* Sends what there is to send, and takes what comes within ms. */
static inline void turn(struct client *c, int ms)
{
    struct pollfd p = { c->fd, POLLIN, 0 };
    const uint8_t *out;
    uint8_t in[16384];
    ssize_t n;

    while (!c->eof && (n = nghttp2_session_mem_send(c->session, &out)) > 0)
        for (ssize_t at = 0, k; at < n; at += k)
            if ((k = send(c->fd, out + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0) {
                c->eof = true;
                return;
            }
    if (c->eof || poll(&p, 1, ms) <= 0)
        return;
    n = recv(c->fd, in, sizeof(in), 0);
    if (n <= 0)
        c->eof = true;
    else
        ck_assert_int_eq(nghttp2_session_mem_recv(c->session, in, (size_t)n), n);
}

/* Until the condition holds; a test that waits for ever is ended by Check. */
#define UNTIL(c, condition)                                                                                           \
    while (!(condition))                                                                                              \
    turn((c), 5)

static inline nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0 };
}

struct request {
    const char *path, *method, *type, *encoding, *timeout;
    bool more;
};

/* The body is taken over. */
static inline struct sent *client_send(struct client *c, struct request r, struct buf *body)
{
    struct sent *s = &c->calls[c->n++];
    nghttp2_data_provider data = { { .ptr = s }, read_body };
    nghttp2_nv v[8] = { nv(":method", r.method ? r.method : "POST"), nv(":scheme", "http"), nv(":path", r.path),
                        nv(":authority", "x"), nv("content-type", r.type ? r.type : "application/grpc"),
                        nv("te", "trailers") };
    size_t n = 6;

    if (r.encoding)
        v[n++] = nv("grpc-encoding", r.encoding);
    if (r.timeout)
        v[n++] = nv("grpc-timeout", r.timeout);
    *s = (struct sent){ .body = *body, .more = r.more, .grpc = -1 };
    s->id = nghttp2_submit_request(c->session, NULL, v, n, &data, s);
    ck_assert_int_gt(s->id, 0);
    return s;
}

static inline void put_prefixed(struct buf *to, struct str message, bool packed)
{
    const char prefix[5] = { packed, (char)(message.n >> 24), (char)(message.n >> 16), (char)(message.n >> 8),
                             (char)message.n };

    buf_put(to, prefix, 5);
    buf_str(to, message);
}

static inline struct buf messages(const char *text, size_t times)
{
    struct buf one = BUF_INIT(1 << 20), all = BUF_INIT(8 << 20);

    pbtext(&one, text);
    while (times--)
        put_prefixed(&all, buf_view(&one), false);
    buf_free(&one);
    return all;
}

#endif
