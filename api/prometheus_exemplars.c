/* prometheus_exemplars.c: Prometheus' HTTP API: exemplars of the series that a query selects. */

#include "api/prometheus-internal.h"

#include "store/exemplars.h"

#include <stdlib.h>

struct exemplar_list {
    struct batch_exemplar *v;
    size_t n, cap;
};

/* Those of one selector; several may find the same. */
static int collect(struct request *rq, const struct series_query *q, struct exemplar_list *all, struct err *e)
{
    struct batch_exemplar *v;
    size_t n;
    int rc = exemplars_find(rq->api->store, q, &rq->arena, &v, &n, e);

    if (rc < 0)
        return rc;
    if (arena_grow(&rq->arena, &all->v, &all->cap, all->n + n, sizeof(*v)) < 0)
        return err_set(e, ERR_NOMEM, "no memory for the exemplars");
    if (n)
        memcpy(all->v + all->n, v, n * sizeof(*v));
    all->n += n;
    return 0;
}

static int by_series_and_time(const void *a, const void *b)
{
    const struct batch_exemplar *x = a, *y = b;
    int order = labels_cmp(x->series, y->series);

    if (order == 0 && x->sample.t != y->sample.t)
        order = x->sample.t < y->sample.t ? -1 : 1;
    return order ? order : labels_cmp(x->labels, y->labels);
}

static void put_exemplar(struct buf *b, const struct batch_exemplar *x)
{
    buf_puts(b, "{\"labels\":");
    json_labels(b, x->labels);
    buf_puts(b, ",\"value\":");
    json_sample_value(b, x->sample.v, true);
    buf_puts(b, ",\"timestamp\":");
    json_sample_time(b, x->sample.t);
    buf_putc(b, '}');
}

/* [{"seriesLabels":{…},"exemplars":[…]}] */
static void put_all(struct buf *b, const struct exemplar_list *all)
{
    const struct batch_exemplar *before = NULL;

    buf_putc(b, '[');
    for (size_t i = 0; i < all->n; i++) {
        const struct batch_exemplar *x = &all->v[i];
        bool same = before && labels_cmp(before->series, x->series) == 0;

        if (before && by_series_and_time(before, x) == 0)
            continue;
        if (!same) {
            buf_puts(b, before ? "]},{\"seriesLabels\":" : "{\"seriesLabels\":");
            json_labels(b, x->series);
        }
        buf_puts(b, same ? "," : ",\"exemplars\":[");
        put_exemplar(b, x);
        before = x;
    }
    buf_puts(b, before ? "]}]" : "]");
}

static int collect_all(struct request *rq, const struct promql_expr *x, struct series_query q,
                       struct exemplar_list *all, struct err *e)
{
    struct promql_selector *selectors;
    size_t n;
    int rc = promql_selectors(x, &rq->arena, &selectors, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++) {
        q.matchers = selectors[i].matchers;
        q.n = selectors[i].n;
        rc = collect(rq, &q, all, e);
    }
    return rc;
}

void prometheus_query_exemplars(struct request *rq)
{
    struct exemplar_list all = { 0 };
    struct series_query q = { 0 };
    struct promql_expr *x;
    struct err e = ERR_INIT;

    if (prometheus_time(rq, "start", ANY_TIME_MIN, &q.from_ms) < 0 || prometheus_time(rq, "end", ANY_TIME_MAX, &q.to_ms) < 0)
        return;
    if (q.to_ms < q.from_ms) {
        prometheus_fail(rq, 400, "bad_data", "end timestamp must not be before start timestamp");
        return;
    }
    x = promql_parse(&rq->arena, request_parameter(rq, "query"), &e);
    if (!x || collect_all(rq, x, q, &all, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    if (all.n)
        qsort(all.v, all.n, sizeof(*all.v), by_series_and_time);
    prometheus_begin(rq);
    put_all(&rq->out, &all);
    buf_putc(&rq->out, '}');
}
