#include "base/strmap.h"

#include "base/err.h"
#include "base/mem.h"

enum { EMPTY = 0, GRAVE = 1 };

static uint64_t hash_of(struct str key)
{
    uint64_t h = str_hash(key);

    return h > GRAVE ? h : h + 2;
}

static struct strmap_slot *find(const struct strmap *m, struct str key, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct strmap_slot *s = &m->slots[i];

        if (s->hash == EMPTY)
            return NULL;
        if (s->hash == hash && str_eq(s->key, key))
            return s;
    }
}

static void place(struct strmap *m, struct strmap_slot slot)
{
    size_t i = slot.hash & (m->cap - 1);

    while (m->slots[i].hash > GRAVE)
        i = (i + 1) & (m->cap - 1);
    if (m->slots[i].hash == EMPTY)
        m->filled++;
    m->slots[i] = slot;
    m->n++;
}

/* At most three quarters full, graves included: a probe always ends. */
static int make_room(struct strmap *m)
{
    struct strmap old = *m;
    size_t cap = old.n * 2 >= old.cap ? old.cap * 2 : old.cap;

    if (m->cap && (m->filled + 1) * 4 <= m->cap * 3)
        return 0;
    if (cap < 16)
        cap = 16;
    m->slots = mem_zalloc(cap * sizeof(*m->slots));
    if (!m->slots) {
        m->slots = old.slots;
        return ERR_NOMEM;
    }
    m->cap = cap;
    m->n = m->filled = 0;
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i].hash > GRAVE)
            place(m, old.slots[i]);
    mem_free(old.slots);
    return 0;
}

void *strmap_get(const struct strmap *m, struct str key)
{
    struct strmap_slot *s = find(m, key, hash_of(key));

    return s ? s->value : NULL;
}

int strmap_put(struct strmap *m, struct str key, void *value, void **old)
{
    uint64_t hash = hash_of(key);
    struct strmap_slot *s = find(m, key, hash);

    if (old)
        *old = s ? s->value : NULL;
    if (s) {
        s->key = key;
        s->value = value;
        return 0;
    }
    if (make_room(m) < 0)
        return ERR_NOMEM;
    place(m, (struct strmap_slot){ hash, key, value });
    return 0;
}

void *strmap_del(struct strmap *m, struct str key)
{
    struct strmap_slot *s = find(m, key, hash_of(key));

    if (!s)
        return NULL;
    s->hash = GRAVE;
    m->n--;
    return s->value;
}

const struct strmap_slot *strmap_next(const struct strmap *m, size_t *at)
{
    while (*at < m->cap) {
        const struct strmap_slot *s = &m->slots[(*at)++];

        if (s->hash > GRAVE)
            return s;
    }
    return NULL;
}

void strmap_free(struct strmap *m)
{
    mem_free(m->slots);
    *m = (struct strmap)STRMAP_INIT;
}
