/* sqlite_heap.h: SQLite's own allocations go through base/mem.h, so that the n-th of them can fail, too. */
#ifndef TESTS_UNIT_STORE_SQLITE_HEAP_H
#define TESTS_UNIT_STORE_SQLITE_HEAP_H

#include "base/mem.h"

#include <check.h>
#include <malloc.h>
#include <sqlite3.h>

static inline void *sq_malloc(int n)
{
    return mem_alloc((size_t)n);
}

static inline void *sq_realloc(void *p, int n)
{
    return mem_realloc(p, (size_t)n);
}

static inline int sq_size(void *p)
{
    return p ? (int)malloc_usable_size(p) : 0;
}

static inline int sq_round(int n)
{
    return (n + 15) & ~15;
}

static inline int sq_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static inline void sq_shutdown(void *arg)
{
    (void)arg;
}

/* No connection may be open. */
static inline void sqlite_heap_install(void)
{
    static const sqlite3_mem_methods methods = { sq_malloc, mem_free,    sq_realloc, sq_size,
                                                 sq_round,  sq_init, sq_shutdown, NULL };

    sqlite3_shutdown();
    ck_assert_int_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

#endif
