/* takeover.h: a process that was started to take the place of another: what it gets, and when it says that it serves.
 *
 * The other half, with the idea, is handover.h. For the main thread. */
#ifndef PROXY_TAKEOVER_H
#define PROXY_TAKEOVER_H

#include "base/err.h"
#include "proxy/inherited.h"

struct event_base;
struct takeover;

/* Gets the older process's sockets, when there is one (else *t is NULL); waits for them some seconds at most. Returns
 * 0, ERR_IO, ERR_PARSE (it speaks another protocol), ERR_NOMEM. */
int takeover_start(struct takeover **t, struct err *e);
/* To take from; owned by `t`. NULL, of NULL: none. */
struct inherited *takeover_sockets(struct takeover *t);
/* Everything is in force: the older process need accept no more. Sockets that nobody took are closed. `told` is called
 * once, when that process has told its last, or is gone. ERR_NOMEM. */
int takeover_ready(struct takeover *t, struct event_base *base, void (*told)(void *arg), void *arg, struct err *e);
void takeover_free(struct takeover *t); /* NULL is accepted */

#endif
