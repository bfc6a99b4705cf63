/* tls.h: certificates, keys and authorities, made into what OpenSSL works with.
 *
 * One store for the process. A context is known by its settings: while any snapshot has the same ones it stays, and
 * with it the sessions that clients may resume. Where settings name files, tls_store_check looks at them and makes the
 * context anew; connections keep what they began with. A context whose material is missing or broken refuses every
 * handshake until it is whole; one that becomes broken goes on with what it had. The log says why.
 *
 * Thread-safe: workers share the store and its contexts, which are counted. */
#ifndef PROXY_TLS_H
#define PROXY_TLS_H

#include "base/err.h"
#include "mesh/snapshot.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct tls_store;
struct tls_context;

/* What is spoken within: offered, or chosen from, by ALPN. */
enum tls_speech { TLS_BYTES, TLS_HTTP1, TLS_HTTP2 };

/* `cert_dir` has the workload's own cert-chain.pem, key.pem and root-cert.pem; NULL: it has none, and takes no part in
 * mutual TLS. NULL: ERR_NOMEM. */
struct tls_store *tls_store_new(const char *cert_dir, struct err *e);
void tls_store_free(struct tls_store *s); /* when nobody holds a context */
/* What connections from clients, and to hosts, are to tell (tls_told.h). Before there is any context. */
void tls_store_tell(struct tls_store *s, uint32_t downstream, uint32_t upstream);
bool tls_store_has_identity(const struct tls_store *s);
/* Reads what has changed. For the main thread, every few seconds. */
void tls_store_check(struct tls_store *s);

/* The context for what a listener's chain serves. `http`: HTTP is within. NULL: ERR_NOMEM. */
struct tls_context *tls_store_server(struct tls_store *s, const struct tls_server *t, bool http, struct err *e);
/* For the mesh's own mutual TLS towards this workload; tls_store_has_identity. */
struct tls_context *tls_store_inbound(struct tls_store *s, struct err *e);
/* For connections to a cluster's endpoints; `t` is not OFF; AUTO counts as ISTIO. */
struct tls_context *tls_store_client(struct tls_store *s, const struct tls_client *t, struct err *e);
struct tls_context *tls_context_get(struct tls_context *c);
void tls_context_put(struct tls_context *c); /* NULL is accepted */
/* A reference to what is in force now; NULL: there is nothing to make a handshake with. */
SSL_CTX *tls_context_ssl(struct tls_context *c);

/* ---- what was made from a context's settings; of the SSL_CTX, valid while it is ---- */

struct tls_facts {
    bool mesh;               /* peers must have an identity of `trust_domain` */
    struct str own;          /* URI of our certificate; empty: none */
    struct str trust_domain; /* "cluster.local" */
    const struct str *names; /* of which a client must have one; n 0: any */
    size_t nnames;
    bool http;
    uint32_t told;           /* bits of enum tls_told that connections are to tell */
};

const struct tls_facts *tls_facts(const SSL_CTX *ctx);

/* The identity that a certificate proves: its URI, if that is the only one and begins with spiffe://; else empty. A
 * view of `names`, which is the certificate's subjectAltName. */
struct str tls_identity(const GENERAL_NAMES *names);
/* Whether a certificate has one of the names: a URI, a DNS name (that may have a wildcard) or an address. */
bool tls_has_name(X509 *certificate, const GENERAL_NAMES *alternative, const struct str *names, size_t n);
/* Whether "spiffe://TD/…" is of the trust domain. */
bool tls_is_of_domain(struct str identity, struct str trust_domain);

#endif
