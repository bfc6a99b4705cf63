/* graph.c: /api/graph, /api/topology and Kiali's path: parameters in, the drawn graph out.
 *
 * Positions are remembered for each kind of graph (type, boxes, injected services), so that a refresh moves nothing;
 * they are shared by all who look at it. */

#include "graph/graph.h"
#include "api/gateways-internal.h"
#include "api/http-internal.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/catalog.h"

enum { BOXES = 8, KINDS = 4 * BOXES * 2, DEFAULT_WINDOW_MS = 600000, MOST_NAMESPACES = 1000 };

struct graph_state {
    pthread_mutex_t lock; /* guards the positions: of one kind only one graph is laid out at a time */
    struct graph_positions *positions[KINDS]; /* NULL until that kind is asked for */
    struct gateways *gateways;
};

struct graph_state *graph_state_new(void)
{
    struct graph_state *s = mem_zalloc(sizeof(*s));

    if (!s)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->gateways = gateways_new();
    if (!s->gateways) {
        graph_state_free(s);
        return NULL;
    }
    return s;
}

void graph_state_free(struct graph_state *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < KINDS; i++)
        graph_positions_free(s->positions[i]);
    gateways_free(s->gateways);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* --- parameters --- */

struct word {
    const char *name;
    unsigned value;
};

static bool find_word(const struct word *table, size_t n, struct str s, unsigned *v)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqz(s, table[i].name)) {
            *v = table[i].value;
            return true;
        }
    return false;
}

static int read_type(struct request *rq, struct graph_options *o, struct err *e)
{
    static const struct word types[] = { { "workload", GRAPH_WORKLOAD }, { "app", GRAPH_APP },
                                         { "versionedApp", GRAPH_VERSIONED_APP }, { "service", GRAPH_SERVICE } };
    struct str s = request_parameter(rq, "graphType");
    unsigned v = GRAPH_WORKLOAD;

    if (s.n && !find_word(types, 4, s, &v))
        return err_set(e, ERR_INVALID, "graphType: \"%.*s\" should be workload, app, versionedApp or service",
                       STR_ARG(s));
    o->type = (enum graph_type)v;
    return 0;
}

static int read_boxes(struct request *rq, struct graph_options *o, struct err *e)
{
    static const struct word boxes[] = { { "app", GRAPH_BOX_APP }, { "namespace", GRAPH_BOX_NAMESPACE },
                                         { "cluster", GRAPH_BOX_CLUSTER } };
    struct str rest = request_parameter(rq, "boxBy");

    while (rest.p) {
        struct str s = str_trim(str_cut(&rest, ','));
        unsigned v;

        if (s.n == 0)
            continue;
        if (!find_word(boxes, 3, s, &v))
            return err_set(e, ERR_INVALID, "boxBy: \"%.*s\" should be a list of app, namespace, cluster", STR_ARG(s));
        o->boxes |= v;
    }
    return 0;
}

static int read_namespaces(struct request *rq, struct graph_options *o, struct err *e)
{
    struct str rest = request_parameter(rq, "namespaces");
    struct str *v = arena_array(&rq->arena, MOST_NAMESPACES, sizeof(*v));

    if (!v)
        return err_set(e, ERR_NOMEM, "no memory for the namespaces");
    while (rest.p) {
        struct str s = str_trim(str_cut(&rest, ','));

        if (s.n == 0)
            continue;
        if (o->nnamespaces == MOST_NAMESPACES)
            return err_set(e, ERR_INVALID, "namespaces: more than %d", MOST_NAMESPACES);
        v[o->nnamespaces++] = s;
    }
    o->namespaces = v;
    return 0;
}

/* The Namespace objects: once there are some, others' nodes are marked. */
static int read_declared(struct request *rq, struct graph_options *o, struct err *e)
{
    struct catalog_document *documents;
    size_t n;
    struct str *names;

    if (catalog_list(rq->api->store, STR("Namespace"), 0, &rq->arena, &documents, &n, e) < 0)
        return e->code;
    names = arena_array(&rq->arena, n ? n : 1, sizeof(*names));
    if (!names)
        return err_set(e, ERR_NOMEM, "no memory for the namespaces");
    for (size_t i = 0; i < n; i++)
        names[i] = documents[i].key.name;
    o->declared = names;
    o->ndeclared = n;
    return 0;
}

static int read_moment(struct request *rq, const char *name, int64_t *ms, struct err *e)
{
    struct str s = request_parameter(rq, name);
    int rc = s.n ? parse_moment_ms(s, ms, e) : 0;

    if (rc < 0)
        err_wrap(e, "%s", name);
    return rc;
}

