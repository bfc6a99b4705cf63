/* handover.h: a running proxy starts its program anew and gives it its listening sockets.
 *
 * Problem   A new binary has to come into force without one refused or lost connection. Two processes that each bind
 *           the port (SO_REUSEPORT) lose what waits in the queue of the socket that closes first.
 * Idea      The younger process gets the sockets themselves: a queue belongs to the socket, not to a process, so
 *           whoever accepts next finds what is in it. The older one only closes its copies, once the younger serves.
 * Failure   Whatever becomes of the younger process before it says that it is ready (no such program, another one, a
 *           configuration that it refuses, silence), the older one is told why and goes on as if nothing had happened.
 *
 *   handover_start --> SENDING --all sent--> WAITING --"ready"--> READY: o.ready, later handover_told
 *                         |                     |
 *                         +--closed-------------+--> ENDING --its end--> o.failed
 *                         +--too late, nonsense-+-----------------------^
 *
 * The other half is takeover.h; their words are in takeover-internal.h. For the main thread. */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct handover;

struct handover_options {
    char *const *argv;    /* argv[0] is looked up now, as a shell would: a link or file that was replaced counts */
    int64_t timeout_ms;   /* until it is ready */
    const int *sockets;   /* the caller's; they stay open until it is ready or has failed */
    size_t nsockets;
    /* One of the two, once, and never from inside of handover_start. handover_free is allowed in both. */
    void (*ready)(void *arg, pid_t successor);
    void (*failed)(void *arg, const char *why);
    void *arg;
};

/* NULL: ERR_IO (the program cannot be started), ERR_NOMEM. */
struct handover *handover_start(struct event_base *base, const struct handover_options *o, struct err *e);
/* After `ready`: what this process has counted is told. */
void handover_told(struct handover *h);
/* Ends a successor that is not ready yet. NULL is accepted. */
void handover_free(struct handover *h);

#endif
