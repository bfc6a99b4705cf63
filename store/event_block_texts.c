/* event_block_texts.c: a block's texts, frame by frame: unpacked, or printed from templates and numbers.
 *
 * Templates' codes and numbers are loaded for the whole column; where a frame's numbers begin is counted once. */
#include "store/event_block-internal.h"

#include "store/event_block_format-internal.h"

/* More than any frame that was written can need. */
enum { MOST_FRAME = 2 * EVENT_BLOCK_BYTES };

/* The numbers of one hole: of rows that have it, byte by byte. */
struct hole {
    const uint8_t *planes[sizeof(uint64_t)];
    size_t width, n;
};

struct sealed_templates {
    const union event_value *values;
    uint8_t *holes;         /* of each template */
    size_t *most;           /* bytes of a text */
    const uint8_t *codes8;  /* of each row; one of these */
    const uint16_t *codes16;
    struct hole numbers[TEMPLATE_HOLES];
    uint32_t (*before)[TEMPLATE_HOLES]; /* of each frame: how many rows before it have each hole */
    size_t *frame_most;     /* bytes of each frame */
};

static size_t frame_rows(const struct sealed_column *c, size_t frame)
{
    return c->first_rows[frame + 1] - c->first_rows[frame];
}

/* --- templates --- */

static size_t template_of(const struct sealed_templates *t, size_t row)
{
    return t->codes8 ? t->codes8[row] : t->codes16[row];
}

static struct sealed_templates *new_templates(const struct sealed_column *c, struct arena *a)
{
    struct sealed_templates *t = ARENA_NEW(a, struct sealed_templates);

    if (!t)
        return NULL;
    t->holes = arena_array(a, c->templates, sizeof(*t->holes));
    t->most = arena_array(a, c->templates, sizeof(*t->most));
    t->before = arena_array(a, c->nframes + 1, sizeof(*t->before));
    t->frame_most = arena_array(a, c->nframes, sizeof(*t->frame_most));
    return t->holes && t->most && t->before && t->frame_most ? t : NULL;
}

static int get_templates(struct sealed_view *v, struct sealed_templates *t, union event_value *values, struct err *e)
{
    const struct sealed_column *c = v->column;
    uint8_t digits[TEMPLATE_HOLES];
    struct bytes r;
    int rc = sealed_piece_get(v->block, &c->pieces[0], v->view.arena, &r, e);

    if (rc < 0)
        return rc;
    if (!event_get_texts(&r, c->templates, values) || bytes_left(&r))
        return sealed_malformed(c, "templates", e);
    for (size_t i = 0; i < c->holes; i++)
        digits[i] = event_template_digits((c->hole_bits[i] + 7u) / 8);
    for (size_t i = 0; i < c->templates; i++) {
        size_t holes = event_template_holes(values[i].s, digits, c->holes, &t->most[i]);

        if (holes == SIZE_MAX)
            return sealed_malformed(c, "a template", e);
        t->holes[i] = (uint8_t)holes;
    }
    t->values = values;
    return sealed_codes_get(v, c->pieces + 1, c->templates, &t->codes8, &t->codes16, e);
}

/* Rows with each hole, before each frame and in all; and how long frames can get. */
static int count_holes(struct sealed_view *v, struct sealed_templates *t, struct err *e)
{
    const struct sealed_column *c = v->column;

    for (size_t f = 0; f < c->nframes; f++) {
        memcpy(t->before[f + 1], t->before[f], sizeof(t->before[f]));
        for (size_t row = c->first_rows[f]; row < c->first_rows[f + 1]; row++) {
            size_t code = template_of(t, row);

            for (size_t h = 0; h < t->holes[code]; h++)
                t->before[f + 1][h]++;
            t->frame_most[f] += t->most[code];
        }
        if (t->frame_most[f] > MOST_FRAME)
            return sealed_malformed(c, "a frame's length", e);
    }
    return 0;
}

static int get_numbers(struct sealed_view *v, struct sealed_templates *t, struct err *e)
{
    const struct sealed_column *c = v->column;
    const struct sealed_piece *piece = c->pieces + 1 + (c->templates > 256 ? 2 : 1);
    int rc = 0;

    for (size_t h = 0; h < c->holes; h++) {
        size_t n = t->before[c->nframes][h];

        t->numbers[h].width = (c->hole_bits[h] + 7u) / 8;
        for (size_t w = 0; rc == 0 && w < t->numbers[h].width; w++, piece++) {
            unsigned bits = block_plane_bits(c->hole_bits[h], w);

            if (piece->raw != block_packed_bytes(n, bits))
                return sealed_malformed(c, "numbers", e);
            rc = sealed_plane_get(v->block, piece, bits, n, v->view.arena, &t->numbers[h].planes[w], e);
        }
    }
    return rc;
}

