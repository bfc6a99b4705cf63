#include "cmd/rollout-internal.h"

#include "base/clock.h"
#include "cmd/client-internal.h"
#include "cmd/podspec-internal.h"

#include <inttypes.h>
#include <unistd.h>

enum { MOST_BYTES = 64 << 20 };

void rollout_init(struct rollout *r)
{
    *r = (struct rollout){ .arena = ARENA_INIT(256 << 20), .workloads = BUF_INIT(MOST_BYTES), .routes = BUF_INIT(MOST_BYTES) };
}

int rollout_split(struct rollout *r, struct str stream, const char *ns)
{
    struct mesh_problems problems;
    bool deployments = false;

    mesh_problems_init(&problems, &r->arena);
    if (mesh_parse(&r->arena, STR("-"), stream, str_of(ns), &r->objects, &problems) < 0)
        return ERR_NOMEM;
    if (problems.errors)
        return ERR_PARSE;
    for (size_t i = 0; i < r->objects.n; i++) {
        const struct mesh_object *o = &r->objects.v[i];
        struct buf *to = str_find(o->api_version, STR("istio.io/")) >= 0 ? &r->routes : &r->workloads;

        deployments |= str_eq(o->kind, STR("Deployment"));
        buf_puts(to, to->n ? "\n---\n" : "");
        mesh_object_json(to, o);
    }
    r->in_two_steps = deployments && r->routes.n;
    return buf_failed(&r->workloads) || buf_failed(&r->routes) ? ERR_NOMEM : 0;
}

static bool pod_ready(const json_t *pod)
{
    const json_t *condition;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(pod, "status"), "conditions"), i, condition)
        if (json_string_value(json_object_get(condition, "type")) &&
            strcmp(json_string_value(json_object_get(condition, "type")), "Ready") == 0)
            return strcmp(json_string_value(json_object_get(condition, "status")), "True") == 0;
    return false;
}

/* Pods of this very template carry its hash in their names. */
static bool deployment_ready(const struct mesh_object *d, const json_t *pods)
{
    const struct yaml_node *replicas = yaml_path(d->root, "spec.replicas");
    double wanted = replicas ? replicas->number : 1, ready = 0;
    char prefix[300];
    const json_t *item;
    size_t i;

    snprintf(prefix, sizeof(prefix), "%.*s-%08" PRIx32 "-", STR_ARG(d->name), (uint32_t)podspec_hash(d));
    json_array_foreach(pods, i, item) {
        const char *name = json_string_value(json_object_get(item, "name"));
        const char *ns = json_string_value(json_object_get(item, "namespace"));

        if (name && ns && str_starts(str_of(name), str_of(prefix)) && str_eqz(d->ns, ns))
            ready += pod_ready(json_object_get(item, "object"));
    }
    return ready >= wanted;
}

/* NULL: all are ready, or the server does not say. */
static const struct mesh_object *first_unready(const struct rollout *r, const char *server)
{
    const struct mesh_object *found = NULL;
    json_t *body = client_json(server, &(struct client_call){ .method = "GET", .path = "/api/mesh/objects?kind=Pod" }, NULL);

    for (size_t i = 0; body && !found && i < r->objects.n; i++)
        if (str_eq(r->objects.v[i].kind, STR("Deployment")) &&
            !deployment_ready(&r->objects.v[i], json_object_get(body, "items")))
            found = &r->objects.v[i];
    json_decref(body);
    return found;
}

void rollout_wait(const struct rollout *r, const char *server, int64_t wait_ms)
{
    int64_t until = clock_mono_ns() + wait_ms * 1000000;
    const struct mesh_object *unready;

    while ((unready = first_unready(r, server)) && clock_mono_ns() < until)
        usleep(50000);
    if (unready)
        fprintf(stderr, "vigla: Deployment %.*s/%.*s is not ready; its routes follow all the same\n",
                STR_ARG(unready->ns), STR_ARG(unready->name));
}

void rollout_fini(struct rollout *r)
{
    buf_free(&r->workloads);
    buf_free(&r->routes);
    arena_free(&r->arena);
}
