/* mesh.h: a checked set of objects: what the whole mesh is, at one version.
 *
 * mesh_build is the one gate: the server runs it before it accepts an apply, the proxy before it switches to a new
 * configuration. A mesh is immutable and may be read from many threads. */
#ifndef MESH_MESH_H
#define MESH_MESH_H

#include "mesh/object.h"

struct mesh;

/* Checks every object by itself and against the others (fields and types, ranges, references) and builds the typed
 * set. NULL when p->errors is not 0 afterwards, or on ERR_NOMEM (e). Warnings do not stop it. Of two objects with the
 * same kind, namespace and name the later one counts. Everything lives in `a`, to which the objects belong too. */
struct mesh *mesh_build(struct arena *a, const struct mesh_objects *objects, struct mesh_problems *p, struct err *e);

#endif
