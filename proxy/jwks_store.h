/* jwks_store.h: keys that rules name by a URI: fetched by a thread of its own, shared by every listener and worker.
 *
 *   opened --> fetched at once --> again every 20 minutes (Istio's default), and when a token names a missing key
 *                  \--failed--> again after 1 s, 2 s, … 64 s; what was there before stays
 *
 * Workers ask: jwks_store_changes() costs one load, and tells when jwks_store_read() has something new. Any thread. */
#ifndef PROXY_JWKS_STORE_H
#define PROXY_JWKS_STORE_H

#include "proxy/jwks_fetch.h"
#include "proxy/jwt_auth.h"

struct jwks_store;
struct jwks_source; /* one URI; the store's */

/* `tls` and `ca` are those of jwks_fetcher, and outlive the store. NULL: ERR_NOMEM, ERR_IO. */
struct jwks_store *jwks_store_start(struct tls_store *tls, const char *ca, struct err *e);
/* Nobody may use it any more. */
void jwks_store_stop(struct jwks_store *s);

/* Keeps the keys of a URI fresh until they are closed as often. `discovery`: the URI is of the issuer's OpenID
 * configuration. NULL: no memory, or too many URIs. */
struct jwks_source *jwks_store_open(struct jwks_store *s, struct str uri, bool discovery);
void jwks_store_close(struct jwks_store *s, struct jwks_source *from);
/* Grows with every set that comes and every URI that is given up. */
uint64_t jwks_store_changes(struct jwks_store *s);
void jwks_store_read(struct jwks_store *s, struct jwks_source *from, struct jwt_keys *to);
/* A token names a key that is not in the set: it is fetched anew, at most once in ten seconds. */
void jwks_store_renew(struct jwks_store *s, struct jwks_source *from);

#endif
