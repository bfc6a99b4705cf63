/* scrape_target_make.c: a target comes, is told new settings, and is freed. */
#include "collector/scrape-internal.h"

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"

enum { MOST_SPEC = 4 << 20 };

static int make_reports(struct target *t)
{
    static const char *const names[REPORT_ALL] = {
        [REPORT_UP] = "up",
        [REPORT_DURATION] = "scrape_duration_seconds",
        [REPORT_SCRAPED] = "scrape_samples_scraped",
        [REPORT_KEPT] = "scrape_samples_post_metric_relabeling",
        [REPORT_ADDED] = "scrape_series_added",
        [REPORT_TIMEOUT] = "scrape_timeout_seconds",
        [REPORT_SAMPLE_LIMIT] = "scrape_sample_limit",
        [REPORT_BODY_BYTES] = "scrape_body_size_bytes",
    };
    struct labels labels = labels_copy(&t->report_arena, t->spec.labels);

    for (size_t i = 0; i < REPORT_ALL; i++) {
        struct label_builder b = LABEL_BUILDER_INIT(&t->report_arena);
        int rc = labels.v ? label_builder_set(&b, STR("__name__"), str_of(names[i])) : ERR_NOMEM;

        for (size_t k = 0; rc == 0 && k < labels.n; k++)
            rc = label_builder_default(&b, labels.v[k].name, labels.v[k].value);
        if (rc < 0)
            return rc;
        t->report[i] = label_builder_view(&b);
    }
    return 0;
}

static int copy_spec(const struct target_spec *spec, struct arena *a, struct target_spec *out)
{
    *out = *spec;
    out->discovered = labels_copy(a, spec->discovered);
    out->labels = labels_copy(a, spec->labels);
    out->url = arena_str(a, spec->url);
    return out->discovered.v && out->labels.v && out->url.p ? 0 : ERR_NOMEM;
}

struct target *target_new(struct pool *pool, const struct target_spec *spec)
{
    struct target *t = mem_zalloc(sizeof(*t));

    if (!t)
        return NULL;
    t->owner = pool->owner;
    t->pool = pool;
    t->spec_arena = t->report_arena = (struct arena)ARENA_INIT(MOST_SPEC);
    t->call.done = target_fetched;
    t->call.arg = t;
    cache_init(&t->cache);
    metadata_init(&t->metadata);
    t->timer = event_new(pool->owner->base, -1, 0, target_due, t);
    if (!t->timer || copy_spec(spec, &t->spec_arena, &t->spec) < 0 || make_reports(t) < 0) {
        target_free(t);
        return NULL;
    }
    target_plan(t);
    return t;
}

void target_free(struct target *t)
{
    http_call_fini(&t->call);
    if (t->timer)
        event_free(t->timer);
    cache_fini(&t->cache);
    metadata_fini(&t->metadata);
    rows_free(&t->rows);
    arena_free(&t->batch_arena);
    arena_free(&t->report_arena);
    arena_free(&t->spec_arena);
    mem_free(t);
}

void target_update(struct target *t, const struct target_spec *spec)
{
    struct arena a = ARENA_INIT(MOST_SPEC);
    struct target_spec copy;
    bool other_time = spec->interval_ms != t->spec.interval_ms || spec->hash != t->spec.hash;

    if (copy_spec(spec, &a, &copy) < 0) {
        arena_free(&a);
        log_error("scrape: %s: no memory for its new settings, the old ones stay", t->spec.url.p);
        return;
    }
    arena_free(&t->spec_arena);
    t->spec = copy;
    t->spec_arena = a;
    if (other_time)
        target_plan(t);
}
