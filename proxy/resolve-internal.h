/* resolve-internal.h: a host's addresses, without waiting for them. */
#ifndef PROXY_RESOLVE_INTERNAL_H
#define PROXY_RESOLVE_INTERNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

struct resolve;

/* Addresses are answered at once; for a name a thread of its own asks the system's resolver. NULL: ERR_NOMEM, ERR_IO. */
struct resolve *resolve_start(const char *host, const char *port, struct err *e);
/* 1: *to is the name's address number `which`, counted round: who could not connect to one asks for the next ("localhost"
 * is often ::1 first, where few servers listen). 0: not known yet. ERR_NOTFOUND: there is none. */
int resolve_poll(struct resolve *r, unsigned which, struct sockaddr_storage *to, socklen_t *n, struct err *e);
/* May be called at any time; a thread still asking ends by itself. */
void resolve_free(struct resolve *r);

#endif
