#include "base/mem.h"

#include "base/err.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Allocations left until the one that fails; 0 = off. The only mutable global of base/: a failing heap has no owner. */
static atomic_long countdown;
static atomic_int failed;

static int must_fail(void)
{
    if (atomic_load_explicit(&countdown, memory_order_relaxed) == 0)
        return 0;
    if (atomic_fetch_sub(&countdown, 1) != 1)
        return 0;
    atomic_store(&failed, 1);
    return 1;
}

enum { LARGE = 8 << 20, KEPT = 64 << 20 };

void mem_keep(void)
{
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, KEPT);
    mallopt(M_ARENA_MAX, 2);
}

void mem_give_back(size_t much)
{
    if (mallinfo2().fordblks > much)
        malloc_trim(0);
}

void mem_expect(void *p, size_t n)
{
    enum { LARGE_PAGE = 2 << 20 };
    uintptr_t from = ((uintptr_t)p + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
    uintptr_t to = ((uintptr_t)p + n) & ~(uintptr_t)(LARGE_PAGE - 1);

    if (from < to)
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE); /* a kernel without them is as good */
}

void mem_fail_at(long n)
{
    atomic_store(&failed, 0);
    atomic_store(&countdown, n);
}

int mem_has_failed(void)
{
    return atomic_load(&failed);
}

void *mem_alloc(size_t n)
{
    return must_fail() ? NULL : malloc(n ? n : 1);
}

void *mem_zalloc(size_t n)
{
    return must_fail() ? NULL : calloc(1, n ? n : 1);
}

void *mem_realloc(void *p, size_t n)
{
    return must_fail() ? NULL : realloc(p, n ? n : 1);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = mem_alloc(n);

    if (p)
        memcpy(p, s, n);
    return p;
}

int mem_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t to = *cap ? *cap : 8;
    void *old, *grown;

    if (need <= *cap)
        return 0;
    while (to < need) {
        if (to > SIZE_MAX / 2)
            return ERR_NOMEM;
        to *= 2;
    }
    if (to > SIZE_MAX / size)
        return ERR_NOMEM;
    memcpy(&old, p, sizeof(old)); /* *p is a T*, whatever T is */
    grown = mem_realloc(old, to * size);
    if (!grown)
        return ERR_NOMEM;
    memcpy(p, &grown, sizeof(grown));
    *cap = to;
    return 0;
}
