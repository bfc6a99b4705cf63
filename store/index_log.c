/* index_log.c: what was added to an index as bytes, and back.
 *
 *   record     KIND(8)  SUM(64)  BODY           SUM = str_hash_stable(BODY), little endian as all here
 *   additions  KIND 1   BODY: FIRST  NAMES  PAIRS  N  NNAMES  NPAIRS  SIZE  N x KEY(128)  zstd(SIZE bytes)
 *   removal    KIND 2   BODY: COUNT, COUNT x STEP, zigzag
 *   skip       KIND 3   BODY: END   numbers below it that were not given yet will not be
 *
 * FIRST is the first series' number, NAMES and PAIRS how many there were before; N, NNAMES and NPAIRS how many come.
 * Unpacked: NNAMES x (LENGTH name), NPAIRS x (NAME LENGTH value), HOLES, HOLES x STEP (series that had gone by then,
 * each told from the one before, the first from FIRST), N x the record of a series (index_record.c).
 *
 * Numbers without a width are varints. Keys do not compress, so they stay out of zstd; labels are written as they are
 * in memory, except that they refer to nothing before the record's own FIRST. */
#include "store/index_state-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/varint-internal.h"

#include <endian.h>

enum { KIND_ADDITIONS = 1, KIND_REMOVAL = 2, KIND_SKIP = 3, HEAD = 9, KEY = 16, ZSTD_LEVEL = 1, AHEAD = 8 };
#define MOST_UNPACKED ((size_t)1 << 30)

/* --- writing --- */

static void put64(char *to, uint64_t v)
{
    v = htole64(v);
    memcpy(to, &v, sizeof(v));
}

static uint64_t get64(const char *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

/* Leaves room for the head; where it is. */
static size_t begin(struct buf *out, char kind)
{
    size_t at = out->n;

    buf_putc(out, kind);
    buf_put(out, "\0\0\0\0\0\0\0", 8);
    return at;
}

static void finish(struct buf *out, size_t at)
{
    if (buf_failed(out))
        return;
    put64(out->p + at + 1, str_hash_stable((struct str){ out->p + at + HEAD, out->n - at - HEAD }));
}

static void put_text(struct buf *out, struct str s)
{
    varint_put(out, s.n);
    buf_str(out, s);
}

static void put_series(const struct series_index *ix, uint32_t first, uint32_t id, struct buf *out)
{
    uint32_t base, pairs[INDEX_MAX_LABELS];
    struct str bytes = record_bytes(ix, id, &base);
    char alone[RECORD_MAX];

    if (base && base < first)
        bytes = (struct str){ alone, record_alone(alone, pairs, record_pairs(ix, id, pairs)) };
    buf_str(out, bytes);
}

static void put_holes(const struct series_index *ix, uint32_t first, struct buf *out)
{
    uint32_t holes = 0, before = first;

    for (uint32_t id = first; id < ix->end; id++)
        holes += !index_has(ix, id);
    varint_put(out, holes);
    for (uint32_t id = first; id < ix->end; id++) {
        if (index_has(ix, id))
            continue;
        varint_put(out, id - before);
        before = id;
    }
}

static void put_additions(const struct series_index *ix, struct index_mark mark, struct buf *out)
{
    const struct texts *t = &ix->texts;

    for (uint32_t i = mark.names + 1; i <= t->nnames; i++)
        put_text(out, t->names[i].text);
    for (uint32_t i = mark.pairs + 1; i <= t->npairs; i++) {
        varint_put(out, pair_at(t, i)->name);
        put_text(out, pair_value(pair_at(t, i)));
    }
    put_holes(ix, mark.series, out);
    for (uint32_t id = mark.series; id < ix->end; id++)
        put_series(ix, mark.series, id, out);
}

static void put_keys(const struct series_index *ix, uint32_t first, struct buf *out)
{
    for (uint32_t id = first; id < ix->end; id++) {
        const struct index_key *key = &stripe_of(ix, id)->key[id & (STRIPE - 1)];
        char bytes[KEY];

        put64(bytes, key->lo);
        put64(bytes + 8, key->hi);
        buf_put(out, bytes, KEY);
    }
}

void index_log(const struct series_index *ix, struct index_mark mark, struct buf *out)
{
    struct buf raw = BUF_INIT(MOST_UNPACKED);
    size_t at = begin(out, KIND_ADDITIONS);

    put_additions(ix, mark, &raw);
    varint_put(out, mark.series);
    varint_put(out, mark.names);
    varint_put(out, mark.pairs);
    varint_put(out, ix->end - mark.series);
    varint_put(out, ix->texts.nnames - mark.names);
    varint_put(out, ix->texts.npairs - mark.pairs);
    varint_put(out, raw.n);
    put_keys(ix, mark.series, out);
    if (buf_failed(&raw) || zstd_pack(buf_view(&raw), ZSTD_LEVEL, out, NULL) < 0)
        out->failed = true;
    finish(out, at);
    buf_free(&raw);
}

void index_log_removal(const uint32_t *ids, size_t n, struct buf *out)
{
    size_t at = begin(out, KIND_REMOVAL);
    uint64_t before = 0;

    varint_put(out, n);
    for (size_t i = 0; i < n; i++) {
        varint_put(out, zigzag(ids[i] - before));
        before = ids[i];
    }
    finish(out, at);
}

void index_log_skip(uint32_t end, struct buf *out)
{
    size_t at = begin(out, KIND_SKIP);

    varint_put(out, end);
    finish(out, at);
}

/* --- replaying --- */

/* The numbers at the start of additions, and what follows them. */
struct additions {
    uint64_t first, names, pairs, n, nnames, npairs, size;
    struct str keys, packed;
};

static int corrupt(struct err *e, const char *what)
{
    return err_set(e, ERR_CORRUPT, "record of the series index: %s", what);
}

static struct str rest_of(const struct bytes *r)
{
    return (struct str){ (const char *)r->p, bytes_left(r) };
}

static int read_head(const struct series_index *ix, struct str body, struct additions *ad, struct err *e)
{
    struct bytes r = bytes_of(body);
    uint64_t *const numbers[] = { &ad->first, &ad->names, &ad->pairs, &ad->n, &ad->nnames, &ad->npairs, &ad->size };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!varint_get(&r, numbers[i]))
            return corrupt(e, "its head is cut short");
    if (ad->first != ix->end || ad->names != ix->texts.nnames || ad->pairs != ix->texts.npairs)
        return err_set(e, ERR_CORRUPT,
                       "record of the series index: begins at series %llu, name %llu, pair %llu, should be %u, %u, %u",
                       (unsigned long long)ad->first, (unsigned long long)ad->names, (unsigned long long)ad->pairs,
                       ix->end, ix->texts.nnames, ix->texts.npairs);
    if (ad->size > MOST_UNPACKED || ad->n > bytes_left(&r) / KEY)
        return corrupt(e, "it says to be larger than it is");
    ad->keys = (struct str){ (const char *)r.p, ad->n * KEY };
    ad->packed = str_from(rest_of(&r), ad->keys.n);
    return 0;
}

