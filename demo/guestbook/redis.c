#include "demo/guestbook/redis.h"

#include "base/num.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { LINE = 512 };

/* What was read and not yet taken. */
struct stream {
    int fd;
    char bytes[4096];
    size_t at, n;
};

static int dial(const struct redis_server *server, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    struct timeval limit = { .tv_sec = 2 };
    int fd = -1, rc = getaddrinfo(server->host, server->port, &hints, &list);

    if (rc != 0)
        return err_set(e, ERR_IO, "redis %s:%s: %s", server->host, server->port, gai_strerror(rc));
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd >= 0 ? fd : err_set(e, ERR_IO, "redis %s:%s: connect: %m", server->host, server->port);
}

static int send_command(int fd, const struct str *words, size_t n, struct err *e)
{
    struct buf b = BUF_INIT(4 << 20);
    struct str left;
    int rc = 0;

    buf_printf(&b, "*%zu\r\n", n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "$%zu\r\n", words[i].n);
        buf_str(&b, words[i]);
        buf_puts(&b, "\r\n");
    }
    if (buf_failed(&b))
        rc = err_set(e, ERR_LIMIT, "redis: the command is larger than %zu bytes", b.max);
    for (left = buf_view(&b); rc == 0 && left.n;) {
        ssize_t sent = send(fd, left.p, left.n, MSG_NOSIGNAL);

        if (sent > 0)
            left = str_from(left, (size_t)sent);
        else if (errno != EINTR)
            rc = err_set(e, errno == EAGAIN ? ERR_TIMEOUT : ERR_IO, "redis: send: %m");
    }
    buf_free(&b);
    return rc;
}

static int fill(struct stream *s, struct err *e)
{
    ssize_t n;

    do
        n = recv(s->fd, s->bytes, sizeof(s->bytes), 0);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return err_set(e, ERR_IO, "redis: closed the connection before it answered");
    if (n < 0)
        return err_set(e, errno == EAGAIN ? ERR_TIMEOUT : ERR_IO, "redis: recv: %m");
    s->at = 0;
    s->n = (size_t)n;
    return 0;
}

/* A line without its CRLF. */
static int read_line(struct stream *s, char line[LINE], struct str *out, struct err *e)
{
    size_t n = 0;

    for (;;) {
        char c;

        if (s->at == s->n && fill(s, e) < 0)
            return e->code;
        c = s->bytes[s->at++];
        if (c == '\n' && n && line[n - 1] == '\r') {
            *out = (struct str){ line, n - 1 };
            return 0;
        }
        if (n == LINE)
            return err_set(e, ERR_PARSE, "redis: a line of more than %d bytes", LINE);
        line[n++] = c;
    }
}

static int read_bulk(struct stream *s, size_t n, struct buf *reply, struct err *e)
{
    while (n) {
        size_t step = s->n - s->at;

        if (step == 0 && fill(s, e) < 0)
            return e->code;
        step = s->n - s->at < n ? s->n - s->at : n;
        buf_put(reply, s->bytes + s->at, step);
        s->at += step;
        n -= step;
    }
    return buf_failed(reply) ? err_set(e, ERR_LIMIT, "redis: an answer of more than %zu bytes", reply->max) : 0;
}

static int read_reply(struct stream *s, struct buf *reply, struct err *e)
{
    char line[LINE];
    struct str text;
    int64_t n;

    if (read_line(s, line, &text, e) < 0)
        return e->code;
    switch (text.n ? text.p[0] : '\0') {
    case '+':
        buf_str(reply, str_from(text, 1));
        return 0;
    case '-':
        return err_set(e, ERR_INVALID, "redis: %.*s", STR_ARG(str_from(text, 1)));
    case '$':
        if (!num_i64(str_from(text, 1), &n) || n < -1 || n > 512 << 20)
            return err_set(e, ERR_PARSE, "redis: a string's length is \"%.*s\"", STR_ARG(str_from(text, 1)));
        return n < 0 ? 0 : read_bulk(s, (size_t)n, reply, e);
    }
    return err_set(e, ERR_PARSE, "redis: an answer starts with \"%.*s\", should be + - or $", STR_ARG(text));
}

int redis_call(const struct redis_server *server, const struct str *words, size_t n, struct buf *reply, struct err *e)
{
    struct stream s = { .fd = dial(server, e) };
    int rc;

    if (s.fd < 0)
        return s.fd;
    rc = send_command(s.fd, words, n, e);
    if (rc == 0)
        rc = read_reply(&s, reply, e);
    close(s.fd);
    return rc;
}
