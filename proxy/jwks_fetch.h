/* jwks_fetch.h: keys from afar: GETs for a thread that may wait, over http or https. */
#ifndef PROXY_JWKS_FETCH_H
#define PROXY_JWKS_FETCH_H

#include "base/buf.h"
#include "base/err.h"
#include "proxy/tls.h"

/* Fetches of one thread. */
struct jwks_fetcher {
    int stop;              /* a descriptor: gives up when it can be read */
    struct tls_store *tls; /* NULL: https is refused */
    const char *ca;        /* a file with the authorities for https; NULL: the system's */
};

enum { JWKS_MOST_REDIRECTS = 5 };

/* Appends the body of an answer of 200 to `to`, whose ceiling holds. Where an answer sends us elsewhere, that is asked,
 * a few times, but not by http after https. Of https the server's certificate must have the host's name. Gives up after
 * five seconds in all. ERR_IO, ERR_TIMEOUT, ERR_PARSE, ERR_LIMIT, ERR_UNSUPPORTED: `e` says what is wrong, without the
 * URI. */
int jwks_fetch(const struct jwks_fetcher *by, const char *uri, struct buf *to, struct err *e);
/* The same by way of an issuer's OpenID configuration, which is at `uri` and says where the keys are. */
int jwks_fetch_discovered(const struct jwks_fetcher *by, const char *uri, struct buf *to, struct err *e);

#endif
