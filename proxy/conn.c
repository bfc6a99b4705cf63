#include "proxy/conn.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LINGER_S = 1,
    LINGER_SENDING_S = 30,      /* the second without a byte sent */
    MOST_SPARE = 32,            /* buffers */
    MOST_SPARE_BYTES = 16 * 1024 /* in each */
};

/* ---- buffers ---- */

/* Never NULL: without memory one that has failed, which the end of the event finds. */
static struct conn_buf *take_buf(struct worker *w, size_t most)
{
    struct conn_buf *b = w->spare;

    if (b) {
        w->spare = b->next;
        w->nspare--;
    } else {
        b = mem_zalloc(sizeof(*b));
    }
    if (!b) {
        w->no_buf.buf.failed = true;
        return &w->no_buf;
    }
    b->buf.max = most;
    return b;
}

static void give_buf(struct worker *w, struct conn_buf **at)
{
    struct conn_buf *b = *at;

    *at = NULL;
    if (!b || b == &w->no_buf)
        return;
    if (b->buf.cap > MOST_SPARE_BYTES || w->nspare == MOST_SPARE) {
        buf_free(&b->buf);
        mem_free(b);
        return;
    }
    buf_reset(&b->buf);
    b->at = 0;
    b->next = w->spare;
    w->spare = b;
    w->nspare++;
}

void conn_buf_free_all(struct worker *w)
{
    struct conn_buf *b;

    while ((b = w->spare)) {
        w->spare = b->next;
        buf_free(&b->buf);
        mem_free(b);
    }
    w->nspare = 0;
}

static void keep(struct conn *c, struct str bytes)
{
    if (bytes.n == 0)
        return;
    if (!c->in)
        c->in = take_buf(c->w, 2 * CONN_MOST_IN);
    buf_str(&c->in->buf, bytes);
}

static bool keeping_failed(const struct conn *c)
{
    return c->in && buf_failed(&c->in->buf);
}

/* ---- reading ---- */

static bool wants_bytes(const struct conn *c)
{
    return c->fd >= 0 && !c->eof_seen &&
           (c->securing || (!c->paused && !c->connecting && conn_kept(c).n < CONN_MOST_IN));
}

/* It has a turn if there is something that it wants. */
static void look(struct conn *c)
{
    if (c->readable && wants_bytes(c))
        poller_list(&c->w->poller, c);
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
    keep(c, str_from(bytes, used));
    if (keeping_failed(c))
        fail(c, ENOMEM);
    else
        look(c);
}

static void deliver_kept(struct conn *c)
{
    size_t used;

    if (c->delivering || !c->in || c->fd < 0)
        return;
    c->delivering = true;
    used = c->ops->data(c, buf_view(&c->in->buf));
    c->delivering = false;
    if (c->fd < 0)
        return;
    buf_drain(&c->in->buf, used);
    if (c->in->buf.n == 0)
        give_buf(c->w, &c->in);
}

/* What is known about the socket after it gave n bytes of the `room` asked for, or -1: errno. The end, and an error, are
 * still behind less than was asked for, when there is one. */
static void note_read(struct conn *c, ssize_t n, size_t room)
{
    if (n < 0 && errno == EAGAIN)
        c->readable = c->hung_up = false;
    else if (n >= 0)
        c->readable = (size_t)n == room || c->hung_up;
}

static ssize_t read_plain(struct conn *c, char *to, size_t room)
{
    ssize_t n = recv(c->fd, to, room, 0);

    note_read(c, n, room);
    c->bulk = n >= SPLICE_LEAST;
    return n;
}

/* The end, or an error, may have come together with bytes: nothing more comes from the socket to tell it. */
static void note_tls(struct conn *c)
{
    switch (c->tls->supply) {
    case TLS_NOT_READ:
    case TLS_MORE:
        break;
    case TLS_SHORT:
        c->readable = c->hung_up;
        break;
    case TLS_EMPTY:
        c->readable = c->hung_up = false;
        break;
    }
    if (c->tls->eof || c->tls->broken)
        c->readable = true;
}

