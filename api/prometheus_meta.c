/* prometheus_meta.c: Prometheus' HTTP API: which series and labels there are, and what metrics mean. */

#include "api/prometheus-internal.h"

#include "base/num.h"
#include "store/series.h"

#include <stdlib.h>

/* --- names and values --- */

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static size_t sort_unique(struct str *v, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(v, n, sizeof(*v), by_bytes);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !str_eq(v[kept - 1], v[i]))
            v[kept++] = v[i];
    return kept;
}

struct string_list {
    const struct str *v;
    size_t n, at;
    bool cut;
};

static bool more_strings(void *state, struct buf *out)
{
    struct string_list *l = state;

    for (; l->at < l->n && out->n < PIECE; l->at++) {
        buf_puts(out, l->at ? "," : "");
        buf_json(out, l->v[l->at]);
    }
    if (l->at < l->n)
        return true;
    prometheus_end_list(out, l->cut);
    return false;
}

static int collect_strings(struct request *rq, const struct selection *s, struct str label, struct str **all, size_t *n,
                           struct err *e)
{
    struct arena *a = &rq->arena;
    struct str *some;
    size_t cap = 0, more;

    for (size_t i = 0; i < s->n; i++) {
        int rc = label.p ? series_label_values(rq->api->store, &s->queries[i], label, a, &some, &more, e)
                         : series_label_names(rq->api->store, &s->queries[i], a, &some, &more, e);

        if (rc < 0)
            return rc;
        if (arena_grow(a, all, &cap, *n + more, sizeof(**all)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the labels");
        if (more)
            memcpy(*all + *n, some, more * sizeof(**all));
        *n += more;
    }
    return 0;
}

static void answer_strings(struct request *rq, const struct selection *s, struct str label)
{
    struct string_list *l = ARENA_NEW(&rq->arena, struct string_list);
    struct str *all = NULL;
    struct err e = ERR_INIT;
    size_t n = 0;

    if (!l)
        err_set(&e, ERR_NOMEM, "no memory for the labels");
    if (!l || collect_strings(rq, s, label, &all, &n, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    if (s->n > 1)
        n = sort_unique(all, n);
    l->cut = s->limit && n > s->limit;
    l->v = all;
    l->n = l->cut ? (size_t)s->limit : n;
    prometheus_begin(rq);
    buf_putc(&rq->out, '[');
    reply_pieces(rq, more_strings, l);
}

void prometheus_labels(struct request *rq)
{
    struct selection s;

    if (prometheus_selection(rq, false, &s) == 0)
        answer_strings(rq, &s, STR_NULL);
}

void prometheus_label_values(struct request *rq)
{
    struct str name = label_unescape(&rq->arena, rq->arguments[0]);
    struct selection s;

    if (!name.n || !str_is_utf8(name))
        prometheus_fail(rq, 400, "bad_data", "invalid label name: \"%.*s\"", STR_ARG(rq->arguments[0]));
    else if (prometheus_selection(rq, false, &s) == 0)
        answer_strings(rq, &s, name);
}

/* --- series --- */

struct series_list {
    struct labels *v;
    size_t n, cap, at;
    bool cut;
};

static int collect_series(struct request *rq, const struct series_query *q, struct series_list *out, struct err *e)
{
    struct series_query names = *q;
    struct series_set *set;
    struct labels l;
    int rc;

    names.labels_only = true;
    set = series_open(rq->api->store, &names, &rq->arena, e);
    rc = set ? 1 : e->code;
    while (rc > 0 && (rc = series_next(set, &l, e)) == 1) {
        if (arena_grow(&rq->arena, &out->v, &out->cap, out->n + 1, sizeof(*out->v)) < 0)
            return err_set(e, ERR_NOMEM, "no memory for the series");
        out->v[out->n++] = l;
    }
    return rc;
}

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(*(const struct labels *)a, *(const struct labels *)b);
}

/* What several selectors find is one list, and each series stands there once. */
static void sort_series(struct series_list *l, bool may_repeat)
{
    size_t kept = 0;

    if (l->n)
        qsort(l->v, l->n, sizeof(*l->v), by_labels);
    for (size_t i = 0; may_repeat && i < l->n; i++)
        if (kept == 0 || labels_cmp(l->v[kept - 1], l->v[i]) != 0)
            l->v[kept++] = l->v[i];
    l->n = may_repeat ? kept : l->n;
}

static bool more_series(void *state, struct buf *out)
{
    struct series_list *l = state;
    struct labels_text before = { 0 };

    for (; l->at < l->n && out->n < PIECE; l->at++) {
        buf_puts(out, l->at ? "," : "");
        json_labels_after(out, l->v[l->at], &before);
    }
    if (l->at < l->n)
        return true;
    prometheus_end_list(out, l->cut);
    return false;
}

void prometheus_series(struct request *rq)
{
    struct series_list *all = ARENA_NEW(&rq->arena, struct series_list);
    struct err e = ERR_INIT;
    struct selection s;

    if (prometheus_selection(rq, true, &s) < 0)
        return;
    if (!all)
        err_set(&e, ERR_NOMEM, "no memory for the series");
    for (size_t i = 0; e.code == 0 && i < s.n; i++)
        collect_series(rq, &s.queries[i], all, &e);
    if (e.code) {
        prometheus_fail_store(rq, &e);
        return;
    }
    sort_series(all, s.n > 1);
    all->cut = s.limit && all->n > s.limit;
    all->n = all->cut ? (size_t)s.limit : all->n;
    prometheus_begin(rq);
    buf_putc(&rq->out, '[');
    reply_pieces(rq, more_series, all);
}

/* --- metadata --- */

static void put_metadata(struct buf *b, const struct batch_metadata *m)
{
    buf_puts(b, "{\"type\":");
    buf_json(b, m->type);
    buf_puts(b, ",\"unit\":");
    buf_json(b, m->unit);
    buf_puts(b, ",\"help\":");
    buf_json(b, m->help);
    buf_putc(b, '}');
}

/* A number below zero, as one that is absent, is no limit. */
static int number_parameter(struct request *rq, const char *name, int64_t *v)
{
    struct str s = request_parameter(rq, name);

    *v = -1;
    if (s.n == 0 || num_i64(s, v))
        return 0;
    prometheus_fail(rq, 400, "bad_data", "%s must be a number", name);
    return ERR_INVALID;
}

void prometheus_metadata(struct request *rq)
{
    struct batch_metadata *v;
    struct err e = ERR_INIT;
    int64_t limit, per_metric, metrics = 0, of_metric = 0;
    size_t n;

    if (number_parameter(rq, "limit", &limit) < 0 || number_parameter(rq, "limit_per_metric", &per_metric) < 0)
        return;
    if (series_metadata(rq->api->store, request_parameter(rq, "metric"), &rq->arena, &v, &n, &e) < 0) {
        prometheus_fail_store(rq, &e);
        return;
    }
    prometheus_begin(rq);
    buf_putc(&rq->out, '{');
    for (size_t i = 0; i < n; i++) {
        bool same = i && str_eq(v[i - 1].metric, v[i].metric);

        if (!same && limit >= 0 && metrics == limit)
            break;
        if (!same) {
            buf_puts(&rq->out, metrics++ ? "]," : "");
            buf_json(&rq->out, v[i].metric);
            of_metric = 0;
        }
        if (per_metric > 0 && of_metric++ == per_metric)
            continue;
        buf_puts(&rq->out, same ? "," : ":[");
        put_metadata(&rq->out, &v[i]);
    }
    buf_puts(&rq->out, metrics ? "]}}" : "}}");
}
