/* jwks_fetch.h: one GET, for a thread that may wait. */
#ifndef PROXY_JWKS_FETCH_H
#define PROXY_JWKS_FETCH_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the body of an answer of 200 to `to`, whose ceiling holds. Gives up after five seconds, or when `stop` can be
 * read. ERR_IO, ERR_TIMEOUT, ERR_PARSE, ERR_LIMIT, ERR_UNSUPPORTED (https): `e` says what is wrong, without the URI. */
int jwks_fetch(const char *uri, int stop, struct buf *to, struct err *e);

#endif
