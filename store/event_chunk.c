/* event_chunk.c: writing a chunk.
 *
 *      0  u64  checksum (XXH3) of all that follows
 *      8  u8   version, 1
 *      9  u8   table: an enum event_kind, whose numbers never change
 *     10  u16  columns, the times among them
 *     12  u32  rows
 *     16  u32  length of the chunk, this header included
 *     20  i64  first time, ns
 *     28  i64  last time
 *     36       the columns, the times first; each is
 *              u16 key    0 = times; 1 = an attribute; 2 = label sets (pack-internal.h) of attributes without a column;
 *                         else a fixed column, by a hash of its name (chunk_key)
 *              text name  of an attribute
 *              u8 form    an enum event_form | 8 when it is of texts | 16 when a row may be unset
 *              length of the body, then the body
 *
 * A body, by its form:
 *
 *      CONST   the text's bytes; or the number, zigzag
 *      DICT    how many values; of numbers the least (zigzag), and what the greatest has more;
 *              u8 0: codes of a byte, 1: of two, 2: sparse
 *              the values: lengths, then bytes; or numbers, less the one before, zigzag
 *              the codes, one for each row; sparse: the code of all other rows, how many differ, and for each of these
 *              its row, less the one before, and code
 *      INTS    the least number (zigzag), what the greatest has more, then each less the least, in as few bytes as the
 *              greatest needs (event_int_width)
 *      IDS     u8 an enum event_id, how many rows have another form; the ids; rows of another form: row, less the one
 *              before, length, bytes
 *      TEXTS   lengths, then bytes
 *
 * Fixed integers are little-endian, others are varints; a text is a length and bytes. Columns that are unset in every
 * row are left out, as is a column that a reader does not know. */
#include "store/event_chunk-internal.h"

#include "store/event_attributes-internal.h"
#include "store/event_chunk_format-internal.h"
#include "store/event_gather-internal.h"
#include "store/varint-internal.h"

#include <endian.h>

struct chunk_writer {
    struct buf *out;
    size_t start; /* of the chunk in out */
    enum event_kind kind;
    uint16_t columns;
    size_t rows;
    int64_t first_ns, last_ns;
};

/* --- bodies --- */

static void put_value(struct buf *out, bool is_text, union event_value v)
{
    if (is_text)
        buf_str(out, v.s);
    else
        varint_put(out, zigzag((uint64_t)v.i));
}

static void put_range(struct buf *out, int64_t min, int64_t max)
{
    varint_put(out, zigzag((uint64_t)min));
    varint_put(out, (uint64_t)max - (uint64_t)min);
}

static void put_texts(struct buf *out, const union event_value *v, size_t n, uint64_t bytes)
{
    uint8_t *to = (uint8_t *)buf_reserve(out, n * VARINT_MAX + bytes), *from = to;

    if (!to)
        return;
    for (size_t i = 0; i < n; i++)
        to = varint_write(to, v[i].s.n);
    for (size_t i = 0; i < n; i++) {
        if (v[i].s.n)
            memcpy(to, v[i].s.p, v[i].s.n);
        to += v[i].s.n;
    }
    out->n += (size_t)(to - from);
}

static void put_numbers(struct buf *out, const union event_value *v, size_t n)
{
    uint64_t before = 0;

    for (size_t i = 0; i < n; i++) {
        varint_put(out, zigzag((uint64_t)v[i].i - before));
        before = (uint64_t)v[i].i;
    }
}

/* The code that rows without a value have; that of the first row when there are none. */
static uint16_t common_code(const struct event_coded *d)
{
    for (uint32_t k = 0; d->is_text && d->has_unset && k < d->distinct; k++)
        if (d->values[k].s.n == 0)
            return (uint16_t)k;
    return d->codes[0];
}

static void put_sparse(struct buf *out, const struct event_coded *d, uint16_t common, size_t others)
{
    size_t before = 0;

    varint_put(out, common);
    varint_put(out, others);
    for (size_t i = 0; i < d->n; i++)
        if (d->codes[i] != common) {
            varint_put(out, i - before);
            varint_put(out, d->codes[i]);
            before = i;
        }
}