static ssize_t read_tls(struct conn *c, char *to, size_t room)
{
    ssize_t n = tls_link_read(c->tls, c->fd, to, room);
    int saved = errno;

    note_tls(c);
    errno = saved;
    return n;
}

static void take_end(struct conn *c)
{
    c->eof_seen = true;
    c->ops->eof(c);
}

/* Bulk goes where it has to without coming here. False: it has to be read after all. */
static bool pass_through(struct conn *c)
{
    uint64_t most = 0;
    struct conn *to = c->bulk && c->ops->through && !c->in && !c->tls ? c->ops->through(c, &most) : NULL;
    size_t n = 0;

    if (!to || most < SPLICE_LEAST)
        return false;
    switch (splice_pass(c, to, most, &n)) {
    case SPLICE_NOT:
        return false;
    case SPLICE_DONE:
        c->bulk = n >= SPLICE_LEAST;
        c->ops->passed(c, n);
        break;
    case SPLICE_WAITS:
        return true;
    case SPLICE_END:
        take_end(c);
        break;
    case SPLICE_ERROR:
        note_read(c, -1, 0);
        if (errno != EAGAIN && errno != EINTR)
            fail(c, errno);
        break;
    }
    if (!c->feeds)
        look(c);
    return true;
}

/* What came of reading into memory outside of c->in; n as recv(). */
static void take_read(struct conn *c, const char *p, ssize_t n)
{
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            fail(c, errno);
    } else if (n == 0) {
        take_end(c);
    } else if (c->in || !wants_bytes(c)) { /* it was paused after they had been read */
        keep(c, (struct str){ p, (size_t)n });
        if (keeping_failed(c))
            fail(c, ENOMEM);
        else if (wants_bytes(c))
            deliver_kept(c);
    } else {
        conn_feed(c, (struct str){ p, (size_t)n });
    }
}

static void read_more(struct conn *c);

static void take_ahead(struct conn *c)
{
    const struct conn_ahead *a = c->ahead;
    const char *p = a->bytes;
    ssize_t n = a->n;
    bool more;
    int saved;

    c->ahead = NULL;
    if (n < 0) {
        errno = (int)-n;
        n = -1;
    }
    note_read(c, n, CONN_AHEAD);
    more = n == CONN_AHEAD;
    if (c->tls && n > 0) {
        n = tls_link_open(c->tls, c->fd, (struct str){ a->bytes, (size_t)n }, c->w->scratch, CONN_SCRATCH);
        p = c->w->scratch;
        saved = errno;
        note_tls(c);
        errno = saved;
    }
    take_read(c, p, n);
    if (more && c->readable && wants_bytes(c))
        read_more(c); /* there is more than small pieces */
    else
        look(c);
}

static void read_more(struct conn *c)
{
    bool kept = c->in != NULL;
    char *to = kept ? buf_reserve(&c->in->buf, CONN_MOST_IN) : c->w->scratch;
    size_t room = kept ? CONN_MOST_IN : CONN_SCRATCH;
    ssize_t n;

    if (!to) {
        fail(c, ENOMEM);
        return;
    }
    if (pass_through(c))
        return;
    n = c->tls ? read_tls(c, to, room) : read_plain(c, to, room);
    if (n > 0 && kept) {
        c->in->buf.n += (size_t)n;
        deliver_kept(c);
    } else {
        take_read(c, to, n);
    }
    look(c);
}

/* ---- connecting ---- */

static void flush(struct conn *c);

/* The owner may have it: what has come behind the handshake is the first to be shown. */
static void tell_connected(struct conn *c)
{
    c->connecting = c->securing = false;
    c->connect_by_ns = 0;
    if (c->ops->connected)
        c->ops->connected(c);
    if (c->fd >= 0)
        flush(c);
    deliver_kept(c);
    look(c);
}

