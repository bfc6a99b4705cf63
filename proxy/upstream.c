#include "proxy/upstream.h"

#include "base/mem.h"
#include "proxy/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static bool source_addr(struct sockaddr_storage *ss, socklen_t *n, struct str ip, int family)
{
    struct sockaddr_in *v4 = (void *)ss;
    struct sockaddr_in6 *v6 = (void *)ss;
    char text[INET6_ADDRSTRLEN];

    if (ip.n == 0 || ip.n >= sizeof(text))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    memset(ss, 0, sizeof(*ss));
    ss->ss_family = (sa_family_t)family;
    *n = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
    return inet_pton(family, text, family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) == 1;
}

int upstream_dial(const struct upstream_host *h, struct str source)
{
    int fd = socket(h->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, saved;
    struct sockaddr_storage from;
    socklen_t n;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (source_addr(&from, &n, source, h->addr.ss_family)) {
        /* The port is chosen at connect(), by the whole four-tuple: no bind per connection runs out of ports. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&from, n) < 0)
            goto fail;
    }
    if (connect(fd, (const struct sockaddr *)&h->addr, h->addr_n) < 0 && errno != EINPROGRESS)
        goto fail;
    return fd;
fail:
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

const char *upstream_why(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return "delayed connect error: Connection refused";
    case EHOSTUNREACH:
        return "delayed connect error: No route to host";
    case ENETUNREACH:
        return "delayed connect error: Network is unreachable";
    case ETIMEDOUT:
        return "connection timeout";
    default:
        return "immediate connect error";
    }
}

static struct upstream_conn *of(struct conn *c)
{
    return (struct upstream_conn *)c;
}

static void leave_pool(struct upstream_conn *u)
{
    if (u->prev_idle)
        u->prev_idle->next_idle = u->next_idle;
    else if (u->host->idle == u)
        u->host->idle = u->next_idle;
    if (u->next_idle)
        u->next_idle->prev_idle = u->prev_idle;
    u->next_idle = u->prev_idle = NULL;
}

/* Ends the handler's part; the host has one request less. */
static void let_go(struct upstream_conn *u)
{
    if (u->handler) {
        u->handler = NULL;
        u->host->active--;
    }
}

static void close_conn(struct upstream_conn *u)
{
    leave_pool(u);
    let_go(u);
    conn_close(&u->c);
}

static void fail(struct upstream_conn *u, enum upstream_failure why, int err)
{
    const struct upstream_handler *handler = u->handler;
    void *arg = u->arg;

    close_conn(u);
    if (handler)
        handler->fail(arg, why, err);
}

static void enter_pool(struct upstream_conn *u)
{
    struct worker *w = u->c.w;

    u->scan = (struct http1_scan){ 0 };
    u->next_idle = u->host->idle;
    if (u->next_idle)
        u->next_idle->prev_idle = u;
    u->host->idle = u;
    u->c.deadline_ns = u->idle_timeout_ms > 0 ? w->now_ns + u->idle_timeout_ms * 1000000 : 0;
}

/* The response is complete. */
static void finish(struct upstream_conn *u, bool more_bytes)
{
    const struct upstream_handler *handler = u->handler;
    void *arg = u->arg;
    bool keep = u->keep && u->request_sent && !more_bytes && !u->c.eof_seen && u->host->views > 0 &&
                conn_unsent(&u->c) == 0 && !u->c.w->draining &&
                (u->most_requests == 0 || u->requests < u->most_requests);

    let_go(u);
    if (keep) {
        enter_pool(u);
        conn_resume(&u->c); /* the handler may have paused it just now */
    } else {
        conn_close(&u->c);
    }
    handler->end(arg);
}

/* Returns the bytes that the head took, 0 when it is incomplete or the connection is gone. */
static size_t take_head(struct upstream_conn *u, struct str bytes)
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
    if (h.status < 200 && h.status != 101)
        return h.size;
    u->head_seen = true;
    u->keep = h.keep_alive && h.framing != HTTP_UNTIL_CLOSE && h.status != 101;
    http1_body_init(&u->body, h.framing, h.length);
    u->handler->head(u->arg, &h);
    return h.size;
}

static size_t take_body(struct upstream_conn *u, struct str bytes)
{
    struct str rest = bytes, data;

    while (u->handler) {
        switch (http1_body_next(&u->body, &rest, &data)) {
        case HTTP1_BODY_DATA:
            u->handler->data(u->arg, data);
            break;
        case HTTP1_BODY_MORE:
            return bytes.n - rest.n;
        case HTTP1_BODY_END:
            finish(u, rest.n > 0);
            return bytes.n;
        case HTTP1_BODY_BAD:
            fail(u, UPSTREAM_PROTOCOL, 0);
            return bytes.n;
        }
    }
    return bytes.n;
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct upstream_conn *u = of(c);
    size_t used = 0;

    if (!u->handler) { /* a response to nothing */
        close_conn(u);
        return bytes.n;
    }
    u->any_byte = true;
    while (u->handler && !u->head_seen && used < bytes.n) {
        size_t n = take_head(u, str_from(bytes, used));

        if (n == 0)
            return used;
        used += n;
    }
    if (!u->handler)
        return bytes.n;
    if (!u->tunnel)
        return used + take_body(u, str_from(bytes, used));
    if (used < bytes.n)
        u->handler->data(u->arg, str_from(bytes, used));
    return bytes.n;
}

static void on_eof(struct conn *c)
{
    struct upstream_conn *u = of(c);

    if (!u->handler)
        close_conn(u);
    else if (u->tunnel || (u->head_seen && u->body.framing == HTTP_UNTIL_CLOSE))
        finish(u, false);
    else
        fail(u, UPSTREAM_CLOSED, 0);
}

static void on_error(struct conn *c, int err)
{
    struct upstream_conn *u = of(c);

    fail(u, !c->connecting ? UPSTREAM_CLOSED : err == ETIMEDOUT ? UPSTREAM_TIMEOUT : UPSTREAM_CONNECT, err);
}

static void on_connected(struct conn *c)
{
    struct upstream_conn *u = of(c);
    struct sockaddr_storage ss;
    socklen_t n = sizeof(ss);

    if (getsockname(c->fd, (struct sockaddr *)&ss, &n) == 0)
        conn_addr_text(u->local, &ss);
}

static void on_drained(struct conn *c)
{
    struct upstream_conn *u = of(c);

    if (u->handler)
        u->handler->drained(u->arg);
}

static void on_deadline(struct conn *c)
{
    close_conn(of(c));
}

/* While the worker drains, idle connections are of no use any more. */
static void on_drain(struct conn *c)
{
    struct upstream_conn *u = of(c);

    if (!u->handler && c->w->draining)
        close_conn(u);
}

static void destroy(struct conn *c)
{
    struct upstream_conn *u = of(c);

    upstream_host_put(u->host);
    mem_free(u);
}

static const struct conn_ops upstream_ops = {
    .data = on_data, .eof = on_eof, .error = on_error, .connected = on_connected, .drained = on_drained,
    .deadline = on_deadline, .drain = on_drain, .destroy = destroy,
};

static struct upstream_conn *connect_new(struct upstream_host *h, const struct cluster *c, struct str source)
{
    int fd = upstream_dial(h, source);
    struct upstream_conn *u = fd >= 0 ? mem_zalloc(sizeof(*u)) : NULL;

    if (!u) {
        if (fd >= 0) {
            close(fd);
            errno = ENOMEM;
        }
        return NULL;
    }
    u->host = h;
    h->refs++;
    u->idle_timeout_ms = c->idle_timeout_ms;
    u->most_requests = c->max_requests_per_connection;
    conn_open_connecting(&u->c, h->w, fd, &upstream_ops, c->connect_timeout_ms);
    return u;
}

struct upstream_conn *upstream_open(struct upstream_host *h, const struct cluster *c, struct str source, bool fresh,
                                    const struct upstream_handler *handler, void *arg)
{
    struct upstream_conn *u = fresh ? NULL : h->idle;

    if (u)
        leave_pool(u);
    else
        u = connect_new(h, c, source);
    if (!u)
        return NULL;
    u->handler = handler;
    u->arg = arg;
    u->c.deadline_ns = 0;
    u->requests++;
    u->request_sent = u->head_seen = u->any_byte = u->tunnel = false;
    h->active++;
    return u;
}

struct buf *upstream_request(struct upstream_conn *u, bool to_head, enum http_framing framing)
{
    u->to_head = to_head;
    u->chunk_request = framing == HTTP_STREAMED;
    return conn_out(&u->c);
}

void upstream_send(struct upstream_conn *u, struct str body_bytes)
{
    char size[20];
    struct str pieces[3] = { { size, 0 }, body_bytes, STR("\r\n") };

    if (u->chunk_request && !u->tunnel) {
        pieces[0].n = (size_t)snprintf(size, sizeof(size), "%zx\r\n", body_bytes.n);
        conn_write_pieces(&u->c, pieces, 3);
    } else {
        conn_write_pieces(&u->c, &body_bytes, 1);
    }
}

void upstream_sent(struct upstream_conn *u)
{
    u->request_sent = true;
    if (u->chunk_request)
        conn_write(&u->c, STR("0\r\n\r\n"));
}

void upstream_tunnel(struct upstream_conn *u)
{
    u->tunnel = true;
    u->keep = false;
}

void upstream_abort(struct upstream_conn *u)
{
    close_conn(u);
}

void upstream_close_idle(struct upstream_host *h)
{
    while (h->idle)
        close_conn(h->idle);
}
