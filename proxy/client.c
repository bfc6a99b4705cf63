#include "proxy/client.h"

static void take_link(struct peer *p, const struct tls_link *l)
{
    p->https = !tls_facts(SSL_get_SSL_CTX(l->ssl))->mesh;
    if (!l->peer) /* there was no memory for it: it counts as one that has proved nothing */
        return;
    p->mutual = l->peer->proved;
    p->principal = l->peer->principal;
    p->own = l->peer->own;
    p->xfcc = l->peer->xfcc;
    p->sni = l->peer->sni;
}

void peer_init(struct peer *p, const struct incoming *in)
{
    struct sockaddr_storage local;
    socklen_t n = sizeof(local);

    p->remote_ip = conn_addr_text(p->remote, &in->remote);
    if (in->wl->wildcard && getsockname(in->socket.fd, (struct sockaddr *)&local, &n) == 0)
        conn_addr_text(p->local, &local);
    else
        memcpy(p->local, in->wl->local, sizeof(p->local));
    p->sni = in->name;
    if (in->socket.tls)
        take_link(p, in->socket.tls);
    p->chained = in->serve != in->wl->l;
    p->serve = in->serve;
    p->generation = in->wl->generation;
}

/* A chain that is gone leaves the listener itself, which has no hosts: 404. */
const struct listener *peer_listener(struct peer *p, const struct worker_listener *wl)
{
    const struct listener_chain *chain;

    if (p->generation == wl->generation)
        return p->serve;
    chain = p->chained ? listener_chain(wl->l, p->sni) : NULL;
    p->serve = chain ? chain->serve : wl->l;
    p->generation = wl->generation;
    return p->serve;
}
