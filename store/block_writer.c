/* block_writer.c: a block of samples is written: pages gather in parts, and the directory comes last. */
#include "store/partition-internal.h"

#include "base/mem.h"
#include "store/page-internal.h"

struct block_writer {
    struct blocks *bs;
    int64_t partition;
    struct block_update *update;
    struct directory_writer directory;
    struct buf part;
    uint32_t parts; /* that are full */
    bool failed;
};

static int check(const struct block_row *r, struct err *e)
{
    if (r->upto || r->pages <= 0 || r->pages > DIRECTORY_PAGES || r->series < r->pages || r->series > DIRECTORY_SERIES ||
        r->rows < r->series || r->rows > r->pages * PAGE_SAMPLES || r->bytes < r->pages ||
        r->bytes > r->pages * PAGE_BYTES_MAX)
        return err_set(e, ERR_CORRUPT, "%lld samples of %lld series in %lld pages of %lld bytes", (long long)r->rows,
                       (long long)r->series, (long long)r->pages, (long long)r->bytes);
    return 0;
}

const struct blocks_kind sample_blocks = { STR_INIT("metrics"), PARTITION_MS, check, NULL };

struct block_writer *block_writer_new(struct blocks *bs, int64_t partition, struct err *e)
{
    struct block_writer *w = mem_zalloc(sizeof(*w));

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory to write a block");
        return NULL;
    }
    w->bs = bs;
    w->partition = partition;
    w->part = (struct buf)BUF_INIT(PART_BYTES + PAGE_BYTES_MAX);
    directory_init(&w->directory);
    w->update = block_update_new(bs, partition, e);
    if (w->update)
        return w;
    block_writer_abandon(w);
    return NULL;
}

void block_writer_abandon(struct block_writer *w)
{
    if (!w)
        return;
    block_update_end(w->update);
    directory_fini(&w->directory);
    buf_free(&w->part);
    mem_free(w);
}

static int flush_part(struct block_writer *w, struct err *e)
{
    int rc = w->part.n ? block_update_part(w->update, ++w->parts, buf_view(&w->part), e) : 0;

    buf_reset(&w->part);
    return rc;
}

static int add(struct block_writer *w, struct str bytes, const struct block_page *page, const uint32_t *ids,
               struct err *e)
{
    struct block_page p = *page;
    int rc = 0;

    if (bytes.n > PAGE_BYTES_MAX)
        return err_set(e, ERR_LIMIT, "a page of %zu bytes, should be at most %d", bytes.n, PAGE_BYTES_MAX);
    if (blocks_partition(w->bs, p.first) != w->partition || blocks_partition(w->bs, p.last) != w->partition)
        return err_set(e, ERR_INVALID, "partition %lld: a page from %lld to %lld is not of it", (long long)w->partition,
                       (long long)p.first, (long long)p.last);
    if (w->part.n + bytes.n > PART_BYTES)
        rc = flush_part(w, e);
    p.part = w->parts + 1;
    p.offset = (uint32_t)w->part.n;
    if (rc == 0)
        rc = directory_add(&w->directory, &p, ids, e);
    buf_str(&w->part, bytes);
    if (rc == 0 && buf_failed(&w->part))
        rc = err_set(e, ERR_NOMEM, "no memory for a part");
    return rc;
}

int block_writer_add(struct block_writer *w, struct str page, const uint32_t *ids, size_t n, int64_t first,
                     int64_t last, size_t samples, struct err *e)
{
    const struct block_page p = { .n = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX,
                                  .samples = samples < UINT32_MAX ? (uint32_t)samples : UINT32_MAX,
                                  .length = page.n < UINT32_MAX ? (uint32_t)page.n : UINT32_MAX,
                                  .first = first,
                                  .last = last };
    int rc = w->failed ? err_set(e, ERR_INVALID, "a block of which a page was refused") : add(w, page, &p, ids, e);

    w->failed |= rc < 0;
    return rc;
}

static int write_end(struct block_writer *w, struct err *e)
{
    struct buf directory = BUF_INIT(INT32_MAX);
    int rc = flush_part(w, e);

    if (rc == 0)
        rc = directory_encode(&w->directory, &directory, e);
    if (rc == 0)
        rc = block_update_part(w->update, 0, buf_view(&directory), e);
    buf_free(&directory);
    return rc;
}

static int finish(struct block_writer *w, struct block *const *replaced, size_t n, struct err *e)
{
    const struct directory_sums *s = &w->directory.sums;
    const struct block figures = { .first = s->first,   .last = s->last,    .series = s->series,
                                   .pages = s->pages,   .rows = s->samples, .bytes = s->bytes };
    int rc = s->pages ? write_end(w, e) : 0;

    return rc < 0 ? rc : block_update_commit(w->update, s->pages ? &figures : NULL, replaced, n, e);
}

int block_writer_commit(struct block_writer *w, struct block *const *replaced, size_t n, struct err *e)
{
    int rc = 0;

    if (w->failed)
        rc = err_set(e, ERR_INVALID, "a block of which a page was refused");
    else if (w->directory.sums.pages || n)
        rc = finish(w, replaced, n, e);
    block_writer_abandon(w); /* nothing is left to roll back when it is committed */
    return rc;
}
