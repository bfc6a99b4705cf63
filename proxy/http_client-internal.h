/* http_client-internal.h: POST over one kept HTTP/1.1 connection, one request at a time, never blocking. One thread. */
#ifndef PROXY_HTTP_CLIENT_INTERNAL_H
#define PROXY_HTTP_CLIENT_INTERNAL_H

#include "base/err.h"
#include "base/str.h"
#include "proxy/http_url-internal.h"

#include <stdint.h>

struct event_base;
struct http_client;

struct http_reply {
    int status;             /* 0: no answer, and `e` says why */
    int64_t retry_after_ms; /* -1: not said */
    struct str body;        /* empty when it is chunked or too large to look at */
    const struct err *e;
};

/* Called once for each http_client_post, never from inside it. May post again or free the client. */
typedef void http_client_done(void *arg, const struct http_reply *reply);

/* `url` is copied: a base. NULL: no memory. */
struct http_client *http_client_new(struct event_base *base, const struct http_url *url, http_client_done *done,
                                    void *arg);
/* Closes the connection; `done` is not called any more. */
void http_client_free(struct http_client *c);
/* `path` is appended to the URL's, `headers` are whole lines. `body` is not copied: it must stay until `done`. */
void http_client_post(struct http_client *c, const char *path, const char *headers, struct str body);

#endif
