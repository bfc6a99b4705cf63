/* conn_connect.c: until a socket is connected, and secured. */
#include "proxy/conn-internal.h"

#include <errno.h>

/* The owner may have it: what has come behind the handshake is the first to be shown. */
static void tell_connected(struct conn *c)
{
    c->connecting = c->securing = false;
    c->connect_by_ns = 0;
    if (c->ops->connected)
        c->ops->connected(c);
    if (c->fd >= 0)
        conn_flush(c);
    conn_deliver_kept(c);
    conn_look(c);
}

/* What the peer has sent right behind its part of the handshake is in the link, and has to be taken before the link's
 * memory serves the next connection. */
static bool keep_early(struct conn *c)
{
    ssize_t n;

    while ((n = tls_link_read_early(c->tls, c->fd, c->w->scratch, CONN_SCRATCH)) > 0)
        conn_keep(c, (struct str){ c->w->scratch, (size_t)n });
    return !conn_keeping_failed(c);
}

void conn_shake_hands(struct conn *c)
{
    int rc = tls_link_shake(c->tls, c->fd), saved = errno;
    bool early = rc <= 0 || keep_early(c);

    conn_note_tls(c);
    c->writable = tls_link_unsent(c->tls) == 0;
    if (rc < 0)
        conn_fail(c, saved);
    else if (!early)
        conn_fail(c, ENOMEM);
    else if (rc > 0)
        tell_connected(c);
    else
        conn_look(c);
}

void conn_finish_connecting(struct conn *c)
{
    int err = 0;
    socklen_t n = sizeof(err);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
        err = errno;
    /* It is short and the first: a socket that does not take it at once is none. */
    if (!err && c->preamble.n && send(c->fd, c->preamble.p, c->preamble.n, MSG_NOSIGNAL) != (ssize_t)c->preamble.n)
        err = EPIPE;
    if (err) {
        conn_fail(c, err);
    } else if (c->tls) {
        c->securing = true;
        conn_shake_hands(c);
    } else {
        tell_connected(c);
    }
}

/* The rest of our part of the handshake. */
void conn_flush_handshake(struct conn *c)
{
    if (tls_link_flush(c->tls, c->fd) < 0)
        conn_fail(c, errno);
    else
        c->writable = tls_link_unsent(c->tls) == 0;
}

void conn_limit_connecting(struct worker *w, int64_t by_ns)
{
    int64_t left_us = (by_ns > w->now_ns ? by_ns - w->now_ns : 0) / 1000 + 1;
    struct timeval tv = { left_us / 1000000, left_us % 1000000 };

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
            conn_fail(c, ETIMEDOUT);
        else
            conn_limit_connecting(w, c->connect_by_ns);
    }
}
