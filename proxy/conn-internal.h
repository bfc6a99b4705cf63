/* conn-internal.h: a connection's parts to each other: conn.c (its turns, its beginning and end), conn_connect.c,
 * conn_read.c, conn_send.c, conn_buf.c. */
#ifndef PROXY_CONN_INTERNAL_H
#define PROXY_CONN_INTERNAL_H

#include "proxy/worker.h"

enum {
    CONN_LINGER_S = 1,
    CONN_LINGER_SENDING_S = 30   /* the second without a byte sent */
};

static inline void conn_fail(struct conn *c, int err)
{
    if (c->fd >= 0)
        c->ops->error(c, err);
}

/* conn_buf.c */
/* Never NULL: without memory one that has failed, which the end of the event finds. */
struct conn_buf *conn_take_buf(struct worker *w, size_t most);
void conn_give_buf(struct worker *w, struct conn_buf **at);
/* For the owner, behind what is kept already. */
void conn_keep(struct conn *c, struct str bytes);
bool conn_keeping_failed(const struct conn *c);

/* conn_read.c */
bool conn_wants_bytes(const struct conn *c);
/* It has a turn if there is something that it wants. */
void conn_look(struct conn *c);
void conn_deliver_kept(struct conn *c);
/* What the link has learnt about the socket. */
void conn_note_tls(struct conn *c);
void conn_take_ahead(struct conn *c);
void conn_read_more(struct conn *c);

/* conn_connect.c */
void conn_finish_connecting(struct conn *c);
void conn_shake_hands(struct conn *c);
void conn_flush_handshake(struct conn *c);
/* It is to be looked at by then. */
void conn_limit_connecting(struct worker *w, int64_t by_ns);

/* conn_send.c */
void conn_flush(struct conn *c);
/* Its turn in worker_leave, or at the end of a few turns. */
void conn_list_for_flush(struct conn *c);

/* conn.c */
int64_t conn_linger_deadline(const struct conn *c, int seconds);
void conn_await_destruction(struct conn *c);

#endif
