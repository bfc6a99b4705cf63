/* downstream.c: from bytes to requests.
 *
 *   IDLE --first byte--> HEAD --complete--> a stream has it --downstream_done--> IDLE, or LINGER
 *    | keep-alive time    | 60 s: 408        | client gone: the stream logs DC
 *    v closed             v refused: 4xx, LINGER
 *
 * A pipelined request waits in the connection's buffer until the one before it is answered: answers keep order. */
#include "proxy/downstream.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/stream.h"

#include <unistd.h>

void peer_init(struct peer *p, const struct worker_listener *wl, int fd, const struct sockaddr_storage *remote)
{
    struct sockaddr_storage local;
    socklen_t n = sizeof(local);

    p->remote_ip = conn_addr_text(p->remote, remote);
    if (wl->wildcard && getsockname(fd, (struct sockaddr *)&local, &n) == 0)
        conn_addr_text(p->local, &local);
    else
        memcpy(p->local, wl->local, sizeof(p->local));
}

static struct downstream *of(struct conn *c)
{
    return (struct downstream *)c;
}

static void wait_for_request(struct downstream *d)
{
    d->scan = (struct http1_scan){ 0 };
    d->started_ns = 0;
    d->c.deadline_ns = d->c.w->now_ns + d->c.w->settings->keep_alive_ns;
}

static void refuse(struct downstream *d, unsigned status, const char *why)
{
    log_debug("%s: %s", d->peer.remote, why);
    d->refused = true;
    stream_refuse(d, status);
    conn_linger(&d->c);
}

/* Reads a head from the front of `bytes`; returns how many of them it took. */
static size_t read_head(struct downstream *d, struct str bytes)
{
    struct http_head h;

    if (!d->started_ns) {
        d->started_ns = d->c.w->now_ns;
        d->c.deadline_ns = d->started_ns + d->c.w->settings->header_timeout_ns;
    }
    switch (http1_request(&d->scan, bytes, &h)) {
    case HTTP1_MORE:
        return 0;
    case HTTP1_REFUSED:
        refuse(d, h.refused, h.why);
        return bytes.n;
    case HTTP1_DONE:
        stream_start(d, &h);
        return h.size;
    }
    return 0;
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct downstream *d = of(c);
    size_t used = 0;

    while (used < bytes.n && !d->refused && !conn_is_closed(c)) {
        struct str rest = str_from(bytes, used);
        size_t n = d->stream ? stream_body(d->stream, rest) : read_head(d, rest);

        if (n == 0)
            break;
        used += n;
    }
    return d->refused ? bytes.n : used;
}

static void on_eof(struct conn *c)
{
    struct downstream *d = of(c);

    if (!d->stream)
        conn_close(c);
    else
        stream_client_closed(d->stream);
}

static void on_error(struct conn *c, int err)
{
    struct downstream *d = of(c);

    (void)err;
    if (d->stream)
        stream_client_gone(d->stream);
    conn_close(c);
}

static void on_drained(struct conn *c)
{
    struct downstream *d = of(c);

    if (d->stream)
        stream_drained(d->stream);
}

static void on_deadline(struct conn *c)
{
    struct downstream *d = of(c);

    if (d->stream)
        stream_idle(d->stream);
    else if (d->started_ns)
        refuse(d, 408, "the request's head took too long");
    else
        conn_close(c);
}

static void on_drain(struct conn *c)
{
    struct downstream *d = of(c);
    int64_t end = c->w->now_ns + c->w->settings->drain_ns;

    if (d->stream || d->started_ns)
        return; /* the answer will say that it is the last */
    if (c->w->draining)
        conn_close(c);
    else if (d->wl->gone && c->deadline_ns > end)
        c->deadline_ns = end; /* a request may be on its way */
}

static void destroy(struct conn *c)
{
    struct downstream *d = of(c);

    worker_listener_put(d->wl);
    mem_free(d);
}

void downstream_new(struct worker_listener *wl, int fd, const struct sockaddr_storage *remote, struct str first)
{
    static const struct conn_ops ops = { .data = on_data, .eof = on_eof, .error = on_error, .drained = on_drained,
                                         .deadline = on_deadline, .drain = on_drain, .destroy = destroy };
    struct downstream *d = mem_zalloc(sizeof(*d));

    if (!d) {
        close(fd);
        return;
    }
    d->wl = worker_listener_get(wl);
    peer_init(&d->peer, wl, fd, remote);
    conn_open(&d->c, wl->w, fd, &ops);
    wait_for_request(d);
    if (first.n)
        conn_feed(&d->c, first);
}

void downstream_done(struct downstream *d, bool keep)
{
    d->stream = NULL;
    if (!keep) {
        d->refused = true;
        conn_linger(&d->c);
        return;
    }
    wait_for_request(d);
    conn_resume(&d->c);
}
