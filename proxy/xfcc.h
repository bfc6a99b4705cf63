/* xfcc.h: X-Forwarded-Client-Cert: who each proxy on the way saw at the other end of its mutual TLS.
 *
 *   By=spiffe://td/ns/a/sa/b;Hash=9a3…;Subject="CN=x,O=y";URI=spiffe://td/ns/c/sa/d,By=…;Hash=…
 *
 * Elements are joined by commas, the client's first; an element is pairs joined by semicolons. Names are read in any
 * case. A value with , ; = or " in it is quoted, and \" in it is a quote (envoyproxy.io/docs, HTTP headers,
 * x-forwarded-client-cert). What Envoy leaves open is closed here: backslashes stand for themselves, but of those right
 * in front of a quote two stand for one. So every value has a text, and no value can end its own quotes. */
#ifndef PROXY_XFCC_H
#define PROXY_XFCC_H

#include "base/arena.h"
#include "base/err.h"

enum { XFCC_MOST_ELEMENTS = 32, XFCC_MOST_NAMES = 32, XFCC_MOST_BYTES = 32 * 1024 };

/* What one proxy says. */
struct xfcc_element {
    struct str by;             /* URI of its own certificate; empty: none */
    struct str hash;           /* SHA-256 of the client's certificate, 64 hexadecimal digits */
    struct str cert, chain;    /* PEM, escaped as in a URL */
    struct str subject;        /* RFC 2253; p NULL: not told, n 0: the certificate has none */
    const struct str *uris, *dns; /* subject alternative names */
    size_t nuris, ndns;
};

/* Envoy's forward_client_cert_details. Istio: sidecars APPEND_FORWARD for who calls them, gateways SANITIZE_SET, and
 * what an application sends is SANITIZEd. */
enum xfcc_mode { XFCC_SANITIZE, XFCC_FORWARD_ONLY, XFCC_APPEND_FORWARD, XFCC_SANITIZE_SET, XFCC_ALWAYS_FORWARD_ONLY };

/* The elements of a header, views of `value` or in `a`. Pairs of unknown names are passed over.
 * 0; ERR_PARSE (names the byte), ERR_LIMIT, ERR_NOMEM. */
int xfcc_parse(struct arena *a, struct str value, const struct xfcc_element **v, size_t *n, struct err *e);
/* An element's text, in `a`. p NULL: no memory, or too long. */
struct str xfcc_format(struct arena *a, const struct xfcc_element *e);

/* What goes upstream: `came` is the request's value (several fields joined by commas; p NULL: none), `ours` the text of
 * what we say of the client, `mutual` whether it proved itself to us. *out p NULL: the header is removed; else it is
 * one of the two, or in `a`. 0 or ERR_NOMEM. */
int xfcc_apply(struct arena *a, enum xfcc_mode mode, bool mutual, struct str came, struct str ours, struct str *out);

struct x509_st;

/* What Istio's proxies tell of a certificate: hash, subject, URIs, DNS names; with_cert: and the PEM (gateways do).
 * `by` is copied, everything is in `a`. 0 or ERR_NOMEM. */
int xfcc_of_certificate(struct arena *a, struct x509_st *certificate, struct str by, bool with_cert,
                        struct xfcc_element *e);

#endif
