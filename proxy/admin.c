/* admin.c: a small HTTP/1.1 server for people, probes and scrapers.
 *
 * One request per connection, answered with "Connection: close": whoever looks here comes seldom, and nothing of the
 * proxy's own HTTP code is at risk when it does. All input is bounded: the head, the time for it, the connections.
 *
 *   READING --whole head--> WRITING --all out--> LINGERING --the other end closes--> freed
 *
 * LINGERING: we have shut our half, and read what still comes; closing with unread bytes would reset the connection and
 * could take the answer with it. */
#include "proxy/admin-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/telemetry-internal.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

enum { LONGEST_HEAD = 16 * 1024, LONGEST_PAGE = 256 << 20, MOST_CONNECTIONS = 64, IDLE_S = 10, LINGER_S = 2 };

struct connection {
    struct admin *admin;
    struct connection *next, **link; /* of admin->connections */
    struct bufferevent *io;
    enum { READING, WRITING, LINGERING } state;
};

struct admin {
    struct telemetry *telemetry;
    struct evconnlistener *listener;
    struct connection *connections;
    size_t nconnections;
};

/* --- the pages ---------------------------------------------------------------------------------------------------- */

static const struct proxy_snapshot *get_snapshot(struct telemetry *t)
{
    return t->o.snapshot_get ? t->o.snapshot_get(t->o.snapshot_arg) : NULL;
}

static void put_snapshot(struct telemetry *t, const struct proxy_snapshot *s)
{
    if (s && t->o.snapshot_put)
        t->o.snapshot_put(t->o.snapshot_arg, s);
}

static const char *state_name(struct telemetry *t)
{
    switch ((enum readiness)atomic_load(&t->readiness)) {
    case READY:
        return "LIVE";
    case DRAINING:
        return "DRAINING";
    case STARTING:
        break;
    }
    return "PRE_INITIALIZING";
}

static void page_ready(const struct admin_request *rq, struct admin_reply *r)
{
    const char *state = state_name(rq->telemetry);

    r->status = strcmp(state, "LIVE") == 0 ? 200 : 503;
    buf_printf(&r->body, "%s\n", state);
}

static void page_prometheus(const struct admin_request *rq, struct admin_reply *r)
{
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    admin_prometheus(rq->telemetry, &r->body);
}

static void not_understood(struct admin_reply *r, const char *what, struct str value, const char *right)
{
    r->status = 400;
    buf_printf(&r->body, "%s \"%.*s\": %s\n", what, STR_ARG(value), right);
}

/* Keeps the lines that match: Envoy's ?filter=. */
static void filter_lines(struct str all, struct str pattern, struct admin_reply *r)
{
    struct arena a = ARENA_INIT(1 << 20);
    struct err e = ERR_INIT;
    struct regex *re = regex_compile(&a, pattern, 0, &e);

    if (!re)
        not_understood(r, "filter", pattern, e.msg);
    while (re && all.n) {
        struct str line = str_cut(&all, '\n');

        if (regex_match(re, line))
            buf_printf(&r->body, "%.*s\n", STR_ARG(line));
    }
    arena_free(&a);
}

static void page_stats(const struct admin_request *rq, struct admin_reply *r)
{
    struct buf value = BUF_INIT(LONGEST_HEAD), all = BUF_INIT(LONGEST_PAGE);

    if (admin_query(rq->query, "format", &value) && str_eq(buf_view(&value), STR("prometheus"))) {
        page_prometheus(rq, r);
    } else if (admin_query(rq->query, "filter", &value)) {
        admin_stats(rq->telemetry, &all);
        filter_lines(buf_view(&all), buf_view(&value), r);
    } else {
        admin_stats(rq->telemetry, &r->body);
    }
    buf_free(&value);
    buf_free(&all);
}

static void page_server_info(const struct admin_request *rq, struct admin_reply *r)
{
    struct telemetry *t = rq->telemetry;
    long long up_s = (long long)((clock_now_ns() - t->started_ns) / 1000000000);

    r->type = "application/json";
    buf_printf(&r->body,
               "{\"version\":\"vigla-proxy/" VIGLA_VERSION "\",\"state\":\"%s\",\"uptime_current_epoch\":\"%llds\","
               "\"uptime_all_epochs\":\"%llds\",\"hot_restart_version\":\"disabled\",\"node\":{\"id\":",
               state_name(t), up_s, up_s);
    buf_json(&r->body, t->node_id);
    buf_puts(&r->body, ",\"cluster\":");
    buf_json(&r->body, t->self.canonical_service);
    buf_puts(&r->body, "}}\n");
}

static void page_clusters(const struct admin_request *rq, struct admin_reply *r)
{
    const struct proxy_snapshot *s = get_snapshot(rq->telemetry);

    admin_clusters(rq->telemetry, s, &r->body);
    put_snapshot(rq->telemetry, s);
}

static void page_listeners(const struct admin_request *rq, struct admin_reply *r)
{
    const struct proxy_snapshot *s = get_snapshot(rq->telemetry);

    admin_listeners(s, &r->body);
    put_snapshot(rq->telemetry, s);
}

