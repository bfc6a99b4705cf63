#include "graph/graph-internal.h"

static const struct {
    const char *name, *content_type;
} formats[] = {
    [GRAPH_JSON] = { "json", "application/json" },
    [GRAPH_KIALI] = { "cytoscape", "application/json" },
    [GRAPH_DOT] = { "dot", "text/vnd.graphviz; charset=utf-8" },
    [GRAPH_SVG] = { "svg", "image/svg+xml" },
    [GRAPH_PNG] = { "png", "image/png" },
    [GRAPH_MERMAID] = { "mermaid", "text/vnd.mermaid; charset=utf-8" },
    [GRAPH_GRAPHML] = { "graphml", "application/graphml+xml; charset=utf-8" },
    [GRAPH_CSV] = { "csv", "text/csv; charset=utf-8; header=present" },
    [GRAPH_KIALI_PLAIN] = { "kiali", "application/json" },
};

int graph_format_parse(struct str name)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (str_eqz(name, formats[i].name))
            return (int)i;
    return -1;
}

const char *graph_format_content_type(enum graph_format f)
{
    return formats[f].content_type;
}

int graph_export(struct graph *g, enum graph_format f, struct buf *out, struct err *e)
{
    struct err mine = ERR_INIT;

    e = e ? e : &mine;
    switch (f) {
    case GRAPH_JSON:
        export_jgf(out, g);
        break;
    case GRAPH_KIALI:
    case GRAPH_KIALI_PLAIN:
        export_kiali(out, g, f == GRAPH_KIALI_PLAIN);
        break;
    case GRAPH_DOT:
        export_dot(out, g, false);
        break;
    case GRAPH_MERMAID:
        export_mermaid(out, g);
        break;
    case GRAPH_GRAPHML:
        export_graphml(out, g);
        break;
    case GRAPH_CSV:
        export_csv(out, g);
        break;
    case GRAPH_SVG:
    case GRAPH_PNG:
        return export_picture(g, formats[f].name, out, e);
    }
    return buf_failed(out) ? err_set(e, ERR_LIMIT, "graph: as %s it has more than %zu bytes", formats[f].name, out->max)
                           : 0;
}
