/* event_pieces.c: writing a column of a block; the format is drawn in event_build.c.
 *
 * Numbers and wide codes are cut into planes, all lowest bytes, then all second ones: each plane is a piece with
 * statistics of its own, so high bytes vanish and low bytes that are noise are stored as they are. */
#include "store/event_pieces-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/event_block_format-internal.h"
#include "store/event_filter_build-internal.h"
#include "store/event_template-internal.h"
#include "store/varint-internal.h"

#include <endian.h>

enum { WORTH_PACKING = 32 };
/* A dictionary of fewer texts is read whole as cheaply as a filter. */
enum { FILTERED_VALUES = 256 };

int event_pieces_init(struct event_pieces *w, struct event_coder *coder,
                      int (*put)(void *arg, uint32_t no, struct str body, struct err *e), void *arg, struct err *e)
{
    *w = (struct event_pieces){ .room = mem_alloc(coder->rows * sizeof(*w->room)), .coder = coder,
                                .directory = BUF_INIT(UINT32_MAX), .raw = BUF_INIT(UINT32_MAX),
                                .packed = BUF_INIT(UINT32_MAX), .tail = BUF_INIT(UINT32_MAX), .put = put,
                                .packer = zstd_packer_new(NULL), .arg = arg };
    return w->room && w->packer ? 0 : err_set(e, ERR_NOMEM, "no memory for a block of %zu events", coder->rows);
}

void event_pieces_fini(struct event_pieces *w)
{
    mem_free(w->room);
    zstd_packer_free(w->packer);
    buf_free(&w->directory);
    buf_free(&w->raw);
    buf_free(&w->packed);
    buf_free(&w->tail);
}

int event_pieces_no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a block of events");
}

/* --- parts --- */

static int put_part(struct event_pieces *w, uint32_t no, struct str body, struct err *e)
{
    w->bytes += body.n;
    w->parts++;
    return w->put(w->arg, no, body, e);
}

int event_pieces_bytes(struct event_pieces *w, struct str bytes, struct err *e)
{
    int rc = 0;

    w->at += bytes.n;
    while (rc == 0 && w->tail.n + bytes.n >= BLOCK_PART_BYTES) {
        size_t n = BLOCK_PART_BYTES - w->tail.n;

        buf_str(&w->tail, (struct str){ bytes.p, n });
        bytes = str_from(bytes, n);
        if (buf_failed(&w->tail))
            break;
        rc = put_part(w, 1 + w->parts, buf_view(&w->tail), e);
        buf_reset(&w->tail);
    }
    buf_str(&w->tail, bytes);
    return rc == 0 && buf_failed(&w->tail) ? event_pieces_no_memory(e) : rc;
}

int event_pieces_end(struct event_pieces *w, struct str directory, struct err *e)
{
    int rc = w->tail.n ? put_part(w, 1 + w->parts, buf_view(&w->tail), e) : 0;

    return rc == 0 ? put_part(w, 0, directory, e) : rc;
}

/* --- pieces --- */

static void put_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_put(b, &v, sizeof(v));
}

static int put_stored(struct event_pieces *w, size_t raw, struct str stored, bool packed, struct err *e)
{
    bool inside = stored.n <= PIECE_INSIDE;

    varint_put(&w->directory, raw);
    varint_put(&w->directory, packed ? stored.n : 0);
    varint_put(&w->directory, inside ? 0 : w->at + 1);
    put_u32(&w->directory, block_sum(stored));
    if (inside)
        buf_str(&w->directory, stored);
    if (buf_failed(&w->directory))
        return event_pieces_no_memory(e);
    return inside ? 0 : event_pieces_bytes(w, stored, e);
}

/* Packed when a part in thirty-two is saved: else unpacking costs more than it gives. Rows are sorted by identity, so
 * what codes and numbers are like changes on the way. In numbers zstd finds nothing that repeats, only what is
 * frequent. */
int event_pieces_raw(struct event_pieces *w, enum event_packing how, struct err *e)
{
    static const struct {
        int level;
        size_t step;
    } ways[] = { [EVENT_PACK_TEXTS] = { 3, 0 }, [EVENT_PACK_CODES] = { 3, 8192 }, [EVENT_PACK_NUMBERS] = { 1, 8192 } };
    struct str raw = buf_view(&w->raw);
    bool packed = false;
    int rc = 0;

    if (buf_failed(&w->raw))
        return event_pieces_no_memory(e);
    buf_reset(&w->packed);
    if (raw.n >= WORTH_PACKING) {
        rc = zstd_packer_pack(w->packer, raw, ways[how].level, ways[how].step, &w->packed, e);
        packed = w->packed.n < raw.n - raw.n / 32;
    }
    return rc == 0 ? put_stored(w, raw.n, packed ? buf_view(&w->packed) : raw, packed, e) : rc;
}

