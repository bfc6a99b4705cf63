/* syslog_stream.c: one connection: bytes to messages. */
#include "collector/syslog-internal.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, READS = 8 /* before others have their turn */ };

void syslog_stream_free(struct syslog_stream *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    atomic_fetch_sub(&t->owner->connections, 1);
    event_free(t->readable);
    close(t->fd);
    buf_free(&t->bytes);
    mem_free(t);
}

/* Takes messages out of what was read; false: not all that could be, as the reading is paused. */
static bool take_messages(struct syslog_stream *t)
{
    struct syslog *s = t->owner;
    struct str in = buf_view(&t->bytes);
    struct syslog_frame frame;
    size_t done = 0;
    bool there = true;

    while (there && (!s->paused || s->stopping)) {
        struct syslog_framer before = t->framer;

        there = syslog_frame_next(&t->framer, str_from(in, done), t->ended, &frame);
        if (there && frame.message.n && !syslog_take(s, frame.message, frame.cut)) {
            t->framer = before;
            break;
        }
        if (there && frame.message.n)
            atomic_fetch_add(&s->stream_messages, 1);
        done += frame.used;
    }
    buf_drain(&t->bytes, done);
    return !there;
}

/* 1: there may be more, 0: not now, -1: the sender has ended it. */
static int read_some(struct syslog_stream *t)
{
    size_t room = t->owner->config->max_message + SYSLOG_FRAME_OVERHEAD - t->bytes.n;
    char *to = room ? buf_reserve(&t->bytes, room < READ_BYTES ? room : READ_BYTES) : NULL;
    ssize_t n = to ? read(t->fd, to, room < READ_BYTES ? room : READ_BYTES) : -1;

    if (!to || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        t->bytes.failed = false; /* without memory: when it is readable again */
        return 0;
    }
    if (n <= 0)
        return -1;
    t->bytes.n += (size_t)n;
    return 1;
}

void syslog_stream_go_on(struct syslog_stream *t)
{
    struct syslog *s = t->owner;
    int more = 1;

    for (int i = 0; i < READS && more == 1; i++) {
        if (!take_messages(t) || t->ended)
            break;
        more = read_some(t);
        t->ended = more < 0;
    }
    if (t->ended && take_messages(t))
        syslog_stream_free(t);
    else if (t->ended && !s->paused) /* without memory; after a pause syslog_pause sees to it */
        event_active(t->readable, EV_READ, 0);
    else if (!s->paused)
        event_add(t->readable, NULL);
}

void syslog_stream_end(struct syslog_stream *t)
{
    (void)take_messages(t);
    syslog_stream_free(t);
}

static void readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    syslog_stream_go_on(arg);
}

void syslog_stream_new(struct syslog *s, int fd)
{
    struct syslog_stream *t = mem_zalloc(sizeof(*t));

    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)); /* who is gone without a word shall not count */
    if (t)
        t->readable = event_new(s->base, fd, EV_READ, readable, t);
    if (!t || !t->readable) {
        log_warn("syslog: no memory for a connection, it is closed");
        mem_free(t);
        close(fd);
        return;
    }
    t->owner = s;
    t->fd = fd;
    t->framer.max = s->config->max_message;
    t->bytes = (struct buf)BUF_INIT(2 * (s->config->max_message + READ_BYTES));
    t->next = s->streams;
    t->link = &s->streams;
    if (t->next)
        t->next->link = &t->next;
    s->streams = t;
    atomic_fetch_add(&s->connections, 1);
    if (!s->paused)
        event_add(t->readable, NULL);
}