/* `to` (or Kiali's queryTime), and `from` or a length before it: `window` or Kiali's `duration`. */
static int read_window(struct request *rq, struct graph_options *o, struct err *e)
{
    const char *name = request_parameter(rq, "window").n ? "window" : "duration";
    struct str s = request_parameter(rq, name);
    int64_t length = DEFAULT_WINDOW_MS;
    int rc;

    o->to_ms = clock_now_ms();
    if ((rc = read_moment(rq, "queryTime", &o->to_ms, e)) < 0 || (rc = read_moment(rq, "to", &o->to_ms, e)) < 0)
        return rc;
    if (s.n && (rc = parse_duration_ms(s, &length, e)) < 0) {
        err_wrap(e, "%s", name);
        return rc;
    }
    o->from_ms = o->to_ms - length;
    if ((rc = read_moment(rq, "from", &o->from_ms, e)) < 0)
        return rc;
    return o->from_ms < o->to_ms ? 0 : err_set(e, ERR_INVALID, "the window ends before it begins");
}

static int read_options(struct request *rq, struct graph_options *o, struct err *e)
{
    int rc;

    *o = (struct graph_options){ 0 };
    if ((rc = read_type(rq, o, e)) < 0 || (rc = read_boxes(rq, o, e)) < 0 || (rc = read_namespaces(rq, o, e)) < 0 ||
        (rc = read_window(rq, o, e)) < 0)
        return rc;
    if ((rc = read_declared(rq, o, e)) < 0 ||
        (rc = gateways_list(rq->api->graph->gateways, rq->api->store, &rq->arena, &o->gateways, &o->ngateways, e)) < 0 ||
        (rc = request_bool(rq, "injectServiceNodes", false, &o->inject_service_nodes, e)) < 0)
        return rc;
    return request_bool(rq, "includeIdleEdges", false, &o->include_idle_edges, e);
}

/* --- answers --- */

static int lay_out(struct graph_state *s, const struct graph_options *o, struct graph *g, struct err *e)
{
    size_t kind = ((size_t)o->type * BOXES + (o->boxes & (BOXES - 1))) * 2 + o->inject_service_nodes;
    int rc;

    pthread_mutex_lock(&s->lock);
    if (!s->positions[kind])
        s->positions[kind] = graph_positions_new();
    rc = s->positions[kind] ? graph_layout(g, s->positions[kind], e) : err_set(e, ERR_NOMEM, "no memory for positions");
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* The others are drawn by Graphviz itself, or have no places. */
static bool has_positions(enum graph_format format)
{
    return format == GRAPH_KIALI || format == GRAPH_JSON;
}

static void draw(struct request *rq, const struct graph_options *o, enum graph_format format)
{
    struct err e = ERR_INIT;
    struct graph *g = graph_build(rq->api->store, o, &e);
    int rc = g ? 0 : e.code;

    if (rc == 0 && has_positions(format))
        rc = lay_out(rq->api->graph, o, g, &e);
    if (rc == 0) {
        reply_begin(rq, 200, graph_format_content_type(format));
        rc = graph_export(g, format, &rq->out, &e);
    }
    if (rc < 0)
        reply_error(rq, &e);
    graph_free(g);
}

/* Of all nodes, or of those about one. */
static void answer(struct request *rq, enum graph_format format, const struct graph_focus *focus)
{
    struct graph_options o;
    struct err e = ERR_INIT;

    if (read_options(rq, &o, &e) < 0) {
        reply_error(rq, &e);
        return;
    }
    if (focus) {
        o.focus = *focus;
        o.namespaces = &focus->ns;
        o.nnamespaces = 1;
    }
    draw(rq, &o, format);
}

void graph_get(struct request *rq)
{
    answer(rq, GRAPH_KIALI, NULL);
}

/* Appenders that are named but none: Kiali's bare keys alone. */
static enum graph_format kiali_format(struct request *rq)
{
    struct str appenders = request_parameter(rq, "appenders");

    return appenders.p && appenders.n == 0 ? GRAPH_KIALI_PLAIN : GRAPH_KIALI;
}

void graph_kiali(struct request *rq)
{
    struct err e = ERR_INIT;

    if (request_parameter(rq, "namespaces").n) {
        answer(rq, kiali_format(rq), NULL);
        return;
    }
    err_set(&e, ERR_INVALID, "namespaces: at least one must be named");
    reply_error(rq, &e);
}

void graph_kiali_workload(struct request *rq)
{
    answer(rq, kiali_format(rq), &(struct graph_focus){ .ns = rq->arguments[0], .workload = rq->arguments[1] });
}

void graph_kiali_service(struct request *rq)
{
    answer(rq, kiali_format(rq), &(struct graph_focus){ .ns = rq->arguments[0], .service = rq->arguments[1] });
}

void graph_kiali_app(struct request *rq)
{
    struct graph_focus f = { .ns = rq->arguments[0], .app = rq->arguments[1] };

    if (rq->narguments > 2)
        f.version = rq->arguments[2];
    answer(rq, kiali_format(rq), &f);
}

void graph_topology(struct request *rq)
{
    struct str name = request_parameter(rq, "format");
    int format = name.n ? graph_format_parse(name) : GRAPH_JSON;
    struct err e = ERR_INIT;

    if (format >= 0) {
        answer(rq, (enum graph_format)format, NULL);
        return;
    }
    err_set(&e, ERR_INVALID, "format: \"%.*s\" should be dot, svg, png, graphml, mermaid, csv, json or cytoscape",
            STR_ARG(name));
    reply_error(rq, &e);
}