/* --- planes --- */

/* Of each number `bits` from bit `shift` on, several in a byte, the first one in its lowest bits. */
static void pack_bits(const uint64_t *v, size_t n, size_t shift, unsigned bits, uint8_t *to)
{
    for (size_t i = 0; i < n;) {
        unsigned byte = 0;

        for (unsigned at = 0; at < 8 && i < n; at += bits)
            byte |= (uint8_t)(v[i++] >> shift) << at;
        *to++ = (uint8_t)byte;
    }
}

static int put_plane(struct event_pieces *w, size_t n, size_t plane, unsigned bits, enum event_packing how,
                     struct err *e)
{
    size_t bytes = block_packed_bytes(n, bits);
    uint8_t *to;

    buf_reset(&w->raw);
    to = (uint8_t *)buf_reserve(&w->raw, bytes + 1);
    if (!to)
        return event_pieces_no_memory(e);
    w->raw.n = bytes;
    if (bits < 8)
        pack_bits(w->room, n, 8 * plane, bits, to);
    for (size_t i = 0; bits == 8 && i < n; i++)
        to[i] = (uint8_t)(w->room[i] >> 8 * plane);
    return event_pieces_raw(w, how, e);
}

int event_pieces_planes(struct event_pieces *w, size_t n, unsigned bits, enum event_packing how, struct err *e)
{
    int rc = 0;

    for (size_t plane = 0; rc == 0 && 8 * plane < bits; plane++)
        rc = put_plane(w, n, plane, block_plane_bits(bits, plane), how, e);
    return rc;
}

int event_pieces_numbers(struct event_pieces *w, size_t n, struct err *e)
{
    uint64_t all = 0;
    unsigned bits;

    for (size_t i = 0; i < n; i++)
        all |= w->room[i];
    bits = all ? 64 - (unsigned)__builtin_clzll(all) : 0;
    buf_putc(&w->directory, (char)bits);
    return event_pieces_planes(w, n, bits, EVENT_PACK_NUMBERS, e);
}

/* --- bodies --- */

static int put_const(struct event_pieces *w, const struct event_coded *d)
{
    if (d->is_text) {
        varint_put(&w->directory, d->values[0].s.n);
        buf_str(&w->directory, d->values[0].s);
    } else {
        varint_put(&w->directory, zigzag((uint64_t)d->values[0].i));
    }
    return 0;
}

/* Rows of the frame that begins with row `first`. */
static size_t frame_rows(const struct event_coded *d, size_t first)
{
    size_t bytes = 0, i = first;

    while (i < d->n && i - first < FRAME_ROWS && (i == first || bytes + d->values[i].s.n <= FRAME_BYTES))
        bytes += d->values[i++].s.n;
    return i - first;
}

static int put_frame(struct event_pieces *w, const union event_value *v, size_t n, struct err *e)
{
    buf_reset(&w->raw);
    for (size_t i = 0; i < n; i++)
        varint_put(&w->raw, v[i].s.n);
    for (size_t i = 0; i < n; i++)
        buf_str(&w->raw, v[i].s);
    return event_pieces_raw(w, EVENT_PACK_TEXTS, e);
}

static int put_frames(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    size_t n;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < d->n; i += n) {
        n = frame_rows(d, i);
        rc = put_frame(w, d->values + i, n, e);
    }
    return rc;
}

/* The numbers in hole `hole` of all rows that have it, into w->room; how many. */
static size_t numbers_in(struct event_pieces *w, const struct event_templates *t, size_t rows, size_t hole)
{
    const uint64_t *numbers = (const uint64_t *)t->numbers.p;
    size_t n = 0;

    for (size_t i = 0; i < rows; i++) {
        size_t holes = t->holes[t->codes[i]];

        if (hole < holes)
            w->room[n++] = numbers[hole];
        numbers += holes;
    }
    return n;
}

static int put_templates(struct event_pieces *w, const struct event_templates *t, size_t rows, struct err *e)
{
    int rc;

    varint_put(&w->directory, t->most_holes);
    rc = put_frame(w, t->values, t->n, e);
    for (size_t i = 0; i < rows; i++)
        w->room[i] = t->codes[i];
    rc = rc == 0 ? event_pieces_planes(w, rows, block_code_bits(t->n), EVENT_PACK_CODES, e) : rc;
    for (size_t hole = 0; rc == 0 && hole < t->most_holes; hole++)
        rc = event_pieces_numbers(w, numbers_in(w, t, rows, hole), e);
    return rc;
}

