/* event_sealed.c: parsing a block's directory; the format is drawn in event_build.c. */
#include "store/event_sealed-internal.h"

#include "base/zip.h"
#include "store/event_block_format-internal.h"
#include "store/event_column-internal.h"
#include "store/event_filter-internal.h"

#include <endian.h>

/* Beyond any of a block's bytes. */
#define MOST_PLACE ((uint64_t)BLOCK_PARTS_MOST * BLOCK_PART_BYTES)
/* A directory's columns, and a piece: more than any that was written. */
enum { MOST_BYTES = 2 * EVENT_BLOCK_BYTES, COLUMN_BYTES = 2 /* of the shortest column */ };

/* What is left to read, and of what. */
struct reader {
    struct bytes r;
    struct arena *a;
    enum event_kind kind;
    size_t rows;
    bool no_memory;
};

/* --- numbers and texts --- */

static bool get_size(struct reader *in, uint64_t most, uint32_t *v)
{
    uint64_t u;

    if (!varint_get(&in->r, &u) || u > most || u > UINT32_MAX)
        return false;
    *v = (uint32_t)u;
    return true;
}

static bool get_number(struct reader *in, int64_t *v)
{
    uint64_t u;

    if (!varint_get(&in->r, &u))
        return false;
    *v = (int64_t)unzigzag(u);
    return true;
}

static bool get_byte(struct reader *in, uint8_t *v)
{
    if (in->r.p == in->r.end)
        return false;
    *v = *in->r.p++;
    return true;
}

static bool get_text(struct reader *in, struct str *s)
{
    uint32_t n;

    if (!get_size(in, bytes_left(&in->r), &n) || n > bytes_left(&in->r))
        return false;
    *s = (struct str){ (const char *)in->r.p, n };
    in->r.p += n;
    return true;
}

/* --- pieces --- */

static bool get_piece(struct reader *in, struct sealed_column *c, struct sealed_piece *p)
{
    size_t stored;

    if (!get_size(in, MOST_BYTES, &p->raw) || !get_size(in, MOST_BYTES, &p->packed) ||
        !varint_get(&in->r, &p->at) || p->at > MOST_PLACE || bytes_left(&in->r) < sizeof(p->sum))
        return false;
    memcpy(&p->sum, in->r.p, sizeof(p->sum));
    p->sum = le32toh(p->sum);
    in->r.p += sizeof(p->sum);
    stored = p->packed ? p->packed : p->raw;
    c->summary.bytes += stored;
    if (p->at)
        return true;
    if (stored > bytes_left(&in->r))
        return false;
    p->inside = (struct str){ (const char *)in->r.p, stored };
    in->r.p += stored;
    return true;
}

/* Some pieces behind those it has: `raw` bytes each, 0 = any. */
static bool get_pieces(struct reader *in, struct sealed_column *c, size_t n, size_t raw)
{
    for (size_t i = 0; i < n; i++) {
        struct sealed_piece *p = &c->pieces[c->npieces];

        if (!get_piece(in, c, p) || (raw && p->raw != raw))
            return false;
        c->npieces++;
    }
    return true;
}

static bool make_pieces(struct reader *in, struct sealed_column *c, size_t n)
{
    c->pieces = arena_array(in->a, n, sizeof(*c->pieces));
    in->no_memory = !c->pieces;
    return c->pieces != NULL;
}

/* --- bodies --- */

static bool get_range(struct reader *in, struct event_summary *s)
{
    uint64_t range;

    if (!get_number(in, &s->min) || !varint_get(&in->r, &range))
        return false;
    s->max = (int64_t)((uint64_t)s->min + range);
    return s->max >= s->min;
}

static bool get_const(struct reader *in, struct sealed_column *c)
{
    c->summary.distinct = 1;
    if (c->summary.is_text)
        return get_text(in, &c->constant.s);
    if (!get_number(in, &c->constant.i))
        return false;
    c->summary.min = c->summary.max = c->constant.i;
    return true;
}

static bool get_codes(struct reader *in, struct sealed_column *c, size_t distinct)
{
    unsigned bits = block_code_bits(distinct);

    return get_pieces(in, c, bits > 8 ? 2 : 1, block_packed_bytes(in->rows, bits > 8 ? 8 : bits));
}

static bool get_dictionary(struct reader *in, struct sealed_column *c)
{
    uint32_t distinct;

    if (!get_size(in, EVENT_SOURCE_ROWS, &distinct) || distinct == 0)
        return false;
    c->summary.distinct = distinct;
    return (c->summary.is_text || get_range(in, &c->summary)) && make_pieces(in, c, 4) &&
           get_pieces(in, c, c->summary.is_text ? 2 : 1, 0) && get_codes(in, c, distinct);
}

