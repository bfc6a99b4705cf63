/* event_block.c: a sealed block as a source. Pieces are read, summed, unpacked and tested when somebody asks for their
 * column. */
#include "store/event_build-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/event_attributes-internal.h"
#include "store/event_block_format-internal.h"
#include "store/event_filter_build-internal.h"
#include "store/event_read-internal.h"
#include "store/event_sealed-internal.h"

#include <endian.h>

/* Tokens of a needle that are looked up: each that is there says a little less than the one before. */
enum { MOST_PROBES = 8 };

struct sealed;

struct sealed_view {
    struct event_view view; /* first: a view of ours is one of these */
    const struct sealed_column *column;
    struct sealed *block;
    bool is_open, has_rows;
    /* Of the frame that event_view_frame reads, whichever it is: memory for the largest. */
    char *scan_bytes;
    uint32_t *scan_at;
};

struct sealed {
    struct event_source source; /* first: a source of ours is a block */
    const struct sealed_directory *directory;
    event_part_read *read;
    void *arg;
    struct sealed_view **views; /* one for each column, once it was asked for */
    struct event_overflow *others;
};

static int no_memory(const struct sealed *b, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for a column of a block of %zu events", b->source.n);
}

static int bad_column(const struct sealed_column *c, const char *what, struct err *e)
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
    int rc = packed ? read_stored(b, p, p->packed, packed, e) : no_memory(b, e);

    if (rc == 0)
        rc = unpack((struct str){ packed, p->packed }, to, p->raw, e);
    mem_free(packed);
    return rc;
}

/* to[0..p->raw) */
static int load_piece(struct sealed *b, const struct sealed_piece *p, char *to, struct err *e)
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
static int get_piece(struct sealed *b, const struct sealed_piece *p, struct arena *a, struct bytes *out, struct err *e)
{
    char *to;
    int rc;

    if (!p->part && !p->packed) {
        *out = bytes_of(p->inside);
        return 0;
    }
    to = arena_alloc(a, p->raw);
    if (!to)
        return no_memory(b, e);
    rc = load_piece(b, p, to, e);
    *out = (struct bytes){ (const uint8_t *)to, (const uint8_t *)to + p->raw };
    return rc;
}

/* --- numbers --- */

