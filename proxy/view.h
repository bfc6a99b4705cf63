/* view.h: a snapshot as one worker sees it, with the worker's own state of each cluster: hosts, pools, turns.
 *
 * A request holds the view it began with, so a switch never pulls a route from under it. Hosts outlive views: one that
 * is in the next snapshot too keeps its connections. All of it belongs to one worker; nothing here is shared. */
#ifndef PROXY_VIEW_H
#define PROXY_VIEW_H

#include "proxy/conn.h"
#include "proxy/lb.h"
#include "proxy/snapshot_ref.h"

struct http1_upstream;
struct http2_upstream;

/* One endpoint of one cluster. */
struct upstream_host {
    size_t refs;                  /* views and connections */
    size_t views;                 /* 0: no view names it any more, its connections are not kept */
    struct worker *w;
    struct str key;               /* cluster name, address, how connections are secured */
    struct sockaddr_storage addr;
    socklen_t addr_n;
    char text[CONN_ADDR_TEXT];    /* "127.0.0.1:80" */
    struct tls_target *tls;       /* NULL: plain text */
    struct tls_session session;   /* to be resumed by the next connection */
    uint32_t active;              /* requests and TCP connections under way */
    struct http1_upstream *idle;  /* connections without a request, the last used first */
    struct http2_upstream *http2; /* all connections, the newest first */
};

struct upstream_cluster {
    const struct cluster *cluster;
    struct upstream_host **hosts; /* as cluster->endpoints; NULL where the address is none */
    struct lb_slot *slots;
    uint32_t *slot_endpoint;      /* index of each slot's endpoint */
    struct lb lb;
};

struct view {
    size_t refs;
    struct worker *w;
    struct snapshot_ref *ref;
    const struct proxy_snapshot *snapshot;
    struct upstream_cluster *clusters; /* as snapshot->clusters */
    struct arena arena;
};

/* Takes a reference of its own to `ref`. NULL: no memory. */
struct view *view_new(struct worker *w, struct snapshot_ref *ref);
struct view *view_get(struct view *v);
void view_put(struct view *v); /* NULL is accepted */
/* NULL when `c` is NULL or not of this view's snapshot. */
struct upstream_cluster *view_cluster(const struct view *v, const struct cluster *c);

void upstream_host_put(struct upstream_host *h);

#endif
