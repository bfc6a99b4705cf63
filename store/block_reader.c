/* block_reader.c: parts out of a file, and pages of samples.
 *
 * A reader keeps one blob open, the part it read last: the next page of the same part goes on where the chain of
 * overflow pages was left. An open blob holds a snapshot of the file. A block comes in one transaction, so a snapshot
 * that has one of its parts has all; for another block the blob is opened anew, and with it the snapshot.
 *
 * Decoding a directory takes ten times as long as copying what was decoded, and most queries are about the same few
 * blocks: a reader keeps the last ones, as far as KEPT_BYTES go. A block never changes, and of two in one file that had
 * the same number one after the other the ranks differ.
 *
 * Readers that were given back wait in one list for all partitions, the latest first; the oldest are closed. */
#include "store/partition-internal.h"

#include "base/clock.h"
#include "base/mem.h"

enum { MAX_IDLE_READERS = 16, KEPT = 32, KEPT_BYTES = 2 << 20 };

struct kept {
    uint64_t block, rank;
    struct block_page *pages; /* behind them the ids; NULL: free */
    size_t n, bytes;
};

struct block_reader {
    struct block_reader *next;
    struct partition *p;
    struct db *db;
    struct db_blob *blob;
    uint64_t block; /* of the blob */
    uint32_t part;
    int64_t given_ns;
    struct kept kept[KEPT]; /* a ring: the oldest stands at `oldest` */
    size_t oldest, kept_bytes;
};

static void kept_drop(struct block_reader *r, struct kept *k)
{
    r->kept_bytes -= k->bytes;
    mem_free(k->pages);
    *k = (struct kept){ 0 };
}

static void reader_close(struct block_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < KEPT; i++)
        kept_drop(r, &r->kept[i]);
    db_blob_close(r->blob);
    db_close(r->db);
    mem_free(r);
}

struct block_reader *block_reader_take(struct blocks *bs, struct partition *p, struct err *e)
{
    struct block_reader **at, *r;

    pthread_mutex_lock(&bs->lock);
    for (at = &bs->idle; *at && (*at)->p != p; at = &(*at)->next)
        ;
    r = *at;
    if (r) {
        *at = r->next;
        bs->nidle--;
    }
    pthread_mutex_unlock(&bs->lock);
    if (r)
        return r;
    r = mem_zalloc(sizeof(*r));
    if (!r) {
        err_set(e, ERR_NOMEM, "no memory to read blocks");
        return NULL;
    }
    r->p = p;
    if (db_open_partition(p->path, DB_READ, &r->db, e) == 0)
        return r;
    reader_close(r);
    return NULL;
}

void block_reader_give(struct blocks *bs, struct block_reader *r)
{
    struct block_reader *oldest = NULL;

    if (!r)
        return;
    db_blob_close(r->blob);
    r->blob = NULL;
    r->given_ns = clock_mono_ns();
    pthread_mutex_lock(&bs->lock);
    r->next = bs->idle;
    bs->idle = r;
    if (++bs->nidle > MAX_IDLE_READERS) {
        struct block_reader **at = &bs->idle;

        while ((*at)->next)
            at = &(*at)->next;
        oldest = *at;
        *at = NULL;
        bs->nidle--;
    }
    pthread_mutex_unlock(&bs->lock);
    reader_close(oldest);
}

void block_readers_close(struct blocks *bs, const struct partition *p, int64_t before_ns)
{
    struct block_reader *closing = NULL, **at = &bs->idle;

    pthread_mutex_lock(&bs->lock);
    while (*at) {
        struct block_reader *r = *at;

        if ((p && r->p != p) || r->given_ns >= before_ns) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        bs->nidle--;
        r->next = closing;
        closing = r;
    }
    pthread_mutex_unlock(&bs->lock);
    while (closing) {
        struct block_reader *r = closing;

        closing = r->next;
        reader_close(r);
    }
}

/* Has the reader's blob be that part. */
static int seek(struct block_reader *r, const struct block *b, uint32_t part, struct err *e)
{
    int rc = 0;

    if (r->blob && r->block == b->id && r->part == part)
        return 0;
    if (r->blob && r->block == b->id)
        rc = db_blob_move(r->blob, part_row(b->id, part), e);
    if (rc < 0 || r->block != b->id) {
        db_blob_close(r->blob);
        r->blob = NULL;
    }
    if (rc == 0 && !r->blob) {
        r->blob = db_part_open(r->db, b->id, part, e);
        rc = r->blob ? 0 : db_why(r->db);
    }
    r->block = b->id;
    r->part = part;
    return rc;
}

