/* mesh-internal.h: the mesh's objects as the server holds them: versions, and who waits for the next one. */
#ifndef API_MESH_INTERNAL_H
#define API_MESH_INTERNAL_H

#include "api/http-internal.h"
#include "mesh/object.h"
#include "store/catalog.h"

/* All objects at one version, as proxies are told. Never changed; freed with its last reference. */
struct mesh_view {
    atomic_uint references;
    uint64_t version;  /* the catalog's revision */
    struct buf stream; /* JSON documents, separated by --- lines */
};

struct mesh_state;

/* Reads the catalog and starts the thread that wakes who waits. NULL: ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
struct mesh_state *mesh_state_new(struct store *st, struct err *e);
/* Sends all who wait away, now and from now on. */
void mesh_state_stop(struct mesh_state *s);
void mesh_state_free(struct mesh_state *s);

/* Changes come one after the other, from reading the catalog to its refresh. */
void mesh_state_lock(struct mesh_state *s);
void mesh_state_unlock(struct mesh_state *s);
/* Reads the catalog again, after a change; wakes who waits. Called with the lock. */
int mesh_state_refresh(struct mesh_state *s, struct err *e);
uint64_t mesh_state_version(struct mesh_state *s);

/* What a proxy says of itself with each question. */
struct mesh_report {
    struct str node;           /* empty: not a proxy */
    uint64_t version;          /* in force there; 0 = none */
    uint64_t rejected;         /* 0 = none */
    struct str error;
};

/* Answers with the view when its version is another than those of the report; else waits up to wait_ms, then 304. */
void mesh_state_ask(struct mesh_state *s, struct request *rq, const struct mesh_report *r, int64_t wait_ms);
/* [{"node":…}] */
void mesh_state_print_proxies(struct mesh_state *s, struct buf *out);

/* --- mesh_merge.c --- */

/* What an object gets from the server when it does not say so itself: its namespace, the time of its creation, and for
 * a Service the address of clusterIP. What the stored version has stays. */
struct mesh_merge {
    struct arena *arena;
    const struct catalog_document *documents; /* what is stored */
    size_t ndocuments;
    struct mesh_objects stored;               /* the same, parsed */
    uint8_t *used;                            /* a bit for each address of 127.96.0.0/16 */
};

/* Parses what is stored. 0, ERR_NOMEM. */
int mesh_merge_init(struct mesh_merge *m, struct arena *a, const struct catalog_document *documents, size_t n,
                    struct err *e);
/* The stored document of that object, or NULL. */
const struct catalog_document *mesh_merge_find(const struct mesh_merge *m, const struct mesh_object *o);
/* Fills in what the server gives. ERR_LIMIT: no address is left. */
int mesh_merge_complete(struct mesh_merge *m, struct mesh_object *o, struct err *e);
/* The stored objects without those that `objects` replaces (or, with `removes`, takes away), and then `objects`. */
int mesh_merge_all(struct mesh_merge *m, const struct mesh_objects *objects, bool removes, struct mesh_objects *out,
                   struct err *e);

#endif
