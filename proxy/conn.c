#include "proxy/conn.h"

#include "base/mem.h"
#include "proxy/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { LINGER_S = 1, LINGER_SENDING_S = 30 }; /* the second without a byte sent */

static void update_reading(struct conn *c)
{
    bool want = !c->paused && !c->eof_seen && !c->connecting && c->fd >= 0 && c->in.n < CONN_MOST_IN;

    if (want == c->reading)
        return;
    c->reading = want;
    if (want)
        event_add(&c->rd, NULL);
    else
        event_del(&c->rd);
}

static void fail(struct conn *c, int err)
{
    if (c->fd >= 0)
        c->ops->error(c, err);
}

/* Shows bytes that lie outside of c->in, and keeps what is left of them. */
void conn_feed(struct conn *c, struct str bytes)
{
    size_t used;

    c->delivering = true;
    used = c->ops->data(c, bytes);
    c->delivering = false;
    if (c->fd < 0)
        return;
    buf_put(&c->in, bytes.p + used, bytes.n - used);
    if (buf_failed(&c->in))
        fail(c, ENOMEM);
    else
        update_reading(c);
}

static void deliver_kept(struct conn *c)
{
    size_t used;

    if (c->delivering || c->in.n == 0 || c->fd < 0)
        return;
    c->delivering = true;
    used = c->ops->data(c, buf_view(&c->in));
    c->delivering = false;
    if (c->fd < 0)
        return;
    buf_drain(&c->in, used);
    if (c->in.n == 0)
        buf_free(&c->in);
}

static void read_more(struct conn *c)
{
    bool kept = c->in.n > 0;
    char *to = kept ? buf_reserve(&c->in, CONN_MOST_IN) : c->w->scratch;
    ssize_t n;

    if (!to) {
        fail(c, ENOMEM);
        return;
    }
    n = read(c->fd, to, kept ? CONN_MOST_IN : CONN_SCRATCH);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail(c, errno);
        return;
    }
    if (n == 0) {
        c->eof_seen = true;
        update_reading(c);
        c->ops->eof(c);
    } else if (kept) {
        c->in.n += (size_t)n;
        deliver_kept(c);
    } else {
        conn_feed(c, (struct str){ to, (size_t)n });
    }
    if (c->fd >= 0)
        update_reading(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct worker *w = c->w;

    (void)fd, (void)what;
    worker_enter(w);
    read_more(c);
    worker_leave(w);
}

static void arm_writing(struct conn *c, bool on)
{
    if (on == c->writing)
        return;
    c->writing = on;
    if (on)
        event_add(&c->wr, NULL);
    else
        event_del(&c->wr);
}

