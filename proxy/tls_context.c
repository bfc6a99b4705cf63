/* tls_context.c: an SSL_CTX from settings.
 *
 * TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3; sessions are resumed by tickets, which all
 * workers can read as they share the context, so a server keeps none. A ticket of other settings is worth nothing here:
 * its key is another context's. */
#include "proxy/tls-internal.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>

enum { MOST_PEM = 1024 * 1024, MOST_CHAIN = 16, SESSION_S = 7200 };

/* As Mozilla's "intermediate", less what has no forward secrecy in 1.2. */
static const char default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

static int facts_index = -1;

static void free_facts(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    mem_free(ptr);
}

static void make_index(void)
{
    facts_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_facts);
}

const struct tls_facts *tls_facts(const SSL_CTX *ctx)
{
    return SSL_CTX_get_ex_data(ctx, facts_index);
}

/* OpenSSL's words for the last thing that went wrong there. */
static int refuse(struct err *e, struct str where, const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return err_set(e, ERR_INVALID, "%.*s: %s%s%s", STR_ARG(where), what, why ? ": " : "", why ? why : "");
}

/* ---- PEM ---- */

static struct str name_of(const struct pem *p)
{
    return p->path.n ? p->path : STR("the Secret's text");
}

static bool is_none(const struct pem *p)
{
    return p->path.n == 0 && p->text.n == 0;
}

/* The text, in `b` when it is a file's. NULL: e says why. */
static BIO *open_pem(const struct pem *p, struct buf *b, struct err *e)
{
    char path[4096];
    BIO *bio;

    if (p->path.n >= sizeof(path)) {
        err_set(e, ERR_INVALID, "a path is longer than %zu bytes", sizeof(path) - 1);
        return NULL;
    }
    if (p->path.n) {
        memcpy(path, p->path.p, p->path.n);
        path[p->path.n] = '\0';
        if (file_read(path, b, e) < 0)
            return NULL;
    } else {
        buf_str(b, p->text);
    }
    bio = buf_failed(b) ? NULL : BIO_new_mem_buf(b->p, (int)b->n);
    if (!bio)
        err_set(e, ERR_NOMEM, "%.*s: no memory", STR_ARG(name_of(p)));
    return bio;
}

static int add_certificate(SSL_CTX *ctx, X509 *x, bool first)
{
    return first ? SSL_CTX_use_certificate(ctx, x) : SSL_CTX_add1_chain_cert(ctx, x);
}

static int load_chain(SSL_CTX *ctx, const struct pem *p, struct err *e)
{
    struct buf b = BUF_INIT(MOST_PEM);
    BIO *bio = open_pem(p, &b, e);
    int n = 0, rc = bio ? 0 : e->code;
    X509 *x;

    while (rc == 0 && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (n == MOST_CHAIN)
            rc = err_set(e, ERR_LIMIT, "%.*s: more than %d certificates in a chain", STR_ARG(name_of(p)), MOST_CHAIN);
        else if (add_certificate(ctx, x, n == 0) != 1)
            rc = refuse(e, name_of(p), "a certificate cannot be used");
        X509_free(x);
        n++;
    }
    if (rc == 0 && n == 0)
        rc = refuse(e, name_of(p), "it has no certificate in PEM");
    ERR_clear_error(); /* reading ends with "no start line" */
    BIO_free(bio);
    buf_free(&b);
    return rc;
}

/* No terminal is asked for the password of an encrypted key. */
static int no_password(char *to, int n, int writing, void *arg)
{
    (void)to, (void)n, (void)writing, (void)arg;
    return 0;
}

static int load_key(SSL_CTX *ctx, const struct pem *p, struct err *e)
{
    struct buf b = BUF_INIT(MOST_PEM);
    BIO *bio = open_pem(p, &b, e);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    int rc = bio ? 0 : e->code;

    if (rc == 0 && !key)
        rc = refuse(e, name_of(p), "it has no private key in PEM (without a password)");
    else if (rc == 0 && (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1))
        rc = refuse(e, name_of(p), "the key is not the certificate's");
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (b.p)
        OPENSSL_cleanse(b.p, b.n);
    buf_free(&b);
    return rc;
}