/* n bytes of the part. */
static int read_at(struct block_reader *r, const struct block *b, uint32_t part, size_t at, size_t n, void *to,
                   struct err *e)
{
    int rc = seek(r, b, part, e);

    if (rc < 0)
        return rc;
    if (at > db_blob_size(r->blob) || n > db_blob_size(r->blob) - at)
        return err_set(e, ERR_CORRUPT, "%zu bytes, should reach from %zu to %zu", db_blob_size(r->blob), at, at + n);
    return n ? db_blob_read(r->blob, at, n, to, e) : 0;
}

/* Appends them. */
static int read_part(struct block_reader *r, const struct block *b, uint32_t part, size_t at, size_t n, struct buf *out,
                     struct err *e)
{
    char *to = n ? buf_reserve(out, n) : out->p;
    int rc;

    if (n && !to)
        return err_set(e, ERR_NOMEM, "no memory for %zu bytes", n);
    rc = read_at(r, b, part, at, n, to, e);
    if (rc == 0)
        out->n += n;
    return rc;
}

static int fail(const struct block_reader *r, const struct block *b, uint32_t part, int rc, struct err *e)
{
    err_wrap(e, "%s: block %llu: part %u", r->p->path, (unsigned long long)b->id, part);
    return rc;
}

int block_directory_sums(struct block_reader *r, const struct block *b, struct arena *a, struct block_directory *out,
                         struct directory_sums *sums, struct err *e)
{
    const struct directory_sums row = { .pages = b->pages, .series = b->series };
    struct buf bytes = BUF_INIT(INT32_MAX);
    int rc = seek(r, b, 0, e);

    if (rc == 0)
        rc = read_part(r, b, 0, 0, db_blob_size(r->blob), &bytes, e);
    if (rc == 0)
        rc = directory_decode(buf_view(&bytes), &row, a, out, sums, e);
    buf_free(&bytes);
    if (rc == 0 && (sums->pages != b->pages || sums->series != b->series || sums->samples != b->rows ||
                    sums->bytes != b->bytes || sums->first != b->first || sums->last != b->last))
        rc = err_set(e, ERR_CORRUPT, "the directory does not agree with the block's row");
    return rc < 0 ? fail(r, b, 0, rc, e) : 0;
}

/* Large ones are not kept: each would cost many others their place. Without memory there is none. */
static void keep_directory(struct block_reader *r, const struct block *b, const struct block_directory *d)
{
    struct kept *k = &r->kept[r->oldest];
    size_t pages = d->n * sizeof(*d->pages), ids = b->series * sizeof(*d->ids);

    if (pages + ids > KEPT_BYTES / 4)
        return;
    kept_drop(r, k);
    r->oldest = (r->oldest + 1) % KEPT;
    for (size_t i = r->oldest; r->kept_bytes + pages + ids > KEPT_BYTES; i = (i + 1) % KEPT)
        kept_drop(r, &r->kept[i]);
    k->pages = mem_alloc(pages + ids);
    if (!k->pages)
        return;
    memcpy(k->pages, d->pages, pages);
    memcpy(k->pages + d->n, d->ids, ids);
    k->block = b->id;
    k->rank = b->rank;
    k->n = d->n;
    k->bytes = pages + ids;
    r->kept_bytes += k->bytes;
}

static const struct kept *kept_find(const struct block_reader *r, const struct block *b)
{
    for (size_t i = 0; i < KEPT; i++)
        if (r->kept[i].pages && r->kept[i].block == b->id && r->kept[i].rank == b->rank)
            return &r->kept[i];
    return NULL;
}

int block_directory(struct block_reader *r, const struct block *b, struct arena *a, struct block_directory *out,
                    struct err *e)
{
    const struct kept *k = kept_find(r, b);
    struct directory_sums sums = { 0 };
    struct block_page *pages;
    int rc;

    if (!k) {
        rc = block_directory_sums(r, b, a, out, &sums, e);
        if (rc == 0)
            keep_directory(r, b, out);
        return rc;
    }
    pages = arena_alloc(a, k->bytes);
    if (!pages)
        return err_set(e, ERR_NOMEM, "no memory for a directory of %u series", b->series);
    memcpy(pages, k->pages, k->bytes);
    *out = (struct block_directory){ (const uint32_t *)(pages + k->n), pages, k->n };
    return 0;
}

