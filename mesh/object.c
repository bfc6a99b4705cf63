/* object.c: from documents to objects: what every object has, whatever its kind. */
#include "mesh/object.h"

#include "base/clock.h"
#include "base/err.h"
#include "mesh/kinds-internal.h"
#include "mesh/names-internal.h"
#include "mesh/problem-internal.h"
#include "mesh/yaml.h"

struct intake {
    struct arena *arena;
    struct mesh_problems *problems;
    struct mesh_objects *out;
    struct str file, default_ns;
    struct str object; /* "VirtualService guestbook/frontend", as far as it is known */
    bool nomem;
};

__attribute__((format(printf, 5, 6))) static void tell(struct intake *in, enum mesh_severity severity,
                                                       const struct yaml_node *at, const char *path, const char *fmt,
                                                       ...)
{
    struct mesh_problem where = { severity, in->file, at->line, at->column, in->object, str_of(path), STR_NULL };
    va_list ap;

    va_start(ap, fmt);
    if (problem_vadd(in->problems, &where, fmt, ap) < 0)
        in->nomem = true;
    va_end(ap);
}

/* The member's text when it is a string; anything else is an error, but for an absent member, which is STR_NULL. */
static struct str text_member(struct intake *in, const struct yaml_node *map, const char *key, const char *path)
{
    const struct yaml_node *n = yaml_get(map, key);

    if (!n || n->kind == YAML_NULL)
        return STR_NULL;
    if (n->kind == YAML_STRING)
        return n->text;
    if (n->kind == YAML_LIST || n->kind == YAML_MAP)
        tell(in, MESH_ERROR, n, path, "must be a string");
    else
        tell(in, MESH_ERROR, n, path, "must be a string: write \"%.*s\" in quotes", STR_ARG(n->text));
    return STR_NULL;
}

static void check_label(struct intake *in, const struct yaml_node *n, const char *path)
{
    if (n->kind != YAML_STRING && n->kind != YAML_NULL)
        tell(in, MESH_ERROR, n, path, "\"%.*s\" must be a string%s", STR_ARG(n->key),
             n->kind == YAML_LIST || n->kind == YAML_MAP ? "" : ": put its value in quotes");
    else if (!name_is_label_key(n->key))
        tell(in, MESH_ERROR, n, path, "\"%.*s\" is no label name: letters, digits, '-', '_' and '.', at most 63, "
             "perhaps behind a prefix/", STR_ARG(n->key));
    else if (!name_is_label_value(n->text))
        tell(in, MESH_ERROR, n, path, "\"%.*s\": \"%.*s\" is no label value: letters, digits, '-', '_' and '.', "
             "at most 63", STR_ARG(n->key), STR_ARG(n->text));
}

static struct labels read_labels(struct intake *in, const struct yaml_node *meta)
{
    const struct yaml_node *map = yaml_get(meta, "labels");
    struct label *v;
    size_t n = 0;

    if (!map || map->kind == YAML_NULL)
        return (struct labels){ NULL, 0 };
    if (map->kind != YAML_MAP) {
        tell(in, MESH_ERROR, map, "metadata.labels", "must be a map, as in {app: frontend}");
        return (struct labels){ NULL, 0 };
    }
    v = arena_array(in->arena, map->n, sizeof(*v));
    if (!v) {
        in->nomem = true;
        return (struct labels){ NULL, 0 };
    }
    for (size_t i = 0; i < map->n; i++) {
        check_label(in, &map->items[i], "metadata.labels");
        v[n++] = (struct label){ map->items[i].key, yaml_text(&map->items[i]) };
    }
    labels_normalise(v, &n, NULL);
    return (struct labels){ v, n };
}

static void check_annotations(struct intake *in, const struct yaml_node *meta)
{
    const struct yaml_node *map = yaml_get(meta, "annotations");

    if (!map || map->kind == YAML_NULL)
        return;
    if (map->kind != YAML_MAP) {
        tell(in, MESH_ERROR, map, "metadata.annotations", "must be a map of strings");
        return;
    }
    for (size_t i = 0; i < map->n; i++)
        if (map->items[i].kind != YAML_STRING && map->items[i].kind != YAML_NULL)
            tell(in, MESH_ERROR, &map->items[i], "metadata.annotations", "\"%.*s\" must be a string: put it in quotes",
                 STR_ARG(map->items[i].key));
}

