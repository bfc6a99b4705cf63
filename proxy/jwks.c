#include "proxy/jwks.h"
#include "proxy/base64url.h"

#include "base/mem.h"

#include <jansson.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdatomic.h>

enum {
    MOST_TRIES = 16,        /* of a token that names no key: some 50 µs each */
    MOST_KID = 512,
    LEAST_RSA_BITS = 2048,  /* RFC 7518, 3.3 */
    MOST_RSA_BITS = 8192,
    MOST_EXPONENT = 4,      /* bytes */
    MOST_COORDINATE = 66    /* of P-521 */
};

enum kty { KTY_RSA, KTY_EC, KTY_OKP };

static const struct {
    const char *name;
    enum kty kty;
    const char *curve;
    const EVP_MD *(*digest)(void); /* NULL: the scheme has its own */
    size_t half;                   /* EC: bytes of r and of s in a signature */
    bool pss;
} algs[] = {
    [JWS_RS256] = { "RS256", KTY_RSA, NULL, EVP_sha256, 0, false },
    [JWS_RS384] = { "RS384", KTY_RSA, NULL, EVP_sha384, 0, false },
    [JWS_RS512] = { "RS512", KTY_RSA, NULL, EVP_sha512, 0, false },
    [JWS_PS256] = { "PS256", KTY_RSA, NULL, EVP_sha256, 0, true },
    [JWS_PS384] = { "PS384", KTY_RSA, NULL, EVP_sha384, 0, true },
    [JWS_PS512] = { "PS512", KTY_RSA, NULL, EVP_sha512, 0, true },
    [JWS_ES256] = { "ES256", KTY_EC, "P-256", EVP_sha256, 32, false },
    [JWS_ES384] = { "ES384", KTY_EC, "P-384", EVP_sha384, 48, false },
    [JWS_ES512] = { "ES512", KTY_EC, "P-521", EVP_sha512, MOST_COORDINATE, false },
    [JWS_EDDSA] = { "EdDSA", KTY_OKP, "Ed25519", NULL, 0, false },
};

enum { NALGS = sizeof(algs) / sizeof(algs[0]) };

struct key {
    EVP_PKEY *pkey;
    enum kty kty;
    const char *curve;  /* one of algs' */
    int alg;            /* enum jws_alg, or -1: any that fits */
    struct str kid;     /* owned; n 0: none */
};

struct jwks {
    atomic_uint refs;
    size_t n;
    struct key v[];
};

bool jws_alg_of(struct str name, enum jws_alg *alg)
{
    for (size_t i = 0; i < NALGS; i++)
        if (str_eqz(name, algs[i].name)) {
            *alg = (enum jws_alg)i;
            return true;
        }
    return false;
}

/* ---- one key ---- */

static struct str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);

    return json_is_string(v) ? (struct str){ json_string_value(v), json_string_length(v) } : STR_NULL;
}

/* A member in base64url. Returns the bytes, -1: absent, malformed, or more than `most`. */
static ptrdiff_t bytes_of(const json_t *jwk, const char *name, uint8_t *out, size_t most)
{
    struct str s = text_of(jwk, name);

    return s.n && BASE64URL_ROOM(s.n) <= most + 3 ? base64url_decode(s, out) : -1;
}

static EVP_PKEY *public_key(const char *type, OSSL_PARAM_BLD *parts)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(parts);
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    EVP_PKEY *key = NULL;

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static const char *rsa_key(const json_t *jwk, struct key *key)
{
    uint8_t n[MOST_RSA_BITS / 8 + 3], e[MOST_EXPONENT + 3];
    ptrdiff_t nn = bytes_of(jwk, "n", n, MOST_RSA_BITS / 8), ne = bytes_of(jwk, "e", e, MOST_EXPONENT);
    OSSL_PARAM_BLD *parts;
    BIGNUM *bn, *be;
    int bits;

    if (nn <= 0 || ne <= 0)
        return "n or e is missing, is not base64url or too long";
    if (!(e[ne - 1] & 1) || (ne == 1 && e[0] < 3))
        return "e is even or 1";
    parts = OSSL_PARAM_BLD_new();
    bn = BN_bin2bn(n, (int)nn, NULL);
    be = BN_bin2bn(e, (int)ne, NULL);
    bits = bn ? BN_num_bits(bn) : 0;
    if (parts && bn && be && bits >= LEAST_RSA_BITS && bits <= MOST_RSA_BITS &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_N, bn) &&
        OSSL_PARAM_BLD_push_BN(parts, OSSL_PKEY_PARAM_RSA_E, be))
        key->pkey = public_key("RSA", parts);
    OSSL_PARAM_BLD_free(parts);
    BN_free(bn);
    BN_free(be);
    return key->pkey ? NULL : "an RSA key has 2048 to 8192 bits";
}