/* What the peer has sent right behind its part of the handshake is in the link, and has to be taken before the link's
 * memory serves the next connection. */
static bool keep_early(struct conn *c)
{
    ssize_t n;

    while ((n = tls_link_read_early(c->tls, c->w->scratch, CONN_SCRATCH)) > 0)
        keep(c, (struct str){ c->w->scratch, (size_t)n });
    return !keeping_failed(c);
}

static void shake_hands(struct conn *c)
{
    int rc = tls_link_shake(c->tls, c->fd), saved = errno;
    bool early = rc <= 0 || keep_early(c);

    note_tls(c);
    c->writable = tls_link_unsent(c->tls) == 0;
    if (rc < 0)
        fail(c, saved);
    else if (!early)
        fail(c, ENOMEM);
    else if (rc > 0)
        tell_connected(c);
    else
        look(c);
}

static void finish_connecting(struct conn *c)
{
    int err = 0;
    socklen_t n = sizeof(err);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        err = errno;
    /* It is short and the first: a socket that does not take it at once is none. */
    if (!err && c->preamble.n && send(c->fd, c->preamble.p, c->preamble.n, MSG_NOSIGNAL) != (ssize_t)c->preamble.n)
        err = EPIPE;
    if (err) {
        fail(c, err);
    } else if (c->tls) {
        c->securing = true;
        shake_hands(c);
    } else {
        tell_connected(c);
    }
}

/* The rest of our part of the handshake. */
static void flush_handshake(struct conn *c)
{
    if (tls_link_flush(c->tls, c->fd) < 0)
        fail(c, errno);
    else
        c->writable = tls_link_unsent(c->tls) == 0;
}

static void limit_connecting(struct worker *w, int64_t by_ns)
{
    int64_t left_ns = by_ns > w->now_ns ? by_ns - w->now_ns : 0;
    struct timeval tv = { left_ns / 1000000000, left_ns % 1000000000 / 1000 + 1 };

    if (w->connect_look_ns && w->connect_look_ns <= by_ns)
        return;
    w->connect_look_ns = by_ns;
    event_add(w->connect_timer, &tv);
}

void conn_check_connecting(struct worker *w)
{
    struct conn *next;

    w->connect_look_ns = 0;
    for (struct conn *c = w->conns; c; c = next) {
        next = c->next;
        if (c->fd < 0 || !c->connecting || c->connect_by_ns == 0)
            continue;
        if (c->connect_by_ns <= w->now_ns)
            fail(c, ETIMEDOUT);
        else
            limit_connecting(w, c->connect_by_ns);
    }
}

/* ---- turns ---- */

void conn_news(struct conn *c, bool readable, bool writable, bool hung_up)
{
    c->readable |= readable;
    c->writable |= writable;
    c->hung_up |= hung_up;
}

static void turn(struct conn *c)
{
    if (c->connecting && !c->securing) {
        if (c->writable)
            finish_connecting(c);
        return;
    }
    if (c->securing && c->writable && tls_link_unsent(c->tls))
        flush_handshake(c);
    else if (!c->connecting && c->writable && conn_unsent(c))
        flush(c);
    if (c->fd >= 0 && c->ahead) {
        take_ahead(c);
        return;
    }
    if (!c->readable || !wants_bytes(c))
        return;
    if (c->securing)
        shake_hands(c);
    else
        read_more(c);
}

bool conn_reads_ahead(const struct conn *c)
{
    return c->readable && (!c->tls || (!c->tls->eof && !c->tls->broken)) && !c->in && !c->bulk && !c->connecting && wants_bytes(c);
}

void conn_turn(struct conn *c)
{
    struct worker *w = c->w;

    worker_enter(w);
    if (c->fd >= 0)
        turn(c);
    worker_leave(w);
}

/* ---- from its beginning to its end ---- */

