#include "store/event_blocks-internal.h"

#include "store/event_directory_cache-internal.h"
#include "store/sqlite-internal.h"

static int check(const struct block_row *r, struct err *e)
{
    if (r->upto <= 0 || r->series || r->pages <= 0 || r->pages > BLOCK_PARTS || r->rows <= 0 || r->rows > EVENT_SOURCE_ROWS ||
        r->bytes < r->pages)
        return err_set(e, ERR_CORRUPT, "%lld rows up to record %lld in %lld parts of %lld bytes", (long long)r->rows,
                       (long long)r->upto, (long long)r->pages, (long long)r->bytes);
    return 0;
}

#define ROWS_OF(name) { STR_INIT(name), PARTITION_MS * 1000000, check, event_directory_cache_forget }

const struct blocks_kind event_blocks[EVENT_KINDS] = {
    [EVENT_ACCESS_LOG] = ROWS_OF("access_log"),
    [EVENT_LOG] = ROWS_OF("log"),
    [EVENT_SPAN] = ROWS_OF("span"),
};

/* --- writing --- */

static int put_part(void *arg, uint32_t no, struct str body, struct err *e)
{
    return block_update_part(arg, no, body, e);
}

int event_block_write(struct blocks *bs, int64_t partition, const struct event_picks *rows, uint64_t upto,
                      struct block *const *replaced, size_t n, struct block **left, struct err *e)
{
    struct block_update *u = block_update_new(bs, partition, e);
    struct event_built built;
    struct block figures;
    int rc;

    if (!u)
        return e->code;
    rc = event_build(rows, put_part, u, &built, e);
    if (rc == 0) {
        figures = (struct block){ .upto = upto,          .first = built.first_ns, .last = built.last_ns,
                                  .pages = built.parts, .rows = built.rows,      .bytes = built.bytes };
        rc = left ? block_update_leave(u, &figures, left, e) : block_update_commit(u, &figures, replaced, n, e);
    }
    block_update_end(u);
    return rc;
}

/* --- reading --- */

int event_block_read(void *arg, uint32_t no, size_t at, size_t n, void *to, struct err *e)
{
    const struct event_block_input *in = arg;
    struct block_reader *r = in->reader ? in->reader : block_reader_take(in->bs, in->block->partition, e);
    int rc = r ? block_part_read(r, in->block, no, at, n, to, e) : e->code;

    if (!in->reader)
        block_reader_give(in->bs, r);
    return rc;
}

/* Part 0. */
static int read_directory(const struct event_block_input *in, struct buf *out, struct err *e)
{
    struct block_reader *r = in->reader ? in->reader : block_reader_take(in->bs, in->block->partition, e);
    int rc = r ? block_part(r, in->block, 0, out, e) : e->code;

    if (!in->reader)
        block_reader_give(in->bs, r);
    return rc;
}

static bool agrees(const struct sealed_directory *d, const struct block *b)
{
    return d->n == b->rows && d->first_ns == b->first && d->last_ns == b->last;
}

static int parse_directory(const struct event_block_input *in, struct str bytes, struct arena *a,
                           const struct sealed_directory **d, struct err *e)
{
    size_t before = a->used;
    int rc = sealed_directory_read(bytes, a, d, e);

    if (rc == 0 && !agrees(*d, in->block))
        rc = err_set(e, ERR_CORRUPT, "the directory does not agree with the block's row");
    if (rc == 0 && in->directories)
        event_directory_cache_put(in->directories, in->block, bytes, a->used - before, a);
    return rc;
}

/* NULL: *e says why. */
static const struct sealed_directory *find_directory(const struct event_block_input *in, struct arena *a, struct err *e)
{
    struct buf bytes = BUF_INIT(EVENT_BLOCK_BYTES);
    const struct sealed_directory *d = in->directories ? event_directory_cache_get(in->directories, in->block, a) : NULL;
    int rc = 0;

    if (!d)
        rc = read_directory(in, &bytes, e);
    if (!d && rc == 0)
        rc = parse_directory(in, buf_view(&bytes), a, &d, e);
    buf_free(&bytes);
    return rc == 0 ? d : NULL;
}

struct event_source *event_block_source(struct event_block_input *in, struct arena *a, struct err *e)
{
    const struct sealed_directory *d = find_directory(in, a, e);

    return d ? event_block_of(d, event_block_read, in, a, e) : NULL;
}

int event_block_check(struct blocks *bs, struct block *b, struct err *e)
{
    struct event_block_input in = { bs, b, block_reader_take(bs, b->partition, e), NULL };
    struct arena a = ARENA_INIT(0); /* bounded by the directory */
    struct buf directory = BUF_INIT(EVENT_BLOCK_BYTES);
    int rc = in.reader ? block_check_row(in.reader, b, e) : e->code;

    if (rc == 0)
        rc = read_directory(&in, &directory, e);
    if (rc == 0)
        rc = block_check_parts(in.reader, b, b->pages - 1, b->bytes - directory.n, e);
    if (rc == 0)
        rc = event_block_source(&in, &a, e) ? 0 : e->code;
    if (rc == 0)
        rc = event_block_verify(buf_view(&directory), event_block_read, &in, e);
    block_reader_give(bs, in.reader);
    buf_free(&directory);
    arena_free(&a);
    return rc;
}
