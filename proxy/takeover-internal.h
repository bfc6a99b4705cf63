/* takeover-internal.h: what two processes say to each other while one takes over from the other.
 *
 * A SOCK_SEQPACKET pair of UNIX sockets, made by the older process; the younger one finds its end as descriptor
 * TAKEOVER_FD and is told so by $VIGLA_TAKEOVER. Each message is one of these words:
 *
 *   older ──▶ younger   TAKEOVER_HELLO, then TAKEOVER_SOCKET with one descriptor (SCM_RIGHTS) for each listening
 *                       socket, then TAKEOVER_GO
 *   older ◀── younger   TAKEOVER_READY: it serves, and the older one need accept no more
 *   older ──▶ younger   TAKEOVER_TOLD: the older one's counters are told; those of the younger may follow
 *
 * Another protocol gets another TAKEOVER_HELLO, which the younger process refuses: then the older one goes on. */
#ifndef PROXY_TAKEOVER_INTERNAL_H
#define PROXY_TAKEOVER_INTERNAL_H

#include "base/str.h"

#include <stdbool.h>

#define TAKEOVER_ENV "VIGLA_TAKEOVER"
#define TAKEOVER_HELLO "vigla-takeover 1"
#define TAKEOVER_SOCKET "socket"
#define TAKEOVER_GO "go"
#define TAKEOVER_READY "ready"
#define TAKEOVER_TOLD "told"

enum { TAKEOVER_FD = 3, TAKEOVER_MOST = 64 };

struct takeover_message {
    char text[TAKEOVER_MOST];
    int fd; /* the reader's; -1: none */
};

/* `fd` goes with it unless it is negative. False: errno says why. */
bool takeover_send(int link, const char *text, int fd);
/* 1: a message; 0: the other end is closed; -1: errno says why. */
int takeover_receive(int link, struct takeover_message *m);

#endif
