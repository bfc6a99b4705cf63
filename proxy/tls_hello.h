/* tls_hello.h: a TLS client's first message, read before anything is answered: what it asks for decides who answers.
 *
 *   record:     16 03 vv length:2 | handshake message, or a part of it      (RFC 8446 5.1)
 *   handshake:  01 length:3 | version:2 random:32 session<0..32> suites<2..> compressions<1..> extensions<0..> (4.1.2)
 *   extension:  type:2 data<0..>; 0: server_name (RFC 6066 3), 16: application protocols (RFC 7301 3.1) */
#ifndef PROXY_TLS_HELLO_H
#define PROXY_TLS_HELLO_H

#include "base/str.h"

enum {
    TLS_RECORD_HANDSHAKE = 0x16, /* the first byte of a connection that begins with a hello */
    TLS_HELLO_MOST = 16 * 1024,  /* of all records together */
    TLS_HELLO_MOST_RECORDS = 16,
    TLS_HELLO_NAME = 255
};

enum tls_hello_result { TLS_HELLO_MORE, TLS_HELLO_DONE, TLS_HELLO_BAD };

struct tls_hello {
    char name[TLS_HELLO_NAME]; /* that it asks for (SNI), in lower case */
    size_t name_n;             /* 0: none */
    bool mesh;                 /* it offers one of Istio's protocols: what calls is a proxy of a mesh */
    const char *why;           /* BAD: what is wrong; static */
};

/* Reads what a connection has sent so far. Records behind the hello's are not looked at: who resumes a session with a
 * server that we pass it on to may send data at once. */
enum tls_hello_result tls_hello_read(struct str bytes, struct tls_hello *h);

static inline struct str tls_hello_name(const struct tls_hello *h)
{
    return (struct str){ h->name, h->name_n };
}

#endif
