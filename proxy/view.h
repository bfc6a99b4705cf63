/* view.h: a snapshot as one worker sees it, with the worker's own state of each cluster: hosts, pools, turns.
 *
 * A request holds the view it began with, so a switch never pulls a route from under it. Hosts outlive views: one that
 * is in the next snapshot too keeps its connections. All of it belongs to one worker; nothing here is shared.
 *
 * Problem    A mesh has thousands of clusters; to make the state of all takes 20 ms and more, in which the worker
 *            serves nobody, and a proxy has traffic to a few.
 * Idea       A cluster's state is made when it is asked for. What was in use before the switch follows little by little
 *            (view_follow), between other events, and until all of it has followed the view before keeps the hosts. So
 *            do clusters whose hosts have names: these are to be known when the first request comes. */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include "proxy/snapshot_ref.h"
#include "proxy/upstream_cluster.h"

struct view {
    size_t refs;
    struct worker *w;
    struct snapshot_ref *ref;
    const struct proxy_snapshot *snapshot;
    struct upstream_cluster **clusters; /* as snapshot->clusters; NULL: not asked for yet */
    struct rate_limiter *limiters;      /* as snapshot->rate_limits */
    struct arena arena;
    struct view *before;                /* with a reference; NULL when everything has followed */
    size_t followed;                    /* of the clusters, looked at by view_follow */
};

/* Takes references of its own to `ref`, and to `before` (NULL: this is the first). NULL: no memory. */
struct view *view_new(struct worker *w, struct snapshot_ref *ref, struct view *before);
struct view *view_get(struct view *v);
void view_put(struct view *v); /* NULL is accepted */
/* NULL when `c` is NULL or not of this view's snapshot, or there is no memory for it. */
struct upstream_cluster *view_cluster(struct view *v, const struct cluster *c);
/* Goes on with what has to follow, for a fraction of a millisecond. False: all is done. */
bool view_follow(struct view *v);

#endif
