/* arena.h: memory with one owner and one bound, freed as a whole.
 *
 * An arena serves one request, batch or configuration. Nothing in it is freed alone. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

#include <stddef.h>

#include <stdatomic.h>

struct arena_block;
struct arena_hook;

/* What several arenas may hold together; their threads share it. */
struct arena_budget {
    _Atomic size_t used; /* bytes of their blocks */
    size_t max;
    struct arena_budget *within; /* NULL, or one that this is a part of: what is used here is used there, too */
};

struct arena {
    struct arena_block *head; /* the block in use; older ones behind it */
    struct arena_hook *hooks; /* what arena_free calls first, newest first */
    size_t used;              /* bytes handed out and lost to alignment */
    size_t max;               /* ceiling of `used`; arena_alloc answers NULL beyond it */
    struct arena_budget *budget; /* NULL, or what it shares with others; to be set before the first allocation */
    size_t charged;           /* of `used`: bytes that are elsewhere */
};

/* max_bytes 0 = no ceiling: only for input whose size is bounded elsewhere. */
#define ARENA_INIT(max_bytes) { NULL, NULL, 0, (max_bytes), NULL, 0 }

/* Aligned for any type. NULL when memory or the ceiling is reached. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((warn_unused_result));
void *arena_zalloc(struct arena *a, size_t n) __attribute__((warn_unused_result));
/* n items of `size` bytes, zeroed; NULL on overflow too. */
void *arena_array(struct arena *a, size_t n, size_t size) __attribute__((warn_unused_result));
#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))

/* NUL-terminated copies (the NUL is not counted in str.n). On failure p is NULL, also for an empty string. */
struct str arena_str(struct arena *a, struct str s);
char *arena_cstr(struct arena *a, struct str s) __attribute__((warn_unused_result));
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Has the next n bytes (each allocation rounded up for alignment, as `used` counts them) come out of one block that is no
 * larger than they need: for what is measured and stays. 0 or ERR_NOMEM. */
int arena_reserve(struct arena *a, size_t n) __attribute__((warn_unused_result));

/* Grows the array *p (an arena allocation, or NULL with *cap 0) to hold `need` items. 0 or ERR_NOMEM. */
int arena_grow(struct arena *a, void *p, size_t *cap, size_t need, size_t size) __attribute__((warn_unused_result));

/* Has arena_free call fn(arg): for what an object in the arena holds elsewhere. 0 or ERR_NOMEM. */
int arena_on_free(struct arena *a, void (*fn)(void *arg), void *arg) __attribute__((warn_unused_result));

/* Counts n bytes that an object in the arena holds elsewhere, until arena_free. ERR_NOMEM: they are beyond the ceiling. */
int arena_charge(struct arena *a, size_t n) __attribute__((warn_unused_result));

/* Frees everything; the arena is as new and may be used again. */
void arena_free(struct arena *a);

#endif
