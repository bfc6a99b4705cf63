/* event_pieces_ids.c: writing a column of ids; the format is drawn in event_build.c.
 *
 * Ids are noise: nothing packs them, and a filter that says which of them are there would cost a byte more for each.
 * But their own first bits can say so at no cost: one byte of each id, its key, stands in the rows' order, and the
 * others on shelves by their keys, each shelf in the rows' order too. To look for an id is to read its shelf; to read
 * them all is to take them from the shelves as their keys say. */
#include "store/event_pieces-internal.h"

#include "base/mem.h"
#include "store/event_block_format-internal.h"
#include "store/varint-internal.h"

#include <endian.h>

/* Ids that are looked at for what in them is not noise; a quarter of them must be there. */
enum { SAMPLED_IDS = 4096 };

/* The ids of the rows that have one, and what is done with each of their bytes. */
struct shelving {
    const uint8_t *ids;
    size_t n, width;
    unsigned planes;                /* as bits */
    uint8_t key;
    struct block_runs kept;         /* the bytes that are left for the shelves */
    uint32_t counts[1 << SHELF_BITS];
    unsigned bits;                  /* of a shelf's number */
    uint8_t *compact;               /* owned: the ids, where other rows have none */
};

/* --- which rows --- */

/* The ids one behind the other, and which rows have one, as bits, into w->raw. */
static int compact(struct event_pieces *w, const struct event_coded *d, struct shelving *s)
{
    uint8_t *bits;

    buf_reset(&w->raw);
    bits = (uint8_t *)buf_reserve(&w->raw, (d->n + 7) / 8);
    s->compact = mem_alloc(d->n * s->width);
    if (!bits || !s->compact)
        return ERR_NOMEM;
    w->raw.n = (d->n + 7) / 8;
    memset(bits, 0, w->raw.n);
    for (size_t i = 0; i < d->n; i++) {
        const uint8_t *id = d->ids + i * s->width;

        if (event_id_is_zero(d->id, id))
            continue;
        memcpy(s->compact + s->n++ * s->width, id, s->width);
        bits[i / 8] |= (uint8_t)(1u << i % 8);
    }
    s->ids = s->compact;
    return 0;
}

/* --- which bytes --- */

/* How often two of a sample of n have the byte in common. */
static uint64_t count_alike(const struct shelving *s, size_t byte, size_t *n)
{
    size_t step = s->n / SAMPLED_IDS + 1;
    uint32_t counts[256] = { 0 };
    uint64_t alike = 0;

    *n = 0;
    for (size_t i = 0; i < s->n; i += step, ++*n)
        counts[s->ids[i * s->width + byte]]++;
    for (size_t i = 0; i < 256; i++)
        alike += (uint64_t)counts[i] * counts[i];
    return alike;
}

/* The key is what tells most ids apart. Planes are bytes that are far from noise: there zstd finds something. */
static void choose_bytes(struct shelving *s)
{
    uint64_t least = UINT64_MAX;

    for (size_t i = 0; i < s->width; i++) {
        size_t n;
        uint64_t alike = count_alike(s, i, &n);

        if (alike < least) {
            least = alike;
            s->key = (uint8_t)i;
        }
        if (n >= SAMPLED_IDS / 4 && alike * 256 > 3 * (uint64_t)n * n)
            s->planes |= 1u << i;
    }
    s->planes &= ~(1u << s->key);
    s->kept = block_runs_of(s->width, s->key, s->planes);
}

static uint8_t key_of(const struct shelving *s, size_t i)
{
    return s->ids[i * s->width + s->key];
}

/* --- shelves --- */

static void count_shelves(struct shelving *s)
{
    s->bits = block_shelf_bits(s->n);
    for (size_t i = 0; i < s->n; i++)
        s->counts[key_of(s, i) >> (8 - s->bits)]++;
}

/* Where each shelf begins; returns the bytes of all. */
static size_t place_shelves(const struct shelving *s, size_t *places)
{
    size_t at = 0;

    for (size_t i = 0; i < 1u << s->bits; i++) {
        places[i] = at;
        at += s->counts[i] && s->kept.bytes ? s->counts[i] * s->kept.bytes + SHELF_SUM : 0;
    }
    return at;
}

