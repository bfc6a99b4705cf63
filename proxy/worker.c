#include "proxy/worker.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/downstream.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    ACCEPTS_AT_ONCE = 32,
    ACCEPT_PAUSE_MS = 100, /* when the process is out of descriptors */
    TICK_NS = 1000000000
};

struct worker_message {
    struct worker_message *next;
    struct snapshot_ref *ref; /* NULL: drain */
    int fds[];
};

void worker_enter(struct worker *w)
{
    w->now_ns = clock_mono_ns();
}

void worker_leave(struct worker *w)
{
    while (w->flush || w->dead) {
        struct conn *c = w->flush;

        if (c) {
            w->flush = c->flush_next;
            c->flush_listed = false;
            conn_flush(c);
        } else { /* nobody on the flush list is freed: it is empty */
            c = w->dead;
            w->dead = c->dead_next;
            c->destroy(c);
        }
    }
}

struct worker_listener *worker_listener_get(struct worker_listener *wl)
{
    wl->refs++;
    return wl;
}

void worker_listener_put(struct worker_listener *wl)
{
    if (--wl->refs > 0)
        return;
    view_put(wl->view);
    mem_free(wl);
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
    struct worker_listener *wl = arg;

    (void)fd, (void)what;
    if (!wl->gone)
        event_add(&wl->ev, NULL);
    worker_listener_put(wl);
}

/* Out of descriptors or memory: the listening socket stays readable, and without a pause the loop would spin. */
static void pause_accepting(struct worker_listener *wl)
{
    struct timeval tv = { 0, ACCEPT_PAUSE_MS * 1000 };

    log_warn("%s: accept: %m", wl->local);
    if (event_base_once(wl->w->base, -1, EV_TIMEOUT, accept_again, worker_listener_get(wl), &tv) < 0) {
        worker_listener_put(wl);
        return;
    }
    event_del(&wl->ev);
}

static void serve(struct worker_listener *wl, int fd, const struct sockaddr_storage *peer)
{
    switch (wl->l->protocol) {
    case PROTOCOL_HTTP:
        downstream_new(wl, fd, peer, STR_NULL);
        break;
    case PROTOCOL_TCP:
        tcp_new(wl, fd, peer, STR_NULL);
        break;
    case PROTOCOL_SNIFF:
        tcp_sniff(wl, fd, peer);
        break;
    }
}

static void accept_all(struct worker_listener *wl, int most)
{
    for (int i = 0; i < most; i++) {
        struct sockaddr_storage peer;
        socklen_t n = sizeof(peer);
        int fd = accept4(wl->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            serve(wl, fd, &peer);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(wl);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct worker_listener *wl = arg;
    struct worker *w = wl->w;

    (void)fd, (void)what;
    worker_enter(w);
    accept_all(wl, ACCEPTS_AT_ONCE);
    worker_leave(w);
}

/* What is in the kernel's queue was accepted in the clients' eyes: it is served before the socket closes. */
static void close_listener(struct worker_listener *wl)
{
    accept_all(wl, INT16_MAX);
    wl->gone = true;
    event_del(&wl->ev);
    close(wl->fd);
    wl->fd = -1;
}

static struct worker_listener *find_listener(struct worker *w, const struct listener *l)
{
    for (struct worker_listener *wl = w->listeners; wl; wl = wl->next)
        if (wl->l->bind_port == l->bind_port && str_eq(wl->l->ip, l->ip))
            return wl;
    return NULL;
}

static void open_listener(struct worker *w, struct view *v, const struct listener *l, int fd)
{
    struct worker_listener *wl = mem_zalloc(sizeof(*wl));

    if (!wl) {
        log_error("listener %.*s: no memory", STR_ARG(l->name));
        close(fd);
        return;
    }
    *wl = (struct worker_listener){ .w = w, .refs = 1, .fd = fd, .view = view_get(v), .l = l, .next = w->listeners };
    snprintf(wl->local, sizeof(wl->local), str_chr(l->ip, ':') < 0 ? "%.*s:%u" : "[%.*s]:%u", STR_ARG(l->ip), l->bind_port);
    wl->wildcard = str_eqz(l->ip, "0.0.0.0") || str_eqz(l->ip, "::");
    w->listeners = wl;
    event_assign(&wl->ev, w->base, fd, EV_READ | EV_PERSIST, on_accept, wl);
    event_add(&wl->ev, NULL);
}

/* Those that are not in v close; their connections end when it does not hurt. */
static void drop_listeners(struct worker *w, const struct view *v)
{
    struct worker_listener **at = &w->listeners;

    while (*at) {
        struct worker_listener *wl = *at;

        if (wl->view == v) {
            at = &wl->next;
            continue;
        }
        close_listener(wl);
        *at = wl->next;
        worker_listener_put(wl);
    }
}

static void drain_conns(struct worker *w)
{
    struct conn *next;

    for (struct conn *c = w->conns; c; c = next) {
        next = c->next;
        if (c->ops->drain)
            c->ops->drain(c);
    }
}

static void switch_view(struct worker *w, struct worker_message *m)
{
    struct view *v = view_new(w, m->ref);
    const struct proxy_snapshot *s = m->ref->snapshot;

    if (!v) {
        log_error("no memory for version %llu: the old one stays", (unsigned long long)s->version);
        for (size_t i = 0; i < s->nlisteners; i++)
            if (m->fds[i] >= 0)
                close(m->fds[i]);
        return;
    }
    for (size_t i = 0; i < s->nlisteners; i++) {
        struct worker_listener *wl = find_listener(w, &s->listeners[i]);

        if (m->fds[i] >= 0) {
            open_listener(w, v, &s->listeners[i], m->fds[i]);
        } else if (wl) {
            view_put(wl->view);
            wl->view = view_get(v);
            wl->l = &s->listeners[i];
        }
    }
    drop_listeners(w, v);
    view_put(w->view);
    w->view = v;
    drain_conns(w);
}

static void start_draining(struct worker *w)
{
    if (w->draining)
        return;
    for (struct worker_listener *wl = w->listeners; wl; wl = wl->next)
        close_listener(wl);
    w->draining = true;
    w->drain_end_ns = w->now_ns + w->settings->drain_ns;
    drain_conns(w);
}

static void on_mail(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct worker_message *list = NULL, *m;
    uint64_t n;

    (void)what;
    worker_enter(w);
    if (read(fd, &n, sizeof(n)) < 0)
        log_debug("worker %zu: wake-up without a message", w->index);
    pthread_mutex_lock(&w->lock);
    m = w->mail;
    w->mail = NULL;
    pthread_mutex_unlock(&w->lock);
    while (m) { /* the newest is in front */
        struct worker_message *next = m->next;

        m->next = list;
        list = m;
        m = next;
    }
    while ((m = list)) {
        list = m->next;
        if (m->ref && !w->draining)
            switch_view(w, m);
        else if (!m->ref)
            start_draining(w);
        snapshot_ref_put(m->ref);
        mem_free(m);
    }
    worker_leave(w);
}

static void read_clocks(struct worker *w)
{
    time_t now;
    struct tm tm;

    w->wall_ns = clock_now_ns() - clock_mono_ns();
    now = (time_t)(worker_wall_ns(w, w->now_ns) / 1000000000);
    gmtime_r(&now, &tm);
    strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;
    struct conn *next;

    (void)fd, (void)what;
    worker_enter(w);
    read_clocks(w);
    for (struct conn *c = w->conns; c; c = next) {
        next = c->next;
        if (c->deadline_ns && c->deadline_ns <= w->now_ns)
            c->ops->deadline(c);
    }
    worker_leave(w);
}
