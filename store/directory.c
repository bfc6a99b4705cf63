/* directory.c: which series stand in which page of a block, as bytes.
 *
 *      0  u64  checksum (XXH3) of all that follows
 *      8  u8   version, 1
 *      9  u8   packing of the columns: 0 = none, 1 = zstd
 *     10  u16  0
 *     12  u32  pages
 *     16  u32  series: columns of all pages
 *     20  u32  length of the columns, unpacked
 *     24       the columns, one behind the other:
 *              for each page   length << 1 | 1 when it begins a part
 *              for each page   series
 *              for each page   samples
 *              for each page   first time, less that of the page before, zigzag
 *              for each page   last time less first
 *              for each series number, less the one before, zigzag
 *
 * Fixed integers are little-endian, columns are varints. Series get their numbers as they come, family by family, and
 * pages keep families together: most differences are 1, which zstd makes vanish. Where a page stands follows from the
 * lengths before it. */
#include "store/directory-internal.h"

#include "base/mem.h"
#include "base/zip.h"
#include "store/page-internal.h"
#include "store/varint-internal.h"

#include <endian.h>

enum { HEADER = 24, VERSION = 1, PLAIN = 0, ZSTD = 1, LEVEL = 3 };
/* The longest that one page, and one series, can be in the columns. */
enum { PAGE_RAW = 3 + 2 + 3 + 2 * VARINT_MAX, SERIES_RAW = 5 };

static const struct directory_sums nothing = { .first = INT64_MAX, .last = INT64_MIN };

void directory_init(struct directory_writer *w)
{
    *w = (struct directory_writer){ .sums = nothing };
    for (size_t i = 0; i < DIR_ID; i++)
        w->columns[i] = (struct buf)BUF_INIT((size_t)DIRECTORY_PAGES * VARINT_MAX);
    w->columns[DIR_ID] = (struct buf)BUF_INIT((size_t)DIRECTORY_SERIES * SERIES_RAW);
}

void directory_fini(struct directory_writer *w)
{
    for (size_t i = 0; i < DIR_COLUMNS; i++)
        buf_free(&w->columns[i]);
}

/* The same for what is written and what is read. */
static int check_page(const struct block_page *p, const struct directory_sums *sums, int code, struct err *e)
{
    if (p->n == 0 || p->n > PAGE_COLUMNS || p->samples < p->n || p->samples > PAGE_SAMPLES)
        return err_set(e, code, "directory: page %u has %u samples of %u series", sums->pages, p->samples, p->n);
    if (p->length == 0 || p->length > PAGE_BYTES_MAX)
        return err_set(e, code, "directory: page %u of %u bytes, should be 1 to %d", sums->pages, p->length,
                       PAGE_BYTES_MAX);
    if (p->first > p->last)
        return err_set(e, code, "directory: page %u ends before it begins", sums->pages);
    if (p->part == 0 || (p->offset == 0 ? p->part != sums->parts + 1 : p->part != sums->parts))
        return err_set(e, code, "directory: page %u stands in part %u, behind part %u", sums->pages, p->part,
                       sums->parts);
    return 0;
}

static void sum_page(struct directory_sums *sums, const struct block_page *p)
{
    sums->pages++;
    sums->series += p->n;
    sums->parts = p->part;
    sums->samples += p->samples;
    sums->bytes += p->length;
    if (p->first < sums->first)
        sums->first = p->first;
    if (p->last > sums->last)
        sums->last = p->last;
}

/* --- writing --- */

int directory_add(struct directory_writer *w, const struct block_page *page, const uint32_t *ids, struct err *e)
{
    int rc = check_page(page, &w->sums, ERR_INVALID, e);
    bool failed = false; /* sticks: of a writer that failed so nothing more can be made */

    if (rc < 0)
        return rc;
    if (w->sums.pages == DIRECTORY_PAGES || w->sums.series + page->n > DIRECTORY_SERIES)
        return err_set(e, ERR_LIMIT, "a block of more than %d pages or %d series", DIRECTORY_PAGES, DIRECTORY_SERIES);
    for (size_t i = 0; i < page->n; i++)
        if (ids[i] == 0)
            return err_set(e, ERR_INVALID, "directory: series 0 in page %u", w->sums.pages);
    for (size_t i = 0; i < page->n; i++) {
        varint_put(&w->columns[DIR_ID], zigzag((uint64_t)ids[i] - w->id_before));
        w->id_before = ids[i];
    }
    varint_put(&w->columns[DIR_LENGTH], (uint64_t)page->length << 1 | (page->offset == 0));
    varint_put(&w->columns[DIR_SERIES], page->n);
    varint_put(&w->columns[DIR_SAMPLES], page->samples);
    varint_put(&w->columns[DIR_FIRST], zigzag((uint64_t)page->first - (uint64_t)w->first_before));
    varint_put(&w->columns[DIR_LAST], (uint64_t)page->last - (uint64_t)page->first);
    w->first_before = page->first;
    sum_page(&w->sums, page);
    for (size_t i = 0; i < DIR_COLUMNS; i++)
        failed |= buf_failed(&w->columns[i]);
    return failed ? err_set(e, ERR_NOMEM, "no memory for a block's directory") : 0;
}

