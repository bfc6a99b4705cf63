/* loki_tail-internal.h: who follows log lines over a WebSocket.
 *
 * One thread serves all of them: it sleeps in poll() on their sockets and looks every TAIL_TICK_MS whether the tables have
 * grown. A connection belongs to it from libmicrohttpd's upgrade on until it is given back.
 *
 *      request ── tail_new ── 101 ── upgraded() ──▶ list ── rows, frames, pings ──▶ close ── given back to libmicrohttpd
 *
 * Bounds. TAIL_MOST followers; of each at most TAIL_OUT bytes wait to be sent. What comes while they wait is dropped, and
 * told as Loki tells it (dropped_entries); who takes nothing for TAIL_PATIENCE_MS is cut off. */
#ifndef API_LOKI_TAIL_INTERNAL_H
#define API_LOKI_TAIL_INTERNAL_H

#include "api/loki-internal.h"
#include "api/websocket.h"

enum {
    TAIL_MOST = 10,               /* as Loki has it by default */
    TAIL_TICK_MS = 200,
    TAIL_OUT = 16 << 20,
    TAIL_FULL = 1 << 20,          /* so much waits: what comes is dropped */
    TAIL_PATIENCE_MS = 15000,
    TAIL_PING_MS = 30000,
    TAIL_DROPPED = 1000,          /* dropped entries that are told one by one */
    TAIL_MOST_DELAY_S = 5
};

struct tails;

/* NULL: no memory, no thread. */
struct tails *tails_start(struct api *api, struct err *e);
/* Says good-bye to all and waits for the thread: before libmicrohttpd stops, which waits for upgraded connections. Who is
 * upgraded later goes at once. tails_free: when libmicrohttpd has stopped. */
void tails_stop(struct tails *t);
void tails_free(struct tails *t);

/* What is asked for. `query` was parsed once and is one for lines. */
struct tail_wanted {
    struct str query;
    int64_t start_ns, delay_ns;
    size_t limit;        /* lines of the past */
    bool categorised;
};

struct tail;
/* A place among the followers. NULL: ERR_LIMIT when there are TAIL_MOST, ERR_CLOSED, ERR_NOMEM. */
struct tail *tail_new(struct tails *t, const struct tail_wanted *w, struct err *e);
/* The connection that was never upgraded: the place is free again. An upgraded one is not touched. */
void tail_drop(void *tail);
/* libmicrohttpd's upgrade handler; cls is the tail. */
void tail_upgraded(void *cls, struct MHD_Connection *connection, void *con_cls, const char *extra_in,
                   size_t extra_in_size, MHD_socket sock, struct MHD_UpgradeResponseHandle *urh);

#endif
