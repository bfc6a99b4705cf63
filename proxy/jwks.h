/* jwks.h: the public keys of who signs tokens (RFC 7517), and signatures by them (RFC 7515, 7518, 8037).
 *
 * A set never changes; it is counted, and may be read from many threads. Symmetric keys and "alg": "none" are not here
 * at all: a proxy that could verify by a secret could sign by it, and whoever mixes both takes a public key for one. */
#ifndef PROXY_JWKS_H
#define PROXY_JWKS_H

#include "base/err.h"
#include "base/str.h"

enum { JWKS_MOST_BYTES = 256 * 1024, JWKS_MOST_KEYS = 64 };

enum jws_alg {
    JWS_RS256, JWS_RS384, JWS_RS512, JWS_PS256, JWS_PS384, JWS_PS512, JWS_ES256, JWS_ES384, JWS_ES512, JWS_EDDSA
};

/* By its name in a token's header. False: one that is not taken, HS* and none among them. */
bool jws_alg_of(struct str name, enum jws_alg *alg);

struct jwks;

/* Takes the JSON text of a set; one reference. Keys that cannot serve (symmetric, for encryption, of unknown types or
 * curves, RSA of less than 2048 bits or more than 8192, points off their curve) are passed over, as RFC 7517, 5 says.
 * NULL: ERR_PARSE (no JSON, or not of that shape), ERR_LIMIT (bytes, keys), ERR_INVALID (no key is left; why the first
 * was not taken), ERR_NOMEM. */
struct jwks *jwks_new(struct str text, struct err *e);
struct jwks *jwks_get(struct jwks *k);
void jwks_put(struct jwks *k); /* NULL is accepted */
size_t jwks_count(const struct jwks *k);

enum jwks_verdict {
    JWKS_VERIFIED,
    JWKS_BAD_SIGNATURE, /* keys fit by kid, type and alg, none made it */
    JWKS_NO_KEY         /* none fits */
};

/* Who signed `bytes` so. `kid` empty: every key that fits may be it, the first sixteen of them are tried. */
enum jwks_verdict jwks_verify(const struct jwks *k, enum jws_alg alg, struct str kid, struct str bytes,
                              struct str signature);

#endif
