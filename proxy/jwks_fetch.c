#include "proxy/jwks_fetch.h"

#include "base/clock.h"
#include "proxy/http1_body.h"
#include "proxy/http_client-internal.h"
#include "proxy/resolve-internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FETCH_S = 5, LOOKUP_MS = 20 };

struct fetch {
    int fd, stop;
    int64_t until_ns;
    struct http_url url;
    struct buf in; /* the head, as far as it has come */
};

/* Waits until the socket is ready. `events` 0: for `ms` alone. */
static int await(const struct fetch *f, short events, int ms, struct err *e)
{
    struct pollfd p[2] = { { .fd = f->stop, .events = POLLIN }, { .fd = f->fd, .events = events } };
    int64_t left_ms = (f->until_ns - clock_mono_ns()) / 1000000;
    int n;

    if (left_ms <= 0)
        return err_set(e, ERR_TIMEOUT, "no answer within %d s", FETCH_S);
    n = poll(p, events ? 2 : 1, ms >= 0 && ms < left_ms ? ms : (int)left_ms);
    if (p[0].revents)
        return err_set(e, ERR_IO, "the proxy ends");
    if (n == 0 && events)
        return err_set(e, ERR_TIMEOUT, "no answer within %d s", FETCH_S);
    return n < 0 && errno != EINTR ? err_set(e, ERR_IO, "poll: %m") : 0;
}

static int look_up(const struct fetch *f, struct sockaddr_storage *to, socklen_t *n, struct err *e)
{
    struct resolve *r = resolve_start(f->url.host, f->url.port, e);
    int rc;

    if (!r)
        return e->code;
    while ((rc = resolve_poll(r, 0, to, n, e)) == 0 && (rc = await(f, 0, LOOKUP_MS, e)) == 0)
        continue;
    resolve_free(r);
    return rc < 0 ? rc : 0;
}

static int dial(struct fetch *f, struct err *e)
{
    struct sockaddr_storage to;
    socklen_t n = sizeof(to), size = sizeof(int);
    int rc = look_up(f, &to, &n, e), err = 0;

    if (rc < 0)
        return rc;
    f->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->fd < 0 || (connect(f->fd, (struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS))
        return err_set(e, ERR_IO, "%s:%s: %m", f->url.host, f->url.port);
    rc = await(f, POLLOUT, -1, e);
    if (rc == 0 && getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &size) == 0 && err)
        rc = err_set(e, ERR_IO, "%s:%s: %s", f->url.host, f->url.port, strerror(err));
    return rc;
}

/* The request is small and the first on its connection: it goes out at once. */
static int ask(struct fetch *f, struct err *e)
{
    struct buf b = BUF_INIT(2048);
    bool v6 = strchr(f->url.host, ':') != NULL;
    ssize_t n;

    buf_printf(&b, "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
               f->url.prefix[0] ? f->url.prefix : "/", v6 ? "[" : "", f->url.host, v6 ? "]" : "", f->url.port);
    n = buf_failed(&b) ? -1 : send(f->fd, b.p, b.n, MSG_NOSIGNAL);
    n = n == (ssize_t)b.n ? 0 : err_set(e, ERR_IO, "the request could not be sent: %m");
    buf_free(&b);
    return (int)n;
}

/* 0: the connection has ended. */
static ssize_t receive(struct fetch *f, char *to, size_t room, struct err *e)
{
    for (;;) {
        ssize_t n = recv(f->fd, to, room, 0);
        int rc;

        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return err_set(e, ERR_IO, "receiving: %m");
        rc = await(f, POLLIN, -1, e);
        if (rc < 0)
            return rc;
    }
}

/* f->in then has what is behind the head. */
static int read_head(struct fetch *f, struct http1_body *body, struct err *e)
{
    struct http1_scan scan = { 0 };
    struct http_head h;
    enum http1_result r;

    do {
        char piece[4096];
        ssize_t n = receive(f, piece, sizeof(piece), e);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return err_set(e, ERR_IO, "the connection ended before an answer");
        buf_put(&f->in, piece, (size_t)n);
        if (buf_failed(&f->in))
            return err_set(e, ERR_NOMEM, "no memory for the answer");
        r = http1_response(&scan, buf_view(&f->in), false, &h);
    } while (r == HTTP1_MORE);
    if (r == HTTP1_REFUSED)
        return err_set(e, ERR_PARSE, "the answer is no HTTP: %s", h.why);
    if (h.status != 200)
        return err_set(e, ERR_IO, "the answer is %u, should be 200", h.status);
    http1_body_init(body, h.framing, h.length);
    buf_drain(&f->in, h.size);
    return 0;
}

static int read_body(struct fetch *f, struct http1_body *body, struct buf *to, struct err *e)
{
    struct str rest = buf_view(&f->in), data;
    char piece[16384];

    for (;;) {
        enum http1_body_result r;
        ssize_t n;

        while ((r = http1_body_next(body, &rest, &data)) == HTTP1_BODY_DATA)
            buf_str(to, data);
        if (buf_failed(to))
            return err_set(e, ERR_LIMIT, "the answer is larger than %zu KiB", to->max / 1024);
        if (r == HTTP1_BODY_END)
            return 0;
        n = r == HTTP1_BODY_BAD ? err_set(e, ERR_PARSE, "the answer's chunks are none") : receive(f, piece, sizeof(piece), e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return http1_body_may_close(body) ? 0 : err_set(e, ERR_IO, "the answer is cut off");
        rest = (struct str){ piece, (size_t)n };
    }
}

int jwks_fetch(const char *uri, int stop, struct buf *to, struct err *e)
{
    struct fetch f = { .fd = -1, .stop = stop, .until_ns = clock_mono_ns() + FETCH_S * INT64_C(1000000000),
                       .in = BUF_INIT(2 * HTTP_MOST_HEAD) };
    struct http1_body body;
    int rc = http_url_parse(uri, &f.url, e);

    if (rc == 0)
        rc = dial(&f, e);
    if (rc == 0)
        rc = ask(&f, e);
    if (rc == 0)
        rc = read_head(&f, &body, e);
    if (rc == 0)
        rc = read_body(&f, &body, to, e);
    if (f.fd >= 0)
        close(f.fd);
    buf_free(&f.in);
    return rc;
}
