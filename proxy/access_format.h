/* access_format.h: how a line of the access log looks, in Envoy's language of formats.
 *
 *     [%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%" %RESPONSE_CODE%       text
 *     {"code": "%RESPONSE_CODE%", "way": "%REQ(:METHOD)% %REQ(:PATH)%", "by": {"pod": "%HOSTNAME%"}}    JSON
 *
 * An operator is %NAME%, %NAME(ARGUMENT)% or either with a greatest length, %NAME(ARGUMENT):20%; %% is a percent sign.
 * In text what is unset prints as "-", and control characters, quotes and backslashes print as \xNN, so that a field
 * never looks like two. In JSON a string that is one operator keeps its type: a number, or null when it is unset.
 *
 * Source: Envoy's documentation, "Access logging" (names and meanings of operators). docs/access-log.md lists them. */
#ifndef PROXY_ACCESS_FORMAT_H
#define PROXY_ACCESS_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct access_format;
struct record;
struct rng;

enum {
    ACCESS_FORMAT_MOST = 64 * 1024, /* bytes of a format */
    LOG_HEADERS_MOST = 32           /* names of header fields in one */
};

struct header_names {
    const struct str *v;
    size_t n;
};

/* What a record has to carry for a format (record.h): values of header fields in this order, and what TLS says. */
struct log_headers {
    struct header_names request, response, trailers;
    uint32_t downstream_tls, upstream_tls; /* bits of enum tls_told */
};

/* What a line tells besides the record. */
struct access_format_context {
    struct str hostname;
    struct rng *rng; /* for %UNIQUE_ID% */
};

/* Text, or JSON when it begins with a brace. The result lives in `a`. NULL: ERR_INVALID or ERR_PARSE with the operator
 * and its place, ERR_LIMIT, ERR_NOMEM. */
const struct access_format *access_format_compile(struct arena *a, struct str text, struct err *e);
/* Of none (NULL) too: nothing is asked for. */
const struct log_headers *access_format_headers(const struct access_format *f);
/* One line with its newline. */
void access_format_render(const struct access_format *f, struct buf *b, const struct record *rec,
                          const struct access_format_context *with);

#endif
