/* sticky-internal.h: arena memory whose shortage is noted once and asked for at the end. */
#ifndef MESH_STICKY_INTERNAL_H
#define MESH_STICKY_INTERNAL_H

#include "base/arena.h"

#include <stdbool.h>

/* n zeroed items of `size` bytes; NULL sets *nomem. */
void *sticky_alloc(struct arena *a, bool *nomem, size_t n, size_t size);
/* At most 1,023 bytes, the rest is cut. p is NULL, and *nomem set, when memory is short. */
struct str sticky_printf(struct arena *a, bool *nomem, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
