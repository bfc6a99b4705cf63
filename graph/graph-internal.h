/* graph-internal.h: what the files of graph/ share.
 *
 *   build.c      PromQL vectors in             → report.c     one vector row, cleaned, is a report of a proxy
 *                                              → ledger.c     two proxies' reports of one request are one request
 *                                              → traffic.c    nodes and edges of a cgraph graph, with records
 *                                              → finish.c     sums, marks, health, names, order
 *   layout.c     where each node stands        ← fresh.c      by Graphviz' dot, box by box
 *                                              ← layered.c    when there are too many for it
 *   export.c     formats                       ← export_*.c, look.c (colours and shapes), escape.c (hostile names)
 *   picture.c    SVG and PNG, by Graphviz' program
 *   gv.c         the one lock and context of libgvc and cgraph
 */
#ifndef GRAPH_GRAPH_INTERNAL_H
#define GRAPH_GRAPH_INTERNAL_H

#include "base/arena.h"
#include "base/labels.h"
#include "base/strmap.h"
#include "graph/graph.h"

#include <graphviz/cgraph.h>

enum { GRAPH_MAX_NODES = 20000, GRAPH_MAX_EDGES = 100000, GRAPH_ARENA = 1 << 30 };

/* ---- reports --------------------------------------------------------------------------------------------------- */

enum protocol { PROTO_GRPC, PROTO_HTTP, PROTO_TCP, PROTOCOLS }; /* in the order of Kiali's arrays */
extern const char *const protocol_names[PROTOCOLS];

enum metric { METRIC_REQUESTS, METRIC_TCP_RECEIVED, METRIC_TCP_SENT, METRIC_TCP_OPENED, METRIC_DURATION, METRICS };

/* One end of a hop, as the labels name it; what is unknown is empty or "unknown". */
struct party {
    struct str cluster, ns, workload, app, version;
    struct str service_ns, service; /* of the destination */
};

struct report {
    enum metric metric;
    enum protocol protocol;
    bool by_destination; /* which of the two proxies says so */
    struct party source, destination;
    struct str code, flags, host;
    double le;    /* METRIC_DURATION: the bucket's upper bound */
    double value; /* the increase in the window */
};

/* Whether a label's value says anything. */
bool label_known(struct str label);
/* The same for a version; "latest" is what a workload without a version label has. */
bool version_known(struct str version);
/* Cleans up one row; its strings are views into `l`. False: the row names no hop and is left out. */
bool report_read(struct report *r, enum metric m, struct labels l, double value);
/* Whether one end lies in the namespaces asked for. */
bool report_wanted(const struct report *r, const struct graph_options *o);
/* Whether Envoy's response flags say that the request was refused before it reached its destination. */
bool flags_not_sent(struct str flags);

/* ---- ledger ---------------------------------------------------------------------------------------------------- */

struct ledger {
    struct arena *a;
    struct strmap pairs, entries;
    struct ledger_pair *first, **last;
};

void ledger_init(struct ledger *l, struct arena *a);
void ledger_fini(struct ledger *l);
/* The report's strings must live as long as the ledger. 0 or ERR_NOMEM. */
int ledger_add(struct ledger *l, const struct report *r);
/* Calls each() once for every distinct report, with its settled value in r->value, in the order of first sight. Ends
 * at the first answer that is not 0 and returns it. */
int ledger_settle(struct ledger *l, int (*each)(void *arg, const struct report *r), void *arg);

/* ---- the graph ------------------------------------------------------------------------------------------------- */

enum node_type { NODE_WORKLOAD, NODE_APP, NODE_SERVICE, NODE_UNKNOWN };

enum health { HEALTH_NA, HEALTH_HEALTHY, HEALTH_NOT_READY, HEALTH_DEGRADED, HEALTH_FAILURE }; /* by priority */

enum { ID_TEXT = 65 }; /* sha256 in hexadecimal, and a NUL */

struct counts {
    double total; /* requests; for TCP bytes received */
    double no_response, redirects, client_errors, server_errors, grpc_errors;
};

/* Cumulative buckets by rising upper bound. */
struct histogram {
    double *le, *count;
    size_t n, cap;
};

struct quantiles {
    double p50, p95, p99; /* ms; NaN without data */
};

struct share {
    struct share *next;
    struct str name;
    double value;
};

struct response {
    struct response *next; /* by code */
    struct str code;
    struct share *flags, *hosts; /* by name */
};

struct tcp {
    double connections, failed, sent, received;
};

struct box {
    char id[ID_TEXT];
    size_t index; /* in graph.boxes */
    enum graph_box kind;
    struct str cluster, ns, app;
    struct box *parent;
    bool is_outside, is_inaccessible;
    enum health health;
};

