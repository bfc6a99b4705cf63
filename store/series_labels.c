#include "store/series.h"

#include "store/scan-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

static int no_room(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the list, or more than the query may use");
}

/* --- which series count --- */

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

/* The series that match and have samples about the range; *ids NULL: all that the index has. */
static int find(struct store *st, const struct series_query *q, struct arena *a, uint32_t **ids, size_t *n,
                struct err *e)
{
    struct series_query only = *q;
    const struct head *heads[SCAN_HEADS];
    struct series_set *set;
    struct block_list *list;
    bool all;
    int rc = 0;

    *ids = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&st->lock);
    heads[0] = st->frozen;
    heads[1] = st->head;
    list = blocks_hold(st->blocks);
    all = is_everything(list, heads, q);
    if (all && q->n)
        rc = index_select(st->index, q->matchers, q->n, a, ids, n) < 0 ? no_room(e) : 0;
    pthread_rwlock_unlock(&st->lock);
    blocks_release(st->blocks, list);
    if (all || rc < 0)
        return rc;
    only.labels_only = true;
    set = series_open(st, &only, a, e);
    return set ? series_ids(set, ids, n, e) : ERR_NOMEM;
}

int series_label_names(struct store *st, const struct series_query *q, struct arena *a, struct str **names, size_t *n,
                       struct err *e)
{
    uint32_t *ids;
    size_t count;
    int rc = find(st, q, a, &ids, &count, e);

    *names = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    pthread_rwlock_rdlock(&st->lock);
    rc = index_names(st->index, ids, count, a, names, n) < 0 ? no_room(e) : 0;
    pthread_rwlock_unlock(&st->lock);
    return rc;
}

int series_label_values(struct store *st, const struct series_query *q, struct str name, struct arena *a,
                        struct str **values, size_t *n, struct err *e)
{
    uint32_t *ids;
    size_t count;
    int rc = find(st, q, a, &ids, &count, e);

    *values = NULL;
    *n = 0;
    if (rc < 0)
        return rc;
    pthread_rwlock_rdlock(&st->lock);
    rc = index_values(st->index, name, ids, count, a, values, n) < 0 ? no_room(e) : 0;
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
