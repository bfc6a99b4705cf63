#include "proxy/view.h"

#include "base/mem.h"
#include "proxy/worker.h"

enum { MOST_BYTES = 256 * 1024 * 1024 };

static void close_clusters(struct view *v)
{
    for (size_t i = 0; v->clusters && i < v->snapshot->nclusters; i++)
        upstream_cluster_close(&v->clusters[i]);
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
    if (!v->clusters) {
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
