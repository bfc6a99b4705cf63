/* tls-internal.h: what a context is made from: for tls_store.c (which there are), tls_context.c (how one is made). */
#ifndef PROXY_TLS_INTERNAL_H
#define PROXY_TLS_INTERNAL_H

#include "proxy/tls.h"

enum tls_verify { TLS_VERIFY_NONE, TLS_VERIFY_GIVEN, TLS_VERIFY_ALWAYS };

struct tls_recipe {
    bool server, mesh, http;
    enum tls_verify verify;      /* GIVEN: a certificate that is shown, none need be */
    const struct tls_pair *pairs;
    size_t npairs;
    struct pem ca, crl;          /* ca none: a client takes the system's; a server refuses every certificate */
    const struct str *names;
    size_t nnames;
    uint8_t min_version, max_version;
    struct str ciphers;
    uint32_t told;               /* tls_store_tell */
    const char *missing;         /* what is not there; NULL: nothing */
};

/* NULL: ERR_NOMEM, ERR_INVALID, ERR_NOTFOUND, ERR_IO: which text or file, and what is wrong with it. */
SSL_CTX *tls_context_make(const struct tls_recipe *r, struct err *e);

/* Called by OpenSSL for a peer's certificates (tls_link.c): who is at the other end is known there. */
int tls_link_verify(X509_STORE_CTX *x, void *arg);
/* A session that may be resumed (tls_link.c). */
int tls_link_new_session(SSL *ssl, SSL_SESSION *session);

#endif
