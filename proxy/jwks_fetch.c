/* jwks_fetch.c: one GET after the other, each on a connection of its own.
 *
 *   look up, connect, shake hands (https), ask, read head and body ──302──▶ the same, there
 *
 * Every step waits in await(), which knows the deadline of the whole and hears the proxy end. */
#include "proxy/jwks_fetch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proxy/http1_body.h"
#include "proxy/http1_parser.h"
#include "proxy/http_url-internal.h"
#include "proxy/openid.h"
#include "proxy/resolve-internal.h"
#include "proxy/tls_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FETCH_S = 5, LOOKUP_MS = 20, PIECE = 2 * TLS_SEALED };

struct fetch {
    const struct jwks_fetcher *by;
    int64_t until_ns;
    struct http_url url;
    /* of one connection */
    int fd;
    struct tls_link *link;      /* NULL: plain text */
    struct tls_session session; /* none is resumed */
    struct buf in;              /* the head, as far as it has come */
    char piece[PIECE];
    struct tls_scratch scratch;
};

/* Waits until the socket is ready. `events` 0: for `ms` alone. */
static int await(const struct fetch *f, short events, int ms, struct err *e)
{
    struct pollfd p[2] = { { .fd = f->by->stop, .events = POLLIN }, { .fd = f->fd, .events = events } };
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

/* ---- TLS ---- */

static int tell_tls(const struct fetch *f, struct err *e)
{
    if (f->link->failure)
        return err_set(e, ERR_IO, "%s:%s: %s", f->url.host, f->url.port, f->link->failure);
    return err_set(e, ERR_IO, "%s:%s: TLS: %m", f->url.host, f->url.port);
}

static bool is_address(const char *host)
{
    struct in6_addr any;

    return inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1;
}

static int open_link(struct fetch *f, struct err *e)
{
    struct str host = str_of(f->url.host);
    struct tls_client how = { .mode = TLS_CLIENT_SIMPLE, .ca.path = str_of(f->by->ca), .names = &host, .nnames = 1 };
    struct tls_target *t;

    if (!f->by->tls)
        return err_set(e, ERR_UNSUPPORTED, "https is not offered here");
    t = tls_target_new(f->by->tls, &how, is_address(f->url.host) ? STR_NULL : host);
    if (t)
        f->link = tls_link_connect(t, TLS_HTTP1, &f->scratch, &f->session);
    tls_target_put(t);
    if (f->link)
        return 0;
    return t && errno == EPROTO ? err_set(e, ERR_IO, "the authorities for https cannot be read: %s",
                                          f->by->ca ? f->by->ca : "the system's")
                                : err_set(e, ERR_NOMEM, "no memory for TLS");
}

static short events_of(const struct fetch *f)
{
    return f->link && tls_link_unsent(f->link) ? POLLIN | POLLOUT : POLLIN;
}

static int secure(struct fetch *f, struct err *e)
{
    int done = 0, rc = open_link(f, e);

    while (rc == 0 && done == 0) {
        done = tls_link_shake(f->link, f->fd);
        if (done < 0)
            rc = tell_tls(f, e);
        else if (done == 0)
            rc = await(f, events_of(f), -1, e);
    }
    if (rc < 0)
        return rc;
    /* What has come behind the handshake: tickets, and nothing else before we ask. */
    if (tls_link_read_early(f->link, f->fd, f->piece, sizeof(f->piece)) < 0 && errno == EAGAIN)
        return 0;
    return err_set(e, ERR_PARSE, "the server answers before it is asked");
}

/* ---- bytes ---- */

static int give(struct fetch *f, struct str bytes, struct err *e)
{
    int rc = 0;

    while (rc == 0 && (bytes.n || (f->link && tls_link_unsent(f->link)))) {
        struct iovec v = { (void *)(uintptr_t)bytes.p, bytes.n };
        ssize_t n = f->link ? tls_link_writev(f->link, f->fd, &v, 1) : send(f->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return f->link ? tell_tls(f, e) : err_set(e, ERR_IO, "the request could not be sent: %m");
        bytes = str_from(bytes, n > 0 ? (size_t)n : 0);
        if (bytes.n || (f->link && tls_link_unsent(f->link)))
            rc = await(f, POLLOUT, -1, e);
    }
    return rc;
}

static int ask(struct fetch *f, struct err *e)
{
    struct buf b = BUF_INIT(4096);
    int rc;

    buf_printf(&b, "GET %s HTTP/1.1\r\nHost: ", f->url.path[0] ? f->url.path : "/");
    http_url_put_host(&f->url, &b);
    buf_puts(&b, "\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    rc = buf_failed(&b) ? err_set(e, ERR_NOMEM, "no memory for a request") : give(f, buf_view(&b), e);
    buf_free(&b);
    return rc;
}

/* Into f->piece. 0: the connection has ended. */
static ssize_t receive(struct fetch *f, struct err *e)
{
    for (;;) {
        ssize_t n = f->link ? tls_link_read(f->link, f->fd, f->piece, sizeof(f->piece))
                            : recv(f->fd, f->piece, sizeof(f->piece), 0);
        int rc;

        if (n >= 0)
            return n;
        if (errno != EAGAIN && errno != EINTR)
            return f->link ? tell_tls(f, e) : err_set(e, ERR_IO, "receiving: %m");
        rc = await(f, events_of(f), -1, e);
        if (rc < 0)
            return rc;
    }
}

/* ---- the answer ---- */

static struct str location_of(const struct http_head *h)
{
    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(http_text(h, h->fields[i].name), STR("location")))
            return http_text(h, h->fields[i].value);
    return STR_NULL;
}

static bool is_redirect(unsigned status)
{
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

/* 0: f->in then has what is behind the head. 1: f->url is where to ask instead. */
static int read_head(struct fetch *f, struct http1_body *body, struct err *e)
{
    struct http1_scan scan = { 0 };
    struct http_head h;
    enum http1_result r;

    do {
        ssize_t n = receive(f, e);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return err_set(e, ERR_IO, "the connection ended before an answer");
        buf_put(&f->in, f->piece, (size_t)n);
        if (buf_failed(&f->in))
            return err_set(e, ERR_NOMEM, "no memory for the answer");
        r = http1_response(&scan, buf_view(&f->in), false, &h);
    } while (r == HTTP1_MORE);
    if (r == HTTP1_REFUSED)
        return err_set(e, ERR_PARSE, "the answer is no HTTP: %s", h.why);
    if (is_redirect(h.status)) {
        struct http_url to;
        int rc = http_url_follow(&f->url, location_of(&h), &to, e);

        f->url = to;
        return rc < 0 ? rc : 1;
    }
    if (h.status != 200)
        return err_set(e, ERR_IO, "the answer is %u, should be 200", h.status);
    http1_body_init(body, h.framing, h.length);
    buf_drain(&f->in, h.size);
    return 0;
}

/* An end that TLS has not announced may be anybody's on the way. */
static bool may_end(const struct fetch *f, const struct http1_body *body)
{
    return http1_body_may_close(body) && (!f->link || f->link->eof);
}

static int read_body(struct fetch *f, struct http1_body *body, struct buf *to, struct err *e)
{
    struct str rest = buf_view(&f->in), data;

    for (;;) {
        enum http1_body_result r;
        ssize_t n;

        while ((r = http1_body_next(body, &rest, &data)) == HTTP1_BODY_DATA)
            buf_str(to, data);
        if (buf_failed(to))
            return err_set(e, ERR_LIMIT, "the answer is larger than %zu KiB", to->max / 1024);
        if (r == HTTP1_BODY_END)
            return 0;
        n = r == HTTP1_BODY_BAD ? err_set(e, ERR_PARSE, "the answer's chunks are none") : receive(f, e);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return may_end(f, body) ? 0 : err_set(e, ERR_IO, "the answer is cut off");
        rest = (struct str){ f->piece, (size_t)n };
    }
}

/* ---- the whole ---- */

static void hang_up(struct fetch *f)
{
    tls_link_free(f->link);
    f->link = NULL;
    tls_session_free(&f->session);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    buf_free(&f->in);
}

/* 1: f->url is where to ask instead. */
static int get(struct fetch *f, struct buf *to, struct err *e)
{
    struct http1_body body;
    int rc = dial(f, e);

    if (rc == 0 && f->url.secure)
        rc = secure(f, e);
    if (rc == 0)
        rc = ask(f, e);
    if (rc == 0)
        rc = read_head(f, &body, e);
    if (rc == 0)
        rc = read_body(f, &body, to, e);
    hang_up(f);
    return rc;
}

int jwks_fetch(const struct jwks_fetcher *by, const char *uri, struct buf *to, struct err *e)
{
    struct fetch *f = mem_alloc(sizeof(*f));
    int redirects = 0, rc;

    if (!f)
        return err_set(e, ERR_NOMEM, "no memory for a fetch");
    f->by = by;
    f->until_ns = clock_mono_ns() + FETCH_S * INT64_C(1000000000);
    f->fd = -1;
    f->link = NULL;
    f->session = (struct tls_session){ .session = NULL };
    f->in = (struct buf)BUF_INIT(2 * HTTP_MOST_HEAD);
    f->scratch.sealed_n = 0;
    rc = http_url_parse(uri, &f->url, e);
    if (rc == 0)
        while ((rc = get(f, to, e)) > 0 && redirects < JWKS_MOST_REDIRECTS)
            redirects++;
    if (rc > 0)
        rc = err_set(e, ERR_LIMIT, "it is sent on more than %d times", JWKS_MOST_REDIRECTS);
    mem_free(f);
    return rc;
}

int jwks_fetch_discovered(const struct jwks_fetcher *by, const char *uri, struct buf *to, struct err *e)
{
    struct buf document = BUF_INIT(to->max), keys = BUF_INIT(2048);
    int rc = jwks_fetch(by, uri, &document, e);

    if (rc == 0)
        rc = openid_keys_uri(buf_view(&document), str_of(uri), &keys, e);
    if (rc == 0 && !buf_cstr(&keys))
        rc = err_set(e, ERR_NOMEM, "no memory for the keys' address");
    if (rc == 0) {
        rc = jwks_fetch(by, keys.p, to, e);
        if (rc < 0)
            err_wrap(e, "%s", keys.p);
    }
    buf_free(&document);
    buf_free(&keys);
    return rc;
}
