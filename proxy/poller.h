/* poller.h: which of a worker's connections have something to do.
 *
 * A connection is registered once, for all that can happen to it; the kernel tells each change once (edge-triggered
 * epoll(7)), and the connection remembers it until a call says that it is over (EAGAIN, fewer bytes than asked for). So
 * nothing is asked twice, nothing is taken back, and closing the descriptor ends it.
 *
 * The epoll set hangs in the worker's libevent loop, which keeps the time, the listening sockets and the messages. Each
 * time round every connection that is listed has one turn: what it leaves undone lists it again, behind the others.
 * Turns are given to a few at a time, for whom the sockets are read before and written behind in one system call. */
#ifndef PROXY_POLLER_H
#define PROXY_POLLER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct conn;

struct poller {
    int fd;                      /* the epoll set's */
    struct event *news, *again;  /* the set has some; somebody is listed all the same */
    struct conn **conns;         /* by descriptor; NULL: nobody's. News of one that was closed while a child process
                                  * held it, too, find nobody here, or find another, who asks in vain */
    size_t nconns;
    struct conn *first, *last;   /* those that are listed */
    struct conn *round;          /* those that were, and whose turns are under way */
    bool turning;
    bool roused;
};

/* 0, or -1 with errno. */
int poller_init(struct poller *p, struct event_base *base);
void poller_free(struct poller *p); /* one that is zeroed is fine, too */
/* Registers c->fd as c's; it is news at once that it can be written to. 0, or -1 with errno. */
int poller_add(struct poller *p, struct conn *c);
/* A registered descriptor changes hands; NULL: to nobody's. */
void poller_assign(struct poller *p, int fd, struct conn *c);
/* Gives c a turn. */
void poller_list(struct poller *p, struct conn *c);
/* c is no more. */
void poller_unlist(struct poller *p, struct conn *c);
/* At the end of an event: the loop is not to sleep while somebody is listed. */
void poller_rouse(struct poller *p);

#endif
