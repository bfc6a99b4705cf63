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
    bool want = c->fd >= 0 && !c->eof_seen && (c->securing || (!c->paused && !c->connecting && c->in.n < CONN_MOST_IN));

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

static ssize_t read_socket(struct conn *c, char *to, size_t room)
{
    return c->tls ? tls_link_read(c->tls, c->fd, to, room) : read(c->fd, to, room);
}

/* The end, or an error, that came together with bytes: nothing more comes from the socket to tell it. */
static void read_again_if_over(struct conn *c)
{
    if (c->fd >= 0 && c->tls && c->reading && (c->tls->eof || c->tls->broken))
        event_active(&c->rd, EV_READ, 0);
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
    n = read_socket(c, to, kept ? CONN_MOST_IN : CONN_SCRATCH);
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
    read_again_if_over(c);
}

static void shake_hands(struct conn *c);

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct worker *w = c->w;

    (void)fd;
    worker_enter(w);
    if (c->connecting && ((what & EV_TIMEOUT) || (c->connect_by_ns && c->connect_by_ns <= w->now_ns)))
        fail(c, ETIMEDOUT);
    else if (c->securing)
        shake_hands(c);
    else
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

/* The owner may have it: what has come behind the handshake is the first to be shown. */
static void tell_connected(struct conn *c)
{
    c->connecting = c->securing = false;
    update_reading(c);
    event_del(&c->wr);
    c->writing = false;
    if (c->ops->connected)
        c->ops->connected(c);
    if (c->fd >= 0)
        conn_flush(c);
    deliver_kept(c);
    if (c->fd >= 0)
        update_reading(c);
    read_again_if_over(c);
}

/* What the peer has sent right behind its part of the handshake is in the link, and has to be taken before the link's
 * memory serves the next connection. */
static bool keep_early(struct conn *c)
{
    ssize_t n;

    while ((n = tls_link_read_early(c->tls, c->w->scratch, CONN_SCRATCH)) > 0)
        buf_put(&c->in, c->w->scratch, (size_t)n);
    return !buf_failed(&c->in);
}

static void shake_hands(struct conn *c)
{
    int rc = tls_link_shake(c->tls, c->fd);

    if (rc < 0) {
        fail(c, errno);
    } else if (rc == 0) {
        arm_writing(c, tls_link_unsent(c->tls) > 0);
    } else if (!keep_early(c)) {
        fail(c, ENOMEM);
    } else {
        event_remove_timer(&c->rd);
        tell_connected(c);
    }
}

static void start_securing(struct conn *c)
{
    int64_t left_ns = c->connect_by_ns - c->w->now_ns;
    struct timeval tv = { left_ns / 1000000000, left_ns % 1000000000 / 1000 };

    c->securing = c->reading = true;
    event_del(&c->wr);
    if (c->connect_by_ns && left_ns <= 0) {
        fail(c, ETIMEDOUT);
        return;
    }
    event_add(&c->rd, c->connect_by_ns ? &tv : NULL);
    shake_hands(c);
}

static void finish_connecting(struct conn *c, short what)
{
    int err = 0;
    socklen_t n = sizeof(err);

    if (what & EV_TIMEOUT)
        err = ETIMEDOUT;
    else if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        err = errno;
    /* It is short and the first: a socket that does not take it at once is none. */
    if (!err && c->preamble.n && write(c->fd, c->preamble.p, c->preamble.n) != (ssize_t)c->preamble.n)
        err = EPIPE;
    if (err) {
        fail(c, err);
        return;
    }
    if (c->tls)
        start_securing(c);
    else
        tell_connected(c);
}

/* The rest of our part of the handshake. */
static void flush_handshake(struct conn *c)
{
    if (tls_link_flush(c->tls, c->fd) < 0)
        fail(c, errno);
    else
        arm_writing(c, tls_link_unsent(c->tls) > 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct worker *w = c->w;

    (void)fd;
    worker_enter(w);
    if (c->securing)
        flush_handshake(c);
    else if (c->connecting)
        finish_connecting(c, what);
    else
        conn_flush(c);
    worker_leave(w);
}

static void start(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops)
{
    *c = (struct conn){ .w = w, .ops = ops, .destroy = ops->destroy, .fd = s.fd, .tls = s.tls,
                        .in = BUF_INIT(2 * CONN_MOST_IN), .out = BUF_INIT(CONN_MOST_OUT) };
    event_assign(&c->rd, w->base, s.fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->wr, w->base, s.fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    w->nconns++;
}

void conn_open(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops)
{
    start(c, w, s, ops);
    update_reading(c);
    read_again_if_over(c);
    if (c->tls)
        arm_writing(c, tls_link_unsent(c->tls) > 0);
}

void conn_open_connecting(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops,
                          int64_t timeout_ms)
{
    struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };

    start(c, w, s, ops);
    c->connecting = true;
    if (timeout_ms > 0)
        c->connect_by_ns = w->now_ns + timeout_ms * 1000000;
    event_add(&c->wr, timeout_ms > 0 ? &tv : NULL);
}

void conn_secure(struct conn *c, struct tls_link *tls)
{
    c->tls = tls;
    c->connecting = c->securing = true;
    update_reading(c);
    shake_hands(c);
}

void conn_socket_close(struct conn_socket *s)
{
    tls_link_free(s->tls);
    close(s->fd);
    *s = (struct conn_socket){ .fd = -1 };
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
    tls_link_free(c->tls);
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

struct conn_socket conn_detach(struct conn *c)
{
    struct conn_socket s = { c->fd, c->tls };

    c->tls = NULL;
    forget(c);
    return s;
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
    if (c->securing && c->tls->broken) { /* the alert that says why is on its way: a reset must not overtake it */
        tls_link_free(c->tls);
        c->tls = NULL;
        c->connecting = c->securing = false;
    }
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

/* As writev(). */
static ssize_t send_to_socket(struct conn *c, struct iovec *v, size_t n)
{
    return c->tls ? tls_link_writev(c->tls, c->fd, v, n) : writev(c->fd, v, (int)n);
}

/* Sends pieces behind what is unsent, in one call. Returns how many bytes of the pieces went out, -1 on failure. */
static ssize_t send_pieces(struct conn *c, const struct str *pieces, size_t n)
{
    struct iovec v[5];
    size_t unsent = c->out.n - c->out_at, k = 0;
    ssize_t sent;

    if (unsent)
        v[k++] = (struct iovec){ c->out.p + c->out_at, unsent };
    for (size_t i = 0; i < n; i++)
        v[k++] = (struct iovec){ (void *)(uintptr_t)pieces[i].p, pieces[i].n };
    sent = send_to_socket(c, v, k);
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

/* Our half is over; with TLS its last word has to go out before. False: it waits. */
static bool say_goodbye(struct conn *c)
{
    if (c->tls && c->shut_when_sent && !c->shut && tls_link_shut(c->tls, c->fd) == 0)
        return tls_link_unsent(c->tls) == 0;
    return true; /* where that failed the socket's end has to do */
}

static void sent_all(struct conn *c)
{
    c->out.n = c->out_at = 0;
    if (c->out.cap > CONN_DIRECT * 4 || c->tls) /* which is large enough by itself */
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
        struct iovec v = { c->out.p + c->out_at, c->out.n - c->out_at };
        ssize_t n = send_to_socket(c, &v, 1);

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
    if (conn_unsent(c) == 0 && say_goodbye(c))
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
    read_again_if_over(c);
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
