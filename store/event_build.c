/* event_build.c: writing a block.
 *
 * Part 0, the directory:
 *
 *      0  u64  checksum (XXH3) of all that follows
 *      8  u8   version, 2
 *      9  u8   table: an enum event_kind, whose numbers never change
 *     10  u8   packing of the columns: 0 = none, 1 = zstd
 *     11  u8   0
 *     12  u32  rows
 *     16  u32  columns
 *     20  u32  length of the columns, unpacked
 *     24  i64  first time, ns
 *     32  i64  last time
 *     40       the columns, the times first; each is
 *              u8 kind    0 = times; 1 = an attribute; 2 = label sets (pack-internal.h) of attributes without a column;
 *                         3 = a fixed column
 *              text name  of kinds 1 and 3
 *              u8 form    an enum event_form | 8 when it is of texts | 16 when a row may be unset | of INTS 32 when
 *                         they are told by a column beside, or 64 when one value is usual and others rare
 *              its body, by its form
 *              of texts that are neither CONST nor IDS: bytes of the filter, 0 = none, else where its first slice is
 *
 * A body:
 *
 *      CONST   the text; or the number, zigzag
 *      DICT    how many values
 *              of numbers the least (zigzag), and what the greatest has more; a piece: how many rows each value has;
 *              the values, less the one before, zigzag
 *              of texts, sorted, a piece: how many rows each has; for each how many bytes it begins with in common with
 *              the one before, and how many more it has; a piece: these
 *              then the codes: a piece of as few bits as they need (block_code_bits), or two planes beyond 256 values
 *      INTS    the least (zigzag), what the greatest has more; then
 *              beside: the name of the other fixed column, which is of INTS and not beside itself; the least of what
 *              they have more than that one (zigzag), instead of the least itself
 *              rare: the usual value (zigzag); how many rows have another; a piece: which ones, a bit each, the first
 *              row in a byte's lowest bit; the least of these (zigzag); they alone are in the planes
 *              u8 unit (block_units), u8 bits; the planes of what each has more than the least, in the unit
 *      times   that of the first row (zigzag); u8 unit, u8 bits; the planes of what each has more than the row before,
 *              in the unit, zigzag (the first one's is 0)
 *      IDS     u8 an enum event_id; how many rows have another form, and how many an id
 *              u8 which byte of an id is its key; which bytes are far from noise (a UUID's version), as bits: planes
 *              for each shelf how many ids it has more than the average, zigzag; where the shelves are
 *              unless all rows have one, a piece: those that do, a bit each, the first row in a byte's lowest bit
 *              a piece: the keys, in the rows' order; the planes
 *              when there are any, a piece: rows of another form: row, less the one before, length, bytes
 *      TEXTS   how many frames, and how many rows each has; how many templates, 0 = none, and then for each frame a
 *              piece: lengths, then bytes
 *              else the most holes that one has; a piece: the templates (event_template-internal.h): lengths, then
 *              bytes; their codes, as for DICT; then, for each hole, from the first ones to the last ones, u8 bits
 *              and the planes of its numbers: those of rows whose template has that many
 *
 * A plane is a piece of a byte for each row: all lowest bytes of numbers of so many bits, all second ones, and so on;
 * the highest one may have 1, 2 or 4 bits for each row (block_plane_bits), the first row in a byte's lowest ones.
 *
 * A shelf holds the ids whose keys begin with its number in binary (block_shelf_bits says how many bits), in the rows'
 * order, without key and planes; u32 checksum; a shelf without ids has no bytes. So ids take no more room than as they
 * are, stand in the rows' order, and to look for one a shelf of about 4 KB is read: they need no filter.
 *
 * A piece is
 *
 *              length when unpacked; length as it is packed with zstd, 0 = it is not;
 *              where in the block's bytes it is, plus one; 0 = it stands here, behind the checksum; u32 checksum
 *
 * Fixed integers are little-endian, others are varints; a text is a length and bytes. Columns that are unset in every
 * row are left out; a reader passes over columns it does not know.
 *
 * The block's bytes are what stands not in the directory, one behind the other, in parts of BLOCK_PART_BYTES each, the
 * last one of what is left: the first byte of part 1 is byte 0. The slices of a filter (event_filter.c) stand one
 * behind the other, each with a checksum at its end. */
#include "store/event_build-internal.h"

#include "base/zip.h"
#include "store/event_attributes-internal.h"
#include "store/event_block_format-internal.h"
#include "store/event_sort-internal.h"
#include "store/event_pieces-internal.h"

