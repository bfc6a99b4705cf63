#include "proxy/view.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/circuit.h"
#include "proxy/rate_limit.h"
#include "proxy/worker.h"

enum { MOST_BYTES = 256 * 1024 * 1024, TURN_NS = 200 * 1000 };

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

struct view *view_new(struct worker *w, struct snapshot_ref *ref, struct view *before)
{
    struct view *v = mem_zalloc(sizeof(*v));

    if (!v)
        return NULL;
    v->refs = 1;
    v->w = w;
    v->snapshot = ref->snapshot;
    v->arena = (struct arena)ARENA_INIT(MOST_BYTES);
    v->clusters = arena_array(&v->arena, v->snapshot->nclusters, sizeof(struct upstream_cluster *));
    if (!v->clusters || open_limiters(v) < 0) {
        close_limiters(v);
        arena_free(&v->arena);
        mem_free(v);
        return NULL;
    }
    v->ref = snapshot_ref_get(ref);
    v->before = before ? view_get(before) : NULL;
    return v;
}

struct view *view_get(struct view *v)
{
    v->refs++;
    return v;
}

void view_put(struct view *v)
{
    while (v && --v->refs == 0) {
        struct view *before = v->before;

        for (size_t i = 0; i < v->snapshot->nclusters; i++)
            if (v->clusters[i])
                upstream_cluster_close(v->clusters[i]);
        close_limiters(v);
        arena_free(&v->arena);
        snapshot_ref_put(v->ref);
        mem_free(v);
        v = before;
    }
}

static struct upstream_cluster *open_cluster(struct view *v, size_t i)
{
    const struct cluster *c = &v->snapshot->clusters[i];
    struct upstream_cluster *u = arena_array(&v->arena, 1, sizeof(*u));

    if (!u || upstream_cluster_open(u, v, c) < 0) {
        log_error("%.*s: no memory for its hosts", STR_ARG(c->name));
        if (u)
            upstream_cluster_close(u);
        return NULL;
    }
    v->clusters[i] = u;
    return u;
}

struct upstream_cluster *view_cluster(struct view *v, const struct cluster *c)
{
    uintptr_t at = (uintptr_t)c, first = (uintptr_t)v->snapshot->clusters;
    size_t i;

    if (!c || at < first || at >= first + v->snapshot->nclusters * sizeof(*c))
        return NULL;
    i = (size_t)(c - v->snapshot->clusters);
    return v->clusters[i] ? v->clusters[i] : open_cluster(v, i);
}

/* A circuit is known as long as some worker uses the cluster in some view. */
static bool is_in_use(const struct view *v, const struct cluster *c)
{
    struct circuit *circuit = circuit_find(v->w->settings->circuits, c->name);

    circuit_put(circuit);
    return circuit != NULL;
}

bool view_follow(struct view *v)
{
    int64_t end_ns = clock_mono_ns() + TURN_NS;

    for (; v->followed < v->snapshot->nclusters; v->followed++) {
        const struct cluster *c = &v->snapshot->clusters[v->followed];

        if (clock_mono_ns() >= end_ns)
            return true;
        if (!v->clusters[v->followed] && (upstream_cluster_has_names(c) || is_in_use(v, c)))
            open_cluster(v, v->followed);
    }
    view_put(v->before);
    v->before = NULL;
    return false;
}