/* Behind the pieces that there are. */
static bool get_planes(struct reader *in, struct sealed_column *c, size_t rows)
{
    uint8_t unit, bits;

    if (!get_byte(in, &unit) || unit >= BLOCK_UNITS || !get_byte(in, &bits) || bits > 64)
        return false;
    c->unit = block_units[unit];
    c->bits = bits;
    for (size_t plane = 0; 8 * plane < bits; plane++)
        if (!get_pieces(in, c, 1, block_packed_bytes(rows, block_plane_bits(bits, plane))))
            return false;
    return true;
}

static bool get_beside(struct reader *in, struct sealed_column *c)
{
    struct str name;

    if (!get_text(in, &name) || !get_number(in, &c->least))
        return false;
    c->beside = event_column_index(in->kind, name);
    return c->beside >= 0;
}

static bool get_rare(struct reader *in, struct sealed_column *c)
{
    c->rare = true;
    return get_number(in, &c->usual) && get_size(in, in->rows, &c->nrare) && get_pieces(in, c, 1, (in->rows + 7) / 8) &&
           get_number(in, &c->least);
}

static bool get_ints(struct reader *in, struct sealed_column *c, uint8_t form)
{
    c->beside = -1;
    if (!make_pieces(in, c, 1 + sizeof(uint64_t)))
        return false;
    if (c->kind == BLOCK_TIME)
        return get_number(in, &c->first) && get_planes(in, c, in->rows);
    if (!get_range(in, &c->summary))
        return false;
    c->least = c->summary.min;
    if (((form & BLOCK_BESIDE) && !get_beside(in, c)) || ((form & BLOCK_RARE) && !get_rare(in, c)))
        return false;
    return get_planes(in, c, c->rare ? c->nrare : in->rows);
}

/* How many ids each shelf has, and where they are. */
static bool get_shelves(struct reader *in, struct sealed_column *c, size_t kept)
{
    size_t n = (size_t)1 << block_shelf_bits(c->nids), average = c->nids / n;
    uint32_t *shelves = arena_array(in->a, n + 1, sizeof(*shelves));
    uint64_t count;

    in->no_memory = !shelves;
    for (size_t i = 0; shelves && i < n; i++) {
        if (!varint_get(&in->r, &count))
            return false;
        count = average + unzigzag(count);
        if (count > c->nids - shelves[i])
            return false;
        shelves[i + 1] = shelves[i] + (uint32_t)count;
        c->summary.bytes += count && kept ? count * kept + SHELF_SUM : 0;
    }
    c->shelves = shelves;
    return shelves && shelves[n] == c->nids && varint_get(&in->r, &c->shelves_at) && c->shelves_at < MOST_PLACE;
}

static bool get_ids(struct reader *in, struct sealed_column *c)
{
    size_t width, planes;
    uint8_t id;

    if (!get_byte(in, &id) || id == EVENT_ID_NONE || id > EVENT_ID_UUID || !get_size(in, in->rows / 8, &c->nodd) ||
        !get_size(in, in->rows, &c->nids))
        return false;
    c->id = id;
    c->summary.id_length = c->nodd ? 0 : (uint32_t)event_id_length(c->id);
    c->summary.filtered = true;
    width = event_id_width(c->id);
    if (!get_byte(in, &c->key) || c->key >= width || !get_size(in, (1u << width) - 1, &c->id_planes) ||
        (c->id_planes >> c->key & 1))
        return false;
    planes = (size_t)__builtin_popcount(c->id_planes);
    return get_shelves(in, c, width - 1 - planes) && make_pieces(in, c, 3 + planes) &&
           (c->nids == in->rows || get_pieces(in, c, 1, (in->rows + 7) / 8)) &&
           get_pieces(in, c, 1 + planes, c->nids) &&
           (c->nodd == 0 || get_pieces(in, c, 1, 0));
}

static bool get_frames(struct reader *in, struct sealed_column *c)
{
    uint32_t frames, rows, *first;
    size_t end = 0;

    if (!get_size(in, in->rows, &frames) || frames > bytes_left(&in->r))
        return false;
    first = arena_alloc(in->a, (frames + 1) * sizeof(*first));
    in->no_memory = !first;
    if (!first)
        return false;
    for (uint32_t i = 0; i < frames; i++) {
        first[i] = (uint32_t)end;
        if (!get_size(in, in->rows - end, &rows) || rows == 0)
            return false;
        end += rows;
    }
    first[frames] = (uint32_t)end;
    c->first_rows = first;
    c->nframes = frames;
    return end == in->rows;
}

