/* otlp_json.c: OTLP's JSON and its protobuf, one rewritten as the other by the table of messages.
 *
 * Problem    Two encodings and three signals would make six decoders, one of each pair always a little behind.
 * Idea       A JSON body is rewritten as protobuf, in one pass and without a tree, and then takes the protobuf way. The
 *            other direction prints a span's events and links, which are kept as JSON.
 * Mapping    protobuf.dev/programming-guides/json with OTLP's own rules (opentelemetry.io/docs/specs/otlp): ids are
 *            hexadecimal, enums are numbers, names are lowerCamelCase (the .proto's own spelling is read, too), 64-bit
 *            numbers are strings or numbers, null is absent, unknown members are passed over. */

#include "base/mem.h"
#include "base/num.h"
#include "collector/json-internal.h"
#include "collector/otlp-internal.h"

#include <math.h>

/* Envelope, item, point: nine levels. An AnyValue's map adds four: itself, the list, the pair and a bracket. */
enum { MOST_NESTING = 9 + 4 * (OTLP_MOST_DEPTH + 1) };

struct rewriting {
    struct json_reader r;
    struct buf *out;
    struct buf text;  /* the string at hand */
    struct buf bytes; /* what hexadecimal or base64 decodes to */
};

/* "timeUnixNano" or "time_unix_nano" for time_unix_nano. */
static bool is_named(const struct otlp_field *f, struct str key)
{
    size_t at = 0;

    if (str_eq(f->name, key))
        return true;
    for (size_t i = 0; i < f->name.n; i++) {
        char c = f->name.p[i];

        if (c == '_' && i + 1 < f->name.n)
            c = (char)(f->name.p[++i] - 'a' + 'A');
        if (at == key.n || key.p[at++] != c)
            return false;
    }
    return at == key.n;
}

static const struct otlp_field *field_named(const struct otlp_message *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++)
        if (is_named(&m->fields[i], key))
            return &m->fields[i];
    return NULL;
}

static int fail_field(struct rewriting *x, const struct otlp_field *f, const char *what, struct err *e)
{
    return err_set(e, ERR_PARSE, "json: byte %zu: %.*s should be %s", (size_t)(x->r.p - x->r.start), STR_ARG(f->name),
                   what);
}

/* The text of a number, written as one or as a string. */
static int number_text(struct rewriting *x, struct str *text, struct err *e)
{
    int rc;

    if (json_peek(&x->r) != '"')
        return json_number(&x->r, text, e);
    rc = json_string(&x->r, &x->text, e);
    *text = buf_view(&x->text);
    return rc;
}

/* Whole numbers of up to 64 bits, as their bits; "1e3" and "2.0" are whole, too. */
static bool whole_number(struct str text, uint64_t *bits)
{
    int64_t i;
    double d;

    if (num_u64(text, bits))
        return true;
    if (num_i64(text, &i)) {
        *bits = (uint64_t)i;
        return true;
    }
    if (!num_double(text, &d) || d != trunc(d) || fabs(d) > 9007199254740992.0)
        return false;
    *bits = (uint64_t)(int64_t)d;
    return true;
}

static void put_fixed32(struct buf *out, uint32_t number, uint32_t v)
{
    pb_raw_varint(out, (uint64_t)number << 3 | PB_FIXED32);
    buf_put(out, &v, sizeof(v)); /* little-endian on the wire and here */
}

static int put_whole(struct rewriting *x, const struct otlp_field *f, struct err *e)
{
    struct str text;
    uint64_t bits;
    int rc = number_text(x, &text, e);

    if (rc < 0)
        return rc;
    if (!whole_number(text, &bits))
        return fail_field(x, f, f->type == OTLP_ENUM ? "an enum's number" : "a whole number", e);
    if (f->type == OTLP_FIXED64 || f->type == OTLP_SFIXED64)
        pb_put_fixed64(x->out, f->number, bits);
    else if (f->type == OTLP_FIXED32)
        put_fixed32(x->out, f->number, (uint32_t)bits);
    else if (f->type == OTLP_SINT32)
        pb_put_varint(x->out, f->number, (bits << 1) ^ (bits >> 63 ? UINT64_MAX : 0)); /* zigzag */
    else
        pb_put_varint(x->out, f->number, bits);
    return 0;
}