static bool get_text(struct bytes *r, struct str *s)
{
    uint64_t n;

    if (!varint_get(r, &n) || n > bytes_left(r))
        return false;
    *s = (struct str){ (const char *)r->p, n };
    r->p += n;
    return true;
}

static int replay_names(struct texts *t, uint64_t n, struct bytes *r, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        struct str name;

        if (!get_text(r, &name) || name_find(t, name))
            return corrupt(e, "a name is cut short or stands twice");
        if (!name_intern(t, name))
            return err_set(e, ERR_NOMEM, "no memory for a name");
    }
    return 0;
}

static int replay_pairs(struct texts *t, uint64_t n, struct bytes *r, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        struct str value;
        uint64_t name;
        uint32_t before = t->npairs;

        if (!varint_get(r, &name) || name == 0 || name > t->nnames || !get_text(r, &value) || value.n == 0)
            return corrupt(e, "a value is cut short, empty or of no name");
        if (!pair_intern(t, (uint32_t)name, value))
            return err_set(e, ERR_NOMEM, "no memory for a value");
        if (t->npairs == before)
            return corrupt(e, "a value stands twice");
    }
    return 0;
}

/* Bits by place in the record: series that had gone. */
static int read_holes(struct bytes *r, uint64_t n, uint64_t *bits, struct err *e)
{
    uint64_t holes, at = 0;

    if (!varint_get(r, &holes) || holes > n)
        return corrupt(e, "its list of holes is cut short");
    for (uint64_t i = 0; i < holes; i++) {
        uint64_t step;

        if (!varint_get(r, &step) || (i && step == 0) || step >= n - at)
            return corrupt(e, "a hole is not in it");
        at += step;
        bits[at / 64] |= (uint64_t)1 << at % 64;
    }
    return 0;
}

static struct index_key key_at(const struct additions *ad, uint64_t i)
{
    return (struct index_key){ get64(ad->keys.p + i * KEY), get64(ad->keys.p + i * KEY + 8) };
}

static int replay_series(struct series_index *ix, const struct additions *ad, struct bytes *r, const uint64_t *holes,
                         struct err *e)
{
    struct record_reader rd = { .first = ix->end };
    struct str left = rest_of(r);

