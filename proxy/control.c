/* control.c: asks for the next configuration, and asks again.
 *
 *   WAITING --timer--> LOOKUP --address--> CONNECTING --> ASKING --answer--> at once again, the connection kept
 *      ^                                      |              |
 *      +--- jittered, doubling to 10 s -------+--- failure --+   (a refused version: a second's pause)
 *
 * The version in the question is the acknowledgement of what is in force. */
#include "proxy/control.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rand.h"
#include "proxy/http1_body.h"
#include "proxy/http_url-internal.h"
#include "proxy/resolve-internal.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

enum {
    MOST_BODY = 32 * 1024 * 1024,
    WAIT_S = 25,               /* the server holds the question at most so long */
    ANSWER_S = WAIT_S + 10,
    FIRST_BACKOFF_MS = 250,
    MOST_BACKOFF_MS = 10000,
    REFUSED_PAUSE_MS = 1000,
    LOOKUP_MS = 20
};

enum state { WAITING, LOOKUP, CONNECTING, ASKING };

struct control {
    struct event_base *base;
    struct control_options o;
    char *node;
    struct http_url url;
    enum state state;
    uint64_t version, refused;   /* refused: 0 none */
    char why_refused[512];
    int64_t backoff_ms;
    struct rng rng;
    struct resolve *resolve;
    unsigned misses;             /* failed connections; picks the address: one that works is kept */
    struct event *timer;         /* WAITING: the pause; LOOKUP: look again; else the answer's deadline */
    struct event *readable, *writable;
    int fd;
    struct buf out, in, body;
    bool head_done;
    struct http1_scan scan;
    struct http_head head;      /* over `in`, which is not moved while it counts */
    uint64_t head_version;
    struct http1_body framing;
};

static void set_timer(struct control *c, int64_t ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(c->timer, &tv);
}

static void close_socket(struct control *c)
{
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    c->readable = c->writable = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    resolve_free(c->resolve);
    c->resolve = NULL;
    buf_free(&c->in);
    buf_free(&c->out);
    buf_free(&c->body);
}

/* Half of the time is fixed, half is drawn: a thousand proxies do not come back at the same moment. */
static void fail(struct control *c, const char *why)
{
    int64_t half = c->backoff_ms / 2;

    if (c->state == LOOKUP || c->state == CONNECTING)
        c->misses++;
    close_socket(c);
    c->state = WAITING;
    set_timer(c, half + (int64_t)rng_below(&c->rng, (uint64_t)half + 1));
    c->backoff_ms = c->backoff_ms * 2 < MOST_BACKOFF_MS ? c->backoff_ms * 2 : MOST_BACKOFF_MS;
    if (c->o.away)
        c->o.away(c->o.arg, why);
}

static void put_encoded(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;

        if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
            buf_putc(b, *s);
        else if ((ch >= '0' && ch <= '9') || ch == '-' || ch == '.' || ch == '_')
            buf_putc(b, *s);
        else
            buf_printf(b, "%%%02X", ch);
    }
}

static void ask(struct control *c)
{
    buf_reset(&c->out);
    buf_reset(&c->body);
    buf_reset(&c->in);
    c->scan = (struct http1_scan){ 0 };
    c->head_done = false;
    c->state = ASKING;
    buf_printf(&c->out, "GET %s/api/mesh/snapshot?node=", c->url.path);
    put_encoded(&c->out, c->node);
    buf_printf(&c->out, "&version=%llu&wait=%ds", (unsigned long long)c->version, c->version ? WAIT_S : 0);
    if (c->refused) {
        buf_printf(&c->out, "&rejected=%llu&error=", (unsigned long long)c->refused);
        put_encoded(&c->out, c->why_refused);
    }
    buf_puts(&c->out, " HTTP/1.1\r\nHost: ");
    http_url_put_host(&c->url, &c->out);
    buf_puts(&c->out, "\r\nAccept: application/json\r\n\r\n");
    set_timer(c, ANSWER_S * 1000);
    event_add(c->writable, NULL);
}

/* 200: the new configuration is in c->body. */
static void take_version(struct control *c)
{
    struct err e = ERR_INIT;
    uint64_t version = c->head_version;

    if (c->o.apply(c->o.arg, version, buf_view(&c->body), &e) == 0) {
        c->version = version;
        c->refused = 0;
        ask(c);
        return;
    }
    snprintf(c->why_refused, sizeof(c->why_refused), "%s", e.msg);
    c->refused = version;
    close_socket(c);
    c->state = WAITING;
    set_timer(c, REFUSED_PAUSE_MS);
}

static void finish(struct control *c)
{
    char why[64];

    c->backoff_ms = FIRST_BACKOFF_MS;
    if (c->head.status == 200 && c->head_version != 0) {
        take_version(c);
    } else if (c->head.status == 304) {
        ask(c);
    } else {
        snprintf(why, sizeof(why), c->head.status == 200 ? "status %u without Vigla-Version" : "status %u",
                 c->head.status);
        fail(c, why);
    }
}