#include <endian.h>

enum { LEVEL = 3 };

/* --- which rows --- */

static int check_picks(const struct event_picks *p, size_t *n, struct err *e)
{
    *n = 0;
    for (size_t i = 0; i < p->nsources; i++) {
        *n += p->n[i];
        if (p->sources[i]->kind != p->sources[0]->kind)
            return err_set(e, ERR_INVALID, "a block of rows of two tables");
    }
    if (*n == 0 || *n > EVENT_SOURCE_ROWS)
        return err_set(e, ERR_INVALID, "a block of %zu events, should be 1 to %d", *n, EVENT_SOURCE_ROWS);
    return 0;
}

/* All rows, as they were picked. The arrays are in the arena, to be sorted. */
static int pick(const struct event_picks *p, struct arena *a, struct event_gather *g, uint32_t **from, uint32_t **rows,
                struct err *e)
{
    size_t n, at = 0;
    int rc = check_picks(p, &n, e);

    if (rc < 0)
        return rc;
    *from = arena_alloc(a, n * sizeof(**from));
    *rows = arena_alloc(a, n * sizeof(**rows));
    if (!*from || !*rows)
        return err_set(e, ERR_NOMEM, "no memory for a block of %zu events", n);
    for (size_t i = 0; i < p->nsources; i++)
        for (size_t k = 0; k < p->n[i]; k++) {
            (*from)[at] = (uint32_t)i;
            (*rows)[at++] = p->rows[i][k];
        }
    *g = (struct event_gather){ .sources = p->sources, .nsources = p->nsources, .kind = p->sources[0]->kind, .n = n,
                                .from = *from, .rows = *rows };
    return 0;
}

/* --- columns --- */

static int build_times(struct event_pieces *w, struct event_gather *g, struct arena *a, struct event_built *out,
                       struct err *e)
{
    int64_t *ns = arena_alloc(a, g->n * sizeof(*ns));
    int rc = ns ? event_gather_times(g, ns, e) : err_set(e, ERR_NOMEM, "no memory for the times of %zu events", g->n);

    if (rc < 0)
        return rc;
    out->first_ns = out->last_ns = ns[0];
    for (size_t i = 1; i < g->n; i++) {
        out->first_ns = ns[i] < out->first_ns ? ns[i] : out->first_ns;
        out->last_ns = ns[i] > out->last_ns ? ns[i] : out->last_ns;
    }
    return event_pieces_times(w, ns, g->n, e);
}

/* Columns of numbers that are told by others: of what a request took, most is what its upstream took. */
static const struct {
    enum event_kind kind;
    int column, beside;
} besides[] = { { EVENT_ACCESS_LOG, ACCESS_LOG_duration_us, ACCESS_LOG_upstream_service_time_us } };

/* The numbers of the column that this one may be told by into *beside, whose ints are in `a`, NULL: there are none. */
static int find_beside(struct event_gather *g, struct event_field f, struct arena *a, struct event_beside *beside,
                       struct err *e)
{
    int64_t *ints = NULL;
    int rc = 0;

    for (size_t i = 0; i < sizeof(besides) / sizeof(besides[0]); i++) {
        struct event_coded d;

        if (besides[i].kind != g->kind || besides[i].column != f.column)
            continue;
        rc = event_gather_column(g, (struct event_field){ besides[i].beside, STR_NULL }, &d, e);
        if (rc < 0 || d.form != EVENT_FORM_INTS)
            break;
        ints = arena_alloc(a, g->n * sizeof(*ints));
        if (!ints)
            return err_set(e, ERR_NOMEM, "no memory for a column of %zu events", g->n);
        for (size_t k = 0; k < g->n; k++)
            ints[k] = d.values[k].i;
        beside->name = event_tables[g->kind].columns[besides[i].beside].name;
    }
    beside->ints = ints;
    return rc;
}

static int build_column(struct event_pieces *w, struct event_gather *g, int kind, struct event_field f, struct err *e)
{
    struct str name = f.column < 0 ? f.attribute : event_tables[g->kind].columns[f.column].name;
    struct arena a = ARENA_INIT(0); /* of a column beside */
    struct event_beside beside;
    struct event_coded d;
    int rc = find_beside(g, f, &a, &beside, e);

    rc = rc == 0 ? event_gather_column(g, f, &d, e) : rc;
    if (rc == 0 && (d.form != EVENT_FORM_CONST || !d.has_unset))
        rc = event_pieces_column(w, kind, name, &d, beside.ints ? &beside : NULL, e);
    arena_free(&a);
    return rc;
}

