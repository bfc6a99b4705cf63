/* jwt_cache.h: tokens whose signature has been verified, so that a client's second request costs a comparison instead
 * of a signature (20 to 100 µs). One worker's; not thread-safe.
 *
 * What is remembered is one fact: this very text was signed by one of these very keys. Rules and times are asked anew
 * each time, so a reload, a rotated key or a token's end needs no invalidation: swapped keys are other keys. */
#ifndef PROXY_JWT_CACHE_H
#define PROXY_JWT_CACHE_H

#include "proxy/jwt.h"

enum {
    JWT_CACHE_TOKENS = 512,       /* the least recently used of a set of four makes room */
    JWT_CACHE_LONGEST_TOKEN = 4096 /* longer ones are verified each time */
};

struct jwt_cache;

/* NULL: no memory. */
struct jwt_cache *jwt_cache_new(void);
void jwt_cache_free(struct jwt_cache *c); /* NULL is accepted */

/* The cache's own reference; NULL: not there. `c` may be NULL in both. */
struct jwt *jwt_cache_find(struct jwt_cache *c, struct str text, const struct jwks *keys);
/* Takes references of its own to both. */
void jwt_cache_put(struct jwt_cache *c, struct jwt *t, struct jwks *keys);

#endif
