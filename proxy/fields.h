/* fields.h: the fields of a message on its way out: what came in without what was for one hop, plus what we say.
 *
 * Views only: names and values belong to the message that came in, to the configuration, or to the request. */
#ifndef PROXY_FIELDS_H
#define PROXY_FIELDS_H

#include "base/buf.h"
#include "mesh/snapshot.h"
#include "proxy/http_head.h"

enum { FIELDS_MOST = HTTP_MOST_FIELDS + 60 };

struct field {
    struct str name, value;
    enum http_id id;
};

struct fields {
    size_t n;
    bool overflow; /* one more was to be added than fits: the message must not go out */
    struct field v[FIELDS_MOST];
};

/* All but Host, the framing, the hop-by-hop fields (Trailer where no trailers can follow) and those that Connection
 * nominates (RFC 9110 7.6.1). */
void fields_from_head(struct fields *f, const struct http_head *h);
void fields_add(struct fields *f, struct str name, struct str value);
/* Replaces all of that name by one. */
void fields_set(struct fields *f, struct str name, struct str value);
void fields_remove(struct fields *f, struct str name);
/* As fields_set, for names that the proxy knows. */
void fields_put(struct fields *f, enum http_id id, struct str value);
/* The first one's value; STR_NULL when there is none. */
struct str fields_get(const struct fields *f, enum http_id id);
/* Removals first, then the rest in order, as Envoy does. Setting `host` or `:authority` sets *authority (may be NULL);
 * other names with a colon are passed over. */
void fields_apply(struct fields *f, const struct header_op *ops, size_t n, struct str *authority);
/* "name: value\r\n" each */
void fields_write(struct buf *b, const struct fields *f);

#endif
