/* conn_read.c: what comes from the socket, to the owner. */
#include "proxy/conn-internal.h"

#include <errno.h>

bool conn_wants_bytes(const struct conn *c)
{
    return c->fd >= 0 && !c->eof_seen &&
           (c->securing || (!c->paused && !c->connecting && conn_kept(c).n < CONN_MOST_IN));
}

/* It has a turn if there is something that it wants. */
void conn_look(struct conn *c)
{
    if (c->readable && conn_wants_bytes(c))
        poller_list(&c->w->poller, c);
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
    conn_keep(c, str_from(bytes, used));
    if (conn_keeping_failed(c))
        conn_fail(c, ENOMEM);
    else
        conn_look(c);
}

void conn_deliver_kept(struct conn *c)
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
        conn_give_buf(c->w, &c->in);
}

/* What is known about the socket after it gave n bytes of the `room` asked for, or -1: errno. The end, and an error,
 * are still behind less than was asked for, when there is one. */
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
void conn_note_tls(struct conn *c)
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

    conn_note_tls(c);
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
            conn_fail(c, errno);
        break;
    }
    if (!c->feeds)
        conn_look(c);
    return true;
}

/* What came of reading into memory outside of c->in; n as recv(). */
static void take_read(struct conn *c, const char *p, ssize_t n)
{
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_fail(c, errno);
    } else if (n == 0) {
        take_end(c);
    } else if (c->in || !conn_wants_bytes(c)) { /* it was paused after they had been read */
        conn_keep(c, (struct str){ p, (size_t)n });
        if (conn_keeping_failed(c))
            conn_fail(c, ENOMEM);
        else if (conn_wants_bytes(c))
            conn_deliver_kept(c);
    } else {
        conn_feed(c, (struct str){ p, (size_t)n });
    }
}

void conn_take_ahead(struct conn *c)
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
        conn_note_tls(c);
        errno = saved;
    }
    if (n == 0 && !conn_wants_bytes(c)) { /* paused meanwhile: the end is there to be read again */
        c->readable = c->hung_up = true;
        return;
    }
    take_read(c, p, n);
    if (more && c->readable && conn_wants_bytes(c))
        conn_read_more(c); /* there is more than small pieces */
    else
        conn_look(c);
}

void conn_read_more(struct conn *c)
{
    bool kept = c->in != NULL;
    char *to = kept ? buf_reserve(&c->in->buf, CONN_MOST_IN) : c->w->scratch;
    size_t room = kept ? CONN_MOST_IN : CONN_SCRATCH;
    ssize_t n;

    if (!to) {
        conn_fail(c, ENOMEM);
        return;
    }
    if (pass_through(c))
        return;
    n = c->tls ? read_tls(c, to, room) : read_plain(c, to, room);
    if (n > 0 && kept) {
        c->in->buf.n += (size_t)n;
        conn_deliver_kept(c);
    } else {
        take_read(c, to, n);
    }
    conn_look(c);
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
    conn_deliver_kept(c);
    conn_look(c);
}
