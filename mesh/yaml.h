/* yaml.h: YAML and JSON text to trees of struct yaml_node (mesh/object.h), with the place of every node. */
#ifndef MESH_YAML_H
#define MESH_YAML_H

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

#endif
