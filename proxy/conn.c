#include "proxy/conn-internal.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* ---- turns ---- */

void conn_news(struct conn *c, bool readable, bool writable, bool hung_up, bool failing)
{
    c->readable |= readable;
    c->writable |= writable;
    c->hung_up |= hung_up;
    c->failing |= failing;
}

/* One that is not read any more, and has nothing to send, would not learn of a reset behind the peer's end. */
static void meet_error(struct conn *c)
{
    int err = 0;
    socklen_t n = sizeof(err);

    c->failing = false;
    if (c->eof_seen && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &n) == 0 && err)
        conn_fail(c, err);
}

static void turn(struct conn *c)
{
    if (c->connecting && !c->securing) {
        if (c->writable)
            conn_finish_connecting(c);
        return;
    }
    if (c->securing && c->writable && tls_link_unsent(c->tls))
        conn_flush_handshake(c);
    else if (!c->connecting && c->writable && conn_unsent(c))
        conn_flush(c);
    if (c->fd >= 0 && c->ahead) {
        conn_take_ahead(c);
        return;
    }
    if (c->fd >= 0 && c->failing)
        meet_error(c);
    if (!c->readable || !conn_wants_bytes(c))
        return;
    if (c->securing)
        conn_shake_hands(c);
    else
        conn_read_more(c);
}

bool conn_reads_ahead(const struct conn *c)
{
    return c->readable && (!c->tls || (!c->tls->eof && !c->tls->broken)) && !c->in && !c->bulk && !c->connecting &&
           conn_wants_bytes(c);
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
        conn_news(c, true, true, true, false);
        poller_list(&w->poller, c);
    }
}

void conn_open(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops)
{
    start(c, w, s, ops);
    if (!s.registered)
        c->writable = true; /* until it says otherwise */
    conn_look(c);
}

void conn_open_connecting(struct conn *c, struct worker *w, struct conn_socket s, const struct conn_ops *ops,
                          int64_t timeout_ms)
{
    start(c, w, s, ops);
    c->connecting = true;
    if (timeout_ms <= 0)
        return;
    c->connect_by_ns = w->now_ns + timeout_ms * 1000000;
    conn_limit_connecting(w, c->connect_by_ns);
}

void conn_secure(struct conn *c, struct tls_link *tls)
{
    c->tls = tls;
    c->connecting = c->securing = true;
    conn_shake_hands(c);
}

void conn_socket_close(struct worker *w, struct conn_socket *s)
{
    if (s->registered)
        poller_assign(&w->poller, s->fd, NULL);
    tls_link_free(s->tls);
    close(s->fd);
    *s = (struct conn_socket){ .fd = -1 };
}

void conn_await_destruction(struct conn *c)
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
        conn_await_destruction(c); /* its buffers go with it: somebody may still be looking at them */
}

void conn_destroy(struct conn *c)
{
    conn_give_buf(c->w, &c->in);
    conn_give_buf(c->w, &c->out);
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

int64_t conn_linger_deadline(const struct conn *c, int seconds)
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
    c->deadline_ns = conn_linger_deadline(c, CONN_LINGER_SENDING_S);
    if (!c->delivering)
        conn_give_buf(c->w, &c->in);
    conn_shut(c);
    c->paused = false;
    conn_look(c);
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
