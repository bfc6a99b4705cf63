/* client-internal.h: calls to a running server, by libcurl. */
#ifndef CMD_CLIENT_INTERNAL_H
#define CMD_CLIENT_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdio.h>

struct client_call {
    const char *method;       /* "GET" */
    const char *path;         /* with its query */
    struct str body;
    const char *content_type; /* of the body; NULL = application/yaml */
    const char *header;       /* one more, "Name: value"; NULL = none */
    long timeout_ms;          /* 0 = 30 s */
};

struct client_reply {
    long status;
    uint64_t version;         /* the header Vigla-Version; 0 when absent */
    struct buf body;          /* freed by the caller */
};

/* Any status is an answer; ERR_IO (no server there: says how to start one), ERR_TIMEOUT, ERR_LIMIT. */
int client_call(const char *server, const struct client_call *call, struct client_reply *reply, struct err *e);
/* client_call, decoded; a status of 400 or more becomes ERR_INVALID (ERR_NOTFOUND for 404) with the server's own words.
 * The caller json_decref's the result. */
json_t *client_json(const char *server, const struct client_call *call, struct err *e);
/* GET: the answer's body as it is, on `out`; refusals as in client_json. 0 or ERR_*. */
int client_print(const char *server, const char *path, FILE *out, struct err *e);
/* Percent-encodes a query value. */
void client_escape(struct buf *b, const char *text);
/* Adds ?key=value or &key=value to a path, when there is a value. */
void client_parameter(struct buf *path, const char *key, const char *value);

#endif
