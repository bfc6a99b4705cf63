/* grpc_server.c: the server's thread: its loop, its listener, and what the store's committer leaves for it in the box. */
#include "collector/grpc-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BACKLOG = 512, RETRY_FIRST_MS = 10, RETRY_LAST_MS = 1000, SWEEP_MS = 1000 };

static void set_timer(struct event *timer, int64_t ms)
{
    const struct timeval after = { ms / 1000, ms % 1000 * 1000 };

    if (event_add(timer, &after) < 0)
        log_error("grpc: no memory for a timer");
}

/* --- the store --- */

static void wake(struct grpc_server *s)
{
    uint64_t one = 1;

    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return; /* it is full of wakings */
}

/* On the committer's thread. */
static void stored(void *arg, int rc, const struct err *e)
{
    struct grpc_batch *t = arg;
    struct grpc_server *s = t->call->server;

    t->rc = rc;
    if (e)
        t->err = *e;
    pthread_mutex_lock(&s->box);
    t->next = s->stored;
    s->stored = t;
    pthread_mutex_unlock(&s->box);
    wake(s);
}

int grpc_server_submit(struct grpc_batch *t, struct err *e)
{
    struct grpc_server *s = t->call->server;
    int rc;

    s->storing++;
    rc = s->submit(s->store, &t->batch, stored, t, e);
    if (rc < 0)
        s->storing--;
    return rc;
}

void grpc_server_wait(struct grpc_batch *t)
{
    struct grpc_server *s = t->call->server;

    if (!s->waiting)
        set_timer(s->retry, s->retry_ms);
    t->next = NULL;
    *s->waiting_end = t;
    s->waiting_end = &t->next;
    atomic_fetch_add(&s->nwaiting, 1);
}

static struct grpc_batch *take_first(struct grpc_server *s)
{
    struct grpc_batch *t = s->waiting;

    s->waiting = t->next;
    if (!s->waiting)
        s->waiting_end = &s->waiting;
    atomic_fetch_sub(&s->nwaiting, 1);
    return t;
}

static void put_back(struct grpc_server *s, struct grpc_batch *t)
{
    t->next = s->waiting;
    if (!s->waiting)
        s->waiting_end = &t->next;
    s->waiting = t;
    atomic_fetch_add(&s->nwaiting, 1);
}

/* Sends what calls have been answered meanwhile; a call may be gone, its connection is found by walking. */
static void flush_all(struct grpc_server *s)
{
    for (struct grpc_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (nghttp2_session_want_write(c->session))
            grpc_conn_flush(c);
    }
}

static void retry_due(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_server *s = arg;
    bool gone_on = false;

    (void)fd;
    (void)what;
    while (s->waiting) {
        struct grpc_batch *t = take_first(s);

        if (!grpc_batch_retry(t)) {
            put_back(s, t);
            break;
        }
        gone_on = true;
    }
    s->retry_ms = gone_on ? RETRY_FIRST_MS : s->retry_ms * 2 < RETRY_LAST_MS ? s->retry_ms * 2 : RETRY_LAST_MS;
    if (s->waiting)
        set_timer(s->retry, s->retry_ms);
    flush_all(s);
}

/* --- connections --- */

