/* redis.h: one command to a Redis server and its answer, over a connection of its own.
 *
 * Source: redis.io/docs/latest/develop/reference/protocol-spec (RESP2). */
#ifndef DEMO_GUESTBOOK_REDIS_H
#define DEMO_GUESTBOOK_REDIS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

struct redis_server {
    const char *host; /* numeric address or a name of /etc/hosts */
    const char *port;
};

/* Sends the command; a bulk or simple string that comes back is appended to `reply` (nothing for a null). ERR_IO,
 * ERR_TIMEOUT (2 s without progress), ERR_PARSE, ERR_LIMIT (reply's ceiling), ERR_INVALID (Redis refused it). */
int redis_call(const struct redis_server *server, const struct str *words, size_t n, struct buf *reply, struct err *e);

#endif