static bool get_templates(struct reader *in, struct sealed_column *c)
{
    if (!get_size(in, TEMPLATE_HOLES, &c->holes) || !make_pieces(in, c, 3 + c->holes * sizeof(uint64_t)) ||
        !get_pieces(in, c, 1, 0) || !get_codes(in, c, c->templates))
        return false;
    for (size_t i = 0; i < c->holes; i++)
        if (!get_byte(in, &c->hole_bits[i]) || c->hole_bits[i] > 64 ||
            !get_pieces(in, c, (c->hole_bits[i] + 7u) / 8, 0))
            return false;
    return true;
}

static bool get_texts(struct reader *in, struct sealed_column *c)
{
    if (!get_frames(in, c) || !get_size(in, in->rows, &c->templates))
        return false;
    if (c->templates)
        return get_templates(in, c);
    return make_pieces(in, c, c->nframes) && get_pieces(in, c, c->nframes, 0);
}

static bool get_filter(struct reader *in, struct sealed_column *c)
{
    uint32_t bytes;

    if (!c->summary.is_text || c->summary.form == EVENT_FORM_CONST || c->summary.form == EVENT_FORM_IDS)
        return true;
    if (!get_size(in, (size_t)EVENT_FILTER_MOST_SLICES * EVENT_FILTER_SLICE, &bytes) || bytes % 32)
        return false;
    c->filter_bytes = bytes;
    c->summary.filtered = bytes > 0;
    return bytes == 0 || (varint_get(&in->r, &c->filter_at) && c->filter_at < MOST_PLACE);
}

static bool get_body(struct reader *in, struct sealed_column *c, uint8_t form)
{
    switch (c->summary.form) {
    case EVENT_FORM_CONST:
        return get_const(in, c);
    case EVENT_FORM_DICT:
        return get_dictionary(in, c);
    case EVENT_FORM_INTS:
        return !c->summary.is_text && get_ints(in, c, form);
    case EVENT_FORM_IDS:
        return c->summary.is_text && get_ids(in, c);
    case EVENT_FORM_TEXTS:
        return c->summary.is_text && get_texts(in, c);
    }
    return false;
}

static bool get_column(struct reader *in, struct sealed_column *c)
{
    uint8_t kind, form;

    if (!get_byte(in, &kind) || kind > BLOCK_FIXED)
        return false;
    c->kind = kind;
    if ((kind == BLOCK_FIXED || kind == BLOCK_ATTRIBUTE) && !get_text(in, &c->name))
        return false;
    if (!get_byte(in, &form))
        return false;
    c->summary = (struct event_summary){ .form = form & BLOCK_FORM, .is_text = form & BLOCK_TEXT,
                                         .has_unset = form & BLOCK_UNSET };
    return get_body(in, c, form) && get_filter(in, c);
}

/* --- columns --- */

static bool place_column(struct sealed_directory *d, const struct sealed_column *c, size_t i)
{
    int at;

    if ((i == 0) != (c->kind == BLOCK_TIME))
        return false;
    switch (c->kind) {
    case BLOCK_TIME:
        return c->summary.form == EVENT_FORM_INTS;
    case BLOCK_ATTRIBUTE:
        d->nattributes++;
        return c->summary.is_text;
    case BLOCK_OVERFLOW:
        d->overflow = c;
        return c->summary.is_text;
    default:
        at = event_column_index(d->kind, c->name);
        if (at >= 0 && event_tables[d->kind].columns[at].is_text == c->summary.is_text)
            d->fixed[at] = c;
        return true;
    }
}

static int get_columns(struct sealed_directory *d, struct str bytes, struct arena *a, struct err *e)
{
    struct reader in = { bytes_of(bytes), a, d->kind, d->n, false };

    if (d->ncolumns == 0 || d->ncolumns > bytes.n / COLUMN_BYTES)
        return err_set(e, ERR_CORRUPT, "block: %zu columns in %zu bytes", d->ncolumns, bytes.n);
    d->columns = arena_array(a, d->ncolumns, sizeof(*d->columns));
    if (!d->columns)
        return err_set(e, ERR_NOMEM, "no memory for a block of %zu columns", d->ncolumns);
    for (size_t i = 0; i < d->ncolumns; i++) {
        if (get_column(&in, &d->columns[i]) && place_column(d, &d->columns[i], i))
            continue;
        if (in.no_memory)
            return err_set(e, ERR_NOMEM, "no memory for a block of %zu columns", d->ncolumns);
        return err_set(e, ERR_CORRUPT, "block: column %zu of %zu malformed", i, d->ncolumns);
    }
    return bytes_left(&in.r) ? err_set(e, ERR_CORRUPT, "block: %zu bytes behind the columns", bytes_left(&in.r)) : 0;
}