static void accept_one(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int n, void *arg)
{
    struct grpc_server *s = arg;
    int on = 1;

    (void)l;
    (void)a;
    (void)n;
    if (atomic_load(&s->nconns) >= s->options.max_connections) {
        atomic_fetch_add(&s->turned_away, 1);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    atomic_fetch_add(&s->accepted, 1);
    if (!s->conns)
        set_timer(s->sweep, SWEEP_MS);
    grpc_conn_new(s, fd);
}

/* No file descriptors, most likely: the sweep listens again. */
static void accept_failed(struct evconnlistener *l, void *arg)
{
    struct grpc_server *s = arg;

    log_warn("grpc: accept: %m");
    evconnlistener_disable(l);
    set_timer(s->sweep, SWEEP_MS);
}

static void sweep_due(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_server *s = arg;
    int64_t now = clock_mono_ns();

    (void)fd;
    (void)what;
    for (struct grpc_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        grpc_conn_sweep(c, now);
    }
    if (!s->stopping)
        evconnlistener_enable(s->listener);
    if (s->conns)
        set_timer(s->sweep, SWEEP_MS);
}

/* --- the end --- */

static bool is_done(const struct grpc_server *s)
{
    return s->stopping && !s->conns && s->storing == 0 && !s->waiting;
}

static void give_up_due(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_server *s = arg;

    (void)fd;
    (void)what;
    while (s->conns)
        grpc_conn_free(s->conns);
    if (s->waiting)
        log_warn("grpc: %zu batches that were not acknowledged are lost: the store had no room for them",
                 atomic_load(&s->nwaiting));
    while (s->waiting) {
        struct grpc_batch *t = take_first(s);
        struct grpc_call *call = t->call;

        grpc_batch_free(t);
        call->outstanding--;
        grpc_call_settle(call);
    }
}

static void begin_stop(struct grpc_server *s, int64_t within_ms)
{
    s->stopping = true;
    evconnlistener_disable(s->listener);
    set_timer(s->give_up, within_ms);
    for (struct grpc_conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        grpc_conn_stop(c);
    }
}

/* --- the loop --- */

static void take_stored(struct grpc_server *s, struct grpc_batch *newest)
{
    struct grpc_batch *oldest = NULL;

    while (newest) {
        struct grpc_batch *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct grpc_batch *next = oldest->next;

        s->storing--;
        grpc_batch_stored(oldest);
        oldest = next;
    }
    flush_all(s);
}

static void look_into_box(evutil_socket_t fd, short what, void *arg)
{
    struct grpc_server *s = arg;
    struct grpc_batch *newest;
    uint64_t count;
    int64_t within_ms;
    bool stop;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&s->box);
    newest = s->stored;
    s->stored = NULL;
    stop = s->stop;
    within_ms = s->stop_ms;
    pthread_mutex_unlock(&s->box);
    take_stored(s, newest);
    if (stop && !s->stopping)
        begin_stop(s, within_ms);
}

/* Whatever happened, it may have been the last thing to wait for. */
static void *grpc_main(void *arg)
{
    struct grpc_server *s = arg;

    while (!is_done(s))
        event_base_loop(s->base, EVLOOP_ONCE);
    return NULL;
}

/* --- the face --- */

static void set_defaults(struct grpc_options *o)
{
    o->max_message = o->max_message ? o->max_message : 32u << 20;
    o->max_bytes = o->max_bytes ? o->max_bytes : 128u << 20;
    o->max_memory = o->max_memory ? o->max_memory : 512u << 20;
    o->max_connections = o->max_connections ? o->max_connections : 4096;
    o->max_calls = o->max_calls ? o->max_calls : 256;
    o->stall_ms = o->stall_ms ? o->stall_ms : 30000;
    o->idle_ms = o->idle_ms ? o->idle_ms : 600000;
}

static int make_loop(struct grpc_server *s, struct err *e)
{
    struct event_config *settings = event_config_new();

    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0)
        return err_set(e, ERR_IO, "grpc: eventfd: %m");
    if (settings && event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK) == 0)
        s->base = event_base_new_with_config(settings);
    if (settings)
        event_config_free(settings);
    if (s->base) {
        s->woken = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, look_into_box, s);
        s->sweep = event_new(s->base, -1, 0, sweep_due, s);
        s->retry = event_new(s->base, -1, 0, retry_due, s);
        s->give_up = event_new(s->base, -1, 0, give_up_due, s);
    }
    if (!s->woken || !s->sweep || !s->retry || !s->give_up || event_add(s->woken, NULL) < 0)
        return err_set(e, ERR_NOMEM, "grpc: no memory for the loop");
    return 0;
}

