/* scrape_view.c: what others may see: copies, made under the lock. */
#include "collector/scrape-internal.h"

#include "base/err.h"

#include <stdlib.h>

static struct str copy_text(struct arena *a, const char *text, bool *failed)
{
    struct str copy = arena_str(a, str_of(text));

    *failed |= !copy.p;
    return copy;
}

static struct labels copy_labels(struct arena *a, struct labels l, bool *failed)
{
    struct labels copy = labels_copy(a, l);

    *failed |= !copy.v;
    return copy;
}

static void copy_target(const struct target *t, struct str pool, struct arena *a, struct scrape_target *out,
                        bool *failed)
{
    *out = (struct scrape_target){
        .pool = pool,
        .discovered = copy_labels(a, t->spec.discovered, failed),
        .labels = copy_labels(a, t->spec.labels, failed),
        .url = copy_text(a, t->spec.url.p, failed),
        .last_error = copy_text(a, t->last_error, failed),
        .last_scrape_ms = t->last_scrape_ms,
        .last_duration_s = t->last_duration_s,
        .health = t->health,
        .interval_ms = t->spec.interval_ms,
        .timeout_ms = t->spec.timeout_ms,
    };
}

static int by_labels(const void *a, const void *b)
{
    const struct scrape_target *x = a, *y = b;
    int c = labels_cmp(x->labels, y->labels);

    return c ? c : str_cmp(x->url, y->url);
}

static void copy_pool(const struct pool *p, struct arena *a, struct scrape_pool *pool, struct scrape_target *active,
                      struct scrape_dropped *dropped, bool *failed)
{
    size_t n = 0;

    *pool = (struct scrape_pool){ copy_text(a, p->job->name.p, failed), p->ntargets, p->all_dropped };
    for (const struct target *t = p->targets; t && !*failed; t = t->next)
        copy_target(t, pool->name, a, &active[n++], failed);
    if (n > 1 && !*failed)
        qsort(active, n, sizeof(*active), by_labels);
    for (size_t i = 0; i < p->ndropped && !*failed; i++)
        dropped[i] = (struct scrape_dropped){ pool->name, copy_labels(a, p->dropped[i], failed) };
}

static int copy_all(const struct scrape *s, struct arena *a, struct scrape_targets *out)
{
    size_t npools = 0, nactive = 0, ndropped = 0;
    struct scrape_pool *pools;
    struct scrape_target *active;
    struct scrape_dropped *dropped;
    bool failed = false;

    for (const struct pool *p = s->pools; p; p = p->next) {
        npools++;
        nactive += p->ntargets;
        ndropped += p->ndropped;
    }
    pools = arena_array(a, npools + 1, sizeof(*pools));
    active = arena_array(a, nactive + 1, sizeof(*active));
    dropped = arena_array(a, ndropped + 1, sizeof(*dropped));
    if (!pools || !active || !dropped)
        return ERR_NOMEM;
    *out = (struct scrape_targets){ .pools = pools, .active = active, .dropped = dropped };
    for (const struct pool *p = s->pools; p && !failed; p = p->next) {
        copy_pool(p, a, &pools[out->npools++], active + out->nactive, dropped + out->ndropped, &failed);
        out->nactive += p->ntargets;
        out->ndropped += p->ndropped;
    }
    return failed ? ERR_NOMEM : 0;
}

int scrape_targets(struct scrape *s, struct arena *a, struct scrape_targets *out, struct err *e)
{
    int rc;

    pthread_mutex_lock(&s->lock);
    rc = copy_all(s, a, out);
    pthread_mutex_unlock(&s->lock);
    return rc < 0 ? err_set(e, rc, "no memory for the list of targets") : 0;
}

struct metrics {
    struct arena *arena;
    struct scrape_metric *v;
    size_t n, cap;
};

static int copy_metric(struct metrics *m, struct labels target, const struct batch_metadata *from)
{
    struct batch_metadata copy = { arena_str(m->arena, from->metric), arena_str(m->arena, from->type),
                                   arena_str(m->arena, from->help), arena_str(m->arena, from->unit) };

    if (!copy.metric.p || !copy.type.p || !copy.help.p || !copy.unit.p ||
        arena_grow(m->arena, &m->v, &m->cap, m->n + 1, sizeof(*m->v)) < 0)
        return ERR_NOMEM;
    m->v[m->n++] = (struct scrape_metric){ target, copy };
    return 0;
}

static int copy_metrics(struct metrics *m, struct target *t, struct str metric)
{
    const struct strmap_slot *slot;
    struct labels labels = labels_copy(m->arena, t->spec.labels);
    size_t at = 0;
    int rc = labels.v ? 0 : ERR_NOMEM;

    pthread_mutex_lock(&t->metadata.lock);
    while (rc == 0 && (slot = strmap_next(&t->metadata.map, &at))) {
        const struct metric_info *info = slot->value;

        if (metric.n == 0 || str_eq(info->m.metric, metric))
            rc = copy_metric(m, labels, &info->m);
    }
    pthread_mutex_unlock(&t->metadata.lock);
    return rc;
}

static int by_target_and_metric(const void *a, const void *b)
{
    const struct scrape_metric *x = a, *y = b;
    int c = labels_cmp(x->target, y->target);

    return c ? c : str_cmp(x->metadata.metric, y->metadata.metric);
}

int scrape_metadata(struct scrape *s, struct str metric, struct arena *a, struct scrape_metric **out, size_t *n,
                    struct err *e)
{
    struct metrics m = { a, NULL, 0, 0 };
    int rc = 0;

    pthread_mutex_lock(&s->lock);
    for (const struct pool *p = s->pools; rc == 0 && p; p = p->next)
        for (struct target *t = p->targets; rc == 0 && t; t = t->next)
            rc = copy_metrics(&m, t, metric);
    pthread_mutex_unlock(&s->lock);
    if (rc < 0)
        return err_set(e, rc, "no memory for the metadata of targets");
    if (m.n > 1)
        qsort(m.v, m.n, sizeof(*m.v), by_target_and_metric);
    *out = m.v;
    *n = m.n;
    return 0;
}
