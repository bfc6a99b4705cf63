/* http1_parser.h: heads of HTTP/1 messages, strictly (RFC 9112), without a copy.
 *
 * The bytes stay where they are: a head is offsets into them, so the caller may move the bytes and set `base` again.
 * Whatever two implementations could read in two ways is refused, not repaired: that is what request smuggling lives
 * from. Refused are CL with TE, CL twice, codings other than one `chunked`, bare CR and LF, blanks before a colon,
 * folded lines, control characters, a Host that is missing, double or no host, HTTP/1.0 with TE. */
#ifndef PROXY_HTTP1_PARSER_H
#define PROXY_HTTP1_PARSER_H

#include "base/str.h"

#include <stdint.h>

enum {
    HTTP1_MOST_HEAD = 60 * 1024, /* start line and fields, as Envoy's max_request_headers_kb */
    HTTP1_MOST_FIELDS = 100,
    HTTP1_LONGEST_METHOD = 32
};

/* Fields that the proxy itself looks at. */
#define HTTP1_IDS(X)                                                                                         \
    X(HOST, "host") X(CONNECTION, "connection") X(KEEP_ALIVE, "keep-alive") X(PROXY_CONNECTION, "proxy-connection") \
    X(TRANSFER_ENCODING, "transfer-encoding") X(CONTENT_LENGTH, "content-length") X(TE, "te")                \
    X(TRAILER, "trailer") X(UPGRADE, "upgrade") X(HTTP2_SETTINGS, "http2-settings") X(EXPECT, "expect")      \
    X(USER_AGENT, "user-agent") X(DATE, "date") X(SERVER, "server") X(ORIGIN, "origin")                      \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method") X(CONTENT_TYPE, "content-type")        \
    X(X_FORWARDED_FOR, "x-forwarded-for") X(X_FORWARDED_PROTO, "x-forwarded-proto")                          \
    X(X_REQUEST_ID, "x-request-id") X(TRACEPARENT, "traceparent") X(B3, "b3")                                \
    X(X_B3_TRACEID, "x-b3-traceid") X(X_B3_SPANID, "x-b3-spanid") X(X_B3_PARENTSPANID, "x-b3-parentspanid")  \
    X(X_B3_SAMPLED, "x-b3-sampled") X(X_B3_FLAGS, "x-b3-flags")                                              \
    X(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path") X(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count")      \
    X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time") X(GRPC_STATUS, "grpc-status")

enum http1_id {
    HTTP1_OTHER,
#define HTTP1_ENUM(id, name) HTTP1_##id,
    HTTP1_IDS(HTTP1_ENUM)
#undef HTTP1_ENUM
    HTTP1_NIDS
};

struct http1_span {
    uint16_t at, n; /* from `base` */
};

struct http1_field {
    struct http1_span name, value; /* the value without blanks at its ends */
    uint8_t id;
};

enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_CLOSE };

struct http1_head {
    const char *base;
    size_t size;               /* of the head with its empty line: the body starts at base + size */
    struct http1_span method;  /* requests */
    struct http1_span path;    /* "/x?y=1" or "*" */
    struct http1_span authority; /* of the target when it names one, else Host; n 0: HTTP/1.0 without Host */
    bool https;                /* the target says so */
    uint16_t status;           /* responses */
    struct http1_span reason;
    uint8_t minor;             /* HTTP/1.minor */
    bool keep_alive;           /* by version and Connection */
    bool nominates;            /* Connection names fields beyond close, keep-alive and upgrade */
    bool upgrade;              /* Connection: upgrade */
    enum http1_framing framing;
    uint64_t length;           /* of HTTP1_LENGTH */
    size_t nfields;
    uint8_t first[HTTP1_NIDS]; /* 1 + index of the first field of an id; 0: none */
    struct http1_field fields[HTTP1_MOST_FIELDS];
    /* When refused: the status to answer with and why. */
    uint16_t refused;
    const char *why;
};

/* How far the bytes of a head have been looked at, between calls; zeroed at its start. */
struct http1_scan {
    size_t start, line, at;
    unsigned empty_lines;
};

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_REFUSED };

/* `in` are all bytes from the message's start on, the ones of earlier calls first. MORE: call again with more.
 * Empty lines before a request are skipped (RFC 9112 2.2), at most two. */
enum http1_result http1_request(struct http1_scan *s, struct str in, struct http1_head *h);
/* `to_head`: it answers a HEAD request. */
enum http1_result http1_response(struct http1_scan *s, struct str in, bool to_head, struct http1_head *h);

static inline struct str http1_text(const struct http1_head *h, struct http1_span s)
{
    return (struct str){ h->base + s.at, s.n };
}

/* The value of the first field of an id; STR_NULL when there is none. */
static inline struct str http1_value(const struct http1_head *h, enum http1_id id)
{
    return h->first[id] ? http1_text(h, h->fields[h->first[id] - 1].value) : STR_NULL;
}

/* HTTP1_OTHER for names that are none of HTTP1_IDS. Case is ignored. */
enum http1_id http1_id_of(struct str name);
const char *http1_reason(unsigned status);
/* token of RFC 9110 5.6.2 */
bool http1_is_token(struct str s);

/* Classes of bytes, for the scanners of heads and bodies. */
enum { HTTP1_TCHAR = 1, HTTP1_VALUE = 2, HTTP1_TARGET = 4, HTTP1_HOSTCHAR = 8 };
extern const uint8_t http1_class[256];

#endif