/* The algorithm of a curve; -1: none. */
static int curve_alg(struct str curve, enum kty kty)
{
    for (int i = 0; i < NALGS; i++)
        if (algs[i].kty == kty && str_eqz(curve, algs[i].curve))
            return i;
    return -1;
}

static const char *ec_key(const json_t *jwk, struct key *key)
{
    uint8_t point[1 + 2 * (MOST_COORDINATE + 3)];
    int alg = curve_alg(text_of(jwk, "crv"), KTY_EC);
    ptrdiff_t half = alg < 0 ? 0 : (ptrdiff_t)algs[alg].half;
    OSSL_PARAM_BLD *parts;

    if (alg < 0)
        return "crv is not one of P-256, P-384, P-521";
    point[0] = 4; /* not compressed (SEC 1, 2.3.3) */
    if (bytes_of(jwk, "x", point + 1, (size_t)half) != half ||
        bytes_of(jwk, "y", point + 1 + half, (size_t)half) != half)
        return "x or y is missing or not of the curve's length"; /* RFC 7518, 6.2.1.2 */
    parts = OSSL_PARAM_BLD_new();
    if (parts && OSSL_PARAM_BLD_push_utf8_string(parts, OSSL_PKEY_PARAM_GROUP_NAME, algs[alg].curve, 0) &&
        OSSL_PARAM_BLD_push_octet_string(parts, OSSL_PKEY_PARAM_PUB_KEY, point, (size_t)(1 + 2 * half)))
        key->pkey = public_key("EC", parts);
    OSSL_PARAM_BLD_free(parts);
    key->curve = algs[alg].curve;
    return key->pkey ? NULL : "the point is not on the curve";
}

static const char *okp_key(const json_t *jwk, struct key *key)
{
    uint8_t x[32 + 3];
    int alg = curve_alg(text_of(jwk, "crv"), KTY_OKP);

    if (alg < 0)
        return "crv is not Ed25519";
    if (bytes_of(jwk, "x", x, 32) != 32)
        return "x is missing or not of 32 bytes"; /* RFC 8037, 2 */
    key->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, 32);
    key->curve = algs[alg].curve;
    return key->pkey ? NULL : "x is no key";
}

/* "use", "key_ops" and "alg" say what a key is for (RFC 7517, 4.2 to 4.4). */
static const char *check_purpose(const json_t *jwk, struct key *key)
{
    struct str use = text_of(jwk, "use"), alg = text_of(jwk, "alg");
    const json_t *ops = json_object_get(jwk, "key_ops"), *op;
    bool verifies = !json_is_array(ops);
    enum jws_alg a;
    size_t i;

    if (use.p && !str_eqz(use, "sig"))
        return "use is not \"sig\"";
    json_array_foreach (ops, i, op)
        verifies |= json_is_string(op) && strcmp(json_string_value(op), "verify") == 0;
    if (!verifies)
        return "key_ops has no \"verify\"";
    key->alg = -1;
    if (!alg.p)
        return NULL;
    if (!jws_alg_of(alg, &a) || algs[a].kty != key->kty || (key->curve && strcmp(algs[a].curve, key->curve) != 0))
        return "alg is not one for this kind of key";
    key->alg = (int)a;
    return NULL;
}

static const char *key_material(const json_t *jwk, struct key *key)
{
    struct str kty = text_of(jwk, "kty");

    if (str_eqz(kty, "RSA")) {
        key->kty = KTY_RSA;
        return rsa_key(jwk, key);
    }
    if (str_eqz(kty, "EC")) {
        key->kty = KTY_EC;
        return ec_key(jwk, key);
    }
    if (str_eqz(kty, "OKP")) {
        key->kty = KTY_OKP;
        return okp_key(jwk, key);
    }
    return "kty is not one of RSA, EC, OKP";
}

static void key_fini(struct key *key)
{
    EVP_PKEY_free(key->pkey);
    mem_free((void *)(uintptr_t)key->kid.p);
    *key = (struct key){ 0 };
}

/* NULL: the key serves; else why not. */
static const char *take_key(const json_t *jwk, struct key *key)
{
    struct str kid = text_of(jwk, "kid");
    const char *why;

    *key = (struct key){ .alg = -1 };
    if (!json_is_object(jwk))
        return "is no object";
    if (kid.n > MOST_KID)
        return "kid is longer than 512 bytes";
    why = key_material(jwk, key);
    if (!why)
        why = check_purpose(jwk, key);
    if (!why && kid.n) {
        key->kid = (struct str){ mem_strdup(kid.p), kid.n };
        why = key->kid.p ? NULL : "no memory";
    }
    if (why)
        key_fini(key);
    ERR_clear_error(); /* what OpenSSL says of a bad key would be taken for a connection's trouble later */
    return why;
}

/* ---- the set ---- */

static struct jwks *take_keys(const json_t *keys, struct err *e)
{
    size_t n = json_array_size(keys), i;
    const char *first_why = NULL;
    struct jwks *k;
    json_t *jwk;

