#include "proxy/client.h"

#include "base/mem.h"

/* Whose connection is in plain text, or shows no certificate. */
static struct tls_peer *nobody(void)
{
    static const struct tls_peer none;

    return (struct tls_peer *)(uintptr_t)&none; /* nobody counts it */
}

/* What is to be said of both ends, before there is a piece of memory of the right size for it. */
struct ends {
    char remote[CONN_ADDR_TEXT], local[CONN_ADDR_TEXT], sender[CONN_ADDR_TEXT];
    struct str remote_ip, sender_ip; /* parts of these */
    bool local_of_listener;
};

/* As PROXY protocol says, and who says so. */
static void take_announced(struct ends *to, const struct incoming *in)
{
    struct sockaddr_storage sender;
    socklen_t n = sizeof(sender);

    to->remote_ip = conn_addr_text(to->remote, &in->remote);
    conn_addr_text(to->local, &in->local);
    /* One that is gone already is in no list of addresses. */
    if (getpeername(in->socket.fd, (struct sockaddr *)&sender, &n) == 0)
        to->sender_ip = conn_addr_text(to->sender, &sender);
}

static void take_socket(struct ends *to, const struct incoming *in)
{
    struct sockaddr_storage local;
    socklen_t n = sizeof(local);

    to->sender_ip = to->remote_ip = conn_addr_text(to->remote, &in->remote);
    to->local_of_listener = !in->wl->wildcard || getsockname(in->socket.fd, (struct sockaddr *)&local, &n) < 0;
    if (!to->local_of_listener)
        conn_addr_text(to->local, &local);
}

/* Copies a text to *at, and moves that on; `part`, which lies in it, comes along. */
static const char *put(char **at, const char *text, struct str *part)
{
    size_t n = strlen(text) + 1;
    char *to = memcpy(*at, text, n);

    if (part->p >= text && part->p < text + n)
        part->p = to + (part->p - text);
    *at += n;
    return to;
}

static struct peer *of_ends(const struct ends *e, const struct incoming *in)
{
    struct peer *p = mem_zalloc(sizeof(*p) + strlen(e->remote) + strlen(e->local) + strlen(e->sender) + 3 + in->name.n);
    struct str none = STR_NULL;
    char *at = (char *)(p + 1);

    if (!p)
        return NULL;
    p->remote_ip = e->remote_ip;
    p->sender_ip = e->sender_ip;
    if (e->sender[0])
        put(&at, e->sender, &p->sender_ip);
    p->remote = put(&at, e->remote, &p->remote_ip);
    if (!e->sender[0] && e->sender_ip.n)
        p->sender_ip = p->remote_ip;
    p->local = e->local_of_listener ? in->wl->local : put(&at, e->local, &none);
    if (in->name.n)
        p->sni = (struct str){ memcpy(at, in->name.p, in->name.n), in->name.n };
    return p;
}

/* Without memory for what it has proved it counts as one that has proved nothing. */
static void take_link(struct peer *p, const struct tls_link *l)
{
    p->https = !tls_facts(SSL_get_SSL_CTX(l->ssl))->mesh;
    if (!l->peer)
        return;
    p->tls = tls_peer_get(l->peer);
    p->sni = l->peer->sni;
}

struct peer *peer_new(const struct incoming *in)
{
    struct ends ends = { .local_of_listener = false };
    struct peer *p;

    if (in->like) {
        in->like->refs++;
        return in->like;
    }
    if (in->local.ss_family)
        take_announced(&ends, in);
    else
        take_socket(&ends, in);
    p = of_ends(&ends, in);
    if (!p)
        return NULL;
    p->refs = 1;
    p->tls = nobody();
    if (in->socket.tls)
        take_link(p, in->socket.tls);
    p->chained = in->serve != in->wl->l;
    p->serve = in->serve;
    p->generation = in->wl->generation;
    return p;
}

void peer_put(struct peer *p)
{
    if (!p || --p->refs > 0)
        return;
    if (p->tls != nobody())
        tls_peer_put(p->tls);
    mem_free(p);
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
