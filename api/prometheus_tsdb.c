/* prometheus_tsdb.c: /api/v1/status/tsdb: which names, labels and values make the series many.
 *
 * One walk over all series counts by name, by label and by pair. The counts live in the request's arena, so that a store
 * with more distinct pairs than fit there is told of in an error and nothing worse. */

#include "api/prometheus-internal.h"

#include "base/num.h"
#include "base/strmap.h"
#include "store/series.h"

#include <stdlib.h>

enum { LISTED = 10, MOST_LISTED = 10000 };

struct tally {
    struct str name; /* of a metric, of a label, or "label=value" */
    uint64_t n;      /* series, or distinct values */
    uint64_t bytes;  /* of the distinct values */
};

struct tallies {
    struct strmap by_key;
    struct tally **v;
    size_t n, cap;
};

struct cardinality {
    struct arena *arena;
    struct tallies metrics, labels, pairs;
    uint64_t series;
};

/* The tally of that key, new or old; *is_new says which. */
static struct tally *find(struct cardinality *c, struct tallies *all, struct str key, bool *is_new)
{
    struct tally *t = strmap_get(&all->by_key, key);

    *is_new = !t;
    if (t)
        return t;
    t = ARENA_NEW(c->arena, struct tally);
    if (!t || !(t->name = arena_str(c->arena, key)).p ||
        arena_grow(c->arena, &all->v, &all->cap, all->n + 1, sizeof(struct tally *)) < 0 ||
        strmap_put(&all->by_key, t->name, t, NULL) < 0)
        return NULL;
    return all->v[all->n++] = t;
}

static int count_label(struct cardinality *c, const struct label *l, struct buf *key)
{
    struct tally *label, *pair;
    bool is_new;

    buf_reset(key);
    buf_str(key, l->name);
    buf_putc(key, '=');
    buf_str(key, l->value);
    label = find(c, &c->labels, l->name, &is_new);
    pair = label && !buf_failed(key) ? find(c, &c->pairs, buf_view(key), &is_new) : NULL;
    if (!pair)
        return ERR_NOMEM;
    pair->n++;
    label->n += is_new;
    label->bytes += is_new ? l->value.n : 0;
    return 0;
}

static int count_series(struct cardinality *c, struct labels l, struct buf *key)
{
    bool is_new;
    struct tally *metric = find(c, &c->metrics, labels_get(l, STR("__name__")), &is_new);
    int rc = metric ? 0 : ERR_NOMEM;

    for (size_t i = 0; rc == 0 && i < l.n; i++)
        rc = count_label(c, &l.v[i], key);
    if (rc < 0)
        return rc;
    metric->n++;
    c->series++;
    return 0;
}

static int count_all(struct request *rq, struct cardinality *c, struct err *e)
{
    const struct series_query all = { .from_ms = ANY_TIME_MIN, .to_ms = ANY_TIME_MAX, .labels_only = true };
    struct series_set *set = series_open(rq->api->store, &all, &rq->arena, e);
    struct buf key = BUF_INIT(4 << 20);
    struct labels l;
    int rc = set ? 1 : e->code;

    while (rc > 0 && (rc = series_next(set, &l, e)) == 1)
        if (count_series(c, l, &key) < 0) {
            rc = err_set(e, ERR_NOMEM, "no memory to count all labels of %llu series", (unsigned long long)c->series);
            break;
        }
    buf_free(&key);
    return rc;
}

static int by_count(const void *a, const void *b)
{
    const struct tally *x = *(struct tally *const *)a, *y = *(struct tally *const *)b;

    return x->n != y->n ? (x->n < y->n ? 1 : -1) : str_cmp(x->name, y->name);
}

static int by_size(const void *a, const void *b)
{
    const struct tally *x = *(struct tally *const *)a, *y = *(struct tally *const *)b;

    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : str_cmp(x->name, y->name);
}

static void put_top(struct buf *b, const char *name, const struct tallies *all, uint64_t limit,
                    int (*order)(const void *, const void *))
{
    if (all->n)
        qsort(all->v, all->n, sizeof(struct tally *), order);
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < all->n && i < limit; i++) {
        buf_puts(b, i ? ",{\"name\":" : "{\"name\":");
        buf_json(b, all->v[i]->name);
        buf_printf(b, ",\"value\":%llu}", (unsigned long long)(order == by_size ? all->v[i]->bytes : all->v[i]->n));
    }
    buf_putc(b, ']');
}

static void put_all(struct request *rq, const struct cardinality *c, uint64_t limit)
{
    struct store_stats stats;

    store_stats(rq->api->store, &stats);
    prometheus_begin(rq);
    buf_printf(&rq->out,
               "{\"headStats\":{\"numSeries\":%llu,\"numLabelPairs\":%zu,\"chunkCount\":%llu,\"minTime\":%lld,"
               "\"maxTime\":%lld}",
               (unsigned long long)c->series, c->pairs.n, (unsigned long long)stats.chunks, (long long)stats.oldest_ms,
               (long long)stats.newest_ms);
    put_top(&rq->out, "seriesCountByMetricName", &c->metrics, limit, by_count);
    put_top(&rq->out, "labelValueCountByLabelName", &c->labels, limit, by_count);
    put_top(&rq->out, "memoryInBytesByLabelName", &c->labels, limit, by_size);
    put_top(&rq->out, "seriesCountByLabelValuePair", &c->pairs, limit, by_count);
    buf_puts(&rq->out, "}}");
}

static bool read_limit(struct request *rq, uint64_t *limit)
{
    struct str s = request_parameter(rq, "limit");
    int64_t v = LISTED;

    if (s.n && (!num_i64(s, &v) || v < 1))
        prometheus_fail(rq, 400, "bad_data", "limit must be a positive number");
    else if (v > MOST_LISTED)
        prometheus_fail(rq, 400, "bad_data", "limit must not exceed %d", MOST_LISTED);
    *limit = (uint64_t)v;
    return rq->status == 0;
}

void prometheus_tsdb(struct request *rq)
{
    struct cardinality c = { .arena = &rq->arena };
    struct err e = ERR_INIT;
    uint64_t limit;

    if (!read_limit(rq, &limit))
        return;
    if (count_all(rq, &c, &e) < 0)
        prometheus_fail_store(rq, &e);
    else
        put_all(rq, &c, limit);
    strmap_free(&c.metrics.by_key);
    strmap_free(&c.labels.by_key);
    strmap_free(&c.pairs.by_key);
}

/* Prometheus lists the blocks of its own files here. */
void prometheus_tsdb_blocks(struct request *rq)
{
    prometheus_begin(rq);
    buf_puts(&rq->out, "{\"blocks\":[]}}");
}