static void put_header(const struct directory_writer *w, uint8_t packing, size_t raw, struct buf *out)
{
    const uint32_t counts[3] = { htole32(w->sums.pages), htole32(w->sums.series), htole32((uint32_t)raw) };
    const uint8_t kinds[4] = { VERSION, packing };
    const uint64_t room = 0;

    buf_put(out, &room, 8);
    buf_put(out, kinds, sizeof(kinds));
    buf_put(out, counts, sizeof(counts));
}

int directory_encode(const struct directory_writer *w, struct buf *out, struct err *e)
{
    struct buf raw = BUF_INIT(SIZE_MAX), packed = BUF_INIT(SIZE_MAX);
    size_t start = out->n;
    bool zip;
    int rc;

    for (size_t i = 0; i < DIR_COLUMNS; i++)
        buf_str(&raw, buf_view(&w->columns[i]));
    rc = buf_failed(&raw) ? err_set(e, ERR_NOMEM, "no memory for a block's directory")
                          : zstd_pack(buf_view(&raw), LEVEL, &packed, e);
    if (rc == 0) {
        zip = packed.n < raw.n;
        put_header(w, zip ? ZSTD : PLAIN, raw.n, out);
        buf_str(out, buf_view(zip ? &packed : &raw));
        if (buf_failed(out)) {
            rc = err_set(e, ERR_NOMEM, "no memory for a block's directory");
        } else {
            uint64_t sum = htole64(str_hash_stable((struct str){ out->p + start + 8, out->n - start - 8 }));

            memcpy(out->p + start, &sum, 8);
        }
    }
    buf_free(&raw);
    buf_free(&packed);
    return rc;
}

/* --- reading --- */

struct header {
    uint8_t packing;
    uint32_t pages, series, raw;
};

static int get_header(struct str bytes, const struct directory_sums *most, struct header *h, struct err *e)
{
    uint64_t sum;
    uint8_t kinds[4];
    uint32_t counts[3];

    if (bytes.n < HEADER)
        return err_set(e, ERR_CORRUPT, "directory: %zu bytes, too short", bytes.n);
    memcpy(&sum, bytes.p, 8);
    memcpy(kinds, bytes.p + 8, 4);
    memcpy(counts, bytes.p + 12, 12);
    if (le64toh(sum) != str_hash_stable(str_from(bytes, 8)))
        return err_set(e, ERR_CORRUPT, "directory: checksum wrong");
    *h = (struct header){ kinds[1], le32toh(counts[0]), le32toh(counts[1]), le32toh(counts[2]) };
    if (kinds[0] != VERSION || kinds[1] > ZSTD || kinds[2] || kinds[3])
        return err_set(e, ERR_CORRUPT, "directory: version %u, packing %u unknown", kinds[0], kinds[1]);
    if (h->pages > most->pages || h->series > most->series || h->pages > DIRECTORY_PAGES ||
        h->series > DIRECTORY_SERIES)
        return err_set(e, ERR_CORRUPT, "directory: %u pages, %u series, should be %u and %u", h->pages, h->series,
                       most->pages, most->series);
    if (h->raw > (uint64_t)h->pages * PAGE_RAW + (uint64_t)h->series * SERIES_RAW)
        return err_set(e, ERR_CORRUPT, "directory: columns of %u bytes, too long", h->raw);
    return 0;
}

/* The columns, as views of `packed` or unpacked into *owned, which the caller frees. */
static int unpack(struct str packed, const struct header *h, struct str *raw, char **owned, struct err *e)
{
    int rc;

    *raw = packed;
    if (h->packing == PLAIN)
        return packed.n == h->raw ? 0 : err_set(e, ERR_CORRUPT, "directory: columns of %zu bytes, should be %u",
                                                packed.n, h->raw);
    *owned = mem_alloc(h->raw);
    if (!*owned)
        return err_set(e, ERR_NOMEM, "no memory for a directory of %u bytes", h->raw);
    *raw = (struct str){ *owned, h->raw };
    rc = zstd_unpack_exact(packed, *owned, h->raw, e);
    return rc == 0 || rc == ERR_NOMEM ? rc : err_set(e, ERR_CORRUPT, "directory: columns do not unpack");
}

static bool get_u32(struct bytes *r, uint32_t *v)
{
    uint64_t u;

    if (!varint_get(r, &u) || u > UINT32_MAX)
        return false;
    *v = (uint32_t)u;
    return true;
}

