/* tail.c: the tail thread: its loop, and what the committer leaves for it. */
#include "collector/tail-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

void tail_look_in(struct tail *t, int ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 }, due, now, wanted;

    if (event_pending(t->look, EV_TIMEOUT, &due)) {
        evutil_gettimeofday(&now, NULL);
        evutil_timeradd(&now, &tv, &wanted);
        if (evutil_timercmp(&due, &wanted, <))
            return;
    }
    event_add(t->look, &tv);
}

static void look(evutil_socket_t fd, short what, void *arg)
{
    struct tail *t = arg;
    int64_t now_ms = clock_mono_ns() / 1000000;

    (void)fd;
    (void)what;
    tail_look_in(t, TAIL_LOOK_MS);
    if (t->search || now_ms >= t->search_ms) {
        t->search = false;
        t->search_ms = now_ms + TAIL_LOOK_MS;
        tail_search(t);
    }
    for (struct tail_file *f = t->files; f; f = f->next)
        tail_file_read(f);
}

/* Something has happened in a folder; what, a look tells better. */
static void told(evutil_socket_t fd, short what, void *arg)
{
    struct tail *t = arg;
    char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    (void)what;
    while ((n = read(fd, events, sizeof(events))) > 0)
        for (const char *p = events; p < events + n;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)p;

            t->search |= (e->mask & (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_Q_OVERFLOW)) != 0;
            p += sizeof(*e) + e->len;
        }
    tail_look_in(t, TAIL_SOON_MS);
}

void tail_answer(struct tail *t, struct tail_batch *b)
{
    uint64_t one = 1;

    pthread_mutex_lock(&t->box);
    b->next = t->answered;
    t->answered = b;
    if (write(t->wake_fd, &one, sizeof(one)) < 0) { /* it is full of wakings */
    }
    pthread_mutex_unlock(&t->box);
}

static void look_into_box(evutil_socket_t fd, short what, void *arg)
{
    struct tail *t = arg;
    struct tail_batch *b;
    uint64_t count;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&t->box);
    b = t->answered;
    t->answered = NULL;
    t->stopping = t->stop;
    pthread_mutex_unlock(&t->box);
    while (b) {
        struct tail_batch *next = b->next;

        tail_file_stored(b);
        b = next;
    }
    if (!t->stopping)
        return;
    event_del(t->look);
    event_del(t->told);
    if (t->storing == 0)
        event_base_loopbreak(t->base);
}

static void *tail_main(void *arg)
{
    struct tail *t = arg;

    event_base_loop(t->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* --- the face --- */

static void tail_free(struct tail *t)
{
    while (t->files) {
        struct tail_file *next = t->files->next;

        tail_file_free(t->files);
        t->files = next;
    }
    if (t->woken)
        event_free(t->woken);
    if (t->told)
        event_free(t->told);
    if (t->look)
        event_free(t->look);
    if (t->base)
        event_base_free(t->base);
    if (t->wake_fd >= 0)
        close(t->wake_fd);
    if (t->notify_fd >= 0)
        close(t->notify_fd);
    pthread_mutex_destroy(&t->box);
    tail_config_free(t->config);
    mem_free(t);
}

static int make_loop(struct tail *t, struct err *e)
{
    struct event_config *settings = event_config_new();

    t->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->wake_fd < 0)
        return err_set(e, ERR_IO, "tail: eventfd: %m");
    t->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (t->notify_fd < 0)
        log_warn("tail: inotify: %m: files are looked at once in a second");
    if (settings && event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK) == 0)
        t->base = event_base_new_with_config(settings);
    if (settings)
        event_config_free(settings);
    if (t->base) {
        t->woken = event_new(t->base, t->wake_fd, EV_READ | EV_PERSIST, look_into_box, t);
        t->told = event_new(t->base, t->notify_fd, t->notify_fd < 0 ? 0 : EV_READ | EV_PERSIST, told, t);
        t->look = evtimer_new(t->base, look, t);
    }
    if (!t->woken || !t->told || !t->look || event_add(t->woken, NULL) < 0 ||
        (t->notify_fd >= 0 && event_add(t->told, NULL) < 0))
        return err_set(e, ERR_NOMEM, "tail: no memory for its loop");
    tail_look_in(t, 0);
    return 0;
}

struct tail *tail_start(struct store *st, struct red *red, struct tail_config *config, struct err *e)
{
    struct tail *t = mem_zalloc(sizeof(*t));

    if (!t) {
        tail_config_free(config);
        err_set(e, ERR_NOMEM, "tail: no memory");
        return NULL;
    }
    t->store = st;
    t->red = red;
    t->config = config;
    t->wake_fd = t->notify_fd = -1;
    pthread_mutex_init(&t->box, NULL);
    if (make_loop(t, e) == 0) {
        t->running = pthread_create(&t->thread, NULL, tail_main, t) == 0;
        if (t->running) {
            pthread_setname_np(t->thread, "tail");
            return t;
        }
        err_set(e, ERR_NOMEM, "tail: no thread");
    }
    tail_free(t);
    return NULL;
}

void tail_stop(struct tail *t)
{
    uint64_t one = 1;

    if (!t)
        return;
    pthread_mutex_lock(&t->box);
    t->stop = true;
    if (write(t->wake_fd, &one, sizeof(one)) < 0) { /* it is full of wakings */
    }
    pthread_mutex_unlock(&t->box);
    pthread_join(t->thread, NULL);
    tail_free(t);
}

void tail_stats(const struct tail *t, struct tail_stats *out)
{
    *out = (struct tail_stats){ .files = atomic_load(&t->nfiles), .lines = atomic_load(&t->lines),
                                .bytes = atomic_load(&t->bytes), .truncated = atomic_load(&t->truncated),
                                .cut = atomic_load(&t->cut), .not_stored = atomic_load(&t->not_stored) };
    for (size_t i = 0; i < t->config->n; i++) {
        struct log_source_stats source;

        log_source_stats(t->config->entries[i].source, &source);
        out->unmatched += source.unmatched;
    }
}
