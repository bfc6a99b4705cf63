/* snapshot_ref.h: a snapshot that workers, requests and telemetry hold on to; the last one to let go frees it. */
#ifndef PROXY_SNAPSHOT_REF_H
#define PROXY_SNAPSHOT_REF_H

#include "base/arena.h"
#include "mesh/snapshot.h"

#include <stdatomic.h>

struct snapshot_ref {
    atomic_uint refs;
    struct arena arena;                   /* of the mesh and the snapshot */
    const struct proxy_snapshot *snapshot;
};

/* One reference, an arena with a ceiling. NULL: no memory. */
struct snapshot_ref *snapshot_ref_new(void);
struct snapshot_ref *snapshot_ref_get(struct snapshot_ref *r);
/* Whether the caller's is the only reference. */
bool snapshot_ref_is_last(const struct snapshot_ref *r);
void snapshot_ref_put(struct snapshot_ref *r); /* NULL is accepted */

#endif
