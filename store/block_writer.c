/* block_writer.c: a block is written.
 *
 * One transaction in the partition's file holds it all: the parts as they fill, at the end the directory, the block's
 * row, and the mark on those it replaces. Only when that is committed is the list swapped; whatever the swap needs has
 * been allocated before. The connection ends with the block, after a checkpoint, so files that are not written to have
 * no log. */
#include "store/partition-internal.h"

#include "base/mem.h"

struct block_writer {
    struct blocks *bs;
    struct partition *p;
    struct db *db;
    struct directory_writer directory;
    struct buf part;
    uint32_t parts; /* that are full */
    uint64_t id;
    bool revives;   /* the partition was dropped, and its file is still held */
    bool failed;
};

/* Makes the partition ours, so that it stays. */
static int claim(struct block_writer *w, int64_t number, struct err *e)
{
    struct blocks *bs = w->bs;
    struct partition *p;
    bool taken, fresh;

    pthread_mutex_lock(&bs->lock);
    p = partition_find(bs, number);
    pthread_mutex_unlock(&bs->lock);
    if (!p)
        p = partition_add(bs, number, e);
    if (!p)
        return ERR_NOMEM;
    pthread_mutex_lock(&bs->lock);
    taken = p->writing;
    fresh = p->users == 0 && !p->dropped;
    if (!taken) {
        p->writing = true;
        p->users++;
        w->p = p;
        w->revives = p->dropped;
    }
    pthread_mutex_unlock(&bs->lock);
    if (taken)
        return err_set(e, ERR_CONFLICT, "%s: another block is being written", p->path);
    if (!fresh || partition_clear_place(p, e) == 0)
        return 0;
    p->keep = true; /* the file in our place */
    return ERR_IO;
}

static int begin(struct block_writer *w, struct err *e)
{
    uint64_t last;
    int rc = db_open_partition(w->p->path, blocks_mode(w->bs), &w->db, e);

    if (rc == 0)
        rc = db_begin(w->db, e);
    if (rc == 0)
        rc = db_blocks_schema(w->db, e);
    if (rc == 0)
        rc = db_blocks_last(w->db, &last, e);
    if (rc == 0)
        w->id = last + 1;
    if (rc == 0 && w->revives)
        rc = db_blocks_mark_gone(w->db, e);
    return rc;
}

struct block_writer *block_writer_new(struct blocks *bs, int64_t partition, struct err *e)
{
    struct block_writer *w = mem_zalloc(sizeof(*w));

    if (!w) {
        err_set(e, ERR_NOMEM, "no memory to write a block");
        return NULL;
    }
    w->bs = bs;
    w->part = (struct buf)BUF_INIT(PART_BYTES + PAGE_BYTES_MAX);
    directory_init(&w->directory);
    if (claim(w, partition, e) == 0 && begin(w, e) == 0)
        return w;
    block_writer_abandon(w);
    return NULL;
}

void block_writer_abandon(struct block_writer *w)
{
    if (!w)
        return;
    db_close(w->db); /* which rolls back what is not committed */
    if (w->p) {
        pthread_mutex_lock(&w->bs->lock);
        w->p->writing = false;
        pthread_mutex_unlock(&w->bs->lock);
        partition_leave(w->bs, w->p);
    }
    directory_fini(&w->directory);
    buf_free(&w->part);
    mem_free(w);
}

static int flush_part(struct block_writer *w, struct err *e)
{
    int rc = w->part.n ? db_part_add(w->db, w->id, ++w->parts, buf_view(&w->part), e) : 0;

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
    if (partition_of(p.first) != w->p->number || partition_of(p.last) != w->p->number)
        return err_set(e, ERR_INVALID, "%s: a page from %lld to %lld is not of this partition", w->p->path,
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

/* --- the end --- */

struct replaced {
    struct block *const *v;
    size_t n;
};

static bool is_replaced(const struct block *b, const void *arg)
{
    const struct replaced *r = arg;

    for (size_t i = 0; i < r->n; i++)
        if (r->v[i] == b)
            return true;
    return false;
}

static int pick_rank(struct block_writer *w, const struct replaced *r, uint64_t *rank, struct err *e)
{
    *rank = r->n ? 0 : blocks_rank(w->bs) + 1;
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i]->partition != w->p)
            return err_set(e, ERR_INVALID, "%s: cannot replace a block of %s", w->p->path, r->v[i]->partition->path);
        if (r->v[i]->rank > *rank)
            *rank = r->v[i]->rank;
    }
    return 0;
}

