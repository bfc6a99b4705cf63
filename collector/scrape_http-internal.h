/* scrape_http-internal.h: HTTP requests of the scrape manager: libcurl's multi interface on a libevent loop.
 *
 * One thread: the loop's. Connections are kept open and shared between calls. */
#ifndef COLLECTOR_SCRAPE_HTTP_INTERNAL_H
#define COLLECTOR_SCRAPE_HTTP_INTERNAL_H

#include "base/buf.h"
#include "collector/scrape_config-internal.h"

#include <curl/curl.h>
#include <event2/event.h>

struct http_client;

/* What a request asks; all of it may go once http_call_start has returned. */
struct http_request {
    const char *url;
    const struct http_settings *settings;
    const char *accept;
    int64_t timeout_ms;
    uint64_t body_bytes; /* more is an error; 0: HTTP_MOST_BYTES */
    bool gzip;
    const char *extra_header; /* "Name: value", or NULL */
};

#define HTTP_MOST_BYTES ((uint64_t)256 << 20)

/* One call after the other; zeroed before the first, and ended by http_call_fini. */
struct http_call {
    struct http_client *client; /* NULL while nothing is under way */
    CURL *easy;
    struct curl_slist *headers, *connect_to;
    char *url;
    struct buf body;            /* unpacked; for done() */
    bool too_large;
    long status;
    char why[CURL_ERROR_SIZE];
    void (*done)(struct http_call *call, const char *error); /* error NULL: an answer, of any status */
    void *arg;
};

/* NULL: ERR_NOMEM. */
struct http_client *http_client_new(struct event_base *base, struct err *e);
/* All calls must have been ended. */
void http_client_free(struct http_client *client);
/* How many connections stay open between calls. */
void http_client_keep(struct http_client *client, long connections);

/* 0: done(call, …) will be called, once, from the loop; the body is there during done(), and when that has returned the
 * call may be started again. Or, with done() never called: ERR_NOMEM, ERR_NOTFOUND or ERR_IO (a file of the settings). */
int http_call_start(struct http_client *client, struct http_call *call, const struct http_request *rq, struct err *e);
/* The answer's Content-Type; "" when there is none. During done(). */
const char *http_call_type(const struct http_call *call);
/* Ends what is under way (done() is not called) and frees what the call holds. */
void http_call_fini(struct http_call *call);

#endif
