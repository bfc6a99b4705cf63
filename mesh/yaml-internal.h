/* yaml-internal.h: YAML and JSON text to trees. */
#ifndef MESH_YAML_INTERNAL_H
#define MESH_YAML_INTERNAL_H

#include "mesh/object.h"

enum {
    YAML_MOST_BYTES = 8 << 20,
    YAML_MOST_LEVELS = 64,
    YAML_MOST_NODES = 1000000, /* of one stream */
    YAML_MOST_EXPANDED = 10000 /* nodes that aliases stand for, of one stream */
};

struct yaml_documents {
    struct yaml_node *v;
    size_t n, cap;
};

/* Appends the documents of a stream that have no error; what is wrong with the others goes to `p`. 0 or ERR_NOMEM. */
int yaml_read(struct arena *a, struct str file, struct str text, struct yaml_documents *out, struct mesh_problems *p);

/* What an unquoted scalar is by the core schema: sets kind, number and boolean of `n` from its text. */
void yaml_resolve(struct yaml_node *n);

#endif