static int put_double(struct rewriting *x, const struct otlp_field *f, struct err *e)
{
    struct str text;
    double v;
    int rc = number_text(x, &text, e);

    if (rc < 0)
        return rc;
    if (!num_double(text, &v)) /* reads "NaN", "Infinity" and "-Infinity", too */
        return fail_field(x, f, "a number", e);
    pb_put_double(x->out, f->number, v);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(struct str s, struct buf *out)
{
    for (size_t i = 0; i + 1 < s.n; i += 2) {
        int high = hex_digit(s.p[i]), low = hex_digit(s.p[i + 1]);

        if (high < 0 || low < 0)
            return false;
        buf_putc(out, (char)(high << 4 | low));
    }
    return s.n % 2 == 0;
}

/* The standard alphabet and the one for URLs, padded or not. */
static bool unbase64(struct str s, struct buf *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    unsigned have = 0;

    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] == '-' ? '+' : s.p[i] == '_' ? '/' : s.p[i];
        const char *at = c ? strchr(alphabet, c) : NULL;

        if (!at)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_putc(out, (char)(bits >> have));
        }
    }
    return have < 6;
}

static int put_bytes(struct rewriting *x, const struct otlp_field *f, struct err *e)
{
    bool good;
    int rc = json_string(&x->r, &x->text, e);

    if (rc < 0)
        return rc;
    buf_reset(&x->bytes);
    good = f->type == OTLP_HEX ? unhex(buf_view(&x->text), &x->bytes) : unbase64(buf_view(&x->text), &x->bytes);
    if (!good)
        return fail_field(x, f, f->type == OTLP_HEX ? "hexadecimal" : "base64", e);
    if (buf_failed(&x->bytes))
        return err_set(e, ERR_NOMEM, "json: no memory for %.*s", STR_ARG(f->name));
    pb_put_str(x->out, f->number, buf_view(&x->bytes));
    return 0;
}

static int put_message(struct rewriting *x, const struct otlp_message *m, unsigned depth, struct err *e);

static int put_value(struct rewriting *x, const struct otlp_field *f, unsigned depth, struct err *e)
{
    size_t mark;
    int rc;

    switch (f->type) {
    case OTLP_STRING:
        if ((rc = json_string(&x->r, &x->text, e)) == 0)
            pb_put_str(x->out, f->number, buf_view(&x->text));
        return rc;
    case OTLP_BYTES:
    case OTLP_HEX:
        return put_bytes(x, f, e);
    case OTLP_BOOL:
        if (json_word(&x->r, STR("true")))
            pb_put_varint(x->out, f->number, 1);
        else if (json_word(&x->r, STR("false")))
            pb_put_varint(x->out, f->number, 0);
        else
            return fail_field(x, f, "true or false", e);
        return 0;
    case OTLP_DOUBLE:
        return put_double(x, f, e);
    case OTLP_MESSAGE:
        mark = pb_open(x->out, f->number);
        rc = put_message(x, f->message, depth, e);
        pb_close(x->out, mark);
        return rc;
    default:
        return put_whole(x, f, e);
    }
}

static int put_member(struct rewriting *x, const struct otlp_message *m, unsigned depth, struct err *e)
{
    const struct otlp_field *f;
    bool first = true;
    int rc;

    if ((rc = json_string(&x->r, &x->text, e)) < 0)
        return rc;
    f = field_named(m, buf_view(&x->text));
    if ((rc = json_want(&x->r, ':', e)) < 0)
        return rc;
    if (!f)
        return json_skip(&x->r, &x->text, depth, e);
    if (json_word(&x->r, STR("null")))
        return 0;
    if (!f->repeated)
        return put_value(x, f, depth, e);
    if (!json_take(&x->r, '['))
        return fail_field(x, f, "an array", e);
    while ((rc = json_more(&x->r, ']', &first, e)) == 1)
        if ((rc = put_value(x, f, depth, e)) < 0)
            return rc;
    return rc;
}

