/* yaml-internal.h: what the kinds of scalars are. */
#ifndef MESH_YAML_INTERNAL_H
#define MESH_YAML_INTERNAL_H

#include "mesh/yaml.h"

/* What an unquoted scalar is by the core schema: sets kind, number and boolean of `n` from its text. */
void yaml_resolve(struct yaml_node *n);

#endif
