/* loki_tail_run.c: the thread that serves all who follow (loki_tail-internal.h).
 *
 * Rows. A look asks for what was committed since the look before (event_query.after), whatever its time, so that late lines
 * come, too, and each line comes once. With delay_for a look waits that long after the table has grown: what comes from
 * several senders within it is put in order. */
#include "api/loki_tail-internal.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AT_ONCE = 16 << 10, MOST_ASKED = 64 << 10, QUERY_BYTES = 256 << 20, LARGEST_FRAME = 8 << 20 };

enum tail_state {
    TAIL_FREE,    /* nobody */
    TAIL_WAITING, /* for the upgrade */
    TAIL_NEW,     /* upgraded; the thread has not seen it yet */
    TAIL_OPEN     /* the thread's, but for its state */
};

struct tail {
    struct tails *all;
    enum tail_state state;   /* with the lock */
    bool closing;            /* what waits is sent, then it ends */
    int fd;
    struct MHD_UpgradeResponseHandle *urh;
    struct tail_wanted wanted;
    char *query;             /* owned; wanted.query */
    struct websocket_reader in;
    struct buf out;
    uint64_t after[EVENT_KINDS]; /* what has been read */
    uint64_t seen[EVENT_KINDS];  /* what events_last said before the last look */
    bool begun;              /* the past has been sent */
    int64_t grown_ns;        /* when the tables were seen to have grown; 0: they have not */
    int64_t moved_ns;        /* monotonic: when the client took something, or nothing waited */
    int64_t pinged_ns;
    struct buf dropped;      /* JSON of what was left out: {"labels":…},… */
    size_t ndropped;
};

struct tails {
    struct api *api;
    pthread_t thread;
    pthread_mutex_t lock; /* guards states, and what belongs to WAITING and NEW */
    int wake;             /* eventfd */
    bool stopping;
    struct tail v[TAIL_MOST];
};

static void wake(struct tails *t)
{
    uint64_t one = 1;
    ssize_t n = write(t->wake, &one, sizeof(one));

    (void)n; /* a full counter wakes, too */
}

/* --- places ------------------------------------------------------------------------------------------------------ */

static void clear(struct tail *t)
{
    struct tails *all = t->all;

    websocket_reader_free(&t->in);
    buf_free(&t->out);
    buf_free(&t->dropped);
    mem_free(t->query);
    *t = (struct tail){ .all = all, .fd = -1 };
}

static void see(const struct tail *t, uint64_t last[EVENT_KINDS])
{
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        last[kind] = events_last(t->all->api->store, (enum event_kind)kind);
}

static struct tail *free_place(struct tails *t, struct err *e)
{
    if (t->stopping) {
        err_set(e, ERR_CLOSED, "the server is stopping");
        return NULL;
    }
    for (size_t i = 0; i < TAIL_MOST; i++)
        if (t->v[i].state == TAIL_FREE)
            return &t->v[i];
    err_set(e, ERR_LIMIT, "max concurrent tail requests limit exceeded, count > limit (%d > %d)", TAIL_MOST + 1,
            TAIL_MOST);
    return NULL;
}

/* Who wants nothing of the past gets what comes from the moment on at which he asked. */
static void begin_here(struct tail *t)
{
    if (t->wanted.limit)
        return;
    see(t, t->after);
    see(t, t->seen);
    t->begun = true;
}

struct tail *tail_new(struct tails *t, const struct tail_wanted *w, struct err *e)
{
    char *query = mem_alloc(w->query.n + 1);
    struct tail *place;

    if (!query) {
        err_set(e, ERR_NOMEM, "no memory to follow lines");
        return NULL;
    }
    memcpy(query, w->query.p, w->query.n);
    pthread_mutex_lock(&t->lock);
    place = free_place(t, e);
    if (place) {
        *place = (struct tail){ .all = t, .state = TAIL_WAITING, .fd = -1, .wanted = *w, .query = query,
                                .out = BUF_INIT(TAIL_OUT), .dropped = BUF_INIT(TAIL_FULL) };
        place->wanted.query.p = query;
        websocket_reader_init(&place->in, true, MOST_ASKED);
        begin_here(place);
    }
    pthread_mutex_unlock(&t->lock);
    if (!place)
        mem_free(query);
    return place;
}

