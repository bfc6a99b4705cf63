/* http_client.c: the way out to the server.
 *
 * Not libevent's evhttp: that keeps a copy of each body, retries on its own, and looks names up in its own way. A batch
 * must go out again with the same bytes under the same number, and who decides when is proxy/export.c.
 *
 *   CLOSED ----http_client_post----> LOOKUP --look_up--> CONNECTING --on_writable--> BUSY --answer--> IDLE
 *     ^                                                                               ^                 |
 *     |                                                                               +-http_client_post+
 *     +---- fail(), and an answer after which the connection cannot be kept ----
 *
 * In BUSY the request is being sent and the answer read at the same time: a server may refuse before it has all. */
#include "proxy/http_client-internal.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "proxy/resolve-internal.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

enum state { CLOSED, LOOKUP, CONNECTING, BUSY, IDLE };

enum {
    LONGEST_ANSWER = 64 * 1024, /* head and body */
    LONGEST_RETRY_AFTER_S = 60,
    REQUEST_S = 10,             /* for the whole of a request, connecting included */
    LOOKUP_MS = 20
};

struct http_client {
    struct event_base *base;
    struct http_url url;
    http_client_done *done;
    void *arg;
    enum state state;
    int fd;
    struct event *readable, *writable; /* of fd */
    struct event *deadline;            /* of the request */
    struct event *soon;                /* looks for the address; or reports a failure found in http_client_post */
    struct resolve *resolve;
    unsigned misses;                   /* failed connections; picks the address: one that works is kept */
    struct err why;
    struct buf head;                   /* of the request */
    struct str body;
    size_t sent;                       /* of both */
    struct buf in;
};

static void drop_events(struct http_client *c)
{
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    c->readable = c->writable = NULL;
}

static void close_connection(struct http_client *c)
{
    drop_events(c);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    resolve_free(c->resolve);
    c->resolve = NULL;
    c->state = CLOSED;
}

/* The last thing done in a callback: `done` may free the client. */
static void report(struct http_client *c, const struct http_reply *reply)
{
    event_del(c->deadline);
    event_del(c->soon);
    c->done(c->arg, reply);
}

static void fail(struct http_client *c)
{
    struct http_reply none = { 0, -1, STR_NULL, &c->why };

    if (c->state != BUSY)
        c->misses++;
    close_connection(c);
    report(c, &none);
}

static void fail_with(struct http_client *c, int code, const char *what)
{
    err_set(&c->why, code, "%s:%s: %s", c->url.host, c->url.port, what);
    fail(c);
}

/* Headers of an answer that matter here. */
struct answer {
    int status;
    bool keep;              /* the connection */
    bool has_length;
    uint64_t length;
    int64_t retry_after_ms;
};

static void read_header(struct answer *a, struct str name, struct str value)
{
    uint64_t n;

    if (str_ieq(name, STR("content-length"))) {
        if (num_u64(value, &a->length))
            a->has_length = true;
        else
            a->keep = false;
    } else if (str_ieq(name, STR("transfer-encoding"))) {
        a->keep = a->has_length = false;
    } else if (str_ieq(name, STR("connection"))) {
        if (str_ieq(value, STR("close")))
            a->keep = false;
    } else if (str_ieq(name, STR("retry-after")) && num_u64(value, &n)) {
        a->retry_after_ms = (int64_t)(n < LONGEST_RETRY_AFTER_S ? n : LONGEST_RETRY_AFTER_S) * 1000;
    }
}

/* Reads a head: lines that end in CR LF. False: not HTTP/1.x. */
static bool read_head(struct str head, struct answer *a)
{
    struct str line = str_cut(&head, '\n'), version = str_cut(&line, ' ');
    uint64_t status;

    *a = (struct answer){ .keep = str_eq(version, STR("HTTP/1.1")), .retry_after_ms = -1 };
    if (!str_starts(version, STR("HTTP/1.")) || line.n < 3 || !num_u64((struct str){ line.p, 3 }, &status) ||
        status < 100)
        return false;
    a->status = (int)status;
    while (head.p) {
        struct str name;

        line = str_cut(&head, '\n');
        if (str_ends(line, STR("\r")))
            line.n--;
        name = str_cut(&line, ':');
        if (line.p)
            read_header(a, name, str_trim(line));
    }
    if (a->status == 204 || a->status == 304) {
        a->has_length = true;
        a->length = 0;
    }
    return true;
}

static bool sent_all(const struct http_client *c)
{
    return c->sent == c->head.n + c->body.n;
}

static void answered(struct http_client *c, const struct answer *a, struct str body)
{
    struct http_reply reply = { a->status, a->retry_after_ms, body, NULL };

    if (a->keep && sent_all(c)) {
        c->state = IDLE;
        event_del(c->writable);
    } else {
        close_connection(c);
    }
    report(c, &reply);
}