static int load_templates(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct sealed_templates *t = new_templates(c, v->view.arena);
    union event_value *values = arena_array(v->view.arena, c->templates, sizeof(*values));
    int rc = t && values ? get_templates(v, t, values, e) : sealed_no_memory(v->block, e);

    rc = rc == 0 ? count_holes(v, t, e) : rc;
    rc = rc == 0 ? get_numbers(v, t, e) : rc;
    v->templates = rc == 0 ? t : NULL;
    return rc;
}

static uint64_t number_at(const struct hole *h, size_t i)
{
    uint64_t v = 0;

    for (size_t w = 0; w < h->width; w++)
        v |= (uint64_t)h->planes[w][i] << 8 * w;
    return v;
}

/* The texts of a frame, and where they begin. */
static void print_frame(const struct sealed_templates *t, const struct sealed_column *c, size_t frame, char *bytes,
                        uint32_t *at)
{
    uint32_t next[TEMPLATE_HOLES];
    uint64_t numbers[TEMPLATE_HOLES];
    char *to = bytes;

    memcpy(next, t->before[frame], sizeof(next));
    for (size_t row = c->first_rows[frame]; row < c->first_rows[frame + 1]; row++) {
        size_t code = template_of(t, row);

        for (size_t h = 0; h < t->holes[code]; h++)
            numbers[h] = number_at(&t->numbers[h], next[h]++);
        *at++ = (uint32_t)(to - bytes);
        to = event_template_print(t->values[code].s, numbers, to);
    }
    *at = (uint32_t)(to - bytes);
}

/* --- frames --- */

static size_t frame_bytes(const struct sealed_view *v, size_t frame)
{
    return v->templates ? v->templates->frame_most[frame] : v->column->pieces[frame].raw;
}

static int make_scan(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    size_t bytes = 0, rows = 0;

    for (size_t i = 0; i < c->nframes; i++) {
        bytes = frame_bytes(v, i) > bytes ? frame_bytes(v, i) : bytes;
        rows = frame_rows(c, i) > rows ? frame_rows(c, i) : rows;
    }
    v->scan_at = arena_alloc(v->view.arena, (rows + 1) * sizeof(*v->scan_at));
    v->scan_bytes = arena_alloc(v->view.arena, bytes);
    return v->scan_at && v->scan_bytes ? 0 : sealed_no_memory(v->block, e);
}

/* bytes[] and at[] have room for it. */
static int read_frame(struct sealed_view *v, size_t frame, char *bytes, uint32_t *at, struct event_frame *f,
                      struct err *e)
{
    const struct sealed_column *c = v->column;
    const struct sealed_piece *p = &c->pieces[frame];
    int rc;

    *f = (struct event_frame){ c->first_rows[frame], frame_rows(c, frame), bytes, at };
    if (v->templates) {
        print_frame(v->templates, c, frame, bytes, at);
        return 0;
    }
    rc = sealed_piece_load(v->block, p, bytes, e);
    if (rc == 0 && !event_get_frame(bytes_of((struct str){ bytes, p->raw }), f->n, at, &f->bytes))
        rc = sealed_malformed(c, "texts", e);
    return rc;
}

static int load_frame(struct event_texts *t, size_t frame, bool stay, struct event_frame *f, struct err *e)
{
    struct sealed_view *v = t->arg;
    char *bytes;
    uint32_t *at;

    if (!stay) {
        int rc = v->scan_bytes ? 0 : make_scan(v, e);

        return rc < 0 ? rc : read_frame(v, frame, v->scan_bytes, v->scan_at, f, e);
    }
    at = arena_alloc(v->view.arena, (frame_rows(v->column, frame) + 1) * sizeof(*at));
    bytes = arena_alloc(v->view.arena, frame_bytes(v, frame));
    return at && bytes ? read_frame(v, frame, bytes, at, f, e) : sealed_no_memory(v->block, e);
}

int sealed_texts_get(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct event_texts *t = ARENA_NEW(v->view.arena, struct event_texts);
    struct event_frame *frames = arena_array(v->view.arena, c->nframes, sizeof(*frames));
    int rc = t && frames ? 0 : sealed_no_memory(v->block, e);

    if (rc == 0 && c->templates)
        rc = load_templates(v, e);
    if (rc < 0)
        return rc;
    *t = (struct event_texts){ .frames = frames, .first = c->first_rows, .nframes = c->nframes, .load = load_frame,
                               .arg = v };
    v->view.texts = t;
    return 0;
}