static void put_codes(struct buf *out, const struct event_coded *d, size_t width)
{
    char *to = buf_reserve(out, d->n * width);

    if (!to)
        return;
    if (width == 1) {
        for (size_t i = 0; i < d->n; i++)
            to[i] = (char)d->codes[i];
    } else {
        for (size_t i = 0; i < d->n; i++) {
            uint16_t code = htole16(d->codes[i]);

            memcpy(to + 2 * i, &code, 2);
        }
    }
    out->n += d->n * width;
}

static void put_dictionary(struct buf *out, const struct event_coded *d)
{
    size_t width = d->distinct > 256 ? 2 : 1, others = 0;
    uint16_t common = common_code(d);
    bool sparse;

    for (size_t i = 0; i < d->n; i++)
        others += d->codes[i] != common;
    sparse = others * (width + 1) + 4 < d->n * width;
    varint_put(out, d->distinct);
    if (!d->is_text)
        put_range(out, d->min, d->max);
    buf_putc(out, sparse ? CODES_SPARSE : width == 1 ? CODES_8 : CODES_16);
    if (d->is_text)
        put_texts(out, d->values, d->distinct, d->bytes);
    else
        put_numbers(out, d->values, d->distinct);
    if (sparse)
        put_sparse(out, d, common, others);
    else
        put_codes(out, d, width);
}

/* Eight bytes are written for each: room for the last one's is reserved. */
static void put_ints(struct buf *out, const union event_value *v, size_t n, int64_t min, int64_t max)
{
    size_t width = event_int_width((uint64_t)max - (uint64_t)min);
    char *to;

    put_range(out, min, max);
    to = buf_reserve(out, n * width + sizeof(uint64_t));
    if (!to)
        return;
    for (size_t i = 0; i < n; i++) {
        uint64_t word = htole64((uint64_t)v[i].i - (uint64_t)min);

        memcpy(to + i * width, &word, sizeof(word));
    }
    out->n += n * width;
}

static void put_ids(struct buf *out, const struct event_coded *d)
{
    size_t before = 0;

    buf_putc(out, (char)d->id);
    varint_put(out, d->nodd);
    buf_put(out, d->ids, d->n * event_id_width(d->id));
    for (size_t i = 0; i < d->nodd; i++) {
        varint_put(out, d->odd[i].row - before);
        varint_put(out, d->odd[i].text.n);
        buf_str(out, d->odd[i].text);
        before = d->odd[i].row;
    }
}

static void put_body(struct buf *out, const struct event_coded *d)
{
    switch (d->form) {
    case EVENT_FORM_CONST:
        put_value(out, d->is_text, d->values[0]);
        break;
    case EVENT_FORM_DICT:
        put_dictionary(out, d);
        break;
    case EVENT_FORM_INTS:
        put_ints(out, d->values, d->n, d->min, d->max);
        break;
    case EVENT_FORM_IDS:
        put_ids(out, d);
        break;
    case EVENT_FORM_TEXTS:
        put_texts(out, d->values, d->n, d->bytes);
        break;
    }
}

/* --- columns --- */

/* The body stands behind a length of one byte until it turns out to need more. */
static void put_sized_body(struct buf *out, const struct event_coded *d)
{
    size_t start = out->n + 1, more;
    uint8_t length[VARINT_MAX];

    buf_putc(out, 0);
    put_body(out, d);
    if (buf_failed(out))
        return;
    more = (size_t)(varint_write(length, out->n - start) - length) - 1;
    if (more) {
        if (!buf_reserve(out, more))
            return;
        memmove(out->p + start + more, out->p + start, out->n - start);
        out->n += more;
    }
    memcpy(out->p + start - 1, length, more + 1);
}

static void put_column(struct chunk_writer *w, uint16_t key, struct str name, const struct event_coded *d)
{
    uint16_t stored = htole16(key);

    buf_put(w->out, &stored, sizeof(stored));
    if (key == KEY_ATTRIBUTE) {
        varint_put(w->out, name.n);
        buf_str(w->out, name);
    }
    buf_putc(w->out, (char)((int)d->form | (d->is_text ? FLAG_TEXT : 0) | (d->has_unset ? FLAG_UNSET : 0)));
    put_sized_body(w->out, d);
    w->columns++;
}