/* Adds up the planes of all rows. */
static int get_planes(struct sealed *b, const struct sealed_piece *pieces, size_t width, uint64_t *to, struct err *e)
{
    size_t n = b->source.n;
    uint8_t *plane = mem_alloc(n);
    int rc = plane ? 0 : no_memory(b, e);

    memset(to, 0, n * sizeof(*to));
    for (size_t w = 0; rc == 0 && w < width; w++) {
        rc = load_piece(b, &pieces[w], (char *)plane, e);
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
    int rc = to ? get_planes(v->block, c->pieces, c->npieces, to, e) : no_memory(v->block, e);
    bool good;

    if (rc < 0)
        return rc;
    good = c->kind == BLOCK_TIME ? add_to_before(c, &v->block->source, to) : add_to_least(c, to, v->view.n);
    v->view.ints = (const int64_t *)to;
    return good ? 0 : bad_column(c, "a number", e);
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
    int rc = get_piece(v->block, &c->pieces[0], v->view.arena, &r, e);

    if (rc < 0)
        return rc;
    if (bytes_left(&r) < 2 * distinct)
        return bad_column(c, "values", e);
    counts = arena_alloc(v->view.arena, distinct * sizeof(*counts));
    values = arena_alloc(v->view.arena, distinct * sizeof(*values));
    if (!counts || !values)
        return no_memory(v->block, e);
    if (!get_counts(&r, distinct, v->view.n, counts) ||
        !(c->summary.is_text ? event_get_texts : event_get_numbers)(&r, distinct, values) || bytes_left(&r))
        return bad_column(c, "values", e);
    v->view.counts = counts;
    v->view.values = values;
    v->view.distinct = distinct;
    return 0;
}

static int get_codes(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t n = v->view.n;
    struct bytes low, high;
    uint16_t *codes;
    int rc = get_piece(v->block, &c->pieces[1], v->view.arena, &low, e);

    if (rc == 0 && c->npieces == 2)
        v->view.codes8 = low.p;
    if (rc == 0 && c->npieces == 3) {
        codes = arena_alloc(v->view.arena, n * sizeof(*codes));
        rc = codes ? get_piece(v->block, &c->pieces[2], v->view.arena, &high, e) : no_memory(v->block, e);
        for (size_t i = 0; rc == 0 && i < n; i++)
            codes[i] = (uint16_t)(low.p[i] | high.p[i] << 8);
        v->view.codes16 = codes;
    }
    if (rc == 0 && !event_codes_below(v->view.codes8, v->view.codes16, n, v->view.distinct))
        rc = bad_column(c, "a code", e);
    return rc;
}

/* --- ids --- */

static int get_ids(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct bytes r;
    struct event_odd *odd;
    int rc = get_piece(v->block, &c->pieces[0], v->view.arena, &r, e);

    v->view.uuid = c->id == EVENT_ID_UUID;
    v->view.width = event_id_width(c->id);
    v->view.ids = r.p;
    if (rc < 0 || c->nodd == 0)
        return rc;
    odd = arena_alloc(v->view.arena, c->nodd * sizeof(*odd));
    rc = odd ? get_piece(v->block, &c->pieces[1], v->view.arena, &r, e) : no_memory(v->block, e);
    if (rc == 0 && (!event_get_odd(&r, c->nodd, v->view.n, odd) || bytes_left(&r)))
        rc = bad_column(c, "rows of another form", e);
    v->view.odd = odd;
    v->view.nodd = c->nodd;
    return rc;
}

/* --- texts --- */

static size_t frame_rows(const struct sealed_column *c, size_t frame)
{
    return c->first_rows[frame + 1] - c->first_rows[frame];
}

static int make_scan(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t bytes = 0, rows = 0;

    for (size_t i = 0; i < c->npieces; i++) {
        bytes = c->pieces[i].raw > bytes ? c->pieces[i].raw : bytes;
        rows = frame_rows(c, i) > rows ? frame_rows(c, i) : rows;
    }
    v->scan_at = arena_alloc(v->view.arena, (rows + 1) * sizeof(*v->scan_at));
    v->scan_bytes = arena_alloc(v->view.arena, bytes);
    return v->scan_at && v->scan_bytes ? 0 : no_memory(v->block, e);
}

static int load_frame(struct event_texts *t, size_t frame, bool stay, struct event_frame *f, struct err *e)
{
    struct sealed_view *v = t->arg;
    const struct sealed_column *c = v->column;
    const struct sealed_piece *p = &c->pieces[frame];
    size_t rows = frame_rows(c, frame);
    char *bytes;
    uint32_t *at;
    int rc = 0;

    if (!stay && !v->scan_bytes)
        rc = make_scan(v, e);
    if (rc < 0)
        return rc;
    at = stay ? arena_alloc(v->view.arena, (rows + 1) * sizeof(*at)) : v->scan_at;
    bytes = stay ? arena_alloc(v->view.arena, p->raw) : v->scan_bytes;
    if (!at || !bytes)
        return no_memory(v->block, e);
    *f = (struct event_frame){ c->first_rows[frame], rows, NULL, at };
    rc = load_piece(v->block, p, bytes, e);
    if (rc == 0 && !event_get_frame((struct bytes){ (const uint8_t *)bytes, (const uint8_t *)bytes + p->raw }, rows, at,
                                    &f->bytes))
        rc = bad_column(c, "texts", e);
    return rc;
}

static int get_texts(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct event_texts *t = ARENA_NEW(v->view.arena, struct event_texts);
    struct event_frame *frames = arena_array(v->view.arena, c->npieces, sizeof(*frames));

    if (!t || !frames)
        return no_memory(v->block, e);
    *t = (struct event_texts){ .frames = frames, .first = c->first_rows, .nframes = c->npieces, .load = load_frame,
                               .arg = v };
    v->view.texts = t;
    return 0;
}

/* --- views --- */

static int open_view(struct sealed_view *v, struct err *e)
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

static int get_rows(struct sealed_view *v, struct err *e)
{
    int rc = open_view(v, e);

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
        rc = get_texts(v, e);
        break;
    }
    v->has_rows = rc == 0;
    return rc;
}

