/* strmap.h: a hash table from byte strings to pointers.
 *
 * Keys are views: the caller keeps their bytes alive and unchanged while they are in the table. Open addressing with
 * a seeded hash, so chosen keys cannot make it slow. Not thread-safe. */
#ifndef BASE_STRMAP_H
#define BASE_STRMAP_H

#include "base/str.h"

struct strmap_slot {
    uint64_t hash; /* 0 = empty, 1 = deleted */
    struct str key;
    void *value;
};

struct strmap {
    struct strmap_slot *slots; /* owned */
    size_t n, filled, cap;     /* entries; entries and graves; slots (a power of two) */
};

#define STRMAP_INIT { NULL, 0, 0, 0 }

/* NULL when the key is not there. */
void *strmap_get(const struct strmap *m, struct str key);
/* Adds or replaces; *old, when asked for, is the value that was there or NULL. 0 or ERR_NOMEM. */
int strmap_put(struct strmap *m, struct str key, void *value, void **old) __attribute__((warn_unused_result));
/* Returns the value that was there, or NULL. */
void *strmap_del(struct strmap *m, struct str key);
/* Walks in no order: *at starts at 0; NULL at the end. Deleting the entry just returned is allowed. */
const struct strmap_slot *strmap_next(const struct strmap *m, size_t *at);
void strmap_free(struct strmap *m);

#endif
