/* admin_json-internal.h: JSON into a buffer, for dumps: a comma goes before everything that does not come first. */
#ifndef PROXY_ADMIN_JSON_INTERNAL_H
#define PROXY_ADMIN_JSON_INTERNAL_H

#include "base/buf.h"

static inline void json_comma(struct buf *b)
{
    char last = b->n ? b->p[b->n - 1] : '{';

    if (last != '{' && last != '[' && last != ':')
        buf_putc(b, ',');
}

/* `key` NULL, here and below: an item of an array. */
static inline void json_member(struct buf *b, const char *key)
{
    json_comma(b);
    if (key)
        buf_printf(b, "\"%s\":", key);
}

static inline void json_open(struct buf *b, const char *key, char bracket)
{
    json_member(b, key);
    buf_putc(b, bracket);
}

static inline void json_text(struct buf *b, const char *key, struct str s)
{
    json_member(b, key);
    buf_json(b, s);
}

static inline void json_number(struct buf *b, const char *key, int64_t v)
{
    json_member(b, key);
    buf_i64(b, v);
}

static inline void json_truth(struct buf *b, const char *key, bool v)
{
    json_member(b, key);
    buf_puts(b, v ? "true" : "false");
}

/* Which of Envoy's messages an object is. */
static inline void json_type(struct buf *b, const char *type)
{
    json_member(b, "@type");
    buf_printf(b, "\"type.googleapis.com/%s\"", type);
}

#endif
