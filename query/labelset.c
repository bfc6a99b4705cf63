#include "query/labelset-internal.h"

static bool named(struct str name, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

struct labels labels_select(struct labels l, const struct str *names, size_t n, bool keep, struct label *out)
{
    size_t kept = 0;

    for (size_t i = 0; i < l.n; i++)
        if (named(l.v[i].name, names, n) == keep)
            out[kept++] = l.v[i];
    return (struct labels){ out, kept };
}

struct labels labels_without_name(struct labels l, struct label *out)
{
    static const struct str reserved[] = { STR_INIT("__name__"), STR_INIT("__type__"), STR_INIT("__unit__") };

    return labels_select(l, reserved, 3, false, out);
}

struct labels labels_with(struct arena *a, struct labels l, struct str name, struct str value)
{
    struct label *v = arena_array(a, l.n + 1, sizeof(*v));
    size_t n = 0, i = 0;

    if (!v)
        return (struct labels){ NULL, 0 };
    for (; i < l.n && str_cmp(l.v[i].name, name) < 0; i++)
        v[n++] = l.v[i];
    if (value.n)
        v[n++] = (struct label){ name, value };
    for (; i < l.n; i++)
        if (!str_eq(l.v[i].name, name))
            v[n++] = l.v[i];
    return (struct labels){ v, n };
}

/* The slot that holds the key, or the empty one where it would go. */
static uint32_t *slot_of(const struct label_map *m, struct labels l)
{
    size_t i = labels_hash(l) & (m->nslots - 1);

    while (m->slots[i] && labels_cmp(m->keys[m->slots[i] - 1], l) != 0)
        i = (i + 1) & (m->nslots - 1);
    return &m->slots[i];
}

static int grow_slots(struct label_map *m, struct arena *a)
{
    size_t n = m->nslots ? m->nslots * 2 : 32;
    uint32_t *slots = arena_array(a, n, sizeof(*slots));

    if (!slots)
        return ERR_NOMEM;
    m->slots = slots;
    m->nslots = n;
    for (size_t i = 0; i < m->n; i++)
        *slot_of(m, m->keys[i]) = (uint32_t)i + 1;
    return 0;
}

bool label_map_find(const struct label_map *m, struct labels l, size_t *number)
{
    uint32_t slot = m->nslots ? *slot_of(m, l) : 0;

    if (!slot)
        return false;
    *number = slot - 1;
    return true;
}

int label_map_add(struct label_map *m, struct arena *a, struct labels l, size_t *number)
{
    struct label *copy;

    if (label_map_find(m, l, number))
        return 0;
    if (m->n * 2 >= m->nslots && grow_slots(m, a) < 0)
        return ERR_NOMEM;
    if (m->n >= UINT32_MAX - 1 || arena_grow(a, &m->keys, &m->cap, m->n + 1, sizeof(*m->keys)) < 0)
        return ERR_NOMEM;
    copy = arena_array(a, l.n ? l.n : 1, sizeof(*copy));
    if (!copy)
        return ERR_NOMEM;
    if (l.n)
        memcpy(copy, l.v, l.n * sizeof(*copy));
    *number = m->n;
    m->keys[m->n] = (struct labels){ copy, l.n };
    *slot_of(m, l) = (uint32_t)++m->n;
    return 1;
}