static int load_pairs(SSL_CTX *ctx, const struct tls_recipe *r, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < r->npairs && rc == 0; i++) {
        rc = load_chain(ctx, &r->pairs[i].certificate, e);
        if (rc == 0)
            rc = load_key(ctx, &r->pairs[i].key, e);
    }
    return rc;
}

static int load_ca(SSL_CTX *ctx, const struct pem *p, bool server, struct err *e)
{
    struct buf b = BUF_INIT(MOST_PEM);
    BIO *bio = open_pem(p, &b, e);
    int n = 0, rc = bio ? 0 : e->code;
    X509 *x;

    while (rc == 0 && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) != 1 || (server && SSL_CTX_add_client_CA(ctx, x) != 1))
            rc = refuse(e, name_of(p), "an authority's certificate cannot be used");
        X509_free(x);
        n++;
    }
    if (rc == 0 && n == 0)
        rc = refuse(e, name_of(p), "it has no certificate in PEM");
    ERR_clear_error();
    BIO_free(bio);
    buf_free(&b);
    return rc;
}

/* With a list, every certificate of a chain must have one of its issuer, and not be in it. */
static int load_crl(SSL_CTX *ctx, const struct pem *p, struct err *e)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    struct buf b = BUF_INIT(MOST_PEM);
    BIO *bio = open_pem(p, &b, e);
    int n = 0, rc = bio ? 0 : e->code;
    X509_CRL *x;

    while (rc == 0 && (x = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
        if (X509_STORE_add_crl(store, x) != 1)
            rc = refuse(e, name_of(p), "a list of revoked certificates cannot be used");
        X509_CRL_free(x);
        n++;
    }
    if (rc == 0 && n == 0)
        rc = refuse(e, name_of(p), "it has no list of revoked certificates in PEM");
    ERR_clear_error();
    if (rc == 0)
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    BIO_free(bio);
    buf_free(&b);
    return rc;
}

static int load_authorities(SSL_CTX *ctx, const struct tls_recipe *r, struct err *e)
{
    int rc = 0;

    /* One that is told to us is trusted as it is, whether it is a root or not. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
    if (!is_none(&r->ca))
        rc = load_ca(ctx, &r->ca, r->server, e);
    else if (!r->server && SSL_CTX_set_default_verify_paths(ctx) != 1)
        rc = refuse(e, STR("the system's authorities"), "they cannot be read");
    if (rc == 0 && !is_none(&r->crl))
        rc = load_crl(ctx, &r->crl, e);
    return rc;
}

/* ---- who we are ---- */

/* All in one piece of memory: the struct, its list of names, the texts. */
static struct tls_facts *make_facts(const struct tls_recipe *r, struct str own)
{
    size_t size = sizeof(struct tls_facts) + r->nnames * sizeof(struct str) + own.n;
    struct str *names;
    struct tls_facts *f;
    struct str rest;
    char *p;

    for (size_t i = 0; i < r->nnames; i++)
        size += r->names[i].n;
    f = mem_zalloc(size);
    if (!f)
        return NULL;
    names = (struct str *)(f + 1);
    p = (char *)(names + r->nnames);
    for (size_t i = 0; i < r->nnames; i++) {
        names[i] = (struct str){ memcpy(p, r->names[i].p, r->names[i].n), r->names[i].n };
        p += r->names[i].n;
    }
    *f = (struct tls_facts){ .mesh = r->mesh, .names = names, .nnames = r->nnames, .http = r->http,
                             .told = r->told };
    if (own.n)
        f->own = (struct str){ memcpy(p, own.p, own.n), own.n };
    rest = str_from(f->own, sizeof("spiffe://") - 1);
    f->trust_domain = str_cut(&rest, '/');
    return f;
}

static int set_facts(SSL_CTX *ctx, const struct tls_recipe *r, struct err *e)
{
    X509 *own = SSL_CTX_get0_certificate(ctx);
    GENERAL_NAMES *names = own ? X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL) : NULL;
    struct str identity = names ? tls_identity(names) : STR_NULL;
    struct tls_facts *f = NULL;
    int rc = 0;

    if (r->mesh && !identity.n)
        rc = err_set(e, ERR_INVALID,
                     "%.*s: its certificate has no identity: one URI, spiffe://TRUSTDOMAIN/ns/NS/sa/NAME",
                      STR_ARG(name_of(&r->pairs[0].certificate)));
    else if (!(f = make_facts(r, identity)) || SSL_CTX_set_ex_data(ctx, facts_index, f) != 1) {
        mem_free(f);
        rc = err_set(e, ERR_NOMEM, "no memory for a context of TLS");
    }
    GENERAL_NAMES_free(names);
    return rc;
}

