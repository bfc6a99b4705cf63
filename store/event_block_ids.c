/* event_block_ids.c: a block's ids: one is looked for on its shelf; all are taken from the shelves by their keys. */
#include "store/event_block-internal.h"

#include "base/mem.h"
#include "store/event_block_format-internal.h"

#include <endian.h>

static struct block_runs kept_of(const struct sealed_column *c)
{
    return block_runs_of(event_id_width(c->id), c->key, c->id_planes);
}

static size_t shelf_of(const struct sealed_column *c, uint8_t key)
{
    return key >> (8 - block_shelf_bits(c->nids));
}

/* Bytes of the ids on a shelf, without its checksum. */
static size_t shelf_bytes(const struct sealed_column *c, size_t shelf, size_t kept)
{
    return (size_t)(c->shelves[shelf + 1] - c->shelves[shelf]) * kept;
}

static bool is_good(const uint8_t *shelf, size_t n)
{
    uint32_t sum;

    memcpy(&sum, shelf + n, sizeof(sum));
    return le32toh(sum) == block_sum((struct str){ (const char *)shelf, n });
}

/* --- one --- */

/* Where the shelf is, behind those before it that have any ids. */
static uint64_t shelf_place(const struct sealed_column *c, size_t shelf, size_t kept)
{
    uint64_t at = c->shelves_at + (uint64_t)c->shelves[shelf] * kept;

    for (size_t i = 0; i < shelf; i++)
        at += c->shelves[i + 1] > c->shelves[i] ? SHELF_SUM : 0;
    return at;
}

static bool stands_on(const uint8_t *shelf, size_t n, const struct block_runs *kept, size_t width, const uint8_t *id)
{
    uint8_t wanted[2 * BLOCK_RUN];

    block_runs_take(kept, id, width, wanted);
    for (const uint8_t *end = shelf + n; shelf < end; shelf += kept->bytes)
        if (memcmp(shelf, wanted, kept->bytes) == 0)
            return true;
    return false;
}

int sealed_ids_may_hold(struct sealed *b, const struct sealed_column *c, struct str value, bool *may, struct err *e)
{
    const struct block_runs kept = kept_of(c);
    uint8_t id[EVENT_ID_BYTES], *bytes;
    size_t shelf, n;
    int rc;

    if (!event_id_parse(c->id, value, id)) {
        *may = c->nodd > 0;
        return 0;
    }
    shelf = shelf_of(c, id[c->key]);
    n = shelf_bytes(c, shelf, kept.bytes);
    *may = c->shelves[shelf + 1] > c->shelves[shelf];
    if (n == 0)
        return 0;
    bytes = mem_alloc(n + SHELF_SUM);
    rc = bytes ? sealed_bytes_read(b, shelf_place(c, shelf, kept.bytes), n + SHELF_SUM, bytes, e)
               : sealed_no_memory(b, e);
    if (rc == 0 && !is_good(bytes, n))
        rc = sealed_malformed(c, "a shelf of ids", e);
    if (rc == 0)
        *may = stands_on(bytes, n, &kept, event_id_width(c->id), id);
    mem_free(bytes);
    return rc;
}

/* --- all --- */

/* What the ids of a column are made of; in memory of the view. */
struct stored {
    const uint8_t *rows; /* which have one, as bits; NULL: all */
    const uint8_t *keys, *planes[EVENT_ID_BYTES];
    const uint8_t *next[1 << SHELF_BITS], *end[1 << SHELF_BITS]; /* on each shelf */
};

static int get_shelves(struct sealed_view *v, const struct block_runs *kept, uint8_t *bytes, size_t n, struct stored *s,
                       struct err *e)
{
    const struct sealed_column *c = v->column;
    int rc = sealed_bytes_read(v->block, c->shelves_at, n, bytes, e);

    for (size_t i = 0; rc == 0 && i < 1u << block_shelf_bits(c->nids); i++) {
        size_t on = shelf_bytes(c, i, kept->bytes);

        if (on && !is_good(bytes, on))
            return sealed_malformed(c, "a shelf of ids", e);
        s->next[i] = bytes;
        s->end[i] = bytes + on;
        bytes += on ? on + SHELF_SUM : 0;
    }
    return rc;
}

