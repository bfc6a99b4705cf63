/* conn_send.c: what an owner puts, to the socket: alone, or together with what others have put. */
#include "proxy/conn-internal.h"

#include <errno.h>

void conn_list_for_flush(struct conn *c)
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
        c->out = conn_take_buf(c->w, CONN_MOST_OUT);
    conn_list_for_flush(c);
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

/* Sends what is unsent, and pieces behind it, in one call. Returns how many bytes of the pieces went out, -1 on
 * failure. */
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
    conn_give_buf(c->w, &c->out);
    if (c->ending || (c->lingering && c->eof_seen)) {
        conn_close(c);
        return;
    }
    if (c->shut_when_sent && !c->shut) {
        c->shut = true;
        shutdown(c->fd, SHUT_WR);
    }
    if (c->lingering)
        c->deadline_ns = conn_linger_deadline(c, CONN_LINGER_S);
}

/* Who answers in front of a request's end and closes resets what still comes: the answer is there to be read. */
static void fail_sending(struct conn *c, int err)
{
    if (!c->ops->hears_out || c->eof_seen || (err != EPIPE && err != ECONNRESET)) {
        conn_fail(c, err);
        return;
    }
    c->writable = false;
    c->readable = c->hung_up = true;
    conn_look(c);
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
        conn_fail(c, ENOBUFS);
    return c->fd >= 0;
}

/* After it, when there were `before` bytes unsent. */
static void end_sending(struct conn *c, size_t before)
{
    if (c->lingering && conn_unsent(c) < before)
        c->deadline_ns = conn_linger_deadline(c, CONN_LINGER_SENDING_S); /* slow is not gone */
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

void conn_flush(struct conn *c)
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
        conn_await_destruction(c);
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
            conn_list_for_flush(v[i]);
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
            conn_list_for_flush(c); /* nobody is told anything here */
        }
        send_together(w, v, n);
    }
}
