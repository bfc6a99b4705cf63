/* scrape_page.c: for a known line a hash, a comparison, a number and a row; the rest of this file is for new lines. */
#include "collector/scrape_page-internal.h"

#include "base/mem.h"
#include "collector/scrape_bound-internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { MOST_SERIES_MEMORY = 4 << 20 }; /* of one new line on its way to its labels */

static int grow(struct page_rows *rows)
{
    if (mem_grow(&rows->series, &rows->series_cap, rows->n + 1, sizeof(*rows->series)) < 0)
        return ERR_NOMEM;
    if (mem_grow(&rows->ids, &rows->ids_cap, rows->n + 1, sizeof(uint32_t *)) < 0)
        return ERR_NOMEM;
    return mem_grow(&rows->samples, &rows->samples_cap, rows->n + 1, sizeof(*rows->samples));
}

int rows_add(struct page_rows *rows, struct labels labels, uint32_t *id, int64_t t_ms, double v)
{
    if ((rows->n >= rows->series_cap || rows->n >= rows->samples_cap || rows->n >= rows->ids_cap) && grow(rows) < 0)
        return ERR_NOMEM;
    rows->series[rows->n] = (struct batch_series){ .labels = labels, .n = 1, .id = id ? *id : 0 };
    rows->ids[rows->n] = id;
    rows->samples[rows->n++] = (struct sample){ t_ms, v };
    return 0;
}

void rows_finish(struct page_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        rows->series[i].samples = &rows->samples[i];
}

void rows_keep_ids(struct page_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        if (rows->ids[i])
            *rows->ids[i] = rows->series[i].id;
}

void rows_free(struct page_rows *rows)
{
    mem_free(rows->series);
    mem_free(rows->ids);
    mem_free(rows->samples);
    *rows = (struct page_rows){ 0 };
}

/* --- new lines --- */

static int by_name_length(const void *a, const void *b)
{
    const struct label *x = a, *y = b;

    return (x->name.n > y->name.n) - (x->name.n < y->name.n);
}

/* Scraped labels that the target has, too, move to exported_…: shorter names first, as Prometheus does. */
static int export_labels(struct label_builder *b, struct label *moved, size_t n)
{
    if (n > 1)
        qsort(moved, n, sizeof(*moved), by_name_length);
    for (size_t i = 0; i < n; i++) {
        struct str name = moved[i].name;

        do
            name = arena_printf(b->arena, "exported_%.*s", STR_ARG(name));
        while (name.p && label_builder_get(b, name).n);
        if (!name.p || label_builder_set(b, name, moved[i].value) < 0)
            return ERR_NOMEM;
    }
    return 0;
}

static int add_target_labels(const struct page_reader *r, struct label_builder *b)
{
    struct label *moved = arena_array(b->arena, r->target.n + 1, sizeof(*moved));
    size_t n = 0;

    if (!moved)
        return ERR_NOMEM;
    for (size_t i = 0; i < r->target.n; i++) {
        struct label l = r->target.v[i];
        struct str scraped = label_builder_get(b, l.name);

        if (scraped.n && r->job->honor_labels)
            continue;
        if (scraped.n)
            moved[n++] = (struct label){ l.name, scraped };
        if (label_builder_set(b, l.name, l.value) < 0)
            return ERR_NOMEM;
    }
    return export_labels(b, moved, n);
}

static int shown(struct str s)
{
    return (int)(s.n < 50 ? s.n : 50);
}

static int check_limits(const struct scrape_limits *limits, struct labels l, struct err *e)
{
    struct str metric = labels_get(l, STR("__name__"));

    if (metric.n == 0)
        return err_set(e, ERR_INVALID, "missing metric name (__name__ label)");
    if (limits->labels && l.n > limits->labels)
        return err_set(e, ERR_LIMIT, "label_limit exceeded (metric: %.*s, number of labels: %zu, limit: %" PRIu64 ")",
                       shown(metric), metric.p, l.n, limits->labels);
    for (size_t i = 0; i < l.n; i++) {
        struct str name = l.v[i].name, value = l.v[i].value;

        if (limits->label_name_bytes && name.n > limits->label_name_bytes)
            return err_set(e, ERR_LIMIT,
                           "label_name_length_limit exceeded (metric: %.*s, label name: %.*s, length: %zu, "
                           "limit: %" PRIu64 ")",
                           shown(metric), metric.p, shown(name), name.p, name.n, limits->label_name_bytes);
        if (limits->label_value_bytes && value.n > limits->label_value_bytes)
            return err_set(e, ERR_LIMIT,
                           "label_value_length_limit exceeded (metric: %.*s, label name: %.*s, value: \"%.*s\", "
                           "length: %zu, limit: %" PRIu64 ")",
                           shown(metric), metric.p, shown(name), name.p, shown(value), value.p, value.n,
                           limits->label_value_bytes);
    }
    return 0;
}

