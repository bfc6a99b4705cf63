/* event_block_column.c: a block's columns: pieces are read, summed, unpacked and tested when somebody asks for them. */
#include "store/event_block-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/event_block_format-internal.h"

int sealed_no_memory(const struct sealed *b, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a column of a block of %zu events", b->source.n);
}

int sealed_malformed(const struct sealed_column *c, const char *what, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "block: column \"%.*s\": %s malformed", STR_ARG(c->name), what);
}

/* --- pieces --- */

static int read_stored(struct sealed *b, const struct sealed_piece *p, size_t n, char *to, struct err *e)
{
    int rc = b->read(b->arg, p->part, 0, n, to, e);

    if (rc == 0 && block_sum((struct str){ to, n }) != p->sum)
        rc = err_set(e, ERR_CORRUPT, "block: part %u: checksum wrong", p->part);
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
    if (p->part)
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

    if (!p->part && !p->packed) {
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

/* --- numbers --- */

/* Adds up the planes of all rows. */
static int get_planes(struct sealed *b, const struct sealed_piece *pieces, size_t width, uint64_t *to, struct err *e)
{
    size_t n = b->source.n;
    uint8_t *plane = mem_alloc(n);
    int rc = plane ? 0 : sealed_no_memory(b, e);

    memset(to, 0, n * sizeof(*to));
    for (size_t w = 0; rc == 0 && w < width; w++) {
        rc = sealed_piece_load(b, &pieces[w], (char *)plane, e);
        for (size_t i = 0; rc == 0 && i < n; i++)
            to[i] |= (uint64_t)plane[i] << 8 * w;
    }
    mem_free(plane);
    return rc;
}

/* Whether all are within what the summary says; then they are what it says of them. */
static bool add_to_least(const struct sealed_column *c, uint64_t *v, size_t n)
{
    uint64_t unit = (uint64_t)c->unit, min = (uint64_t)c->summary.min, range = (uint64_t)c->summary.max - min, most = 0;

    for (size_t i = 0; i < n; i++)
        most = v[i] > most ? v[i] : most;
    if (most > range / unit)
        return false;
    for (size_t i = 0; i < n; i++)
        v[i] = min + v[i] * unit;
    return true;
}

static bool add_to_before(const struct sealed_column *c, const struct event_source *s, uint64_t *v)
{
    uint64_t now = (uint64_t)c->first;
    bool inside = true;

    for (size_t i = 0; i < s->n; i++) {
        now += unzigzag(v[i]) * (uint64_t)c->unit;
        v[i] = now;
        inside &= (int64_t)now >= s->first_ns && (int64_t)now <= s->last_ns;
    }
    return inside;
}

static int get_ints(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    uint64_t *to = arena_alloc(v->view.arena, v->view.n * sizeof(*to));
    int rc = to ? get_planes(v->block, c->pieces, c->npieces, to, e) : sealed_no_memory(v->block, e);
    bool good;

    if (rc < 0)
        return rc;
    good = c->kind == BLOCK_TIME ? add_to_before(c, &v->block->source, to) : add_to_least(c, to, v->view.n);
    v->view.ints = (const int64_t *)to;
    return good ? 0 : sealed_malformed(c, "a number", e);
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
    if (!get_counts(&r, distinct, v->view.n, counts) ||
        !(c->summary.is_text ? event_get_texts : event_get_numbers)(&r, distinct, values) || bytes_left(&r))
        return sealed_malformed(c, "values", e);
    v->view.counts = counts;
    v->view.values = values;
    v->view.distinct = distinct;
    return 0;
}

/* Inlined for each number of bits, so that nothing is computed per row but a shift. */
static inline void spread(const uint8_t *from, size_t n, unsigned bits, uint8_t *to)
{
    const unsigned each = 8 / bits, mask = (1u << bits) - 1;
    size_t i = 0;

    for (; n - i >= each; from++)
        for (unsigned k = 0; k < each; k++)
            to[i++] = (uint8_t)(*from >> k * bits & mask);
    for (unsigned k = 0; i < n; k++)
        to[i++] = (uint8_t)(*from >> k * bits & mask);
}

static void spread_codes(const uint8_t *from, size_t n, unsigned bits, uint8_t *to)
{
    switch (bits) {
    case 1:
        spread(from, n, 1, to);
        break;
    case 2:
        spread(from, n, 2, to);
        break;
    default:
        spread(from, n, 4, to);
    }
}

/* Several in a byte. */
static int get_small_codes(struct sealed_view *v, const struct sealed_piece *p, unsigned bits, const uint8_t **codes,
                           struct err *e)
{
    size_t n = v->view.n;
    struct bytes r = { NULL, NULL };
    uint8_t *to;
    int rc = sealed_piece_get(v->block, p, v->view.arena, &r, e);

    *codes = r.p;
    if (rc < 0 || bits == 8)
        return rc;
    to = arena_alloc(v->view.arena, n);
    if (!to)
        return sealed_no_memory(v->block, e);
    spread_codes(r.p, n, bits, to);
    *codes = to;
    return 0;
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
    rc = bits > 8 ? get_wide_codes(v, pieces, codes16, e) : get_small_codes(v, pieces, bits, codes8, e);
    if (rc == 0 && !event_codes_below(*codes8, *codes16, v->view.n, distinct))
        rc = sealed_malformed(v->column, "a code", e);
    return rc;
}

static int get_codes(struct sealed_view *v, struct err *e)
{
    return sealed_codes_get(v, v->column->pieces + 1, v->view.distinct, &v->view.codes8, &v->view.codes16, e);
}

/* --- ids --- */

/* Where an id's bytes come from: runs of noise, and planes. */
struct id_parts {
    const uint8_t *noise;
    const struct bytes *planes;
    size_t width, apart, nplanes, nruns;                   /* apart: bytes of noise of an id */
    uint8_t plane_to[EVENT_ID_BYTES];                      /* of each plane: the byte it is */
    uint8_t run_from[EVENT_ID_BYTES], run_to[EVENT_ID_BYTES]; /* of each run: its first byte, in the noise and in the id */
};

static struct id_parts id_parts_of(const struct bytes *noise, const struct bytes *planes, uint32_t which, size_t width)
{
    struct id_parts p = { .noise = noise->p, .planes = planes, .width = width };
    bool in_run = false;

    for (size_t byte = 0; byte < width; byte++) {
        bool is_plane = which >> byte & 1;

        if (is_plane) {
            p.plane_to[p.nplanes++] = (uint8_t)byte;
        } else if (!in_run) {
            p.run_from[p.nruns] = (uint8_t)p.apart;
            p.run_to[p.nruns++] = (uint8_t)byte;
        }
        p.apart += !is_plane;
        in_run = !is_plane;
    }
    return p;
}

/* A run is copied with what follows it, EVENT_ID_BYTES in all, which costs less than to copy just as much as it has; what is
 * too much is written over by the next runs and ids. */
static void join_by_runs(const struct id_parts *p, size_t i, uint8_t *to)
{
    for (size_t k = 0; k < p->nruns; k++)
        memcpy(to + i * p->width + p->run_to[k], p->noise + i * p->apart + p->run_from[k], EVENT_ID_BYTES);
    for (size_t k = 0; k < p->nplanes; k++)
        to[i * p->width + p->plane_to[k]] = p->planes[k].p[i];
}

static void join_by_bytes(const struct id_parts *p, uint32_t which, size_t i, uint8_t *to)
{
    const uint8_t *from = p->noise + i * p->apart;

    for (size_t byte = 0, plane = 0; byte < p->width; byte++)
        to[i * p->width + byte] = which >> byte & 1 ? p->planes[plane++].p[i] : *from++;
}

/* The ids' bytes: those that are planes from these, the others one id behind the other. */
static void join_bytes(const struct bytes *noise, const struct bytes *planes, uint32_t which, size_t width, size_t n,
                       uint8_t *to)
{
    const struct id_parts p = id_parts_of(noise, planes, which, width);
    size_t i = 0;

    for (; n - i > EVENT_ID_BYTES; i++) /* of the last ones a run has too little behind it */
        join_by_runs(&p, i, to);
    for (; i < n; i++)
        join_by_bytes(&p, which, i, to);
}

static int get_id_bytes(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct bytes noise, planes[EVENT_ID_BYTES];
    size_t nplanes = (size_t)__builtin_popcount(c->id_planes), width = event_id_width(c->id);
    uint8_t *to;
    int rc = sealed_piece_get(v->block, &c->pieces[0], v->view.arena, &noise, e);

    if (rc < 0)
        return rc;
    v->view.ids = noise.p;
    if (nplanes == 0)
        return 0;
    for (size_t i = 0; rc == 0 && i < nplanes; i++)
        rc = sealed_piece_get(v->block, &c->pieces[1 + i], v->view.arena, &planes[i], e);
    to = arena_alloc(v->view.arena, v->view.n * width);
    if (rc == 0 && !to)
        return sealed_no_memory(v->block, e);
    if (rc == 0)
        join_bytes(&noise, planes, c->id_planes, width, v->view.n, to);
    v->view.ids = to;
    return rc;
}

static int get_ids(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct bytes r;
    struct event_odd *odd;
    int rc = get_id_bytes(v, e);

    v->view.uuid = c->id == EVENT_ID_UUID;
    v->view.width = event_id_width(c->id);
    if (rc < 0 || c->nodd == 0)
        return rc;
    odd = arena_alloc(v->view.arena, c->nodd * sizeof(*odd));
    rc = odd ? sealed_piece_get(v->block, &c->pieces[c->npieces - 1], v->view.arena, &r, e)
             : sealed_no_memory(v->block, e);
    if (rc == 0 && (!event_get_odd(&r, c->nodd, v->view.n, odd) || bytes_left(&r)))
        rc = sealed_malformed(c, "rows of another form", e);
    v->view.odd = odd;
    v->view.nodd = c->nodd;
    return rc;
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
        rc = get_ints(v, e);
        break;
    case EVENT_FORM_IDS:
        rc = get_ids(v, e);
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
