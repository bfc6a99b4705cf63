/* server.c: starting and stopping: the socket, libmicrohttpd's threads, the workers, the mesh, who follows lines.
 *
 * Order of the end: what is new is refused (503, and its connection closed); who waits for the mesh, and who follows lines, is sent away; requests under way get their answers; and
 * only then libmicrohttpd, which cannot stop while a connection rests, and the workers. */

#include "api/loki_tail-internal.h"
#include "api/mesh-internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS = 4096,
    CONNECTION_BYTES = 64 * 1024, /* request line and headers */
    IDLE_SECONDS = 120
};

static void mhd_log(void *cls, const char *fmt, va_list ap)
{
    char text[512];

    (void)cls;
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

/* The path and the query are decoded here, not by libmicrohttpd: "%2F" in a label's name is no slash. */
static size_t leave_escapes(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

static int listen_at(const char *host, uint16_t port, uint16_t *bound, struct err *e)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM };
    struct addrinfo *address;
    struct sockaddr_storage own;
    socklen_t size = sizeof(own);
    char digits[8], service[8] = "0";
    int fd, one = 1;

    snprintf(digits, sizeof(digits), "%u", port);
    if (getaddrinfo(host, digits, &hints, &address) != 0)
        return err_set(e, ERR_IO, "%s:%u: should be a numeric address", host, port);
    fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, address->ai_addr, address->ai_addrlen) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &size) < 0 ||
        getnameinfo((struct sockaddr *)&own, size, NULL, 0, service, sizeof(service), NI_NUMERICSERV) != 0) {
        err_set(e, ERR_IO, "%s:%u: listen: %m", host, port);
        if (fd >= 0)
            close(fd);
        fd = ERR_IO;
    }
    *bound = (uint16_t)strtoul(service, NULL, 10);
    freeaddrinfo(address);
    return fd;
}

static int start_daemon(struct api *api, struct err *e)
{
    unsigned io_threads = api->options.threads > 2 ? 2 : 1;
    int fd = listen_at(api->host, api->options.port, &api->port, e);

    if (fd < 0)
        return fd;
    api->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG, 0, NULL, NULL, http_handle, api,
        MHD_OPTION_EXTERNAL_LOGGER, mhd_log, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_THREAD_POOL_SIZE, io_threads,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_URI_LOG_CALLBACK, http_request_new, api,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, http_request_end, api, MHD_OPTION_END);
    if (api->daemon)
        return 0;
    close(fd);
    return err_set(e, ERR_IO, "%s:%u: the HTTP server does not start: %m", api->host, api->port);
}

static void set_options(struct api *api, const struct api_options *o)
{
    api->options = *o;
    if (api->options.threads == 0)
        api->options.threads = 4;
    if (api->options.max_body == 0)
        api->options.max_body = 32 << 20;
    api->budget.max = o->max_memory ? o->max_memory : (size_t)2 << 30;
    api->host = mem_strdup(o->host);
    api->config = mem_strdup(o->config ? o->config : "");
}

static void api_free(struct api *api)
{
    workers_stop(api->workers);
    if (!api->daemon)
        tails_stop(api->tails);
    tails_free(api->tails);
    mesh_state_free(api->mesh);
    graph_state_free(api->graph);
    bodies_fini(&api->bodies);
    pthread_mutex_destroy(&api->lock);
    pthread_cond_destroy(&api->quiet);
    mem_free(api->counts);
    mem_free(api->host);
    mem_free(api->config);
    mem_free(api);
}

struct api *api_start(struct store *st, const struct api_options *o, struct err *e)
{
    struct api *api = mem_zalloc(sizeof(*api));
    pthread_condattr_t attributes;

    if (!api) {
        err_set(e, ERR_NOMEM, "no memory for the HTTP server");
        return NULL;
    }
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&api->lock, NULL);
    bodies_init(&api->bodies);
    pthread_cond_init(&api->quiet, &attributes);
    pthread_condattr_destroy(&attributes);
    api->store = st;
    api->started_ms = clock_now_ms();
    set_options(api, o);
    api->counts = mem_zalloc((routes_n + 1) * sizeof(*api->counts));
    api->graph = graph_state_new();
    if (!api->host || !api->config || !api->counts || !api->graph) {
        err_set(e, ERR_NOMEM, "no memory for the HTTP server");
        goto fail;
    }
    api->loopback = address_is_loopback(str_of(api->host));
    api->mesh = mesh_state_new(st, e);
    api->tails = api->mesh ? tails_start(api, e) : NULL;
    api->workers = api->tails ? workers_start(api->options.threads, e) : NULL;
    if (api->workers && start_daemon(api, e) == 0)
        return api;
fail:
    api_free(api);
    return NULL;
}

void api_give_back(struct api *api)
{
    bodies_drop(&api->bodies);
}

uint16_t api_port(const struct api *api)
{
    return api->port;
}

/* Waits until *count is zero, at most until `deadline_ns` (0: without end). */
static bool wait_for_none(struct api *api, const size_t *count, int64_t deadline_ns)
{
    const struct timespec until = { deadline_ns / 1000000000, deadline_ns % 1000000000 };
    bool none;
    int rc = 0;

    pthread_mutex_lock(&api->lock);
    while (*count && rc == 0)
        rc = deadline_ns ? pthread_cond_timedwait(&api->quiet, &api->lock, &until)
                         : pthread_cond_wait(&api->quiet, &api->lock);
    none = *count == 0;
    pthread_mutex_unlock(&api->lock);
    return none;
}

void api_stop(struct api *api, int64_t timeout_ms)
{
    if (!api)
        return;
    /* Not MHD_quiesce_daemon: with a pool of threads both it and a thread that is just awake take the listening socket out
     * of the thread's epoll set, and the second one to do so aborts the process. */
    atomic_store(&api->stopping, true);
    mesh_state_stop(api->mesh);
    tails_stop(api->tails);
    if (!wait_for_none(api, &api->active, clock_mono_ns() + timeout_ms * 1000000))
        log_warn("http: %zu requests have not ended after %lld ms", api->active, (long long)timeout_ms);
    wait_for_none(api, &api->suspended, 0); /* libmicrohttpd cannot stop while a connection rests */
    MHD_stop_daemon(api->daemon);
    api_free(api);
}
