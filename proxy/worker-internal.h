/* worker-internal.h: a worker's listeners, for the worker itself. */
#ifndef PROXY_WORKER_INTERNAL_H
#define PROXY_WORKER_INTERNAL_H

#include "proxy/worker.h"

/* Accepts on `fd`, which is the listener's from now on, for l, which is in v. Without memory the socket is closed, and the
 * log says so. */
void worker_listener_open(struct worker *w, struct view *v, const struct listener *l, int fd);
/* l, in v, is what stands in its place now. */
void worker_listener_renew(struct worker_listener *wl, struct view *v, const struct listener *l);
/* Closes the socket; what is in the kernel's queue is another process's. */
void worker_listener_stop(struct worker_listener *wl);
/* Serves what is in the kernel's queue, which was accepted in the clients' eyes, and closes the socket. */
void worker_listener_close(struct worker_listener *wl);

#endif
