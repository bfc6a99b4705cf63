#include "proxy/incoming-internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "proxy/downstream.h"
#include "proxy/http2_server.h"
#include "proxy/tcp.h"
#include "proxy/tls_hello.h"

enum { SERVER_SPEAKS_FIRST_MS = 1000 }; /* a client that says nothing for so long is no client of TLS */

/* One of which it is not known yet what it speaks. */
struct entrance {
    struct conn c;
    struct worker_listener *wl;
    bool chained;                  /* one of the listener's chains secures it */
    struct sockaddr_storage remote, local;
    struct event timer;
};

const struct listener *incoming_listener(const struct worker_listener *wl, bool chained, const struct tls_link *tls)
{
    const struct listener_chain *chain = chained && tls && tls->peer ? listener_chain(wl->l, tls->peer->sni) : NULL;

    return chain ? chain->serve : wl->l;
}

void incoming_serve(const struct incoming *in)
{
    struct str protocol = in->socket.tls ? tls_link_protocol(in->socket.tls) : STR_NULL;
    bool http = in->serve->protocol != PROTOCOL_TCP;

    if (http && str_eqz(protocol, "h2"))
        http2_server_new(in);
    else if (in->serve->protocol == PROTOCOL_HTTP || (http && str_eqz(protocol, "http/1.1")))
        downstream_new(in);
    else if (in->serve->protocol == PROTOCOL_SNIFF)
        tcp_sniff(in);
    else
        tcp_new(in);
}

static struct entrance *of(struct conn *c)
{
    return (struct entrance *)c;
}

/* ---- out of here ---- */

static void hand_over(struct entrance *en, const struct listener *serve, struct str first, struct str name)
{
    struct incoming in = { .wl = en->wl, .serve = serve, .remote = en->remote, .local = en->local,
                           .first = first, .name = name };

    event_del(&en->timer);
    in.socket = conn_detach(&en->c);
    incoming_serve(&in);
}

static void turn_away(struct entrance *en, const char *why)
{
    char remote[CONN_ADDR_TEXT];

    conn_addr_text(remote, &en->remote);
    log_debug("%s: %s: refused: %s", en->wl->local, remote, why);
    event_del(&en->timer);
    conn_linger(&en->c);
}

static bool takes_plain_text(const struct worker_listener *wl)
{
    return wl->l->policy.mtls != MTLS_STRICT && (wl->l->nhosts || wl->l->ntcp);
}

static void pass_plain(struct entrance *en, struct str bytes, struct str name)
{
    if (takes_plain_text(en->wl))
        hand_over(en, en->wl->l, bytes, name);
    else
        turn_away(en, en->wl->l->policy.mtls == MTLS_STRICT ? "mutual TLS is a must here" : "no chain is for it");
}

/* ---- hellos ---- */

static void secure(struct entrance *en, bool chained, struct tls_context *context, struct str hello)
{
    struct tls_link *link = context ? tls_link_accept(context, &en->wl->w->tls, hello) : NULL;

    event_del(&en->timer);
    if (!link) {
        turn_away(en, "its TLS has no certificate, key or authorities");
        return;
    }
    en->chained = chained;
    conn_secure(&en->c, link);
}

/* Where plain text may come in, too, a TLS client that is no proxy of the mesh talks to the application. */
static bool is_for_mesh(const struct worker_listener *wl, const struct tls_hello *hello)
{
    return wl->mesh_tls && (wl->l->policy.mtls == MTLS_STRICT || hello->mesh);
}

static void take_hello(struct entrance *en, const struct tls_hello *hello, struct str bytes)
{
    struct worker_listener *wl = en->wl;
    const struct listener_chain *chain = listener_chain(wl->l, tls_hello_name(hello));

    if (chain && !chain->tls)
        hand_over(en, chain->serve, bytes, tls_hello_name(hello));
    else if (chain)
        secure(en, true, wl->chain_tls ? wl->chain_tls[chain - wl->l->chains] : NULL, bytes);
    else if (is_for_mesh(wl, hello))
        secure(en, false, wl->mesh_tls, bytes);
    else
        pass_plain(en, bytes, tls_hello_name(hello));
}

static size_t on_data(struct conn *c, struct str bytes)
{
    struct entrance *en = of(c);
    struct tls_hello hello;

    if (bytes.p[0] != TLS_RECORD_HANDSHAKE) {
        pass_plain(en, bytes, STR_NULL);
        return bytes.n;
    }
    switch (tls_hello_read(bytes, &hello)) {
    case TLS_HELLO_MORE:
        return 0;
    case TLS_HELLO_DONE:
        take_hello(en, &hello, bytes);
        break;
    case TLS_HELLO_BAD:
        turn_away(en, hello.why);
        break;
    }
    return bytes.n;
}

static void on_connected(struct conn *c)
{
    struct entrance *en = of(c);

    hand_over(en, incoming_listener(en->wl, en->chained, c->tls), conn_kept(c), STR_NULL);
}

/* ---- the connection ---- */

static void on_end(struct conn *c)
{
    event_del(&of(c)->timer);
    conn_close(c);
}

static void on_error(struct conn *c, int err)
{
    (void)err;
    turn_away(of(c), conn_tls_failure(c) ? conn_tls_failure(c) : "it went away");
}

static void on_drained(struct conn *c)
{
    (void)c;
}

static void on_drain(struct conn *c)
{
    if (c->w->draining)
        on_end(c);
}

static void destroy(struct conn *c)
{
    worker_listener_put(of(c)->wl);
    mem_free(c);
}

/* Nothing has come: it waits for the server to speak first. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct entrance *en = arg;
    struct worker *w = en->c.w;

    (void)fd, (void)what;
    worker_enter(w);
    if (!en->c.in)
        hand_over(en, en->wl->l, STR_NULL, STR_NULL);
    worker_leave(w);
}

static void look_first(const struct incoming *in)
{
    static const struct conn_ops ops = { .data = on_data, .eof = on_end, .error = on_error, .connected = on_connected,
                                         .drained = on_drained, .deadline = on_end, .drain = on_drain,
                                         .destroy = destroy };
    struct timeval tv = { SERVER_SPEAKS_FIRST_MS / 1000, SERVER_SPEAKS_FIRST_MS % 1000 * 1000 };
    struct worker_listener *wl = in->wl;
    struct conn_socket socket = in->socket;
    struct entrance *en = mem_zalloc(sizeof(*en));

    if (!en) {
        conn_socket_close(wl->w, &socket);
        return;
    }
    en->wl = worker_listener_get(wl);
    en->remote = in->remote;
    en->local = in->local;
    conn_open(&en->c, wl->w, socket, &ops);
    en->c.deadline_ns = wl->w->now_ns + INCOMING_S * INT64_C(1000000000);
    event_assign(&en->timer, wl->w->base, -1, 0, on_timer, en);
    if (wl->l->protocol != PROTOCOL_HTTP && takes_plain_text(wl))
        event_add(&en->timer, &tv);
    if (in->first.n)
        conn_feed(&en->c, in->first);
}

void incoming_enter(const struct incoming *in)
{
    const struct worker_listener *wl = in->wl;

    if (wl->l->nchains || wl->mesh_tls || wl->l->policy.mtls == MTLS_STRICT)
        look_first(in);
    else
        incoming_serve(in);
}

void incoming_accept(struct worker_listener *wl, int fd, const struct sockaddr_storage *remote)
{
    const struct incoming in = { .wl = wl, .serve = wl->l, .socket = { .fd = fd }, .remote = *remote };

    if (wl->l->proxy_protocol)
        incoming_announced(&in);
    else
        incoming_enter(&in);
}
