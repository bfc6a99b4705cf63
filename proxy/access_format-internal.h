/* access_format-internal.h: between a format's language (access_format.c) and its words (access_operator.c). */
#ifndef PROXY_ACCESS_FORMAT_INTERNAL_H
#define PROXY_ACCESS_FORMAT_INTERNAL_H

#include "proxy/access_format.h"
#include "proxy/record.h"
#include "proxy/tls_told.h"

enum { ACCESS_VALUE_SCRATCH = 256 };

/* Unset: neither a number nor a text. */
struct access_value {
    bool is_number;
    int64_t number;
    struct str text; /* in the record, or in the scratch of the rendering */
};

struct access_rendering {
    const struct record *rec;
    const struct access_format_context *with;
    struct str headers[LOG_HEADERS_MOST]; /* rec->headers taken apart */
    struct str tls[2][TLS_TOLDS]; /* rec->tls likewise, by enum access_side: those that the format asks for */
    char scratch[ACCESS_VALUE_SCRATCH];
};

enum access_argument {
    ARGUMENT_NONE,
    ARGUMENT_OPTIONAL,  /* checked by `check` */
    ARGUMENT_NEEDED,    /* likewise */
    ARGUMENT_IGNORED,   /* of what is always unset */
    ARGUMENT_HEADERS,   /* X or X?Y */
    ARGUMENT_VARIABLE   /* an environment variable's name: read once, when the format is compiled */
};

/* Which message an operator's header fields are of. */
enum access_message { MESSAGE_REQUEST, MESSAGE_RESPONSE, MESSAGE_TRAILERS, MESSAGES };

/* Whose TLS. */
enum access_side { SIDE_DOWNSTREAM, SIDE_UPSTREAM, SIDE_NONE };

struct access_use;

struct access_operator {
    struct str name;
    enum access_argument argument;
    struct access_value (*value)(const struct access_use *u, struct access_rendering *r);
    int field;                    /* enum access_log_field, for values that are the log's; of TLS enum tls_told */
    enum access_message message;
    bool (*check)(struct str argument); /* NULL: any */
    const char *right;            /* what would be a right argument */
    enum access_side tls;
};

/* An operator as a format uses it. */
struct access_use {
    const struct access_operator *op;
    struct str argument;          /* a variable's value */
    size_t most;                  /* bytes; 0: all */
    const struct access_operator *known[2]; /* of X?Y: fields that any record has */
    int slot[2];                  /* the others' places in access_rendering.headers; -1: there is no such alternative */
};

/* NULL: there is no operator of that name. */
const struct access_operator *access_operator(struct str name);
/* Header fields that records have anyway: no worker need copy them. NULL: it is none of these. */
const struct access_operator *access_known_header(enum access_message m, struct str name, struct str other);

#endif