static int64_t read_created(struct intake *in, const struct yaml_node *meta)
{
    struct str text = text_member(in, meta, "creationTimestamp", "metadata.creationTimestamp");
    struct err e = ERR_INIT;
    int64_t ns = 0;

    if (text.n && clock_parse_rfc3339(text, &ns, &e) < 0)
        tell(in, MESH_ERROR, yaml_get(meta, "creationTimestamp"), "metadata.creationTimestamp", "%s", e.msg);
    return ns / 1000000;
}

/* The kind's row, or NULL for one that is kept without being known. What is plainly wrong is an error. */
static const struct mesh_kind *check_kind(struct intake *in, const struct yaml_node *root, struct str api,
                                          struct str word)
{
    struct str group = api_group(api);
    const struct mesh_kind *kind = kind_find_in(group, word), *elsewhere = kind_find_exact(word);
    const char *near = kind_near(group, word), *group_near = api_group_near(group);
    const struct yaml_node *at = yaml_get(root, "apiVersion");

    if (kind && !api_version_known(api)) {
        tell(in, MESH_ERROR, at, "apiVersion", "\"%.*s\" is not a version of %s: %s", STR_ARG(api), kind->kind,
             api_versions_text(group));
    } else if (!kind && api_group_known(group) && elsewhere) {
        tell(in, MESH_ERROR, at, "apiVersion", "\"%.*s\" has no kind %s: %s has", STR_ARG(api), elsewhere->kind,
             api_versions_text(str_of(elsewhere->group)));
    } else if (!kind && api_group_known(group)) {
        tell(in, MESH_ERROR, yaml_get(root, "kind"), "kind", "\"%.*s\" has no kind \"%.*s\"%s%s%s", STR_ARG(api),
             STR_ARG(word), near ? ": did you mean " : "", near ? near : "", near ? "?" : "");
    } else if (!kind && elsewhere && (group_near || str_chr(group, '.') < 0)) {
        tell(in, MESH_ERROR, at, "apiVersion", "\"%.*s\" is not known: %s is of %s", STR_ARG(api), elsewhere->kind,
             api_versions_text(str_of(elsewhere->group)));
    } else if (!kind && str_chr(group, '.') < 0) {
        tell(in, MESH_ERROR, at, "apiVersion", "\"%.*s\" is not known, nor is kind \"%.*s\"", STR_ARG(api),
             STR_ARG(word));
    } else if (!kind) {
        tell(in, MESH_WARNING, root, "kind", "kept, not applied: \"%.*s\" of \"%.*s\" is not a kind of the mesh",
             STR_ARG(word), STR_ARG(api));
    }
    return kind;
}

static void name_object(struct intake *in, struct str kind, struct str ns, struct str name)
{
    in->object = ns.n ? arena_printf(in->arena, "%.*s %.*s/%.*s", STR_ARG(kind), STR_ARG(ns), STR_ARG(name))
                      : arena_printf(in->arena, "%.*s %.*s", STR_ARG(kind), STR_ARG(name));
    if (!in->object.p)
        in->nomem = true;
}

static void check_names(struct intake *in, const struct yaml_node *root, const struct mesh_object *o)
{
    const struct yaml_node *meta = yaml_get(root, "metadata"), *at = yaml_get(meta, "name");

    if (!meta || meta->kind != YAML_MAP)
        tell(in, MESH_ERROR, meta ? meta : root, "metadata", "must be a map with a name");
    else if (!o->name.n && yaml_get(meta, "generateName"))
        tell(in, MESH_ERROR, meta, "metadata.generateName", "is not offered: give a name");
    else if (!o->name.n && (!at || at->kind == YAML_STRING || at->kind == YAML_NULL))
        tell(in, MESH_ERROR, at ? at : meta, "metadata.name", "missing: every object has a name");
    else if (o->name.n && !name_is_subdomain(o->name))
        tell(in, MESH_ERROR, at, "metadata.name", "\"%.*s\" is no name: small letters, digits, '-' and '.', "
             "at most 253", STR_ARG(o->name));
    at = yaml_path(root, "metadata.namespace");
    if (o->ns.n && !name_is_label_value(o->ns))
        tell(in, MESH_ERROR, at ? at : root, "metadata.namespace",
             "\"%.*s\" is no namespace: small letters, digits and '-', at most 63", STR_ARG(o->ns));
    else if (o->ns.n && !name_is_label(o->ns))
        tell(in, MESH_WARNING, at ? at : root, "metadata.namespace",
             "\"%.*s\": Kubernetes takes small letters, digits and '-' alone", STR_ARG(o->ns));
}