static int make_view(struct sealed *b, const struct sealed_column *c, struct arena *a, struct sealed_view **out,
                     struct err *e)
{
    struct sealed_view *v = ARENA_NEW(a, struct sealed_view);

    if (!v)
        return no_memory(b, e);
    v->view = (struct event_view){ .form = c->summary.form, .is_text = c->summary.is_text, .n = b->source.n, .arena = a };
    v->column = c;
    v->block = b;
    *out = v;
    return 0;
}

/* The source's own view of a column. */
static int own_view(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e)
{
    struct sealed_view **own = &b->views[c - b->directory->columns];
    int rc = *own ? 0 : make_view(b, c, b->source.arena, own, e);

    *out = *own;
    return rc;
}

static int own_rows(struct sealed *b, const struct sealed_column *c, struct sealed_view **out, struct err *e)
{
    int rc = own_view(b, c, out, e);

    return rc == 0 ? get_rows(*out, e) : rc;
}

/* --- what is asked of a source --- */

static const struct sealed_column *find_column(const struct sealed_directory *d, struct event_field f)
{
    if (f.column >= 0)
        return d->fixed[f.column];
    for (size_t i = 0; d->nattributes && i < d->ncolumns; i++)
        if (d->columns[i].kind == BLOCK_ATTRIBUTE && str_eq(d->columns[i].name, f.attribute))
            return &d->columns[i];
    return NULL;
}

static const struct event_summary *block_summary(struct event_source *s, struct event_field f)
{
    static const struct event_summary perhaps = { .form = EVENT_FORM_TEXTS, .is_text = true, .has_unset = true };
    const struct sealed_directory *d = ((struct sealed *)s)->directory;
    const struct sealed_column *c = find_column(d, f);

    if (!c && f.column < 0 && d->overflow)
        return &perhaps;
    return c ? &c->summary : NULL;
}

/* n bytes of bits. */
static int read_slice(struct sealed *b, const struct sealed_column *c, size_t slice, uint8_t *bits, size_t *n,
                      struct err *e)
{
    uint32_t part = c->filter_part + (uint32_t)slice, sum;
    uint8_t bytes[EVENT_FILTER_SLICE + SLICE_SUM];
    int rc;

    *n = c->filter_bytes - slice * EVENT_FILTER_SLICE;
    *n = *n < EVENT_FILTER_SLICE ? *n : EVENT_FILTER_SLICE;
    rc = b->read(b->arg, part, 0, *n + SLICE_SUM, bytes, e);
    if (rc < 0)
        return rc;
    memcpy(&sum, bytes + *n, sizeof(sum));
    memcpy(bits, bytes, *n);
    if (le32toh(sum) != block_sum((struct str){ (const char *)bits, *n }))
        return err_set(e, ERR_CORRUPT, "block: part %u, a filter: checksum wrong", part);
    return 0;
}

static int probe(struct sealed *b, const struct sealed_column *c, uint64_t hash, bool *may, struct err *e)
{
    uint8_t bits[EVENT_FILTER_SLICE];
    size_t n;
    int rc = read_slice(b, c, event_filter_slice(c->filter_bytes, hash), bits, &n, e);

    if (rc == 0)
        *may = event_filter_test(bits, n, c->filter_bytes, hash);
    return rc;
}