static int get_piece(struct sealed_view *v, const struct sealed_piece **piece, const uint8_t **to, struct err *e)
{
    struct bytes r;
    int rc = sealed_piece_get(v->block, (*piece)++, v->view.arena, &r, e);

    *to = rc == 0 ? r.p : NULL;
    return rc;
}

static int get_stored(struct sealed_view *v, struct stored *s, struct err *e)
{
    const struct sealed_column *c = v->column;
    const struct sealed_piece *piece = c->pieces;
    int rc = c->nids < v->view.n ? get_piece(v, &piece, &s->rows, e) : 0;

    rc = rc == 0 ? get_piece(v, &piece, &s->keys, e) : rc;
    for (size_t i = 0; rc == 0 && i < event_id_width(c->id); i++)
        if (c->id_planes >> i & 1)
            rc = get_piece(v, &piece, &s->planes[i], e);
    return rc;
}

/* Each row's id, zeros where it has none, but for planes. Bytes behind an id that block_runs_give has touched are the
 * next one's. False: keys and shelves do not agree. */
static bool join(const struct sealed_view *v, const struct block_runs *kept, struct stored *s, uint8_t *to)
{
    const struct sealed_column *c = v->column;
    size_t width = event_id_width(c->id), at = 0, shift = 8 - block_shelf_bits(c->nids);

    for (size_t i = 0; i < v->view.n; i++, to += width) {
        uint8_t key;
        size_t shelf;

        if (s->rows && !(s->rows[i / 8] >> i % 8 & 1)) {
            memset(to, 0, width);
            continue;
        }
        if (at == c->nids)
            return false;
        key = s->keys[at++];
        shelf = key >> shift;
        if (s->next[shelf] == s->end[shelf] && kept->bytes)
            return false;
        block_runs_give(kept, s->next[shelf], to);
        s->next[shelf] += kept->bytes;
        to[c->key] = key;
    }
    return at == c->nids;
}

static void join_planes(const struct sealed_view *v, const struct stored *s, uint8_t *ids)
{
    size_t width = event_id_width(v->column->id);

    for (size_t byte = 0; byte < width; byte++)
        for (size_t i = 0, at = 0; s->planes[byte] && i < v->view.n; i++)
            if (!s->rows || (s->rows[i / 8] >> i % 8 & 1))
                ids[i * width + byte] = s->planes[byte][at++];
}

static int get_all(struct sealed_view *v, uint8_t *ids, struct err *e)
{
    const struct sealed_column *c = v->column;
    const struct block_runs kept = kept_of(c);
    size_t shelves = (size_t)1 << block_shelf_bits(c->nids);
    size_t n = kept.bytes ? shelf_place(c, shelves, kept.bytes) - c->shelves_at : 0;
    uint8_t *bytes = mem_alloc(n + BLOCK_RUN);
    struct stored s = { .rows = NULL };
    int rc = bytes ? get_stored(v, &s, e) : sealed_no_memory(v->block, e);

    rc = rc == 0 ? get_shelves(v, &kept, bytes, n, &s, e) : rc;
    if (rc == 0 && !join(v, &kept, &s, ids))
        rc = sealed_malformed(c, "a key of ids", e);
    if (rc == 0)
        join_planes(v, &s, ids);
    mem_free(bytes);
    return rc;
}

static int get_odd(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    struct event_odd *odd = arena_alloc(v->view.arena, c->nodd * sizeof(*odd));
    struct bytes r;
    int rc = odd ? sealed_piece_get(v->block, &c->pieces[c->npieces - 1], v->view.arena, &r, e)
                 : sealed_no_memory(v->block, e);

    if (rc == 0 && (!event_get_odd(&r, c->nodd, v->view.n, odd) || bytes_left(&r)))
        rc = sealed_malformed(c, "rows of another form", e);
    v->view.odd = odd;
    v->view.nodd = c->nodd;
    return rc;
}

int sealed_ids_get(struct sealed_view *v, struct err *e)
{
    const struct sealed_column *c = v->column;
    uint8_t *ids = arena_alloc(v->view.arena, v->view.n * event_id_width(c->id) + BLOCK_RUN);
    int rc = ids ? get_all(v, ids, e) : sealed_no_memory(v->block, e);

    v->view.ids = ids;
    v->view.uuid = c->id == EVENT_ID_UUID;
    v->view.width = event_id_width(c->id);
    return rc == 0 && c->nodd ? get_odd(v, e) : rc;
}
