/* object.h: Kubernetes and Istio objects as they are written: YAML or JSON in, a tree with places out.
 *
 * Bounded: 8 MiB a stream, 64 levels, aliases refused beyond 10,000 expanded nodes. Pure: reads no files. */
#ifndef MESH_OBJECT_H
#define MESH_OBJECT_H

#include "base/labels.h"
#include "base/yaml.h"
#include "mesh/problem.h"

struct mesh_object {
    struct str api_version, kind, ns, name; /* ns empty for kinds that have none (Namespace, …) */
    struct labels labels;
    int64_t created_ms;      /* metadata.creationTimestamp; 0 = not given */
    const struct yaml_node *root;
    struct str file;
    int line;
};

struct mesh_objects {
    struct mesh_object *v;
    size_t n, cap;
};

/* Parses a stream of documents (a List's items too) and appends its objects. An object of a kind that has namespaces
 * and names none gets default_ns. All strings live in `a`. What is wrong goes to `p`; objects without error in this
 * step are appended even when others have some. Returns 0 or ERR_NOMEM. */
int mesh_parse(struct arena *a, struct str file, struct str text, struct str default_ns, struct mesh_objects *out,
               struct mesh_problems *p);

/* The object in one canonical form: JSON, members in the order they were written, no comments. */
void mesh_object_json(struct buf *b, const struct mesh_object *o);
/* The same as YAML, for people: block style, two blanks. */
void mesh_object_yaml(struct buf *b, const struct mesh_object *o);

/* Kinds by any of their names: "virtualservices", "vs", "VirtualService". NULL when unknown. */
struct mesh_kind {
    const char *kind, *plural, *short_name; /* short_name may be NULL */
    const char *group;                      /* "networking.istio.io"; "" for core */
    bool namespaced;
};
const struct mesh_kind *mesh_kind_find(struct str word);
/* All known kinds, NULL-terminated by kind == NULL. */
extern const struct mesh_kind mesh_kinds[];

#endif