static void find_version(struct control *c)
{
    c->head_version = 0;
    for (size_t i = 0; i < c->head.nfields; i++)
        if (str_ieq(http_text(&c->head, c->head.fields[i].name), STR("vigla-version")) &&
            !num_u64(http_text(&c->head, c->head.fields[i].value), &c->head_version))
            c->head_version = 0;
}

/* Returns false when the connection is no longer the one it was. */
static void take_bytes(struct control *c, bool eof)
{
    struct str rest, data;
    enum http1_body_result r;

    if (!c->head_done) {
        enum http1_result h = http1_response(&c->scan, buf_view(&c->in), false, &c->head);

        if (h != HTTP1_DONE) {
            if (h == HTTP1_REFUSED || eof)
                fail(c, eof ? "the connection was closed" : c->head.why);
            return;
        }
        c->head_done = true;
        find_version(c);
        http1_body_init(&c->framing, c->head.framing, c->head.length);
        buf_drain(&c->in, c->head.size);
    }
    rest = buf_view(&c->in);
    while ((r = http1_body_next(&c->framing, &rest, &data)) == HTTP1_BODY_DATA)
        buf_str(&c->body, data);
    buf_reset(&c->in);
    if (r == HTTP1_BODY_BAD || buf_failed(&c->body))
        fail(c, "the answer is malformed or larger than 32 MiB");
    else if (r == HTTP1_BODY_END || (eof && http1_body_may_close(&c->framing)))
        finish(c);
    else if (eof)
        fail(c, "the connection was closed");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    char *to = buf_reserve(&c->in, 65536);
    ssize_t n = to ? read(fd, to, 65536) : -1;

    (void)what;
    if (n < 0 && to && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        fail(c, to ? strerror(errno) : "no memory");
        return;
    }
    c->in.n += (size_t)n;
    take_bytes(c, n == 0);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    int err = 0;
    socklen_t len = sizeof(err);
    ssize_t n;

    (void)what;
    if (c->state == CONNECTING) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if (err) {
            fail(c, strerror(err));
            return;
        }
        event_add(c->readable, NULL);
        ask(c);
    }
    n = write(fd, c->out.p, c->out.n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        fail(c, strerror(errno));
        return;
    }
    buf_drain(&c->out, n > 0 ? (size_t)n : 0);
    if (c->out.n == 0)
        event_del(c->writable);
}

static void dial(struct control *c)
{
    struct sockaddr_storage to;
    socklen_t n;
    struct err e = ERR_INIT;
    int rc = resolve_poll(c->resolve, c->misses, &to, &n, &e);

    if (rc == 0) {
        set_timer(c, LOOKUP_MS);
        return;
    }
    if (rc < 0) {
        fail(c, e.msg);
        return;
    }
    c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS)) {
        fail(c, strerror(errno));
        return;
    }
    c->readable = event_new(c->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(c->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    if (!c->readable || !c->writable || event_add(c->writable, NULL) < 0) {
        fail(c, "no memory");
        return;
    }
    c->state = CONNECTING;
    set_timer(c, ANSWER_S * 1000);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    struct err e = ERR_INIT;

    (void)fd, (void)what;
    if (c->state == WAITING) {
        c->resolve = resolve_start(c->url.host, c->url.port, &e);
        if (!c->resolve) {
            fail(c, e.msg);
            return;
        }
        c->state = LOOKUP;
    }
    if (c->state == LOOKUP)
        dial(c);
    else
        fail(c, "no answer in time");
}

struct control *control_start(struct event_base *base, const struct control_options *o, struct err *e)
{
    struct control *c = mem_zalloc(sizeof(*c));

    if (!c) {
        err_set(e, ERR_NOMEM, "no memory for the way to the server");
        return NULL;
    }
    *c = (struct control){ .base = base, .o = *o, .fd = -1, .version = o->version, .backoff_ms = FIRST_BACKOFF_MS,
                           .in = BUF_INIT(MOST_BODY), .out = BUF_INIT(65536), .body = BUF_INIT(MOST_BODY) };
    rng_seed(&c->rng);
    c->node = mem_strdup(o->node);
    c->timer = event_new(base, -1, 0, on_timer, c);
    if (!c->node || !c->timer) {
        err_set(e, ERR_NOMEM, "no memory for the way to the server");
        control_stop(c);
        return NULL;
    }
    if (http_url_parse_base(o->url, &c->url, e) < 0) {
        err_wrap(e, "--control");
        control_stop(c);
        return NULL;
    }
    set_timer(c, 0);
    return c;
}

void control_stop(struct control *c)
{
    if (!c)
        return;
    close_socket(c);
    if (c->timer)
        event_free(c->timer);
    mem_free(c->node);
    mem_free(c);
}