int blocks_directory(struct blocks *bs, struct block *b, struct arena *a, struct block_directory *out,
                     struct err *e)
{
    struct err why = ERR_INIT;
    struct block_reader *r = block_reader_take(bs, b->partition, &why);
    int rc = r ? block_directory(r, b, a, out, &why) : why.code;

    block_reader_give(bs, r);
    if (rc == ERR_CORRUPT)
        blocks_set_aside(bs, b, &why);
    if (rc < 0 && e)
        *e = why;
    return rc;
}

int block_page(struct block_reader *r, const struct block *b, const struct block_page *page, struct buf *out,
               struct err *e)
{
    int rc;

    buf_reset(out);
    rc = read_part(r, b, page->part, page->offset, page->length, out, e);
    return rc < 0 ? fail(r, b, page->part, rc, e) : 0;
}

int block_part_read(struct block_reader *r, const struct block *b, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    int rc = read_at(r, b, no, at, n, to, e);

    return rc < 0 ? fail(r, b, no, rc, e) : 0;
}

int block_part(struct block_reader *r, const struct block *b, uint32_t no, struct buf *out, struct err *e)
{
    int rc = seek(r, b, no, e);

    if (rc == 0)
        rc = read_part(r, b, no, 0, db_blob_size(r->blob), out, e);
    return rc < 0 ? fail(r, b, no, rc, e) : 0;
}

/* --- all of it --- */

/* The parts that there are hold what the directory says and nothing else; with every page read from inside its part,
 * that leaves no byte unaccounted for. */
int block_check_parts(struct block_reader *r, const struct block *b, uint64_t parts, uint64_t bytes, struct err *e)
{
    uint64_t there, sum;
    int rc = db_parts_count(r->db, b->id, &there, &sum, e);

    if (rc == 0 && (there != parts || sum != bytes))
        rc = err_set(e, ERR_CORRUPT, "%s: block %llu: %llu parts of %llu bytes, should be %llu of %llu", r->p->path,
                     (unsigned long long)b->id, (unsigned long long)there, (unsigned long long)sum,
                     (unsigned long long)parts, (unsigned long long)bytes);
    return rc;
}

int block_check_row(struct block_reader *r, const struct block *b, struct err *e)
{
    struct block_row row;
    int rc = db_block_get(r->db, b->id, &row, e);

    if (rc == 0 && (row.rank != (int64_t)b->rank || row.upto != (int64_t)b->upto || row.first != b->first || row.last != b->last ||
                    row.series != b->series || row.pages != b->pages || row.rows != (int64_t)b->rows ||
                    row.bytes != (int64_t)b->bytes))
        rc = err_set(e, ERR_CORRUPT, "its row has changed");
    if (rc < 0)
        err_wrap(e, "%s: block %llu", r->p->path, (unsigned long long)b->id);
    return rc;
}

int blocks_check(struct blocks *bs, const struct block *b,
                 int (*page)(void *arg, struct str bytes, const uint32_t *ids, size_t n, struct err *e), void *arg,
                 struct err *e)
{
    struct arena a = ARENA_INIT(0); /* a directory's size is bounded */
    struct buf bytes = BUF_INIT(PAGE_BYTES_MAX);
    struct block_directory d = { 0 };
    struct directory_sums sums = { 0 };
    struct err own = ERR_INIT;
    struct block_reader *r = block_reader_take(bs, b->partition, &own);
    int rc = r ? block_check_row(r, b, &own) : own.code;

    if (rc == 0)
        rc = block_directory_sums(r, b, &a, &d, &sums, &own);
    if (rc == 0)
        rc = block_check_parts(r, b, sums.parts, sums.bytes, &own);
    for (size_t i = 0; rc == 0 && i < d.n; i++) {
        rc = block_page(r, b, &d.pages[i], &bytes, &own);
        if (rc == 0)
            rc = page(arg, buf_view(&bytes), d.ids + d.pages[i].first_column, d.pages[i].n, &own);
        if (rc < 0)
            err_wrap(&own, "page %zu", i);
    }
    block_reader_give(bs, r);
    buf_free(&bytes);
    arena_free(&a);
    return rc < 0 ? err_set(e, rc, "%s", own.msg) : 0;
}
