#include "base/arena.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
};

struct arena_hook {
    struct arena_hook *next;
    void (*fn)(void *arg);
    void *arg;
};

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

static size_t align_up(size_t n)
{
    return (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static void give_back(struct arena_budget *b, size_t n)
{
    for (; b; b = b->within)
        atomic_fetch_sub(&b->used, n);
}

static bool spend(struct arena_budget *b, size_t n)
{
    for (struct arena_budget *at = b; at; at = at->within)
        if (n > at->max || atomic_fetch_add(&at->used, n) > at->max - n) {
            for (; b != at; b = b->within)
                atomic_fetch_sub(&b->used, n);
            if (n <= at->max)
                atomic_fetch_sub(&at->used, n);
            return false;
        }
    return true;
}

static size_t next_size(const struct arena *a, size_t need)
{
    size_t size = a->head ? a->head->size * 2 : FIRST_BLOCK;

    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    return size < need ? need : size;
}

static struct arena_block *add_block(struct arena *a, size_t size)
{
    struct arena_block *b;

    if (!spend(a->budget, size))
        return NULL;
    b = mem_alloc(sizeof(*b) + size);
    if (!b) {
        give_back(a->budget, size);
        return NULL;
    }
    b->next = a->head;
    b->used = 0;
    b->size = size;
    a->head = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_block *b = a->head;
    void *p;

    if (n > PTRDIFF_MAX / 2)
        return NULL;
    n = align_up(n ? n : 1);
    if (a->max && (n > a->max || a->used > a->max - n))
        return NULL;
    if (!b || b->size - b->used < n)
        b = add_block(a, next_size(a, n));
    if (!b)
        return NULL;
    p = b->bytes + b->used;
    b->used += n;
    a->used += n;
    return p;
}

int arena_reserve(struct arena *a, size_t n)
{
    struct arena_block *b = a->head;

    if (n > PTRDIFF_MAX / 2)
        return ERR_NOMEM;
    n = align_up(n);
    return (b && b->size - b->used >= n) || add_block(a, n) ? 0 : ERR_NOMEM;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    if (size && n > PTRDIFF_MAX / 2 / size)
        return NULL;
    return arena_zalloc(a, n * size);
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_cstr(a, s);

    return p ? (struct str){ p, s.n } : STR_NULL;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    struct str s = STR_NULL;
    char *p;
    int n;

    va_start(ap, fmt);
    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, ap);
    p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
    if (p) {
        vsnprintf(p, (size_t)n + 1, fmt, again);
        s = (struct str){ p, (size_t)n };
    }
    va_end(again);
    va_end(ap);
    return s;
}

int arena_grow(struct arena *a, void *p, size_t *cap, size_t need, size_t size)
{
    size_t to = *cap ? *cap : 8;
    void *old, *grown;

    if (need <= *cap)
        return 0;
    if (need > PTRDIFF_MAX)
        return ERR_NOMEM;
    while (to < need)
        to *= 2;
    grown = arena_array(a, to, size);
    if (!grown)
        return ERR_NOMEM;
    memcpy(&old, p, sizeof(old));
    if (*cap)
        memcpy(grown, old, *cap * size);
    memcpy(p, &grown, sizeof(grown));
    *cap = to;
    return 0;
}

int arena_on_free(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct arena_hook *h = arena_alloc(a, sizeof(*h));

    if (!h)
        return ERR_NOMEM;
    *h = (struct arena_hook){ a->hooks, fn, arg };
    a->hooks = h;
    return 0;
}

int arena_charge(struct arena *a, size_t n)
{
    if ((a->max && (n > a->max || a->used > a->max - n)) || !spend(a->budget, n))
        return ERR_NOMEM;
    a->used += n;
    a->charged += n;
    return 0;
}

void arena_free(struct arena *a)
{
    for (; a->hooks; a->hooks = a->hooks->next)
        a->hooks->fn(a->hooks->arg);
    while (a->head) {
        struct arena_block *next = a->head->next;

        give_back(a->budget, a->head->size);
        mem_free(a->head);
        a->head = next;
    }
    give_back(a->budget, a->charged);
    a->used = a->charged = 0;
}
