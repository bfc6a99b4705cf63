#include "collector/otlp-internal.h"

#include <math.h>

enum { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_KVLIST, ANY_BYTES }; /* AnyValue */
enum { LIST_VALUES = 1 };                                                                 /* ArrayValue, KeyValueList */
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };                                                    /* KeyValue */

void otlp_hex(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.n; i++) {
        buf_putc(out, digits[(unsigned char)bytes.p[i] >> 4]);
        buf_putc(out, digits[bytes.p[i] & 15]);
    }
}

void otlp_base64(struct buf *out, struct str bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < bytes.n; i += 3) {
        uint32_t v = 0;

        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < bytes.n ? (unsigned char)bytes.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_putc(out, i + k > bytes.n ? '=' : alphabet[v >> (18 - 6 * k) & 63]);
    }
}

int otlp_text(struct str s, const char *what, struct err *e)
{
    return str_is_utf8(s) ? 0 : err_set(e, ERR_INVALID, "%s is not UTF-8", what);
}

/* The member of the value's oneof that was set last; number 0: none is. */
static int any_member(struct str any_value, struct pb_field *f, struct err *e)
{
    static const enum pb_type types[] = { 0,          PB_BYTES, PB_VARINT, PB_VARINT, PB_FIXED64,
                                          PB_BYTES,   PB_BYTES, PB_BYTES };
    struct pb_reader r = pb_reader(any_value);
    struct pb_field v;
    int rc;

    *f = (struct pb_field){ 0 };
    while ((rc = pb_next(&r, &v, e)) == 1) {
        if (v.number > ANY_BYTES)
            continue;
        if ((rc = pb_want(&v, types[v.number], e)) < 0)
            return rc;
        *f = v;
    }
    return rc;
}

int otlp_read_pair(struct str key_value, struct str *key, struct str *value, struct err *e)
{
    struct pb_reader r = pb_reader(key_value);
    struct pb_field f;
    int rc;

    *key = *value = STR_NULL;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != PAIR_KEY && f.number != PAIR_VALUE)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0)
            return rc;
        *(f.number == PAIR_KEY ? key : value) = f.bytes;
    }
    return rc < 0 ? rc : otlp_text(*key, "an attribute's key", e);
}

static int print_json(struct buf *out, struct str any_value, unsigned depth, struct err *e);

/* An array or map; the pairs of a map have one more level around their values. */
static int print_items(struct buf *out, struct str list, bool is_map, unsigned depth, struct err *e)
{
    struct pb_reader r = pb_reader(list);
    struct str key, value;
    struct pb_field f;
    bool first = true;
    int rc;

    if (depth == 0)
        return err_set(e, ERR_LIMIT, "a value nests deeper than %d levels", OTLP_MOST_DEPTH);
    buf_putc(out, is_map ? '{' : '[');
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != LIST_VALUES)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (is_map && (rc = otlp_read_pair(f.bytes, &key, &value, e)) < 0))
            return rc;
        if (!first)
            buf_putc(out, ',');
        first = false;
        if (is_map) {
            buf_json(out, key);
            buf_putc(out, ':');
        }
        if ((rc = print_json(out, is_map ? value : f.bytes, depth - 1, e)) < 0)
            return rc;
    }
    buf_putc(out, is_map ? '}' : ']');
    return rc;
}

/* Scalars as plain text; `quote` where JSON wants quotes. */
static int print_scalar(struct buf *out, const struct pb_field *f, const char *quote, struct err *e)
{
    double v;

    switch (f->number) {
    case ANY_BOOL:
        buf_puts(out, f->u ? "true" : "false");
        return 0;
    case ANY_INT:
        buf_i64(out, (int64_t)f->u);
        return 0;
    case ANY_DOUBLE:
        v = pb_double(f);
        buf_puts(out, isfinite(v) ? "" : quote);
        buf_double(out, v);
        buf_puts(out, isfinite(v) ? "" : quote);
        return 0;
    case ANY_BYTES:
        buf_puts(out, quote);
        otlp_base64(out, f->bytes);
        buf_puts(out, quote);
        return 0;
    default:
        return err_set(e, ERR_PARSE, "no scalar in field %u", f->number);
    }
}

static int print_json(struct buf *out, struct str any_value, unsigned depth, struct err *e)
{
    struct pb_field f;
    int rc = any_member(any_value, &f, e);

    if (rc < 0)
        return rc;
    switch (f.number) {
    case 0:
        buf_puts(out, "null");
        return 0;
    case ANY_STRING:
        if ((rc = otlp_text(f.bytes, "an attribute's value", e)) == 0)
            buf_json(out, f.bytes);
        return rc;
    case ANY_ARRAY:
    case ANY_KVLIST:
        return print_items(out, f.bytes, f.number == ANY_KVLIST, depth, e);
    default:
        return print_scalar(out, &f, "\"", e);
    }
}

/* Moves what `b` holds into the arena. */
static int keep(struct arena *a, struct buf *b, struct str *out, struct err *e)
{
    *out = STR_NULL;
    if (!buf_failed(b))
        *out = arena_str(a, buf_view(b));
    buf_free(b);
    return out->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a value");
}

int otlp_value_text(struct arena *a, struct str any_value, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(any_value.n * 6 + 64); /* \u0001 for each byte is the worst */
    struct pb_field f;
    int rc = any_member(any_value, &f, e);

    *out = STR_NULL;
    if (rc < 0 || f.number == 0)
        return rc;
    if (f.number == ANY_STRING) {
        *out = f.bytes;
        return otlp_text(f.bytes, "an attribute's value", e);
    }
    if (f.number == ANY_ARRAY || f.number == ANY_KVLIST)
        rc = print_items(&b, f.bytes, f.number == ANY_KVLIST, OTLP_MOST_DEPTH, e);
    else
        rc = print_scalar(&b, &f, "", e);
    if (rc == 0)
        return keep(a, &b, out, e);
    buf_free(&b);
    return rc;
}

int otlp_attribute_add(struct arena *a, struct otlp_attributes *list, struct str key_value, struct err *e)
{
    struct str key, value;
    struct label *l;
    int rc = otlp_read_pair(key_value, &key, &value, e);

    if (rc < 0)
        return rc;
    if (list->n == OTLP_MOST_ATTRIBUTES)
        return err_set(e, ERR_LIMIT, "more than %d attributes", OTLP_MOST_ATTRIBUTES);
    l = &list->v[list->n];
    l->name = key;
    rc = otlp_value_text(a, value, &l->value, e);
    if (rc == 0)
        list->n++;
    else if (rc != ERR_PARSE && rc != ERR_NOMEM)
        err_wrap(e, "attribute \"%.*s\"", STR_ARG(key));
    return rc;
}

struct str otlp_attribute_get(const struct otlp_attributes *list, const char *key)
{
    struct str want = str_of(key);

    for (size_t i = list->n; i-- > 0;)
        if (str_eq(list->v[i].name, want))
            return list->v[i].value;
    return STR_NULL;
}

int otlp_id(struct arena *a, struct str bytes, size_t want, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(2 * want);
    bool zero = true;

    *out = STR_NULL;
    for (size_t i = 0; i < bytes.n; i++)
        zero = zero && bytes.p[i] == 0;
    if (bytes.n != want || zero)
        return 0;
    otlp_hex(&b, bytes);
    return keep(a, &b, out, e);
}