    if (n > JWKS_MOST_KEYS) {
        err_set(e, ERR_LIMIT, "keys: %zu of them, at most %d are taken", n, JWKS_MOST_KEYS);
        return NULL;
    }
    k = mem_zalloc(sizeof(*k) + n * sizeof(k->v[0]));
    if (!k) {
        err_set(e, ERR_NOMEM, "no memory for %zu keys", n);
        return NULL;
    }
    atomic_init(&k->refs, 1);
    json_array_foreach (keys, i, jwk) {
        const char *why = take_key(jwk, &k->v[k->n]);

        if (!why)
            k->n++;
        else if (!first_why)
            first_why = why;
    }
    if (k->n == 0) {
        err_set(e, ERR_INVALID, "keys: none of %zu can verify a token%s%s", n, first_why ? "; the first: " : "",
                first_why ? first_why : "");
        jwks_put(k);
        return NULL;
    }
    return k;
}

struct jwks *jwks_new(struct str text, struct err *e)
{
    json_error_t error;
    struct jwks *k = NULL;
    json_t *set, *keys;

    if (text.n > JWKS_MOST_BYTES) {
        err_set(e, ERR_LIMIT, "JWKS of %zu bytes, at most %d are taken", text.n, JWKS_MOST_BYTES);
        return NULL;
    }
    set = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
    if (!set) {
        err_set(e, ERR_PARSE, "JWKS is no JSON: line %d: %s", error.line, error.text);
        return NULL;
    }
    keys = json_object_get(set, "keys");
    if (json_is_array(keys))
        k = take_keys(keys, e);
    else
        err_set(e, ERR_PARSE, "JWKS: an object with an array \"keys\" is expected");
    json_decref(set);
    return k;
}

struct jwks *jwks_get(struct jwks *k)
{
    atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
    return k;
}

void jwks_put(struct jwks *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < k->n; i++)
        key_fini(&k->v[i]);
    mem_free(k);
}

size_t jwks_count(const struct jwks *k)
{
    return k->n;
}

/* ---- signatures ---- */

/* JWS writes r and s one behind the other (RFC 7518, 3.4), OpenSSL reads them as DER. Returns its length, 0: no. */
static size_t ecdsa_der(struct str signature, size_t half, uint8_t *der, size_t room)
{
    const uint8_t *bytes = (const uint8_t *)signature.p;
    ECDSA_SIG *sig = signature.n == 2 * half ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = sig ? BN_bin2bn(bytes, (int)half, NULL) : NULL;
    BIGNUM *s = sig ? BN_bin2bn(bytes + half, (int)half, NULL) : NULL;
    int n = 0;

    if (r && s && ECDSA_SIG_set0(sig, r, s)) {
        n = i2d_ECDSA_SIG(sig, NULL);
        n = n > 0 && (size_t)n <= room ? i2d_ECDSA_SIG(sig, &der) : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

static bool digest_verify(EVP_PKEY *pkey, enum jws_alg alg, struct str bytes, const uint8_t *signature, size_t n)
{
    const EVP_MD *md = algs[alg].digest ? algs[alg].digest() : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    bool ok;

    ok = ctx && EVP_DigestVerifyInit(ctx, &pctx, md, NULL, pkey) == 1;
    if (ok && algs[alg].pss) /* the salt is as long as the digest: RFC 7518, 3.5 */
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(ctx, signature, n, (const uint8_t *)bytes.p, bytes.n) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool key_made(const struct key *key, enum jws_alg alg, struct str bytes, struct str signature)
{
    uint8_t der[2 * MOST_COORDINATE + 16];
    size_t n;

    if (key->kty != KTY_EC)
        return digest_verify(key->pkey, alg, bytes, (const uint8_t *)signature.p, signature.n);
    n = ecdsa_der(signature, algs[alg].half, der, sizeof(der));
    return n && digest_verify(key->pkey, alg, bytes, der, n);
}

static bool key_fits(const struct key *key, enum jws_alg alg, struct str kid)
{
    return key->kty == algs[alg].kty && (!key->curve || strcmp(key->curve, algs[alg].curve) == 0) &&
           (key->alg < 0 || key->alg == (int)alg) && (kid.n == 0 || key->kid.n == 0 || str_eq(kid, key->kid));
}

enum jwks_verdict jwks_verify(const struct jwks *k, enum jws_alg alg, struct str kid, struct str bytes,
                              struct str signature)
{
    enum jwks_verdict verdict = JWKS_NO_KEY;
    unsigned tries = 0;

    for (size_t i = 0; i < k->n && tries < MOST_TRIES && verdict != JWKS_VERIFIED; i++) {
        if (!key_fits(&k->v[i], alg, kid))
            continue;
        tries++;
        verdict = key_made(&k->v[i], alg, bytes, signature) ? JWKS_VERIFIED : JWKS_BAD_SIGNATURE;
    }
    if (verdict != JWKS_VERIFIED)
        ERR_clear_error();
    return verdict;
}