/* Reports the answer once it is complete. */
static void look_at_answer(struct http_client *c)
{
    for (;;) {
        struct str in = buf_view(&c->in);
        ptrdiff_t end = str_find(in, STR("\r\n\r\n"));
        struct answer a;

        if (end < 0)
            return;
        if (!read_head((struct str){ in.p, (size_t)end }, &a)) {
            fail_with(c, ERR_PARSE, "the answer is not HTTP/1.1");
            return;
        }
        in = str_from(in, (size_t)end + 4);
        if (a.status < 200) { /* "100 Continue" and the like come before the answer */
            buf_drain(&c->in, (size_t)end + 4);
            continue;
        }
        if (!a.has_length || a.length > LONGEST_ANSWER - (size_t)end - 4) {
            a.keep = false;
            answered(c, &a, STR_NULL);
            return;
        }
        if (in.n < a.length)
            return;
        a.keep = a.keep && in.n == a.length;
        answered(c, &a, (struct str){ in.p, a.length });
        return;
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *c = arg;
    char *to;
    ssize_t n;

    (void)what;
    if (c->state == IDLE) { /* the server has closed, or says something nobody asked for */
        close_connection(c);
        return;
    }
    to = buf_reserve(&c->in, LONGEST_ANSWER - c->in.n);
    if (!to || c->in.n == LONGEST_ANSWER) {
        fail_with(c, ERR_LIMIT, "the answer's head is too large");
        return;
    }
    n = recv(fd, to, LONGEST_ANSWER - c->in.n, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        fail_with(c, ERR_IO, n == 0 ? "closed without an answer" : strerror(errno));
        return;
    }
    c->in.n += (size_t)n;
    look_at_answer(c);
}

static ssize_t send_rest(struct http_client *c)
{
    struct str head = str_from(buf_view(&c->head), c->sent);
    struct str body = str_from(c->body, c->sent > c->head.n ? c->sent - c->head.n : 0);
    struct iovec parts[2] = { { (void *)(uintptr_t)head.p, head.n }, { (void *)(uintptr_t)body.p, body.n } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };

    return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

static bool connected(struct http_client *c)
{
    int error = 0;
    socklen_t n = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
        error = errno;
    if (error) {
        fail_with(c, ERR_IO, strerror(error));
        return false;
    }
    c->state = BUSY;
    event_add(c->readable, NULL);
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *c = arg;
    ssize_t n;

    (void)fd;
    (void)what;
    if (c->state == CONNECTING && !connected(c))
        return;
    n = send_rest(c);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        event_del(c->writable); /* an answer may be there all the same: on_readable finds it, or the error */
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (sent_all(c))
        event_del(c->writable);
}

static bool open_socket(struct http_client *c, const struct sockaddr_storage *to, socklen_t n)
{
    int one = 1;

    c->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (const struct sockaddr *)to, n) < 0 && errno != EINPROGRESS)
        return false;
    c->readable = event_new(c->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(c->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    if (!c->readable || !c->writable) {
        errno = ENOMEM;
        return false;
    }
    c->state = CONNECTING;
    event_add(c->writable, NULL);
    return true;
}

static void wake_in(struct http_client *c, int ms)
{
    event_add(c->soon, &(struct timeval){ 0, ms * 1000 });
}

static void look_up(evutil_socket_t fd, short what, void *arg)
{
    struct http_client *c = arg;
    struct sockaddr_storage to;
    socklen_t n = 0;
    int rc;

    (void)fd;
    (void)what;
    if (!c->resolve) {
        fail(c);
        return;
    }
    rc = resolve_poll(c->resolve, c->misses, &to, &n, &c->why);
    if (rc == 0) {
        wake_in(c, LOOKUP_MS);
        return;
    }
    resolve_free(c->resolve);
    c->resolve = NULL;
    if (rc < 0)
        fail(c);
    else if (!open_socket(c, &to, n))
        fail_with(c, ERR_IO, strerror(errno));
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    fail_with(arg, ERR_TIMEOUT, "no answer in time");
}

struct http_client *http_client_new(struct event_base *base, const struct http_url *url, http_client_done *done,
                                    void *arg)
{
    struct http_client *c = mem_zalloc(sizeof(*c));

    if (!c)
        return NULL;
    c->base = base;
    c->url = *url;
    c->done = done;
    c->arg = arg;
    c->fd = -1;
    c->head = (struct buf)BUF_INIT(4096);
    c->in = (struct buf)BUF_INIT(LONGEST_ANSWER);
    c->deadline = evtimer_new(base, on_deadline, c);
    c->soon = evtimer_new(base, look_up, c);
    if (!c->deadline || !c->soon) {
        http_client_free(c);
        return NULL;
    }
    return c;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    close_connection(c);
    if (c->deadline)
        event_free(c->deadline);
    if (c->soon)
        event_free(c->soon);
    buf_free(&c->head);
    buf_free(&c->in);
    mem_free(c);
}

static void make_head(struct http_client *c, const char *path, const char *headers)
{
    buf_reset(&c->head);
    buf_printf(&c->head, "POST %s%s HTTP/1.1\r\nHost: ", c->url.path, path);
    http_url_put_host(&c->url, &c->head);
    buf_printf(&c->head, "\r\nContent-Length: %zu\r\n%s\r\n", c->body.n, headers);
}

void http_client_post(struct http_client *c, const char *path, const char *headers, struct str body)
{
    c->body = body;
    c->sent = 0;
    buf_reset(&c->in);
    make_head(c, path, headers);
    event_add(c->deadline, &(struct timeval){ REQUEST_S, 0 });
    if (buf_failed(&c->head)) {
        close_connection(c);
        err_set(&c->why, ERR_NOMEM, "%s:%s: no memory for a request", c->url.host, c->url.port);
        wake_in(c, 0);
    } else if (c->state == IDLE) {
        c->state = BUSY;
        event_add(c->writable, NULL);
    } else {
        c->state = LOOKUP;
        c->resolve = resolve_start(c->url.host, c->url.port, &c->why);
        wake_in(c, 0);
    }
}
