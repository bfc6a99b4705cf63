/* http_head.h: the head of a request or response, whatever protocol it came by.
 *
 * The bytes stay where they are: a head is offsets into them, so the owner may move the bytes and set `base` again. */
#ifndef PROXY_HTTP_HEAD_H
#define PROXY_HTTP_HEAD_H

#include "base/str.h"

#include <stdint.h>

enum {
    HTTP_MOST_HEAD = 60 * 1024, /* start line and fields, as Envoy's max_request_headers_kb */
    HTTP_MOST_FIELDS = 100
};

/* Fields that the proxy itself looks at. */
#define HTTP_IDS(X) \
    X(HOST, "host") X(CONNECTION, "connection") X(KEEP_ALIVE, "keep-alive") X(PROXY_CONNECTION, "proxy-connection") \
    X(TRANSFER_ENCODING, "transfer-encoding") X(CONTENT_LENGTH, "content-length") X(TE, "te") \
    X(TRAILER, "trailer") X(UPGRADE, "upgrade") X(HTTP2_SETTINGS, "http2-settings") X(EXPECT, "expect") \
    X(USER_AGENT, "user-agent") X(DATE, "date") X(SERVER, "server") X(ORIGIN, "origin") \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method") X(CONTENT_TYPE, "content-type") \
    X(X_FORWARDED_FOR, "x-forwarded-for") X(X_FORWARDED_PROTO, "x-forwarded-proto") \
    X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert") \
    X(X_REQUEST_ID, "x-request-id") X(TRACEPARENT, "traceparent") X(B3, "b3") \
    X(X_B3_TRACEID, "x-b3-traceid") X(X_B3_SPANID, "x-b3-spanid") X(X_B3_PARENTSPANID, "x-b3-parentspanid") \
    X(X_B3_SAMPLED, "x-b3-sampled") X(X_B3_FLAGS, "x-b3-flags") \
    X(X_ENVOY_ORIGINAL_PATH, "x-envoy-original-path") X(X_ENVOY_ATTEMPT_COUNT, "x-envoy-attempt-count") \
    X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time") X(GRPC_STATUS, "grpc-status")

enum http_id {
    HTTP_OTHER,
#define HTTP_ENUM(id, name) HTTP_##id,
    HTTP_IDS(HTTP_ENUM)
#undef HTTP_ENUM
    HTTP_NIDS
};

struct http_span {
    uint16_t at, n; /* from `base` */
};

struct http_field {
    struct http_span name, value; /* the value without blanks at its ends */
    uint8_t id;
};

/* What follows a head. STREAMED: of unknown length, its end is marked (chunked coding, END_STREAM). */
enum http_framing { HTTP_NO_BODY, HTTP_LENGTH, HTTP_STREAMED, HTTP_UNTIL_CLOSE };

enum http_version { HTTP_VERSION_10 = 10, HTTP_VERSION_11 = 11, HTTP_VERSION_2 = 20 };

struct http_head {
    const char *base;
    size_t size;               /* HTTP/1: of the head with its empty line: the body starts at base + size */
    struct http_span method;   /* requests */
    struct http_span path;     /* "/x?y=1" or "*"; of a URI without a path "?y=1" or "" */
    struct http_span authority; /* of the target when it names one, else Host; n 0: HTTP/1.0 without Host */
    bool https;                /* the target says so */
    uint16_t status;           /* responses */
    struct http_span reason;
    uint8_t version;           /* enum http_version */
    bool keep_alive;           /* by version and Connection */
    bool nominates;            /* Connection names fields beyond close, keep-alive, upgrade and te */
    bool upgrade;              /* Connection: upgrade */
    enum http_framing framing;
    uint64_t length;           /* of HTTP_LENGTH */
    size_t nfields;
    uint8_t first[HTTP_NIDS];  /* 1 + index of the first field of an id; 0: none */
    struct http_field fields[HTTP_MOST_FIELDS];
    /* When refused: the status to answer with and why. */
    uint16_t refused;
    const char *why;
};

static inline struct str http_text(const struct http_head *h, struct http_span s)
{
    return (struct str){ h->base + s.at, s.n };
}

/* The value of the first field of an id; STR_NULL when there is none. */
static inline struct str http_value(const struct http_head *h, enum http_id id)
{
    return h->first[id] ? http_text(h, h->fields[h->first[id] - 1].value) : STR_NULL;
}

/* HTTP_OTHER for names that are none of HTTP_IDS. Case is ignored. */
enum http_id http_id_of(struct str name);
/* In lower case; empty for HTTP_OTHER. */
struct str http_name_of(enum http_id id);
const char *http_reason(unsigned status);
/* "HTTP/1.1" */
struct str http_version_text(enum http_version v);

#endif