/* --- the whole --- */

static int get_header(struct str bytes, struct sealed_directory *d, uint8_t *packing, uint32_t *raw, struct err *e)
{
    uint8_t kinds[4];
    uint32_t sizes[3];
    uint64_t sum, times[2];

    if (bytes.n < BLOCK_HEADER)
        return err_set(e, ERR_CORRUPT, "block: a directory of %zu bytes, too short", bytes.n);
    memcpy(&sum, bytes.p, sizeof(sum));
    memcpy(kinds, bytes.p + 8, sizeof(kinds));
    memcpy(sizes, bytes.p + 12, sizeof(sizes));
    memcpy(times, bytes.p + 24, sizeof(times));
    if (le64toh(sum) != str_hash_stable(str_from(bytes, BLOCK_SUMMED)))
        return err_set(e, ERR_CORRUPT, "block: the directory's checksum is wrong");
    if (kinds[0] > BLOCK_VERSION)
        return err_set(e, ERR_UNSUPPORTED, "block: version %u, this program knows %d", kinds[0], BLOCK_VERSION);
    if (kinds[0] && kinds[0] < BLOCK_VERSION)
        return err_set(e, ERR_UNSUPPORTED,
                       "block: version %u, of a vigla before its first release; this one reads version %d", kinds[0],
                       BLOCK_VERSION);
    *packing = kinds[2];
    *raw = le32toh(sizes[2]);
    *d = (struct sealed_directory){ .kind = kinds[1], .n = le32toh(sizes[0]), .ncolumns = le32toh(sizes[1]),
                                    .first_ns = (int64_t)le64toh(times[0]), .last_ns = (int64_t)le64toh(times[1]) };
    if (kinds[0] == 0 || kinds[1] >= EVENT_KINDS || kinds[2] > BLOCK_ZSTD || kinds[3])
        return err_set(e, ERR_CORRUPT, "block: version %u, table %u, packing %u unknown", kinds[0], kinds[1], kinds[2]);
    if (d->n == 0 || d->n > EVENT_SOURCE_ROWS)
        return err_set(e, ERR_CORRUPT, "block: %zu rows, should be 1 to %d", d->n, EVENT_SOURCE_ROWS);
    if (d->first_ns > d->last_ns)
        return err_set(e, ERR_CORRUPT, "block: its last time is before its first");
    if (*raw > MOST_BYTES || (*packing == BLOCK_PLAIN && *raw != bytes.n - BLOCK_HEADER))
        return err_set(e, ERR_CORRUPT, "block: columns of %u bytes in a directory of %zu", *raw, bytes.n);
    return 0;
}

/* *columns[0..raw), in `a`. */
static int unpack_columns(struct str stored, uint8_t packing, uint32_t raw, struct arena *a, struct str *columns,
                          struct err *e)
{
    char *to = arena_alloc(a, raw);
    int rc = 0;

    if (!to)
        return err_set(e, ERR_NOMEM, "no memory for a directory of %u bytes", raw);
    if (packing == BLOCK_ZSTD)
        rc = zstd_unpack_exact(stored, to, raw, e);
    else if (raw)
        memcpy(to, stored.p, raw);
    *columns = (struct str){ to, raw };
    return rc == 0 || rc == ERR_NOMEM ? rc : err_set(e, ERR_CORRUPT, "block: the directory does not unpack");
}

int sealed_directory_read(struct str bytes, struct arena *a, const struct sealed_directory **out, struct err *e)
{
    struct sealed_directory *d = ARENA_NEW(a, struct sealed_directory);
    struct str columns = STR_NULL;
    uint8_t packing = 0;
    uint32_t raw = 0;
    int rc;

    if (!d)
        return err_set(e, ERR_NOMEM, "no memory for a block's directory");
    rc = get_header(bytes, d, &packing, &raw, e);
    if (rc < 0)
        return rc;
    rc = unpack_columns(str_from(bytes, BLOCK_HEADER), packing, raw, a, &columns, e);
    if (rc < 0)
        return rc;
    *out = d;
    return get_columns(d, columns, a, e);
}
