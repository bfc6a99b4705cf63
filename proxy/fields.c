#include "proxy/fields.h"

static bool is_hop_by_hop(enum http_id id)
{
    switch (id) {
    case HTTP_HOST: /* written beside the start line */
    case HTTP_CONTENT_LENGTH:
    case HTTP_TRANSFER_ENCODING:
    case HTTP_CONNECTION:
    case HTTP_KEEP_ALIVE:
    case HTTP_PROXY_CONNECTION:
    case HTTP_TE:
    case HTTP_TRAILER: /* says what follows: fields_from_head */
    case HTTP_UPGRADE:
    case HTTP_HTTP2_SETTINGS:
    case HTTP_EXPECT: /* answered here */
        return true;
    default:
        return false;
    }
}

static bool is_nominated(const struct http_head *h, struct str name)
{
    for (size_t i = h->first[HTTP_CONNECTION] - 1u; i < h->nfields; i++) {
        struct str rest = http_text(h, h->fields[i].value);

        while (h->fields[i].id == HTTP_CONNECTION && rest.p)
            if (str_ieq(str_trim(str_cut(&rest, ',')), name))
                return true;
    }
    return false;
}

void fields_from_head(struct fields *f, const struct http_head *h)
{
    f->n = 0;
    f->overflow = false;
    for (size_t i = 0; i < h->nfields; i++) {
        const struct http_field *from = &h->fields[i];
        struct str name = http_text(h, from->name);

        /* Trailers follow a body of unknown length only: without one, none are announced. */
        if (is_hop_by_hop(from->id) && (from->id != HTTP_TRAILER || h->framing != HTTP_STREAMED))
            continue;
        if (h->nominates && is_nominated(h, name))
            continue;
        f->v[f->n++] = (struct field){ name, http_text(h, from->value), from->id };
    }
}

void fields_add(struct fields *f, struct str name, struct str value)
{
    if (f->n == FIELDS_MOST) {
        f->overflow = true;
        return;
    }
    f->v[f->n++] = (struct field){ name, value, http_id_of(name) };
}

static void remove_named(struct fields *f, enum http_id id, struct str name)
{
    size_t kept = 0;

    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id != id || (id == HTTP_OTHER && !str_ieq(f->v[i].name, name)))
            f->v[kept++] = f->v[i];
    f->n = kept;
}

void fields_remove(struct fields *f, struct str name)
{
    remove_named(f, http_id_of(name), name);
}

void fields_put(struct fields *f, enum http_id id, struct str value)
{
    remove_named(f, id, STR_NULL);
    if (f->n < FIELDS_MOST)
        f->v[f->n++] = (struct field){ http_name_of(id), value, id };
    else
        f->overflow = true;
}

void fields_set(struct fields *f, struct str name, struct str value)
{
    fields_remove(f, name);
    fields_add(f, name, value);
}

struct str fields_get(const struct fields *f, enum http_id id)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].id == id)
            return f->v[i].value;
    return STR_NULL;
}

void fields_apply(struct fields *f, const struct header_op *ops, size_t n, struct str *authority)
{
    for (size_t i = 0; i < n; i++)
        if (ops[i].op == HEADER_REMOVE)
            fields_remove(f, ops[i].name);
    for (size_t i = 0; i < n; i++) {
        if (ops[i].op == HEADER_REMOVE)
            continue;
        if (str_ieq(ops[i].name, STR("host")) || str_ieq(ops[i].name, STR(":authority"))) {
            if (authority)
                *authority = ops[i].value;
        } else if (str_starts(ops[i].name, STR(":")) || is_hop_by_hop(http_id_of(ops[i].name))) {
            continue;
        } else if (ops[i].op == HEADER_SET) {
            fields_set(f, ops[i].name, ops[i].value);
        } else {
            fields_add(f, ops[i].name, ops[i].value);
        }
    }
}

void fields_write(struct buf *b, const struct fields *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct str name = f->v[i].name, value = f->v[i].value;
        char *p = buf_reserve(b, name.n + value.n + 4);

        if (!p)
            return;
        memcpy(p, name.p, name.n);
        memcpy(p + name.n, ": ", 2);
        if (value.n)
            memcpy(p + name.n + 2, value.p, value.n);
        memcpy(p + name.n + 2 + value.n, "\r\n", 2);
        b->n += name.n + value.n + 4;
    }
}