/* The pages' columns; where each page stands follows. */
static bool get_pages(struct bytes *r, struct block_page *pages, size_t n)
{
    uint64_t first = 0, u;

    for (size_t i = 0; i < n; i++) {
        if (!get_u32(r, &pages[i].length))
            return false;
        pages[i].part = pages[i].length & 1; /* for now */
        pages[i].length >>= 1;
    }
    for (size_t i = 0; i < n; i++)
        if (!get_u32(r, &pages[i].n))
            return false;
    for (size_t i = 0; i < n; i++)
        if (!get_u32(r, &pages[i].samples))
            return false;
    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &u))
            return false;
        first += unzigzag(u);
        pages[i].first = (int64_t)first;
    }
    for (size_t i = 0; i < n; i++) {
        if (!varint_get(r, &u))
            return false;
        pages[i].last = (int64_t)((uint64_t)pages[i].first + u);
    }
    return true;
}

static int place_pages(struct block_page *pages, size_t n, struct directory_sums *sums, struct err *e)
{
    uint64_t offset = 0;

    for (size_t i = 0; i < n; i++) {
        struct block_page *p = &pages[i];
        int rc;

        if (p->part)
            offset = 0;
        if (offset > UINT32_MAX)
            return err_set(e, ERR_CORRUPT, "directory: part %u too long", sums->parts);
        p->part += sums->parts;
        p->offset = (uint32_t)offset;
        p->first_column = sums->series;
        rc = check_page(p, sums, ERR_CORRUPT, e);
        if (rc < 0)
            return rc;
        offset += p->length;
        sum_page(sums, p);
    }
    return 0;
}

/* One id and the next, and so on: as long as eight differences of 1 follow each other, eight at a time. */
static size_t get_run(struct bytes *r, uint32_t *ids, size_t n, uint64_t id)
{
    size_t i = 0;
    uint64_t word;

    while (n - i >= 8 && bytes_left(r) >= 8) {
        memcpy(&word, r->p, 8);
        if (word != 0x0202020202020202) /* 1, zigzag */
            break;
        for (uint32_t k = 0; k < 8; k++)
            ids[i + k] = (uint32_t)id + 1 + k;
        id += 8;
        i += 8;
        r->p += 8;
    }
    return i;
}

static bool get_ids(struct bytes *r, uint32_t *ids, size_t n)
{
    uint64_t id = 0, bad = 0;

    for (size_t i = 0; i < n; i++) {
        size_t run = get_run(r, ids + i, n - i, id);
        uint64_t u;

        i += run;
        id += run;
        bad |= id > UINT32_MAX;
        if (i == n)
            break;
        if (r->p < r->end && *r->p < 0x80)
            u = *r->p++;
        else if (!varint_get(r, &u))
            return false;
        id += unzigzag(u);
        bad |= id - 1 >= UINT32_MAX; /* nobody has 0 */
        ids[i] = (uint32_t)id;
    }
    return bad == 0;
}

static int get_columns(struct str raw, const struct header *h, struct arena *a, struct block_directory *out,
                       struct directory_sums *sums, struct err *e)
{
    struct bytes r = bytes_of(raw);
    struct block_page *pages = arena_array(a, h->pages ? h->pages : 1, sizeof(*pages));
    uint32_t *ids = arena_alloc(a, (h->series ? h->series : 1) * sizeof(*ids));
    int rc;

    *sums = nothing;
    if (!pages || !ids)
        return err_set(e, ERR_NOMEM, "no memory for a directory of %u series", h->series);
    if (!get_pages(&r, pages, h->pages))
        return err_set(e, ERR_CORRUPT, "directory: pages cut short or out of range");
    rc = place_pages(pages, h->pages, sums, e);
    if (rc < 0)
        return rc;
    if (sums->series != h->series)
        return err_set(e, ERR_CORRUPT, "directory: %u series in pages, should be %u", sums->series, h->series);
    if (!get_ids(&r, ids, h->series))
        return err_set(e, ERR_CORRUPT, "directory: series cut short or out of range");
    if (bytes_left(&r))
        return err_set(e, ERR_CORRUPT, "directory: %zu bytes behind the series", bytes_left(&r));
    *out = (struct block_directory){ ids, pages, h->pages };
    return 0;
}

int directory_decode(struct str bytes, const struct directory_sums *most, struct arena *a, struct block_directory *out,
                     struct directory_sums *sums, struct err *e)
{
    struct header h = { 0 };
    struct str raw;
    char *owned = NULL;
    int rc = get_header(bytes, most, &h, e);

    if (rc == 0)
        rc = unpack(str_from(bytes, HEADER), &h, &raw, &owned, e);
    if (rc == 0)
        rc = get_columns(raw, &h, a, out, sums, e);
    mem_free(owned);
    return rc;
}
