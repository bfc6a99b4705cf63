/* syslog-internal.h: the syslog thread's parts.
 *
 *   sockets (syslog_socket.c), streams (syslog_stream.c) ──message──▶ syslog_take ──row──▶ feed (syslog_feed.c) ──▶ store
 *
 * A batch's states, and what moves it:
 *
 *              full, or its time has come                rc 0
 *   FILLING ────────────────────────────▶ STORING ─────────────────▶ freed
 *                                           │  ▲
 *                            refused for now▼  │ a pause
 *                                          WAITING
 *
 * While batches under way hold more than FEED_MOST_BYTES, nobody is read (syslog.paused).
 *
 * Threads. The syslog thread alone changes all this. `box` guards what the committer leaves for it; counters are
 * atomic. */
#ifndef COLLECTOR_SYSLOG_INTERNAL_H
#define COLLECTOR_SYSLOG_INTERNAL_H

#include "base/buf.h"
#include "collector/syslog.h"
#include "collector/syslog_config-internal.h"
#include "collector/syslog_frame.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    FEED_ROWS = 1000,            /* of a batch */
    FEED_DELAY_MS = 200,         /* after its first row */
    FEED_BATCH_BYTES = 1 << 20,  /* of its texts */
    FEED_MOST_BYTES = 16 << 20,  /* of batches under way */
    DATAGRAM_BYTES = 65536,
    RECEIVE_BYTES = 8 << 20      /* what is asked of the kernel for datagrams that wait */
};

struct syslog_batch {
    struct syslog *owner;
    struct arena arena;
    struct batch batch;
    size_t rows, bytes;          /* bytes: of its texts */
    int rc;                      /* the store's answer */
    struct err why;
    struct syslog_batch *next;   /* in the box; of those that wait */
};

struct syslog_listener {
    struct syslog *owner;
    const struct syslog_listen *is;
    int fd;
    bool bound;                  /* the address is ours */
    uint16_t port;               /* 0: none */
    struct event *readable;
    uint32_t dropped;            /* as the kernel counts, since the socket was opened */
};

struct syslog_stream {
    struct syslog *owner;
    int fd;
    struct event *readable;
    struct syslog_framer framer;
    struct buf bytes;            /* read, and not yet a message */
    bool ended;                  /* by its sender */
    struct syslog_stream *next, **link;
};

struct syslog {
    struct store *store;
    struct red *red;
    struct syslog_config *config;
    struct event_base *base;
    struct event *woken, *due, *again; /* due: the batch at hand; again: those that wait */
    int wake_fd;
    pthread_t thread;
    bool running;

    struct syslog_listener *listeners;
    struct syslog_stream *streams;
    char *datagram;              /* DATAGRAM_BYTES */
    bool paused, stopping;

    struct syslog_batch *filling; /* NULL: none */
    struct syslog_batch *waiting, **last_waiting;
    size_t under_way;            /* bytes of batches that are STORING or WAITING */
    bool told_busy;

    pthread_mutex_t box;
    struct syslog_batch *answered; /* newest first */
    bool stop;

    _Atomic uint64_t datagrams, stream_messages, dropped, malformed, cut, connections, refused, not_stored;
};

/* --- syslog.c --- */

/* One message, from a datagram or a stream; `cut`: it was longer. The bytes are copied. False: there is no memory,
 * and the message was not taken: it may be given again. */
bool syslog_take(struct syslog *s, struct str message, bool cut);
/* Stops and goes on reading. */
void syslog_pause(struct syslog *s, bool paused);

/* --- syslog_socket.c --- */

/* ERR_IO names the address. */
int syslog_listen(struct syslog *s, struct err *e);
void syslog_unlisten(struct syslog *s);

/* --- syslog_stream.c --- */

/* Takes the connection over. */
void syslog_stream_new(struct syslog *s, int fd);
/* Takes the messages that are there as long as it may, and ends the stream when it has ended. */
void syslog_stream_go_on(struct syslog_stream *t);
/* At the end of the receiver: whole messages that were read are taken, too. */
void syslog_stream_end(struct syslog_stream *t);
void syslog_stream_free(struct syslog_stream *t);

/* --- syslog_feed.c --- */

/* The batch at hand, with room for one row more. NULL: no memory. */
struct syslog_batch *syslog_feed_batch(struct syslog *s);
/* A row has been added to it. */
void syslog_feed_added(struct syslog *s, size_t bytes);
/* Gives the batch at hand to the store. */
void syslog_feed_flush(struct syslog *s);
/* What the committer has left in the box. */
void syslog_feed_answered(struct syslog *s, struct syslog_batch *newest);
/* Timers. */
void syslog_feed_due(evutil_socket_t fd, short what, void *arg);
void syslog_feed_again(evutil_socket_t fd, short what, void *arg);
bool syslog_feed_is_empty(const struct syslog *s);

#endif