struct dest_service {
    struct dest_service *next; /* by cluster, ns, name */
    struct str cluster, ns, name;
};

/* Records of the cgraph objects (agbindrec); the header must come first. */
struct graph_node {
    Agrec_t header;
    Agnode_t *gv;
    char id[ID_TEXT];
    enum node_type type;
    struct str cluster, ns, workload, app, version, service;
    struct str name; /* for people, unique in the graph */
    struct dest_service *dest_services;
    struct counts in[PROTOCOLS];
    double out[PROTOCOLS];
    struct tcp tcp; /* incoming */
    struct quantiles latency;
    enum health health;
    struct box *box;
    bool is_root, is_outside, is_inaccessible, is_injected, is_idle;
    const struct graph_gateway *gateway; /* in graph.o; NULL: none */
    size_t index; /* in graph.nodes */
    double x, y;  /* the centre, points, y downwards; valid once graph.placed */
};

struct graph_edge {
    Agrec_t header;
    struct graph_node *source, *target;
    enum protocol protocol;
    char id[ID_TEXT];
    struct counts counts;
    struct tcp tcp;
    struct response *responses;
    struct histogram buckets;
    struct quantiles latency;
    enum health health;
};

struct graph {
    struct arena arena; /* strings and lists of the records */
    struct graph_options o;
    double seconds;
    Agraph_t *g; /* nodes by id; edges by protocol between two nodes */
    size_t nodes_seen, edges_seen;
    struct graph_node **nodes; /* from graph_finish on: in the order of Kiali's answer */
    size_t nnodes;
    struct graph_edge **edges, **edges_by_name; /* the same edges: by id as Kiali has them, and in the nodes' order */
    size_t nedges;
    struct box **boxes; /* outer ones first */
    size_t nboxes;
    bool placed;
};

/* An empty graph for these options, which are copied. */
struct graph *graph_new(const struct graph_options *o, struct err *e);
/* Adds a settled report. 0, ERR_NOMEM or ERR_LIMIT. */
int graph_add(struct graph *g, const struct report *r, struct err *e);
/* Reads a vector of query results into the ledger: rows of `m` that concern the graph. */
int graph_read(struct graph *g, struct ledger *l, enum metric m, struct labels labels, double value);
/* Settles the ledger into the graph and completes it: after this nothing may be added. */
int graph_finish(struct graph *g, struct ledger *l, struct err *e);

/* traffic.c, used by finish.c */
struct graph_node *node_of(Agnode_t *n);
struct graph_edge *edge_of(Agedge_t *e);
/* Finds or makes the edge. NULL: ERR_NOMEM or ERR_LIMIT. */
struct graph_edge *graph_edge_between(struct graph *g, struct graph_node *s, struct graph_node *t, enum protocol p,
                                      struct err *e);
/* Adds what `from` carries to `to`. 0 or ERR_NOMEM. */
int edge_merge(struct graph *g, struct graph_edge *to, const struct graph_edge *from);
/* Σ and share of failures, as the `vigla` object has them: 5xx, no response, gRPC errors, failed connections. */
double counts_errors(const struct counts *c);

int graph_box_nodes(struct graph *g, struct err *e); /* box.c */

/* ---- small parts ----------------------------------------------------------------------------------------------- */

void graph_sha256(char out[ID_TEXT], struct str s);

int latency_add(struct histogram *h, struct arena *a, double le, double count);
int latency_merge(struct histogram *to, struct arena *a, const struct histogram *from);
/* As Prometheus' histogram_quantile: NaN without data or without a +Inf bucket. */
double latency_quantile(const struct histogram *h, double q);
struct quantiles latency_quantiles(const struct histogram *h);

/* health.c */
struct regex;
struct health_tolerance {
    struct regex *code, *protocol, *direction;
    double degraded, failure; /* per cent */
};
struct health_rule {
    struct regex *ns, *kind, *name; /* NULL matches all */
    struct health_tolerance *tolerances;
    size_t n;
};
struct health_count {
    const char *direction; /* "inbound" or "outbound" */
    struct str protocol, code;
    double count;
};
struct health_replicas {
    int desired, current, available, synced; /* synced < 0: not known */
};

/* `code`: as Kiali writes it, X stands for a digit. 0, ERR_PARSE or ERR_NOMEM. */
int health_tolerance_init(struct health_tolerance *t, struct arena *a, struct str code, struct str protocol,
                          struct str direction, double degraded, double failure, struct err *e);
