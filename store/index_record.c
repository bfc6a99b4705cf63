/* index_record.c: the pairs of a series in a few bytes.
 *
 * Problem  Seventeen pairs are 68 bytes, and most of them stand in the neighbour as well: a histogram's buckets differ
 *          in `le`, the answers of one route in the code.
 * Idea     A record stands alone, or is a few edits of a base, which is a record nearby that stands alone. So reading
 *          takes one step back at most, and the series of a mesh take 15 bytes each instead of 65.
 *
 *            alone:  00  N  N x PAIR(32)
 *            edits:  E  BACK(16)  E x OP(8)  PAIR(32) for each OP that has one
 *
 *          Little endian. The base is the series BACK numbers before. OP is KIND << 6 | AT, by rising AT, a place
 *          among the base's pairs: 0 puts the pair in the place of AT's, which has the same name; 1 puts it before AT;
 *          2 drops AT's and has no pair.
 * Left out Edits of edits would save two bytes more, and make reading walk. */
#include "store/index_state-internal.h"

#include "base/mem.h"

#include <endian.h>

enum { OP_REPLACE, OP_INSERT, OP_DROP, MOST_EDITS = 8, MOST_BACK = 0xffff, EDITS_HEAD = 3 };

struct edits {
    unsigned n;
    uint8_t op[MOST_EDITS];
    uint32_t pair[MOST_EDITS]; /* of OP_DROP nothing */
};