static void fill_shelves(const struct shelving *s, uint8_t *to, size_t *places)
{
    const uint8_t *id = s->ids;

    for (size_t i = 0; i < s->n; i++, id += s->width) {
        size_t *place = &places[id[s->key] >> (8 - s->bits)];
        uint8_t kept[2 * BLOCK_RUN];

        block_runs_take(&s->kept, id, s->width, kept);
        memcpy(to + *place, kept, s->kept.bytes);
        *place += s->kept.bytes;
    }
}

/* Each shelf's checksum, behind it: places[] are their ends. */
static void sum_shelves(const struct shelving *s, uint8_t *bytes, const size_t *places)
{
    for (size_t i = 0; s->kept.bytes && i < 1u << s->bits; i++) {
        size_t n = s->counts[i] * s->kept.bytes;
        uint32_t sum = htole32(block_sum((struct str){ (const char *)bytes + places[i] - n, n }));

        if (n)
            memcpy(bytes + places[i], &sum, sizeof(sum));
    }
}

static int put_shelves(struct event_pieces *w, const struct shelving *s, struct err *e)
{
    size_t places[1 << SHELF_BITS], bytes = place_shelves(s, places), average = s->n >> s->bits;
    uint8_t *to;

    for (size_t i = 0; i < 1u << s->bits; i++)
        varint_put(&w->directory, zigzag((uint64_t)s->counts[i] - average));
    varint_put(&w->directory, w->at);
    buf_reset(&w->packed);
    to = (uint8_t *)buf_reserve(&w->packed, bytes + 1);
    if (!to)
        return event_pieces_no_memory(e);
    fill_shelves(s, to, places);
    sum_shelves(s, to, places);
    return event_pieces_bytes(w, (struct str){ (const char *)to, bytes }, e);
}

/* --- the body --- */

/* One byte of each id. */
static int put_byte(struct event_pieces *w, const struct shelving *s, size_t byte, struct err *e)
{
    uint8_t *to;

    buf_reset(&w->raw);
    to = (uint8_t *)buf_reserve(&w->raw, s->n);
    if (!to)
        return event_pieces_no_memory(e);
    for (size_t i = 0; i < s->n; i++)
        to[i] = s->ids[i * s->width + byte];
    w->raw.n = s->n;
    return event_pieces_raw(w, EVENT_PACK_NUMBERS, e);
}

static int put_odd(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    size_t before = 0;

    buf_reset(&w->raw);
    for (size_t i = 0; i < d->nodd; i++) {
        varint_put(&w->raw, d->odd[i].row - before);
        varint_put(&w->raw, d->odd[i].text.n);
        buf_str(&w->raw, d->odd[i].text);
        before = d->odd[i].row;
    }
    return event_pieces_raw(w, EVENT_PACK_TEXTS, e);
}

static int put_all(struct event_pieces *w, const struct event_coded *d, struct shelving *s, struct err *e)
{
    int rc;

    choose_bytes(s);
    count_shelves(s);
    buf_putc(&w->directory, (char)d->id);
    varint_put(&w->directory, d->nodd);
    varint_put(&w->directory, s->n);
    buf_putc(&w->directory, (char)s->key);
    varint_put(&w->directory, s->planes);
    rc = put_shelves(w, s, e);
    if (rc == 0 && s->compact)
        rc = event_pieces_raw(w, EVENT_PACK_CODES, e); /* which rows, as compact() left them */
    rc = rc == 0 ? put_byte(w, s, s->key, e) : rc;
    for (size_t i = 0; rc == 0 && i < s->width; i++)
        if (s->planes >> i & 1)
            rc = put_byte(w, s, i, e);
    return rc == 0 && d->nodd ? put_odd(w, d, e) : rc;
}

int event_pieces_ids(struct event_pieces *w, const struct event_coded *d, struct err *e)
{
    struct shelving s = { .ids = d->ids, .n = d->n, .width = event_id_width(d->id) };
    int rc = 0;

    if (d->has_unset || d->nodd) {
        s.n = 0;
        rc = compact(w, d, &s);
    }
    rc = rc == 0 ? put_all(w, d, &s, e) : event_pieces_no_memory(e);
    mem_free(s.compact);
    return rc;
}