static void take_object(struct intake *in, const struct yaml_node *root)
{
    const struct yaml_node *meta = yaml_get(root, "metadata");
    struct mesh_object o = { .root = root, .file = in->file, .line = root->line };
    size_t errors = in->problems->errors;
    const struct mesh_kind *kind = NULL;

    in->object = STR_NULL;
    o.api_version = text_member(in, root, "apiVersion", "apiVersion");
    o.kind = text_member(in, root, "kind", "kind");
    if (in->problems->errors == errors && (!o.api_version.n || !o.kind.n))
        tell(in, MESH_ERROR, root, o.api_version.n ? "kind" : "apiVersion",
             "missing: an object has apiVersion, kind and metadata");
    o.name = text_member(in, meta, "name", "metadata.name");
    o.ns = text_member(in, meta, "namespace", "metadata.namespace");
    if (o.ns.n == 0)
        o.ns = in->default_ns;
    if (!kind_find_exact(o.kind) || kind_find_exact(o.kind)->namespaced)
        name_object(in, o.kind, o.ns, o.name);
    else
        name_object(in, o.kind, STR(""), o.name);
    if (o.kind.n && o.api_version.n)
        kind = check_kind(in, root, o.api_version, o.kind);
    if (kind && !kind->namespaced)
        o.ns = STR("");
    check_names(in, root, &o);
    o.labels = read_labels(in, meta);
    check_annotations(in, meta);
    o.created_ms = read_created(in, meta);
    if (in->nomem || in->problems->errors != errors)
        return;
    if (o.ns.n && !str_eq(yaml_text(yaml_get(meta, "namespace")), o.ns))
        o.root = yaml_with(in->arena, root, "metadata.namespace", o.ns);
    if (!o.root || arena_grow(in->arena, &in->out->v, &in->out->cap, in->out->n + 1, sizeof(o)) < 0)
        in->nomem = true;
    else
        in->out->v[in->out->n++] = o;
}

static void take_document(struct intake *in, const struct yaml_node *root)
{
    const struct yaml_node *items;
    struct str kind = yaml_text(yaml_get(root, "kind"));

    in->object = STR_NULL;
    if (root->kind == YAML_NULL)
        return;
    if (root->kind != YAML_MAP) {
        tell(in, MESH_ERROR, root, NULL, "an object is a map with apiVersion, kind and metadata, not a %s",
             root->kind == YAML_LIST ? "list" : "scalar");
        return;
    }
    if (!str_eqz(kind, "List")) {
        take_object(in, root);
        return;
    }
    items = yaml_get(root, "items");
    if (items && items->kind != YAML_LIST && items->kind != YAML_NULL)
        tell(in, MESH_ERROR, items, "items", "must be a list of objects");
    for (size_t i = 0; items && items->kind == YAML_LIST && i < items->n; i++) {
        in->object = STR_NULL;
        if (items->items[i].kind == YAML_MAP)
            take_object(in, &items->items[i]);
        else
            tell(in, MESH_ERROR, &items->items[i], "items", "must be a list of objects");
    }
}

int mesh_parse(struct arena *a, struct str file, struct str text, struct str default_ns, struct mesh_objects *out,
               struct mesh_problems *p)
{
    struct intake in = { .arena = a, .problems = p, .out = out };
    struct yaml_documents docs = { NULL, 0, 0 };

    in.file = arena_str(a, file);
    in.default_ns = arena_str(a, default_ns.n ? default_ns : STR("default"));
    if (!in.file.p || !in.default_ns.p || mesh_yaml_read(a, in.file, text, &docs, p) < 0)
        return ERR_NOMEM;
    for (size_t i = 0; i < docs.n && !in.nomem; i++)
        take_document(&in, &docs.v[i]);
    return in.nomem ? ERR_NOMEM : 0;
}