static uint32_t get32(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static void put32(char *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static uint32_t get16(const char *p)
{
    return (uint32_t)(uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8;
}

static unsigned op_kind(char op)
{
    return (uint8_t)op >> 6;
}

static unsigned op_at(char op)
{
    return (uint8_t)op & 0x3f;
}

/* --- writing --- */

size_t record_alone(char *to, const uint32_t *pairs, uint32_t n)
{
    to[0] = 0;
    to[1] = (char)n;
    for (uint32_t i = 0; i < n; i++)
        put32(to + 2 + 4 * (size_t)i, pairs[i]);
    return 2 + 4 * (size_t)n;
}

static int name_cmp(const struct texts *t, uint32_t a, uint32_t b)
{
    return a == b ? 0 : str_cmp(t->names[a].text, t->names[b].text);
}

/* What makes the base's pairs these; false when that takes more than `most`. */
static bool edits_find(const struct texts *t, const struct base *base, const uint32_t *pairs, uint32_t n, unsigned most,
                       struct edits *ed)
{
    uint32_t i = 0, k = 0;

    ed->n = 0;
    while (i < n || k < base->n) {
        int c;

        if (i < n && k < base->n && pairs[i] == base->pairs[k]) {
            i++;
            k++;
            continue;
        }
        if (ed->n == most)
            return false;
        if (i == n || k == base->n)
            c = i == n ? 1 : -1;
        else
            c = name_cmp(t, pair_at(t, pairs[i])->name, pair_at(t, base->pairs[k])->name);
        ed->op[ed->n] = (uint8_t)((c == 0 ? OP_REPLACE : c < 0 ? OP_INSERT : OP_DROP) << 6 | k);
        ed->pair[ed->n++] = c <= 0 ? pairs[i] : 0;
        i += c <= 0;
        k += c >= 0;
    }
    return ed->n > 0;
}

static size_t edits_write(char *to, const struct edits *ed, uint32_t back)
{
    char *p = to + EDITS_HEAD + ed->n;

    to[0] = (char)ed->n;
    to[1] = (char)(back & 0xff);
    to[2] = (char)(back >> 8);
    memcpy(to + EDITS_HEAD, ed->op, ed->n);
    for (unsigned i = 0; i < ed->n; i++) {
        if (ed->op[i] >> 6 == OP_DROP)
            continue;
        put32(p, ed->pair[i]);
        p += 4;
    }
    return (size_t)(p - to);
}

/* With more edits than a sixth of the pairs the series is better a base for those that follow. And never more bytes
 * than a record that stands alone takes: room is made for that. */
static unsigned most_edits(uint32_t n)
{
    unsigned most = n < 18 ? 2 : n / 6, fit = n ? (4 * n + 2 - EDITS_HEAD) / 5 : 0;

    if (most > MOST_EDITS)
        most = MOST_EDITS;
    return most < fit ? most : fit;
}

int records_reserve(struct records *r, uint32_t n)
{
    uint32_t chunk = r->end / RECORD_CHUNK;

    if (RECORD_CHUNK - r->end % RECORD_CHUNK < 2 + 4 * n)
        chunk++;
    if (chunk >= UINT32_MAX / RECORD_CHUNK)
        return ERR_LIMIT;
    if (chunk == r->nchunks) {
        if (mem_grow(&r->chunks, &r->cap, (size_t)chunk + 1, sizeof(*r->chunks)) < 0)
            return ERR_NOMEM;
        r->chunks[chunk] = mem_alloc(RECORD_CHUNK);
        if (!r->chunks[chunk])
            return ERR_NOMEM;
        r->nchunks++;
    }
    if (chunk > r->end / RECORD_CHUNK)
        r->end = chunk * RECORD_CHUNK;
    return 0;
}

uint32_t records_add(struct records *r, const struct texts *t, uint32_t id, const uint32_t *pairs, uint32_t n,
                     struct str edits)
{
    uint32_t at = r->end;
    char *to = r->chunks[at / RECORD_CHUNK] + at % RECORD_CHUNK;
    struct edits ed;

    if (edits.n) {
        memcpy(to, edits.p, edits.n);
        r->end += (uint32_t)edits.n;
        return at;
    }
    for (unsigned i = 0; i < BASES; i++) {
        const struct base *b = &r->bases[(r->next_base + BASES - 1 - i) % BASES];

        if (b->n && id - b->id <= MOST_BACK && edits_find(t, b, pairs, n, most_edits(n), &ed)) {
            r->end += (uint32_t)edits_write(to, &ed, id - b->id);
            return at;
        }
    }
    r->end += (uint32_t)record_alone(to, pairs, n);
    if (n && n <= BASE_LABELS) {
        struct base *b = &r->bases[r->next_base++ % BASES];

        b->id = id;
        b->n = n;
        memcpy(b->pairs, pairs, n * sizeof(*pairs));
    }
    return at;
}

void records_rollback(struct records *r, uint32_t end, uint32_t first_id)
{
    r->end = end;
    for (unsigned i = 0; i < BASES; i++)
        if (r->bases[i].id >= first_id)
            r->bases[i].n = 0;
}

/* --- reading --- */

static const char *record_of(const struct series_index *ix, uint32_t id)
{
    uint32_t at = stripe_of(ix, id)->record[id & (STRIPE - 1)];

    return ix->records.chunks[at / RECORD_CHUNK] + at % RECORD_CHUNK;
}

/* The base's pairs stand at `from`, n of them. */
static uint32_t apply(const char *edits, const char *from, uint32_t n, uint32_t *pairs)
{
    unsigned count = (uint8_t)edits[0];
    const char *op = edits + EDITS_HEAD, *pair = op + count;
    uint32_t at = 0, made = 0;

    for (unsigned i = 0; i < count; i++) {
        while (at < op_at(op[i]))
            pairs[made++] = get32(from + 4 * (size_t)at++);
        if (op_kind(op[i]) != OP_DROP) {
            pairs[made++] = get32(pair);
            pair += 4;
        }
        at += op_kind(op[i]) != OP_INSERT;
    }
    while (at < n)
        pairs[made++] = get32(from + 4 * (size_t)at++);
    return made;
}

uint32_t record_pairs(const struct series_index *ix, uint32_t id, uint32_t *pairs)
{
    const char *r = record_of(ix, id);
    uint32_t n;

    if (r[0]) {
        const char *base = record_of(ix, id - get16(r + 1));

        return apply(r, base + 2, (uint8_t)base[1], pairs);
    }
    n = (uint8_t)r[1];
    for (uint32_t i = 0; i < n; i++)
        pairs[i] = get32(r + 2 + 4 * (size_t)i);
    return n;
}

static size_t edits_length(const char *r)
{
    unsigned count = (uint8_t)r[0];
    size_t n = EDITS_HEAD + (size_t)count;

    for (unsigned i = 0; i < count; i++)
        n += op_kind(r[EDITS_HEAD + i]) != OP_DROP ? 4 : 0;
    return n;
}

struct str record_bytes(const struct series_index *ix, uint32_t id, uint32_t *base)
{
    const char *r = record_of(ix, id);

    *base = r[0] ? id - get16(r + 1) : 0;
    return (struct str){ r, r[0] ? edits_length(r) : 2 + 4 * (size_t)(uint8_t)r[1] };
}

/* --- reading what comes from outside --- */

static bool pairs_sorted(const struct texts *t, const uint32_t *pairs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (pairs[i] == 0 || pairs[i] > t->npairs ||
            (i && name_cmp(t, pair_at(t, pairs[i - 1])->name, pair_at(t, pairs[i])->name) >= 0))
            return false;
    return true;
}

static bool read_alone(const struct texts *t, struct str *bytes, uint32_t *pairs, uint32_t *n)
{
    const char *r = bytes->p;

    if (bytes->n < 2)
        return false;
    *n = (uint8_t)r[1];
    if (bytes->n < 2 + 4 * (size_t)*n)
        return false;
    for (uint32_t i = 0; i < *n; i++)
        pairs[i] = get32(r + 2 + 4 * (size_t)i);
    *bytes = str_from(*bytes, 2 + 4 * (size_t)*n);
    return pairs_sorted(t, pairs, *n);
}

/* Whether the operations stand in order and stay among the base's n pairs, and make 255 at most. */
static bool ops_valid(const char *r, uint32_t n)
{
    unsigned count = (uint8_t)r[0];
    uint32_t at = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned kind = op_kind(r[EDITS_HEAD + i]), to = op_at(r[EDITS_HEAD + i]);

        if (kind > OP_DROP || to < at || to > n || (to == n && kind != OP_INSERT))
            return false;
        at = to + (kind != OP_INSERT);
    }
    return true;
}

static bool between_neighbours(const struct texts *t, const uint32_t *pairs, uint32_t n, uint32_t at)
{
    uint32_t from = at ? at - 1 : 0;

    return pairs_sorted(t, pairs + from, (at + 2 < n ? at + 2 : n) - from);
}

/* What the base has is sorted, and so is a pair in the place of one with its name: most edits are such. */
static bool edits_sorted(const struct texts *t, const char *r, const char *from, const uint32_t *pairs, uint32_t n)
{
    unsigned count = (uint8_t)r[0];
    const char *op = r + EDITS_HEAD;
    uint32_t inserted = 0, dropped = 0;

    for (unsigned i = 0; i < count; i++) {
        uint32_t at = op_at(op[i]) + inserted - dropped, pair;

        if (op_kind(op[i]) == OP_DROP) {
            dropped++;
            continue;
        }
        pair = pairs[at];
        if (pair == 0 || pair > t->npairs)
            return false;
        if (op_kind(op[i]) == OP_REPLACE) {
            if (pair_at(t, pair)->name != pair_at(t, get32(from + 4 * (size_t)op_at(op[i])))->name)
                return false;
            continue;
        }
        inserted++;
        if (!between_neighbours(t, pairs, n, at))
            return false;
    }
    return true;
}

/* The base as a record that stands alone: what was one for the writer need not be one here. */
static const char *read_base(const struct series_index *ix, struct record_reader *rd, uint32_t base)
{
    uint32_t pairs[INDEX_MAX_LABELS];

    if (rd->base != base) {
        record_alone(rd->bytes, pairs, record_pairs(ix, base, pairs));
        rd->base = base;
        rd->alone = record_of(ix, base)[0] == 0;
    }
    return rd->bytes;
}

bool record_read(const struct series_index *ix, struct record_reader *rd, struct str *bytes, uint32_t id,
                 uint32_t *pairs, uint32_t *n)
{
    const char *r = bytes->p, *base;
    uint32_t back;
    size_t length;

    rd->edits = STR_NULL;
    if (bytes->n == 0)
        return false;
    if (r[0] == 0)
        return read_alone(&ix->texts, bytes, pairs, n);
    if ((uint8_t)r[0] > MOST_EDITS || bytes->n < EDITS_HEAD + (size_t)(uint8_t)r[0])
        return false;
    back = get16(r + 1);
    length = edits_length(r);
    if (bytes->n < length || back == 0 || back > id - rd->first)
        return false;
    base = read_base(ix, rd, id - back);
    if ((uint8_t)base[1] > BASE_LABELS || !ops_valid(r, (uint8_t)base[1]))
        return false;
    *n = apply(r, base + 2, (uint8_t)base[1], pairs);
    if (rd->alone && length <= 2 + 4 * (size_t)*n) /* more than that no room is made for */
        rd->edits = (struct str){ r, length };
    *bytes = str_from(*bytes, length);
    return edits_sorted(&ix->texts, r, base + 2, pairs, *n);
}

/* --- one name of many series --- */

static uint32_t find_in(const struct texts *t, const char *pairs, uint32_t n, uint32_t name, uint32_t *index)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pair = get32(pairs + 4 * (size_t)i);

        if (pair_at(t, pair)->name == name) {
            *index = i;
            return pair;
        }
    }
    *index = UINT32_MAX;
    return 0;
}

uint32_t pair_cursor_get(struct pair_cursor *c, uint32_t id)
{
    const struct texts *t = &c->ix->texts;
    const char *r = record_of(c->ix, id), *op, *pair;
    uint32_t base = id, found;

    if (r[0])
        base = id - get16(r + 1);
    if (c->base != base) {
        const char *b = r[0] ? record_of(c->ix, base) : r;

        c->base = base;
        c->base_pair = find_in(t, b + 2, (uint8_t)b[1], c->name, &c->base_index);
    }
    found = c->base_pair;
    op = r + EDITS_HEAD;
    pair = op + (uint8_t)r[0];
    for (unsigned i = 0; i < (uint8_t)r[0]; i++) {
        uint32_t edit;

        if (op_kind(op[i]) == OP_DROP) {
            if (op_at(op[i]) == c->base_index)
                return 0;
            continue;
        }
        edit = get32(pair);
        pair += 4;
        if (pair_at(t, edit)->name == c->name)
            return edit;
    }
    return found;
}