void tail_drop(void *tail)
{
    struct tail *t = tail;
    struct tails *all = t->all;

    pthread_mutex_lock(&all->lock);
    if (t->state == TAIL_WAITING)
        clear(t);
    pthread_mutex_unlock(&all->lock);
}

/* The connection is libmicrohttpd's again, which closes it. */
static void give_back(struct tail *t)
{
    struct MHD_UpgradeResponseHandle *urh = t->urh;
    struct tails *all = t->all;

    pthread_mutex_lock(&all->lock);
    clear(t);
    pthread_mutex_unlock(&all->lock);
    MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

void tail_upgraded(void *cls, struct MHD_Connection *connection, void *con_cls, const char *extra_in,
                   size_t extra_in_size, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh)
{
    struct tail *t = cls;
    struct request *rq = con_cls;
    bool late;

    (void)connection;
    if (rq)
        rq->release = NULL; /* the place is the thread's now */
    pthread_mutex_lock(&t->all->lock);
    late = t->all->stopping;
    t->fd = sock;
    t->urh = urh;
    if (extra_in_size)
        websocket_feed(&t->in, extra_in, extra_in_size);
    t->state = TAIL_NEW;
    pthread_mutex_unlock(&t->all->lock);
    if (late)
        give_back(t); /* the thread may have ended */
    else
        wake(t->all);
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static void say_goodbye(struct tail *t, unsigned code, const char *why)
{
    if (t->closing)
        return;
    websocket_put_close(&t->out, code, str_of(why), NULL);
    t->closing = true;
}

static void answer_message(struct tail *t, const struct websocket_message *m)
{
    if (m->op == WEBSOCKET_PING)
        websocket_put(&t->out, WEBSOCKET_PONG, m->payload, NULL);
    else if (m->op == WEBSOCKET_CLOSE)
        say_goodbye(t, WEBSOCKET_NORMAL, "");
}

/* Everything that is here already. */
static void take_messages(struct tail *t)
{
    struct websocket_message m;
    struct err e = ERR_INIT;
    unsigned code = WEBSOCKET_PROTOCOL_ERROR;
    int rc = 0;

    while (!t->closing && (rc = websocket_next(&t->in, &m, &code, &e)) > 0)
        answer_message(t, &m);
    if (rc < 0)
        say_goodbye(t, code, e.msg);
}

/* False: the connection is gone. */
static bool receive(struct tail *t)
{
    char bytes[READ_AT_ONCE];
    ssize_t n = recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    if (n > 0 && websocket_feed(&t->in, bytes, (size_t)n) < 0)
        return false;
    take_messages(t);
    return true;
}

/* False: the connection is gone, or all is said. */
static bool send_waiting(struct tail *t)
{
    while (t->out.n) {
        ssize_t n = send(t->fd, t->out.p, t->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0)
            break;
        buf_drain(&t->out, (size_t)n);
        t->moved_ns = clock_mono_ns();
    }
    if (t->out.n == 0)
        t->moved_ns = clock_mono_ns();
    return t->out.n || !t->closing;
}

/* --- rows -------------------------------------------------------------------------------------------------------- */

static void drop_stream(struct tail *t, const struct logql_stream *s)
{
    for (size_t i = 0; i < s->n && t->ndropped < TAIL_DROPPED; i++) {
        buf_puts(&t->dropped, t->ndropped++ ? "," : "");
        buf_puts(&t->dropped, "{\"labels\":");
        json_labels(&t->dropped, s->labels);
        buf_printf(&t->dropped, ",\"timestamp\":\"%" PRId64 "\"}", s->entries[i].time_ns);
    }
}

static void drop_lines(struct tail *t, const struct logql_stream *streams, size_t n)
{
    for (size_t i = 0; i < n; i++)
        drop_stream(t, &streams[i]);
}

/* The past is read from its newest line back, and told from its oldest. */
static void reverse(struct logql_stream *s)
{
    for (size_t i = 0; i < s->n / 2; i++) {
        struct logql_entry other = s->entries[s->n - 1 - i];

        s->entries[s->n - 1 - i] = s->entries[i];
        s->entries[i] = other;
    }
}

/* {"streams":[…],"dropped_entries":[…]} */
static void put_lines(struct tail *t, struct arena *a, const struct logql_stream *streams, size_t n)
{
    struct buf b = BUF_INIT(LARGEST_FRAME);
    int rc;

    buf_puts(&b, "{\"streams\":");
    rc = loki_put_streams(&b, a, streams, n, t->wanted.categorised);
    if (t->wanted.categorised)
        buf_puts(&b, ",\"encodingFlags\":[\"categorize-labels\"]");
    if (t->ndropped) {
        buf_puts(&b, ",\"dropped_entries\":[");
        buf_str(&b, buf_view(&t->dropped));
        buf_putc(&b, ']');
    }
    buf_putc(&b, '}');
    if (rc < 0 || buf_failed(&b)) {
        drop_lines(t, streams, n); /* more at one time than one message should be */
    } else {
        websocket_put(&t->out, WEBSOCKET_TEXT, buf_view(&b), NULL);
        buf_reset(&t->dropped);
        t->ndropped = 0;
    }
    buf_free(&b);
}

static int read_lines(struct tail *t, struct arena *a, struct logql_stream **streams, size_t *n, struct err *e)
{
    struct logql_window w = { .from_ns = t->wanted.start_ns, .to_ns = INT64_MAX, .after = t->after,
                              .limit = t->begun ? 0 : t->wanted.limit, .newest_first = !t->begun,
                              .timeout_ms = TAIL_PATIENCE_MS };
    struct logql_expr *x = logql_parse(a, t->wanted.query, e);

    if (!x)
        return e->code;
    if (t->begun) /* whatever its time: nothing of it has been sent */
        w.from_ns = INT64_MIN;
    return logql_lines(t->all->api->store, x, w, a, streams, n, e);
}

/* Sends what is new, or drops it when the client does not keep up. */
static void look(struct tail *t)
{
    struct arena a = ARENA_INIT(QUERY_BYTES);
    struct logql_stream *streams;
    struct err e = ERR_INIT;
    size_t n = 0;

    a.budget = &t->all->api->budget;
    see(t, t->seen);
    if (read_lines(t, &a, &streams, &n, &e) < 0) {
        say_goodbye(t, WEBSOCKET_FAILED, e.msg);
    } else if (n && t->out.n > TAIL_FULL) {
        drop_lines(t, streams, n);
    } else if (n || t->ndropped) {
        for (size_t i = 0; i < n && !t->begun; i++)
            reverse(&streams[i]);
        put_lines(t, &a, streams, n);
    }
    t->begun = true;
    arena_free(&a);
}

static bool has_grown(const struct tail *t)
{
    uint64_t now[EVENT_KINDS];

    see(t, now);
    return memcmp(now, t->seen, sizeof(now)) != 0;
}

static void tick(struct tail *t, int64_t now)
{
    if (t->closing)
        return;
    if (t->grown_ns == 0 && (!t->begun || has_grown(t)))
        t->grown_ns = now;
    if (t->ndropped && t->out.n <= TAIL_FULL && t->grown_ns == 0) /* there is room again to tell it */
        t->grown_ns = now - t->wanted.delay_ns;
    if (t->grown_ns && (!t->begun || now - t->grown_ns >= t->wanted.delay_ns)) {
        t->grown_ns = 0;
        look(t);
    }
    if (now - t->pinged_ns > TAIL_PING_MS * INT64_C(1000000)) {
        t->pinged_ns = now;
        websocket_put(&t->out, WEBSOCKET_PING, STR(""), NULL);
    }
}

/* --- the thread -------------------------------------------------------------------------------------------------- */

static void admit(struct tails *t, int64_t now)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < TAIL_MOST; i++)
        if (t->v[i].state == TAIL_NEW) {
            t->v[i].state = TAIL_OPEN;
            t->v[i].moved_ns = t->v[i].pinged_ns = now;
        }
    pthread_mutex_unlock(&t->lock);
}