/* Columns without any value are left out. */
static void put_coded(struct chunk_writer *w, uint16_t key, struct str name, const struct event_coded *d)
{
    if (d->form != EVENT_FORM_CONST || !d->has_unset)
        put_column(w, key, name, d);
}

/* v[0..n): room for the times as numbers. */
static void put_times(struct chunk_writer *w, const int64_t *ns, size_t n, union event_value *v)
{
    struct event_coded d = { .form = EVENT_FORM_INTS, .n = n, .values = v, .min = ns[0], .max = ns[0] };

    for (size_t i = 0; i < n; i++) {
        v[i].i = ns[i];
        d.min = ns[i] < d.min ? ns[i] : d.min;
        d.max = ns[i] > d.max ? ns[i] : d.max;
    }
    w->first_ns = d.min;
    w->last_ns = d.max;
    put_column(w, KEY_TIME, STR_NULL, &d);
}

/* --- the whole --- */

static void begin(struct chunk_writer *w, enum event_kind kind, size_t rows, struct buf *out)
{
    const char nothing[CHUNK_HEADER] = { 0 };

    *w = (struct chunk_writer){ .out = out, .start = out->n, .kind = kind, .rows = rows };
    buf_put(out, nothing, sizeof(nothing));
}

static void put_header(const struct chunk_writer *w)
{
    char *to = w->out->p + w->start;
    size_t bytes = w->out->n - w->start;
    const uint8_t kinds[2] = { CHUNK_VERSION, (uint8_t)w->kind };
    const uint16_t columns = htole16(w->columns);
    const uint32_t sizes[2] = { htole32((uint32_t)w->rows), htole32((uint32_t)bytes) };
    const uint64_t times[2] = { htole64((uint64_t)w->first_ns), htole64((uint64_t)w->last_ns) };
    uint64_t sum;

    memcpy(to + 8, kinds, 2);
    memcpy(to + 10, &columns, 2);
    memcpy(to + 12, sizes, 8);
    memcpy(to + 20, times, 16);
    sum = htole64(str_hash_stable((struct str){ to + CHUNK_SUMMED, bytes - CHUNK_SUMMED }));
    memcpy(to, &sum, sizeof(sum));
}

static int end(const struct chunk_writer *w, int rc, struct err *e)
{
    if (rc == 0 && (buf_failed(w->out) || w->out->n - w->start > UINT32_MAX))
        rc = err_set(e, ERR_NOMEM, "no memory for a chunk of %zu events", w->rows);
    if (rc == 0)
        put_header(w);
    else if (!buf_failed(w->out))
        w->out->n = w->start;
    return rc;
}

/* --- of a batch --- */

static void put_fixed(struct chunk_writer *w, const struct event_rows *rows, size_t first, struct event_coder *coder)
{
    const struct event_table *t = &event_tables[w->kind];
    struct event_coded d;

    for (size_t i = 0; i < t->n; i++) {
        const struct event_column *c = &t->columns[i];

        if (!rows->columns[i])
            continue;
        event_code(coder, rows->columns[i] + first, w->rows, c->is_text, event_unset(w->kind, c), &d);
        put_coded(w, chunk_key(c), STR_NULL, &d);
    }
}

static int put_attributes(struct chunk_writer *w, const struct labels *maps, struct event_coder *coder, struct err *e)
{
    const union event_value unset = { .s = STR_NULL }, *overflow;
    struct event_attributes at;
    struct event_coded d;
    int rc = event_attributes_init(&at, maps, w->rows, e);

    for (size_t i = 0; rc == 0 && i < at.n; i++) {
        event_code(coder, event_attributes_column(&at, i), w->rows, true, unset, &d);
        put_coded(w, KEY_ATTRIBUTE, at.names[i], &d);
    }
    overflow = rc == 0 ? event_attributes_overflow(&at) : NULL;
    if (overflow) {
        event_code(coder, overflow, w->rows, true, unset, &d);
        put_coded(w, KEY_OVERFLOW, STR_NULL, &d);
    }
    if (rc == 0 && buf_failed(&at.overflow))
        rc = err_set(e, ERR_NOMEM, "no memory for attributes of %zu events", w->rows);
    event_attributes_fini(&at);
    return rc;
}

