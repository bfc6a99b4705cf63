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

/* What is 0 stays the system's. */
static void keep_alive(int fd, const struct cluster *c)
{
    const struct {
        int option, value;
    } rows[] = { { TCP_KEEPCNT, (int)c->keepalive_probes },
                 { TCP_KEEPIDLE, (int)((c->keepalive_idle_ms + 999) / 1000) },
                 { TCP_KEEPINTVL, (int)((c->keepalive_interval_ms + 999) / 1000) } };
    int on = 1;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].value > 0)
            setsockopt(fd, IPPROTO_TCP, rows[i].option, &rows[i].value, sizeof(rows[i].value));
}

static int dial(const struct upstream_host *h, const struct cluster *c, struct str source)
{
    int fd = socket(h->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, saved;
    struct sockaddr_storage from;
    socklen_t n;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (c->keepalive)
        keep_alive(fd, c);
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

int upstream_dial(struct upstream_host *h, const struct cluster *c, struct str source, enum tls_speech speech,
                  struct conn_socket *out)
{
    *out = (struct conn_socket){ .fd = -1 };
    if (h->tls) {
        out->tls = tls_link_connect(h->tls, speech, &h->w->tls, &h->session);
        if (!out->tls)
            return -1;
    }
    out->fd = dial(h, c, source);
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

/* ---- limits ---- */

bool upstream_may_pend(const struct upstream_route *r)
{
    struct circuit *circuit = r->host->circuit;

    if (circuit_take(&circuit->pending, r->cluster->max_pending, &circuit->pending_overflows))
        return true;
    errno = EDQUOT;
    return false;
}

void upstream_connected(struct upstream_call *u)
{
    if (u->pending)
        circuit_give(&u->host->circuit->pending);
    u->pending = false;
}

bool upstream_may_connect(const struct upstream_route *r)
{
    struct circuit *circuit = r->host->circuit;
    uint32_t most = r->host->conns > 0 ? r->cluster->max_connections : UINT32_MAX; /* the one more: circuit.h */

    if (!circuit_take(&circuit->connections, most, &circuit->connection_overflows)) {
        errno = EAGAIN;
        return false;
    }
    if (!upstream_may_pend(r)) {
        circuit_give(&circuit->connections);
        return false;
    }
    r->host->conns++;
    return true;
}

void upstream_not_connected(const struct upstream_route *r)
{
    circuit_give(&r->host->circuit->pending);
    upstream_disconnected(r->host);
}

void upstream_disconnected(struct upstream_host *h)
{
    h->conns--;
    circuit_give(&h->circuit->connections);
    upstream_has_room(h);
}

int64_t upstream_old_at(const struct upstream_route *r)
{
    int64_t ms = r->cluster->max_connection_ms;

    return ms > 0 ? r->host->w->now_ns + ms * 1000000 : INT64_MAX;
}

int64_t upstream_rest_until(int64_t now_ns, int64_t idle_timeout_ms, int64_t old_ns)
{
    int64_t idle = idle_timeout_ms > 0 ? now_ns + idle_timeout_ms * 1000000 : INT64_MAX;
    int64_t end = idle < old_ns ? idle : old_ns;

    return end < INT64_MAX ? end : 0;
}

/* Requests cost a shared count only where somebody asks for it. */
static bool counts_requests(const struct cluster *c)
{
    return c->max_requests != UINT32_MAX || c->retry_budget_percent > 0;
}

struct upstream_call *upstream_open(struct upstream_host *h, const struct cluster *c, struct str source, bool http2,
                                    bool fresh, const struct upstream_handler *handler, void *arg)
{
    struct upstream_route r = { h, c, source };
    bool counted = counts_requests(c);
    struct upstream_call *u;

    if (h->first_waiter && !h->waking) {
        errno = EAGAIN;
        return NULL;
    }
    if (counted && !circuit_take(&h->circuit->requests, c->max_requests, &h->circuit->request_overflows)) {
        errno = EDQUOT;
        return NULL;
    }
    u = http2 ? http2_call(&r, fresh) : http1_call(&r, fresh);
    if (!u) {
        if (counted)
            circuit_give(&h->circuit->requests);
        return NULL;
    }
    u->counted = counted;
    u->handler = handler;
    u->arg = arg;
    h->active++;
    return u;
}

void upstream_interim(const struct upstream_call *u, const struct http_head *h)
{
    if (u->handler->interim && h->status != 100)
        u->handler->interim(u->arg, h);
}

const struct upstream_handler *upstream_let_go(struct upstream_call *u, void **arg)
{
    const struct upstream_handler *handler = u->handler;

    *arg = u->arg;
    if (handler)
        u->host->active--;
    upstream_connected(u);
    if (u->counted)
        circuit_give(&u->host->circuit->requests);
    u->counted = false;
    u->handler = NULL;
    return handler;
}

/* ---- waiting for a connection ----
 *
 * Who waits is woken from worker_leave, not from where room is found: that is deep inside of another request's end. */

bool upstream_wait(struct upstream_waiter *q, struct upstream_host *h, const struct cluster *c,
                   void (*ready)(void *arg), void *arg)
{
    if (!circuit_take(&h->circuit->pending, c->max_pending, &h->circuit->pending_overflows))
        return false;
    *q = (struct upstream_waiter){ .host = upstream_host_get(h), .ready = ready, .arg = arg };
    if (h->waking)
        q->next = h->first_waiter;
    else
        q->prev = h->last_waiter;
    *(q->prev ? &q->prev->next : &h->first_waiter) = q;
    *(q->next ? &q->next->prev : &h->last_waiter) = q;
    return true;
}

void upstream_wait_end(struct upstream_waiter *q)
{
    struct upstream_host *h = q->host;

    if (!h)
        return;
    *(q->prev ? &q->prev->next : &h->first_waiter) = q->next;
    *(q->next ? &q->next->prev : &h->last_waiter) = q->prev;
    q->host = NULL;
    circuit_give(&h->circuit->pending);
    upstream_host_put(h);
}

void upstream_has_room(struct upstream_host *h)
{
    if (!h->first_waiter || h->wake_listed)
        return;
    h->wake_listed = true;
    h->wake_next = h->w->wake;
    h->w->wake = upstream_host_get(h);
}

/* Until one finds no room, and waits again, in front. */
static void wake_host(struct upstream_host *h)
{
    while (h->first_waiter) {
        struct upstream_waiter *q = h->first_waiter;
        void (*ready)(void *arg) = q->ready;
        void *arg = q->arg;

        upstream_wait_end(q);
        h->waking = true;
        ready(arg);
        h->waking = false;
        if (h->first_waiter == q)
            return;
    }
}

void upstream_wake(struct worker *w)
{
    struct upstream_host *h = w->wake;

    w->wake = h->wake_next;
    h->wake_listed = false;
    wake_host(h);
    upstream_host_put(h);
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
