/* dependencies-internal.h: traces_dependencies with its bound as a parameter, for its test. */
#ifndef QUERY_DEPENDENCIES_INTERNAL_H
#define QUERY_DEPENDENCIES_INTERNAL_H

#include "query/traces.h"

/* `most_spans` are looked at together; of more, the traces are divided into parts. */
int dependencies_find(struct store *st, int64_t from_ns, int64_t to_ns, uint64_t most_spans, struct arena *a,
                      struct trace_dependency **out, size_t *n, struct err *e);

#endif