/* ---- protocols ---- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                           unsigned in_n, void *arg)
{
    static const unsigned char http[] = "\2h2\10http/1.1", mesh[] = "\2h2\10http/1.1\23istio-peer-exchange\5istio";
    const struct tls_facts *f = tls_facts(SSL_get_SSL_CTX(ssl));
    const unsigned char *ours = f->mesh ? mesh : http;
    unsigned ours_n = f->mesh ? sizeof(mesh) - 1 : sizeof(http) - 1;
    unsigned char *chosen;

    (void)arg;
    if (!f->http && !f->mesh)
        return SSL_TLSEXT_ERR_NOACK;
    if (SSL_select_next_proto(&chosen, n, ours, ours_n, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int version_number(uint8_t v)
{
    return v == 10 ? TLS1_VERSION : v == 11 ? TLS1_1_VERSION : v == 12 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static int set_protocols(SSL_CTX *ctx, const struct tls_recipe *r, struct err *e)
{
    struct str ciphers = r->ciphers.n ? r->ciphers : str_of(default_ciphers);
    char text[2048];

    if (ciphers.n >= sizeof(text))
        return err_set(e, ERR_LIMIT, "a list of ciphers is longer than %zu bytes", sizeof(text) - 1);
    memcpy(text, ciphers.p, ciphers.n);
    text[ciphers.n] = '\0';
    SSL_CTX_set_min_proto_version(ctx, version_number(r->min_version));
    SSL_CTX_set_max_proto_version(ctx, version_number(r->max_version));
    if (r->min_version < 12) /* who asks for these takes their weak hashes, too */
        SSL_CTX_set_security_level(ctx, 0);
    if (SSL_CTX_set_cipher_list(ctx, text) != 1)
        return refuse(e, ciphers, "none of these ciphers is known");
    /* 128 bits first: a third less work, and nobody breaks them. */
    if (SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") != 1)
        return refuse(e, STR("TLS 1.3"), "its ciphers are not known");
    return 0;
}

static void set_sessions(SSL_CTX *ctx, const struct tls_recipe *r)
{
    SSL_CTX_set_timeout(ctx, SESSION_S);
    if (r->server) {
        static const unsigned char id[] = "vigla";

        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
        SSL_CTX_set_num_tickets(ctx, 1);
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, tls_link_new_session);
    }
}

static void set_verification(SSL_CTX *ctx, const struct tls_recipe *r)
{
    int mode = r->verify == TLS_VERIFY_NONE    ? SSL_VERIFY_NONE
               : r->verify == TLS_VERIFY_GIVEN ? SSL_VERIFY_PEER
                                               : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

    SSL_CTX_set_verify(ctx, mode, NULL);
    if (r->verify != TLS_VERIFY_NONE)
        SSL_CTX_set_cert_verify_callback(ctx, tls_link_verify, NULL);
}

SSL_CTX *tls_context_make(const struct tls_recipe *r, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    SSL_CTX *ctx;
    int rc = 0;

    pthread_once(&once, make_index);
    if (r->missing) {
        err_set(e, ERR_NOTFOUND, "%s", r->missing);
        return NULL;
    }
    ctx = SSL_CTX_new(r->server ? TLS_server_method() : TLS_client_method());
    if (!ctx) {
        err_set(e, ERR_NOMEM, "no memory for a context of TLS");
        return NULL;
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    set_sessions(ctx, r);
    set_verification(ctx, r);
    if (r->server)
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    rc = set_protocols(ctx, r, e);
    if (rc == 0)
        rc = load_pairs(ctx, r, e);
    if (rc == 0 && r->verify != TLS_VERIFY_NONE)
        rc = load_authorities(ctx, r, e);
    if (rc == 0)
        rc = set_facts(ctx, r, e);
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}