/* Without memory for the poller it is as good as broken, which its first turn finds. */
static void start(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops)
{
    *c = (struct conn){ .w = w, .ops = ops, .destroy = ops->destroy, .fd = s.fd, .tls = s.tls, .readable = s.readable,
                        .writable = s.writable, .hung_up = s.hung_up };
    c->next = w->conns;
    if (c->next)
        c->next->prev = c;
    w->conns = c;
    w->nconns++;
    if (s.registered) {
        poller_assign(&w->poller, s.fd, c);
    } else if (poller_add(&w->poller, c) < 0) {
        log_error("a connection cannot be watched: %m");
        shutdown(s.fd, SHUT_RDWR);
        conn_news(c, true, true, true);
        poller_list(&w->poller, c);
    }
}

void conn_open(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops)
{
    start(c, w, s, ops);
    if (!s.registered)
        c->writable = true; /* until it says otherwise */
    look(c);
}

void conn_open_connecting(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops,
                          int64_t timeout_ms)
{
    start(c, w, s, ops);
    c->connecting = true;
    if (timeout_ms <= 0)
        return;
    c->connect_by_ns = w->now_ns + timeout_ms * 1000000;
    limit_connecting(w, c->connect_by_ns);
}

void conn_secure(struct conn *c, struct tls_link *tls)
{
    c->tls = tls;
    c->connecting = c->securing = true;
    shake_hands(c);
}

void conn_socket_close(struct worker *w, struct conn_socket *s)
{
    if (s->registered)
        poller_assign(&w->poller, s->fd, NULL);
    tls_link_free(s->tls);
    close(s->fd);
    *s = (struct conn_socket){ .fd = -1 };
}

static void await_destruction(struct conn *c)
{
    c->leave_next = c->w->dead;
    c->w->dead = c;
}