/* What the line's labels become; n 0: dropped. */
static int make_labels(const struct page_reader *r, const struct exposition *x, struct str series, struct str type,
                       struct arena *a, struct labels *out, struct err *e)
{
    struct label_builder b = LABEL_BUILDER_INIT(a);
    int rc = exposition_series(x, series, a, &b.v, &b.n, e);

    *out = (struct labels){ NULL, 0 };
    b.cap = b.n;
    if (rc == 0 && labels_normalise(b.v, &b.n, e) < 0)
        rc = err_wrap(e, "line %zu", x->line);
    if (rc < 0)
        return rc;
    if (bound_normalise(&b, type) < 0 || add_target_labels(r, &b) < 0)
        return err_set(e, ERR_NOMEM, "line %zu: no memory for its labels", x->line);
    rc = relabel_apply(&r->job->metric_relabel, &b);
    if (rc < 0)
        return err_set(e, ERR_NOMEM, "line %zu: no memory for its labels", x->line);
    if (rc == 0 || b.n == 0)
        return 0;
    *out = label_builder_view(&b);
    return check_limits(&r->job->limits, *out, e);
}

static struct scrape_entry *learn(const struct page_reader *r, const struct exposition *x, struct str series,
                                  struct str type, struct err *e)
{
    struct arena a = ARENA_INIT(MOST_SERIES_MEMORY);
    struct scrape_entry *entry = NULL;
    struct labels labels;

    if (make_labels(r, x, series, type, &a, &labels, e) == 0) {
        entry = cache_add(r->cache, series, labels);
        if (!entry)
            err_set(e, ERR_NOMEM, "no memory for a new series");
    }
    arena_free(&a);
    return entry;
}

/* --- all lines --- */

static int take_sample(const struct page_reader *r, struct scrape_series *s, const struct exposition_item *item,
                       int64_t now_ms, struct page_counts *counts)
{
    const struct scrape_job *job = r->job;
    bool own_time = item->has_time && job->honor_timestamps;

    if (s->seen == r->cache->page && !own_time) {
        counts->doubles++;
        return 0;
    }
    s->seen = r->cache->page;
    if (!own_time || job->track_timestamps)
        cache_touch(r->cache, s);
    return rows_add(r->rows, s->labels, &s->id, own_time ? item->t_ms : now_ms, item->value);
}

int page_read(const struct page_reader *r, enum exposition_format format, struct str body, int64_t now_ms,
              struct page_counts *counts, struct err *e)
{
    const uint64_t limit = r->job->limits.samples;
    struct exposition x;
    struct exposition_item item;
    struct str type = STR_NULL;
    int rc;

    exposition_init(&x, format, body);
    while ((rc = exposition_next(&x, &item, e)) == 1) {
        struct scrape_entry *entry;

        if (item.kind != EXPOSITION_SAMPLE) {
            type = item.kind == EXPOSITION_TYPE ? item.text : type;
            if (metadata_take(r->metadata, r->cache->page, &item) < 0)
                return err_set(e, ERR_NOMEM, "no memory for metadata");
            continue;
        }
        counts->scraped++;
        entry = cache_find(r->cache, item.series);
        if (!entry) {
            struct err why = ERR_INIT;

            entry = learn(r, &x, item.series, type, &why);
            if (!entry) {
                if (e)
                    *e = why;
                return why.code;
            }
            counts->added += entry->series != NULL;
        }
        if (!entry->series)
            continue;
        counts->kept++;
        if (limit && counts->kept > limit)
            continue; /* so that the page is counted to its end */
        if (take_sample(r, entry->series, &item, now_ms, counts) < 0)
            return err_set(e, ERR_NOMEM, "no memory for samples");
    }
    if (rc == 0 && limit && counts->kept > limit)
        return err_set(e, ERR_LIMIT, "sample limit exceeded");
    return rc;
}
