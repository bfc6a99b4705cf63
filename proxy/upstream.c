#include "proxy/upstream-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

static bool source_addr(struct sockaddr_storage *ss, socklen_t *n, struct str ip, int family)
{
    struct sockaddr_in *v4 = (void *)ss;
    struct sockaddr_in6 *v6 = (void *)ss;
    char text[INET6_ADDRSTRLEN];

    if (ip.n == 0 || ip.n >= sizeof(text))
        return false;
    memcpy(text, ip.p, ip.n);
    text[ip.n] = '\0';
    memset(ss, 0, sizeof(*ss));
    ss->ss_family = (sa_family_t)family;
    *n = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
    return inet_pton(family, text, family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) == 1;
}

static int dial(const struct upstream_host *h, struct str source)
{
    int fd = socket(h->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, saved;
    struct sockaddr_storage from;
    socklen_t n;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (source_addr(&from, &n, source, h->addr.ss_family)) {
        /* The port is chosen at connect(), by the whole four-tuple: no bind per connection runs out of ports. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        if (bind(fd, (struct sockaddr *)&from, n) < 0)
            goto fail;
    }
    if (connect(fd, (const struct sockaddr *)&h->addr, h->addr_n) < 0 && errno != EINPROGRESS)
        goto fail;
    return fd;
fail:
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int upstream_dial(struct upstream_host *h, struct str source, enum tls_speech speech, struct conn_socket *out)
{
    *out = (struct conn_socket){ .fd = -1 };
    if (h->tls) {
        out->tls = tls_link_connect(h->tls, speech, &h->w->tls, &h->session);
        if (!out->tls)
            return -1;
    }
    out->fd = dial(h, source);
    if (out->fd < 0) {
        int saved = errno;

        tls_link_free(out->tls);
        errno = saved;
    }
    return out->fd < 0 ? -1 : 0;
}

const char *upstream_why(int err)
{
    switch (err) {
    case ECONNREFUSED:
        return "delayed connect error: Connection refused";
    case EHOSTUNREACH:
        return "delayed connect error: No route to host";
    case ENETUNREACH:
        return "delayed connect error: Network is unreachable";
    case ETIMEDOUT:
        return "connection timeout";
    case EPROTO:
        return "TLS_error:|0:no certificate, key or authorities to secure the connection with:TLS_error_end";
    default:
        return "immediate connect error";
    }
}

struct upstream_call *upstream_open(struct upstream_host *h, const struct cluster *c, struct str source, bool http2,
                                    bool fresh, const struct upstream_handler *handler, void *arg)
{
    struct upstream_route r = { h, c, source };
    struct upstream_call *u = http2 ? http2_call(&r, fresh) : http1_call(&r, fresh);

    if (!u)
        return NULL;
    u->handler = handler;
    u->arg = arg;
    h->active++;
    return u;
}

const struct upstream_handler *upstream_let_go(struct upstream_call *u, void **arg)
{
    const struct upstream_handler *handler = u->handler;

    *arg = u->arg;
    if (handler)
        u->host->active--;
    u->handler = NULL;
    return handler;
}

void upstream_head(struct upstream_call *u, const struct upstream_request *rq)
{
    u->ops->head(u, rq);
}

void upstream_data(struct upstream_call *u, struct str bytes)
{
    u->ops->data(u, bytes);
}

void upstream_end(struct upstream_call *u, const struct fields *trailers)
{
    u->ops->end(u, trailers);
}

void upstream_tunnel(struct upstream_call *u)
{
    u->ops->tunnel(u);
}

void upstream_shut(struct upstream_call *u)
{
    u->ops->shut(u);
}

bool upstream_is_full(struct upstream_call *u)
{
    return u->ops->full(u);
}

void upstream_pause(struct upstream_call *u)
{
    u->ops->pause(u);
}

void upstream_resume(struct upstream_call *u)
{
    u->ops->resume(u);
}

void upstream_abort(struct upstream_call *u)
{
    u->ops->abort(u);
}

void upstream_close_idle(struct upstream_host *h)
{
    http1_close_idle(h);
    http2_close_idle(h);
}