static int put_message(struct rewriting *x, const struct otlp_message *m, unsigned depth, struct err *e)
{
    bool first = true;
    int rc;

    if (depth == 0)
        return json_fail(&x->r, e, "nested too deeply");
    if ((rc = json_want(&x->r, '{', e)) < 0)
        return rc;
    while ((rc = json_more(&x->r, '}', &first, e)) == 1)
        if ((rc = put_member(x, m, depth - 1, e)) < 0)
            return rc;
    return rc;
}

int otlp_json_to_pb(const struct otlp_message *m, struct str json, struct buf *out, struct err *e)
{
    struct rewriting x = { json_reader(json), out, BUF_INIT(json.n + 1), BUF_INIT(json.n + 1) };
    int rc = put_message(&x, m, MOST_NESTING, e);

    if (rc == 0 && (json_peek(&x.r) || x.r.p != x.r.end))
        rc = json_fail(&x.r, e, "nothing should follow the message");
    if (rc == 0 && buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "json: no memory for the message");
    buf_free(&x.text);
    buf_free(&x.bytes);
    return rc;
}

/* --- protobuf to JSON --- */

static void print_name(struct buf *out, struct str name)
{
    buf_putc(out, '"');
    for (size_t i = 0; i < name.n; i++)
        buf_putc(out, name.p[i] == '_' && i + 1 < name.n ? (char)(name.p[++i] - 'a' + 'A') : name.p[i]);
    buf_puts(out, "\":");
}

