/* series_delete.c: taking samples out.
 *
 * First everything committed is sealed, so that no journal record can bring a sample back. Then each block that has any
 * of the series in the range is written anew without them, and takes the old one's place. Series left without samples
 * are forgotten by retention.c. */
#include "store/series.h"

#include "store/bits-internal.h"
#include "store/merge-internal.h"
#include "store/store-internal.h"

/* Which of ids[0..n), n >= 1, the block has: rising, in `a`. */
static int find_cut(struct store *st, struct block *b, const uint32_t *ids, size_t n, struct arena *a,
                    struct build_cut *cut, struct err *e)
{
    uint32_t *found = arena_array(a, n, sizeof(*found)), end = ids[n - 1] + 1;
    uint64_t *bits = arena_array(a, bits_words(end), sizeof(*bits));
    struct block_directory d;
    int rc = blocks_directory(st->blocks, b, a, &d, e);

    if (rc == 0 && (!found || !bits))
        rc = err_set(e, ERR_NOMEM, "no memory for the list of series");
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < b->series; i++)
        if (d.ids[i] < end)
            bits_set(bits, d.ids[i]);
    cut->n = 0;
    for (size_t i = 0; i < n; i++)
        if (bits_test(bits, ids[i]))
            found[cut->n++] = ids[i];
    cut->ids = found;
    return 0;
}

static int cut_block(struct store *st, struct block *b, const struct series_query *q, const uint32_t *ids, size_t n,
                     struct err *e)
{
    struct build_cut cut = { .from_ms = q->from_ms, .to_ms = q->to_ms };
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    int rc = find_cut(st, b, ids, n, &a, &cut, e);

    if (rc == 0 && cut.n)
        rc = merge_blocks(st, &b, 1, &cut, e);
    arena_free(&a);
    return rc;
}

/* The block in the range with the lowest rank above `after`. */
static struct block *next_block(const struct block_list *list, const struct series_query *q, uint64_t after)
{
    struct block *found = NULL;

    for (size_t i = 0; i < list->n; i++) {
        struct block *b = list->blocks[i];

        if (b->rank > after && b->first <= q->to_ms && b->last >= q->from_ms && (!found || b->rank < found->rank))
            found = b;
    }
    return found;
}

/* 1: a block was cut, whose rank is *after now; 0: there are no more. */
static int cut_next(struct store *st, const struct series_query *q, const uint32_t *ids, size_t n, uint64_t *after,
                    struct err *e)
{
    struct block_list *list;
    struct block *b;
    int rc = 0;

    pthread_mutex_lock(&st->writing);
    list = blocks_hold(st->blocks);
    b = next_block(list, q, *after);
    if (b) {
        rc = cut_block(st, b, q, ids, n, e);
        *after = b->rank;
    }
    blocks_release(st->blocks, list);
    pthread_mutex_unlock(&st->writing);
    return rc < 0 ? rc : b != NULL;
}

/* One by one, for the sealer must not wait for all of them. What it merges meanwhile keeps the highest rank of what went
 * into it: either all of that is cut already, or it comes up again. */
static int cut_blocks(struct store *st, const struct series_query *q, const uint32_t *ids, size_t n, struct err *e)
{
    uint64_t after = 0;
    int rc;

    do
        rc = cut_next(st, q, ids, n, &after, e);
    while (rc == 1 || rc == ERR_CORRUPT); /* damaged: set aside, so none of its samples is served */
    return rc;
}

int series_delete(struct store *st, const struct series_query *q, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the number of series */
    struct err why = ERR_INIT;
    uint32_t *ids;
    size_t n = 0;
    int rc = q->from_ms > q->to_ms ? 0 : sealer_seal_all(st, &why);

    if (rc == 0 && q->from_ms <= q->to_ms) {
        pthread_rwlock_rdlock(&st->lock);
        rc = index_select(st->index, q->matchers, q->n, &a, &ids, &n);
        pthread_rwlock_unlock(&st->lock);
        if (rc < 0)
            err_set(&why, rc, "no memory for the list of series");
    }
    if (rc == 0 && n)
        rc = cut_blocks(st, q, ids, n, &why);
    if (n)
        changes_note(&st->changes, q->from_ms);
    if (rc == 0 && n)
        atomic_store(&st->sealer.forget, true);
    arena_free(&a);
    if (rc < 0 && e)
        *e = why;
    return rc;
}
