/* http_url-internal.h: a URL taken apart. Copies: fixed sizes, nothing to free. */
#ifndef PROXY_HTTP_URL_INTERNAL_H
#define PROXY_HTTP_URL_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

struct http_url {
    bool secure;
    char host[256], port[8]; /* the port may be the scheme's own */
    char path[1024];         /* "/path?query", or empty */
};

/* "http[s]://HOST[:PORT][/PATH]", HOST a name, an IPv4 address or an IPv6 address in brackets. A fragment is dropped.
 * ERR_PARSE. */
int http_url_parse(const char *url, struct http_url *to, struct err *e);
/* Of a server below whose path others are: http alone; without slashes at its end. ERR_PARSE, ERR_UNSUPPORTED. */
int http_url_parse_base(const char *url, struct http_url *to, struct err *e);
/* Where an answer of `from` sends us (RFC 9110, 10.2.2): a URL, or a path there. ERR_PARSE; ERR_UNSUPPORTED: from https
 * to http, by which whoever is on the way would choose the answer. */
int http_url_follow(const struct http_url *from, struct str location, struct http_url *to, struct err *e);
/* "HOST:PORT", as a Host field has it: without the scheme's own port. */
void http_url_put_host(const struct http_url *u, struct buf *b);

#endif
