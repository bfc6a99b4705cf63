#include "store/series.h"

#include "store/store-internal.h"

#include <stdlib.h>

static int no_room(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the list, or more than the query may use");
}

static int by_str(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Copies and sorts in place. */
static int finish(struct arena *a, struct str *list, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        list[i] = arena_str(a, list[i]);
        if (!list[i].p)
            return no_room(e);
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), by_str);
    return 0;
}

/* True the first time. */
static bool mark(uint64_t *bits, size_t at)
{
    uint64_t was = bits[at / 64];

    bits[at / 64] |= (uint64_t)1 << (at % 64);
    return bits[at / 64] != was;
}

/* With the lock held, as all that follows: the texts are the index's until they are copied. */
static int names_of(const struct series_index *ix, const struct series_query *q, struct arena *a, struct str **names,
                    size_t *n, struct err *e)
{
    struct series **found;
    size_t count;
    uint64_t *seen = arena_array(a, ix->names.n / 64 + 1, sizeof(*seen));
    int rc = index_select(ix, q->matchers, q->n, q->from_ms, q->to_ms, a, &found, &count);

    *names = arena_array(a, ix->names.n, sizeof(**names));
    if (rc < 0 || !seen || !*names)
        return no_room(e);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < found[i]->n; k++)
            if (mark(seen, found[i]->pairs[k]->name->at))
                (*names)[(*n)++] = pair_name(found[i]->pairs[k]);
    return finish(a, *names, *n, e);
}

static int values_of(const struct series_index *ix, const struct series_query *q, struct str name, struct arena *a,
                     struct str **values, size_t *n, struct err *e)
{
    const struct label_name *ln = strmap_get(&ix->names, name);
    struct series **found;
    size_t count;
    uint64_t *seen;

    if (!ln)
        return 0;
    seen = arena_array(a, ln->n / 64 + 1, sizeof(*seen));
    *values = arena_array(a, ln->n, sizeof(**values));
    if (!seen || !*values || index_select(ix, q->matchers, q->n, q->from_ms, q->to_ms, a, &found, &count) < 0)
        return no_room(e);
    for (size_t i = 0; i < count; i++) {
        const struct label_pair *p = series_pair(found[i], ln);

        if (p && mark(seen, p->at))
            (*values)[(*n)++] = pair_value(p);
    }
    return finish(a, *values, *n, e);
}

int series_label_names(struct store *st, const struct series_query *q, struct arena *a, struct str **names, size_t *n,
                       struct err *e)
{
    int rc;

    *names = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&st->lock);
    rc = names_of(&st->index, q, a, names, n, e);
    pthread_rwlock_unlock(&st->lock);
    return rc;
}

int series_label_values(struct store *st, const struct series_query *q, struct str name, struct arena *a,
                        struct str **values, size_t *n, struct err *e)
{
    int rc;

    *values = NULL;
    *n = 0;
    pthread_rwlock_rdlock(&st->lock);
    rc = values_of(&st->index, q, name, a, values, n, e);
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
