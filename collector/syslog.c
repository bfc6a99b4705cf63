/* syslog.c: the syslog thread: its loop, and one message to one row. */
#include "collector/syslog-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "collector/syslog_message.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- a message to a row --- */

static bool fits(struct str want, struct str got)
{
    return want.n == 0 || str_eq(want, got);
}

static struct log_source *route(const struct syslog *s, const struct syslog_message *m)
{
    const struct syslog_route *r = s->config->routes;

    while (!fits(r->match.app, m->app) || !fits(r->match.host, m->host) ||
           !fits(r->match.facility, syslog_facility(m->priority)))
        r++;
    return r->source;
}

/* What the header says beyond the row's columns. Access logs keep the host alone. */
static size_t describe(const struct syslog_message *m, bool cut, struct label *v)
{
    const struct label header[] = {
        { STR("host.name"), m->host },
        { STR("syslog.facility"), syslog_facility(m->priority) },
        { STR("syslog.procid"), m->procid },
        { STR("syslog.msgid"), m->msgid },
        { STR("syslog.cut"), cut ? STR("true") : STR_NULL },
    };
    size_t n = sizeof(header) / sizeof(header[0]);

    memcpy(v, header, sizeof(header));
    for (size_t i = 0; i < m->ndata; i++)
        v[n++] = m->data[i];
    return n;
}

static int add_row(struct syslog *s, struct syslog_batch *b, struct str message, bool cut)
{
    struct str copy = arena_str(&b->arena, message), text = copy.p ? log_clean(&b->arena, copy) : STR_NULL;
    int64_t now_ns = clock_now_ns();
    struct syslog_message m;
    struct label attributes[SYSLOG_MOST_DATA + 8];
    struct log_origin from;

    if (!text.p || syslog_parse(text, now_ns, &b->arena, &m) < 0)
        return ERR_NOMEM;
    if (!m.well_formed)
        atomic_fetch_add(&s->malformed, 1);
    from = (struct log_origin){ .time_ns = m.time_ns, .now_ns = now_ns, .service = m.app,
                                .severity = syslog_severity(m.priority),
                                .severity_number = syslog_severity_number(m.priority), .attributes = attributes,
                                .n = describe(&m, cut, attributes), .nshared = 1 };
    return log_source_add(route(s, &m), &from, m.text, &b->batch, NULL);
}

bool syslog_take(struct syslog *s, struct str message, bool cut)
{
    struct syslog_batch *b = syslog_feed_batch(s);

    if (b && add_row(s, b, message, cut) < 0 && b->rows) { /* its arena is full: the next one is empty */
        syslog_feed_flush(s);
        b = syslog_feed_batch(s);
        if (b && add_row(s, b, message, cut) < 0)
            b = NULL;
    }
    if (!b)
        return false;
    if (cut)
        atomic_fetch_add(&s->cut, 1);
    syslog_feed_added(s, message.n);
    return true;
}

/* --- the loop --- */

void syslog_pause(struct syslog *s, bool paused)
{
    s->paused = paused;
    for (size_t i = 0; i < s->config->nlisteners; i++) {
        struct event *readable = s->listeners[i].readable;

        if (paused && readable)
            event_del(readable);
        else if (readable && !s->stopping)
            event_add(readable, NULL);
    }
    for (struct syslog_stream *t = s->streams, *next; t; t = next) {
        next = t->next;
        if (paused)
            event_del(t->readable);
        else
            event_active(t->readable, EV_READ, 0); /* what it has read may hold messages */
    }
}

/* Everything read is stored, then the loop ends. */
static void begin_to_stop(struct syslog *s)
{
    s->stopping = true;
    syslog_unlisten(s);
    while (s->streams)
        syslog_stream_end(s->streams);
    syslog_feed_flush(s);
}

static void look_into_box(evutil_socket_t fd, short what, void *arg)
{
    struct syslog *s = arg;
    struct syslog_batch *answered;
    uint64_t count;
    bool stop;

    (void)what;
    if (read(fd, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&s->box);
    answered = s->answered;
    s->answered = NULL;
    stop = s->stop;
    pthread_mutex_unlock(&s->box);
    syslog_feed_answered(s, answered);
    if (stop && !s->stopping)
        begin_to_stop(s);
    if (s->stopping && syslog_feed_is_empty(s))
        event_base_loopbreak(s->base);
}

static void *syslog_main(void *arg)
{
    struct syslog *s = arg;

    event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY);
    return NULL;
}