/* False: it is over with this one. */
static bool serve(struct tail *t, short events, int64_t now)
{
    if (events & (POLLIN | POLLHUP | POLLERR) && !receive(t))
        return false;
    take_messages(t); /* what came with the handshake */
    tick(t, now);
    if (buf_failed(&t->out) || !send_waiting(t))
        return false;
    return now - t->moved_ns < TAIL_PATIENCE_MS * INT64_C(1000000);
}

static void serve_all(struct tails *t, const struct pollfd *fds, const size_t *who, size_t n)
{
    int64_t now = clock_mono_ns();

    for (size_t i = 0; i < n; i++)
        if (!serve(&t->v[who[i]], fds[i + 1].revents, now))
            give_back(&t->v[who[i]]);
}

/* Waits for a socket, for the tick, or to be woken. Returns how many are served. */
static size_t wait(struct tails *t, struct pollfd fds[TAIL_MOST + 1], size_t who[TAIL_MOST])
{
    uint64_t count;
    size_t n = 0;

    fds[0] = (struct pollfd){ .fd = t->wake, .events = POLLIN };
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < TAIL_MOST; i++)
        if (t->v[i].state == TAIL_OPEN) {
            fds[n + 1] = (struct pollfd){ .fd = t->v[i].fd, .events = (short)(POLLIN | (t->v[i].out.n ? POLLOUT : 0)) };
            who[n++] = i;
        }
    pthread_mutex_unlock(&t->lock);
    poll(fds, (nfds_t)n + 1, n ? TAIL_TICK_MS : -1);
    if (fds[0].revents && read(t->wake, &count, sizeof(count)) < 0)
        return n;
    return n;
}

