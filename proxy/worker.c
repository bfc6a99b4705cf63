#include "proxy/worker-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/stream.h"
#include "proxy/upstream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum message_kind { SWITCH, RETIRE, DRAIN };

struct worker_message {
    struct worker_message *next;
    enum message_kind kind;
    int64_t within_ns;        /* RETIRE */
    struct snapshot_ref *ref; /* SWITCH; else NULL */
    size_t nsockets;
    struct worker_socket sockets[];
};

void worker_enter(struct worker *w)
{
    w->now_ns = clock_mono_ns();
}

static void settle(struct worker *w)
{
    bool send = !w->poller.turning; /* else at the end of a few turns, what they have put all at once */
    struct conn *c;

    while ((w->flush && send) || w->dead || w->wake) {
        if (w->flush && send) {
            conn_send_all(w);
        } else if (w->wake) {
            upstream_wake(w);
        } else {
            c = w->dead;
            w->dead = c->leave_next;
            conn_destroy(c);
        }
    }
}

static void start_draining(struct worker *w);

void worker_leave(struct worker *w)
{
    settle(w);
    if (w->retiring && !w->draining && w->nlistening == 0) { /* no client is left; hosts' connections are */
        start_draining(w);
        settle(w);
    }
    poller_rouse(&w->poller);
    if (w->draining && w->nconns == 0)
        event_base_loopbreak(w->base);
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
        worker_listener_close(wl);
        *at = wl->next;
        worker_listener_put(wl);
    }
}

static void drain_conns(struct worker *w)
{
    struct conn *next;

    for (struct conn *c = w->conns; c; c = next) {
        next = c->next;
        if (c->fd >= 0 && c->ops->drain) /* one closed meanwhile still leads on to its neighbours */
            c->ops->drain(c);
    }
}

static bool is_for(const struct worker_listener *wl, const struct listener *l)
{
    return wl->l->bind_port == l->bind_port && str_eq(wl->l->ip, l->ip);
}

/* The listener in the next snapshot. Most stand there where they stood before, but for `shift` places, which is how far
 * the one before was found from its own: looked for there first, thousands are found in about as many steps. */
static const struct listener *find_listener(const struct proxy_snapshot *s, const struct worker_listener *wl,
                                            size_t *shift)
{
    size_t before = (size_t)(wl->l - wl->view->snapshot->listeners);

    for (size_t i = 0; i < s->nlisteners; i++) {
        size_t at = (before + *shift + i) % s->nlisteners;

        if (is_for(wl, &s->listeners[at])) {
            *shift = (*shift + i) % s->nlisteners;
            return &s->listeners[at];
        }
    }
    return NULL;
}

static void close_sockets(const struct worker_message *m)
{
    for (size_t i = 0; i < m->nsockets; i++)
        close(m->sockets[i].fd);
}

static void switch_view(struct worker *w, struct worker_message *m)
{
    struct view *v = view_new(w, m->ref, w->view);
    const struct proxy_snapshot *s = m->ref->snapshot;
    const struct listener *l;
    size_t shift = 0;

    if (!v) {
        log_error("no memory for version %llu: the old one stays", (unsigned long long)s->version);
        close_sockets(m);
        return;
    }
    for (struct worker_listener *wl = w->listeners; wl; wl = wl->next)
        if ((l = find_listener(s, wl, &shift)))
            worker_listener_renew(wl, v, l);
    for (size_t i = 0; i < m->nsockets; i++)
        worker_listener_open(w, v, &s->listeners[m->sockets[i].listener], m->sockets[i].fd);
    drop_listeners(w, v);
    health_checks_follow(w, v);
    view_put(w->view);
    w->view = v;
    drain_conns(w);
}

/* The earliest of several ends counts. */
static void end_within(struct worker *w, int64_t ns)
{
    struct timeval end = { ns / 1000000000, ns % 1000000000 / 1000 };

    event_base_loopexit(w->base, &end);
}

