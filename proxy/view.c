#include "proxy/view.h"

#include "base/mem.h"
#include "proxy/rate_limit.h"
#include "proxy/worker.h"

enum { MOST_BYTES = 256 * 1024 * 1024 };

static void close_clusters(struct view *v)
{
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++)
        upstream_cluster_close(&v->clusters[i]);
}

static void close_limiters(struct view *v)
{
    for (size_t i = 0; v->limiters && i < v->snapshot->nrate_limits; i++)
        rate_limiter_close(&v->limiters[i], v->w->settings->limits);
}

static int open_limiters(struct view *v)
{
    const struct proxy_snapshot *s = v->snapshot;
    int rc = 0;

    v->limiters = arena_array(&v->arena, s->nrate_limits, sizeof(*v->limiters));
    for (size_t i = 0; v->limiters && rc == 0 && i < s->nrate_limits; i++)
        rc = rate_limiter_open(&v->limiters[i], v->w->settings->limits, s->rate_limits[i], &v->arena, v->w->now_ns);
    return v->limiters ? rc : ERR_NOMEM;
}

struct view *view_new(struct worker *w, struct snapshot_ref *ref)
{
    struct view *v = mem_zalloc(sizeof(*v));

    if (!v)
        return NULL;
    v->refs = 1;
    v->w = w;
    v->ref = snapshot_ref_get(ref);
    v->snapshot = ref->snapshot;
    v->arena = (struct arena)ARENA_INIT(MOST_BYTES);
    v->clusters = arena_array(&v->arena, v->snapshot->nclusters, sizeof(*v->clusters));
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++)
        if (upstream_cluster_open(&v->clusters[i], v, &v->snapshot->clusters[i]) < 0) {
            view_put(v);
            return NULL;
        }
    if (!v->clusters || open_limiters(v) < 0) {
        view_put(v);
        return NULL;
    }
    return v;
}

struct view *view_get(struct view *v)
{
    v->refs++;
    return v;
}

void view_put(struct view *v)
{
    if (!v || --v->refs > 0)
        return;
    close_clusters(v);
    close_limiters(v);
    arena_free(&v->arena);
    snapshot_ref_put(v->ref);
    mem_free(v);
}

struct upstream_cluster *view_cluster(const struct view *v, const struct cluster *c)
{
    uintptr_t at = (uintptr_t)c, first = (uintptr_t)v->snapshot->clusters;

    if (!c || at < first || at >= first + v->snapshot->nclusters * sizeof(*c))
        return NULL;
    return &v->clusters[c - v->snapshot->clusters];
}
