#include "proxy/snapshot_ref.h"

#include "base/mem.h"

enum { MOST_BYTES = 512 * 1024 * 1024 };

struct snapshot_ref *snapshot_ref_new(void)
{
    struct snapshot_ref *r = mem_zalloc(sizeof(*r));

    if (!r)
        return NULL;
    atomic_init(&r->refs, 1);
    r->arena = (struct arena)ARENA_INIT(MOST_BYTES);
    return r;
}

struct snapshot_ref *snapshot_ref_get(struct snapshot_ref *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

bool snapshot_ref_is_last(const struct snapshot_ref *r)
{
    return atomic_load_explicit(&r->refs, memory_order_acquire) == 1;
}

void snapshot_ref_put(struct snapshot_ref *r)
{
    if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) {
        arena_free(&r->arena);
        mem_free(r);
    }
}
