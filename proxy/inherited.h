/* inherited.h: listening sockets that came from the process before this one, until somebody takes them.
 *
 * Each is known by the address it is bound to, which the kernel says: what the sender thinks of it does not count. An
 * address may have several (SO_REUSEPORT). For the main thread. */
#ifndef PROXY_INHERITED_H
#define PROXY_INHERITED_H

#include "base/err.h"

#include <sys/socket.h>

struct inherited;

/* NULL: no memory. */
struct inherited *inherited_new(void);
/* Takes over `fd`, in every case. ERR_INVALID: no listening TCP socket; ERR_NOMEM. */
int inherited_add(struct inherited *in, int fd, struct err *e);
size_t inherited_count(const struct inherited *in);
/* Gives away those bound to an address, `most` at most: the caller's to close. NULL has none. */
size_t inherited_take(struct inherited *in, const struct sockaddr *address, int *fds, size_t most);
/* Closes what nobody took. NULL is accepted. */
void inherited_free(struct inherited *in);

#endif
