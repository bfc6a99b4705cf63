#include "collector/envoy-internal.h"

#include "base/num.h"
#include "collector/otlp-internal.h"

#include <math.h>

enum { VALUE_NULL = 1, VALUE_NUMBER = 2, VALUE_STRING = 3, VALUE_BOOL = 4, VALUE_STRUCT = 5, VALUE_LIST = 6 };
enum { ADDRESS_SOCKET = 1, ADDRESS_PIPE = 2, ADDRESS_INTERNAL = 3 };
enum { MOST_JSON = 4 << 20 };

struct str envoy_text(struct arena *a, struct str s)
{
    struct buf b = BUF_INIT(3 * s.n);
    struct str copy = STR_NULL;

    if (s.n == 0)
        return STR("");
    if (str_is_utf8(s))
        return s;
    buf_utf8(&b, s);
    if (!buf_failed(&b))
        copy = arena_str(a, buf_view(&b));
    buf_free(&b);
    return copy;
}

int envoy_bytes_field(struct str message, uint32_t number, struct str *out, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    *out = STR_NULL;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != number)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0)
            return rc;
        *out = f.bytes;
    }
    return rc;
}

int envoy_entry(struct str message, struct str *key, struct str *value, struct err *e)
{
    int rc = envoy_bytes_field(message, 1, key, e);

    return rc < 0 ? rc : envoy_bytes_field(message, 2, value, e);
}

/* --- Struct --- */

static int print_struct(struct buf *out, struct str message, unsigned depth, struct err *e);

/* The member of a Value that was set last; number 0: none is. */
static int value_member(struct str value, struct pb_field *last, struct err *e)
{
    static const enum pb_type types[] = { 0,        PB_VARINT, PB_FIXED64, PB_BYTES,
                                          PB_VARINT, PB_BYTES,  PB_BYTES };
    struct pb_reader r = pb_reader(value);
    struct pb_field f;
    int rc;

    last->number = 0;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number > VALUE_LIST)
            continue;
        if ((rc = pb_want(&f, types[f.number], e)) < 0)
            return rc;
        *last = f;
    }
    return rc;
}

static int print_value(struct buf *out, struct str value, unsigned depth, struct err *e)
{
    struct pb_reader r;
    struct pb_field f, item;
    const char *before = "";
    int rc = value_member(value, &f, e);

    if (rc < 0)
        return rc;
    switch (f.number) {
    case VALUE_NUMBER:
        if (isfinite(pb_double(&f)))
            buf_double(out, pb_double(&f));
        else
            buf_puts(out, "null");
        return 0;
    case VALUE_STRING:
        buf_json(out, f.bytes);
        return 0;
    case VALUE_BOOL:
        buf_puts(out, f.u ? "true" : "false");
        return 0;
    case VALUE_STRUCT:
        return print_struct(out, f.bytes, depth, e);
    case VALUE_LIST:
        if (depth == 0)
            return err_set(e, ERR_LIMIT, "a value nests deeper than %d levels", ENVOY_MOST_DEPTH);
        buf_putc(out, '[');
        r = pb_reader(f.bytes);
        while ((rc = pb_next(&r, &item, e)) == 1) {
            if (item.number != 1)
                continue;
            buf_puts(out, before);
            before = ",";
            if ((rc = pb_want(&item, PB_BYTES, e)) < 0 || (rc = print_value(out, item.bytes, depth - 1, e)) < 0)
                return rc;
        }
        buf_putc(out, ']');
        return rc;
    default:
        buf_puts(out, "null");
        return 0;
    }
}

static int print_struct(struct buf *out, struct str message, unsigned depth, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct str key, value;
    struct pb_field f;
    const char *before = "";
    int rc;

    if (depth == 0)
        return err_set(e, ERR_LIMIT, "a value nests deeper than %d levels", ENVOY_MOST_DEPTH);
    buf_putc(out, '{');
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number != 1)
            continue;
        if ((rc = pb_want(&f, PB_BYTES, e)) < 0 || (rc = envoy_entry(f.bytes, &key, &value, e)) < 0)
            return rc;
        buf_puts(out, before);
        before = ",";
        buf_json(out, key);
        buf_putc(out, ':');
        if ((rc = print_value(out, value, depth - 1, e)) < 0)
            return rc;
    }
    buf_putc(out, '}');
    return rc;
}

