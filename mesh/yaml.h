/* yaml.h: YAML whose errors go to the list of problems. */
#ifndef MESH_YAML_H
#define MESH_YAML_H

#include "base/yaml.h"
#include "mesh/problem.h"

/* yaml_read; what is wrong goes to `p`, as errors in `file`. 0 or ERR_NOMEM. */
int mesh_yaml_read(struct arena *a, struct str file, struct str text, struct yaml_documents *out,
                   struct mesh_problems *p);

#endif