static int probe_tokens(struct sealed *b, const struct sealed_column *c, struct str needle, bool *may, struct err *e)
{
    struct str token;
    size_t at = 0, probes = 0;
    bool inner;
    int rc = 0;

    while (rc == 0 && *may && probes < MOST_PROBES && (token = event_token_next(needle, &at, &inner)).n)
        if (inner && event_token_counts(token)) {
            rc = probe(b, c, event_filter_hash(token), may, e);
            probes++;
        }
    return rc;
}

static int block_may_hold(struct event_source *s, struct event_field f, struct str value, bool *may, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);

    *may = block_summary(s, f) != NULL;
    if (!c || !c->filter_bytes || value.n == 0)
        return 0;
    if (c->summary.form == EVENT_FORM_TEXTS)
        return probe_tokens(b, c, value, may, e);
    return probe(b, c, event_filter_id_hash(c->id, value), may, e);
}

static int read_overflow(struct sealed *b, struct sealed_view **sets, struct err *e)
{
    int rc = own_rows(b, b->directory->overflow, sets, e);

    return rc < 0 || b->others ? rc : event_overflow_read(&(*sets)->view, &b->others, e);
}

static int open_overflow(struct sealed *b, struct str name, struct arena *a, struct event_view **out, struct err *e)
{
    struct sealed_view *sets, *v = NULL;
    bool there = false;
    int rc = read_overflow(b, &sets, e);

    rc = rc == 0 ? make_view(b, b->directory->overflow, a, &v, e) : rc;
    rc = rc == 0 ? event_overflow_open(b->others, name, a, &v->view, &there, e) : rc;
    if (rc < 0 || !there)
        return rc;
    v->is_open = v->has_rows = true;
    *out = &v->view;
    return 0;
}

static int block_open_apart(struct event_source *s, struct event_field f, struct arena *a, struct event_view **out,
                            struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);
    struct sealed_view *v = NULL;
    int rc;

    *out = NULL;
    if (!c)
        return f.column < 0 && b->directory->overflow ? open_overflow(b, f.attribute, a, out, e) : 0;
    rc = make_view(b, c, a, &v, e);
    rc = rc == 0 ? open_view(v, e) : rc;
    *out = rc == 0 ? &v->view : NULL;
    return rc;
}

static int block_open(struct event_source *s, struct event_field f, struct event_view **out, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_column *c = find_column(b->directory, f);
    struct sealed_view *v;
    int rc;

    if (!c)
        return block_open_apart(s, f, s->arena, out, e);
    rc = own_view(b, c, &v, e);
    rc = rc == 0 ? open_view(v, e) : rc;
    *out = rc == 0 ? &v->view : NULL;
    return rc;
}

static int block_rows(struct event_source *s, struct event_view *v, struct err *e)
{
    (void)s;
    return get_rows((struct sealed_view *)v, e);
}

static int block_times(struct event_source *s, const int64_t **ns, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *v;
    int rc = own_rows(b, &b->directory->columns[0], &v, e);

    if (rc == 0)
        *ns = v->view.ints;
    return rc;
}

static int block_attributes(struct event_source *s, const struct str **names, size_t *n, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    const struct sealed_directory *d = b->directory;
    const struct str *others = NULL;
    struct sealed_view *sets;
    struct str *v;
    size_t nothers = 0, at = 0;
    int rc = d->overflow ? read_overflow(b, &sets, e) : 0;

    if (rc < 0)
        return rc;
    if (d->overflow)
        others = event_overflow_names(b->others, &nothers);
    v = arena_array(s->arena, d->nattributes + nothers, sizeof(*v));
    if (!v)
        return no_memory(b, e);
    for (size_t i = 0; d->nattributes && i < d->ncolumns; i++)
        if (d->columns[i].kind == BLOCK_ATTRIBUTE)
            v[at++] = d->columns[i].name;
    for (size_t i = 0; i < nothers; i++)
        v[at++] = others[i];
    *names = v;
    *n = at;
    return 0;
}

