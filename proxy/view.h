/* view.h: a snapshot as one worker sees it, with the worker's own state of each cluster: hosts, pools, turns.
 *
 * A request holds the view it began with, so a switch never pulls a route from under it. Hosts outlive views: one that
 * is in the next snapshot too keeps its connections. All of it belongs to one worker; nothing here is shared. */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include "proxy/snapshot_ref.h"
#include "proxy/upstream_cluster.h"

struct view {
    size_t refs;
    struct worker *w;
    struct snapshot_ref *ref;
    const struct proxy_snapshot *snapshot;
    struct upstream_cluster *clusters; /* as snapshot->clusters */
    struct rate_limiter *limiters;     /* as snapshot->rate_limits */
    struct arena arena;
};

/* Takes a reference of its own to `ref`. NULL: no memory. */
struct view *view_new(struct worker *w, struct snapshot_ref *ref);
struct view *view_get(struct view *v);
void view_put(struct view *v); /* NULL is accepted */
/* NULL when `c` is NULL or not of this view's snapshot. */
struct upstream_cluster *view_cluster(const struct view *v, const struct cluster *c);

#endif
