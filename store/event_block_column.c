/* event_block_column.c: a block's columns: pieces are read, summed, unpacked and tested when somebody asks for them. */
#include "store/event_block-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/event_block_format-internal.h"

/* Of a dictionary, together: more than any that was written has. */
enum { MOST_TEXTS = 2 * EVENT_BLOCK_BYTES };

int sealed_no_memory(const struct sealed *b, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a column of a block of %zu events", b->source.n);
}

int sealed_malformed(const struct sealed_column *c, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "block: column \"%.*s\": %s malformed", STR_ARG(c->name), what);
}

/* --- pieces --- */

int sealed_bytes_read(struct sealed *b, uint64_t at, size_t n, void *to, struct err *e)
{
    char *next = to;
    int rc = 0;

    while (rc == 0 && n) {
        uint32_t part = (uint32_t)(at / BLOCK_PART_BYTES);
        size_t from = at % BLOCK_PART_BYTES, some = BLOCK_PART_BYTES - from;

        some = n < some ? n : some;
        rc = b->read(b->arg, 1 + part, from, some, next, e);
        next += some;
        at += some;
        n -= some;
    }
    return rc;
}

static int read_stored(struct sealed *b, const struct sealed_piece *p, size_t n, char *to, struct err *e)
{
    int rc = sealed_bytes_read(b, p->at - 1, n, to, e);

    if (rc == 0 && block_sum((struct str){ to, n }) != p->sum)
        rc = err_set(e, ERR_CORRUPT, "block: %zu bytes at %llu: checksum wrong", n, (unsigned long long)p->at - 1);
    return rc;
}

static int unpack(struct str packed, char *to, size_t n, struct err *e)
{
    int rc = zstd_unpack_exact(packed, to, n, e);

    return rc == 0 || rc == ERR_NOMEM ? rc : err_set(e, ERR_CORRUPT, "block: a piece of %zu bytes does not unpack", n);
}

static int unpack_part(struct sealed *b, const struct sealed_piece *p, char *to, struct err *e)
{
    char *packed = mem_alloc(p->packed);
    int rc = packed ? read_stored(b, p, p->packed, packed, e) : sealed_no_memory(b, e);

    if (rc == 0)
        rc = unpack((struct str){ packed, p->packed }, to, p->raw, e);
    mem_free(packed);
    return rc;
}

/* to[0..p->raw) */
int sealed_piece_load(struct sealed *b, const struct sealed_piece *p, char *to, struct err *e)
{
    if (p->at)
        return p->packed ? unpack_part(b, p, to, e) : read_stored(b, p, p->raw, to, e);
    if (p->packed)
        return unpack(p->inside, to, p->raw, e);
    if (p->raw)
        memcpy(to, p->inside.p, p->raw);
    return 0;
}

/* In the arena, or where it stands inside. */
int sealed_piece_get(struct sealed *b, const struct sealed_piece *p, struct arena *a, struct bytes *out, struct err *e)
{
    char *to;
    int rc;

    if (!p->at && !p->packed) {
        *out = bytes_of(p->inside);
        return 0;
    }
    to = arena_alloc(a, p->raw);
    if (!to)
        return sealed_no_memory(b, e);
    rc = sealed_piece_load(b, p, to, e);
    *out = (struct bytes){ (const uint8_t *)to, (const uint8_t *)to + p->raw };
    return rc;
}

/* --- planes --- */

/* Inlined for each number of bits: all but one shift is known at compile time. 2^shift share a byte. */
static inline void spread(uint8_t *v, size_t n, unsigned bits, unsigned shift)
{
    for (size_t i = n; i-- > 0;)
        v[i] = v[i >> shift] >> (i & ((1u << shift) - 1)) * bits & ((1u << bits) - 1);
}

/* From several in a byte to one in each, in place: from the last one on, which never meets one that is still
 * to come. */
static void spread_out(uint8_t *v, size_t n, unsigned bits)
{
    switch (bits) {
    case 1:
        spread(v, n, 1, 3);
        break;
    case 2:
        spread(v, n, 2, 2);
        break;
    case 4:
        spread(v, n, 4, 1);
        break;
    }
}

