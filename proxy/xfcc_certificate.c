/* xfcc_certificate.c: what a certificate says of its holder, in X-Forwarded-Client-Cert's words. */
#include "proxy/percent.h"
#include "proxy/xfcc.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static struct str hash_text(struct arena *a, X509 *certificate)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char *text = arena_alloc(a, 2 * sizeof(md));

    if (!text || X509_digest(certificate, EVP_sha256(), md, &n) != 1)
        return STR_NULL;
    for (unsigned i = 0; i < n; i++) {
        text[2 * i] = digits[md[i] >> 4];
        text[2 * i + 1] = digits[md[i] & 15];
    }
    return (struct str){ text, 2 * n };
}

/* Copies what was written to a memory BIO, escaped as in a URL when `url` says so. */
static struct str written(struct arena *a, BIO *bio, bool url)
{
    struct buf b = BUF_INIT(XFCC_MOST_BYTES);
    struct str out = STR_NULL;
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    for (long i = 0; i < n; i++) {
        if (!url || percent_is_unreserved(p[i]))
            buf_putc(&b, p[i]);
        else
            buf_printf(&b, "%%%02X", (unsigned char)p[i]);
    }
    if (!buf_failed(&b))
        out = arena_str(a, buf_view(&b));
    buf_free(&b);
    return out;
}

static struct str subject_text(struct arena *a, X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct str out = STR_NULL;

    /* RFC 2253's form escapes control characters, so that none gets into the header. */
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0)
        out = written(a, bio, false);
    BIO_free(bio);
    return out;
}

static struct str pem_text(struct arena *a, X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct str out = STR_NULL;

    if (bio && PEM_write_bio_X509(bio, certificate) == 1)
        out = written(a, bio, true);
    BIO_free(bio);
    return out;
}

/* Whether a name can stand in a header: what is signed is not thereby printable. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 127)
            return false;
    return s.n > 0;
}

/* The alternative names of one type (GEN_URI, GEN_DNS); those that are not printable are passed over. */
static int alternative_names(struct arena *a, const GENERAL_NAMES *names, int type, const struct str **v, size_t *n)
{
    struct str *list = arena_array(a, XFCC_MOST_NAMES, sizeof(*list));

    *v = list;
    *n = 0;
    for (int i = 0; list && i < sk_GENERAL_NAME_num(names) && *n < XFCC_MOST_NAMES; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_IA5STRING *text = name->type == type ? name->d.ia5 : NULL;
        struct str s;

        if (!text)
            continue;
        s = (struct str){ (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text) };
        if (!is_printable(s))
            continue;
        s = arena_str(a, s);
        if (!s.p)
            return ERR_NOMEM;
        list[(*n)++] = s;
    }
    return list ? 0 : ERR_NOMEM;
}

int xfcc_of_certificate(struct arena *a, struct x509_st *certificate, struct str by, bool with_cert,
                        struct xfcc_element *e)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int rc;

    *e = (struct xfcc_element){ .by = arena_str(a, by), .hash = hash_text(a, certificate),
                                .subject = subject_text(a, certificate) };
    if (with_cert)
        e->cert = pem_text(a, certificate);
    rc = alternative_names(a, names, GEN_URI, &e->uris, &e->nuris);
    if (rc == 0)
        rc = alternative_names(a, names, GEN_DNS, &e->dns, &e->ndns);
    GENERAL_NAMES_free(names);
    return rc == 0 && e->by.p && e->hash.p && e->subject.p && (!with_cert || e->cert.p) ? 0 : ERR_NOMEM;
}