static struct block *block_new(const struct block_writer *w, uint64_t rank, struct err *e)
{
    const struct directory_sums *s = &w->directory.sums;
    struct block *b = mem_zalloc(sizeof(*b));

    if (!b) {
        err_set(e, ERR_NOMEM, "no memory for a block");
        return NULL;
    }
    b->partition = w->p;
    b->id = w->id;
    b->rank = rank;
    b->first = s->first;
    b->last = s->last;
    b->series = s->series;
    b->pages = s->pages;
    b->samples = s->samples;
    b->bytes = s->bytes;
    return b;
}

static int write_end(struct block_writer *w, const struct block *b, struct err *e)
{
    const struct block_row row = { .id = (int64_t)b->id,         .rank = (int64_t)b->rank,
                                   .first = b->first,            .last = b->last,
                                   .series = b->series,          .pages = b->pages,
                                   .samples = (int64_t)b->samples, .bytes = (int64_t)b->bytes };
    struct buf directory = BUF_INIT(INT32_MAX);
    int rc = flush_part(w, e);

    if (rc == 0)
        rc = directory_encode(&w->directory, &directory, e);
    if (rc == 0)
        rc = db_part_add(w->db, b->id, 0, buf_view(&directory), e);
    if (rc == 0)
        rc = db_block_add(w->db, &row, e);
    buf_free(&directory);
    return rc;
}

/* `b` NULL: only removes. */
static int commit(struct block_writer *w, const struct block *b, const struct replaced *r, struct err *e)
{
    int rc = b ? write_end(w, b, e) : 0;

    for (size_t i = 0; rc == 0 && i < r->n; i++)
        rc = db_block_mark_gone(w->db, r->v[i]->id, e);
    return rc < 0 ? rc : db_commit(w->db, e);
}

static void publish(struct block_writer *w, struct block_list *next, struct block *b, const struct replaced *r)
{
    struct blocks *bs = w->bs;
    struct block_list *last;

    pthread_mutex_lock(&bs->lock);
    last = blocks_swap(bs, next, b, is_replaced, r);
    if (b) {
        w->p->users++;
        w->p->dropped = false;
        if (b->rank > bs->rank)
            bs->rank = b->rank;
    }
    pthread_mutex_unlock(&bs->lock);
    blocks_release(bs, last);
}

static int finish(struct block_writer *w, const struct replaced *r, struct err *e)
{
    struct block_list *next, *held;
    struct block *b = NULL;
    uint64_t rank;
    int rc = pick_rank(w, r, &rank, e);

    if (rc < 0)
        return rc;
    held = blocks_hold(w->bs);
    next = block_list_new(held->n + 1, e); /* until the swap it can only get shorter */
    blocks_release(w->bs, held);
    if (next && w->directory.sums.pages)
        b = block_new(w, rank, e);
    if (!next || (w->directory.sums.pages && !b))
        rc = ERR_NOMEM;
    if (rc == 0)
        rc = commit(w, b, r, e);
    if (rc < 0) {
        mem_free(b);
        mem_free(next);
        return rc;
    }
    publish(w, next, b, r);
    db_checkpoint(w->db);
    return 0;
}

int block_writer_commit(struct block_writer *w, struct block *const *replaced, size_t n, struct err *e)
{
    const struct replaced r = { replaced, n };
    int rc = 0;

    if (w->failed)
        rc = err_set(e, ERR_INVALID, "a block of which a page was refused");
    else if (w->directory.sums.pages || n)
        rc = finish(w, &r, e);
    block_writer_abandon(w); /* nothing is left to roll back when it is committed */
    return rc;
}