/* A numeric IPv4 or IPv6 address. */
static int to_address(const char *host, uint16_t port, struct sockaddr_storage *to, socklen_t *n, struct err *e)
{
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;

    memset(to, 0, sizeof(*to));
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        *n = sizeof(*four);
    } else if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        *n = sizeof(*six);
    } else {
        return err_set(e, ERR_INVALID, "grpc: %s should be an address in digits", host);
    }
    return 0;
}

static int make_listener(struct grpc_server *s, struct err *e)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    struct sockaddr_storage at;
    socklen_t n;

    if (to_address(s->options.host, s->options.port, &at, &n, e) < 0)
        return e ? e->code : ERR_INVALID;
    s->listener = evconnlistener_new_bind(s->base, accept_one, s, flags, BACKLOG, (struct sockaddr *)&at, (int)n);
    if (!s->listener)
        return err_set(e, errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO, "grpc: listen on %s port %u: %m", s->options.host,
                       s->options.port);
    evconnlistener_set_error_cb(s->listener, accept_failed);
    n = sizeof(at);
    if (getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&at, &n) < 0)
        return err_set(e, ERR_IO, "grpc: getsockname: %m");
    s->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                             : ((struct sockaddr_in *)&at)->sin_port);
    return 0;
}

static void free_event(struct event *ev)
{
    if (ev)
        event_free(ev);
}

static void grpc_free(struct grpc_server *s)
{
    if (s->listener)
        evconnlistener_free(s->listener);
    free_event(s->woken);
    free_event(s->sweep);
    free_event(s->retry);
    free_event(s->give_up);
    if (s->base)
        event_base_free(s->base);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    grpc_h2_fini(s);
    pthread_mutex_destroy(&s->box);
    mem_free(s);
}

struct grpc_server *grpc_start(struct store *st, const struct grpc_options *o, struct err *e)
{
    struct grpc_server *s = mem_zalloc(sizeof(*s));

    if (!s) {
        err_set(e, ERR_NOMEM, "grpc: no memory");
        return NULL;
    }
    s->store = st;
    s->submit = store_submit;
    s->options = *o;
    set_defaults(&s->options);
    s->budget.max = s->options.max_memory;
    s->wake_fd = -1;
    s->waiting_end = &s->waiting;
    s->retry_ms = RETRY_FIRST_MS;
    pthread_mutex_init(&s->box, NULL);
    if (grpc_h2_init(s, e) < 0 || make_loop(s, e) < 0 || make_listener(s, e) < 0)
        goto fail;
    if (pthread_create(&s->thread, NULL, grpc_main, s) != 0) {
        err_set(e, ERR_NOMEM, "grpc: no thread");
        goto fail;
    }
    return s;
fail:
    grpc_free(s);
    return NULL;
}

uint16_t grpc_port(const struct grpc_server *s)
{
    return s->port;
}

void grpc_stop(struct grpc_server *s, int64_t timeout_ms)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->box);
    s->stop = true;
    s->stop_ms = timeout_ms;
    pthread_mutex_unlock(&s->box);
    wake(s);
    pthread_join(s->thread, NULL);
    grpc_free(s);
}

static void copy_counts(const struct grpc_count *c, size_t method, struct grpc_stats *out)
{
    out->methods[method].name = method < GRPC_METHODS ? grpc_methods[method].path : "none";
    for (int i = 0; i < GRPC_STATUSES; i++)
        out->methods[method].calls[i] = atomic_load(&c->calls[i]);
    out->methods[method].messages = atomic_load(&c->messages);
    out->methods[method].accepted = atomic_load(&c->accepted);
    out->methods[method].refused = atomic_load(&c->refused);
}

void grpc_stats(struct grpc_server *s, struct grpc_stats *out)
{
    for (size_t i = 0; i <= GRPC_METHODS; i++)
        copy_counts(&s->counts[i], i, out);
    out->connections = atomic_load(&s->nconns);
    out->calls = atomic_load(&s->ncalls);
    out->accepted = atomic_load(&s->accepted);
    out->turned_away = atomic_load(&s->turned_away);
    out->ended = atomic_load(&s->ended);
    out->bytes = atomic_load(&s->bytes);
    out->waiting = atomic_load(&s->nwaiting);
}