static void start_draining(struct worker *w)
{
    if (w->draining)
        return;
    for (struct worker_listener *wl = w->listeners; wl; wl = wl->next)
        worker_listener_close(wl);
    w->draining = true;
    health_checks_stop(w);
    end_within(w, w->settings->drain_ns);
    drain_conns(w);
}

static void retire(struct worker *w, int64_t within_ns)
{
    struct worker_listener *wl;

    if (w->draining || w->retiring)
        return;
    while ((wl = w->listeners)) {
        worker_listener_stop(wl);
        w->listeners = wl->next;
        worker_listener_put(wl);
    }
    w->retiring = true;
    end_within(w, within_ns);
    drain_conns(w);
}

static void obey(struct worker *w, struct worker_message *m)
{
    switch (m->kind) {
    case SWITCH:
        if (w->draining || w->retiring)
            close_sockets(m);
        else
            switch_view(w, m);
        break;
    case RETIRE:
        retire(w, m->within_ns);
        break;
    case DRAIN:
        start_draining(w);
        break;
    }
}

static void wake_up(struct worker *w)
{
    uint64_t one = 1;

    if (write(w->mail_fd, &one, sizeof(one)) < 0)
        log_error("worker %zu: wake-up: %m", w->index);
}

/* A wake-up without mail goes on with what the last switch has left. */
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
        obey(w, m);
        snapshot_ref_put(m->ref);
        mem_free(m);
        atomic_fetch_sub(&w->nmail, 1);
    }
    if (w->view && view_follow(w->view))
        wake_up(w); /* other events come first */
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
        if (c->fd >= 0 && c->deadline_ns && c->deadline_ns <= w->now_ns)
            c->ops->deadline(c);
    }
    health_checks_tick(w);
    worker_leave(w);
}

static void on_connect_timer(evutil_socket_t fd, short what, void *arg)
{
    struct worker *w = arg;

    (void)fd, (void)what;
    worker_enter(w);
    conn_check_connecting(w);
    worker_leave(w);
}

/* The end of the thread: what is still there is cut off, each with its record. */
static void cut_off(struct worker *w)
{
    worker_enter(w);
    while (w->conns) {
        struct conn *c = w->conns;

        c->ops->error(c, ECONNABORTED);
        conn_close(c);
    }
    worker_leave(w);
    while (w->listeners) {
        struct worker_listener *wl = w->listeners;

        w->listeners = wl->next;
        if (wl->fd >= 0) {
            event_del(&wl->ev);
            close(wl->fd);
        }
        worker_listener_put(wl);
    }
    view_put(w->view);
    worker_leave(w);
    stream_free_all(w);
    conn_buf_free_all(w);
    splice_free_all(w);
}

static void *run(void *arg)
{
    struct worker *w = arg;
    int why;

    w->batch = w->settings->io_uring ? batch_new(&why) : NULL;
    if (w->settings->io_uring && !w->batch)
        log_info("worker %zu: without io_uring: %s", w->index, strerror(why));
    event_base_dispatch(w->base);
    cut_off(w);
    batch_free(w->batch);
    return NULL;
}