static void finish_connecting(struct conn *c, short what)
{
    int err = 0;
    socklen_t n = sizeof(err);

    if (what & EV_TIMEOUT)
        err = ETIMEDOUT;
    else if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        err = errno;
    if (err) {
        fail(c, err);
        return;
    }
    c->connecting = false;
    update_reading(c);
    event_del(&c->wr);
    if (c->ops->connected)
        c->ops->connected(c);
    if (c->fd >= 0)
        conn_flush(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct worker *w = c->w;

    (void)fd;
    worker_enter(w);
    if (c->connecting)
        finish_connecting(c, what);
    else
        conn_flush(c);
    worker_leave(w);
}

static void start(struct conn *c, struct worker *w, int fd, const struct conn_ops *ops)
{
    *c = (struct conn){ .w = w, .ops = ops, .destroy = ops->destroy, .fd = fd,
                        .in = BUF_INIT(2 * CONN_MOST_IN), .out = BUF_INIT(CONN_MOST_OUT) };
    event_assign(&c->rd, w->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->wr, w->base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    w->nconns++;
}

void conn_open(struct conn *c, struct worker *w, int fd, const struct conn_ops *ops)
{
    start(c, w, fd, ops);
    update_reading(c);
}

void conn_open_connecting(struct conn *c, struct worker *w, int fd, const struct conn_ops *ops, int64_t timeout_ms)
{
    struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

    start(c, w, fd, ops);
    c->connecting = true;
    event_add(&c->wr, timeout_ms > 0 ? &tv : NULL);
}

static void forget(struct conn *c)
{
    struct worker *w = c->w;

    event_del(&c->rd);
    event_del(&c->wr);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->nconns--;
    c->fd = -1;
    c->dead_next = w->dead;
    w->dead = c; /* its buffers go with it: somebody may still be looking at them */
}

void conn_destroy(struct conn *c)
{
    buf_free(&c->in);
    buf_free(&c->out);
    c->destroy(c);
}

void conn_close(struct conn *c)
{
    int fd = c->fd;

    if (fd < 0)
        return;
    forget(c);
    close(fd);
}

int conn_detach(struct conn *c)
{
    int fd = c->fd;

    forget(c);
    return fd;
}

static size_t linger_data(struct conn *c, struct str bytes)
{
    (void)c;
    return bytes.n;
}

static void linger_error(struct conn *c, int err)
{
    (void)err;
    conn_close(c);
}

static void linger_drained(struct conn *c)
{
    (void)c;
}

static int64_t linger_deadline(const struct conn *c, int seconds)
{
    return c->w->now_ns + seconds * INT64_C(1000000000);
}

void conn_linger(struct conn *c)
{
    static const struct conn_ops linger = { .data = linger_data, .eof = conn_close, .error = linger_error,
                                            .drained = linger_drained, .deadline = conn_close };

    if (c->fd < 0)
        return;
    if (c->connecting) {
        conn_close(c);
        return;
    }
    c->ops = &linger;
    c->lingering = true;
    c->deadline_ns = linger_deadline(c, LINGER_SENDING_S);
    if (!c->delivering)
        buf_free(&c->in);
    conn_shut(c);
    c->paused = false;
    update_reading(c);
}

void conn_shut(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->shut_when_sent = true;
    conn_out(c); /* the end of the event sees to it */
}

struct buf *conn_out(struct conn *c)
{
    if (!c->flush_listed && c->fd >= 0) {
        c->flush_listed = true;
        c->flush_next = c->w->flush;
        c->w->flush = c;
    }
    return &c->out;
}

void conn_write(struct conn *c, struct str s)
{
    if (c->fd >= 0)
        buf_str(conn_out(c), s);
}

/* Sends pieces behind what is unsent, in one call. Returns how many bytes of the pieces went out, -1 on failure. */
static ssize_t send_pieces(struct conn *c, const struct str *pieces, size_t n)
{
    struct iovec v[5];
    size_t unsent = conn_unsent(c), k = 0;
    ssize_t sent;

    if (unsent)
        v[k++] = (struct iovec){ c->out.p + c->out_at, unsent };
    for (size_t i = 0; i < n; i++)
        v[k++] = (struct iovec){ (void *)(uintptr_t)pieces[i].p, pieces[i].n };
    sent = writev(c->fd, v, (int)k);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if ((size_t)sent < unsent) {
        c->out_at += (size_t)sent; /* conn_flush follows at the event's end and makes room */
        return 0;
    }
    c->out.n = c->out_at = 0;
    return sent - (ssize_t)unsent;
}

void conn_write_pieces(struct conn *c, const struct str *pieces, size_t n)
{
    size_t total = 0, sent = 0;

    if (c->fd < 0)
        return;
    for (size_t i = 0; i < n; i++)
        total += pieces[i].n;
    if (total >= CONN_DIRECT && !c->writing && !c->connecting) {
        ssize_t k = send_pieces(c, pieces, n);

        /* A failure is met again, and reported, when the event's end sends the rest. */
        sent = k > 0 ? (size_t)k : 0;
        if (sent == total)
            return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t skip = sent < pieces[i].n ? sent : pieces[i].n;

        buf_str(conn_out(c), str_from(pieces[i], skip));
        sent -= skip;
    }
}

bool conn_is_full(struct conn *c)
{
    if (conn_unsent(c) < CONN_HIGH)
        return false;
    c->above_high = true;
    return true;
}

static void sent_all(struct conn *c)
{
    c->out.n = c->out_at = 0;
    if (c->out.cap > CONN_DIRECT * 4)
        buf_free(&c->out);
    if (c->shut_when_sent && !c->shut) {
        c->shut = true;
        shutdown(c->fd, SHUT_WR);
    }
    if (c->lingering && c->eof_seen)
        conn_close(c);
    else if (c->lingering)
        c->deadline_ns = linger_deadline(c, LINGER_S);
}

void conn_flush(struct conn *c)
{
    if (c->fd < 0 || c->connecting)
        return;
    if (c->ops->fill)
        c->ops->fill(c);
    if (c->fd < 0)
        return;
    if (buf_failed(&c->out)) {
        fail(c, ENOBUFS);
        return;
    }
    if (conn_unsent(c)) {
        ssize_t n = write(c->fd, c->out.p + c->out_at, conn_unsent(c));

        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            fail(c, errno);
            return;
        }
        c->out_at += n > 0 ? (size_t)n : 0;
        if (n > 0 && c->lingering)
            c->deadline_ns = linger_deadline(c, LINGER_SENDING_S); /* slow is not gone */
        if (c->out_at >= CONN_LOW) { /* else what is sent would fill the buffer in the end */
            buf_drain(&c->out, c->out_at);
            c->out_at = 0;
        }
    }
    if (conn_unsent(c) == 0)
        sent_all(c);
    if (c->fd < 0)
        return;
    arm_writing(c, conn_unsent(c) > 0);
    if (c->above_high && conn_unsent(c) < CONN_LOW) {
        c->above_high = false;
        c->ops->drained(c);
    }
}

void conn_pause(struct conn *c)
{
    c->paused = true;
    update_reading(c);
}

void conn_resume(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->paused = false;
    deliver_kept(c);
    if (c->fd >= 0)
        update_reading(c);
}

struct str conn_addr_text(char out[CONN_ADDR_TEXT], const struct sockaddr_storage *ss)
{
    char ip[INET6_ADDRSTRLEN] = "";
    unsigned port;
    int n;

    if (ss->ss_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)ss;

        inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof(ip));
        port = ntohs(a->sin6_port);
        n = snprintf(out, CONN_ADDR_TEXT, "[%s]:%u", ip, port);
        return n > 0 ? (struct str){ out + 1, strlen(ip) } : STR_NULL;
    }
    inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)ss)->sin_addr, ip, sizeof(ip));
    port = ntohs(((const struct sockaddr_in *)(const void *)ss)->sin_port);
    n = snprintf(out, CONN_ADDR_TEXT, "%s:%u", ip, port);
    return n > 0 ? (struct str){ out, strlen(ip) } : STR_NULL;
}

void conn_local_text(const struct conn *c, char out[CONN_ADDR_TEXT])
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof(ss);

    if (getsockname(c->fd, (struct sockaddr *)&ss, &n) == 0)
        conn_addr_text(out, &ss);
}
