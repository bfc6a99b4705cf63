/* tls_told.h: what a connection's TLS says of itself, for formats of the access log that ask for it.
 *
 * Texts are made once, when a handshake is over, and only those that are wanted: bits 1 << enum tls_told. */
#ifndef PROXY_TLS_TOLD_H
#define PROXY_TLS_TOLD_H

#include "base/buf.h"

#include <openssl/ssl.h>

enum tls_told {
    TLS_TOLD_VERSION, TLS_TOLD_CIPHER, TLS_TOLD_SESSION_ID,
    TLS_TOLD_PEER_SUBJECT, TLS_TOLD_PEER_ISSUER, TLS_TOLD_PEER_SERIAL, TLS_TOLD_PEER_FINGERPRINT_1,
    TLS_TOLD_PEER_FINGERPRINT_256, TLS_TOLD_PEER_CERT,
    TLS_TOLD_PEER_V_START, TLS_TOLD_PEER_V_END, /* seconds since the epoch */
    TLS_TOLD_PEER_URI_SAN, TLS_TOLD_PEER_DNS_SAN, TLS_TOLD_PEER_IP_SAN, TLS_TOLD_PEER_EMAIL_SAN,
    TLS_TOLD_LOCAL_SUBJECT, TLS_TOLD_LOCAL_URI_SAN, TLS_TOLD_LOCAL_DNS_SAN, TLS_TOLD_LOCAL_IP_SAN,
    TLS_TOLD_LOCAL_EMAIL_SAN,
    TLS_TOLDS
};

/* Appends a text for each bit of `wanted`, in order (texts.h): those that are not known as STR_NULL. */
void tls_tell(const SSL *ssl, uint32_t wanted, struct buf *to);
/* Appends what tls_tell said for `wanted`. Empty (plain text, or no memory): as many that are not known. */
void tls_told_put(struct buf *to, struct str told, uint32_t wanted);

#endif
