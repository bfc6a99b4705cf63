#include "store/presence-internal.h"

#include "store/scan-internal.h"
#include "store/store-internal.h"

bool presence_has(const void *presence, uint32_t id)
{
    const struct presence *p = presence;

    return p->head ? head_reaches(p->head, id, p->from_ms, p->to_ms) : id < p->end && p->there[id];
}

static bool takes_in_all(const struct series_query *q, const struct block_list *list, const struct head *const *heads)
{
    bool all = true;

    for (size_t i = 0; all && i < list->n; i++)
        all = list->blocks[i]->first >= q->from_ms && list->blocks[i]->last <= q->to_ms;
    for (size_t h = 0; all && h < SCAN_HEADS; h++) {
        int64_t first, last;

        if (!heads[h])
            continue;
        head_range(heads[h], &first, &last);
        all = first > last || (first >= q->from_ms && last <= q->to_ms);
    }
    return all;
}

static bool has_any(const struct head *h, const struct series_query *q)
{
    int64_t first, last;

    head_range(h, &first, &last);
    return first <= q->to_ms && last >= q->from_ms;
}

/* With the lock held, that heads and list are of one moment; *list is what to go on with, held, or NULL. */
static int ask_heads(struct store *st, const struct series_query *q, const struct presence_asker *asker, void *arg,
                     struct block_list **list, struct err *e)
{
    const struct head *heads[SCAN_HEADS] = { st->head, st->frozen };
    struct block_list *blocks = blocks_hold(st->blocks);
    int rc = asker->begin(arg, st->index, e);

    if (rc == 0 && asker->trusts_index && takes_in_all(q, blocks, heads)) {
        rc = asker->look(arg, NULL, e);
    } else if (rc == 0) {
        rc = 1;
        for (size_t h = 0; rc == 1 && h < SCAN_HEADS; h++) {
            const struct presence p = { .from_ms = q->from_ms, .to_ms = q->to_ms, .head = heads[h] };

            if (heads[h] && has_any(heads[h], q))
                rc = asker->look(arg, &p, e);
        }
        *list = blocks;
        return rc;
    }
    blocks_release(st->blocks, blocks);
    return rc;
}

/* Marks what the pages in the range have. */
static int read_block(struct store *st, struct block *b, struct arena *a, struct presence *p, struct err *e)
{
    struct block_directory d;
    bool *there; /* no bits: those are slow to set one after the other */
    int rc = blocks_directory(st->blocks, b, a, &d, e);

    if (rc < 0)
        return rc;
    p->there = there = arena_array(a, p->end, sizeof(*there));
    if (!there)
        return err_set(e, ERR_NOMEM, "no memory for the series of a block");
    for (size_t k = 0; k < d.n; k++) {
        const uint32_t *ids = d.ids + d.pages[k].first_column;

        if (d.pages[k].first > p->to_ms || d.pages[k].last < p->from_ms)
            continue;
        for (uint32_t i = 0; i < d.pages[k].n; i++)
            if (ids[i] < p->end)
                there[ids[i]] = true;
    }
    return 0;
}

static int ask_block(struct store *st, struct block *b, struct presence p, const struct presence_asker *asker,
                     void *arg, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    int rc = read_block(st, b, &a, &p, e);

    if (rc == 0) {
        pthread_rwlock_rdlock(&st->lock);
        rc = asker->look(arg, &p, e);
        pthread_rwlock_unlock(&st->lock);
    }
    arena_free(&a);
    return rc == ERR_CORRUPT ? 1 : rc; /* set aside: the rest is served */
}

int presence_ask(struct store *st, const struct series_query *q, const struct presence_asker *asker, void *arg,
                 struct err *e)
{
    struct presence p = { .from_ms = q->from_ms, .to_ms = q->to_ms };
    struct block_list *list = NULL;
    struct err why = ERR_INIT;
    int rc;

    pthread_rwlock_rdlock(&st->lock);
    p.end = index_end(st->index);
    rc = ask_heads(st, q, asker, arg, &list, &why);
    pthread_rwlock_unlock(&st->lock);
    for (size_t i = list ? list->n : 0; rc == 1 && i-- > 0;)
        if (list->blocks[i]->first <= q->to_ms && list->blocks[i]->last >= q->from_ms)
            rc = ask_block(st, list->blocks[i], p, asker, arg, &why);
    if (list)
        blocks_release(st->blocks, list);
    if (rc < 0 && e)
        *e = why;
    return rc < 0 ? rc : 0;
}
