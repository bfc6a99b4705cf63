/* jwt.h: one token (RFC 7519): what it says, whether it is in order, who made it.
 *
 * What can be wrong has Envoy's words (its JWT filter answers with them), so that clients and dashboards made for Istio
 * know them. Taking a token apart proves nothing: jwt_verify and jwt_check do. */
#ifndef PROXY_JWT_H
#define PROXY_JWT_H

#include "mesh/snapshot.h"
#include "proxy/jwks.h"

#include <jansson.h>

enum {
    JWT_MOST_BYTES = 16 * 1024,      /* the whole token */
    JWT_MOST_HEADER_BYTES = 8 * 1024 /* its first part */
};

#define JWT_STATUSES(X)                                                                                      \
    X(JWT_OK, "OK")                                                                                          \
    X(JWT_MISSING, "Jwt is missing")                                                                         \
    X(JWT_NOT_YET_VALID, "Jwt not yet valid")                                                                \
    X(JWT_EXPIRED, "Jwt is expired")                                                                         \
    X(JWT_BAD_FORM, "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")       \
    X(JWT_HEADER_BAD_BASE64, "Jwt header is an invalid Base64url encoded")                                   \
    X(JWT_HEADER_BAD_JSON, "Jwt header is an invalid JSON")                                                  \
    X(JWT_HEADER_BAD_ALG, "Jwt header [alg] field is required and must be a string")                         \
    X(JWT_HEADER_UNKNOWN_ALG, "Jwt header [alg] is not supported")                                           \
    X(JWT_HEADER_BAD_KID, "Jwt header [kid] field is not a string")                                          \
    X(JWT_HEADER_CRITICAL, "Jwt header [crit] is not supported")                                             \
    X(JWT_PAYLOAD_BAD_BASE64, "Jwt payload is an invalid Base64url encoded")                                 \
    X(JWT_PAYLOAD_BAD_JSON, "Jwt payload is an invalid JSON")                                                \
    X(JWT_PAYLOAD_BAD_ISS, "Jwt payload [iss] field is not a string")                                        \
    X(JWT_PAYLOAD_BAD_SUB, "Jwt payload [sub] field is not a string")                                        \
    X(JWT_PAYLOAD_BAD_IAT, "Jwt payload [iat] field is not an integer")                                      \
    X(JWT_PAYLOAD_BAD_NBF, "Jwt payload [nbf] field is not an integer")                                      \
    X(JWT_PAYLOAD_BAD_EXP, "Jwt payload [exp] field is not an integer")                                      \
    X(JWT_PAYLOAD_BAD_AUD, "Jwt payload [aud] field is not a string or string list")                         \
    X(JWT_SIGNATURE_BAD_BASE64, "Jwt signature is an invalid Base64url encoded")                             \
    X(JWT_UNKNOWN_ISSUER, "Jwt issuer is not configured")                                                    \
    X(JWT_BAD_AUDIENCE, "Audiences in Jwt are not allowed")                                                  \
    X(JWT_BAD_SIGNATURE, "Jwt verification fails")                                                           \
    X(JWT_TOO_MANY, "Found multiple Jwt tokens")                                                             \
    X(JWT_NO_KEY, "Jwks doesn't have key to match kid or alg from Jwt")                                      \
    X(JWT_NO_KEYS, "Jwks doesn't have any valid public key")                                                 \
    X(JWT_KEYS_UNREACHABLE, "Jwks remote fetch is failed")                                                   \
    X(JWT_KEYS_AWAITED, "Jwks is being fetched")                                                             \
    X(JWT_NO_MEMORY, "no memory for the Jwt")

enum jwt_status {
#define JWT_ENUM(id, text) id,
    JWT_STATUSES(JWT_ENUM)
#undef JWT_ENUM
};

const char *jwt_status_text(enum jwt_status s);
/* The answer's: 401; 403 for an audience; 503 where it is our own trouble. */
unsigned jwt_status_code(enum jwt_status s);

/* Never changes; counted, by one thread alone. */
struct jwt {
    unsigned refs;
    struct str text;           /* the whole token */
    struct str payload;        /* its middle part, in base64url: a part of text */
    struct str issuer, subject; /* "iss", "sub"; p NULL: it has none */
    int64_t expires, not_before, issued; /* s since the epoch; 0: it does not say */
    enum jws_alg alg;
    struct str kid;            /* n 0: none */
    struct str signed_part;    /* of text: what the signature is of */
    struct str signature;      /* its bytes */
    json_t *header, *claims;   /* objects, never another's */
};

/* Takes a token apart, strictly: base64url without padding, JSON without double names, an "alg" that jws_alg_of knows,
 * no "crit". JWT_OK: *out has one reference. */
enum jwt_status jwt_parse(struct str text, struct jwt **out);
struct jwt *jwt_get(struct jwt *t);
void jwt_put(struct jwt *t); /* NULL is accepted */

/* The signature alone. */
enum jwt_status jwt_verify(const struct jwt *t, const struct jwks *keys);
/* What a rule asks beside the signature: issuer (a rule with none takes all), times, audiences (those of a rule with
 * none are all). Of an audience "http://", "https://" and a last slash do not count, as in Envoy. */
enum jwt_status jwt_check(const struct jwt *t, const struct jwt_rule *r, int64_t now_s);

/* A claim by its path, joined with U+0001. NULL: there is none. */
const json_t *jwt_claim(const struct jwt *t, struct str path);
/* Whether a rule's or Istio's own list ("scope", "permission") says that a claim's words are its values. */
bool jwt_is_space_delimited(const struct jwt_rule *r, struct str claim);

#endif
