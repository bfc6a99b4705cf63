#include "graph/graph-internal.h"

#include "base/mem.h"

/* A copy of the options that lives as long as the graph. */
static bool copy_strings(struct graph *g, const struct str *from, size_t n, const struct str **to)
{
    struct str *copy = arena_array(&g->arena, n + 1, sizeof(*copy));

    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++) {
        copy[i] = arena_str(&g->arena, from[i]);
        if (!copy[i].p)
            return false;
    }
    *to = copy;
    return true;
}

static bool copy_gateways(struct graph *g, const struct graph_gateway *from, size_t n)
{
    struct graph_gateway *copy = arena_array(&g->arena, n + 1, sizeof(*copy));
    bool ok = copy != NULL;

    g->o.gateways = copy;
    for (size_t i = 0; i < n && ok; i++) {
        copy[i] = from[i];
        copy[i].ns = arena_str(&g->arena, from[i].ns);
        copy[i].workload = arena_str(&g->arena, from[i].workload);
        copy[i].app = arena_str(&g->arena, from[i].app);
        ok = copy[i].ns.p && copy[i].workload.p && copy[i].app.p &&
             copy_strings(g, from[i].hosts, from[i].nhosts, &copy[i].hosts);
    }
    return ok;
}

static bool copy_focus(struct graph *g, const struct graph_focus *from)
{
    struct graph_focus *to = &g->o.focus;

    to->ns = arena_str(&g->arena, from->ns);
    to->workload = arena_str(&g->arena, from->workload);
    to->app = arena_str(&g->arena, from->app);
    to->version = arena_str(&g->arena, from->version);
    to->service = arena_str(&g->arena, from->service);
    return to->ns.p && to->workload.p && to->app.p && to->version.p && to->service.p;
}

struct graph *graph_new(const struct graph_options *o, struct err *e)
{
    char name[] = "vigla";
    struct graph *g;

    if (o->from_ms >= o->to_ms) {
        err_set(e, ERR_RANGE, "graph: the window ends at %lld ms, before it begins at %lld ms", (long long)o->to_ms,
                (long long)o->from_ms);
        return NULL;
    }
    g = mem_zalloc(sizeof(*g));
    if (!g) {
        err_set(e, ERR_NOMEM, "graph: no memory");
        return NULL;
    }
    g->arena = (struct arena)ARENA_INIT(GRAPH_ARENA);
    g->o = *o;
    g->seconds = (double)(o->to_ms - o->from_ms) / 1000;
    if (!copy_strings(g, o->namespaces, o->nnamespaces, &g->o.namespaces) ||
        !copy_strings(g, o->declared, o->ndeclared, &g->o.declared) ||
        !copy_gateways(g, o->gateways, o->ngateways) || !copy_focus(g, &o->focus)) {
        err_set(e, ERR_NOMEM, "graph: no memory");
        graph_free(g);
        return NULL;
    }
    gv_lock();
    g->g = agopen(name, Agdirected, NULL);
    gv_unlock();
    return g;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    if (g->g) {
        gv_lock();
        agclose(g->g);
        gv_unlock();
    }
    arena_free(&g->arena);
    mem_free(g);
}

const char *const node_type_names[] = { "workload", "app", "service", "unknown" };

const char *graph_type_name(enum graph_type t)
{
    static const char *const names[] = { "workload", "app", "versionedApp", "service" };

    return names[t];
}
