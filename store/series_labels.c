/* series_labels.c: which label names and values there are, and what metrics mean. */
#include "store/series.h"

#include "store/presence-internal.h"
#include "store/store-internal.h"

#include <stdlib.h>

static int no_room(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory for the list, or more than the query may use");
}

/* --- names and values --- */

struct listing {
    const struct series_query *q;
    struct str name; /* STR_NULL: names are listed, not its values */
    struct arena *a;
    struct index_list *list;
};

static void let_go(void *index)
{
    index_free(index);
}

/* The index is held: its texts will be in the answer. */
static int begin(void *arg, struct series_index *ix, struct err *e)
{
    struct listing *l = arg;
    uint32_t *ids = NULL;
    size_t n = 0;

    if (arena_on_free(l->a, let_go, ix) < 0)
        return no_room(e);
    index_hold(ix);
    if (l->q->n && index_select(ix, l->q->matchers, l->q->n, l->a, &ids, &n) < 0)
        return no_room(e);
    l->list = index_list_new(ix, l->name, ids, n, l->a);
    return l->list ? 0 : no_room(e);
}

static int look(void *arg, const struct presence *p, struct err *e)
{
    struct listing *l = arg;
    int rc = index_list_look(l->list, p ? presence_has : NULL, p);

    return rc < 0 ? no_room(e) : rc;
}

static int list(struct store *st, const struct series_query *q, struct str name, struct arena *a, struct str **texts,
                size_t *n, struct err *e)
{
    static const struct presence_asker asker = { begin, look, .trusts_index = true };
    struct listing l = { q, name, a, NULL };
    int rc;

    *texts = NULL;
    *n = 0;
    if (q->from_ms > q->to_ms)
        return 0;
    rc = presence_ask(st, q, &asker, &l, e);
    if (rc < 0)
        return rc;
    pthread_rwlock_rdlock(&st->lock);
    rc = index_list_take(l.list, a, texts, n);
    pthread_rwlock_unlock(&st->lock);
    return rc < 0 ? no_room(e) : 0;
}

int series_label_names(struct store *st, const struct series_query *q, struct arena *a, struct str **names, size_t *n,
                       struct err *e)
{
    return list(st, q, STR_NULL, a, names, n, e);
}

int series_label_values(struct store *st, const struct series_query *q, struct str name, struct arena *a,
                        struct str **values, size_t *n, struct err *e)
{
    return list(st, q, name, a, values, n, e);
}

/* --- metadata --- */

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
