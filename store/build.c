/* build.c: columns gather in a page until it is full.
 *
 * A page is a unit of reading: all its series are fetched for one of them. So it is full at PAGE_SAMPLES, and a column is
 * never split: who calls sees to it that a block spans little enough time (ERR_RANGE says when it does not). */
#include "store/build-internal.h"

#include "base/mem.h"

struct builder {
    struct block_writer *w;
    const struct build_cut *cut;
    struct sample_columns columns[PAGE_COLUMNS];
    uint32_t ids[PAGE_COLUMNS];
    size_t ncolumns, n; /* n: samples in the page */
    int64_t t[PAGE_SAMPLES];
    double v[PAGE_SAMPLES];
    struct buf page;
    bool any;
};

static int flush(struct builder *b, struct err *e)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    int rc;

    if (b->ncolumns == 0)
        return 0;
    for (size_t i = 0; i < b->ncolumns; i++) {
        const struct sample_columns *c = &b->columns[i];

        first = c->t[0] < first ? c->t[0] : first;
        last = c->t[c->n - 1] > last ? c->t[c->n - 1] : last;
    }
    buf_reset(&b->page);
    rc = page_encode(b->columns, b->ncolumns, &b->page, e);
    if (rc == 0)
        rc = block_writer_add(b->w, buf_view(&b->page), b->ids, b->ncolumns, first, last, b->n, e);
    b->any = true;
    b->ncolumns = b->n = 0;
    return rc;
}

static bool is_cut(const struct build_cut *cut, uint32_t id)
{
    size_t lo = 0, hi = cut ? cut->n : 0;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (cut->ids[mid] == id)
            return true;
        if (cut->ids[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

/* Appends one series' samples to the page's; returns how many, or PAGE_SAMPLES + 1 when they do not fit any more. */
static size_t take(struct builder *b, size_t at, const struct sample_columns *c, bool cut)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++) {
        if (cut && c->t[i] >= b->cut->from_ms && c->t[i] <= b->cut->to_ms)
            continue;
        if (at + n == PAGE_SAMPLES)
            return PAGE_SAMPLES + 1;
        b->t[at + n] = c->t[i];
        b->v[at + n++] = c->v[i];
    }
    return n;
}

/* The scan's current series as one column. */
static int add_series(struct builder *b, struct scan *scan, uint32_t id, struct err *e)
{
    struct sample_columns c;
    bool cut = is_cut(b->cut, id);
    size_t start = b->n, n = 0;

    while (scan_samples(scan, &c)) {
        size_t more = take(b, start + n, &c, cut);

        if (more > PAGE_SAMPLES) { /* make room: what came before goes out, this series moves to the front */
            size_t moved = n;

            if (start == 0)
                return err_set(e, ERR_RANGE, "series %u has more than %d samples", id, PAGE_SAMPLES);
            b->n = start;
            if (flush(b, e) < 0)
                return e ? e->code : ERR_IO;
            memmove(b->t, b->t + start, moved * sizeof(*b->t));
            memmove(b->v, b->v + start, moved * sizeof(*b->v));
            start = 0;
            more = take(b, n, &c, cut);
            if (more > PAGE_SAMPLES)
                return err_set(e, ERR_RANGE, "series %u has more than %d samples", id, PAGE_SAMPLES);
        }
        n += more;
    }
    if (n == 0)
        return 0;
    b->ids[b->ncolumns] = id;
    b->columns[b->ncolumns++] = (struct sample_columns){ SAMPLE_FLOAT, b->t + start, b->v + start, n };
    b->n = start + n;
    return b->ncolumns == PAGE_COLUMNS ? flush(b, e) : 0;
}

int build_block(struct blocks *bs, struct scan *scan, const uint32_t *ids, int64_t partition, const struct build_cut *cut,
                struct block *const *replaced, size_t n, struct err *e)
{
    struct err why = ERR_INIT;
    struct builder *b = mem_alloc(sizeof(*b));
    size_t at;
    int rc = 0;

    if (!b)
        return err_set(e, ERR_NOMEM, "no memory to write a block");
    b->cut = cut;
    b->ncolumns = b->n = 0;
    b->any = false;
    b->page = (struct buf)BUF_INIT(PAGE_BYTES_MAX);
    b->w = block_writer_new(bs, partition, &why);
    if (!b->w)
        rc = why.code;
    while (rc == 0 && (rc = scan_next(scan, &at, &why)) == 1)
        rc = add_series(b, scan, ids[at], &why);
    if (rc == 0)
        rc = flush(b, &why);
    if (rc == 0 && (b->any || n))
        rc = block_writer_commit(b->w, replaced, n, &why);
    else if (b->w)
        block_writer_abandon(b->w);
    buf_free(&b->page);
    mem_free(b);
    if (rc < 0 && e)
        *e = why;
    return rc;
}
