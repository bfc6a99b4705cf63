/* stream_hash.c: what of a request consistent hashing goes by. */
#include "proxy/stream-internal.h"

#include <stdio.h>

/* The cookie's value in "a=1; name=value"; p NULL: it is not there. */
static struct str cookie_in(struct str text, struct str name)
{
    while (text.p) {
        struct str value = str_trim(str_cut(&text, ';'));
        struct str key = str_cut(&value, '=');

        if (value.p && str_eq(str_trim(key), name))
            return str_trim(value);
    }
    return STR_NULL;
}

static struct str find_cookie(const struct stream *s, struct str name)
{
    const struct http_head *h = &s->head;

    for (size_t i = 0; i < h->nfields; i++) {
        struct str value = STR_NULL;

        if (str_ieq(http_text(h, h->fields[i].name), STR("cookie")))
            value = cookie_in(http_text(h, h->fields[i].value), name);
        if (value.p)
            return value;
    }
    return STR_NULL;
}

/* A client without the cookie gets one, so that it comes back to the same host. */
static struct str make_cookie(struct stream *s, const struct lb_hash *h)
{
    struct str value = arena_printf(&s->arena, "%016llx", (unsigned long long)rng_next(&s->w->rng));
    struct str path = h->path.n ? arena_printf(&s->arena, "; Path=%.*s", STR_ARG(h->path)) : STR("");
    struct str age = h->ttl_ms ? arena_printf(&s->arena, "; Max-Age=%lld", (long long)(h->ttl_ms / 1000)) : STR("");

    if (value.p && path.p && age.p)
        s->set_cookie = arena_printf(&s->arena, "%.*s=\"%.*s\"%.*s%.*s; HttpOnly", STR_ARG(h->name), STR_ARG(value),
                                     STR_ARG(age), STR_ARG(path));
    return value;
}

static struct str unquoted(struct str s)
{
    return s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"' ? (struct str){ s.p + 1, s.n - 2 } : s;
}

static struct str find_header(const struct stream *s, struct str name)
{
    const struct http_head *h = &s->head;

    for (size_t i = 0; i < h->nfields; i++)
        if (str_ieq(http_text(h, h->fields[i].name), name))
            return http_text(h, h->fields[i].value);
    return STR_NULL;
}

static struct str find_parameter(struct str query, struct str name)
{
    while (query.p) {
        struct str value = str_cut(&query, '&');
        struct str key = str_cut(&value, '=');

        if (str_eq(key, name))
            return value.p ? value : STR("");
    }
    return STR_NULL;
}

bool stream_hash(struct stream *s, const struct lb_hash *h, uint64_t *hash)
{
    struct str text = STR_NULL;

    switch (h->kind) {
    case LB_HASH_HEADER:
        text = find_header(s, h->name);
        break;
    case LB_HASH_COOKIE:
        text = unquoted(find_cookie(s, h->name));
        if (!text.p && h->ttl_ms >= 0)
            text = make_cookie(s, h);
        break;
    case LB_HASH_SOURCE_IP:
        text = s->client_ip;
        break;
    case LB_HASH_QUERY:
        text = find_parameter(s->rq.query, h->name);
        break;
    }
    if (!text.p)
        return false;
    *hash = lb_hash_text(text);
    return true;
}
