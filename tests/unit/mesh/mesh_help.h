/* mesh_help.h: texts in, meshes and snapshots out, and a short text for what a snapshot says. */
#ifndef TESTS_UNIT_MESH_HELP_H
#define TESTS_UNIT_MESH_HELP_H

#include "base/err.h"
#include "mesh/snapshot.h"
#include "tests/unit/unit.h"

#include <string.h>

struct world {
    struct arena arena;
    struct mesh_problems problems;
    struct mesh_objects objects;
    struct mesh *mesh;
    struct buf text; /* of the last world_* that returns text */
    struct err e;
};

__attribute__((unused)) static void world_init(struct world *w)
{
    memset(w, 0, sizeof(*w));
    w->text.max = 1 << 20;
    mesh_problems_init(&w->problems, &w->arena);
}

__attribute__((unused)) static void world_fini(struct world *w)
{
    buf_free(&w->text);
    arena_free(&w->arena);
}

__attribute__((unused)) static const char *world_text(struct world *w)
{
    buf_putc(&w->text, '\0');
    return buf_failed(&w->text) ? "(no memory)" : w->text.p;
}

__attribute__((unused)) static int world_parse(struct world *w, const char *text)
{
    return mesh_parse(&w->arena, STR("f.yaml"), str_of(text), STR("default"), &w->objects, &w->problems);
}

/* All problems, one a line. */
__attribute__((unused)) static const char *world_problems(struct world *w)
{
    buf_reset(&w->text);
    for (size_t i = 0; i < w->problems.n; i++) {
        mesh_problem_print(&w->text, &w->problems.v[i]);
        buf_putc(&w->text, '\n');
    }
    return world_text(w);
}

/* The same without file, line and object, for texts with one object. */
__attribute__((unused)) static const char *world_said(struct world *w)
{
    static const char *const words[] = { "info", "warning", "error" };

    buf_reset(&w->text);
    for (size_t i = 0; i < w->problems.n; i++)
        buf_printf(&w->text, "%s: %.*s: %.*s\n", words[w->problems.v[i].severity], STR_ARG(w->problems.v[i].path),
                   STR_ARG(w->problems.v[i].message));
    return world_text(w);
}

__attribute__((unused)) static void world_build(struct world *w, const char *text)
{
    ck_assert_int_eq(world_parse(w, text), 0);
    ck_assert_msg(w->problems.errors == 0, "%s", world_problems(w));
    w->mesh = mesh_build(&w->arena, &w->objects, &w->problems, &w->e);
    ck_assert_msg(w->mesh != NULL, "%s%s", w->e.msg, world_problems(w));
}

/* Who asks, in short: "NAME.NAMESPACE" as a sidecar or a gateway on 127.0.0.1. */
__attribute__((unused)) static struct proxy_identity identity(enum proxy_role role, const char *who)
{
    static const struct label ingress[] = { { STR_INIT("istio"), STR_INIT("ingressgateway") } };
    struct proxy_identity id = { .role = role, .bind = STR("127.0.0.1") };

    id.ns = str_of(who);
    id.name = str_cut(&id.ns, '.');
    if (role == PROXY_GATEWAY)
        id.labels = (struct labels){ ingress, 1 };
    return id;
}

__attribute__((unused)) static struct proxy_snapshot *world_snapshot(struct world *w, const struct proxy_identity *id)
{
    struct proxy_snapshot *s = mesh_snapshot(&w->arena, w->mesh, id, 7, &w->e);

    ck_assert_msg(s != NULL, "%s", w->e.msg);
    return s;
}

__attribute__((unused)) static const struct listener *listener_at(const struct proxy_snapshot *s, uint16_t port)
{
    for (size_t i = 0; i < s->nlisteners; i++)
        if (s->listeners[i].port == port)
            return &s->listeners[i];
    return NULL;
}

__attribute__((unused)) static const struct cluster *cluster_named(const struct proxy_snapshot *s, const char *name)
{
    for (size_t i = 0; i < s->nclusters; i++)
        if (str_eqz(s->clusters[i].name, name))
            return &s->clusters[i];
    return NULL;
}

static void put_match(struct buf *b, const char *what, const struct string_match *m)
{
    static const char *const signs[] = { "=", "^", "~", "?" };

    if (m)
        buf_printf(b, "%s%s%s%.*s ", what, m->ignore_case ? "i" : "", signs[m->kind], STR_ARG(m->value));
}

static void put_destinations(struct buf *b, const struct destination *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str name = v[i].cluster_name;

        if (str_starts(name, STR("outbound|")))
            name = str_from(name, 9);
        if (str_ends(name, STR(".svc.cluster.local")))
            name.n -= 18;
        buf_printf(b, " %.*s", STR_ARG(name));
        if (n > 1)
            buf_printf(b, "*%u", v[i].weight);
        if (!v[i].cluster)
            buf_puts(b, "(none)");
    }
}

/* "uri^/v2 x-user=bob -> 80|v1|reviews.default*70 80|v2|reviews.default*30" */
__attribute__((unused)) static void put_route(struct buf *b, const struct route *r)
{
    put_match(b, "uri", r->match.uri);
    put_match(b, "method", r->match.method);
    put_match(b, "scheme", r->match.scheme);
    put_match(b, "authority", r->match.authority);
    for (size_t i = 0; i < r->match.nheaders; i++) {
        buf_printf(b, "%s%.*s", r->match.headers[i].invert ? "!" : "", STR_ARG(r->match.headers[i].name));
        put_match(b, "", &r->match.headers[i].value);
    }
    for (size_t i = 0; i < r->match.nquery; i++) {
        buf_printf(b, "?%.*s", STR_ARG(r->match.query[i].name));
        put_match(b, "", &r->match.query[i].value);
    }
    buf_puts(b, "->");
    if (r->action == ROUTE_REDIRECT)
        buf_printf(b, " redirect %u", r->redirect.status);
    else if (r->action == ROUTE_DIRECT)
        buf_printf(b, " answer %u", r->direct_status);
    put_destinations(b, r->destinations, r->ndestinations);
}

/* The routes of the host, one a line; "none" where there is no such host. */
__attribute__((unused)) static const char *routes_text(struct world *w, const struct proxy_snapshot *s, uint16_t port,
                                                       const char *host)
{
    const struct listener *l = listener_at(s, port);
    const struct virtual_host *vh = l ? listener_host(l, str_of(host)) : NULL;

    buf_reset(&w->text);
    if (!vh)
        buf_puts(&w->text, l ? "none" : "no listener");
    for (size_t i = 0; vh && i < vh->nroutes; i++) {
        if (i)
            buf_putc(&w->text, '\n');
        put_route(&w->text, &vh->routes[i]);
    }
    return world_text(w);
}

/* "127.0.0.1:10080/80 …" */
__attribute__((unused)) static const char *endpoints_text(struct world *w, const struct cluster *c)
{
    buf_reset(&w->text);
    for (size_t i = 0; c && i < c->nendpoints; i++)
        buf_printf(&w->text, "%s%.*s:%u/%u=%.*s", i ? " " : "", STR_ARG(c->endpoints[i].ip), c->endpoints[i].port,
                   c->endpoints[i].container_port, STR_ARG(c->endpoints[i].workload->pod));
    return world_text(w);
}

#endif
