/* started.c: whether a counter that says when it began at zero is new to the store.
 *
 * A sender repeats the start with every batch, and each time the answer must be cheap: the heads know most series. What
 * they do not know (the first batch after a head was frozen, or after a start of ours) the blocks tell, newest first.
 * For that the series of the blocks last asked for are kept as bits. */
#include "store/started-internal.h"

#include "base/mem.h"
#include "store/bits-internal.h"
#include "store/scan-internal.h"
#include "store/store-internal.h"

void started_fini(struct started *s)
{
    for (size_t i = 0; i < STARTED_BLOCKS; i++)
        mem_free(s->known[i].bits);
}

static int load(struct store *st, const struct block *b, struct started_block *k, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct block_directory d;
    int rc = blocks_directory(st->blocks, b, &a, &d, e);

    mem_free(k->bits);
    *k = (struct started_block){ 0 };
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

/* The block's series, from memory or from its directory. NULL: `e` says why not. */
static const struct started_block *known(struct store *st, const struct block *b, struct err *e)
{
    struct started *s = &st->started;
    struct started_block *k;

    for (size_t i = 0; i < STARTED_BLOCKS; i++)
        if (s->known[i].rank == b->rank && s->known[i].bits)
            return &s->known[i];
    k = &s->known[s->next++ % STARTED_BLOCKS];
    return load(st, b, k, e) < 0 ? NULL : k;
}

/* Whether the block has a sample of the series at or after from_ms. */
static int has_since(struct store *st, struct block *b, uint32_t id, int64_t from_ms, bool *has, struct err *e)
{
    struct scan_input in = { .store = st->blocks, .ids = &id, .n = 1, .end = id + 1, .from_ms = from_ms,
                             .to_ms = INT64_MAX, .blocks = &b, .nblocks = 1 };
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct scan *scan = scan_open(&in, &a, e);
    size_t at;
    int rc = scan ? scan_next(scan, &at, e) : e ? e->code : ERR_IO;

    *has = rc == 1;
    arena_free(&a);
    return rc < 0 ? rc : 0;
}

static int sealed_since(struct store *st, uint32_t id, int64_t from_ms, bool *has, struct err *e)
{
    struct block_list *list = blocks_hold(st->blocks);
    int rc = 0;

    for (size_t i = list->n; rc == 0 && !*has && i-- > 0;) {
        struct block *b = list->blocks[i];
        const struct started_block *k;

        if (b->last < from_ms)
            continue;
        k = known(st, b, e);
        if (!k)
            rc = e ? e->code : ERR_IO;
        else if (id < k->end && bits_test(k->bits, id))
            rc = b->first >= from_ms ? (*has = true, 0) : has_since(st, b, id, from_ms, has, e);
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
