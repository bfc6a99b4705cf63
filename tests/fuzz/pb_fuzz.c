#include "base/pb.h"

#include <stdlib.h>

enum { DEEPEST = 8, CEILING = 1 << 22 };

static void put_field(struct buf *b, const struct pb_field *f)
{
    switch (f->type) {
    case PB_VARINT:
        pb_put_varint(b, f->number, f->u);
        break;
    case PB_FIXED64:
        pb_put_fixed64(b, f->number, f->u);
        break;
    case PB_BYTES:
        pb_put_str(b, f->number, f->bytes);
        break;
    case PB_FIXED32: /* nothing of ours writes it */
        pb_raw_varint(b, (uint64_t)f->number << 3 | PB_FIXED32);
        buf_put(b, &(uint32_t){ (uint32_t)f->u }, sizeof(uint32_t));
        break;
    }
}

/* What is nested and reads as a message is written by pb_open and pb_close. False: not a message. */
static bool put_message(struct buf *b, struct str message, int depth)
{
    struct pb_reader r = pb_reader(message);
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, NULL)) == 1) {
        size_t before = b->n, mark;

        if (f.type == PB_BYTES && depth < DEEPEST) {
            mark = pb_open(b, f.number);
            if (put_message(b, f.bytes, depth + 1)) {
                pb_close(b, mark);
                continue;
            }
            b->n = before;
        }
        put_field(b, &f);
    }
    return rc == 0;
}

/* Any bytes are walked without harm, what is refused has its sentence, and what was read, written again and read again
 * is the same: the shortest form is a fixed point. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str message = { (const char *)data, size };
    struct buf once = BUF_INIT(CEILING), twice = BUF_INIT(CEILING);
    struct pb_reader r = pb_reader(message);
    struct err e = ERR_INIT;
    struct pb_field f;
    int rc;

    while ((rc = pb_next(&r, &f, &e)) == 1)
        if (f.number == 0 || (f.type == PB_BYTES && f.bytes.n > size))
            abort();
    if (rc < 0 && (rc != ERR_PARSE || e.code != rc || !e.msg[0]))
        abort();
    if (put_message(&once, message, 0) != (rc == 0))
        abort();
    if (rc == 0 && (buf_failed(&once) || once.n > size)) /* never longer than what was read */
        abort();
    if (rc == 0 && (!put_message(&twice, buf_view(&once), 0) || !str_eq(buf_view(&once), buf_view(&twice))))
        abort();
    buf_free(&once);
    buf_free(&twice);
    return 0;
}