static int block_overflow(struct event_source *s, size_t *columns, struct event_view **sets, struct err *e)
{
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *v = NULL;
    int rc = b->directory->overflow ? own_rows(b, b->directory->overflow, &v, e) : 0;

    *columns = b->directory->nattributes;
    *sets = rc == 0 && v ? &v->view : NULL;
    return rc;
}

/* --- opening --- */

static struct event_source *make_source(const struct sealed_directory *d, event_part_read *read, void *arg,
                                        struct arena *a, struct err *e)
{
    static const struct event_source_ops ops = { block_summary, block_may_hold,   block_open,    block_open_apart,
                                                 block_rows,    block_times,      block_attributes, block_overflow };
    struct sealed *b = ARENA_NEW(a, struct sealed);

    if (b)
        b->views = arena_array(a, d->ncolumns, sizeof(*b->views));
    if (!b || !b->views) {
        err_set(e, ERR_NOMEM, "no memory for a block of %zu columns", d->ncolumns);
        return NULL;
    }
    b->source = (struct event_source){ &ops, d->kind, d->n, d->first_ns, d->last_ns, a, NULL };
    b->directory = d;
    b->read = read;
    b->arg = arg;
    return &b->source;
}

struct event_source *event_block_open(struct str directory, event_part_read *read, void *arg, struct arena *a,
                                      struct err *e)
{
    const struct sealed_directory *d;

    return sealed_directory_read(directory, a, &d, e) == 0 ? make_source(d, read, arg, a, e) : NULL;
}

struct event_source *event_block_again(const struct event_source *s, event_part_read *read, void *arg, struct arena *a,
                                       struct err *e)
{
    return make_source(((const struct sealed *)s)->directory, read, arg, a, e);
}

/* --- verifying --- */

static int verify_frames(struct event_view *v, struct err *e)
{
    struct event_frame f = { 0 };
    int rc = 0;

    for (size_t row = 0; rc == 0 && row < v->n; row = f.first + f.n)
        rc = event_view_frame(v, row, &f, e);
    return rc;
}

static int verify_counts(struct sealed_view *v, struct err *e)
{
    uint32_t *counts = arena_array(v->view.arena, v->view.distinct, sizeof(*counts));

    if (!counts)
        return no_memory(v->block, e);
    event_count_codes(v->view.codes8, v->view.codes16, v->view.n, counts);
    return memcmp(counts, v->view.counts, v->view.distinct * sizeof(*counts)) ? bad_column(v->column, "counts", e) : 0;
}

static int verify_filter(struct sealed *b, const struct sealed_column *c, struct err *e)
{
    uint8_t bits[EVENT_FILTER_SLICE];
    size_t n;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < event_filter_slices(c->filter_bytes); i++)
        rc = read_slice(b, c, i, bits, &n, e);
    return rc;
}

static int verify_column(struct sealed *b, const struct sealed_column *c, struct arena *a, struct err *e)
{
    struct sealed_view *v = NULL;
    int rc = make_view(b, c, a, &v, e);

    rc = rc == 0 ? get_rows(v, e) : rc;
    if (rc == 0 && v->view.form == EVENT_FORM_TEXTS)
        rc = verify_frames(&v->view, e);
    if (rc == 0 && v->view.form == EVENT_FORM_DICT)
        rc = verify_counts(v, e);
    return rc == 0 ? verify_filter(b, c, e) : rc;
}

int event_block_verify(struct str directory, event_part_read *read, void *arg, struct err *e)
{
    struct arena all = ARENA_INIT(0), one = ARENA_INIT(0);
    struct event_source *s = event_block_open(directory, read, arg, &all, e);
    struct sealed *b = (struct sealed *)s;
    struct sealed_view *sets;
    int rc = s ? 0 : e ? e->code : ERR_CORRUPT;

    for (size_t i = 0; rc == 0 && i < b->directory->ncolumns; i++) {
        rc = verify_column(b, &b->directory->columns[i], &one, e);
        arena_free(&one);
    }
    if (rc == 0 && b->directory->overflow)
        rc = read_overflow(b, &sets, e);
    arena_free(&all);
    return rc;
}