static void page_config_dump(const struct admin_request *rq, struct admin_reply *r)
{
    const struct proxy_snapshot *s = get_snapshot(rq->telemetry);

    r->type = "application/json";
    admin_config_dump(rq->telemetry, s, &r->body);
    put_snapshot(rq->telemetry, s);
}

/* Envoy has more levels than we: each counts as the nearest of ours. -1: none. */
static int level_of(struct str word)
{
    static const struct {
        const char *word;
        enum log_level level;
    } levels[] = {
        { "trace", LOG_DEBUG },  { "debug", LOG_DEBUG }, { "info", LOG_INFO },      { "warn", LOG_WARN },
        { "warning", LOG_WARN }, { "error", LOG_ERROR }, { "critical", LOG_ERROR },
    };

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (str_eqz(word, levels[i].word))
            return (int)levels[i].level;
    return -1;
}

static void page_logging(const struct admin_request *rq, struct admin_reply *r)
{
    struct buf word = BUF_INIT(LONGEST_HEAD);
    bool asked = admin_query(rq->query, "level", &word);
    int level = level_of(buf_view(&word));

    if (asked && !rq->is_post) {
        r->status = 405;
        buf_puts(&r->body, "to change the level, use POST\n");
    } else if (asked && level < 0) {
        not_understood(r, "level", buf_view(&word), "should be one of debug info warn error");
    } else {
        if (asked)
            log_set_level((enum log_level)level);
        buf_printf(&r->body, "active loggers:\n  main: %s\n", log_level_word(log_get_level()));
    }
    buf_free(&word);
}

static void page_help(const struct admin_request *rq, struct admin_reply *r);

static const struct page {
    const char *path, *help;
    void (*print)(const struct admin_request *rq, struct admin_reply *r);
} pages[] = {
    { "/", "this list", page_help },
    { "/clusters", "upstream clusters and their endpoints", page_clusters },
    { "/config_dump", "the configuration in force, as JSON", page_config_dump },
    { "/help", "this list", page_help },
    { "/listeners", "where the proxy listens", page_listeners },
    { "/logging", "the log level; POST ?level=debug|info|warn|error changes it", page_logging },
    { "/ready", "200 and LIVE when the proxy serves, else 503", page_ready },
    { "/server_info", "version, state and uptime, as JSON", page_server_info },
    { "/stats", "numbers as text; ?filter=REGEX, ?format=prometheus", page_stats },
    { "/stats/prometheus", "numbers in Prometheus' text format", page_prometheus },
};

static void page_help(const struct admin_request *rq, struct admin_reply *r)
{
    (void)rq;
    buf_puts(&r->body, "admin commands are:\n");
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        buf_printf(&r->body, "  %s: %s\n", pages[i].path, pages[i].help);
}

static const struct page *find_page(struct str path)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        if (str_eqz(path, pages[i].path))
            return &pages[i];
    return NULL;
}

void admin_answer(struct telemetry *t, struct str method, struct str target, struct admin_reply *r)
{
    struct str query = target, path = str_cut(&query, '?');
    struct admin_request rq = { t, str_eq(method, STR("POST")), query };
    const struct page *page = find_page(path);

    *r = (struct admin_reply){ 200, "text/plain; charset=utf-8", BUF_INIT(LONGEST_PAGE) };
    if (!rq.is_post && !str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"))) {
        r->status = 405;
        buf_puts(&r->body, "use GET, HEAD or POST\n");
    } else if (!page) {
        r->status = 404;
        buf_puts(&r->body, "no such path; /help lists them\n");
    } else {
        page->print(&rq, r);
    }
    if (buf_failed(&r->body)) {
        buf_free(&r->body);
        r->status = 500;
    }
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool admin_query(struct str query, const char *key, struct buf *out)
{
    buf_reset(out);
    while (query.p) {
        struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');

        if (!str_eqz(name, key))
            continue;
        for (size_t i = 0; i < value.n; i++) {
            bool escape = value.p[i] == '%' && i + 2 < value.n && hex(value.p[i + 1]) >= 0 && hex(value.p[i + 2]) >= 0;

            if (escape) {
                buf_putc(out, (char)(hex(value.p[i + 1]) << 4 | hex(value.p[i + 2])));
                i += 2;
            } else {
                buf_putc(out, value.p[i] == '+' ? ' ' : value.p[i]);
            }
        }
        return true;
    }
    return false;
}

/* --- the connections ---------------------------------------------------------------------------------------------- */

static void connection_free(struct connection *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->admin->nconnections--;
    bufferevent_free(c->io);
    mem_free(c);
}

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Internal Server Error";
    }
}

/* The page goes out as it lies in the buffer, which is freed when it is through. */
static void free_page(const void *data, size_t n, void *page)
{
    (void)data;
    (void)n;
    mem_free(page);
}

static void send_reply(struct connection *c, struct admin_reply *r, bool with_body)
{
    struct evbuffer *out = bufferevent_get_output(c->io);
    size_t n = r->body.n;
    char *page = n && with_body ? buf_take(&r->body, &n) : NULL;

    c->state = WRITING;
    bufferevent_disable(c->io, EV_READ);
    evbuffer_add_printf(out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-cache\r\n"
                        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
                        r->status, reason(r->status), r->type, n);
    if (page && evbuffer_add_reference(out, page, n, free_page, page) < 0)
        mem_free(page);
    buf_free(&r->body);
}

