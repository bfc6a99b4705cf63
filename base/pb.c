#include "base/pb.h"

#include <string.h>

struct pb_reader pb_reader(struct str message)
{
    const uint8_t *p = (const uint8_t *)message.p;

    return (struct pb_reader){ p, p ? p + message.n : p };
}

static bool read_varint(struct pb_reader *r, uint64_t *v)
{
    *v = 0;
    for (unsigned shift = 0; shift < 64 && r->p < r->end; shift += 7) {
        uint8_t c = *r->p++;

        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return shift < 63 || c < 2; /* the tenth byte holds one bit */
    }
    return false;
}

static bool read_fixed(struct pb_reader *r, size_t n, uint64_t *v)
{
    *v = 0;
    if ((size_t)(r->end - r->p) < n)
        return false;
    memcpy(v, r->p, n); /* little-endian on the wire and here */
    r->p += n;
    return true;
}

static bool read_bytes(struct pb_reader *r, struct pb_field *f)
{
    if (!read_varint(r, &f->u) || f->u > (uint64_t)(r->end - r->p))
        return false;
    f->bytes = (struct str){ (const char *)r->p, (size_t)f->u };
    r->p += f->u;
    return true;
}

static bool read_value(struct pb_reader *r, struct pb_field *f)
{
    switch (f->type) {
    case PB_VARINT:
        return read_varint(r, &f->u);
    case PB_FIXED64:
        return read_fixed(r, 8, &f->u);
    case PB_FIXED32:
        return read_fixed(r, 4, &f->u);
    case PB_BYTES:
        return read_bytes(r, f);
    }
    return false;
}

int pb_next_any(struct pb_reader *r, struct pb_field *f, struct err *e)
{
    uint64_t tag;
    unsigned type;

    if (r->p == r->end)
        return 0;
    if (!read_varint(r, &tag))
        return err_set(e, ERR_PARSE, "protobuf: a field's tag is cut short");
    *f = (struct pb_field){ .number = (uint32_t)(tag >> 3) };
    type = tag & 7;
    if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return err_set(e, ERR_PARSE, "protobuf: field number %llu, should be 1 to 536870911",
                       (unsigned long long)(tag >> 3));
    if (type != PB_VARINT && type != PB_FIXED64 && type != PB_BYTES && type != PB_FIXED32)
        return err_set(e, ERR_PARSE, "protobuf: field %u: wire type %u, should be 0, 1, 2 or 5", f->number, type);
    f->type = (enum pb_type)type;
    if (!read_value(r, f))
        return err_set(e, ERR_PARSE, "protobuf: field %u: cut short", f->number);
    return 1;
}

int pb_unwanted(const struct pb_field *f, enum pb_type want, struct err *e)
{
    return err_set(e, ERR_PARSE, "protobuf: field %u: wire type %d, should be %d", f->number, (int)f->type, (int)want);
}

int pb_packed(struct pb_reader *r, uint64_t *v, struct err *e)
{
    if (r->p == r->end)
        return 0;
    return read_varint(r, v) ? 1 : err_set(e, ERR_PARSE, "protobuf: a packed number is cut short");
}

double pb_double(const struct pb_field *f)
{
    double v;

    memcpy(&v, &f->u, sizeof(v));
    return v;
}

int64_t pb_zigzag(uint64_t u)
{
    return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

static size_t encode_varint(uint8_t out[10], uint64_t v)
{
    size_t n = 0;

    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

void pb_raw_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];

    buf_put(b, bytes, encode_varint(bytes, v));
}

static void put_tag(struct buf *b, uint32_t number, enum pb_type type)
{
    pb_raw_varint(b, (uint64_t)number << 3 | type);
}

void pb_put_varint(struct buf *b, uint32_t number, uint64_t v)
{
    put_tag(b, number, PB_VARINT);
    pb_raw_varint(b, v);
}

void pb_put_fixed64(struct buf *b, uint32_t number, uint64_t v)
{
    put_tag(b, number, PB_FIXED64);
    buf_put(b, &v, sizeof(v));
}

void pb_put_double(struct buf *b, uint32_t number, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    pb_put_fixed64(b, number, bits);
}

void pb_put_str(struct buf *b, uint32_t number, struct str s)
{
    put_tag(b, number, PB_BYTES);
    pb_raw_varint(b, s.n);
    buf_str(b, s);
}

size_t pb_open(struct buf *b, uint32_t number)
{
    put_tag(b, number, PB_BYTES);
    buf_putc(b, 0); /* room for a length of one byte; pb_close makes more when it is needed */
    return b->n;
}

void pb_close(struct buf *b, size_t mark)
{
    uint8_t bytes[10];
    size_t length, n;

    if (b->failed)
        return;
    length = b->n - mark;
    n = encode_varint(bytes, length);
    if (n > 1) {
        if (!buf_reserve(b, n - 1))
            return;
        memmove(b->p + mark + n - 1, b->p + mark, length);
        b->n += n - 1;
    }
    memcpy(b->p + mark - 1, bytes, n);
}