static int init_events(struct worker *w, struct err *e)
{
    struct event_config *config = event_config_new();
    struct timeval second = { 1, 0 };

    if (!config)
        return err_set(e, ERR_NOMEM, "no memory for an event loop");
    /* No changelist: it would touch descriptors after they are closed, when another thread may have them again. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    w->base = event_base_new_with_config(config);
    event_config_free(config);
    w->mail_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!w->base || w->mail_fd < 0)
        return err_set(e, ERR_IO, "an event loop cannot be made: %m");
    w->mail_event = event_new(w->base, w->mail_fd, EV_READ | EV_PERSIST, on_mail, w);
    w->tick = event_new(w->base, -1, EV_PERSIST, on_tick, w);
    w->connect_timer = event_new(w->base, -1, 0, on_connect_timer, w);
    if (!w->mail_event || !w->tick || !w->connect_timer || poller_init(&w->poller, w->base) < 0 ||
        event_add(w->mail_event, NULL) < 0 || event_add(w->tick, &second) < 0)
        return err_set(e, ERR_NOMEM, "no memory for an event loop");
    return 0;
}

static void free_worker(struct worker *w)
{
    struct worker_message *m;

    while ((m = w->mail)) {
        w->mail = m->next;
        close_sockets(m);
        snapshot_ref_put(m->ref);
        mem_free(m);
    }
    if (w->mail_event)
        event_free(w->mail_event);
    if (w->tick)
        event_free(w->tick);
    if (w->connect_timer)
        event_free(w->connect_timer);
    poller_free(&w->poller);
    if (w->base)
        event_base_free(w->base);
    if (w->mail_fd >= 0)
        close(w->mail_fd);
    strmap_free(&w->hosts);
    jwt_cache_free(w->jwt_cache);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

struct worker *worker_new(size_t index, const struct worker_settings *settings, struct record_ring *ring, struct err *e)
{
    struct worker *w = mem_zalloc(sizeof(*w));

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory for a worker");
        return NULL;
    }
    w->index = index;
    w->settings = settings;
    w->ring = ring;
    w->mail_fd = -1;
    pthread_mutex_init(&w->lock, NULL);
    rng_seed(&w->rng);
    worker_enter(w);
    read_clocks(w);
    if (init_events(w, e) < 0) {
        free_worker(w);
        return NULL;
    }
    return w;
}

struct worker *worker_start(size_t index, const struct worker_settings *settings, struct record_ring *ring,
                            struct err *e)
{
    struct worker *w = worker_new(index, settings, ring, e);
    int rc;

    if (!w)
        return NULL;
    rc = pthread_create(&w->thread, NULL, run, w);
    if (rc != 0) {
        err_set(e, ERR_IO, "a worker's thread cannot be started: %s", strerror(rc));
        free_worker(w);
        return NULL;
    }
    return w;
}

static struct worker_message *new_message(enum message_kind kind, size_t nsockets)
{
    struct worker_message *m = mem_zalloc(sizeof(*m) + nsockets * sizeof(m->sockets[0]));

    if (m) {
        m->kind = kind;
        m->nsockets = nsockets;
    }
    return m;
}

static void post(struct worker *w, struct worker_message *m)
{
    atomic_fetch_add(&w->nmail, 1);
    pthread_mutex_lock(&w->lock);
    m->next = w->mail;
    w->mail = m;
    pthread_mutex_unlock(&w->lock);
    wake_up(w);
}

int worker_switch(struct worker *w, struct snapshot_ref *ref, const struct worker_socket *sockets, size_t n)
{
    struct worker_message *m = new_message(SWITCH, n);

    if (!m)
        return ERR_NOMEM;
    m->ref = snapshot_ref_get(ref);
    if (n)
        memcpy(m->sockets, sockets, n * sizeof(*sockets));
    post(w, m);
    return 0;
}

bool worker_is_up_to_date(const struct worker *w)
{
    return atomic_load(&w->nmail) == 0;
}

static void tell_end(struct worker *w, enum message_kind kind, int64_t within_ns)
{
    struct worker_message *m = new_message(kind, 0);

    if (!m) {
        log_error("worker %zu: no memory to say that it ends", w->index);
        return;
    }
    m->within_ns = within_ns;
    post(w, m);
}

void worker_retire(struct worker *w, int64_t within_ns)
{
    tell_end(w, RETIRE, within_ns);
}

void worker_drain(struct worker *w)
{
    tell_end(w, DRAIN, 0);
}

void worker_join(struct worker *w)
{
    if (!w)
        return;
    pthread_join(w->thread, NULL);
    free_worker(w);
}

bool worker_try_join(struct worker *w)
{
    if (pthread_tryjoin_np(w->thread, NULL) != 0)
        return false;
    free_worker(w);
    return true;
}
