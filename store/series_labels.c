#include "store/series.h"

#include "store/bits-internal.h"
#include "store/scan-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

static int no_room(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the list, or more than the query may use");
}

/* --- which series count --- */

/* What has samples about the range: bits by series number. */
struct present {
    uint64_t *bits;
    uint32_t end;
};

static void mark(struct present *p, uint32_t id)
{
    if (id < p->end)
        bits_set(p->bits, id);
}

static void mark_head(struct present *p, const struct head *h, const struct series_query *q)
{
    int64_t first, last;

    head_range(h, &first, &last);
    if (first > q->to_ms || last < q->from_ms)
        return;
    for (uint32_t id = 0; id < p->end; id++) {
        struct head_view v;

        if (!head_look(h, id, &v))
            continue;
        head_view_range(&v, &first, &last);
        if (first <= q->to_ms && last >= q->from_ms)
            mark(p, id);
    }
}

static int mark_block(struct store *st, struct present *p, struct block *b, const struct series_query *q, struct err *e)
{
    struct arena a = ARENA_INIT(0); /* bounded by the block */
    struct block_directory d;
    int rc = blocks_directory(st->blocks, b, &a, &d, e);

    for (size_t k = 0; rc == 0 && k < d.n; k++)
        if (d.pages[k].first <= q->to_ms && d.pages[k].last >= q->from_ms)
            for (uint32_t i = 0; i < d.pages[k].n; i++)
                mark(p, d.ids[d.pages[k].first_column + i]);
    arena_free(&a);
    return rc == ERR_CORRUPT ? 0 : rc; /* set aside: the rest is served */
}

/* Whether the range takes in all there is: then every series of the index counts, and none need be looked up. */
static bool is_everything(const struct block_list *list, const struct head *const *heads, const struct series_query *q)
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

/* Keeps the series that are present. */
static size_t filter(uint32_t *ids, size_t n, const struct present *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (ids[i] < p->end && bits_test(p->bits, ids[i]))
            ids[kept++] = ids[i];
    return kept;
}

static uint32_t *list_present(const struct present *p, struct arena *a, size_t *n)
{
    size_t count = 0;
    uint32_t *ids;

    for (size_t w = 0; w < bits_words(p->end); w++)
        count += (size_t)__builtin_popcountll(p->bits[w]);
    ids = arena_array(a, count + 1, sizeof(*ids));
    *n = 0;
    for (uint32_t id = 0; ids && id < p->end; id++)
        if (bits_test(p->bits, id))
            ids[(*n)++] = id;
    return ids;
}

/* With the lock held: the series that match, when there are matchers; *all: the range takes in everything. Otherwise
 * what the heads have is marked, and *list is the blocks to look at. */
static int look(struct store *st, const struct series_query *q, struct arena *a, uint32_t **ids, size_t *n,
                struct present *p, struct block_list **list)
{
    const struct head *heads[SCAN_HEADS] = { st->frozen, st->head };
    struct block_list *blocks = blocks_hold(st->blocks);
    int rc = q->n ? index_select(st->index, q->matchers, q->n, a, ids, n) : 0;

    if (rc == 0 && !is_everything(blocks, heads, q)) {
        p->end = index_end(st->index);
        p->bits = arena_array(a, bits_words(p->end), sizeof(*p->bits));
        rc = p->bits ? 0 : ERR_NOMEM;
        for (size_t h = 0; rc == 0 && h < SCAN_HEADS; h++)
            if (heads[h])
                mark_head(p, heads[h], q);
        *list = blocks;
        return rc;
    }
    blocks_release(st->blocks, blocks);
    return rc;
}

/* The series that match and have samples about the range, by rising number; *ids NULL: all that the index has. */
static int find(struct store *st, const struct series_query *q, struct arena *a, uint32_t **ids, size_t *n,
                struct err *e)
{
    struct block_list *list = NULL;
    struct present p = { 0 };
    struct err why = ERR_INIT;
    int rc;

    *ids = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&st->lock);
    rc = look(st, q, a, ids, n, &p, &list);
    pthread_rwlock_unlock(&st->lock);
    if (rc < 0)
        no_room(&why);
    for (size_t i = 0; rc == 0 && list && i < list->n; i++)
        if (list->blocks[i]->first <= q->to_ms && list->blocks[i]->last >= q->from_ms)
            rc = mark_block(st, &p, list->blocks[i], q, &why);
    if (rc == 0 && list && q->n)
        *n = filter(*ids, *n, &p);
    else if (rc == 0 && list && !(*ids = list_present(&p, a, n)))
        rc = no_room(&why);
    if (list)
        blocks_release(st->blocks, list);
    if (rc < 0 && e)
        *e = why;
    return rc;
}

static void let_go(void *index)
{
    index_free(index);
}

/* With the lock held: the index, whose texts will be in `a`. NULL: no memory. */
static struct series_index *hold_index(struct store *st, struct arena *a)
{
    if (arena_on_free(a, let_go, st->index) < 0)
        return NULL;
    index_hold(st->index);
    return st->index;
}

int series_label_names(struct store *st, const struct series_query *q, struct arena *a, struct str **names, size_t *n,
                       struct err *e)
{
    struct series_index *ix;
    uint32_t *ids;
    size_t count;
    int rc = find(st, q, a, &ids, &count, e);

    *names = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    pthread_rwlock_rdlock(&st->lock);
    ix = hold_index(st, a);
    rc = ix && index_names(ix, ids, count, a, names, n) == 0 ? 0 : no_room(e);
    pthread_rwlock_unlock(&st->lock);
    return rc;
}

int series_label_values(struct store *st, const struct series_query *q, struct str name, struct arena *a,
                        struct str **values, size_t *n, struct err *e)
{
    struct series_index *ix;
    uint32_t *ids;
    size_t count;
    int rc = find(st, q, a, &ids, &count, e);

    *values = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    pthread_rwlock_rdlock(&st->lock);
    ix = hold_index(st, a);
    rc = ix && index_values(ix, name, ids, count, a, values, n) == 0 ? 0 : no_room(e);
    pthread_rwlock_unlock(&st->lock);
    return rc;
}

static int by_metric(const void *a, const void *b)
{
    return str_cmp(((const struct batch_metadata *)a)->metric, ((const struct batch_metadata *)b)->metric);
}

static int metadata_of(struct store *st, struct str metric, struct arena *a, struct batch_metadata **out, size_t *n,
                       struct err *e)
{
    const struct strmap_slot *slot;
    size_t at = 0;

    *out = arena_array(a, st->metadata.n, sizeof(**out));
    if (!*out)
        return no_room(e);
    while ((slot = strmap_next(&st->metadata, &at)) != NULL) {
        const struct batch_metadata *m = &((const struct metadata *)slot->value)->m;
        struct batch_metadata *copy = &(*out)[*n];

        if (metric.n && !str_eq(metric, m->metric))
            continue;
        *copy = (struct batch_metadata){ arena_str(a, m->metric), arena_str(a, m->type), arena_str(a, m->help),
                                         arena_str(a, m->unit) };
        if (!copy->metric.p || !copy->type.p || !copy->help.p || !copy->unit.p)
            return no_room(e);
        ++*n;
    }
    if (*n > 1)
        qsort(*out, *n, sizeof(**out), by_metric);
    return 0;
}

int series_metadata(struct store *st, struct str metric, struct arena *a, struct batch_metadata **out, size_t *n,
                    struct err *e)
{
    int rc;

    *n = 0;
    pthread_rwlock_rdlock(&st->lock);
    rc = metadata_of(st, metric, a, out, n, e);
    pthread_rwlock_unlock(&st->lock);
    return rc;
}