int sealed_plane_get(struct sealed *b, const struct sealed_piece *p, unsigned bits, size_t n, struct arena *a,
                     const uint8_t **to, struct err *e)
{
    struct bytes r = { NULL, NULL };
    uint8_t *v;
    int rc;

    if (bits == 8) {
        rc = sealed_piece_get(b, p, a, &r, e);
        *to = r.p;
        return rc;
    }
    v = arena_alloc(a, n + 1);
    rc = v ? sealed_piece_load(b, p, (char *)v, e) : sealed_no_memory(b, e);
    if (rc == 0)
        spread_out(v, n, bits);
    *to = v;
    return rc;
}

/* --- numbers --- */

/* Adds up the planes of n rows. */
static int get_planes(struct sealed *b, const struct sealed_piece *pieces, unsigned bits, size_t n, uint64_t *to,
                      struct err *e)
{
    uint8_t *plane = mem_alloc(n + 1);
    int rc = plane ? 0 : sealed_no_memory(b, e);

    memset(to, 0, n * sizeof(*to));
    for (size_t w = 0; rc == 0 && 8 * w < bits; w++) {
        rc = sealed_piece_load(b, &pieces[w], (char *)plane, e);
        if (rc == 0)
            spread_out(plane, n, block_plane_bits(bits, w));
        for (size_t i = 0; rc == 0 && i < n; i++)
            to[i] |= (uint64_t)plane[i] << 8 * w;
    }
    mem_free(plane);
    return rc;
}

/* Puts the rare ones, v[0..c->nrare), where their rows are, and the usual one elsewhere: from the last row on. */
static bool spread_rare(const struct sealed_column *c, const uint8_t *bits, uint64_t *v, size_t n)
{
    size_t left = c->nrare;

    for (size_t i = n; i-- > 0;) {
        bool rare = bits[i / 8] >> i % 8 & 1;

        if (rare && left == 0)
            return false;
        v[i] = rare ? v[--left] : (uint64_t)c->usual;
    }
    return left == 0;
}

/* Adds what the column beside has. */
static int add_beside(struct sealed_view *v, uint64_t *to, struct err *e)
{
    const struct sealed_column *c = v->column, *other = v->block->directory->fixed[c->beside];
    struct sealed_view *beside = NULL;
    int rc;

    if (!other || other->summary.form != EVENT_FORM_INTS || other->beside >= 0)
        return sealed_malformed(c, "the column beside", e);
    rc = sealed_view_new(v->block, other, v->view.arena, &beside, e);
    rc = rc == 0 ? sealed_view_rows(beside, e) : rc;
    for (size_t i = 0; rc == 0 && i < v->view.n; i++)
        to[i] += (uint64_t)beside->view.ints[i];
    return rc;
}

/* From what is in the planes to the numbers. */
static int finish_ints(struct sealed_view *v, uint64_t *to, size_t n, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct bytes bits;
    int rc = 0;

    for (size_t i = 0; i < n; i++)
        to[i] = (uint64_t)c->least + to[i] * (uint64_t)c->unit;
    if (c->beside >= 0)
        return add_beside(v, to, e);
    if (c->rare)
        rc = sealed_piece_get(v->block, &c->pieces[0], v->view.arena, &bits, e);
    return rc == 0 && c->rare && !spread_rare(c, bits.p, to, v->view.n) ? sealed_malformed(c, "rare rows", e) : rc;
}

static bool all_within(const struct event_summary *s, const int64_t *v, size_t n)
{
    int64_t least = INT64_MAX, most = INT64_MIN;

    for (size_t i = 0; i < n; i++) {
        least = v[i] < least ? v[i] : least;
        most = v[i] > most ? v[i] : most;
    }
    return least >= s->min && most <= s->max;
}

static int get_ints(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t n = c->rare ? c->nrare : v->view.n, before = c->rare ? 1 : 0;
    uint64_t *to = arena_alloc(v->view.arena, v->view.n * sizeof(*to));
    int rc = to ? get_planes(v->block, c->pieces + before, c->bits, n, to, e) : sealed_no_memory(v->block, e);

    rc = rc == 0 ? finish_ints(v, to, n, e) : rc;
    v->view.ints = (const int64_t *)to;
    return rc == 0 && !all_within(&c->summary, v->view.ints, v->view.n) ? sealed_malformed(c, "a number", e) : rc;
}

