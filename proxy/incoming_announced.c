/* incoming_announced.c: connections that another proxy passes on, and says for whom (PROXY protocol). */
#include "proxy/incoming-internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/proxy_header.h"

#include <unistd.h>

/* One whose header has not come yet. */
struct announced {
    struct conn c;
    struct worker_listener *wl;
    struct sockaddr_storage remote; /* the proxy's */
};

static struct announced *of(struct conn *c)
{
    return (struct announced *)c;
}

static void turn_away(struct announced *a, const char *why)
{
    char remote[CONN_ADDR_TEXT];

    conn_addr_text(remote, &a->remote);
    log_debug("%s: %s: refused: %s", a->wl->local, remote, why);
    conn_close(&a->c);
}

static void hand_over(struct announced *a, const struct proxy_header *h, struct str first)
{
    struct incoming in = { .wl = a->wl, .serve = a->wl->l, .remote = a->remote, .first = first };

    if (h->known) {
        in.remote = h->from;
        in.local = h->to;
    }
    in.socket = conn_detach(&a->c);
    incoming_enter(&in);
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct proxy_header h;

    switch (proxy_header_read(bytes, &h)) {
    case PROXY_HEADER_MORE:
        return 0;
    case PROXY_HEADER_DONE:
        hand_over(of(c), &h, str_from(bytes, h.size));
        break;
    case PROXY_HEADER_BAD:
        turn_away(of(c), h.why);
        break;
    }
    return bytes.n;
}

static void on_deadline(struct conn *c)
{
    turn_away(of(c), "PROXY protocol's header took too long");
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    conn_close(c);
}

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_drain(struct conn *c)
{
    if (c->w->draining)
        conn_close(c);
}

static void destroy(struct conn *c)
{
    worker_listener_put(of(c)->wl);
    mem_free(c);
}

void incoming_announced(const struct incoming *in)
{
    static const struct conn_ops ops = { .data = on_data, .eof = conn_close, .error = on_error, .drained = on_drained,
                                         .deadline = on_deadline, .drain = on_drain, .destroy = destroy };
    struct conn_socket socket = in->socket;
    struct announced *a = mem_zalloc(sizeof(*a));

    if (!a) {
        conn_socket_close(in->wl->w, &socket);
        return;
    }
    a->wl = worker_listener_get(in->wl);
    a->remote = in->remote;
    conn_open(&a->c, in->wl->w, socket, &ops);
    a->c.deadline_ns = in->wl->w->now_ns + INCOMING_S * INT64_C(1000000000);
}
