/* gateways-internal.h: which workloads the mesh's objects make gateways, and for which hosts. Thread-safe. */
#ifndef API_GATEWAYS_INTERNAL_H
#define API_GATEWAYS_INTERNAL_H

#include "base/arena.h"
#include "graph/graph.h"

struct gateways;

struct gateways *gateways_new(void);
void gateways_free(struct gateways *w);

/* As of now, into (*out)[0..*n), which live in `a`. Objects are read only when they have changed.
 * 0, ERR_NOMEM, or what the catalog says. */
int gateways_list(struct gateways *w, struct store *st, struct arena *a, const struct graph_gateway **out, size_t *n,
                  struct err *e);

#endif
