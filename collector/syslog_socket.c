/* syslog_socket.c: what is listened on. */
#include "collector/syslog-internal.h"

#include "base/log.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 128, DATAGRAMS = 256, ACCEPTS = 64 /* before others have their turn */ };
enum { PORT_TRIES = 20 };

/* --- datagrams --- */

/* The kernel tells with each datagram how many it has dropped so far. */
static void note_dropped(struct syslog_listener *l, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        uint32_t total;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL)
            continue;
        memcpy(&total, CMSG_DATA(c), sizeof(total));
        if (total == l->dropped)
            continue;
        log_warn("syslog: %.*s: %u datagrams were dropped, they came faster than they are read (TCP would push back)",
                 STR_ARG(l->is->name), total - l->dropped);
        atomic_fetch_add(&l->owner->dropped, total - l->dropped);
        l->dropped = total;
    }
}

static void take_datagram(struct syslog *s, size_t n, bool cut)
{
    struct str message = { s->datagram, n };

    while (message.n && (message.p[message.n - 1] == '\n' || message.p[message.n - 1] == '\r' ||
                         message.p[message.n - 1] == '\0'))
        message.n--;
    if (message.n > s->config->max_message) {
        message.n = s->config->max_message;
        cut = true;
    }
    if (message.n == 0)
        return;
    if (syslog_take(s, message, cut)) {
        atomic_fetch_add(&s->datagrams, 1);
        return;
    }
    atomic_fetch_add(&s->dropped, 1);
    log_warn("syslog: a datagram was dropped: no memory");
}

static bool receive(struct syslog_listener *l)
{
    char control[CMSG_SPACE(sizeof(uint32_t)) + 64];
    struct iovec to = { l->owner->datagram, DATAGRAM_BYTES };
    struct msghdr m = { .msg_iov = &to, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
    ssize_t n = recvmsg(l->fd, &m, MSG_DONTWAIT);

    if (n < 0)
        return errno == EINTR;
    note_dropped(l, &m);
    take_datagram(l->owner, (size_t)n, m.msg_flags & MSG_TRUNC);
    return true;
}

static void on_datagrams(evutil_socket_t fd, short what, void *arg)
{
    struct syslog_listener *l = arg;

    (void)fd;
    (void)what;
    for (int i = 0; i < DATAGRAMS && !l->owner->paused; i++)
        if (!receive(l))
            return;
}

/* --- connections --- */

static void on_connections(evutil_socket_t fd, short what, void *arg)
{
    struct syslog_listener *l = arg;
    struct syslog *s = l->owner;

    (void)what;
    for (int i = 0; i < ACCEPTS; i++) {
        int taken = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (taken < 0)
            return;
        if (atomic_load(&s->connections) < s->config->max_connections) {
            syslog_stream_new(s, taken);
            continue;
        }
        if (atomic_fetch_add(&s->refused, 1) == 0)
            log_warn("syslog: %.*s: a connection was turned away: %llu are open (max_connections); others are counted",
                     STR_ARG(l->is->name), (unsigned long long)s->config->max_connections);
        close(taken);
    }
}

/* --- opening --- */

/* A socket file that nobody listens on is left from before. */
static int clear_path(const struct syslog_listen *is, struct err *e)
{
    struct stat st;
    int fd, rc = 0;

    if (lstat(is->at.local.sun_path, &st) < 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_IO, "syslog: %.*s: is there and no socket", STR_ARG(is->name));
    fd = socket(AF_UNIX, (is->is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &is->at.any, is->length) == 0)
        rc = err_set(e, ERR_IO, "syslog: %.*s: somebody listens there", STR_ARG(is->name));
    else if (unlink(is->at.local.sun_path) < 0)
        rc = err_set(e, ERR_IO, "syslog: %.*s: cannot be removed: %m", STR_ARG(is->name));
    if (fd >= 0)
        close(fd);
    return rc;
}

static void set_options(int fd, const struct syslog_listen *is)
{
    int one = 1, bytes = RECEIVE_BYTES;

    if (is->at.any.sa_family != AF_UNIX && !is->is_datagram)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (is->at.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (is->is_datagram) { /* as much as we may have; and to be told of what was dropped */
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
        setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one));
    }
}

