/* pb.h: protobuf's wire format, read and written field by field.
 *
 * Source: protobuf.dev/programming-guides/encoding. Groups are refused. The reader never copies and never recurses;
 * whoever descends into nested messages bounds the depth. */
#ifndef BASE_PB_H
#define BASE_PB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum pb_type { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_reader {
    const uint8_t *p, *end;
};

struct pb_field {
    uint32_t number;
    enum pb_type type;
    uint64_t u;       /* VARINT, FIXED64, FIXED32 */
    struct str bytes; /* BYTES: a view into the message */
};

struct pb_reader pb_reader(struct str message);
/* 1: *f is the next field. 0: the message is at its end. ERR_PARSE: cut short or malformed; e names the field. */
static inline int pb_next(struct pb_reader *r, struct pb_field *f, struct err *e);
int pb_next_any(struct pb_reader *r, struct pb_field *f, struct err *e); /* pb_next without its short cut */
/* ERR_PARSE with a sentence when the field has another wire type than `want`. */
static inline int pb_want(const struct pb_field *f, enum pb_type want, struct err *e);
int pb_unwanted(const struct pb_field *f, enum pb_type want, struct err *e); /* pb_want where it is another */

/* The same for bare varints, of a packed field. */
int pb_packed(struct pb_reader *r, uint64_t *v, struct err *e);

double pb_double(const struct pb_field *f); /* of a FIXED64 */
int64_t pb_zigzag(uint64_t u);              /* sint32, sint64 */

/* Writers. A scalar that is zero is written all the same: leaving out defaults is the caller's choice. */
void pb_put_varint(struct buf *b, uint32_t number, uint64_t v);
void pb_put_fixed64(struct buf *b, uint32_t number, uint64_t v);
void pb_put_double(struct buf *b, uint32_t number, double v);
void pb_put_str(struct buf *b, uint32_t number, struct str s);
/* A nested message: mark = pb_open(b, 3); … fields …; pb_close(b, mark). May nest. */
size_t pb_open(struct buf *b, uint32_t number);
void pb_close(struct buf *b, size_t mark);
/* A bare varint, for packed fields. */
void pb_raw_varint(struct buf *b, uint64_t v);

static inline int pb_want(const struct pb_field *f, enum pb_type want, struct err *e)
{
    return f->type == want ? 0 : pb_unwanted(f, want, e);
}

/* Most fields are short texts and messages: a tag and a length of one byte each. */
static inline int pb_next(struct pb_reader *r, struct pb_field *f, struct err *e)
{
    const uint8_t *p = r->p;
    size_t left = (size_t)(r->end - p);

    if (left < 2 || p[0] < 8 || (p[0] & 0x87) != PB_BYTES || p[1] > 0x7f || p[1] > left - 2)
        return pb_next_any(r, f, e);
    f->number = p[0] >> 3;
    f->type = PB_BYTES;
    f->u = p[1];
    f->bytes = (struct str){ (const char *)p + 2, p[1] };
    r->p = p + 2 + p[1];
    return 1;
}

#endif
