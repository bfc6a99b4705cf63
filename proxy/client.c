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
    p->told = l->peer->told;
    p->sni = l->peer->sni;
}

/* As PROXY protocol says, and who says so. */
static void take_announced(struct peer *p, const struct incoming *in)
{
    struct sockaddr_storage sender;
    socklen_t n = sizeof(sender);

    p->remote_ip = conn_addr_text(p->remote, &in->remote);
    conn_addr_text(p->local, &in->local);
    p->sender_ip = STR_NULL; /* one that is gone already is in no list of addresses */
    if (getpeername(in->socket.fd, (struct sockaddr *)&sender, &n) == 0)
        p->sender_ip = conn_addr_text(p->sender, &sender);
}

static void take_socket(struct peer *p, const struct incoming *in)
{
    struct sockaddr_storage local;
    socklen_t n = sizeof(local);

    p->sender_ip = p->remote_ip = conn_addr_text(p->remote, &in->remote);
    if (in->wl->wildcard && getsockname(in->socket.fd, (struct sockaddr *)&local, &n) == 0)
        conn_addr_text(p->local, &local);
    else
        memcpy(p->local, in->wl->local, sizeof(p->local));
}

/* A copy's own parts. */
static struct str moved(struct str s, const struct peer *from, struct peer *to)
{
    const char *base = (const char *)from;

    if (s.p >= base && s.p < base + sizeof(*from))
        s.p = (const char *)to + (s.p - base);
    return s;
}

void peer_init(struct peer *p, const struct incoming *in)
{
    if (in->like) {
        *p = *in->like;
        p->remote_ip = moved(p->remote_ip, in->like, p);
        p->sender_ip = moved(p->sender_ip, in->like, p);
        return;
    }
    if (in->local.ss_family)
        take_announced(p, in);
    else
        take_socket(p, in);
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