static uint16_t *port_of(struct syslog_listen *is)
{
    return is->at.any.sa_family == AF_INET    ? &is->at.four.sin_port
           : is->at.any.sa_family == AF_INET6 ? &is->at.six.sin6_port
                                              : NULL;
}

static int open_listener(struct syslog_listener *l, const struct syslog_listen *is, struct err *e)
{
    struct syslog_listen bound = *is;
    bool local = is->at.any.sa_family == AF_UNIX;
    uint16_t *port = port_of(&bound);

    l->fd =
        socket(is->at.any.sa_family, (is->is_datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return err_set(e, ERR_IO, "syslog: %.*s: %m", STR_ARG(is->name));
    set_options(l->fd, is);
    if (local && clear_path(is, e) < 0)
        return e->code;
    if (bind(l->fd, &is->at.any, is->length) < 0 || (!is->is_datagram && listen(l->fd, BACKLOG) < 0))
        return err_set(e, ERR_IO, "syslog: %.*s: cannot listen: %m", STR_ARG(is->name));
    l->bound = true;
    if (local && chmod(is->at.local.sun_path, is->mode) < 0)
        return err_set(e, ERR_IO, "syslog: %.*s: cannot set its mode: %m", STR_ARG(is->name));
    bound.length = sizeof(bound.at);
    if (port && getsockname(l->fd, &bound.at.any, &bound.length) == 0)
        l->port = ntohs(*port);
    return 0;
}

/* "HOST:0" for both protocols is one port: that of the listener before. */
static bool shares_port(const struct syslog *s, size_t i)
{
    struct syslog_listen is = s->config->listeners[i];
    const uint16_t *port = port_of(&is);

    return i && port && *port == 0 && str_eq(is.name, s->config->listeners[i - 1].name) && !is.is_datagram;
}

static int open_one(struct syslog *s, size_t i, struct err *e)
{
    struct syslog_listener *l = &s->listeners[i];
    struct syslog_listen is = s->config->listeners[i];

    l->owner = s;
    l->is = &s->config->listeners[i];
    if (shares_port(s, i))
        *port_of(&is) = htons(s->listeners[i - 1].port);
    return open_listener(l, &is, e);
}

static void close_one(struct syslog_listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
}

/* The port that was free for datagrams may be somebody's connection: then both get another. */
static int open_shared(struct syslog *s, size_t i, struct err *e)
{
    int rc = open_one(s, i, e);

    for (int tries = 1; rc < 0 && shares_port(s, i) && tries < PORT_TRIES; tries++) {
        close_one(&s->listeners[i]);
        close_one(&s->listeners[i - 1]);
        rc = open_one(s, i - 1, e);
        rc = rc < 0 ? rc : open_one(s, i, e);
    }
    return rc;
}

int syslog_listen(struct syslog *s, struct err *e)
{
    for (size_t i = 0; i < s->config->nlisteners; i++) {
        int rc = open_shared(s, i, e);

        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < s->config->nlisteners; i++) {
        struct syslog_listener *l = &s->listeners[i];

        l->readable =
            event_new(s->base, l->fd, EV_READ | EV_PERSIST, l->is->is_datagram ? on_datagrams : on_connections, l);
        if (!l->readable || event_add(l->readable, NULL) < 0)
            return err_set(e, ERR_NOMEM, "syslog: no memory for a listener");
    }
    return 0;
}

void syslog_unlisten(struct syslog *s)
{
    for (size_t i = 0; i < s->config->nlisteners; i++) {
        struct syslog_listener *l = &s->listeners[i];

        if (l->readable)
            event_free(l->readable);
        close_one(l);
        if (l->bound && l->is->at.any.sa_family == AF_UNIX)
            unlink(l->is->at.local.sun_path);
        l->bound = false;
        l->readable = NULL;
    }
}