static void print_double(struct buf *out, double v)
{
    if (isnan(v))
        buf_puts(out, "\"NaN\"");
    else if (isinf(v))
        buf_puts(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else
        buf_double(out, v);
}

static enum pb_type wire_type(enum otlp_type t)
{
    switch (t) {
    case OTLP_BOOL:
    case OTLP_INT64:
    case OTLP_UINT32:
    case OTLP_UINT64:
    case OTLP_SINT32:
    case OTLP_ENUM:
        return PB_VARINT;
    case OTLP_FIXED32:
        return PB_FIXED32;
    case OTLP_FIXED64:
    case OTLP_SFIXED64:
    case OTLP_DOUBLE:
        return PB_FIXED64;
    default:
        return PB_BYTES;
    }
}

static int print_message(const struct otlp_message *m, struct str message, struct buf *out, unsigned depth,
                         struct err *e);

static int print_value(const struct otlp_field *f, const struct pb_field *v, struct buf *out, unsigned depth,
                       struct err *e)
{
    int rc = pb_want(v, wire_type(f->type), e);

    if (rc < 0)
        return rc;
    switch (f->type) {
    case OTLP_STRING:
        buf_json(out, v->bytes);
        break;
    case OTLP_BYTES:
        buf_putc(out, '"');
        otlp_base64(out, v->bytes);
        buf_putc(out, '"');
        break;
    case OTLP_HEX:
        buf_putc(out, '"');
        otlp_hex(out, v->bytes);
        buf_putc(out, '"');
        break;
    case OTLP_BOOL:
        buf_puts(out, v->u ? "true" : "false");
        break;
    case OTLP_DOUBLE:
        print_double(out, pb_double(v));
        break;
    case OTLP_MESSAGE:
        return print_message(f->message, v->bytes, out, depth, e);
    case OTLP_FIXED64:
    case OTLP_UINT64:
        buf_printf(out, "\"%llu\"", (unsigned long long)v->u);
        break;
    case OTLP_SINT32:
        buf_i64(out, (int32_t)pb_zigzag(v->u));
        break;
    case OTLP_INT64:
    case OTLP_SFIXED64:
        buf_printf(out, "\"%lld\"", (long long)(int64_t)v->u);
        break;
    case OTLP_UINT32:
    case OTLP_FIXED32:
        buf_i64(out, (uint32_t)v->u);
        break;
    case OTLP_ENUM:
        buf_i64(out, (int32_t)v->u);
        break;
    }
    return 0;
}

static int next_packed(const struct otlp_field *f, struct pb_reader *r, struct pb_field *v, struct err *e)
{
    *v = (struct pb_field){ .number = f->number, .type = wire_type(f->type) };
    if (v->type == PB_VARINT)
        return pb_packed(r, &v->u, e);
    if (r->p == r->end)
        return 0;
    if (r->end - r->p < 8)
        return err_set(e, ERR_PARSE, "protobuf: packed %.*s: cut short", STR_ARG(f->name));
    memcpy(&v->u, r->p, 8);
    r->p += 8;
    return 1;
}

/* A repeated number may come packed: all of them in one field of bytes. */
static int print_packed(const struct otlp_field *f, struct str packed, struct buf *out, bool *first, struct err *e)
{
    struct pb_reader r = pb_reader(packed);
    struct pb_field v;
    int rc;

    while ((rc = next_packed(f, &r, &v, e)) == 1) {
        if (!*first)
            buf_putc(out, ',');
        *first = false;
        print_value(f, &v, out, 0, NULL);
    }
    return rc;
}

static int print_list(const struct otlp_field *f, struct str message, struct buf *out, unsigned depth, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field v;
    bool first = true;
    int rc;

    buf_putc(out, '[');
    while ((rc = pb_next(&r, &v, e)) == 1) {
        if (v.number != f->number)
            continue;
        if (v.type == PB_BYTES && wire_type(f->type) != PB_BYTES) {
            rc = print_packed(f, v.bytes, out, &first, e);
        } else {
            if (!first)
                buf_putc(out, ',');
            first = false;
            rc = print_value(f, &v, out, depth, e);
        }
        if (rc < 0)
            return rc;
    }
    buf_putc(out, ']');
    return rc;
}

/* What to print of a field: whether it is there at all, and its last occurrence; of a oneof only the last member. */
static int find_last(const struct otlp_message *m, const struct otlp_field *f, struct str message,
                     struct pb_field *last, struct err *e)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field v;
    bool there = false;
    int rc;

    while ((rc = pb_next(&r, &v, e)) == 1) {
        if (v.number == f->number) {
            *last = v;
            there = true;
        }
        for (size_t i = 0; f->oneof && i < m->n; i++)
            if (m->fields[i].oneof && m->fields[i].number == v.number && v.number != f->number)
                there = false;
    }
    return rc < 0 ? rc : there;
}

static int print_message(const struct otlp_message *m, struct str message, struct buf *out, unsigned depth,
                         struct err *e)
{
    bool first = true;

    if (depth == 0)
        return err_set(e, ERR_LIMIT, "protobuf: nested deeper than %d levels", OTLP_MOST_DEPTH);
    buf_putc(out, '{');
    for (size_t i = 0; i < m->n; i++) {
        const struct otlp_field *f = &m->fields[i];
        struct pb_field v;
        int rc = find_last(m, f, message, &v, e);

        if (rc == 0)
            continue;
        if (!first)
            buf_putc(out, ',');
        first = false;
        if (rc == 1) {
            print_name(out, f->name);
            rc = f->repeated ? print_list(f, message, out, depth - 1, e) : print_value(f, &v, out, depth - 1, e);
        }
        if (rc < 0)
            return rc;
    }
    buf_putc(out, '}');
    return 0;
}

int otlp_pb_to_json(const struct otlp_message *m, struct str message, struct buf *out, struct err *e)
{
    int rc = print_message(m, message, out, MOST_NESTING, e);

    if (rc == 0 && buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "no memory for a message's JSON");
    return rc;
}