static int put_texts(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    struct event_templates t;
    size_t frames = 0;
    int rc;

    for (size_t i = 0; i < d->n; i += frame_rows(d, i))
        frames++;
    varint_put(&w->directory, frames);
    for (size_t i = 0; i < d->n; i += frame_rows(d, i))
        varint_put(&w->directory, frame_rows(d, i));
    rc = event_templates_make(&t, d->values, d->n, w->coder, e);
    if (rc >= 0) {
        varint_put(&w->directory, rc ? t.n : 0);
        rc = rc ? put_templates(w, &t, d->n, e) : put_frames(w, d, e);
    }
    event_templates_fini(&t);
    return rc;
}

/* --- filters --- */

static int put_slices(struct event_pieces *w, const uint8_t *bits, size_t bytes, struct err *e)
{
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < bytes; at += EVENT_FILTER_SLICE) {
        size_t n = bytes - at < EVENT_FILTER_SLICE ? bytes - at : EVENT_FILTER_SLICE;
        struct str slice = { (const char *)bits + at, n };

        buf_reset(&w->packed);
        buf_str(&w->packed, slice);
        put_u32(&w->packed, block_sum(slice));
        rc = buf_failed(&w->packed) ? event_pieces_no_memory(e) : event_pieces_bytes(w, buf_view(&w->packed), e);
    }
    return rc;
}

static bool wants_filter(const struct event_coded *d)
{
    return d->form == EVENT_FORM_TEXTS || (d->form == EVENT_FORM_DICT && d->distinct >= FILTERED_VALUES);
}

/* For each entry. A dictionary whose values come again often can have more for the same room, at most 1.5 bits a row: to
 * open one in vain costs as much as the probes of a hundred blocks. */
static size_t filter_bits(const struct event_coded *d)
{
    size_t bits = d->distinct ? d->n * 3 / 2 / d->distinct : 0;

    if (d->form == EVENT_FORM_TEXTS)
        return EVENT_FILTER_TOKEN_BITS;
    return bits < EVENT_FILTER_VALUE_BITS  ? EVENT_FILTER_VALUE_BITS
           : bits > EVENT_FILTER_MOST_BITS ? EVENT_FILTER_MOST_BITS
                                           : bits;
}

/* How many bytes it has, and where its first slice is. */
static int put_filter(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    struct event_hashes h;
    uint8_t *bits = NULL;
    size_t bytes = 0;
    int rc = event_hashes_of(&h, d, e);

    if (rc == 0 && !h.too_many) {
        bytes = event_filter_bytes(h.n, filter_bits(d));
        buf_reset(&w->raw);
        bits = (uint8_t *)buf_reserve(&w->raw, bytes);
        rc = bits ? 0 : event_pieces_no_memory(e);
    }
    varint_put(&w->directory, bytes);
    if (bytes)
        varint_put(&w->directory, w->at);
    if (bits) {
        memset(bits, 0, bytes);
        event_hashes_filter(&h, bits, bytes);
        rc = put_slices(w, bits, bytes, e);
    }
    event_hashes_fini(&h);
    return rc;
}

/* --- columns --- */

static int put_body(struct event_pieces *w, const struct event_coded *d, int form, const struct event_beside *beside,
                    struct err *e)
{
    switch (d->form) {
    case EVENT_FORM_CONST:
        return put_const(w, d);
    case EVENT_FORM_DICT:
        return event_pieces_dictionary(w, d, e);
    case EVENT_FORM_INTS:
        return event_pieces_ints(w, d, form, beside, e);
    case EVENT_FORM_IDS:
        return event_pieces_ids(w, d, e);
    case EVENT_FORM_TEXTS:
        break;
    }
    return put_texts(w, d, e);
}

void event_pieces_key(struct event_pieces *w, int kind, struct str name, int form)
{
    buf_putc(&w->directory, (char)kind);
    if (kind == BLOCK_ATTRIBUTE || kind == BLOCK_FIXED) {
        varint_put(&w->directory, name.n);
        buf_str(&w->directory, name);
    }
    buf_putc(&w->directory, (char)form);
    w->columns++;
}

int event_pieces_column(struct event_pieces *w, int kind, struct str name, const struct event_coded *d,
                        const struct event_beside *beside, struct err *e)
{
    int form = (int)d->form | (d->is_text ? BLOCK_TEXT : 0) | (d->has_unset ? BLOCK_UNSET : 0), rc;

    if (d->form == EVENT_FORM_INTS)
        form |= event_pieces_ints_form(d, beside);
    event_pieces_key(w, kind, name, form);
    rc = put_body(w, d, form, beside, e);
    if (rc == 0 && d->is_text && d->form != EVENT_FORM_CONST && d->form != EVENT_FORM_IDS) {
        if (wants_filter(d) && kind != BLOCK_OVERFLOW)
            rc = put_filter(w, d, e);
        else
            varint_put(&w->directory, 0);
    }
    return rc == 0 && buf_failed(&w->directory) ? event_pieces_no_memory(e) : rc;
}
