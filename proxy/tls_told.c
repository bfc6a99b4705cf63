#include "proxy/tls_told.h"

#include "proxy/percent.h"
#include "proxy/texts.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void put_hex(struct buf *b, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%02x", p[i]);
}

static void put_name(struct buf *b, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;

    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        long n = BIO_get_mem_data(bio, &p);

        buf_put(b, p, (size_t)n);
    }
    BIO_free(bio);
}

static void put_serial(struct buf *b, const X509 *x)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);

    put_hex(b, ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
}

static void put_digest(struct buf *b, const X509 *x, const EVP_MD *how)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (X509_digest(x, how, md, &n) == 1)
        put_hex(b, md, n);
}

/* PEM, escaped as in a URL. */
static void put_pem(struct buf *b, X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *p = NULL;
    long n = bio && PEM_write_bio_X509(bio, x) == 1 ? BIO_get_mem_data(bio, &p) : 0;

    for (long i = 0; i < n; i++) {
        if (percent_is_unreserved(p[i]))
            buf_putc(b, p[i]);
        else
            buf_printf(b, "%%%02X", (unsigned char)p[i]);
    }
    BIO_free(bio);
}

static void put_time(struct buf *b, const ASN1_TIME *at)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(at, &tm) == 1)
        buf_i64(b, (int64_t)timegm(&tm));
}

static void put_address(struct buf *b, const ASN1_OCTET_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    int n = ASN1_STRING_length(s);

    if (n == 4)
        buf_printf(b, "%u.%u.%u.%u", p[0], p[1], p[2], p[3]);
    for (int i = 0; n == 16 && i < n; i += 2)
        buf_printf(b, "%s%x", i ? ":" : "", (unsigned)p[i] << 8 | p[i + 1]);
}

/* Alternative names of one type, with commas between. */
static void put_names(struct buf *b, const X509 *x, int type)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool first = true;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != type)
            continue;
        buf_puts(b, first ? "" : ",");
        first = false;
        if (type == GEN_IPADD)
            put_address(b, name->d.iPAddress);
        else
            buf_put(b, ASN1_STRING_get0_data(name->d.ia5), (size_t)ASN1_STRING_length(name->d.ia5));
    }
    GENERAL_NAMES_free(names);
}

static void put_certificate(struct buf *b, X509 *x, enum tls_told what)
{
    switch (what) {
    case TLS_TOLD_PEER_SUBJECT:
    case TLS_TOLD_LOCAL_SUBJECT:
        put_name(b, X509_get_subject_name(x));
        break;
    case TLS_TOLD_PEER_ISSUER:
        put_name(b, X509_get_issuer_name(x));
        break;
    case TLS_TOLD_PEER_SERIAL:
        put_serial(b, x);
        break;
    case TLS_TOLD_PEER_FINGERPRINT_1:
        put_digest(b, x, EVP_sha1());
        break;
    case TLS_TOLD_PEER_FINGERPRINT_256:
        put_digest(b, x, EVP_sha256());
        break;
    case TLS_TOLD_PEER_CERT:
        put_pem(b, x);
        break;
    case TLS_TOLD_PEER_V_START:
        put_time(b, X509_get0_notBefore(x));
        break;
    case TLS_TOLD_PEER_V_END:
        put_time(b, X509_get0_notAfter(x));
        break;
    case TLS_TOLD_PEER_URI_SAN:
    case TLS_TOLD_LOCAL_URI_SAN:
        put_names(b, x, GEN_URI);
        break;
    case TLS_TOLD_PEER_DNS_SAN:
    case TLS_TOLD_LOCAL_DNS_SAN:
        put_names(b, x, GEN_DNS);
        break;
    case TLS_TOLD_PEER_IP_SAN:
    case TLS_TOLD_LOCAL_IP_SAN:
        put_names(b, x, GEN_IPADD);
        break;
    case TLS_TOLD_PEER_EMAIL_SAN:
    case TLS_TOLD_LOCAL_EMAIL_SAN:
        put_names(b, x, GEN_EMAIL);
        break;
    case TLS_TOLD_VERSION:
    case TLS_TOLD_CIPHER:
    case TLS_TOLD_SESSION_ID:
    case TLS_TOLDS:
        break;
    }
}

static void put(struct buf *b, const SSL *ssl, enum tls_told what)
{
    X509 *x = what < TLS_TOLD_LOCAL_SUBJECT ? SSL_get0_peer_certificate(ssl) : SSL_get_certificate(ssl);

    if (what == TLS_TOLD_VERSION) {
        buf_puts(b, SSL_get_version(ssl));
    } else if (what == TLS_TOLD_CIPHER) {
        buf_puts(b, SSL_CIPHER_get_name(SSL_get_current_cipher(ssl)));
    } else if (what == TLS_TOLD_SESSION_ID) {
        const SSL_SESSION *session = SSL_get0_session(ssl);
        unsigned n = 0;
        const unsigned char *id = session ? SSL_SESSION_get_id(session, &n) : NULL;

        put_hex(b, id, n);
    } else if (x) {
        put_certificate(b, x, what);
    }
}

void tls_tell(const SSL *ssl, uint32_t wanted, struct buf *to)
{
    struct buf text = BUF_INIT(TEXTS_MOST);

    for (unsigned i = 0; i < TLS_TOLDS; i++) {
        if (!(wanted & 1u << i))
            continue;
        buf_reset(&text);
        put(&text, ssl, (enum tls_told)i);
        if (buf_failed(&text) || !text.n || !texts_put(to, buf_view(&text)))
            texts_put(to, STR_NULL);
    }
    buf_free(&text);
}

void tls_told_put(struct buf *to, struct str told, uint32_t wanted)
{
    if (told.n && to->n + told.n <= TEXTS_MOST) {
        buf_str(to, told);
        return;
    }
    for (; wanted; wanted &= wanted - 1)
        texts_put(to, STR_NULL);
}
