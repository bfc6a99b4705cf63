/* certificate.h: a certificate that signs itself, and its key, in PEM. */
#ifndef TESTS_UNIT_PROXY_CERTIFICATE_H
#define TESTS_UNIT_PROXY_CERTIFICATE_H

#include "base/buf.h"
#include "tests/unit/unit.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static inline void certificate_text(BIO *bio, struct buf *to)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);

    buf_put(to, p, (size_t)n);
    BIO_free(bio);
}

/* `names` as openssl(1) has them: "DNS:a.example,IP:127.0.0.1". Appends to both. */
static inline void certificate_make(const char *names, struct buf *cert, struct buf *key)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_EXTENSION *alternative = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    BIO *c = BIO_new(BIO_s_mem()), *p = BIO_new(BIO_s_mem());

    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_add_ext(x, alternative, -1);
    X509_set_pubkey(x, k);
    ck_assert_int_gt(X509_sign(x, k, EVP_sha256()), 0);
    PEM_write_bio_X509(c, x);
    PEM_write_bio_PrivateKey(p, k, NULL, NULL, 0, NULL, NULL);
    certificate_text(c, cert);
    certificate_text(p, key);
    X509_EXTENSION_free(alternative);
    X509_free(x);
    EVP_PKEY_free(k);
}

#endif