static int get_times(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    const struct event_source *s = &v->block->source;
    uint64_t *to = arena_alloc(v->view.arena, s->n * sizeof(*to)), now = (uint64_t)c->first;
    int rc = to ? get_planes(v->block, c->pieces, c->bits, s->n, to, e) : sealed_no_memory(v->block, e);
    bool inside = true;

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->n; i++) {
        now += unzigzag(to[i]) * (uint64_t)c->unit;
        to[i] = now;
        inside &= (int64_t)now >= s->first_ns && (int64_t)now <= s->last_ns;
    }
    v->view.ints = (const int64_t *)to;
    return inside ? 0 : sealed_malformed(c, "a time", e);
}

/* --- dictionaries --- */

static bool get_counts(struct bytes *r, size_t distinct, size_t rows, uint32_t *counts)
{
    uint64_t count, sum = 0;

    for (size_t i = 0; i < distinct; i++) {
        if (!varint_get(r, &count) || count > rows)
            return false;
        counts[i] = (uint32_t)count;
        sum += count;
    }
    return sum == rows;
}

/* How much each text begins like the one before, and how much it has more: values[i].s.n is its length, common[i] what
 * is taken from the one before. *bytes: of all. */
static bool get_lengths(struct bytes *r, size_t distinct, union event_value *values, uint32_t *common, size_t *bytes)
{
    size_t before = 0;
    uint64_t shared, more;

    *bytes = 0;
    for (size_t i = 0; i < distinct; i++) {
        if (!varint_get(r, &shared) || shared > before || !varint_get(r, &more) || more > MOST_TEXTS)
            return false;
        common[i] = (uint32_t)shared;
        before = values[i].s.n = shared + more;
        *bytes += before;
        if (*bytes > MOST_TEXTS)
            return false;
    }
    return true;
}

/* to[]: as much as get_lengths said. */
static bool get_ends(struct bytes ends, size_t distinct, union event_value *values, const uint32_t *common, char *to)
{
    const char *before = to;

    for (size_t i = 0; i < distinct; i++) {
        size_t more = values[i].s.n - common[i];

        if (more > bytes_left(&ends))
            return false;
        memcpy(to, before, common[i]);
        if (more)
            memcpy(to + common[i], ends.p, more);
        ends.p += more;
        before = values[i].s.p = to;
        to += values[i].s.n;
    }
    return bytes_left(&ends) == 0;
}

static int get_sorted(struct sealed_view *v, struct bytes *r, union event_value *values, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t distinct = c->summary.distinct, bytes;
    uint32_t *common = arena_alloc(v->view.arena, distinct * sizeof(*common));
    struct bytes ends;
    char *to;
    int rc;

    if (!common)
        return sealed_no_memory(v->block, e);
    if (!get_lengths(r, distinct, values, common, &bytes))
        return sealed_malformed(c, "lengths of values", e);
    to = arena_alloc(v->view.arena, bytes);
    rc = to ? sealed_piece_get(v->block, &c->pieces[1], v->view.arena, &ends, e) : sealed_no_memory(v->block, e);
    return rc == 0 && !get_ends(ends, distinct, values, common, to) ? sealed_malformed(c, "values", e) : rc;
}

static int open_dictionary(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t distinct = c->summary.distinct;
    struct bytes r;
    uint32_t *counts;
    union event_value *values;
    int rc = sealed_piece_get(v->block, &c->pieces[0], v->view.arena, &r, e);

    if (rc < 0)
        return rc;
    if (bytes_left(&r) < 2 * distinct)
        return sealed_malformed(c, "values", e);
    counts = arena_alloc(v->view.arena, distinct * sizeof(*counts));
    values = arena_alloc(v->view.arena, distinct * sizeof(*values));
    if (!counts || !values)
        return sealed_no_memory(v->block, e);
    if (!get_counts(&r, distinct, v->view.n, counts))
        return sealed_malformed(c, "counts", e);
    if (c->summary.is_text)
        rc = get_sorted(v, &r, values, e);
    else if (!event_get_numbers(&r, distinct, values))
        rc = sealed_malformed(c, "values", e);
    if (rc == 0 && bytes_left(&r))
        rc = sealed_malformed(c, "values", e);
    v->view.counts = counts;
    v->view.values = values;
    v->view.distinct = distinct;
    return rc;
}