static void refuse(struct connection *c, int status, const char *why)
{
    struct admin_reply r = { status, "text/plain; charset=utf-8", BUF_INIT(LONGEST_HEAD) };

    buf_puts(&r.body, why);
    send_reply(c, &r, true);
}

static void answer(struct connection *c, struct str head)
{
    struct str line = str_cut(&head, '\r'), method = str_cut(&line, ' '), target = str_cut(&line, ' ');
    struct admin_reply r;

    if (target.n == 0 || target.p[0] != '/' || !str_starts(line, STR("HTTP/1."))) {
        refuse(c, 400, "not an HTTP/1.1 request\n");
        return;
    }
    admin_answer(c->admin->telemetry, method, target, &r);
    send_reply(c, &r, !str_eq(method, STR("HEAD")));
}

static void on_read(struct bufferevent *io, void *arg)
{
    struct connection *c = arg;
    struct evbuffer *in = bufferevent_get_input(io);
    struct evbuffer_ptr end;

    if (c->state == LINGERING) {
        evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
    if (end.pos >= 0)
        answer(c, (struct str){ (const char *)evbuffer_pullup(in, end.pos + 4), (size_t)end.pos + 4 });
    else if (evbuffer_get_length(in) >= LONGEST_HEAD)
        refuse(c, 431, "the request's head is too large\n");
}

static void on_written(struct bufferevent *io, void *arg)
{
    struct connection *c = arg;

    if (c->state != WRITING)
        return;
    c->state = LINGERING;
    shutdown(bufferevent_getfd(io), SHUT_WR);
    bufferevent_set_timeouts(io, &(struct timeval){ LINGER_S, 0 }, NULL);
    bufferevent_enable(io, EV_READ);
}

static void on_event(struct bufferevent *io, short what, void *arg)
{
    (void)io;
    (void)what; /* the other end has closed, an error, or too long without a byte: it is over in any case */
    connection_free(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *from, int n, void *arg)
{
    struct admin *a = arg;
    struct connection *c = a->nconnections < MOST_CONNECTIONS ? mem_zalloc(sizeof(*c)) : NULL;
    struct bufferevent *io = c ? bufferevent_socket_new(a->telemetry->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;

    (void)l;
    (void)from;
    (void)n;
    if (!io) {
        mem_free(c);
        evutil_closesocket(fd);
        return;
    }
    *c = (struct connection){ .admin = a, .next = a->connections, .link = &a->connections, .io = io };
    if (c->next)
        c->next->link = &c->next;
    a->connections = c;
    a->nconnections++;
    bufferevent_setcb(io, on_read, on_written, on_event, c);
    bufferevent_setwatermark(io, EV_READ, 0, LONGEST_HEAD);
    bufferevent_set_timeouts(io, &(struct timeval){ IDLE_S, 0 }, &(struct timeval){ IDLE_S, 0 });
    bufferevent_enable(io, EV_READ | EV_WRITE);
}

/* The socket of the process before this one, or a new one. */
static struct evconnlistener *listen_on(struct admin *a, const struct addrinfo *at)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_EXEC;
    struct telemetry *t = a->telemetry;
    struct evconnlistener *l;
    int fd;

    if (inherited_take(t->o.inherited, at->ai_addr, &fd, 1) == 0)
        return evconnlistener_new_bind(t->base, on_accept, a, flags, -1, at->ai_addr, (int)at->ai_addrlen);
    l = evconnlistener_new(t->base, on_accept, a, flags, 0, fd);
    if (!l)
        close(fd);
    return l;
}

static int listen_at(struct admin *a, const char *host, unsigned port, struct err *e)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
    char service[16];
    int rc;

    snprintf(service, sizeof(service), "%u", port);
    rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return err_set(e, ERR_IO, "admin port %s:%u: %s", host, port, gai_strerror(rc));
    a->listener = listen_on(a, found);
    if (!a->listener)
        err_set(e, ERR_IO, "admin port %s:%u: listen: %m", host, port);
    freeaddrinfo(found);
    return a->listener ? 0 : ERR_IO;
}

struct admin *admin_new(struct telemetry *t, struct err *e)
{
    struct admin *a = mem_zalloc(sizeof(*a));

    if (!a) {
        err_set(e, ERR_NOMEM, "admin port: no memory");
        return NULL;
    }
    a->telemetry = t;
    if (listen_at(a, t->o.admin_host, t->o.admin_port, e) < 0) {
        mem_free(a);
        return NULL;
    }
    return a;
}

int admin_socket(const struct admin *a)
{
    return a && a->listener ? (int)evconnlistener_get_fd(a->listener) : -1;
}

void admin_stop_accepting(struct admin *a)
{
    if (!a || !a->listener)
        return;
    evconnlistener_free(a->listener);
    a->listener = NULL;
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    while (a->connections)
        connection_free(a->connections);
    admin_stop_accepting(a);
    mem_free(a);
}
