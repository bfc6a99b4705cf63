/* epoch-internal.h: when memory that readers may still look at can be freed.
 *
 * One writer (the committer) replaces and removes what many readers walk without locks. A reader enters while it holds
 * the store's lock for reading, so it sees either all or nothing of a publication, and leaves when it is done. What the
 * writer takes away it retires: freed once every reader that may have seen it has left. */
#ifndef STORE_EPOCH_INTERNAL_H
#define STORE_EPOCH_INTERNAL_H

#include <pthread.h>
#include <stdint.h>

struct epoch_reader {
    struct epoch_reader *older, *newer;
    uint64_t since;
};

/* Stands first in whatever can be retired: a pointer to it is a pointer to the whole, and mem_free frees it. */
struct retired {
    struct retired *next;
    uint64_t since;
};

struct epoch {
    pthread_mutex_t lock; /* guards clock and the list of readers */
    uint64_t clock;       /* readers that entered so far */
    struct epoch_reader *oldest, *newest;
    struct retired *first, *last; /* the writer's own, oldest first */
};

int epoch_init(struct epoch *ep); /* 0 or ERR_NOMEM */
/* Frees what is retired; no reader may be left. */
void epoch_fini(struct epoch *ep);

void epoch_enter(struct epoch *ep, struct epoch_reader *r);
void epoch_leave(struct epoch *ep, struct epoch_reader *r);

/* The writer's. `born` is epoch_now() of when the thing was made: what no reader can have seen is freed at once. */
uint64_t epoch_now(struct epoch *ep);
void epoch_retire(struct epoch *ep, struct retired *thing, uint64_t born);
/* Frees what nobody looks at any more. */
void epoch_collect(struct epoch *ep);

#endif