/* Moves what `b` holds into the arena. */
static int keep(struct arena *a, struct buf *b, struct str *out, struct err *e)
{
    *out = buf_failed(b) ? STR_NULL : arena_str(a, buf_view(b));
    buf_free(b);
    return out->p ? 0 : err_set(e, ERR_NOMEM, "no memory for a value");
}

int envoy_struct_json(struct arena *a, struct str message, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(MOST_JSON);
    int rc = print_struct(&b, message, ENVOY_MOST_DEPTH, e);

    if (rc == 0)
        return keep(a, &b, out, e);
    buf_free(&b);
    return rc;
}

int envoy_any_text(struct arena *a, struct str any, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(2 * any.n + 8);
    struct str type, value, inner = STR_NULL;
    int rc = envoy_entry(any, &type, &value, e); /* type_url and value have the numbers of key and value */

    if (rc < 0)
        return rc;
    if (str_ends(type, STR("/google.protobuf.Struct")))
        return envoy_struct_json(a, value, out, e);
    if (str_ends(type, STR("/google.protobuf.StringValue")) || str_ends(type, STR("/google.protobuf.BytesValue"))) {
        if ((rc = envoy_bytes_field(value, 1, &inner, e)) < 0)
            return rc;
        value = inner;
        if (str_is_utf8(value)) {
            *out = value;
            return 0;
        }
    }
    otlp_base64(&b, value);
    return keep(a, &b, out, e);
}

/* --- Address --- */

static int print_socket(struct buf *out, struct str message, struct err *e)
{
    enum { SOCKET_ADDRESS = 2, SOCKET_PORT = 3, SOCKET_NAMED_PORT = 4 };
    struct pb_reader r = pb_reader(message);
    struct str host = STR_NULL, named = STR_NULL;
    uint64_t port = 0;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number == SOCKET_ADDRESS && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            host = f.bytes;
        else if (f.number == SOCKET_NAMED_PORT && (rc = pb_want(&f, PB_BYTES, e)) == 0)
            named = f.bytes;
        else if (f.number == SOCKET_PORT && (rc = pb_want(&f, PB_VARINT, e)) == 0)
            port = f.u;
        if (rc < 0)
            return rc;
    }
    if (rc < 0)
        return rc;
    buf_printf(out, str_chr(host, ':') >= 0 ? "[%.*s]:" : "%.*s:", STR_ARG(host));
    if (named.n)
        buf_str(out, named);
    else
        buf_i64(out, (int64_t)port);
    return 0;
}

static int print_address(struct buf *out, const struct pb_field *f, struct err *e)
{
    struct str listener, endpoint;
    int rc = pb_want(f, PB_BYTES, e);

    if (rc < 0)
        return rc;
    if (f->number == ADDRESS_SOCKET)
        return print_socket(out, f->bytes, e);
    if ((rc = envoy_entry(f->bytes, &listener, &endpoint, e)) < 0)
        return rc;
    if (f->number == ADDRESS_PIPE)
        buf_str(out, listener); /* a pipe's path has the number of a listener's name */
    else
        buf_printf(out, "envoy://%.*s/%.*s", STR_ARG(listener), STR_ARG(endpoint));
    return 0;
}

int envoy_address(struct arena *a, struct str message, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(4 * message.n + 64);
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number > ADDRESS_INTERNAL)
            continue;
        buf_reset(&b); /* of a oneof the last one counts */
        if ((rc = print_address(&b, &f, e)) < 0)
            break;
    }
    if (rc == 0 && b.n)
        rc = keep(a, &b, out, e);
    buf_free(&b);
    if (rc == 0)
        *out = envoy_text(a, *out);
    return rc;
}

/* --- times --- */

int envoy_time(struct str message, int64_t *ns, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int64_t seconds = 0, nanos = 0;
    int rc;

    *ns = 0;
    while ((rc = pb_next(&r, &f, e)) == 1) {
        if (f.number > 2)
            continue;
        if ((rc = pb_want(&f, PB_VARINT, e)) < 0)
            return rc;
        *(f.number == 1 ? &seconds : &nanos) = (int64_t)f.u;
    }
    if (rc == 0 && (__builtin_mul_overflow(seconds, INT64_C(1000000000), ns) || __builtin_add_overflow(*ns, nanos, ns)))
        return err_set(e, ERR_RANGE, "a time of %lld s lies beyond the year 2262", (long long)seconds);
    return rc;
}