static void forget(struct conn *c)
{
    struct worker *w = c->w;

    poller_assign(&w->poller, c->fd, NULL);
    poller_unlist(&w->poller, c);
    splice_forget(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        w->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    w->nconns--;
    c->fd = -1;
    if (!c->flush_listed)
        await_destruction(c); /* its buffers go with it: somebody may still be looking at them */
}

void conn_destroy(struct conn *c)
{
    give_buf(c->w, &c->in);
    give_buf(c->w, &c->out);
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
    struct conn_socket s = { .fd = c->fd, .tls = c->tls, .registered = true, .readable = c->readable,
                             .writable = c->writable, .hung_up = c->hung_up };

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
        give_buf(c->w, &c->in);
    conn_shut(c);
    c->paused = false;
    look(c);
}

void conn_end(struct conn *c)
{
    bool silent = !c->readable && conn_kept(c).n == 0;

    conn_linger(c);
    c->ending = silent; /* else a reset could overtake what we have sent */
}

void conn_shut(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->shut_when_sent = true;
    conn_out(c); /* the end of the event sees to it */
}

/* ---- writing ---- */

static void list_for_flush(struct conn *c)
{
    if (c->flush_listed || c->fd < 0)
        return;
    c->flush_listed = true;
    c->leave_next = c->w->flush;
    c->w->flush = c;
}

struct buf *conn_out(struct conn *c)
{
    if (!c->out)
        c->out = take_buf(c->w, CONN_MOST_OUT);
    list_for_flush(c);
    return &c->out->buf;
}

void conn_write(struct conn *c, struct str s)
{
    if (c->fd >= 0)
        buf_str(conn_out(c), s);
}

/* As writev(). */
static ssize_t send_to_socket(struct conn *c, struct iovec *v, size_t n)
{
    struct msghdr m = { .msg_iov = v, .msg_iovlen = n };

    if (c->tls)
        return tls_link_writev(c->tls, c->fd, v, n);
    if (n == 1)
        return send(c->fd, v->iov_base, v->iov_len, MSG_NOSIGNAL);
    return sendmsg(c->fd, &m, MSG_NOSIGNAL);
}

/* Sends what is unsent, and pieces behind it, in one call. Returns how many bytes of the pieces went out, -1 on failure. */
static ssize_t send_pieces(struct conn *c, const struct str *pieces, size_t n)
{
    struct iovec v[5];
    size_t unsent = c->out ? c->out->buf.n - c->out->at : 0, total = unsent, k = 0;
    ssize_t sent;

    if (unsent)
        v[k++] = (struct iovec){ c->out->buf.p + c->out->at, unsent };
    for (size_t i = 0; i < n; i++) {
        v[k++] = (struct iovec){ (void *)(uintptr_t)pieces[i].p, pieces[i].n };
        total += pieces[i].n;
    }
    sent = send_to_socket(c, v, k);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        return -1;
    if (sent < 0)
        sent = 0;
    c->writable = (size_t)sent == total && (!c->tls || tls_link_unsent(c->tls) == 0);
    if (c->out)
        c->out->at += (size_t)sent < unsent ? (size_t)sent : unsent;
    return (size_t)sent < unsent ? 0 : sent - (ssize_t)unsent;
}

void conn_write_pieces(struct conn *c, const struct str *pieces, size_t n)
{
    size_t total = 0, sent = 0;

    if (c->fd < 0)
        return;
    for (size_t i = 0; i < n; i++)
        total += pieces[i].n;
    if (total >= CONN_DIRECT && c->writable && !c->connecting && !c->fed_by) {
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
    if (c->tls && c->shut_when_sent && !c->shut && tls_link_shut(c->tls, c->fd) == 0) {
        c->writable = tls_link_unsent(c->tls) == 0;
        return c->writable;
    }
    return true; /* where that failed the socket's end has to do */
}

static void sent_all(struct conn *c)
{
    give_buf(c->w, &c->out);
    if (c->ending || (c->lingering && c->eof_seen)) {
        conn_close(c);
        return;
    }
    if (c->shut_when_sent && !c->shut) {
        c->shut = true;
        shutdown(c->fd, SHUT_WR);
    }
    if (c->lingering)
        c->deadline_ns = linger_deadline(c, LINGER_S);
}

/* Who answers in front of a request's end and closes resets what still comes: the answer is there to be read. */
static void fail_sending(struct conn *c, int err)
{
    if (!c->ops->hears_out || c->eof_seen || (err != EPIPE && err != ECONNRESET)) {
        fail(c, err);
        return;
    }
    c->writable = false;
    c->readable = c->hung_up = true;
    look(c);
}

/* Sends what is unsent. False: it has failed. */
static bool send_unsent(struct conn *c)
{
    if (!c->writable || conn_unsent(c) == 0)
        return true;
    if ((c->fed_by && splice_flush(c) < 0) || (c->writable && conn_unsent(c) && send_pieces(c, NULL, 0) < 0)) {
        fail_sending(c, errno);
        return false;
    }
    return true;
}

/* Before sending. False: there is nothing to be sent, now or at all. */
static bool begin_sending(struct conn *c)
{
    if (c->fd < 0 || c->connecting)
        return false;
    if (c->ops->fill)
        c->ops->fill(c);
    if (c->fd >= 0 && c->out && buf_failed(&c->out->buf))
        fail(c, ENOBUFS);
    return c->fd >= 0;
}

/* After it, when there were `before` bytes unsent. */
static void end_sending(struct conn *c, size_t before)
{
    if (c->lingering && conn_unsent(c) < before)
        c->deadline_ns = linger_deadline(c, LINGER_SENDING_S); /* slow is not gone */
    if (c->out && c->out->at >= CONN_LOW) { /* else what is sent would fill the buffer in the end */
        buf_drain(&c->out->buf, c->out->at);
        c->out->at = 0;
    }
    if (conn_unsent(c) == 0 && say_goodbye(c))
        sent_all(c);
    if (c->fd >= 0 && c->above_high && conn_unsent(c) < CONN_LOW) {
        c->above_high = false;
        c->ops->drained(c);
    }
}

static void flush(struct conn *c)
{
    size_t before;

    if (!begin_sending(c))
        return;
    before = conn_unsent(c);
    if (send_unsent(c))
        end_sending(c, before);
}

/* What it has put may go out together with others'. */
static bool may_send_together(const struct conn *c)
{
    if (c->fed_by || !c->out || !c->writable || conn_unsent(c) == 0)
        return false;
    return !c->tls || (!c->tls->broken && tls_link_unsent(c->tls) == 0 && conn_unsent(c) <= CONN_AHEAD);
}

static void leave_flush(struct conn *c)
{
    c->flush_listed = false;
    if (c->fd < 0)
        await_destruction(c);
}

/* False: it was sent on its own, or had nothing to send. */
static bool prepare(struct conn *c)
{
    bool begun = begin_sending(c);
    size_t before;

    if (begun && may_send_together(c))
        return true;
    leave_flush(c);
    if (!begun)
        return false;
    before = conn_unsent(c);
    if (send_unsent(c))
        end_sending(c, before);
    return false;
}

/* What is to be sent for it; n 0: it is broken. By TLS that is made here, in memory of its own. */
static struct batch_call call_for(struct conn *c, struct conn_ahead *room)
{
    struct conn_buf *out = c->out;
    struct str plain = str_from(buf_view(&out->buf), out->at);

    if (!c->tls)
        return (struct batch_call){ .fd = c->fd, .p = out->buf.p + out->at, .n = plain.n };
    out->at += plain.n;
    return (struct batch_call){ .fd = c->fd, .p = room->bytes, .n = tls_link_seal(c->tls, plain, room->bytes) };
}

/* What the socket has taken. */
static void note_sent(struct conn *c, struct batch_call *call)
{
    size_t sent = call->result > 0 ? (size_t)call->result : 0;

    c->writable = sent == call->n;
    if (!c->tls)
        c->out->at += sent;
    else if (call->n == 0)
        call->result = -EPROTO;
    else if (sent < call->n && tls_link_keep(c->tls, (struct str){ (char *)call->p + sent, call->n - sent }) < 0)
        call->result = -ENOMEM;
}

/* What has become of them is noted for all before anybody is told: who is told may put more. */
static void send_together(struct worker *w, struct conn **v, size_t n)
{
    struct batch_call calls[BATCH_MOST];

    for (size_t i = 0; i < n; i++)
        calls[i] = call_for(v[i], &w->ahead[i]);
    batch_send(w->batch, calls, n);
    for (size_t i = 0; i < n; i++)
        note_sent(v[i], &calls[i]);
    for (size_t i = 0; i < n; i++) {
        ssize_t result = calls[i].result;

        leave_flush(v[i]);
        if (v[i]->fd < 0)
            continue;
        if (result < 0 && result != -EAGAIN && result != -EINTR)
            fail_sending(v[i], (int)-result);
        else
            end_sending(v[i], conn_unsent(v[i]) + (result > 0 ? (size_t)result : 0));
        if (v[i]->fd >= 0 && v[i]->writable && conn_unsent(v[i]))
            list_for_flush(v[i]);
    }
}

void conn_send_all(struct worker *w)
{
    struct conn *together = NULL, *c, *v[BATCH_MOST];

    while ((c = w->flush)) {
        w->flush = c->leave_next;
        if (!prepare(c))
            continue;
        c->leave_next = together;
        together = c;
    }
    while (together) {
        size_t n = 0;

        while ((c = together) && n < BATCH_MOST) {
            together = c->leave_next;
            if (c->fd >= 0 && may_send_together(c)) {
                v[n++] = c;
                continue;
            }
            leave_flush(c);
            list_for_flush(c); /* nobody is told anything here */
        }
        send_together(w, v, n);
    }
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

void conn_resume(struct conn *c)
{
    if (c->fd < 0)
        return;
    c->paused = false;
    deliver_kept(c);
    look(c);
}

/* ---- addresses ---- */

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