int event_chunk_encode(const struct event_rows *rows, enum event_kind kind, size_t first, size_t n, struct buf *out,
                       struct err *e)
{
    struct chunk_writer w;
    struct event_coder coder;
    int rc = event_coder_init(&coder, n, e);

    if (rc < 0)
        return rc;
    begin(&w, kind, n, out);
    put_times(&w, rows->time_ns + first, n, coder.values);
    put_fixed(&w, rows, first, &coder);
    rc = put_attributes(&w, rows->attributes + first, &coder, e);
    event_coder_fini(&coder);
    return end(&w, rc, e);
}

/* --- of chunks --- */

/* All rows, source by source, but for the first `less` of the first. */
static int pick_all(struct event_source *const *chunks, size_t n, size_t less, struct arena *a, struct event_gather *g,
                    struct err *e)
{
    uint32_t *from, *rows;
    size_t at = 0;

    *g = (struct event_gather){ .sources = chunks, .nsources = n, .kind = chunks[0]->kind };
    for (size_t i = 0; i < n; i++)
        g->n += chunks[i]->n;
    g->n -= less;
    if (g->n > EVENT_SOURCE_ROWS)
        return err_set(e, ERR_INVALID, "a chunk of %zu events, should be at most %d", g->n, EVENT_SOURCE_ROWS);
    from = arena_alloc(a, g->n * sizeof(*from));
    rows = arena_alloc(a, g->n * sizeof(*rows));
    if (!from || !rows)
        return err_set(e, ERR_NOMEM, "no memory to join %zu events", g->n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = i ? 0 : less; k < chunks[i]->n; k++) {
            from[at] = (uint32_t)i;
            rows[at++] = (uint32_t)k;
        }
    g->from = from;
    g->rows = rows;
    return 0;
}

static int join_times(struct chunk_writer *w, struct event_gather *g, struct arena *a, struct err *e)
{
    int64_t *ns = arena_alloc(a, g->n * sizeof(*ns));
    int rc = ns ? event_gather_times(g, ns, e) : err_set(e, ERR_NOMEM, "no memory for times");

    if (rc == 0)
        put_times(w, ns, g->n, g->coder.values);
    return rc;
}

static int join_column(struct chunk_writer *w, struct event_gather *g, uint16_t key, struct event_field f,
                       struct err *e)
{
    struct event_coded d;
    int rc = event_gather_column(g, f, &d, e);

    if (rc == 0)
        put_coded(w, key, f.attribute, &d);
    return rc;
}

static int join_attributes(struct chunk_writer *w, struct event_gather *g, struct arena *a, struct err *e)
{
    struct event_coded d;
    struct str *names;
    size_t n;
    int rc = event_gather_attributes(g, a, &names, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = join_column(w, g, KEY_ATTRIBUTE, (struct event_field){ -1, names[i] }, e);
    rc = rc == 0 ? event_gather_overflow(g, names, n, &d, e) : rc;
    if (rc == 0)
        put_coded(w, KEY_OVERFLOW, STR_NULL, &d);
    return rc;
}

static int join_columns(struct chunk_writer *w, struct event_gather *g, struct arena *a, struct err *e)
{
    const struct event_table *t = &event_tables[g->kind];
    int rc = join_times(w, g, a, e);

    for (size_t i = 0; rc == 0 && i < t->n; i++)
        rc = join_column(w, g, chunk_key(&t->columns[i]), (struct event_field){ (int)i, STR_NULL }, e);
    return rc == 0 ? join_attributes(w, g, a, e) : rc;
}

static int join(struct event_source *const *chunks, size_t n, size_t less, struct buf *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct event_gather g;
    struct chunk_writer w;
    int rc = pick_all(chunks, n, less, &a, &g, e);

    if (rc == 0)
        rc = event_gather_init(&g, e);
    if (rc == 0) {
        begin(&w, g.kind, g.n, out);
        rc = end(&w, join_columns(&w, &g, &a, e), e);
        event_gather_fini(&g);
    }
    arena_free(&a);
    return rc;
}

int event_chunk_join(struct event_source *const *chunks, size_t n, struct buf *out, struct err *e)
{
    return join(chunks, n, 0, out, e);
}

int event_chunk_cut(struct event_source *chunk, size_t first, struct buf *out, struct err *e)
{
    return join(&chunk, 1, first, out, e);
}
