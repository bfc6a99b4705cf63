/* started.c: whether a counter that says when it began at zero is new to the store.
 *
 * A sender repeats the start with every batch, and each time the answer must be cheap: the heads know most series. What
 * they do not know (the first batch after a head was frozen, or after a start of ours) the blocks tell, newest first:
 *
 *     begins after the start      a series that is in it has begun
 *     has the start in its midst  when was the series last seen in it?
 *
 * For that the series of the blocks asked for last are kept as bits, and for two blocks their last times: reading those
 * is a whole block to decode, but once for all its series. */
#include "store/started-internal.h"

#include "base/mem.h"
#include "store/bits-internal.h"
#include "store/page-internal.h"
#include "store/store-internal.h"

void started_fini(struct started *s)
{
    for (size_t i = 0; i < STARTED_BLOCKS; i++)
        mem_free(s->series[i].bits);
    for (size_t i = 0; i < STARTED_TIMES; i++)
        mem_free(s->times[i].last);
}

/* --- which series a block has --- */

static int load_series(struct store *st, struct block *b, struct started_series *k, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct block_directory d;
    int rc = blocks_directory(st->blocks, b, &a, &d, e);

    mem_free(k->bits);
    *k = (struct started_series){ .id = b->id };
    for (uint32_t i = 0; rc == 0 && i < b->series; i++)
        k->end = d.ids[i] >= k->end ? d.ids[i] + 1 : k->end;
    if (rc == 0 && !(k->bits = mem_zalloc(bits_words(k->end) * sizeof(*k->bits))))
        rc = err_set(e, ERR_NOMEM, "no memory for a list of series");
    for (uint32_t i = 0; rc == 0 && i < b->series; i++)
        bits_set(k->bits, d.ids[i]);
    if (rc == 0)
        k->rank = b->rank;
    arena_free(&a);
    return rc;
}

static int series_of(struct store *st, struct block *b, const struct started_series **out, struct err *e)
{
    struct started *s = &st->started;
    struct started_series *k;

    for (size_t i = 0; i < STARTED_BLOCKS; i++)
        if (s->series[i].rank == b->rank && s->series[i].id == b->id) {
            *out = &s->series[i];
            return 0;
        }
    *out = k = &s->series[s->next_series++ % STARTED_BLOCKS];
    return load_series(st, b, k, e);
}

/* --- when they were last seen in it --- */

static int read_page(struct page_reader *r, struct str bytes, const uint32_t *ids, size_t n, int64_t first,
                     uint32_t *last, struct err *e)
{
    struct sample_columns c;
    size_t columns;
    int rc = page_open(r, bytes, &columns, e);

    for (size_t i = 0; rc == 0 && i < n && i < columns; i++) {
        rc = page_column(r, i, &c, e);
        if (rc == 0)
            last[ids[i]] = (uint32_t)(c.t[c.n - 1] - first);
    }
    return rc;
}

static int read_block(struct store *st, struct block *b, uint32_t *last, struct err *e)
{
    struct block_reader *r = block_reader_take(st->blocks, b->partition, e);
    struct page_reader *page = page_reader_new();
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct buf bytes = BUF_INIT(PAGE_BYTES_MAX);
    struct block_directory d = { 0 };
    int rc = !r ? e->code : page ? block_directory(r, b, &a, &d, e) : err_set(e, ERR_NOMEM, "no memory to read a page");

    for (size_t i = 0; rc == 0 && i < d.n; i++) {
        rc = block_page(r, b, &d.pages[i], &bytes, e);
        if (rc == 0)
            rc = read_page(page, buf_view(&bytes), d.ids + d.pages[i].first_column, d.pages[i].n, b->first, last, e);
    }
    buf_free(&bytes);
    arena_free(&a);
    page_reader_free(page);
    block_reader_give(st->blocks, r);
    if (rc == ERR_CORRUPT)
        blocks_set_aside(st->blocks, b, e);
    return rc;
}

/* `end`: one past the highest series number of the block. */
static int times_of(struct store *st, struct block *b, uint32_t end, const struct started_times **out, struct err *e)
{
    struct started *s = &st->started;
    struct started_times *k;
    int rc;

    for (size_t i = 0; i < STARTED_TIMES; i++)
        if (s->times[i].rank == b->rank && s->times[i].id == b->id) {
            *out = &s->times[i];
            return 0;
        }
    *out = k = &s->times[s->next_times++ % STARTED_TIMES];
    mem_free(k->last);
    *k = (struct started_times){ .id = b->id, .last = mem_zalloc((size_t)end * sizeof(*k->last)) };
    rc = k->last ? read_block(st, b, k->last, e) : err_set(e, ERR_NOMEM, "no memory for the times of a block");
    if (rc == 0)
        k->rank = b->rank;
    return rc;
}

/* --- the answer --- */

/* Whether the block has a sample of the series at or after from_ms. */
static int has_since(struct store *st, struct block *b, uint32_t id, int64_t from_ms, bool *has, struct err *e)
{
    const struct started_series *series;
    const struct started_times *times;
    int rc = series_of(st, b, &series, e);

    if (rc < 0 || id >= series->end || !bits_test(series->bits, id))
        return rc;
    *has = b->first >= from_ms;
    if (*has)
        return 0;
    rc = times_of(st, b, series->end, &times, e);
    if (rc == 0)
        *has = b->first + times->last[id] >= from_ms;
    return rc;
}

static int sealed_since(struct store *st, uint32_t id, int64_t from_ms, bool *has, struct err *e)
{
    struct block_list *list = blocks_hold(st->blocks);
    int rc = 0;

    for (size_t i = list->n; rc == 0 && !*has && i-- > 0;)
        if (list->blocks[i]->last >= from_ms) {
            rc = has_since(st, list->blocks[i], id, from_ms, has, e);
            if (rc == ERR_CORRUPT) /* set aside: it is as if it were not there */
                rc = 0;
        }
    blocks_release(st->blocks, list);
    return rc;
}

static bool head_since(const struct head *h, uint32_t id, int64_t from_ms)
{
    struct head_view v;
    int64_t first, last;

    if (!h || !head_look(h, id, &v))
        return false;
    head_view_range(&v, &first, &last);
    return last >= from_ms;
}

int started_after(struct store *st, uint32_t id, int64_t start_ms, bool *anew, struct err *e)
{
    struct err why = ERR_INIT;
    bool has = head_since(st->head, id, start_ms) || head_since(st->frozen, id, start_ms);
    int rc = has || id >= st->group.mark.series ? 0 : sealed_since(st, id, start_ms, &has, &why);

    *anew = !has;
    if (rc < 0 && e)
        *e = why;
    return rc;
}