/* Kiali's defaults. NULL on ERR_NOMEM. */
struct health_rule *health_default(struct arena *a, struct err *e);
/* The first rule that matches, else the last; NULL when there is none. */
const struct health_rule *health_rule_for(const struct health_rule *rules, size_t n, struct str ns, struct str kind,
                                          struct str name);
/* Rule NULL: no tolerances at all: 10 % errors is a failure, 0.1 % degraded. */
enum health health_of(const struct health_rule *rule, const struct health_count *c, size_t n);
enum health health_of_replicas(const struct health_replicas *r);
/* Share of 4xx and 5xx; -1 without data. */
double health_error_ratio(const struct health_count *c, size_t n);
enum health health_worse(enum health a, enum health b);
const char *health_name(enum health h);

/* gv.c: everything of Graphviz, cgraph too, happens between these two. */
void gv_lock(void);
void gv_unlock(void);
/* ERR_UNSUPPORTED with Graphviz' own words when it refuses; else the layout is to be freed. */
int gv_layout(Agraph_t *g, const char *engine, struct err *e);
/* What Graphviz has complained about since gv_lock; "" when nothing. */
const char *gv_complaint(void);
void gv_free_layout(Agraph_t *g);

/* Room under a node, between it and the next: the console writes its name, of two lines, there. */
enum { NODE_GAP = 58 };

/* fresh.c: the centre of each node, by index, in points, y downwards. Scratch memory is `a`'s. */
enum { BOX_MARGIN = 14, BOX_TITLE = 18 };
struct point {
    double x, y;
};
int fresh_layout(const struct graph *g, struct arena *a, struct point *out, struct err *e);
/* What dot's time for all of the graph follows: nodes, and layers that its edges go through. */
size_t fresh_effort(const struct graph *g);

/* picture.c: "svg" or "png" of DOT. ERR_UNSUPPORTED, ERR_TIMEOUT, ERR_LIMIT, ERR_IO. */
int picture_draw(struct str dot, const char *engine, const char *format, struct buf *out, struct err *e);

/* layered.c: places nodes in layers from left to right without Graphviz, in time near linear. No edge may be a loop. */
struct layered_edge {
    size_t from, to;
};
struct layered_node {
    double width, height;
    bool first;  /* belongs at the left: traffic comes in there */
    double x, y; /* out */
};
int layered_place(struct layered_node *v, size_t nv, const struct layered_edge *e, size_t ne);
/* Turns the edges that close a cycle; *span is how many layers all edges together go through. Both 0 or ERR_NOMEM. */
int layered_turn(struct layered_edge *e, size_t ne, size_t nv, size_t *span);

/* look.c */
struct node_look {
    const char *shape, *style, *stroke, *fill;
    double penwidth;
    double width, height; /* points */
};
struct edge_look {
    const char *stroke, *style, *arrow;
    double penwidth;
};
struct node_look look_node(const struct graph_node *n);
struct edge_look look_edge(const struct graph_edge *e);
/* First line the name, second what it is; '\n' between. Plain text, not escaped. */
void look_node_text(struct buf *b, const struct graph_node *n);
/* "12.5 rps\n1.2% err", "3 conn\n12 kB/s"; empty for an idle edge. */
void look_edge_text(struct buf *b, const struct graph *g, const struct graph_edge *e);
void look_title(struct buf *b, const struct graph *g);

/* escape.c: text of any bytes into a format; what is not UTF-8 becomes U+FFFD. */
void escape_dot(struct buf *b, struct str s);     /* inside "…"; \n becomes a line break */
void escape_xml(struct buf *b, struct str s);     /* text and attribute values */
void escape_mermaid(struct buf *b, struct str s); /* inside "…"; \n becomes <br/> */
void escape_csv(struct buf *b, struct str s);     /* a whole field, quoted where needed */
/* Reads one code point from *s and drops it; U+FFFD for a byte that is none. *s must not be empty. */
uint32_t utf8_next(struct str *s);
void utf8_put(struct buf *b, uint32_t c);

/* export_*.c */
void export_kiali(struct buf *b, const struct graph *g, bool plain);
void export_jgf(struct buf *b, const struct graph *g);
void export_graphml(struct buf *b, const struct graph *g);
void export_csv(struct buf *b, const struct graph *g);
void export_mermaid(struct buf *b, const struct graph *g);
/* placed: with positions, as Graphviz' nop engine wants them. */
void export_dot(struct buf *b, const struct graph *g, bool placed);
int export_picture(struct graph *g, const char *format, struct buf *out, struct err *e);

extern const char *const node_type_names[];
const char *graph_type_name(enum graph_type t);
const char *box_kind_name(enum graph_box k);

#endif