static int build_attributes(struct event_pieces *w, struct event_gather *g, struct arena *a, struct err *e)
{
    struct event_coded d;
    struct str *names;
    size_t n;
    int rc = event_gather_attributes(g, a, &names, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = build_column(w, g, BLOCK_ATTRIBUTE, (struct event_field){ -1, names[i] }, e);
    if (rc == 0)
        rc = event_gather_overflow(g, names, n, &d, e);
    if (rc == 0 && (d.form != EVENT_FORM_CONST || !d.has_unset))
        rc = event_pieces_column(w, BLOCK_OVERFLOW, STR_NULL, &d, NULL, e);
    return rc;
}

static int build_columns(struct event_pieces *w, struct event_gather *g, struct arena *a, struct event_built *out,
                         struct err *e)
{
    int rc = build_times(w, g, a, out, e);

    for (size_t i = 0; rc == 0 && i < event_tables[g->kind].n; i++)
        rc = build_column(w, g, BLOCK_FIXED, (struct event_field){ (int)i, STR_NULL }, e);
    return rc == 0 ? build_attributes(w, g, a, e) : rc;
}

/* --- the directory --- */

static void put_header(struct buf *b, const struct event_pieces *w, enum event_kind kind, bool packed,
                       const struct event_built *built)
{
    const uint8_t kinds[4] = { BLOCK_VERSION, (uint8_t)kind, packed ? BLOCK_ZSTD : BLOCK_PLAIN };
    const uint32_t sizes[3] = { htole32((uint32_t)built->rows), htole32(w->columns),
                                htole32((uint32_t)w->directory.n) };
    const uint64_t times[2] = { htole64((uint64_t)built->first_ns), htole64((uint64_t)built->last_ns) }, room = 0;

    buf_put(b, &room, sizeof(room));
    buf_put(b, kinds, sizeof(kinds));
    buf_put(b, sizes, sizeof(sizes));
    buf_put(b, times, sizeof(times));
}

static int put_directory(struct event_pieces *w, enum event_kind kind, const struct event_built *built, struct err *e)
{
    struct str columns = buf_view(&w->directory);
    bool packed;
    uint64_t sum;
    int rc;

    buf_reset(&w->packed);
    rc = zstd_pack(columns, LEVEL, &w->packed, e);
    if (rc < 0)
        return rc;
    packed = w->packed.n < columns.n;
    buf_reset(&w->raw);
    put_header(&w->raw, w, kind, packed, built);
    buf_str(&w->raw, packed ? buf_view(&w->packed) : columns);
    if (buf_failed(&w->raw))
        return err_set(e, ERR_NOMEM, "no memory for a block's directory");
    sum = htole64(str_hash_stable(str_from(buf_view(&w->raw), BLOCK_SUMMED)));
    memcpy(w->raw.p, &sum, sizeof(sum));
    return event_pieces_end(w, buf_view(&w->raw), e);
}

/* --- the whole --- */

static int build(struct event_gather *g, struct event_pieces *w, struct arena *a, uint32_t *from, uint32_t *rows,
                 struct event_built *out, struct err *e)
{
    int rc = event_sort(g, from, rows, e);

    if (rc == 0)
        rc = build_columns(w, g, a, out, e);
    return rc == 0 ? put_directory(w, g->kind, out, e) : rc;
}

int event_build(const struct event_picks *p, int (*put)(void *arg, uint32_t no, struct str body, struct err *e),
                void *arg, struct event_built *out, struct err *e)
{
    struct arena a = ARENA_INIT(0);
    struct event_gather g;
    struct event_pieces w;
    uint32_t *from, *rows;
    int rc = pick(p, &a, &g, &from, &rows, e);

    if (rc == 0)
        rc = event_gather_init(&g, e);
    if (rc < 0) {
        arena_free(&a);
        return rc;
    }
    *out = (struct event_built){ .rows = g.n };
    rc = event_pieces_init(&w, &g.coder, put, arg, e);
    if (rc == 0)
        rc = build(&g, &w, &a, from, rows, out, e);
    out->bytes = w.bytes;
    out->parts = w.parts;
    event_pieces_fini(&w);
    event_gather_fini(&g);
    arena_free(&a);
    return rc;
}