static bool is_stopping(struct tails *t)
{
    bool stopping;

    pthread_mutex_lock(&t->lock);
    stopping = t->stopping;
    pthread_mutex_unlock(&t->lock);
    return stopping;
}

static void *run(void *arg)
{
    struct tails *t = arg;

    while (!is_stopping(t)) {
        struct pollfd fds[TAIL_MOST + 1];
        size_t who[TAIL_MOST], n;

        admit(t, clock_mono_ns());
        n = wait(t, fds, who);
        serve_all(t, fds, who, n);
    }
    admit(t, clock_mono_ns());
    for (size_t i = 0; i < TAIL_MOST; i++)
        if (t->v[i].state == TAIL_OPEN) {
            say_goodbye(&t->v[i], WEBSOCKET_GOING_AWAY, "the server is stopping");
            send_waiting(&t->v[i]);
            give_back(&t->v[i]);
        }
    return NULL;
}

struct tails *tails_start(struct api *api, struct err *e)
{
    struct tails *t = mem_zalloc(sizeof(*t));

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for the HTTP server");
        return NULL;
    }
    t->api = api;
    for (size_t i = 0; i < TAIL_MOST; i++)
        t->v[i] = (struct tail){ .all = t, .fd = -1 };
    pthread_mutex_init(&t->lock, NULL);
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake >= 0 && pthread_create(&t->thread, NULL, run, t) == 0)
        return t;
    err_set(e, ERR_IO, "no thread for those who follow lines: %m");
    if (t->wake >= 0)
        close(t->wake);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
    return NULL;
}

void tails_stop(struct tails *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_mutex_unlock(&t->lock);
    wake(t);
    pthread_join(t->thread, NULL);
}

void tails_free(struct tails *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < TAIL_MOST; i++)
        clear(&t->v[i]);
    close(t->wake);
    pthread_mutex_destroy(&t->lock);
    mem_free(t);
}