    for (uint64_t i = 0; i < ad->n; i++) {
        struct new_series s;

        s.key = key_at(ad, i);
        s.gone = holes[i / 64] >> i % 64 & 1;
        if (i + AHEAD < ad->n)
            index_prefetch(ix, key_at(ad, i + AHEAD));
        if (!record_read(ix, &rd, &left, ix->end, s.pairs, &s.n))
            return corrupt(e, "the labels of a series are malformed");
        s.edits = rd.edits;
        if (!s.gone && table_find(ix, s.key))
            return corrupt(e, "a series stands twice");
        if (!series_put(ix, &s, e))
            return ERR_NOMEM;
    }
    return left.n ? corrupt(e, "there is more behind its end") : 0;
}

static int replay_unpacked(struct series_index *ix, const struct additions *ad, struct str raw, struct err *e)
{
    uint64_t *holes = mem_zalloc((ad->n / 64 + 1) * sizeof(*holes));
    struct bytes r = bytes_of(raw);
    int rc;

    if (!holes)
        return err_set(e, ERR_NOMEM, "no memory for a record of %zu bytes", raw.n);
    rc = replay_names(&ix->texts, ad->nnames, &r, e);
    if (rc == 0)
        rc = replay_pairs(&ix->texts, ad->npairs, &r, e);
    if (rc == 0)
        rc = read_holes(&r, ad->n, holes, e);
    if (rc == 0)
        rc = replay_series(ix, ad, &r, holes, e);
    mem_free(holes);
    return rc;
}

static int replay_additions(struct series_index *ix, struct str body, struct err *e)
{
    struct index_mark before = index_mark(ix);
    struct additions ad = { 0 };
    struct buf raw;
    int rc = read_head(ix, body, &ad, e);

    if (rc < 0)
        return rc;
    raw = (struct buf)BUF_INIT(ad.size + 1); /* so that one byte too many is seen */
    rc = zstd_unpack(ad.packed, &raw, e);
    if (rc == 0 && raw.n == ad.size)
        rc = replay_unpacked(ix, &ad, buf_view(&raw), e);
    else if (rc != ERR_NOMEM)
        rc = corrupt(e, "it does not unpack to what it says");
    buf_free(&raw);
    if (rc < 0)
        index_rollback(ix, before);
    return rc;
}

static int read_removal(const struct series_index *ix, struct bytes *r, uint32_t *ids, uint64_t n, struct err *e)
{
    uint64_t step, id = 0;

    for (uint64_t i = 0; i < n; i++) {
        if (!varint_get(r, &step))
            return corrupt(e, "its list of removals is cut short");
        id += unzigzag(step);
        if (id == 0 || id >= ix->end)
            return corrupt(e, "it removes a series that never was");
        ids[i] = (uint32_t)id;
    }
    return bytes_left(r) ? corrupt(e, "there is more behind its end") : 0;
}

static int replay_removal(struct series_index *ix, struct str body, struct err *e)
{
    struct bytes r = bytes_of(body);
    uint32_t *ids;
    uint64_t n;
    int rc;

    if (!varint_get(&r, &n) || n > bytes_left(&r))
        return corrupt(e, "its list of removals is cut short");
    ids = mem_alloc(n * sizeof(*ids));
    if (!ids)
        return err_set(e, ERR_NOMEM, "no memory for %llu removals", (unsigned long long)n);
    rc = read_removal(ix, &r, ids, n, e);
    if (rc == 0)
        index_remove(ix, ids, n);
    mem_free(ids);
    return rc;
}

static int replay_skip(struct series_index *ix, struct str body, struct err *e)
{
    struct bytes r = bytes_of(body);
    uint64_t end;

    if (!varint_get(&r, &end) || bytes_left(&r))
        return corrupt(e, "a skip is cut short, or too long");
    if (end < ix->end || end > MOST_SERIES)
        return corrupt(e, "it skips to where the numbers are already, or end");
    return index_skip(ix, (uint32_t)end) < 0 ? err_set(e, ERR_NOMEM, "no memory to skip numbers") : 0;
}

int index_replay(struct series_index *ix, struct str record, struct err *e)
{
    struct str body = str_from(record, HEAD);

    if (record.n < HEAD || get64(record.p + 1) != str_hash_stable(body))
        return corrupt(e, "the checksum is wrong");
    if (record.p[0] == KIND_ADDITIONS)
        return replay_additions(ix, body, e);
    if (record.p[0] == KIND_REMOVAL)
        return replay_removal(ix, body, e);
    if (record.p[0] == KIND_SKIP)
        return replay_skip(ix, body, e);
    return corrupt(e, "of no kind that is known");
}