/* --- the face --- */

static void syslog_free(struct syslog *s)
{
    syslog_unlisten(s);
    while (s->streams)
        syslog_stream_free(s->streams);
    if (s->woken)
        event_free(s->woken);
    if (s->due)
        event_free(s->due);
    if (s->again)
        event_free(s->again);
    if (s->base)
        event_base_free(s->base);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    pthread_mutex_destroy(&s->box);
    syslog_config_free(s->config);
    mem_free(s->listeners);
    mem_free(s->datagram);
    mem_free(s);
}

static int make_loop(struct syslog *s, struct err *e)
{
    struct event_config *settings = event_config_new();

    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake_fd < 0)
        return err_set(e, ERR_IO, "syslog: eventfd: %m");
    if (settings && event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK) == 0)
        s->base = event_base_new_with_config(settings);
    if (settings)
        event_config_free(settings);
    if (s->base) {
        s->woken = event_new(s->base, s->wake_fd, EV_READ | EV_PERSIST, look_into_box, s);
        s->due = evtimer_new(s->base, syslog_feed_due, s);
        s->again = evtimer_new(s->base, syslog_feed_again, s);
    }
    if (!s->woken || !s->due || !s->again || event_add(s->woken, NULL) < 0)
        return err_set(e, ERR_NOMEM, "syslog: no memory for its loop");
    return 0;
}

static int begin(struct syslog *s, struct err *e)
{
    int rc;

    s->listeners = mem_zalloc((s->config->nlisteners + 1) * sizeof(*s->listeners));
    s->datagram = mem_alloc(DATAGRAM_BYTES);
    if (!s->listeners || !s->datagram)
        return err_set(e, ERR_NOMEM, "syslog: no memory");
    for (size_t i = 0; i < s->config->nlisteners; i++)
        s->listeners[i].fd = -1;
    rc = make_loop(s, e);
    if (rc == 0)
        rc = syslog_listen(s, e);
    if (rc < 0)
        return rc;
    s->running = pthread_create(&s->thread, NULL, syslog_main, s) == 0;
    if (!s->running)
        return err_set(e, ERR_NOMEM, "syslog: no thread");
    pthread_setname_np(s->thread, "syslog");
    return 0;
}

struct syslog *syslog_start(struct store *st, struct red *red, struct syslog_config *config, struct err *e)
{
    struct syslog *s = mem_zalloc(sizeof(*s));

    if (!s) {
        syslog_config_free(config);
        err_set(e, ERR_NOMEM, "syslog: no memory");
        return NULL;
    }
    s->store = st;
    s->red = red;
    s->config = config;
    s->wake_fd = -1;
    s->last_waiting = &s->waiting;
    pthread_mutex_init(&s->box, NULL);
    if (begin(s, e) == 0)
        return s;
    syslog_free(s);
    return NULL;
}

void syslog_stop(struct syslog *s)
{
    uint64_t one = 1;

    if (!s)
        return;
    pthread_mutex_lock(&s->box);
    s->stop = true;
    if (write(s->wake_fd, &one, sizeof(one)) < 0) { /* it is full of wakings */
    }
    pthread_mutex_unlock(&s->box);
    pthread_join(s->thread, NULL);
    syslog_free(s);
}

uint16_t syslog_port(const struct syslog *s, size_t i)
{
    return i < s->config->nlisteners ? s->listeners[i].port : 0;
}

void syslog_stats(const struct syslog *s, struct syslog_stats *out)
{
    *out = (struct syslog_stats){ .datagrams = atomic_load(&s->datagrams), .stream = atomic_load(&s->stream_messages),
                                  .dropped = atomic_load(&s->dropped), .malformed = atomic_load(&s->malformed),
                                  .cut = atomic_load(&s->cut), .connections = atomic_load(&s->connections),
                                  .refused = atomic_load(&s->refused), .not_stored = atomic_load(&s->not_stored) };
    for (size_t i = 0; i < s->config->nroutes; i++) {
        struct log_source_stats source;

        log_source_stats(s->config->routes[i].source, &source);
        out->unmatched += source.unmatched;
    }
}
