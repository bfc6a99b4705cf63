/* jwt_make.h: keys, their JWKs, and tokens by them, for tests. */
#ifndef TESTS_UNIT_PROXY_JWT_MAKE_H
#define TESTS_UNIT_PROXY_JWT_MAKE_H

#include "base/buf.h"
#include "proxy/jwks.h"

#include <check.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

enum { JWT_MAKE_TEXT = 8192 };

struct signer {
    EVP_PKEY *pkey;
    const char *curve; /* EC's */
};

static inline void put_base64url(struct buf *b, const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *p = bytes;
    uint32_t bits = 0;
    unsigned have = 0;

    for (size_t i = 0; i < n; i++) {
        bits = bits << 8 | p[i];
        for (have += 8; have >= 6; have -= 6)
            buf_putc(b, digits[bits >> (have - 6) & 63]);
    }
    if (have)
        buf_putc(b, digits[bits << (6 - have) & 63]);
}

static inline struct signer rsa_signer(unsigned bits)
{
    struct signer s = { EVP_RSA_gen(bits), NULL };

    ck_assert_ptr_nonnull(s.pkey);
    return s;
}

static inline struct signer ec_signer(const char *curve)
{
    struct signer s = { EVP_EC_gen(curve), curve };

    ck_assert_ptr_nonnull(s.pkey);
    return s;
}

static inline struct signer ed25519_signer(void)
{
    struct signer s = { EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL };

    ck_assert_ptr_nonnull(s.pkey);
    return s;
}

static inline void put_bn(struct buf *b, const EVP_PKEY *pkey, const char *param, size_t width)
{
    BIGNUM *bn = NULL;
    uint8_t bytes[1024];

    ck_assert_int_eq(EVP_PKEY_get_bn_param(pkey, param, &bn), 1);
    if (!width)
        width = (size_t)BN_num_bytes(bn);
    BN_bn2binpad(bn, bytes, (int)width);
    put_base64url(b, bytes, width);
    BN_free(bn);
}

/* {"kty":…,"kid":…,…}; `more` are further members with a comma behind each, e.g. "\"use\":\"sig\",". */
static inline void put_jwk(struct buf *b, const struct signer *s, const char *kid, const char *more)
{
    buf_printf(b, "{%s", more);
    if (kid)
        buf_printf(b, "\"kid\":\"%s\",", kid);
    if (EVP_PKEY_is_a(s->pkey, "RSA")) {
        buf_puts(b, "\"kty\":\"RSA\",\"n\":\"");
        put_bn(b, s->pkey, OSSL_PKEY_PARAM_RSA_N, 0);
        buf_puts(b, "\",\"e\":\"");
        put_bn(b, s->pkey, OSSL_PKEY_PARAM_RSA_E, 0);
    } else if (s->curve) {
        size_t width = (size_t)(EVP_PKEY_get_bits(s->pkey) + 7) / 8;

        buf_printf(b, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"", s->curve);
        put_bn(b, s->pkey, OSSL_PKEY_PARAM_EC_PUB_X, width);
        buf_puts(b, "\",\"y\":\"");
        put_bn(b, s->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, width);
    } else {
        uint8_t x[32];
        size_t n = sizeof(x);

        ck_assert_int_eq(EVP_PKEY_get_raw_public_key(s->pkey, x, &n), 1);
        buf_puts(b, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
        put_base64url(b, x, n);
    }
    buf_puts(b, "\"}");
}

/* {"keys":[…]} of one key; to be freed. */
static inline char *jwks_text(const struct signer *s, const char *kid, const char *more)
{
    struct buf b = BUF_INIT(1 << 16);
    size_t n;

    buf_puts(&b, "{\"keys\":[");
    put_jwk(&b, s, kid, more);
    buf_puts(&b, "]}");
    return buf_take(&b, &n);
}

static inline struct jwks *jwks_of(const struct signer *s, const char *kid, const char *more)
{
    char *text = jwks_text(s, kid, more);
    struct err e = ERR_INIT;
    struct jwks *k = jwks_new(str_of(text), &e);

    ck_assert_msg(k != NULL, "%s: %s", text, e.msg);
    free(text);
    return k;
}

/* r and s of a DER signature, each `half` bytes. */
static inline size_t raw_ecdsa(uint8_t *signature, size_t n, size_t half)
{
    const uint8_t *at = signature;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)n);

    ck_assert_ptr_nonnull(sig);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, (int)half);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + half, (int)half);
    ECDSA_SIG_free(sig);
    return 2 * half;
}

static inline void put_signature(struct buf *b, const struct signer *s, const char *alg)
{
    const char *md = strstr(alg, "256") ? "SHA256" :
                     strstr(alg, "384") ? "SHA384" :
                     strstr(alg, "512") ? "SHA512" :
                                          NULL;
    uint8_t signature[2048];
    size_t n = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;

    ck_assert_int_eq(EVP_DigestSignInit_ex(ctx, &pctx, md, NULL, NULL, s->pkey, NULL), 1);
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }
    ck_assert_int_eq(EVP_DigestSign(ctx, signature, &n, (const uint8_t *)b->p, b->n), 1);
    EVP_MD_CTX_free(ctx);
    if (s->curve)
        n = raw_ecdsa(signature, n, (size_t)(EVP_PKEY_get_bits(s->pkey) + 7) / 8);
    buf_putc(b, '.');
    put_base64url(b, signature, n);
}

/* A token of these two JSON texts; to be freed. */
static inline char *token_of(const struct signer *s, const char *alg, const char *header, const char *payload)
{
    struct buf b = BUF_INIT(1 << 20);
    size_t n;

    put_base64url(&b, header, strlen(header));
    buf_putc(&b, '.');
    put_base64url(&b, payload, strlen(payload));
    put_signature(&b, s, alg);
    return buf_take(&b, &n);
}

/* {"alg":alg,"kid":kid} and the payload. */
static inline char *token_by(const struct signer *s, const char *alg, const char *kid, const char *payload)
{
    char header[256];

    if (kid)
        snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}", alg, kid);
    else
        snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", alg);
    return token_of(s, alg, header, payload);
}

#endif
