/* graph.h: the service graph of a window of time, as a cgraph Agraph_t built from series.
 *
 * Edges are derived, never stored: the increase of istio_requests_total and istio_tcp_* between `from` and `to`
 * (anchored: a counter's value at the end less its value at the start, without extrapolation, so that counts are
 * whole). A request that both ends report counts once. Node and edge semantics are Kiali's.
 *
 * Graphviz is not thread-safe: graph_* take one process-wide lock where they call it. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

enum graph_type { GRAPH_WORKLOAD, GRAPH_APP, GRAPH_VERSIONED_APP, GRAPH_SERVICE };

enum graph_box { GRAPH_BOX_APP = 1, GRAPH_BOX_NAMESPACE = 2, GRAPH_BOX_CLUSTER = 4 };

/* A workload that the mesh's objects make a gateway; told by its name, or by its app where nodes have no workload. */
struct graph_gateway {
    struct str ns, workload, app;
    bool egress;
    const struct str *hosts; /* of the Gateways that select it */
    size_t nhosts;
};

/* One node, by what is not empty: a workload, a service, or an app and perhaps its version. */
struct graph_focus {
    struct str ns, workload, app, version, service;
};

struct graph_options {
    int64_t from_ms, to_ms;
    enum graph_type type;
    const struct str *namespaces; /* both ends outside: left out. n 0 = all */
    size_t nnamespaces;
    struct graph_focus focus; /* only what comes in there or goes out of it; ns empty = all */
    bool inject_service_nodes;
    bool include_idle_edges;
    unsigned boxes; /* enum graph_box */
    /* Namespaces that are declared: nodes of others are marked isInaccessible. n 0 = none is, and all are accessible. */
    const struct str *declared;
    size_t ndeclared;
    const struct graph_gateway *gateways;
    size_t ngateways;
};

struct graph;

/* NULL: ERR_RANGE (an empty window), ERR_NOMEM, ERR_LIMIT, ERR_IO, ERR_CORRUPT, ERR_TIMEOUT. The caller owns the result. */
struct graph *graph_build(struct store *st, const struct graph_options *o, struct err *e);
void graph_free(struct graph *g);

/* Positions that were given before, so that a node does not jump because a neighbour appeared. One per kind of
 * graph; the caller keeps it between refreshes. Not thread-safe: guard it. */
struct graph_positions;
struct graph_positions *graph_positions_new(void);
void graph_positions_free(struct graph_positions *p);

/* Places every node: by `p` where it is known there, else beside its neighbours by Graphviz' dot; and remembers. */
int graph_layout(struct graph *g, struct graph_positions *p, struct err *e);

enum graph_format {
    GRAPH_JSON, GRAPH_KIALI, GRAPH_DOT, GRAPH_SVG, GRAPH_PNG, GRAPH_MERMAID, GRAPH_GRAPHML, GRAPH_CSV,
    GRAPH_KIALI_PLAIN /* GRAPH_KIALI without our keys beside Kiali's: what Kiali answers when no appender is asked for */
};

/* The format by its name in CONTRACT.md ("cytoscape" is KIALI), or -1. */
int graph_format_parse(struct str name);
const char *graph_format_content_type(enum graph_format f);
/* ERR_LIMIT: more than out's ceiling. SVG and PNG are drawn by a child process, the program `dot`: ERR_UNSUPPORTED when it
 * is not there or fails, ERR_TIMEOUT, ERR_IO. */
int graph_export(struct graph *g, enum graph_format f, struct buf *out, struct err *e);

#endif
