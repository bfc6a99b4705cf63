/* main.c: the guestbook's frontend: one page, and two commands that go to Redis.
 *
 *   /                                               the page
 *   /guestbook.php?cmd=set&key=messages&value=a,b   SET on redis-master → {"message": "Updated"}
 *   /guestbook.php?cmd=get&key=messages             GET on redis-slave  → {"data": "a,b"}
 *
 * Redis' addresses come from the environment, as Kubernetes gives them: REDIS_MASTER_SERVICE_HOST and _PORT,
 * REDIS_SLAVE_SERVICE_HOST and _PORT. Every request opens a connection of its own to Redis, as the PHP original did. */
#include "demo/guestbook/page.h"
#include "demo/guestbook/redis.h"

#include "base/clock.h"
#include "base/num.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct guestbook {
    const char *version;
    struct redis_server master, replica;
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type, struct buf *body)
{
    struct MHD_Response *r;
    enum MHD_Result rc;

    r = MHD_create_response_from_buffer(body->n, body->p, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    rc = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return rc;
}

static enum MHD_Result reply_json(struct MHD_Connection *c, unsigned status, const char *key, struct str value)
{
    struct buf b = BUF_INIT(8 << 20);
    enum MHD_Result rc;

    buf_printf(&b, "{\"%s\": ", key);
    buf_json(&b, value);
    buf_putc(&b, '}');
    rc = buf_failed(&b) ? MHD_NO : reply(c, status, "application/json", &b);
    buf_free(&b);
    return rc;
}

static enum MHD_Result reply_page(struct MHD_Connection *c, const char *version)
{
    struct buf b = BUF_INIT(64 * 1024);
    enum MHD_Result rc;

    page_print(&b, version);
    rc = reply(c, MHD_HTTP_OK, "text/html; charset=utf-8", &b);
    buf_free(&b);
    return rc;
}

static struct str argument(struct MHD_Connection *c, const char *name)
{
    return str_of(MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name));
}

static enum MHD_Result command(const struct guestbook *g, struct MHD_Connection *c)
{
    struct str cmd = argument(c, "cmd"), key = argument(c, "key"), value = argument(c, "value");
    struct buf answer = BUF_INIT(1 << 20);
    struct err e = ERR_INIT;
    enum MHD_Result rc;
    bool set = str_eq(cmd, STR("set"));

    if ((!set && !str_eq(cmd, STR("get"))) || key.n == 0)
        return reply_json(c, MHD_HTTP_BAD_REQUEST, "error", STR("cmd should be set or get, and key a name"));
    if (set)
        redis_call(&g->master, (struct str[]){ STR("SET"), key, value }, 3, &answer, &e);
    else
        redis_call(&g->replica, (struct str[]){ STR("GET"), key }, 2, &answer, &e);
    if (e.code)
        rc = reply_json(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "error", str_of(e.msg));
    else if (set)
        rc = reply_json(c, MHD_HTTP_OK, "message", STR("Updated"));
    else
        rc = reply_json(c, MHD_HTTP_OK, "data", buf_view(&answer));
    buf_free(&answer);
    return rc;
}

static enum MHD_Result route(const struct guestbook *g, struct MHD_Connection *c, const char *url, const char *method)
{
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return reply_json(c, MHD_HTTP_METHOD_NOT_ALLOWED, "error", STR("GET and HEAD only"));
    if (strcmp(url, "/guestbook.php") == 0)
        return command(g, c);
    if (strcmp(url, "/") == 0 || strcmp(url, "//") == 0 || strcmp(url, "/index.html") == 0)
        return reply_page(c, g->version);
    return reply_json(c, MHD_HTTP_NOT_FOUND, "error", STR("there are / and /guestbook.php"));
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *c, const char *url, const char *method,
                              const char *protocol, const char *body, size_t *body_size, void **state)
{
    static int seen;
    char when[CLOCK_TEXT];

    (void)body;
    if (!*state) { /* the headers are there; the body, which nobody needs, may follow */
        *state = &seen;
        return MHD_YES;
    }
    if (*body_size) {
        *body_size = 0;
        return MHD_YES;
    }
    clock_rfc3339_ms(when, clock_now_ms());
    printf("%s \"%s %s %s\"\n", when, method, url, protocol);
    return route(arg, c, url, method);
}

/* Copies the host of HOST:PORT; false when it is not of that form. */
static bool parse_listen(const char *text, struct sockaddr_in *address)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    int64_t port;

    if (!colon || (size_t)(colon - text) >= sizeof(host) || !num_i64(str_of(colon + 1), &port) || port < 0 ||
        port > 65535)
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

static int usage(void)
{
    fputs("usage: guestbook [--version v1|v2|v3] --listen ADDRESS:PORT\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct guestbook g = {
        .version = "v1",
        .master = { environment("REDIS_MASTER_SERVICE_HOST", "redis-master"),
                    environment("REDIS_MASTER_SERVICE_PORT", "6379") },
        .replica = { environment("REDIS_SLAVE_SERVICE_HOST", "redis-slave"),
                     environment("REDIS_SLAVE_SERVICE_PORT", "6379") },
    };
    struct sockaddr_in address = { 0 };
    struct MHD_Daemon *daemon;
    sigset_t stop;
    int sig;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--version") == 0)
            g.version = argv[i + 1];
        else if (strcmp(argv[i], "--listen") != 0 || !parse_listen(argv[i + 1], &address))
            return usage();
    }
    if (address.sin_family == 0)
        return usage();
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, ntohs(address.sin_port), NULL, NULL, handle, &g,
                              MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_THREAD_POOL_SIZE, 4u,
                              MHD_OPTION_CONNECTION_TIMEOUT, 120u, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "guestbook: %s: cannot listen there: %m\n", argv[argc - 1]);
        return 1;
    }
    sigwait(&stop, &sig);
    MHD_stop_daemon(daemon);
    return 0;
}