static int get_wide_codes(struct sealed_view *v, const struct sealed_piece *planes, const uint16_t **codes,
                          struct err *e)
{
    struct bytes low, high;
    uint16_t *to = arena_alloc(v->view.arena, v->view.n * sizeof(*to));
    int rc = to ? sealed_piece_get(v->block, &planes[0], v->view.arena, &low, e) : sealed_no_memory(v->block, e);

    rc = rc == 0 ? sealed_piece_get(v->block, &planes[1], v->view.arena, &high, e) : rc;
    for (size_t i = 0; rc == 0 && i < v->view.n; i++)
        to[i] = (uint16_t)(low.p[i] | high.p[i] << 8);
    *codes = to;
    return rc;
}

int sealed_codes_get(struct sealed_view *v, const struct sealed_piece *pieces, size_t distinct, const uint8_t **codes8,
                     const uint16_t **codes16, struct err *e)
{
    unsigned bits = block_code_bits(distinct);
    int rc;

    *codes8 = NULL;
    *codes16 = NULL;
    rc = bits > 8 ? get_wide_codes(v, pieces, codes16, e)
                  : sealed_plane_get(v->block, pieces, bits, v->view.n, v->view.arena, codes8, e);
    if (rc == 0 && !event_codes_below(*codes8, *codes16, v->view.n, distinct))
        rc = sealed_malformed(v->column, "a code", e);
    return rc;
}

static int get_codes(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;

    return sealed_codes_get(v, c->pieces + (c->summary.is_text ? 2 : 1), v->view.distinct, &v->view.codes8,
                            &v->view.codes16, e);
}

/* --- views --- */

int sealed_view_open(struct sealed_view *v, struct err *e)
{
    int rc = 0;

    if (v->is_open)
        return 0;
    if (v->view.form == EVENT_FORM_DICT)
        rc = open_dictionary(v, e);
    if (v->view.form == EVENT_FORM_CONST) {
        v->view.values = &v->column->constant;
        v->view.distinct = 1;
    }
    v->is_open = rc == 0;
    return rc;
}

int sealed_view_rows(struct sealed_view *v, struct err *e)
{
    int rc = sealed_view_open(v, e);

    if (rc < 0 || v->has_rows)
        return rc;
    switch (v->view.form) {
    case EVENT_FORM_CONST:
        break;
    case EVENT_FORM_DICT:
        rc = get_codes(v, e);
        break;
    case EVENT_FORM_INTS:
        rc = (v->column->kind == BLOCK_TIME ? get_times : get_ints)(v, e);
        break;
    case EVENT_FORM_IDS:
        rc = sealed_ids_get(v, e);
        break;
    case EVENT_FORM_TEXTS:
        rc = sealed_texts_get(v, e);
        break;
    }
    v->has_rows = rc == 0;
    return rc;
}

int sealed_view_new(struct sealed *b, const struct sealed_column *c, struct arena *a, struct sealed_view **out,
                     struct err *e)
{
    struct sealed_view *v = ARENA_NEW(a, struct sealed_view);

    if (!v)
        return sealed_no_memory(b, e);
    v->view = (struct event_view){ .form = c->summary.form, .is_text = c->summary.is_text, .n = b->source.n,
                                   .arena = a };
    v->column = c;
    v->block = b;
    *out = v;
    return 0;
}

/* The source's own view of a column. */
int sealed_own_view(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e)
{
    struct sealed_view **own = &b->views[c - b->directory->columns];
    int rc = *own ? 0 : sealed_view_new(b, c, b->source.arena, own, e);

    *out = *own;
    return rc;
}

int sealed_own_rows(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e)
{
    int rc = sealed_own_view(b, c, out, e);

    return rc == 0 ? sealed_view_rows(*out, e) : rc;
}
