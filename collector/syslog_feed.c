/* syslog_feed.c: rows into batches, and batches into the store until it takes them. */
#include "collector/syslog-internal.h"

#include "base/log.h"
#include "base/mem.h"
#include "collector/red.h"

#include <unistd.h>

enum { AGAIN_MS = 50, BATCH_MEMORY = 32 << 20 };

static void set_timer(struct event *timer, int ms)
{
    struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

    event_add(timer, &tv);
}

struct syslog_batch *syslog_feed_batch(struct syslog *s)
{
    struct syslog_batch *b = s->filling;

    if (b)
        return b;
    b = mem_zalloc(sizeof(*b));
    if (!b)
        return NULL;
    b->owner = s;
    b->arena = (struct arena)ARENA_INIT(BATCH_MEMORY);
    batch_init(&b->batch, &b->arena);
    set_timer(s->due, FEED_DELAY_MS);
    return s->filling = b;
}

static void batch_free(struct syslog_batch *b)
{
    arena_free(&b->arena);
    mem_free(b);
}

/* On the committer's thread. */
static void stored(void *arg, int rc, const struct err *e)
{
    struct syslog_batch *b = arg;
    struct syslog *s = b->owner;
    uint64_t one = 1;

    b->rc = rc;
    b->why = rc < 0 && e ? *e : (struct err)ERR_INIT;
    pthread_mutex_lock(&s->box);
    b->next = s->answered;
    s->answered = b;
    if (write(s->wake_fd, &one, sizeof(one)) < 0) { /* it is full of wakings */
    }
    pthread_mutex_unlock(&s->box);
}

/* Whether to try again. At the end of the receiver only the queue is waited for: it moves on by itself. */
static bool is_for_now(const struct syslog *s, int rc)
{
    return rc == ERR_BUSY || (!s->stopping && (rc == ERR_FULL || rc == ERR_IO || rc == ERR_NOMEM || rc == ERR_TIMEOUT));
}

/* The first refusal of a row of them is told. */
static void tell_refused(struct syslog *s, const struct err *why)
{
    if (!s->told_busy && why->code != ERR_BUSY)
        log_warn("syslog: not stored yet, and nothing is read meanwhile: %s", why->msg);
    s->told_busy = true;
}

static void settle_pause(struct syslog *s)
{
    bool full = s->under_way >= FEED_MOST_BYTES || s->waiting;

    if (full != s->paused)
        syslog_pause(s, full);
}

static void wait_to_try(struct syslog *s, struct syslog_batch *b, const struct err *why)
{
    tell_refused(s, why);
    b->next = NULL;
    *s->last_waiting = b;
    s->last_waiting = &b->next;
    set_timer(s->again, AGAIN_MS);
}

static void end_batch(struct syslog *s, struct syslog_batch *b)
{
    s->under_way -= b->bytes;
    batch_free(b);
}

static void give_up(struct syslog *s, struct syslog_batch *b, const struct err *why)
{
    log_error("syslog: %zu messages cannot be stored: %s", b->rows, why->msg);
    atomic_fetch_add(&s->not_stored, b->rows);
    end_batch(s, b);
}

static void submit(struct syslog *s, struct syslog_batch *b)
{
    struct err why = ERR_INIT;
    int rc = store_submit(s->store, &b->batch, stored, b, &why);

    if (rc < 0 && is_for_now(s, rc))
        wait_to_try(s, b, &why);
    else if (rc < 0)
        give_up(s, b, &why);
}

void syslog_feed_flush(struct syslog *s)
{
    struct syslog_batch *b = s->filling;
    struct err why = ERR_INIT;

    if (!b)
        return;
    s->filling = NULL;
    event_del(s->due);
    s->under_way += b->bytes;
    if (s->red && red_access_logs(s->red, &b->batch, 0, &why) < 0)
        log_error("syslog: %zu messages are stored and not counted in metrics: %s", b->rows, why.msg);
    submit(s, b);
    settle_pause(s);
}

void syslog_feed_added(struct syslog *s, size_t bytes)
{
    struct syslog_batch *b = s->filling;

    b->rows++;
    b->bytes += bytes;
    if (b->rows >= FEED_ROWS || b->bytes >= FEED_BATCH_BYTES)
        syslog_feed_flush(s);
}

void syslog_feed_answered(struct syslog *s, struct syslog_batch *b)
{
    while (b) {
        struct syslog_batch *next = b->next;

        if (b->rc == 0) {
            s->told_busy = false;
            end_batch(s, b);
        } else if (is_for_now(s, b->rc)) {
            wait_to_try(s, b, &b->why);
        } else {
            give_up(s, b, &b->why);
        }
        b = next;
    }
    settle_pause(s);
}

void syslog_feed_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    syslog_feed_flush(arg);
}

void syslog_feed_again(evutil_socket_t fd, short what, void *arg)
{
    struct syslog *s = arg;
    struct syslog_batch *b = s->waiting;

    (void)fd;
    (void)what;
    s->waiting = NULL;
    s->last_waiting = &s->waiting;
    while (b) {
        struct syslog_batch *next = b->next;

        submit(s, b);
        b = next;
    }
    settle_pause(s);
}

bool syslog_feed_is_empty(const struct syslog *s)
{
    return !s->filling && s->under_way == 0;
}
